"""Producers of records that have numbers, and which of them were acknowledged."""

import threading
from collections.abc import Callable

from server import Hydrant
from wire import Connection, put_body, request

OUTAGE_PAUSE_SECONDS = 0.05


class NumberedLoad:
    """Producers that put records until so many of them are acknowledged.

    `record` makes the record with a number; they go in batches of `batch`. With `pace`, they are
    spread over so many seconds. A put without an answer is not repeated: its records may be there,
    and others follow. Refusals end the load.
    """

    def __init__(
        self,
        hydrant: Hydrant,
        stream: str,
        record: Callable[[int], bytes],
        *,
        records: int,
        batch: int,
        producers: int,
        pace: float = 0,
    ):
        self.acknowledged: set[int] = set()
        self.unacknowledged: set[int] = set()
        self._hydrant = hydrant
        self._stream = stream
        self._record = record
        self._wanted = records
        self._batch = batch
        self._pause = producers * pace * batch / records
        self._next = 0
        self._under_way = 0
        """Records that are acknowledged, or may be any moment."""
        self._error: BaseException | None = None
        self._lock = threading.Lock()
        self._stopped = threading.Event()
        self._threads = [threading.Thread(target=self._run, daemon=True) for _ in range(producers)]

    def __enter__(self) -> "NumberedLoad":
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
        body = put_body(self._stream, *map(self._record, numbers))
        try:
            answer = connection.exchange(request("PutRecordBatch", body))
        except (OSError, AssertionError, ValueError) as error:
            # In front of an answer, or in the middle of one.
            with self._lock:
                self.unacknowledged.update(numbers)
                self._under_way -= self._batch
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
            self._under_way += self._batch
            numbers = range(self._next, self._next + self._batch)
            self._next += self._batch
            return numbers
