"""The judge of signatures is itself judged, by botocore: what it takes, and what it refuses."""

import re
from urllib.parse import urlsplit

import boto3
import pytest
from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.credentials import Credentials
from botocore.exceptions import ClientError

from sigv4_judge import Request, canonical_request
from streams import AWKWARD_PREFIXES
from strict_s3 import ACCESS_KEY, REGION, SECRET_KEY, StrictS3


@pytest.fixture(scope="module")
def endpoint():
    """A strict endpoint for the module."""
    with StrictS3() as endpoint:
        yield endpoint


@pytest.fixture(scope="module")
def boto_s3(endpoint):
    """boto3, signing whole bodies and guarding them with Content-MD5."""
    return boto3.session.Session().client(
        "s3",
        endpoint_url=endpoint.endpoint,
        region_name=REGION,
        aws_access_key_id=ACCESS_KEY,
        aws_secret_access_key=SECRET_KEY,
        config=Config(
            s3={"addressing_style": "path", "payload_signing_enabled": True},
            request_checksum_calculation="when_required",
            retries={"total_max_attempts": 1},
        ),
    )


@pytest.mark.parametrize("prefix", AWKWARD_PREFIXES)
def test_the_judge_accepts_what_boto3_signs(endpoint, boto_s3, prefix):
    boto_s3.put_object(Bucket="judge", Key=f"{prefix}key", Body=b"body", ChecksumAlgorithm="SHA256")
    assert endpoint.objects("judge")[f"{prefix}key"].body == b"body"


@pytest.mark.parametrize("prefix", AWKWARD_PREFIXES)
def test_the_judge_and_botocore_sign_the_same_text(endpoint, boto_s3, prefix):
    url = boto_s3.generate_presigned_url(
        "get_object", Params={"Bucket": "judge", "Key": f"{prefix}key"}
    )
    target = urlsplit(url).path
    sent = AWSRequest("GET", f"{endpoint.endpoint}{target}", headers={"x-amz-meta-a": " b  c "})
    signer = S3SigV4Auth(Credentials(ACCESS_KEY, SECRET_KEY), "s3", REGION)
    signer.add_auth(sent)
    sent.headers["Host"] = f"127.0.0.1:{endpoint.port}"
    received = Request("GET", target, sent.headers, b"")
    assert endpoint.judge.faults(received) == []

    signed = re.search("SignedHeaders=([^,]+)", sent.headers["Authorization"])[1]
    del sent.headers["Authorization"]
    assert canonical_request(received, signed) == signer.canonical_request(sent)


@pytest.mark.parametrize(
    ("header", "value", "complaint"),
    [
        ("x-amz-content-sha256", "UNSIGNED-PAYLOAD", "not the body's hash"),
        ("x-amz-date", "20200101T000000Z", "too far from the real time"),
        ("x-amz-meta-extra", "unsigned", "x-amz-meta-extra is not signed"),
        ("x-amz-checksum-sha256", "AAAA", "not that of the body"),
        ("x-amz-security-token", "token", "x-amz-security-token"),
        ("Authorization", "AWS4-HMAC-SHA256 nonsense", "malformed Authorization"),
    ],
)
def test_the_judge_refuses_what_was_changed_after_signing(
    endpoint, boto_s3, header, value, complaint
):
    def tamper(request, **_) -> None:
        request.headers[header] = value

    boto_s3.meta.events.register("before-send.s3.PutObject", tamper)
    try:
        with pytest.raises(ClientError) as caught:
            boto_s3.put_object(
                Bucket="judge", Key="tampered", Body=b"body", ChecksumAlgorithm="SHA256"
            )
    finally:
        boto_s3.meta.events.unregister("before-send.s3.PutObject", tamper)
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 403
    assert complaint in endpoint.refusals.pop()
    assert "tampered" not in endpoint.objects("judge")
