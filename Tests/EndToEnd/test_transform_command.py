"""`hydrant transform run`: how it ends, and what it refuses with which words."""

import json
import os
import signal
import subprocess
import time
from base64 import b64encode
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from commands import Done, run_hydrant, running_hydrant
from server import GRACEFUL_STOP_SECONDS
from streams import create_stream
from transform_programs import IDENTITY, MODES, PYTHON_FIRST, Programs, is_alive
from transforms import DUPLICATED_ID, MESSAGES, lambda_processor, processing
from updates import assert_refused

pytest_plugins = ["transform_fixtures"]

OK, SOME_FAILED, REFUSED = 0, 2, 1
"""Exit statuses."""

FAMILY = """
def handle(event):
    for _ in range(2):
        if os.fork():
            break
    trace(hangs=True)
    time.sleep(600)
"""
"""A process, its child and its grandchild, of which none answers."""

DEAF = "signal.signal(signal.SIGTERM, signal.SIG_IGN)"


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Programs:
    """A folder of transforms without a server."""
    monkeypatch.setenv("PATH", PYTHON_FIRST)
    return Programs(tmp_path)


def run(programs: Programs, name: str, content: bytes, *options: str) -> Done:
    """Runs a transform on what comes on standard input."""
    folder = str(programs.folder)
    arguments = ("--input", "-", "--transforms", folder, *options)
    return run_hydrant(None, "transform", "run", name, *arguments, stdin=content)


def event(*records: tuple[str, bytes]) -> bytes:
    """An event of records with these ids."""
    entries = [{"recordId": name, "data": b64encode(data).decode()} for name, data in records]
    return json.dumps({"records": entries}).encode()


def said(done: Done) -> str:
    """The only line that was said about a refusal."""
    assert (done.returncode, done.stdout) == (REFUSED, b""), done
    (line,) = done.stderr.decode().splitlines()
    assert line.startswith("hydrant: ")
    return line


# MARK: Signals


def end(process: subprocess.Popen, programs: Programs, name: str, number: int) -> None:
    """Sends a signal, and checks that the command and all of its processes end at once."""
    pids = programs.pids(name)
    try:
        start = time.monotonic()
        process.send_signal(number)
        assert process.wait(timeout=GRACEFUL_STOP_SECONDS) == 128 + number
        assert time.monotonic() - start < GRACEFUL_STOP_SECONDS / 2
        # None is left to end later; those that are killed need a moment to be gone.
        programs.wait_until_gone(pids | programs.pids(name), "its processes", timeout=1)
    finally:
        for pid in filter(is_alive, pids):
            os.kill(pid, signal.SIGKILL)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=lambda each: each.name)
@pytest.mark.parametrize("mode", MODES)
def test_a_signal_ends_the_command_with_all_of_its_processes(programs, mode, number):
    """What Ctrl-C sends does not reach them: they are in a group of their own."""
    name = programs.write(mode, FAMILY)
    (programs.folder / "input").write_bytes(b"record\n")
    arguments = ("--input", str(programs.folder / "input"), "--transforms", str(programs.folder))
    with running_hydrant(None, "transform", "run", name, *arguments) as process:
        programs.wait_for_traces(name, "hangs", count=3)
        end(process, programs, name, number)


def test_a_signal_ends_processes_that_are_deaf_to_it(programs):
    name = programs.write("once", FAMILY.replace("for _", f"{DEAF}\n    for _"))
    (programs.folder / "input").write_bytes(b"record\n")
    arguments = ("--input", str(programs.folder / "input"), "--transforms", str(programs.folder))
    with running_hydrant(None, "transform", "run", name, *arguments) as process:
        programs.wait_for_traces(name, "hangs", count=3)
        end(process, programs, name, signal.SIGINT)


def test_a_signal_ends_a_measurement(programs):
    name = programs.write("worker", IDENTITY)
    (programs.folder / "input").write_bytes(b"record\n")
    arguments = ("--input", str(programs.folder / "input"), "--transforms", str(programs.folder))
    options = ("--bench", "--seconds", "600")
    with running_hydrant(None, "transform", "run", name, *arguments, *options) as process:
        programs.wait_for_traces(name, "invocation", count=10)
        end(process, programs, name, signal.SIGINT)


# MARK: Records

TWICE = """
def handle(event):
    found = [answer(each, content(each)) for each in event["records"]]
    return {"records": [*found, found[0]]}
"""


def test_records_that_are_answered_twice_are_shown_as_failed(programs):
    name = programs.write("once", TWICE)
    done = run(programs, name, b"one\ntwo\n")
    reason = f"{DUPLICATED_ID}: {MESSAGES[DUPLICATED_ID]}"
    assert done.stdout.decode().splitlines() == [f"1  ProcessingFailed  {reason}", "2  Ok  two"]
    assert done.stderr.decode() == "2 records: 1 Ok, 0 Dropped, 1 failed\n"
    assert done.returncode == SOME_FAILED


def test_an_id_that_stands_twice_in_the_input_is_refused(programs):
    """Nobody could say which of the two an answer is for."""
    name = programs.write("once", IDENTITY)
    done = run(programs, name, event(("a", b"1"), ("b", b"2"), ("a", b"3")))
    assert "recordId" in said(done) and "twice" in said(done)
    assert programs.traces(name) == []
    done = run(programs, name, event(("a", b"1"), ("b", b"2"), ("A", b"3")))
    assert done.returncode == OK, done


@pytest.mark.parametrize("place", [0, 1, 2])
def test_a_record_that_is_too_large_for_an_event_is_refused_by_its_number(programs, place):
    """In base64 it is more than the 6 MB that an event may have; nothing is run."""
    name = programs.write("once", IDENTITY)
    records = [b"small", b"small", b"small"]
    records[place] = b"x" * 4_750_000
    done = run(programs, name, b"\n".join(records))
    assert f"record {place + 1} is too large" in said(done)
    assert programs.traces(name) == []
    records[place] = b"x" * 4_650_000
    done = run(programs, name, b"\n".join(records))
    assert done.stderr.decode() == "3 records: 3 Ok, 0 Dropped, 0 failed\n"
    assert done.returncode == OK


# MARK: Names of variables

SEES = """
def handle(event):
    trace(environment=dict(os.environ))
    return {"records": [answer(each, content(each)) for each in event["records"]]}
"""

REFUSED_NAMES = ["", "a.b", "a-b", "a b", "1a", "ä", "A=B", "PWD", "OLDPWD", "SHLVL", "IFS", "_"]
"""Those that a shell drops, or has a use of its own for."""


@pytest.mark.parametrize("name", REFUSED_NAMES)
def test_a_variable_that_would_not_arrive_is_refused(programs, name):
    transform = programs.write("once", SEES, environment={"GOOD": "1", name: "2"})
    line = said(run(programs, transform, b"record\n"))
    assert f"{transform}/transform.json" in line and "environment" in line
    assert programs.traces(transform) == []


@pytest.mark.parametrize("name", ["not.good", "SHLVL"])
def test_the_refusal_of_a_variable_names_it(programs, name):
    """Of several in a long list, one would have to guess."""
    transform = programs.write("once", SEES, environment={"GOOD": "1", name: "2", "FINE": "3"})
    assert name in said(run(programs, transform, b"record\n"))


def test_a_stream_is_refused_with_the_name_of_such_a_variable(bench):
    transform = bench.programs.write("once", SEES, environment={"not.good": "1"})
    members = processing(lambda_processor(transform))
    assert_refused(
        "InvalidArgumentException",
        lambda: create_stream(bench.client, "arn:aws:s3:::some-bucket", **members),
        transform,
        "environment",
        "not.good",
    )


ODD = " x\n\t'\"$HOME\\ ü"


def test_variables_of_all_other_names_arrive_as_they_are(programs):
    given = {"_A": ODD, "a": "", "A1": "1", "HOME": "/", "ENV": ODD, "PS1": ODD, "TERM": "x"}
    transform = programs.write("once", SEES, environment=given)
    assert run(programs, transform, b"record\n").returncode == OK
    (seen,) = programs.traces(transform, "environment")
    assert given.items() <= seen["environment"].items()


@pytest.mark.parametrize("name", ["PPID", "OPTIND"])
def test_a_variable_that_a_shell_sets_itself_arrives_or_is_refused(programs, name):
    """Neither does it become something else, nor does the program fail to start."""
    transform = programs.write("once", SEES, environment={name: ODD})
    done = run(programs, transform, b"record\n")
    if "environment" in done.stderr.decode():
        said(done)
        return
    assert done.returncode == OK, done
    (seen,) = programs.traces(transform, "environment")
    assert seen["environment"][name] == ODD


def test_records_come_from_a_pipe_as_well(programs, tmp_path):
    """As of `--input <(command)`: a pipe has no size."""
    name = programs.write("once", IDENTITY)
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with ThreadPoolExecutor(1) as pool:
        writing = pool.submit(pipe.write_bytes, b"a\nb\n")
        folder = str(programs.folder)
        done = run_hydrant(
            None, "transform", "run", name, "--input", str(pipe), "--transforms", folder
        )
        writing.result(10)
    assert done.returncode == OK, done.stderr
    assert b"2 records" in done.stdout + done.stderr
