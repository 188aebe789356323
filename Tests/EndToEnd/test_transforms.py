"""Records go through a program on their way: what it gets, and what becomes of its answer."""

import base64
import json
import os
import re
import time
import uuid

import pytest

from producers import MAXIMUM_RECORD_BYTES
from server import REGION
from streams import BY_SIZE_ONLY, create_stream, describe, put
from transform_programs import FAILING, FILTER, IDENTITY, MODES, UPPER
from transforms import (
    AWKWARD_RECORDS,
    STATUS_FAILED,
    lambda_arn,
    lambda_processor,
    lines,
    processing,
)
from waiting import wait_until

pytest_plugins = ["transform_fixtures"]

RAW_EVENTS = """
text = sys.stdin.read()
trace(text=text)
say(each(lambda record: answer(record, content(record)))(json.loads(text)))
"""
"""A whole program that traces what it read as it is."""


# MARK: Three modes


@pytest.mark.parametrize("mode", MODES)
def test_bytes_arrive_as_the_program_returned_them(bench, mode):
    """Also those that are no text, none at all, and as many as a record may have."""
    flow = bench.flow_through(mode, IDENTITY)
    flow.put(*AWKWARD_RECORDS)
    flow.put(*[os.urandom(MAXIMUM_RECORD_BYTES) for _ in range(3)], b"last")
    flow.wait_for(b"".join(flow.records))
    assert flow.failures() == []


@pytest.mark.parametrize("mode", MODES)
def test_outputs_take_the_place_of_records_in_their_order(bench, mode):
    flow = bench.flow_through(mode, UPPER, size=0.2)
    for start in range(0, 1_000, 100):
        flow.put(*lines(1_000, "record " + "x" * 300)[start : start + 100])
    flow.wait_for(b"".join(flow.records).upper())
    outcome = flow.settle()
    assert (outcome.dropped, outcome.failed) == (0, [])


@pytest.mark.parametrize("mode", MODES)
def test_dropped_records_leave_no_trace(bench, mode):
    flow = bench.flow_through(mode, FILTER)
    flow.put(*lines(50, "keep"), *lines(30, "leave"), *lines(20, "keep"))
    outcome = flow.settle()
    assert outcome.delivered == [*lines(50, "keep"), *lines(20, "keep")]
    assert (outcome.dropped, outcome.failed) == (30, [])
    assert flow.keys(failed=True) == []


@pytest.mark.parametrize("mode", MODES)
def test_failed_records_are_set_apart_and_the_others_pass(bench, mode):
    body = """
@each
def handle(record):
    is_bad = b"bad" in content(record)
    return answer(record, result="ProcessingFailed") if is_bad else answer(record, content(record))
"""
    flow = bench.flow_through(mode, body)
    flow.put(*lines(5, "good"), *lines(3, "bad"), *lines(2, "good again"))
    outcome = flow.settle()
    assert outcome.delivered == [*lines(5, "good"), *lines(2, "good again")]
    assert [each.raw for each in outcome.failed] == lines(3, "bad")
    assert outcome.codes == {STATUS_FAILED: 3}


def test_a_program_may_be_a_shell_script(bench):
    """The event's own records become the response with nothing but sed."""
    name = bench.programs.write_executable(
        "#!/bin/sh\n"
        "exec sed -e 's/^.*\"records\": *\\[/{\"records\":[/' "
        "-e 's/\"approximateArrivalTimestamp\": *[0-9]*,/\"result\":\"Ok\",/g'\n"
    )
    flow = bench.flow(name)
    flow.put(*lines(100))
    assert flow.settle().delivered == lines(100)


def test_empty_outputs_are_no_failures(bench):
    flow = bench.flow_through("worker", 'handle = each(lambda record: answer(record, b""))')
    flow.put(b"a\n", b"", b"b\n")
    wait_until(
        lambda: sum(int(line["ok"]) for line in flow.log("transformed")) == 3, "three good records"
    )
    assert flow.output() == b""
    assert flow.failures() == []


def test_outputs_may_be_larger_than_records(bench):
    body = "handle = each(lambda record: answer(record, content(record) * 1000))"
    flow = bench.flow_through("worker", body)
    flow.put(*[b"%03d|" % number for number in range(200)])
    flow.wait_for(b"".join(each * 1_000 for each in flow.records))


def test_what_is_delivered_is_compressed_as_always(bench):
    flow = bench.flow_through("once", UPPER, CompressionFormat="GZIP", Prefix="zipped/")
    flow.put(*lines(20))
    flow.wait_for(b"".join(lines(20)).upper())
    for key in flow.keys():
        assert re.fullmatch(r"zipped/\d{4}/\d\d/\d\d/\d\d/.+\.gz", key)
        assert flow.bucket.raw(key).startswith(b"\x1f\x8b")


def test_the_output_fills_the_destinations_buffer(bench):
    """Its size counts what the program made of the records, not the records."""
    body = "handle = each(lambda record: answer(record, content(record) * 100))"
    flow = bench.flow_through("worker", body, hints=BY_SIZE_ONLY)
    flow.put(*[bytes([number]) * 10_000 for number in range(3)])
    keys = flow.bucket.wait_for_objects(1)
    expected = b"".join(each * 100 for each in flow.records)
    assert len(keys) >= 1 and expected.startswith(flow.output())
    assert all(len(flow.bucket.content(key)) <= 1.5 * 2**20 for key in keys)


# MARK: The event


def test_the_event_is_exactly_what_lambda_gets(bench):
    name = bench.programs.write_file(RAW_EVENTS)
    flow = bench.flow(name)
    before = time.time() * 1_000
    for record in [b"first", b"", bytes(range(256)), *lines(20)]:
        flow.put(record)
    flow.wait_for(b"".join(flow.records))
    after = time.time() * 1_000

    description = describe(bench.client, flow.stream)
    texts = [each["text"] for each in bench.programs.traces(name)]
    events = [json.loads(text) for text in texts]
    for text, event in zip(texts, events, strict=True):
        assert "\n" not in text.removesuffix("\n")
        assert set(event) == {"invocationId", "deliveryStreamArn", "region", "records"}
        assert str(uuid.UUID(event["invocationId"])) == event["invocationId"].lower()
        assert event["deliveryStreamArn"] == description["DeliveryStreamARN"]
        assert event["region"] == REGION
        for record in event["records"]:
            assert set(record) == {"recordId", "approximateArrivalTimestamp", "data"}
            assert re.fullmatch(r"[0-9]+", record["recordId"])
            arrived = record["approximateArrivalTimestamp"]
            assert type(arrived) is int
            assert before - 1 <= arrived <= after + 1
    assert len({event["invocationId"] for event in events}) == len(events)
    records = [record for event in events for record in event["records"]]
    ids = [record["recordId"] for record in records]
    assert len(set(ids)) == len(ids) == len(flow.records)
    # Invocations run at the same time and trace in any order; the ids say which record is which.
    by_id = {record["recordId"]: record["data"] for record in records}
    assert sorted(by_id.values()) == sorted(
        base64.b64encode(each).decode() for each in flow.records
    )


# MARK: Names


@pytest.mark.parametrize(
    "form",
    ["{name}", "arn:aws:lambda:eu-west-1:123456789012:function:{name}", lambda_arn("{name}", "7")],
    ids=["name", "arn", "qualifier"],
)
def test_a_transform_is_named_in_each_of_three_ways(bench, form):
    """And what is configured is what failed records say."""
    body = """
@each
def handle(record):
    is_bad = content(record) == b"bad\\n"
    return answer(record, content(record), result="ProcessingFailed" if is_bad else "Ok")
"""
    name = bench.programs.write("once", body)
    arn = form.format(name=name)
    flow = bench.flow(name, arn=arn)
    flow.put(b"good\n", b"bad\n")
    outcome = flow.settle()
    assert outcome.delivered == [b"good\n"]
    assert [(each.raw, each.arn) for each in outcome.failed] == [(b"bad\n", arn)]


@pytest.mark.parametrize("name", ["_x", "0", "A.b-c_d.worker", "x" * 64])
def test_a_name_may_have_all_that_is_allowed(bench, name):
    mode = "worker" if name.endswith(".worker") else "once"
    bench.programs.write(mode, UPPER, name=name)
    flow = bench.flow(name)
    flow.put(b"record")
    flow.wait_for(b"RECORD")


def test_two_streams_share_a_program(bench):
    name = bench.programs.write("worker", UPPER)
    flows = [bench.flow(name) for _ in range(3)]
    for number, flow in enumerate(flows):
        flow.put(*lines(50, f"stream {number}"))
    for flow in flows:
        flow.wait_for(b"".join(flow.records).upper())


# MARK: Streams without


def test_a_processor_that_is_not_enabled_is_not_run(bench):
    name = bench.programs.write("once", FAILING)
    processor = lambda_processor(name)
    bucket = bench.bucket()
    stream = create_stream(bench.client, bucket.arn, **processing(processor, enabled=False))
    put(bench.client, stream, b"as it was")
    bucket.wait_for(b"as it was")
    assert bench.programs.traces(name) == []
