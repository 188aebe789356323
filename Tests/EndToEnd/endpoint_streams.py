"""Streams that deliver to an HTTP endpoint or to Splunk, and where each of their records went."""

import base64
import json
import re
import uuid
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from buckets import Bucket, FolderBucket
from firehose_receiver import FirehoseReceiver, Place
from keys import write_private
from server import Hydrant
from splunk_receiver import SplunkReceiver, Token
from streams import AT_ONCE, ROLE_ARN, destination, fresh_name, put
from transforms import batches, client_of, log_lines
from waiting import wait_until
from wire import Connection, put_body, request

HTTP, SPLUNK = "HttpEndpoint", "Splunk"
"""The kinds, as the API names them."""

FOLDERS = {HTTP: "http-endpoint-failed/", SPLUNK: "splunk-failed/"}
"""Where failed records are without an ErrorOutputPrefix."""

LOG_FORMAT = ("--log-format", "json")

IN_ONE_REQUEST = {"SizeInMBs": 5, "IntervalInSeconds": 1}
"""Long enough for all records of a put to be in one buffer."""

DELIVERED = "delivered"
FAILED_ONCE = "request failed; retrying"
KEPT = "failed records are kept"
PAUSED = (
    "delivery is paused: neither the destination nor the bucket for failed records takes anything"
)
GOES_ON = "delivery goes on"

MEMBERS = [
    "attemptsMade",
    "arrivalTimestamp",
    "errorCode",
    "errorMessage",
    "attemptEndingTimestamp",
    "rawData",
]
"""Those of every failed record, in their order. Each kind has more behind them."""

NUMBERS = {"attemptsMade", "arrivalTimestamp", "attemptEndingTimestamp", "subsequenceNumber"}

ENDINGS = {HTTP: ["subsequenceNumber", "dataId"], SPLUNK: ["EventId"]}

IDS = {HTTP: r"[0-9a-f]{32}", SPLUNK: r"[0-9a-f]{32}\.0"}


@dataclass(frozen=True)
class FailedRecord:
    """One line of an object of failed records."""

    attempts: int
    arrived: int
    code: str
    message: str
    ended: int
    raw: bytes
    id: str
    """The dataId, or the EventId."""


def parse_failures(content: bytes, kind: str) -> Iterator[FailedRecord]:
    """The lines of an object of failed records; fails when one is not exactly right."""
    assert content.endswith(b"\n"), f"the last line has no end: {content[-200:]!r}"
    for line in content.decode().removesuffix("\n").split("\n"):
        members = json.loads(line)
        names = MEMBERS + ENDINGS[kind]
        assert list(members) == names, line
        # Compact, no escape that is not needed, no member twice.
        compact = [
            json.dumps(members, separators=(",", ":"), ensure_ascii=each) for each in (True, False)
        ]
        assert line in compact
        wanted = [int if name in NUMBERS else str for name in names]
        assert [type(each) for each in members.values()] == wanted, line
        *others, raw = [members[name] for name in MEMBERS]
        own = members[ENDINGS[kind][-1]]
        failed = FailedRecord(*others, base64.b64decode(raw, validate=True), own)
        assert re.fullmatch(IDS[kind], failed.id), line
        assert members.get("subsequenceNumber", 0) == 0, line
        assert failed.message, line
        assert failed.arrived <= failed.ended, line
        yield failed


@dataclass
class EndpointFlow:
    """A stream that delivers to a place, or with a token, and that has a bucket of its own."""

    hydrant: Hydrant
    stream: str
    kind: str
    bucket: Bucket
    place: Place | None = None
    token: Token | None = None
    records: list[bytes] = field(default_factory=list)
    """What was put so far."""

    def put(self, *records: bytes) -> None:
        """Puts records in as few batches as the API allows."""
        for batch in batches(records):
            put(client_of(self.hydrant), self.stream, *batch)
        self.records += records

    def put_quickly(self, records: Iterable[bytes]) -> None:
        """As `put`, for very many: the SDK would take longer than all the rest."""
        with Connection(self.hydrant.port, timeout=60) as connection:
            for batch in batches(records):
                answer = connection.exchange(
                    request("PutRecordBatch", put_body(self.stream, *batch))
                )
                assert answer.status == 200, answer.body
                assert answer.json["FailedPutCount"] == 0
                self.records += batch

    def log(self, message: str) -> list[dict[str, str]]:
        """The lines of the log about this stream with a message."""
        return log_lines(self.hydrant, message, stream=self.stream)

    def total(self, message: str, member: str) -> int:
        """The sum of a member of these lines."""
        return sum(int(each[member]) for each in self.log(message))

    # MARK: The bucket

    def keys(self, *, failed: bool) -> list[str]:
        """The keys of the objects of failed records, or of all others."""
        mark = FOLDERS[self.kind].removesuffix("/")
        return [key for key in self.bucket.keys() if (mark in key) == failed]

    def failures(self) -> list[FailedRecord]:
        """The failed records so far."""
        contents = [self.bucket.raw(key) for key in self.keys(failed=True)]
        return [each for content in contents for each in parse_failures(content, self.kind)]

    def wait_for_failures(self, count: int, *, timeout: float = 30) -> list[FailedRecord]:
        """Waits for so many failed records; fails when there are more."""

        def enough() -> list[FailedRecord]:
            found = self.failures()
            assert len(found) <= count, f"more than {count} failed: {found[:5]}"
            return found if len(found) == count else []

        found = wait_until(enough, f"{count} failed records of {self.stream}", timeout=timeout)
        assert len({each.id for each in found}) == count, "failed records share an id"
        return found

    def wait_for_backup(self, expected: bytes, *, timeout: float = 30) -> list[str]:
        """Waits until the bucket has exactly `expected` beside failed records; returns the keys."""

        def has_all() -> bool:
            contents = [self.bucket.content(key) for key in self.keys(failed=False)]
            return b"".join(contents) == expected

        wait_until(has_all, f"a backup of {len(expected)} bytes", timeout=timeout)
        return self.keys(failed=False)


def http_destination(place: Place, bucket_arn: str, *, retry: int = 300, **members) -> dict:
    """The configuration of a destination that goes with a place."""
    endpoint = {"Url": place.url, "Name": "test"}
    if place.access_key is not None:
        endpoint["AccessKey"] = place.access_key
    given: dict = {
        "EndpointConfiguration": endpoint,
        "RoleARN": ROLE_ARN,
        "BufferingHints": AT_ONCE,
        "RetryOptions": {"DurationInSeconds": retry},
        "S3Configuration": destination(bucket_arn),
    }
    asked: dict = {"ContentEncoding": "GZIP"} if place.compressed else {}
    if place.attributes is not None:
        asked["CommonAttributes"] = [
            {"AttributeName": name, "AttributeValue": value}
            for name, value in place.attributes.items()
        ]
    return given | ({"RequestConfiguration": asked} if asked else {}) | members


def splunk_destination(
    receiver: SplunkReceiver, token: Token, bucket_arn: str, *, retry: int = 300, **members
) -> dict:
    """The configuration of a destination that goes with a token."""
    given = {
        "HECEndpoint": receiver.endpoint,
        "HECEndpointType": token.kind,
        "HECToken": token.value,
        "HECAcknowledgmentTimeoutInSeconds": 180,
        "BufferingHints": AT_ONCE,
        "RetryOptions": {"DurationInSeconds": retry},
        "S3Configuration": destination(bucket_arn),
    }
    return given | members


@dataclass
class EndpointBench:
    """A server and the receivers that its streams deliver to."""

    hydrant: Hydrant
    http: FirehoseReceiver
    splunk: SplunkReceiver

    @property
    def client(self):
        """A boto3 client of the server."""
        return client_of(self.hydrant)

    def bucket(self) -> FolderBucket:
        """A bucket of the server's embedded default."""
        return FolderBucket(self.hydrant.data / "buckets", fresh_name("bucket"))

    def http_flow(
        self,
        *,
        place: dict | None = None,
        receiver: FirehoseReceiver | None = None,
        bucket: Bucket | None = None,
        s3: dict | None = None,
        extra: dict | None = None,
        **members,
    ) -> EndpointFlow:
        """Creates a stream to a place of its own.

        `place` are members of the place, at the `receiver` of all or another, `s3` those of the S3 configuration, `members` the
        destination's, `extra` those of the request.
        """
        stream, bucket = fresh_name(), bucket or self.bucket()
        made = (receiver or self.http).place(stream, **place or {})
        backup = destination(bucket.arn, **s3 or {})
        whole = http_destination(made, bucket.arn, S3Configuration=backup, **members)
        self._create(stream, HTTP, whole, extra)
        return EndpointFlow(self.hydrant, stream, HTTP, bucket, place=made)

    def splunk_flow(
        self,
        *,
        token: dict | None = None,
        bucket: Bucket | None = None,
        s3: dict | None = None,
        extra: dict | None = None,
        **members,
    ) -> EndpointFlow:
        """Creates a stream with a token of its own; as `http_flow`."""
        stream, bucket = fresh_name(), bucket or self.bucket()
        made = self.splunk.token(str(uuid.uuid4()), **token or {})
        backup = destination(bucket.arn, **s3 or {})
        whole = splunk_destination(
            self.splunk, made, bucket.arn, S3Configuration=backup, **members
        )
        self._create(stream, SPLUNK, whole, extra)
        return EndpointFlow(self.hydrant, stream, SPLUNK, bucket, token=made)

    def _create(self, stream: str, kind: str, whole: dict, extra: dict | None) -> None:
        self.client.create_delivery_stream(
            DeliveryStreamName=stream,
            **{f"{kind}DestinationConfiguration": whole},
            **extra or {},
        )


def endpoint_settings(path: Path, *endpoints: dict, mode: int = 0o600) -> tuple[str, str]:
    """Writes a file of settings; returns what makes a server use it."""
    write_private(path, json.dumps({"endpoints": list(endpoints)}), mode=mode)
    return ("--endpoint-settings", str(path))


def texts(count: int, text: str = "record") -> list[bytes]:
    """Records that differ, and are long enough to be told apart."""
    return [f"{text} with the number {number:06}\n".encode() for number in range(count)]


def events_of(count: int) -> list[bytes]:
    """Records for an event endpoint."""
    return [json.dumps({"event": f"event with the number {n:06}"}).encode() for n in range(count)]
