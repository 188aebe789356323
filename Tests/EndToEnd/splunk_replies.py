"""What a Splunk HEC, or something in front of it, can do wrong, and how failed records name it."""

import json

from record_receiver import Exchange, head
from splunk_receiver import CODES, Reply, says
from streams import MEBIBYTE

DISABLED_TOKEN = "Splunk.DisabledToken"
INVALID_TOKEN = "Splunk.InvalidToken"
INVALID_FORMAT = "Splunk.InvalidDataFormat"
INVALID_INDEX = "Splunk.InvalidIndex"
DISABLED_ACK = "Splunk.DisabledAck"
SERVER_ERROR = "Splunk.ServerError"
TIMEOUT = "Splunk.ConnectionTimeout"
INVALID_ENDPOINT = "Splunk.InvalidEndpoint"
CLOSED = "Splunk.ConnectionClosed"
HANDSHAKE = "Splunk.SSLHandshake"
NOT_STICKY = "Splunk.ProxyWithoutStickySessions"

UNKNOWN_URL = {"text": "The requested URL was not found on this server.", "code": 404}
"""What HEC says of a path or a method that it does not know; no code of its table."""

SUCCESS = {"text": "Success", "code": 0, "ackId": 0}

FORMAT_CODES = (5, 6, 12, 13, 15)
"""HEC's codes for data that no later try would help."""

NAMES = {
    1: DISABLED_TOKEN,
    **dict.fromkeys((2, 3, 4), INVALID_TOKEN),
    7: INVALID_INDEX,
    14: DISABLED_ACK,
    **dict.fromkeys((8, 9, 10, 11, 16, 23), SERVER_ERROR),
}
"""HEC's other codes."""

assert {0, *FORMAT_CODES, *NAMES} == set(CODES)


def status(code: int, body: bytes = b"<html>the test wants this</html>", **headers: str) -> Reply:
    """An answer that is not HEC's."""
    given = headers.items()
    return lambda exchange: exchange.answer(code, body, content_type="text/html", headers=given)


def unknown_url(code: int) -> Reply:
    """HEC's answer where it has no such endpoint."""
    return lambda exchange: exchange.answer(code, json.dumps(UNKNOWN_URL).encode())


def document(**members: object) -> Reply:
    """A success with other members; None leaves one out."""
    whole = {name: each for name, each in (SUCCESS | members).items() if each is not None}
    return lambda exchange: exchange.answer(200, json.dumps(whole).encode())


def reset(exchange: Exchange) -> None:
    """Ends the connection with a reset instead of an answer."""
    exchange.reset()


def hang_up(exchange: Exchange) -> None:
    """Ends the connection properly instead of an answer."""
    exchange.close()


def cut(exchange: Exchange) -> None:
    """Ends the connection in the middle of an answer's body."""
    body = json.dumps(SUCCESS).encode()
    exchange.write(head(200, [("Content-Length", str(len(body)))]) + body[:-1])
    exchange.close()


def hang(exchange: Exchange) -> None:
    """Never answers."""
    exchange.wait(600)
    exchange.close()


LOST: dict[str, tuple[Reply, set[str]]] = {
    "reset": (reset, {CLOSED}),
    "hung up": (hang_up, {CLOSED}),
}
"""Replies that say nothing and end the connection. Clients may try again by themselves where it was
used before."""

FAULTS: dict[str, tuple[Reply, set[str]]] = {
    **{f"code {code}": (says(code), {name}) for code, name in NAMES.items()},
    **{f"status {each}": (status(each), {SERVER_ERROR}) for each in (429, 500, 502, 503, 504)},
    **{f"status {each}": (status(each), {INVALID_ENDPOINT}) for each in (404, 405)},
    **{f"HEC's {each}": (unknown_url(each), {INVALID_ENDPOINT}) for each in (404, 405)},
    "redirect": (status(307, Location="http://127.0.0.1:1/"), {SERVER_ERROR}),
    # A success without an ackId, or no success at all.
    "not JSON": (status(200), {SERVER_ERROR, DISABLED_ACK}),
    "no body": (status(200, b""), {SERVER_ERROR, DISABLED_ACK}),
    "2 MiB": (status(200, b"x" * 2 * MEBIBYTE), {SERVER_ERROR}),
    "no ackId": (document(ackId=None), {DISABLED_ACK}),
    "cut": (cut, {CLOSED}),
    **LOST,
}
"""Replies to data that another try may help, and the codes that failed records may have of it."""

POLL_FAULTS: dict[str, tuple[Reply, set[str]]] = {
    "status 400": (status(400), {NOT_STICKY}),
    "status 404": (status(404), {NOT_STICKY}),
    "code 11": (says(11), {NOT_STICKY}),
}
"""Replies to a poll that tell that it came to an indexer that does not know the data."""
