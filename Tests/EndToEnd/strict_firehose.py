"""A small Firehose endpoint that judges what a client sends, and fails as it is told to."""

import hashlib
import json
import re
import threading
from base64 import b64decode
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from botocore.validate import ParamValidator

from background import InBackground
from keys import Key
from model import SERVICE
from producers import MAXIMUM_BATCH_BYTES, MAXIMUM_BATCH_RECORDS, MAXIMUM_RECORD_BYTES
from signed import Message, Signer, canonical_request
from wire import TARGET_PREFIX

DROP = -1
"""A fault: the connection ends without an answer."""

AUTHORIZATION = re.compile(
    r"AWS4-HMAC-SHA256 Credential=([^/]+)/(\d{8})/([^,]+), ?SignedHeaders=([^,]+), ?"
    r"Signature=([0-9a-f]{64})"
)


@dataclass(frozen=True)
class Refusal:
    """A fault: the whole request is answered with an error."""

    status: int
    code: str
    message: str = "the test wants this"


Fault = Callable[[int], "Refusal | int | Iterable[int] | None"]
"""Given how many batches came before, answers a `Refusal`, `DROP`, the positions of the entries
that fail with "Slow down.", or None for success."""


class StrictFirehose(InBackground):
    """Takes PutRecordBatch alone, from clients that keep the API's limits and sign as they should.

    With a `key` every request must be signed with it; without one, none may be signed.
    """

    def __init__(self, key: Key | None = None):
        self.batches: list[list[bytes]] = []
        """What every request held, also those that were failed."""
        self.stored: list[bytes] = []
        """The records that were taken, in that order."""
        self.complaints: list[str] = []
        """What was wrong with requests. Those are answered with 400."""
        self.regions: set[str] = set()
        """The regions that requests were signed for."""
        self.fault: Fault = lambda _: None
        self._key = key
        self._lock = threading.Lock()
        super().__init__(ThreadingHTTPServer(("127.0.0.1", 0), _handler(self)))

    def handle(self, request: Message) -> tuple[int, dict]:
        """Judges a request and answers it with a status, or `DROP`, and a body."""
        with self._lock:
            complaints = [*self._signature_complaints(request), *_complaints(request)]
            if complaints:
                self.complaints += complaints
                return 400, {"__type": "ValidationException", "message": "; ".join(complaints)}
            records = [b64decode(each["Data"]) for each in json.loads(request.body)["Records"]]
            fault = self.fault(len(self.batches))
            self.batches.append(records)
            if isinstance(fault, Refusal):
                return fault.status, {"__type": fault.code, "message": fault.message}
            if fault == DROP:
                return DROP, {}
            failed = set(fault or ())
            self.stored += [each for at, each in enumerate(records) if at not in failed]
            return 200, _answer(len(records), failed)

    def _signature_complaints(self, request: Message) -> Iterable[str]:
        given = dict(request.headers).get("authorization")
        if self._key is None:
            if given:
                yield "a signature that nobody asked for"
            return
        match = AUTHORIZATION.fullmatch(given or "")
        if not match:
            yield f"malformed Authorization: {given!r}"
            return
        access_key, day, scope, names, signature = match.groups()
        stamp = request.header("X-Amz-Date")
        if not {"host", "x-amz-date", "x-amz-target"} <= set(names.split(";")):
            yield f"SignedHeaders are {names}"
        if access_key != self._key.access_key or not stamp.startswith(day):
            yield f"{access_key} signs at {stamp} for {day}"
        if (token := dict(request.headers).get("x-amz-security-token")) != self._key.token:
            yield f"the session token is {token}"
        region, service, _ = scope.split("/")
        self.regions.add(region)
        canonical = canonical_request(request, names, hashlib.sha256(request.body).hexdigest())
        if Signer(self._key, region, service).signature(stamp, canonical) != signature:
            yield f"a wrong signature; the canonical request is\n{canonical}"


def _complaints(request: Message) -> Iterable[str]:
    if request.header("X-Amz-Target") != f"{TARGET_PREFIX}.PutRecordBatch":
        yield f"{request.header('X-Amz-Target')} is not expected"
        return
    body = json.loads(request.body)
    shape = SERVICE.operation_model("PutRecordBatch").input_shape
    report = ParamValidator().validate(body, shape)
    if report.has_errors():
        yield report.generate_report()
        return
    sizes = [len(b64decode(each["Data"], validate=True)) for each in body["Records"]]
    if not 1 <= len(sizes) <= MAXIMUM_BATCH_RECORDS:
        yield f"{len(sizes)} records in a batch"
    if sum(sizes) > MAXIMUM_BATCH_BYTES:
        yield f"{sum(sizes)} bytes in a batch"
    if max(sizes) > MAXIMUM_RECORD_BYTES:
        yield f"a record of {max(sizes)} bytes"


def _answer(count: int, failed: set[int]) -> dict:
    refused = {"ErrorCode": "ServiceUnavailableException", "ErrorMessage": "Slow down."}
    entries = [refused if at in failed else {"RecordId": str(at)} for at in range(count)]
    return {"FailedPutCount": len(failed), "Encrypted": False, "RequestResponses": entries}


def _handler(endpoint: StrictFirehose) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            headers = tuple((name.lower(), value) for name, value in self.headers.items())
            status, answer = endpoint.handle(Message(self.path, headers, body))
            if status == DROP:
                self.close_connection = True
                return
            data = json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/x-amz-json-1.1")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_) -> None:
            pass

    return Handler
