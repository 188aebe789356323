"""The buffer before the transform: how large requests are, when they go, how many at a time."""

import time

import pytest

from streams import MEBIBYTE
from transform_programs import IDENTITY, UPPER
from transforms import Flow, lines
from waiting import wait_until

pytest_plugins = ["transform_fixtures"]

LARGEST_REQUEST_BYTES = 6_291_456

NEVER = 900
"""An interval that no test lives long enough to see the end of."""

RENDEZVOUS = """
import threading

def handle(event):
    trace(begins=time.monotonic())
    deadline = time.monotonic() + 10
    while sum("begins" in each for each in traced()) < {together} and time.monotonic() < deadline:
        time.sleep(0.01)
    # The later a record was put, the sooner its invocation ends.
    number = int(content(event["records"][0]).split()[0])
    time.sleep(max(0.02, 0.2 - 0.02 * number))
    trace(ends=time.monotonic())
    return {{"records": [answer(each, content(each)) for each in event["records"]]}}
"""
"""Waits until so many invocations have begun, and ends in an order that is not that of the puts."""


def most_at_once(flow: Flow) -> int:
    """How many invocations a program saw at the same time, at most."""
    traces = flow.programs.traces(flow.transform)
    moments = [(each["begins"], 1) for each in traces if "begins" in each]
    moments += [(each["ends"], -1) for each in traces if "ends" in each]
    running = most = 0
    for _, step in sorted(moments):
        running += step
        most = max(most, running)
    return most


# MARK: Size


def test_a_size_cuts_requests_without_waiting(bench):
    flow = bench.flow_through("worker", IDENTITY, size=0.2, interval=NEVER)
    flow.put(*[bytes([number]) * 10_000 for number in range(100)])
    events = wait_until(
        lambda: (found := bench.programs.events(flow.transform))[3:] and found, "four requests"
    )
    # A hint: a little over or under is allowed. Base64 makes four bytes of three.
    payloads = [each.count * 10_000 for each in events]
    assert all(150_000 <= payload <= 0.2 * MEBIBYTE + 10_000 for payload in payloads), payloads


def test_a_larger_size_makes_larger_requests(bench):
    flow = bench.flow_through("worker", IDENTITY, size=3, interval=NEVER)
    flow.put(*[bytes([number]) * 100_000 for number in range(40)])
    (first, *_) = wait_until(lambda: bench.programs.events(flow.transform), "a request")
    assert 2.5 * MEBIBYTE <= first.count * 100_000 <= 3 * MEBIBYTE + 100_000


def test_no_request_is_larger_than_lambda_allows(bench):
    """What tiny records weigh in a request is mostly not their data."""
    flow = bench.flow_through("worker", IDENTITY, size=3, interval=NEVER)
    flow.put_quickly([b"%42d\n" % number for number in range(75_000)])

    def requested() -> int:
        return sum(each.count for each in bench.programs.events(flow.transform))

    # Whether the limit divides a buffer or ends it, so many records need not wait.
    wait_until(lambda: requested() >= 30_000, "the first requests", timeout=60)
    wait_until(lambda: len(flow.output()) >= 30_000 * 43, "their outputs", timeout=60)
    assert b"".join(flow.records).startswith(flow.output())
    events = bench.programs.events(flow.transform)
    assert all(each.bytes <= LARGEST_REQUEST_BYTES for each in events), events
    assert flow.failures() == []


# MARK: Interval


def test_an_interval_collects_records_of_several_puts(bench):
    flow = bench.flow_through("worker", IDENTITY, interval=3)
    for record in lines(10):
        flow.put(record)
    flow.wait_for(b"".join(lines(10)))
    (event,) = bench.programs.events(flow.transform)
    assert event.count == 10


def test_without_an_interval_records_wait_for_a_minute(bench):
    """The floor for destinations, 0 here, does not apply; those that came first would go first."""
    waiting = bench.flow_through("worker", IDENTITY, interval=None)
    waiting.put(b"waits")
    for _ in range(5):
        at_once = bench.flow_through("worker", UPPER)
        at_once.put(b"goes")
        at_once.wait_for(b"GOES")
    assert bench.programs.traces(waiting.transform) == []


def test_records_go_one_by_one_when_they_come_one_by_one(bench):
    flow = bench.flow_through("worker", IDENTITY)
    for number in range(5):
        flow.put(b"%d" % number)
        flow.wait_for(b"".join(flow.records))
    assert [each.count for each in bench.programs.events(flow.transform)] == [1] * 5


# MARK: At the same time


@pytest.mark.parametrize("mode", ["once", "worker"])
@pytest.mark.parametrize("concurrency", [1, 4])
def test_invocations_run_at_the_same_time_and_in_the_end_keep_their_order(bench, mode, concurrency):
    body = RENDEZVOUS.format(together=concurrency)
    settings = {"concurrency": concurrency}
    flow = bench.flow_through(mode, body, settings=settings, size=0.2)
    flow.put(*[b"%03d %s\n" % (number, b"x" * 99_000) for number in range(24)])
    flow.wait_for(b"".join(flow.records))
    assert len(bench.programs.traces(flow.transform, "begins")) > concurrency
    assert most_at_once(flow) == concurrency
    if mode == "worker":
        assert len(bench.programs.pids(flow.transform)) == concurrency


def test_five_invocations_run_at_the_same_time_by_default(bench):
    flow = bench.flow_through("once", RENDEZVOUS.format(together=5), size=0.2)
    flow.put(*[b"%03d %s\n" % (number, b"x" * 99_000) for number in range(24)])
    flow.wait_for(b"".join(flow.records))
    assert most_at_once(flow) == 5


def test_the_limit_of_the_server_holds_for_all_streams_together(start_bench):
    bench = start_bench("--transform-limit", "2")
    # Long enough that two are seen together also where a process takes its time to start.
    body = """
def handle(event):
    trace(begins=time.monotonic())
    time.sleep(0.5)
    trace(ends=time.monotonic())
    return {"records": [answer(each, content(each)) for each in event["records"]]}
"""
    flows = [bench.flow_through("once", body, size=0.2) for _ in range(3)]
    for flow in flows:
        flow.put(*[b"%03d %s\n" % (number, b"x" * 99_000) for number in range(10, 18)])
    for flow in flows:
        flow.wait_for(b"".join(flow.records))
    moments = []
    for flow in flows:
        traces = bench.programs.traces(flow.transform)
        moments += [(each["begins"], 1) for each in traces if "begins" in each]
        moments += [(each["ends"], -1) for each in traces if "ends" in each]
    running = [sum(step for _, step in sorted(moments)[:end]) for end in range(len(moments) + 1)]
    assert max(running) == 2


def test_a_slow_transform_does_not_hold_up_producers(bench):
    """Puts are answered when records are on disk, whatever becomes of them afterwards."""
    body = """
def handle(event):
    while not any("go" in each for each in traced()):
        time.sleep(0.02)
    return {"records": [answer(each, content(each)) for each in event["records"]]}
"""
    flow = bench.flow_through("worker", body, size=0.2)
    start = time.monotonic()
    for number in range(20):
        flow.put(bytes([number]) * 200_000)
    assert time.monotonic() - start < 10
    assert flow.output() == b""
    with bench.programs.traces_path(flow.transform).open("a") as file:
        file.write('{"pid": 0, "go": true}\n')
    flow.wait_for(b"".join(flow.records))
