"""Requests signed by hand with Signature Version 4, so that every part can be tampered with.

Nothing of botocore is used. A test checks this signer against AWS's own test suite.
"""

import hashlib
import hmac
import json
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from urllib.parse import quote, unquote_to_bytes

from keys import Key
from wire import CONTENT_TYPE, TARGET_PREFIX, Answer, Connection, chunked

ALGORITHM = "AWS4-HMAC-SHA256"

UNSIGNED_PAYLOAD = "UNSIGNED-PAYLOAD"

REGION, SERVICE = "us-east-1", "firehose"

HOST = "127.0.0.1"
"""What requests give as their host: the signature covers the header, whatever it says."""

Headers = tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Message:
    """An HTTP request. The methods return changed copies."""

    target: str = "/"
    headers: Headers = ()
    body: bytes = field(default=b"", repr=False)
    method: str = "POST"

    def header(self, name: str) -> str:
        """The value of a header that is there once."""
        (value,) = (value for each, value in self.headers if each.lower() == name.lower())
        return value

    def without(self, name: str) -> "Message":
        """As this one, without a header."""
        kept = ((each, value) for each, value in self.headers if each.lower() != name.lower())
        return replace(self, headers=tuple(kept))

    def adding(self, *headers: tuple[str, str]) -> "Message":
        """As this one, with more headers behind the others."""
        return replace(self, headers=(*self.headers, *headers))

    def changing(self, name: str, old: str, new: str) -> "Message":
        """As this one, with `old` in one header replaced."""
        value = self.header(name)
        assert old in value, f"{old!r} is not in {name}: {value}"
        return replace(
            self,
            headers=tuple(
                (each, value.replace(old, new, 1) if each.lower() == name.lower() else value)
                for each, value in self.headers
            ),
        )

    def encode(self) -> bytes:
        """The request with a Content-Length, as it goes over the line."""
        return self.head(f"Content-Length: {len(self.body)}") + self.body

    def encode_chunked(self, size: int) -> bytes:
        """The request in chunked transfer encoding."""
        return self.head("Transfer-Encoding: chunked") + chunked(self.body, size)

    def head(self, *framing: str) -> bytes:
        """The request up to its body."""
        lines = [f"{self.method} {self.target} HTTP/1.1"]
        lines += [f"{name}: {value}" for name, value in self.headers]
        return "\r\n".join([*lines, *framing]).encode() + b"\r\n\r\n"


def message(operation: str, body: bytes | dict, *headers: tuple[str, str]) -> Message:
    """A request to Firehose that is not signed yet."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    common = (
        ("Host", HOST),
        ("X-Amz-Target", f"{TARGET_PREFIX}.{operation}"),
        ("Content-Type", CONTENT_TYPE),
    )
    return Message(headers=(*common, *headers), body=data)


def exchange(port: int, request: Message) -> Answer:
    """Sends a request on a connection of its own and reads the answer."""
    with Connection(port) as connection:
        return connection.exchange(request.encode())


def refusal(port: int, request: Message) -> tuple[str, str]:
    """The code and the message with which a request is refused, as all these are with 400."""
    answer = exchange(port, request)
    assert answer.status == 400, (answer.status, answer.body[:500])
    return answer.error, answer.json["message"]


@dataclass(frozen=True)
class Signer:
    """Signs with one key for one scope. `scope` replaces the whole scope behind the day."""

    key: Key
    region: str = REGION
    service: str = SERVICE
    scope: str | None = None

    def sign(
        self,
        request: Message,
        *,
        age: timedelta = timedelta(),
        signed: Iterable[str] | None = None,
        payload_hash: str | None = None,
    ) -> Message:
        """Adds X-Amz-Date, X-Amz-Security-Token if the key has one, and Authorization.

        `age` is how long ago the request claims to have been signed; `signed` are the headers that
        are, in that order (by default all, sorted); `payload_hash` is by default the body's.
        """
        stamp = _stamp(age)
        request = request.adding(("X-Amz-Date", stamp))
        if self.key.token:
            request = request.adding(("X-Amz-Security-Token", self.key.token))
        names = ";".join(signed or sorted({name.lower() for name, _ in request.headers}))
        digest = payload_hash or hashlib.sha256(request.body).hexdigest()
        signature = self.signature(stamp, canonical_request(request, names, digest))
        credential = f"{self.key.access_key}/{self._scope(stamp)}"
        parts = f"Credential={credential}, SignedHeaders={names}, Signature={signature}"
        return request.adding(("Authorization", f"{ALGORITHM} {parts}"))

    def presign(
        self,
        request: Message,
        *,
        age: timedelta = timedelta(),
        expires: str | int = 300,
        signed: Iterable[str] | None = None,
        payload_hash: str = UNSIGNED_PAYLOAD,
    ) -> Message:
        """Adds the signature to the query. Arguments are those of `sign`."""
        stamp = _stamp(age)
        names = ";".join(signed or sorted({name.lower() for name, _ in request.headers}))
        members = {
            "X-Amz-Algorithm": ALGORITHM,
            "X-Amz-Credential": f"{self.key.access_key}/{self._scope(stamp)}",
            "X-Amz-Date": stamp,
            "X-Amz-Expires": str(expires),
            "X-Amz-SignedHeaders": names,
        }
        if self.key.token:
            members["X-Amz-Security-Token"] = self.key.token
        path, _, query = request.target.partition("?")
        pairs = [*filter(None, [query]), *(f"{name}={encoded(members[name])}" for name in members)]
        request = replace(request, target=f"{path}?{'&'.join(pairs)}")
        signature = self.signature(stamp, canonical_request(request, names, payload_hash))
        return replace(request, target=f"{request.target}&X-Amz-Signature={signature}")

    def _scope(self, stamp: str) -> str:
        usual = f"{self.region}/{self.service}/aws4_request"
        return f"{stamp[:8]}/{usual if self.scope is None else self.scope}"

    def signature(self, stamp: str, canonical: str) -> str:
        """The signature of a canonical request."""
        text = string_to_sign(stamp, self._scope(stamp), canonical)
        key = f"AWS4{self.key.secret_key}".encode()
        for part in (stamp[:8], self.region, self.service, "aws4_request", text):
            key = hmac.new(key, part.encode(), hashlib.sha256).digest()
        return key.hex()


def canonical_request(request: Message, signed: str, payload_hash: str) -> str:
    """The text that is signed."""
    path, _, query = request.target.partition("?")
    values = [f"{name}:{_canonical_value(request, name)}" for name in signed.split(";")]
    parts = [request.method, encoded(path, "/"), _canonical_query(query)]
    return "\n".join([*parts, *values, "", signed, payload_hash])


def string_to_sign(stamp: str, scope: str, canonical: str) -> str:
    """What the signature is made of."""
    return "\n".join([ALGORITHM, stamp, scope, hashlib.sha256(canonical.encode()).hexdigest()])


def encoded(text: str | bytes, safe: str = "") -> str:
    """Percent-encoded in AWS's way: all but letters, digits and -_.~"""
    return quote(text, safe=f"-_.~{safe}")


def _canonical_value(request: Message, name: str) -> str:
    values = (value for each, value in request.headers if each.lower() == name)
    return ",".join(" ".join(each.split()) for each in values)


def _canonical_query(query: str) -> str:
    pairs = [each.partition("=") for each in query.split("&")] if query else []
    return "&".join(
        f"{name}={value}" for name, value in sorted((_again(a), _again(b)) for a, _, b in pairs)
    )


def _again(text: str) -> str:
    return encoded(unquote_to_bytes(text))


def _stamp(age: timedelta) -> str:
    return (datetime.now(UTC) - age).strftime("%Y%m%dT%H%M%SZ")
