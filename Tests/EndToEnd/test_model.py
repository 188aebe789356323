"""Every operation and every member of AWS's API model: read, checked, and described again.

The model is the one that the installed botocore carries. When AWS adds a member, these tests fail
until the server has it, or until `apimodel.REFUSED` says that the server refuses it by name.
"""

import base64
from collections.abc import Iterator

import pytest

from apimodel import (
    OPERATIONS,
    REFUSED,
    breaches,
    input_shape,
    output_shape,
    pairs_below,
    walk,
)
from descriptions import differences, watch_everything
from documents import Edition, all_documents, choices, destinations, document
from probes import Survey, allowed, places, violations, wrong_types
from server import Hydrant
from streams import ROLE_ARN, create_stream, destination, fresh_name
from wire import Connection, request

BUCKET_ARN = "arn:aws:s3:::some-bucket"

MASTER_KEY = {"HYDRANT_MASTER_KEY": base64.b64encode(bytes(range(32))).decode()}

EXISTING, MISSING = "a-stream-that-exists", "a-stream-that-does-not"

pytestmark = pytest.mark.timeout(300)


def probed(operation: str) -> str:
    """The stream that a probe is about: with it, what is right fails all the same."""
    return EXISTING if operation == "CreateDeliveryStream" else MISSING


@pytest.fixture(scope="module")
def hydrant(start_module_hydrant) -> Hydrant:
    """A server that takes every stream, with the relaxed patterns."""
    hydrant = start_module_hydrant("--accept-undeliverable", environment=MASTER_KEY)
    create_stream(hydrant.client(), BUCKET_ARN, name=EXISTING)
    return hydrant


@pytest.fixture(scope="module")
def strict_hydrant(start_module_hydrant) -> Hydrant:
    """A server that takes every stream, with the model's own patterns."""
    options = ("--accept-undeliverable", "--strict-aws")
    hydrant = start_module_hydrant(*options, environment=MASTER_KEY)
    create_stream(hydrant.client(), BUCKET_ARN, name=EXISTING)
    return hydrant


def surveyed(hydrant: Hydrant, make_probes, **options) -> Survey:
    """Sends the probes of every place in the model."""
    survey = Survey()
    with Connection(hydrant.port) as connection:
        for given, place in places(all_documents(probed)):
            survey.send(connection, make_probes(given, place, **options))
            if place.owner:
                survey.covered.add(place.owner)
    return survey


@pytest.fixture(scope="module")
def decoding(hydrant) -> Survey:
    """What became of values of other JSON types."""
    return surveyed(hydrant, wrong_types)


@pytest.fixture(scope="module")
def relaxed_validation(hydrant) -> Survey:
    """What became of values that break the model's constraints."""
    return surveyed(hydrant, violations, strict=False)


@pytest.fixture(scope="module")
def strict_validation(strict_hydrant) -> Survey:
    """As `relaxed_validation`, with the patterns as they are in the model."""
    return surveyed(strict_hydrant, violations, strict=True)


@pytest.fixture(scope="module")
def description(hydrant) -> Survey:
    """What was given, and what of it was described."""
    with Connection(hydrant.port) as connection:
        return watch_everything(connection)


# MARK: Read and checked


def test_the_documents_give_every_member_and_keep_to_the_model():
    """The tests' own ground: what they send is right, and nothing is forgotten."""
    given = set()
    for each in all_documents(probed):
        shape = input_shape(each.operation)
        assert not list(breaches(shape, each.body)), each
        given |= {place.owner for place in walk(shape, each.body) if place.owner}
    assert given == pairs_below(*map(input_shape, OPERATIONS))


def test_a_value_of_another_json_type_is_refused_wherever_it_stands(decoding):
    """A member that the server does not know would be passed over instead."""
    decoding.assert_clean()


def test_every_constraint_of_the_model_is_kept_and_named(relaxed_validation):
    relaxed_validation.assert_clean()


def test_strict_servers_have_the_patterns_of_the_model(strict_validation):
    strict_validation.assert_clean()


@pytest.mark.parametrize("strict", [False, True], ids=["relaxed", "strict"])
def test_values_at_the_edge_of_the_constraints_are_taken(strict, hydrant, strict_hydrant):
    """Also those that only a self-hosted service has, unless the server is strict."""
    server = strict_hydrant if strict else hydrant
    surveyed(server, allowed, strict=strict).assert_clean()


def test_ten_violations_are_spelled_out_and_all_are_counted(hydrant):
    hints = {"SizeInMBs": 0, "IntervalInSeconds": 901}
    tags = [{"Key": "#", "Value": "#"}] * 5
    body = {"DeliveryStreamName": "#", "Tags": tags}
    body |= {"ExtendedS3DestinationConfiguration": {"BufferingHints": hints}}
    with Connection(hydrant.port) as connection:
        answer = connection.exchange(request("CreateDeliveryStream", body))
    message = answer.json["message"]
    assert answer.error == "ValidationException"
    assert message.startswith("15 validation errors detected: ")
    assert message.count("failed to satisfy constraint") == 10


def refused_members() -> Iterator[tuple[str, str]]:
    """Operations, and the members of theirs that the server refuses by name."""
    for operation in OPERATIONS:
        for member in REFUSED.get(input_shape(operation), ()):
            yield operation, member


@pytest.mark.parametrize(("operation", "member"), list(refused_members()))
def test_members_that_are_never_served_are_refused_by_name(
    operation, member, hydrant, strict_hydrant
):
    body = {"DeliveryStreamName": fresh_name(), member: {}}
    if operation == "UpdateDestination":
        body |= {"DeliveryStreamName": EXISTING, "CurrentDeliveryStreamVersionId": "1"}
        body |= {"DestinationId": "destinationId-000000000001"}
    elif "Source" in member:
        body["ExtendedS3DestinationConfiguration"] = destination(BUCKET_ARN)
    for server in (hydrant, strict_hydrant):
        with Connection(server.port) as connection:
            answer = connection.exchange(request(operation, body))
        assert (answer.status, answer.error) == (400, "InvalidArgumentException")
        assert f"{member} is not supported" in answer.json["message"]


def test_members_that_the_model_does_not_have_are_passed_over(hydrant):
    """As AWS does: a newer SDK may send them."""
    given = destination(BUCKET_ARN) | {"NoSuchMember": {"Deep": [1, None]}}
    body = {"DeliveryStreamName": fresh_name(), "ExtendedS3DestinationConfiguration": given}
    with Connection(hydrant.port) as connection:
        answer = connection.exchange(request("CreateDeliveryStream", body | {"Other": "x"}))
    assert answer.status == 200, answer.body


# MARK: Described


def test_every_member_that_is_given_is_described(description):
    """At its place in the description's shape, as it was created and as it was updated.

    All answers conform to the model, and no secret is in any.
    """
    description.assert_clean()


def test_descriptions_survive_a_kill(start_hydrant):
    hydrant = start_hydrant("--accept-undeliverable", environment=MASTER_KEY)
    client = hydrant.client()
    for kind in destinations():
        for choice in choices(kind):
            given = document("CreateDeliveryStream", fresh_name(), Edition(2, choice), kind)
            client.create_delivery_stream(**given.body)

    def configuration() -> list:
        client = hydrant.client()
        names = client.list_delivery_streams(Limit=10_000)["DeliveryStreamNames"]
        return [
            client.describe_delivery_stream(DeliveryStreamName=name)["DeliveryStreamDescription"]
            for name in names
        ]

    before = configuration()
    hydrant.sigkill()
    hydrant.start()
    assert configuration() == before


S3 = {"RoleARN": ROLE_ARN, "BucketARN": BUCKET_ARN}

S3_DEFAULTS = S3 | {
    "BufferingHints": {"SizeInMBs": 5, "IntervalInSeconds": 300},
    "CompressionFormat": "UNCOMPRESSED",
    "EncryptionConfiguration": {"NoEncryptionConfig": "NoEncryption"},
}

CONVERSION = {
    "SchemaConfiguration": {"DatabaseName": "d", "TableName": "t", "RoleARN": ROLE_ARN},
    "InputFormatConfiguration": {"Deserializer": {"OpenXJsonSerDe": {}}},
    "OutputFormatConfiguration": {"Serializer": {"ParquetSerDe": {}}},
}

SEARCH = {
    "RoleARN": ROLE_ARN,
    "IndexName": "index",
    "ClusterEndpoint": "http://search:9200",
    "S3Configuration": S3,
}

SEARCH_DEFAULTS = {
    "BufferingHints": {"SizeInMBs": 5, "IntervalInSeconds": 300},
    "RetryOptions": {"DurationInSeconds": 300},
    "S3BackupMode": "FailedDocumentsOnly",
    "IndexRotationPeriod": "OneDay",
    "S3DestinationDescription": S3_DEFAULTS,
}


@pytest.mark.parametrize(
    ("kind", "given", "described"),
    [
        ("S3", S3, S3_DEFAULTS),
        ("ExtendedS3", S3, S3_DEFAULTS | {"S3BackupMode": "Disabled"}),
        (
            "ExtendedS3",
            S3 | {"DataFormatConversionConfiguration": CONVERSION},
            S3_DEFAULTS
            | {
                "BufferingHints": {"SizeInMBs": 128, "IntervalInSeconds": 300},
                "DataFormatConversionConfiguration": CONVERSION | {"Enabled": True},
            },
        ),
        (
            "Redshift",
            {
                "RoleARN": ROLE_ARN,
                "ClusterJDBCURL": "jdbc:redshift://warehouse:5439/db",
                "CopyCommand": {"DataTableName": "t"},
                "Username": "user",
                "Password": "password",
                "S3Configuration": S3,
            },
            {
                "RetryOptions": {"DurationInSeconds": 3600},
                "S3BackupMode": "Disabled",
                "S3DestinationDescription": S3_DEFAULTS,
            },
        ),
        ("Elasticsearch", SEARCH, SEARCH_DEFAULTS),
        ("Amazonopensearchservice", SEARCH, SEARCH_DEFAULTS),
        (
            "HttpEndpoint",
            {"EndpointConfiguration": {"Url": "http://endpoint/"}, "S3Configuration": S3},
            {
                "EndpointConfiguration": {"Url": "http://endpoint/"},
                "BufferingHints": {"SizeInMBs": 5, "IntervalInSeconds": 300},
                "RetryOptions": {"DurationInSeconds": 300},
                "S3BackupMode": "FailedDataOnly",
                "S3DestinationDescription": S3_DEFAULTS,
            },
        ),
        (
            "Splunk",
            {
                "HECEndpoint": "http://splunk:8088",
                "HECEndpointType": "Raw",
                "HECToken": "token",
                "S3Configuration": S3,
            },
            {
                "BufferingHints": {"SizeInMBs": 5, "IntervalInSeconds": 60},
                "RetryOptions": {"DurationInSeconds": 300},
                "S3BackupMode": "FailedEventsOnly",
                "S3DestinationDescription": S3_DEFAULTS,
            },
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_is_not_given_is_described_by_its_default(kind, given, described, hydrant):
    name = fresh_name()
    body = {"DeliveryStreamName": name, f"{kind}DestinationConfiguration": given}
    with Connection(hydrant.port) as connection:
        created = connection.exchange(request("CreateDeliveryStream", body))
        assert created.status == 200, created.body
        answer = connection.exchange(
            request("DescribeDeliveryStream", {"DeliveryStreamName": name})
        )
    (only,) = answer.json["DeliveryStreamDescription"]["Destinations"]
    assert differences(described, only[f"{kind}DestinationDescription"]) == []


# MARK: Counted


def test_no_member_of_the_model_is_left_out(
    decoding, relaxed_validation, strict_validation, description, report_counts
):
    requests = pairs_below(*map(input_shape, OPERATIONS))
    answers = pairs_below(*map(output_shape, OPERATIONS))
    surveys = (decoding, relaxed_validation, strict_validation, description)
    covered = set.intersection(*(survey.covered for survey in surveys))
    covered = (requests & covered) | (answers & description.answered)
    shapes = {structure for structure, _ in requests | answers}
    report_counts(
        f"model: {len(covered)} of {len(requests | answers)} members of {len(shapes)} shapes, "
        f"{sum(survey.requests for survey in surveys):,} requests"
    )
    assert requests - covered == set()
    assert answers - description.answered == set()
