"""Streams whose records go through a transform, and where each of their records went."""

import base64
import functools
import json
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from buckets import Bucket, FolderBucket, ObjectKey
from producers import MAXIMUM_BATCH_BYTES, MAXIMUM_BATCH_RECORDS
from server import ACCOUNT, REGION, Hydrant
from streams import AT_ONCE, create_stream, fresh_name, put
from transform_programs import Programs
from waiting import wait_until
from wire import Connection, put_body, request

MEMBERS = [
    "rawData",
    "errorCode",
    "errorMessage",
    "attemptsMade",
    "arrivalTimestamp",
    "attemptEndingTimestamp",
    "lambdaARN",
]
"""Those of a failed record, in their order."""

ERROR_FOLDERS = ("processing_failed/", "processing-failed/")
"""One of them is in the key of every object of failed records that tests have delivered."""

FUNCTION_ERROR = "Lambda.FunctionError"
JSON_ERROR = "Lambda.JsonProcessingException"
NOT_FOUND = "Lambda.ResourceNotFound"
STATUS_FAILED = "Lambda.ProcessingFailedStatus"
MISSING_ID = "Lambda.MissingRecordId"
DUPLICATED_ID = "Lambda.DuplicatedRecordId"
INVALID_FORMAT = "Lambda.InvalidReturnFormat"

MESSAGES = {
    FUNCTION_ERROR: "The Lambda function was successfully invoked but it returned an error result.",
    JSON_ERROR: "There was an error parsing returned records from the Lambda function. Ensure that "
    "the returned records follow the status model required by Firehose.",
    NOT_FOUND: "The specified Lambda function does not exist. Use a different function that does "
    "exist.",
    STATUS_FAILED: "ProcessingFailed status set for record",
    MISSING_ID: "One or more record Ids were not returned. Ensure that the Lambda function returns "
    "all received record Ids.",
    DUPLICATED_ID: "Multiple records were returned with the same record Id. Ensure that the Lambda "
    "function returns a unique record Id for each record.",
}
"""The text of every error that has just one."""


AWKWARD_RECORDS = [
    bytes(range(256)),
    b"",
    b"\n",
    b"\r\n\r\n",
    b"\0",
    b"\xff\xfe invalid UTF-8 \xc3\x28 \xed\xa0\x80",
    "äöü 日本語 🚰\u2028".encode(),
    b'{"records": [], "quotes": "\\""}\n',
    b"\x1f\x8b\x08 looks like gzip",
    b"x",
    b"xy",
    b"xyz",
]
"""Records that are easily damaged on their way through JSON and base64."""

FAILED_ONCE = "the transform failed; retrying"

SET_APART = "the transform failed, its records are set apart"


def lambda_arn(name: str, qualifier: str = "") -> str:
    """A transform's ARN."""
    arn = f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:{name}"
    return f"{arn}:{qualifier}" if qualifier else arn


def lambda_processor(arn: str, **parameters) -> dict:
    """A processor of type Lambda; what is None is left out, or has AWS's default beside its pair."""
    pair = {"BufferSizeInMBs": 1, "BufferIntervalInSeconds": 60}
    if any(parameters.get(name) is not None for name in pair):
        given = {name: value for name, value in parameters.items() if value is not None}
        parameters = pair | given
    named = {"LambdaArn": arn} | parameters
    return {
        "Type": "Lambda",
        "Parameters": [
            {"ParameterName": name, "ParameterValue": str(value)}
            for name, value in named.items()
            if value is not None
        ],
    }


def processing(*processors: dict, enabled: bool = True) -> dict:
    """The destination's member that has records processed."""
    return {"ProcessingConfiguration": {"Enabled": enabled, "Processors": list(processors)}}


@dataclass(frozen=True)
class FailedRecord:
    """One line below the error prefix."""

    raw: bytes
    code: str
    message: str
    attempts: int
    arrived: int
    ended: int
    arn: str


def parse_failures(content: bytes) -> Iterator[FailedRecord]:
    """The records of an object below the error prefix; fails when a line is not exactly right."""
    assert content.endswith(b"\n"), f"the last line has no end: {content[-200:]!r}"
    for line in content.decode().splitlines():
        members = json.loads(line)
        assert list(members) == MEMBERS
        # Compact, no escape that is not needed, no member twice.
        assert json.dumps(members, separators=(",", ":")) == line
        numbers = ("attemptsMade", "arrivalTimestamp", "attemptEndingTimestamp")
        wanted = [int if name in numbers else str for name in MEMBERS]
        assert [type(each) for each in members.values()] == wanted, line
        raw, *others = members.values()
        yield FailedRecord(base64.b64decode(raw, validate=True), *others)


def is_failure(key: str) -> bool:
    """Whether an object holds failed records."""
    return any(each in key for each in ERROR_FOLDERS)


@dataclass
class Outcome:
    """Where a stream's records went. Delivered are the lines of what was delivered."""

    delivered: list[bytes] = field(default_factory=list)
    dropped: int = 0
    failed: list[FailedRecord] = field(default_factory=list)

    @property
    def total(self) -> int:
        """How many records it accounts for."""
        return len(self.delivered) + self.dropped + len(self.failed)

    @property
    def codes(self) -> dict[str, int]:
        """How many records failed with each code."""
        return dict(Counter(each.code for each in self.failed))

    def __str__(self) -> str:
        codes = ", ".join(f"{count} {code}" for code, count in sorted(self.codes.items()))
        return (
            f"{len(self.delivered)} delivered, {self.dropped} dropped, {len(self.failed)} failed"
            + (f" ({codes})" if codes else "")
        )


@dataclass
class Flow:
    """A stream with a transform that delivers to a bucket of its own."""

    hydrant: Hydrant
    programs: Programs
    transform: str
    bucket: Bucket
    stream: str
    records: list[bytes] = field(default_factory=list)
    """What was put so far."""

    def put(self, *records: bytes) -> None:
        """Puts records in as few batches as the API allows."""
        for batch in batches(records):
            put(client_of(self.hydrant), self.stream, *batch)
        self.records += records

    def put_quickly(self, records: list[bytes]) -> None:
        """As `put`, for very many: the SDK would take longer than all the rest."""
        with Connection(self.hydrant.port, timeout=60) as connection:
            for batch in batches(records):
                body = put_body(self.stream, *batch)
                answer = connection.exchange(request("PutRecordBatch", body))
                assert answer.status == 200, answer.body
                assert answer.json["FailedPutCount"] == 0
        self.records += records

    # MARK: What became of the records

    def keys(self, *, failed: bool = False) -> list[str]:
        """The keys of what was delivered, or of failed records, in the order of their delivery."""
        found = [key for key in self.bucket.keys() if is_failure(key) == failed]
        # As text, version 10 would come before version 2.
        return sorted(found, key=lambda key: _moment(ObjectKey.parse(key, self.stream)))

    def output(self) -> bytes:
        """All that was delivered so far, failed records apart."""
        return b"".join(self.bucket.content(key) for key in self.keys())

    def failures(self) -> list[FailedRecord]:
        """All failed records so far."""
        contents = [self.bucket.content(key) for key in self.keys(failed=True)]
        return [each for content in contents for each in parse_failures(content)]

    def log(self, message: str) -> list[dict[str, str]]:
        """The lines of the log about this stream with a message; needs `--log-format json`."""
        return log_lines(self.hydrant, message, stream=self.stream)

    def outcome(self) -> Outcome:
        """Where records went so far; programs must answer one line for each record."""
        dropped = sum(int(each["dropped"]) for each in self.log("transformed"))
        return Outcome(self.output().splitlines(keepends=True), dropped, self.failures())

    def wait_for(self, expected: bytes, *, timeout: float = 30) -> None:
        """Waits until exactly `expected` was delivered, failed records apart."""

        def has_all() -> bool:
            found = self.output()
            assert len(found) <= len(expected), f"more than expected: {found[-200:]!r}"
            return found == expected

        wait_until(has_all, f"{len(expected):,} bytes of {self.stream}", timeout=timeout)

    def wait_for_failures(self, count: int, *, timeout: float = 30) -> list[FailedRecord]:
        """Waits for so many failed records."""

        def enough() -> list[FailedRecord]:
            found = self.failures()
            assert len(found) <= count, f"more than {count} failed"
            return found if len(found) == count else []

        return wait_until(enough, f"{count} failed records of {self.stream}", timeout=timeout)

    def settle(self, *, timeout: float = 30) -> Outcome:
        """Waits until every record that was put is delivered, dropped or failed.

        Checks that the log counts as the bucket does, and that what failed is what was put.
        """
        wait_until(
            lambda: self.outcome().total >= len(self.records),
            f"{len(self.records)} records of {self.stream}",
            timeout=timeout,
            pause=0.1,
        )
        outcome = self.outcome()
        assert outcome.total == len(self.records), str(outcome)
        said = {
            name: sum(int(each[name]) for each in self.log("transformed"))
            for name in ("records", "ok", "dropped", "failed")
        }
        assert said == {
            "records": len(self.records),
            "ok": len(outcome.delivered),
            "dropped": outcome.dropped,
            "failed": len(outcome.failed),
        }
        strange = Counter(each.raw for each in outcome.failed) - Counter(self.records)
        assert not strange, f"failed, but not as they were put: {list(strange)[:3]}"
        return outcome

    def assert_retried_and_set_apart(self, *, sees_events: bool = True) -> None:
        """Checks that one batch's two attempts failed: with ids of their own, and equal records.

        Programs that trace no event do not see any.
        """
        failed = self.wait_for_failures(len(self.records))
        assert [each.raw for each in failed] == self.records
        assert {(each.code, each.message, each.attempts) for each in failed} == {
            (FUNCTION_ERROR, MESSAGES[FUNCTION_ERROR], 2)
        }
        assert [len(self.log(each)) for each in (FAILED_ONCE, SET_APART)] == [1, 1]
        if sees_events:
            first, second = self.programs.events(self.transform)
            assert first.invocation != second.invocation
            assert (first.ids, first.checksum) == (second.ids, second.checksum)

    def delete(self) -> None:
        """Deletes the stream."""
        client_of(self.hydrant).delete_delivery_stream(DeliveryStreamName=self.stream)


@dataclass
class Bench:
    """A server and the folder of its transforms."""

    hydrant: Hydrant
    programs: Programs

    @property
    def client(self):
        """A boto3 client of the server."""
        return client_of(self.hydrant)

    def bucket(self) -> FolderBucket:
        """A bucket of the server's embedded default."""
        return FolderBucket(self.hydrant.data / "buckets", fresh_name("bucket"))

    def flow(
        self,
        transform: str,
        *,
        arn: str | None = None,
        retries: int | None = None,
        size: float | None = None,
        interval: int | None = 0,
        bucket: Bucket | None = None,
        hints: dict = AT_ONCE,
        create=create_stream,
        **members,
    ) -> Flow:
        """Creates a stream through a transform: what is None has its default.

        `members` are the destination's; `create` makes it another kind of stream.
        """
        bucket = bucket or self.bucket()
        processor = lambda_processor(
            arn or lambda_arn(transform),
            NumberOfRetries=retries,
            BufferSizeInMBs=size,
            BufferIntervalInSeconds=interval,
        )
        members = {"BufferingHints": hints} | processing(processor) | members
        stream = create(self.client, bucket.arn, **members)
        return Flow(self.hydrant, self.programs, transform, bucket, stream)

    def flow_through(self, mode: str, body: str, *, settings: dict | None = None, **others) -> Flow:
        """Writes a program of a mode and creates a stream through it."""
        return self.flow(self.programs.write(mode, body, **settings or {}), **others)


def client_of(hydrant: Hydrant):
    """A boto3 client of a server, the same each time until the server listens elsewhere."""
    return _client(hydrant, hydrant.endpoint)


@functools.lru_cache(maxsize=16)
def _client(hydrant: Hydrant, _endpoint: str):
    return hydrant.client()


def batches(records: Iterable[bytes]) -> Iterator[list[bytes]]:
    """Divides records as PutRecordBatch demands."""
    batch: list[bytes] = []
    size = 0
    for record in records:
        is_full = len(batch) == MAXIMUM_BATCH_RECORDS or size + len(record) > MAXIMUM_BATCH_BYTES
        if batch and is_full:
            yield batch
            batch, size = [], 0
        batch.append(record)
        size += len(record)
    if batch:
        yield batch


def lines(count: int, text: str = "record") -> list[bytes]:
    """Records of one line each, which differ."""
    return [f"{text} {number}\n".encode() for number in range(count)]


def log_lines(hydrant: Hydrant, message: str, **members: str) -> list[dict[str, str]]:
    """The lines of a log in JSON with a message and these members."""
    found = []
    for line in hydrant.log().splitlines(keepends=True):
        if message in line and line.endswith("\n"):
            said = json.loads(line)
            if said["message"] == message and members.items() <= said.items():
                found.append(said)
    return found


def _moment(key: ObjectKey) -> tuple:
    return (key.version, key.time, key.uuid)
