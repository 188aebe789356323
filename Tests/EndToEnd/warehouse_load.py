"""Very many rows for a table, and what became of each.

Records have numbers. Producers remember which puts were acknowledged.
"""

from collections import Counter
from dataclasses import dataclass, field

from numbered_load import NumberedLoad
from server import Hydrant
from warehouse_streams import BACK_FILLED, GIVEN_UP, MANIFESTS, WarehouseFlow

BATCH = 250

PRODUCERS = 2

PADDING = "x" * 300


def record(number: int) -> bytes:
    """The record with a number."""
    return b'{"n": %d, "text": "%s"}\n' % (number, text(number).encode())


def text(number: int) -> str:
    """What the row with a number has in its other column."""
    return PADDING[: number % 300]


class WarehouseLoad(NumberedLoad):
    """A load of these records."""

    def __init__(self, hydrant: Hydrant, stream: str, *, records: int, pace: float = 0):
        super().__init__(
            hydrant, stream, record, records=records, batch=BATCH, producers=PRODUCERS, pace=pace
        )


@dataclass
class Findings:
    """What became of the records. Only counts; nothing is judged."""

    rows: int
    unacknowledged: int
    """Rows whose put was not acknowledged."""
    objects: int
    manifests: int
    entries: int
    """Manifests of this stream in the ledger."""
    given_up: int
    """Manifests in the folders for those that failed."""
    missing: list[int] = field(default_factory=list)
    """Acknowledged and not in the table."""
    repeated: list[int] = field(default_factory=list)
    """In the table twice."""
    strange: list[object] = field(default_factory=list)
    """Rows that nobody put, objects without a manifest, manifests without an entry."""

    @classmethod
    def of(cls, flow: WarehouseFlow, load: WarehouseLoad) -> "Findings":
        """Compares the whole table, the bucket and the ledger with what was put."""
        rows = flow.postgres.query(f"SELECT n, length(text) FROM {flow.table}")
        counts = Counter(int(number) for number, _ in rows)
        objects, manifests, entries = flow.keys(), flow.check_manifests(), flow.loads()
        found = cls(len(rows), len(counts.keys() & load.unacknowledged), len(objects), 0, 0, 0)
        found.manifests, found.entries = len(manifests), len(entries)
        found.given_up = len(flow.keys(GIVEN_UP)) + len(flow.keys(BACK_FILLED))
        found.missing = sorted(load.acknowledged - counts.keys())
        found.repeated = [number for number, count in counts.items() if count > 1]
        found.strange = sorted(counts.keys() - load.acknowledged - load.unacknowledged)
        found.strange += [each for each in rows if int(each[1]) != len(text(int(each[0])))]
        found.strange += set(objects) ^ {flow.key(each.url) for each in manifests}
        found.strange += set(entries) ^ {flow.url(each.key) for each in manifests}
        assert len(entries) == len(set(entries)), f"{MANIFESTS} are in the ledger twice"
        return found

    def assert_exactly_once(self) -> None:
        """Checks that every acknowledged record is a row, once, and that all fits together."""
        for fault in ("strange", "missing", "repeated"):
            found = getattr(self, fault)
            assert not found, f"{len(found)} are {fault}, such as {found[:5]}"
        assert self.given_up == 0
        assert self.objects == self.manifests == self.entries > 0

    def __str__(self) -> str:
        return (
            f"{self.rows:,} rows, {self.unacknowledged:,} of them unacknowledged; "
            f"{len(self.missing)} missing, {len(self.repeated)} repeated; "
            f"{self.objects} objects, {self.manifests} manifests, {self.entries} in the ledger, "
            f"{self.given_up} error manifests"
        )
