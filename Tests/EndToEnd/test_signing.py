"""Requests to S3 are signed as AWS demands, judged more strictly than the S3 servers here do."""

import pytest

from seaweed import fresh_bucket_name
from streams import AWKWARD_PREFIXES, create_stream, describe, put
from strict_s3 import REGION, StrictS3


@pytest.fixture
def endpoint():
    """A strict endpoint."""
    with StrictS3() as endpoint:
        yield endpoint


@pytest.fixture
def name() -> str:
    """A bucket's name."""
    return fresh_bucket_name()


@pytest.fixture
def client(endpoint, start_hydrant):
    """A client of a server that delivers to the strict endpoint."""
    return start_hydrant(environment=endpoint.environment).client()


def arn(name: str) -> str:
    """What a stream's configuration calls a bucket."""
    return f"arn:aws:s3:::{name}"


def test_awkward_keys_are_signed_right(endpoint, client):
    """All prefixes through one server, whose pooled connections they then share."""
    buckets = {f"bucket-{n}": prefix for n, prefix in enumerate(AWKWARD_PREFIXES)}
    for name, prefix in buckets.items():
        put(client, create_stream(client, arn(name), Prefix=prefix), prefix.encode())
    for name, prefix in buckets.items():
        endpoint.wait_for(name, prefix.encode())
        (key,) = endpoint.objects(name)
        assert key.startswith(prefix)


@pytest.mark.parametrize("stream", ["dots.in.name", "under_score", "-dash-", "x" * 64])
def test_stream_names_of_every_kind_are_signed_right(endpoint, client, name, stream):
    put(client, create_stream(client, arn(name), name=stream), b"record")
    endpoint.wait_for(name, b"record")


@pytest.mark.parametrize(
    ("compression", "encoding"), [("UNCOMPRESSED", None), ("GZIP", "gzip"), ("ZIP", "zip")]
)
def test_objects_are_labelled_as_aws_labels_them(endpoint, client, name, compression, encoding):
    """Looked at here because SeaweedFS guesses a content type from the key's extension."""
    put(client, create_stream(client, arn(name), CompressionFormat=compression), b"record")
    endpoint.wait_for(name, b"record")
    (stored,) = endpoint.objects(name).values()
    assert stored.headers["Content-Type"] == "application/octet-stream"
    assert stored.headers["Content-Encoding"] == encoding


def test_encryption_is_asked_for_with_the_key_that_was_given(endpoint, client, name):
    """One header's name begins with the other's, which libcurl's own signer sorts wrongly."""
    key = "arn:aws:kms:eu-central-1:000000000000:key/12345678-1234-1234-1234-123456789012"
    encryption = {"KMSEncryptionConfig": {"AWSKMSKeyARN": key}}
    stream = create_stream(client, arn(name), EncryptionConfiguration=encryption)
    (only,) = describe(client, stream)["Destinations"]
    s3 = only["ExtendedS3DestinationDescription"]
    assert s3["EncryptionConfiguration"] == encryption

    put(client, stream, b"record")
    endpoint.wait_for(name, b"record")
    (stored,) = endpoint.objects(name).values()
    assert stored.headers["x-amz-server-side-encryption"] == "aws:kms"
    assert stored.headers["x-amz-server-side-encryption-aws-kms-key-id"] == key


@pytest.mark.parametrize("compression", ["UNCOMPRESSED", "GZIP", "ZIP"])
def test_bodies_large_and_small_are_hashed_right(endpoint, client, name, compression):
    stream = create_stream(
        client,
        arn(name),
        BufferingHints={"SizeInMBs": 3, "IntervalInSeconds": 1},
        CompressionFormat=compression,
    )
    expected = b""
    for number in range(8):
        put(client, stream, *[bytes([number]) * 1_000_000] * 4)
        expected += bytes([number]) * 4_000_000
    put(client, stream, b"small")
    endpoint.wait_for(name, expected + b"small")


def test_a_session_token_is_sent_and_signed(start_hydrant, name):
    with StrictS3(session_token="a/session+token==") as endpoint:
        client = start_hydrant(environment=endpoint.environment).client()
        put(client, create_stream(client, arn(name)), b"with token")
        endpoint.wait_for(name, b"with token")


def test_the_endpoint_and_region_can_be_options(endpoint, start_hydrant, name):
    """They win over the environment; credentials come from the environment alone."""
    environment = endpoint.environment | {
        "AWS_ENDPOINT_URL_S3": "http://127.0.0.1:1",
        "AWS_REGION": "mars-north-1",
    }
    options = ("--s3-endpoint", endpoint.endpoint, "--s3-region", REGION)
    client = start_hydrant(*options, environment=environment).client()
    put(client, create_stream(client, arn(name)), b"by option")
    endpoint.wait_for(name, b"by option")


def test_the_general_endpoint_variable_is_used_too(endpoint, start_hydrant, name):
    environment = dict(endpoint.environment)
    environment["AWS_ENDPOINT_URL"] = environment.pop("AWS_ENDPOINT_URL_S3")
    client = start_hydrant(environment=environment).client()
    put(client, create_stream(client, arn(name)), b"by variable")
    endpoint.wait_for(name, b"by variable")


@pytest.mark.parametrize(
    ("host", "addressing", "is_virtual"),
    [("localhost", "virtual", True), ("localhost", "path", False), ("127.0.0.1", "auto", False)],
)
def test_both_ways_to_address_a_bucket_are_signed_right(
    endpoint, start_hydrant, name, host, addressing, is_virtual
):
    """libcurl takes every name below `localhost` to the loopback address."""
    options = (
        *("--s3-endpoint", f"http://{host}:{endpoint.port}"),
        *("--s3-region", REGION),
        *("--s3-addressing", addressing),
    )
    client = start_hydrant(*options, environment=endpoint.environment).client()
    put(client, create_stream(client, arn(name), Prefix="a b/"), b"addressed")
    endpoint.wait_for(name, b"addressed")
    (key,) = endpoint.objects(name)
    assert key.startswith("a b/")
    assert endpoint.hosts == {f"{name}.localhost" if is_virtual else host}
