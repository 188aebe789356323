"""Decompression and CloudWatchLogProcessing: what is unpacked, taken out, and set apart."""

import gzip
import json
import zlib

import pytest

from processed import (
    DECOMPRESSION_FAILED,
    DECOMPRESSION_FOLDER,
    DECOMPRESSION_MESSAGE,
    Processed,
    transform_at_once,
)
from processors import (
    CONTROL_MESSAGE,
    DECOMPRESSION,
    LOG_MESSAGES,
    WHOLE_LOGS,
    gzipped,
    kpl,
    log_document,
    packed_log,
)
from transform_programs import FAILING, IDENTITY
from transforms import STATUS_FAILED, lambda_arn

pytest_plugins = ["processed_fixtures", "transform_fixtures"]

MEBIBYTE = 1024 * 1024

MOST_UNPACKED_BYTES = 16 * MEBIBYTE


def with_name(content: bytes, *, flags: int = 0x08, extra: bytes = b"name.json\0") -> bytes:
    """A member whose header has an optional field (RFC 1952, section 2.3)."""
    whole = gzip.compress(content, mtime=0)
    return whole[:3] + bytes([flags]) + whole[4:10] + extra + whole[10:]


# MARK: Decompression


@pytest.mark.parametrize(
    "content",
    [
        b"{}",
        b'{"a": 1,\n  "b": [true, null, -1.5e-7]}\n',
        b" \t\r\n[1, 2, 3]\n\n",
        b'"text"',
        b"42",
        b"null",
        '{"ümlaut": "日本語 🚰", "escaped": "\\u00e9\\ud83d\\udeb0\\u0000"}'.encode(),
        b'{"deep": ' + b"[" * 50 + b"]" * 50 + b"}",
        log_document("a", "b"),
    ],
    ids=lambda content: f"{content!r:.30}",
)
def test_json_is_unpacked_and_passes_as_it_is(process, content):
    stream = process(DECOMPRESSION)
    stream.put(gzipped(content), gzipped(b"true"))
    stream.settle(content + b"true")


def test_several_members_are_one_content(process):
    stream = process(DECOMPRESSION)
    stream.put(gzipped(b'{"a"', b"", b":1", b"}"), gzipped(b"{}"))
    stream.settle(b'{"a":1}{}')


@pytest.mark.parametrize("level", range(10))
def test_every_level_of_compression_is_unpacked(process, level):
    content = json.dumps({"text": "over and over " * 500}).encode()
    stream = process(DECOMPRESSION)
    stream.put(gzip.compress(content, level))
    stream.settle(content)


@pytest.mark.parametrize(
    ("flags", "extra"),
    [(0x08, b"name.json\0"), (0x10, b"a comment\0"), (0x04, b"\3\0xyz"), (0x01, b"")],
    ids=["name", "comment", "extra field", "text"],
)
def test_optional_parts_of_the_header_are_passed_over(process, flags, extra):
    stream = process(DECOMPRESSION)
    stream.put(with_name(b"{}", flags=flags, extra=extra))
    stream.settle(b"{}")


WHOLE = gzipped(b'{"a": "%s"}' % (b"0123456789" * 100))


@pytest.mark.parametrize(
    "record",
    [
        b"",
        b"plain text",
        b'{"plain": "json"}',
        b"\x1f\x8b",
        b"\x1f\x8b\x08" + b"\0" * 7,
        WHOLE[:10],
        WHOLE[:-1],
        WHOLE[:-8],
        WHOLE[: len(WHOLE) // 2],
        WHOLE[:-8] + bytes(8),
        WHOLE[:-4] + (12_345).to_bytes(4, "little"),
        WHOLE + b"trailing garbage",
        WHOLE + WHOLE[:20],
        b" " + WHOLE,
        zlib.compress(b"{}"),
        gzipped(b""),
        gzipped(b"   "),
        gzipped(b"plain text"),
        gzipped(b"{"),
        gzipped(b'{"a":}'),
        gzipped(b'{"a":1,}'),
        gzipped(b'{"a":1} x'),
        gzipped(b"{'a':1}"),
        gzipped(b"NaN"),
        gzipped(b"01"),
        gzipped(b'"no end'),
        gzipped(b'"line\nfeed"'),
        gzipped(b'"\\x"'),
        gzipped(b"{}", b"{}"),
        gzipped(b'{"a":"\xff"}'),
        gzipped(b'{"a":"\xc0\x80"}'),
        gzipped(b'{"a":"\xed\xa0\x80"}'),
        gzipped(b'{"a":"\0"}'),
        gzipped(b"\0"),
        gzipped(b"{}\0"),
        gzipped(gzipped(b"{}")),
    ],
    ids=lambda record: f"{record!r:.50}",
)
def test_what_is_not_json_in_gzip_is_set_apart(process, record):
    """With its original bytes; its neighbours pass."""
    stream = process(DECOMPRESSION)
    stream.put(gzipped(b"1"), record, gzipped(b"2"))
    (failure,) = stream.settle(b"12", record)
    assert (failure.code, failure.message) == (DECOMPRESSION_FAILED, DECOMPRESSION_MESSAGE)
    assert (failure.attempts, failure.arn) == (1, None)
    assert stream.failures(DECOMPRESSION_FOLDER) == [failure]


def test_content_may_have_sixteen_mebibytes_and_no_more(process):
    """Counted over all members."""
    largest = b"{}" + b" " * (MOST_UNPACKED_BYTES - 2)
    half = b" " * (MOST_UNPACKED_BYTES // 2)
    one_more = [gzipped(largest + b" "), gzipped(b"{}", half, half)]
    stream = process(DECOMPRESSION)
    stream.put(one_more[0], gzipped(largest), one_more[1], gzipped(b"3"))
    stream.settle(largest + b"3", *one_more, timeout=60)


# MARK: CloudWatchLogProcessing


def test_messages_are_taken_out_each_with_a_line_feed(process):
    stream = process(DECOMPRESSION, LOG_MESSAGES)
    stream.put(packed_log("one", "two"), packed_log("three"))
    stream.settle(b"one\ntwo\nthree\n")


def test_messages_arrive_as_they_were_logged(process):
    """What JSON escapes is undone; line feeds inside stay."""
    messages = ["", " ", "tab\t", 'quotes "\\/', "two\nlines\r\n", "ends\n", "日本語 🚰", "\0\x01"]
    escaped = json.dumps(messages)
    assert "\\ud83d\\udeb0" in escaped and "\\u0000" in escaped
    document = json.loads(log_document(*messages))
    stream = process(DECOMPRESSION, LOG_MESSAGES)
    expected = b"".join(f"{message}\n".encode() for message in messages)
    stream.put(
        packed_log(*messages),
        gzipped(json.dumps(document, ensure_ascii=False, indent=2).encode()),
        gzipped(log_document(*messages).replace(b"/", b"\\/")),
    )
    stream.settle(expected * 3)


def test_the_order_of_a_documents_members_means_nothing(process):
    document = json.loads(log_document("a", "b", messages="a decoy", message="another"))
    document["logEvents"] = [dict(reversed(each.items())) for each in document["logEvents"]]
    document["logEvents"][0]["extractedFields"] = {"message": "decoy", "deep": [{"message": "x"}]}
    turned = json.dumps(dict(reversed(document.items()))).encode()
    stream = process(DECOMPRESSION, LOG_MESSAGES)
    stream.put(gzipped(turned))
    stream.settle(b"a\nb\n")


def test_names_of_members_may_be_escaped(process):
    text = log_document("a").replace(b'"message"', b'"m\\u0065ssage"')
    text = text.replace(b'"logEvents"', b'"log\\u0045vents"')
    stream = process(DECOMPRESSION, LOG_MESSAGES)
    stream.put(gzipped(text))
    stream.settle(b"a\n")


def test_control_messages_and_documents_without_events_give_nothing(process):
    stream = process(DECOMPRESSION, LOG_MESSAGES)
    stream.put(packed_log("a"), CONTROL_MESSAGE, packed_log(), packed_log("b"))
    stream.settle(b"a\nb\n")


def test_many_and_large_messages_are_taken_out(process):
    messages = [f"message {number} " + "x" * (number % 300) for number in range(20_000)]
    stream = process(DECOMPRESSION, LOG_MESSAGES)
    stream.put(packed_log(*messages), packed_log("y" * 2_000_000), packed_log("end"))
    lines = [*messages, "y" * 2_000_000, "end"]
    stream.settle("".join(f"{line}\n" for line in lines).encode())


@pytest.mark.parametrize(
    "content",
    [
        b"{}",
        b"[]",
        b"42",
        b"null",
        b'{"messageType":"DATA_MESSAGE"}',
        log_document(logEvents=None),
        log_document(logEvents={"message": "a"}),
        log_document(logEvents="a"),
        log_document(logEvents=[1]),
        log_document(logEvents=[{"id": "1", "timestamp": 1}]),
        log_document(logEvents=[{"id": "1", "timestamp": 1, "message": 7}]),
        log_document(logEvents=[{"message": "right"}, {"message": None}]),
        b"[" + log_document("a") + b"]",
        log_document("a") + log_document("b"),
        log_document("a")[:-1],
    ],
    ids=lambda content: f"{content!r:.40}",
)
def test_what_is_no_document_of_cloudwatch_logs_is_set_apart(process, content):
    """As a whole: no message of it is delivered."""
    stream = process(DECOMPRESSION, LOG_MESSAGES)
    record = gzipped(content)
    stream.put(record, packed_log("right"))
    (failure,) = stream.settle(b"right\n", record)
    assert (failure.code, failure.message) == (DECOMPRESSION_FAILED, DECOMPRESSION_MESSAGE)
    assert (failure.attempts, failure.arn) == (1, None)
    assert stream.failures(DECOMPRESSION_FOLDER) == [failure]


def test_documents_pass_unchanged_when_messages_are_not_asked_for(process):
    documents = [log_document("a", "b"), log_document(kind="CONTROL_MESSAGE"), b'{"other": 1}']
    stream = process(DECOMPRESSION, WHOLE_LOGS)
    stream.put(*map(gzipped, documents))
    stream.settle(b"".join(documents))


# MARK: With other processors


def test_records_that_kpl_aggregated_are_unpacked_one_by_one(process):
    """What fails among them is set apart alone."""
    stream = process(DECOMPRESSION, LOG_MESSAGES)
    stream.put(kpl(packed_log("a"), b"not gzip", packed_log("b")), packed_log("c"))
    stream.settle(b"a\nb\nc\n", b"not gzip")


@pytest.mark.parametrize("processors", [[], [LOG_MESSAGES]], ids=["unpacked", "extracted"])
def test_transforms_get_what_was_unpacked(bench, processors):
    content = log_document("a", "b")
    expected = b"a\nb\n" if processors else content
    name = bench.programs.write("once", IDENTITY)
    function = transform_at_once(name)
    stream = Processed.create(bench.hydrant, function, DECOMPRESSION, *processors)
    stream.put(b"not gzip", gzipped(content))
    stream.settle(expected, b"not gzip")
    (event,) = bench.programs.events(name)
    assert event.count == 1


@pytest.mark.parametrize("processors", [[], [LOG_MESSAGES]], ids=["unpacked", "extracted"])
def test_records_that_a_transform_refuses_are_set_apart_packed(bench, processors):
    """As they were put."""
    name = bench.programs.write("once", FAILING)
    function = transform_at_once(name)
    stream = Processed.create(bench.hydrant, DECOMPRESSION, *processors, function)
    record = packed_log("a", "b")
    stream.put(record)
    (failure,) = stream.wait_for_failures(1)
    assert (failure.raw, failure.code) == (record, STATUS_FAILED)
    assert failure.arn == lambda_arn(name)
    assert stream.objects() == []
