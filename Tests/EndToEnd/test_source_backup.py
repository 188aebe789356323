"""Source backup: the records as they were put, in a place of their own."""

import re
from datetime import UTC, datetime
from functools import partial

import pytest

from buckets import FolderBucket, ObjectKey
from processed import PROCESSING_FOLDER, Processed, transform_at_once
from processors import (
    APPEND_DELIMITER,
    DECOMPRESSION,
    JSON_OBJECTS,
    LOG_MESSAGES,
    PASS_ON,
    backup,
    gzipped,
    kpl,
    packed_log,
)
from server import Hydrant
from streams import (
    AT_ONCE,
    BY_SIZE_ONLY,
    MEBIBYTE,
    ROLE_ARN,
    create_stream,
    describe,
    fresh_name,
    put,
)
from transform_programs import FAILING
from transforms import FUNCTION_ERROR, STATUS_FAILED
from updates import assert_refused, described, update
from waiting import wait_until

pytest_plugins = ["transform_fixtures"]

BUCKET_ARN = "arn:aws:s3:::some-bucket"

DROPPING = 'handle = each(lambda record: answer(record, result="Dropped"))'

DYING = "sys.exit(1)"

AWKWARD = [b"plain ", b"", b"\0\xff\n", b"\n\n", b'{"a":1} {"b":2}', b"x" * 1_000_000]


def fresh_bucket(hydrant: Hydrant, hint: str = "backup") -> FolderBucket:
    """A bucket of the server's embedded default."""
    return FolderBucket(hydrant.data / "buckets", fresh_name(hint))


def raw_content(bucket: FolderBucket) -> bytes:
    """All that is in a bucket, as it is stored."""
    return b"".join(bucket.raw(key) for key in bucket.keys())


# MARK: What is kept


def test_records_are_in_both_places_without_any_processor(client, hydrant, folder_bucket):
    copies = fresh_bucket(hydrant)
    stream = create_stream(client, folder_bucket.arn, **backup(copies.arn))
    for _ in range(3):
        put(client, stream, *AWKWARD)
    folder_bucket.wait_for(b"".join(AWKWARD) * 3)
    copies.wait_for(b"".join(AWKWARD) * 3)


def test_both_places_may_be_one_bucket(client, folder_bucket):
    given = {"Prefix": "main/"} | backup(folder_bucket.arn, Prefix="copies/")
    stream = create_stream(client, folder_bucket.arn, **given)
    put(client, stream, b"record")
    keys = folder_bucket.wait_for(b"record" * 2)
    assert [key.partition("/")[0] for key in keys] == ["copies", "main"]


def test_the_backup_holds_what_was_put_before_any_processing(hydrant):
    """Aggregated, compressed and unreadable as it came, and without delimiters."""
    copies = fresh_bucket(hydrant)
    processors = [DECOMPRESSION, LOG_MESSAGES, JSON_OBJECTS, APPEND_DELIMITER]
    stream = Processed.create(hydrant, *processors, **backup(copies.arn))
    good = packed_log('{"a":1}{"b":2}')
    records = [good, kpl(good, good), b"garbage", gzipped(b"{}"), good]
    stream.put(*records)
    wait_until(lambda: raw_content(copies) == b"".join(records), "the backup")
    stream.wait_for_failures(2)


@pytest.mark.parametrize("compression", ["UNCOMPRESSED", "GZIP", "ZIP"])
def test_prefix_and_compression_are_the_backups_own(client, hydrant, folder_bucket, compression):
    copies = fresh_bucket(hydrant)
    start = datetime.now(UTC)
    own = {"Prefix": "copies/", "CompressionFormat": compression}
    given = {"Prefix": "main/", "CompressionFormat": "GZIP", "FileExtension": ".main"}
    stream = create_stream(client, folder_bucket.arn, **given, **backup(copies.arn, **own))
    put(client, stream, b"record ", b"record")
    (key,) = copies.wait_for(b"record record")
    parsed = ObjectKey.parse(key, stream)
    hours = {f"copies/{each:%Y/%m/%d/%H/}" for each in (start, datetime.now(UTC))}
    assert parsed.prefix in hours
    extensions = {"UNCOMPRESSED": "", "GZIP": ".gz", "ZIP": ".zip"}
    assert (parsed.version, parsed.extension) == (1, extensions[compression])
    magic = {"UNCOMPRESSED": b"record", "GZIP": b"\x1f\x8b", "ZIP": b"PK"}[compression]
    assert copies.raw(key).startswith(magic)
    (main,) = folder_bucket.wait_for(b"record record")
    assert ObjectKey.parse(main, stream).extension == ".main"


def test_a_prefix_of_the_backup_may_have_expressions(client, hydrant, folder_bucket):
    copies = fresh_bucket(hydrant)
    own = {"Prefix": "all/!{timestamp:yyyy}-", "ErrorOutputPrefix": "errors/"}
    stream = create_stream(client, folder_bucket.arn, **backup(copies.arn, **own))
    start = datetime.now(UTC)
    put(client, stream, b"record")
    (key,) = copies.wait_for(b"record")
    years = {f"all/{each:%Y}-" for each in (start, datetime.now(UTC))}
    assert ObjectKey.parse(key, stream).prefix in years


@pytest.mark.parametrize("processors", [[], [PASS_ON]], ids=["plain", "processed"])
def test_each_place_has_hints_of_its_own(client, hydrant, processors):
    """The one that may wait, waits; an update ends that."""
    copies, others = fresh_bucket(hydrant), fresh_bucket(hydrant)
    late = Processed.create(
        hydrant, *processors, **backup(copies.arn, BufferingHints=BY_SIZE_ONLY)
    )
    early = Processed.create(
        hydrant, *processors, BufferingHints=BY_SIZE_ONLY, **backup(others.arn)
    )
    for stream in (late, early):
        stream.put(b"record")
    late.settle(b"record")
    others.wait_for(b"record")
    assert copies.keys() == []
    assert early.keys() == []
    update(client, late.stream, S3BackupUpdate={"BufferingHints": AT_ONCE})
    update(client, early.stream, BufferingHints=AT_ONCE)
    copies.wait_for(b"record")
    early.settle(b"record")


def test_the_backup_is_cut_by_its_own_size(client, hydrant, folder_bucket):
    copies = fresh_bucket(hydrant)
    hints = {"SizeInMBs": 4, "IntervalInSeconds": 900}
    members = backup(copies.arn, BufferingHints=BY_SIZE_ONLY)
    stream = create_stream(client, folder_bucket.arn, BufferingHints=hints, **members)
    records = [bytes([65 + number]) * 700_000 for number in range(5)]
    put(client, stream, *records)
    copies.wait_for_objects(4)
    assert [len(each) for each in copies.contents()] == [700_000] * 4
    assert all(len(each) <= MEBIBYTE for each in copies.contents())
    assert folder_bucket.keys() == []


# MARK: With a transform


def transformed(bench, body: str, **members) -> tuple[Processed, FolderBucket, str]:
    """A stream through a program, with a backup; also the backup's bucket and the program."""
    copies = fresh_bucket(bench.hydrant)
    name = bench.programs.write("once", body)
    function = transform_at_once(name, NumberOfRetries=0)
    stream = Processed.create(bench.hydrant, function, **backup(copies.arn), **members)
    return stream, copies, name


def test_the_backup_has_all_records_of_a_transform_that_drops_them(bench):
    stream, copies, name = transformed(bench, DROPPING)
    stream.put(b"a ", b"b ", b"c")
    copies.wait_for(b"a b c")
    wait_until(lambda: sum(e.count for e in bench.programs.events(name)) == 3, "the transform")
    assert stream.output() == b""
    assert stream.failures() == []


@pytest.mark.parametrize(
    ("body", "code"), [(FAILING, STATUS_FAILED), (DYING, FUNCTION_ERROR)], ids=["refuses", "dies"]
)
def test_the_backup_has_all_records_of_a_transform_that_fails(bench, body, code):
    stream, copies, _ = transformed(bench, body)
    stream.put(b"a ", b"b ", b"c")
    copies.wait_for(b"a b c")
    failures = stream.wait_for_failures(3)
    assert [(each.raw, each.code) for each in failures] == [
        (b"a ", code),
        (b"b ", code),
        (b"c", code),
    ]
    assert stream.output() == b""


def test_the_backup_does_not_wait_for_a_transform(bench):
    """What a program does with its records, and when, is nothing to the backup."""
    gate = bench.programs.folder.parent / fresh_name("gate")
    body = f"""
@each
def handle(record):
    while not os.path.exists({str(gate)!r}):
        time.sleep(0.02)
    return answer(record, content(record))
"""
    stream, copies, _ = transformed(bench, body)
    stream.put(b"record")
    copies.wait_for(b"record")
    assert stream.output() == b""
    gate.touch()
    stream.settle(b"record")


def test_failed_records_are_not_in_the_backup_bucket(hydrant):
    """They go to the destination's error prefix."""
    copies = fresh_bucket(hydrant)
    members = backup(copies.arn, ErrorOutputPrefix="errors-of-the-backup/")
    stream = Processed.create(hydrant, JSON_OBJECTS, **members)
    stream.put(b"garbage", b"{}")
    stream.settle(b"{}", b"garbage")
    copies.wait_for(b"garbage{}")
    assert len(stream.keys(PROCESSING_FOLDER)) == 1
    assert [ObjectKey.parse(key, stream.stream).prefix[:2] for key in copies.keys()] == ["20"]


# MARK: Switched on


@pytest.mark.parametrize("processors", [[], [PASS_ON]], ids=["plain", "processed"])
def test_it_begins_with_the_records_that_are_not_delivered_yet(client, hydrant, processors):
    """Those that wait when an update switches it on; not what was delivered or transformed before."""
    copies = fresh_bucket(hydrant)
    stream = Processed.create(hydrant, *processors)
    stream.put(b"delivered ")
    stream.settle(b"delivered ")
    update(client, stream.stream, "1", BufferingHints=BY_SIZE_ONLY)
    stream.put(b"waiting ")
    if processors:
        done = re.compile(rf"(?m)\btransformed\b.*\bstream={stream.stream}$")
        wait_until(lambda: len(done.findall(hydrant.log())) == 2, "both to be transformed")
    backed_up = b"later" if processors else b"waiting later"
    given = backup(copies.arn, Prefix="copies/", CompressionFormat="GZIP")
    update(
        client,
        stream.stream,
        "2",
        S3BackupMode="Enabled",
        S3BackupUpdate=given["S3BackupConfiguration"],
    )
    stream.put(b"later")
    keys = [ObjectKey.parse(key, stream.stream) for key in copies.wait_for(backed_up)]
    assert {(key.version, key.extension) for key in keys} == {(3, ".gz")}
    update(client, stream.stream, "3", BufferingHints=AT_ONCE)
    stream.settle(b"delivered waiting later")
    copies.wait_for(backed_up)


def test_an_update_moves_the_backup(client, hydrant, folder_bucket):
    """Records that wait go where the update says."""
    copies = fresh_bucket(hydrant)
    members = backup("arn:aws:s3:::never-backup", BufferingHints=BY_SIZE_ONLY)
    stream = create_stream(client, folder_bucket.arn, **members)
    put(client, stream, b"waiting")
    folder_bucket.wait_for(b"waiting")
    changed = {"BucketARN": copies.arn, "Prefix": "moved/", "BufferingHints": AT_ONCE}
    update(client, stream, S3BackupUpdate=changed)
    (key,) = copies.wait_for(b"waiting")
    assert key.startswith("moved/")
    assert not (hydrant.data / "buckets" / "never-backup").exists()
    assert folder_bucket.contents() == [b"waiting"]


def test_it_cannot_be_switched_off_again(client, hydrant, folder_bucket):
    copies = fresh_bucket(hydrant)
    stream = create_stream(client, folder_bucket.arn, **backup(copies.arn))
    before = describe(client, stream)
    message = assert_refused(
        "InvalidArgumentException", partial(update, client, stream, S3BackupMode="Disabled")
    )
    assert message == "S3BackupMode cannot be changed from Enabled to Disabled"
    assert describe(client, stream) == before
    put(client, stream, b"record")
    copies.wait_for(b"record")


# MARK: Described and refused


def test_the_backup_is_described_with_its_defaults(client):
    given = {"RoleARN": ROLE_ARN, "BucketARN": "arn:aws:s3:::copies"}
    members = {"S3BackupMode": "Enabled", "S3BackupConfiguration": given}
    stream = create_stream(client, BUCKET_ARN, **members)
    found = described(client, stream)
    assert found["S3BackupMode"] == "Enabled"
    assert found["S3BackupDescription"] == given | {
        "BufferingHints": {"SizeInMBs": 5, "IntervalInSeconds": 300},
        "CompressionFormat": "UNCOMPRESSED",
        "EncryptionConfiguration": {"NoEncryptionConfig": "NoEncryption"},
        "CloudWatchLoggingOptions": {"Enabled": False},
    }


@pytest.mark.parametrize("how", ["create", "update"])
def test_a_backup_without_a_place_is_refused(client, how):
    if how == "create":
        call = partial(create_stream, client, BUCKET_ARN, S3BackupMode="Enabled")
    else:
        call = partial(update, client, create_stream(client, BUCKET_ARN), S3BackupMode="Enabled")
    member = {"create": "Configuration", "update": "Update"}[how]
    message = assert_refused("InvalidArgumentException", call)
    assert message == (
        f"ExtendedS3Destination{member}.S3BackupConfiguration must be specified when S3BackupMode "
        "is Enabled"
    )


@pytest.mark.parametrize(
    ("members", "word"),
    [
        ({"CompressionFormat": "Snappy"}, "Snappy"),
        ({"Prefix": "open/!{timestamp:"}, "Prefix"),
        ({"Prefix": "!{timestamp:yyyy}/"}, "ErrorOutputPrefix"),
        ({"BucketARN": "arn:aws:s3:::.."}, "BucketARN"),
    ],
    ids=str,
)
@pytest.mark.parametrize("how", ["create", "update"])
def test_what_a_destination_may_not_have_the_backup_may_not_have(client, how, members, word):
    given = backup("arn:aws:s3:::copies", **members)
    if how == "create":
        call = partial(create_stream, client, BUCKET_ARN, **given)
    else:
        stream = create_stream(client, BUCKET_ARN)
        changed = {"S3BackupUpdate": given["S3BackupConfiguration"], "S3BackupMode": "Enabled"}
        call = partial(update, client, stream, **changed)
    assert_refused("InvalidArgumentException", call, word)


def test_the_shortest_interval_holds_for_the_backup(start_hydrant):
    client = start_hydrant(min_buffer_interval=60).client()
    hints = {"SizeInMBs": 5, "IntervalInSeconds": 60}
    short = {"SizeInMBs": 5, "IntervalInSeconds": 59}
    members = {"BufferingHints": hints} | backup(BUCKET_ARN, BufferingHints=short)
    call = partial(create_stream, client, BUCKET_ARN, **members)
    assert_refused("InvalidArgumentException", call, "IntervalInSeconds")
    members["S3BackupConfiguration"]["BufferingHints"] = hints
    create_stream(client, BUCKET_ARN, **members)
