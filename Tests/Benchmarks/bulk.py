"""Measures what it costs Hydrant to deliver documents to `_bulk`, without what putting them costs.

    python3 Tests/Benchmarks/bulk.py --binary .build/release/hydrant

README.md beside this file tells how to read what it prints.
"""

import argparse
import base64
import http.server
import json
import random
import resource
import socketserver
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from load import RECORD_BYTES, Body, LoadError, put_all
from servers import STREAM, Hydrant

MARK = 3.0  # CPU s/GB of documents
BATCHES = 2000  # of 500 documents of 1,024 bytes: a gigabyte
PATIENCE_SECONDS = 300
PIECE_BYTES = 1 << 20
ITEM = b'{"index":{"status":201}}'


class Sink(socketserver.ThreadingTCPServer):
    """A `_bulk` that takes every document and keeps none, at as little cost as will do."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Sink.Handler)
        self.documents = self.requests = self.received_bytes = 0
        self.complaint = ""
        self._lock = threading.Lock()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def took(self, documents: int, count: int) -> None:
        with self._lock:
            self.documents += documents
            self.requests += 1
            self.received_bytes += count

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def do_POST(self) -> None:
            length = left = int(self.headers["Content-Length"])
            lines, begins = 0, b""
            while left and (piece := self.rfile.read(min(left, PIECE_BYTES))):
                begins = begins or piece[:20]
                left -= len(piece)
                lines += piece.count(b"\n")
            if left:
                self.close_connection = True
                return
            if lines % 2 or not begins.startswith(b'{"index":{"_index":"'):
                self.server.complaint = f"{lines} lines that begin with {begins!r}"
            items = b",".join([ITEM] * (lines // 2))
            answer = b'{"errors":false,"items":[' + items + b"]}"
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.server.took(lines // 2, length)  # first: who has the answer may ask for the sum
            self.wfile.write(answer)

        def log_message(self, *_) -> None:
            pass


@contextmanager
def sinking() -> Iterator[Sink]:
    """A sink that serves while the block lasts."""
    with Sink() as sink:
        threading.Thread(target=sink.serve_forever, daemon=True).start()
        try:
            yield sink
        finally:
            sink.shutdown()


class SearchHydrant(Hydrant):
    """A server whose stream is for a search engine, and delivers only once it is told where to.

    Until then the domain is one that only AWS could find, so that nothing of the delivery, not even
    an attempt, is done while documents are put.
    """

    def __init__(self, binary: str, folder: Path):
        super().__init__(binary, folder, None, "UNCOMPRESSED")
        self.command += ["--accept-undeliverable"]

    def prepare(self) -> None:
        role = "arn:aws:iam::000000000000:role/firehose"
        destination = {
            "RoleARN": role,
            "DomainARN": "arn:aws:es:us-east-1:000000000000:domain/nowhere",
            "IndexName": "bench",
            "BufferingHints": {"SizeInMBs": 5, "IntervalInSeconds": 1},
            "S3Configuration": {"RoleARN": role, "BucketARN": "arn:aws:s3:::bench"},
        }
        kind = "AmazonopensearchserviceDestinationConfiguration"
        self.ask("CreateDeliveryStream", {"DeliveryStreamName": STREAM, kind: destination})

    def deliver_to(self, url: str) -> None:
        """Begins the delivery of all that was put."""
        request = {
            "DeliveryStreamName": STREAM,
            "CurrentDeliveryStreamVersionId": "1",
            "DestinationId": "destinationId-000000000001",
            "AmazonopensearchserviceDestinationUpdate": {"ClusterEndpoint": url},
        }
        self.ask("UpdateDestination", request)

    def rest(self) -> float:
        """Waits until the server does no more; returns the CPU time that it used by then."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        before = -1.0
        while (used := self.cpu_seconds()) > before:
            if time.monotonic() > deadline:
                raise LoadError("the server does not come to rest")
            before = used
            time.sleep(0.5)
        return used


def make_documents() -> Body:
    """500 lines of a log in JSON, of 1,024 bytes each."""
    rng = random.Random(20150804)
    records = [{"Data": base64.b64encode(document(rng)).decode()} for _ in range(500)]
    text = json.dumps({"DeliveryStreamName": STREAM, "Records": records}).encode()
    return Body("PutRecordBatch", 500, text, "")


def document(rng: random.Random) -> bytes:
    """A log line as an object on one line, with what has to be escaped in it."""
    fields = {
        "@timestamp": f"2026-03-01T12:{rng.randrange(60):02}:{rng.random() * 60:09.6f}Z",
        "level": rng.choice(("INFO", "INFO", "INFO", "WARN", "DEBUG")),
        "service": rng.choice(("checkout", "catalogue", "session", "search", "mailer")),
        "http": {"status": rng.choice((200, 200, 304, 404)), "path": f"/v1/{rng.randrange(10**5)}"},
        "duration_ms": round(rng.random() * 300, 1),
        "message": 'request "served"\n',
    }
    while len(json.dumps(fields)) < RECORD_BYTES - 40:
        fields["message"] += f"span={rng.getrandbits(64):016x} retries={rng.randrange(3)} "
    fields["message"] += "." * (RECORD_BYTES - len(json.dumps(fields)))
    return json.dumps(fields).encode()


def measure(binary: str, folder: Path, body: Body, batches: int) -> dict:
    """Puts all documents, then has them delivered, and gives what each of the two took."""
    documents, payload = body.records * batches, body.payload_bytes * batches
    with sinking() as sink, SearchHydrant(binary, folder) as server:
        server.check(body)
        start = server.rest()
        put_all(server.port, body, batches - 1)
        ingested = server.rest()
        began = time.monotonic()
        server.deliver_to(sink.url)
        while sink.documents < documents:
            if time.monotonic() > began + PATIENCE_SECONDS:
                raise LoadError(f"only {sink.documents} of {documents} documents arrived")
            time.sleep(0.02)
        seconds = time.monotonic() - began
        delivered = server.rest()
        peak = server.peak_rss_mb()
        if sink.documents != documents or sink.complaint:
            raise LoadError(f"{sink.documents} of {documents} documents: {sink.complaint}")
        return {
            "cpu_s_per_gb": (delivered - ingested) / payload * 1e9,
            "ingest_cpu_s_per_gb": (ingested - start) / payload * 1e9,
            "mb_per_s": payload / seconds / 1e6,
            "mb_per_request": sink.received_bytes / sink.requests / 1e6,
            "peak_rss_mb": peak,
        }


def measure_curl(folder: Path, body: Body, batches: int) -> float:
    """CPU s/GB of documents of a client that only sends such bodies, ten megabytes each."""
    documents = [base64.b64decode(each["Data"]) for each in json.loads(body.text)["Records"]]
    action = b'{"index":{"_index":"bench-2026-03-01","_id":"' + b"0" * 32 + b'"}}\n'
    times = 18  # as many documents as go into 10 MB with their actions
    file = folder / "bulk.ndjson"
    file.write_bytes(b"".join(action + each + b"\n" for each in documents) * times)
    requests = max(1, batches // times)
    with sinking() as sink:
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        command = ["curl", "-sS", "-o", "/dev/null", "--noproxy", "*", "-H", "Expect:"]
        command += ["-H", "Content-Type: application/x-ndjson", "--data-binary", f"@{file}"]
        subprocess.run([*command, f"{sink.url}/_bulk?[1-{requests}]"], check=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        if sink.documents != requests * times * body.records:
            raise LoadError(f"curl sent {sink.documents} documents")
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return cpu / (requests * times * body.payload_bytes) * 1e9


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--binary", required=True, help="the release build of hydrant")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--batches", type=int, default=BATCHES, help="of 500 documents of 1 KB")
    parser.add_argument("--check", action="store_true", help="fail when the mark is missed")
    options = parser.parse_args()
    if options.rounds < 1 or options.batches < 2:
        parser.error("--rounds is at least 1, --batches at least 2")
    binary = str(Path(options.binary).resolve())
    body = make_documents()
    base = Path.cwd() / ".build" / "bench"
    base.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="run-", dir=base, ignore_cleanup_errors=True) as run:
        found, floors = [], []
        for number in range(options.rounds):
            found.append(measure(binary, Path(run) / str(number), body, options.batches))
            floors.append(measure_curl(Path(run), body, options.batches))
    median = {key: statistics.median(each[key] for each in found) for key in found[0]}
    costs = [each["cpu_s_per_gb"] for each in found]
    cost, floor = median["cpu_s_per_gb"], statistics.median(floors)
    is_met = cost <= MARK
    print(
        f"{'met' if is_met else 'MISSED'}: _bulk without compression, ingest aside: {cost:.2f} CPU "
        f"s/GB of documents ({min(costs):.2f} to {max(costs):.2f}), at most {MARK:g}: "
        f"{cost / MARK:.2f} of the mark; curl that sends the same {floor:.2f}; "
        f"{median['mb_per_s']:.0f} MB/s, {median['mb_per_request']:.1f} MB a request, "
        f"peak RSS {max(each['peak_rss_mb'] for each in found):.0f} MB; "
        f"ingest {median['ingest_cpu_s_per_gb']:.2f} CPU s/GB"
    )
    return 1 if options.check and not is_met else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except LoadError as error:
        sys.exit(f"bulk.py: {error}")
