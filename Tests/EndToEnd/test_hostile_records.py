"""Records that are made to hurt a processor: bombs, depth, and much of everything at once."""

import gzip
import json
import random
import threading
import zlib
from collections import Counter

import pytest

from processed import DECOMPRESSION_FAILED, PARSE_ERROR, Processed
from processors import (
    APPEND_DELIMITER,
    CONTROL_MESSAGE,
    DECOMPRESSION,
    JSON_OBJECTS,
    LOG_MESSAGES,
    delimited,
    gzipped,
    kpl,
    log_document,
    packed_log,
)
from producers import MAXIMUM_RECORD_BYTES
from streams import put
from waiting import wait_until

pytest_plugins = ["processed_fixtures"]

MEBIBYTE = 1024 * 1024

LIMIT_BYTES = 256 * MEBIBYTE
"""What a server may have resident, whatever it is given."""

GZIP_HEADER = gzip.compress(b"", mtime=0)[:10]


def bomb() -> bytes:
    """A record as large as is allowed that unpacks to almost 1 GB of zeros."""
    packer = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    # A full flush ends at a byte and refers to nothing before it: it can be repeated.
    chunk = packer.compress(bytes(MEBIBYTE)) + packer.flush(zlib.Z_FULL_FLUSH)
    count = (MAXIMUM_RECORD_BYTES - 100) // len(chunk)
    end = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS).flush()
    trailer = bytes(4) + (count * MEBIBYTE % 2**32).to_bytes(4, "little")
    return GZIP_HEADER + chunk * count + end + trailer


def bomb_of_members() -> bytes:
    """As `bomb`, in members that are harmless each."""
    member = gzipped(b" " * MEBIBYTE)
    return member * (MAXIMUM_RECORD_BYTES // len(member))


# MARK: Bombs


def test_the_bombs_are_bombs():
    for each in (bomb(), bomb_of_members()):
        assert MAXIMUM_RECORD_BYTES * 0.9 < len(each) <= MAXIMUM_RECORD_BYTES
        unpacker = zlib.decompressobj(zlib.MAX_WBITS | 16)
        assert len(unpacker.decompress(each, 20 * MEBIBYTE)) >= MEBIBYTE


@pytest.mark.parametrize("make", [bomb, bomb_of_members])
@pytest.mark.parametrize("processors", [[], [LOG_MESSAGES]], ids=["unpack", "extract"])
def test_bombs_are_set_apart_in_little_memory(start_hydrant, report_counts, make, processors):
    """Several in each batch, and records behind them that are right."""
    hydrant = start_hydrant()
    stream = Processed.create(hydrant, DECOMPRESSION, *processors)
    record = make()
    for _ in range(3):
        stream.put(*[record] * 4)
    stream.put(packed_log("right"))
    expected = b"right\n" if processors else log_document("right")
    failures = stream.settle(expected, *[record] * 12, timeout=60)
    assert {each.code for each in failures} == {DECOMPRESSION_FAILED}
    peak = hydrant.peak_memory_bytes()
    report_counts(f"peak memory with 12 {make.__name__}: {peak / 1e6:.0f} MB")
    assert peak < LIMIT_BYTES


def test_records_that_unpack_to_much_are_not_in_memory_all_at_once(start_hydrant, report_counts):
    """288 MB of output from one batch."""
    hydrant = start_hydrant()
    stream = Processed.create(hydrant, DECOMPRESSION)
    size, count = 12 * MEBIBYTE, 24
    stream.put(*[gzipped(b"%02d" % (10 + number) + b" " * (size - 2)) for number in range(count)])

    def delivered() -> int:
        return sum((stream.bucket.folder / key).stat().st_size for key in stream.keys())

    wait_until(lambda: delivered() >= size * count, "all that was unpacked", timeout=60)
    peak = hydrant.peak_memory_bytes()
    report_counts(f"peak memory with 24 records of 12 MiB unpacked: {peak / 1e6:.0f} MB")
    assert peak < LIMIT_BYTES
    assert stream.output().split() == [b"%d" % (10 + number) for number in range(count)]
    assert stream.failures() == []


def test_five_hundred_large_pieces_of_one_log_are_passed_on(process):
    """As much as one record may unpack to, message by message."""
    messages = [f"{number:05}" + "x" * 30_000 for number in range(500)]
    stream = process(DECOMPRESSION, LOG_MESSAGES, delimited(b"\n"))
    stream.put(packed_log(*messages), packed_log("end"))
    stream.settle("".join([*messages, "end"]).encode(), timeout=60)


# MARK: Depth

DEEP = 150_000


def whole_or_failed(stream: Processed, record: bytes, output: bytes, end: bytes) -> None:
    """Checks that a record was delivered, or set apart, as a whole, and that `end` followed."""
    wait_until(lambda: stream.output().endswith(end), "what follows")
    found = stream.output().removesuffix(end)
    if found:
        assert found == output
        assert stream.failures() == []
    else:
        assert [each.raw for each in stream.wait_for_failures(1)] == [record]


@pytest.mark.parametrize("opening", [b"[", b'{"a":'], ids=["arrays", "objects"])
def test_depth_that_is_packed_harms_nobody(process, opening):
    closing = b"]" if opening == b"[" else b"}"
    content = opening * DEEP + b"1" + closing * DEEP
    stream = process(DECOMPRESSION)
    stream.put(gzipped(content), gzipped(b'"end"'))
    whole_or_failed(stream, gzipped(content), content, b'"end"')


def test_depth_in_a_log_harms_nobody(process):
    deep = b"[" * DEEP + b"]" * DEEP
    content = log_document("message").replace(b'"subscriptionFilters":["all"]', b'"x":' + deep)
    assert deep in content
    stream = process(DECOMPRESSION, LOG_MESSAGES)
    stream.put(gzipped(content), packed_log("end"))
    whole_or_failed(stream, gzipped(content), b"message\n", b"end\n")


def test_depth_in_objects_harms_nobody(process):
    record = b'{"a":' * DEEP + b"1" + b"}" * DEEP
    stream = process(JSON_OBJECTS)
    stream.put(record, b'{"end":1}')
    whole_or_failed(stream, record, record, b'{"end":1}')


def test_depth_that_never_ends_is_set_apart(process):
    records = [b'{"a":' * DEEP, b'{"a":' + b"[" * 1_000_000, b"{" * 1_000_000]
    stream = process(JSON_OBJECTS)
    stream.put(*records, b"{}")
    failures = stream.settle(b"{}", *records)
    assert {each.code for each in failures} == {PARSE_ERROR}


# MARK: Size


def test_records_full_of_one_delimiter_are_passed_on(process):
    record = b"|" * MAXIMUM_RECORD_BYTES
    stream = process(delimited(b"|"))
    stream.put(record, b"a|b")
    stream.settle(record + b"ab")


def test_almost_delimiters_take_no_longer_than_others(process):
    """A search that begins anew at every byte would take minutes."""
    delimiter = b"a" * 3_000 + b"b"
    record = b"a" * MAXIMUM_RECORD_BYTES
    stream = process(delimited(delimiter))
    stream.put(record, record, record)
    stream.settle(record * 3, timeout=20)


def test_very_many_tiny_objects_are_passed_on_whole(process):
    record = b"{}" * (MAXIMUM_RECORD_BYTES // 2)
    stream = process(JSON_OBJECTS, APPEND_DELIMITER)
    stream.put(record)
    stream.settle(record)


# MARK: A mixed load

THREADS, RECORDS_PER_THREAD = 6, 500


class MixedProducer(threading.Thread):
    """Puts good logs and every kind of garbage, and notes what must become of each record."""

    def __init__(self, client, stream: str, number: int):
        super().__init__(daemon=True)
        self.messages: Counter[str] = Counter()
        self.failed: Counter[bytes] = Counter()
        self.silent = 0
        """Records that give no output and do not fail."""
        self.records_with_output = 0
        self.error: BaseException | None = None
        self._client = client
        self._stream = stream
        self._number = number
        self._random = random.Random(number)

    def run(self) -> None:
        """Puts all records, in batches of random sizes."""
        try:
            records = [self._record(sequence) for sequence in range(RECORDS_PER_THREAD)]
            while records:
                count = self._random.randint(1, 60)
                put(self._client, self._stream, *records[:count])
                del records[:count]
        except BaseException as error:
            self.error = error

    def _record(self, sequence: int) -> bytes:
        name = f"{self._number}-{sequence}"
        good = packed_log(f"{name}-a", f"{name}-b")
        kind = self._random.choice(["good"] * 5 + ["control"] + ["bad"] * 5)
        if kind == "control":
            self.silent += 1
            return CONTROL_MESSAGE
        if kind == "good":
            self.messages.update([f"{name}-a", f"{name}-b"])
            self.records_with_output += 1
            return good
        record = self._random.choice(
            [
                b"garbage " + name.encode(),
                self._random.randbytes(self._random.randint(0, 2_000)),
                good[: self._random.randint(1, len(good) - 1)],
                good[:-8] + self._random.randbytes(8),
                good + b"trailing " + name.encode(),
                gzipped(f"no JSON {name}".encode()),
                gzipped(json.dumps({"other": name}).encode()),
                gzipped(b'"\xff"'),
                kpl(good)[:-1],
            ]
        )
        self.failed[record] += 1
        return record


def test_all_records_of_a_mixed_load_are_accounted_for(process, report_counts):
    stream = process(DECOMPRESSION, LOG_MESSAGES)
    client = stream.hydrant.client()
    producers = [MixedProducer(client, stream.stream, number) for number in range(THREADS)]
    for producer in producers:
        producer.start()
    for producer in producers:
        producer.join()
        assert producer.error is None, producer.error
    # Without output of its own, the last record could not be waited for.
    put(client, stream.stream, packed_log("last"))
    messages = sum((each.messages for each in producers), Counter({"last": 1}))
    failed = sum((each.failed for each in producers), Counter())

    wait_until(lambda: stream.output().count(b"\n") >= messages.total(), "messages", timeout=60)
    found = Counter(stream.output().decode().splitlines())
    assert found == messages
    failures = stream.wait_for_failures(failed.total(), timeout=60)
    assert Counter(each.raw for each in failures) == failed
    assert {each.code for each in failures} == {DECOMPRESSION_FAILED}

    delivered = 1 + sum(each.records_with_output for each in producers)
    silent = sum(each.silent for each in producers)
    total = THREADS * RECORDS_PER_THREAD + 1
    report_counts(
        f"mixed load: {total:,} records = {delivered:,} delivered + {silent:,} control messages "
        f"+ {len(failures):,} failed"
    )
    assert total == delivered + silent + len(failures)
