"""Requests whose signature is in the query, as presigned URLs have it."""

import hashlib
from dataclasses import replace
from datetime import timedelta

import pytest
from botocore.auth import S3SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from keys import EXPIRED, PRODUCER, TEMPORARY, UNKNOWN, Key
from signed import HOST, UNSIGNED_PAYLOAD, Message, Signer, exchange, message, refusal
from streams import put
from wire import put_body

LIST = message("ListDeliveryStreams", {"Limit": 10})

LONGEST_SECONDS = 604_800

MALFORMED = {"IncompleteSignatureException", "InvalidSignatureException"}


@pytest.fixture
def port(guarded_hydrant) -> int:
    """Where the shared server listens."""
    return guarded_hydrant.port


def presigned(request: Message = LIST, key: Key = PRODUCER, **options) -> Message:
    """A request presigned as it should be, but for `options`."""
    return Signer(key).presign(request, **options)


@pytest.mark.parametrize("key", [PRODUCER, TEMPORARY], ids=lambda key: key.access_key)
def test_a_presigned_request_is_carried_out(guarded_hydrant, guarded_bucket, guarded_stream, key):
    batch = message("PutRecordBatch", put_body(guarded_stream, b"presigned"))
    assert exchange(guarded_hydrant.port, presigned(batch, key)).status == 200
    guarded_bucket.wait_for(b"presigned")


def test_the_body_may_be_signed_too(port):
    digest = hashlib.sha256(LIST.body).hexdigest()
    request = presigned(payload_hash=digest)
    assert exchange(port, request).status == 200
    assert refusal(port, replace(request, body=b"{}"))[0] == "InvalidSignatureException"


def test_an_unsigned_body_may_be_another_one(port):
    """That is what UNSIGNED-PAYLOAD says."""
    request = presigned(payload_hash=UNSIGNED_PAYLOAD)
    assert exchange(port, replace(request, body=b'{"Limit": 1}')).status == 200


def test_botocore_s_presigned_requests_are_taken(port):
    """Those of the signer that leaves the body unsigned; the other one sends no body at all."""
    headers = {name: value for name, value in LIST.headers if name != "Host"}
    url = AWSRequest("POST", f"http://{HOST}/", headers)
    credentials = Credentials(PRODUCER.access_key, PRODUCER.secret_key)
    S3SigV4QueryAuth(credentials, "firehose", "us-east-1", expires=60).add_auth(url)
    target = url.url.removeprefix(f"http://{HOST}")
    assert exchange(port, replace(LIST, target=target)).status == 200


def test_other_members_of_the_query_are_signed_with_it(port):
    request = presigned(replace(LIST, target="/?b=2&a=%20%2F"))
    assert exchange(port, request).status == 200
    changed = replace(request, target=request.target.replace("b=2", "b=3"))
    assert refusal(port, changed)[0] == "InvalidSignatureException"


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("X-Amz-Signature=", "X-Amz-Signature=0"),
        ("X-Amz-Expires=300", "X-Amz-Expires=3000"),
        ("us-east-1", "us-east-2"),
        ("x-amz-target", "x-amz-targes"),
        ("%2Ffirehose%2F", "%2Fkinesis%2F"),
    ],
)
def test_a_tampered_query_is_refused(port, old, new):
    request = presigned()
    assert old in request.target
    assert refusal(port, replace(request, target=request.target.replace(old, new)))[0] in MALFORMED


def test_a_tampered_header_is_refused(port):
    request = presigned().changing("X-Amz-Target", "ListDelivery", "CreateDelivery")
    assert refusal(port, request)[0] == "InvalidSignatureException"


def test_a_wrong_secret_is_refused(port):
    request = presigned(key=Key("producer", "wrong"))
    assert refusal(port, request)[0] == "InvalidSignatureException"


def test_unknown_keys_and_tokens_are_refused(port):
    for key in (UNKNOWN, replace(TEMPORARY, token="other"), replace(PRODUCER, token="needless")):
        assert refusal(port, presigned(key=key))[0] == "UnrecognizedClientException"
    assert refusal(port, presigned(key=EXPIRED))[0] == "ExpiredTokenException"


# MARK: Times


@pytest.mark.parametrize(
    ("age", "expires"),
    [
        (timedelta(hours=1), 3_700),
        (timedelta(days=6), LONGEST_SECONDS),
        (timedelta(minutes=-14), 1),
        (timedelta(), LONGEST_SECONDS),
    ],
    ids=str,
)
def test_it_is_good_for_as_long_as_it_says(port, age, expires):
    assert exchange(port, presigned(age=age, expires=expires)).status == 200


@pytest.mark.parametrize(
    ("age", "expires"),
    [(timedelta(seconds=10), 1), (timedelta(hours=1), 3_500), (timedelta(days=8), LONGEST_SECONDS)],
    ids=str,
)
def test_it_expires(port, age, expires):
    code, said = refusal(port, presigned(age=age, expires=expires))
    assert code == "InvalidSignatureException"
    assert said.startswith("Signature expired: ")


def test_it_may_not_come_from_the_future(port):
    code, said = refusal(port, presigned(age=timedelta(minutes=-16), expires=LONGEST_SECONDS))
    assert code == "InvalidSignatureException"
    assert said.startswith("Signature not yet current: ")


@pytest.mark.parametrize("expires", [0, -1, LONGEST_SECONDS + 1, "", "soon", "1e3", 2**64, "300.5"])
def test_a_period_out_of_range_is_refused(port, expires):
    assert refusal(port, presigned(expires=expires))[0] in MALFORMED


# MARK: Parts


@pytest.mark.parametrize(
    "name",
    ["Algorithm", "Credential", "Date", "Expires", "SignedHeaders"],
)
def test_no_part_may_be_missing(port, name):
    request = presigned()
    path, _, query = request.target.partition("?")
    kept = [each for each in query.split("&") if not each.startswith(f"X-Amz-{name}=")]
    assert len(kept) == len(query.split("&")) - 1
    code, _ = refusal(port, replace(request, target=f"{path}?{'&'.join(kept)}"))
    assert code == "IncompleteSignatureException"


def test_without_its_signature_it_is_refused(port):
    request = presigned()
    target = request.target.partition("&X-Amz-Signature=")[0]
    code, _ = refusal(port, replace(request, target=target))
    assert code in MALFORMED | {"MissingAuthenticationTokenException"}


def test_another_algorithm_is_refused(port):
    request = presigned()
    target = request.target.replace("AWS4-HMAC-SHA256", "AWS4-HMAC-SHA1")
    assert refusal(port, replace(request, target=target))[0] in MALFORMED


def test_host_and_target_must_be_signed(port):
    for names in (("host",), ("x-amz-target",)):
        assert refusal(port, presigned(signed=names))[0] in MALFORMED


def test_it_can_be_used_while_it_lasts_and_others_sign_in_headers(
    guarded_hydrant, guarded_bucket, guarded_stream
):
    batch = presigned(message("PutRecordBatch", put_body(guarded_stream, b"p")))
    for _ in range(3):
        assert exchange(guarded_hydrant.port, batch).status == 200
        put(guarded_hydrant.client(), guarded_stream, b"h")
    guarded_bucket.wait_for(b"phphph")
