"""Objects in a real S3 server: how they are compressed, named, labelled and cut."""

import io
import os
import re
import time
import uuid
import zipfile
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from buckets import ObjectKey
from streams import BY_SIZE_ONLY, ERROR_PREFIX, MEBIBYTE, create_stream, fresh_name, put
from waiting import wait_until

SECOND = timedelta(seconds=1)


def deliver(client, bucket, **members) -> tuple[str, ObjectKey]:
    """Delivers one record with the given configuration; returns the object's key, also parsed."""
    stream = create_stream(client, bucket.arn, **members)
    put(client, stream, b"record")
    (key,) = bucket.wait_for(b"record")
    return key, ObjectKey.parse(key, stream)


def hours_between(start: datetime, end: datetime, pattern: str) -> set[str]:
    """`pattern` filled in for both times: they differ when the hour ends in between."""
    return {f"{start:{pattern}}", f"{end:{pattern}}"}


def now() -> datetime:
    """The time in UTC."""
    return datetime.now(UTC)


# MARK: Compression and labels


@pytest.mark.parametrize(
    ("compression", "extension", "encoding"),
    [("UNCOMPRESSED", "", None), ("GZIP", ".gz", "gzip"), ("ZIP", ".zip", "zip")],
)
def test_every_compression_is_delivered_and_labelled(
    s3_client, bucket, compression, extension, encoding
):
    records = [os.urandom(100_000), b"text " * 20_000, b""]
    stream = create_stream(s3_client, bucket.arn, CompressionFormat=compression)
    put(s3_client, stream, *records)
    for key in bucket.wait_for(b"".join(records)):
        assert ObjectKey.parse(key, stream).extension == extension
        assert bucket.head(key).get("ContentEncoding") == encoding
        magic = {"GZIP": b"\x1f\x8b", "ZIP": b"PK\x03\x04"}.get(compression, b"")
        assert bucket.raw(key).startswith(magic)


def test_a_zip_holds_one_deflated_entry_named_by_a_uuid(s3_client, bucket):
    key, _ = deliver(s3_client, bucket, CompressionFormat="ZIP")
    (entry,) = zipfile.ZipFile(io.BytesIO(bucket.raw(key))).infolist()
    assert entry.compress_type == zipfile.ZIP_DEFLATED
    assert uuid.UUID(entry.filename)


def test_compression_makes_text_smaller(s3_client, bucket):
    text = b"the same line over and over\n" * 10_000
    stream = create_stream(s3_client, bucket.arn, CompressionFormat="GZIP")
    put(s3_client, stream, text)
    assert sum(len(bucket.raw(key)) for key in bucket.wait_for(text)) < len(text) / 50


# MARK: Keys


def test_the_default_prefix_is_the_hour_in_utc(s3_client, bucket):
    start = now()
    _, key = deliver(s3_client, bucket)
    assert key.prefix in hours_between(start, now(), "%Y/%m/%d/%H/")
    assert key.version == 1
    assert start - SECOND <= key.time <= now()
    assert uuid.UUID(key.uuid)


@pytest.mark.parametrize("prefix", ["legacy", "folder/"])
def test_a_prefix_without_expressions_gets_the_hour_appended(s3_client, bucket, prefix):
    """AWS adds no slash in between."""
    start = now()
    _, key = deliver(s3_client, bucket, Prefix=prefix)
    assert key.prefix in hours_between(start, now(), f"{prefix}%Y/%m/%d/%H/")


def test_a_prefix_with_a_timestamp_is_used_as_it_is(s3_client, bucket):
    start = now()
    prefix = "logs/!{timestamp:'year='yyyy'/month='MM}/day=!{timestamp:dd}/!{timestamp:HH}h-"
    _, key = deliver(s3_client, bucket, Prefix=prefix, ErrorOutputPrefix=ERROR_PREFIX)
    pattern = "logs/year=%Y/month=%m/day=%d/%Hh-"
    assert key.prefix in hours_between(start, now(), pattern)


def test_a_random_string_is_new_in_every_place(s3_client, bucket):
    """An expression without a timestamp gets the hour appended, too."""
    start = now()
    prefix = "!{firehose:random-string}/!{firehose:random-string}/"
    _, key = deliver(s3_client, bucket, Prefix=prefix, ErrorOutputPrefix=ERROR_PREFIX)
    first, second, hour = key.prefix.split("/", 2)
    assert re.fullmatch(r"[0-9a-z-]{11}", first)
    assert re.fullmatch(r"[0-9a-z-]{11}", second)
    assert first != second
    assert hour in hours_between(start, now(), "%Y/%m/%d/%H/")


@pytest.mark.parametrize("zone", ["Pacific/Kiritimati", "America/Los_Angeles", "Asia/Kolkata"])
def test_a_time_zone_moves_the_prefix(s3_client, bucket, zone):
    local = ZoneInfo(zone)
    start = now().astimezone(local)
    _, key = deliver(
        s3_client,
        bucket,
        Prefix="!{timestamp:yyyy-MM-dd'T'HH}/",
        ErrorOutputPrefix=ERROR_PREFIX,
        CustomTimeZone=zone,
    )
    assert key.prefix in hours_between(start, now().astimezone(local), "%Y-%m-%dT%H/")


def test_a_time_zone_moves_the_default_prefix(s3_client, bucket):
    local = ZoneInfo("Pacific/Kiritimati")
    start = now().astimezone(local)
    _, key = deliver(s3_client, bucket, CustomTimeZone="Pacific/Kiritimati")
    assert key.prefix in hours_between(start, now().astimezone(local), "%Y/%m/%d/%H/")


@pytest.mark.parametrize("compression", ["UNCOMPRESSED", "GZIP"])
def test_a_file_extension_replaces_the_default(s3_client, bucket, compression):
    _, key = deliver(
        s3_client, bucket, CompressionFormat=compression, FileExtension=".jsonl.compressed"
    )
    assert key.extension == ".jsonl.compressed"


def test_awkward_prefixes_arrive_as_they_were_given(s3_client, bucket):
    prefix = "sp ace/plus+/dt=1/ünïcödé-日本/100%/(a)!*'/"
    key, _ = deliver(s3_client, bucket, Prefix=prefix)
    assert key.startswith(prefix)


def test_keys_sort_in_the_order_of_the_records(s3_client, bucket):
    """Under a constant prefix, readers get the records back in order by listing the bucket."""
    stream = create_stream(
        s3_client, bucket.arn, Prefix="!{timestamp:'all'}/", ErrorOutputPrefix=ERROR_PREFIX
    )
    expected = b""
    for number in range(25):
        put(s3_client, stream, b"%d " % number)
        expected += b"%d " % number
        if number % 5 == 0:
            bucket.wait_for(expected)
    assert len(bucket.wait_for(expected)) > 1


# MARK: Cuts


def test_a_buffer_is_cut_by_size(s3_client, bucket):
    stream = create_stream(s3_client, bucket.arn, BufferingHints=BY_SIZE_ONLY)
    records = [os.urandom(100_000) for _ in range(25)]
    for record in records:
        put(s3_client, stream, record)
    bucket.wait_for_objects(2)
    contents = bucket.contents()
    assert b"".join(records).startswith(b"".join(contents))
    assert [len(each) for each in contents] == [1_000_000, 1_000_000]


def test_one_batch_larger_than_the_buffer_is_split(s3_client, bucket):
    stream = create_stream(s3_client, bucket.arn, BufferingHints=BY_SIZE_ONLY)
    records = [os.urandom(400_000) for _ in range(10)]
    put(s3_client, stream, *records)
    bucket.wait_for_objects(4)
    contents = bucket.contents()
    assert b"".join(records).startswith(b"".join(contents))
    assert all(len(each) <= MEBIBYTE for each in contents)


def test_size_is_measured_before_compression(s3_client, bucket):
    stream = create_stream(
        s3_client, bucket.arn, BufferingHints=BY_SIZE_ONLY, CompressionFormat="GZIP"
    )
    put(s3_client, stream, *[b"0" * 500_000] * 5)
    keys = bucket.wait_for_objects(2)
    assert all(len(bucket.raw(key)) < 10_000 for key in keys)
    assert all(len(bucket.content(key)) == 1_000_000 for key in keys)


def test_a_buffer_is_cut_when_its_oldest_record_is_old_enough(s3_client, bucket):
    hints = {"SizeInMBs": 5, "IntervalInSeconds": 2}
    stream = create_stream(s3_client, bucket.arn, BufferingHints=hints)
    start = time.monotonic()
    for record in (b"first ", b"second ", b"third"):
        put(s3_client, stream, record)
    (_,) = bucket.wait_for(b"first second third")
    assert 1.9 < time.monotonic() - start < 10


def test_streams_do_not_mix(s3_client, bucket):
    streams = [create_stream(s3_client, bucket.arn, Prefix=f"{n}/") for n in range(5)]
    for _ in range(4):
        for stream in streams:
            put(s3_client, stream, f"[{stream}]".encode())

    def found() -> dict[str, bytes]:
        contents = dict.fromkeys(streams, b"")
        for key in bucket.keys():
            contents[streams[int(key.partition("/")[0])]] += bucket.content(key)
        return contents

    expected = {stream: f"[{stream}]".encode() * 4 for stream in streams}
    wait_until(lambda: found() == expected, "every stream's records under its prefix")


def test_buckets_can_be_addressed_by_host_name(start_hydrant, seaweed, bucket):
    """libcurl takes every name below `localhost` to the loopback address."""
    options = (
        *("--s3-endpoint", f"http://localhost:{seaweed.port}"),
        *("--s3-addressing", "virtual"),
    )
    client = start_hydrant(*options, environment=seaweed.environment).client()
    key, _ = deliver(client, bucket, Prefix="a b=c/")
    assert key.startswith("a b=c/")


def test_each_object_is_logged_with_its_key_and_count(s3_hydrant, s3_client, bucket):
    stream = create_stream(s3_client, bucket.arn, name=fresh_name("logged"))
    put(s3_client, stream, b"a", b"b", b"c")
    keys = bucket.wait_for(b"abc")
    wait_until(lambda: s3_hydrant.delivered_records(stream) == 3, "3 records in the log")
    assert [each.key for each in s3_hydrant.deliveries(stream)] == keys
