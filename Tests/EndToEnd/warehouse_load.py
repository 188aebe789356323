"""Very many rows for a table, and what became of each.

Records have numbers. Producers remember which puts were acknowledged.
"""

import threading
from collections import Counter
from dataclasses import dataclass, field

from server import Hydrant
from warehouse_streams import BACK_FILLED, GIVEN_UP, MANIFESTS, WarehouseFlow
from wire import Connection, put_body, request

BATCH = 250

PRODUCERS = 2

PADDING = "x" * 300

OUTAGE_PAUSE_SECONDS = 0.05


def record(number: int) -> bytes:
    """The record with a number."""
    return b'{"n": %d, "text": "%s"}\n' % (number, text(number).encode())


def text(number: int) -> str:
    """What the row with a number has in its other column."""
    return PADDING[: number % 300]


class WarehouseLoad:
    """Producers that put records until so many of them are acknowledged.

    With `pace`, they are spread over so many seconds. A put without an answer is not repeated: its
    records may be there, and others follow. Refusals end the load.
    """

    def __init__(self, hydrant: Hydrant, stream: str, *, records: int, pace: float = 0):
        self.acknowledged: set[int] = set()
        self.unacknowledged: set[int] = set()
        self._hydrant = hydrant
        self._stream = stream
        self._wanted = records
        self._pause = PRODUCERS * pace * BATCH / records
        self._numbers = iter(range(0, 1_000 * records, BATCH))
        self._error: BaseException | None = None
        self._lock = threading.Lock()
        self._under_way = 0
        """Records that are acknowledged, or may be any moment."""
        self._stopped = threading.Event()
        self._threads = [threading.Thread(target=self._run, daemon=True) for _ in range(PRODUCERS)]

    def __enter__(self) -> "WarehouseLoad":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_) -> None:
        self._stopped.set()
        for thread in self._threads:
            thread.join()

    @property
    def is_over(self) -> bool:
        """Whether all is put. Raises what a producer failed with."""
        if self._error:
            raise AssertionError("a producer saw an error") from self._error
        return not any(each.is_alive() for each in self._threads)

    def has_put(self, share: float) -> bool:
        """Whether that share of the records is acknowledged."""
        return self.is_over or len(self.acknowledged) >= share * self._wanted

    def _run(self) -> None:
        try:
            while not self._stopped.is_set() and len(self.acknowledged) < self._wanted:
                try:
                    with Connection(self._hydrant.port) as connection:
                        while numbers := self._take():
                            self._put(connection, numbers)
                            self._stopped.wait(self._pause)
                except OSError:
                    pass
                # The server is away, or all that is missing is in the other producer's hands.
                self._stopped.wait(OUTAGE_PAUSE_SECONDS)
        except BaseException as error:
            self._error = error

    def _put(self, connection: Connection, numbers: range) -> None:
        """Puts a batch; raises OSError when the server went away."""
        body = put_body(self._stream, *map(record, numbers))
        try:
            answer = connection.exchange(request("PutRecordBatch", body))
        except (OSError, AssertionError, ValueError) as error:
            # In front of an answer, or in the middle of one.
            with self._lock:
                self.unacknowledged.update(numbers)
                self._under_way -= BATCH
            raise OSError("the server went away") from error
        assert answer.status == 200, answer.body
        assert answer.json["FailedPutCount"] == 0, answer.body
        with self._lock:
            self.acknowledged.update(numbers)

    def _take(self) -> range | None:
        """The numbers of the next batch, unless enough are put or the load was stopped."""
        with self._lock:
            if self._under_way >= self._wanted or self._stopped.is_set():
                return None
            self._under_way += BATCH
            start = next(self._numbers)
            return range(start, start + BATCH)


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
