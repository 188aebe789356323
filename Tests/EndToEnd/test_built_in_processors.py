"""Built-in processors: the delimiter, their order, and where records go that they cannot read."""

import time
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from buckets import FolderBucket, ObjectKey
from processed import (
    DECOMPRESSION_FAILED,
    DECOMPRESSION_FOLDER,
    DECOMPRESSION_MESSAGE,
    IN_ONE_OBJECT,
    PARSE_ERROR,
    PROCESSING_FOLDER,
    parse_failures,
)
from processors import (
    APPEND_DELIMITER,
    CONTROL_MESSAGE,
    DECOMPRESSION,
    JSON_OBJECTS,
    LOG_MESSAGES,
    backup,
    delimited,
    gzipped,
    kpl,
    packed_log,
    processor,
)
from streams import create_stream, fresh_name, put
from transforms import processing
from updates import described, update
from waiting import wait_until

pytest_plugins = ["processed_fixtures"]

HOUR = "%Y/%m/%d/%H/"


# MARK: AppendDelimiterToRecord


JOINED = [
    [b"only"],
    [b"a", b"b", b"c"],
    [b"ends\n", b"ends\n", b"ends\n"],
    [b"a", b"", b"", b"b"],
    [b"", b"a", b""],
    [b"\n", b"\r\n", b"\0", b"\xff"],
]


def test_a_line_feed_stands_between_records_and_not_after_the_last(process):
    """Also where a record is empty, or ends in one already."""
    streams = [process(APPEND_DELIMITER, BufferingHints=IN_ONE_OBJECT) for _ in JOINED]
    for stream, records in zip(streams, JOINED, strict=True):
        stream.put(*records)
    for stream, records in zip(streams, JOINED, strict=True):
        stream.settle(b"\n".join(records))
        assert len(stream.keys()) == 1


def test_every_object_begins_without_a_delimiter(process):
    stream = process(APPEND_DELIMITER)
    for number in range(4):
        stream.put(b"%d" % number)
        wait_until(lambda n=number: len(stream.keys()) == n + 1, "an object a put")
    assert stream.objects() == [b"0", b"1", b"2", b"3"]


def test_an_object_that_is_cut_by_size_ends_without_a_delimiter(process):
    hints = {"SizeInMBs": 1, "IntervalInSeconds": 900}
    stream = process(APPEND_DELIMITER, BufferingHints=hints)
    records = [bytes([65 + number]) * 300_000 for number in range(8)]
    stream.put(*records)
    wait_until(lambda: len(stream.keys()) >= 2, "two objects")
    for content, start in zip(stream.objects(), (0, 3), strict=False):
        assert content == b"\n".join(records[start : start + 3])


def test_compressed_objects_have_their_delimiters_inside(process):
    hints = {"BufferingHints": IN_ONE_OBJECT, "CompressionFormat": "GZIP"}
    stream = process(APPEND_DELIMITER, **hints)
    stream.put(b"a", b"b", b"c")
    (key,) = stream.bucket.wait_for(b"a\nb\nc")
    assert stream.bucket.raw(key).startswith(b"\x1f\x8b")


def test_parameters_of_the_delimiter_mean_nothing(process):
    given = processor("AppendDelimiterToRecord", Delimiter="\\t")
    stream = process(given, BufferingHints=IN_ONE_OBJECT)
    stream.put(b"a", b"b")
    stream.settle(b"a\nb")


def test_a_delimiter_that_is_asked_for_twice_stands_once(process):
    stream = process(APPEND_DELIMITER, APPEND_DELIMITER, BufferingHints=IN_ONE_OBJECT)
    stream.put(b"a", b"b")
    stream.settle(b"a\nb")


def test_the_delimiter_can_be_switched_on_and_off(hydrant, process):
    stream = process(APPEND_DELIMITER, BufferingHints=IN_ONE_OBJECT)
    client = hydrant.client()
    update(client, stream.stream, "1", ProcessingConfiguration={"Enabled": False})
    stream.put(b"a", b"b")
    stream.settle(b"ab")
    update(client, stream.stream, "2", ProcessingConfiguration={"Enabled": True})
    stream.put(b"c", b"d")
    stream.settle(b"abc\nd")
    kept = described(client, stream.stream)["ProcessingConfiguration"]
    assert [each["Type"] for each in kept["Processors"]] == ["AppendDelimiterToRecord"]


def test_processors_that_are_not_enabled_do_nothing(process):
    members = processing(DECOMPRESSION, LOG_MESSAGES, APPEND_DELIMITER, enabled=False)
    stream = process(**members)
    records = [kpl(b"a", b"b"), packed_log("message"), b"not gzip"]
    stream.put(*records)
    stream.settle(b"".join(records))


# MARK: Order


@pytest.mark.parametrize("order", [1, -1], ids=["as they run", "reversed"])
def test_processors_run_in_their_own_order(process, order):
    """KPL's aggregation, Decompression, extraction, de-aggregation and the delimiter at once."""
    declared = [DECOMPRESSION, LOG_MESSAGES, delimited(b"\n"), APPEND_DELIMITER][::order]
    stream = process(*declared, BufferingHints=IN_ONE_OBJECT)
    stream.put(kpl(packed_log("a", "b"), packed_log("c")), packed_log("d", "", "e"))
    stream.settle(b"a\nb\nc\nd\n\ne")


def test_messages_that_are_extracted_end_in_a_line_feed_beside_the_delimiter(process):
    """That of the message, and the delimiter: two in all."""
    members = {"BufferingHints": IN_ONE_OBJECT}
    stream = process(DECOMPRESSION, LOG_MESSAGES, APPEND_DELIMITER, **members)
    stream.put(packed_log("a", "b"), packed_log("c"))
    stream.settle(b"a\nb\n\nc\n")


def test_control_messages_leave_no_separator(process):
    members = {"BufferingHints": IN_ONE_OBJECT}
    stream = process(DECOMPRESSION, LOG_MESSAGES, APPEND_DELIMITER, **members)
    stream.put(packed_log("a"), CONTROL_MESSAGE, packed_log("b"))
    stream.settle(b"a\n\nb\n")


def test_json_in_messages_is_taken_apart_after_the_extraction(process):
    members = {"BufferingHints": IN_ONE_OBJECT}
    stream = process(JSON_OBJECTS, APPEND_DELIMITER, LOG_MESSAGES, DECOMPRESSION, **members)
    stream.put(packed_log('{"a": 1}', ' {"b":2} {"c" : "}"}'))
    stream.settle(b'{"a": 1}\n{"b":2}\n{"c" : "}"}')


def test_failed_records_leave_no_separator(process):
    stream = process(JSON_OBJECTS, APPEND_DELIMITER, BufferingHints=IN_ONE_OBJECT)
    stream.put(b"garbage", b'{"a":1}', b"[]", b'{"b":2}', b"garbage")
    failures = stream.settle(b'{"a":1}\n{"b":2}', b"garbage", b"[]", b"garbage")
    assert {each.code for each in failures} == {PARSE_ERROR}


def test_neither_backup_nor_failed_records_have_delimiters(hydrant, process):
    copies = FolderBucket(hydrant.data / "buckets", fresh_name("backup"))
    members = {"BufferingHints": IN_ONE_OBJECT}
    members |= backup(copies.arn, BufferingHints=IN_ONE_OBJECT)
    stream = process(JSON_OBJECTS, APPEND_DELIMITER, **members)
    records = [b"x", b'{"a":1}{"b":2}', b"y", b"z", b'{"c":3}']
    stream.put(*records)
    stream.settle(b'{"a":1}\n{"b":2}\n{"c":3}', b"x", b"y", b"z")
    (content,) = [stream.bucket.raw(key) for key in stream.keys(PROCESSING_FOLDER)]
    assert content.count(b"\n") == 3
    copies.wait_for(b"".join(records))


# MARK: Lines of failed records


def test_what_is_not_gzip_fails_with_all_that_is_known_of_it(process):
    stream = process(DECOMPRESSION)
    start = int(time.time() * 1_000)
    stream.put(b"not gzip \xff\0", gzipped(b"{}"))
    (failure,) = stream.settle(b"{}", b"not gzip \xff\0")
    assert failure.code == DECOMPRESSION_FAILED
    assert failure.message == DECOMPRESSION_MESSAGE
    assert failure.attempts == 1
    assert failure.arn is None
    assert start <= failure.arrived <= failure.ended <= int(time.time() * 1_000)
    assert stream.failures(DECOMPRESSION_FOLDER) == [failure]


def test_what_is_no_json_object_fails_with_all_that_is_known_of_it(process):
    stream = process(JSON_OBJECTS)
    start = int(time.time() * 1_000)
    stream.put(b'"text" \xff\0', b"{}")
    (failure,) = stream.settle(b"{}", b'"text" \xff\0')
    assert failure.code == PARSE_ERROR
    assert failure.attempts == 1
    assert failure.arn is None
    assert start <= failure.arrived <= failure.ended <= int(time.time() * 1_000)
    assert stream.failures(PROCESSING_FOLDER) == [failure]


def test_each_kind_of_failure_has_objects_of_its_own(process):
    stream = process(DECOMPRESSION, JSON_OBJECTS)
    stream.put(b"not gzip", gzipped(b"[1]"), gzipped(b'{"a":1}'))
    stream.wait_for(b'{"a":1}')
    stream.wait_for_failures(2)
    (unpacking,) = stream.failures(DECOMPRESSION_FOLDER)
    assert (unpacking.code, unpacking.raw) == (DECOMPRESSION_FAILED, b"not gzip")
    (parsing,) = stream.failures(PROCESSING_FOLDER)
    # As it came to the step that failed.
    assert (parsing.code, parsing.raw) == (PARSE_ERROR, b"[1]")


def test_failed_records_are_in_the_order_of_their_arrival(process):
    stream = process(JSON_OBJECTS)
    garbage = [b"garbage %d" % number for number in range(1_000)]
    stream.put(*garbage, b"{}")
    stream.settle(b"{}", *garbage)


# MARK: Objects of failed records


def hours(start: datetime, pattern: str) -> set[str]:
    """`pattern` filled in for `start` and for now: they differ when the hour ends in between."""
    return {f"{each:{pattern}}" for each in (start, datetime.now(start.tzinfo))}


def fail_both_ways(hydrant, **members) -> tuple[str, dict[str, str]]:
    """Has one record of each kind fail; returns the stream and the keys by error code."""
    bucket = FolderBucket(hydrant.data / "buckets", fresh_name("bucket"))
    client = hydrant.client()
    stream = create_stream(
        client, bucket.arn, **processing(DECOMPRESSION, JSON_OBJECTS), **members
    )
    put(client, stream, b"not gzip", gzipped(b"[]"))
    keys = bucket.wait_for_objects(2)
    codes = {}
    for key in keys:
        # As it is stored: objects of failed records are never compressed.
        (failure,) = parse_failures(bucket.raw(key))
        codes[failure.code] = key
    assert set(codes) == {PARSE_ERROR, DECOMPRESSION_FAILED}
    return stream, codes


@pytest.mark.parametrize(
    ("members", "folder"),
    [
        ({}, ""),
        ({"Prefix": "logs/"}, "logs/"),
        ({"Prefix": "logs"}, "logs"),
        ({"Prefix": "logs/", "ErrorOutputPrefix": "errors/"}, "errors/"),
        ({"Prefix": "logs/", "ErrorOutputPrefix": "errors"}, "errors"),
        ({"Prefix": "!{timestamp:yyyy}/", "ErrorOutputPrefix": "errors/"}, "errors/"),
    ],
    ids=str,
)
def test_kind_and_hour_follow_a_prefix_without_expressions(hydrant, members, folder):
    """No slash is put in between."""
    start = datetime.now(UTC)
    stream, keys = fail_both_ways(hydrant, **members)
    parsing = ObjectKey.parse(keys[PARSE_ERROR], stream)
    unpacking = ObjectKey.parse(keys[DECOMPRESSION_FAILED], stream)
    assert parsing.prefix in hours(start, f"{folder}processing_failed/{HOUR}")
    assert unpacking.prefix in hours(start, f"{folder}decompression-failed/{HOUR}")
    assert {(key.version, key.extension) for key in (parsing, unpacking)} == {(1, "")}


def test_expressions_of_the_error_prefix_are_evaluated(hydrant):
    start = datetime.now(UTC)
    prefix = "failed/!{firehose:error-output-type}/year=!{timestamp:yyyy}/!{timestamp:HH}h-"
    stream, keys = fail_both_ways(hydrant, Prefix="logs/", ErrorOutputPrefix=prefix)
    pattern = "failed/{}/year=%Y/%Hh-"
    parsing = ObjectKey.parse(keys[PARSE_ERROR], stream)
    assert parsing.prefix in hours(start, pattern.format("processing-failed"))
    unpacking = ObjectKey.parse(keys[DECOMPRESSION_FAILED], stream)
    assert unpacking.prefix in hours(start, pattern.format("decompression-failed"))


def test_an_error_prefix_with_expressions_gets_no_hour_of_its_own(hydrant):
    prefix = "failed/!{firehose:error-output-type}/"
    stream, keys = fail_both_ways(hydrant, ErrorOutputPrefix=prefix)
    parsing = ObjectKey.parse(keys[PARSE_ERROR], stream)
    assert parsing.prefix == "failed/processing-failed/"


def test_a_time_zone_moves_the_hour_of_failed_records(hydrant):
    start = datetime.now(ZoneInfo("Pacific/Kiritimati"))
    stream, keys = fail_both_ways(hydrant, CustomTimeZone="Pacific/Kiritimati")
    parsing = ObjectKey.parse(keys[PARSE_ERROR], stream)
    assert parsing.prefix in hours(start, f"processing_failed/{HOUR}")


@pytest.mark.parametrize(
    "members",
    [{"CompressionFormat": "GZIP"}, {"CompressionFormat": "ZIP", "FileExtension": ".json.zip"}],
    ids=str,
)
def test_failed_records_are_never_compressed_and_have_no_extension(hydrant, members):
    stream, keys = fail_both_ways(hydrant, **members)
    assert {ObjectKey.parse(key, stream).extension for key in keys.values()} == {""}


def test_failed_records_wait_for_the_buffer_as_others_do(hydrant, process):
    """They are delivered with the destination's hints, not one by one."""
    hints = {"SizeInMBs": 5, "IntervalInSeconds": 900}
    stream = process(JSON_OBJECTS, BufferingHints=hints)
    other = process(JSON_OBJECTS)
    stream.put(b"garbage", b"garbage")
    other.put(b"garbage")
    other.wait_for_failures(1)
    assert stream.bucket.keys() == []
    update(hydrant.client(), stream.stream, BufferingHints={"IntervalInSeconds": 0})
    stream.wait_for_failures(2)
    assert len(stream.keys(PROCESSING_FOLDER)) == 1
