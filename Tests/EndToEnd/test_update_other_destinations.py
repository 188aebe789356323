"""UpdateDestination for all destinations: what it merges, and what only goes one way."""

from functools import partial
from itertools import permutations

import pytest

from documents import Edition, destinations, document
from plaintext import fresh_secret, traces
from streams import create_stream, describe, destination, fresh_name
from updates import assert_refused, described, update

BUCKET_ARN = "arn:aws:s3:::some-bucket"

SEARCH = {"Elasticsearch", "Amazonopensearchservice"}

PARTITIONED = {
    "Prefix": "customer=!{partitionKeyFromQuery:customer}/",
    "ErrorOutputPrefix": "failed/",
    "DynamicPartitioningConfiguration": {"Enabled": True},
    "ProcessingConfiguration": {
        "Enabled": True,
        "Processors": [
            {
                "Type": "MetadataExtraction",
                "Parameters": [
                    {
                        "ParameterName": "MetadataExtractionQuery",
                        "ParameterValue": "{customer:.customer}",
                    },
                    {"ParameterName": "JsonParsingEngine", "ParameterValue": "JQ-1.6"},
                ],
            }
        ],
    },
}


@pytest.fixture(scope="module")
def client(start_module_hydrant):
    """A client of a server that accepts every stream."""
    return start_module_hydrant("--accept-undeliverable").client()


def create(client, kind: str, number: int = 1) -> str:
    """Creates a stream with all members of a kind of destination; returns its name."""
    name = fresh_name()
    given = document("CreateDeliveryStream", name, Edition(number, 0), kind).body
    del given["DeliveryStreamEncryptionConfigurationInput"]
    client.create_delivery_stream(**given)
    return name


# MARK: Merges


@pytest.mark.parametrize(
    "kind", ["Redshift", "Elasticsearch", "Amazonopensearchservice", "HttpEndpoint", "Splunk"]
)
def test_the_s3_part_of_a_destination_is_merged(client, kind):
    stream = create(client, kind)
    before = described(client, stream, kind)
    update(client, stream, kind=kind, S3Update={"Prefix": "new/"})
    expected = before["S3DestinationDescription"] | {"Prefix": "new/"}
    assert described(client, stream, kind) == before | {"S3DestinationDescription": expected}
    assert describe(client, stream)["VersionId"] == "2"


def test_hints_within_the_s3_part_are_merged(client):
    stream = create(client, "HttpEndpoint")
    before = described(client, stream, "HttpEndpoint")["S3DestinationDescription"]
    hints = {"IntervalInSeconds": 77}
    update(client, stream, kind="HttpEndpoint", S3Update={"BufferingHints": hints})
    after = described(client, stream, "HttpEndpoint")["S3DestinationDescription"]
    assert after["BufferingHints"] == before["BufferingHints"] | hints


def test_the_backup_of_an_s3_stream_is_merged(client):
    stream = create(client, "ExtendedS3", number=2)
    before = described(client, stream)["S3BackupDescription"]
    update(client, stream, S3BackupUpdate={"BucketARN": "arn:aws:s3:::other"})
    expected = before | {"BucketARN": "arn:aws:s3:::other"}
    assert described(client, stream)["S3BackupDescription"] == expected


def test_processing_is_switched_off_with_its_processors_kept(client):
    stream = create(client, "Splunk")
    before = described(client, stream, "Splunk")["ProcessingConfiguration"]
    update(client, stream, kind="Splunk", ProcessingConfiguration={"Enabled": False})
    after = described(client, stream, "Splunk")["ProcessingConfiguration"]
    assert after == before | {"Enabled": False}


@pytest.mark.parametrize(
    ("kind", "member", "value"),
    [
        ("HttpEndpoint", "EndpointConfiguration", {"Url": "https://other.example.com/"}),
        ("Redshift", "CopyCommand", {"DataTableName": "other"}),
    ],
)
def test_what_belongs_together_is_replaced_as_a_whole(client, kind, member, value):
    """A name or a key would not fit another endpoint, nor columns another table."""
    stream = create(client, kind)
    assert len(described(client, stream, kind)[member]) > 1
    update(client, stream, kind=kind, **{member: value})
    assert described(client, stream, kind)[member] == value


@pytest.mark.parametrize("kind", sorted(SEARCH))
def test_a_domain_is_named_in_one_of_two_ways(client, kind):
    """The one that is given takes the other's place; both at once are refused."""
    by_arn = {"DomainARN": "arn:aws:es:us-east-1:000000000000:domain/other"}
    by_endpoint = {"ClusterEndpoint": "https://other.example.com"}
    stream = create(client, kind)
    whole = described(client, stream, kind)
    both = partial(update, client, stream, kind=kind, **by_arn, **by_endpoint)
    message = assert_refused("InvalidArgumentException", both)
    assert "DomainARN" in message or "ClusterEndpoint" in message
    assert described(client, stream, kind) == whole
    del whole["DomainARN"]
    update(client, stream, "1", kind=kind, **by_endpoint)
    assert described(client, stream, kind) == whole | by_endpoint
    update(client, stream, "2", kind=kind, **by_arn)
    assert described(client, stream, kind) == whole | by_arn


@pytest.mark.parametrize(("before", "after"), list(permutations(sorted(SEARCH))))
def test_search_destinations_keep_what_they_have_under_their_other_name(client, before, after):
    stream = create(client, before)
    whole = described(client, stream, before)
    assert whole["VpcConfigurationDescription"]
    assert whole["S3BackupMode"]
    update(client, stream, kind=after, IndexName="another")
    assert described(client, stream, after) == whole | {"IndexName": "another"}
    assert describe(client, stream)["VersionId"] == "2"


def test_the_key_of_an_endpoint_that_stays_is_kept(start_hydrant):
    """Nobody can read it back to send it again. It is looked for on the disk."""
    key = fresh_secret()
    endpoint = {"Url": "https://endpoint.example.com/", "AccessKey": key.decode()}
    hydrant = start_hydrant()
    client = hydrant.client()
    stream = fresh_name()
    client.create_delivery_stream(
        DeliveryStreamName=stream,
        HttpEndpointDestinationConfiguration={
            "EndpointConfiguration": endpoint,
            "S3Configuration": destination(BUCKET_ARN),
        },
    )
    same = {"Url": endpoint["Url"], "Name": "renamed"}
    update(client, stream, "1", kind="HttpEndpoint", EndpointConfiguration=same)
    assert described(client, stream, "HttpEndpoint")["EndpointConfiguration"] == same
    hydrant.restart()
    assert traces(hydrant.data, key)
    other = {"Url": "https://other.example.com/"}
    update(hydrant.client(), stream, "2", kind="HttpEndpoint", EndpointConfiguration=other)
    hydrant.restart()
    assert traces(hydrant.data, key) == []


# MARK: One way


def test_source_backup_can_be_switched_on_and_not_off(client):
    stream = create_stream(client, BUCKET_ARN)
    update(client, stream, S3BackupMode="Enabled", S3BackupUpdate=destination(BUCKET_ARN))
    assert described(client, stream)["S3BackupMode"] == "Enabled"
    off = partial(update, client, stream, "2", S3BackupMode="Disabled")
    assert_refused("InvalidArgumentException", off, "S3BackupMode")
    assert described(client, stream)["S3BackupMode"] == "Enabled"
    assert describe(client, stream)["VersionId"] == "2"


@pytest.mark.parametrize(
    ("kind", "mode"), [("Redshift", "Disabled"), ("Splunk", "FailedEventsOnly")]
)
def test_backup_of_everything_cannot_be_switched_off(client, kind, mode):
    stream = create(client, kind, number=2)
    off = partial(update, client, stream, kind=kind, S3BackupMode=mode)
    assert_refused("InvalidArgumentException", off, "S3BackupMode")


def test_partitioning_cannot_be_switched_on(client):
    stream = create_stream(client, BUCKET_ARN)
    on = partial(update, client, stream, **PARTITIONED)
    assert_refused("InvalidArgumentException", on, "DynamicPartitioningConfiguration")


def test_partitioning_cannot_be_switched_off(client):
    stream = create_stream(client, BUCKET_ARN, **PARTITIONED)
    off = partial(
        update,
        client,
        stream,
        Prefix="plain/",
        DynamicPartitioningConfiguration={"Enabled": False},
    )
    assert_refused("InvalidArgumentException", off, "DynamicPartitioningConfiguration")
    assert described(client, stream)["Prefix"] == PARTITIONED["Prefix"]


@pytest.mark.parametrize(
    ("before", "after"),
    [pair for pair in permutations(destinations(), 2) if len(SEARCH & {*pair}) == 1],
)
def test_search_destinations_stay_what_they_are(client, before, after):
    """AWS: switching between OpenSearch and other services is not supported."""
    stream = create(client, before)
    whole = document("UpdateDestination", stream, Edition(2, 0), after).body
    whole["CurrentDeliveryStreamVersionId"] = "1"
    change = partial(client.update_destination, **whole)
    assert_refused("InvalidArgumentException", change, after)
    assert described(client, stream, before)
    assert describe(client, stream)["VersionId"] == "1"
