"""A search server that misbehaves as it is told to, in front of a real one or by itself.

It passes questions which documents are there on as well. It looks at every request to `_bulk`, asks its `plan` what to do about it, and by default passes it
on. What it does is a `Reply`: a function that plays its part on an `Exchange`.
"""

import gzip
import http.client
import json
import ssl
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from background import InBackground
from certificates import Pair
from osmem import Osmem
from record_receiver import Answering

BULK_PATH = "/_bulk"
LOOK_PATHS = ("/_mget", "/_refresh", "/_search")
"""What is asked to learn which documents are there."""

JSON = {"Content-Type": "application/json"}

UPSTREAM_TIME_OUT_SECONDS = 60


@dataclass(frozen=True)
class Item:
    """One action of a bulk request with its document."""

    action: str
    index: str
    id: str | None
    type: str | None
    document: bytes
    lines: bytes = field(repr=False)
    """Both lines as they were sent."""


@dataclass(eq=False)
class Bulk:
    """A request as it came in."""

    number: int
    method: str
    target: str
    headers: http.client.HTTPMessage
    sent: bytes = field(repr=False)
    """The body as it was sent."""
    when: float
    """By the monotonic clock."""
    status: int | None = None
    """What it was answered; None if it had no whole answer."""

    @property
    def path(self) -> str:
        """The target without the query."""
        return self.target.partition("?")[0]

    @property
    def endpoint_path(self) -> str:
        """The part of the path that is the endpoint's own."""
        return self.path.removesuffix(BULK_PATH)

    @property
    def query(self) -> str:
        """What is behind the question mark."""
        return self.target.partition("?")[2]

    @cached_property
    def body(self) -> bytes:
        """The body, unpacked."""
        packed = self.headers.get("Content-Encoding") == "gzip"
        return gzip.decompress(self.sent) if packed else self.sent

    @cached_property
    def items(self) -> list[Item]:
        """What the request asks for; fails unless it is pairs of lines, each of which ends."""
        *lines, rest = self.body.split(b"\n")
        assert rest == b"", f"the last line has no end: {rest[-200:]!r}"
        assert len(lines) % 2 == 0, f"{len(lines)} lines are not pairs"
        return [_item(*pair) for pair in zip(lines[::2], lines[1::2], strict=True)]

    @property
    def documents(self) -> list[bytes]:
        """The documents, one line each."""
        return [each.document for each in self.items]

    @property
    def ids(self) -> list[str | None]:
        """The documents' ids."""
        return [each.id for each in self.items]


def _item(first: bytes, document: bytes) -> Item:
    ((action, members),) = json.loads(first).items()
    known = {"_index": "", "_id": None, "_type": None} | members
    assert len(known) == 3, f"unknown members: {first!r}"
    return Item(action, *known.values(), document, first + b"\n" + document + b"\n")


class Exchange(Answering):
    """One request and the means to answer it."""

    def __init__(self, bulk: Bulk, faults: "BulkFaults", handler: BaseHTTPRequestHandler):
        self.bulk = bulk
        self._faults = faults
        self._handler = handler

    def forward(self, body: bytes | None = None) -> tuple[int, bytes]:
        """Has the server behind this one carry out the request, or a part of it."""
        return self._faults.carry_out(self.bulk, self.bulk.body if body is None else body)

    def answer(self, status: int, body: bytes = b"", headers: dict[str, str] | None = None) -> None:
        """Answers properly."""
        # First, for a client that has its answer looks at once at what was recorded.
        self.bulk.status = status
        self.write(head(status, {"Content-Length": str(len(body))} | (headers or JSON)) + body)

    def wait(self, seconds: float) -> None:
        """Lets time go by, or less if the server ends."""
        self._faults.ending.wait(seconds)


Reply = Callable[[Exchange], None]
"""Does something about a request."""

Plan = Callable[[Bulk], Reply | None]
"""Chooses what to do; None passes the request on."""


def pass_on(exchange: Exchange) -> None:
    """Answers what the server behind this one does."""
    exchange.answer(*exchange.forward())


def head(status: int, headers: dict[str, str]) -> bytes:
    """The head of an answer."""
    lines = [f"HTTP/1.1 {status} {http.client.responses.get(status, 'Strange')}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n"


# MARK: The server


class BulkFaults(InBackground):
    """Takes bulk requests and does as `plan` says about each, and passes it on without a plan.

    Without an `upstream` it does as if it had one that takes everything. Endpoints of one server
    can have paths of their own in front of `/_bulk`. With a `pair` it speaks TLS.
    """

    def __init__(self, upstream: Osmem | None = None, *, pair: Pair | None = None):
        self.plan: Plan = lambda _: None
        self.plans: dict[str, Plan] = {}
        """Plans for endpoints with a path, by that path; they replace `plan`."""
        self.largest_body: int | None = None
        """A request with more bytes is answered 413."""
        self.requests: list[Bulk] = []
        """All requests so far, in the order in which they were there in whole."""
        self.looks: list[Bulk] = []
        """Questions which documents are there, which are no bulk requests."""
        self.look: Reply = pass_on
        """What is done about those."""
        self.problems: list[str] = []
        """What was not as bulk requests must be."""
        self.ending = threading.Event()
        self._upstream = upstream
        self._scheme = "https" if pair else "http"
        self._lock = threading.Lock()
        server = _Server(("127.0.0.1", 0), _handler(self))
        if pair:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(pair.certificate, pair.key)
            # Not while connections are accepted: one client would hold up all others.
            server.socket = context.wrap_socket(
                server.socket, server_side=True, do_handshake_on_connect=False
            )
        super().__init__(server)

    def __exit__(self, *arguments) -> None:
        self.ending.set()
        super().__exit__(*arguments)

    @property
    def endpoint(self) -> str:
        return f"{self._scheme}://127.0.0.1:{self.port}"

    def carrying(self, document: bytes) -> list[Bulk]:
        """The requests so far that carried a document."""
        return [each for each in list(self.requests) if document in each.documents]

    def requests_at(self, path: str) -> list[Bulk]:
        """The requests so far to an endpoint with a path."""
        return [each for each in list(self.requests) if each.endpoint_path == path]

    def handle(self, bulk: Bulk, handler: BaseHTTPRequestHandler) -> None:
        """Does with a request what is to be done."""
        exchange = Exchange(bulk, self, handler)
        if bulk.path.endswith(LOOK_PATHS):
            self.looks.append(bulk)
            self.look(exchange)
            return
        with self._lock:
            bulk.number = len(self.requests)
            self.requests.append(bulk)
            reply = self.plans.get(bulk.endpoint_path, self.plan)(bulk)
        if bulk.method != "POST" or not bulk.path.endswith(BULK_PATH):
            self.problems.append(f"{bulk.method} {bulk.target}")
            exchange.answer(405)
        elif self.largest_body is not None and len(bulk.sent) > self.largest_body:
            exchange.answer(413)
        else:
            (reply or pass_on)(exchange)

    def carry_out(self, bulk: Bulk, body: bytes) -> tuple[int, bytes]:
        """What the server behind this one answers to a body."""
        is_look = bulk.path.endswith(LOOK_PATHS)
        if self._upstream is None:
            return 200, _none_found(body) if is_look else _all_taken(body)
        port = self._upstream.port
        connection = http.client.HTTPConnection(
            "127.0.0.1", port, timeout=UPSTREAM_TIME_OUT_SECONDS
        )
        try:
            wanted = "Content-Type"
            headers = {wanted: bulk.headers[wanted]} if wanted in bulk.headers else {}
            path = bulk.path if is_look else BULK_PATH
            connection.request("POST", f"{path}?{bulk.query}", body, headers)
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()


def _all_taken(body: bytes) -> bytes:
    actions = [next(iter(json.loads(each))) for each in body.split(b"\n")[:-1:2]]
    return _encoded([{action: {"status": 201}} for action in actions])


def _none_found(body: bytes) -> bytes:
    docs = json.loads(body)["docs"]
    return json.dumps({"docs": [{"_id": each["_id"], "found": False} for each in docs]}).encode()


def _encoded(items: list[dict]) -> bytes:
    failed = any("error" in result for item in items for result in item.values())
    return json.dumps({"errors": failed, "items": items}).encode()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    # Threads that wait for a client must not hold up the end of a test.
    block_on_close = False

    def serve_forever(self, poll_interval: float = 0.02) -> None:
        """Looks often at whether it is to end: many tests have a server of their own."""
        super().serve_forever(poll_interval)

    def handle_error(self, request, client_address) -> None:
        """Clients that go away in the middle of an exchange are nothing to report."""


def _handler(faults: BulkFaults) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def respond(self) -> None:
            length = int(self.headers.get("Content-Length", 0))
            body = self.rfile.read(length)
            if len(body) < length or "Transfer-Encoding" in self.headers:
                faults.problems.append(f"{len(body)} bytes with the headers {self.headers}")
                self.close_connection = True
                return
            now = time.monotonic()
            bulk = Bulk(-1, self.command, self.path, self.headers, body, now)
            try:
                faults.handle(bulk, self)
            except OSError:
                # Either side of this server went away.
                self.close_connection = True

        do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = respond

        def log_message(self, *_) -> None:
            pass

    return Handler
