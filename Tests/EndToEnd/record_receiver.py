"""What the test servers that take records over HTTP have in common: reading, answering, failing."""

import http.client
import json
import os
import socket
import ssl
import struct
import threading
import time
from abc import abstractmethod
from collections import Counter
from collections.abc import Iterable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from background import InBackground
from certificates import Pair

GUID = r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}"

ORDINARY_HEADERS = {
    *("host", "user-agent", "accept", "connection", "expect", "content-type", "content-length"),
}
"""What every client may send. Anything else must be expected."""

JSON_TYPE = "application/json"


class Answering:
    """One end of a connection that a handler serves, and what a server may do there."""

    _handler: BaseHTTPRequestHandler

    def write(self, data: bytes) -> None:
        """Writes bytes of an answer, whatever they are."""
        self._handler.wfile.write(data)

    def close(self) -> None:
        """Ends the connection."""
        self._handler.close_connection = True

    def reset(self) -> None:
        """Ends the connection with a reset."""
        self.close()
        connection = self._handler.connection
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        # The server would shut it down properly; this way there is nothing left to shut down.
        os.close(connection.detach())


class Exchange(Answering):
    """One request that came in whole, and the means to answer it."""

    def __init__(self, receiver: "Receiver", handler: BaseHTTPRequestHandler, body: bytes):
        self.method = handler.command
        self.target = handler.path
        self.headers: http.client.HTTPMessage = handler.headers
        self.body = body
        self.when = time.monotonic()
        self._receiver = receiver
        self._handler = handler

    def text(self, name: str) -> str | None:
        """A header's value; bytes beyond ASCII are taken for UTF-8, and fail if they are not."""
        value = self.headers.get(name)
        return None if value is None else value.encode("latin-1").decode()

    def answer(
        self,
        status: int,
        body: bytes = b"",
        *,
        content_type: str | None = JSON_TYPE,
        headers: Iterable[tuple[str, str]] = (),
    ) -> None:
        """Answers with a length."""
        given = [("Content-Type", content_type)] if content_type else []
        given += [("Content-Length", str(len(body))), *headers]
        self.write(head(status, given) + body)

    def wait(self, seconds: float) -> None:
        """Lets time go by, or less if the receiver ends."""
        self._receiver.ending.wait(seconds)

    @property
    def is_over(self) -> bool:
        """Whether the receiver ends."""
        return self._receiver.ending.is_set()


def head(status: int, headers: Iterable[tuple[str, str]]) -> bytes:
    """The head of an answer."""
    lines = [f"HTTP/1.1 {status} {http.client.responses.get(status, 'Strange')}"]
    lines += [f"{name}: {value}" for name, value in headers]
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n"


class Receiver(InBackground):
    """Hands every request that came in whole to `handle`, each connection in a thread of its own.

    With a `pair` it speaks TLS.
    """

    def __init__(self, *, pair: Pair | None = None):
        self.violations: list[str] = []
        """What was not as it must be."""
        self.ending = threading.Event()
        self.lock = threading.Lock()
        self._scheme = "https" if pair else "http"
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

    @abstractmethod
    def handle(self, exchange: Exchange) -> None:
        """Judges a request and answers it."""

    def complain(self, exchange: Exchange, faults: Iterable[str]) -> bool:
        """Notes what is wrong with a request; returns whether there is anything."""
        found = list(faults)
        with self.lock:
            self.violations += [f"{exchange.method} {exchange.target}: {each}" for each in found]
        return bool(found)


# MARK: Judging


def header_faults(exchange: Exchange, *expected: str) -> Iterator[str]:
    """Headers that come twice, or that nobody expects; `expected` are in small letters."""
    names = Counter(each.lower() for each in exchange.headers.keys())
    for name, count in names.items():
        if name not in ORDINARY_HEADERS and name not in expected:
            yield f"an unexpected header {name}: {exchange.headers[name]!r}"
        if count > 1:
            yield f"{count} headers {name}"


def strict_json(data: bytes) -> object:
    """A document in UTF-8 without a member twice and without NaN; ValueError otherwise."""
    return json.loads(data.decode(), object_pairs_hook=_members, parse_constant=_refuse)


def _members(pairs: list[tuple[str, object]]) -> dict:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError(f"a member twice: {[name for name, _ in pairs]}")
    return members


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is not JSON")


# MARK: The server


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    # Threads that wait for a client must not hold up the end of a test.
    block_on_close = False
    # Many streams begin at once.
    request_queue_size = 512

    def serve_forever(self, poll_interval: float = 0.02) -> None:
        """As usual, but the end comes sooner: many tests have a server of their own."""
        super().serve_forever(poll_interval)

    def handle_error(self, request, client_address) -> None:
        """Clients that go away in the middle of an exchange are nothing to report."""


def _handler(receiver: Receiver) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def respond(self) -> None:
            length = self.headers.get("Content-Length", "")
            if not length.isdecimal() or "Transfer-Encoding" in self.headers:
                exchange = Exchange(receiver, self, b"")
                receiver.complain(exchange, [f"no Content-Length alone: {self.headers}"])
                exchange.answer(411)
                exchange.close()
                return
            body = self.rfile.read(int(length))
            if len(body) < int(length):
                # The client was killed while it was sending.
                self.close_connection = True
                return
            try:
                receiver.handle(Exchange(receiver, self, body))
            except OSError:
                self.close_connection = True

        do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = do_OPTIONS = do_PATCH = respond

        def log_message(self, *_) -> None:
            pass

    return Handler
