"""Transforms that hang while something ends: the server, their stream, the store behind them."""

import time

import pytest

from master_keys import create_encrypted, fresh_master_key, write_master_keys
from plaintext import fresh_secret, traces
from server import GRACEFUL_STOP_SECONDS
from streams import create_stream
from strict_s3 import StrictS3
from transform_programs import DEAF, HANGING, IDENTITY, MODES
from transforms import STATUS_FAILED, Bench, Flow, lines
from updates import update
from waiting import wait_until

pytest_plugins = ["transform_fixtures"]

QUICK_SECONDS = GRACEFUL_STOP_SECONDS / 2
"""Two seconds of grace for programs, and some for a busy machine."""

PARENTS = """
import subprocess

def handle(event):
    for _ in range(3):
        child = subprocess.Popen(["sleep", "600"])
        trace(child=child.pid)
    trace(hangs=True)
    time.sleep(600)
"""
"""Hangs, and so do its children, which know nothing of the end of their parent."""

GATED = """
@each
def handle(record):
    trace(reached=True)
    while not any("open" in each for each in traced()):
        time.sleep(0.02)
    is_bad = content(record).startswith(b"bad")
    return answer(record, content(record), result="ProcessingFailed" if is_bad else "Ok")
"""
"""Answers when the test has opened the gate."""


def open_gate(flow: Flow) -> None:
    """Lets a `GATED` program answer."""
    with flow.programs.traces_path(flow.transform).open("a") as file:
        file.write('{"pid": 0, "open": true}\n')


def hang(bench: Bench, mode: str, body: str) -> Flow:
    """Has several invocations of a program hang."""
    flow = bench.flow_through(mode, body, settings={"concurrency": 3}, size=0.2)
    flow.put(*[b"%d %s\n" % (number, b"x" * 99_000) for number in range(6)])
    bench.programs.wait_for_traces(flow.transform, "hangs", count=2)
    return flow


def wait_until_all_are_dead(flow: Flow) -> None:
    """Waits for the end of a program's processes and of their children."""
    processes = flow.programs.pids(flow.transform)
    processes |= {each["child"] for each in flow.programs.traces(flow.transform, "child")}
    flow.programs.wait_until_gone(processes, f"the processes of {flow.transform}")


# MARK: The server stops


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("body", [HANGING, DEAF, PARENTS], ids=["hanging", "deaf", "parents"])
def test_a_hanging_program_does_not_hold_up_the_stop(start_bench, mode, body):
    bench = start_bench()
    flow = hang(bench, mode, body)
    start = time.monotonic()
    assert bench.hydrant.sigterm() == 0
    assert time.monotonic() - start < QUICK_SECONDS
    wait_until_all_are_dead(flow)


def test_what_hung_at_the_stop_is_delivered_after_it(start_bench):
    """The stop is no failure of the records: no attempt is counted, nothing set apart."""
    bench = start_bench()
    flow = hang(bench, "worker", DEAF)
    assert bench.hydrant.sigterm() == 0
    bench.programs.write("worker", IDENTITY, name=flow.transform, concurrency=3)
    bench.hydrant.start()
    flow.wait_for(b"".join(flow.records), timeout=60)
    assert flow.failures() == []


def test_workers_end_when_the_server_is_killed(start_bench):
    """They read the end of their input."""
    bench = start_bench()
    flow = bench.flow_through("worker", IDENTITY)
    flow.put(b"record")
    flow.wait_for(b"record")
    bench.hydrant.sigkill()
    wait_until_all_are_dead(flow)


# MARK: The stream goes


@pytest.mark.parametrize("body", [HANGING, DEAF, PARENTS], ids=["hanging", "deaf", "parents"])
@pytest.mark.parametrize("mode", ["once", "worker"])
def test_a_hanging_program_does_not_hold_up_the_deletion(bench, mode, body):
    flow = hang(bench, mode, body)
    start = time.monotonic()
    flow.delete()
    assert time.monotonic() - start < QUICK_SECONDS
    wait_until_all_are_dead(flow)
    names = bench.client.list_delivery_streams(Limit=1_000)["DeliveryStreamNames"]
    assert flow.stream not in names

    bench.programs.write("worker", IDENTITY, name=flow.transform, concurrency=1)
    again = bench.flow(flow.transform, bucket=flow.bucket)
    again.put(*lines(3))
    again.wait_for(b"".join(lines(3)))


def test_an_update_does_not_wait_for_a_hanging_program(bench):
    flow = hang(bench, "worker", HANGING)
    start = time.monotonic()
    update(bench.client, flow.stream, Prefix="elsewhere/")
    assert time.monotonic() - start < QUICK_SECONDS
    flow.delete()


# MARK: Sealed


@pytest.fixture
def endpoint():
    """A strict endpoint of the test's own, to make fail."""
    with StrictS3() as endpoint:
        yield endpoint


@pytest.mark.parametrize("encrypted", [True, False], ids=["encrypted", "open"])
def test_nothing_lies_open_on_the_way_through_a_transform(
    start_bench, endpoint, tmp_path, encrypted
):
    """While it hangs, while S3 is away, and after kills; neither outputs nor failed records.

    The stream that is not encrypted shows that the search finds what there is.
    """
    endpoint.fault = lambda _: 503
    keys = write_master_keys(tmp_path / "master.keys", fresh_master_key())
    bench = start_bench("--master-key", str(keys), environment=endpoint.environment)
    hydrant = bench.hydrant
    flow = bench.flow_through(
        "worker", GATED, create=create_encrypted if encrypted else create_stream, retries=300
    )
    secret = fresh_secret()
    stages = {}

    flow.put(*[b"%s %d %s\n" % (kind, n, secret) for n in range(20) for kind in (b"good", b"bad")])
    bench.programs.wait_for_traces(flow.transform, "reached")
    stages["hanging"] = traces(hydrant.data, secret)
    hydrant.sigkill()
    stages["killed"] = traces(hydrant.data, secret)
    hydrant.start()
    open_gate(flow)
    wait_until(lambda: len(endpoint.puts) >= 2, "failed attempts", timeout=60)
    stages["failing"] = traces(hydrant.data, secret)
    hydrant.sigkill()
    stages["killed again"] = traces(hydrant.data, secret)
    before = len(endpoint.puts)
    hydrant.start()
    wait_until(lambda: len(endpoint.puts) > before, "an attempt after the restart", timeout=60)
    stages["recovered"] = traces(hydrant.data, secret)
    assert hydrant.sigterm() == 0
    stages["stopped"] = traces(hydrant.data, secret)

    if encrypted:
        assert stages == {stage: [] for stage in stages}
        assert secret not in hydrant.log().encode()
    else:
        assert all(stages.values()), stages

    endpoint.fault = lambda _: None
    hydrant.start()
    content = wait_until(
        lambda: (found := endpoint.content(flow.bucket.name)).count(b"\n") >= 40 and found,
        "all records",
        timeout=60,
    )
    good = [each for each in flow.records if each.startswith(b"good")]
    assert [line for line in content.splitlines(True) if line.startswith(b"good")] == good
    assert content.count(STATUS_FAILED.encode()) == 20
    if encrypted:
        assert traces(hydrant.data, secret) == [], "after the delivery"
