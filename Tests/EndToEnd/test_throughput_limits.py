"""Streams whose throughput is limited: what is beyond gets "Slow down.", and nothing is lost."""

import time
from functools import partial

import pytest
from botocore.exceptions import ClientError

from buckets import FolderBucket
from streams import create_stream, fresh_name
from waiting import wait_until

SLOW_DOWN = ("ServiceUnavailableException", "Slow down.")

WATCHED_SECONDS = 3


@pytest.fixture
def start_limited(start_hydrant):
    """Starts a server with limits; the function returns its client and a function for streams."""

    def start(*limits: str):
        options = [part for limit in limits for part in ("--stream-limit", limit)]
        hydrant = start_hydrant(*options)
        client = hydrant.client()

        def make(name: str | None = None) -> tuple[str, FolderBucket]:
            bucket = FolderBucket(hydrant.data / "buckets", fresh_name("bucket"))
            return create_stream(client, bucket.arn, name=name), bucket

        return client, make

    return start


def put_batch(client, stream: str, records: list[bytes]) -> list[bool]:
    """Puts a batch; returns which of its records were taken, the first ones being it."""
    answer = client.put_record_batch(
        DeliveryStreamName=stream, Records=[{"Data": each} for each in records]
    )
    entries = answer["RequestResponses"]
    assert len(entries) == len(records)
    taken = ["RecordId" in each for each in entries]
    assert answer["FailedPutCount"] == taken.count(False)
    for entry in entries:
        if "RecordId" not in entry:
            assert (entry["ErrorCode"], entry["ErrorMessage"]) == SLOW_DOWN
        else:
            assert "ErrorCode" not in entry
    assert taken == sorted(taken, reverse=True), "a later record was taken in front of others"
    return taken


def put_one(client, stream: str, record: bytes) -> bool:
    """Puts a record; returns whether it was taken. The only refusal is "Slow down."."""
    try:
        client.put_record(DeliveryStreamName=stream, Record={"Data": record})
    except ClientError as error:
        assert error.response["ResponseMetadata"]["HTTPStatusCode"] == 503
        found = error.response["Error"]
        assert (found["Code"], found["Message"]) == SLOW_DOWN
        return False
    return True


def numbered(start: int, count: int) -> list[bytes]:
    """Records of 8 bytes that can be told apart."""
    return [b"%07d;" % number for number in range(start, start + count)]


# MARK: Batches


def test_of_a_batch_beyond_the_records_the_first_are_taken(start_limited):
    client, make = start_limited("*:records=10")
    stream, bucket = make()
    records = numbered(0, 25)
    assert put_batch(client, stream, records) == [True] * 10 + [False] * 15
    bucket.wait_for(b"".join(records[:10]))


def test_of_a_batch_beyond_the_bytes_the_first_are_taken(start_limited):
    client, make = start_limited("*:bytes=100000")
    stream, bucket = make()
    records = [b"%05d" % number * 2_000 for number in range(25)]
    assert put_batch(client, stream, records) == [True] * 10 + [False] * 15
    bucket.wait_for(b"".join(records[:10]))


def test_of_a_request_beyond_the_requests_nothing_is_taken(start_limited):
    """It is still answered with 200, entry by entry, as AWS does."""
    client, make = start_limited("*:requests=2")
    stream, bucket = make()
    batches = [numbered(100 * each, 5) for each in range(3)]
    start = time.monotonic()
    taken = [put_batch(client, stream, batch) for batch in batches]
    assert taken[:2] == [[True] * 5] * 2
    if time.monotonic() - start < 0.4:
        assert taken[2] == [False] * 5
    expected = [batch for batch, marks in zip(batches, taken, strict=True) if marks[0]]
    bucket.wait_for(b"".join(record for batch in expected for record in batch))


def test_the_narrowest_of_several_limits_counts(start_limited):
    client, make = start_limited("*:records=100,requests=50,bytes=80")
    stream, bucket = make()
    records = numbered(0, 25)
    assert put_batch(client, stream, records) == [True] * 10 + [False] * 15
    bucket.wait_for(b"".join(records[:10]))


def test_a_limit_that_is_not_reached_is_not_noticed(start_limited):
    client, make = start_limited("*:records=1000,requests=1000,bytes=1000000")
    stream, bucket = make()
    assert put_batch(client, stream, numbered(0, 500)) == [True] * 500
    assert put_one(client, stream, b"one more")
    bucket.wait_for(b"".join(numbered(0, 500)) + b"one more")


# MARK: Single records


@pytest.mark.parametrize("limit", ["records=5", "requests=5", "bytes=40"])
def test_a_record_beyond_the_limit_is_refused(start_limited, limit):
    client, make = start_limited(f"*:{limit}")
    stream, bucket = make()
    records = numbered(0, 200)
    taken = [put_one(client, stream, record) for record in records]
    assert taken[:5] == [True] * 5
    assert not all(taken)
    kept = [record for record, was_taken in zip(records, taken, strict=True) if was_taken]
    bucket.wait_for(b"".join(kept))


def test_records_and_batches_draw_on_the_same_allowance(start_limited):
    client, make = start_limited("*:records=3")
    stream, bucket = make()
    start = time.monotonic()
    kept = [b"0"] if put_one(client, stream, b"0") else []
    batch = [b"1", b"2", b"3"]
    kept += batch[: put_batch(client, stream, batch).count(True)]
    kept += [b"4"] if put_one(client, stream, b"4") else []
    assert 3 <= len(kept) <= 3 * (time.monotonic() - start + 1)
    bucket.wait_for(b"".join(kept))


# MARK: Time


@pytest.mark.parametrize("limit", ["records=2", "requests=2", "bytes=16"])
def test_it_goes_on_after_a_while(start_limited, limit):
    """The allowance comes back, and never more than a second's worth of it."""
    client, make = start_limited(f"*:{limit}")
    stream, bucket = make()
    expected = b""
    for number in range(6):
        record = b"%07d;" % number
        wait_until(partial(put_one, client, stream, record), "a place", timeout=10)
        expected += record
    bucket.wait_for(expected)


def test_over_time_the_limit_is_what_is_taken(start_limited):
    """Whatever is offered: as much as was asked for a second, and the burst at the start."""
    rate = 200
    client, make = start_limited(f"*:records={rate}")
    stream, bucket = make()
    kept: list[bytes] = []
    number = 0
    start = time.monotonic()
    while time.monotonic() - start < WATCHED_SECONDS:
        batch = numbered(number, 50)
        number += len(batch)
        taken = put_batch(client, stream, batch)
        kept += batch[: taken.count(True)]
    elapsed = time.monotonic() - start
    assert len(kept) <= rate * (elapsed + 1) + 1
    assert len(kept) >= rate * elapsed * 0.9
    bucket.wait_for(b"".join(kept))


def test_one_stream_s_limit_does_not_touch_another_s(start_limited):
    client, make = start_limited("*:records=5")
    one, one_bucket = make()
    other, other_bucket = make()
    assert put_batch(client, one, numbered(0, 10)).count(True) == 5
    assert put_batch(client, other, numbered(0, 10)).count(True) == 5
    for bucket in (one_bucket, other_bucket):
        bucket.wait_for(b"".join(numbered(0, 5)))


# MARK: Which streams


def test_globs_say_which_streams_are_meant(start_limited):
    client, make = start_limited("logs-*:records=3", "s-?:records=4")
    expected = {"logs-web": 3, "logs-": 3, "s-1": 4, "s-12": 10, "my-logs-web": 10, "other": 10}
    for name, count in expected.items():
        stream, bucket = make(name)
        assert put_batch(client, stream, numbered(0, 10)).count(True) == count, name
        bucket.wait_for(b"".join(numbered(0, count)))


def test_the_first_limit_that_fits_counts(start_limited):
    client, make = start_limited("logs-web:records=7", "logs-*:records=3", "*:records=5")
    for name, count in {"logs-web": 7, "logs-app": 3, "metrics": 5}.items():
        stream, _ = make(name)
        assert put_batch(client, stream, numbered(0, 10)).count(True) == count, name


def test_without_limits_everything_is_taken(start_limited):
    client, make = start_limited()
    stream, bucket = make()
    for number in range(20):
        assert put_batch(client, stream, numbered(500 * number, 500)) == [True] * 500
    bucket.wait_for(b"".join(numbered(0, 10_000)))


def test_other_calls_are_not_limited(start_limited):
    client, make = start_limited("*:requests=1,records=1")
    stream, _ = make()
    for _ in range(20):
        client.describe_delivery_stream(DeliveryStreamName=stream)
        client.list_delivery_streams()


def test_the_sdk_s_own_retries_get_a_record_through(start_hydrant):
    """503 is an error that SDKs repeat by themselves."""
    hydrant = start_hydrant("--stream-limit", "*:records=2")
    bucket = FolderBucket(hydrant.data / "buckets", fresh_name("bucket"))
    client = hydrant.client(attempts=10)
    stream = create_stream(client, bucket.arn)
    for number in range(6):
        client.put_record(DeliveryStreamName=stream, Record={"Data": b"%d" % number})
    bucket.wait_for(b"012345")


# MARK: The option


@pytest.mark.parametrize(
    "limit",
    [
        "",
        "*",
        "records=5",
        "*:",
        "*:records",
        "*:records=",
        "*:records=five",
        "*:records=-1",
        "*:records=1.5x",
        "*:record=5",
        "*:records=5;bytes=7",
        "*:records=5,",
        ":records=5",
        "*:records=99999999999999999999999",
    ],
)
def test_a_limit_that_says_nothing_is_refused(make_hydrant, limit):
    said = make_hydrant("--stream-limit", limit).refusal_to_start()
    assert "stream-limit" in said
