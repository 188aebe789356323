"""`hydrant serve` as a child process that a test can stop, kill, bring back and ask questions."""

import os
import re
import signal
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import boto3
from botocore.config import Config

from keys import PRODUCER, Key
from waiting import wait_until

REPOSITORY = Path(__file__).resolve().parents[2]

BINARY = Path(os.environ.get("HYDRANT_BINARY", REPOSITORY / ".build/release/hydrant"))
"""The program under test; `HYDRANT_BINARY` names another one."""

REGION, ACCOUNT = "us-east-1", "000000000000"
"""The server's defaults, which appear in ARNs and in error messages."""

GRACEFUL_STOP_SECONDS = 10
"""How long a server may take from SIGTERM to its exit."""

LISTENING = re.compile(r"^hydrant is listening on (https?)://(?:127\.0\.0\.1|0\.0\.0\.0):(\d+)$")


@dataclass(frozen=True)
class Delivery:
    """What one `delivered` line of the log says."""

    stream: str
    key: str
    records: int


class Hydrant:
    """One server process after another on the same data folder.

    `folder` takes the data (`data/`) and what the server writes to stdout (of the latest run) and
    stderr (of all runs). The server sees no AWS_* variable and no proxy but those in `environment`.
    """

    def __init__(
        self,
        folder: Path,
        *options: str,
        environment: dict[str, str] | None = None,
        port: int = 0,
        min_buffer_interval: int | None = 0,
    ):
        self.folder = folder
        self.data = folder / "data"
        self.options = list(options)
        self.environment = environment or {}
        self.port = port
        self.scheme = "http"
        self.open_file_limit: int | None = None
        """`ulimit -n`, soft and hard; None for the test's own."""
        self.inherited_files: tuple[int, ...] = ()
        """Descriptors that the server gets from whoever starts it."""
        self.min_buffer_interval = min_buffer_interval
        self.process: subprocess.Popen | None = None
        self._asked_port = port
        self._stdout = folder / "stdout.log"
        self._stderr = folder / "stderr.log"
        folder.mkdir(parents=True, exist_ok=True)

    # MARK: Start and stop

    def start(self) -> "Hydrant":
        """Starts the server and waits until it listens."""
        self.spawn()
        wait_until(self._is_listening, "the server to listen", timeout=30, pause=0.01)
        return self

    def spawn(self) -> subprocess.Popen:
        """Starts the server without waiting for it."""
        assert self.process is None, "the server runs already"
        arguments = ["serve", "--port", str(self._asked_port), "--data-dir", str(self.data)]
        if "--host" not in self.options:
            arguments += ["--host", "127.0.0.1"]
        if self.min_buffer_interval is not None:
            arguments += ["--min-buffer-interval", str(self.min_buffer_interval)]
        limited = []
        if self.open_file_limit is not None:
            limit = self.open_file_limit
            limited = ["prlimit", f"--nofile={limit}:{limit}"]
        with self._stdout.open("wb") as stdout, self._stderr.open("ab") as stderr:
            self.process = subprocess.Popen(
                [*limited, str(BINARY), *arguments, *self.options],
                pass_fds=self.inherited_files,
                stdin=subprocess.DEVNULL,
                stdout=stdout,
                stderr=stderr,
                env=clean_environment() | self.environment,
                cwd=self.folder,
                start_new_session=True,
            )
        return self.process

    def refusal_to_start(self) -> str:
        """Starts a server that must refuse to run, and returns what it said about it."""
        before = len(self.log())
        process = self.spawn()
        try:
            status = process.wait(timeout=GRACEFUL_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            raise AssertionError("the server runs although it must not") from None
        self.process = None
        assert status > 0, f"exit status {status}"
        assert self.stdout() == ""
        return self.log()[before:]

    def sigterm(self) -> int:
        """Asks the server to stop; returns its exit status, which must come in time."""
        return self._end(signal.SIGTERM)

    def sigint(self) -> int:
        """As `sigterm`, the way that Ctrl-C asks."""
        return self._end(signal.SIGINT)

    def sigkill(self) -> None:
        """Kills the server at once."""
        self._end(signal.SIGKILL)

    def sighup(self) -> None:
        """Asks the server to read its keys and certificates again."""
        assert self.process is not None, "the server does not run"
        self.process.send_signal(signal.SIGHUP)

    def restart(self) -> "Hydrant":
        """Stops the server properly and starts it on the same data folder."""
        status = self.sigterm()
        assert status == 0, f"exit status {status} after SIGTERM:\n{self.log_tail()}"
        return self.start()

    def _end(self, number: signal.Signals) -> int:
        assert self.process is not None, "the server does not run"
        process, self.process = self.process, None
        process.send_signal(number)
        try:
            return process.wait(timeout=GRACEFUL_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            said = f"{number.name} did not end the server:\n{self.log_tail()}"
            raise AssertionError(said) from None

    def _is_listening(self) -> bool:
        assert self.process is not None
        if (status := self.process.poll()) is not None:
            self.process = None
            raise AssertionError(f"the server ended with {status}:\n{self.log_tail()}")
        lines = self.stdout().splitlines()
        if not lines or not self.stdout().endswith("\n"):
            return False
        match = LISTENING.match(lines[0])
        assert match, f"unexpected on stdout: {lines[0]!r}"
        self.scheme, self.port = match.group(1), int(match.group(2))
        return True

    # MARK: What it says

    def stdout(self) -> str:
        """All that the latest run printed on stdout."""
        return self._stdout.read_text(errors="replace")

    def log(self) -> str:
        """All that every run so far wrote to stderr."""
        return self._stderr.read_text(errors="replace") if self._stderr.exists() else ""

    def log_tail(self, lines: int = 40) -> str:
        """The last lines of the log."""
        return "\n".join(self.log().splitlines()[-lines:])

    def wait_for_log(self, pattern: str, *, timeout: float = 30) -> re.Match:
        """Waits until the log of any run matches `pattern`, and returns the first match."""
        return wait_until(lambda: re.search(pattern, self.log()), pattern, timeout=timeout)

    def deliveries(self, stream: str | None = None) -> Iterator[Delivery]:
        """What the log says was delivered, in order, of one stream or of all."""
        for line in self.log().splitlines():
            delivery = _delivery(line) if "delivered" in line else None
            if delivery and stream in (None, delivery.stream):
                yield delivery

    def delivered_records(self, stream: str) -> int:
        """How many records the log says were delivered; an object that was sent again counts once.

        Empty records leave no trace in an object, so this is how they are counted.
        """
        return sum({each.key: each.records for each in self.deliveries(stream)}.values())

    # MARK: How it is reached and measured

    @property
    def endpoint(self) -> str:
        """The URL that producers talk to."""
        return f"{self.scheme}://127.0.0.1:{self.port}"

    def client(
        self,
        key: Key = PRODUCER,
        *,
        attempts: int = 1,
        parameter_validation: bool = True,
        verify: Path | None = None,
        certificate: tuple[Path, Path] | None = None,
    ):
        """A boto3 client for this server.

        It makes one attempt unless told otherwise: a retry by the SDK would hide an error, and put
        records twice. Without `parameter_validation` it sends what the API model forbids. `verify`
        is the CA that the server's certificate must be from; `certificate` and its key are shown
        to the server.
        """
        return boto3.session.Session().client(
            "firehose",
            endpoint_url=self.endpoint,
            region_name=REGION,
            aws_access_key_id=key.access_key,
            aws_secret_access_key=key.secret_key,
            aws_session_token=key.token,
            verify=None if verify is None else str(verify),
            config=Config(
                retries={"total_max_attempts": attempts, "mode": "standard"},
                parameter_validation=parameter_validation,
                max_pool_connections=16,
                client_cert=certificate and tuple(map(str, certificate)),
            ),
        )

    def peak_memory_bytes(self) -> int:
        """The most memory that the running server ever had resident."""
        return self._status_kilobytes("VmHWM") * 1024

    def memory_bytes(self) -> int:
        """The memory that the running server has resident now."""
        return self._status_kilobytes("VmRSS") * 1024

    def _status_kilobytes(self, name: str) -> int:
        assert self.process is not None
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.search(rf"^{name}:\s+(\d+) kB$", status, re.MULTILINE).group(1))

    def processor_seconds(self) -> float:
        """The processor time that the running server has used."""
        assert self.process is not None
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(") ")[2].split()
        return sum(map(int, fields[11:13])) / os.sysconf("SC_CLK_TCK")

    def disk_bytes(self) -> int:
        """What the data folder takes on disk."""
        files = (each.lstat() for each in self.data.rglob("*"))
        return sum(each.st_blocks * 512 for each in files)


def leads_elsewhere(name: str) -> bool:
    """Whether a variable would lead an AWS client to another place than the test's."""
    return name.startswith("AWS_") or name.lower().endswith("_proxy")


def clean_environment() -> dict[str, str]:
    """This process's environment for children: without what leads an AWS client elsewhere, and
    without what tells the tests, not the server, what to do."""
    return {
        name: value
        for name, value in os.environ.items()
        if not leads_elsewhere(name) and not name.startswith("HYDRANT_")
    }


def _delivery(line: str) -> Delivery | None:
    found = re.findall(r'(?<!\S)(\w+)=("[^"]*"|\S+)', line)
    fields = {name: value.strip('"') for name, value in found}
    if not {"stream", "key", "records"} <= fields.keys():
        return None
    return Delivery(fields["stream"], fields["key"], int(fields["records"]))
