"""Comparing what producers were told with outputs, dropped and failed records of a transform.

The transform marks its outputs, so that they say which record they were made of.
"""

import json
import struct
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from buckets import Bucket
from producers import Ledger
from records import FRAME_BYTES, Identity, checksum
from transforms import STATUS_FAILED, is_failure, parse_failures

MAGIC = b"\xf1OUT"

DROPPED_OF = 7
"""The transform drops the records whose sequence number is a multiple of this."""

_OUTPUT = struct.Struct(">4sHII")

ERRATIC = f"""
import random, struct

trace(start=True)

def transform(record):
    data = content(record)
    if len(data) < {FRAME_BYTES}:
        return answer(record, result="Dropped")
    producer, sequence = struct.unpack_from(">HI", data, 4)
    if sequence % {DROPPED_OF} == 0:
        return answer(record, result="Dropped")
    if random.random() < 0.05:
        return answer(record, result="ProcessingFailed")
    # No two runs give the same output, nor one of the same length.
    rest = json.dumps([os.getpid(), time.time(), "x" * random.randrange(3000)]).encode()
    return answer(record, struct.pack(">4sHII", {MAGIC!r}, producer, sequence, len(rest)) + rest)

for text in sys.stdin:
    event = json.loads(text)
    if random.random() < 0.15:
        os._exit(1)
    say({{"records": [transform(record) for record in event["records"]]}})
"""
"""A worker that does something else each time it is given the same records, and crashes at times.

Records that are too small to say who they are, and those with certain numbers, are dropped.
"""


def outputs(content: bytes) -> Iterator[Identity]:
    """The records that an object's outputs were made of, in order; fails on anything else."""
    position = 0
    while position < len(content):
        magic, producer, sequence, length = _OUTPUT.unpack_from(content, position)
        assert magic == MAGIC, f"no output begins at {position}: {content[position:][:20]!r}"
        rest = content[position + _OUTPUT.size :][:length]
        assert len(rest) == length, f"an output is cut off at {position}"
        assert len(json.loads(rest)) == 3
        position += _OUTPUT.size + length
        yield Identity(producer, sequence)


class Arrivals:
    """Reads a bucket's objects as they arrive, each key once."""

    def __init__(self, bucket: Bucket):
        self.delivered: Counter[Identity] = Counter()
        self.failed: Counter[Identity] = Counter()
        self.codes: Counter[str] = Counter()
        self.strange: list[Identity] = []
        """Failed with another status than those the transform gives to such a record."""
        self.small = 0
        """Failed records that do not say who they are."""
        self.objects = 0
        self.disordered: list[Identity] = []
        self._checksums: dict[Identity, int] = {}
        self._latest: dict[int, int] = {}
        self._bucket = bucket
        self._read: set[str] = set()

    def read(self) -> None:
        """Reads what is new."""
        for key in self._bucket.keys():
            if key not in self._read:
                self._read.add(key)
                self.objects += 1
                (self._read_failed if is_failure(key) else self._read_delivered)(key)

    def has_all(self, ledgers: Iterable[Ledger]) -> bool:
        """Whether every acknowledged record that is not dropped is there; reads what is new."""
        self.read()
        seen = self.delivered.keys() | self.failed.keys()
        return all(
            Identity(ledger.producer, sequence) in seen
            for ledger in ledgers
            for sequence, acknowledged in enumerate(ledger.acknowledged_sequences)
            if acknowledged and sequence % DROPPED_OF
        )

    def _read_delivered(self, key: str) -> None:
        for identity in outputs(self._bucket.content(key)):
            self.delivered[identity] += 1
            if identity.sequence <= self._latest.get(identity.producer, -1):
                self.disordered.append(identity)
            self._latest[identity.producer] = identity.sequence

    def _read_failed(self, key: str) -> None:
        for each in parse_failures(self._bucket.content(key)):
            self.codes[each.code] += 1
            if len(each.raw) < FRAME_BYTES:
                self.small += 1
                continue
            identity = Identity(*struct.unpack_from(">HI", each.raw, 4))
            self.failed[identity] += 1
            self._checksums[identity] = checksum(each.raw)
            if each.code == STATUS_FAILED and identity.sequence % DROPPED_OF == 0:
                self.strange.append(identity)

    def findings(self, ledgers: list[Ledger]) -> "Findings":
        """Compares all that was read with the producers' ledgers."""
        found = Findings(self.objects, len(self.delivered), len(self.failed), dict(self.codes))
        counts = self.delivered + self.failed
        found.repeated = [each for each, count in counts.items() if count > 1]
        found.disordered = self.disordered
        found.strange = list(self.strange)
        by_producer = {ledger.producer: ledger for ledger in ledgers}
        for identity in counts:
            sums = by_producer[identity.producer].checksums
            was_put = identity.sequence < len(sums)
            is_whole = self._checksums.get(identity) in (None, *sums[identity.sequence :][:1])
            is_dropped = identity.sequence % DROPPED_OF == 0 and identity in self.delivered
            if not was_put or not is_whole or is_dropped:
                found.strange.append(identity)
        for ledger in ledgers:
            for sequence, acknowledged in enumerate(ledger.acknowledged_sequences):
                identity = Identity(ledger.producer, sequence)
                if identity in counts:
                    found.unacknowledged += not acknowledged
                elif acknowledged and sequence % DROPPED_OF:
                    found.missing.append(identity)
                else:
                    found.dropped += acknowledged
        return found


@dataclass
class Findings:
    """What became of framed records. Only counts; nothing is judged."""

    objects: int
    delivered: int
    failed: int
    codes: dict[str, int]
    dropped: int = 0
    unacknowledged: int = 0
    """Delivered or failed although their put was not acknowledged."""
    missing: list[Identity] = field(default_factory=list)
    """Acknowledged, not to be dropped, and nowhere."""
    repeated: list[Identity] = field(default_factory=list)
    """Delivered twice, failed twice, or both delivered and failed."""
    disordered: list[Identity] = field(default_factory=list)
    """Delivered behind a later record of the same producer."""
    strange: list[Identity] = field(default_factory=list)
    """Never put, not as put, or not as the transform would have it."""

    def assert_exactly_once(self) -> None:
        """Checks that every acknowledged record went one way, once, in its producer's order."""
        for fault in ("strange", "missing", "repeated", "disordered"):
            found = getattr(self, fault)
            assert not found, f"{len(found)} records are {fault}, such as {found[:5]}"

    def __str__(self) -> str:
        return (
            f"in {self.objects:,} objects {self.delivered:,} delivered, {self.dropped:,} dropped, "
            f"{self.failed:,} failed {self.codes}, {self.unacknowledged:,} of them unacknowledged; "
            f"{len(self.missing)} missing, {len(self.repeated)} repeated, "
            f"{len(self.disordered)} out of order"
        )
