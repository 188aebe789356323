"""Changes of one stream that are made at the same time: what is left is one of them, whole."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest
from botocore.exceptions import ClientError

from buckets import FolderBucket
from master_keys import MANAGED, fresh_master_key, write_master_keys
from streams import ROLE_ARN, create_stream, describe, destination, fresh_name, put
from updates import described, update
from waiting import wait_until

BUCKET_ARN = "arn:aws:s3:::some-bucket"

LOST = {
    "ResourceNotFoundException",
    "ResourceInUseException",
    "ConcurrentModificationException",
}
"""How a call fails that came too late, or in the middle of another."""

EACH_SECOND = {"SizeInMBs": 1, "IntervalInSeconds": 1}


@pytest.fixture
def hydrant(start_hydrant, tmp_path):
    """A server that has a master key."""
    keys = write_master_keys(tmp_path / "master.keys", fresh_master_key())
    return start_hydrant("--master-key", str(keys), "--accept-undeliverable")


@pytest.fixture
def client(hydrant):
    """A client of it."""
    return hydrant.client()


@contextmanager
def meanwhile(*calls: Callable[[], object]) -> Iterator[None]:
    """Makes every call again and again, each in a thread of its own; some may come too late."""
    done = threading.Event()

    def repeat(call: Callable[[], object]) -> None:
        while not done.is_set():
            try:
                call()
            except ClientError as error:
                assert error.response["Error"]["Code"] in LOST, error

    with ThreadPoolExecutor(len(calls)) as threads:
        running = [threads.submit(repeat, call) for call in calls]
        try:
            yield
        finally:
            done.set()
    for each in running:
        each.result()


def assert_status_is_true(client, stream: str) -> None:
    """Checks that records are sealed just when the stream's description says so."""
    status = describe(client, stream)["DeliveryStreamEncryptionConfiguration"]["Status"]
    answer = client.put_record(DeliveryStreamName=stream, Record={"Data": b"x"})
    assert status == ("ENABLED" if answer["Encrypted"] else "DISABLED")


def test_a_stream_is_encrypted_as_it_says_after_starts_and_stops_at_once(hydrant, client):
    streams = [create_stream(client, BUCKET_ARN) for _ in range(4)]
    with ThreadPoolExecutor(16) as threads:
        for _ in range(40):
            calls = []
            for stream in streams:
                for call in (
                    client.start_delivery_stream_encryption,
                    client.stop_delivery_stream_encryption,
                ) * 2:
                    calls.append(threads.submit(call, DeliveryStreamName=stream))
            for call in calls:
                call.result()
            for stream in streams:
                assert_status_is_true(client, stream)
    before = [describe(client, stream) for stream in streams]
    client = hydrant.restart().client()
    assert [describe(client, stream) for stream in streams] == before
    for stream in streams:
        assert_status_is_true(client, stream)


def test_a_stream_that_cannot_be_delivered_for_a_while_delivers_nowhere_else(hydrant, client):
    """Its records wait until it is one again; none is lost, doubled, or put in a strange place."""
    bucket = FolderBucket(hydrant.data / "buckets", fresh_name("bucket"))
    s3 = destination(bucket.arn, BufferingHints=EACH_SECOND)
    plain = {"Prefix": "p/", **s3}
    other = {
        "RoleARN": ROLE_ARN,
        "ClusterJDBCURL": "jdbc:redshift://127.0.0.1:1/db",
        "CopyCommand": {"DataTableName": "t"},
        "S3Update": destination("arn:aws:s3:::backup"),
        # So that it is one that nothing is delivered for.
        "SecretsManagerConfiguration": {"Enabled": True},
    }
    stream = create_stream(client, bucket.arn, Prefix="p/", BufferingHints=EACH_SECOND)
    numbers = iter(range(1_000_000))
    sent: list[int] = []

    def produce() -> None:
        batch = [next(numbers) for _ in range(20)]
        put(client, stream, *(b"%d," % number + b"x" * 5_000 + b";" for number in batch))
        sent.extend(batch)

    version = 1
    with meanwhile(produce):
        while version < 200 or not bucket.keys():
            kind, members = ("Redshift", other) if version % 2 else ("ExtendedS3", plain)
            update(client, stream, str(version), kind=kind, **members)
            version += 1
    if version % 2 == 0:
        update(client, stream, str(version), **plain)

    def delivered() -> list[int]:
        everywhere = FolderBucket(hydrant.data, "buckets").keys()
        assert [key for key in everywhere if not key.startswith(f"{bucket.name}/p/")] == []
        records = b"".join(bucket.contents()).split(b";")[:-1]
        return [int(each.partition(b",")[0]) for each in records]

    wait_until(lambda: len(delivered()) >= len(sent), "all records")
    assert sorted(delivered()) == sent


def test_a_new_stream_has_nothing_of_the_deleted_one_of_its_name(hydrant, client):
    """A change that was on its way to the old stream is refused, or made to the new one."""
    stream = fresh_name()
    name = {"DeliveryStreamName": stream}
    with meanwhile(
        lambda: client.tag_delivery_stream(**name, Tags=[{"Key": "late", "Value": "x"}]),
        lambda: client.untag_delivery_stream(**name, TagKeys=["late"]),
        lambda: client.stop_delivery_stream_encryption(**name),
        lambda: update(client, stream, "1", CompressionFormat="GZIP"),
        lambda: update(client, stream, "2", CompressionFormat="UNCOMPRESSED"),
    ):
        for number in range(60):
            if number:
                assert described(client, stream)["Prefix"] == prefix
                client.delete_delivery_stream(**name)
            prefix = f"generation-{number}/"
            create_stream(client, BUCKET_ARN, name=stream, Prefix=prefix)
            assert described(client, stream)["Prefix"] == prefix
    assert described(client, stream)["Prefix"] == prefix
    before = describe(client, stream)
    client = hydrant.restart().client()
    assert describe(client, stream) == before


def test_a_deleted_stream_stays_deleted_while_it_is_changed(hydrant, client):
    streams = [create_stream(client, BUCKET_ARN) for _ in range(40)]
    names = iter(streams)
    current = [streams[0]]
    how = {"DeliveryStreamEncryptionConfigurationInput": MANAGED}
    with meanwhile(
        lambda: client.tag_delivery_stream(
            DeliveryStreamName=current[0], Tags=[{"Key": "late", "Value": "x"}]
        ),
        lambda: client.start_delivery_stream_encryption(DeliveryStreamName=current[0], **how),
        lambda: update(client, current[0], Prefix="late/"),
    ):
        for current[0] in names:
            client.delete_delivery_stream(DeliveryStreamName=current[0])
    assert client.list_delivery_streams()["DeliveryStreamNames"] == []
    hydrant.sigkill()
    assert hydrant.start().client().list_delivery_streams()["DeliveryStreamNames"] == []
