"""Creating, describing, listing and deleting streams with boto3."""

import time

import pytest
from botocore.exceptions import ClientError

from model import assert_conforms
from server import ACCOUNT, REGION
from streams import (
    ERROR_PREFIX,
    ROLE_ARN,
    create_stream,
    describe,
    destination,
    fresh_name,
    put,
)
from wire import Connection, request

BUCKET_ARN = "arn:aws:s3:::some-bucket"


# MARK: Create and describe


def test_create_answers_with_the_arn(client):
    name = fresh_name()
    answer = client.create_delivery_stream(
        DeliveryStreamName=name, ExtendedS3DestinationConfiguration=destination(BUCKET_ARN)
    )
    assert answer["DeliveryStreamARN"] == (
        f"arn:aws:firehose:{REGION}:{ACCOUNT}:deliverystream/{name}"
    )


def test_describe_fills_in_what_was_not_given(client):
    name = fresh_name()
    before = time.time()
    created = client.create_delivery_stream(
        DeliveryStreamName=name,
        ExtendedS3DestinationConfiguration={"RoleARN": ROLE_ARN, "BucketARN": BUCKET_ARN},
    )
    description = describe(client, name)

    assert description["DeliveryStreamName"] == name
    assert description["DeliveryStreamARN"] == created["DeliveryStreamARN"]
    assert description["DeliveryStreamStatus"] == "ACTIVE"
    assert description["DeliveryStreamType"] == "DirectPut"
    assert description["VersionId"] == "1"
    assert description["HasMoreDestinations"] is False
    assert before - 1 <= description["CreateTimestamp"].timestamp() <= time.time() + 1
    (only,) = description["Destinations"]
    assert only["DestinationId"] == "destinationId-000000000001"
    s3 = only["ExtendedS3DestinationDescription"]
    assert s3["RoleARN"] == ROLE_ARN
    assert s3["BucketARN"] == BUCKET_ARN
    assert s3["BufferingHints"] == {"SizeInMBs": 5, "IntervalInSeconds": 300}
    assert s3["CompressionFormat"] == "UNCOMPRESSED"
    assert s3["EncryptionConfiguration"] == {"NoEncryptionConfig": "NoEncryption"}
    assert s3["S3BackupMode"] == "Disabled"


def test_describe_repeats_what_was_given(client):
    given = {
        "Prefix": "logs/!{timestamp:yyyy}/",
        "ErrorOutputPrefix": ERROR_PREFIX,
        "BufferingHints": {"SizeInMBs": 128, "IntervalInSeconds": 900},
        "CompressionFormat": "GZIP",
        "FileExtension": ".log.gz",
        "CustomTimeZone": "Europe/Berlin",
    }
    name = create_stream(client, BUCKET_ARN, **given)
    (only,) = describe(client, name)["Destinations"]
    s3 = only["ExtendedS3DestinationDescription"]
    assert {member: s3.get(member) for member in given} == given


def test_the_plain_s3_destination_is_taken_too(client):
    name = fresh_name()
    client.create_delivery_stream(
        DeliveryStreamName=name,
        S3DestinationConfiguration=destination(
            BUCKET_ARN, Prefix="plain/", CompressionFormat="ZIP"
        ),
    )
    (only,) = describe(client, name)["Destinations"]
    s3 = only["S3DestinationDescription"]
    assert (s3["BucketARN"], s3["Prefix"]) == (BUCKET_ARN, "plain/")
    assert s3["CompressionFormat"] == "ZIP"


def test_answers_conform_to_the_api_model(hydrant, client):
    """boto3 forgives what other SDKs do not, so the bare JSON is checked against the model."""
    name = fresh_name()
    bodies = {
        "CreateDeliveryStream": {
            "DeliveryStreamName": name,
            "ExtendedS3DestinationConfiguration": destination(BUCKET_ARN),
        },
        "DescribeDeliveryStream": {"DeliveryStreamName": name},
        "ListDeliveryStreams": {},
        "PutRecord": {"DeliveryStreamName": name, "Record": {"Data": "aGk="}},
        "PutRecordBatch": {"DeliveryStreamName": name, "Records": [{"Data": "aGk="}]},
        "DeleteDeliveryStream": {"DeliveryStreamName": name},
    }
    with Connection(hydrant.port) as connection:
        for operation, body in bodies.items():
            answer = connection.exchange(request(operation, body))
            assert answer.status == 200, (operation, answer.body)
            assert_conforms(operation, answer.body)


@pytest.mark.parametrize(
    "members",
    [
        {"ProcessingConfiguration": {"Enabled": False}},
        {"DataFormatConversionConfiguration": {"Enabled": False}},
        {"DynamicPartitioningConfiguration": {"Enabled": False}},
        {"S3BackupMode": "Disabled"},
        {"EncryptionConfiguration": {"NoEncryptionConfig": "NoEncryption"}},
        {"CloudWatchLoggingOptions": {"Enabled": False}},
        {"FileExtension": "", "CustomTimeZone": ""},
    ],
    ids=lambda members: next(iter(members)),
)
def test_features_that_are_switched_off_are_accepted(client, members):
    """Infrastructure tools send them whether they are used or not."""
    create_stream(client, BUCKET_ARN, **members)


# MARK: List


def test_list_pages_through_all_streams_by_name(start_hydrant):
    client = start_hydrant().client()
    for number in (3, 1, 4, 2, 5):
        create_stream(client, BUCKET_ARN, name=f"stream-{number}")

    first = client.list_delivery_streams(Limit=2)
    assert first["DeliveryStreamNames"] == ["stream-1", "stream-2"]
    assert first["HasMoreDeliveryStreams"] is True
    second = client.list_delivery_streams(Limit=3, ExclusiveStartDeliveryStreamName="stream-2")
    assert second["DeliveryStreamNames"] == ["stream-3", "stream-4", "stream-5"]
    assert second["HasMoreDeliveryStreams"] is False


def test_list_gives_ten_streams_unless_asked_for_more(start_hydrant):
    client = start_hydrant().client()
    names = [create_stream(client, BUCKET_ARN, name=f"stream-{n:02}") for n in range(12)]

    by_default = client.list_delivery_streams()
    assert by_default["DeliveryStreamNames"] == names[:10]
    assert by_default["HasMoreDeliveryStreams"] is True
    assert client.list_delivery_streams(Limit=100)["DeliveryStreamNames"] == names


def test_list_filters_by_type(start_hydrant):
    client = start_hydrant().client()
    name = create_stream(client, BUCKET_ARN)
    direct = client.list_delivery_streams(DeliveryStreamType="DirectPut")
    kinesis = client.list_delivery_streams(DeliveryStreamType="KinesisStreamAsSource")
    assert direct["DeliveryStreamNames"] == [name]
    assert kinesis["DeliveryStreamNames"] == []


def test_an_empty_server_lists_nothing(start_hydrant):
    answer = start_hydrant().client().list_delivery_streams()
    assert answer["DeliveryStreamNames"] == []
    assert answer["HasMoreDeliveryStreams"] is False


# MARK: Delete


def test_a_deleted_stream_is_gone_and_its_name_is_free(client, folder_bucket):
    name = create_stream(client, folder_bucket.arn)
    client.delete_delivery_stream(DeliveryStreamName=name)
    with pytest.raises(client.exceptions.ResourceNotFoundException):
        describe(client, name)
    create_stream(client, folder_bucket.arn, name=name)
    put(client, name, b"second life")
    folder_bucket.wait_for(b"second life")


def test_streams_survive_a_restart(start_hydrant):
    hydrant = start_hydrant()
    name = create_stream(hydrant.client(), BUCKET_ARN, Prefix="kept/")
    before = describe(hydrant.client(), name)
    hydrant.restart()
    assert describe(hydrant.client(), name) == before


# MARK: Errors


def test_creating_a_stream_twice_is_refused(client):
    name = create_stream(client, BUCKET_ARN)
    with pytest.raises(client.exceptions.ResourceInUseException) as caught:
        create_stream(client, BUCKET_ARN, name=name)
    error = caught.value.response
    assert error["Error"]["Message"] == (
        f"Firehose {name} under accountId {ACCOUNT} already exists"
    )
    assert error["ResponseMetadata"]["HTTPStatusCode"] == 400
    assert error["ResponseMetadata"]["RequestId"]


@pytest.mark.parametrize(
    "call",
    [
        lambda client, name: client.describe_delivery_stream(DeliveryStreamName=name),
        lambda client, name: client.delete_delivery_stream(DeliveryStreamName=name),
        lambda client, name: client.put_record(DeliveryStreamName=name, Record={"Data": b"x"}),
        lambda client, name: put(client, name, b"x"),
    ],
    ids=["describe", "delete", "put-record", "put-record-batch"],
)
def test_an_unknown_stream_is_named_in_the_error(client, call):
    with pytest.raises(client.exceptions.ResourceNotFoundException) as caught:
        call(client, "nobody")
    message = caught.value.response["Error"]["Message"]
    assert message == f"Firehose nobody under account {ACCOUNT} not found."


def test_exactly_one_destination_is_required(client):
    two = {"S3DestinationConfiguration", "ExtendedS3DestinationConfiguration"}
    for given in (set(), two):
        with pytest.raises(client.exceptions.InvalidArgumentException) as caught:
            client.create_delivery_stream(
                DeliveryStreamName=fresh_name(),
                **{member: destination(BUCKET_ARN) for member in given},
            )
        message = caught.value.response["Error"]["Message"]
        assert message == "Exactly one destination configuration is supported for a Firehose"


def test_a_refused_create_leaves_no_stream(client):
    name = fresh_name()
    with pytest.raises(ClientError):
        create_stream(client, BUCKET_ARN, name=name, CompressionFormat="Snappy")
    with pytest.raises(client.exceptions.ResourceNotFoundException):
        describe(client, name)
