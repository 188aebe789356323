"""`hydrant put`: each line of the standard input becomes a record."""

import json
import os
import random
import signal
import subprocess
from dataclasses import dataclass

import pytest

from buckets import FolderBucket
from commands import run_hydrant, running_hydrant
from keys import AWKWARD, PRODUCER, TEMPORARY
from ports import free_port
from producers import MAXIMUM_RECORD_BYTES
from streams import create_stream, fresh_name
from strict_firehose import DROP, Refusal, StrictFirehose
from waiting import wait_until

STREAM = "logs"

LONG_LINGER = ("--linger", "60")


@pytest.fixture
def endpoint():
    """A strict endpoint that wants no signatures."""
    with StrictFirehose() as endpoint:
        yield endpoint
        assert endpoint.complaints == []


@pytest.fixture
def stream(client, folder_bucket) -> str:
    """A stream of the shared server that delivers at once."""
    return create_stream(client, folder_bucket.arn)


def taken(done: subprocess.CompletedProcess) -> tuple[int, int]:
    """How many records and bytes the last line says were taken."""
    words = done.stderr.decode().splitlines()[-1].replace(",", "").split()
    assert (words[1], words[3]) == ("records", "bytes"), done.stderr
    assert len(words) == 4
    return int(words[0]), int(words[2])


def assert_all_taken(done: subprocess.CompletedProcess, records: list[bytes]) -> None:
    """Checks that a command took all of `records` and said so."""
    assert done.returncode == 0, done.stderr
    assert done.stdout == b""
    assert taken(done) == (len(records), sum(map(len, records)))


# MARK: For scripts


def test_a_script_reads_what_went_through(endpoint):
    text = b"first\n" + b"x" * (MAXIMUM_RECORD_BYTES + 1) + b"\nlast\n"
    done = run_hydrant(endpoint, "put", STREAM, "--json", stdin=text)
    assert done.returncode == 1
    assert json.loads(done.stdout) == {"records": 2, "bytes": 11, "leftOut": 1}


# MARK: Lines


@pytest.mark.parametrize(
    ("text", "records"),
    [
        (b"", []),
        (b"a\n", [b"a\n"]),
        (b"a\nb\n", [b"a\n", b"b\n"]),
        (b"a\nlast", [b"a\n", b"last"]),
        (b"\n\na\n\n", [b"\n", b"\n", b"a\n", b"\n"]),
        (b"a\r\nb\r\n", [b"a\r\n", b"b\r\n"]),
        (b"nul\0nul\nb\rb\n", [b"nul\0nul\n", b"b\rb\n"]),
        (b" \ta \n", [b" \ta \n"]),
    ],
    ids=repr,
)
def test_each_line_is_a_record_with_its_newline(endpoint, text, records):
    done = run_hydrant(endpoint, "put", STREAM, stdin=text)
    assert_all_taken(done, records)
    assert len(done.stderr.splitlines()) == 1, done.stderr
    assert endpoint.batches == ([records] if records else [])


@pytest.mark.parametrize(
    ("text", "records"),
    [
        (b"a\nb\n", [b"a", b"b"]),
        (b"a\nlast", [b"a", b"last"]),
        (b"a\n\nb\n", [b"a", b"", b"b"]),
    ],
    ids=repr,
)
def test_newlines_can_be_left_out(endpoint, text, records):
    done = run_hydrant(endpoint, "put", STREAM, "--strip-newlines", stdin=text)
    assert_all_taken(done, records)
    assert endpoint.stored == records


def test_bytes_of_every_kind_arrive(hydrant, stream, folder_bucket):
    lines = random.Random(7).randbytes(300_000) + bytes(range(256))
    done = run_hydrant(hydrant, "put", stream, stdin=lines)
    assert done.returncode == 0, done.stderr
    folder_bucket.wait_for(lines)


def test_a_long_file_arrives_whole_and_in_order(hydrant, stream, folder_bucket):
    lines = [b"%d %s\n" % (number, b"x" * (number % 500)) for number in range(40_000)]
    done = run_hydrant(hydrant, "put", stream, stdin=b"".join(lines))
    assert_all_taken(done, lines)
    folder_bucket.wait_for(b"".join(lines))


# MARK: Batches


def test_lines_are_put_500_at_a_time(endpoint):
    lines = [b"%d\n" % number for number in range(1_200)]
    assert_all_taken(run_hydrant(endpoint, "put", STREAM, stdin=b"".join(lines)), lines)
    assert endpoint.stored == lines
    assert [len(batch) for batch in endpoint.batches] == [500, 500, 200]


def test_batches_have_4_mib_at_most(endpoint):
    lines = [bytes([65 + number]) * 999_999 + b"\n" for number in range(10)]
    assert_all_taken(run_hydrant(endpoint, "put", STREAM, stdin=b"".join(lines)), lines)
    assert endpoint.stored == lines
    assert [len(batch) for batch in endpoint.batches] == [4, 4, 2]


def test_the_largest_lines_are_taken(endpoint):
    kept = b"x" * (MAXIMUM_RECORD_BYTES - 1) + b"\n"
    assert_all_taken(run_hydrant(endpoint, "put", STREAM, stdin=kept), [kept])
    stripped = b"x" * MAXIMUM_RECORD_BYTES
    done = run_hydrant(endpoint, "put", STREAM, "--strip-newlines", stdin=stripped + b"\n")
    assert_all_taken(done, [stripped])
    assert endpoint.stored == [kept, stripped]


@pytest.mark.parametrize("size", [MAXIMUM_RECORD_BYTES, 30_000_000])
@pytest.mark.parametrize("place", ["first", "middle", "last", "unfinished"])
def test_a_line_that_is_too_long_is_reported_and_left_out(endpoint, size, place):
    """The others are put; the exit status says that something is missing."""
    short, long = [b"a\n", b"b\n"], b"x" * size + b"\n"
    lines = {
        "first": [long, *short],
        "middle": [short[0], long, short[1]],
        "last": [*short, long],
        "unfinished": [*short, long[:-1] + b"x"],
    }[place]
    done = run_hydrant(endpoint, "put", STREAM, stdin=b"".join(lines))
    assert done.returncode == 1
    assert taken(done) == (2, 4)
    assert len(done.stderr.splitlines()) == 2, done.stderr[:1_000]
    assert endpoint.stored == short


# MARK: Pauses


def test_what_is_there_is_put_when_the_input_pauses(endpoint):
    """As behind `tail -f`: nobody waits for a batch to be full."""
    with running_hydrant(endpoint, "put", STREAM) as process:
        for number in range(3):
            line = b"line %d\n" % number
            process.stdin.write(line)
            wait_until(lambda: len(endpoint.stored) == number + 1, "the line")
            assert endpoint.stored[-1] == line
        process.stdin.write(b"without its end")
        process.stdin.close()
        assert process.wait(timeout=20) == 0
    assert endpoint.stored[3:] == [b"without its end"]


def test_a_line_is_not_put_before_its_end(endpoint):
    with running_hydrant(endpoint, "put", STREAM, "--linger", "0.1") as process:
        process.stdin.write(b"one\ntw")
        wait_until(lambda: endpoint.stored == [b"one\n"], "the first line")
        process.stdin.write(b"o\n")
        wait_until(lambda: endpoint.stored == [b"one\n", b"two\n"], "the second line")
        process.stdin.close()
        assert process.wait(timeout=20) == 0


def test_a_longer_pause_makes_larger_batches(endpoint):
    with running_hydrant(endpoint, "put", STREAM, *LONG_LINGER) as process:
        for number in range(5):
            process.stdin.write(b"%d\n" % number)
        process.stdin.close()
        assert process.wait(timeout=20) == 0
    assert endpoint.batches == [[b"%d\n" % number for number in range(5)]]


def test_a_full_batch_waits_for_nothing(endpoint):
    with running_hydrant(endpoint, "put", STREAM, *LONG_LINGER) as process:
        process.stdin.write(b"".join(b"%d\n" % number for number in range(501)))
        wait_until(lambda: len(endpoint.stored) == 500, "the full batch", timeout=20)
        process.stdin.close()
        assert process.wait(timeout=20) == 0
    assert len(endpoint.stored) == 501


# MARK: Failures


def test_only_what_failed_is_put_again(endpoint):
    endpoint.fault = lambda batches: [{1, 3}, {0}, None][batches]
    lines = [b"a\n", b"b\n", b"c\n", b"d\n", b"e\n"]
    assert_all_taken(run_hydrant(endpoint, "put", STREAM, stdin=b"".join(lines)), lines)
    assert endpoint.batches == [lines, [b"b\n", b"d\n"], [b"b\n"]]


@pytest.mark.parametrize(
    "fault",
    [
        Refusal(503, "ServiceUnavailableException"),
        Refusal(500, "InternalFailure"),
        DROP,
        range(2),
    ],
    ids=str,
)
def test_what_failed_for_a_while_is_put_again(endpoint, fault):
    endpoint.fault = lambda batches: fault if batches < 2 else None
    done = run_hydrant(endpoint, "put", STREAM, stdin=b"a\nb\n")
    assert done.returncode == 0, done.stderr
    assert taken(done) == (2, 4)
    assert endpoint.batches == [[b"a\n", b"b\n"]] * 3
    assert endpoint.stored == [b"a\n", b"b\n"]


def test_what_is_wrong_for_good_is_not_tried_again(endpoint):
    endpoint.fault = lambda _: Refusal(400, "ResourceNotFoundException", "No such stream.")
    done = run_hydrant(endpoint, "put", STREAM, stdin=b"a\n")
    assert done.returncode == 1
    assert b"hydrant: ResourceNotFoundException: No such stream." in done.stderr.splitlines()
    assert taken(done) == (0, 0)
    assert len(endpoint.batches) == 1


def test_it_gives_up_after_the_retry_duration(endpoint):
    endpoint.fault = lambda batches: {0} if batches else {1}
    options = ("--retry-duration", "1")
    done = run_hydrant(endpoint, "put", STREAM, *options, stdin=b"a\nnever\nc\n")
    assert done.returncode == 1
    assert taken(done) == (2, 4)
    assert len(endpoint.batches) > 1
    assert endpoint.stored == [b"a\n", b"c\n"]


def test_nobody_listening_is_an_error(endpoint):
    url = f"http://127.0.0.1:{free_port()}"
    options = ("--endpoint-url", url, "--retry-duration", "0")
    done = run_hydrant(endpoint, "put", STREAM, *options, stdin=b"a\n")
    assert done.returncode == 1
    assert done.stderr.startswith(b"hydrant: ")
    assert taken(done) == (0, 0)
    assert endpoint.batches == []


def test_a_stream_that_is_slowed_down_gets_every_line_once(start_hydrant):
    """The server takes the first entries of each batch and refuses the others."""
    hydrant = start_hydrant("--stream-limit", "*:records=60")
    bucket = FolderBucket(hydrant.data / "buckets", fresh_name("bucket"))
    name = create_stream(hydrant.client(), bucket.arn)
    lines = [b"%d\n" % number for number in range(240)]
    assert_all_taken(run_hydrant(hydrant, "put", name, stdin=b"".join(lines)), lines)
    wait_until(lambda: hydrant.delivered_records(name) == len(lines), "the deliveries")
    delivered = b"".join(bucket.contents()).splitlines(keepends=True)
    assert sorted(delivered) == sorted(lines)


def test_lines_wait_for_a_server_that_is_away(make_hydrant):
    hydrant = make_hydrant(port=free_port()).start()
    bucket = FolderBucket(hydrant.data / "buckets", fresh_name("bucket"))
    name = create_stream(hydrant.client(), bucket.arn)
    hydrant.sigkill()
    with running_hydrant(hydrant, "put", name, "--linger", "0.1") as process:
        process.stdin.write(b"patient\n")
        hydrant.start()
        bucket.wait_for(b"patient\n")
        process.stdin.close()
        assert process.wait(timeout=20) == 0


# MARK: Settings


@pytest.mark.parametrize("key", [PRODUCER, AWKWARD, TEMPORARY], ids=lambda key: key.access_key)
def test_with_keys_it_signs(key):
    with StrictFirehose(key) as endpoint:
        done = run_hydrant(endpoint, "put", STREAM, stdin=b"a\nb\n", key=key)
        assert endpoint.complaints == []
        assert_all_taken(done, [b"a\n", b"b\n"])
        assert endpoint.regions == {"us-east-1"}


@pytest.mark.parametrize(
    ("variables", "options", "region"),
    [
        ({"AWS_DEFAULT_REGION": "eu-west-1"}, (), "eu-west-1"),
        ({"AWS_DEFAULT_REGION": "eu-west-1", "AWS_REGION": "eu-west-2"}, (), "eu-west-2"),
        ({"AWS_REGION": "eu-west-2"}, ("--region", "eu-west-3"), "eu-west-3"),
    ],
    ids=str,
)
def test_the_region_is_what_it_was_told(variables, options, region):
    with StrictFirehose(PRODUCER) as endpoint:
        arguments = ("put", STREAM, *options)
        done = run_hydrant(endpoint, *arguments, stdin=b"a\n", key=PRODUCER, **variables)
        assert_all_taken(done, [b"a\n"])
        assert endpoint.regions == {region}


@pytest.mark.parametrize("how", ["AWS_ENDPOINT_URL_FIREHOSE", "AWS_ENDPOINT_URL", "option"])
def test_the_endpoint_is_where_it_was_told(endpoint, how):
    """The option wins over the service's variable, and that over the general one."""
    nowhere = f"http://127.0.0.1:{free_port()}"
    variables = {"AWS_ENDPOINT_URL": nowhere, "AWS_ENDPOINT_URL_FIREHOSE": nowhere}
    options = ()
    if how == "option":
        options = ("--endpoint-url", endpoint.endpoint)
    else:
        variables[how] = endpoint.endpoint
    if how == "AWS_ENDPOINT_URL":
        del variables["AWS_ENDPOINT_URL_FIREHOSE"]
    done = run_hydrant(None, "put", STREAM, *options, stdin=b"a\n", **variables)
    assert_all_taken(done, [b"a\n"])


@pytest.mark.parametrize(
    "arguments",
    [(), (STREAM, "more"), (STREAM, "--linger", "soon"), (STREAM, "--retry-duration", "-1")],
    ids=" ".join,
)
def test_wrong_arguments_are_refused(endpoint, arguments):
    done = run_hydrant(endpoint, "put", *arguments, stdin=os.urandom(10))
    assert done.returncode != 0
    assert b"Usage" in done.stderr
    assert endpoint.batches == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_tries_at_a_server_that_is_away(number):
    """The first signal, long before the time for tries is up; what was not put is told."""
    with running_hydrant(Away(free_port()), "put", STREAM, "--linger", "0") as process:
        process.stdin.write(b"a line\n")
        said = process.stderr.readline()
        assert b"trying again for 300 s" in said
        assert b"is a server running there?" in said
        process.send_signal(number)
        assert process.wait(20) == 1
        rest = process.stderr.read().decode()
        assert "Unreachable" in rest
        assert rest.splitlines()[-1] == "0 records, 0 bytes"


@dataclass
class Away:
    """Where no server is."""

    port: int

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.port}"
