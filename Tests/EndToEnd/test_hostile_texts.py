"""JSON and texts that are made to cost time: deep nesting, and letters with no end of accents.

Nothing here is measured. Every test sends so much of them that a server which takes long for one
would be at it for minutes; connections and the test's time-out are the judges.
"""

import json
from contextlib import ExitStack

import pytest

from keys import PRODUCER, Key, may, write_keys
from signed import HOST, Message, Signer, message
from streams import create_stream, destination, fresh_name
from updates import DESTINATION_ID
from wire import Answer, Connection, put_body, request

pytestmark = pytest.mark.timeout(60)

ACCENTS = "\u0301\u0316" * 50_000
"""200 KB that are one character, and that Unicode wants sorted."""

ESCAPED_ACCENTS = r"\u0301\u0316" * 17_000

MOST_ANSWER_BYTES = 4096
"""No error repeats a long text."""

BUCKET_ARN = "arn:aws:s3:::some-bucket"

HOSTILE_REQUESTS = 8
"""More requests than there are threads to be kept busy."""

HEALTH = b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n"

LOGS_ONLY = Key("logs-only", "secret", allow=(may("*", streams=("logs-*",)),))

NAMED = ["PutRecord", "DescribeDeliveryStream", "DeleteDeliveryStream", "UpdateDestination"]


def nested(depth: int, *, member: str = "x", inside: str = "{}") -> bytes:
    """A body with a member that holds arrays in arrays, of which the innermost is long."""
    values = ",".join([inside] * 3_000 + [json.dumps("x" * 50)] * 3_000)
    return f'{{"{member}":{"[" * depth}{values}{"]" * depth}}}'.encode()


def named(stream: str) -> dict:
    """A body that is right for every operation of `NAMED`, but for the stream's name."""
    record = put_body(stream, b"x")["Records"][0]
    version = {"CurrentDeliveryStreamVersionId": "1", "DestinationId": DESTINATION_ID}
    return {"DeliveryStreamName": stream, "Record": record} | version


@pytest.fixture
def connection(hydrant):
    """A connection to the shared server."""
    with Connection(hydrant.port) as connection:
        yield connection


@pytest.fixture(scope="module")
def limited_hydrant(start_module_hydrant, tmp_path_factory):
    """A server with a key that may do little."""
    keys = write_keys(tmp_path_factory.mktemp("keys") / "keys.json", PRODUCER, LOGS_ONLY)
    return start_module_hydrant("--credentials", str(keys))


# MARK: Nesting


@pytest.mark.parametrize(
    "operation", ["CreateDeliveryStream", "DescribeDeliveryStream", "TagDeliveryStream"]
)
@pytest.mark.parametrize("inside", ["{}", "[]", "null", '{"y":[{}]}'])
def test_deep_nesting_is_refused_at_once(connection, operation, inside):
    for depth in (33, 400):
        answer = connection.exchange(request(operation, nested(depth, inside=inside)))
        assert (answer.status, answer.error) == (400, "SerializationException")
        assert len(answer.body) < MOST_ANSWER_BYTES


def test_what_no_operation_knows_may_be_nested_a_little(client, connection, folder_bucket):
    stream = create_stream(client, folder_bucket.arn)
    body = json.loads(nested(20)) | {"DeliveryStreamName": stream}
    assert connection.exchange(request("DescribeDeliveryStream", body)).status == 200


def test_requests_go_on_beside_deep_nesting(start_hydrant):
    hydrant = start_hydrant()
    with ExitStack() as stack:
        hostile = [stack.enter_context(Connection(hydrant.port)) for _ in range(HOSTILE_REQUESTS)]
        for each in hostile:
            each.send(request("CreateDeliveryStream", nested(400)))
        other = stack.enter_context(Connection(hydrant.port))
        assert other.exchange(HEALTH).status == 200
        listed = other.exchange(request("ListDeliveryStreams", {}))
        assert listed.json["DeliveryStreamNames"] == []
        for each in hostile:
            assert each.answer().error == "SerializationException"


def test_deep_nesting_does_not_hold_up_the_stop(start_hydrant):
    hydrant = start_hydrant()
    with ExitStack() as stack:
        for _ in range(HOSTILE_REQUESTS):
            hostile = stack.enter_context(Connection(hydrant.port))
            hostile.send(request("CreateDeliveryStream", nested(400)))
        assert hydrant.sigterm() == 0


# MARK: Accents


@pytest.mark.parametrize("accents", [ACCENTS, ESCAPED_ACCENTS], ids=["bytes", "escapes"])
@pytest.mark.parametrize("member", ['"{}": 1', r'"\u0061{}": 1', '"x": {{"{}": 1}}', '"x": "{}"'])
@pytest.mark.parametrize("operation", ["DescribeDeliveryStream", "PutRecord"])
def test_long_members_that_nobody_knows_are_passed_over_or_refused(
    client, connection, folder_bucket, operation, member, accents
):
    """Puts read no name to its end that is longer than theirs; others refuse those."""
    stream = create_stream(client, folder_bucket.arn)
    body = f"{json.dumps(named(stream))[:-1]}, {member.format(accents)}}}".encode()
    for _ in range(3):
        answer = connection.exchange(request(operation, body))
        if operation == "PutRecord" or member.startswith('"x": "'):
            assert answer.status == 200, answer.body[:500]
        else:
            assert (answer.status, answer.error) == (400, "SerializationException")
            assert len(answer.body) < MOST_ANSWER_BYTES


def test_half_a_megabyte_of_a_name_is_not_repeated(connection):
    """As much as a put may have, and other operations may not."""
    body = json.dumps(named("@")).replace("@", f"a{ACCENTS * 3}").encode()
    for _ in range(3):
        answer = connection.exchange(request("PutRecord", body))
        assert (answer.status, answer.error) == (400, "ValidationException")
        assert len(answer.body) < MOST_ANSWER_BYTES


@pytest.mark.parametrize("operation", NAMED)
@pytest.mark.parametrize("accents", [ACCENTS, ESCAPED_ACCENTS], ids=["bytes", "escapes"])
def test_long_names_are_not_repeated(connection, operation, accents):
    """A name is one letter with all its accents."""
    body = json.dumps(named("@")).replace("@", f"a{accents}").encode()
    for _ in range(3):
        answer = connection.exchange(request(operation, body))
        assert answer.status == 400
        assert answer.error in ("ValidationException", "ResourceNotFoundException")
        assert len(answer.body) < MOST_ANSWER_BYTES


@pytest.mark.parametrize("operation", NAMED)
def test_long_names_are_not_repeated_to_who_may_not_use_them(limited_hydrant, operation):
    body = json.dumps(named(f"a{ACCENTS}"), ensure_ascii=False).encode()
    signed = Signer(LOGS_ONLY).sign(message(operation, body))
    with Connection(limited_hydrant.port) as connection:
        for _ in range(3):
            answer = connection.exchange(signed.encode())
            assert answer.status == 400
            assert answer.error in ("ValidationException", "AccessDeniedException")
            assert len(answer.body) < MOST_ANSWER_BYTES


@pytest.mark.parametrize(
    "member", ["RoleARN", "BucketARN", "CompressionFormat", "Prefix", "FileExtension"]
)
def test_other_long_values_are_not_repeated(connection, member):
    """Neither those of the wrong form nor those that are not known."""
    given = {"DeliveryStreamName": fresh_name()}
    given["ExtendedS3DestinationConfiguration"] = destination(BUCKET_ARN) | {member: f"a{ACCENTS}"}
    body = json.dumps(given, ensure_ascii=False).encode()
    for _ in range(3):
        answer = connection.exchange(request("CreateDeliveryStream", body))
        assert (answer.status, answer.error) == (400, "ValidationException")
        assert len(answer.body) < MOST_ANSWER_BYTES


# MARK: Accents in heads

HEAD_ACCENTS = "\u0301\u0316" * 16_000
"""As many as there is room for in a request's head."""

SCOPE = "20300101/us-east-1/firehose/aws4_request"


def answer_to(port: int, hostile: Message) -> Answer:
    """Sends a request some times, each on a connection of its own; returns the last answer."""
    for _ in range(3):
        with Connection(port) as connection:
            answer = connection.exchange(hostile.encode())
    return answer


@pytest.mark.parametrize(
    "authorization",
    [
        "{}",
        "AWS4-HMAC-SHA256 {}",
        f"AWS4-HMAC-SHA256 Credential=a{{}}/{SCOPE}, SignedHeaders=host, Signature=0",
        f"AWS4-HMAC-SHA256 Credential=a/{SCOPE}, SignedHeaders={{}}, Signature=0",
        f"AWS4-HMAC-SHA256 Credential=a/{SCOPE}, SignedHeaders=host, Signature={{}}",
    ],
)
def test_accents_in_the_authorization_are_refused(limited_hydrant, authorization):
    hostile = message("ListDeliveryStreams", {}).adding(
        ("X-Amz-Date", "20300101T000000Z"), ("Authorization", authorization.format(HEAD_ACCENTS))
    )
    answer = answer_to(limited_hydrant.port, hostile)
    assert (answer.status, answer.error) == (400, "IncompleteSignatureException")
    assert len(answer.body) < MOST_ANSWER_BYTES


@pytest.mark.parametrize("name", ["X-Amz-Date", "X-Amz-Security-Token", "X-Amz-Content-Sha256"])
def test_accents_in_other_headers_of_a_signature_are_refused(limited_hydrant, name):
    signed = Signer(PRODUCER).sign(message("ListDeliveryStreams", {}))
    signed = signed.without(name).adding((name, HEAD_ACCENTS))
    answer = answer_to(limited_hydrant.port, signed)
    assert (answer.status, answer.error) == (400, "IncompleteSignatureException")


@pytest.mark.parametrize("name", ["X-Amz-Signature", "X-Amz-Credential", "x", ""])
@pytest.mark.parametrize("accents", [HEAD_ACCENTS, "%CC%81%CC%96" * 5_000], ids=["raw", "encoded"])
def test_accents_in_the_query_are_refused(limited_hydrant, name, accents):
    query = f"X-Amz-Algorithm=AWS4-HMAC-SHA256&{name}={accents}&{accents}=1"
    hostile = Message(target=f"/?{query}", headers=(("Host", HOST),), body=b"{}")
    answer = answer_to(limited_hydrant.port, hostile)
    assert answer.status == 400
    assert len(answer.body) < MOST_ANSWER_BYTES


@pytest.mark.parametrize("name", ["Content-Encoding", "X-Amz-Target", "Expect", "Connection"])
def test_accents_in_the_headers_of_http_harm_nobody(hydrant, name):
    hostile = message("ListDeliveryStreams", {}).without(name).adding((name, HEAD_ACCENTS))
    answer = answer_to(hydrant.port, hostile)
    assert answer.status in (200, 400, 417)
    assert len(answer.body) < MOST_ANSWER_BYTES
