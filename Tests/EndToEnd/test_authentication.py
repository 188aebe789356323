"""Only requests that are signed with a known key are carried out."""

import json
from dataclasses import replace
from datetime import timedelta

import pytest
from botocore.exceptions import ClientError

from commands import run_aws, run_curl, run_hydrant
from keys import AWKWARD, EXPIRED, LASTING, PRODUCER, TEMPORARY, UNKNOWN, Key
from server import REGION
from signed import Message, Signer, exchange, message, refusal
from streams import create_stream, destination, fresh_name, put
from wire import Connection, put_body, request

MISMATCH = "The request signature we calculated does not match the signature you provided"

INVALID_TOKEN = ("UnrecognizedClientException", "The security token included in the request is")

MALFORMED = {"IncompleteSignatureException", "InvalidSignatureException"}
"""AWS answers either, depending on which part is missing or odd."""

LIST = message("ListDeliveryStreams", {"Limit": 10}, ("X-Custom", "abc"))


@pytest.fixture
def port(guarded_hydrant) -> int:
    """Where the shared server listens."""
    return guarded_hydrant.port


def signed(request: Message = LIST, key: Key = PRODUCER, **options) -> Message:
    """A request signed as it should be, but for `options`."""
    return Signer(key).sign(request, **options)


def assert_mismatch(port: int, request: Message) -> None:
    """Checks that a request is refused because of its signature."""
    code, said = refusal(port, request)
    assert code == "InvalidSignatureException"
    assert said.startswith(MISMATCH)


# MARK: Who is let in


def test_boto3_may_call_everything(guarded_hydrant, guarded_bucket):
    client = guarded_hydrant.client()
    name = create_stream(client, guarded_bucket.arn)
    put(client, name, b"one;", b"two;")
    client.put_record(DeliveryStreamName=name, Record={"Data": b"three;"})
    guarded_bucket.wait_for(b"one;two;three;")
    client.tag_delivery_stream(DeliveryStreamName=name, Tags=[{"Key": "a", "Value": "b"}])
    client.list_tags_for_delivery_stream(DeliveryStreamName=name)
    client.untag_delivery_stream(DeliveryStreamName=name, TagKeys=["a"])
    client.update_destination(
        DeliveryStreamName=name,
        CurrentDeliveryStreamVersionId="1",
        DestinationId="destinationId-000000000001",
        ExtendedS3DestinationUpdate={"Prefix": "later/"},
    )
    assert name in client.list_delivery_streams(Limit=10_000)["DeliveryStreamNames"]
    client.describe_delivery_stream(DeliveryStreamName=name)
    client.delete_delivery_stream(DeliveryStreamName=name)


@pytest.mark.parametrize("key", [AWKWARD, TEMPORARY, LASTING], ids=lambda key: key.access_key)
def test_secrets_and_session_tokens_of_every_kind_work(guarded_hydrant, guarded_bucket, key):
    client = guarded_hydrant.client(key)
    put(client, create_stream(client, guarded_bucket.arn), b"record")
    guarded_bucket.wait_for(b"record")


@pytest.mark.parametrize("key", [PRODUCER, TEMPORARY], ids=lambda key: key.access_key)
def test_the_aws_cli_is_let_in(guarded_hydrant, guarded_bucket, key):
    name = fresh_name()
    configuration = json.dumps(destination(guarded_bucket.arn))
    for arguments in (
        ("create-delivery-stream", "--extended-s3-destination-configuration", configuration),
        ("put-record", "--record", "Data=record"),
        ("describe-delivery-stream",),
    ):
        done = run_aws(guarded_hydrant, *arguments, "--delivery-stream-name", name, key=key)
        assert done.returncode == 0, done.stderr
    guarded_bucket.wait_for(b"record")


@pytest.mark.parametrize("size", [0, 1, 1_000, 1_024_000])
def test_curl_s_own_signer_is_understood_for_one_record(
    guarded_hydrant, guarded_bucket, guarded_stream, tmp_path, size
):
    """From a megabyte on curl asks with `Expect: 100-continue`."""
    record = b"r" * size
    (entry,) = put_body(guarded_stream, record)["Records"]
    body = tmp_path / "body.json"
    body.write_text(json.dumps({"DeliveryStreamName": guarded_stream, "Record": entry}))
    done = run_curl(guarded_hydrant, "PutRecord", body, key=PRODUCER)
    assert done.stdout.endswith("\n200"), done.stdout + done.stderr
    guarded_bucket.wait_for(record)


@pytest.mark.parametrize(("records", "size"), [(1, 1), (500, 1_000), (4, 1_024_000)])
def test_curl_s_own_signer_is_understood_for_batches(
    guarded_hydrant, guarded_bucket, guarded_stream, tmp_path, records, size
):
    body = tmp_path / "body.json"
    body.write_text(json.dumps(put_body(guarded_stream, *[b"r" * size] * records)))
    done = run_curl(guarded_hydrant, "PutRecordBatch", body, key=PRODUCER)
    assert done.stdout.endswith("\n200"), done.stdout + done.stderr
    guarded_bucket.wait_for(b"r" * size * records)


def test_hydrant_s_own_client_is_let_in(guarded_hydrant, guarded_bucket, guarded_stream):
    for key in (PRODUCER, AWKWARD, TEMPORARY):
        lines = f"{key.access_key}\n".encode()
        done = run_hydrant(guarded_hydrant, "put", guarded_stream, stdin=lines, key=key)
        assert done.returncode == 0, done.stderr
    guarded_bucket.wait_for(b"producer\nAKIA0AWKWARD0KEY\nASIATEMPORARY000\n")


def test_the_signer_of_these_tests_is_let_in(port):
    for key in (PRODUCER, AWKWARD, TEMPORARY):
        assert exchange(port, signed(key=key)).status == 200


def test_any_region_is_taken(port):
    """Unless `--strict-aws` says otherwise."""
    assert exchange(port, Signer(PRODUCER, region="mars-north-1").sign(LIST)).status == 200


def test_a_strict_server_takes_its_own_region_alone(guarded_hydrant, start_hydrant):
    keys = guarded_hydrant.folder / "keys.json"
    options = ("--strict-aws", "--region", "eu-central-1", "--credentials", str(keys))
    port = start_hydrant(*options).port
    assert exchange(port, Signer(PRODUCER, region="eu-central-1").sign(LIST)).status == 200
    code, _ = refusal(port, Signer(PRODUCER, region=REGION).sign(LIST))
    assert code == "InvalidSignatureException"


def test_health_needs_no_signature(port):
    with Connection(port) as connection:
        answer = connection.exchange(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n")
    assert answer.status == 200


# MARK: Who is not


def test_a_request_without_a_signature_is_refused(port):
    with Connection(port) as connection:
        answer = connection.exchange(request("ListDeliveryStreams", b"{}"))
    assert (answer.status, answer.error) == (400, "MissingAuthenticationTokenException")
    assert answer.json["message"] == "Missing Authentication Token"
    assert answer.headers["x-amzn-RequestId"]


def test_an_unknown_key_is_refused(port):
    code, said = refusal(port, signed(key=UNKNOWN))
    assert (code, said) == (INVALID_TOKEN[0], f"{INVALID_TOKEN[1]} invalid.")


def test_a_wrong_secret_is_refused(port):
    assert_mismatch(port, signed(key=Key("producer", "producer-secreT")))


def test_boto3_sees_the_refusal_as_an_error_of_its_own(guarded_hydrant):
    client = guarded_hydrant.client(Key("producer", "wrong"))
    with pytest.raises(ClientError) as caught:
        client.list_delivery_streams()
    assert caught.value.response["Error"]["Code"] == "InvalidSignatureException"


@pytest.mark.parametrize(
    "key",
    [
        replace(TEMPORARY, token=None),
        replace(TEMPORARY, token="a/session+token="),
        replace(TEMPORARY, token="a/session+token==x"),
        replace(PRODUCER, token="superfluous"),
    ],
    ids=["needed", "shorter", "longer", "superfluous"],
)
def test_session_tokens_must_be_those_of_the_key(port, key):
    code, said = refusal(port, signed(key=key))
    assert code == INVALID_TOKEN[0]
    assert said.startswith(INVALID_TOKEN[1])


def test_an_expired_key_is_refused(port):
    code, said = refusal(port, signed(key=EXPIRED))
    assert code == "ExpiredTokenException"
    assert said


# MARK: What was changed on the way


def test_another_body_is_refused(port):
    request = signed()
    for body in (request.body.replace(b"10", b"11"), request.body + b" ", b""):
        assert_mismatch(port, replace(request, body=body))


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [
        ("Host", "127", "128"),
        ("X-Amz-Target", "ListDeliveryStreams", "DescribeDeliveryStream"),
        ("Content-Type", "1.1", "1.0"),
        ("X-Custom", "b", "B"),
        ("Authorization", "Signature=", "Signature=0"),
        ("Authorization", "x-amz-target", "x-amz-targes"),
        ("Authorization", ";x-custom", ""),
        ("Authorization", "us-east-1", "us-east-2"),
    ],
)
def test_a_changed_header_is_refused(port, name, old, new):
    code, said = refusal(port, signed().changing(name, old, new))
    assert code in MALFORMED
    assert said


def test_every_digit_of_the_signature_counts(port):
    request = signed()
    signature = request.header("Authorization")[-64:]
    for position in range(0, 64, 9):
        other = "1" if signature[position] == "0" else "0"
        forged = signature[:position] + other + signature[position + 1 :]
        assert_mismatch(port, request.changing("Authorization", signature, forged))


def test_a_date_that_was_not_signed_is_refused(port):
    """Another second of the same day: nothing but the signature gives it away."""
    request = signed()
    later = signed(age=timedelta(seconds=7)).header("X-Amz-Date")
    assert_mismatch(port, request.changing("X-Amz-Date", request.header("X-Amz-Date"), later))


def test_a_changed_query_is_refused(port):
    request = signed(replace(LIST, target="/?a=b&c=d"))
    assert exchange(port, request).status == 200
    for target in ("/?a=b&c=e", "/?a=b", "/", "/?a=b&c=d&e=f", "/?a=B&c=d"):
        assert_mismatch(port, replace(request, target=target))


def test_nothing_of_a_refused_put_is_stored(guarded_hydrant, guarded_bucket, guarded_stream):
    """The same connection takes the next request, which is signed right."""
    batch = signed(message("PutRecordBatch", put_body(guarded_stream, b"good")))
    forged = replace(batch, body=json.dumps(put_body(guarded_stream, b"evil")).encode())
    with Connection(guarded_hydrant.port) as connection:
        for _ in range(3):
            assert connection.exchange(forged.encode()).error == "InvalidSignatureException"
        assert connection.exchange(batch.encode()).status == 200
    guarded_bucket.wait_for(b"good")


# MARK: Dates


@pytest.mark.parametrize("minutes", [-14, 14])
def test_clocks_may_differ_by_some_minutes(port, minutes):
    assert exchange(port, signed(age=timedelta(minutes=minutes))).status == 200


@pytest.mark.parametrize(
    ("age", "words"),
    [
        (timedelta(minutes=16), "Signature expired: "),
        (timedelta(days=400), "Signature expired: "),
        (timedelta(minutes=-16), "Signature not yet current: "),
        (timedelta(days=-400), "Signature not yet current: "),
    ],
    ids=str,
)
def test_old_and_future_signatures_are_refused(port, age, words):
    code, said = refusal(port, signed(age=age))
    assert code == "InvalidSignatureException"
    assert said.startswith(words)


@pytest.mark.parametrize("date", ["", "yesterday", "20261399T000000Z", "2026-11-21T06:30:13Z"])
def test_a_malformed_date_is_refused(port, date):
    request = signed().without("X-Amz-Date").adding(("X-Amz-Date", date))
    code, _ = refusal(port, request)
    assert code in MALFORMED


# MARK: Authorization headers that are odd


@pytest.mark.parametrize(
    "authorization",
    [
        "AWS4-HMAC-SHA256",
        "Bearer abc",
        "Basic cHJvZHVjZXI6cHJvZHVjZXItc2VjcmV0",
        "AWS4-HMAC-SHA256 Credential",
        "AWS4-HMAC-SHA256 Credential=,SignedHeaders=,Signature=",
        "AWS4-HMAC-SHA256 Credential=producer/20261121",
        "=,=,=",
        "AWS4-HMAC-SHA256 " + "Credential=producer," * 100,
        "x" * 4_000,
    ],
    ids=lambda text: text[:40],
)
def test_a_malformed_authorization_is_refused(port, authorization):
    request = signed().without("Authorization").adding(("Authorization", authorization))
    code, said = refusal(port, request)
    assert code == "IncompleteSignatureException"
    assert said


@pytest.mark.parametrize("part", ["Credential", "SignedHeaders", "Signature"])
def test_no_part_of_the_authorization_may_be_missing(port, part):
    code, said = refusal(port, signed().changing("Authorization", f"{part}=", f"X{part}="))
    assert code == "IncompleteSignatureException"
    assert part in said


def test_the_date_may_not_be_missing(port):
    assert refusal(port, signed().without("X-Amz-Date"))[0] == "IncompleteSignatureException"


@pytest.mark.parametrize("name", ["host", "x-amz-date", "x-amz-target"])
def test_headers_that_change_what_is_done_must_be_signed(port, name):
    """Otherwise a signature could be used for another call, another host or for ever."""
    names = sorted({"host", "x-amz-date", "x-amz-target", "content-type"} - {name})
    assert refusal(port, signed(signed=names))[0] in MALFORMED


@pytest.mark.parametrize(
    "names",
    [
        ("x-amz-target", "x-amz-date", "host", "content-type"),
        ("host", "host", "x-amz-date", "x-amz-target"),
        ("Host", "X-Amz-Date", "X-Amz-Target"),
    ],
    ids=["unsorted", "twice", "capitals"],
)
def test_odd_lists_of_signed_headers_are_refused(port, names):
    assert refusal(port, signed(signed=names))[0] in MALFORMED


@pytest.mark.parametrize(
    "scope",
    [
        f"{REGION}/s3/aws4_request",
        f"{REGION}/firehose/aws5_request",
        f"{REGION}/firehose",
        f"{REGION}/firehose/aws4_request/more",
        "//aws4_request",
        "",
    ],
)
def test_a_scope_that_is_not_firehose_s_is_refused(port, scope):
    assert refusal(port, Signer(PRODUCER, scope=scope).sign(LIST))[0] in MALFORMED


def test_a_signature_for_another_service_is_refused(port):
    code, _ = refusal(port, Signer(PRODUCER, service="kinesis").sign(LIST))
    assert code == "InvalidSignatureException"


def test_the_scope_s_day_must_be_that_of_the_date(port):
    request = signed()
    day = request.header("X-Amz-Date")[:8]
    request = request.changing("Authorization", f"/{day}/", "/20150830/")
    assert refusal(port, request)[0] == "InvalidSignatureException"


def test_error_messages_name_no_secret(port):
    for key in (PRODUCER, TEMPORARY):
        _, said = refusal(port, replace(signed(key=key), body=b"{}"))
        assert key.secret_key not in said
        assert key.token is None or key.token not in said
