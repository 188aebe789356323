"""`hydrant stats`: the numbers of each stream, for a person and for a program."""

import json
import os
import pty
import select
import signal
import subprocess

import pytest

from buckets import FolderBucket
from certificates import Authority
from commands import Done, run_hydrant, run_redirected, running_hydrant
from ports import free_port
from server import BINARY, Hydrant, clean_environment
from streams import AT_ONCE, ROLE_ARN, create_stream, destination, fresh_name, put
from strict_firehose import StrictFirehose
from transform_programs import Programs
from transforms import lambda_arn, lambda_processor, processing
from waiting import wait_until

LONG = {"SizeInMBs": 64, "IntervalInSeconds": 900}

HEADER = ["STREAM", "IN", "OUT", "FAILED", "DROPPED", "SET ASIDE", "WAIT", "OLDEST", "STATE"]

MEMBERS = {
    *("incomingRecords", "incomingBytes", "throttledRecords", "deliveredRecords"),
    *("backedUpRecords", "failedRecords", "droppedRecords", "setAsideRecords"),
    *("deliveryRetries", "copyFailures", "waitingRecords", "waitingBytes", "buffersInFlight"),
    *("oldestSeconds", "state"),
}

MIXED = """
@each
def handle(record):
    data = content(record)
    if data == b"drop":
        return answer(record, result="Dropped")
    if data == b"fail":
        return answer(record, result="ProcessingFailed")
    return answer(record, data)
"""


def stats(hydrant: Hydrant, *arguments: str) -> str:
    """Runs the command; returns what it printed."""
    done = run_hydrant(hydrant, "stats", *arguments)
    assert (done.returncode, done.stderr) == (0, b""), done.stderr
    return done.stdout.decode()


def numbers(hydrant: Hydrant, stream: str) -> dict:
    """What a program is told of a stream."""
    found = json.loads(stats(hydrant, stream, "--json"))
    assert set(found) == {stream}
    assert set(found[stream]) == MEMBERS
    return found[stream]


def wait_for(hydrant: Hydrant, stream: str, **expected: object) -> dict:
    """Waits until the numbers have these among them; returns all."""

    def is_so() -> dict | None:
        found = numbers(hydrant, stream)
        return found if expected.items() <= found.items() else None

    return wait_until(is_so, f"{expected}", timeout=10)


def table(text: str) -> list[list[str]]:
    """The cells of a table, whose columns stand below each other."""
    head, *rows = text.splitlines()
    starts = [head.index(name) for name in HEADER]
    assert [head[start:].startswith(name) for start, name in zip(starts, HEADER)] == [True] * 9
    cells = []
    for row in rows:
        # Numbers end where their heading ends; texts begin where theirs begins.
        ends = [start + len(name) for start, name in zip(starts, HEADER)]
        state, rest = row[starts[-1] :], row[: starts[-1]].rstrip()
        found = []
        for end in reversed(ends[1:-1]):
            number = rest.removesuffix(" s").split()[-1]
            found.insert(0, number)
            assert len(rest) == end, (row, number)
            rest = rest.removesuffix(" s").removesuffix(number).rstrip()
        cells.append([rest, *found, state])
    return cells


# MARK: Numbers


def test_what_came_in_and_went_out_is_counted(hydrant, client, folder_bucket):
    stream = create_stream(client, folder_bucket.arn)
    put(client, stream, b"one", b"three")
    client.put_record(DeliveryStreamName=stream, Record={"Data": b""})
    found = wait_for(hydrant, stream, deliveredRecords=3, waitingRecords=0)
    assert found == dict.fromkeys(MEMBERS, 0) | {
        "incomingRecords": 3,
        "incomingBytes": 8,
        "deliveredRecords": 3,
        "state": "idle",
    }


def test_what_waits_is_counted(hydrant, client, folder_bucket):
    stream = create_stream(client, folder_bucket.arn, BufferingHints=LONG)
    put(client, stream, b"one", b"three")
    found = wait_for(hydrant, stream, waitingRecords=2)
    assert found["waitingBytes"] >= 8
    assert (found["state"], found["deliveredRecords"]) == ("waiting", 0)
    assert 0 <= found["oldestSeconds"] < 30
    wait_for(hydrant, stream, oldestSeconds=1)
    run_hydrant(hydrant, "flush", stream)
    wait_for(hydrant, stream, waitingRecords=0, deliveredRecords=2, state="idle", oldestSeconds=0)


def test_what_a_transform_did_is_counted(start_hydrant, tmp_path):
    """And what is backed up, which is not delivered."""
    programs = Programs(tmp_path)
    hydrant = start_hydrant(*programs.options)
    client = hydrant.client()
    name = programs.write("once", MIXED)
    bucket = FolderBucket(hydrant.data / "buckets", "bucket")
    stream = create_stream(
        client,
        bucket.arn,
        S3BackupMode="Enabled",
        S3BackupConfiguration=destination("arn:aws:s3:::copies"),
        **processing(lambda_processor(lambda_arn(name))),
    )
    put(client, stream, b"keep", b"drop", b"fail", b"keep", b"keep", b"drop")
    run_hydrant(hydrant, "flush", stream)
    found = wait_for(hydrant, stream, backedUpRecords=6)
    assert (found["incomingRecords"], found["deliveredRecords"]) == (6, 3)
    assert (found["droppedRecords"], found["failedRecords"]) == (2, 1)


def test_what_is_told_to_slow_down_is_counted(start_hydrant):
    hydrant = start_hydrant("--stream-limit", "*:records=2")
    client = hydrant.client()
    stream = create_stream(client, "arn:aws:s3:::bucket")
    records = [{"Data": b"x"}] * 5
    refused = client.put_record_batch(DeliveryStreamName=stream, Records=records)["FailedPutCount"]
    assert numbers(hydrant, stream)["throttledRecords"] == refused > 0


def test_a_delivery_that_is_paused_says_so(start_hydrant):
    """Neither the endpoint nor the bucket for what it does not take is there."""
    hydrant = start_hydrant()
    hydrant.data.joinpath("buckets").mkdir(exist_ok=True)
    hydrant.data.joinpath("buckets", "file").touch()
    endpoint = {"Url": f"http://127.0.0.1:{free_port()}", "Name": "away"}
    hydrant.client().create_delivery_stream(
        DeliveryStreamName="stuck",
        HttpEndpointDestinationConfiguration={
            "EndpointConfiguration": endpoint,
            "RoleARN": ROLE_ARN,
            "BufferingHints": AT_ONCE,
            "RetryOptions": {"DurationInSeconds": 0},
            "S3Configuration": destination("arn:aws:s3:::file"),
        },
    )
    put(hydrant.client(), "stuck", b"record")
    found = wait_for(hydrant, "stuck", state="paused")
    assert found["waitingRecords"] == 1
    assert table(stats(hydrant, "stuck"))[0][-1] == "paused"


def test_a_deleted_stream_is_gone(hydrant, client, folder_bucket):
    stream = create_stream(client, folder_bucket.arn)
    put(client, stream, b"record")
    wait_for(hydrant, stream, deliveredRecords=1)
    client.delete_delivery_stream(DeliveryStreamName=stream)
    assert stream not in json.loads(stats(hydrant, "--json"))


def test_counts_begin_anew_with_the_server_and_what_waits_does_not(start_hydrant):
    hydrant = start_hydrant()
    stream = create_stream(hydrant.client(), "arn:aws:s3:::bucket", BufferingHints=LONG)
    put(hydrant.client(), stream, b"record")
    hydrant.restart()
    found = wait_for(hydrant, stream, waitingRecords=1)
    assert found["incomingRecords"] == 0


# MARK: For a person


def test_a_table_has_a_row_for_each_stream(start_hydrant):
    hydrant = start_hydrant()
    client = hydrant.client()
    names = ["b", "a" * 64, "Z.9_-"]
    for name in names:
        create_stream(client, "arn:aws:s3:::bucket", name=name, BufferingHints=LONG)
    put(client, "b", *[b"record"] * 123)
    rows = table(stats(hydrant))
    assert [row[0] for row in rows] == sorted(names)
    (row,) = [row for row in rows if row[0] == "b"]
    assert row[1:7] == ["123", "0", "0", "0", "0", "123"]
    assert row[8] == "waiting"
    assert table(stats(hydrant, "b"))[0][:7] == row[:7]
    assert set(json.loads(stats(hydrant, "--json"))) == set(names)


def test_a_server_without_streams_says_so(start_hydrant):
    hydrant = start_hydrant()
    assert stats(hydrant) == "no streams yet: `hydrant streams create` makes one\n"
    assert json.loads(stats(hydrant, "--json")) == {}


def test_a_stream_that_got_nothing_yet_is_there(hydrant, client, folder_bucket):
    stream = create_stream(client, folder_bucket.arn)
    assert numbers(hydrant, stream) == dict.fromkeys(MEMBERS, 0) | {"state": "idle"}
    assert table(stats(hydrant, stream)) == [[stream, *"000000", "0", "idle"]]


# MARK: Watching


def test_watching_shows_it_again_and_again(hydrant, client, folder_bucket):
    stream = create_stream(client, folder_bucket.arn)
    with running_hydrant(hydrant, "stats", stream, "--watch", "--json") as process:
        assert json.loads(process.stdout.readline())[stream]["incomingRecords"] == 0
        put(client, stream, b"record")
        assert json.loads(process.stdout.readline())[stream]["incomingRecords"] == 1
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=5) in (0, -signal.SIGINT, 128 + signal.SIGINT)
        assert process.stderr.read() == b""


def test_watching_at_a_terminal_clears_it(hydrant):
    mine, its = pty.openpty()
    process = subprocess.Popen(
        [BINARY, "stats", "--watch", "--endpoint-url", hydrant.endpoint],
        stdin=subprocess.DEVNULL,
        stdout=its,
        env=clean_environment(),
    )
    os.close(its)
    seen = b""
    with process:
        try:
            while b"STATE" not in seen:
                assert select.select([mine], [], [], 10)[0]
                seen += os.read(mine, 65_536)
        finally:
            process.kill()
            os.close(mine)
    assert seen.startswith(b"\x1b[H\x1b[2J")


# MARK: Where it asks


def test_no_key_is_needed(guarded_hydrant, guarded_stream):
    assert guarded_stream in json.loads(stats(guarded_hydrant, "--json"))


def test_it_asks_by_tls_as_well(start_hydrant, tmp_path):
    authority = Authority(tmp_path / "pki")
    hydrant = start_hydrant(*authority.server().options)
    done = run_hydrant(hydrant, "stats", "--json", AWS_CA_BUNDLE=str(authority.path))
    assert (done.returncode, json.loads(done.stdout), done.stderr) == (0, {}, b"")
    done = run_hydrant(hydrant, "stats", "--json")
    assert (done.returncode, done.stdout) == (1, b"")


@pytest.mark.parametrize("end", ["", "/"])
def test_the_endpoint_is_where_it_was_told(hydrant, end):
    done = run_hydrant(None, "stats", "--endpoint-url", hydrant.endpoint + end)
    assert (done.returncode, done.stderr) == (0, b"")


# MARK: Errors


def assert_failed(done: Done) -> str:
    """Checks that a command failed properly; returns what it said."""
    assert (done.returncode, done.stdout) == (1, b"")
    said = done.stderr.decode()
    assert said.startswith("hydrant: ")
    return said


def test_a_stream_that_is_not_there_is_an_error(hydrant):
    assert "nobody" in assert_failed(run_hydrant(hydrant, "stats", "nobody"))
    assert "nobody" in assert_failed(run_hydrant(hydrant, "stats", "nobody", "--watch", "--json"))


def test_nobody_listening_is_an_error(hydrant):
    url = f"http://127.0.0.1:{free_port()}"
    assert url in assert_failed(run_hydrant(hydrant, "stats", "--endpoint-url", url))


def test_other_servers_have_no_such_page():
    with StrictFirehose() as endpoint:
        assert_failed(run_hydrant(endpoint, "stats"))


def test_output_that_cannot_be_written_is_an_error(hydrant):
    for options in ((), ("--json",)):
        done = run_redirected(hydrant, ">/dev/full", "stats", *options)
        assert done.returncode == 1
        assert done.stderr.startswith(b"hydrant: ")


@pytest.mark.parametrize("arguments", [("a", "b"), ("--xml",)], ids=" ".join)
def test_wrong_arguments_are_refused(hydrant, arguments):
    done = run_hydrant(hydrant, "stats", *arguments)
    assert done.returncode == 64
    assert b"Usage" in done.stderr


def test_a_name_is_no_pattern(hydrant, client, folder_bucket):
    stream = create_stream(client, folder_bucket.arn, name=fresh_name("a.c"))
    other = create_stream(client, folder_bucket.arn, name=stream.replace("a.c", "abc"))
    assert numbers(hydrant, stream)["state"] == "idle"
    assert numbers(hydrant, other)["state"] == "idle"
