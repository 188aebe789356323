"""What a search server can do to a bulk request, and plans that say when it does."""

import json
import random
import threading
from collections.abc import Callable
from dataclasses import dataclass
from itertools import count

from bulk_faults import JSON, Bulk, Exchange, Item, Plan, Reply, head
from streams import MEBIBYTE

ENDLESS_BYTES = 1024 * MEBIBYTE

GOOD_BEGINNING = b'{"errors":false,"items":['


# MARK: Whole requests


def answer(status: int, body: bytes = b"{}", **headers: str) -> Reply:
    """Answers this and does nothing; in a header's name, `_` stands for a hyphen."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return lambda exchange: exchange.answer(status, body, JSON | named)


def reset(*, stored: bool = False) -> Reply:
    """Resets the connection, when all was `stored` or before."""

    def play(exchange: Exchange) -> None:
        if stored:
            exchange.forward()
        exchange.reset()

    return play


def drop(exchange: Exchange) -> None:
    """Stores all and ends the connection without a word."""
    exchange.forward()
    exchange.close()


def cut(exchange: Exchange) -> None:
    """Stores all and ends the connection in the middle of the answer."""
    status, body = exchange.forward()
    length = {"Content-Length": str(len(body))}
    exchange.write(head(status, JSON | length) + body[: len(body) // 2])
    exchange.close()


def slow(seconds: float) -> Reply:
    """Stores all and answers so many seconds later."""

    def play(exchange: Exchange) -> None:
        status, body = exchange.forward()
        exchange.wait(seconds)
        exchange.answer(status, body)

    return play


def trickle(pause: float) -> Reply:
    """Stores all and answers a byte at a time, with a pause behind each."""

    def play(exchange: Exchange) -> None:
        status, body = exchange.forward()
        exchange.write(head(status, JSON | {"Content-Length": str(len(body))}))
        for position in range(len(body)):
            exchange.write(body[position : position + 1])
            exchange.wait(pause)

    return play


def hold(opened: threading.Event) -> Reply:
    """Passes the request on when `opened` is set."""

    def play(exchange: Exchange) -> None:
        opened.wait()
        exchange.answer(*exchange.forward())

    return play


def endless(*, chunked: bool = False) -> Reply:
    """Answers with a good beginning and a gigabyte behind it."""

    def play(exchange: Exchange) -> None:
        framing = {"Content-Length": str(ENDLESS_BYTES)}
        exchange.write(head(200, JSON | ({"Transfer-Encoding": "chunked"} if chunked else framing)))
        block = GOOD_BEGINNING.ljust(MEBIBYTE)
        for _ in range(ENDLESS_BYTES // MEBIBYTE):
            exchange.write(b"%x\r\n%s\r\n" % (MEBIBYTE, block) if chunked else block)
            block = b" " * MEBIBYTE
        exchange.write(b"0\r\n\r\n" if chunked else b"")

    return play


def altered(change: Callable[[dict], object]) -> Reply:
    """Stores all and answers something else than what is true."""

    def play(exchange: Exchange) -> None:
        status, body = exchange.forward()
        exchange.answer(status, json.dumps(change(json.loads(body))).encode())

    return play


def listed(change: Callable[[list], list]) -> Reply:
    """As `altered`, with other items."""
    return altered(lambda said: said | {"items": change(said["items"])})


# MARK: Single documents


@dataclass(frozen=True)
class Refusal:
    """What an item is answered."""

    status: int
    type: str = "some_exception"
    reason: str = "the test wants this"

    @property
    def result(self) -> dict:
        """As bulk answers have it."""
        return {"status": self.status, "error": {"type": self.type, "reason": self.reason}}


BUSY = Refusal(429, "rejected_execution_exception", "the queue is full")

UNAVAILABLE = Refusal(503, "unavailable_shards_exception", "the primary shard is not active")

ONLY_CREATE = Refusal(
    400,
    "illegal_argument_exception",
    "only write ops with an op_type of create are allowed in data streams",
)
"""What data streams say about an action `index`."""


def refuse(select: Callable[[Item], Refusal | None]) -> Reply:
    """Refuses some documents and stores the others."""

    def play(exchange: Exchange) -> None:
        items = exchange.bulk.items
        refusals = [select(each) for each in items]
        kept = [each.lines for each, refusal in zip(items, refusals, strict=True) if not refusal]
        results = []
        if kept:
            status, body = exchange.forward(b"".join(kept))
            if status != 200:
                exchange.answer(status, body)
                return
            results = json.loads(body)["items"]
        stored = iter(results)
        whole = [
            {item.action: refusal.result} if refusal else next(stored)
            for item, refusal in zip(items, refusals, strict=True)
        ]
        failed = any("error" in result for item in whole for result in item.values())
        exchange.answer(200, json.dumps({"errors": failed, "items": whole}).encode())

    return play


def refuse_all(refusal: Refusal) -> Reply:
    """Refuses every document."""
    return refuse(lambda _: refusal)


def refuse_some(chance: float, seed: int, *refusals: Refusal) -> Reply:
    """Refuses documents at random."""
    dice = random.Random(seed)
    return refuse(lambda _: dice.choice(refusals) if dice.random() < chance else None)


# MARK: Plans


def always(reply: Reply) -> Plan:
    """The same each time."""
    return lambda _: reply


def one_by_one(*replies: Reply | None) -> Plan:
    """One reply after another, in the order of the requests, and then none."""
    number = count()

    def plan(_: Bulk) -> Reply | None:
        each = next(number)
        return replies[each] if each < len(replies) else None

    return plan


def randomly(chance: float, seed: int, *replies: Reply) -> Plan:
    """One of the replies for a share of the requests, as the seed has it."""
    dice = random.Random(seed)
    return lambda _: dice.choice(replies) if dice.random() < chance else None
