"""An update and the records around it: which ones it is in time for, and what it outlives."""

import threading

import pytest

from buckets import FolderBucket, ObjectKey
from streams import AT_ONCE, BY_SIZE_ONLY, create_stream, describe, fresh_name, put
from updates import update
from waiting import wait_until

BUCKET_ARN = "arn:aws:s3:::some-bucket"


# MARK: What it is in time for


def test_records_that_wait_in_the_buffer_go_where_the_update_says(client, hydrant, folder_bucket):
    stream = create_stream(client, "arn:aws:s3:::never", Prefix="old/", BufferingHints=BY_SIZE_ONLY)
    put(client, stream, b"waiting ")
    update(
        client,
        stream,
        BucketARN=folder_bucket.arn,
        Prefix="new/",
        CompressionFormat="GZIP",
        BufferingHints=AT_ONCE,
    )
    put(client, stream, b"and later")
    keys = [ObjectKey.parse(key, stream) for key in folder_bucket.wait_for(b"waiting and later")]
    assert {key.version for key in keys} == {2}
    assert {key.extension for key in keys} == {".gz"}
    assert all(key.prefix.startswith("new/") for key in keys)
    assert not (hydrant.data / "buckets" / "never").exists()


def test_a_shorter_interval_delivers_what_waits_without_another_put(client, folder_bucket):
    stream = create_stream(client, folder_bucket.arn, BufferingHints=BY_SIZE_ONLY)
    put(client, stream, b"waiting")
    assert folder_bucket.keys() == []
    update(client, stream, BufferingHints=AT_ONCE)
    folder_bucket.wait_for(b"waiting")


def test_a_smaller_size_delivers_what_waits_without_another_put(client, folder_bucket):
    hints = {"SizeInMBs": 10, "IntervalInSeconds": 900}
    stream = create_stream(client, folder_bucket.arn, BufferingHints=hints)
    put(client, stream, *[bytes([n]) * 700_000 for n in range(3)])
    assert folder_bucket.keys() == []
    update(client, stream, BufferingHints={"SizeInMBs": 1})
    folder_bucket.wait_for_objects(2)


def test_a_buffer_that_is_on_its_way_keeps_its_key(start_hydrant, seaweed, missing_bucket):
    """Otherwise a retry could write what is there already under another name."""
    hydrant = start_hydrant(environment=seaweed.environment)
    client = hydrant.client()
    stream = create_stream(client, missing_bucket.arn, Prefix="old/")
    put(client, stream, b"sealed ")
    hydrant.wait_for_log(r"NoSuchBucket|\b404\b")
    update(client, stream, Prefix="young/")
    put(client, stream, b"open")
    seaweed.create_bucket(missing_bucket.name)
    keys = missing_bucket.wait_for(b"sealed open", timeout=90)
    parsed = [ObjectKey.parse(key, stream) for key in keys]
    assert [(key.prefix[:3], key.version) for key in parsed] == [("old", 1), ("you", 2)]


def test_updates_lose_and_double_no_record(client, hydrant):
    """Bucket and prefix change all the time while a producer puts."""
    buckets = [FolderBucket(hydrant.data / "buckets", fresh_name("bucket")) for _ in range(2)]
    stream = create_stream(client, buckets[0].arn)
    done = threading.Event()

    def produce() -> None:
        try:
            for number in range(400):
                put(client, stream, b"<%d>" % number)
        finally:
            done.set()

    producer = threading.Thread(target=produce)
    producer.start()
    version = 1
    while not done.is_set() or version < 20:
        bucket = buckets[version % 2]
        update(client, stream, str(version), BucketARN=bucket.arn, Prefix=f"{version}/")
        version += 1
    producer.join()

    def records() -> list[bytes]:
        contents = b"".join(b"".join(bucket.contents()) for bucket in buckets)
        return contents.split(b">")[:-1]

    wait_until(lambda: len(records()) >= 400, "400 records")
    assert sorted(records()) == sorted(b"<%d" % number for number in range(400))


# MARK: What it outlives


@pytest.mark.parametrize("stop", ["sigterm", "sigkill"])
def test_an_update_survives_the_end_of_the_server(start_hydrant, stop):
    hydrant = start_hydrant()
    bucket = FolderBucket(hydrant.data / "buckets", "updated")
    stream = create_stream(hydrant.client(), BUCKET_ARN, BufferingHints=BY_SIZE_ONLY)
    put(hydrant.client(), stream, b"before ")
    update(hydrant.client(), stream, BucketARN=bucket.arn, CompressionFormat="GZIP")
    before = describe(hydrant.client(), stream)
    getattr(hydrant, stop)()
    hydrant.start()
    assert describe(hydrant.client(), stream) == before
    update(hydrant.client(), stream, "2", BufferingHints=AT_ONCE)
    put(hydrant.client(), stream, b"after")
    keys = bucket.wait_for(b"before after")
    assert {ObjectKey.parse(key, stream).version for key in keys} == {3}
