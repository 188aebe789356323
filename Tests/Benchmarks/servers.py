"""The servers under load, as child processes: Hydrant, and nginx that writes bodies to disk."""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path

from load import ACCESS_KEY, REGION, SECRET_KEY, Body, LoadError, call

STREAM = "bench"
TICKS = os.sysconf("SC_CLK_TCK")
CREDENTIALS = json.dumps({
    "keys": [
        {
            "accessKeyId": ACCESS_KEY,
            "secretAccessKey": SECRET_KEY,
            "allow": [{"actions": ["*"], "streams": ["*"]}],
        }
    ]
})


class Server:
    """A child process that is stopped, by its own identifier, at the end of a `with` block."""

    def __init__(self, command: list[str], folder: Path, environment: dict[str, str]):
        folder.mkdir(parents=True)
        self.folder = folder
        self.command = command
        self.environment = environment
        self.port = 0

    def __enter__(self):
        with open(self.folder / "stdout", "wb") as out, open(self.folder / "stderr", "wb") as err:
            self.process = subprocess.Popen(
                self.command, stdin=subprocess.DEVNULL, stdout=out, stderr=err, env=self.environment
            )
        try:
            deadline = time.monotonic() + 30
            while not self.is_ready():
                if self.process.poll() is not None or time.monotonic() > deadline:
                    raise LoadError(f"{self.command[0]} did not start: {self.last_words()}")
                time.sleep(0.02)
            self.prepare()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_):
        self.stop()

    def is_ready(self) -> bool:
        raise NotImplementedError

    def prepare(self) -> None:
        """What has to be done before the load."""

    def check(self, body: Body) -> None:
        """Sends one body and looks at the whole answer."""
        call(self.port, body.target, body.text)

    def stop(self) -> None:
        """Asks the process to end, insists after 15 seconds, and removes what it wrote."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(15)
            except subprocess.TimeoutExpired:
                print(f"warning: {self.command[0]} had to be killed: {self.last_words()}")
                self.process.kill()
                self.process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)

    def last_words(self) -> str:
        """The end of what the process printed."""
        text = "".join((self.folder / n).read_text(errors="replace") for n in ("stdout", "stderr"))
        return text[-1000:].strip() or "(it printed nothing)"

    def processes(self) -> list[int]:
        """The process and its descendants."""
        parents = {}
        for entry in os.listdir("/proc"):
            if entry.isdigit() and (fields := stat_fields(int(entry))):
                parents[int(entry)] = int(fields[1])
        tree = [self.process.pid]
        for parent in tree:
            tree += [child for child, its_parent in parents.items() if its_parent == parent]
        return tree

    def cpu_seconds(self) -> float:
        """User and system time of the process tree so far."""
        stats = filter(None, map(stat_fields, self.processes()))
        return sum(int(fields[11]) + int(fields[12]) for fields in stats) / TICKS

    def user_seconds(self) -> float:
        """User time of the process tree so far: without what the kernel does for it."""
        stats = filter(None, map(stat_fields, self.processes()))
        return sum(int(fields[11]) for fields in stats) / TICKS

    def peak_rss_mb(self) -> float:
        """The sum of the tree's resident set high-water marks (VmHWM), in MB."""
        kib = 0
        for process in self.processes():
            match = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{process}/status").read_text())
            kib += int(match[1]) if match else 0
        return kib * 1024 / 1e6


class Hydrant(Server):
    """`hydrant serve` with one stream of the largest buffer, and an S3 that refuses connections.

    `feature` is "verified" (it demands and checks signatures), "sealed" (it encrypts what it
    stores), or "" for neither.
    """

    def __init__(
        self,
        binary: str,
        folder: Path,
        durability: str | None,
        compression: str,
        feature: str = "",
    ):
        # Bound but not listening: connections are refused, and nobody else gets the port.
        self.dead_s3 = socket.socket()
        self.dead_s3.bind(("127.0.0.1", 0))
        self.compression = compression
        command = [binary, "serve", "--host", "127.0.0.1", "--port", "0"]
        command += ["--data-dir", str(folder / "data"), "--min-buffer-interval", "0"]
        command += ["--s3-endpoint", f"http://127.0.0.1:{self.dead_s3.getsockname()[1]}"]
        command += ["--s3-region", REGION]
        if durability:
            command += ["--durability", durability]
        if feature == "verified":
            self.secret_file, self.secret = folder / "keys.json", CREDENTIALS
            command += ["--credentials", str(self.secret_file)]
        elif feature == "sealed":
            self.secret_file, self.secret = folder / "master.key", os.urandom(32).hex()
            command += ["--encrypt-at-rest", "--master-key", str(self.secret_file)]
        environment = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith("AWS_") and not name.lower().endswith("_proxy")
        }
        environment |= {"AWS_ACCESS_KEY_ID": ACCESS_KEY, "AWS_SECRET_ACCESS_KEY": SECRET_KEY}
        super().__init__(command, folder, environment)
        if feature:
            self.secret_file.touch(mode=0o600)
            self.secret_file.write_text(self.secret)

    def is_ready(self) -> bool:
        said = (self.folder / "stdout").read_text(errors="replace")
        match = re.search(r"hydrant is listening on http://127\.0\.0\.1:(\d+)\s*\n", said)
        self.port = int(match[1]) if match else 0
        return match is not None

    def prepare(self) -> None:
        destination = {
            "RoleARN": "arn:aws:iam::000000000000:role/firehose",
            "BucketARN": "arn:aws:s3:::bench",
            "BufferingHints": {"SizeInMBs": 128, "IntervalInSeconds": 900},
            "CompressionFormat": self.compression,
        }
        request = {"DeliveryStreamName": STREAM, "ExtendedS3DestinationConfiguration": destination}
        self.ask("CreateDeliveryStream", request)
        deadline = time.monotonic() + 30
        while self.status() != "ACTIVE":
            if time.monotonic() > deadline:
                raise LoadError(f"the stream did not become ACTIVE: {self.status()}")
            time.sleep(0.05)

    def check(self, body: Body) -> None:
        answer = call(self.port, body.target, body.text)
        entries = answer.get("RequestResponses", [answer])
        stored = sum(1 for entry in entries if entry.get("RecordId"))
        if stored != body.records or answer.get("FailedPutCount", 0) != 0:
            raise LoadError(f"{body.operation}: {stored} of {body.records} records were stored")

    def status(self) -> str:
        answer = self.ask("DescribeDeliveryStream", {"DeliveryStreamName": STREAM})
        return answer["DeliveryStreamDescription"]["DeliveryStreamStatus"]

    def ask(self, operation: str, request: dict) -> dict:
        return call(self.port, f"Firehose_20150804.{operation}", json.dumps(request).encode())

    def stop(self) -> None:
        super().stop()
        self.dead_s3.close()


class Nginx(Server):
    """nginx that writes each body to disk, parses nothing, syncs nothing and answers 200.

    A batch body goes to a file of its own, which is removed with the request (keeping them would
    fill the disk, and cost more). Single records go to the end of one file, a megabyte at a time.
    The `mirror` is there only because it makes nginx read the body; its subrequest ends at once.
    `empty_gif` is there only because it refuses POST (405), which `error_page` turns into the
    answer: a bare `return 200` would answer without having read the body.
    """

    def __init__(self, nginx: str, folder: Path, body: Body):
        if body.records > 1:
            answer = '{"FailedPutCount":0,"RequestResponses":[]}'
            store, log = "client_body_in_file_only clean;", "access_log off;"
        else:
            answer = '{"RecordId":"nginx"}'
            store, log = "client_body_in_single_buffer on;", "access_log records body buffer=1m;"
        command = [nginx, "-e", "errors", "-p", f"{folder}/", "-c", "nginx.conf"]
        super().__init__(command, folder, dict(os.environ))
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        user = "user root;" if os.geteuid() == 0 else ""
        scratch = "\n".join(
            f"{kind}_temp_path {folder}/{kind};"
            for kind in ("client_body", "proxy", "fastcgi", "scgi", "uwsgi")
        )
        config = f"""
            {user}
            daemon off;
            worker_processes auto;
            pid pid;
            error_log errors;
            events {{ worker_connections 1024; }}
            http {{
                {scratch}
                log_format body escape=none '$request_body';
                keepalive_requests 1000000000;
                client_max_body_size 8m;
                client_body_buffer_size 1m;
                server {{
                    listen 127.0.0.1:{self.port};
                    access_log off;
                    location / {{
                        {store}
                        mirror /read;
                        empty_gif;
                        error_page 405 =200 @answer;
                    }}
                    location = /read {{ internal; return 204; }}
                    location @answer {{
                        {log}
                        default_type application/x-amz-json-1.1;
                        return 200 '{answer}';
                    }}
                }}
            }}
        """
        (folder / "nginx.conf").write_text(config)

    def is_ready(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0


def stat_fields(process: int) -> list[str] | None:
    """/proc/PID/stat after the name: the state, the parent, ..., utime (11), stime (12)."""
    try:
        text = Path(f"/proc/{process}/stat").read_text()
    except OSError:
        return None
    return text.rpartition(")")[2].split()
