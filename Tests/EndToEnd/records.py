"""Records that say who put them and in which order, and that find their own borders.

Objects hold records without anything in between, so each record carries its own frame. Two kinds
are too small for one: an empty record leaves no trace in an object (the server's log counts it),
and a tick is one byte, which can be counted but not told from other ticks.
"""

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass

MAGIC = b"\xf1HYD"

TICK = b"."
"""A record of one byte. No frame begins with it."""

_FRAME = struct.Struct(">4sHIII")

FRAME_BYTES = _FRAME.size


@dataclass(frozen=True, order=True)
class Identity:
    """Who put a record, and as its how manieth; a sequence number is never used twice."""

    producer: int
    sequence: int


def encode(identity: Identity, body: bytes) -> bytes:
    """A record: magic, producer, sequence, the body's length, a checksum of all, the body."""
    checksum = _checksum(identity, body)
    return _FRAME.pack(MAGIC, identity.producer, identity.sequence, len(body), checksum) + body


def checksum(record: bytes) -> int:
    """The checksum in a record's frame."""
    return _FRAME.unpack_from(record)[4]


def decode(content: bytes) -> Iterator[tuple[Identity, int] | None]:
    """Each record in an object's content, in order: its identity and checksum, None for a tick.

    Fails on anything that is not a whole and undamaged record.
    """
    position = 0
    while position < len(content):
        if content[position : position + 1] == TICK:
            position += 1
            yield None
            continue
        start = position + FRAME_BYTES
        assert start <= len(content), f"a record is cut off at {position}"
        magic, producer, sequence, length, expected = _FRAME.unpack_from(content, position)
        assert magic == MAGIC, f"no record begins at {position}: {content[position:start]!r}"
        identity = Identity(producer, sequence)
        body = content[start : start + length]
        assert len(body) == length, f"{identity} is cut off at {position}"
        assert _checksum(identity, body) == expected, f"{identity} is damaged"
        position = start + length
        yield identity, expected


def _checksum(identity: Identity, body: bytes) -> int:
    return zlib.crc32(body, zlib.crc32(struct.pack(">HI", identity.producer, identity.sequence)))
