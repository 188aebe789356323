"""Producers: threads that put records of many sizes and remember what was acknowledged."""

import random
import threading
import time
from array import array
from collections.abc import Iterator
from dataclasses import dataclass, field

from botocore.exceptions import ClientError, HTTPClientError
from botocore.exceptions import ConnectionError as EndpointError
from botocore.parsers import ResponseParserError
from urllib3.exceptions import HTTPError

from records import FRAME_BYTES, TICK, Identity, checksum, encode

MAXIMUM_RECORD_BYTES = 1_024_000
MAXIMUM_BATCH_BYTES = 4 * 1024 * 1024
MAXIMUM_BATCH_RECORDS = 500

SIZES = [
    # (share of all records, smallest, largest)
    (0.010, 0, 0),
    (0.010, len(TICK), len(TICK)),
    (0.420, FRAME_BYTES, 200),
    (0.400, 200, 2_000),
    (0.130, 2_000, 20_000),
    (0.027, 20_000, 100_000),
    (0.002, 100_000, MAXIMUM_RECORD_BYTES),
    (0.001, MAXIMUM_RECORD_BYTES, MAXIMUM_RECORD_BYTES),
]
"""What a record's size is drawn from; 6 kB on average."""


class AnswerCutOff(Exception):
    """boto3 takes an answer that ends in the middle for an empty one."""


OUTAGES = (HTTPClientError, EndpointError, ResponseParserError, HTTPError, AnswerCutOff)
"""How boto3 says that a server went away: in front of an answer, or in the middle of one."""

OUTAGE_PAUSE_SECONDS = 0.2
"""How long a producer waits before its next put when the server is away."""


@dataclass
class Ledger:
    """What one producer put. It is written by that producer's thread alone."""

    producer: int
    checksums: array = field(default_factory=lambda: array("L"))
    """The checksum of every framed record, by sequence number."""
    acknowledged_sequences: bytearray = field(default_factory=bytearray)
    """1 for every sequence number whose put was acknowledged."""
    ticks: int = 0
    maybe_ticks: int = 0
    """Ticks whose put was not acknowledged; they may be there."""
    acknowledged: int = 0
    """All acknowledged records, framed ones, ticks and empty ones."""
    unacknowledged: int = 0

    def note(self, batch: list[bytes], *, acknowledged: bool) -> None:
        """Writes down how a put of the records next in line ended."""
        for record in batch:
            if record == TICK:
                self.ticks += acknowledged
                self.maybe_ticks += not acknowledged
            elif record:
                self.checksums.append(checksum(record))
                self.acknowledged_sequences.append(acknowledged)
        if acknowledged:
            self.acknowledged += len(batch)
        else:
            self.unacknowledged += len(batch)


class Producer(threading.Thread):
    """Puts records until `quota` of them were acknowledged.

    A put that fails is not repeated: its records count as unacknowledged, and new ones follow.
    Failures end the producer with `error` unless it `survives` them; then only those of a server
    that is away are survived, never a refusal.
    """

    def __init__(
        self,
        client,
        stream: str,
        number: int,
        *,
        quota: int,
        seed: int,
        largest_batch: int,
        survives: bool,
        pace: float,
    ):
        super().__init__(name=f"producer-{number}", daemon=True)
        self.ledger = Ledger(number)
        self.error: BaseException | None = None
        self._client = client
        self._stream = stream
        self._quota = quota
        self._random = random.Random(f"{seed}/{number}")
        self._largest_batch = largest_batch
        self._survives = survives
        self._pace = pace
        self._stopped = threading.Event()

    def stop(self) -> None:
        """Ends the producer after the put that is under way."""
        self._stopped.set()

    def run(self) -> None:
        """Puts batch after batch. With a `pace`, the quota is spread over so many seconds."""
        start = time.monotonic()
        try:
            for batch in self._batches():
                self.ledger.note(batch, acknowledged=self._put(batch))
                share = self.ledger.acknowledged / self._quota
                ahead = start + self._pace * share - time.monotonic()
                if self._stopped.wait(max(0, ahead)):
                    return
        except BaseException as error:
            self.error = error

    def _put(self, batch: list[bytes]) -> bool:
        """Puts a batch; answers whether it was acknowledged."""
        try:
            self._put_or_raise([{"Data": each} for each in batch])
            return True
        except (*OUTAGES, ClientError) as error:
            if not self._survives or not _is_outage(error):
                raise
            self._stopped.wait(OUTAGE_PAUSE_SECONDS)
            return False

    def _put_or_raise(self, records: list[dict]) -> None:
        if len(records) == 1:
            answer = self._client.put_record(DeliveryStreamName=self._stream, Record=records[0])
            is_whole = "RecordId" in answer
        else:
            answer = self._client.put_record_batch(DeliveryStreamName=self._stream, Records=records)
            is_whole = len(answer.get("RequestResponses", [])) == len(records)
        if not is_whole:
            raise AnswerCutOff(answer)
        assert answer.get("FailedPutCount", 0) == 0, answer

    def _batches(self) -> Iterator[list[bytes]]:
        """Batches of random sizes, many small ones and some as large as is allowed."""
        held_over: bytes | None = None
        while (missing := self._quota - self.ledger.acknowledged) > 0:
            wanted = min(missing, int((self._largest_batch + 1) ** self._random.random()))
            batch: list[bytes] = []
            size = 0
            sequence = len(self.ledger.checksums)
            while len(batch) < wanted:
                record = held_over if held_over is not None else self._record(sequence)
                held_over = None
                if size + len(record) > MAXIMUM_BATCH_BYTES:
                    held_over = record
                    break
                batch.append(record)
                size += len(record)
                sequence += len(record) >= FRAME_BYTES
            yield batch

    def _record(self, sequence: int) -> bytes:
        ((_, smallest, largest),) = self._random.choices(SIZES, [share for share, _, _ in SIZES])
        size = self._random.randint(smallest, largest)
        if size < FRAME_BYTES:
            return TICK * size
        body = self._random.randbytes(size - FRAME_BYTES)
        return encode(Identity(self.ledger.producer, sequence), body)


class Load:
    """Several producers at once on one stream.

    `records` is how many must be acknowledged in all; `seed` decides sizes and bytes;
    `largest_batch` is the most records in a put; with `survives_outages` producers go on when the
    server is away; `pace` spreads the load over so many seconds.
    """

    def __init__(
        self,
        client,
        stream: str,
        *,
        records: int,
        seed: int,
        producers: int = 8,
        largest_batch: int = MAXIMUM_BATCH_RECORDS,
        survives_outages: bool = False,
        pace: float = 0,
    ):
        self.producers = [
            Producer(
                client,
                stream,
                number,
                quota=records // producers,
                seed=seed,
                largest_batch=largest_batch,
                survives=survives_outages,
                pace=pace,
            )
            for number in range(producers)
        ]

    def __enter__(self) -> "Load":
        for producer in self.producers:
            producer.start()
        return self

    def __exit__(self, *_) -> None:
        for producer in self.producers:
            producer.stop()
        for producer in self.producers:
            producer.join()

    @property
    def ledgers(self) -> list[Ledger]:
        """What every producer put."""
        return [producer.ledger for producer in self.producers]

    @property
    def acknowledged(self) -> int:
        """How many records were acknowledged so far."""
        return sum(ledger.acknowledged for ledger in self.ledgers)

    @property
    def is_over(self) -> bool:
        """Whether all producers have ended. Raises what a producer failed with."""
        for producer in self.producers:
            if producer.error:
                raise AssertionError(f"{producer.name} saw an error") from producer.error
        return not any(producer.is_alive() for producer in self.producers)


def _is_outage(error: Exception) -> bool:
    """Whether a put failed because the server is away, not because it refused."""
    if isinstance(error, ClientError):
        return error.response["ResponseMetadata"]["HTTPStatusCode"] == 503
    return True
