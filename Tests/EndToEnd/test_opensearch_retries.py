"""Bulk requests that fail as a whole: what is tried again, how long, and what is not believed."""

import time
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from itertools import pairwise

import pytest

from bulk_faults import Reply
from bulk_replies import (
    ENDLESS_BYTES,
    altered,
    always,
    answer,
    cut,
    drop,
    endless,
    listed,
    one_by_one,
    reset,
    slow,
    trickle,
)
from ports import free_port
from search_streams import DELIVERED, FAILED_ONCE, numbered
from waiting import wait_until

pytest_plugins = ["search_fixtures"]

LIES: dict[str, Reply] = {
    "one item fewer": listed(lambda items: items[:-1]),
    "one item more": listed(lambda items: [*items, items[0]]),
    "no item": listed(lambda items: []),
    "items are an object": altered(lambda said: said | {"items": {"0": said["items"]}}),
    "items are missing": altered(lambda said: {"errors": False}),
    "items are null": altered(lambda said: {"errors": False, "items": None}),
    "numbers for items": listed(lambda items: [201] * len(items)),
    "empty items": listed(lambda items: [{}] * len(items)),
    "no status": listed(lambda items: [{"index": {}}] * len(items)),
    "status is a text": listed(lambda items: [{"index": {"status": "fine"}}] * len(items)),
    "status is beyond": listed(lambda items: [{"index": {"status": 10**30}}] * len(items)),
    "an array": altered(lambda said: [said]),
    "null": altered(lambda said: None),
    "HTML": answer(200, b"<html>It works!</html>", Content_Type="text/html"),
    "nothing": answer(200, b""),
    "half an object": answer(200, b'{"errors":false,"items":[{"index":{"status":201}},'),
    "two objects": answer(200, b'{"errors":false,"items":[]}' * 2),
    "binary": answer(200, bytes(range(256))),
    "nested": answer(200, b"[" * 1_000_000),
}
"""Answers with a status that says all went well."""

BROKEN: dict[str, tuple[Reply, str]] = {
    "reset": (reset(), "ConnectionLost"),
    "reset when stored": (reset(stored=True), "ConnectionLost"),
    "no answer": (drop, "ConnectionLost"),
    "half an answer": (cut, "ConnectionLost"),
    "400": (answer(400), "400"),
    "401": (answer(401, b'{"error": "who are you?"}'), "401"),
    "403": (answer(403), "403"),
    "404": (answer(404, b""), "404"),
    "429": (answer(429), "429"),
    "500": (answer(500, b"<html>oops</html>"), "500"),
    "503": (answer(503), "503"),
    "redirection": (answer(302, Location="http://127.0.0.1:1/_bulk"), "302"),
    "endless": (endless(), "ResponseTooLarge"),
    "endless in chunks": (endless(chunked=True), "ResponseTooLarge"),
}
"""What ends an attempt, and what it is called."""


# MARK: Without a second try


@pytest.mark.parametrize("name", BROKEN)
def test_without_retry_time_there_is_one_attempt(search, alone, name):
    reply, code = BROKEN[name]
    alone.plan = always(reply)
    flow = search.flow(alone, retry=0)
    flow.put(b'{"n": 1}')
    (failed,) = flow.wait_for_failures(1)
    assert (failed.code, failed.attempts) == (code, 1)
    (only,) = alone.requests
    assert failed.id == only.ids[0]


def test_an_endless_answer_does_not_fill_the_memory(start_search, alone):
    alone.plan = always(endless())
    search = start_search()
    flow = search.flow(alone, retry=0)
    flow.put(b'{"n": 1}')
    flow.wait_for_failures(1)
    assert search.hydrant.peak_memory_bytes() < ENDLESS_BYTES / 4


@pytest.mark.parametrize("reply", [slow(600), trickle(0.2)], ids=["silence", "a trickle"])
def test_an_answer_has_its_time(search, alone, reply):
    """A second here, as the settings have it; also if something of it comes all the time."""
    alone.plan = always(reply)
    flow = search.flow(alone, path="/hasty", retry=0)
    start = time.monotonic()
    flow.put(b'{"n": 1}')
    (failed,) = flow.wait_for_failures(1)
    assert (failed.code, failed.attempts) == ("Timeout", 1)
    assert time.monotonic() - start < 10


def test_an_endpoint_that_is_away_is_unreachable(search):
    flow = search.flow(endpoint=f"http://127.0.0.1:{free_port()}", retry=0)
    flow.put(b'{"n": 1}')
    (failed,) = flow.wait_for_failures(1)
    assert (failed.code, failed.attempts) == ("Unreachable", 1)


def test_answers_that_lie_are_not_believed(search, alone):
    flows = search.flows(alone, {name: always(lie) for name, lie in LIES.items()}, retry=0)
    for flow in flows.values():
        flow.put(*numbered(3))
    for name, flow in flows.items():
        failed = flow.wait_for_failures(3)
        found = {(each.code, each.attempts) for each in failed}
        assert found == {("InvalidResponse", 1)}, name


# MARK: More tries


def test_what_was_not_believed_is_sent_again(search, faults):
    """As a whole; what was stored by then is not there twice."""
    plans = {name: one_by_one(lie) for name, lie in LIES.items()}
    flows = search.flows(faults, plans)
    for flow in flows.values():
        flow.put(*numbered(3))
    for name, flow in flows.items():
        wait_until(lambda flow=flow: flow.log(DELIVERED), name)
        flow.settle(3)
        first, second = faults.requests_at(flow.path)
        assert first.body == second.body, name
        assert len(flow.log(FAILED_ONCE)) == 1, name


@pytest.mark.parametrize(
    "reply",
    [reset(stored=True), cut, answer(403), answer(302)],
    ids=["reset", "cut", "403", "302"],
)
def test_whatever_failed_as_a_whole_is_sent_again(search, faults, reply):
    faults.plan = one_by_one(reply)
    flow = search.flow(faults)
    flow.put(*numbered(3))
    wait_until(lambda: flow.log(DELIVERED), "the delivery")
    flow.settle(3)
    first, second = faults.requests
    assert first.body == second.body


def test_attempts_come_at_growing_and_random_intervals(search, faults):
    """Half a second doubled each time is the most; and it ends with the retry time."""
    names = [f"stream{number}" for number in range(8)]
    flows = search.flows(faults, {name: always(answer(503)) for name in names}, retry=3)
    for flow in flows.values():
        flow.put(b'{"n": 1}')
    first_gaps = []
    for flow in flows.values():
        (failed,) = flow.wait_for_failures(1)
        times = [each.when for each in faults.requests_at(flow.path)]
        gaps = [after - before for before, after in pairwise(times)]
        assert (failed.code, failed.attempts) == ("503", len(times))
        assert all(gap < 0.5 * 2**number + 1 for number, gap in enumerate(gaps)), gaps
        assert times[-1] - times[0] < 3 + 0.5
        assert failed.ended - failed.arrived < 5_000
        first_gaps += gaps[:1]
    assert 2 * len(flows) <= len(faults.requests) <= 12 * len(flows)
    assert max(first_gaps) - min(first_gaps) > 0.02, first_gaps


def test_a_time_to_wait_is_kept_to(search, faults):
    """Seconds or a date; one beyond the retry time leaves no second attempt."""
    date = format_datetime(datetime.now(UTC) + timedelta(seconds=4), usegmt=True)
    waits = {
        "seconds": answer(429, Retry_After="2"),
        "date": answer(503, Retry_After=date),
    }
    flows = search.flows(faults, {name: one_by_one(each) for name, each in waits.items()})
    late = {name: always(answer(429, Retry_After=name)) for name in ("3600", "9" * 40)}
    hopeless = search.flows(faults, late, retry=2)
    for flow in (*flows.values(), *hopeless.values()):
        flow.put(b'{"n": 1}')
    for text, flow in hopeless.items():
        (failed,) = flow.wait_for_failures(1)
        assert failed.code == "429"
        assert text != "3600" or failed.attempts == 1
    for name, flow in flows.items():
        flow.settle(1)
        first, second = faults.requests_at(flow.path)
        assert 1.9 <= second.when - first.when < 15, name


def test_a_time_to_wait_that_makes_no_sense_is_ignored(search, faults):
    texts = ["soon", "-5", "", "Fri, 31 Feb 2017 25:00:00 GMT", "2.5"]
    texts += ["Thu, 01 Jan 1970 00:00:00 GMT"]
    plans = {f"t{n}": one_by_one(answer(503, Retry_After=text)) for n, text in enumerate(texts)}
    flows = search.flows(faults, plans)
    for flow in flows.values():
        flow.put(b'{"n": 1}')
    for flow in flows.values():
        flow.settle(1, timeout=10)
