"""Updates that change what kind of destination a stream has: S3, an HTTP endpoint, Splunk."""

import uuid
from itertools import permutations

import pytest

from buckets import FolderBucket
from endpoint_streams import HTTP, SPLUNK, EndpointBench, http_destination, splunk_destination
from firehose_replies import hang_up
from streams import AT_ONCE, destination, fresh_name, put
from updates import described, update
from waiting import wait_until

pytest_plugins = ["endpoint_fixtures"]

pytestmark = pytest.mark.usefixtures("no_violations")

S3 = "ExtendedS3"

KINDS = (S3, HTTP, SPLUNK)

LATER = {"SizeInMBs": 5, "IntervalInSeconds": 60}
"""As long as Splunk allows."""


class Stream:
    """A stream that can have a destination of each kind, all of which are ready."""

    def __init__(self, bench: EndpointBench):
        self.bench = bench
        self.name = fresh_name()
        self.version = 1
        self.bucket = bench.bucket()
        self.errors = bench.bucket()
        self.place = bench.http.place(self.name)
        self.token = bench.splunk.token(str(uuid.uuid4()))

    def destination(self, kind: str, hints: dict) -> dict:
        """The configuration of a kind of destination."""
        if kind == S3:
            return destination(self.bucket.arn, BufferingHints=hints)
        if kind == HTTP:
            return http_destination(self.place, self.errors.arn, BufferingHints=hints)
        return splunk_destination(
            self.bench.splunk, self.token, self.errors.arn, BufferingHints=hints
        )

    def create(self, kind: str, hints: dict) -> None:
        """Creates the stream."""
        self.bench.client.create_delivery_stream(
            DeliveryStreamName=self.name,
            **{f"{kind}DestinationConfiguration": self.destination(kind, hints)},
        )

    def change(self, kind: str, hints: dict = AT_ONCE) -> None:
        """Changes the destination to another kind."""
        whole = self.destination(kind, hints)
        if "S3Configuration" in whole:
            whole["S3Update"] = whole.pop("S3Configuration")
        update(self.bench.client, self.name, str(self.version), kind=kind, **whole)
        self.version += 1

    def content(self, kind: str) -> bytes:
        """What a kind of destination has."""
        if kind == S3:
            return b"".join(self.bucket.contents())
        if kind == HTTP:
            return b"".join(self.place.records())
        return b"".join(self.token.bodies(acknowledged=False))


@pytest.mark.parametrize(("before", "after"), list(permutations(KINDS, 2)))
def test_what_waits_goes_to_the_new_kind(endpoints, before, after):
    stream = Stream(endpoints)
    stream.create(before, LATER)
    put(endpoints.client, stream.name, b"what waits in the buffer; ")
    stream.change(after)
    put(endpoints.client, stream.name, b"what comes later")
    expected = b"what waits in the buffer; what comes later"
    wait_until(lambda: len(stream.content(after)) >= len(expected), f"{after} to have it")
    assert stream.content(after) == expected
    assert stream.content(before) == b""
    assert described(endpoints.client, stream.name, after)


def test_a_kind_can_be_changed_again_and_again(endpoints):
    """What was delivered stays; what is put in between is in one of them."""
    stream = Stream(endpoints)
    stream.create(S3, AT_ONCE)
    records = []
    for number in range(9):
        records.append(f"<record with the number {number}>".encode())
        put(endpoints.client, stream.name, records[-1])
        stream.change(KINDS[(number + 1) % 3])

    def found() -> list[bytes]:
        whole = b"".join(map(stream.content, KINDS))
        return [each + b">" for each in whole.split(b">")[:-1]]

    wait_until(lambda: len(found()) >= len(records), "all records")
    assert sorted(found()) == records


def test_a_buffer_on_its_way_is_not_lost(endpoints):
    """It was sealed for the endpoint that was away; the records behind it need not wait."""
    stream = Stream(endpoints)
    stream.place.plan = lambda _: hang_up
    stream.create(HTTP, AT_ONCE)
    put(endpoints.client, stream.name, b"a record that was sealed")
    stream.place.wait_for_requests(1)
    stream.change(S3)
    put(endpoints.client, stream.name, b"a record that comes later")
    stream.place.plan = lambda _: None
    expected = {b"a record that was sealed", b"a record that comes later"}

    def found() -> bytes:
        return stream.content(HTTP) + stream.content(S3)

    wait_until(lambda: len(found()) >= sum(map(len, expected)), "both records")
    assert all(found().count(each) == 1 for each in expected)
    assert b"a record that comes later" in stream.content(S3)


def test_a_changed_kind_outlives_the_server(start_endpoints):
    bench = start_endpoints()
    stream = Stream(bench)
    stream.create(S3, LATER)
    put(bench.client, stream.name, b"a record that waits")
    stream.change(HTTP, LATER)
    bench.hydrant.sigkill()
    bench.hydrant.start()
    stream.change(SPLUNK)
    wait_until(lambda: stream.content(SPLUNK) == b"a record that waits", "Splunk to have it")
    assert isinstance(stream.bucket, FolderBucket) and stream.bucket.keys() == []
