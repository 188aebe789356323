"""As many streams as AWS allows in a region: what a start and an idle server cost.

HYDRANT_FULL_LOAD=1 makes 5,000; without it there are few enough for every day.
"""

import os
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import pytest

from buckets import FolderBucket
from server import Hydrant
from streams import describe, destination, put
from updates import assert_refused
from waiting import wait_until
from wire import Connection, request

FULL = os.environ.get("HYDRANT_FULL_LOAD") == "1"

STREAMS = 5_000 if FULL else 200

CLIENTS = 8

MAXIMUM_MEMORY_BYTES = 300 * 1_000_000

MAXIMUM_IDLE_PROCESSORS = 0.05

pytestmark = pytest.mark.timeout(1_800 if FULL else 180)


def name(number: int) -> str:
    """A stream's name; names sort by number."""
    return f"stream-{number:05}"


def create_all(hydrant: Hydrant, bucket_arn: str) -> None:
    """Creates all streams over several connections at once."""

    def create(client: int) -> None:
        with Connection(hydrant.port, timeout=60) as connection:
            for number in range(client, STREAMS, CLIENTS):
                body = {
                    "DeliveryStreamName": name(number),
                    "ExtendedS3DestinationConfiguration": destination(bucket_arn),
                    "Tags": [{"Key": "number", "Value": str(number)}],
                }
                answer = connection.exchange(request("CreateDeliveryStream", body))
                assert answer.status == 200, answer.body

    with ThreadPoolExecutor(CLIENTS) as clients:
        list(clients.map(create, range(CLIENTS)))


def idle_processors(hydrant: Hydrant) -> float:
    """How many processors the server keeps busy, over a second or so."""
    start, used = time.monotonic(), hydrant.processor_seconds()
    wait_until(lambda: time.monotonic() > start + 1, "a second", timeout=10)
    return (hydrant.processor_seconds() - used) / (time.monotonic() - start)


def list_all(client) -> list[str]:
    """All streams, page by page."""
    names: list[str] = []
    more = True
    while more:
        start = {"ExclusiveStartDeliveryStreamName": names[-1]} if names else {}
        answer = client.list_delivery_streams(Limit=999, **start)
        names += answer["DeliveryStreamNames"]
        more = answer["HasMoreDeliveryStreams"]
    return names


def test_a_server_with_many_streams_starts_and_idles_cheaply(make_hydrant, report_counts):
    hydrant = make_hydrant()
    bucket = FolderBucket(hydrant.data / "buckets", "many")
    hydrant.start()
    create_start = time.monotonic()
    create_all(hydrant, bucket.arn)
    created = time.monotonic() - create_start

    assert hydrant.sigterm() == 0
    start = time.monotonic()
    hydrant.start()
    started = time.monotonic() - start
    wait_until(lambda: idle_processors(hydrant) < MAXIMUM_IDLE_PROCESSORS, "an idle server")
    memory = hydrant.memory_bytes()
    report_counts(
        f"{STREAMS:,} streams: {created:.1f} s to create over {CLIENTS} connections, "
        f"{started:.2f} s from the start until it listens, {memory / 1e6:.0f} MB idle, "
        f"{hydrant.disk_bytes() / 1e6:,.0f} MB on disk"
    )
    assert memory < MAXIMUM_MEMORY_BYTES

    client = hydrant.client()
    assert list_all(client) == [name(number) for number in range(STREAMS)]
    chosen = range(0, STREAMS, STREAMS // 20)
    for number in chosen:
        assert describe(client, name(number))["VersionId"] == "1"
        put(client, name(number), b"<%d>" % number)
    wait_until(lambda: len(bucket.keys()) == len(chosen), "a record of each")
    assert sorted(bucket.contents()) == sorted(b"<%d>" % number for number in chosen)
    if FULL:
        more = partial(
            client.create_delivery_stream,
            DeliveryStreamName="one-too-many",
            ExtendedS3DestinationConfiguration=destination(bucket.arn),
        )
        assert_refused("LimitExceededException", more)
        client.delete_delivery_stream(DeliveryStreamName=name(0))
        more()
