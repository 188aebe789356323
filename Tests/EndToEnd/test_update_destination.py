"""UpdateDestination: when it makes a new version, what it merges and what it refuses."""

import threading
from functools import partial

import pytest

from buckets import ObjectKey
from server import ACCOUNT
from streams import (
    AT_ONCE,
    ERROR_PREFIX,
    ROLE_ARN,
    create_stream,
    describe,
    destination,
    fresh_name,
    put,
)
from updates import DESTINATION_ID, assert_refused, described, update

BUCKET_ARN = "arn:aws:s3:::some-bucket"

KEY_ARN = "arn:aws:kms:us-east-1:000000000000:key/some-key"


# MARK: Versions


def test_a_change_makes_a_new_version(client):
    stream = create_stream(client, BUCKET_ARN)
    before = describe(client, stream)
    update(client, stream, "1", Prefix="second/")
    after = describe(client, stream)
    assert (before["VersionId"], after["VersionId"]) == ("1", "2")
    assert "LastUpdateTimestamp" not in before
    assert after["LastUpdateTimestamp"] >= after["CreateTimestamp"] == before["CreateTimestamp"]
    update(client, stream, "2", Prefix="third/")
    assert describe(client, stream)["VersionId"] == "3"


@pytest.mark.parametrize(
    "members",
    [
        {},
        {"BufferingHints": {}},
        {"Prefix": "given/"},
        {"BucketARN": BUCKET_ARN, "RoleARN": ROLE_ARN, "CompressionFormat": "GZIP"},
        {"BufferingHints": {"SizeInMBs": AT_ONCE["SizeInMBs"]}},
        {"EncryptionConfiguration": {"NoEncryptionConfig": "NoEncryption"}},
    ],
    ids=str,
)
def test_an_update_that_changes_nothing_makes_no_new_version(client, members):
    stream = create_stream(client, BUCKET_ARN, Prefix="given/", CompressionFormat="GZIP")
    before = describe(client, stream)
    update(client, stream, **members)
    assert describe(client, stream) == before


def test_an_update_of_no_destination_changes_nothing(client):
    stream = create_stream(client, BUCKET_ARN)
    before = describe(client, stream)
    client.update_destination(
        DeliveryStreamName=stream,
        CurrentDeliveryStreamVersionId="1",
        DestinationId=DESTINATION_ID,
    )
    assert describe(client, stream) == before


def test_another_spelling_of_the_same_letters_is_a_change(client):
    """Keys are bytes: an accent of its own makes another prefix than a letter that has one."""
    one, other = "caf\u00e9/", "cafe\u0301/"
    stream = create_stream(client, BUCKET_ARN, Prefix=one)
    update(client, stream, Prefix=other)
    assert describe(client, stream)["VersionId"] == "2"
    assert described(client, stream)["Prefix"] == other
    update(client, stream, "2", Prefix=one)
    assert describe(client, stream)["VersionId"] == "3"
    assert described(client, stream)["Prefix"] == one


@pytest.mark.parametrize("stale", ["1", "3", "02", "002"])
def test_another_version_than_the_current_one_is_refused(client, stale):
    stream = create_stream(client, BUCKET_ARN)
    update(client, stream, "1", Prefix="second/")
    message = assert_refused(
        "ConcurrentModificationException", partial(update, client, stream, stale, Prefix="x/")
    )
    assert message == (
        f"Cannot update firehose: {stream} since the current version id: 2 "
        f"and specified version id: {stale} do not match"
    )
    assert described(client, stream)["Prefix"] == "second/"


def test_of_many_updates_of_one_version_one_is_made(client):
    stream = create_stream(client, BUCKET_ARN)
    made: list[str] = []
    refused: list[str] = []

    def compete(prefix: str) -> None:
        try:
            update(client, stream, "1", Prefix=prefix)
            made.append(prefix)
        except client.exceptions.ConcurrentModificationException:
            refused.append(prefix)

    clients = [threading.Thread(target=compete, args=(f"{n}/",)) for n in range(12)]
    for each in clients:
        each.start()
    for each in clients:
        each.join()
    assert (len(made), len(refused)) == (1, 11)
    assert described(client, stream)["Prefix"] == made[0]
    assert describe(client, stream)["VersionId"] == "2"


# MARK: What is merged


def test_what_is_not_given_stays(client):
    given = {
        "Prefix": "logs/!{timestamp:yyyy}/",
        "ErrorOutputPrefix": ERROR_PREFIX,
        "CompressionFormat": "GZIP",
        "FileExtension": ".log.gz",
        "CustomTimeZone": "Europe/Berlin",
        "EncryptionConfiguration": {"KMSEncryptionConfig": {"AWSKMSKeyARN": KEY_ARN}},
        "CloudWatchLoggingOptions": {
            "Enabled": True,
            "LogGroupName": "group",
            "LogStreamName": "stream",
        },
    }
    stream = create_stream(client, BUCKET_ARN, **given)
    before = described(client, stream)
    update(client, stream, RoleARN=f"{ROLE_ARN}-2")
    assert described(client, stream) == before | {"RoleARN": f"{ROLE_ARN}-2"}


@pytest.mark.parametrize(
    ("member", "given", "changed", "expected"),
    [
        (
            "BufferingHints",
            {"SizeInMBs": 5, "IntervalInSeconds": 100},
            {"SizeInMBs": 6},
            {"SizeInMBs": 6, "IntervalInSeconds": 100},
        ),
        (
            "BufferingHints",
            {"SizeInMBs": 5, "IntervalInSeconds": 100},
            {"IntervalInSeconds": 200},
            {"SizeInMBs": 5, "IntervalInSeconds": 200},
        ),
        (
            "CloudWatchLoggingOptions",
            {"Enabled": True, "LogGroupName": "g", "LogStreamName": "s"},
            {"LogStreamName": "other"},
            {"Enabled": True, "LogGroupName": "g", "LogStreamName": "other"},
        ),
        (
            "EncryptionConfiguration",
            {"KMSEncryptionConfig": {"AWSKMSKeyARN": KEY_ARN}},
            {"NoEncryptionConfig": "NoEncryption"},
            {"NoEncryptionConfig": "NoEncryption"},
        ),
    ],
)
def test_structures_are_merged_or_replaced(client, member, given, changed, expected):
    stream = create_stream(client, BUCKET_ARN, **{member: given})
    update(client, stream, **{member: changed})
    assert described(client, stream)[member] == expected


def test_an_empty_text_takes_a_prefix_or_an_extension_away(client, folder_bucket):
    stream = create_stream(client, folder_bucket.arn, Prefix="p/", FileExtension=".x")
    update(client, stream, Prefix="", FileExtension="")
    put(client, stream, b"record")
    (key,) = folder_bucket.wait_for(b"record")
    assert ObjectKey.parse(key, stream).extension == ""
    assert not key.startswith("p/")


def test_both_shapes_of_s3_update_each_other(client):
    extended = create_stream(client, BUCKET_ARN, FileExtension=".x")
    update(client, extended, kind="S3", Prefix="from-s3/")
    assert described(client, extended)["Prefix"] == "from-s3/"
    assert described(client, extended)["FileExtension"] == ".x"

    plain = fresh_name()
    client.create_delivery_stream(
        DeliveryStreamName=plain,
        S3DestinationConfiguration=destination(BUCKET_ARN, Prefix="kept/"),
    )
    update(client, plain, kind="ExtendedS3", FileExtension=".y")
    assert described(client, plain)["Prefix"] == "kept/"
    assert described(client, plain)["FileExtension"] == ".y"


# MARK: What is refused


def test_an_unknown_stream_is_named(client):
    message = assert_refused(
        "ResourceNotFoundException", lambda: update(client, "nobody", Prefix="x/")
    )
    assert message == f"Firehose nobody under account {ACCOUNT} not found."


def test_an_unknown_destination_is_named(client):
    stream = create_stream(client, BUCKET_ARN)
    assert_refused(
        "InvalidArgumentException",
        lambda: client.update_destination(
            DeliveryStreamName=stream,
            CurrentDeliveryStreamVersionId="1",
            DestinationId="destinationId-000000000002",
            ExtendedS3DestinationUpdate={"Prefix": "x/"},
        ),
        "destinationId-000000000002",
    )
    assert "Prefix" not in described(client, stream)


def test_no_more_than_one_destination_is_updated(client):
    stream = create_stream(client, BUCKET_ARN)
    message = assert_refused(
        "InvalidArgumentException",
        lambda: client.update_destination(
            DeliveryStreamName=stream,
            CurrentDeliveryStreamVersionId="1",
            DestinationId=DESTINATION_ID,
            S3DestinationUpdate={"Prefix": "x/"},
            ExtendedS3DestinationUpdate={"Prefix": "x/"},
        ),
    )
    assert message == "Exactly one destination update is supported for a Firehose"


@pytest.mark.parametrize(
    ("members", "code", "word"),
    [
        ({"FileExtension": "gz"}, "ValidationException", "extendedS3DestinationUpdate.file"),
        ({"CustomTimeZone": "Mars/Olympus_Mons"}, "InvalidArgumentException", "CustomTimeZone"),
        ({"Prefix": "!{timestamp:yyyy}/"}, "InvalidArgumentException", "ErrorOutputPrefix"),
        ({"Prefix": "open/!{timestamp:"}, "InvalidArgumentException", "Prefix"),
        ({"CompressionFormat": "Snappy"}, "InvalidArgumentException", "Snappy"),
        ({"ProcessingConfiguration": {"Enabled": True}}, "InvalidArgumentException", "processor"),
        (
            {"DataFormatConversionConfiguration": {"Enabled": True}},
            "InvalidArgumentException",
            "DataFormatConversionConfiguration",
        ),
        (
            {
                "S3BackupMode": "Enabled",
                "S3BackupUpdate": destination(BUCKET_ARN, CompressionFormat="Snappy"),
            },
            "InvalidArgumentException",
            "S3BackupConfiguration.CompressionFormat Snappy",
        ),
    ],
    ids=str,
)
def test_what_creating_a_stream_refuses_updates_refuse(client, members, code, word):
    """What the update makes of the whole destination is checked, not the update alone."""
    stream = create_stream(client, BUCKET_ARN)
    before = describe(client, stream)
    assert_refused(code, partial(update, client, stream, **members), word)
    assert describe(client, stream) == before


def test_an_error_prefix_cannot_be_taken_away_from_expressions(client):
    given = {"Prefix": "!{timestamp:yyyy}/", "ErrorOutputPrefix": ERROR_PREFIX}
    stream = create_stream(client, BUCKET_ARN, **given)
    assert_refused(
        "InvalidArgumentException",
        lambda: update(client, stream, ErrorOutputPrefix=""),
        "ErrorOutputPrefix",
    )
    assert described(client, stream)["ErrorOutputPrefix"] == ERROR_PREFIX


def test_the_shortest_interval_holds_for_updates(start_hydrant):
    client = start_hydrant(min_buffer_interval=60).client()
    hints = {"SizeInMBs": 5, "IntervalInSeconds": 60}
    stream = create_stream(client, BUCKET_ARN, BufferingHints=hints)
    assert_refused(
        "InvalidArgumentException",
        lambda: update(client, stream, BufferingHints={"IntervalInSeconds": 59}),
        "IntervalInSeconds",
    )
    update(client, stream, BufferingHints={"IntervalInSeconds": 61})
