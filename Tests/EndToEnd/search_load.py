"""Very many records for an index, some of which must fail, and what must become of each.

Records have numbers, which say what they are. Producers remember which puts were acknowledged.
"""

import re
import threading
from collections import Counter
from dataclasses import dataclass, field

from osmem import STORED_LONG
from search_streams import FailedDocument, SearchFlow
from server import Hydrant
from wire import Connection, put_body, request

MAPPING = {"n": STORED_LONG}
"""What the index must check for the records that do not fit it to fail."""

BATCH = 500

PRODUCERS = 2

PADDING = "x" * 400

UNPARSABLE = ["{} is no JSON", '{{"n": {}', '{{"n": {}}} {{"n": 0}}', "[{}]"]

OUTAGE_PAUSE_SECONDS = 0.05

ID = re.compile(r"[0-9a-f]{32}", re.IGNORECASE)


def is_unparsable(number: int) -> bool:
    """Whether a record is no document: two of a hundred are not."""
    return number % 50 == 7


def is_conflict(number: int) -> bool:
    """Whether a record does not fit the mapping: one of a hundred does not."""
    return number % 100 == 23


def is_good(number: int) -> bool:
    """Whether a record must be in the index."""
    return not is_unparsable(number) and not is_conflict(number)


def record(number: int) -> bytes:
    """The record with a number."""
    if is_unparsable(number):
        return UNPARSABLE[number // 50 % len(UNPARSABLE)].format(number).encode()
    value = f'"no number {number}"' if is_conflict(number) else number
    return f'{{"n": {value}, "text": "{PADDING[: number % 400]}"}}'.encode()


def number_in(record: bytes) -> int:
    """The number of a record."""
    return int(re.search(rb"\d+", record).group())


class SearchLoad:
    """Producers that put records until so many of them are acknowledged.

    With `pace`, they are spread over so many seconds. A put without an answer is not repeated: its
    records may be there, and others follow. Refusals end the load.
    """

    def __init__(self, hydrant: Hydrant, stream: str, *, records: int, pace: float = 0):
        self.acknowledged: set[int] = set()
        self.unacknowledged: set[int] = set()
        self.error: BaseException | None = None
        self._hydrant = hydrant
        self._stream = stream
        self._wanted = records
        self._pause = PRODUCERS * pace * BATCH / records
        self._next = 0
        self._under_way = 0
        """Records that are acknowledged, or may be any moment."""
        self._lock = threading.Lock()
        self._stopped = threading.Event()
        self._threads = [threading.Thread(target=self._run, daemon=True) for _ in range(PRODUCERS)]

    def __enter__(self) -> "SearchLoad":
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
        if self.error:
            raise AssertionError("a producer saw an error") from self.error
        return not any(each.is_alive() for each in self._threads)

    def has_put(self, share: float) -> bool:
        """Whether that share of the records is acknowledged."""
        return self.is_over or len(self.acknowledged) >= share * self._wanted

    def _run(self) -> None:
        try:
            while not self._stopped.is_set() and len(self.acknowledged) < self._wanted:
                try:
                    with Connection(self._hydrant.port) as connection:
                        self._put_while_connected(connection)
                except OSError:
                    pass
                # The server is away, or all that is missing is in the other producer's hands.
                self._stopped.wait(OUTAGE_PAUSE_SECONDS)
        except BaseException as error:
            self.error = error

    def _put_while_connected(self, connection: Connection) -> None:
        while numbers := self._take():
            body = put_body(self._stream, *map(record, numbers))
            try:
                answer = connection.exchange(request("PutRecordBatch", body))
            except (OSError, AssertionError, ValueError):
                # It went away in front of an answer, or in the middle of one.
                self.unacknowledged.update(numbers)
                with self._lock:
                    self._under_way -= BATCH
                return
            assert answer.status == 200, answer.body
            assert answer.json["FailedPutCount"] == 0, answer.body
            self.acknowledged.update(numbers)
            self._stopped.wait(self._pause)

    def _take(self) -> range | None:
        """The numbers of the next batch, unless enough are put or the load was stopped."""
        with self._lock:
            if self._under_way >= self._wanted or self._stopped.is_set():
                return None
            numbers = range(self._next, self._next + BATCH)
            self._next += BATCH
            self._under_way += BATCH
            return numbers


@dataclass
class Findings:
    """What became of the records. Only counts; nothing is judged."""

    delivered: int
    failed: int
    codes: dict[str, int]
    unacknowledged: int
    """Delivered or failed although their put was not acknowledged."""
    missing: list[int] = field(default_factory=list)
    """Acknowledged and nowhere."""
    repeated: list[int] = field(default_factory=list)
    """In the index twice, failed twice, or both."""
    misplaced: list[int] = field(default_factory=list)
    """In the index and not good, or failed and not bad."""
    strange: list[object] = field(default_factory=list)
    """Never put, not as it was put, or with an id or a code that is not as it should be."""

    @classmethod
    def of(cls, flow: SearchFlow, load: SearchLoad) -> "Findings":
        """Compares the whole index and all failed records with what was put."""
        documents = flow.osmem.documents(flow.index)
        failures = flow.failures()
        delivered = [each["n"] for each in documents.values()]
        failed = [number_in(each.raw) for each in failures]
        counts = Counter(delivered) + Counter(failed)
        found = cls(len(delivered), len(failed), dict(Counter(each.code for each in failures)), 0)
        found.unacknowledged = len(counts.keys() & load.unacknowledged)
        found.missing = sorted(load.acknowledged - counts.keys())
        found.repeated = [number for number, count in counts.items() if count > 1]
        found.misplaced = [each for each in delivered if not is_good(each)]
        found.misplaced += [each for each in failed if is_good(each)]
        found.strange = [each for each in documents if not ID.fullmatch(each)]
        found.strange += [each for each in failures if not _is_as_it_should_be(each, flow.index)]
        found.strange += sorted(counts.keys() - load.acknowledged - load.unacknowledged)
        return found

    def assert_exactly_once(self) -> None:
        """Checks that every acknowledged record went where it belongs, once and unchanged."""
        for fault in ("strange", "missing", "repeated", "misplaced"):
            found = getattr(self, fault)
            assert not found, f"{len(found)} records are {fault}, such as {found[:5]}"

    def __str__(self) -> str:
        return (
            f"{self.delivered:,} in the index, {self.failed:,} failed {self.codes}, "
            f"{self.unacknowledged:,} of them unacknowledged; {len(self.missing)} missing, "
            f"{len(self.repeated)} repeated, {len(self.misplaced)} misplaced"
        )


def _is_as_it_should_be(failed: FailedDocument, index: str) -> bool:
    number = number_in(failed.raw)
    never_sent = is_unparsable(number)
    return (
        failed.raw == record(number)
        and (failed.code, failed.index) == ("400", index)
        and (failed.attempts == 0) == never_sent
        and ID.fullmatch(failed.id) is not None
    )
