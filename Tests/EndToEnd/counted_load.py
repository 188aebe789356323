"""A load with failures on purpose, and how often everything really happened in it.

It is counted by what clients were answered, by what receivers got, by objects, documents and files;
never by what the server says of itself.
"""

import json
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from botocore.exceptions import ClientError

from answers import Answers
from buckets import S3Bucket
from bulk_faults import BulkFaults
from endpoint_streams import LOG_FORMAT, EndpointBench, EndpointFlow, texts
from firehose_receiver import FirehoseReceiver, Reply, Request
from firehose_replies import refusal
from osmem import STORED_LONG, Osmem
from ports import free_port
from processed import DECOMPRESSION_FOLDER, IN_ONE_OBJECT
from processors import CONTROL_MESSAGE, DECOMPRESSION, LOG_MESSAGES, packed_log
from seaweed import SeaweedFS, fresh_bucket_name
from search_streams import SearchBench, SearchFlow, numbered
from server import Hydrant
from splunk_receiver import SplunkReceiver, says
from streams import ROLE_ARN, create_stream, destination, fresh_name, put
from transform_programs import Programs
from transforms import Bench, Flow, client_of, is_failure, log_lines, processing
from waiting import WaitedTooLong, wait_until

S3, OPENSEARCH, ENDPOINT = "S3", "OpenSearch", "HTTP endpoint"
SPLUNK, REDSHIFT, BACKUP = "Splunk", "Redshift", "backup"
"""Destinations as the dashboard calls them."""

RETRY_SECONDS = 2
"""How long objects are tried."""

LIMIT = 5
"""Records a second that the limited stream takes."""

OPTIONS = (
    *LOG_FORMAT,
    *("--s3-retry-duration", str(RETRY_SECONDS)),
    *("--stream-limit", f"limited-*:records={LIMIT}"),
)

LOUD = ("warning", "error", "critical")
"""Levels of log lines that somebody should look at."""

FAILED_ONCE = "S3 PUT failed; retrying"

TRANSFORM = """
def handle(event):
    if any(b"die" in content(each) for each in event["records"]) and not any(
        "dies" in each for each in traced()
    ):
        trace(dies=True)
        os._exit(1)
    answers = [judge(each) for each in event["records"]]
    pairs = zip(event["records"], answers)
    ok = [len(content(record)) for record, said in pairs if said["result"] == "Ok"]
    trace(ok=len(ok), ok_bytes=sum(ok))
    return {"records": answers}

def judge(record):
    data = content(record)
    if b"drop" in data:
        return answer(record, result="Dropped")
    if b"fail" in data:
        return answer(record, result="ProcessingFailed")
    return answer(record, data.replace(b"keep", b"kept it"))
"""
"""Drops, fails and lengthens records by their words, and ends the first time it is to die."""


REFUSED = b'{"n":"not a number"}'
"""A document that the index does not take."""


@dataclass
class Delivered:
    """What a destination took of a stream."""

    records: int
    bytes: int
    requests: int
    succeeded: int


@dataclass
class Truth:
    """How often everything happened. What is not in a counter did not happen."""

    answers: Answers
    deliveries: dict[tuple[str, str], Delivered] = field(default_factory=dict)
    """By stream and destination."""
    failed: Counter[tuple[str, str]] = field(default_factory=Counter)
    """By stream and error output type."""
    dropped: Counter[str] = field(default_factory=Counter)
    set_aside: Counter[str] = field(default_factory=Counter)
    retries: Counter[tuple[str, str]] = field(default_factory=Counter)
    """By stream and pipeline."""
    copy_failures: Counter[tuple[str, str]] = field(default_factory=Counter)
    """By stream and code."""
    invocations: Counter[str] = field(default_factory=Counter)
    succeeded: Counter[str] = field(default_factory=Counter)
    """Invocations that were answered."""
    ok: Counter[str] = field(default_factory=Counter)
    ok_bytes: Counter[str] = field(default_factory=Counter)
    """Of the records before the transform."""
    starts: Counter[str] = field(default_factory=Counter)
    log_lines: Counter[str] = field(default_factory=Counter)
    """Lines of the log that are worth a look, by level."""

    def delivered(self) -> Counter[str]:
        """Records that are where they belong, by stream."""
        found: Counter[str] = Counter()
        for (stream, place), each in self.deliveries.items():
            passes_by = place == S3 and (stream, REDSHIFT) in self.deliveries
            if place != BACKUP and not passes_by:
                found[stream] += each.records
        return found


class CountedLoad:
    """Streams to everything there is, and the records that are put into them round by round."""

    def __init__(
        self,
        hydrant: Hydrant,
        programs: Programs,
        seaweed: SeaweedFS,
        osmem: Osmem,
        faults: BulkFaults,
        http: FirehoseReceiver,
        splunk: SplunkReceiver,
    ):
        self.hydrant = hydrant
        self.seaweed = seaweed
        self.client = client_of(hydrant)
        self.answers = Answers(self.client)
        self._programs = programs
        self._osmem = osmem
        self._faults = faults
        self._endpoints = EndpointBench(hydrant, http, splunk)
        self.control_messages = 0
        self._make_object_streams()
        self._make_record_streams()
        self._make_warehouse_stream()

    # MARK: Streams

    def _bucket(self) -> S3Bucket:
        return S3Bucket(self.seaweed, self.seaweed.create_bucket())

    def _make_object_streams(self) -> None:
        self.plain_bucket, self.logs_bucket = self._bucket(), self._bucket()
        self.limited_bucket = self._bucket()
        create = partial(create_stream, self.client)
        self.plain = create(self.plain_bucket.arn, name=fresh_name("plain"))
        self.limited = create(self.limited_bucket.arn, name=fresh_name("limited"))
        self.away = create(f"arn:aws:s3:::{fresh_bucket_name()}", name=fresh_name("away"))
        self.logs = create(
            self.logs_bucket.arn,
            name=fresh_name("logs"),
            BufferingHints=IN_ONE_OBJECT,
            **processing(DECOMPRESSION, LOG_MESSAGES),
        )
        transform = self._programs.write("worker", TRANSFORM)
        bench = Bench(self.hydrant, self._programs)
        self.transformed: Flow = bench.flow(transform, bucket=self._bucket())

    def _make_record_streams(self) -> None:
        search = SearchBench(self.hydrant, self._osmem)
        self.search: SearchFlow = search.flow(
            self._faults, bucket=self._bucket(), S3BackupMode="AllDocuments"
        )
        self._osmem.create_index(self.search.index, n=STORED_LONG)
        # One answers "later" now and then, the other is never asked again.
        self.patient: EndpointFlow = self._endpoints.http_flow(
            bucket=self._bucket(), place={"plan": _every(3, 503)}
        )
        self.strict: EndpointFlow = self._endpoints.http_flow(
            bucket=self._bucket(), place={"plan": _by_number({1: 500, 2: 413, 4: 500})}, retry=0
        )
        self.splunk: EndpointFlow = self._endpoints.splunk_flow(
            bucket=self._bucket(),
            token={"plan": lambda post: says(7) if post.number in (1, 3, 5) else None},
            retry=0,
        )

    def _make_warehouse_stream(self) -> None:
        """A stream to a warehouse that is not there."""
        self.warehouse, self.warehouse_bucket = fresh_name("warehouse"), self._bucket()
        self.client.create_delivery_stream(
            DeliveryStreamName=self.warehouse,
            RedshiftDestinationConfiguration={
                "RoleARN": ROLE_ARN,
                "ClusterJDBCURL": f"jdbc:redshift://127.0.0.1:{free_port()}/db",
                "CopyCommand": {"DataTableName": "t"},
                "Username": "user",
                "Password": "password",
                "RetryOptions": {"DurationInSeconds": 0},
                "S3Configuration": destination(self.warehouse_bucket.arn),
            },
        )

    @property
    def streams(self) -> set[str]:
        """The names of all streams."""
        flows = (self.transformed, self.search, self.patient, self.strict, self.splunk)
        names = (self.plain, self.limited, self.away, self.logs, self.warehouse)
        return {*names, *(each.stream for each in flows)}

    # MARK: Records

    def put_round(self, number: int) -> None:
        """Puts records into every stream, and asks some things that are refused."""
        give = partial(put, self.client)
        text = f"round {number} record "
        for each in texts(2, text):
            self.client.put_record(DeliveryStreamName=self.plain, Record={"Data": each})
        give(self.plain, *texts(20 + number, text))
        words = ["keep", "drop", "fail", "keep", "drop", "keep", "die" if number == 3 else "keep"]
        self.transformed.put(*(f"{word} {text}{n}\n".encode() for n, word in enumerate(words)))
        good = packed_log(f"{text}of a log")
        give(self.logs, good, CONTROL_MESSAGE, b"garbage", CONTROL_MESSAGE, good)
        self.control_messages += 2
        self.search.put(*numbered(5, round=number), REFUSED, b"{not JSON}")
        for flow in (self.patient, self.strict):
            flow.put(*texts(4, text))
        self.splunk.put(*texts(6, text))
        give(self.warehouse, *texts(3, text))
        if number == 0:
            give(self.away, *texts(7, text))
        self._put_too_much(text)
        self._ask_in_vain()

    def _put_too_much(self, text: str) -> None:
        records = [{"Data": each} for each in texts(3 * LIMIT, text)]
        self.client.put_record_batch(DeliveryStreamName=self.limited, Records=records)
        for _ in range(2):
            record = {"Data": b"too much\n"}
            _refused(self.client.put_record, DeliveryStreamName=self.limited, Record=record)

    def _ask_in_vain(self) -> None:
        missing = fresh_name("missing")
        self.client.list_delivery_streams()
        self.client.describe_delivery_stream(DeliveryStreamName=self.plain)
        _refused(self.client.describe_delivery_stream, DeliveryStreamName=missing)
        _refused(self.client.put_record, DeliveryStreamName=missing, Record={"Data": b"x"})

    # MARK: What happened

    def settle(self, *, timeout: float = 60) -> Truth:
        """Waits until every record is where it ends up; returns what happened."""
        missing: dict = {}

        def is_over() -> Truth | None:
            found = self._look()
            missing.clear()
            missing.update(self._missing(found))
            assert min(missing.values(), default=0) >= 0, f"more than was put: {missing}"
            return None if missing else found

        try:
            return wait_until(is_over, "the end of the load", timeout=timeout, pause=0.2)
        except WaitedTooLong as error:
            raise WaitedTooLong(f"{error}; missing: {missing}") from None

    def _missing(self, found: Truth) -> dict[str, int]:
        """How many records are nowhere yet, by stream, and how many copies and COPYs there are
        not."""
        ends = found.delivered() + found.dropped + found.set_aside
        for (stream, _), count in found.failed.items():
            ends[stream] += count
        # What a warehouse does not load stays in its bucket.
        ends[self.warehouse] += found.deliveries[self.warehouse, S3].records
        put = Counter(self.answers.records)
        put["copies"] = put[self.search.stream]
        ends["copies"] = found.deliveries[self.search.stream, BACKUP].records
        put["COPYs"] = self.answers.puts[self.warehouse]
        ends["COPYs"] = sum(found.copy_failures.values())
        return {each: put[each] - ends[each] for each in put if put[each] != ends[each]}

    def _look(self) -> Truth:
        found = Truth(self.answers)
        self._look_at_objects(found)
        self._look_at_transforms(found)
        self._look_at_search(found)
        self._look_at_endpoints(found)
        self._look_at_warehouse(found)
        for stream in (self.away, self.strict.stream):
            if kept := _files(self.hydrant.data / "set-aside" / stream):
                found.set_aside[stream] = sum(each.count(b"\n") for each in kept)
        levels = [json.loads(line)["level"] for line in self.hydrant.log().splitlines()]
        found.log_lines = Counter(each for each in levels if each in LOUD)
        return found

    def _look_at_objects(self, found: Truth) -> None:
        for stream, bucket in (
            (self.plain, self.plain_bucket),
            (self.limited, self.limited_bucket),
            (self.transformed.stream, self.transformed.bucket),
            (self.logs, self.logs_bucket),
        ):
            keys = [key for key in bucket.keys() if not _is_failed(key)]
            contents = [bucket.content(key) for key in keys]
            tries = len(log_lines(self.hydrant, FAILED_ONCE, stream=stream))
            found.retries[stream, "source"] += tries
            found.deliveries[stream, S3] = _of_lines(contents, len(keys) + tries, len(keys))
        tries = len(log_lines(self.hydrant, FAILED_ONCE, stream=self.away))
        found.retries[self.away, "source"] = tries
        found.deliveries[self.away, S3] = Delivered(0, 0, tries + 1, 0)

    def _look_at_transforms(self, found: Truth) -> None:
        flow = self.transformed
        traces = self._programs.traces
        found.dropped[flow.stream] = sum(b"drop" in each for each in flow.records)
        found.failed[flow.stream, "processing-failed"] = len(flow.failures())
        found.invocations[flow.stream] = len(self._programs.events(flow.transform))
        answered = traces(flow.transform, "ok")
        found.succeeded[flow.stream] = len(answered)
        found.ok[flow.stream] = sum(each["ok"] for each in answered)
        found.ok_bytes[flow.stream] = sum(each["ok_bytes"] for each in answered)
        found.starts[flow.stream] = len(traces(flow.transform, "start"))
        found.dropped[self.logs] = self.control_messages
        failed = [each for each in self.logs_bucket.keys() if DECOMPRESSION_FOLDER in each]
        lines = sum(self.logs_bucket.raw(key).count(b"\n") for key in failed)
        found.failed[self.logs, "decompression-failed"] = lines

    def _look_at_search(self, found: Truth) -> None:
        flow = self.search
        failed = flow.failures()
        found.failed[flow.stream, "AmazonOpenSearchService-failed"] = len(failed)
        size = sum(map(len, flow.records)) - sum(len(each.raw) for each in failed)
        requests = list(self._faults.requests)
        good = [each for each in requests if each.status == 200]
        found.deliveries[flow.stream, OPENSEARCH] = Delivered(
            self._osmem.count(flow.index), size, len(requests), len(good)
        )
        copies = [key for key in flow.bucket.keys() if not _is_failed(key)]
        contents = [flow.bucket.content(key) for key in copies]
        found.deliveries[flow.stream, BACKUP] = Delivered(
            # Every record has exactly one.
            sum(each.count(b"}") for each in contents),
            sum(map(len, contents)),
            len(copies),
            len(copies),
        )

    def _look_at_endpoints(self, found: Truth) -> None:
        for flow in (self.patient, self.strict):
            taken, requests = flow.place.taken(), list(flow.place.requests)
            records = flow.place.records()
            found.deliveries[flow.stream, ENDPOINT] = Delivered(
                len(records), sum(map(len, records)), len(requests), len(taken)
            )
            found.failed[flow.stream, "http-endpoint-failed"] = len(flow.failures())
        again = len(self.patient.place.requests) - self.patient.place.firsts
        found.retries[self.patient.stream, "source"] = again
        bodies = self.splunk.token.bodies()
        posts = len(self.splunk.token.posts)
        found.deliveries[self.splunk.stream, SPLUNK] = _of_lines(bodies, posts, len(bodies))
        found.failed[self.splunk.stream, "splunk-failed"] = len(self.splunk.failures())

    def _look_at_warehouse(self, found: Truth) -> None:
        keys = self.warehouse_bucket.keys()
        given_up = [key for key in keys if key.startswith("errors/manifests/")]
        objects = [key for key in keys if "manifests/" not in key]
        contents = [self.warehouse_bucket.content(key) for key in objects]
        found.deliveries[self.warehouse, S3] = _of_lines(contents, len(objects), len(objects))
        found.deliveries[self.warehouse, REDSHIFT] = Delivered(0, 0, len(given_up), 0)
        found.copy_failures[self.warehouse, "Redshift.ConnectionFailed"] = len(given_up)


def _of_lines(contents: list[bytes], requests: int, succeeded: int) -> Delivered:
    """What was delivered where each record is a line."""
    lines = sum(each.count(b"\n") for each in contents)
    return Delivered(lines, sum(map(len, contents)), requests, succeeded)


def _is_failed(key: str) -> bool:
    return is_failure(key) or "-failed/" in key


def _files(folder: Path) -> list[bytes]:
    return [each.read_bytes() for each in folder.rglob("*") if each.is_file()]


def _refused(call: Callable, **members: object) -> None:
    try:
        call(**members)
    except ClientError:
        return


def _every(count: int, status: int) -> Callable:
    """A plan that has every so manieth request fail."""
    return lambda request: refusal(status) if request.number % count == 1 else None


def _by_number(statuses: dict[int, int]) -> Callable:
    """A plan that has some requests fail, by their numbers."""

    def plan(request: Request) -> Reply | None:
        status = statuses.get(request.number)
        return refusal(status) if status else None

    return plan
