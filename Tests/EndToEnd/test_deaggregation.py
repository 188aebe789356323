"""RecordDeAggregation: records that hold several, as JSON or between delimiters."""

import base64
import json
from collections.abc import Callable

import pytest

from processed import (
    IN_ONE_OBJECT,
    PARSE_ERROR,
    PROCESSING_FOLDER,
    Processed,
    transform_at_once,
)
from processors import APPEND_DELIMITER, JSON_OBJECTS, delimited, kpl
from transform_programs import FAILING
from transforms import STATUS_FAILED, lambda_arn

pytest_plugins = ["processed_fixtures", "transform_fixtures"]

MOST_SUB_RECORDS = 500

TRACING = """
@each
def handle(record):
    trace(id=record["recordId"], data=record["data"],
          arrived=record["approximateArrivalTimestamp"])
    return answer(record, content(record))
"""
"""Passes records on and traces each."""


@pytest.fixture
def process_lines(process) -> Callable[..., Processed]:
    """As `process`, with a line feed between the records of an object, which shows them."""
    members = {"BufferingHints": IN_ONE_OBJECT}
    return lambda *processors: process(*processors, APPEND_DELIMITER, **members)


# MARK: JSON


def test_objects_become_records_of_their_own(process_lines):
    """White space between them goes; each one's bytes are kept as they are."""
    stream = process_lines(JSON_OBJECTS)
    stream.put(
        b'{"a":1}',
        b'{"b":2}{"c":3}',
        b' \t\r\n{"d" : 4 }\n\n{\n"e":\t5}\r\n',
        b'{"f":"}{"}{"g":"\\"}{"}{"h":"\\\\"}{}',
        '{"ü":"\\u00fc🚰"}{"twice":1,"twice":2}'.encode(),
        b'{"n":[{"m":{}},[],-0.0e+1,true,false,null]}',
    )
    stream.settle(
        "\n".join(
            [
                '{"a":1}',
                '{"b":2}',
                '{"c":3}',
                '{"d" : 4 }',
                '{\n"e":\t5}',
                '{"f":"}{"}',
                '{"g":"\\"}{"}',
                '{"h":"\\\\"}',
                "{}",
                '{"ü":"\\u00fc🚰"}',
                '{"twice":1,"twice":2}',
                '{"n":[{"m":{}},[],-0.0e+1,true,false,null]}',
            ]
        ).encode()
    )


@pytest.mark.parametrize(
    "record",
    [
        b"",
        b" \n\t\r",
        b"garbage",
        b"[]",
        b'[{"a":1}]',
        b'"text"',
        b"42",
        b"null",
        b"true",
        b"{",
        b"}",
        b'{"a":1',
        b'{"a":1}garbage',
        b'garbage{"a":1}',
        b'{"a":1},{"b":2}',
        b'{"a":1}[]',
        b'{"a":1} 2',
        b'{"a":1}{"b":',
        b'{"a":1,}',
        b'{"a":}',
        b'{"a" 1}',
        b'{"a":01}',
        b'{"a":.5}',
        b'{"a":tru}',
        b'{"a":NaN}',
        b"{'a':1}",
        b"{a:1}",
        b'{"a":"no end}',
        b'{"a":"\\x"}',
        b'{"a":"\\u12"}',
        b'{"a":"line\nfeed"}',
        b'{"a":"\0"}',
        b'{"a":1}\0',
        b'\0{"a":1}',
        b'\x0b{"a":1}',
        b'{"a":[}]',
        b"\xff\xfe\x00\x01",
    ],
    ids=str,
)
def test_a_record_with_anything_else_in_it_fails_as_a_whole(process, record):
    """No object of it is delivered; its neighbours are."""
    stream = process(JSON_OBJECTS)
    stream.put(b'{"n":1}', record, b'{"n":2}')
    (failure,) = stream.settle(b'{"n":1}{"n":2}', record)
    assert (failure.code, failure.attempts, failure.arn) == (PARSE_ERROR, 1, None)
    assert stream.failures(PROCESSING_FOLDER) == [failure]


def test_five_hundred_objects_are_taken_apart_and_more_are_passed_on_whole(process):
    """The white space between them shows which it was."""

    def objects(count: int) -> list[bytes]:
        return [b'{"n":%d}' % number for number in range(count)]

    stream = process(JSON_OBJECTS)
    allowed, too_many = objects(MOST_SUB_RECORDS), b" \n".join(objects(MOST_SUB_RECORDS + 1))
    stream.put(b" \n".join(allowed) + b"\n", too_many, b'{"end":1}')
    stream.settle(b"".join(allowed) + too_many + b'{"end":1}')


# MARK: DELIMITED


SPLITS = [
    # (delimiter, record, pieces)
    (b"|", b"a|b|c", [b"a", b"b", b"c"]),
    (b"|", b"a|b|", [b"a", b"b"]),
    (b"|", b"a||b", [b"a", b"", b"b"]),
    (b"|", b"|a", [b"", b"a"]),
    (b"|", b"a||", [b"a", b""]),
    (b"|", b"|", [b""]),
    (b"|", b"|||", [b"", b"", b""]),
    (b"|", b"no delimiter", [b"no delimiter"]),
    (b"||", b"a|b||c", [b"a|b", b"c"]),
    (b"||", b"a|||b", [b"a", b"|b"]),
    (b"||", b"a||||b|", [b"a", b"", b"b|"]),
    (b"aab", b"1aaab2aab", [b"1a", b"2"]),
    (b"\n", b"a\r\nb\n", [b"a\r", b"b"]),
    (b"\0", b"a\0\0b", [b"a", b"", b"b"]),
    (b"\xff\xfe", b"\xff\xff\xfe\xfe\xff\xfe", [b"\xff", b"\xfe"]),
    ("💧".encode(), "a💧日本💧".encode(), [b"a", "日本".encode()]),
    (b"longer than the record", b"short", [b"short"]),
    (b"the record", b"the record", [b""]),
]


def test_records_are_split_at_the_delimiter(process_lines):
    """An empty piece behind the last delimiter is no record, others are."""
    streams = [process_lines(delimited(delimiter)) for delimiter, _, _ in SPLITS]
    for stream, (_, record, _) in zip(streams, SPLITS, strict=True):
        stream.put(b"before", record, b"after")
    for stream, (delimiter, record, pieces) in zip(streams, SPLITS, strict=True):
        print(f"{record!r} at {delimiter!r}")
        stream.settle(b"\n".join([b"before", *pieces, b"after"]))


def test_five_hundred_pieces_are_taken_apart_and_more_are_passed_on_whole(process):
    stream = process(delimited(b"||"))
    pieces = [b"%d" % number for number in range(MOST_SUB_RECORDS)]
    allowed, too_many = b"||".join(pieces), b"||".join([*pieces, b"one more"])
    stream.put(allowed, allowed + b"||", too_many, too_many + b"||", b"end")
    whole = b"".join(pieces)
    stream.settle(whole + whole + too_many + too_many + b"||" + b"end")


def test_empty_pieces_count_as_well(process):
    stream = process(delimited(b"|"))
    stream.put(b"|" * MOST_SUB_RECORDS, b"|" * (MOST_SUB_RECORDS + 1), b"end")
    stream.settle(b"|" * (MOST_SUB_RECORDS + 1) + b"end")


# MARK: With a transform


@pytest.mark.parametrize(
    ("processor", "record", "parts"),
    [
        (JSON_OBJECTS, b'{"a":1} {"b":2}\n{"c":3}', [b'{"a":1}', b'{"b":2}', b'{"c":3}']),
        (delimited(b";"), b"a;b;;", [b"a", b"b", b""]),
    ],
    ids=["JSON", "DELIMITED"],
)
def test_a_transform_gets_sub_records_with_ids_of_their_own(bench, processor, record, parts):
    """They end in the number of the sub-record in six digits, from 0."""
    name = bench.programs.write("once", TRACING)
    function = transform_at_once(name)
    stream = Processed.create(bench.hydrant, function, processor)
    stream.put(record, record)
    stream.settle(b"".join(parts) * 2)
    seen = sorted(bench.programs.traces(name, "id"), key=lambda each: int(each["id"]))
    assert [base64.b64decode(each["data"]) for each in seen] == parts * 2
    ids = [each["id"] for each in seen]
    assert all(each.isdecimal() for each in ids)
    assert len(set(ids)) == len(ids)
    assert [each[-6:] for each in ids] == ["000000", "000001", "000002"] * 2
    assert len({each[:-6] for each in ids}) == 2
    for start in (0, 3):
        assert len({each["arrived"] for each in seen[start : start + 3]}) == 1


def test_sub_records_that_a_transform_refuses_are_set_apart_alone(bench):
    """What is set apart is the sub-record, not the record that it was in."""
    name = bench.programs.write(
        "once",
        """
@each
def handle(record):
    bad = b"bad" in content(record)
    return answer(record, result="ProcessingFailed") if bad else answer(record, content(record))
""",
    )
    function = transform_at_once(name)
    stream = Processed.create(bench.hydrant, JSON_OBJECTS, function)
    stream.put(b'{"a":1}{"bad":2}{"c":3}{"bad":4}', b"garbage", b'{"e":5}')
    stream.wait_for(b'{"a":1}{"c":3}{"e":5}')
    failures = stream.wait_for_failures(3)
    assert {(each.raw, each.code, each.arn) for each in failures} == {
        (b'{"bad":2}', STATUS_FAILED, lambda_arn(name)),
        (b'{"bad":4}', STATUS_FAILED, lambda_arn(name)),
        (b"garbage", PARSE_ERROR, None),
    }


def test_five_hundred_sub_records_fail_one_by_one(bench):
    name = bench.programs.write("once", FAILING)
    function = transform_at_once(name)
    stream = Processed.create(bench.hydrant, delimited(b","), function)
    pieces = [b"%d" % number for number in range(MOST_SUB_RECORDS)]
    stream.put(b",".join(pieces))
    failures = stream.wait_for_failures(MOST_SUB_RECORDS)
    assert [each.raw for each in failures] == pieces


# MARK: With KPL's aggregation


def test_records_that_kpl_aggregated_are_split_further(process_lines):
    stream = process_lines(JSON_OBJECTS)
    stream.put(kpl(b'{"a":1}{"b":2}', b'{"c":3}'), b'{"d":4}')
    stream.settle(b'{"a":1}\n{"b":2}\n{"c":3}\n{"d":4}')


def test_a_record_that_kpl_aggregated_fails_alone(process):
    """As it came to the step: without the aggregation around it."""
    stream = process(JSON_OBJECTS)
    stream.put(kpl(b'{"a":1}', b"[]", b'{"b":2}'), b'{"c":3}')
    (failure,) = stream.settle(b'{"a":1}{"b":2}{"c":3}', b"[]")
    assert failure.code == PARSE_ERROR


def test_records_split_twice_have_ids_of_their_own(bench):
    name = bench.programs.write("once", TRACING)
    function = transform_at_once(name)
    stream = Processed.create(bench.hydrant, JSON_OBJECTS, function)
    parts = [json.dumps({"n": number}).encode() for number in range(40)]
    aggregated = [kpl(parts[0] + parts[1], parts[2] + b"\n" + parts[3]), kpl(*parts[4:40])]
    stream.put(*aggregated)
    stream.settle(b"".join(parts))
    ids = [each["id"] for each in bench.programs.traces(name, "id")]
    assert len(ids) == len(set(ids)) == len(parts)
