"""Data folders of earlier versions: how they are kept in archives, and what they were made with.

An archive holds what a server left that was killed with work under way: its data folder, the file
of its master key, and a manifest of what a later server must still do. `make_data_folder.py` makes
archives, and `test_older_data_folder.py` starts the server under test on each.
"""

import json
import lzma
import re
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from bulk_faults import BulkFaults
from data_api import ACCESS_KEY, SECRET_KEY, DataAPI
from firehose_receiver import FirehoseReceiver
from osmem import Osmem
from redshift_streams import LEDGER
from server import REGION, REPOSITORY
from sigv4_judge import Request, SigV4Judge
from splunk_receiver import SplunkReceiver
from strict_s3 import StrictS3
from transform_programs import Programs

ARCHIVES = REPOSITORY / "Tests/Vectors/data-folders"

DATA, MASTER_KEYS, MANIFEST = "data", "master.keys", "manifest.json"
"""What is in an archive."""

SEARCH_PORT, HTTP_PORT, SPLUNK_PORT = 59_991, 59_992, 59_993
"""What stands in an archive for the ports of the destinations: those of each run are others."""

PROGRAM = "upper"
"""The transform of the streams that have one."""

UPPER = """
@each
def handle(record):
    data = content(record)
    if data.startswith(b"drop"):
        return answer(record, result="Dropped")
    if data.startswith(b"fail"):
        return answer(record, result="ProcessingFailed")
    return answer(record, data.upper())
"""
"""The body of that program: most records become upper case."""


# MARK: What a server delivers to


class Buckets(StrictS3):
    """All buckets, with the credentials that the Data API asks for: a server has one pair.

    What `is_away` names is answered 503, and kept in `turned_away`.
    """

    def __init__(self) -> None:
        super().__init__()
        self.judge = SigV4Judge(ACCESS_KEY, SECRET_KEY, REGION)
        self.is_away: Callable[[str, bytes], bool] = lambda bucket, body: False
        self.turned_away: list[tuple[str, str, bytes]] = []
        """Bucket, key and body."""

    @property
    def environment(self) -> dict[str, str]:
        return {
            "AWS_ENDPOINT_URL_S3": self.endpoint,
            "AWS_REGION": REGION,
            "AWS_ACCESS_KEY_ID": ACCESS_KEY,
            "AWS_SECRET_ACCESS_KEY": SECRET_KEY,
        }

    def handle(self, request: Request) -> tuple[int, bytes]:
        bucket, _, key = request.path.removeprefix("/").partition("/")
        if request.method == "PUT" and self.is_away(bucket, request.body):
            self.turned_away.append((bucket, key, request.body))
            return 503, b""
        status, body = super().handle(request)
        # All buckets are there.
        return (200, b"<ListBucketResult/>") if status == 404 and not key else (status, body)


@dataclass
class Destinations:
    """One stand-in of each kind, for all streams of a server."""

    buckets: Buckets
    osmem: Osmem
    search: BulkFaults
    http: FirehoseReceiver
    splunk: SplunkReceiver
    warehouses: DataAPI

    @property
    def ports(self) -> dict[int, int]:
        """The ports of this run, by those that stand for them in an archive."""
        return {
            SEARCH_PORT: self.search.port,
            HTTP_PORT: self.http.port,
            SPLUNK_PORT: self.splunk.port,
        }

    def options(self, programs: Programs, master_keys: Path) -> tuple[str, ...]:
        """What makes a server deliver here."""
        return (
            *("--copy", "data-api", "--data-api-endpoint", self.warehouses.endpoint),
            *("--copy-ledger", LEDGER, "--master-key", str(master_keys)),
            *("--log-format", "json", *programs.options),
        )

    @property
    def complaints(self) -> list[str]:
        """What was not as it must be."""
        return [
            *self.buckets.refusals,
            *self.search.problems,
            *self.http.violations,
            *self.splunk.violations,
            *self.warehouses.violations,
        ]


@contextmanager
def running_destinations(folder: Path) -> Iterator[Destinations]:
    """Serves all kinds, with nothing in them; `folder` is for what osmem says."""
    with ExitStack() as stack:
        osmem = Osmem(folder / "osmem")
        stack.callback(osmem.kill)
        osmem.start()
        servers = (BulkFaults(osmem), FirehoseReceiver(), SplunkReceiver(), DataAPI())
        buckets = stack.enter_context(Buckets())
        yield Destinations(buckets, osmem, *map(stack.enter_context, servers))


# MARK: What must come out


@dataclass
class Documents:
    """What must become of an index."""

    index: str
    held: dict[str, str] = field(default_factory=dict)
    """What it has already, by id: none of it may be sent again."""
    known: dict[str, str] = field(default_factory=dict)
    """What is to be sent under an id that was used before."""
    others: list[str] = field(default_factory=list)
    """What is to be sent under an id of its own."""


@dataclass
class Warehouse:
    """What must become of a manifest that a COPY has to load."""

    database: str
    manifest: str
    is_loaded: bool
    """Whether the ledger has it: then it must not be loaded again."""
    is_open: bool
    """Whether the end of the last attempt is not known: then the next one has its token."""
    tokens: list[str]
    """Those of all attempts so far."""


@dataclass
class Expected:
    """What a later server must do for a stream. Records are text, a character a byte."""

    state: str
    """What the stream was doing when its server was killed."""
    contents: dict[str, str] = field(default_factory=dict)
    """By bucket, the records of all objects, in their order; failed records apart."""
    objects: dict[str, dict[str, str | None]] = field(default_factory=dict)
    """By bucket, the keys that are in the journal, with their contents where those are known; there
    are no other objects of failed records."""
    documents: Documents | None = None
    requests: list[str] | None = None
    """What an HTTP endpoint must be sent."""
    access_key: str | None = None
    """That of the HTTP endpoint."""
    body: str | None = None
    """What Splunk must be sent."""
    token: str | None = None
    """That of Splunk, whose kind is below."""
    token_kind: str | None = None
    warehouse: Warehouse | None = None
    is_transformed: bool = False

    @classmethod
    def of(cls, members: dict) -> "Expected":
        """Reads what a manifest has."""
        documents, warehouse = members.pop("documents"), members.pop("warehouse")
        return cls(
            **members,
            documents=documents and Documents(**documents),
            warehouse=warehouse and Warehouse(**warehouse),
        )


@dataclass
class Manifest:
    """What an archive's data folder is, and what must come out of it."""

    version: str
    """The version of the server that left it."""
    transformed: int
    """How many records the transform is still to be given, parts of aggregated ones counted."""
    streams: dict[str, Expected]

    @classmethod
    def read(cls, path: Path) -> "Manifest":
        """Reads the file of an unpacked archive."""
        members = json.loads(path.read_text())
        streams = {name: Expected.of(each) for name, each in members.pop("streams").items()}
        return cls(**members, streams=streams)


# MARK: What is on disk


@dataclass
class StreamFolder:
    """What a server keeps of a stream."""

    data: Path
    stream: str

    @property
    def path(self) -> Path:
        return self.data / "streams" / f"{self.stream}.stream"

    def entries(self, role: str = "") -> list[dict]:
        """The buffers in a journal, in their order; those of `outcome` and `backup` are apart."""
        return [json.loads(each.read_text()) for each in self._entry_paths(role)]

    def kept(self, number: int, role: str = "") -> list[Path]:
        """The files of failed records of one of these buffers."""
        folder = self._entry_paths(role)[number].with_suffix(".failed")
        return sorted(folder.glob("[!.]*"))

    def _entry_paths(self, role: str) -> list[Path]:
        journal = f"{role}-in-flight" if role else "in-flight"
        return sorted((self.path / journal).glob("[0-9]*.json"))

    def frames(self, log: str = "log") -> list[tuple[bool, bytes]]:
        """The frames of a log of one segment: whether each is encrypted, and its payload."""
        (segment,) = (self.path / log).glob("*.segment")
        content = segment.read_bytes()
        offset = SEGMENT_HEADER_BYTES
        found = []
        while (magic := content[offset : offset + 4]) in FRAME_MAGICS:
            size = int.from_bytes(content[offset + 16 : offset + 20], "little")
            start = offset + FRAME_HEADER_BYTES
            found.append((magic == FRAME_MAGICS[1], content[start : start + size]))
            offset = start + (size + 7) // 8 * 8
        return found


SEGMENT_HEADER_BYTES, FRAME_HEADER_BYTES = 4_096, 64

FRAME_MAGICS = (b"HYF1", b"HYS1")
"""How frames begin: in the open, and encrypted."""

ADDRESS = re.compile(r"(?<=/127\.0\.0\.1:)\d+\b")


def readdress(data: Path, ports: dict[int, int]) -> None:
    """Writes other ports into the configurations and journals of a data folder's streams."""
    for path in sorted((data / "streams").rglob("*.json")):
        text = path.read_text()
        path.write_text(ADDRESS.sub(lambda found: _other(found[0], ports), text))


def _other(port: str, ports: dict[int, int]) -> str:
    return str(ports.get(int(port), port))


# MARK: Archives


def pack(folder: Path, archive: Path) -> None:
    """Makes an archive of a folder with a data folder, master keys and a manifest."""
    names = (DATA, MASTER_KEYS, MANIFEST)
    with tempfile.TemporaryDirectory() as copy:
        # Segments are allocated before they are used: nearly all of them could be holes.
        subprocess.run(
            ["cp", "--archive", "--sparse=always", *[folder / each for each in names], copy],
            check=True,
        )
        done = subprocess.run(
            ["tar", "--create", f"--directory={copy}", "--sparse", "--sort=name"]
            + ["--owner=0", "--group=0", "--numeric-owner", *names],
            stdout=subprocess.PIPE,
            check=True,
        )
    archive.parent.mkdir(parents=True, exist_ok=True)
    archive.write_bytes(lzma.compress(done.stdout, preset=9 | lzma.PRESET_EXTREME))


def unpack(archive: Path, folder: Path) -> Manifest:
    """Unpacks an archive; returns its manifest."""
    folder.mkdir(parents=True, exist_ok=True)
    # With the modes of its files: a server refuses keys that others may read.
    subprocess.run(
        ["tar", "--extract", f"--directory={folder}", "--same-permissions", "--no-same-owner"],
        input=lzma.decompress(archive.read_bytes()),
        check=True,
    )
    return Manifest.read(folder / MANIFEST)
