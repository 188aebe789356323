"""Starts behind odd ends: no stream keeps the server from starting, and none loses or doubles."""

import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from botocore.exceptions import ClientError

from buckets import FolderBucket
from master_keys import create_encrypted, fresh_master_key, write_master_keys
from processors import backup, field, kpl_frame
from streams import AT_ONCE, ROLE_ARN, create_stream, put
from strict_s3 import StrictS3
from transform_programs import IDENTITY, is_alive
from transforms import Bench, Flow, lambda_processor, log_lines, processing
from updates import update
from waiting import wait_until

pytest_plugins = ["transform_fixtures"]

WAITING = {"SizeInMBs": 5, "IntervalInSeconds": 900}

DROPPING = 'handle = each(lambda record: answer(record, result="Dropped"))'

HANGS_AT_A_2 = """
def handle(event):
    if any(content(each) == b"2" for each in event["records"]):
        trace(hangs=True)
        time.sleep(600)
    return {"records": [answer(each, content(each)) for each in event["records"]]}
"""

CONVERSION = {
    "SchemaConfiguration": {
        "RoleARN": ROLE_ARN,
        "DatabaseName": "database",
        "TableName": "table",
        "Region": "us-east-1",
    },
    "InputFormatConfiguration": {"Deserializer": {"OpenXJsonSerDe": {}}},
    "OutputFormatConfiguration": {"Serializer": {"ParquetSerDe": {}}},
}
"""Asks for what is not delivered."""

SEGMENT_HEADER_BYTES, FRAME_HEADER_BYTES = 4_096, 64

FRAME_MAGIC = b"HYF1"


@pytest.fixture
def endpoint() -> Iterator[StrictS3]:
    """An S3 endpoint of the test's own, to make fail."""
    with StrictS3() as endpoint:
        yield endpoint


def folder_of(bench: Bench, stream: str) -> Path:
    """What the server keeps of a stream."""
    return bench.hydrant.data / "streams" / f"{stream}.stream"


def wait_until_transformed(flow: Flow) -> None:
    """Waits until what was put is transformed."""
    wait_until(
        lambda: sum(int(each["records"]) for each in flow.log("transformed")) == len(flow.records),
        f"{flow.stream} to transform {len(flow.records)} records",
    )


# MARK: Nothing left of a batch


def test_a_batch_that_was_dropped_is_over_when_processing_is_switched_off(start_bench, endpoint):
    """It leaves nothing in the outcome log; the next buffer must join what is before it."""
    endpoint.fault = lambda _: 503
    bench = start_bench(environment=endpoint.environment)
    flow = bench.flow_through("worker", DROPPING)
    flow.put(b"dropped ")
    wait_until_transformed(flow)
    update(bench.client, flow.stream, **processing(enabled=False))
    flow.put(b"kept ")
    # It is in the journal before it is sent; what was dropped is at no checkpoint for a second.
    wait_until(lambda: endpoint.puts, "an attempt to deliver")
    bench.hydrant.sigkill()
    endpoint.fault = lambda _: None
    bench.hydrant.start()
    endpoint.wait_for(flow.bucket.name, b"kept ")
    flow.put(b"after")
    endpoint.wait_for(flow.bucket.name, b"kept after")
    assert len(flow.log("transformed")) == 1


# MARK: Sealed


@pytest.mark.parametrize("is_delivered", [False, True], ids=["waiting", "delivered"])
def test_without_the_key_a_transformed_stream_waits_and_others_go_on(
    start_bench, tmp_path, is_delivered
):
    """How far it was transformed is in a log that cannot be read."""
    keys = write_master_keys(tmp_path / "master.keys", fresh_master_key())
    bench = start_bench("--master-key", str(keys))
    hydrant = bench.hydrant
    hints = AT_ONCE if is_delivered else WAITING
    flow = bench.flow_through("worker", IDENTITY, create=create_encrypted, hints=hints)
    other = bench.flow_through("worker", IDENTITY)
    flow.put(b"before ")
    wait_until_transformed(flow)
    if is_delivered:
        flow.wait_for(b"before ")
    hydrant.sigkill()
    with_key = hydrant.options
    place = with_key.index("--master-key")
    hydrant.options = with_key[:place] + with_key[place + 2 :]
    hydrant.start()

    (said,) = flow.log("the stream's encrypted records wait on disk, and puts are refused")
    assert said["level"] == "error"
    assert "no master key" in said["error"] and "--master-key" in said["error"]
    other.put(b"flows")
    other.wait_for(b"flows")
    with pytest.raises(ClientError) as refusal:
        put(bench.client, flow.stream, b"x")
    assert refusal.value.response["Error"]["Code"] == "InvalidKMSResourceException"

    hydrant.options = with_key
    hydrant.restart()
    flow.put(b"after")
    update(bench.client, flow.stream, BufferingHints=AT_ONCE)
    flow.wait_for(b"before after")
    assert flow.failures() == []


# MARK: Refused by today's rules


def test_a_stored_processor_that_is_refused_today_stops_its_own_stream_only(start_bench):
    """Its records are kept, and delivered when the configuration is mended."""
    bench = start_bench()
    flow = bench.flow_through("worker", IDENTITY, retries=300, hints=WAITING)
    other = bench.flow_through("worker", IDENTITY)
    flow.put(b"before ")
    wait_until_transformed(flow)
    assert bench.hydrant.sigterm() == 0
    path = folder_of(bench, flow.stream) / "stream.json"
    stored = json.loads(path.read_text())
    members = stored["stream"]["destination"]["members"]
    (processor,) = members["ProcessingConfiguration"]["Processors"]
    (retries,) = (
        each for each in processor["Parameters"] if each["ParameterName"] == "NumberOfRetries"
    )
    retries["ParameterValue"] = "999"
    path.write_text(json.dumps(stored))
    bench.hydrant.start()

    (said,) = flow.log("the stream's records are kept and not delivered: its processing cannot be")
    assert said["level"] == "error"
    assert said["error"] == "Number of retries for lambda must be between 0 and 300."
    other.put(b"flows")
    other.wait_for(b"flows")
    flow.put(b"meanwhile ")
    bench.hydrant.sigkill()
    bench.hydrant.start()
    assert flow.output() == b""
    function = lambda_processor(flow.transform, BufferIntervalInSeconds=0)
    update(bench.client, flow.stream, BufferingHints=AT_ONCE, **processing(function))
    flow.put(b"after")
    flow.wait_for(b"before meanwhile after")


# MARK: A log without its end


def frame_offsets(segment: Path) -> list[int]:
    """Where the frames of a log's segment begin, and where the last one ends."""
    content = segment.read_bytes()
    offsets = [SEGMENT_HEADER_BYTES]
    while content[offsets[-1] :][:4] == FRAME_MAGIC:
        size = int.from_bytes(content[offsets[-1] + 16 :][:4], "little")
        offsets.append(offsets[-1] + FRAME_HEADER_BYTES + (size + 7) // 8 * 8)
    return offsets


def aggregate(part: bytes) -> bytes:
    """An aggregated record of 10,000 equal parts, as many as one record may become."""
    return kpl_frame(field(3, field(3, part)) * 10_000)


@pytest.mark.parametrize("kept", [0, 1, 3], ids=["nothing", "a part of it", "what was done"])
def test_what_is_put_behind_a_lost_end_is_delivered(start_bench, kept):
    """The end is lost with a batch of four, of which three were transformed; `kept` are left."""
    bench = start_bench()
    flow = bench.flow_through("worker", HANGS_AT_A_2, size=0.2, interval=900)
    # Thirty thousand parts are transformed at once. The fifth has no room, and so ends the batch.
    for part in (b"1", b"1", b"1", b"2", b"3"):
        flow.put(aggregate(part))
    bench.programs.wait_for_traces(flow.transform, "hangs")
    done = b"1" * 30_000
    flow.wait_for(done)
    bench.hydrant.sigkill()
    for pid in filter(is_alive, bench.programs.pids(flow.transform)):
        os.kill(pid, signal.SIGKILL)
    (segment,) = (folder_of(bench, flow.stream) / "log").glob("*.segment")
    offsets = frame_offsets(segment)
    assert len(offsets) == 6, "five frames and their end"
    size = segment.stat().st_size
    os.truncate(segment, offsets[kept])
    os.truncate(segment, size)
    bench.programs.write("worker", IDENTITY, name=flow.transform)
    bench.hydrant.start()
    function = lambda_processor(flow.transform, BufferIntervalInSeconds=0)
    update(bench.client, flow.stream, **processing(function))
    after = [b" %d" % number for number in range(5)]
    flow.put(*after)
    flow.wait_for(done + b"".join(after))
    bench.hydrant.restart()
    flow.put(b" last")
    flow.wait_for(done + b"".join(after) + b" last")


# MARK: A backup that waits


def obstruct(bucket: FolderBucket) -> None:
    """Puts a file where a bucket's folder should be, so that nothing can be delivered there."""
    bucket.folder.parent.mkdir(parents=True, exist_ok=True)
    bucket.folder.write_text("no folder")


@pytest.mark.parametrize("is_under_way", [False, True], ids=["waiting", "under way"])
def test_the_backup_of_a_stream_that_cannot_be_delivered_loses_nothing(start_bench, is_under_way):
    """The log keeps for it what the stream itself has delivered long since."""
    bench = start_bench("--accept-undeliverable")
    hydrant = bench.hydrant
    main, copies = bench.bucket(), bench.bucket()
    if is_under_way:
        obstruct(copies)
    hints = AT_ONCE if is_under_way else WAITING
    stream = create_stream(bench.client, main.arn, **backup(copies.arn, BufferingHints=hints))
    put(bench.client, stream, b"one ")
    main.wait_for(b"one ")
    if is_under_way:
        hydrant.wait_for_log("S3 PUT failed")
    large = {"SizeInMBs": 64, "IntervalInSeconds": 0}
    update(bench.client, stream, BufferingHints=large, DataFormatConversionConfiguration=CONVERSION)
    put(bench.client, stream, b"two ")
    hydrant.restart()
    hydrant.sigkill()
    if is_under_way:
        copies.folder.unlink()
    hydrant.start()
    assert log_lines(
        hydrant,
        "the stream's records are kept and not delivered: a member is not supported",
        stream=stream,
    )
    off = {"DataFormatConversionConfiguration": {"Enabled": False}}
    update(bench.client, stream, "2", **off, S3BackupUpdate={"BufferingHints": AT_ONCE})
    put(bench.client, stream, b"three")
    for bucket in (main, copies):
        bucket.wait_for(b"one two three")
    hydrant.restart()
    put(bench.client, stream, b" four")
    for bucket in (main, copies):
        bucket.wait_for(b"one two three four")
