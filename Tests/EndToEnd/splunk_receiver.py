"""A Splunk HTTP Event Collector (HEC) with indexer acknowledgement that judges every request.

Written from Splunk's documentation alone: "Format events for HTTP Event Collector", "About HTTP
Event Collector Indexer Acknowledgment" and "Troubleshoot HTTP Event Collector".
"""

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.cookies import CookieError, SimpleCookie
from urllib.parse import parse_qsl

from certificates import Pair
from record_receiver import GUID, Exchange, Receiver, header_faults, strict_json
from waiting import wait_until

RAW, EVENT = "Raw", "Event"
"""The kinds of endpoints, as the API names them."""

COLLECTOR = "/services/collector"

PATHS = {f"{COLLECTOR}/raw": RAW, f"{COLLECTOR}/event": EVENT}

ACK_PATH = f"{COLLECTOR}/ack"

CODES = {
    0: (200, "Success"),
    1: (403, "Token disabled"),
    2: (401, "Token is required"),
    3: (401, "Invalid authorization"),
    4: (403, "Invalid token"),
    5: (400, "No data"),
    6: (400, "Invalid data format"),
    7: (400, "Incorrect index"),
    8: (500, "Internal server error"),
    9: (503, "Server is busy"),
    10: (400, "Data channel is missing"),
    11: (400, "Invalid data channel"),
    12: (400, "Event field is required"),
    13: (400, "Event field cannot be blank"),
    14: (400, "ACK is disabled"),
    15: (400, "Error in handling indexed fields"),
    16: (400, "Query string authorization is not enabled"),
    23: (503, "Server is shutting down"),
}
"""What HEC answers: its code, the HTTP status and the text that go with it."""

CHANNEL = "x-splunk-request-channel"

WHITE_SPACE = re.compile(r"[ \t\r\n]*")

EVENT_MEMBERS = {"time", "host", "source", "sourcetype", "index", "event", "fields"}

MOST_BYTES = 5 * 1024 * 1024
"""Firehose never sends Splunk more at once."""


@dataclass(eq=False)
class Post:
    """Data that came as it must."""

    number: int
    """How many came with the same token before."""
    channel: str
    body: bytes = field(repr=False)
    when: float
    """By the monotonic clock."""
    indexer: int = 0
    ack_id: int | None = None
    """What it was answered; None if it was not taken."""
    is_acknowledged: bool = False
    """Whether a poll was told that it is indexed; set before that."""
    polls: list["Poll"] = field(default_factory=list)

    @property
    def has_failed_poll(self) -> bool:
        """Whether a poll for it had no proper answer."""
        return any(each.is_failed for each in list(self.polls))


@dataclass(eq=False)
class Poll:
    """A question whether data is indexed."""

    number: int
    """How many came with the same token before."""
    channel: str
    acks: list[int]
    when: float
    is_failed: bool = False
    """Whether it had another answer than HEC's."""


Reply = Callable[[Exchange], None]
"""Answers something else than HEC would, or nothing."""


@dataclass(eq=False)
class Token:
    """One HEC token: what its requests must be like, and what came with it."""

    value: str
    kind: str = RAW
    delay: float | None = 0.0
    """Seconds from data to its being indexed; None if it never is."""
    indexers: int = 0
    """So many behind a balancer that knows clients by their cookies; 0 is one without cookies."""
    plan: Callable[[Post], Reply | None] = lambda _: None
    """Chooses what to do about data; None takes it."""
    poll_plan: Callable[[Poll], Reply | None] = lambda _: None
    posts: list[Post] = field(default_factory=list)
    polls: list[Poll] = field(default_factory=list)
    taken: dict[tuple[str, int], list[Post]] = field(default_factory=dict)
    """By channel and indexer; an ackId is the place in the list."""

    def bodies(self, *, acknowledged: bool = True) -> list[bytes]:
        """What is indexed, and said to be; or all that was taken."""
        return [
            each.body
            for each in list(self.posts)
            if (each.is_acknowledged if acknowledged else each.ack_id is not None)
        ]

    def wait_for(
        self, expected: bytes, *, acknowledged: bool = False, timeout: float = 30
    ) -> list[Post]:
        """Waits until exactly `expected` was taken, in the order in which it came."""

        def has_all() -> bool:
            found = b"".join(self.bodies(acknowledged=acknowledged))
            assert len(found) <= len(expected), f"more than was put: {found[-200:]!r}"
            return len(found) == len(expected)

        wait_until(has_all, f"{len(expected):,} bytes for {self.value}", timeout=timeout)
        assert b"".join(self.bodies(acknowledged=acknowledged)) == expected
        return [each for each in list(self.posts) if each.ack_id is not None]

    def wait_for_posts(self, count: int, *, timeout: float = 30) -> list[Post]:
        """Waits for so many requests with data, retries among them; returns all."""
        what = f"{count} posts for {self.value}"
        wait_until(lambda: len(self.posts) >= count, what, timeout=timeout)
        return list(self.posts)


def says(code: int, **members: object) -> Reply:
    """What HEC answers with a code."""
    status, text = CODES[code]
    body = json.dumps({"text": text, "code": code} | members).encode()
    return lambda exchange: exchange.answer(status, body)


class SplunkReceiver(Receiver):
    """Takes data with the tokens it knows; as HEC answers what is wrong with a request."""

    def __init__(self, *, pair: Pair | None = None):
        super().__init__(pair=pair)
        self._tokens: dict[str, Token] = {}

    def token(self, value: str, **members) -> Token:
        """Makes a token known; `members` are `Token`'s."""
        made = Token(value, **members)
        with self.lock:
            self._tokens[value] = made
        return made

    def handle(self, exchange: Exchange) -> None:
        code, faults, token = self._admit(exchange)
        if self.complain(exchange, faults) or token is None:
            says(code)(exchange)
            return
        path, _, query = exchange.target.partition("?")
        channel = dict(parse_qsl(query))["channel"]
        if path == ACK_PATH:
            self._poll(exchange, token, channel)
        else:
            self._post(exchange, token, channel)

    def _admit(self, exchange: Exchange) -> tuple[int, list[str], Token | None]:
        """What is wrong with a request whatever it holds, and whose it is."""
        faults = list(header_faults(exchange, "authorization", CHANNEL, "cookie"))
        if exchange.method != "POST":
            return 8, [*faults, "not a POST"], None
        authorization = exchange.text("Authorization") or ""
        scheme, _, value = authorization.partition(" ")
        token = self._tokens.get(value)
        if not authorization:
            return 2, [*faults, "no authorization"], None
        if scheme != "Splunk":
            return 3, [*faults, f"an authorization of {scheme!r}"], None
        if token is None:
            return 4, [*faults, f"an unknown token {value!r}"], None
        path, _, query = exchange.target.partition("?")
        if path != ACK_PATH and PATHS.get(path) != token.kind:
            faults.append(f"a path of a token of the kind {token.kind}")
        match = re.fullmatch(f"channel=({GUID})", query)
        if not match:
            return 10, [*faults, f"the query is {query!r}"], token
        if (header := exchange.text(CHANNEL)) != match[1]:
            return 11, [*faults, f"the channels {header!r} and {match[1]!r}"], token
        return 0, faults, token

    # MARK: Data

    def _post(self, exchange: Exchange, token: Token, channel: str) -> None:
        code, faults = _data_faults(exchange.body, token.kind)
        if self.complain(exchange, faults):
            says(code)(exchange)
            return
        with self.lock:
            post = Post(len(token.posts), channel, exchange.body, exchange.when)
            token.posts.append(post)
            reply = token.plan(post)
            if not reply:
                reply = self._take(token, post)
        reply(exchange)

    def _take(self, token: Token, post: Post) -> Reply:
        post.indexer = post.number % token.indexers if token.indexers else 0
        taken = token.taken.setdefault((post.channel, post.indexer), [])
        post.ack_id = len(taken)
        taken.append(post)
        body = json.dumps({"text": "Success", "code": 0, "ackId": post.ack_id}).encode()
        cookies = _cookies(token, post.indexer).items()
        headers = [
            ("Set-Cookie", f"{name}={value}; Path=/; HttpOnly") for name, value in cookies
        ]
        return lambda exchange: exchange.answer(200, body, headers=headers)

    # MARK: Acknowledgements

    def _poll(self, exchange: Exchange, token: Token, channel: str) -> None:
        try:
            acks = _asked(exchange.body)
            indexer = _indexer(exchange, token)
            posts = token.taken.get((channel, indexer), [])
            asked = {each: posts[each] for each in acks}
        except (ValueError, LookupError, CookieError) as error:
            self.complain(exchange, [f"{type(error).__name__}: {error}; {exchange.body!r}"])
            says(6)(exchange)
            return
        with self.lock:
            again = [f"{each} was acknowledged" for each in acks if asked[each].is_acknowledged]
            poll = Poll(len(token.polls), channel, acks, exchange.when)
            token.polls.append(poll)
            for post in asked.values():
                post.polls.append(poll)
            if reply := token.poll_plan(poll):
                poll.is_failed = True
            else:
                answers = {str(each): _is_indexed(asked[each], token, poll) for each in acks}
                for each in acks:
                    asked[each].is_acknowledged |= answers[str(each)]
        self.complain(exchange, again)
        if reply:
            reply(exchange)
        else:
            exchange.answer(200, json.dumps({"acks": answers}).encode())


def _is_indexed(post: Post, token: Token, poll: Poll) -> bool:
    return token.delay is not None and poll.when >= post.when + token.delay


def _cookies(token: Token, indexer: int) -> dict[str, str]:
    """What the balancer and the indexer behind it have a client remember."""
    if not token.indexers:
        return {}
    return {"AWSALB": f"{indexer}+/=x{token.value[:8]}", "session_id_8088": f"s{indexer}"}


def _indexer(exchange: Exchange, token: Token) -> int:
    """The indexer that a poll's cookies lead to; LookupError if it is none."""
    given = {each.key: each.value for each in SimpleCookie(exchange.text("Cookie")).values()}
    for indexer in range(token.indexers or 1):
        if given == _cookies(token, indexer):
            return indexer
    raise LookupError(f"the cookies are {given}")


def _asked(body: bytes) -> list[int]:
    """The ackIds of a poll; ValueError unless it is as it must be."""
    whole = strict_json(body)
    if not isinstance(whole, dict) or list(whole) != ["acks"]:
        raise ValueError("not acks alone")
    acks = whole["acks"]
    right = isinstance(acks, list) and acks and all(type(each) is int for each in acks)
    if not right or min(acks) < 0 or len(set(acks)) < len(acks):
        raise ValueError("not numbers, each once")
    return acks


def _data_faults(body: bytes, kind: str) -> tuple[int, list[str]]:
    """What is wrong with data, behind HEC's code for it."""
    if not body:
        return 5, ["no data"]
    if len(body) > MOST_BYTES:
        return 6, [f"{len(body)} bytes"]
    if kind == RAW:
        return 0, []
    try:
        for each in events(body):
            if not isinstance(each, dict) or not each.keys() <= EVENT_MEMBERS:
                return 6, [f"not an event: {each!r}"]
            if each.get("event") is None:
                return 12, [f"no event in {each!r}"]
            if each["event"] == "":
                return 13, [f"a blank event in {each!r}"]
    except ValueError as error:
        return 6, [f"{error}; {body[:200]!r}"]
    return 0, []


def events(body: bytes) -> Iterator[object]:
    """The documents of a body, which follow one another."""
    text = body.decode()
    decoder = json.JSONDecoder()
    position = WHITE_SPACE.match(text).end()
    while position < len(text):
        found, position = decoder.raw_decode(text, position)
        position = WHITE_SPACE.match(text, position).end()
        yield found
