"""Splunk that fails: what is tried again, what is given up, and what is kept of it.

The streams of many tests fail at the same time, so that their waits do not add up.
"""

import re
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from itertools import pairwise

import pytest

from buckets import OBJECT_NAME
from endpoint_streams import (
    FAILED_ONCE,
    IN_ONE_REQUEST,
    KEPT,
    EndpointBench,
    EndpointFlow,
    events_of,
    texts,
)
from ports import free_port
from splunk_receiver import CODES, EVENT, Reply, SplunkReceiver, says
from splunk_replies import (
    CLOSED,
    FAULTS,
    FORMAT_CODES,
    INVALID_ENDPOINT,
    INVALID_FORMAT,
    LOST,
    NOT_STICKY,
    POLL_FAULTS,
    TIMEOUT,
    hang,
    reset,
    status,
)
from waiting import wait_until

pytest_plugins = ["endpoint_fixtures"]

pytestmark = pytest.mark.usefixtures("no_violations")

SLACK_SECONDS = 1.0
"""By so much a retry may be late where others keep the machine busy."""

MANY = 60
"""Streams that have something on its way at the same time."""

MANY_LARGE = 16
"""The same with two buffers of the largest size each."""

HOUR = r"\d{4}/\d\d/\d\d/\d\d/"

NAME = OBJECT_NAME.pattern.removesuffix("$")

RECORD = b"the one record of its stream"

PASSING_POLL_FAULTS = {"reset": reset, "code 9": says(9), "status 502": status(502)}
"""Replies to polls that say nothing about the data."""


def milliseconds() -> int:
    """The time as failed records have it."""
    return int(datetime.now(UTC).timestamp() * 1000)


def first(reply: Reply) -> Callable:
    """A plan, or one for polls, that has the first request fail."""
    return lambda found: reply if found.number == 0 else None


@pytest.fixture(scope="module")
def flows(endpoints) -> dict[str, EndpointFlow]:
    """Streams that each have one record, which Splunk fails in all ways at once.

    The names begin with `never` where it is not tried again, and with `again` where it is.
    """
    made = {}
    for name, (reply, _) in FAULTS.items():
        for word, retry in (("never", 0), ("again", 300)):
            made[f"{word} {name}"] = endpoints.splunk_flow(
                token={"plan": first(reply)}, retry=retry
            )
    for name, (reply, _) in POLL_FAULTS.items():
        for word, retry in (("never", 0), ("again", 300)):
            made[f"{word} poll {name}"] = endpoints.splunk_flow(
                token={"poll_plan": first(reply)}, retry=retry
            )
    for name, reply in PASSING_POLL_FAULTS.items():
        made[f"poll {name}"] = endpoints.splunk_flow(token={"poll_plan": first(reply)})
    for code in FORMAT_CODES:
        plan = partial(lambda code, _: says(code), code)
        made[f"format {code}"] = endpoints.splunk_flow(token={"plan": plan}, retry=300)
    always = {"plan": lambda _: says(9)}
    made["4 s"] = endpoints.splunk_flow(token=always, retry=4)
    made["2 s"] = endpoints.splunk_flow(token=always, retry=2)
    port = endpoints.splunk.port
    made["slow"] = endpoints.splunk_flow(
        token={"plan": first(hang)}, retry=0, HECEndpoint=f"http://localhost:{port}"
    )
    for name, place in {
        "nobody listens": f"http://127.0.0.1:{free_port()}",
        "no such host": "http://nowhere.invalid:8088",
    }.items():
        made[name] = endpoints.splunk_flow(HECEndpoint=place, retry=0)
    # They come first: what breaks a connection that was used before is another test.
    lost = [made[f"{word} {name}"] for name in LOST for word in ("never", "again")]
    for flow in lost:
        flow.put(RECORD)
        flow.token.wait_for_posts(1)
    for flow in made.values():
        if flow not in lost:
            flow.put(RECORD)
    return made


# MARK: What is tried again


@pytest.mark.parametrize("name", FAULTS)
def test_what_splunk_does_not_take_is_sent_again(flows, name):
    flow = flows[f"again {name}"]
    flow.token.wait_for(RECORD)
    assert [each.body for each in flow.token.posts] == [RECORD] * 2
    assert flow.failures() == []
    (line,) = flow.log(FAILED_ONCE)
    assert (line["level"], line["records"], line["attempts"]) == ("warning", "1", "1")
    assert line["error"]


@pytest.mark.parametrize("name", POLL_FAULTS)
def test_what_an_indexer_does_not_know_is_sent_again(flows, name):
    flow = flows[f"again poll {name}"]
    wait_until(flow.token.bodies, "an acknowledgement")
    assert flow.token.bodies() == [RECORD]
    assert [each.body for each in flow.token.posts] == [RECORD] * 2
    assert flow.failures() == []


@pytest.mark.parametrize("name", PASSING_POLL_FAULTS)
def test_a_poll_that_fails_costs_no_record(flows, name):
    """Whether it is asked again or the data is sent again is left open."""
    flow = flows[f"poll {name}"]
    wait_until(flow.token.bodies, "an acknowledgement")
    assert flow.failures() == []


@pytest.mark.parametrize("code", FORMAT_CODES)
def test_data_that_hec_cannot_read_is_not_sent_again(flows, code):
    """However long there would be for it."""
    flow = flows[f"format {code}"]
    (failed,) = flow.wait_for_failures(1)
    assert (failed.code, failed.raw, failed.attempts) == (INVALID_FORMAT, RECORD, 1)
    assert CODES[code][1] in failed.message
    assert len(flow.token.posts) == 1


def test_the_time_between_tries_doubles(flows):
    """1 s and 2 s, each up to 15 % more or less; a last try may come when the time is over."""
    flow = flows["4 s"]
    (failed,) = flow.wait_for_failures(1)
    assert failed.attempts == len(flow.token.posts) in (3, 4)
    times = [each.when for each in flow.token.posts]
    gaps = [after - before for before, after in pairwise(times)]
    for gap, expected in zip(gaps, (1, 2), strict=False):
        assert 0.85 * expected - 0.05 < gap < 1.15 * expected + SLACK_SECONDS, gaps
    assert times[-1] - times[0] < 4 + SLACK_SECONDS


def test_tries_end_with_their_time(flows):
    flow = flows["2 s"]
    (failed,) = flow.wait_for_failures(1)
    assert failed.attempts == len(flow.token.posts) in (2, 3)
    assert flow.token.posts[-1].when - flow.token.posts[0].when < 2 + SLACK_SECONDS


# MARK: What is kept of it


@pytest.mark.parametrize("name", FAULTS)
def test_failed_records_say_what_happened(flows, name):
    """Without a time to try again there is one request."""
    flow = flows[f"never {name}"]
    (failed,) = flow.wait_for_failures(1)
    assert (failed.raw, failed.attempts) == (RECORD, 1)
    assert failed.code in FAULTS[name][1]
    assert failed.arrived <= failed.ended <= milliseconds()
    assert len(flow.token.posts) == 1
    if match := re.fullmatch(r"code (\d+)", name):
        assert CODES[int(match[1])][1] in failed.message


@pytest.mark.parametrize("name", POLL_FAULTS)
def test_failed_records_say_that_sessions_do_not_stick(flows, name):
    flow = flows[f"never poll {name}"]
    (failed,) = flow.wait_for_failures(1)
    assert (failed.code, failed.raw, failed.attempts) == (NOT_STICKY, RECORD, 1)
    assert len(flow.token.posts) == 1


@pytest.mark.parametrize(
    ("name", "codes"),
    [
        ("slow", {TIMEOUT}),
        ("nobody listens", {TIMEOUT, CLOSED}),
        ("no such host", {INVALID_ENDPOINT}),
    ],
)
def test_failed_records_say_that_there_is_no_connection(flows, name, codes):
    (failed,) = flows[name].wait_for_failures(1)
    assert (failed.raw, failed.attempts) == (RECORD, 1)
    assert failed.code in codes


@pytest.mark.parametrize(
    ("s3", "pattern"),
    [
        ({}, f"splunk-failed/{HOUR}"),
        ({"CompressionFormat": "GZIP"}, f"splunk-failed/{HOUR}"),
        ({"Prefix": "logs/"}, f"logs/splunk-failed/{HOUR}"),
        ({"Prefix": "p/", "ErrorOutputPrefix": "e/"}, f"e/splunk-failed/{HOUR}"),
        (
            {"ErrorOutputPrefix": "!{firehose:error-output-type}/!{timestamp:yyyy-'x'-MM-dd}/"},
            r"splunk-failed/\d{4}-x-\d\d-\d\d/",
        ),
    ],
    ids=["none", "gzip", "prefix", "error", "expressions"],
)
def test_failed_records_of_a_buffer_lie_in_one_object(endpoints, s3, pattern):
    """It is not packed, and has no extension; also what was not sent at all is in it."""
    token = {"plan": lambda _: says(6), "kind": EVENT}
    flow = endpoints.splunk_flow(token=token, s3=s3, BufferingHints=IN_ONE_REQUEST)
    before = milliseconds()
    flow.put(*events_of(10), b"no event", *events_of(20)[10:])
    after = milliseconds()
    failed = flow.wait_for_failures(21)
    # What is found out beforehand may stand in front of the others.
    assert sorted(each.raw for each in failed) == sorted(flow.records)
    assert {each.raw for each in failed if each.attempts == 0} == {b"no event"}
    assert {each.attempts for each in failed} == {0, 1}
    assert {each.code for each in failed} == {INVALID_FORMAT}
    assert all(before - 1 <= each.arrived <= after for each in failed)
    (key,) = flow.bucket.keys()
    match = re.fullmatch(pattern + NAME, key)
    assert match and match["extension"] == "", key
    (line,) = wait_until(lambda: flow.log(KEPT), "the log")
    expected = {"key": key, "bucket": flow.bucket.name, "records": "21", "level": "info"}
    assert {name: line[name] for name in expected} == expected
    assert line["error_output_type"] == "splunk-failed"


def test_what_failed_does_not_hold_up_the_next(endpoints):
    flow = endpoints.splunk_flow(token={"plan": first(says(6))})
    flow.put(RECORD)
    flow.wait_for_failures(1)
    flow.put(b"the record that follows it")
    flow.token.wait_for(b"the record that follows it")
    assert len(flow.failures()) == 1


def test_the_token_does_not_leak(flows, endpoints):
    """Into the log, whatever failed."""
    for flow in flows.values():
        assert flow.token.value not in endpoints.hydrant.log()


# MARK: Outages


def test_an_outage_costs_producers_nothing(endpoints):
    away = [True]
    flow = endpoints.splunk_flow(token={"plan": lambda _: reset if away[0] else None})
    for record in texts(50):
        flow.put(record)
    flow.token.wait_for_posts(2)
    assert flow.token.bodies(acknowledged=False) == []
    away[0] = False

    def has_all() -> bool:
        return len(b"".join(flow.token.bodies())) >= len(b"".join(flow.records))

    wait_until(has_all, "all records")
    lines = b"".join(flow.token.bodies()).splitlines(keepends=True)
    assert sorted(lines) == sorted(flow.records)
    assert flow.failures() == []


def test_a_kept_connection_that_ends_is_no_failure(endpoints):
    """It may have ended before the data was there, which nobody can tell: a new connection is tried
    at once, with the same data."""
    flow = endpoints.splunk_flow(retry=0)
    flow.put(*texts(1))
    flow.token.wait_for(flow.records[0], acknowledged=True)
    flow.token.plan = lambda post: reset if post.number == 1 else None
    flow.put(RECORD)
    flow.token.wait_for(b"".join(flow.records), acknowledged=True)
    assert [each.body for each in flow.token.posts[1:]] == [RECORD] * 2
    assert flow.failures() == []


def test_a_splunk_that_hangs_does_not_hold_up_another(start_endpoints, receivers):
    bench = start_endpoints()
    hanging = [bench.splunk_flow(token={"plan": lambda _: hang}) for _ in range(MANY)]
    for flow in hanging:
        flow.put(*texts(1))
    with SplunkReceiver() as elsewhere:
        other = EndpointBench(bench.hydrant, receivers[0], elsewhere).splunk_flow()
        other.put(*texts(1))
        other.token.wait_for(other.records[0], acknowledged=True, timeout=10)
        assert elsewhere.violations == []


def test_streams_that_wait_for_acknowledgements_do_not_hold_up_others(start_endpoints):
    """They can take minutes."""
    bench = start_endpoints()
    waiting = [bench.splunk_flow(token={"delay": None}) for _ in range(MANY)]
    for flow in waiting:
        flow.put(*texts(1))
    other = bench.splunk_flow()
    other.put(*texts(1))
    other.token.wait_for(other.records[0], acknowledged=True, timeout=10)


def test_much_that_waits_for_acknowledgements_does_not_hold_up_others(start_endpoints):
    """It is on the disk: no memory has to be kept for it."""
    bench = start_endpoints()
    hints = {"SizeInMBs": 5, "IntervalInSeconds": 60}
    waiting = [
        bench.splunk_flow(token={"delay": None}, BufferingHints=hints) for _ in range(MANY_LARGE)
    ]
    for flow in waiting:
        flow.put_quickly([bytes(1_000_000)] * 11)
    wait_until(lambda: sum(len(each.token.posts) for each in waiting) >= MANY_LARGE, "requests")
    other = bench.http_flow()
    other.put(*texts(1))
    other.place.wait_for(*other.records, timeout=10)
