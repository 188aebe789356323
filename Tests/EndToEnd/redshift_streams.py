"""Streams that deliver to a warehouse: their objects, the manifests of these, and the log."""

import json
from collections.abc import Iterable
from dataclasses import dataclass, field

from buckets import Bucket, FolderBucket, ObjectKey
from data_api import Database, DataAPI
from search_streams import StrictBucket
from server import Hydrant
from streams import ROLE_ARN, destination, fresh_name, put
from strict_s3 import DROP, StrictS3
from transforms import batches, client_of, log_lines
from waiting import wait_until

KIND = "Redshift"

NO_COPY = ("--copy", "none")
LOG_FORMAT = ("--log-format", "json")

USERNAME, PASSWORD = "loader", "Hidden-away-1"

CLUSTER = "shop.abc123xyz.eu-west-1.redshift.amazonaws.com"
WORKGROUP = "shop-serverless.000000000000.eu-west-1.redshift-serverless.amazonaws.com"

MANIFESTS = "manifests/"
ERROR_MANIFESTS = "errors/manifests/"
PROCESSING_FAILED = "processing_failed/"

LOADED = "loaded"
LOADED_BEFORE = "loaded by an attempt whose end was not known"
FAILED_ONCE = "COPY failed; retrying"
GIVEN_UP = "COPY given up: its manifest is kept for a back-fill"

CODES = {
    f"Redshift.{each}"
    for each in (
        *("TableNotFound", "SyntaxError", "AuthenticationFailed", "AccessDenied"),
        *("S3BucketAccessDenied", "DataLoadFailed", "ColumnNotFound", "DatabaseNotFound"),
        *("IncorrectCopyOptions", "MissingColumn", "ConnectionFailed", "ColumnMismatch"),
        *("IncorrectOrMissingRegion", "IncorrectJsonPathsFile", "MissingS3File"),
        *("InsufficientPrivilege", "ReadOnlyCluster", "DiskFull", "InternalError"),
    )
}
"""All that AWS names."""

Seconds = float


def jdbc(host: str = CLUSTER, database: str = "warehouse", port: int | None = 5439) -> str:
    """A ClusterJDBCURL."""
    return f"jdbc:redshift://{host}{'' if port is None else f':{port}'}/{database}"


def redshift_destination(
    bucket_arn: str,
    *,
    s3: dict | None = None,
    copy: dict | None = None,
    retry: int | None = None,
    **members,
) -> dict:
    """A destination; `s3` are members of its S3 configuration, `copy` those of its command."""
    given = {
        "RoleARN": ROLE_ARN,
        "ClusterJDBCURL": jdbc(),
        "CopyCommand": {"DataTableName": "events"} | (copy or {}),
        "Username": USERNAME,
        "Password": PASSWORD,
        "S3Configuration": destination(bucket_arn, **s3 or {}),
    }
    if retry is not None:
        given["RetryOptions"] = {"DurationInSeconds": retry}
    return given | members


def create_redshift(
    client, bucket_arn: str, *, name: str | None = None, extra: dict | None = None, **members
) -> str:
    """Creates a stream; `members` are `redshift_destination`'s, `extra` the request's."""
    name = name or fresh_name()
    client.create_delivery_stream(
        DeliveryStreamName=name,
        RedshiftDestinationConfiguration=redshift_destination(bucket_arn, **members),
        **extra or {},
    )
    return name


# MARK: Keys and contents


def manifest_of(key: str, prefix: str, folder: str = MANIFESTS) -> str:
    """The key of the manifest that goes with an object."""
    return f"{prefix}{folder}{key.removeprefix(prefix).removesuffix('.gz')}-manifest"


def manifest_contents(bucket: str, key: str, size: int) -> list[bytes]:
    """What the manifest of an object may hold: what JSON need not escape, it may."""
    meta = {"content_length": size}
    whole = {"entries": [{"url": f"s3://{bucket}/{key}", "mandatory": True, "meta": meta}]}
    return [
        json.dumps(whole, separators=(",", ":"), ensure_ascii=each).encode()
        for each in (False, True)
    ]


@dataclass
class RedshiftFlow:
    """A stream that loads a table, with a bucket that only it delivers to."""

    hydrant: Hydrant
    stream: str
    bucket: Bucket
    prefix: str = ""
    records: list[bytes] = field(default_factory=list)
    """What was put so far."""

    def put(self, *records: bytes) -> None:
        """Puts records in as few batches as the API allows."""
        for batch in batches(records):
            put(client_of(self.hydrant), self.stream, *batch)
        self.records += records

    # MARK: What is in the bucket

    def keys(self, folder: str) -> list[str]:
        """The keys in a folder below the prefix."""
        return [each for each in self.bucket.keys() if each.startswith(self.prefix + folder)]

    def data_keys(self) -> list[str]:
        """The keys of the objects of records, in the order of the records."""
        folders = (MANIFESTS, "errors/", PROCESSING_FAILED)
        others = tuple(self.prefix + each for each in folders)
        found = [key for key in self.bucket.keys() if not key.startswith(others)]
        parsed = {key: ObjectKey.parse(key, self.stream) for key in found}
        assert all(self._is_in_its_folder(each) for each in parsed.values()), found
        return sorted(found, key=lambda key: (parsed[key].version, parsed[key].time, key))

    def _is_in_its_folder(self, key: ObjectKey) -> bool:
        return key.prefix == f"{self.prefix}{key.time:%Y/%m/%d/%H/}"

    def contents(self) -> list[bytes]:
        """The records in each object, in their order."""
        return [self.bucket.content(key) for key in self.data_keys()]

    def manifest_urls(self, folder: str = MANIFESTS) -> list[str]:
        """The URLs of the manifests in a folder."""
        return [f"s3://{self.bucket.name}/{key}" for key in self.keys(folder)]

    def assert_each_object_has_its_manifest(self, folder: str = MANIFESTS) -> None:
        """Checks that each has one of its own in a folder, and that it says the right thing."""
        expected = {manifest_of(key, self.prefix, folder): key for key in self.data_keys()}
        assert self.keys(folder) == sorted(expected)
        for manifest, key in expected.items():
            contents = manifest_contents(self.bucket.name, key, len(self.bucket.raw(key)))
            assert self.bucket.raw(manifest) in contents, manifest

    def wait_for(self, expected: bytes | None = None, *, timeout: Seconds = 30) -> list[str]:
        """Waits until the objects hold exactly what was put, or `expected`, each with a manifest.

        Returns their keys.
        """
        expected = b"".join(self.records) if expected is None else expected

        def has_all() -> bool:
            # First the manifests: their objects are there before them.
            manifests = len(self.keys(MANIFESTS))
            found = self.contents()
            assert manifests <= len(found), f"{manifests} manifests of {len(found)} objects"
            whole = b"".join(found)
            assert len(whole) <= len(expected), f"more than was put: {whole[-200:]!r}"
            return whole == expected and manifests == len(found)

        wait_until(has_all, f"{len(expected):,} bytes of {self.stream}", timeout=timeout)
        self.assert_each_object_has_its_manifest()
        return self.data_keys()

    # MARK: What is in the log

    def log(self, message: str) -> list[dict[str, str]]:
        """The lines of the log about this stream with a message; needs `--log-format json`."""
        return log_lines(self.hydrant, message, stream=self.stream)

    def wait_for_log(self, message: str, count: int = 1, *, timeout: Seconds = 30) -> list[dict]:
        """Waits for so many lines with a message; fails when there are more."""

        def enough() -> list[dict[str, str]]:
            found = self.log(message)
            assert len(found) <= count, f"more than {count} of {message!r}: {found}"
            return found if len(found) == count else []

        return wait_until(enough, f"{count} x {message!r} of {self.stream}", timeout=timeout)

    def wait_for_load(self, count: int = 1, *, timeout: Seconds = 30) -> list[dict]:
        """Waits until so many manifests are loaded, and checks what is said of them."""

        def loaded() -> list[dict[str, str]]:
            return self.log(LOADED) + self.log(LOADED_BEFORE)

        what = f"{count} loads of {self.stream}"
        wait_until(lambda: len(loaded()) >= count, what, timeout=timeout)
        found = loaded()
        assert {each["manifest"] for each in found} <= set(self.manifest_urls())
        assert len({each["manifest"] for each in found}) == len(found) == count, found
        assert self.log(GIVEN_UP) == []
        return found

    def wait_until_given_up(self, count: int = 1, *, timeout: Seconds = 30) -> list[dict]:
        """Waits until so many manifests are given up; checks that they are kept, and the log."""
        found = self.wait_for_log(GIVEN_UP, count, timeout=timeout)
        assert sorted(each["manifest"] for each in found) == self.manifest_urls(ERROR_MANIFESTS)
        for each in found:
            assert each["level"] == "error", each
            assert each["code"] in CODES, each
            assert each["error"], each
        return found


def flow_in(
    hydrant: Hydrant, bucket: Bucket | None = None, *, s3: dict | None = None, **members
) -> RedshiftFlow:
    """Creates a stream to a bucket, or to one of its own in a folder; as `create_redshift`."""
    bucket = bucket or FolderBucket(hydrant.data / "buckets", fresh_name("bucket"))
    stream = create_redshift(client_of(hydrant), bucket.arn, s3=s3, **members)
    return RedshiftFlow(hydrant, stream, bucket, (s3 or {}).get("Prefix", ""))


def update_members(members: dict) -> dict:
    """A destination's members as an update of it names them."""
    renamed = {"S3Configuration": "S3Update", "S3BackupConfiguration": "S3BackupUpdate"}
    return {renamed.get(name, name): value for name, value in members.items()}


# MARK: Through the Data API

LEDGER = "load_ledger"

DATA_API = ("--copy", "data-api", "--local-buckets", "data/buckets", *LOG_FORMAT)

SECRET_ARN = "arn:aws:secretsmanager:eu-west-1:000000000000:secret:warehouse-AbCdEf"

ROLE = f"aws_iam_role={ROLE_ARN}"


ERRORS = {
    'ERROR: relation "events" does not exist': "TableNotFound",
    "ERROR: Cannot COPY into nonexistent table events": "TableNotFound",
    'ERROR: column "x" of relation "events" does not exist': "ColumnNotFound",
    'ERROR: syntax error at or near "gzp" Position: 187': "SyntaxError",
    "ERROR: permission denied for relation events": "InsufficientPrivilege",
    'FATAL: database "warehouse" does not exist': "DatabaseNotFound",
    "ERROR: Load into table 'events' failed. Check 'stl_load_errors' system table for details.": (
        "DataLoadFailed"
    ),
    "ERROR: S3ServiceException:The specified key does not exist.,Status 404,Error NoSuchKey": (
        "MissingS3File"
    ),
    "ERROR: S3ServiceException:Access Denied,Status 403,Error AccessDenied,Rid 7": (
        "S3BucketAccessDenied"
    ),
    "ERROR: Disk Full Detail: error: Disk Full code: 1016": "DiskFull",
    'ERROR: column "role" of relation "events" does not exist': "ColumnNotFound",
    'ERROR: relation "database_columns" does not exist': "TableNotFound",
    "ERROR: S3ServiceException:The bucket you are attempting to access must be addressed using the "
    "specified endpoint.,Status 301,Error PermanentRedirect,Rid 7": "IncorrectOrMissingRegion",
    "ERROR: something that nobody has seen": "InternalError",
}
"""Texts of Redshift, and the codes that go with them."""


@dataclass
class Load:
    """A stream that loads through the Data API, and the database that it loads."""

    flow: RedshiftFlow
    database: Database

    @property
    def manifest(self) -> str:
        """The URL of its only manifest."""
        (only,) = self.flow.manifest_urls()
        return only

    def copy_of(self, url: str, command: str = 'COPY "events"', credentials: str = ROLE) -> str:
        """The statement that loads a manifest. The Data API takes it without its semicolon."""
        return f"{command} FROM '{url}' CREDENTIALS '{credentials}' MANIFEST"

    def assert_loaded_once(self, count: int = 1) -> None:
        """Checks that so many manifests were loaded, each once, and one after the other."""
        expected = dict.fromkeys(self.flow.manifest_urls(), 1)
        assert self.database.loaded == expected
        assert len(expected) == count
        assert self.database.overlaps == 0


def data_api_options(api: DataAPI, *others: str) -> tuple[str, ...]:
    """What makes a server load through a Data API."""
    return (*DATA_API, "--data-api-endpoint", api.endpoint, *others)


def load_in(
    hydrant: Hydrant, api: DataAPI, *, host: str = CLUSTER, region: str = "eu-west-1", **given
) -> Load:
    """Creates a stream to a database of its own; `course` and `fault` are the database's."""
    own = {name: given.pop(name) for name in ("course", "fault") if name in given}
    database = api.database(fresh_name("db"), region=region, **own)
    return Load(flow_in(hydrant, ClusterJDBCURL=jdbc(host, database.name), **given), database)


# MARK: An S3 that stops at a moment


class HeldS3(StrictS3):
    """An S3 endpoint that holds requests at a moment: `object stored`, `manifest refused`, ..."""

    def __init__(self) -> None:
        super().__init__()
        self.moment = ""
        self.held: list[str] = []
        """The keys of the requests that were held."""

    def handle(self, request) -> tuple[int, bytes]:
        """As `StrictS3`; a held request is stored or not, and never answered."""
        kind = "manifest" if f"/{MANIFESTS}" in request.path else "object"
        if request.method != "PUT" or not self.moment.startswith(kind):
            return super().handle(request)
        moment = self.moment
        if moment.endswith("stored"):
            status, _ = super().handle(request)
            assert status == 200, status
        self.held.append(request.path)
        wait_until(lambda: self.moment != moment, f"the end of {moment}", timeout=60)
        return DROP, b""

    def bucket(self, name: str) -> StrictBucket:
        """One of its buckets."""
        return StrictBucket(self, name)


def numbered(count: int, text: str = "record", first: int = 0) -> list[bytes]:
    """Records of one line each, which differ."""
    return [f"{text} {number:06}\n".encode() for number in range(first, first + count)]


def total(lines: Iterable[dict[str, str]], member: str) -> int:
    """The sum of a member of the log's lines."""
    return sum(int(each[member]) for each in lines)
