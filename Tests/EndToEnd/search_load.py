"""Very many records for an index, some of which must fail, and what must become of each.

Records have numbers, which say what they are. Producers remember which puts were acknowledged.
"""

import re
from collections import Counter
from dataclasses import dataclass, field

from numbered_load import NumberedLoad
from osmem import STORED_LONG
from search_streams import FailedDocument, SearchFlow
from server import Hydrant

MAPPING = {"n": STORED_LONG}
"""What the index must check for the records that do not fit it to fail."""

BATCH = 500

PRODUCERS = 2

PADDING = "x" * 400

UNPARSABLE = ["{} is no JSON", '{{"n": {}', '{{"n": {}}} {{"n": 0}}', "[{}]"]

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


class SearchLoad(NumberedLoad):
    """A load of these records."""

    def __init__(self, hydrant: Hydrant, stream: str, *, records: int, pace: float = 0):
        super().__init__(
            hydrant, stream, record, records=records, batch=BATCH, producers=PRODUCERS, pace=pace
        )


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
