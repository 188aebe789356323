"""Delivery to HTTP endpoints: every request is judged by AWS's specification as it arrives."""

import os
import random
import time

import pytest

from buckets import ObjectKey
from certificates import Authority
from endpoint_streams import (
    HTTP,
    IN_ONE_REQUEST,
    EndpointBench,
    endpoint_settings,
    http_destination,
    texts,
)
from firehose_receiver import MOST_RECORDS, FirehoseReceiver
from firehose_replies import hang_up, refusal
from master_keys import MANAGED, SSE, fresh_master_key, write_master_keys
from plaintext import fresh_secret, traces
from producers import MAXIMUM_RECORD_BYTES
from streams import BY_SIZE_ONLY, MEBIBYTE, fresh_name
from transform_programs import PYTHON_FIRST, Programs
from transforms import AWKWARD_RECORDS, STATUS_FAILED, lambda_arn, lambda_processor, processing
from updates import assert_refused, described, update
from waiting import wait_until

pytest_plugins = ["endpoint_fixtures"]

pytestmark = pytest.mark.usefixtures("no_violations")

MOST_DATA_BYTES = 16 * MEBIBYTE
"""Of records in one request."""

ATTRIBUTES = {
    "deployment -context": "pre-prod-gamma",
    "device-types": "",
    "ünïcödé 日本": "🚰 Å",
    'quotes"and\\': "{\"a\": [1, 'b']}",
}

MOST_ATTRIBUTES = {f"{number:02}{'n' * 254}": "v" * 1024 for number in range(50)}
"""As many and as large as the API takes."""

UPPER = """
@each
def handle(record):
    data = content(record)
    return answer(record, data.upper(), result="ProcessingFailed" if b"bad" in data else "Ok")
"""


# MARK: Records


def test_records_arrive_as_they_were_put(endpoints):
    flow = endpoints.http_flow()
    flow.put(*AWKWARD_RECORDS, os.urandom(MAXIMUM_RECORD_BYTES))
    flow.place.wait_for(*flow.records)
    assert flow.bucket.keys() == []


def test_records_of_one_request_keep_their_order(endpoints):
    flow = endpoints.http_flow(BufferingHints=IN_ONE_REQUEST)
    flow.put(*texts(500))
    flow.place.wait_for(*flow.records)
    assert flow.place.records() == flow.records


def test_bodies_can_be_packed(endpoints):
    flow = endpoints.http_flow(place={"compressed": True})
    flow.put(*AWKWARD_RECORDS, *texts(400))
    flow.place.wait_for(*flow.records)


def test_large_bodies_are_sent_without_asking(endpoints):
    """Endpoints that know nothing of 100 (Continue) would cost every request a second."""
    flow = endpoints.http_flow()
    flow.put(*[os.urandom(MAXIMUM_RECORD_BYTES) for _ in range(3)])
    requests = flow.place.wait_for(*flow.records)
    assert max(each.body_bytes for each in requests) > MEBIBYTE
    assert not any(each.asks_first for each in requests)


def test_encoding_none_is_no_encoding(endpoints):
    flow = endpoints.http_flow(RequestConfiguration={"ContentEncoding": "NONE"})
    flow.put(*texts(3))
    flow.place.wait_for(*flow.records)


def test_every_request_has_an_id_of_its_own(endpoints):
    """That it has is checked by the receiver, for all streams."""
    flow = endpoints.http_flow()
    for record in texts(20):
        flow.put(record)
        wait_until(lambda: len(flow.place.records()) == len(flow.records), "the record")
    assert len({each.id for each in flow.place.requests}) == 20


# MARK: What is configured


@pytest.mark.parametrize("query", ["", "?", "?a=b%20c&d=%2F+e;f&d", "/~a/b.c/%41%2f?x=:@!$'()*,"])
def test_the_url_is_sent_as_it_is(endpoints, query):
    flow = endpoints.http_flow(place={"query": query})
    flow.put(*texts(1))
    flow.place.wait_for(*flow.records)


@pytest.mark.parametrize(
    "key",
    ['{"user": "u", "password": "p, \\"w\\""}', "Bearer a.b-c_d/e+f==", "ünïcödé 🚰", "k" * 4096],
    ids=["json", "token", "unicode", "longest"],
)
def test_the_access_key_is_sent_as_it_is(endpoints, key):
    flow = endpoints.http_flow(place={"access_key": key})
    flow.put(*texts(1))
    flow.place.wait_for(*flow.records)
    assert key not in endpoints.hydrant.log()


@pytest.mark.parametrize("attributes", [ATTRIBUTES, MOST_ATTRIBUTES], ids=["awkward", "largest"])
def test_attributes_are_sent_with_every_request(endpoints, attributes):
    flow = endpoints.http_flow(place={"attributes": attributes, "compressed": True})
    flow.put(*texts(1))
    flow.place.wait_for(*flow.records)


def test_no_attributes_are_no_header(endpoints):
    flow = endpoints.http_flow(RequestConfiguration={"CommonAttributes": []})
    flow.put(*texts(1))
    flow.place.wait_for(*flow.records)


def test_an_update_changes_key_and_attributes(endpoints):
    flow = endpoints.http_flow(place={"access_key": "old", "attributes": {"a": "old"}})
    flow.put(b"what was put before")
    flow.place.wait_for(*flow.records)
    flow.place.access_key, flow.place.attributes = "new", {"b": "new"}
    whole = http_destination(flow.place, flow.bucket.arn)
    changed = {name: whole[name] for name in ("EndpointConfiguration", "RequestConfiguration")}
    update(endpoints.client, flow.stream, kind=HTTP, **changed)
    flow.put(b"what was put after it")
    flow.place.wait_for(*flow.records)


def test_tls_endpoints_are_checked_by_their_authority(
    start_endpoints, settings_path, tmp_path, receivers
):
    """The one whose authority is not known gets nothing, and not even the access key."""
    known, unknown = [Authority(tmp_path / each, each) for each in ("known", "unknown")]
    with (
        FirehoseReceiver(pair=known.server()) as good,
        FirehoseReceiver(pair=unknown.server()) as bad,
    ):
        settings = endpoint_settings(
            settings_path,
            {"endpoint": "https://127.0.0.1:*", "certificateAuthority": str(known.path)},
        )
        hydrant = start_endpoints(*settings).hydrant
        flows = [
            EndpointBench(hydrant, each, receivers[1]).http_flow(
                place={"access_key": "secret"}, retry=0
            )
            for each in (good, bad)
        ]
        for flow in flows:
            flow.put(*texts(2))
        flows[0].place.wait_for(*flows[0].records)
        failed = flows[1].wait_for_failures(2)
        assert {each.code for each in failed} == {"HttpEndpoint.ConnectionFailed"}
        assert good.violations == bad.violations == []
        assert flows[1].place.requests == []


def test_secrets_manager_is_refused(endpoints):
    place = endpoints.http.place(fresh_name())
    secret = "arn:aws:secretsmanager:us-east-1:000000000000:secret:name"
    members = http_destination(place, "arn:aws:s3:::some-bucket") | {
        "SecretsManagerConfiguration": {"Enabled": True, "SecretARN": secret}
    }
    message = assert_refused(
        "InvalidArgumentException",
        lambda: endpoints.client.create_delivery_stream(
            DeliveryStreamName=place.stream, HttpEndpointDestinationConfiguration=members
        ),
    )
    assert message.startswith("HttpEndpointDestinationConfiguration")
    assert message.endswith("SecretsManagerConfiguration is not supported")


def test_the_access_key_is_not_described(endpoints):
    flow = endpoints.http_flow(place={"access_key": "do not show this"})
    found = described(endpoints.client, flow.stream, HTTP)
    assert "do not show this" not in str(found)
    assert found["EndpointConfiguration"] == {"Url": flow.place.url, "Name": "test"}


# MARK: Buffers


def test_a_buffer_is_cut_by_size(endpoints):
    flow = endpoints.http_flow(BufferingHints=BY_SIZE_ONLY)
    flow.put_quickly([os.urandom(100_000) for _ in range(25)])
    wait_until(lambda: len(flow.place.records()) >= 20, "two buffers")
    assert [each.data_bytes for each in flow.place.taken()] == [1_000_000] * 2
    # In flight together, they may come in any order.
    assert sorted(flow.place.records()) == sorted(flow.records[:20])


def test_a_buffer_is_cut_when_its_oldest_record_is_old_enough(endpoints):
    flow = endpoints.http_flow(BufferingHints={"SizeInMBs": 5, "IntervalInSeconds": 2})
    start = time.monotonic()
    for record in texts(3):
        flow.put(record)
    (request,) = flow.place.wait_for(*flow.records)
    assert 1.9 < request.when - start < 10


def test_a_large_buffer_is_sent_in_several_requests(endpoints):
    flow = endpoints.http_flow(BufferingHints={"SizeInMBs": 20, "IntervalInSeconds": 3})
    flow.put_quickly([random.randbytes(1_000_000) for _ in range(21)])
    requests = flow.place.wait_for(*flow.records)
    assert max(each.data_bytes for each in requests) <= MOST_DATA_BYTES
    assert len(requests) < 6


def test_a_request_holds_at_most_10_000_records(endpoints):
    flow = endpoints.http_flow(BufferingHints={"SizeInMBs": 64, "IntervalInSeconds": 2})
    flow.put_quickly(texts(12_500))
    requests = flow.place.wait_for(*flow.records)
    assert len(requests) == 2
    assert max(len(each.records) for each in requests) <= MOST_RECORDS


# MARK: Backup


def test_records_that_arrive_are_not_kept(endpoints):
    flow = endpoints.http_flow(S3BackupMode="FailedDataOnly")
    flow.put(*texts(5))
    flow.place.wait_for(*flow.records)
    wait_until(lambda: flow.log("delivered"), "the log")
    assert flow.bucket.keys() == []


@pytest.mark.parametrize("compression", ["UNCOMPRESSED", "GZIP"])
def test_all_data_can_be_backed_up(endpoints, compression):
    """As it was put, in objects as the S3 configuration says."""
    s3 = {"Prefix": "all/", "CompressionFormat": compression}
    flow = endpoints.http_flow(S3BackupMode="AllData", s3=s3)
    flow.put(*AWKWARD_RECORDS)
    flow.place.wait_for(*flow.records)
    for key in flow.wait_for_backup(b"".join(flow.records)):
        parsed = ObjectKey.parse(key, flow.stream)
        assert parsed.prefix.startswith("all/")
        assert parsed.extension == (".gz" if compression == "GZIP" else "")


def test_the_backup_has_buffers_of_its_own(endpoints):
    hints = {"BufferingHints": BY_SIZE_ONLY}
    flow = endpoints.http_flow(S3BackupMode="AllData", s3=hints)
    flow.put_quickly([os.urandom(100_000) for _ in range(15)])
    flow.place.wait_for(*flow.records)
    (key,) = flow.bucket.wait_for_objects(1)
    assert flow.bucket.raw(key) == b"".join(flow.records[:10])


def test_the_backup_does_not_wait_for_the_endpoint(endpoints):
    flow = endpoints.http_flow(S3BackupMode="AllData", place={"plan": lambda _: hang_up})
    flow.put(*texts(5))
    flow.wait_for_backup(b"".join(flow.records))
    flow.place.plan = lambda _: None
    flow.place.wait_for(*flow.records)


def test_failed_records_are_kept_beside_the_backup(endpoints):
    flow = endpoints.http_flow(
        S3BackupMode="AllData", place={"plan": lambda _: refusal(500)}, retry=0
    )
    flow.put(*texts(5))
    flow.wait_for_backup(b"".join(flow.records))
    assert [each.raw for each in flow.wait_for_failures(5)] == flow.records


# MARK: Processing and encryption


def test_what_a_transform_makes_is_delivered(start_endpoints, tmp_path):
    """The backup has what was put, and what it failed lies beside it."""
    programs = Programs(tmp_path)
    bench = start_endpoints(*programs.options, environment={"PATH": PYTHON_FIRST})
    name = programs.write("worker", UPPER)
    buffer = {"BufferSizeInMBs": 1, "BufferIntervalInSeconds": 0}
    flow = bench.http_flow(
        S3BackupMode="AllData",
        s3={"Prefix": "all/", "ErrorOutputPrefix": "errors/"},
        **processing(lambda_processor(lambda_arn(name), **buffer)),
    )
    flow.put(b"the first record", b"a bad record", b"the last record")
    flow.place.wait_for(b"THE FIRST RECORD", b"THE LAST RECORD")
    failed = [key for key in flow.bucket.wait_for_objects(2) if not key.startswith("all/")]
    assert len(failed) == 1 and failed[0].startswith("errors/processing_failed/")
    assert STATUS_FAILED in flow.bucket.raw(failed[0]).decode()
    backup = [flow.bucket.raw(key) for key in flow.bucket.keys() if key.startswith("all/")]
    assert b"".join(backup) == b"".join(flow.records)


def test_encrypted_records_arrive_in_the_open(start_endpoints, tmp_path):
    """While they wait, nothing of them is to be found on the disk."""
    key = write_master_keys(tmp_path / "master.keys", fresh_master_key())
    bench = start_endpoints("--master-key", str(key))
    flow = bench.http_flow(place={"plan": lambda _: hang_up}, extra={SSE: MANAGED})
    secret = fresh_secret()
    flow.put(secret)
    flow.place.wait_for_requests(1)
    assert traces(bench.hydrant.data, secret) == []
    flow.place.plan = lambda _: None
    flow.place.wait_for(secret)


# MARK: Reports


def test_deliveries_are_logged(endpoints):
    flow = endpoints.http_flow(BufferingHints=IN_ONE_REQUEST)
    flow.put(*texts(3))
    flow.place.wait_for(*flow.records)
    (line,) = wait_until(lambda: flow.log("delivered"), "the log")
    assert line["level"] == "info"
    assert line["destination"].lower() == HTTP.lower()
    expected = {"records": 3, "failed": 0, "requests": 1, "attempts": 1}
    assert {name: int(line[name]) for name in expected} == expected
    assert int(line["bytes"]) >= sum(map(len, flow.records))


def test_streams_do_not_mix(endpoints):
    flows = [endpoints.http_flow() for _ in range(10)]
    for number in range(5):
        for flow in flows:
            flow.put(f"record {number} of {flow.stream}".encode())
    for flow in flows:
        flow.place.wait_for(*flow.records)
