"""Batches that become much more than they were: what is kept of them can be read again."""

import gzip

import pytest

from processed import Processed, transform_at_once
from processors import DECOMPRESSION, field, gzipped, kpl, kpl_frame
from server import Hydrant
from streams import MEBIBYTE, create_stream
from transform_programs import FAILING, IDENTITY
from transforms import (
    Bench,
    Flow,
    client_of,
    lambda_arn,
    lambda_processor,
    lines,
    log_lines,
    processing,
)
from updates import assert_refused, update
from waiting import wait_until

pytest_plugins = ["transform_fixtures"]

HELD = {"SizeInMBs": 128, "IntervalInSeconds": 900}
"""Buffers of what was transformed that wait until an update lets them go."""

LET_GO = HELD | {"IntervalInSeconds": 0}

FRAME_BYTES = 48 * MEBIBYTE
"""The most that the log reads as one piece."""

LOST = "acknowledged records are lost to damage in the log; what is left is set aside"

LONGEST_ARN = 512
"""AWS Lambda's own limit, in bytes."""


def kill_and_let_go(bench: Bench, stream: str, *, batches: int = 1) -> None:
    """Kills the server when it has transformed batches and delivered nothing; then lets all go."""
    hydrant = bench.hydrant
    wait_until(
        lambda: len(log_lines(hydrant, "transformed", stream=stream)) >= batches,
        f"{batches} batches to be transformed",
    )
    hydrant.sigkill()
    hydrant.start()
    update(bench.client, stream, BufferingHints=LET_GO)


def document(number: int, size: int) -> bytes:
    """A JSON document of that size which is like no other."""
    return b'"%s"' % (b"%d " % number).ljust(size - 2, b"x")


def assert_nothing_lost(hydrant: Hydrant) -> None:
    """Checks that the server found all of its log as it had written it."""
    assert log_lines(hydrant, LOST) == []


# MARK: More than a frame


def test_parts_that_unpack_to_more_than_a_frame_are_all_accounted_for(start_bench):
    """One record of 70 kB holds them, so that all of it belongs to one batch."""
    bench = start_bench()
    stream = Processed.create(bench.hydrant, DECOMPRESSION, BufferingHints=HELD)
    documents = [document(number, MEBIBYTE) for number in range(61)]
    assert sum(map(len, documents)) > FRAME_BYTES
    packed = [gzipped(each) for each in documents]
    stream.put(kpl(*packed))
    kill_and_let_go(bench, stream.stream)

    def accounted() -> bool:
        return len(stream.output()) // MEBIBYTE + len(stream.failures()) == len(documents)

    wait_until(accounted, "61 documents, unpacked or set apart")
    # How many are too much for one record is the server's choice; what is too much is at the end.
    unpacked = len(documents) - len(stream.failures())
    assert unpacked > 0
    expected = b"".join(documents[:unpacked])
    assert stream.output() == expected
    assert [each.raw for each in stream.failures()] == packed[unpacked:]
    stream.put(gzip.compress(b'"after"'))
    stream.wait_for(expected + b'"after"')
    assert_nothing_lost(bench.hydrant)


def test_a_record_of_too_many_parts_fails_whole(start_bench):
    """A line for each of its 240,000 empty parts would be more than a frame."""
    bench = start_bench()
    function = transform_at_once(bench.programs.write("worker", FAILING))
    stream = Processed.create(bench.hydrant, function, BufferingHints=HELD)
    record = kpl_frame(field(3, field(3, b"")) * 240_000)
    stream.put(record)
    kill_and_let_go(bench, stream.stream)
    assert [each.raw for each in stream.wait_for_failures(1)] == [record]
    stream.put(b"after")
    assert [each.raw for each in stream.wait_for_failures(2)] == [record, b"after"]
    assert_nothing_lost(bench.hydrant)


def test_failed_records_whose_lines_are_more_than_a_frame_are_all_set_apart(start_bench):
    """What makes the lines long is the ARN: each of its odd characters is six in JSON."""
    bench = start_bench()
    name = bench.programs.write("worker", FAILING)
    bare = lambda_arn(name)
    arn = bare.replace("aws", "\x01" * (LONGEST_ARN - len(bare)), 1)
    flow = bench.flow(name, arn=arn, size=3, interval=2, hints=HELD)
    records = lines(20_000)
    flow.put_quickly(records)
    kill_and_let_go(bench, flow.stream)
    (transformed,) = flow.log("transformed")
    assert transformed["records"] == str(len(records)), "they must be one batch"

    def found() -> int:
        return sum(flow.bucket.raw(key).count(b"\n") for key in flow.keys(failed=True))

    wait_until(lambda: found() >= len(records), "the failed records")
    failures = flow.failures()
    assert [each.raw for each in failures] == records
    assert {each.arn for each in failures} == {arn}
    whole = sum(len(flow.bucket.raw(key)) for key in flow.keys(failed=True))
    assert whole > FRAME_BYTES, "this is no test of frames any more"
    assert_nothing_lost(bench.hydrant)


@pytest.mark.parametrize("length", [LONGEST_ARN, LONGEST_ARN + 1])
def test_an_arn_may_be_as_long_as_lambdas_own(bench, length):
    """It is in every failed record's line."""
    name = bench.programs.write("worker", FAILING)
    bare = lambda_arn(name)
    arn = bare.replace("aws", "a" * (length - len(bare) + 3), 1)
    assert len(arn) == length
    members = processing(lambda_processor(arn))
    if length <= LONGEST_ARN:
        create_stream(bench.client, bench.bucket().arn, **members)
        return
    bucket = bench.bucket().arn
    assert_refused(
        "InvalidArgumentException",
        lambda: create_stream(bench.client, bucket, **members),
        "Invalid lambda ARN.",
    )


# MARK: More than the log may hold


def put_patiently(flow: Flow, record: bytes) -> None:
    """Puts a record again until it is taken: what is transformed leaves the log a little later."""

    def is_taken() -> bool:
        answer = client_of(flow.hydrant).put_record_batch(
            DeliveryStreamName=flow.stream, Records=[{"Data": record}]
        )
        return answer["FailedPutCount"] == 0

    wait_until(is_taken, "room in the log")
    flow.records.append(record)


def test_a_batch_that_becomes_more_than_the_log_may_hold_is_delivered(start_bench):
    """The bound is for what producers put; a batch that has begun must come to its end."""
    bench = start_bench("--max-log-bytes", str(4 * MEBIBYTE))
    stream = Processed.create(bench.hydrant, DECOMPRESSION)
    documents = [document(number, MEBIBYTE) for number in range(16)]
    stream.put(*map(gzipped, documents))
    stream.wait_for(b"".join(documents))
    stream.put(gzipped(b'"after"'))
    stream.settle(b"".join(documents) + b'"after"')
    assert_nothing_lost(bench.hydrant)


def test_outcomes_beyond_what_the_log_may_hold_hold_up_no_other_stream(start_bench):
    """They wait for their delivery; what was transformed must not wait in the only place."""
    bench = start_bench("--max-log-bytes", str(4 * MEBIBYTE), "--transform-limit", "1")
    flow = bench.flow_through("worker", IDENTITY, hints=HELD)
    other = bench.flow_through("worker", IDENTITY)
    for number in range(8):
        put_patiently(flow, bytes([65 + number]) * 800_000)
    wait_until(
        lambda: sum(int(each["records"]) for each in flow.log("transformed")) == 8,
        "all to be transformed",
    )
    other.put(b"flows")
    other.wait_for(b"flows")
    update(bench.client, flow.stream, BufferingHints=LET_GO)
    flow.wait_for(b"".join(flow.records))
