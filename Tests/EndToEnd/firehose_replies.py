"""What a custom HTTP endpoint can do wrong, and what each of it is called in failed records."""

import gzip
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from firehose_receiver import Reply, Request, document, take
from record_receiver import JSON_TYPE, Exchange, head
from streams import MEBIBYTE

TIMEOUT = "HttpEndpoint.RequestTimeout"
TOO_LARGE = "HttpEndpoint.ResponseTooLarge"
INVALID = "HttpEndpoint.InvalidResponseFromDestination"
EXCEPTION = "HttpEndpoint.DestinationException"
NO_CONNECTION = "HttpEndpoint.ConnectionFailed"
RESET = "HttpEndpoint.ConnectionReset"

COMPLAINT = "the test wants this, and no other one"
"""The errorMessage of answers that have one."""

ENORMOUS_BYTES = 1024 * MEBIBYTE

TRICKLE_SECONDS = 0.1


@dataclass(frozen=True)
class Answer:
    """An answer that is as it must be but for what is given. It does not take the records."""

    status: int = 200
    body: bytes | Callable[[Request], bytes] = lambda request: document(request.id)
    content_type: str | None = JSON_TYPE
    headers: tuple[tuple[str, str], ...] = ()
    framing: Literal["length", "close", "chunked"] = "length"
    takes: bool = False
    """Whether it is a success after all."""

    def __call__(self, exchange: Exchange, request: Request) -> None:
        request.is_taken = self.takes
        body = self.body if isinstance(self.body, bytes) else self.body(request)
        if self.framing == "length":
            exchange.answer(
                self.status, body, content_type=self.content_type, headers=self.headers
            )
            return
        given = [("Content-Type", JSON_TYPE), *self.headers]
        if self.framing == "chunked":
            given.append(("Transfer-Encoding", "chunked"))
            body = b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body)
        else:
            given.append(("Connection", "close"))
            exchange.close()
        exchange.write(head(self.status, given) + body)


def refusal(status: int, message: str = COMPLAINT) -> Answer:
    """An answer as AWS specifies it for a failure."""
    return Answer(status, lambda request: document(request.id, errorMessage=message))


def says(**members: object) -> Answer:
    """A success but for some members of the document; None leaves one out."""
    return Answer(200, lambda request: document(**({"request_id": request.id} | members)))


def padded(size: int, *, takes: bool = False) -> Answer:
    """A success of exactly so many bytes."""

    def body(request: Request) -> bytes:
        start = document(request.id)
        return start + b" " * (size - len(start))

    return Answer(body=body, takes=takes)


def redirect(status: int, location: str) -> Answer:
    """An answer that sends the client elsewhere."""
    return Answer(status, headers=(("Location", location),))


def as_list(request: Request) -> bytes:
    """The document in an array."""
    return json.dumps([json.loads(document(request.id))]).encode()


def reset(exchange: Exchange, _: Request) -> None:
    """Ends the connection with a reset instead of an answer."""
    exchange.reset()


def hang_up(exchange: Exchange, _: Request) -> None:
    """Ends the connection properly instead of an answer."""
    exchange.close()


def cut(exchange: Exchange, request: Request) -> None:
    """Ends the connection in the middle of an answer's body."""
    body = document(request.id)
    headers = [("Content-Type", JSON_TYPE), ("Content-Length", str(len(body)))]
    exchange.write(head(200, headers) + body[:-5])
    exchange.close()


def cut_and_reset(exchange: Exchange, request: Request) -> None:
    """As `cut`, with a reset."""
    body = document(request.id)
    headers = [("Content-Type", JSON_TYPE), ("Content-Length", str(len(body)))]
    exchange.write(head(200, headers) + body[:-5])
    exchange.reset()


def hang(exchange: Exchange, _: Request) -> None:
    """Never answers."""
    exchange.wait(600)
    exchange.close()


def trickle(exchange: Exchange, request: Request) -> None:
    """Answers a byte at a time, so that something comes always."""
    body = document(request.id) + b" " * 1000
    headers = [("Content-Type", JSON_TYPE), ("Content-Length", str(len(body)))]
    for byte in head(200, headers) + body:
        if exchange.is_over:
            break
        exchange.write(bytes([byte]))
        exchange.wait(TRICKLE_SECONDS)
    exchange.close()


def enormous(exchange: Exchange, request: Request) -> None:
    """Answers a gibibyte, as far as it is read."""
    headers = [("Content-Type", JSON_TYPE), ("Content-Length", str(ENORMOUS_BYTES))]
    exchange.write(head(200, headers) + document(request.id))
    while request.written < ENORMOUS_BYTES and not exchange.is_over:
        exchange.write(b" " * 65_536)
        request.written += 65_536
    exchange.close()


def later(seconds: float, reply: Reply = take) -> Reply:
    """Lets time go by first."""

    def wait(exchange: Exchange, request: Request) -> None:
        exchange.wait(seconds)
        reply(exchange, request)

    return wait


GZIPPED = Answer(
    body=lambda request: gzip.compress(document(request.id)),
    headers=(("Content-Encoding", "gzip"),),
)

FAULTS: dict[str, tuple[Reply, set[str]]] = {
    # Every status but 200, with the answer that AWS specifies.
    **{f"status {each}": (refusal(each), {EXCEPTION}) for each in (400, 401, 403, 404, 429)},
    **{f"status {each}": (refusal(each), {EXCEPTION}) for each in (500, 502, 503, 504)},
    **{f"status {each}": (Answer(each), {EXCEPTION, INVALID}) for each in (201, 202, 203, 206)},
    **{f"status {each}": (Answer(each, b""), {EXCEPTION, INVALID}) for each in (204, 205)},
    # A bare status is an answer, too, of the proxies that stand in front of endpoints.
    "bare 500": (Answer(500, b"", content_type=None), {EXCEPTION, INVALID}),
    "502 of a proxy": (
        Answer(502, b"<html>Bad Gateway</html>", content_type="text/html"),
        {EXCEPTION, INVALID},
    ),
    # What a success must not be like.
    "another requestId": (says(request_id="ed4acda5-034f-9f42-bba1-f29aea6d7d8f"), {INVALID}),
    "no requestId": (says(request_id=None), {INVALID}),
    "requestId a number": (says(request_id=5), {INVALID}),
    "no timestamp": (says(timestamp=None), {INVALID}),
    "timestamp a string": (says(timestamp="1578090903599"), {INVALID}),
    "timestamp a fraction": (says(timestamp=1578090903599.5), {INVALID}),
    "timestamp true": (says(timestamp=True), {INVALID}),
    "not JSON": (Answer(body=b"OK"), {INVALID}),
    "half a document": (Answer(body=lambda request: document(request.id)[:-1]), {INVALID}),
    "an array": (Answer(body=as_list), {INVALID}),
    "no body": (Answer(body=b""), {INVALID}),
    "text/plain": (Answer(content_type="text/plain"), {INVALID}),
    "no Content-Type": (Answer(content_type=None), {INVALID}),
    "JSON of another kind": (Answer(content_type="application/json-seq"), {INVALID}),
    "gzip": (GZIPPED, {INVALID}),
    "called gzip": (Answer(headers=(("Content-Encoding", "gzip"),)), {INVALID}),
    "no Content-Length": (Answer(framing="close"), {INVALID}),
    "chunked": (Answer(framing="chunked"), {INVALID}),
    "over 1 MiB": (padded(MEBIBYTE + 1), {TOO_LARGE}),
    "1 GiB": (enormous, {TOO_LARGE}),
    # Connections.
    "reset": (reset, {RESET}),
    "hung up": (hang_up, {RESET}),
    "cut": (cut, {RESET}),
    "cut and reset": (cut_and_reset, {RESET}),
}
"""Replies that fail a request, and the codes that failed records may have of it."""

SLOW = {"hanging": (hang, {TIMEOUT}), "trickling": (trickle, {TIMEOUT})}
"""Those that take as long as the client waits."""

REDIRECTS = (301, 302, 303, 307, 308)

SUCCESSES: dict[str, Reply] = {
    "exactly 1 MiB": padded(MEBIBYTE, takes=True),
    "a parameter": Answer(content_type="application/json; charset=utf-8", takes=True),
    "capitals": Answer(content_type="Application/JSON", takes=True),
    "white space": Answer(
        body=lambda request: b"\r\n\t " + document(request.id) + b" \n", takes=True
    ),
    "a further member": Answer(
        body=lambda request: document(request.id, taken=[1, {"a": None}]), takes=True
    ),
    "an empty errorMessage": Answer(
        body=lambda request: document(request.id, errorMessage=""), takes=True
    ),
    "late": later(0.5),
}
"""Answers that are unusual, and right."""
