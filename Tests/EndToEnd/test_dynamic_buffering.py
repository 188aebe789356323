"""Dynamic buffering: a backlog goes out in larger buffers, which shrink as it does."""

from collections.abc import Callable

import pytest

from buckets import decompress
from streams import MEBIBYTE, create_stream, put
from strict_s3 import StrictS3
from waiting import wait_until

BUCKET = "backlog"

SMALL = {"SizeInMBs": 1, "IntervalInSeconds": 1}
"""Also the last buffer goes out soon, so that a test sees all of its records."""

LARGEST_BYTES = 128 * MEBIBYTE
"""Of what S3 is given, whatever the backlog."""

RECORD_BYTES = 250_000


@pytest.fixture
def endpoint():
    """A strict endpoint of the test's own, which is there."""
    with StrictS3() as endpoint:
        yield endpoint


def go_away(endpoint: StrictS3) -> None:
    """Has S3 refuse every object from now on."""
    endpoint.fault = lambda _: 503


def come_back(endpoint: StrictS3) -> None:
    """Has S3 take every object from now on."""
    endpoint.fault = lambda _: None


class Counted:
    """Puts records that say their number, megabyte by megabyte."""

    def __init__(self, client, stream: str):
        self.content = b""
        """All that was put, in order."""
        self._client = client
        self._stream = stream
        self._number = 0

    def connect(self, client) -> None:
        """Follows the server to where it listens now."""
        self._client = client

    def put(self, megabytes: int) -> None:
        """Puts so many megabytes, one a batch."""
        for _ in range(megabytes):
            records = [self._next() for _ in range(1_000_000 // RECORD_BYTES)]
            put(self._client, self._stream, *records)
            self.content += b"".join(records)

    def _next(self) -> bytes:
        self._number += 1
        return b"%08d" % self._number * (RECORD_BYTES // 8)


def sizes(endpoint: StrictS3) -> list[int]:
    """How large the objects are, uncompressed, in the order of their keys."""
    return [len(decompress(each.body)) for each in endpoint.objects(BUCKET).values()]


def waits_at_s3(endpoint: StrictS3) -> Callable[[], bool]:
    """Whether the delivery tries one thing again, and so has begun all that it can."""
    return lambda: len(endpoint.puts) > len({key for _, key, _ in endpoint.puts})


def create(start_hydrant, endpoint: StrictS3, **members):
    """A server, and a producer on a stream of small buffers."""
    hydrant = start_hydrant(environment=endpoint.environment)
    arn = f"arn:aws:s3:::{BUCKET}"
    stream = create_stream(hydrant.client(), arn, BufferingHints=SMALL, **members)
    return hydrant, Counted(hydrant.client(), stream)


def assert_retries_were_the_same(endpoint: StrictS3) -> None:
    """Checks that every attempt of an object had the same content, however large others grew."""
    attempts = {(key, len(body)) for _, key, body in endpoint.puts}
    assert len(attempts) == len({key for key, _ in attempts})


def test_a_backlog_goes_out_in_larger_objects(start_hydrant, endpoint):
    """And in order, with nothing lost or doubled."""
    go_away(endpoint)
    _, producer = create(start_hydrant, endpoint)
    producer.put(60)
    wait_until(waits_at_s3(endpoint), "a second attempt")
    come_back(endpoint)
    endpoint.wait_for(BUCKET, producer.content, timeout=90)
    found = sizes(endpoint)
    assert 2 * MEBIBYTE < max(found) <= LARGEST_BYTES, found
    assert len(found) < 45, found
    assert_retries_were_the_same(endpoint)


def test_what_is_on_its_way_when_the_backlog_grows_stays_as_it_is(start_hydrant, endpoint):
    """Its key may be at S3 already."""
    go_away(endpoint)
    _, producer = create(start_hydrant, endpoint)
    producer.put(2)
    wait_until(waits_at_s3(endpoint), "a second attempt")
    before = {key: body for _, key, body in endpoint.puts}
    producer.put(40)
    come_back(endpoint)
    endpoint.wait_for(BUCKET, producer.content, timeout=90)
    stored = {key: request.body for key, request in endpoint.objects(BUCKET).items()}
    assert {key: stored[key] for key in before} == before
    assert max(sizes(endpoint)) > MEBIBYTE


def test_objects_are_of_the_hinted_size_again_once_the_backlog_is_gone(start_hydrant, endpoint):
    go_away(endpoint)
    _, producer = create(start_hydrant, endpoint)
    producer.put(40)
    wait_until(waits_at_s3(endpoint), "a second attempt")
    come_back(endpoint)
    endpoint.wait_for(BUCKET, producer.content, timeout=90)
    backlog = sizes(endpoint)
    assert max(backlog) > MEBIBYTE
    for _ in range(3):
        producer.put(4)
        endpoint.wait_for(BUCKET, producer.content)
    later = sizes(endpoint)[len(backlog) :]
    assert len(later) >= 12, later
    assert max(later) <= MEBIBYTE, later


def test_a_short_backlog_changes_nothing(start_hydrant, endpoint):
    """A few buffers that wait are no reason for objects of another size than was asked for."""
    go_away(endpoint)
    _, producer = create(start_hydrant, endpoint)
    producer.put(7)
    wait_until(waits_at_s3(endpoint), "a second attempt")
    come_back(endpoint)
    endpoint.wait_for(BUCKET, producer.content, timeout=60)
    assert max(sizes(endpoint)) <= MEBIBYTE


def test_a_backlog_that_outlives_the_server_goes_out_in_larger_objects(start_hydrant, endpoint):
    """What was tried before the end is the same after it."""
    go_away(endpoint)
    hydrant, producer = create(start_hydrant, endpoint)
    producer.put(20)
    wait_until(waits_at_s3(endpoint), "a second attempt")
    hydrant.sigkill()
    hydrant.start()
    producer.connect(hydrant.client())
    producer.put(20)
    come_back(endpoint)
    endpoint.wait_for(BUCKET, producer.content, timeout=90)
    assert max(sizes(endpoint)) > MEBIBYTE
    assert_retries_were_the_same(endpoint)


def test_a_kill_among_growing_buffers_loses_and_doubles_nothing(start_hydrant, endpoint):
    go_away(endpoint)
    hydrant, producer = create(start_hydrant, endpoint)
    producer.put(40)
    wait_until(waits_at_s3(endpoint), "a second attempt")
    come_back(endpoint)
    for stored in (3, 6):
        wait_until(lambda: len(sizes(endpoint)) >= stored, f"{stored} objects", timeout=60)
        hydrant.sigkill()
        hydrant.start()
    endpoint.wait_for(BUCKET, producer.content, timeout=90)
    assert_retries_were_the_same(endpoint)


def test_grown_buffers_are_compressed_as_any(start_hydrant, endpoint):
    """The size is that of the records, whatever becomes of it."""
    go_away(endpoint)
    _, producer = create(start_hydrant, endpoint, CompressionFormat="GZIP")
    producer.put(40)
    wait_until(waits_at_s3(endpoint), "a second attempt")
    come_back(endpoint)
    endpoint.wait_for(BUCKET, producer.content, timeout=90)
    assert MEBIBYTE < max(sizes(endpoint)) <= LARGEST_BYTES
    assert all(key.endswith(".gz") for key in endpoint.objects(BUCKET))
