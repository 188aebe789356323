"""Comparing what producers were told with what is in the bucket."""

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field

from buckets import Bucket
from producers import Ledger
from records import Identity, decode


class Reader:
    """Reads a bucket's objects as they arrive, each key once."""

    def __init__(self, bucket: Bucket):
        self._bucket = bucket
        self._read: set[str] = set()
        self.seen: set[Identity] = set()
        """Every framed record in the objects read so far."""

    def has_all(self, ledgers: Iterable[Ledger]) -> bool:
        """Whether all acknowledged framed records are in the bucket; reads what is new first."""
        for key in self._bucket.keys():
            if key not in self._read:
                content = self._bucket.content(key)
                self.seen.update(found[0] for found in decode(content) if found)
                self._read.add(key)
        return all(
            Identity(ledger.producer, sequence) in self.seen
            for ledger in ledgers
            for sequence, acknowledged in enumerate(ledger.acknowledged_sequences)
            if acknowledged
        )


@dataclass
class Findings:
    """What a bucket holds, compared with the producers' ledgers. Only counts; nothing is judged."""

    objects: int = 0
    content_bytes: int = 0
    largest_object_bytes: int = 0
    framed: int = 0
    ticks: int = 0
    unacknowledged: int = 0
    """Framed records that are there although their put was not acknowledged."""
    missing: list[Identity] = field(default_factory=list)
    """Acknowledged and not there."""
    repeated: list[Identity] = field(default_factory=list)
    """There more than once."""
    disordered: list[Identity] = field(default_factory=list)
    """Behind a later record of the same producer."""
    strange: list[Identity] = field(default_factory=list)
    """Never put, or not as it was put."""

    def assert_exactly_once(self, ledgers: list[Ledger]) -> None:
        """Checks that every acknowledged record is there once, whole and in its producer's order.

        What was not acknowledged may be there once.
        """
        for fault in ("strange", "missing", "repeated", "disordered"):
            found = getattr(self, fault)
            assert not found, f"{len(found)} records are {fault}, such as {found[:5]}"
        ticks = sum(ledger.ticks for ledger in ledgers)
        maybe_ticks = sum(ledger.maybe_ticks for ledger in ledgers)
        assert ticks <= self.ticks <= ticks + maybe_ticks, (
            f"{self.ticks} one-byte records, but {ticks} to {ticks + maybe_ticks} were put"
        )


def reconcile(bucket: Bucket, ledgers: list[Ledger]) -> Findings:
    """Reads the whole bucket in key order and compares it with what was put."""
    findings = Findings()
    counts: Counter[Identity] = Counter()
    latest: dict[int, int] = defaultdict(lambda: -1)
    by_producer = {ledger.producer: ledger for ledger in ledgers}
    for key in bucket.keys():
        content = bucket.content(key)
        findings.objects += 1
        findings.content_bytes += len(content)
        findings.largest_object_bytes = max(findings.largest_object_bytes, len(content))
        for found in decode(content):
            if found is None:
                findings.ticks += 1
                continue
            identity, checksum = found
            counts[identity] += 1
            ledger = by_producer.get(identity.producer)
            if not ledger or not _was_put(ledger, identity.sequence, checksum):
                findings.strange.append(identity)
                continue
            if counts[identity] > 1:
                findings.repeated.append(identity)
            elif identity.sequence <= latest[identity.producer]:
                findings.disordered.append(identity)
            latest[identity.producer] = max(latest[identity.producer], identity.sequence)
            findings.unacknowledged += not ledger.acknowledged_sequences[identity.sequence]
    findings.framed = len(counts)
    findings.missing = [
        identity
        for ledger in ledgers
        for sequence, acknowledged in enumerate(ledger.acknowledged_sequences)
        if acknowledged and (identity := Identity(ledger.producer, sequence)) not in counts
    ]
    return findings


def _was_put(ledger: Ledger, sequence: int, checksum: int) -> bool:
    return sequence < len(ledger.checksums) and ledger.checksums[sequence] == checksum
