"""Reading what was delivered: the same questions for S3 buckets and for local folders."""

import gzip
import io
import re
import zipfile
import zlib
from abc import ABC, abstractmethod
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from seaweed import SeaweedFS
from waiting import wait_until

OBJECT_NAME = re.compile(
    r"(?P<stream>[a-zA-Z0-9_.-]+)-(?P<version>\d+)"
    r"-(?P<time>\d{4}-\d\d-\d\d-\d\d-\d\d-\d\d)"
    r"-(?P<uuid>[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12})"
    r"(?P<extension>(?:\..+)?)$"
)


@dataclass(frozen=True)
class ObjectKey:
    """A delivered object's key, taken apart."""

    prefix: str
    stream: str
    version: int
    time: datetime
    uuid: str
    extension: str

    @classmethod
    def parse(cls, key: str, stream: str) -> "ObjectKey":
        """Takes a key of `stream` apart; fails when it does not have the form that AWS uses."""
        start = key.rfind(f"{stream}-")
        match = OBJECT_NAME.match(key, start) if start >= 0 else None
        assert match, f"{key!r} is not <prefix>{stream}-<version>-<time>-<uuid><extension>"
        time = datetime.strptime(match["time"], "%Y-%m-%d-%H-%M-%S").replace(tzinfo=UTC)
        return cls(
            prefix=key[:start],
            stream=stream,
            version=int(match["version"]),
            time=time,
            uuid=match["uuid"],
            extension=match["extension"],
        )


class Bucket(ABC):
    """A bucket that a stream delivers to."""

    name: str

    @property
    def arn(self) -> str:
        """What a stream's configuration calls this bucket."""
        return f"arn:aws:s3:::{self.name}"

    @abstractmethod
    def keys(self) -> list[str]:
        """All keys, sorted: the order in which the objects' records were acknowledged."""

    @abstractmethod
    def raw(self, key: str) -> bytes:
        """An object as it was stored."""

    def content(self, key: str) -> bytes:
        """An object's records, uncompressed."""
        return decompress(self.raw(key))

    def contents(self) -> list[bytes]:
        """Every object's records, uncompressed, in key order."""
        return [self.content(key) for key in self.keys()]

    def wait_for(self, expected: bytes, *, timeout: float = 30) -> list[str]:
        """Waits until the objects in key order hold exactly `expected`; returns their keys."""

        def has_all() -> bool:
            found = b"".join(self.contents())
            assert len(found) <= len(expected), f"more was delivered than put: {found[:200]!r}"
            return found == expected

        wait_until(has_all, f"{len(expected):,} bytes in {self.name}", timeout=timeout)
        return self.keys()

    def wait_for_objects(self, count: int, *, timeout: float = 30) -> list[str]:
        """Waits until there are at least `count` objects; returns all keys."""

        def enough() -> list[str]:
            keys = self.keys()
            return keys if len(keys) >= count else []

        return wait_until(enough, f"{count} objects in {self.name}", timeout=timeout)


class S3Bucket(Bucket):
    """A bucket in SeaweedFS. It need not exist yet."""

    def __init__(self, seaweed: SeaweedFS, name: str):
        self.name = name
        self.client = seaweed.client()

    def keys(self) -> list[str]:
        pages = self.client.get_paginator("list_objects_v2").paginate(Bucket=self.name)
        return sorted(each["Key"] for page in pages for each in page.get("Contents", []))

    def raw(self, key: str) -> bytes:
        return self.client.get_object(Bucket=self.name, Key=key)["Body"].read()

    def head(self, key: str) -> dict:
        """An object's headers, as boto3 gives them."""
        return self.client.head_object(Bucket=self.name, Key=key)


class FolderBucket(Bucket):
    """A bucket that is a folder. It need not exist yet. Hidden files are not objects."""

    def __init__(self, parent: Path, name: str):
        self.name = name
        self.folder = parent / name

    def keys(self) -> list[str]:
        found = (each.relative_to(self.folder) for each in self.folder.rglob("*") if each.is_file())
        return sorted(each.as_posix() for each in found if not _is_hidden(each))

    def raw(self, key: str) -> bytes:
        return (self.folder / key).read_bytes()


def _is_hidden(path: Path) -> bool:
    return any(part.startswith(".") for part in path.parts)


def decompress(data: bytes) -> bytes:
    """What is inside a gzip or zip object; anything else, also a damaged one, as it is."""
    try:
        if data.startswith(b"\x1f\x8b"):
            return gzip.decompress(data)
        if data.startswith(b"PK\x03\x04"):
            with zipfile.ZipFile(io.BytesIO(data)) as archive:
                (entry,) = archive.infolist()
                return archive.read(entry)
    except (OSError, EOFError, ValueError, zlib.error, zipfile.BadZipFile):
        pass  # Random bytes that look like one.
    return data
