"""Measures what transforming costs Hydrant itself, and how fast some transforms are.

    python3 Tests/Benchmarks/transforms.py --binary .build/release/hydrant

README.md beside this file tells how to read what it prints.
"""

import argparse
import http.server
import socketserver
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import ExitStack
from pathlib import Path

from load import Body, LoadError, make_bodies, put_all
from servers import STREAM, TICKS, Hydrant, stat_fields

REPOSITORY = Path(__file__).resolve().parents[2]
MARK = 4.0  # CPU s/GB that a transform adds to the server, its child aside
BATCHES = 1000  # of 500 KB: a few hundred invocations, a few objects

# What the child and the client take from the same cores would be in the server's figures as well, as
# waiting for memory: so both do as little as they can.
IDENTITY = """\
import Glibc

let name = Array("{\\"recordId\\"".utf8), result = Array("{\\"result\\":\\"Ok\\",\\"recordId\\"".utf8)
var line: UnsafeMutablePointer<CChar>?
var room = 0
setvbuf(stdout, nil, _IOFBF, 1 << 20)
while true {
    let count = getline(&line, &room, stdin)
    guard count > 0, let line else { break }
    var place = 0
    while let found = strstr(line + place, "{\\"recordId\\"") {
        fwrite(line + place, 1, found - (line + place), stdout)
        fwrite(result, 1, result.count, stdout)
        place = found - line + name.count
    }
    fwrite(line + place, 1, count - place, stdout)
    fflush(stdout)
}
"""

READY_MADE = (
    ("filter-errors", "shell and jq, once", "sample.txt"),
    ("apache-to-json", "Python, worker", "sample.txt"),
    ("enrich", "Swift, worker", "sample.txt"),
)


class Sink(socketserver.ThreadingTCPServer):
    """An S3 that takes every object and keeps none: what a disk costs is not in the figures."""

    daemon_threads = True
    received = 0

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_PUT(self) -> None:
            left = int(self.headers["Content-Length"])
            while left and (part := self.rfile.read(min(left, 1 << 20))):
                left -= len(part)
                self.server.received += len(part)
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_) -> None:
            pass


class TransformingHydrant(Hydrant):
    """A server with one stream, transformed or not, whose S3 is a sink."""

    def __init__(self, binary: str, folder: Path, program: bool, sink: Sink, identity: Path):
        super().__init__(binary, folder, None, "UNCOMPRESSED")
        self.program, self.identity = program, identity
        at = self.command.index("--s3-endpoint")
        self.command[at + 1] = f"http://127.0.0.1:{sink.server_address[1]}"
        self.command += ["--transforms", str(folder / "transforms")]

    def prepare(self) -> None:
        transforms = self.folder / "transforms"
        transforms.mkdir()
        (transforms / "identity.worker").symlink_to(self.identity)
        destination = {
            "RoleARN": "arn:aws:iam::000000000000:role/firehose",
            "BucketARN": "arn:aws:s3:::bench",
            "BufferingHints": {"SizeInMBs": 64, "IntervalInSeconds": 5},
        }
        if self.program:
            values = {
                "LambdaArn": "identity.worker",
                "BufferSizeInMBs": "1",
                "BufferIntervalInSeconds": "1",
            }
            parameters = [{"ParameterName": n, "ParameterValue": v} for n, v in values.items()]
            processor = {"Type": "Lambda", "Parameters": parameters}
            destination["ProcessingConfiguration"] = {"Enabled": True, "Processors": [processor]}
        request = {"DeliveryStreamName": STREAM, "ExtendedS3DestinationConfiguration": destination}
        self.ask("CreateDeliveryStream", request)

    def own_cpu_seconds(self) -> float:
        """User and system time of the server alone."""
        fields = stat_fields(self.process.pid)
        return (int(fields[11]) + int(fields[12])) / TICKS


def measure(binary: str, folder: Path, program: bool, body: Body, identity: Path) -> dict:
    """Puts the load, waits until all of it is delivered, and gives what that took."""
    with ExitStack() as stack:
        sink = stack.enter_context(Sink(("127.0.0.1", 0), Sink.Handler))
        threading.Thread(target=sink.serve_forever, daemon=True).start()
        stack.callback(sink.shutdown)
        server = stack.enter_context(TransformingHydrant(binary, folder, program, sink, identity))
        server.check(body)  # starts the program
        payload = body.payload_bytes * BATCHES
        before, start = server.own_cpu_seconds(), time.monotonic()
        put_all(server.port, body, BATCHES)
        deadline = time.monotonic() + 120
        while sink.received < payload + body.payload_bytes:
            if time.monotonic() > deadline:
                raise LoadError(f"only {sink.received} of {payload} bytes arrived")
            time.sleep(0.1)
        seconds = time.monotonic() - start
        cpu = server.own_cpu_seconds() - before
        assert sink.received == payload + body.payload_bytes
    return {"cpu_s_per_gb": cpu / payload * 1e9, "mb_per_s": payload / seconds / 1e6}


def bench_ready_made(binary: str, name: str, sample: str, seconds: int, folder: Path) -> str:
    """What `hydrant transform run --bench` says about a transform, on its sample many times over."""
    home = REPOSITORY / "transforms" / name
    if (home / "Makefile").exists():
        subprocess.run(["make", "-s", "-C", str(home)], check=True)
    text = (home / sample).read_bytes()
    lines = folder / f"{name}.txt"
    lines.write_bytes(text * max(1, 1_000_000 // len(text)))
    command = [binary, "transform", "run", name, "--input", str(lines), "--bench"]
    command += ["--seconds", str(seconds), "--transforms", str(home.parent)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise LoadError(f"{name}: {done.stderr.strip()}")
    return done.stdout.strip()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--binary", required=True, help="the release build of hydrant")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=int, default=3, help="for each ready-made transform")
    parser.add_argument("--check", action="store_true", help="fail when the mark is missed")
    options = parser.parse_args()
    binary = str(Path(options.binary).resolve())
    body = make_bodies(STREAM)["500x1k"]
    base = Path.cwd() / ".build" / "bench"
    base.mkdir(parents=True, exist_ok=True)
    found = {False: [], True: []}
    with tempfile.TemporaryDirectory(prefix="run-", dir=base, ignore_cleanup_errors=True) as run:
        source, identity = Path(run) / "main.swift", Path(run) / "identity"
        source.write_text(IDENTITY)
        subprocess.run(["swiftc", "-O", "-o", str(identity), str(source)], check=True)
        for number in range(options.rounds):
            for program in ((False, True), (True, False))[number % 2]:
                folder = Path(run) / f"{number}-{program}"
                found[program].append(measure(binary, folder, program, body, identity))
        print("| stream | CPU s/GB of the server | least | most | MB/s |")
        print("|---|---:|---:|---:|---:|")
        for program, name in ((False, "as put"), (True, "identity transform, worker")):
            costs = [each["cpu_s_per_gb"] for each in found[program]]
            speed = statistics.median(each["mb_per_s"] for each in found[program])
            cost = statistics.median(costs)
            print(f"| {name} | {cost:.2f} | {min(costs):.2f} | {max(costs):.2f} | {speed:.0f} |")
        print("\n| transform | how | figures |\n|---|---|---|")
        for name, how, sample in READY_MADE:
            figures = bench_ready_made(binary, name, sample, options.seconds, Path(run))
            print(f"| {name} | {how} | {figures} |")
    cost, without = (
        statistics.median(each["cpu_s_per_gb"] for each in found[program])
        for program in (True, False)
    )
    cost -= without
    is_met = cost <= MARK
    print(
        f"\n{'met' if is_met else 'MISSED'}: an identity transform adds to the server, its child aside: "
        f"{cost:.2f} CPU s/GB, at most {MARK:g}"
    )
    return 1 if options.check and not is_met else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except LoadError as error:
        sys.exit(f"transforms.py: {error}")
