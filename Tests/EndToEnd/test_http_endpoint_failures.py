"""HTTP endpoints that fail: what counts as a success, what is tried again, what is kept.

The streams of many tests fail at the same time, so that their waits do not add up.
"""

import json
import re
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime
from functools import partial

import pytest

from buckets import OBJECT_NAME
from endpoint_fixtures import IMPATIENT, IMPATIENT_SECONDS
from endpoint_streams import FAILED_ONCE, IN_ONE_REQUEST, KEPT, EndpointFlow, texts
from firehose_receiver import FirehoseReceiver, Place
from firehose_replies import (
    COMPLAINT,
    EXCEPTION,
    FAULTS,
    NO_CONNECTION,
    REDIRECTS,
    RESET,
    SLOW,
    SUCCESSES,
    hang_up,
    later,
    redirect,
    refusal,
    reset,
)
from plaintext import fresh_secret, traces
from ports import free_port
from streams import MEBIBYTE
from waiting import wait_until

pytest_plugins = ["endpoint_fixtures"]

pytestmark = pytest.mark.usefixtures("no_violations")

EVERY = FAULTS | SLOW

SLACK_SECONDS = 1.0
"""By so much a retry may be late where others keep the machine busy."""

LONG = 9_000

HOUR = r"\d{4}/\d\d/\d\d/\d\d/"

NAME = OBJECT_NAME.pattern.removesuffix("$")

RECORD = b"the one record of its stream"


def milliseconds() -> int:
    """The time as failed records have it."""
    return int(datetime.now(UTC).timestamp() * 1000)


ENDED = ("reset", "hung up")
"""What, at a connection that was kept from another stream's request, is tried again at once."""


def failing(endpoints, name: str, alone: Callable[[], FirehoseReceiver], **members) -> EndpointFlow:
    """A stream whose first request fails as named."""
    if name in ENDED:
        members["receiver"] = alone()
    reply, _ = EVERY[name]
    place = {"plan": lambda request: reply if request.is_first else None}
    if name in SLOW:
        place["path"] = IMPATIENT
    return endpoints.http_flow(place=place, **members)


@pytest.fixture(scope="module")
def elsewhere(receivers) -> Place:
    """Where redirects lead to."""
    return receivers[0].place("elsewhere")


@pytest.fixture(scope="module")
def alone() -> Iterator[Callable[[], FirehoseReceiver]]:
    """Makes receivers that nothing else is sent to: no connection to them is kept."""
    with ExitStack() as stack:
        made: list[FirehoseReceiver] = []

        def make() -> FirehoseReceiver:
            made.append(stack.enter_context(FirehoseReceiver()))
            return made[-1]

        yield make
        assert [each.violations for each in made] == [[] for _ in made]


@pytest.fixture(scope="module")
def flows(endpoints, elsewhere, alone) -> dict[str, EndpointFlow]:
    """Streams that each have one record, which the endpoints fail in all ways at once.

    The names begin with `never` where it is not tried again, and with `again` where it is.
    """
    made = {}
    for name in EVERY:
        made[f"never {name}"] = failing(endpoints, name, alone, retry=0)
        made[f"again {name}"] = failing(endpoints, name, alone)
    for status in REDIRECTS:
        plan = partial(lambda status, _: redirect(status, elsewhere.url), status)
        members = {"plan": plan, "access_key": "not for others"}
        made[f"redirect {status}"] = endpoints.http_flow(place=members, retry=0)
    for name, reply in SUCCESSES.items():
        plan = partial(lambda reply, _: reply, reply)
        made[name] = endpoints.http_flow(place={"plan": plan}, retry=0)
    always = {"plan": lambda _: refusal(503)}
    made["4 s"] = endpoints.http_flow(place=always, retry=4)
    made["2 s"] = endpoints.http_flow(place=always, retry=2)
    slowly = {"plan": lambda _: later(1.5, refusal(503))}
    made["4 s of slow answers"] = endpoints.http_flow(place=slowly, retry=4)
    made["long message"] = endpoints.http_flow(
        place={"plan": lambda _: refusal(500, "e" * LONG)}, retry=0
    )
    nowhere = {"Url": f"http://127.0.0.1:{free_port()}/"}
    made["nobody listens"] = endpoints.http_flow(EndpointConfiguration=nowhere, retry=0)
    for flow in made.values():
        flow.put(RECORD)
    return made


# MARK: What counts as a success


@pytest.mark.parametrize("name", SUCCESSES)
def test_unusual_answers_can_be_successes(flows, name):
    flow = flows[name]
    flow.place.wait_for(RECORD)
    wait_until(lambda: flow.log("delivered"), "the log")
    assert len(flow.place.requests) == 1
    assert flow.failures() == []


@pytest.mark.parametrize("name", EVERY)
def test_what_is_not_a_success_is_tried_again(flows, name):
    """The receiver checks that the second try has the id and the records of the first."""
    flow = flows[f"again {name}"]
    flow.place.wait_for(RECORD)
    assert [each.is_first for each in flow.place.requests] == [True, False]
    assert flow.failures() == []
    (line,) = flow.log(FAILED_ONCE)
    assert (line["level"], line["records"], line["attempts"]) == ("warning", "1", "1")
    assert line["error"]


@pytest.mark.parametrize("status", REDIRECTS)
def test_redirects_are_not_followed(flows, elsewhere, status):
    flow = flows[f"redirect {status}"]
    (failed,) = flow.wait_for_failures(1)
    assert failed.code.startswith("HttpEndpoint.")
    assert (failed.raw, failed.attempts) == (RECORD, 1)
    assert elsewhere.requests == []


# MARK: What is kept of it


@pytest.mark.parametrize("name", EVERY)
def test_failed_records_say_what_happened(flows, name):
    """Without a time to try again there is one request."""
    flow = flows[f"never {name}"]
    (failed,) = flow.wait_for_failures(1)
    assert failed.code in EVERY[name][1]
    assert (failed.raw, failed.attempts) == (RECORD, 1)
    assert failed.arrived <= failed.ended <= milliseconds()
    assert len(flow.place.requests) == 1
    if failed.code == EXCEPTION and re.fullmatch("status [45]..", name):
        assert COMPLAINT in failed.message


def test_failed_records_say_that_nobody_listens(flows):
    (failed,) = flows["nobody listens"].wait_for_failures(1)
    assert (failed.code, failed.raw, failed.attempts) == (NO_CONNECTION, RECORD, 1)


def test_a_message_that_is_too_long_is_not_kept_whole(flows):
    """AWS allows 8,192 characters."""
    (failed,) = flows["long message"].wait_for_failures(1)
    assert failed.message.count("e") < LONG


def test_endless_answers_are_not_read(flows, endpoints):
    """Some of it is on its way when the client has seen enough."""
    flow = flows["never 1 GiB"]
    flow.wait_for_failures(1)
    assert flow.place.requests[0].written < 32 * MEBIBYTE
    assert endpoints.hydrant.peak_memory_bytes() < 200 * 1_000_000


def test_an_answer_is_waited_for_so_long_and_no_longer(flows):
    for name in SLOW:
        first, second = flows[f"again {name}"].place.wait_for_requests(2)
        waited = second.when - first.when - 1
        assert IMPATIENT_SECONDS - 0.2 < waited < IMPATIENT_SECONDS + SLACK_SECONDS


@pytest.mark.parametrize(
    ("s3", "pattern"),
    [
        ({}, f"http-endpoint-failed/{HOUR}"),
        ({"CompressionFormat": "GZIP"}, f"http-endpoint-failed/{HOUR}"),
        ({"Prefix": "logs/"}, f"logs/http-endpoint-failed/{HOUR}"),
        ({"Prefix": "p/", "ErrorOutputPrefix": "e/"}, f"e/http-endpoint-failed/{HOUR}"),
        (
            {"ErrorOutputPrefix": "!{firehose:error-output-type}/!{timestamp:yyyy-'x'-MM-dd}/"},
            r"http-endpoint-failed/\d{4}-x-\d\d-\d\d/",
        ),
    ],
    ids=["none", "gzip", "prefix", "error", "expressions"],
)
def test_failed_records_of_a_buffer_lie_in_one_object(endpoints, s3, pattern):
    """It is not packed, and has no extension."""
    plan = {"plan": lambda _: refusal(500)}
    flow = endpoints.http_flow(place=plan, retry=0, s3=s3, BufferingHints=IN_ONE_REQUEST)
    before = milliseconds()
    flow.put(*texts(20), b"", bytes(range(256)))
    after = milliseconds()
    failed = flow.wait_for_failures(22)
    assert [each.raw for each in failed] == flow.records
    assert all(before - 1 <= each.arrived <= after for each in failed)
    (key,) = flow.bucket.keys()
    match = re.fullmatch(pattern + NAME, key)
    assert match and match["extension"] == "", key
    (line,) = wait_until(lambda: flow.log(KEPT), "the log")
    expected = {"key": key, "bucket": flow.bucket.name, "records": "22", "level": "info"}
    assert {name: line[name] for name in expected} == expected
    assert line["error_output_type"] == "http-endpoint-failed"


def test_a_record_that_failed_does_not_hold_up_the_next(endpoints):
    plan = {"plan": lambda request: refusal(500) if request.number == 0 else None}
    flow = endpoints.http_flow(place=plan, retry=0)
    flow.put(RECORD)
    flow.wait_for_failures(1)
    flow.put(b"the record that follows it")
    flow.place.wait_for(b"the record that follows it")
    assert len(flow.failures()) == 1


def test_nothing_secret_leaks(endpoints):
    """Neither into the log nor beside the failed records; headers are checked by the receiver."""
    key, value = fresh_secret().decode(), fresh_secret().decode()
    place = {"access_key": key, "attributes": {"name": value}, "plan": lambda _: hang_up}
    flow = endpoints.http_flow(place=place, retry=0)
    flow.put(RECORD)
    flow.wait_for_failures(1)
    for secret in (key, value):
        assert secret not in endpoints.hydrant.log()
        assert traces(endpoints.hydrant.data / "buckets", secret.encode()) == []


# MARK: How long and how often


def test_the_time_between_tries_doubles(flows):
    """1 s and 2 s, each up to 15 % more or less; a last try may come when the time is over."""
    flow = flows["4 s"]
    (failed,) = flow.wait_for_failures(1)
    assert failed.attempts == len(flow.place.requests) in (3, 4)
    times = [each.when for each in flow.place.requests]
    gaps = [after - before for before, after in zip(times, times[1:], strict=False)]
    for gap, expected in zip(gaps, (1, 2), strict=False):
        assert 0.85 * expected - 0.05 < gap < 1.15 * expected + SLACK_SECONDS, gaps
    assert times[-1] - times[0] < 4 + SLACK_SECONDS


def test_tries_end_with_their_time(flows):
    flow = flows["2 s"]
    (failed,) = flow.wait_for_failures(1)
    assert failed.attempts == len(flow.place.requests) in (2, 3)
    assert flow.place.requests[-1].when - flow.place.requests[0].when < 2 + SLACK_SECONDS
    assert failed.ended - failed.arrived < 2_000 + 1_000 * SLACK_SECONDS


def test_waits_for_answers_are_not_counted(flows):
    """There are as many tries as if answers came at once."""
    quick, slow = (flows[each].wait_for_failures(1)[0] for each in ("4 s", "4 s of slow answers"))
    assert slow.attempts == len(flows["4 s of slow answers"].place.requests) == quick.attempts
    waits = slow.attempts * 1_500
    assert slow.ended - slow.arrived > waits + 2_500


def test_a_kept_connection_that_ends_is_no_failure(endpoints):
    """It may have ended before the request was there, which nobody can tell: a new connection is
    tried at once, with the same request."""
    flow = endpoints.http_flow(retry=0)
    flow.put(b"the record that goes before")
    flow.place.wait_for(*flow.records)
    flow.place.plan = lambda request: reset if request.number == 1 else None
    flow.put(RECORD)
    flow.place.wait_for(*flow.records)
    _, first, second = flow.place.requests
    assert (first.id, first.records) == (second.id, second.records) == (first.id, [RECORD])
    assert flow.failures() == []


# MARK: 413


@pytest.mark.parametrize("compressed", [False, True])
def test_what_is_too_large_for_the_endpoint_is_set_aside(endpoints, compressed):
    """AWS: a permanent failure, and not sent to the bucket. It is tried once."""
    plan = {"plan": lambda request: refusal(413) if request.number == 0 else None}
    flow = endpoints.http_flow(
        place=plan | {"compressed": compressed}, BufferingHints=IN_ONE_REQUEST
    )
    secrets = [fresh_secret() for _ in range(3)]
    flow.put(*secrets)
    folder = endpoints.hydrant.data / "set-aside" / flow.stream
    wait_until(lambda: all(traces(folder, each) for each in secrets), "what is set aside")
    either = rf".*{flow.stream}.*set aside.*|.*set aside.*{flow.stream}.*"
    said = endpoints.hydrant.wait_for_log(either)
    assert json.loads(said.group())["level"] == "error"
    flow.put(b"the record that follows it")
    flow.place.wait_for(b"the record that follows it")
    assert len(flow.place.requests) == 2
    assert flow.bucket.keys() == []


def test_what_was_set_aside_is_not_sent_after_a_restart(start_endpoints):
    bench = start_endpoints()
    flow = bench.http_flow(place={"plan": lambda _: refusal(413)})
    flow.put(fresh_secret())
    folder = bench.hydrant.data / "set-aside" / flow.stream
    wait_until(lambda: traces(folder, flow.records[0]), "what is set aside")
    bench.hydrant.restart()
    flow.place.plan = lambda _: None
    flow.put(b"the record that follows it")
    flow.place.wait_for(b"the record that follows it")
    assert flow.bucket.keys() == []
    assert traces(folder, flow.records[0])


# MARK: Restarts


@pytest.mark.parametrize("stop", ["sigterm", "sigkill"])
def test_a_try_after_a_restart_has_the_same_id(start_endpoints, stop):
    bench = start_endpoints()
    flow = bench.http_flow(place={"plan": lambda _: hang_up})
    flow.put(*texts(30))
    flow.place.wait_for_requests(1)
    getattr(bench.hydrant, stop)()
    count = len(flow.place.requests)
    flow.place.plan = lambda _: None
    bench.hydrant.start()
    flow.place.wait_for(*flow.records)
    assert count < len(flow.place.requests)
    assert len({each.id for each in flow.place.requests}) == flow.place.firsts


def test_what_failed_before_a_restart_is_given_up_after_it(start_endpoints):
    bench = start_endpoints()
    flow = bench.http_flow(place={"plan": lambda _: refusal(503)}, retry=3)
    flow.put(RECORD)
    start = time.monotonic()
    flow.place.wait_for_requests(2)
    bench.hydrant.sigkill()
    bench.hydrant.start()
    (failed,) = flow.wait_for_failures(1)
    assert time.monotonic() - start < 10 + SLACK_SECONDS
    assert failed.raw == RECORD
