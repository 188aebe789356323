"""Destinations that never answer: what they must not hold up, and how records wait on disk."""

import stat

import pytest

from bulk_replies import answer, one_by_one, slow
from endpoint_streams import EndpointBench, endpoint_settings, texts
from firehose_receiver import FirehoseReceiver
from firehose_replies import hang
from plaintext import fresh_secret, traces
from search_streams import DELIVERED, SearchBench, StrictBucket, numbered
from splunk_replies import hang as hang_poll
from streams import create_stream, put
from strict_s3 import StrictS3
from waiting import wait_until

pytest_plugins = ["endpoint_fixtures", "search_fixtures"]

pytestmark = pytest.mark.usefixtures("no_violations")

MANY = 70
"""Streams with a request that hangs; more than a server has connections to one host."""

MOST_OF_ONE_HOST = 60
"""So many of them are open at one time at the least."""

SECONDS = 10
"""What others may take meanwhile."""


def hanging_requests(bench: EndpointBench) -> None:
    """Streams to HTTP endpoints that never answer."""
    flows = [bench.http_flow(place={"plan": lambda _: hang}) for _ in range(MANY)]
    for flow in flows:
        flow.put(*texts(1))

    def count() -> int:
        return sum(len(flow.place.requests) for flow in flows)

    wait_until(lambda: count() >= MOST_OF_ONE_HOST, "the requests")


def hanging_polls(bench: EndpointBench) -> None:
    """Streams to Splunk, which takes their data and never says whether it is indexed."""
    flows = [bench.splunk_flow(token={"poll_plan": lambda _: hang_poll}) for _ in range(MANY)]
    for flow in flows:
        flow.put(*texts(1))

    def count() -> int:
        return sum(len(flow.token.polls) for flow in flows)

    wait_until(lambda: count() >= MOST_OF_ONE_HOST, "the polls")


@pytest.mark.parametrize("start_hanging", [hanging_requests, hanging_polls])
def test_destinations_that_hang_do_not_hold_up_buckets_and_others(
    start_endpoints, receivers, start_hanging
):
    with StrictS3() as s3, FirehoseReceiver() as elsewhere:
        bench = start_endpoints(environment=s3.environment)
        bucket = StrictBucket(s3, "plain")
        start_hanging(bench)
        put(bench.client, create_stream(bench.client, bucket.arn), b"an object")
        other = EndpointBench(bench.hydrant, elsewhere, receivers[1]).http_flow()
        other.put(*texts(1))
        other.place.wait_for(*other.records, timeout=SECONDS)
        s3.wait_for(bucket.name, b"an object", timeout=SECONDS)
        assert elsewhere.violations == []


def test_one_that_was_busy_once_goes_on_while_another_hangs(start_endpoints, alone, tmp_path):
    """The one that hangs was busy as well, and then never answers a very large request."""
    hangs = one_by_one(answer(503), slow(600), slow(600))
    settings = endpoint_settings(
        tmp_path / "endpoints.json", {"endpoint": "*", "maximumRequestMegabytes": 100}
    )
    search = SearchBench(start_endpoints(*settings).hydrant, None)
    hints = {"SizeInMBs": 100, "IntervalInSeconds": 2}
    flows = search.flows(alone, {"hangs": hangs}, hints=hints)
    flows["hangs"].put_quickly(numbered(45, text="x" * 1_000_000))
    wait_until(lambda: len(alone.requests_at("/hangs")) >= 2, "the request that hangs")
    flow = search.flows(alone, {"once": one_by_one(answer(503))})["once"]
    flow.put(*numbered(1))
    wait_until(lambda: flow.log(DELIVERED), "the delivery", timeout=SECONDS)
    assert [each.status for each in alone.requests_at("/once")] == [503, 200]
    assert flows["hangs"].log(DELIVERED) == []


def test_files_with_secrets_are_readable_by_their_owner_alone(start_endpoints):
    """The key of an endpoint is in the configuration and, while something waits, in the journal."""
    key = fresh_secret()
    bench = start_endpoints()
    flow = bench.http_flow(place={"plan": lambda _: hang, "access_key": key.decode()})
    flow.put(*texts(1))
    flow.place.wait_for_requests(1)
    found = [bench.hydrant.data / each for each in traces(bench.hydrant.data, key)]
    assert len({each.parent for each in found}) == 2, "the configuration and the journal"
    modes = {each.name: stat.S_IMODE(each.stat().st_mode) for each in found}
    assert {name: oct(mode) for name, mode in modes.items() if mode & 0o077} == {}
