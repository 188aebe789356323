"""`GET /metrics`: the numbers are those of what happened."""

import urllib.error
import urllib.request

import pytest

from buckets import FolderBucket
from metrics import metric, scrape
from ports import free_port
from streams import AT_ONCE, ROLE_ARN, create_stream, destination, fresh_name, put
from waiting import wait_until


@pytest.fixture
def stream(hydrant, client) -> str:
    bucket = FolderBucket(hydrant.data / "buckets", fresh_name("bucket"))
    return create_stream(client, bucket.arn, BufferingHints=AT_ONCE)


def test_puts_are_counted(hydrant, client, stream):
    client.put_record(DeliveryStreamName=stream, Record={"Data": b"12345"})
    put(client, stream, b"678", b"", b"90")
    found = {
        name: metric(hydrant, f"hydrant_incoming_{name}_total", stream=stream)
        for name in ("records", "bytes", "put_requests")
    }
    assert found == {"records": 4, "bytes": 10, "put_requests": 2}
    assert metric(hydrant, "hydrant_throttled_records_total", stream=stream) == 0


def test_what_is_told_to_slow_down_is_counted(start_hydrant):
    hydrant = start_hydrant("--stream-limit", "*:records=2")
    client = hydrant.client()
    bucket = FolderBucket(hydrant.data / "buckets", fresh_name("bucket"))
    stream = create_stream(client, bucket.arn)
    answer = client.put_record_batch(
        DeliveryStreamName=stream, Records=[{"Data": b"x"} for _ in range(5)]
    )
    refused = answer["FailedPutCount"]
    assert refused > 0
    assert metric(hydrant, "hydrant_throttled_records_total", stream=stream) == refused
    assert metric(hydrant, "hydrant_incoming_records_total", stream=stream) == 5 - refused


def test_what_is_delivered_is_counted_and_leaves_the_backlog(hydrant, client, stream):
    put(client, stream, b"123", b"45678")

    def is_settled() -> bool:
        labels = {"stream": stream, "pipeline": "source"}
        states = ("log_backlog_records", "log_backlog_bytes", "buffers_in_flight")
        states += ("data_freshness_seconds",)
        return all(metric(hydrant, f"hydrant_{name}", **labels) == 0 for name in states)

    def delivered(name: str) -> float | None:
        return metric(hydrant, f"hydrant_delivery_to_s3_{name}_total", stream=stream)

    wait_until(lambda: delivered("records") == 2, "the delivery")
    assert (delivered("bytes"), delivered("requests"), delivered("success")) == (8, 1, 1)
    wait_until(is_settled, "an empty log")


def test_what_waits_is_told_with_its_age(hydrant, client):
    bucket = FolderBucket(hydrant.data / "buckets", fresh_name("bucket"))
    hints = {"SizeInMBs": 1, "IntervalInSeconds": 900}
    stream = create_stream(client, bucket.arn, BufferingHints=hints)
    put(client, stream, b"12345", b"678")
    labels = {"stream": stream, "pipeline": "source"}

    def waiting(name: str) -> float | None:
        return metric(hydrant, f"hydrant_{name}", **labels)

    assert (waiting("log_backlog_records"), waiting("log_backlog_bytes")) == (2, 8)
    assert waiting("buffers_in_flight") == 0
    wait_until(lambda: waiting("data_freshness_seconds") >= 1, "a second", pause=0.1)
    assert waiting("data_freshness_seconds") < 30


def test_failures_are_counted(start_hydrant):
    """A folder that cannot be made is a bucket that is away."""
    hydrant = start_hydrant("--s3-retry-duration", "2")
    buckets = hydrant.data / "buckets"
    name = fresh_name("bucket")
    (buckets / name).write_text("no folder")
    client = hydrant.client()
    stream = create_stream(client, f"arn:aws:s3:::{name}", BufferingHints=AT_ONCE)
    put(client, stream, b"x", b"y", b"z")

    def counted(metric_name: str, **labels: str) -> float | None:
        return metric(hydrant, f"hydrant_{metric_name}_total", stream=stream, **labels)

    wait_until(lambda: counted("set_aside_records") == 3, "the end of the retries", timeout=60)
    requests = counted("delivery_to_s3_requests")
    assert requests >= 2
    assert counted("delivery_to_s3_success") == 0
    assert counted("delivery_to_s3_records") == 0
    assert counted("delivery_retries", pipeline="source") == requests - 1


def test_failed_copies_are_counted_by_their_code(hydrant, client):
    bucket = FolderBucket(hydrant.data / "buckets", fresh_name("bucket"))
    stream = fresh_name()
    client.create_delivery_stream(
        DeliveryStreamName=stream,
        RedshiftDestinationConfiguration={
            "RoleARN": ROLE_ARN,
            "ClusterJDBCURL": f"jdbc:redshift://127.0.0.1:{free_port()}/db",
            "CopyCommand": {"DataTableName": "t"},
            "Username": "user",
            "Password": "password",
            "RetryOptions": {"DurationInSeconds": 0},
            "S3Configuration": destination(bucket.arn, BufferingHints=AT_ONCE),
        },
    )
    put(client, stream, b"x")

    def counted(name: str, **labels: str) -> float | None:
        return metric(hydrant, f"hydrant_{name}_total", stream=stream, **labels)

    code = "Redshift.ConnectionFailed"
    wait_until(lambda: counted("copy_failures", code=code) == 1, "the failure")
    assert counted("delivery_to_redshift_requests") == 1
    assert counted("delivery_to_redshift_success") == 0
    assert counted("delivery_to_s3_records") == 1


def test_a_deleted_stream_is_told_no_more(hydrant, client, stream):
    put(client, stream, b"x")
    assert f'stream="{stream}"' in scrape(hydrant)
    client.delete_delivery_stream(DeliveryStreamName=stream)
    wait_until(lambda: f'stream="{stream}"' not in scrape(hydrant), "the end of its metrics")


def test_every_metric_has_a_type_and_a_meaning(hydrant, client, stream):
    lines = scrape(hydrant).splitlines()
    types = {line.split()[2] for line in lines if line.startswith("# TYPE")}
    assert "hydrant_delivery_paused" in types
    assert types == {line.split()[2] for line in lines if line.startswith("# HELP")}


def test_metrics_are_read_and_nothing_else(hydrant):
    request = urllib.request.Request(f"{hydrant.endpoint}/metrics", data=b"x", method="POST")
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(request, timeout=10)
    assert refused.value.code == 405
