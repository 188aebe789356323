"""The load: bodies of log-like records, signed requests, and wrk."""

import base64
import datetime
import hashlib
import hmac
import http.client
import json
import random
import socket
import subprocess
from dataclasses import dataclass
from pathlib import Path

RECORD_BYTES = 1024
REGION = "us-east-1"
ACCESS_KEY, SECRET_KEY = "bench", "bench-secret"
SCRIPT = Path(__file__).with_name("put.lua")


class LoadError(Exception):
    """An answer was not what it has to be."""


@dataclass(frozen=True)
class Body:
    """One request body, posted over and over."""

    operation: str
    records: int
    text: bytes
    marker: str  # a Lua pattern that a good answer holds

    @property
    def payload_bytes(self) -> int:
        """The decoded bytes of the records in one request."""
        return self.records * RECORD_BYTES

    @property
    def target(self) -> str:
        return f"Firehose_20150804.{self.operation}"


def make_bodies(stream: str) -> dict[str, Body]:
    """The two bodies of the benchmark: 500 records of 1 KB, and one."""
    rng = random.Random(20150804)
    records = [{"Data": base64.b64encode(log_line(rng)).decode()} for _ in range(500)]
    batch = {"DeliveryStreamName": stream, "Records": records}
    single = {"DeliveryStreamName": stream, "Record": records[0]}
    no_failure = '"FailedPutCount"%s*:%s*0[,}]'
    return {
        "500x1k": Body("PutRecordBatch", 500, json.dumps(batch).encode(), no_failure),
        "1x1k": Body("PutRecord", 1, json.dumps(single).encode(), '"RecordId"'),
    }


def log_line(rng: random.Random) -> bytes:
    """A line of 1,024 bytes that compresses about as application logs do."""
    services = ("checkout", "catalogue", "session", "search", "mailer", "invoices")
    events = ("request served", "cache miss", "retrying upstream", "job finished")
    line = f"2026-03-01T12:{rng.randrange(60):02}:{rng.random() * 60:09.6f}Z "
    line += f"{rng.choice(('INFO', 'INFO', 'INFO', 'WARN', 'DEBUG'))} "
    while len(line) < RECORD_BYTES:
        line += (
            f'service={rng.choice(services)} event="{rng.choice(events)}" '
            f"path=/v1/items/{rng.randrange(100_000)} status={rng.choice((200, 200, 304, 404))} "
            f"duration_ms={rng.random() * 300:.1f} trace={rng.getrandbits(64):016x} "
        )
    return line[: RECORD_BYTES - 1].encode() + b"\n"


def signed_headers(port: int, target: str, body: bytes) -> dict[str, str]:
    """The headers of a request, signed: good for as many requests as 15 minutes allow.

    All servers get them, also those that do not look at them, so that what looking costs is all
    that is between two loads.
    """
    stamp = datetime.datetime.now(datetime.timezone.utc).strftime("%Y%m%dT%H%M%SZ")
    headers = {
        "Content-Type": "application/x-amz-json-1.1",
        "Host": f"127.0.0.1:{port}",
        "X-Amz-Date": stamp,
        "X-Amz-Target": target,
    }
    names = ";".join(name.lower() for name in headers)
    values = "".join(f"{name.lower()}:{value}\n" for name, value in headers.items())
    canonical = f"POST\n/\n\n{values}\n{names}\n{hashlib.sha256(body).hexdigest()}"
    scope = f"{stamp[:8]}/{REGION}/firehose/aws4_request"
    digest = hashlib.sha256(canonical.encode()).hexdigest()
    key = f"AWS4{SECRET_KEY}".encode()
    for part in (*scope.split("/"), f"AWS4-HMAC-SHA256\n{stamp}\n{scope}\n{digest}"):
        key = hmac.digest(key, part.encode(), "sha256")
    parts = f"Credential={ACCESS_KEY}/{scope}, SignedHeaders={names}, Signature={key.hex()}"
    return headers | {"Authorization": f"AWS4-HMAC-SHA256 {parts}"}


def call(port: int, target: str, body: bytes) -> dict:
    """Sends one request and returns its answer; raises LoadError when it isn't a 200."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        connection.request("POST", "/", body, signed_headers(port, target, body))
        answer = connection.getresponse()
        text = answer.read().decode(errors="replace")
    finally:
        connection.close()
    if answer.status != 200:
        raise LoadError(f"{target} was answered with {answer.status}: {text[:300]}")
    return json.loads(text or "{}")


def put_all(port: int, body: Body, times: int) -> None:
    """Puts a body over and over on one connection, and reads as little of answers as will do."""
    head = f"POST / HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Amz-Target: {body.target}\r\n"
    head += f"Content-Type: application/x-amz-json-1.1\r\nContent-Length: {len(body.text)}\r\n"
    with socket.create_connection(("127.0.0.1", port)) as connection:
        answers = connection.makefile("rb")
        for _ in range(times):
            connection.sendall(head.encode() + b"\r\n" + body.text)
            status, length = answers.readline(), 0
            while (line := answers.readline()) != b"\r\n":
                if line.lower().startswith(b"content-length:"):
                    length = int(line[15:])
            answer = answers.read(length)
            if b" 200 " not in status or b'"FailedPutCount":0' not in answer:
                raise LoadError(f"{status!r} {answer[:200]!r}")


def run_wrk(wrk: str, port: int, body: Body, scratch: Path, connections: int, seconds: int) -> dict:
    """Posts `body` for `seconds`; returns what put.lua counted. Raises LoadError on bad answers."""
    file = scratch / f"{body.operation}.json"
    file.write_bytes(body.text)
    headers = signed_headers(port, body.target, body.text)
    command = [wrk, f"-t{min(2, connections)}", f"-c{connections}", f"-d{seconds}s"]
    command += ["--timeout", "30s", "-s", str(SCRIPT), f"http://127.0.0.1:{port}/", "--"]
    command += [str(file), body.marker, "16"]
    command += [part for header in headers.items() for part in header]
    run = subprocess.run(command, capture_output=True, text=True, timeout=seconds + 60)
    results = [line for line in run.stdout.splitlines() if line.startswith("result: ")]
    if not results:
        raise LoadError(f"wrk failed: {(run.stderr or run.stdout).strip()[:500]}")
    result = json.loads(results[0].removeprefix("result: "))
    bad = {name: result[name] for name in ("refused", "unmarked", "lost") if result[name]}
    if bad or not result["requests"] or not result["sampled"]:
        complaint = result["complaint"]
        raise LoadError(f"bad answers in {result['requests']} requests: {bad} {complaint}")
    return result
