"""Loads of many small requests: many streams, few records a put, and every record told apart."""

import base64
import json
import random
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

from endpoint_streams import EndpointFlow
from producers import OUTAGE_PAUSE_SECONDS, Ledger
from records import Identity, decode, encode
from server import Hydrant
from splunk_receiver import EVENT, events
from waiting import wait_until
from wire import Connection, put_body, request

MOST_AHEAD = 8
"""A stream gets no more records while so many of its acknowledged ones have not arrived: what
waits would be put together, and there would be few requests."""

MOST_RECORDS_A_PUT = 4

LARGEST_BODY = 600

RECONNECT_ERRORS = (OSError, AssertionError, ValueError, IndexError, TypeError)
"""What a connection whose server goes away ends with: nothing, half a line or half a document."""


def wrap(frame: bytes) -> bytes:
    """A framed record as an event."""
    return json.dumps({"event": base64.b64encode(frame).decode(), "source": "load"}).encode()


def unwrap(body: bytes) -> Iterator[tuple[Identity, int]]:
    """The framed records in a body of events."""
    for each in events(body):
        yield from identities(base64.b64decode(each["event"], validate=True))


def identities(content: bytes) -> Iterator[tuple[Identity, int]]:
    """The framed records in raw content; fails on anything else."""
    for found in decode(content):
        assert found, "a record of one byte"
        yield found


@dataclass(eq=False)
class Lane:
    """One stream of a load. Its ledger is written by one thread."""

    flow: EndpointFlow
    ledger: Ledger
    arrived: Callable[[], int]
    """How many of its records have arrived, repeated ones and all."""

    @property
    def wraps(self) -> bool:
        """Whether records are events."""
        return self.flow.token is not None and self.flow.token.kind == EVENT

    def can_go_on(self) -> bool:
        """Whether not too many records are on their way."""
        return self.ledger.acknowledged - self.arrived() < MOST_AHEAD

    def batch(self, chance: random.Random) -> list[bytes]:
        """The frames of the next put."""
        start = len(self.ledger.checksums)
        return [
            encode(
                Identity(self.ledger.producer, start + number),
                chance.randbytes(chance.randint(0, LARGEST_BODY)),
            )
            for number in range(chance.randint(1, MOST_RECORDS_A_PUT))
        ]


class SmallPuts:
    """Threads that put a few records at a time into every stream in turn, until `enough` says so.

    With `survives_outages` they go on when the server is away; what they put then counts as not
    acknowledged.
    """

    def __init__(
        self,
        hydrant: Hydrant,
        lanes: list[Lane],
        *,
        enough: Callable[[], bool],
        seed: int,
        threads: int = 4,
        survives_outages: bool = False,
    ):
        self._hydrant = hydrant
        self._enough = enough
        self._survives = survives_outages
        self._stopped = threading.Event()
        self._errors: list[BaseException] = []
        self._threads = [
            threading.Thread(
                target=self._run, args=(lanes[each::threads], f"{seed}/{each}"), daemon=True
            )
            for each in range(threads)
        ]

    def __enter__(self) -> "SmallPuts":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_) -> None:
        self._stopped.set()
        for thread in self._threads:
            thread.join()

    @property
    def is_over(self) -> bool:
        """Whether all threads have ended. Raises what one of them failed with."""
        if self._errors:
            raise AssertionError("a producer saw an error") from self._errors[0]
        return not any(thread.is_alive() for thread in self._threads)

    def wait(self, *, timeout: float) -> None:
        """Waits for the end of the load."""
        wait_until(lambda: self.is_over, "the producers to finish", timeout=timeout)

    def _run(self, lanes: list[Lane], seed: str) -> None:
        chance = random.Random(seed)
        connection: Connection | None = None
        try:
            while not self._enough() and not self._stopped.is_set():
                ready = [each for each in lanes if each.can_go_on()]
                if not ready:
                    self._stopped.wait(0.005)
                for lane in ready:
                    frames = lane.batch(chance)
                    try:
                        connection = connection or Connection(self._hydrant.port, timeout=60)
                        self._put(connection, lane, frames)
                        lane.ledger.note(frames, acknowledged=True)
                    except RECONNECT_ERRORS:
                        if not self._survives:
                            raise
                        connection = None
                        lane.ledger.note(frames, acknowledged=False)
                        self._stopped.wait(OUTAGE_PAUSE_SECONDS)
        except BaseException as error:
            self._errors.append(error)

    def _put(self, connection: Connection, lane: Lane, frames: list[bytes]) -> None:
        records = [wrap(each) for each in frames] if lane.wraps else frames
        body = put_body(lane.flow.stream, *records)
        answer = connection.exchange(request("PutRecordBatch", body))
        whole = answer.json
        if answer.status != 200 or whole["FailedPutCount"] != 0:
            # Not one of those that a server that goes away ends with.
            raise RuntimeError(f"{answer.status}: {answer.body!r}")


def kill_during(
    puts: SmallPuts,
    hydrant: Hydrant,
    moments: Iterable[float],
    progress: Callable[[], int],
    *,
    timeout: float,
) -> None:
    """Kills the server whenever `progress` reaches one of the `moments`, and brings it back."""
    for moment in moments:
        wait_until(
            lambda moment=moment: puts.is_over or progress() >= moment,
            f"{moment:,.0f} requests",
            timeout=timeout,
            pause=0.005,
        )
        assert not puts.is_over, "the load was over before the last kill"
        hydrant.sigkill()
        hydrant.start()


@dataclass
class Findings:
    """What arrived, compared with the ledgers. Only counts; nothing is judged."""

    arrived: int = 0
    unacknowledged: int = 0
    """Arrived although their put was not acknowledged."""
    missing: list[Identity] = field(default_factory=list)
    """Acknowledged, and nowhere."""
    repeated: list[Identity] = field(default_factory=list)
    """Arrived more than once."""
    strange: list[Identity] = field(default_factory=list)
    """Never put into this stream, or not as it was put."""

    def assert_at_least_once(self) -> None:
        """Checks that nothing is lost and nothing is made up."""
        for fault in ("strange", "missing"):
            found = getattr(self, fault)
            assert not found, f"{len(found)} records are {fault}, such as {found[:5]}"

    def assert_exactly_once(self) -> None:
        """As `assert_at_least_once`, and nothing came twice."""
        self.assert_at_least_once()
        assert not self.repeated, f"{len(self.repeated)} repeated, such as {self.repeated[:5]}"

    def __str__(self) -> str:
        return (
            f"{self.arrived:,} records arrived, {self.unacknowledged:,} of them unacknowledged; "
            f"{len(self.missing)} missing, {len(self.repeated)} repeated"
        )


def compare(lane: Lane, found: Iterable[tuple[Identity, int]], findings: Findings) -> None:
    """Adds to findings what a lane's arrived records are."""
    ledger = lane.ledger
    counts: Counter[Identity] = Counter()
    for identity, checksum in found:
        counts[identity] += 1
        was_put = identity.producer == ledger.producer and identity.sequence < len(
            ledger.checksums
        )
        if not was_put or ledger.checksums[identity.sequence] != checksum:
            findings.strange.append(identity)
    findings.arrived += len(counts)
    findings.repeated += [each for each, count in counts.items() if count > 1]
    for sequence, acknowledged in enumerate(ledger.acknowledged_sequences):
        identity = Identity(ledger.producer, sequence)
        if identity in counts:
            findings.unacknowledged += not acknowledged
        elif acknowledged:
            findings.missing.append(identity)
