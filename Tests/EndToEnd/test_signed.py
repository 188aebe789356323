"""The signer in `signed`, checked against AWS's test suite and botocore's signer."""

import hashlib
import json
from pathlib import Path

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from keys import TEMPORARY, Key
from signed import Message, Signer, canonical_request, message, string_to_sign

SUITE = json.loads((Path(__file__).parents[1] / "Vectors/sigv4.json").read_text())

CASES = [each for each in SUITE["cases"] if not each["name"].startswith("normalize-path/")]
"""Firehose's path is always `/`."""


@pytest.mark.parametrize("case", CASES, ids=[each["name"] for each in CASES])
def test_aws_s_own_cases_are_signed_as_aws_says(case):
    given = case["request"]
    headers = tuple((name, value) for name, value in given["headers"])
    request = Message(given["target"], headers, given["body"].encode(), given["method"])
    signed = case["canonicalRequest"].split("\n")[-2]
    digest = hashlib.sha256(request.body).hexdigest()
    canonical = canonical_request(request, signed, digest)
    assert canonical == case["canonicalRequest"]

    stamp, scope = case["stringToSign"].split("\n")[1:3]
    assert string_to_sign(stamp, scope, canonical) == case["stringToSign"]
    signer = Signer(
        Key(SUITE["accessKeyId"], SUITE["secretAccessKey"]), SUITE["region"], SUITE["service"]
    )
    assert case["authorization"].endswith(f"Signature={signer.signature(stamp, canonical)}")


def test_requests_to_firehose_are_signed_as_botocore_signs_them():
    request = message("PutRecord", {"DeliveryStreamName": "ä"}, ("X-Custom", "a  b"))
    ours = Signer(TEMPORARY).sign(request)
    theirs = AWSRequest("POST", "http://127.0.0.1/", dict(request.headers), request.body)
    credentials = Credentials(TEMPORARY.access_key, TEMPORARY.secret_key, TEMPORARY.token)
    signer = SigV4Auth(credentials, "firehose", "us-east-1")
    theirs.context["timestamp"] = ours.header("X-Amz-Date")
    theirs.headers["X-Amz-Date"] = ours.header("X-Amz-Date")
    theirs.headers["X-Amz-Security-Token"] = TEMPORARY.token
    canonical = signer.canonical_request(theirs)
    signature = signer.signature(signer.string_to_sign(theirs, canonical), theirs)
    assert ours.header("Authorization").endswith(f"Signature={signature}")


def test_what_is_signed_over_is_what_is_sent():
    sent = Signer(TEMPORARY).sign(message("PutRecord", b"{}")).encode()
    assert sent.startswith(b"POST / HTTP/1.1\r\nHost: 127.0.0.1\r\n")
    assert sent.endswith(b"\r\nContent-Length: 2\r\n\r\n{}")
