"""Buffers live on disk: neither their size nor an outage of S3 shows in the server's memory."""

import os
import threading

import pytest

from buckets import S3Bucket
from streams import MEBIBYTE, create_stream
from wire import Connection, put_body, request

LIMIT_BYTES = 200 * 1_000_000

LARGEST_BUFFERS = {"SizeInMBs": 128, "IntervalInSeconds": 900}

PRODUCERS = 8

RECORDS_PER_PUT, RECORD_BYTES = 500, 1_000

PUTS_PER_PRODUCER = 100
"""Makes 400 MB in all: two whole buffers, and most of a third."""


def put_at_full_speed(port: int, stream: str) -> None:
    """Puts the same body over and over on one connection, which costs the client nothing."""
    records = [os.urandom(RECORD_BYTES) for _ in range(RECORDS_PER_PUT)]
    whole = request("PutRecordBatch", put_body(stream, *records))
    with Connection(port, timeout=60) as connection:
        for _ in range(PUTS_PER_PRODUCER):
            answer = connection.exchange(whole)
            assert answer.status == 200, answer.body
            assert answer.json["FailedPutCount"] == 0


@pytest.mark.timeout(400)
def test_memory_stays_small_while_s3_is_down_and_after(start_hydrant, own_seaweed, report_counts):
    bucket = S3Bucket(own_seaweed, own_seaweed.create_bucket())
    own_seaweed.stop()
    hydrant = start_hydrant(environment=own_seaweed.environment)
    stream = create_stream(hydrant.client(), bucket.arn, BufferingHints=LARGEST_BUFFERS)

    failures: list[BaseException] = []

    def produce() -> None:
        try:
            put_at_full_speed(hydrant.port, stream)
        except BaseException as error:
            failures.append(error)

    producers = [threading.Thread(target=produce, daemon=True) for _ in range(PRODUCERS)]
    for producer in producers:
        producer.start()
    for producer in producers:
        producer.join()
    assert not failures, failures
    while_down = hydrant.peak_memory_bytes()

    own_seaweed.start()
    keys = bucket.wait_for_objects(2, timeout=180)
    after = hydrant.peak_memory_bytes()
    report_counts(
        f"peak memory with 128 MB buffers: {while_down / 1e6:.0f} MB while S3 is down, "
        f"{after / 1e6:.0f} MB after the delivery"
    )
    sizes = [len(bucket.content(key)) for key in keys]
    assert all(127 * MEBIBYTE < size <= 128 * MEBIBYTE for size in sizes), sizes
    assert while_down < LIMIT_BYTES
    assert after < LIMIT_BYTES
