"""What clients send that are not installed for the tests, byte by byte: their headers, in their
order, and which of them they sign.

They were recorded: Fluent Bit 5.1.1, Kinesis Agent 2.0.13 with version 1 of the AWS SDK for Java,
and Terraform 1.11 with version 5.100 of its provider for AWS, all of which were run against a
server.
"""

import hashlib
import http.client
import json
import socket
import ssl
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime

from client_pages import HOST, Place
from keys import Key
from signed import ALGORITHM, SERVICE, Message, Signer, canonical_request
from wire import CONTENT_TYPE, TARGET_PREFIX, Answer

TIME_OUT_SECONDS = 20

SDK = ("amz-sdk-invocation-id", "amz-sdk-request")

USUAL = ("content-length", "content-type", "host")

AMZ = ("x-amz-date", "x-amz-target")


@dataclass(frozen=True)
class Replay:
    """A client's requests. `headers` are names with values, in the client's order and spelling.

    A value of "" is filled in.
    """

    headers: tuple[tuple[str, str], ...]
    signed: tuple[str, ...]

    def post(
        self, place: Place, operation: str, body: dict, key: Key, *, region: str = "us-east-1"
    ) -> Answer:
        """Sends one request of this client, on a connection of its own."""
        data = json.dumps(body, separators=(",", ":")).encode()
        stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
        filled = {
            "host": place.endpoint.partition("//")[2],
            "content-length": str(len(data)),
            "content-type": CONTENT_TYPE,
            "x-amz-date": stamp,
            "x-amz-target": f"{TARGET_PREFIX}.{operation}",
            "amz-sdk-invocation-id": str(uuid.uuid4()),
        }
        headers = [(name, value or filled.get(name.lower(), "")) for name, value in self.headers]
        unsigned = Message(headers=tuple(each for each in headers if each[1]), body=data)
        signer = Signer(key, region)
        names = ";".join(sorted(self.signed))
        canonical = canonical_request(unsigned, names, hashlib.sha256(data).hexdigest())
        signature = signer.signature(stamp, canonical)
        scope = f"{stamp[:8]}/{region}/{SERVICE}/aws4_request"
        authorization = (
            f"{ALGORITHM} Credential={key.access_key}/{scope}, SignedHeaders={names}, "
            f"Signature={signature}"
        )
        whole = tuple((name, value or authorization) for name, value in headers)
        return _exchange(place, Message(headers=whole).head() + data)


FLUENT_BIT = Replay(
    headers=(
        ("Host", ""),
        ("Content-Length", ""),
        ("User-Agent", "aws-fluent-bit-plugin"),
        ("Content-Type", ""),
        ("X-Amz-Target", ""),
        ("x-amz-date", ""),
        ("Authorization", ""),
        ("Connection", "keep-alive"),
    ),
    signed=(*USUAL, *AMZ, "user-agent"),
)

KINESIS_AGENT = Replay(
    headers=(
        ("Host", ""),
        ("amz-sdk-invocation-id", ""),
        ("amz-sdk-request", "attempt=1;max=4"),
        ("amz-sdk-retry", "0/0/500"),
        ("Authorization", ""),
        ("Content-Type", ""),
        (
            "User-Agent",
            "aws-kinesis-agent/1.1 aws-sdk-java/1.11.901 Linux/6.1 OpenJDK_64-Bit_Server_VM/17 "
            "java/17.0.15 vendor/Debian, aws-sdk-java/1.11.901 Linux/6.1 "
            "OpenJDK_64-Bit_Server_VM/17 java/17.0.15 vendor/Debian",
        ),
        ("X-Amz-Date", ""),
        ("X-Amz-Target", ""),
        ("Content-Length", ""),
        ("Connection", "Keep-Alive"),
    ),
    signed=(*SDK, "amz-sdk-retry", *USUAL, *AMZ, "user-agent"),
)

TERRAFORM = Replay(
    headers=(
        ("Host", ""),
        (
            "User-Agent",
            "APN/1.0 HashiCorp/1.0 Terraform/1.11.4 (+https://www.terraform.io) "
            "terraform-provider-aws/5.100.0 (+https://registry.terraform.io/providers/hashicorp/aws)"
            " aws-sdk-go-v2/1.36.3 ua/2.1 os/linux lang/go#1.23.10 api/firehose#1.37.5 m/e",
        ),
        ("Content-Length", ""),
        ("Amz-Sdk-Invocation-Id", ""),
        ("Amz-Sdk-Request", "attempt=1; max=25"),
        ("Authorization", ""),
        ("Content-Type", ""),
        ("X-Amz-Date", ""),
        ("X-Amz-Target", ""),
        ("Accept-Encoding", "gzip"),
    ),
    signed=(*SDK, *USUAL, *AMZ),
)


def _exchange(place: Place, request: bytes) -> Answer:
    with socket.create_connection(("127.0.0.1", place.port), TIME_OUT_SECONDS) as raw:
        if place.ca:
            context = ssl.create_default_context(cafile=place.ca)
            raw = context.wrap_socket(raw, server_hostname=HOST)
        with raw as connection:
            connection.sendall(request)
            response = http.client.HTTPResponse(connection)
            response.begin()
            return Answer(response.status, response.msg, response.read())
