"""Whether a request to S3 is signed the way that AWS demands.

Servers are kinder than AWS here: SeaweedFS compares neither x-amz-content-sha256 with the body nor
the region with its own. This judge follows AWS's rules and builds the canonical request from what
was sent, without the help of any SDK; a test checks it against botocore's signer.
"""

import hashlib
import hmac
import re
from base64 import b64encode
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.message import Message
from urllib.parse import quote, unquote_to_bytes

AUTHORIZATION = re.compile(
    r"AWS4-HMAC-SHA256 Credential=(?P<key>[^/]+)/(?P<day>\d{8})/(?P<region>[^/]+)"
    r"/(?P<service>[^/]+)/aws4_request, ?SignedHeaders=(?P<signed>[^,]+)"
    r", ?Signature=(?P<signature>[0-9a-f]{64})"
)

MAXIMUM_SKEW = timedelta(minutes=15)

CHECKSUMS = {
    "content-md5": lambda body: hashlib.md5(body).digest(),
    "x-amz-checksum-sha256": lambda body: hashlib.sha256(body).digest(),
    "x-amz-checksum-sha1": lambda body: hashlib.sha1(body).digest(),
}
"""The headers by which S3 notices a damaged upload, and what each must hold in base64."""


@dataclass(frozen=True)
class Request:
    """An HTTP request as it came in: the path still encoded, the body whole."""

    method: str
    target: str
    headers: Message
    body: bytes = field(repr=False)

    @property
    def path(self) -> str:
        """The part of the target in front of the query, still encoded."""
        return self.target.partition("?")[0]

    @property
    def query(self) -> str:
        """The part of the target behind the `?`, still encoded."""
        return self.target.partition("?")[2]


@dataclass(frozen=True)
class SigV4Judge:
    """Judges requests that were signed with one pair of credentials."""

    access_key: str
    secret_key: str
    region: str
    session_token: str | None = None

    def faults(self, request: Request) -> list[str]:
        """What AWS would refuse about the request; nothing if it would take it."""
        match = AUTHORIZATION.fullmatch(request.headers.get("Authorization", ""))
        if not match:
            return [f"malformed Authorization: {request.headers.get('Authorization')!r}"]
        signed = match["signed"].split(";")
        return [
            *self._scope_faults(match, request),
            *self._header_faults(signed, request),
            *_body_faults(request),
            *self._signature_faults(match, request),
        ]

    def _scope_faults(self, match: re.Match, request: Request):
        expected = {"key": self.access_key, "region": self.region, "service": "s3"}
        for name, value in expected.items():
            if match[name] != value:
                yield f"{name} is {match[name]!r}, not {value!r}"
        stamp = request.headers.get("X-Amz-Date", "")
        try:
            time = datetime.strptime(stamp, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
        except ValueError:
            yield f"malformed x-amz-date: {stamp!r}"
            return
        if abs(datetime.now(UTC) - time) > MAXIMUM_SKEW:
            yield f"x-amz-date {stamp} is too far from the real time"
        if not stamp.startswith(match["day"]):
            yield f"the scope's day {match['day']} is not that of x-amz-date {stamp}"

    def _header_faults(self, signed: list[str], request: Request):
        if signed != sorted(set(signed)):
            yield f"SignedHeaders are not sorted: {signed}"
        must_be_signed = {"host"} | {
            name.lower() for name in request.headers if name.lower().startswith("x-amz-")
        }
        for name in sorted(must_be_signed - set(signed)):
            yield f"header {name} is not signed"
        for name in sorted(set(signed) - {each.lower() for each in request.headers}):
            yield f"header {name} is signed but was not sent"
        token = request.headers.get("X-Amz-Security-Token")
        if token != self.session_token:
            yield f"x-amz-security-token is {token!r}, not {self.session_token!r}"

    def _signature_faults(self, match: re.Match, request: Request):
        canonical = canonical_request(request, match["signed"])
        scope = f"{match['day']}/{match['region']}/{match['service']}/aws4_request"
        stamp = request.headers.get("X-Amz-Date", "")
        digest = hashlib.sha256(canonical.encode()).hexdigest()
        text = f"AWS4-HMAC-SHA256\n{stamp}\n{scope}\n{digest}"
        key = f"AWS4{self.secret_key}".encode()
        for part in (*scope.split("/"), text):
            key = hmac.new(key, part.encode(), hashlib.sha256).digest()
        if not hmac.compare_digest(key.hex(), match["signature"]):
            yield f"SignatureDoesNotMatch; the canonical request is\n{canonical}"


def canonical_request(request: Request, signed: str) -> str:
    """The text that is signed, out of the request as it was sent."""
    values = [
        f"{name}:{','.join(' '.join(each.split()) for each in request.headers.get_all(name, []))}"
        for name in signed.split(";")
    ]
    path = "/".join(_encoded(each) for each in request.path.split("/"))
    query = _canonical_query(request.query)
    digest = request.headers.get("X-Amz-Content-Sha256", "")
    return "\n".join([request.method, path, query, *values, "", signed, digest])


def _canonical_query(query: str) -> str:
    pairs = [each.partition("=") for each in query.split("&")] if query else []
    return "&".join(sorted(f"{_encoded(name)}={_encoded(value)}" for name, _, value in pairs))


def _encoded(text: str) -> str:
    """Percent-encoded as S3 does it, whatever of it was encoded when it was sent."""
    return quote(unquote_to_bytes(text), safe="-_.~")


def _body_faults(request: Request):
    claimed = request.headers.get("X-Amz-Content-Sha256")
    if claimed != hashlib.sha256(request.body).hexdigest():
        yield f"x-amz-content-sha256 {claimed} is not the body's hash"
    given = {name: request.headers[name] for name in CHECKSUMS if name in request.headers}
    for name, value in given.items():
        if value != b64encode(CHECKSUMS[name](request.body)).decode():
            yield f"{name} {value} is not that of the body"
    if request.method == "PUT" and not given:
        yield "neither Content-MD5 nor a checksum guards the upload"
