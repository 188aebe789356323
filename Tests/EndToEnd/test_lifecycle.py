"""Starting, stopping and being alone: the server as a process."""

import os
import re
import signal
import socket
import subprocess
import threading

import pytest

from buckets import FolderBucket
from server import GRACEFUL_STOP_SECONDS, Hydrant
from streams import BY_SIZE_ONLY, create_stream, fresh_name, put
from waiting import wait_until
from wire import Connection, put_body, request

MEGABYTE_OF_RECORDS = [os.urandom(200_000) for _ in range(5)]


def local_bucket(hydrant: Hydrant) -> FolderBucket:
    """A bucket of a server's embedded default."""
    return FolderBucket(hydrant.data / "buckets", fresh_name("bucket"))


def ends_with_error(hydrant: Hydrant) -> str:
    """Starts a server that must refuse to run; returns what it said."""
    process = hydrant.spawn()
    try:
        status = process.wait(timeout=10)
    except subprocess.TimeoutExpired:
        raise AssertionError("the server runs although it must not") from None
    hydrant.process = None
    assert status > 0, f"exit status {status}"
    assert hydrant.stdout() == ""
    return hydrant.log()


# MARK: Start


def test_it_says_where_it_listens_and_nothing_else(start_hydrant):
    hydrant = start_hydrant()
    bucket = local_bucket(hydrant)
    put(hydrant.client(), create_stream(hydrant.client(), bucket.arn), b"record")
    bucket.wait_for(b"record")
    hydrant.sigterm()
    assert hydrant.stdout() == f"hydrant is listening on http://127.0.0.1:{hydrant.port}\n"


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1"])
def test_only_the_loopback_address_is_served(make_hydrant, host):
    """Requests are not authenticated yet, so nobody else may send any."""
    said = ends_with_error(make_hydrant("--host", host))
    assert "loopback" in said.lower()


def test_an_impossible_port_is_refused(make_hydrant):
    assert "port" in ends_with_error(make_hydrant(port=70_000))


@pytest.mark.parametrize(
    "options",
    [
        ("--durability", "none"),
        ("--s3-addressing", "sideways"),
        ("--compression-level", "10"),
        ("--no-such-option",),
    ],
    ids=" ".join,
)
def test_bad_options_are_refused_by_name(make_hydrant, options):
    assert options[0].lstrip("-") in ends_with_error(make_hydrant(*options))


def test_a_port_that_is_taken_is_named(make_hydrant):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert str(port) in ends_with_error(make_hydrant(port=port))


def test_a_data_folder_serves_one_server_only(make_hydrant, start_hydrant):
    first = start_hydrant()
    second = make_hydrant(folder=first.folder.with_name("second"))
    second.data = first.data
    said = ends_with_error(second)
    assert "in use" in said
    assert str(first.process.pid) in said
    assert first.client().list_delivery_streams()["DeliveryStreamNames"] == []


def test_a_killed_server_leaves_no_lock_behind(start_hydrant):
    hydrant = start_hydrant()
    hydrant.sigkill()
    hydrant.start()
    hydrant.client().list_delivery_streams()


def test_weaker_durability_is_announced(start_hydrant):
    hydrant = start_hydrant("--durability", "os")
    hydrant.wait_for_log(r"(?i)durability.*\bos\b")


# MARK: Stop


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=lambda each: each.name)
def test_it_stops_cleanly_when_asked(start_hydrant, number):
    hydrant = start_hydrant()
    stop = {signal.SIGTERM: hydrant.sigterm, signal.SIGINT: hydrant.sigint}[number]
    assert stop() == 0


def test_idle_connections_do_not_hold_up_the_stop(start_hydrant):
    hydrant = start_hydrant()
    with Connection(hydrant.port) as idle, Connection(hydrant.port) as half:
        idle.exchange(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n")
        half.send(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{")
        assert hydrant.sigterm() == 0


def test_buffered_records_are_kept_over_a_stop(start_hydrant):
    hydrant = start_hydrant()
    bucket = local_bucket(hydrant)
    stream = create_stream(hydrant.client(), bucket.arn, BufferingHints=BY_SIZE_ONLY)
    put(hydrant.client(), stream, *MEGABYTE_OF_RECORDS)
    assert bucket.keys() == []
    hydrant.restart()
    put(hydrant.client(), stream, b"x" * 400_000)
    bucket.wait_for(b"".join(MEGABYTE_OF_RECORDS))


def test_buffered_records_are_kept_over_a_kill(start_hydrant):
    hydrant = start_hydrant()
    bucket = local_bucket(hydrant)
    stream = create_stream(hydrant.client(), bucket.arn, BufferingHints=BY_SIZE_ONLY)
    put(hydrant.client(), stream, *MEGABYTE_OF_RECORDS)
    hydrant.sigkill()
    hydrant.start()
    put(hydrant.client(), stream, b"x" * 400_000)
    bucket.wait_for(b"".join(MEGABYTE_OF_RECORDS))


def test_requests_under_way_are_answered_before_the_stop(start_hydrant):
    """Every put that a client got through has its answer, and its record survives."""
    hydrant = start_hydrant()
    bucket = local_bucket(hydrant)
    stream = create_stream(hydrant.client(), bucket.arn, BufferingHints=BY_SIZE_ONLY)
    acknowledged = threading.Semaphore(0)
    counts: list[int] = []

    def produce() -> None:
        count = 0
        with Connection(hydrant.port, timeout=GRACEFUL_STOP_SECONDS) as connection:
            try:
                while True:
                    answer = connection.exchange(request("PutRecordBatch", put_body(stream, b"x")))
                    count += answer.status == 200
                    acknowledged.release()
            except (AssertionError, OSError):
                counts.append(count)

    producers = [threading.Thread(target=produce) for _ in range(4)]
    for producer in producers:
        producer.start()
    for _ in range(200):
        acknowledged.acquire()
    assert hydrant.sigterm() == 0
    for producer in producers:
        producer.join(timeout=GRACEFUL_STOP_SECONDS)

    hydrant.start()
    put(hydrant.client(), stream, *[b"y" * 1_000_000] * 2)
    bucket.wait_for_objects(1)
    delivered = b"".join(bucket.contents()).count(b"x")
    assert sum(counts) <= delivered <= sum(counts) + len(producers)


# MARK: Delete


def test_delete_discards_what_is_pending_and_frees_the_disk(start_hydrant):
    hydrant = start_hydrant()
    client = hydrant.client()
    bucket = local_bucket(hydrant)
    hints = {"SizeInMBs": 128, "IntervalInSeconds": 900}
    before = hydrant.disk_bytes()
    stream = create_stream(client, bucket.arn, BufferingHints=hints)
    for _ in range(20):
        put(client, stream, *MEGABYTE_OF_RECORDS)
    assert hydrant.disk_bytes() > before + 19_000_000

    client.delete_delivery_stream(DeliveryStreamName=stream)
    assert hydrant.disk_bytes() < before + 1_000_000
    said = [each for each in hydrant.log().splitlines() if stream in each]
    discarded = re.compile(r"(?i)(discard|delete).*\b100\b|\b100\b.*(discard|delete)")
    assert any(discarded.search(each) for each in said), said

    create_stream(client, bucket.arn, name=stream)
    put(client, stream, b"fresh")
    bucket.wait_for(b"fresh")


def test_a_deleted_stream_stays_deleted_after_a_kill(start_hydrant):
    hydrant = start_hydrant()
    stream = create_stream(hydrant.client(), local_bucket(hydrant).arn)
    hydrant.client().delete_delivery_stream(DeliveryStreamName=stream)
    hydrant.sigkill()
    hydrant.start()
    assert hydrant.client().list_delivery_streams()["DeliveryStreamNames"] == []


def test_delivered_records_leave_the_disk(start_hydrant):
    """The log keeps what some reader still needs, no more."""
    hydrant = start_hydrant()
    client = hydrant.client()
    bucket = local_bucket(hydrant)
    stream = create_stream(client, bucket.arn, BufferingHints=BY_SIZE_ONLY)
    for _ in range(300):
        put(client, stream, *MEGABYTE_OF_RECORDS)
    wait_until(lambda: hydrant.delivered_records(stream) >= 1_490, "the deliveries", timeout=60)
    delivered = sum(path.stat().st_size for path in bucket.folder.rglob("*") if path.is_file())
    wait_until(
        lambda: hydrant.disk_bytes() - delivered < 150_000_000, "the log to shrink", timeout=20
    )


# MARK: Wire and process together


def test_a_put_that_was_answered_survives_a_kill_at_once(start_hydrant):
    """The answer is the promise: nothing is done between it and the kill."""
    hydrant = start_hydrant()
    bucket = local_bucket(hydrant)
    stream = create_stream(hydrant.client(), bucket.arn, BufferingHints=BY_SIZE_ONLY)
    for number in range(5):
        with Connection(hydrant.port) as connection:
            body = put_body(stream, b"<%d>" % number)
            assert connection.exchange(request("PutRecordBatch", body)).status == 200
            hydrant.sigkill()
        hydrant.start()
    put(hydrant.client(), stream, *[b"y" * 1_000_000] * 2)
    bucket.wait_for_objects(1)
    assert bucket.contents()[0].startswith(b"<0><1><2><3><4>")
