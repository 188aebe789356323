"""Where each record goes when several things go wrong at once: destination, bucket, disk, kills."""

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from bulk_faults import Bulk, Item, Reply
from bulk_replies import BUSY, ONLY_CREATE, Refusal, always, answer, refuse, refuse_all
from endpoint_streams import PAUSED
from search_streams import (
    DELIVERED,
    KEEPING_FAILED,
    SearchBench,
    SearchFlow,
    StrictBucket,
    numbered,
)
from sigv4_judge import Request
from strict_s3 import StrictS3
from updates import update
from waiting import wait_until

pytest_plugins = ["search_fixtures"]

BAD = Refusal(400, "mapper_parsing_exception", "failed to parse")

SETTLED = b'"isSettled":true'
"""What a journal entry has when nothing is left to do for its buffer."""

DAMAGED = "kept failed records are damaged: the buffer is sent again"

TEXT_LINE = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\S* \w+ ")
"""How a line of a log in text begins."""


def number_of(item: Item) -> int:
    """The member `n` of a document."""
    return json.loads(item.document)["n"]


def journal(flow: SearchFlow) -> list[Path]:
    """The entries of the buffers that are on their way."""
    folder = flow.hydrant.data / "streams" / f"{flow.stream}.stream" / "in-flight"
    return sorted(folder.glob("*.json"))


def kept_files(flow: SearchFlow) -> list[Path]:
    """The failed records that are kept on disk for the bucket."""
    (entry,) = journal(flow)
    return [each for each in entry.parent.rglob("*") if each.is_file() and each != entry]


# MARK: Documents that are refused or not taken


def test_an_indexed_document_does_not_fail_as_well_after_a_kill(start_search, faults):
    """Its neighbour was not taken, and after the kill the cluster takes nothing any more."""
    search = start_search()
    faults.plan = always(refuse(lambda item: BUSY if number_of(item) == 1 else None))
    flow = search.flow(faults, retry=3)
    flow.put(*numbered(2))
    wait_until(lambda: len(faults.requests) >= 2, "the second attempt")
    search.hydrant.sigkill()
    faults.plan = always(refuse_all(BUSY))
    search.hydrant.start()
    (failed,) = flow.wait_for_failures(1)
    assert json.loads(failed.raw)["n"] == 1
    assert flow.numbers() == [0]


def test_a_document_that_is_never_taken_costs_later_ones_no_time(search, alone):
    """Each document is a request of its own; all but the first are taken at the second attempt."""
    seen: set[int] = set()

    def select(item: Item) -> Refusal | None:
        is_again = number_of(item) in seen
        seen.add(number_of(item))
        return None if is_again and number_of(item) else BUSY

    alone.plan = always(refuse(select))
    flow = search.flow(alone, path="/small", retry=2)
    flow.put(*numbered(4, text="x" * 600_000))
    wait_until(lambda: flow.log(DELIVERED), "the end")
    assert [json.loads(each.raw)["n"] for each in flow.failures()] == [0]
    assert [len(alone.carrying(each)) for each in flow.records[1:]] == [2, 2, 2]


def test_data_streams_need_no_retry_time(search, faults):
    """They refuse `index` and take `create`: that is no second try."""
    faults.plan = always(refuse(lambda item: ONLY_CREATE if item.action == "index" else None))
    flow = search.flow(faults, retry=0)
    flow.put(*numbered(3))
    flow.settle(3)
    flow.put(b'{"n": 3}')
    flow.settle(4)
    actions = [{item.action for item in each.items} for each in faults.requests]
    assert actions == [{"index"}, {"create"}, {"create"}]


def test_attempts_count_the_requests_before_a_split(search, alone):
    """The first round is cut in two because of a 413, the others are not."""

    def plan(bulk: Bulk) -> Reply:
        return answer(413) if bulk.number == 0 else refuse_all(BUSY)

    alone.plan = plan
    flow = search.flow(alone, retry=1)
    flow.put(*numbered(2))
    failed = flow.wait_for_failures(2)
    assert len(alone.requests[0].items) == 2
    assert len(alone.requests[1].items) == 1
    assert {each.raw: each.attempts for each in failed} == {
        each: len(alone.carrying(each)) for each in flow.records
    }


def test_reasons_make_no_lines_in_the_log(start_hydrant, alone):
    forged = "2026-01-01T00:00:00.000Z error forged"
    reason = f"first\n{forged}\r\n{forged} \x1b[31mred\u2028{forged}\x85{forged}"
    refusal = Refusal(503, "a\nb", reason)
    alone.plan = always(refuse_all(refusal))
    search = SearchBench(start_hydrant("--log-format", "text"), None)
    flow = search.flow(alone, retry=1)
    flow.put(b'{"n": 1}')
    flow.wait_for_failures(1)
    search.hydrant.wait_for_log("failed records are kept")
    lines = search.hydrant.log().splitlines()
    assert any(forged in each for each in lines)
    assert [each for each in lines if not TEXT_LINE.match(each)] == []
    assert [each for each in lines if each.startswith(forged)] == []
    assert "\x1b" not in search.hydrant.log()


# MARK: The bucket for failed records


class PartlyAway(StrictS3):
    """An endpoint where one bucket is away."""

    def handle(self, request: Request) -> tuple[int, bytes]:
        if request.path.startswith("/away/"):
            return 503, b""
        return super().handle(request)


def test_what_fails_goes_to_a_new_bucket_while_the_old_one_is_away(start_search, alone):
    def select(item: Item) -> Refusal | None:
        return BAD if number_of(item) == 0 else BUSY

    alone.plan = always(refuse(select))
    with PartlyAway() as s3:
        search = start_search(environment=s3.environment)
        flow = search.flow(alone, retry=0, bucket=StrictBucket(s3, "away"))
        flow.put(*numbered(1))
        wait_until(lambda: flow.log(KEEPING_FAILED), "an attempt to store the failed record")
        bucket = StrictBucket(s3, "works")
        update(search.client, flow.stream, kind=flow.kind, S3Update={"BucketARN": bucket.arn})
        flow.bucket = bucket
        for count, record in enumerate((b'{"n": 1}', b'{"n": 2}'), 1):
            flow.put(record)
            failed = flow.wait_for_failures(count, timeout=10)
            assert record in [each.raw for each in failed]
        assert flow.log(PAUSED) == []


def cut(path: Path) -> None:
    """Takes away a file's end."""
    path.write_bytes(path.read_bytes()[:-50])


def alter(path: Path) -> None:
    """Changes a bit of a file."""
    content = bytearray(path.read_bytes())
    content[30] ^= 1
    path.write_bytes(content)


DAMAGES: dict[str, Callable[[Path], None]] = {"missing": Path.unlink, "cut": cut, "altered": alter}
"""What can become of failed records that are kept on disk."""


def test_a_buffer_is_sent_again_when_its_kept_failures_are_damaged(start_search, alone):
    with StrictS3() as s3:
        s3.fault = lambda _: 503
        search = start_search(environment=s3.environment)
        plan = always(refuse(lambda item: BAD if number_of(item) < 2 else None))
        flows = {
            name: search.flow(alone, path=f"/{name}", bucket=StrictBucket(s3, name))
            for name in DAMAGES
        }
        alone.plan = plan
        for flow in flows.values():
            flow.put(*numbered(3))
        for name, flow in flows.items():
            wait_until(lambda flow=flow: flow.log(KEEPING_FAILED), name)
        search.hydrant.sigkill()
        for name, flow in flows.items():
            (part,) = kept_files(flow)
            DAMAGES[name](part)
        s3.fault = lambda _: None
        search.hydrant.start()
        for name, flow in flows.items():
            failed = flow.wait_for_failures(2)
            assert [each.raw for each in failed] == flow.records[:2], name
            (line,) = flow.log(DAMAGED)
            assert line["level"] == "error"
            assert len(alone.requests_at(flow.path)) == 2


# MARK: The journal


def put_and_settle(flow: SearchFlow, settled: int, record: bytes) -> None:
    """Puts a record and waits until the journal says of so many buffers that they are settled."""

    def count() -> int:
        return sum(SETTLED in each.read_bytes() for each in journal(flow))

    flow.put(record)
    wait_until(lambda: count() == settled, f"{settled} marks in the journal")


@pytest.mark.parametrize("stop", ["sigkill", "sigterm"])
def test_what_is_settled_is_not_sent_again_after_restarts_and_an_update(start_search, faults, stop):
    """The buffer that holds up the others outlives all of it, and is the last to be delivered."""

    def restart() -> None:
        getattr(search.hydrant, stop)()
        search.hydrant.start()

    search = start_search()
    faults.plan = lambda bulk: refuse_all(BUSY) if b'"late"' in bulk.body else None
    flow = search.flow(faults, retry=7000)
    other = f"{flow.index}-other"
    flow.put(b'{"n": 0, "late": true}')
    wait_until(lambda: faults.requests, "the first buffer")
    for number in range(1, 5):
        put_and_settle(flow, number, b'{"n": %d}' % number)
    restart()
    put_and_settle(flow, 5, b'{"n": 5}')
    update(search.client, flow.stream, kind=flow.kind, IndexName=other)
    put_and_settle(flow, 6, b'{"n": 6}')
    restart()
    put_and_settle(flow, 7, b'{"n": 7}')
    faults.plan = lambda _: None
    wait_until(lambda: not journal(flow), "the end of all buffers", timeout=60)
    taken = [sum(b.status == 200 for b in faults.carrying(each)) for each in flow.records[1:]]
    assert taken == [1] * 7
    assert flow.numbers() == [0, 1, 2, 3, 4, 5]
    assert flow.osmem.count(other) == 2
