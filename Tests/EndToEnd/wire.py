"""HTTP byte by byte, for what no SDK would send."""

import base64
import http.client
import json
import socket
import time
from dataclasses import dataclass

TARGET_PREFIX = "Firehose_20150804"

CONTENT_TYPE = "application/x-amz-json-1.1"


@dataclass(frozen=True)
class Answer:
    """An HTTP response."""

    status: int
    headers: http.client.HTTPMessage
    body: bytes

    @property
    def json(self) -> dict:
        """The body, decoded."""
        return json.loads(self.body)

    @property
    def error(self) -> str:
        """The error's name as SDKs read it: `__type` without a namespace."""
        return self.json["__type"].rpartition("#")[2]


class Connection:
    """One TCP connection to the server."""

    def __init__(self, port: int, *, timeout: float = 20):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=timeout)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._reader = self.socket.makefile("rb")

    def __enter__(self) -> "Connection":
        return self

    def __exit__(self, *_) -> None:
        self._reader.close()
        self.socket.close()

    def send(self, data: bytes) -> None:
        """Sends all of `data`."""
        self.socket.sendall(data)

    def send_slowly(self, data: bytes, *, pause: float) -> None:
        """Sends `data` a byte at a time, each in a packet of its own."""
        for position in range(len(data)):
            self.socket.sendall(data[position : position + 1])
            time.sleep(pause)

    def answer(self) -> Answer:
        """Reads the next response, interim ones (1xx) included."""
        line = self._reader.readline()
        assert line, "the server closed the connection instead of answering"
        status = int(line.split()[1])
        headers = http.client.parse_headers(self._reader)
        body = b""
        if "chunked" in headers.get("Transfer-Encoding", ""):
            while size := int(self._reader.readline(), 16):
                body += self._reader.read(size)
                self._reader.readline()
            self._reader.readline()
        elif status >= 200:
            body = self._reader.read(int(headers["Content-Length"]))
        return Answer(status, headers, body)

    def exchange(self, request: bytes) -> Answer:
        """Sends a request and reads its response."""
        self.send(request)
        return self.answer()

    def is_closed(self) -> bool:
        """Whether the server ended the connection; waits for it to do so."""
        try:
            return self._reader.read(1) == b""
        except ConnectionResetError:
            return True


def head(operation: str, *headers: str, target: str | None = None) -> bytes:
    """A request's head up to and without the headers that frame its body."""
    lines = [
        "POST / HTTP/1.1",
        "Host: 127.0.0.1",
        f"X-Amz-Target: {target or f'{TARGET_PREFIX}.{operation}'}",
        f"Content-Type: {CONTENT_TYPE}",
        *headers,
    ]
    return "\r\n".join(lines).encode() + b"\r\n"


def request(operation: str, body: bytes | dict, *headers: str, target: str | None = None) -> bytes:
    """A whole request with a Content-Length."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    length = f"Content-Length: {len(data)}"
    return head(operation, *headers, length, target=target) + b"\r\n" + data


def put_body(stream: str, *records: bytes) -> dict:
    """The body of a PutRecordBatch."""
    return {
        "DeliveryStreamName": stream,
        "Records": [{"Data": base64.b64encode(each).decode()} for each in records],
    }


def chunked(data: bytes, size: int) -> bytes:
    """`data` in chunked transfer encoding, in chunks of `size` bytes."""
    chunks = (data[start : start + size] for start in range(0, len(data), size))
    return b"".join(b"%x\r\n%s\r\n" % (len(each), each) for each in chunks) + b"0\r\n\r\n"
