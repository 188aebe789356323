"""A custom HTTP endpoint that judges every request by AWS's delivery specification.

Written from "HTTP endpoint delivery request and response specifications" alone. What it does about
a request that is as it must be is a `Reply`; scripted ones are in `firehose_replies`.
"""

import base64
import gzip
import hashlib
import json
import re
import time
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from certificates import Pair
from producers import MAXIMUM_RECORD_BYTES
from record_receiver import GUID, JSON_TYPE, Exchange, Receiver, header_faults, strict_json
from server import ACCOUNT, REGION
from waiting import wait_until

PREFIX = "x-amz-firehose-"

HEADERS = [
    "content-encoding",
    *(
        PREFIX + each
        for each in (
            "protocol-version",
            "request-id",
            "source-arn",
            "access-key",
            "common-attributes",
        )
    ),
]

MOST_RECORDS = 10_000

MOST_BODY_BYTES = 64 * 1024 * 1024

MOST_CHARACTERS = 1_365_336
"""Of a record's base64. That many are 1,024,002 bytes with padding's two: 1,024,000 at most."""

MOST_CLOCK_SKEW_MILLISECONDS = 120_000

TELLING_BYTES = 12
"""Records of fewer bytes may be equal by chance; longer ones are told apart."""


@dataclass(eq=False)
class Request:
    """A request that is as it must be."""

    number: int
    """How many came to the same place before."""
    id: str
    timestamp: int
    records: list[bytes] = field(repr=False)
    body_bytes: int
    """Before compression."""
    when: float
    """By the monotonic clock."""
    is_first: bool
    """Whether no request before had its id."""
    asks_first: bool
    """Whether the client wanted to hear that it may send the body."""
    is_taken: bool = False
    """Whether it was answered as a success; set before that."""
    written: int = 0
    """Bytes of the answer, where the reply counts them."""

    @property
    def data_bytes(self) -> int:
        """The size of its records."""
        return sum(map(len, self.records))


Reply = Callable[[Exchange, Request], None]
"""Answers a request, or not."""

Plan = Callable[[Request], Reply | None]
"""Chooses what to do; None takes the records."""


def document(request_id: object, **members: object) -> bytes:
    """The body of an answer."""
    whole = {"requestId": request_id, "timestamp": int(time.time() * 1000)} | members
    return json.dumps({name: each for name, each in whole.items() if each is not None}).encode()


def take(exchange: Exchange, request: Request) -> None:
    """Answers as a success."""
    request.is_taken = True
    exchange.answer(200, document(request.id))


@dataclass(eq=False)
class Place:
    """One URL of the receiver: what its requests must have, and what came there."""

    url: str
    stream: str
    access_key: str | None = None
    attributes: dict[str, str] | None = None
    compressed: bool = False
    forgiving: bool = False
    """Whether what was taken may come again: where the sender is killed."""
    plan: Plan = lambda _: None
    requests: list[Request] = field(default_factory=list)
    """All so far, retries among them, in the order in which they came."""
    firsts: int = 0
    """How many of them were no retries."""
    arrived: int = 0
    """How many records these had."""

    @property
    def source_arn(self) -> str:
        """The stream's ARN."""
        return f"arn:aws:firehose:{REGION}:{ACCOUNT}:deliverystream/{self.stream}"

    def taken(self) -> list[Request]:
        """The requests that were answered as a success, each id once."""
        by_id = {each.id: each for each in list(self.requests) if each.is_taken}
        return list(by_id.values())

    def records(self) -> list[bytes]:
        """The records of all requests that were taken."""
        return [record for each in self.taken() for record in each.records]

    def wait_for(self, *records: bytes, timeout: float = 30) -> list[Request]:
        """Waits until exactly these records were taken, in any order; returns the requests."""

        def has_all() -> bool:
            found = self.records()
            assert len(found) <= len(records), f"more than was put: {found[-1][:200]!r}"
            return len(found) == len(records)

        wait_until(has_all, f"{len(records)} records of {self.stream}", timeout=timeout)
        assert sorted(self.records()) == sorted(records)
        return self.taken()

    def wait_for_requests(self, count: int, *, timeout: float = 30) -> list[Request]:
        """Waits for so many requests, retries among them; returns all."""
        what = f"{count} requests of {self.stream}"
        wait_until(lambda: len(self.requests) >= count, what, timeout=timeout)
        return list(self.requests)


class FirehoseReceiver(Receiver):
    """Takes records at its places if their requests are as AWS specifies; 400 otherwise."""

    def __init__(self, *, pair: Pair | None = None):
        super().__init__(pair=pair)
        self._places: dict[str, Place] = {}
        self._ids: dict[str, tuple[Place, Request]] = {}
        self._seen: dict[Place, set[bytes]] = {}

    def place(self, stream: str, *, path: str = "/records", query: str = "", **members) -> Place:
        """A place for a stream's requests; `members` are `Place`'s."""
        target = f"{path}/{stream}{query}"
        made = Place(f"{self.endpoint}{target}", stream, **members)
        with self.lock:
            self._places[target] = made
            self._seen[made] = set()
        return made

    def handle(self, exchange: Exchange) -> None:
        place = self._places.get(exchange.target)
        if place is None:
            self.complain(exchange, ["nobody was told of this place"])
            exchange.answer(404)
            return
        faults, found = _judge(exchange, place)
        if self.complain(exchange, faults) or not isinstance(found, dict):
            exchange.answer(400)
            return
        with self.lock:
            request, again = self._note(exchange, place, found)
            reply = place.plan(request)
        self.complain(exchange, again)
        (reply or take)(exchange, request)

    def _note(self, exchange: Exchange, place: Place, found: dict) -> tuple[Request, list[str]]:
        """Remembers a request; also says what is wrong between it and those before."""
        records = found["records"]
        known_place, known = self._ids.get(found["id"], (place, None))
        request = Request(
            number=len(place.requests),
            when=exchange.when,
            is_first=known is None,
            asks_first="Expect" in exchange.headers,
            **found,
        )
        place.requests.append(request)
        self._ids[request.id] = (place, request)
        if known is None:
            place.firsts += 1
            place.arrived += len(records)
            telling = [each for each in records if len(each) >= TELLING_BYTES]
            marks = [hashlib.blake2b(each, digest_size=16).digest() for each in telling]
            twice = len(marks) - len(set(marks)) + len(self._seen[place].intersection(marks))
            self._seen[place].update(marks)
            return request, [f"{twice} records came before"] if twice else []
        faults = []
        if known_place is not place:
            faults.append(f"{known_place.stream} has used the id {request.id}")
        if known.records != records:
            faults.append(f"other records under the id {request.id}")
        if known.is_taken and not place.forgiving:
            faults.append(f"{request.id} was taken, and came again")
        return request, faults


# MARK: One request by itself


def _judge(exchange: Exchange, place: Place) -> tuple[list[str], dict | None]:
    """What is wrong with a request, and what it holds."""
    try:
        faults = [*header_faults(exchange, *HEADERS), *_faults(exchange, place)]
        body = _unpacked(exchange)
        whole = strict_json(body)
        faults += _body_faults(exchange, whole)
        if len(body) > MOST_BODY_BYTES:
            faults.append(f"{len(body)} bytes before compression")
        if faults:
            return faults, None
        records = [_decoded(each["data"]) for each in whole["records"]]
    except (ValueError, TypeError, KeyError, OSError, EOFError, zlib.error) as error:
        return [f"{type(error).__name__}: {error}"], None
    stamp = whole["timestamp"]
    return [], dict(id=whole["requestId"], timestamp=stamp, records=records, body_bytes=len(body))


def _faults(exchange: Exchange, place: Place) -> Iterator[str]:
    if exchange.method != "POST":
        yield f"the method is {exchange.method}"
    expected = {
        PREFIX + "protocol-version": "1.0",
        PREFIX + "source-arn": place.source_arn,
        PREFIX + "access-key": place.access_key,
        "content-type": JSON_TYPE,
        "content-encoding": "gzip" if place.compressed else None,
        "user-agent": "hydrant",
    }
    for name, value in expected.items():
        if (given := exchange.text(name)) != value:
            yield f"{name} is {given!r} instead of {value!r}"
    if not re.fullmatch(GUID, exchange.text(PREFIX + "request-id") or ""):
        yield f"the request id is {exchange.text(PREFIX + 'request-id')!r}"
    given = exchange.text(PREFIX + "common-attributes")
    attributes = None if given is None else strict_json(given.encode())
    wanted = None if place.attributes is None else {"commonAttributes": place.attributes}
    if attributes != wanted:
        yield f"the common attributes are {attributes!r} instead of {wanted!r}"


def _body_faults(exchange: Exchange, whole: object) -> Iterator[str]:
    if not isinstance(whole, dict) or set(whole) != {"requestId", "timestamp", "records"}:
        yield f"the body's members are {list(whole)}"
        return
    if whole["requestId"] != exchange.text(PREFIX + "request-id"):
        yield f"the body's request id is {whole['requestId']!r}"
    if type(whole["timestamp"]) is not int:
        yield f"the timestamp is {whole['timestamp']!r}"
    elif abs(whole["timestamp"] - time.time() * 1000) > MOST_CLOCK_SKEW_MILLISECONDS:
        yield f"the timestamp is {whole['timestamp']}, which is not now"
    if not 1 <= len(whole["records"]) <= MOST_RECORDS:
        yield f"{len(whole['records'])} records"
    for each in whole["records"]:
        if list(each) != ["data"] or not isinstance(each["data"], str):
            yield f"a record's members are {each!r}"
        elif len(each["data"]) > MOST_CHARACTERS:
            yield f"a record of {len(each['data'])} characters"


def _unpacked(exchange: Exchange) -> bytes:
    packed = exchange.headers.get("Content-Encoding") == "gzip"
    return gzip.decompress(exchange.body) if packed else exchange.body


def _decoded(data: str) -> bytes:
    """A record's bytes; ValueError unless this is how base64 writes them."""
    record = base64.b64decode(data, validate=True)
    if base64.b64encode(record).decode() != data:
        raise ValueError(f"not the base64 of anything: {data[:100]!r}")
    if len(record) > MAXIMUM_RECORD_BYTES:
        raise ValueError(f"a record of {len(record)} bytes")
    return record
