"""`GET /metrics` about destinations, each number against what the destination itself has seen."""

import json
from collections import Counter
from dataclasses import dataclass

import pytest

from bulk_faults import Bulk
from bulk_replies import BUSY, answer, drop, one_by_one, refuse
from counted_load import REFUSED
from endpoint_streams import EndpointBench, EndpointFlow, events_of, texts
from firehose_replies import hang_up, refusal, reset
from metrics import metric, samples
from osmem import STORED_LONG
from processed import transform_at_once
from processors import APPEND_DELIMITER, JSON_OBJECTS, backup
from search_streams import ELASTICSEARCH, OPENSEARCH, SearchFlow, StrictBucket, numbered
from server import Hydrant
from splunk_receiver import EVENT, says
from streams import create_stream, put
from strict_s3 import DROP, StrictS3
from transform_programs import FAILING, FILTER, IDENTITY
from transforms import lines, processing
from updates import update
from waiting import wait_until
from warehouse_streams import WarehouseFlow
from warehouse_streams import numbered as rows

pytest_plugins = [
    "transform_fixtures",
    "endpoint_fixtures",
    "search_fixtures",
    "warehouse_fixtures",
]

pytestmark = pytest.mark.usefixtures("no_violations")

HTTP, SEARCH, SPLUNK = "http_endpoint", "amazon_open_search_service", "splunk"
"""Destinations as the names of metrics have them, behind `delivery_to_`."""


@dataclass(frozen=True)
class Shown:
    """What is told of a stream's deliveries to one kind of destination."""

    requests: float
    success: float
    records: float
    bytes: float


def shown(hydrant: Hydrant, stream: str, place: str) -> Shown:
    """What the page tells, once nothing waits for its delivery; what is missing is 0."""
    wait_until(lambda: is_settled(hydrant, stream), f"the last delivery of {stream}")
    page = samples(hydrant)
    prefix = "" if place.startswith("backup") else "delivery_to_"
    names = [f"hydrant_{prefix}{place}_{each}_total" for each in Shown.__annotations__]
    return Shown(*(page.get((name, frozenset([("stream", stream)])), 0) for name in names))


def is_settled(hydrant: Hydrant, stream: str) -> bool:
    """Whether all pipelines of a stream are done with all its records."""
    waiting = [
        value
        for (name, labels), value in samples(hydrant).items()
        if name == "hydrant_log_backlog_records" and ("stream", stream) in labels
    ]
    assert waiting, f"nothing is told of {stream}"
    return not any(waiting)


def counted(hydrant: Hydrant, name: str, **labels: str) -> float:
    """One counter; what is missing is 0."""
    return metric(hydrant, f"hydrant_{name}_total", **labels) or 0


def size(records: list[bytes]) -> int:
    """The bytes of records."""
    return sum(map(len, records))


# MARK: HTTP endpoints


def at_endpoint(flow: EndpointFlow) -> Shown:
    """What an endpoint has seen of a stream."""
    requests, taken, records = flow.place.requests, flow.place.taken(), flow.place.records()
    return Shown(len(requests), len(taken), len(records), size(records))


def test_what_an_endpoint_takes_is_counted(endpoints):
    flow = endpoints.http_flow()
    for count in (1, 20, 3):
        flow.put(*texts(count, f"round {count}"))
    flow.place.wait_for(*flow.records)
    assert shown(flow.hydrant, flow.stream, HTTP) == at_endpoint(flow)
    assert counted(flow.hydrant, "delivery_retries", stream=flow.stream, pipeline="source") == 0


def test_compression_does_not_change_the_bytes(endpoints):
    flow = endpoints.http_flow(place={"compressed": True})
    flow.put(*texts(100))
    flow.place.wait_for(*flow.records)
    assert shown(flow.hydrant, flow.stream, HTTP).bytes == size(flow.records)


def test_attempts_at_an_endpoint_are_counted(endpoints):
    flow = endpoints.http_flow(
        place={"plan": lambda request: refusal(503) if request.number in (0, 1, 3) else None}
    )
    for text in ("before", "behind"):
        flow.put(*texts(5, text))
        flow.place.wait_for(*flow.records)
    assert len(flow.place.requests) == 5
    assert shown(flow.hydrant, flow.stream, HTTP) == at_endpoint(flow)
    retries = counted(flow.hydrant, "delivery_retries", stream=flow.stream, pipeline="source")
    assert retries == len(flow.place.requests) - flow.place.firsts == 3


@pytest.mark.parametrize("reply", [reset, hang_up])
def test_attempts_without_an_answer_are_counted(start_endpoints, reply):
    """On a fresh connection. What a used one does not answer is sent again as a part of the same
    attempt."""
    plan = {"plan": lambda request: reply if request.number == 0 else None}
    flow = start_endpoints().http_flow(place=plan)
    flow.put(*texts(5))
    flow.place.wait_for(*flow.records)
    assert shown(flow.hydrant, flow.stream, HTTP) == at_endpoint(flow)


def test_records_that_an_endpoint_never_takes_are_failed(endpoints):
    flow = endpoints.http_flow(place={"plan": lambda _: refusal(500)}, retry=0)
    flow.put(*texts(12))
    failed = flow.wait_for_failures(12)
    assert shown(flow.hydrant, flow.stream, HTTP) == Shown(1, 0, 0, 0) == at_endpoint(flow)
    labels = {"stream": flow.stream, "error_output_type": "http-endpoint-failed"}
    assert counted(flow.hydrant, "failed_records", **labels) == len(failed)


def test_what_is_too_large_for_an_endpoint_is_set_aside_and_not_failed(endpoints):
    flow = endpoints.http_flow(place={"plan": lambda _: refusal(413)})
    flow.put(*texts(9))
    flow.place.wait_for_requests(1)
    assert shown(flow.hydrant, flow.stream, HTTP) == Shown(1, 0, 0, 0)
    folder = flow.hydrant.data / "set-aside" / flow.stream
    kept = [each.read_bytes() for each in folder.rglob("*") if each.is_file()]
    assert sum(each.count(b"\n") for each in kept) == 9
    assert counted(flow.hydrant, "set_aside_records", stream=flow.stream) == 9
    failed = {"stream": flow.stream, "error_output_type": "http-endpoint-failed"}
    assert counted(flow.hydrant, "failed_records", **failed) == 0


def test_what_an_endpoint_gets_from_a_transform_is_counted_as_it_gets_it(start_bench, receivers):
    bench = start_bench()
    transform = bench.programs.write("worker", FILTER)
    endpoints = EndpointBench(bench.hydrant, *receivers)
    flow = endpoints.http_flow(**processing(transform_at_once(transform)))
    flow.put(*texts(7, "keep"), *texts(4, "drop"))
    flow.place.wait_for(*texts(7, "keep"))
    assert shown(flow.hydrant, flow.stream, HTTP) == at_endpoint(flow)
    assert counted(flow.hydrant, "dropped_records", stream=flow.stream) == 4


# MARK: Splunk


def at_splunk(flow: EndpointFlow) -> Shown:
    """What Splunk has seen of a stream whose records are lines."""
    bodies = flow.token.bodies()
    records = b"".join(bodies).count(b"\n")
    return Shown(len(flow.token.posts), len(bodies), records, size(bodies))


def acknowledgements(flow: EndpointFlow) -> float:
    """How many acknowledgements were measured."""
    name = "hydrant_delivery_to_splunk_data_ack_latency_seconds_count"
    return metric(flow.hydrant, name, stream=flow.stream) or 0


def test_what_splunk_indexes_is_counted(endpoints):
    flow = endpoints.splunk_flow(token={"delay": 0.5})
    for count in (1, 20, 3):
        flow.put(*texts(count, f"round {count}"))
    wait_until(lambda: size(flow.token.bodies()) == size(flow.records), "all acknowledgements")
    assert shown(flow.hydrant, flow.stream, SPLUNK) == at_splunk(flow)
    assert acknowledgements(flow) == len(flow.token.bodies())
    name = "hydrant_delivery_to_splunk_data_ack_latency_seconds_sum"
    assert metric(flow.hydrant, name, stream=flow.stream) >= 0.5 * acknowledgements(flow)


@pytest.mark.parametrize("code", [9, 7])
def test_attempts_at_splunk_are_counted(endpoints, code):
    flow = endpoints.splunk_flow(
        token={"plan": lambda post: says(code) if post.number < 2 else None}
    )
    flow.put(*texts(5))
    wait_until(lambda: size(flow.token.bodies()) == size(flow.records), "the acknowledgement")
    assert shown(flow.hydrant, flow.stream, SPLUNK) == at_splunk(flow) == Shown(
        3, 1, 5, size(flow.records)
    )
    retries = counted(flow.hydrant, "delivery_retries", stream=flow.stream, pipeline="source")
    assert (retries, acknowledgements(flow)) == (2, 1)


def test_what_splunk_never_takes_is_failed(endpoints):
    flow = endpoints.splunk_flow(token={"plan": lambda _: says(7)}, retry=0)
    flow.put(*texts(5))
    flow.wait_for_failures(5)
    assert shown(flow.hydrant, flow.stream, SPLUNK) == Shown(1, 0, 0, 0)
    labels = {"stream": flow.stream, "error_output_type": "splunk-failed"}
    assert counted(flow.hydrant, "failed_records", **labels) == 5
    assert acknowledgements(flow) == 0


def test_what_is_no_event_is_failed_without_a_request(endpoints):
    flow = endpoints.splunk_flow(token={"kind": EVENT})
    good = events_of(4)
    flow.put(good[0], b"no event", *good[1:], b"{}")
    flow.wait_for_failures(2)
    wait_until(lambda: size(flow.token.bodies()) >= size(good), "the acknowledgement")
    assert shown(flow.hydrant, flow.stream, SPLUNK) == Shown(
        len(flow.token.posts), len(flow.token.bodies()), 4, size(good)
    )


# MARK: OpenSearch


def in_index(flow: SearchFlow, requests: list[Bulk], taken: int) -> Shown:
    """What a search server has seen; `taken` requests of them without a refusal."""
    good = size(flow.records) - sum(len(each.raw) for each in flow.failures())
    return Shown(len(requests), taken, flow.osmem.count(flow.index), good)


@pytest.mark.parametrize("kind", [OPENSEARCH, ELASTICSEARCH])
def test_what_is_indexed_is_counted(search, faults, kind):
    flow = search.flow(faults, kind=kind)
    for count in (1, 20, 3):
        flow.put(*numbered(count, round=count))
    flow.settle(24)
    expected = in_index(flow, faults.requests, len(faults.requests))
    assert shown(flow.hydrant, flow.stream, SEARCH) == expected


def test_documents_that_are_refused_are_failed_and_the_others_are_counted(search, faults):
    flow = search.flow(faults)
    search.osmem.create_index(flow.index, n=STORED_LONG)
    flow.put(*numbered(6), REFUSED, *numbered(3, more=True), REFUSED)
    flow.settle(9, 2)
    # The cluster did what it was asked to: documents that it refuses for good are no failure of it.
    assert shown(flow.hydrant, flow.stream, SEARCH) == in_index(flow, faults.requests, 1)
    labels = {"stream": flow.stream, "error_output_type": "AmazonOpenSearchService-failed"}
    assert counted(flow.hydrant, "failed_records", **labels) == 2


def test_what_is_no_document_is_failed_without_a_request(search, faults):
    flow = search.flow(faults)
    flow.put(b"text", b"[]", b"")
    flow.settle(0, 3)
    assert faults.requests == []
    assert shown(flow.hydrant, flow.stream, SEARCH) == Shown(0, 0, 0, 0)


def test_documents_that_come_later_are_counted_once(search, faults):
    """First the answer is lost, then half of them is put off, then the server is busy."""
    later = refuse(lambda item: BUSY if json.loads(item.document)["n"] % 2 else None)
    faults.plan = one_by_one(drop, later, answer(503))
    flow = search.flow(faults)
    flow.put(*numbered(20))
    flow.settle(20)
    assert shown(flow.hydrant, flow.stream, SEARCH) == in_index(flow, faults.requests, 1)
    retries = counted(flow.hydrant, "delivery_retries", stream=flow.stream, pipeline="source")
    assert retries == len(faults.requests) - 1 == 3


def test_requests_that_were_cut_in_two_are_all_counted(search, faults):
    faults.largest_body = 250_000
    flow = search.flow(faults)
    flow.put(*numbered(50, text="x" * 20_000))
    flow.settle(50)
    taken = sum(each.status == 200 for each in faults.requests)
    assert 1 < taken < len(faults.requests)
    assert shown(flow.hydrant, flow.stream, SEARCH) == in_index(flow, faults.requests, taken)


def test_all_documents_are_backed_up_once(search, faults):
    flow = search.flow(faults, S3BackupMode="AllDocuments")
    search.osmem.create_index(flow.index, n=STORED_LONG)
    flow.put(*numbered(6), REFUSED, b"{no document}")
    flow.settle(6, 2)
    copies = Shown(1, 1, 8, size(flow.records))
    assert shown(flow.hydrant, flow.stream, "backup_to_s3") == copies
    assert shown(flow.hydrant, flow.stream, "s3") == Shown(0, 0, 0, 0)
    (key,) = (key for key in flow.bucket.keys() if "-failed/" not in key)
    assert flow.bucket.content(key) == b"".join(flow.records)


# MARK: S3


def test_attempts_at_s3_are_counted(start_hydrant):
    with StrictS3() as store:
        # The first is carried out, but nobody hears of it.
        store.fault = {0: DROP, 1: 503, 2: 500}.get
        hydrant = start_hydrant(environment=store.environment)
        client = hydrant.client()
        stream = create_stream(client, "arn:aws:s3:::bucket", CompressionFormat="GZIP")
        put(client, stream, *lines(30))
        whole = b"".join(lines(30))
        wait_until(lambda: is_settled(hydrant, stream), "the end")
        assert store.content("bucket") == whole
        assert shown(hydrant, stream, "s3") == Shown(len(store.puts), 1, 30, len(whole))
        retries = counted(hydrant, "delivery_retries", stream=stream, pipeline="source")
        assert retries == len(store.puts) - 1 == 3


def test_attempts_at_the_bucket_for_failed_records_are_retries(start_bench):
    """They are no deliveries, but somebody waits for them just as well."""
    with StrictS3() as store:
        store.fault = {0: 503, 1: 503}.get
        bench = start_bench(environment=store.environment)
        transform = bench.programs.write("worker", FAILING)
        flow = bench.flow(transform, bucket=StrictBucket(store, "bucket"))
        flow.put(*lines(5))
        flow.wait_for_failures(5)
        assert shown(flow.hydrant, flow.stream, "s3") == Shown(0, 0, 0, 0)
        labels = {"stream": flow.stream, "error_output_type": "processing-failed"}
        assert counted(flow.hydrant, "failed_records", **labels) == 5
        retries = counted(flow.hydrant, "delivery_retries", stream=flow.stream, pipeline="outcome")
        assert retries == len(store.puts) - 1 == 2


def test_attempts_to_keep_what_an_endpoint_refused_are_retries(start_endpoints):
    with StrictS3() as store:
        store.fault = {0: 503, 1: 503}.get
        endpoints = start_endpoints(environment=store.environment)
        flow = endpoints.http_flow(
            bucket=StrictBucket(store, "bucket"), place={"plan": lambda _: refusal(500)}, retry=0
        )
        flow.put(*texts(5))
        flow.wait_for_failures(5)
        assert shown(flow.hydrant, flow.stream, HTTP) == Shown(1, 0, 0, 0)
        retries = counted(flow.hydrant, "delivery_retries", stream=flow.stream, pipeline="source")
        assert retries == len(store.puts) - 1 == 2


def test_copies_are_counted_apart_from_deliveries(start_hydrant):
    with StrictS3() as store:
        hydrant = start_hydrant(environment=store.environment)
        client = hydrant.client()
        stream = create_stream(
            client,
            "arn:aws:s3:::bucket",
            **backup("arn:aws:s3:::copies", CompressionFormat="GZIP"),
            **processing(APPEND_DELIMITER),
        )
        records = [b"one", b"two", b"three"]
        put(client, stream, *records)
        store.wait_for("bucket", b"one\ntwo\nthree")
        store.wait_for("copies", b"onetwothree")
        # Without delimiters.
        assert shown(hydrant, stream, "s3") == Shown(1, 1, 3, 11)
        assert shown(hydrant, stream, "backup_to_s3") == Shown(1, 1, 3, 11)


def test_records_that_were_split_are_counted_as_they_are_delivered(start_hydrant):
    with StrictS3() as store:
        hydrant = start_hydrant(environment=store.environment)
        client = hydrant.client()
        stream = create_stream(
            client, "arn:aws:s3:::bucket", **processing(JSON_OBJECTS, APPEND_DELIMITER)
        )
        put(client, stream, b'{"a":1}{"b":2}', b'{"c":3}', b"{")
        assert shown(hydrant, stream, "s3") == Shown(1, 1, 3, 21)
        delivered = b'{"a":1}\n{"b":2}\n{"c":3}'
        assert delivered in [each.body for each in store.objects("bucket").values()]
        labels = {"stream": stream, "error_output_type": "processing-failed"}
        assert counted(hydrant, "failed_records", **labels) == 1
        assert counted(hydrant, "incoming_records", stream=stream) == 3


# MARK: Redshift


def in_table(flow: WarehouseFlow, copies: int, loaded: list[bytes]) -> Shown:
    """What a warehouse has seen, of which one COPY succeeded."""
    assert flow.postgres.count(flow.table) == len(loaded)
    return Shown(copies, 1, len(loaded), size(loaded))


def test_what_is_loaded_is_counted(warehouse):
    flow = warehouse.flow()
    flow.put(*rows(20))
    flow.settle(20)
    assert shown(flow.hydrant, flow.stream, "redshift") == in_table(flow, 1, rows(20))
    assert shown(flow.hydrant, flow.stream, "s3") == Shown(1, 1, 20, size(rows(20)))


def test_copies_that_fail_are_counted_until_one_succeeds(warehouse):
    flow = warehouse.flow(create=False, password=warehouse.postgres.password)
    flow.put(*rows(4))

    def failures() -> float:
        code = "Redshift.TableNotFound"
        return counted(flow.hydrant, "copy_failures", stream=flow.stream, code=code)

    wait_until(lambda: failures() >= 2, "two failures")
    warehouse.postgres.query(f"CREATE TABLE {flow.table} (n bigint)")
    flow.settle(4)
    found = shown(flow.hydrant, flow.stream, "redshift")
    assert found == in_table(flow, int(failures()) + 1, rows(4))
    retries = counted(flow.hydrant, "delivery_retries", stream=flow.stream, pipeline="source")
    assert retries == failures()


# MARK: Changes


def test_an_update_does_not_begin_totals_anew(start_bench):
    """They are totals since the server started, whatever is changed meanwhile."""
    bench = start_bench()
    first, second = (bench.programs.write("worker", each) for each in (FILTER, IDENTITY))
    flow = bench.flow(first)
    flow.put(b"keep 1\n", b"drop 2\n", b"keep 3\n")
    flow.wait_for(b"keep 1\nkeep 3\n")
    before = totals(flow.hydrant, flow.stream)
    update(bench.client, flow.stream, **processing(transform_at_once(second)))
    flow.put(b"drop 4\n", b"keep 5\n")
    flow.wait_for(b"keep 1\nkeep 3\ndrop 4\nkeep 5\n")
    between = totals(flow.hydrant, flow.stream)
    update(bench.client, flow.stream, "2", ProcessingConfiguration={"Enabled": False})
    flow.put(b"as it is\n")
    flow.wait_for(b"keep 1\nkeep 3\ndrop 4\nkeep 5\nas it is\n")
    after = totals(flow.hydrant, flow.stream)
    for old, new in ((before, between), (between, after)):
        assert [name for name in old if new[name] < old[name]] == []
    started = bench.programs.traces(first, "start") + bench.programs.traces(second, "start")
    assert after["hydrant_transform_process_starts_total"] == len(started)
    assert after["hydrant_incoming_records_total"] == 6
    assert after["hydrant_delivery_to_s3_records_total"] == 5
    assert after["hydrant_dropped_records_total"] == 1
    assert after["hydrant_succeed_processing_records_total"] == 4


def totals(hydrant: Hydrant, stream: str) -> Counter:
    """All counters of a stream, once nothing waits, added up where they have other labels."""
    wait_until(lambda: is_settled(hydrant, stream), "the last delivery")
    found: Counter[str] = Counter()
    for (name, labels), value in samples(hydrant).items():
        if ("stream", stream) in labels and name.endswith(("_total", "_count")):
            found[name] += value
    return found


@pytest.mark.parametrize("stop", ["sigterm", "sigkill"])
def test_what_is_delivered_after_a_restart_is_counted_then(start_endpoints, stop):
    bench = start_endpoints()
    flow = bench.http_flow(place={"plan": lambda _: refusal(503), "forgiving": True})
    flow.put(*texts(30))
    flow.place.wait_for_requests(1)
    getattr(bench.hydrant, stop)()
    earlier = len(flow.place.requests)
    flow.place.plan = lambda _: None
    bench.hydrant.start()
    flow.place.wait_for(*flow.records)
    expected = Shown(len(flow.place.requests) - earlier, 1, 30, size(flow.records))
    assert shown(bench.hydrant, flow.stream, HTTP) == expected
    assert counted(bench.hydrant, "incoming_records", stream=flow.stream) == 0
