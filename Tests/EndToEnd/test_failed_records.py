"""The objects of failed records: where they lie, how they are written, when they are delivered."""

import os
import re
from datetime import UTC, datetime

import pytest

from buckets import OBJECT_NAME
from producers import MAXIMUM_RECORD_BYTES
from streams import AT_ONCE, BY_SIZE_ONLY
from transform_programs import FAILING
from transforms import AWKWARD_RECORDS, STATUS_FAILED, is_failure, lines
from updates import update
from waiting import wait_until

pytest_plugins = ["transform_fixtures"]

HOUR = r"\d{4}/\d\d/\d\d/\d\d/"

NAME = OBJECT_NAME.pattern.removesuffix("$")

MIXED = """
@each
def handle(record):
    is_bad = content(record).startswith(b"bad")
    return answer(record, content(record), result="ProcessingFailed" if is_bad else "Ok")
"""


@pytest.mark.parametrize("mode", ["once", "worker"])
def test_failed_records_keep_their_bytes(bench, mode):
    flow = bench.flow_through(mode, FAILING)
    flow.put(*AWKWARD_RECORDS, os.urandom(MAXIMUM_RECORD_BYTES))
    failed = flow.wait_for_failures(len(flow.records))
    assert [each.raw for each in failed] == flow.records
    assert {(each.code, each.attempts) for each in failed} == {(STATUS_FAILED, 1)}
    assert flow.keys() == []


# MARK: Where they lie


@pytest.mark.parametrize(
    ("prefixes", "pattern"),
    [
        ({}, f"processing_failed/{HOUR}"),
        ({"Prefix": "logs"}, f"logsprocessing_failed/{HOUR}"),
        ({"Prefix": "logs/"}, f"logs/processing_failed/{HOUR}"),
        ({"ErrorOutputPrefix": "errors"}, f"errorsprocessing_failed/{HOUR}"),
        ({"ErrorOutputPrefix": "errors/", "Prefix": "p/"}, f"errors/processing_failed/{HOUR}"),
        (
            {"ErrorOutputPrefix": "e/!{firehose:error-output-type}/"},
            rf"e/processing-failed/({HOUR})?",
        ),
        (
            {"ErrorOutputPrefix": "!{firehose:error-output-type}/!{timestamp:yyyy-'x'-MM-dd}/"},
            r"processing-failed/\d{4}-x-\d\d-\d\d/",
        ),
        (
            {
                "Prefix": "!{timestamp:yyyy}/",
                "ErrorOutputPrefix": "!{firehose:random-string}/!{firehose:error-output-type}="
                "!{timestamp:HH}!{firehose:error-output-type}/",
            },
            r"[0-9a-f-]{11}/processing-failed=\d\dprocessing-failed/",
        ),
    ],
    ids=["none", "prefix", "folder", "error", "both", "type", "timestamp", "random"],
)
def test_the_prefix_says_where_failed_records_lie(bench, prefixes, pattern):
    before = datetime.now(UTC)
    flow = bench.flow_through("worker", MIXED, **prefixes)
    flow.put(b"good\n", b"bad\n")
    outcome = flow.settle()
    after = datetime.now(UTC)
    assert (outcome.delivered, len(outcome.failed)) == ([b"good\n"], 1)
    (key,) = flow.keys(failed=True)
    assert re.fullmatch(pattern + NAME, key), key
    hours = {moment.strftime("%Y/%m/%d/%H/") for moment in (before, after)}
    if found := re.search(HOUR, key):
        assert found.group() in hours
    if found := re.search(r"failed=(\d\d)", key):
        assert found[1] in {hour[-3:-1] for hour in hours}


def test_the_time_in_the_prefix_is_in_the_streams_zone(bench):
    flow = bench.flow_through("worker", FAILING, CustomTimeZone="Asia/Tokyo")
    before = datetime.now(UTC)
    flow.put(b"record\n")
    flow.wait_for_failures(1)
    (key,) = flow.keys(failed=True)
    hours = {(moment.hour + 9) % 24 for moment in (before, datetime.now(UTC))}
    assert int(key.split("/")[4]) in hours


@pytest.mark.parametrize(
    ("members", "ending"),
    [
        ({}, ""),
        ({"CompressionFormat": "GZIP"}, ".gz"),
        ({"CompressionFormat": "ZIP"}, ".zip"),
        ({"FileExtension": ".ndjson"}, ".ndjson"),
        ({"CompressionFormat": "GZIP", "FileExtension": ".x"}, ".x"),
    ],
    ids=["plain", "gzip", "zip", "extension", "both"],
)
def test_failed_records_are_never_packed_and_have_no_extension(bench, members, ending):
    flow = bench.flow_through("worker", MIXED, **members)
    flow.put(b"bad 1\n", b"good\n", b"bad 2\n")
    outcome = flow.settle()
    assert [each.raw for each in outcome.failed] == [b"bad 1\n", b"bad 2\n"]
    for key in flow.bucket.keys():
        assert OBJECT_NAME.search(key)["extension"] == ("" if is_failure(key) else ending)
        if is_failure(key):
            assert flow.bucket.raw(key).startswith(b"{")


# MARK: When they are delivered


def test_failed_records_wait_in_the_destinations_buffer(bench):
    flow = bench.flow_through("worker", MIXED, hints=BY_SIZE_ONLY)
    flow.put(b"bad 1\n", b"good\n", b"bad 2\n")
    wait_until(lambda: flow.log("transformed"), "the batch")
    assert flow.bucket.keys() == []
    update(bench.client, flow.stream, BufferingHints=AT_ONCE)
    outcome = flow.settle()
    assert (outcome.delivered, len(outcome.failed)) == ([b"good\n"], 2)
    assert len(flow.keys(failed=True)) == 1


@pytest.mark.parametrize("stop", ["sigterm", "sigkill"])
def test_failed_records_outlive_the_server(start_bench, stop):
    """Those that were answered and not yet delivered fail once, however often it starts."""
    bench = start_bench()
    flow = bench.flow_through("worker", MIXED, hints=BY_SIZE_ONLY)
    flow.put(*[b"%s %d\n" % (kind, n) for n in range(10) for kind in (b"bad", b"good")])
    wait_until(lambda: flow.log("transformed"), "the batch")
    for _ in range(2):
        getattr(bench.hydrant, stop)()
        bench.hydrant.start()
    assert flow.bucket.keys() == []
    update(bench.client, flow.stream, BufferingHints=AT_ONCE)
    flow.wait_for(b"".join(b"good %d\n" % n for n in range(10)))
    assert [each.raw for each in flow.wait_for_failures(10)] == [b"bad %d\n" % n for n in range(10)]


def test_many_failed_records_do_not_stop_the_others(bench):
    body = """
@each
def handle(record):
    is_bad = int(content(record).split()[1]) % 3 == 0
    return answer(record, content(record), result="ProcessingFailed" if is_bad else "Ok")
"""
    flow = bench.flow_through("worker", body, size=0.2)
    flow.put_quickly(lines(20_000))
    outcome = flow.settle(timeout=60)
    assert outcome.codes == {STATUS_FAILED: 6_667}
    assert sorted(each.raw for each in outcome.failed) == sorted(lines(20_000)[::3])
    assert outcome.delivered == [each for n, each in enumerate(lines(20_000)) if n % 3]
