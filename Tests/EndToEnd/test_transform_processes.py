"""Processes that cannot be made, do not end or leave something behind: the server is above them."""

import os
import resource
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

import server
from server import GRACEFUL_STOP_SECONDS, Hydrant
from streams import fresh_name
from transform_programs import MODES, Programs, is_alive
from transforms import FAILED_ONCE, FUNCTION_ERROR, SET_APART, Bench, lines
from waiting import wait_until

pytest_plugins = ["transform_fixtures"]

NOBODY = 65_534
"""A user of no privileges: limits of processes do not hold for root."""

AS_NOBODY = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"]
AS_NOBODY = AS_NOBODY if os.geteuid() == 0 else []


def kill(pids: Iterable[int]) -> None:
    """Kills what a test has started and the server has not ended."""
    for pid in filter(is_alive, pids):
        os.kill(pid, signal.SIGKILL)


# MARK: None can be made

IDENTITY_IN_SED = """#!/bin/sh
exec sed -u -e 's/^.*"records": *\\[/{"records":[/' \\
    -e 's/"approximateArrivalTimestamp": *[0-9]*,/"result":"Ok",/g'
"""
"""An identity, also as a worker, that needs nothing which only root can read."""


@pytest.fixture
def unprivileged_bench(make_hydrant, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    """A server that limits of processes hold for."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        programs = Programs(folder)
        (folder / "server").mkdir()
        if AS_NOBODY:
            os.chown(folder / "server", NOBODY, NOBODY)
            monkeypatch.setattr(server, "BINARY", wrapped(folder))
        options = (*programs.options, "--log-format", "json")
        yield Bench(make_hydrant(*options, folder=folder / "server").start(), programs)


def wrapped(folder: Path) -> Path:
    """A program that becomes the server, as a user without privileges."""
    copy = shutil.copy(server.BINARY, folder / "hydrant")
    wrapper = folder / "as-nobody"
    wrapper.write_text(f"#!/bin/sh\nexec {' '.join(AS_NOBODY)} '{copy}' \"$@\"\n")
    wrapper.chmod(0o755)
    tried = subprocess.run([wrapper, "--help"], capture_output=True, text=True)
    if tried.returncode != 0:
        pytest.skip(f"limits do not hold for root, and nobody else can run it: {tried.stderr}")
    return wrapper


@contextmanager
def no_more_processes(hydrant: Hydrant) -> Iterator[None]:
    """The server can start neither a process nor a thread."""
    before, _ = resource.getrlimit(resource.RLIMIT_NPROC)

    def limit(most: object) -> None:
        # As the server's own user: not every root may set the limits of others.
        pid = f"--pid={hydrant.process.pid}"
        subprocess.run([*AS_NOBODY, "prlimit", pid, f"--nproc={most}:"], check=True)

    limit(1)
    try:
        yield
    finally:
        limit("unlimited" if before == resource.RLIM_INFINITY else before)


@pytest.mark.parametrize(
    ("mode", "reason"), [("once", "it cannot be started"), ("worker", "no thread left")]
)
def test_where_no_process_can_be_made_records_fail_until_one_can(unprivileged_bench, mode, reason):
    """A warm worker is there already; its invocation takes a thread."""
    bench = unprivileged_bench
    name = fresh_name(mode) + (".worker" if mode == "worker" else "")
    flow = bench.flow(bench.programs.write_executable(IDENTITY_IN_SED, name=name), retries=0)
    flow.put(b"before\n")
    flow.wait_for(b"before\n")
    with no_more_processes(bench.hydrant):
        flow.put(b"meanwhile\n")
        (failed,) = flow.wait_for_failures(1)
    assert (failed.raw, failed.code) == (b"meanwhile\n", FUNCTION_ERROR)
    (warning,) = flow.log(SET_APART)
    assert reason in warning["error"]
    flow.put(b"after\n")
    flow.wait_for(b"before\nafter\n")
    assert bench.hydrant.sigterm() == 0


# MARK: They do not end

DEAF_FAMILY = """
def handle(event):
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    for _ in range(2):
        if os.fork():
            break
    trace(hangs=True)
    while True:
        time.sleep(600)
"""
"""A process, its child and its grandchild, none of which ends when it is asked to."""


@pytest.mark.parametrize("stops", [False, True], ids=["goes on", "stops"])
def test_a_time_out_ends_the_whole_group_also_if_the_server_stops_meanwhile(start_bench, stops):
    """Between SIGTERM and SIGKILL there are two seconds, in which the server may stop."""
    bench = start_bench()
    settings = {"timeoutSeconds": 1}
    flows = [bench.flow_through(mode, DEAF_FAMILY, settings=settings, retries=0) for mode in MODES]
    for flow in flows:
        flow.put(b"record\n")
    for flow in flows:
        wait_until(lambda flow=flow: flow.log(SET_APART), "the time-out")
        assert "did not answer in time" in flow.log(SET_APART)[0]["error"]
    families = [bench.programs.pids(flow.transform) for flow in flows]
    pids = set().union(*families)
    try:
        assert [len(each) for each in families] == [3, 3, 3]
        if stops:
            assert any(map(is_alive, pids))
            assert bench.hydrant.sigterm() == 0
        # With the server they are gone, but for the moment that it takes to carry out SIGKILL.
        bench.programs.wait_until_gone(pids, "deaf processes", timeout=1 if stops else 10)
    finally:
        kill(pids)


# MARK: They leave something behind

LEAVES_A_DAEMON = """
def handle(event):
    child = os.fork()
    if child == 0:
        os.setsid()
        if os.fork() == 0:
            trace(daemon=True)
            time.sleep(600)
        os._exit(0)
    os.waitpid(child, 0)
    return {"records": [answer(each, content(each)) for each in event["records"]]}
"""
"""Its standard streams are those of the worker, of whose group it is not."""


def holds(pid: int, file: str) -> bool:
    """Whether a process has a file open, by what /proc calls it."""
    links = []
    for each in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(FileNotFoundError):
            links.append(os.readlink(each))
    return file in links


@pytest.mark.parametrize("mode", ["worker", "lambda"])
def test_a_daemon_that_a_worker_leaves_costs_nothing_and_holds_up_nothing(start_bench, mode):
    bench = start_bench()
    settings = {"recycleAfter": 1, "concurrency": 1}
    flow = bench.flow_through(mode, LEAVES_A_DAEMON, settings=settings)
    try:
        for number in range(2):
            flow.put(b"%d\n" % number)
            flow.wait_for(b"".join(flow.records))
        traces = bench.programs.wait_for_traces(flow.transform, "daemon", count=2)
        daemons = [each["pid"] for each in traces]
        pipes = [os.readlink(f"/proc/{pid}/fd/2") for pid in daemons]
        assert all(each.startswith("pipe:") for each in pipes)
        hydrant = bench.hydrant.process.pid
        wait_until(lambda: not any(holds(hydrant, each) for each in pipes), "the server to let go")
        assert all(map(is_alive, daemons)), "they are no daemons"
        start = time.monotonic()
        assert bench.hydrant.sigterm() == 0
        assert time.monotonic() - start < GRACEFUL_STOP_SECONDS / 2
    finally:
        kill(each["pid"] for each in bench.programs.traces(flow.transform, "daemon"))


# MARK: They go by themselves

LEAVING = """
for text in sys.stdin:
    event = json.loads(text)
    trace_event(event, len(text))
    say({"records": [answer(each, content(each)) for each in event["records"]]})
    END
"""

ENDS = {
    "exits": "os._exit(0)",
    "fails": "os._exit(3)",
    "is killed": "os.kill(os.getpid(), signal.SIGKILL)",
    "closes its output": "os.close(1), trace(closed=True), time.sleep(600)",
    "closes its pipes": "os.close(0), os.close(1), trace(closed=True), time.sleep(600)",
}


@pytest.mark.parametrize("end", ENDS)
def test_a_worker_that_goes_between_events_is_replaced_at_no_cost(bench, end):
    """No attempt is counted, so that nothing fails even without another one."""
    source = LEAVING.replace("END", ENDS[end])
    name = bench.programs.write_file(source, name=f"{fresh_name('leaving')}.worker")
    flow = bench.flow(name, retries=0)
    for number, record in enumerate(lines(5)):
        flow.put(record)
        flow.wait_for(b"".join(flow.records))
        if "closed" in ENDS[end]:
            bench.programs.wait_for_traces(name, "closed", count=number + 1)
        else:
            bench.programs.wait_until_dead(name)
    assert flow.settle().delivered == lines(5)
    assert flow.log(FAILED_ONCE) == flow.log(SET_APART) == []
    pids = [each.pid for each in bench.programs.events(name)]
    assert len(set(pids)) == 5
    bench.programs.wait_until_gone(pids[:-1], "those that were replaced")
