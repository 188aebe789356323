"""Files that may be open: few are enough for many streams, and what runs short is told by name."""

import os
import re
from contextlib import ExitStack
from pathlib import Path

import pytest
from botocore.exceptions import ClientError

from buckets import FolderBucket
from server import Hydrant
from streams import create_stream, put
from test_health import page
from transform_programs import IDENTITY, Programs
from transforms import lambda_arn, lambda_processor, processing
from waiting import wait_until
from wire import Connection

STREAMS = 200

IDLE_BYTES = 1024 * 1024
"""The most that an idle stream takes of the disk."""


def open_files(hydrant: Hydrant) -> list[str]:
    """What the server has open, of its data folder's streams."""
    folder = Path(f"/proc/{hydrant.process.pid}/fd")
    found = []
    for each in folder.iterdir():
        try:
            found.append(os.readlink(each))
        except FileNotFoundError:
            continue
    return [each for each in found if each.startswith(f"{hydrant.data}/streams/")]


def disk_bytes(folder: Path) -> int:
    """What a folder takes of the disk."""
    return sum(each.lstat().st_blocks * 512 for each in [folder, *folder.rglob("*")])


def create_all(hydrant: Hydrant, bucket: FolderBucket) -> list[str]:
    names = [f"stream-{number:03}" for number in range(STREAMS)]
    hints = {"SizeInMBs": 1, "IntervalInSeconds": 0}
    for name in names:
        create_stream(hydrant.client(), bucket.arn, name=name, BufferingHints=hints)
    return names


def test_few_open_files_are_enough_for_many_streams(make_hydrant):
    """With 256, 115 streams were too many: now those that are used take turns."""
    hydrant = make_hydrant()
    hydrant.open_file_limit = 256
    hydrant.start()
    assert "the limit on open files is low" in hydrant.log()
    bucket = FolderBucket(hydrant.data / "buckets", "many")
    names = create_all(hydrant, bucket)
    client = hydrant.client()
    for round in range(2):
        for name in names:
            put(client, name, b"<%s %d>" % (name.encode(), round))
    wanted = sorted(b"<%s %d>" % (name.encode(), round) for name in names for round in range(2))

    def arrived() -> list[bytes]:
        return sorted(re.findall(rb"<.*?>", b"".join(bucket.contents())))

    wait_until(lambda: len(arrived()) == len(wanted), "all records", timeout=60)
    assert arrived() == wanted
    assert page(hydrant, "/ready")[0] == 200
    assert len(open_files(hydrant)) < 40
    hydrant.restart()
    put(hydrant.client(), names[-1], b"<more>")
    wait_until(lambda: b"<more>" in b"".join(bucket.contents()), "the record")


@pytest.mark.parametrize("mode", ["once", "worker"])
def test_transforms_take_turns_and_fail_no_record(make_hydrant, tmp_path, mode):
    """Each process has pipes: with 256 files, twenty at a time were too many."""
    programs = Programs(tmp_path)
    name = programs.write(mode, "time.sleep(0.1)\n" + IDENTITY)
    hydrant = make_hydrant(*programs.options)
    hydrant.open_file_limit = 256
    hydrant.start()
    bucket = FolderBucket(hydrant.data / "buckets", "b")
    client = hydrant.client()
    streams = [f"stream-{number:02}" for number in range(30)]
    how = processing(lambda_processor(lambda_arn(name), BufferIntervalInSeconds=0))
    for stream in streams:
        create_stream(client, bucket.arn, name=stream, **how)
    for stream in streams:
        put(client, stream, b"<%s>" % stream.encode())

    def arrived() -> list[bytes]:
        return sorted(re.findall(rb"<.*?>", b"".join(bucket.contents())))

    wait_until(lambda: len(arrived()) == len(streams), "all records", timeout=60)
    assert arrived() == [b"<%s>" % each.encode() for each in streams]
    assert not [each for each in bucket.keys() if "failed" in each]
    assert hydrant.sigterm() == 0


def test_connections_that_are_too_many_are_told_of(make_hydrant):
    hydrant = make_hydrant()
    hydrant.open_file_limit = 256
    hydrant.start()
    with ExitStack() as stack:
        for _ in range(80):
            stack.enter_context(Connection(hydrant.port))
        hydrant.wait_for_log("connection closed: the limit on client connections is reached")


def test_too_low_a_limit_is_refused_with_the_number_that_is_needed(make_hydrant):
    hydrant = make_hydrant()
    hydrant.open_file_limit = 64
    said = hydrant.refusal_to_start()
    needed = int(re.search(r"limit on open files is 64 .* needs at least (\d+)", said)[1])
    hydrant.open_file_limit = needed
    hydrant.start()
    bucket = FolderBucket(hydrant.data / "buckets", "b")
    name = create_stream(hydrant.client(), bucket.arn)
    put(hydrant.client(), name, b"record")
    wait_until(lambda: bucket.contents() == [b"record"], "the record")


@pytest.fixture
def descriptors():
    """Descriptors that a server can inherit."""
    first = os.open("/dev/null", os.O_RDONLY)
    some = [first, *(os.dup(first) for _ in range(214))]
    yield tuple(some)
    for each in some:
        os.close(each)


def test_a_shortage_refuses_new_streams_by_name_and_delivers_the_others(make_hydrant, descriptors):
    hydrant = make_hydrant()
    hydrant.start()
    bucket = FolderBucket(hydrant.data / "buckets", "b")
    create_stream(hydrant.client(), bucket.arn, name="old")
    assert hydrant.sigterm() == 0
    hydrant.open_file_limit = 256
    hydrant.inherited_files = descriptors
    hydrant.start()
    with pytest.raises(ClientError) as refused:
        create_stream(hydrant.client(), bucket.arn, name="new")
    error = refused.value.response["Error"]
    assert error["Code"] == "LimitExceededException"
    assert "The stream new cannot be created" in error["Message"]
    assert re.search(r"\d+ of 256 file descriptors are in use", error["Message"])
    status, said = page(hydrant, "/ready")
    assert status == 503
    assert "of 256 file descriptors are in use" in said["reasons"][0]
    for number in range(20):
        put(hydrant.client(), "old", b"<%d>" % number)
    wait_until(
        lambda: len(re.findall(rb"<\d+>", b"".join(bucket.contents()))) == 20, "the records"
    )


def test_an_idle_stream_takes_no_file_and_little_disk(make_hydrant):
    """Also one that had a great deal to do: 20 MB here, over several segments."""
    hydrant = make_hydrant()
    hydrant.start()
    bucket = FolderBucket(hydrant.data / "buckets", "b")
    hints = {"SizeInMBs": 1, "IntervalInSeconds": 0}
    for name in ("busy", "quiet", "unused"):
        create_stream(hydrant.client(), bucket.arn, name=name, BufferingHints=hints)
    client = hydrant.client()
    for _ in range(5):
        client.put_record_batch(
            DeliveryStreamName="busy", Records=[{"Data": b"x" * 1_000_000}] * 4
        )
    put(client, "quiet", b"x")
    wait_until(lambda: sum(map(len, bucket.contents())) == 20_000_001, "all records")
    folders = {
        name: hydrant.data / "streams" / f"{name}.stream" for name in ("busy", "quiet", "unused")
    }
    wait_until(
        lambda: all(disk_bytes(each) <= IDLE_BYTES for each in folders.values()),
        "space to be given back",
        timeout=60,
    )
    wait_until(lambda: open_files(hydrant) == [], "files to be closed", timeout=60)
    put(client, "busy", b"y")
    wait_until(lambda: sum(map(len, bucket.contents())) == 20_000_002, "one more")
