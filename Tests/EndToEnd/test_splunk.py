"""Delivery to Splunk: every request is judged by what HEC's documentation says of it."""

import json
import os
import time
from collections import Counter
from itertools import pairwise

import pytest

from buckets import ObjectKey
from certificates import Authority
from endpoint_streams import (
    IN_ONE_REQUEST,
    SPLUNK,
    EndpointBench,
    endpoint_settings,
    events_of,
    splunk_destination,
    texts,
)
from master_keys import MANAGED, SSE, fresh_master_key, write_master_keys
from plaintext import fresh_secret, traces
from processors import APPEND_DELIMITER
from producers import MAXIMUM_RECORD_BYTES
from splunk_receiver import EVENT, MOST_BYTES, RAW, SplunkReceiver
from splunk_replies import HANDSHAKE, INVALID_FORMAT, hang_up
from streams import MEBIBYTE, fresh_name
from transform_programs import PYTHON_FIRST, Programs
from transforms import AWKWARD_RECORDS, STATUS_FAILED, lambda_arn, lambda_processor, processing
from updates import assert_refused, update
from waiting import wait_until

pytest_plugins = ["endpoint_fixtures"]

pytestmark = pytest.mark.usefixtures("no_violations")

EVENTS = {"token": {"kind": EVENT}}

BY_SIZE = {"SizeInMBs": 1, "IntervalInSeconds": 60}
"""As long as the API allows."""

GOOD_EVENTS = [
    b'{"event":"text"}',
    b'{"event":{"a":[1,null]},"time":1.5,"host":"h","source":"s","sourcetype":"t","index":"i"}',
    b'\r\n {"event" : 0}\t\n',
    b'{"event":false,"fields":{"a":"b"}}',
    b'{"event":" "}',
    '{"event":"日本 🚰 \\u0000 }{"}'.encode(),
    b'{"event":"one"}{"event":"two"}\n{"event":3}',
]

BAD_EVENTS = [
    b"",
    b" \n",
    b"text",
    b"5",
    b'"event"',
    b"{}",
    b'{"time":1}',
    b'{"event":null}',
    b'{"event":""}',
    b'[{"event":"text"}]',
    b'{"event":"text"',
    b'{"event":"text"}}',
    b'{"event":"text"} text',
    b'{"event":"one"},{"event":"two"}',
    b'{"event" : ""}',
    b'{"event" : null}',
    b'{"event":"one"}{"event":""}',
    b'{"event":"\xff"}',
    b"{'event':'text'}",
]
"""Records that HEC would refuse, together with all that is in one request with them."""


# MARK: Records


def test_raw_records_follow_one_another(endpoints):
    flow = endpoints.splunk_flow(BufferingHints=IN_ONE_REQUEST)
    flow.put(*AWKWARD_RECORDS)
    (post,) = flow.token.wait_for(b"".join(AWKWARD_RECORDS))
    assert post.body == b"".join(AWKWARD_RECORDS)
    assert flow.bucket.keys() == []


def test_the_largest_record_arrives(endpoints):
    flow = endpoints.splunk_flow()
    flow.put(os.urandom(MAXIMUM_RECORD_BYTES))
    flow.token.wait_for(flow.records[0])


def test_events_follow_one_another(endpoints):
    flow = endpoints.splunk_flow(**EVENTS, BufferingHints=IN_ONE_REQUEST)
    flow.put(*GOOD_EVENTS)
    (post,) = flow.token.wait_for(b"".join(GOOD_EVENTS))
    assert post.body == b"".join(GOOD_EVENTS)


def test_records_that_are_no_events_fail_alone(endpoints):
    """They are not sent, for HEC would refuse the others with them."""
    flow = endpoints.splunk_flow(**EVENTS, BufferingHints=IN_ONE_REQUEST)
    good = events_of(len(BAD_EVENTS))
    flow.put(*(each for pair in zip(BAD_EVENTS, good, strict=True) for each in pair))
    flow.token.wait_for(b"".join(good))
    failed = flow.wait_for_failures(len(BAD_EVENTS))
    assert [each.raw for each in failed] == BAD_EVENTS
    assert {(each.code, each.attempts) for each in failed} == {(INVALID_FORMAT, 0)}
    assert len(flow.token.posts) == 1


@pytest.mark.parametrize(("kind", "records"), [(RAW, texts(3)), (EVENT, events_of(3))])
def test_a_delimiter_is_behind_each_record(endpoints, kind, records):
    flow = endpoints.splunk_flow(
        token={"kind": kind}, BufferingHints=IN_ONE_REQUEST, **processing(APPEND_DELIMITER)
    )
    flow.put(*records)
    flow.token.wait_for(b"".join(each + b"\n" for each in records))


@pytest.mark.parametrize("kind", [RAW, EVENT])
def test_a_stream_keeps_to_a_channel_of_its_own(endpoints, kind):
    """HEC numbers acknowledgements by channel; the receiver looks at where the channel stands."""
    flows = [endpoints.splunk_flow(token={"kind": kind}) for _ in range(2)]
    for flow in flows:
        for event in events_of(2):
            flow.put(event)
            flow.token.wait_for(b"".join(flow.records))
    channels = [{each.channel for each in flow.token.posts} for flow in flows]
    assert [len(each) for each in channels] == [1, 1]
    assert channels[0] != channels[1]


def test_a_slash_behind_the_endpoint_is_not_doubled(endpoints):
    flow = endpoints.splunk_flow(HECEndpoint=f"{endpoints.splunk.endpoint}/")
    flow.put(*texts(1))
    flow.token.wait_for(flow.records[0])


# MARK: Acknowledgements


def test_records_count_as_delivered_when_they_are_indexed(endpoints):
    """The log says so, and not before."""
    flow = endpoints.splunk_flow(token={"delay": 3.0}, BufferingHints=IN_ONE_REQUEST)
    flow.put(*texts(3))
    (post,) = flow.token.wait_for_posts(1)
    (line,) = wait_until(lambda: flow.log("delivered"), "the log")
    assert time.monotonic() - post.when >= 3
    assert post.is_acknowledged
    assert (line["level"], line["destination"]) == ("info", SPLUNK)
    expected = {"records": 3, "failed": 0, "requests": 1, "attempts": 1}
    assert {name: int(line[name]) for name in expected} == expected
    times = [post.when, *(each.when for each in post.polls)]
    gaps = [after - before for before, after in pairwise(times)]
    # It is asked 1 s after the data, and then less and less often.
    assert 0.9 < gaps[0] < 2
    assert gaps == sorted(gaps) or max(gaps) - min(gaps) < 0.3
    assert max(gaps) < 10.5


def test_a_record_whose_acknowledgement_is_late_is_not_sent_again(endpoints):
    flow = endpoints.splunk_flow(token={"delay": 2.5}, retry=0)
    flow.put(*texts(1))
    other = endpoints.splunk_flow()
    other.put(*texts(1))
    other.token.wait_for(other.records[0], acknowledged=True, timeout=4)
    flow.token.wait_for(flow.records[0], acknowledged=True)
    assert len(flow.token.posts) == 1
    assert flow.failures() == []


def test_polls_carry_the_cookies_of_the_data(endpoints):
    """A balancer leads them to the indexer that has it; many are on their way at once."""
    flows = [endpoints.splunk_flow(token={"indexers": 3}) for _ in range(6)]
    for number in range(4):
        for flow in flows:
            flow.put(f"<record {number} of {flow.stream}>".encode())
    for flow in flows:
        expected = sum(map(len, flow.records))

        def has_all(token=flow.token, expected=expected) -> bool:
            return sum(map(len, token.bodies())) >= expected

        wait_until(has_all, "all records")
        assert Counter(b"".join(flow.token.bodies())) == Counter(b"".join(flow.records))
        assert flow.failures() == []


def test_a_stop_does_not_wait_for_acknowledgements(start_endpoints):
    """What is not acknowledged is sent again."""
    bench = start_endpoints()
    flow = bench.splunk_flow(token={"delay": None})
    flow.put(*texts(1))
    flow.token.wait_for_posts(1)
    bench.hydrant.sigterm()
    flow.token.delay = 0
    bench.hydrant.start()
    wait_until(flow.token.bodies, "the acknowledgement")
    assert {each.body for each in flow.token.posts} == set(flow.records)


# MARK: What is configured


def test_an_update_changes_the_token(endpoints):
    flow = endpoints.splunk_flow()
    flow.put(b"before ")
    flow.token.wait_for(b"before ")
    other = endpoints.splunk.token(fresh_name("token"), kind=EVENT)
    changed = {"HECToken": other.value, "HECEndpointType": EVENT}
    update(endpoints.client, flow.stream, kind=SPLUNK, **changed)
    flow.put(*events_of(1))
    other.wait_for(events_of(1)[0])
    assert flow.token.value not in endpoints.hydrant.log()


def test_tls_endpoints_are_checked_by_their_authority(
    start_endpoints, settings_path, tmp_path, receivers
):
    known, unknown = [Authority(tmp_path / each, each) for each in ("known", "unknown")]
    with (
        SplunkReceiver(pair=known.server()) as good,
        SplunkReceiver(pair=unknown.server()) as bad,
    ):
        settings = endpoint_settings(
            settings_path,
            {"endpoint": "https://127.0.0.1:*", "certificateAuthority": str(known.path)},
        )
        hydrant = start_endpoints(*settings).hydrant
        flows = [
            EndpointBench(hydrant, receivers[0], each).splunk_flow(retry=0) for each in (good, bad)
        ]
        for flow in flows:
            flow.put(*texts(1))
        flows[0].token.wait_for(flows[0].records[0], acknowledged=True)
        (failed,) = flows[1].wait_for_failures(1)
        assert (failed.code, failed.attempts) == (HANDSHAKE, 1)
        assert good.violations == bad.violations == []
        assert flows[1].token.posts == []


def test_secrets_manager_is_refused(endpoints):
    token = endpoints.splunk.token(fresh_name("token"))
    secret = "arn:aws:secretsmanager:us-east-1:000000000000:secret:name"
    members = splunk_destination(endpoints.splunk, token, "arn:aws:s3:::some-bucket") | {
        "SecretsManagerConfiguration": {"Enabled": True, "SecretARN": secret}
    }
    del members["HECToken"]
    message = assert_refused(
        "InvalidArgumentException",
        lambda: endpoints.client.create_delivery_stream(
            DeliveryStreamName=fresh_name(), SplunkDestinationConfiguration=members
        ),
    )
    assert message.startswith("SplunkDestinationConfiguration")
    assert message.endswith("SecretsManagerConfiguration is not supported")


# MARK: Buffers


def test_a_buffer_is_cut_by_size(endpoints):
    flow = endpoints.splunk_flow(BufferingHints=BY_SIZE)
    flow.put_quickly([bytes([n]) * 100_000 for n in range(25)])
    wait_until(lambda: len(flow.token.bodies(acknowledged=False)) >= 2, "two buffers")
    bodies = flow.token.bodies(acknowledged=False)
    assert sorted(bodies) == [b"".join(flow.records[:10]), b"".join(flow.records[10:20])]


def test_a_buffer_is_cut_when_its_oldest_record_is_old_enough(endpoints):
    flow = endpoints.splunk_flow(BufferingHints={"SizeInMBs": 5, "IntervalInSeconds": 2})
    start = time.monotonic()
    for record in texts(3):
        flow.put(record)
    (post,) = flow.token.wait_for(b"".join(flow.records))
    assert 1.9 < post.when - start < 10


def test_a_backlog_is_delivered_in_larger_requests(endpoints):
    """Up to 5 MiB; the receiver refuses larger ones. Sixteen may be on their way as they are."""
    away = [True]
    plan = {"plan": lambda _: hang_up if away[0] else None}
    hints = {"SizeInMBs": 1, "IntervalInSeconds": 1}
    flow = endpoints.splunk_flow(token=plan, BufferingHints=hints)
    flow.put_quickly([os.urandom(250_000) for _ in range(160)])
    flow.token.wait_for_posts(2)
    away[0] = False

    def taken() -> int:
        return sum(map(len, flow.token.bodies(acknowledged=False)))

    wait_until(lambda: taken() == 40_000_000, "40 MB", timeout=60)
    sizes = [len(each) for each in flow.token.bodies(acknowledged=False)]
    assert MEBIBYTE < max(sizes) <= MOST_BYTES


# MARK: Backup, processing, encryption


@pytest.mark.parametrize("compression", ["UNCOMPRESSED", "GZIP"])
def test_all_events_can_be_backed_up(endpoints, compression):
    """Also those that Splunk would not take, which are kept as failed ones besides."""
    s3 = {"Prefix": "all/", "CompressionFormat": compression}
    flow = endpoints.splunk_flow(**EVENTS, S3BackupMode="AllEvents", s3=s3)
    flow.put(*events_of(2), b"text")
    flow.token.wait_for(b"".join(events_of(2)))
    for key in flow.wait_for_backup(b"".join(flow.records)):
        parsed = ObjectKey.parse(key, flow.stream)
        assert parsed.prefix.startswith("all/")
        assert parsed.extension == (".gz" if compression == "GZIP" else "")
    (failed,) = flow.wait_for_failures(1)
    assert failed.raw == b"text"


def test_what_a_transform_makes_is_delivered(start_endpoints, tmp_path):
    """It makes events of texts; what it makes of others, or not at all, is kept."""
    programs = Programs(tmp_path)
    bench = start_endpoints(*programs.options, environment={"PATH": PYTHON_FIRST})
    body = """
@each
def handle(record):
    data = content(record).decode()
    if data == "fails":
        return answer(record, result="ProcessingFailed")
    return answer(record, b"blank" if data == "blank" else json.dumps({"event": data}).encode())
"""
    name = programs.write("worker", body)
    buffer = {"BufferSizeInMBs": 1, "BufferIntervalInSeconds": 0}
    flow = bench.splunk_flow(**EVENTS, **processing(lambda_processor(lambda_arn(name), **buffer)))
    flow.put(b"one", b"fails", b"blank", b"two")
    flow.token.wait_for(b"".join(json.dumps({"event": each}).encode() for each in ("one", "two")))
    (failed,) = flow.wait_for_failures(1)
    assert (failed.code, failed.raw) == (INVALID_FORMAT, b"blank")
    flow.bucket.wait_for_objects(2)
    (key,) = flow.keys(failed=False)
    assert key.startswith("processing_failed/")
    assert STATUS_FAILED in flow.bucket.raw(key).decode()


def test_encrypted_records_arrive_in_the_open(start_endpoints, tmp_path):
    """While they wait, nothing of them is to be found on the disk."""
    key = write_master_keys(tmp_path / "master.keys", fresh_master_key())
    bench = start_endpoints("--master-key", str(key))
    away = [True]
    plan = {"plan": lambda _: hang_up if away[0] else None}
    flow = bench.splunk_flow(token=plan, extra={SSE: MANAGED})
    secret = fresh_secret()
    flow.put(secret)
    flow.token.wait_for_posts(1)
    assert traces(bench.hydrant.data, secret) == []
    away[0] = False
    flow.token.wait_for(secret)
