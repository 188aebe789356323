"""Streams whose destination becomes one of another kind: each record reaches one of the two."""

import base64
import json
import re
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from background import InBackground
from buckets import Bucket, FolderBucket
from processors import backup
from server import Hydrant
from streams import AT_ONCE, ROLE_ARN, create_stream, destination, fresh_name, put
from updates import described, update
from waiting import wait_until

NUMBER = re.compile(rb'\{"n":(\d+),"pad":"x*"\}')

NEVER_CUT = {"SizeInMBs": 128, "IntervalInSeconds": 900}
"""A buffer that keeps its records in the log for as long as a test lasts."""

FIRST_SEGMENT_MEGABYTES = 8
"""The log of a stream begins with a file of that size, which goes once nothing needs it."""


def record(number: int, size: int = 1_000) -> bytes:
    """A JSON object on a line, which any destination takes."""
    text = b'{"n":%d,"pad":""}\n' % number
    return text[:-3] + b"x" * (size - len(text)) + text[-3:]


def numbers(content: bytes) -> list[int]:
    """The numbers of the records that a destination got."""
    lines = [line for line in content.split(b"\n") if line]
    found = [NUMBER.fullmatch(line) for line in lines]
    assert all(found), "a record is damaged"
    return [int(match[1]) for match in found]


# MARK: Where records arrive


class Receiver(InBackground):
    """Takes what HTTP endpoints, HEC and `_bulk` are sent, into memory."""

    def __init__(self) -> None:
        self.is_away = False
        """Whether requests are answered 503."""
        self.requests = 0
        self._content = bytearray()
        self._lock = threading.Lock()
        self._acknowledgements = count()
        super().__init__(_Server(("127.0.0.1", 0), _handler(self)))

    def numbers(self) -> list[int]:
        """The records that it took."""
        with self._lock:
            return numbers(bytes(self._content))

    def answer(self, path: str, body: bytes) -> tuple[int, dict]:
        """Takes a request's records; returns a status and JSON."""
        with self._lock:
            self.requests += 1
            if self.is_away:
                return 503, {"text": "the test wants this", "code": 9}
            match path:
                case "/records":
                    given = json.loads(body)
                    for each in given["records"]:
                        self._content += base64.b64decode(each["data"])
                    now = int(time.time() * 1_000)
                    return 200, {"requestId": given["requestId"], "timestamp": now}
                case "/services/collector/raw":
                    self._content += body
                    number = next(self._acknowledgements)
                    return 200, {"text": "Success", "code": 0, "ackId": number}
                case "/services/collector/ack":
                    asked = json.loads(body)["acks"]
                    return 200, {"acks": {str(each): True for each in asked}}
                case "/_bulk":
                    documents = body.split(b"\n")[1::2]
                    self._content += b"".join(each + b"\n" for each in documents)
                    items = [{"index": {"status": 201}} for _ in documents]
                    return 200, {"errors": False, "items": items}
            return 404, {"text": "not found", "code": 404}


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request, client_address) -> None:
        """Clients that are killed in the middle of a request are nothing to report."""


def _handler(receiver: Receiver) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def do_POST(self) -> None:
            length = int(self.headers["Content-Length"])
            body = self.rfile.read(length)
            if len(body) < length:
                self.close_connection = True
                return
            status, found = receiver.answer(urlsplit(self.path).path, body)
            answer = json.dumps(found).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_) -> None:
            pass

    return Handler


# MARK: Kinds, as an update names them


def s3(bucket: Bucket) -> tuple[str, dict]:
    """A bucket."""
    return "ExtendedS3", destination(bucket.arn)


def http_endpoint(receiver: Receiver, failed: Bucket) -> tuple[str, dict]:
    """An HTTP endpoint."""
    return "HttpEndpoint", {
        "EndpointConfiguration": {"Url": f"{receiver.endpoint}/records"},
        "BufferingHints": AT_ONCE,
        "RoleARN": ROLE_ARN,
        "S3Update": destination(failed.arn),
    }


def splunk(receiver: Receiver, failed: Bucket) -> tuple[str, dict]:
    """A HEC endpoint that takes records as they are."""
    return "Splunk", {
        "HECEndpoint": receiver.endpoint,
        "HECEndpointType": "Raw",
        "HECToken": "token",
        "BufferingHints": AT_ONCE,
        "S3Update": destination(failed.arn),
    }


def create(client, kind: str, members: dict) -> str:
    """Creates a stream that has a destination from the beginning; returns its name."""
    stream = fresh_name()
    given = {"S3Configuration" if n == "S3Update" else n: v for n, v in members.items()}
    client.create_delivery_stream(
        DeliveryStreamName=stream, **{f"{kind}DestinationConfiguration": given}
    )
    return stream


class Producer:
    """Puts numbered records, a batch at a time, until it is stopped."""

    def __init__(self, client, stream: str):
        self.sent = 0
        """How many records were acknowledged; their numbers are those below."""
        self._client = client
        self._stream = stream

    def put(self, records: int = 20, size: int = 1_000) -> None:
        """Puts the next records."""
        batch = [record(self.sent + each, size) for each in range(records)]
        put(self._client, self._stream, *batch)
        self.sent += records

    @contextmanager
    def going_on(self) -> Iterator[None]:
        """Puts one batch after another, all the time."""
        done = threading.Event()
        failures: list[BaseException] = []

        def produce() -> None:
            try:
                # A pace that leaves the machine to what is tested.
                while not done.wait(0.005):
                    self.put()
            except BaseException as error:
                failures.append(error)

        thread = threading.Thread(target=produce, daemon=True)
        thread.start()
        try:
            yield
        finally:
            done.set()
            thread.join()
        assert not failures, failures


def in_bucket(bucket: Bucket) -> Callable[[], list[int]]:
    """Gives the numbers of the records in a bucket."""
    return lambda: numbers(b"".join(bucket.contents()))


def wait_for_more(arrived: Callable[[], list[int]], what: str) -> None:
    """Waits until a destination has records that it did not have."""
    before = len(arrived())
    wait_until(lambda: len(arrived()) > before, f"more records {what}", timeout=60)


def assert_each_is_in_one(sent: int, *places: Callable[[], list[int]]) -> None:
    """Waits until all records have arrived, and checks that each did once, and something each."""

    def arrived() -> list[int]:
        return sorted(number for place in places for number in place())

    wait_until(lambda: len(arrived()) >= sent, f"{sent} records", timeout=60)
    assert arrived() == list(range(sent))
    assert all(place() for place in places)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """Where a test's records arrive, if not in S3."""
    with Receiver() as receiver:
        yield receiver


@pytest.fixture
def second_receiver() -> Iterator[Receiver]:
    """Another such."""
    with Receiver() as receiver:
        yield receiver


@pytest.fixture
def failed_bucket(hydrant: Hydrant) -> Iterator[FolderBucket]:
    """A bucket for records that no destination took; it stays empty."""
    bucket = FolderBucket(hydrant.data / "buckets", fresh_name("failed"))
    yield bucket
    assert bucket.keys() == []


# MARK: There and back


def test_from_s3_to_an_http_endpoint_and_back(client, folder_bucket, receiver, failed_bucket):
    stream = create_stream(client, folder_bucket.arn)
    producer = Producer(client, stream)
    bucket = in_bucket(folder_bucket)
    versions = count(1)
    with producer.going_on():
        wait_for_more(bucket, "in S3")
        for _ in range(3):
            kind, members = http_endpoint(receiver, failed_bucket)
            update(client, stream, str(next(versions)), kind=kind, **members)
            wait_for_more(receiver.numbers, "at the endpoint")
            kind, members = s3(folder_bucket)
            update(client, stream, str(next(versions)), kind=kind, **members)
            wait_for_more(bucket, "in S3")
    assert_each_is_in_one(producer.sent, bucket, receiver.numbers)


def test_from_an_http_endpoint_to_splunk_and_back(
    client, receiver, second_receiver, failed_bucket
):
    endpoint = http_endpoint(receiver, failed_bucket)
    stream = create(client, *endpoint)
    producer = Producer(client, stream)
    with producer.going_on():
        wait_for_more(receiver.numbers, "at the endpoint")
        kind, members = splunk(second_receiver, failed_bucket)
        update(client, stream, "1", kind=kind, **members)
        wait_for_more(second_receiver.numbers, "in Splunk")
        kind, members = endpoint
        update(client, stream, "2", kind=kind, **members)
        wait_for_more(receiver.numbers, "at the endpoint")
    assert_each_is_in_one(producer.sent, receiver.numbers, second_receiver.numbers)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("Elasticsearch", "Amazonopensearchservice"),
        ("Amazonopensearchservice", "Elasticsearch"),
    ],
)
def test_from_one_search_engine_to_the_other(
    client, receiver, second_receiver, failed_bucket, before, after
):
    """The rest of the configuration stays."""
    members = {
        "RoleARN": ROLE_ARN,
        "IndexName": "kinds",
        "ClusterEndpoint": receiver.endpoint,
        "BufferingHints": AT_ONCE,
        "S3Update": destination(failed_bucket.arn),
    }
    stream = create(client, before, members)
    producer = Producer(client, stream)
    with producer.going_on():
        wait_for_more(receiver.numbers, f"in {before}")
        update(client, stream, kind=after, ClusterEndpoint=second_receiver.endpoint)
        wait_for_more(second_receiver.numbers, f"in {after}")
    assert_each_is_in_one(producer.sent, receiver.numbers, second_receiver.numbers)
    assert described(client, stream, after)["IndexName"] == "kinds"


# MARK: What is on its way


@pytest.mark.parametrize("stop", [None, "sigkill"], ids=["running", "killed"])
def test_what_is_on_its_way_to_the_old_kind_arrives_there(start_hydrant, receiver, stop):
    """It may be there already: only what was not tried goes to the new destination."""
    hydrant = start_hydrant()
    client = hydrant.client()
    main, failed = [FolderBucket(hydrant.data / "buckets", name) for name in ("main", "failed")]
    receiver.is_away = True
    stream = create(client, *http_endpoint(receiver, failed))
    producer = Producer(client, stream)
    producer.put()
    wait_until(lambda: receiver.requests, "an attempt")
    kind, members = s3(main)
    update(client, stream, kind=kind, **members)
    producer.put()
    if stop:
        getattr(hydrant, stop)()
    receiver.is_away = False
    if stop:
        hydrant.start()
    assert_each_is_in_one(producer.sent, receiver.numbers, in_bucket(main))
    assert failed.keys() == []


# MARK: Source backup


def segments(hydrant: Hydrant, stream: str) -> set[Path]:
    """The files that a stream's log consists of."""
    (folder,) = hydrant.data.glob(f"streams/{stream}*/log")
    return set(folder.glob("*.segment"))


def test_a_backup_of_s3_ends_with_the_kind_and_keeps_no_log(
    client, hydrant, folder_bucket, receiver, failed_bucket
):
    """The records that it was yet to have are let go of as soon as they are delivered."""
    copies = FolderBucket(hydrant.data / "buckets", fresh_name("copies"))
    waiting = backup(copies.arn, BufferingHints=NEVER_CUT)
    stream = create_stream(client, folder_bucket.arn, **waiting)
    producer = Producer(client, stream)
    bucket = in_bucket(folder_bucket)
    for _ in range(FIRST_SEGMENT_MEGABYTES + 2):
        producer.put(records=100, size=10_000)
    wait_until(lambda: len(bucket()) == producer.sent, "all records in S3")
    before = segments(hydrant, stream)
    assert len(before) > 1, "the backup does not need the log"

    with producer.going_on():
        kind, members = http_endpoint(receiver, failed_bucket)
        update(client, stream, kind=kind, **members)
        wait_for_more(receiver.numbers, "at the endpoint")
    assert_each_is_in_one(producer.sent, bucket, receiver.numbers)
    wait_until(lambda: len(segments(hydrant, stream)) == 1, "the log to shrink")
    assert segments(hydrant, stream) < before
    assert copies.keys() == []


def test_a_backup_that_ended_begins_anew_with_s3(
    client, hydrant, folder_bucket, receiver, failed_bucket
):
    """It has what was put since, and nothing of what it never had."""
    copies = FolderBucket(hydrant.data / "buckets", fresh_name("copies"))
    waiting = backup(copies.arn, BufferingHints=NEVER_CUT)
    stream = create_stream(client, folder_bucket.arn, **waiting)
    producer = Producer(client, stream)
    producer.put()
    wait_until(lambda: len(in_bucket(folder_bucket)()) == producer.sent, "the first records")
    kind, members = http_endpoint(receiver, failed_bucket)
    update(client, stream, kind=kind, **members)
    producer.put()
    wait_until(lambda: len(receiver.numbers()) == 20, "the next records")
    kind, members = s3(folder_bucket)
    renewed = {"S3BackupMode": "Enabled", "S3BackupUpdate": destination(copies.arn)}
    update(client, stream, "2", kind=kind, **members, **renewed)
    producer.put()
    assert_each_is_in_one(producer.sent, in_bucket(folder_bucket), receiver.numbers)
    copied = in_bucket(copies)
    wait_until(lambda: len(copied()) >= 20, "the backup")
    assert copied() == list(range(40, 60))
