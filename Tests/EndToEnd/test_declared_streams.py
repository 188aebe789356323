"""`hydrant serve --streams`: streams that are declared in files and made so at every start."""

import base64
import json
from pathlib import Path

import pytest

from buckets import FolderBucket, ObjectKey
from documents import Edition, choices, destinations, document
from streams import (
    AT_ONCE,
    BY_SIZE_ONLY,
    ROLE_ARN,
    create_stream,
    describe,
    destination,
    fresh_name,
    put,
)
from updates import described, update

BUCKET_ARN = "arn:aws:s3:::some-bucket"

MASTER_KEY = {"HYDRANT_MASTER_KEY": base64.b64encode(bytes(range(32))).decode()}

REDSHIFT = {
    "RoleARN": ROLE_ARN,
    "ClusterJDBCURL": "jdbc:redshift://warehouse:5439/db",
    "CopyCommand": {"DataTableName": "t"},
    "S3Configuration": destination(BUCKET_ARN),
    "SecretsManagerConfiguration": {"Enabled": True},
}

ENCRYPTED = {
    "DeliveryStreamEncryptionConfigurationInput": {"KeyType": "AWS_OWNED_CMK"},
}


def declaration(name: str, bucket_arn: str = BUCKET_ARN, *, tags: dict | None = None, **members):
    """A stream with an extended S3 destination, as a file declares it."""
    declared = {
        "DeliveryStreamName": name,
        "ExtendedS3DestinationConfiguration": destination(bucket_arn, **members),
    }
    if tags is not None:
        declared["Tags"] = [{"Key": key, "Value": value} for key, value in tags.items()]
    return declared


def write(path: Path, declared: object) -> Path:
    """Writes a file of streams; returns its path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(declared if isinstance(declared, str) else json.dumps(declared, indent=2))
    return path


def names(client) -> list[str]:
    """All streams of a server."""
    return client.list_delivery_streams(Limit=10_000)["DeliveryStreamNames"]


def tags(client, stream: str) -> dict[str, str]:
    """A stream's tags."""
    answer = client.list_tags_for_delivery_stream(DeliveryStreamName=stream)
    return {each["Key"]: each["Value"] for each in answer["Tags"]}


@pytest.fixture
def file(tmp_path) -> Path:
    """Where a test's streams are declared."""
    return tmp_path / "streams.json"


# MARK: What is declared is there


def test_a_file_with_one_stream(start_hydrant, file):
    write(file, declaration("only", Prefix="declared/", tags={"team": "ops"}))
    client = start_hydrant("--streams", str(file)).client()
    assert names(client) == ["only"]
    assert described(client, "only")["Prefix"] == "declared/"
    assert tags(client, "only") == {"team": "ops"}
    assert describe(client, "only")["VersionId"] == "1"


def test_a_file_with_many_streams(start_hydrant, file):
    write(file, [declaration(name) for name in ("b", "a", "c")])
    assert names(start_hydrant("--streams", str(file)).client()) == ["a", "b", "c"]


def test_a_file_with_no_stream(start_hydrant, file):
    write(file, [])
    assert names(start_hydrant("--streams", str(file)).client()) == []


def test_a_folder_of_files(start_hydrant, tmp_path):
    folder = tmp_path / "streams.d"
    write(folder / "one.json", declaration("one"))
    write(folder / "more.json", [declaration("two"), declaration("three")])
    write(folder / "README.md", "Not JSON.")
    write(folder / "off.json.disabled", declaration("off"))
    hydrant = start_hydrant("--streams", str(folder))
    assert names(hydrant.client()) == ["one", "three", "two"]


def test_a_declared_stream_takes_records_and_delivers(start_hydrant, file):
    write(file, declaration("logs", CompressionFormat="GZIP"))
    hydrant = start_hydrant("--streams", str(file))
    put(hydrant.client(), "logs", b"record")
    FolderBucket(hydrant.data / "buckets", "some-bucket").wait_for(b"record")


def test_every_member_of_the_model_can_be_declared(start_hydrant, file):
    """A file for `aws firehose create-delivery-stream --cli-input-json` works as it is."""
    inputs = [
        document("CreateDeliveryStream", fresh_name(kind), Edition(2, choice), kind).body
        for kind in destinations()
        for choice in choices(kind)
    ]
    write(file, inputs)
    options = {"environment": MASTER_KEY}
    declared = start_hydrant("--accept-undeliverable", "--streams", str(file), **options).client()
    created = start_hydrant("--accept-undeliverable", **options).client()
    for each in inputs:
        created.create_delivery_stream(**each)
        name = each["DeliveryStreamName"]
        expected, found = describe(created, name), describe(declared, name)
        del expected["CreateTimestamp"], found["CreateTimestamp"]
        assert found == expected
        assert tags(declared, name) == tags(created, name)


def test_streams_of_the_api_stay(start_hydrant, file):
    write(file, declaration("declared"))
    hydrant = start_hydrant("--streams", str(file))
    create_stream(hydrant.client(), BUCKET_ARN, name="made", Prefix="by-api/")
    hydrant.restart()
    assert names(hydrant.client()) == ["declared", "made"]
    assert described(hydrant.client(), "made")["Prefix"] == "by-api/"


def test_a_stream_that_is_declared_no_more_stays(start_hydrant, file):
    write(file, [declaration("a"), declaration("b")])
    hydrant = start_hydrant("--streams", str(file))
    write(file, declaration("a"))
    hydrant.restart()
    assert names(hydrant.client()) == ["a", "b"]


# MARK: Another start


@pytest.mark.parametrize("stop", ["sigterm", "sigkill"])
def test_another_start_changes_nothing(start_hydrant, file, stop):
    declared = declaration("logs", Prefix="p/", CompressionFormat="ZIP", tags={"a": "1"})
    write(file, declared | ENCRYPTED)
    hydrant = start_hydrant("--streams", str(file), environment=MASTER_KEY)
    before = describe(hydrant.client(), "logs")
    getattr(hydrant, stop)()
    hydrant.start()
    assert describe(hydrant.client(), "logs") == before
    assert tags(hydrant.client(), "logs") == {"a": "1"}


def test_a_changed_declaration_replaces_the_destination(start_hydrant, file):
    """What is declared no more goes back to its default, unlike in an update."""
    write(file, declaration("logs", Prefix="old/", FileExtension=".x", CompressionFormat="GZIP"))
    hydrant = start_hydrant("--streams", str(file))
    write(file, declaration("logs", Prefix="new/", FileExtension=".x"))
    hydrant.restart()
    client = hydrant.client()
    after = describe(client, "logs")
    assert after["VersionId"] == "2"
    assert after["LastUpdateTimestamp"] > after["CreateTimestamp"]
    assert described(client, "logs")["Prefix"] == "new/"
    assert described(client, "logs")["CompressionFormat"] == "UNCOMPRESSED"
    hydrant.restart()
    assert describe(hydrant.client(), "logs") == after


def test_what_the_api_changed_is_changed_back(start_hydrant, file):
    write(file, declaration("logs", Prefix="declared/"))
    hydrant = start_hydrant("--streams", str(file))
    update(hydrant.client(), "logs", Prefix="changed/")
    hydrant.restart()
    assert described(hydrant.client(), "logs")["Prefix"] == "declared/"
    assert describe(hydrant.client(), "logs")["VersionId"] == "3"


def test_records_that_wait_go_where_the_new_declaration_says(start_hydrant, file):
    write(file, declaration("logs", "arn:aws:s3:::never", BufferingHints=BY_SIZE_ONLY))
    hydrant = start_hydrant("--streams", str(file))
    put(hydrant.client(), "logs", b"waiting")
    bucket = FolderBucket(hydrant.data / "buckets", "new-bucket")
    write(file, declaration("logs", bucket.arn, Prefix="new/", BufferingHints=AT_ONCE))
    hydrant.restart()
    (key,) = bucket.wait_for(b"waiting")
    assert ObjectKey.parse(key, "logs").version == 2
    assert key.startswith("new/")


def test_changed_tags_replace_all_and_make_no_new_version(start_hydrant, file):
    write(file, declaration("logs", tags={"a": "1", "b": "1"}))
    hydrant = start_hydrant("--streams", str(file))
    write(file, declaration("logs", tags={"b": "2", "c": "2"}))
    hydrant.restart()
    assert tags(hydrant.client(), "logs") == {"b": "2", "c": "2"}
    assert describe(hydrant.client(), "logs")["VersionId"] == "1"


def test_encryption_is_started_and_stopped_as_declared(start_hydrant, file):
    write(file, declaration("logs"))
    hydrant = start_hydrant("--streams", str(file), environment=MASTER_KEY)

    def encryption() -> dict:
        return describe(hydrant.client(), "logs")["DeliveryStreamEncryptionConfiguration"]

    assert encryption()["Status"] == "DISABLED"
    write(file, declaration("logs") | ENCRYPTED)
    hydrant.restart()
    assert encryption() == {"Status": "ENABLED", "KeyType": "AWS_OWNED_CMK"}
    write(file, declaration("logs"))
    hydrant.restart()
    assert encryption()["Status"] == "DISABLED"


# MARK: What stops the start


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", []),
        ("", []),
        ('"a text"', []),
        ('[{"DeliveryStreamName": "misfit"}, 7]', []),
        (declaration("misfit", Prefix=7), ["misfit", "refix"]),
        (declaration("misfit") | {"Unknown": 1}, ["misfit", "Unknown"]),
        (declaration("misfit", Prefx="typo/"), ["misfit", "Prefx"]),
        (declaration("misfit", BufferingHints={"Size": 1}), ["misfit", "Size"]),
        (declaration("misfit") | {"Tags": [{"Name": "x"}]}, ["misfit", "Name"]),
        (declaration("not/a/name"), ["eliveryStreamName"]),
        (declaration("misfit", CompressionFormat="LZ4"), ["misfit", "ompressionFormat"]),
        (declaration("misfit", CustomTimeZone="Mars/Olympus_Mons"), ["misfit", "CustomTimeZone"]),
        (declaration("misfit", Prefix="!{timestamp:yyyy}/"), ["misfit", "ErrorOutputPrefix"]),
        ({"DeliveryStreamName": "misfit"}, ["misfit", "Exactly one destination"]),
        (
            [declaration("good"), declaration("misfit", FileExtension="x")],
            ["misfit", "fileExtension"],
        ),
        (
            {"DeliveryStreamName": "misfit", "RedshiftDestinationConfiguration": REDSHIFT},
            ["misfit", "RedshiftDestinationConfiguration.SecretsManagerConfiguration is not"],
        ),
        (
            declaration("misfit") | {"DeliveryStreamType": "KinesisStreamAsSource"},
            ["misfit", "DeliveryStreamType"],
        ),
        ([declaration("twice"), declaration("twice", Prefix="other/")], ["twice"]),
        (declaration("secret") | ENCRYPTED, ["secret"]),
    ],
    ids=lambda value: f"{value!r:.60}",
)
def test_a_declaration_that_is_not_valid_stops_the_start(make_hydrant, file, text, words):
    """The message names the file, the stream and the member."""
    said = make_hydrant("--streams", str(write(file, text))).refusal_to_start()
    for word in (file.name, *words):
        assert word in said


@pytest.mark.parametrize(
    "misfit",
    [
        declaration("misfit", BufferingHints={"SizeInMBs": 5, "IntervalInSeconds": 5}),
        declaration("misfit", BufferingHints=BY_SIZE_ONLY) | ENCRYPTED,
    ],
    ids=["interval", "encryption"],
)
def test_one_declaration_that_is_not_valid_stops_them_all(make_hydrant, file, misfit):
    """What this server alone would not take counts, too."""
    write(file, [declaration("good", BufferingHints=BY_SIZE_ONLY), misfit])
    hydrant = make_hydrant("--streams", str(file), min_buffer_interval=None)
    said = hydrant.refusal_to_start()
    assert file.name in said
    assert "misfit" in said
    hydrant.options = []
    assert names(hydrant.start().client()) == []


def test_the_file_of_a_folder_that_is_wrong_is_named(make_hydrant, tmp_path):
    folder = tmp_path / "streams.d"
    write(folder / "good.json", declaration("good"))
    write(folder / "broken.json", '{"DeliveryStreamName": ')
    said = make_hydrant("--streams", str(folder)).refusal_to_start()
    assert "broken.json" in said


def test_a_path_that_is_not_there_stops_the_start(make_hydrant, tmp_path):
    missing = tmp_path / "no-such-file.json"
    assert missing.name in make_hydrant("--streams", str(missing)).refusal_to_start()


@pytest.mark.parametrize(
    ("before", "after", "word"),
    [
        (
            {"ExtendedS3DestinationConfiguration": destination(BUCKET_ARN)},
            {
                "ElasticsearchDestinationConfiguration": {
                    "RoleARN": ROLE_ARN,
                    "IndexName": "index",
                    "ClusterEndpoint": "http://search:9200",
                    "S3Configuration": destination(BUCKET_ARN),
                }
            },
            "Elasticsearch",
        ),
        (
            {
                "ExtendedS3DestinationConfiguration": destination(
                    BUCKET_ARN,
                    S3BackupMode="Enabled",
                    S3BackupConfiguration=destination(BUCKET_ARN),
                )
            },
            {"ExtendedS3DestinationConfiguration": destination(BUCKET_ARN)},
            "S3BackupMode",
        ),
    ],
    ids=["kind", "backup"],
)
def test_a_change_that_cannot_be_made_stops_the_start(start_hydrant, file, before, after, word):
    """It is named, and the stream stays as it was."""
    write(file, {"DeliveryStreamName": "immutable"} | before)
    hydrant = start_hydrant("--streams", str(file))
    unchanged = describe(hydrant.client(), "immutable")
    hydrant.sigterm()
    write(file, {"DeliveryStreamName": "immutable"} | after)
    said = hydrant.refusal_to_start()
    for each in (file.name, "immutable", word):
        assert each in said
    write(file, {"DeliveryStreamName": "immutable"} | before)
    hydrant.start()
    assert describe(hydrant.client(), "immutable") == unchanged
