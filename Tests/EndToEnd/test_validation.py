"""What CreateDeliveryStream refuses, each time naming what is wrong."""

from functools import partial

import pytest
from botocore.exceptions import ClientError

from streams import ERROR_PREFIX, ROLE_ARN, create_stream, fresh_name
from updates import described, update

BUCKET_ARN = "arn:aws:s3:::some-bucket"

REFUSED = {"InvalidArgumentException", "ValidationException"}
"""AWS answers either, depending on which of its layers looks first."""

S3_ONLY = {"RoleARN": ROLE_ARN, "BucketARN": BUCKET_ARN}

KINESIS = {
    "KinesisStreamARN": "arn:aws:kinesis:us-east-1:000000000000:stream/source",
    "RoleARN": ROLE_ARN,
}


@pytest.fixture(scope="module")
def lax_client(hydrant):
    """A client that sends what the API model forbids."""
    return hydrant.client(parameter_validation=False)


def assert_refused(call, *words: str) -> str:
    """Checks that `call` is refused as a client's error whose message has one of `words`.

    Returns the message in small letters.
    """
    with pytest.raises(ClientError) as caught:
        call()
    error = caught.value.response
    assert error["Error"]["Code"] in REFUSED, error
    assert error["ResponseMetadata"]["HTTPStatusCode"] == 400
    message = error["Error"]["Message"].lower()
    assert any(word.lower() in message for word in words), message
    return message


# MARK: Names and buffering hints


@pytest.mark.parametrize("name", ["", "x" * 65, "with space", "slash/ed", "ümlaut", "nul\0"])
def test_bad_stream_names_are_refused(lax_client, name):
    assert_refused(lambda: create_stream(lax_client, BUCKET_ARN, name=name), "DeliveryStreamName")


@pytest.mark.parametrize("name", ["a", "x" * 64, "A.b_c-9"])
def test_every_legal_stream_name_is_taken(client, name):
    create_stream(client, BUCKET_ARN, name=name)
    client.delete_delivery_stream(DeliveryStreamName=name)


@pytest.mark.parametrize(
    ("hints", "named"),
    [
        ({"SizeInMBs": 0, "IntervalInSeconds": 300}, "SizeInMBs"),
        ({"SizeInMBs": 129, "IntervalInSeconds": 300}, "SizeInMBs"),
        ({"SizeInMBs": -1, "IntervalInSeconds": 300}, "SizeInMBs"),
        ({"SizeInMBs": 5, "IntervalInSeconds": 901}, "IntervalInSeconds"),
        ({"SizeInMBs": 5, "IntervalInSeconds": -1}, "IntervalInSeconds"),
        ({"SizeInMBs": 5}, "IntervalInSeconds"),
        ({"IntervalInSeconds": 300}, "SizeInMBs"),
    ],
    ids=str,
)
def test_bad_buffering_hints_are_refused(lax_client, hints, named):
    assert_refused(
        lambda: create_stream(lax_client, BUCKET_ARN, BufferingHints=hints),
        named,
        "BufferingHints",
    )


def test_sixty_seconds_are_the_shortest_interval_unless_the_server_lowers_it(start_hydrant):
    client = start_hydrant(min_buffer_interval=None).client()

    def create(seconds: int) -> str:
        hints = {"SizeInMBs": 5, "IntervalInSeconds": seconds}
        return create_stream(client, BUCKET_ARN, BufferingHints=hints)

    create(60)
    for seconds in (0, 59):
        assert_refused(partial(create, seconds), "IntervalInSeconds", "BufferingHints")


def test_the_server_can_lower_the_shortest_interval(start_hydrant):
    client = start_hydrant(min_buffer_interval=7).client()
    create_stream(client, BUCKET_ARN, BufferingHints={"SizeInMBs": 5, "IntervalInSeconds": 7})
    hints = {"SizeInMBs": 5, "IntervalInSeconds": 6}
    assert_refused(
        lambda: create_stream(client, BUCKET_ARN, BufferingHints=hints),
        "IntervalInSeconds",
        "BufferingHints",
    )


# MARK: The destination's other members


@pytest.mark.parametrize(
    "members",
    [
        {"Prefix": "open/!{timestamp:yyyy"},
        {"Prefix": "!{unknown:thing}/"},
        {"Prefix": "!{firehose:no-such-thing}/"},
        {"Prefix": "!{firehose:error-output-type}/"},
        {"Prefix": "!{partitionKeyFromQuery:customer}/"},
        {"Prefix": "!{timestamp:yyyy}/", "ErrorOutputPrefix": None},
        {"Prefix": "p" * 1_025},
        {"ErrorOutputPrefix": "!{timestamp:yyyy}/"},
        {"ErrorOutputPrefix": "!{partitionKeyFromLambda:customer}/"},
    ],
    ids=str,
)
def test_bad_prefixes_are_refused(lax_client, members):
    given = {"ErrorOutputPrefix": ERROR_PREFIX} | members
    given = {member: value for member, value in given.items() if value is not None}
    assert_refused(lambda: create_stream(lax_client, BUCKET_ARN, **given), "prefix")


@pytest.mark.parametrize(
    "members",
    [
        {"CompressionFormat": "gzip"},
        {"CompressionFormat": "LZ4"},
        {"FileExtension": "gz"},
        {"FileExtension": ".GZ"},
        {"FileExtension": "." + "x" * 128},
        {"CustomTimeZone": "Mars/Olympus_Mons"},
        {"CustomTimeZone": "x" * 51},
        {"BucketARN": "some-bucket"},
        {"BucketARN": "arn:aws:s3:::some/bucket"},
        {"BucketARN": "arn:aws:s3:::"},
    ],
    ids=str,
)
def test_bad_members_are_refused_by_name(lax_client, members):
    (name,) = members
    assert_refused(lambda: create_stream(lax_client, BUCKET_ARN, **members), name)


@pytest.mark.parametrize("missing", ["RoleARN", "BucketARN"])
def test_required_members_are_asked_for_by_name(lax_client, missing):
    given = {name: value for name, value in S3_ONLY.items() if name != missing}
    assert_refused(
        lambda: lax_client.create_delivery_stream(
            DeliveryStreamName=fresh_name(), ExtendedS3DestinationConfiguration=given
        ),
        missing,
    )


@pytest.mark.parametrize(
    ("kind", "members"),
    [
        ("Redshift", {"Password": "short"}),
        ("Redshift", {"Password": "hidden-away" * 100}),
        ("Redshift", {"Password": "hidden\naway"}),
        ("HttpEndpoint", {"EndpointConfiguration": {"AccessKey": "hidden-away" * 400}}),
        ("HttpEndpoint", {"EndpointConfiguration": {"AccessKey": "hidden\naway"}}),
        ("Splunk", {"HECToken": "hidden-away" * 200}),
        ("Splunk", {"HECToken": "hidden\naway"}),
    ],
    ids=lambda value: f"{value!r:.40}",
)
def test_secrets_are_not_repeated(lax_client, kind, members):
    stream = create_stream(lax_client, BUCKET_ARN)
    (name,) = members.keys() - {"EndpointConfiguration"} or {"AccessKey"}
    for call in (
        lambda: lax_client.create_delivery_stream(
            DeliveryStreamName=fresh_name(), **{f"{kind}DestinationConfiguration": members}
        ),
        lambda: update(lax_client, stream, kind=kind, **members),
    ):
        message = assert_refused(call, name)
        assert not any(word in message for word in ("hidden", "away", "'short"))


# MARK: What is not built


@pytest.mark.parametrize(
    "members",
    [
        {
            "ProcessingConfiguration": {
                "Enabled": True,
                "Processors": [{"Type": "MetadataExtraction"}],
            }
        },
        {"DynamicPartitioningConfiguration": {"Enabled": True}},
        {"DataFormatConversionConfiguration": {"Enabled": True}},
        {"CompressionFormat": "Snappy"},
        {"CompressionFormat": "HADOOP_SNAPPY"},
    ],
    ids=[
        "processing",
        "dynamic-partitioning",
        "format-conversion",
        "snappy",
        "hadoop-snappy",
    ],
)
def test_features_that_are_not_built_are_refused_by_name(client, members):
    """Accepting and ignoring them would deliver something else than was asked for."""
    assert_refused(lambda: create_stream(client, BUCKET_ARN, **members), *members)


SEARCH = {"RoleARN": ROLE_ARN, "IndexName": "i", "S3Configuration": S3_ONLY}

DOMAIN = {"DomainARN": "arn:aws:es:us-east-1:000000000000:domain/domain"}

SECRET = {"SecretsManagerConfiguration": {"Enabled": True}}

HTTP_ENDPOINT = {"EndpointConfiguration": {"Url": "https://e"}, "S3Configuration": S3_ONLY}

SPLUNK = {"HECEndpoint": "https://e", "HECEndpointType": "Raw", "S3Configuration": S3_ONLY}


@pytest.mark.parametrize(
    ("kind", "configuration", "member"),
    [
        (
            "Redshift",
            {
                "RoleARN": ROLE_ARN,
                "ClusterJDBCURL": "jdbc:redshift://warehouse:5439/db",
                "CopyCommand": {"DataTableName": "t"},
                "S3Configuration": S3_ONLY,
            }
            | SECRET,
            "SecretsManagerConfiguration",
        ),
        ("Amazonopensearchservice", SEARCH | DOMAIN, "DomainARN"),
        ("Elasticsearch", SEARCH | DOMAIN, "DomainARN"),
        ("HttpEndpoint", HTTP_ENDPOINT | SECRET, "SecretsManagerConfiguration"),
        ("Splunk", SPLUNK | SECRET, "SecretsManagerConfiguration"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_destinations_that_are_not_built_are_refused_by_name(client, kind, configuration, member):
    """Also those that AWS would have to look something up for."""
    named = f"{kind}DestinationConfiguration"
    call = partial(
        client.create_delivery_stream,
        DeliveryStreamName=fresh_name(),
        **{named: configuration},
    )
    message = assert_refused(call, named)
    assert message.startswith(named.lower())
    assert message.endswith(f"{member} is not supported".lower())


@pytest.mark.parametrize(
    ("kind", "configuration"),
    [("HttpEndpoint", HTTP_ENDPOINT), ("Splunk", SPLUNK | {"HECToken": "t"})],
    ids=["http", "splunk"],
)
def test_a_secret_that_is_not_looked_up_is_no_obstacle(client, kind, configuration):
    """A form that has the member and says that it is off means the same as one without."""
    stream = fresh_name()
    given = configuration | {"SecretsManagerConfiguration": {"Enabled": False}}
    client.create_delivery_stream(
        DeliveryStreamName=stream, **{f"{kind}DestinationConfiguration": given}
    )
    assert described(client, stream, kind)["SecretsManagerConfiguration"] == {"Enabled": False}


def test_a_source_that_is_not_built_is_refused_by_name(client):
    assert_refused(
        lambda: client.create_delivery_stream(
            DeliveryStreamName=fresh_name(),
            DeliveryStreamType="KinesisStreamAsSource",
            KinesisStreamSourceConfiguration=KINESIS,
            ExtendedS3DestinationConfiguration=S3_ONLY,
        ),
        "KinesisStreamSourceConfiguration",
        "KinesisStreamAsSource",
    )
