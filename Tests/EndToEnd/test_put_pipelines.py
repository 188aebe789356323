"""`hydrant put` as a part of a pipeline: input that trickles, stops, and nobody who listens."""

import fcntl
import signal
import struct
import subprocess
import termios

import pytest

from commands import run_hydrant, run_redirected, running_hydrant
from strict_firehose import Refusal, StrictFirehose
from waiting import wait_until

STREAM = "logs"


@pytest.fixture
def endpoint():
    """A strict endpoint that wants no signatures."""
    with StrictFirehose() as endpoint:
        yield endpoint
        assert endpoint.complaints == []


def has_read(process: subprocess.Popen) -> bool:
    """Whether a process has taken all that was written to its standard input."""
    unread = fcntl.ioctl(process.stdin, termios.FIONREAD, bytes(4))
    return struct.unpack("i", unread) == (0,)


# MARK: Nobody who listens


@pytest.mark.parametrize("redirection", ["2>/dev/full", "2>&-", "2>&- >&-"])
def test_lines_are_put_though_nothing_can_be_said_about_it(endpoint, redirection):
    lines = [b"%d\n" % number for number in range(1_200)]
    done = run_redirected(endpoint, redirection, "put", STREAM, stdin=b"".join(lines))
    assert done.returncode == 0
    assert endpoint.stored == lines


def test_failures_that_nobody_hears_of_are_told_by_the_exit_status(endpoint):
    endpoint.fault = lambda _: Refusal(400, "ResourceNotFoundException")
    for redirection in ("2>/dev/full", "2>&-"):
        assert run_redirected(endpoint, redirection, "put", STREAM, stdin=b"a\n").returncode == 1


# MARK: Input that trickles


def test_lines_that_keep_coming_do_not_hold_back_the_first(endpoint):
    """There is never a pause as long as the linger, nor a full batch."""
    with running_hydrant(endpoint, "put", STREAM, "--linger", "1") as process:
        written = []

        def trickle() -> bool:
            written.append(b"line %d\n" % len(written))
            process.stdin.write(written[-1])
            return bool(endpoint.stored)

        wait_until(trickle, "the first lines", timeout=15, pause=0.3)
        process.stdin.close()
        assert process.wait(timeout=20) == 0
    assert endpoint.stored == written
    assert len(endpoint.batches) >= 2


# MARK: Stops


@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_lines_that_wait_are_put_before_a_stop(endpoint, number, status):
    with running_hydrant(endpoint, "put", STREAM, "--linger", "30") as process:
        process.stdin.write(b"one\ntwo\nthree\n")
        wait_until(lambda: has_read(process), "the lines to be read")
        assert endpoint.stored == []
        process.send_signal(number)
        assert process.wait(timeout=20) == status
        assert process.stderr.read() == b"3 records, 14 bytes\n"
    assert endpoint.stored == [b"one\n", b"two\n", b"three\n"]


def test_a_stop_before_any_line_is_quiet(endpoint):
    """The line that was put is what says that it runs."""
    with running_hydrant(endpoint, "put", STREAM, "--linger", "0.1") as process:
        process.stdin.write(b"one\n")
        wait_until(lambda: endpoint.stored, "the line")
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=20) == 143
        assert process.stderr.read() == b"1 records, 4 bytes\n"


def test_a_second_signal_ends_what_takes_too_long(endpoint):
    endpoint.fault = lambda _: Refusal(503, "ServiceUnavailableException")
    with running_hydrant(endpoint, "put", STREAM, "--linger", "30") as process:
        process.stdin.write(b"one\n")
        wait_until(lambda: has_read(process), "the line to be read")
        process.send_signal(signal.SIGTERM)
        wait_until(lambda: len(endpoint.batches) >= 2, "attempts")
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=20) in (-signal.SIGTERM, 143)


# MARK: What is tried again


@pytest.mark.parametrize("fault", [Refusal(503, "ServiceUnavailableException"), (0,)], ids=str)
def test_the_first_retry_of_a_batch_is_announced(endpoint, fault):
    """Once: who waits knows why, and a log is not filled."""
    endpoint.fault = lambda batches: fault if batches < 3 else None
    done = run_hydrant(endpoint, "put", STREAM, stdin=b"a\n")
    assert done.returncode == 0
    said = done.stderr.decode().splitlines()
    assert len(said) == 2, said
    assert said[0].startswith("hydrant: ServiceUnavailableException: ")
    assert said[1] == "1 records, 2 bytes"
