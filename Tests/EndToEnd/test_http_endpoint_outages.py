"""HTTP endpoints that are away, alone or together with the bucket for failed records."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from buckets import FolderBucket
from endpoint_streams import (
    GOES_ON,
    HTTP,
    PAUSED,
    EndpointBench,
    EndpointFlow,
    FailedRecord,
    parse_failures,
    texts,
)
from firehose_receiver import MOST_BODY_BYTES, FirehoseReceiver
from firehose_replies import hang, hang_up, refusal
from streams import MEBIBYTE
from strict_s3 import StrictS3
from waiting import wait_until

pytest_plugins = ["endpoint_fixtures"]

pytestmark = pytest.mark.usefixtures("no_violations")

MANY = 60
"""Streams that have something on its way at the same time."""

SMALL_BUFFERS = {"SizeInMBs": 1, "IntervalInSeconds": 1}

BUCKET = FolderBucket(Path(), "failed-records")
"""Only the name counts: `StrictS3` is asked for what is in it."""


class Away:
    """A plan for a place that is away until somebody says otherwise."""

    def __init__(self):
        self.is_away = True

    def __call__(self, _):
        return hang_up if self.is_away else None


@pytest.fixture
def s3() -> Iterator[StrictS3]:
    """An S3 endpoint of the test's own that is away until its `fault` is replaced."""
    with StrictS3() as s3:
        s3.fault = lambda _: 503
        yield s3


def kept(s3: StrictS3) -> list[FailedRecord]:
    """The failed records in the only bucket of an S3 endpoint."""
    contents = [each.body for each in s3.objects(BUCKET.name).values()]
    return [each for content in contents for each in parse_failures(content, HTTP)]


def paused_flow(start_endpoints, s3: StrictS3, plan, *, retry: int = 0) -> EndpointFlow:
    """A stream whose delivery is paused behind its first five records."""
    bench = start_endpoints(environment=s3.environment)
    flow = bench.http_flow(bucket=BUCKET, place={"plan": plan}, retry=retry)
    flow.put(*texts(5, "before"))
    line = wait_until(lambda: flow.log(PAUSED), "the pause")[0]
    assert line["level"] == "error"
    assert flow.log(GOES_ON) == []
    return flow


# MARK: The endpoint alone


def test_an_outage_costs_producers_nothing(endpoints):
    away = Away()
    flow = endpoints.http_flow(place={"plan": away})
    for record in texts(50):
        flow.put(record)
    flow.place.wait_for_requests(2)
    assert flow.place.records() == []
    away.is_away = False
    flow.place.wait_for(*flow.records)
    assert flow.failures() == []


@pytest.mark.parametrize("reply", [hang_up, hang], ids=["hanging up", "hanging"])
def test_endpoints_that_are_away_do_not_hold_up_others(start_endpoints, receivers, reply):
    bench = start_endpoints()
    for _ in range(MANY):
        bench.http_flow(place={"plan": lambda _: reply}).put(*texts(1))
    with FirehoseReceiver() as elsewhere:
        other = EndpointBench(bench.hydrant, elsewhere, receivers[1]).http_flow()
        other.put(*texts(1))
        other.place.wait_for(*other.records, timeout=10)
        assert elsewhere.violations == []


def test_a_backlog_is_delivered_in_larger_requests(endpoints):
    """Up to 64 MiB of body, of which 16 MiB are records."""
    away = Away()
    flow = endpoints.http_flow(place={"plan": away}, BufferingHints=SMALL_BUFFERS)
    flow.put_quickly([os.urandom(250_000) for _ in range(160)])
    flow.place.wait_for_requests(2)
    away.is_away = False
    requests = flow.place.wait_for(*flow.records, timeout=60)
    assert max(each.data_bytes for each in requests) > MEBIBYTE
    assert max(each.data_bytes for each in requests) <= 16 * MEBIBYTE
    assert max(each.body_bytes for each in requests) <= MOST_BODY_BYTES
    calm = len(flow.place.requests)
    flow.put_quickly([os.urandom(250_000) for _ in range(8)])
    flow.place.wait_for(*flow.records)
    assert all(each.data_bytes <= MEBIBYTE for each in flow.place.requests[calm:])


# MARK: Neither takes anything


def test_delivery_goes_on_when_the_endpoint_is_back(start_endpoints, s3):
    """What was given up still waits for the bucket, and is lost in neither place."""
    away = Away()
    flow = paused_flow(start_endpoints, s3, away)
    flow.put(*texts(5, "during"))
    away.is_away = False
    wait_until(lambda: flow.log(GOES_ON), "the end of the pause", timeout=90)
    assert flow.log(GOES_ON)[0]["level"] == "notice"
    flow.put(*texts(5, "after"))
    s3.fault = lambda _: None

    def accounted() -> list[bytes]:
        return [*flow.place.records(), *(each.raw for each in kept(s3))]

    wait_until(lambda: set(accounted()) >= set(flow.records), "all records", timeout=90)
    assert sorted(accounted()) == sorted(flow.records)
    assert set(texts(5, "after")) <= set(flow.place.records())


def test_delivery_goes_on_when_the_bucket_is_back(start_endpoints, s3):
    flow = paused_flow(start_endpoints, s3, Away())
    flow.put(*texts(5, "during"))
    s3.fault = lambda _: None
    wait_until(lambda: len(kept(s3)) >= 10, "all failed records", timeout=90)
    assert sorted(each.raw for each in kept(s3)) == sorted(flow.records)
    wait_until(lambda: flow.log(GOES_ON), "the end of the pause", timeout=30)
    assert s3.refusals == []


def test_a_kill_during_the_pause_loses_nothing(start_endpoints, s3):
    away = Away()
    flow = paused_flow(start_endpoints, s3, away)
    flow.put(*texts(5, "during"))
    flow.hydrant.sigkill()
    flow.hydrant.start()
    flow.put(*texts(5, "after"))
    away.is_away = False
    s3.fault = lambda _: None

    def accounted() -> set[bytes]:
        return {*flow.place.records(), *(each.raw for each in kept(s3))}

    wait_until(lambda: accounted() == set(flow.records), "all records", timeout=90)


def test_failed_records_that_wait_for_the_bucket_do_not_hold_up_the_others(start_endpoints, s3):
    """One record in a hundred fails; while the endpoint takes the rest, nothing is paused."""
    bench = start_endpoints(environment=s3.environment)
    plan = {"plan": lambda request: refusal(500) if request.number == 0 else None}
    flow = bench.http_flow(bucket=BUCKET, place=plan, retry=0)
    flow.put(*texts(1, "fails"))
    flow.place.wait_for_requests(1)
    flow.put(*texts(5, "follows"))
    flow.place.wait_for(*texts(5, "follows"), timeout=60)
    s3.fault = lambda _: None
    wait_until(lambda: kept(s3), "the failed record", timeout=90)
    assert [each.raw for each in kept(s3)] == texts(1, "fails")
    assert not (bench.hydrant.data / "set-aside" / flow.stream).exists()
