"""`GET /metrics` about the server itself: the numbers are the kernel's and the clients'."""

import os
import re
import time
import uuid
from collections import Counter
from pathlib import Path

import pytest
from botocore.exceptions import ClientError

from buckets import FolderBucket
from metrics import metric, samples, scrape
from server import Hydrant
from streams import create_stream, fresh_name, put
from waiting import wait_until
from wire import Connection, put_body, request

STRANGERS = 500


@pytest.fixture
def stream(hydrant, client) -> str:
    """A stream that delivers at once."""
    return create_stream(client, FolderBucket(hydrant.data / "buckets", fresh_name("bucket")).arn)


def series(hydrant: Hydrant) -> set[tuple]:
    """Names and labels of all that is told."""
    return set(samples(hydrant))


def answers(hydrant: Hydrant) -> Counter[tuple[str, str]]:
    """Calls so far by operation and code."""
    found: Counter[tuple[str, str]] = Counter()
    for (name, labels), value in samples(hydrant).items():
        if name == "hydrant_api_requests_total":
            found[dict(labels)["operation"], dict(labels)["code"]] = int(value)
    return found


# MARK: Labels are few


def test_names_of_missing_streams_are_no_labels(hydrant):
    with Connection(hydrant.port) as connection:

        def put_in_vain() -> None:
            name = f"missing-{uuid.uuid4().hex}"
            one = {"DeliveryStreamName": name, "Record": {"Data": "eA=="}}
            for operation, body in (("PutRecord", one), ("PutRecordBatch", put_body(name, b"x"))):
                answer = connection.exchange(request(operation, body))
                assert answer.error == "ResourceNotFoundException"

        put_in_vain()
        before, counts = series(hydrant), answers(hydrant)
        for _ in range(STRANGERS):
            put_in_vain()
    assert series(hydrant) == before
    missing = "ResourceNotFoundException"
    for operation in ("PutRecord", "PutRecordBatch"):
        assert answers(hydrant)[operation, missing] == counts[operation, missing] + STRANGERS
    assert "missing-" not in scrape(hydrant)


def test_names_of_unknown_operations_are_no_labels(hydrant):
    with Connection(hydrant.port) as connection:

        def ask_strangely() -> None:
            operation = f"Strange{uuid.uuid4().hex}"
            assert connection.exchange(request(operation, {})).status == 400
            assert connection.exchange(request("", {}, target=operation)).status == 400

        ask_strangely()
        before = series(hydrant)
        for _ in range(STRANGERS):
            ask_strangely()
    assert series(hydrant) == before
    assert "Strange" not in scrape(hydrant)
    unknown = sum(count for (name, _), count in answers(hydrant).items() if name == "unknown")
    assert unknown >= 2 * (STRANGERS + 1)


def test_nothing_is_told_of_streams_that_were_never_put_to_but_their_state(hydrant, client, stream):
    """The fewer series a stream has, the more streams Prometheus can take."""
    told = {name for name, labels in series(hydrant) if ("stream", stream) in labels}
    assert not [name for name in told if "_latency_" in name or "_processing_" in name]


def test_a_deleted_stream_leaves_no_series(hydrant, client, stream):
    put(client, stream, b"x")
    client.put_record(DeliveryStreamName=stream, Record={"Data": b"x"})
    delivered = f'hydrant_delivery_to_s3_records_total{{stream="{stream}"}} 2'
    wait_until(lambda: delivered in scrape(hydrant), "the delivery")
    client.delete_delivery_stream(DeliveryStreamName=stream)
    wait_until(lambda: f'"{stream}"' not in scrape(hydrant), "the end of its metrics")


def test_a_stream_that_is_created_again_begins_at_nothing(hydrant, client, stream):
    put(client, stream, b"x", b"y")
    client.delete_delivery_stream(DeliveryStreamName=stream)

    def is_gone() -> bool:
        return stream not in client.list_delivery_streams(Limit=10_000)["DeliveryStreamNames"]

    wait_until(is_gone, "the end of the stream")
    bucket = FolderBucket(hydrant.data / "buckets", fresh_name("bucket"))
    create_stream(client, bucket.arn, name=stream)
    put(client, stream, b"z")
    assert metric(hydrant, "hydrant_incoming_records_total", stream=stream) == 1
    assert metric(hydrant, "hydrant_put_record_batch_requests_total", stream=stream) == 1


# MARK: Calls


def test_calls_are_counted_with_what_they_were_answered(hydrant, client, stream):
    before = answers(hydrant)
    client.describe_delivery_stream(DeliveryStreamName=stream)
    client.list_delivery_streams()
    for _ in range(3):
        with pytest.raises(ClientError):
            client.describe_delivery_stream(DeliveryStreamName="nobody")
    with pytest.raises(ClientError):
        create_stream(client, "arn:aws:s3:::bucket", name=stream)
    assert answers(hydrant) - before == Counter(
        {
            ("DescribeDeliveryStream", "OK"): 1,
            ("ListDeliveryStreams", "OK"): 1,
            ("DescribeDeliveryStream", "ResourceNotFoundException"): 3,
            ("CreateDeliveryStream", "ResourceInUseException"): 1,
        }
    )


def test_calls_that_are_refused_before_their_end_are_counted(guarded_hydrant):
    """Nobody who has not said who they are may send much: the answer comes before the body."""
    before = answers(guarded_hydrant)
    for _ in range(3):
        with Connection(guarded_hydrant.port) as connection:
            head = request("PutRecord", b"x" * 100_000).split(b"\r\n\r\n")[0]
            connection.send(head + b"\r\n\r\n")
            assert connection.answer().status == 400
    counted = answers(guarded_hydrant) - before
    assert sum(counted.values()) == 3
    ((operation, code),) = counted
    assert operation == "PutRecord"
    assert code != "OK"


def test_every_call_has_a_latency(hydrant, client, stream):
    """Of puts by their stream, of others by their operation; refused ones are no exception."""
    labels = {"operation": "DescribeDeliveryStream"}
    before = metric(hydrant, "hydrant_api_latency_seconds_count", **labels) or 0
    start = time.monotonic()
    client.describe_delivery_stream(DeliveryStreamName=stream)
    with pytest.raises(ClientError):
        client.describe_delivery_stream(DeliveryStreamName="nobody")
    put(client, stream, b"x", b"y")
    for _ in range(3):
        client.put_record(DeliveryStreamName=stream, Record={"Data": b"x"})
    elapsed = time.monotonic() - start
    assert metric(hydrant, "hydrant_api_latency_seconds_count", **labels) == before + 2
    for name, calls in (("put_record", 3), ("put_record_batch", 1)):
        latency = f"hydrant_{name}_latency_seconds"
        assert metric(hydrant, f"{latency}_count", stream=stream) == calls
        assert 0 < metric(hydrant, f"{latency}_sum", stream=stream) < elapsed
        assert metric(hydrant, f"hydrant_{name}_requests_total", stream=stream) == calls


def test_puts_wait_for_syncs_that_are_measured(hydrant, client, stream):
    name = "hydrant_log_sync_seconds"
    before = metric(hydrant, f"{name}_count") or 0
    for number in range(5):
        client.put_record(DeliveryStreamName=stream, Record={"Data": b"%d" % number})
    assert metric(hydrant, f"{name}_count") >= before + 5
    assert metric(hydrant, f"{name}_bucket", le="+Inf") == metric(hydrant, f"{name}_count")


# MARK: The process


def test_the_process_is_told_as_the_kernel_has_it(start_hydrant):
    hydrant = start_hydrant()
    assert hydrant.process is not None
    folder = Path(f"/proc/{hydrant.process.pid}")

    def page() -> dict[str, float]:
        return {name: value for (name, labels), value in samples(hydrant).items() if not labels}

    def are_files_right() -> bool:
        """The connection that asks is gone when they are counted here."""
        return 0 <= page()["process_open_fds"] - len(list((folder / "fd").iterdir())) <= 2

    wait_until(are_files_right, "as many open files as the kernel has")
    found = page()
    assert found["process_resident_memory_bytes"] == pytest.approx(hydrant.memory_bytes(), rel=0.1)
    assert found["process_cpu_seconds_total"] == pytest.approx(hydrant.processor_seconds(), abs=0.2)
    assert found["process_start_time_seconds"] == pytest.approx(started(folder), abs=2)


def started(folder: Path) -> float:
    """When a process was started, in seconds since 1970."""
    ticks = int((folder / "stat").read_text().rpartition(") ")[2].split()[19])
    boot = int(re.search(r"^btime (\d+)$", Path("/proc/stat").read_text(), re.MULTILINE)[1])
    return boot + ticks / os.sysconf("SC_CLK_TCK")


def test_the_version_is_told(hydrant):
    (labels,) = (labels for name, labels in samples(hydrant) if name == "hydrant_build_info")
    assert dict(labels).keys() == {"version"}
    assert metric(hydrant, "hydrant_build_info", **dict(labels)) == 1


def test_open_connections_are_told(start_hydrant):
    """The one that asks is one of them."""
    hydrant = start_hydrant()

    def is_told(count: int) -> bool:
        return metric(hydrant, "hydrant_connections_open") == count

    wait_until(lambda: is_told(1), "no other connection")
    connections = [Connection(hydrant.port) for _ in range(20)]
    wait_until(lambda: is_told(21), "all connections")
    for each in connections[:15]:
        each.__exit__()
    wait_until(lambda: is_told(6), "the end of most of them")
    for each in connections[15:]:
        each.__exit__()
    wait_until(lambda: is_told(1), "the end of the others")


# MARK: Buffers


def test_what_waits_for_a_buffer_to_be_full_is_told(hydrant, client):
    bucket = FolderBucket(hydrant.data / "buckets", fresh_name("bucket"))
    hints = {"SizeInMBs": 1, "IntervalInSeconds": 900}
    stream = create_stream(client, bucket.arn, BufferingHints=hints)
    labels = {"stream": stream, "pipeline": "source"}

    def filled() -> tuple[float | None, float | None]:
        names = ("hydrant_buffer_fill_bytes", "hydrant_buffer_fill_ratio")
        found = [metric(hydrant, each, **labels) for each in names]
        return found[0], found[1]

    assert filled() == (0, 0)
    put(client, stream, b"x" * 262_144)
    assert filled() == (262_144, 0.25)
    put(client, stream, b"x" * 524_288)
    assert filled() == (786_432, 0.75)
    put(client, stream, b"x" * 262_144)
    wait_until(lambda: filled() == (0, 0), "the buffer to be sealed")
