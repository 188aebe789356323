"""Streams that deliver to a search server, and where each of their records went."""

import base64
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from buckets import Bucket, FolderBucket
from bulk_faults import BulkFaults, Plan
from osmem import Osmem
from server import Hydrant
from streams import AT_ONCE, ROLE_ARN, destination, fresh_name, put
from strict_s3 import StrictS3
from transform_programs import Programs
from transforms import batches, client_of, log_lines
from waiting import wait_until
from wire import Connection, put_body, request

OPENSEARCH, ELASTICSEARCH = "Amazonopensearchservice", "Elasticsearch"
"""The kinds, as the API names them."""

FOLDERS = {OPENSEARCH: "AmazonOpenSearchService-failed/", ELASTICSEARCH: "elasticsearch-failed/"}
"""Where failed records are without an ErrorOutputPrefix."""

PROCESSING_FOLDER = "processing_failed/"

QUERY = "filter_path=errors,items.*.status,items.*.error.type,items.*.error.reason"

NO_IDS = {"DocumentIdOptions": {"DefaultDocumentIdFormat": "NO_DOCUMENT_ID"}}

DELIVERED = "delivered"
FAILED_ONCE = "request failed; retrying"
KEEPING_FAILED = "failed-records PUT failed; retrying"
KEPT = "failed records are kept"

MEMBERS = [
    "attemptsMade",
    "arrivalTimestamp",
    "errorCode",
    "errorMessage",
    "attemptEndingTimestamp",
    "esDocumentId",
    "esIndexName",
    "esTypeName",
    "rawData",
]
"""Those of a failed record, in their order."""

NUMBERS = ("attemptsMade", "arrivalTimestamp", "attemptEndingTimestamp")


@dataclass(frozen=True)
class FailedDocument:
    """One line of an object of failed records."""

    attempts: int
    arrived: int
    code: str
    message: str
    ended: int
    id: str
    index: str
    type: str
    raw: bytes


def parse_failures(content: bytes) -> Iterator[FailedDocument]:
    """The lines of an object of failed records; fails when one is not exactly right."""
    assert content.endswith(b"\n"), f"the last line has no end: {content[-200:]!r}"
    for line in content.decode().removesuffix("\n").split("\n"):
        members = json.loads(line)
        assert list(members) == MEMBERS, line
        # Compact, no escape that is not needed, no member twice.
        compact = [
            json.dumps(members, separators=(",", ":"), ensure_ascii=each) for each in (True, False)
        ]
        assert line in compact
        wanted = [int if name in NUMBERS else str for name in MEMBERS]
        assert [type(each) for each in members.values()] == wanted, line
        *others, raw = members.values()
        failed = FailedDocument(*others, base64.b64decode(raw, validate=True))
        assert failed.message, line
        assert failed.arrived <= failed.ended, line
        yield failed


def create_search_stream(
    client,
    bucket_arn: str,
    kind: str,
    *,
    s3: dict | None = None,
    extra: dict | None = None,
    **given,
) -> str:
    """Creates a stream; `s3` are members of its S3 configuration, `extra` those of the request."""
    name = fresh_name()
    configuration = {"RoleARN": ROLE_ARN, "S3Configuration": destination(bucket_arn, **s3 or {})}
    client.create_delivery_stream(
        DeliveryStreamName=name,
        **{f"{kind}DestinationConfiguration": configuration | given},
        **extra or {},
    )
    return name


def milliseconds(moment: datetime) -> int:
    """A moment as failed records have it."""
    return int(moment.timestamp() * 1000)


def rotated(index: str, period: str, moment: datetime) -> str:
    """The index that a record which arrived then belongs into.

    A week begins on Sunday, and has the year and the number of its Saturday.
    """
    moment = moment.astimezone(UTC)
    saturday = (moment + timedelta(days=(5 - moment.weekday()) % 7)).timetuple()
    endings = {
        "NoRotation": "",
        "OneHour": f"-{moment:%Y-%m-%d-%H}",
        "OneDay": f"-{moment:%Y-%m-%d}",
        "OneWeek": f"-{saturday.tm_year:04}-w{(saturday.tm_yday - 1) // 7 + 1:02}",
        "OneMonth": f"-{moment:%Y-%m}",
    }
    return index + endings[period]


def numbered(count: int, **members) -> list[bytes]:
    """Documents that differ in their member `n`."""
    return [json.dumps({"n": number} | members).encode() for number in range(count)]


class StrictBucket(Bucket):
    """A bucket of a strict endpoint."""

    def __init__(self, store: StrictS3, name: str):
        self.name = name
        self._store = store

    def keys(self) -> list[str]:
        return list(self._store.objects(self.name))

    def raw(self, key: str) -> bytes:
        return self._store.objects(self.name)[key].body


@dataclass
class SearchFlow:
    """A stream that delivers to an index of its own, with a bucket of its own."""

    hydrant: Hydrant
    osmem: Osmem
    stream: str
    index: str
    bucket: Bucket
    kind: str = OPENSEARCH
    path: str = ""
    """That of its endpoint."""
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
                body = put_body(self.stream, *batch)
                answer = connection.exchange(request("PutRecordBatch", body))
                assert answer.status == 200, answer.body
                assert answer.json["FailedPutCount"] == 0
                self.records += batch

    # MARK: What became of the records

    def documents(self) -> list[dict]:
        """What is in the index so far."""
        return list(self.osmem.documents(self.index).values())

    def numbers(self) -> list[int]:
        """The members `n` of what is in the index, sorted."""
        return sorted(each["n"] for each in self.documents())

    def keys(self, folder: str | None = None) -> list[str]:
        """The keys of the objects of failed records, or of those in another folder."""
        return [key for key in self.bucket.keys() if (folder or FOLDERS[self.kind]) in key]

    def failures(self) -> list[FailedDocument]:
        """The failed records so far."""
        return [each for key in self.keys() for each in parse_failures(self.bucket.raw(key))]

    def log(self, message: str) -> list[dict[str, str]]:
        """The lines of the log about this stream with a message."""
        return log_lines(self.hydrant, message, stream=self.stream)

    def total(self, message: str, member: str) -> int:
        """The sum of a member of these lines."""
        return sum(int(each[member]) for each in self.log(message))

    # MARK: Waiting

    def settle(
        self, delivered: int, failed: int = 0, *, timeout: float = 30
    ) -> tuple[list[dict], list[FailedDocument]]:
        """Waits until so many documents are in the index and so many have failed; returns both."""

        def is_over() -> bool:
            counts = self.osmem.count(self.index), len(self.failures())
            assert counts[0] <= delivered and counts[1] <= failed, f"more than expected: {counts}"
            return counts == (delivered, failed)

        wait_until(is_over, f"{delivered} in the index, {failed} failed", timeout=timeout)
        return self.documents(), self.failures()

    def wait_for_failures(self, count: int, *, timeout: float = 30) -> list[FailedDocument]:
        """Waits for so many failed records; fails when there are more."""

        def enough() -> list[FailedDocument]:
            found = self.failures()
            assert len(found) <= count, f"more than {count} failed: {found[:5]}"
            return found if len(found) == count else []

        return wait_until(enough, f"{count} failed records of {self.stream}", timeout=timeout)


@dataclass
class SearchBench:
    """A server, the search server that its streams deliver to, and the folder of its transforms."""

    hydrant: Hydrant
    osmem: Osmem
    programs: Programs | None = None

    @property
    def client(self):
        """A boto3 client of the server."""
        return client_of(self.hydrant)

    def flow(
        self,
        faults: BulkFaults | None = None,
        *,
        path: str = "",
        endpoint: str | None = None,
        kind: str = OPENSEARCH,
        index: str | None = None,
        retry: int = 300,
        rotation: str | None = "NoRotation",
        hints: dict = AT_ONCE,
        bucket: Bucket | None = None,
        s3: dict | None = None,
        extra: dict | None = None,
        **members,
    ) -> SearchFlow:
        """Creates a stream to `faults`, or to osmem itself, at a path; what is None is left out.

        By default it delivers at once: what one batch put is in one buffer, and that alone.
        `s3` are members of its S3 configuration, `members` its own, `extra` those of the request.
        """
        index = index or fresh_name("index")
        bucket = bucket or FolderBucket(self.hydrant.data / "buckets", fresh_name("bucket"))
        endpoint = endpoint or f"{(faults or self.osmem).endpoint}{path}"
        stream = create_search_stream(
            self.client,
            bucket.arn,
            kind,
            ClusterEndpoint=endpoint,
            IndexName=index,
            BufferingHints=hints,
            RetryOptions={"DurationInSeconds": retry},
            s3=s3,
            **({"IndexRotationPeriod": rotation} if rotation else {}),
            **members,
            extra=extra,
        )
        return SearchFlow(self.hydrant, self.osmem, stream, index, bucket, kind, path)

    def flows(self, faults: BulkFaults, plans: dict[str, Plan], **members) -> dict[str, SearchFlow]:
        """Creates a stream for each plan, whose endpoints are told apart by their paths."""
        paths = {name: "/" + name.replace(" ", "-") for name in plans}
        faults.plans |= {paths[name]: plan for name, plan in plans.items()}
        return {name: self.flow(faults, path=paths[name], **members) for name in plans}
