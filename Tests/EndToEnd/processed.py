"""Streams with processors, and what became of their records."""

import base64
import json
from dataclasses import dataclass

from buckets import Bucket, FolderBucket
from server import Hydrant
from streams import create_stream, fresh_name, put
from transforms import MEMBERS, batches, lambda_arn, lambda_processor, processing
from waiting import wait_until

IN_ONE_OBJECT = {"SizeInMBs": 5, "IntervalInSeconds": 1}
"""Long enough for all records of a put to be in one object."""

PROCESSING_FOLDER, DECOMPRESSION_FOLDER = "processing_failed/", "decompression-failed/"
"""Where failed records are without an ErrorOutputPrefix."""

DECOMPRESSION_FAILED = "Decompression failed."

DECOMPRESSION_MESSAGE = (
    "Decompression failed because input data does not conform to cloudwatch log."
)

PARSE_ERROR = "RecordDeAggregation.ParseError"


def transform_at_once(name: str, **parameters) -> dict:
    """A transform whose buffer waits for nothing."""
    buffer = {"BufferSizeInMBs": 1, "BufferIntervalInSeconds": 0}
    return lambda_processor(lambda_arn(name), **buffer, **parameters)


@dataclass(frozen=True)
class Failure:
    """One line of an object of failed records."""

    raw: bytes
    code: str
    message: str
    attempts: int
    arrived: int
    ended: int
    arn: str | None = None
    """Only failures of a transform name it."""


def parse_failures(content: bytes) -> list[Failure]:
    """The lines of an object of failed records; fails when one is not exactly right."""
    assert content.endswith(b"\n"), f"the last line has no end: {content[-200:]!r}"
    found = []
    for line in content.decode().removesuffix("\n").split("\n"):
        members = json.loads(line)
        assert list(members) in (MEMBERS, MEMBERS[:-1]), line
        # Compact, no escape that is not needed, no member twice.
        assert json.dumps(members, separators=(",", ":")) == line
        raw, *others = members.values()
        failure = Failure(base64.b64decode(raw, validate=True), *others)
        assert isinstance(failure.code, str)
        assert isinstance(failure.message, str) and failure.message
        assert {type(each) for each in (failure.attempts, failure.arrived, failure.ended)} == {int}
        assert failure.arrived <= failure.ended
        found.append(failure)
    return found


@dataclass
class Processed:
    """A stream with processors and without prefixes that delivers to a bucket of its own."""

    hydrant: Hydrant
    stream: str
    bucket: Bucket

    @classmethod
    def create(cls, hydrant: Hydrant, *processors: dict, **members) -> "Processed":
        """Creates the stream, by default one that delivers at once; `members` are the
        destination's."""
        bucket = FolderBucket(hydrant.data / "buckets", fresh_name("bucket"))
        members = (processing(*processors) if processors else {}) | members
        stream = create_stream(hydrant.client(), bucket.arn, **members)
        return cls(hydrant, stream, bucket)

    def put(self, *records: bytes) -> None:
        """Puts records in as few batches as the API allows."""
        for batch in batches(records):
            put(self.hydrant.client(), self.stream, *batch)

    # MARK: What became of the records

    def keys(self, *folders: str) -> list[str]:
        """The keys of the objects in folders of failed records, or of what was delivered."""
        failed = folders or (PROCESSING_FOLDER, DECOMPRESSION_FOLDER)
        return [key for key in self.bucket.keys() if key.startswith(failed) == bool(folders)]

    def objects(self) -> list[bytes]:
        """The objects that were delivered so far, as they are stored."""
        return [self.bucket.raw(key) for key in self.keys()]

    def output(self) -> bytes:
        """All that was delivered so far."""
        return b"".join(self.objects())

    def failures(self, *folders: str) -> list[Failure]:
        """The failed records so far, of all kinds unless folders are named."""
        keys = self.keys(*(folders or (PROCESSING_FOLDER, DECOMPRESSION_FOLDER)))
        return [each for key in keys for each in parse_failures(self.bucket.raw(key))]

    def wait_for(self, expected: bytes, *, timeout: float = 30) -> None:
        """Waits until exactly `expected` was delivered.

        Several buffers may be on their way, so that a later one can be there before an earlier.
        """

        def has_all() -> bool:
            found = self.output()
            if len(found) < len(expected):
                return False
            assert found == expected, f"expected {expected[:500]!r}, found {found[:500]!r}"
            return True

        wait_until(has_all, f"{len(expected):,} bytes of {self.stream}", timeout=timeout)

    def wait_for_failures(self, count: int, *, timeout: float = 30) -> list[Failure]:
        """Waits for so many failed records; fails when there are more."""

        def enough() -> list[Failure]:
            found = self.failures()
            assert len(found) <= count, f"more than {count} failed: {found[:5]}"
            return found if len(found) == count else []

        return wait_until(enough, f"{count} failed records of {self.stream}", timeout=timeout)

    def settle(self, delivered: bytes, *failed: bytes, timeout: float = 30) -> list[Failure]:
        """Waits until exactly `delivered` was, and until exactly those records have failed.

        Put a record that is right last: what precedes it can give no output after that.
        """
        self.wait_for(delivered, timeout=timeout)
        if not failed:
            assert self.failures() == []
            return []
        found = self.wait_for_failures(len(failed), timeout=timeout)
        assert [each.raw for each in found] == list(failed)
        return found
