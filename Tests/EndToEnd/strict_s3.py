"""A small S3 endpoint that judges every request, and fails when it is told to."""

import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote

from background import InBackground
from buckets import decompress
from sigv4_judge import Request, SigV4Judge
from waiting import wait_until

ACCESS_KEY, SECRET_KEY, REGION = "strictkey", "strict/secret+key", "eu-central-1"

DROP = -1
"""A fault: the request is carried out, and the connection ends without an answer."""

Fault = Callable[[int], int | None]
"""Given how many PUTs came before, answers a status to fail with, `DROP`, or None for success."""


class StrictS3(InBackground):
    """Takes objects into memory if their requests are as AWS demands; 403 otherwise.

    Buckets need not be created. Reached as `127.0.0.1` the bucket is the path's first segment,
    reached as `BUCKET.localhost` it is the host's.
    """

    def __init__(self, *, session_token: str | None = None):
        self.judge = SigV4Judge(ACCESS_KEY, SECRET_KEY, REGION, session_token)
        self.puts: list[tuple[str, str, bytes]] = []
        """Bucket, key and body of every PUT that came in whole, also those that were failed."""
        self.refusals: list[str] = []
        """Why requests were answered 403."""
        self.hosts: set[str] = set()
        """The host names that requests were sent to."""
        self.fault: Fault = lambda _: None
        self._objects: dict[tuple[str, str], Request] = {}
        self._lock = threading.Lock()
        super().__init__(_Server(("127.0.0.1", 0), _handler(self)))

    @property
    def environment(self) -> dict[str, str]:
        """The standard variables that point an S3 client here."""
        variables = {
            "AWS_ENDPOINT_URL_S3": self.endpoint,
            "AWS_REGION": REGION,
            "AWS_ACCESS_KEY_ID": ACCESS_KEY,
            "AWS_SECRET_ACCESS_KEY": SECRET_KEY,
        }
        if self.judge.session_token:
            variables["AWS_SESSION_TOKEN"] = self.judge.session_token
        return variables

    def objects(self, bucket: str) -> dict[str, Request]:
        """The PUTs that stored what is in `bucket`, by key (decoded), in the order of the keys."""
        with self._lock:
            found = sorted(self._objects.items())
        return {key: request for (name, key), request in found if name == bucket}

    def content(self, bucket: str) -> bytes:
        """All that is in `bucket`, uncompressed, in the order of the keys."""
        return b"".join(decompress(each.body) for each in self.objects(bucket).values())

    def wait_for(self, bucket: str, expected: bytes, *, timeout: float = 30) -> None:
        """Waits until `bucket` holds exactly `expected`; fails when a request was refused."""
        what = f"{len(expected):,} bytes in {bucket}"
        wait_until(lambda: self.refusals or self.content(bucket) == expected, what, timeout=timeout)
        assert self.refusals == []

    def handle(self, request: Request) -> tuple[int, bytes]:
        """Judges and carries out a request; returns a status, or `DROP`, and a body."""
        with self._lock:
            self.hosts.add(_host(request))
            if faults := self.judge.faults(request):
                self.refusals.append(f"{request.method} {request.target}: {'; '.join(faults)}")
                return 403, _error("SignatureDoesNotMatch")
            place = _place(request)
            if request.method != "PUT":
                found = self._objects.get(place)
                return (200, found.body) if found else (404, _error("NoSuchKey"))
            fault = self.fault(len(self.puts))
            self.puts.append((*place, request.body))
            if fault not in (None, DROP):
                return fault, _error("InternalError")
            self._objects[place] = request
            return fault or 200, b""


def _place(request: Request) -> tuple[str, str]:
    """The bucket and the key that a request is about."""
    host = _host(request)
    path = request.path.removeprefix("/")
    if host.endswith(".localhost"):
        return host.removesuffix(".localhost"), unquote(path)
    bucket, _, key = path.partition("/")
    return bucket, unquote(key)


def _host(request: Request) -> str:
    return request.headers["Host"].partition(":")[0]


def _error(code: str) -> bytes:
    return (
        f'<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>{code}</Code>'
        f"<Message>the test wants this</Message><RequestId>1</RequestId></Error>"
    ).encode()


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request, client_address) -> None:
        """Clients that are killed in the middle of a request are nothing to report."""


def _handler(endpoint: StrictS3) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def respond(self) -> None:
            length = self.headers.get("Content-Length")
            if self.command == "PUT" and length is None:
                self.answer(411, _error("MissingContentLength"))
                return
            body = self.rfile.read(int(length or 0))
            if len(body) < int(length or 0):
                self.close_connection = True
                return
            self.answer(*endpoint.handle(Request(self.command, self.path, self.headers, body)))

        do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = respond

        def answer(self, status: int, body: bytes) -> None:
            if status == DROP:
                self.close_connection = True
                return
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

        def log_message(self, *_) -> None:
            pass

    return Handler
