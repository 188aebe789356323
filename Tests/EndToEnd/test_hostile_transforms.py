"""Whatever a transform does, it harms its own records only, and each of those is accounted for.

The summary at the end of a run shows what went where.
"""

import json
import os
import re
import signal
import time

import pytest

from hostile_transforms import HOSTILE, OK, Hostile
from transform_programs import IDENTITY, children, is_alive
from transforms import Bench, Flow, lines
from waiting import wait_until

pytest_plugins = ["transform_fixtures"]

MEMORY_BYTES = 250 * 1_000_000
"""What the server may take with hostile transforms in it, at most."""

LARGEST_RESPONSE_BYTES = 6_291_556

PIPE_BYTES = 1_048_576
"""What may lie in a pipe when nobody reads any more, and then some."""

BURST_LINES, LINES_PER_SECOND = 100, 20
"""How much of what a stream's programs say is logged."""


@pytest.fixture(scope="module")
def neighbour(bench: Bench) -> Flow:
    """A stream with a healthy transform on the same server."""
    return bench.flow_through("worker", IDENTITY)


def flow_of(bench: Bench, hostile: Hostile) -> Flow:
    """A stream through a hostile transform."""
    settings = {"command": ["python3", "-SE", "app.py"]} | hostile.settings
    name = bench.programs.write_folder(hostile.whole, mode=hostile.mode, **settings)
    return bench.flow(name, retries=hostile.retries, size=0.2)


@pytest.mark.parametrize("hostile", HOSTILE, ids=lambda each: each.label)
def test_a_hostile_transform_harms_nobody_else(bench, neighbour, hostile, report_counts):
    flow = flow_of(bench, hostile)
    # Three batches, and one of them large enough to fill a pipe.
    flow.put(*lines(10))
    flow.put(*[b"%d %s\n" % (number, b"x" * 90_000) for number in range(2)])
    flow.put(*lines(10, "last"))
    healthy = lines(20, f"beside {hostile.label}")
    neighbour.put(*healthy)
    neighbour.wait_for(b"".join(neighbour.records), timeout=15)

    outcome = flow.settle()
    report_counts(f"hostile transform, {hostile.label}: {len(flow.records)} records: {outcome}")
    assert set(outcome.codes) | ({OK} if outcome.delivered else set()) <= hostile.allowed
    assert outcome.dropped == 0
    kept = iter(flow.records)
    assert all(each in kept for each in outcome.delivered), "not as put, or not in order"
    assert {each.attempts for each in outcome.failed} <= set(range(1, hostile.retries + 2))
    assert neighbour.failures() == []

    flow.delete()
    for each in bench.programs.traces(flow.transform, "daemon") if hostile.leaves else []:
        if is_alive(each["pid"]):
            os.kill(each["pid"], signal.SIGKILL)
    bench.programs.wait_until_dead(flow.transform)
    server = bench.hydrant.process.pid
    wait_until(lambda: "Z" not in children(server).values(), "the server to reap its children")
    assert bench.hydrant.memory_bytes() < MEMORY_BYTES


def test_the_servers_memory_stayed_small(bench, neighbour, report_counts):
    """Runs behind the others, of which many sent more than a response may have."""
    peak = bench.hydrant.peak_memory_bytes()
    report_counts(f"peak memory with hostile transforms: {peak / 1e6:.0f} MB")
    assert peak < MEMORY_BYTES
    assert neighbour.settle().failed == []


def test_a_flood_is_stopped_when_it_is_too_large(bench):
    (hostile,) = (each for each in HOSTILE if each.label == "floods stdout (once)")
    flow = flow_of(bench, hostile)
    flow.put(b"record\n")
    flow.settle()
    written = [each["written"] for each in bench.programs.traces(flow.transform, "written")]
    # How much the process is ahead of the server depends on how busy the machine is.
    assert 4_000_000 < max(written) < LARGEST_RESPONSE_BYTES + 4 * PIPE_BYTES


def test_what_a_program_says_is_logged_but_not_without_end(bench):
    """Every line that is not logged is counted."""
    count = 300_000
    body = f"""
def handle(event):
    sys.stderr.write("".join(f"line {{n}}\\n" for n in range({count})))
    sys.stderr.flush()
    return {{"records": [answer(each, content(each)) for each in event["records"]]}}
"""
    start = time.monotonic()
    flow = bench.flow_through("once", body)
    flow.put(b"record\n")
    flow.settle()

    def counted() -> tuple[int, int]:
        more = flow.log("transform says more than is logged")
        return len(flow.log("transform says")), sum(int(each["lines_left_out"]) for each in more)

    wait_until(lambda: sum(counted()) == count, f"{count:,} lines said or counted")
    said = [each["line"] for each in flow.log("transform says")]
    seconds = time.monotonic() - start
    assert BURST_LINES / 2 <= len(said) <= BURST_LINES + LINES_PER_SECOND * (seconds + 1)
    assert said[:20] == [f"line {n}" for n in range(20)]
    assert len(flow.log("transform says more than is logged")) <= seconds + 2


def test_lines_that_are_said_are_cut_and_cannot_pretend_to_be_others(bench):
    body = """
def handle(event):
    sys.stderr.buffer.write(b"x" * 5_000 + b"\\n\\x1b[31mred\\rover\\0\\xff\\n")
    sys.stderr.flush()
    return {"records": [answer(each, content(each)) for each in event["records"]]}
"""
    flow = bench.flow_through("worker", body)
    flow.put(b"record\n")
    flow.settle()
    found = wait_until(lambda: (said := flow.log("transform says"))[1:] and said, "two lines")
    first, second = (each["line"] for each in found)
    assert re.fullmatch("x{1000,1024}.{0,3}", first) and len(first.encode()) <= 1_030
    assert "red" in second and "over" in second
    for line in bench.hydrant.log().splitlines():
        json.loads(line)


def test_what_the_programs_of_one_stream_say_does_not_silence_another(bench):
    loud = bench.flow_through(
        "worker",
        'def handle(event):\n    sys.stderr.write("noise\\n" * 10_000)\n    sys.exit(1)\n',
        retries=0,
    )
    quiet = bench.flow_through(
        "worker",
        "def handle(event):\n    print('a word', file=sys.stderr, flush=True)\n"
        '    return {"records": [answer(each, content(each)) for each in event["records"]]}\n',
    )
    loud.put(*lines(3))
    loud.settle()
    quiet.put(b"record\n")
    quiet.settle()
    wait_until(lambda: quiet.log("transform says"), "the quiet one's word")
    assert [each["line"] for each in quiet.log("transform says")] == ["a word"]
