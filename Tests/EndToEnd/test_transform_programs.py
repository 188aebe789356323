"""A program's life: what it finds when it starts, how long it is kept, when it is started anew."""

import os
import signal
from pathlib import Path

import pytest

from transform_programs import IDENTITY, MODES, UPPER, children, is_alive
from transforms import MESSAGES, NOT_FOUND, Flow, lines
from waiting import wait_until

pytest_plugins = ["transform_fixtures"]

MIB = 1024 * 1024

SURROUNDINGS = """
import resource

def look():
    variables = open("/proc/self/environ").read().split("\\0")
    links = []
    for each in os.listdir("/proc/self/fd"):
        try:
            links.append(int(each) if os.readlink(f"/proc/self/fd/{each}") else -1)
        except FileNotFoundError:
            pass  # The folder itself, open while it was listed.
    status = dict(line.split(":\\t", 1) for line in open("/proc/self/status") if ":\\t" in line)
    limits = {
        name: resource.getrlimit(getattr(resource, name))
        for name in ("RLIMIT_DATA", "RLIMIT_NOFILE", "RLIMIT_CORE")
    }
    trace(environment=dict(each.split("=", 1) for each in variables if each),
          folder=os.getcwd(), files=sorted(links), limits=limits, group=os.getpgrp(),
          blocked=status["SigBlk"].strip(), arguments=sys.argv)

def handle(event):
    look()
    return {"records": [answer(each, content(each)) for each in event["records"]]}
"""

SUFFIXED = """
@each
def handle(record):
    return answer(record, content(record) + os.environ["SUFFIX"].encode())
"""

SECRETS = {
    "AWS_ACCESS_KEY_ID": "AKIAOFTHESERVER00000",
    "AWS_SECRET_ACCESS_KEY": "secret-of-the-server",
    "AWS_SESSION_TOKEN": "token-of-the-server",
    "DATABASE_PASSWORD": "hidden-from-transforms",
    "PASSED_ON": "the server's own",
}


def put_and_wait(flow: Flow, *records: bytes) -> None:
    """Puts records one by one, each when the one before was delivered as it was put."""
    for record in records:
        flow.put(record)
        flow.wait_for(b"".join(flow.records))


def look(bench, mode: str, **settings) -> tuple[Flow, dict]:
    """Has a program of a mode look around; returns its stream and what it saw."""
    flow = bench.flow_through(mode, SURROUNDINGS, settings=settings)
    put_and_wait(flow, b"record")
    (seen,) = bench.programs.traces(flow.transform, "environment")
    return flow, seen


# MARK: What it finds


@pytest.mark.parametrize("mode", ["once", "worker"])
@pytest.mark.parametrize("is_folder", [False, True], ids=["file", "folder"])
def test_a_program_finds_the_promised_surroundings(start_bench, mode, is_folder):
    """No variable, no open file and no signal of the server's."""
    bench = start_bench("--local-buckets", "data/buckets", environment=SECRETS)
    own = {"GREETING": "hällo = 1\n\u2028", "EMPTY": "", "PASSED_ON": None, "NOT_THERE": None}
    settings = {"environment": own, "memoryMiB": 300, "openFiles": 77} if is_folder else {}
    flow, seen = look(bench, mode, **settings)

    environment = {
        "PATH": bench.hydrant.environment["PATH"],
        "LANG": "C.UTF-8",
        "HYDRANT_STREAM": flow.stream,
        "HYDRANT_TRANSFORM": flow.transform,
    }
    if is_folder:
        environment |= {"GREETING": own["GREETING"], "EMPTY": "", "PASSED_ON": SECRETS["PASSED_ON"]}
    assert seen["environment"] == environment
    folder = bench.programs.folder / (flow.transform if is_folder else "")
    assert Path(seen["folder"]).samefile(folder)
    assert seen["files"] == [0, 1, 2]
    assert seen["group"] == seen["pid"]
    assert int(seen["blocked"], 16) == 0
    memory, files = (300, 77) if is_folder else (512, 256)
    assert seen["limits"]["RLIMIT_DATA"] == [memory * MIB] * 2
    assert seen["limits"]["RLIMIT_NOFILE"] == [files] * 2
    assert seen["limits"]["RLIMIT_CORE"] == [0, 0]


def test_a_program_gets_its_signals(bench):
    """A shell script whose pipe breaks must end, and SIGTERM must reach what it started."""
    status = bench.programs.folder.parent / "status"
    name = bench.programs.write_executable(
        f"#!/bin/sh\ngrep -E '^Sig(Blk|Ign)' /proc/self/status > '{status}'\n"
        "echo '{\"records\": []}'\n"
    )
    flow = bench.flow(name)
    flow.put(b"record\n")
    flow.settle()
    masks = dict(line.split(":\t") for line in status.read_text().splitlines())
    assert int(masks["SigBlk"], 16) == 0
    for number in (signal.SIGPIPE, signal.SIGTERM, signal.SIGCHLD):
        assert not int(masks["SigIgn"], 16) >> (number - 1) & 1, f"{number.name} is ignored"


@pytest.mark.parametrize("mode", MODES)
def test_the_first_word_of_the_command_is_found_as_promised(bench, mode):
    """With a slash it is one in the folder, otherwise one in the server's PATH."""
    name = bench.programs.write(mode, IDENTITY, timeoutSeconds=20)
    if mode == "lambda":
        (bench.programs.folder / name / "run").write_text(
            "#!/bin/sh\nexec python3 -m awslambdaric $1\n"
        )
        command = ["./run", "app.lambda_handler"]
    else:
        (bench.programs.folder / name / "run").write_text("#!/bin/sh\nexec python3 -SE app.py\n")
        command = ["./run"]
    (bench.programs.folder / name / "run").chmod(0o755)
    bench.programs.configure(name, command=command, mode=mode)
    put_and_wait(bench.flow(name), b"record")


# MARK: Workers


def test_a_worker_is_used_again(bench):
    flow = bench.flow_through("worker", IDENTITY)
    put_and_wait(flow, *lines(20))
    assert len(bench.programs.pids(flow.transform)) == 1
    assert len(bench.programs.events(flow.transform)) == 20


def test_a_file_that_is_called_worker_is_one(bench):
    name = bench.programs.write("worker", IDENTITY)
    assert name.endswith(".worker") and (bench.programs.folder / name).is_file()
    put_and_wait(bench.flow(name), *lines(3))
    assert len(bench.programs.pids(name)) == 1


def test_a_program_runs_once_for_each_invocation(bench):
    flow = bench.flow_through("once", IDENTITY)
    put_and_wait(flow, *lines(4))
    assert len(bench.programs.pids(flow.transform)) == 4


@pytest.mark.parametrize("mode", ["worker", "lambda"])
def test_a_worker_is_replaced_after_its_number_of_invocations(bench, mode):
    settings = {"recycleAfter": 3, "concurrency": 1}
    flow = bench.flow_through(mode, IDENTITY, settings=settings)
    put_and_wait(flow, *lines(7))
    pids = [each.pid for each in bench.programs.events(flow.transform)]
    first, second, third = dict.fromkeys(pids)
    assert pids == [first] * 3 + [second] * 3 + [third]
    wait_until(lambda: not is_alive(first) and not is_alive(second), "the old ones to end")
    if mode == "worker":
        ends = [each["pid"] for each in bench.programs.traces(flow.transform, "end")]
        assert set(ends) == {first, second}, "they were killed"


def test_workers_end_with_the_server(start_bench):
    bench = start_bench()
    flow = bench.flow_through("worker", IDENTITY)
    put_and_wait(flow, b"record")
    (pid,) = bench.programs.pids(flow.transform)
    assert is_alive(pid)
    assert bench.hydrant.sigterm() == 0
    assert not is_alive(pid)
    (end,) = bench.programs.traces(flow.transform, "end")
    assert end["end"] in ("EOF", "SIGTERM"), "it was not asked"


@pytest.mark.parametrize("mode", ["worker", "lambda"])
def test_workers_end_with_their_stream(bench, mode):
    flow = bench.flow_through(mode, IDENTITY)
    put_and_wait(flow, b"record")
    (pid,) = bench.programs.pids(flow.transform)
    assert is_alive(pid)
    flow.delete()
    bench.programs.wait_until_dead(flow.transform)


def test_no_zombie_is_left(bench):
    flow = bench.flow_through("once", IDENTITY)
    put_and_wait(flow, *lines(10))
    server = bench.hydrant.process.pid
    wait_until(lambda: "Z" not in children(server).values(), "the server to reap its children")


def test_a_worker_that_died_while_it_waited_is_replaced(bench):
    """Its end costs the next batch no attempt, or one: never the records."""
    flow = bench.flow_through("worker", IDENTITY)
    put_and_wait(flow, b"before")
    (pid,) = bench.programs.pids(flow.transform)
    os.kill(pid, 9)
    wait_until(lambda: not is_alive(pid), "it to die")
    put_and_wait(flow, b"after")
    assert flow.failures() == []


# MARK: Changes


@pytest.mark.parametrize("mode", MODES)
def test_a_changed_configuration_holds_from_the_next_batch_on(bench, mode):
    name = bench.programs.write(mode, SUFFIXED, environment={"SUFFIX": "-1"})
    flow = bench.flow(name)
    flow.put(b"a")
    flow.wait_for(b"a-1")
    bench.programs.write(mode, SUFFIXED, name=name, environment={"SUFFIX": "-2"})
    flow.put(b"b")
    flow.wait_for(b"a-1b-2")
    if mode != "once":
        old, new = dict.fromkeys(each.pid for each in bench.programs.events(name))
        wait_until(lambda: not is_alive(old), "the old worker to end")
        assert is_alive(new)


@pytest.mark.parametrize(
    "text", ["{", "[]", "{}", '{"command": ["python3"], "mode": "often"}'], ids=repr
)
def test_a_configuration_that_turned_bad_fails_batches_until_it_is_mended(bench, text):
    name = bench.programs.write("worker", IDENTITY, environment={})
    path = bench.programs.folder / name / "transform.json"
    good = path.read_text()
    flow = bench.flow(name, retries=0)
    put_and_wait(flow, b"before ")
    bench.programs.configure_text(name, text)
    flow.put(b"meanwhile")
    (failed,) = flow.wait_for_failures(1)
    assert (failed.raw, failed.code) == (b"meanwhile", NOT_FOUND)
    assert failed.message == MESSAGES[NOT_FOUND]
    bench.programs.configure_text(name, good)
    flow.put(b"after")
    flow.wait_for(b"before after")


def test_a_program_that_is_replaced_is_the_next_that_runs(bench):
    name = bench.programs.write("once", IDENTITY)
    flow = bench.flow(name)
    put_and_wait(flow, b"old ")
    bench.programs.write("once", UPPER, name=name)
    flow.put(b"new")
    flow.wait_for(b"old NEW")


# MARK: Gone


@pytest.mark.parametrize("way", ["removed", "not executable", "folder without transform.json"])
def test_records_fail_while_the_program_is_gone(bench, way):
    is_folder = way.startswith("folder")
    name = bench.programs.write("once", IDENTITY, **({"timeoutSeconds": 9} if is_folder else {}))
    flow = bench.flow(name, retries=1)
    put_and_wait(flow, b"before ")
    path = bench.programs.folder / name / ("transform.json" if is_folder else "")
    away = bench.programs.folder.parent / f"away-{name}"
    if way == "not executable":
        path.chmod(0o644)
    else:
        path.rename(away)
    flow.put(b"one\n", b"two\n")
    failed = flow.wait_for_failures(2)
    assert [each.raw for each in failed] == [b"one\n", b"two\n"]
    assert {(each.code, each.message, each.attempts) for each in failed} == {
        (NOT_FOUND, MESSAGES[NOT_FOUND], 2)
    }
    if way == "not executable":
        path.chmod(0o755)
    else:
        away.rename(path)
    flow.put(b"after")
    flow.wait_for(b"before after")


def test_the_server_starts_although_a_program_is_missing(start_bench):
    """Its other streams must not wait for it, and neither must its own producers."""
    bench = start_bench()
    healthy = bench.flow_through("worker", IDENTITY)
    flow = bench.flow_through("once", IDENTITY, retries=0)
    path = bench.programs.folder / flow.transform
    away = path.with_name("away")
    path.rename(away)
    bench.hydrant.restart()
    flow.put(b"lost its way\n")
    healthy.put(b"flows")
    healthy.wait_for(b"flows")
    assert [each.code for each in flow.wait_for_failures(1)] == [NOT_FOUND]
    away.rename(path)
    flow.put(b"found it\n")
    flow.wait_for(b"found it\n")


def test_the_folder_of_transforms_may_be_missing(start_bench):
    """Streams without transforms need none."""
    bench = start_bench()
    flow = bench.flow_through("once", IDENTITY, retries=0)
    bench.programs.folder.rename(bench.programs.folder.with_name("moved"))
    bench.hydrant.restart()
    flow.put(b"record")
    assert [each.code for each in flow.wait_for_failures(1)] == [NOT_FOUND]
