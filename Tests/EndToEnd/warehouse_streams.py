"""Streams that load into a warehouse, and where each of their objects and manifests is."""

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass

from buckets import Bucket, ObjectKey
from postgres_wire import Wire
from server import Hydrant
from streams import AT_ONCE, ROLE_ARN, destination, fresh_name, put
from transform_programs import Programs
from transforms import batches, client_of, log_lines
from updates import update
from waiting import wait_until
from warehouse import LOADER, Postgres
from wire import Connection, put_body, request

KIND = "Redshift"
"""As the API names it."""

MANIFESTS, GIVEN_UP, BACK_FILLED = "manifests/", "errors/manifests/", "errors/manifests-loaded/"
"""Folders below the prefix."""

DELIVERED = "delivered"
LOADED = "loaded"
LOADED_BEFORE = "loaded by an attempt whose end was not known"
FAILED_ONCE = "COPY failed; retrying"
KEPT = "COPY given up: its manifest is kept for a back-fill"

LEDGER = "hydrant_loads"

LEDGER_OPTIONS = ("--copy-ledger", LEDGER, "--create-copy-ledger")

HOUR = re.compile(r"\d{4}/\d\d/\d\d/\d\d/")

PASSWORD = "Secret-0-Password"
"""That of streams into a recorder."""


@dataclass(frozen=True)
class Manifest:
    """One manifest, as it is stored."""

    key: str
    url: str
    """Its object's."""
    bytes: int
    """Its object's, as it is stored."""


def parse_manifest(key: str, content: bytes) -> Manifest:
    """Takes a manifest apart; fails when it is not exactly right."""
    (entry,) = json.loads(content)["entries"]
    url, length = entry["url"], entry["meta"]["content_length"]
    expected = {"entries": [{"url": url, "mandatory": True, "meta": {"content_length": length}}]}
    compact = [
        json.dumps(expected, separators=(",", ":"), ensure_ascii=each) for each in (True, False)
    ]
    assert content.decode() in compact, content
    assert isinstance(length, int)
    return Manifest(key, url, length)


def redshift_destination(
    bucket_arn: str,
    url: str,
    *,
    table: str,
    columns: str | None = None,
    options: str | None = "JSON 'auto'",
    user: str = LOADER,
    password: str = PASSWORD,
    retry: int = 300,
    s3: dict | None = None,
    **members,
) -> dict:
    """The configuration of a destination; what is None is left out."""
    command = {"DataTableName": table, "DataTableColumns": columns, "CopyOptions": options}
    given = {
        "RoleARN": ROLE_ARN,
        "ClusterJDBCURL": url,
        "CopyCommand": {name: text for name, text in command.items() if text is not None},
        "Username": user,
        "Password": password,
        "RetryOptions": {"DurationInSeconds": retry},
        "S3Configuration": destination(bucket_arn, **s3 or {}),
    }
    return given | members


def numbered(count: int, start: int = 0) -> list[bytes]:
    """Records that are rows of a table with a column `n`."""
    return [b'{"n": %d}\n' % number for number in range(start, start + count)]


@dataclass
class WarehouseFlow:
    """A stream that loads into a table, through a prefix of its own."""

    hydrant: Hydrant
    stream: str
    bucket: Bucket
    table: str
    """As the configuration has it."""
    prefix: str
    postgres: Postgres | None = None
    """Where the table is, unless nowhere."""

    def put(self, *records: bytes) -> None:
        """Puts records in as few batches as the API allows."""
        for batch in batches(records):
            put(client_of(self.hydrant), self.stream, *batch)

    def put_quickly(self, records: Iterable[bytes]) -> None:
        """As `put`, for very many: the SDK would take longer than all the rest."""
        with Connection(self.hydrant.port, timeout=60) as connection:
            for batch in batches(records):
                body = put_body(self.stream, *batch)
                answer = connection.exchange(request("PutRecordBatch", body))
                assert answer.status == 200, answer.body
                assert answer.json["FailedPutCount"] == 0

    def update(self, version: str = "1", **members) -> None:
        """Changes the stream's destination."""
        update(client_of(self.hydrant), self.stream, version, kind=KIND, **members)

    # MARK: The bucket

    def keys(self, folder: str = "") -> list[str]:
        """The keys in a folder below the prefix; of data objects, if none is named."""
        start = re.compile(re.escape(self.prefix + folder) + HOUR.pattern)
        return [key for key in self.bucket.keys() if start.match(key)]

    def manifests(self, folder: str = MANIFESTS) -> list[Manifest]:
        """All manifests in a folder."""
        return [parse_manifest(key, self.bucket.raw(key)) for key in self.keys(folder)]

    def url(self, key: str) -> str:
        """What a manifest or a statement calls an object."""
        return f"s3://{self.bucket.name}/{key}"

    def key(self, url: str) -> str:
        """The key in an object's URL."""
        return url.removeprefix(f"s3://{self.bucket.name}/")

    def check_manifests(self, folder: str = MANIFESTS) -> list[Manifest]:
        """Checks that each manifest in a folder has one object of its own; returns them all.

        The object must have the length that the manifest says, and the same name.
        """
        found = self.manifests(folder)
        for each in found:
            key = self.key(each.url)
            name = ObjectKey.parse(key, self.stream)
            assert len(self.bucket.raw(key)) == each.bytes
            hour = name.prefix.removeprefix(self.prefix)
            assert HOUR.fullmatch(hour), key
            plain = key.removesuffix(name.extension).removeprefix(name.prefix)
            assert each.key == f"{self.prefix}{folder}{hour}{plain}-manifest"
        assert len({each.url for each in found}) == len(found), "two manifests have one object"
        return found

    # MARK: What was loaded

    def numbers(self) -> list[int]:
        """The column `n` of the table, sorted."""
        return self.postgres.numbers(self.table)

    def loads(self) -> list[str]:
        """The manifests that the ledger has, sorted."""
        if self.postgres.query(f"SELECT count(to_regclass('{LEDGER}'))") == [["0"]]:
            return []
        found = self.postgres.query(f"SELECT manifest, stream FROM {LEDGER}")
        return sorted(url for url, stream in found if stream == self.stream)

    def log(self, message: str) -> list[dict[str, str]]:
        """The lines of the log about this stream with a message."""
        return log_lines(self.hydrant, message, stream=self.stream)

    def wait_for_log(self, message: str, count: int = 1, *, timeout: float = 30) -> list[dict]:
        """Waits for so many lines of the log; fails when there are more."""

        def enough() -> list[dict[str, str]]:
            found = self.log(message)
            assert len(found) <= count, found
            return found if len(found) == count else []

        what = f"{count} lines of {self.stream}: {message}"
        return wait_until(enough, what, timeout=timeout)

    def wait_for_loads(self, count: int = 1, *, timeout: float = 30) -> list[dict[str, str]]:
        """Waits until so many manifests are loaded, also by attempts that did not tell."""

        def enough() -> list[dict[str, str]]:
            found = self.log(LOADED) + self.log(LOADED_BEFORE)
            assert len(found) <= count, found
            return found if len(found) == count else []

        return wait_until(enough, f"{count} loads of {self.stream}", timeout=timeout)

    def settle(self, rows: int, *, timeout: float = 30) -> list[int]:
        """Waits until the table has so many rows; returns their numbers. Fails at more."""

        def is_over() -> bool:
            count = self.postgres.count(self.table)
            assert count <= rows, f"{count} rows, expected {rows}"
            return count == rows

        wait_until(is_over, f"{rows} rows in {self.table}", timeout=timeout)
        return self.numbers()

    def wait_for_given_up(self, count: int = 1, *, timeout: float = 30) -> list[dict[str, str]]:
        """Waits for so many manifests to be given up; returns what the log says about them.

        Checks that they lie where the log says and are as the first ones were.
        """
        lines = self.wait_for_log(KEPT, count, timeout=timeout)
        assert {each["level"] for each in lines} == {"error"}
        given_up = self.check_manifests(GIVEN_UP)
        assert sorted(each["manifest"] for each in lines) == [self.url(m.key) for m in given_up]
        twins = {each.key: each.url for each in self.manifests()}
        for each in given_up:
            twin = self.prefix + MANIFESTS + each.key.removeprefix(self.prefix + GIVEN_UP)
            assert twins[twin] == each.url
        for each in lines:
            assert each["error"], each
            assert each["code"].startswith("Redshift."), each
        return lines


@dataclass
class WarehouseBench:
    """A server, the bucket that its streams deliver to, and the warehouse if there is one."""

    hydrant: Hydrant
    bucket: Bucket
    postgres: Postgres | None = None
    programs: Programs | None = None

    @property
    def client(self):
        """A boto3 client of the server."""
        return client_of(self.hydrant)

    def flow(
        self,
        wire: Wire | None = None,
        *,
        url: str | None = None,
        table: str | None = None,
        schema: str = "n bigint, text varchar(1000)",
        prefix: str | None = None,
        hints: dict = AT_ONCE,
        s3: dict | None = None,
        user: str = LOADER,
        password: str | None = None,
        create: bool = True,
        **members,
    ) -> WarehouseFlow:
        """Creates a stream, and its table unless it is not to `create` one.

        It loads through `wire`, or into PostgreSQL itself. By default it delivers at once: what
        one batch put is in one object.
        """
        stream = fresh_name()
        prefix = f"{stream}/" if prefix is None else prefix
        table = table or fresh_name("t").replace("-", "_")
        behind = self.postgres if wire is None or wire.upstream else None
        if behind and create:
            behind.query(f"CREATE TABLE {table} ({schema})")
            password = behind.password if password is None else password
        if wire:
            url = url or (behind.jdbc_url if behind else wire.jdbc_url)
            url = re.sub(r"127\.0\.0\.1:\d+", f"127.0.0.1:{wire.port}", url)
        configuration = redshift_destination(
            self.bucket.arn,
            url or behind.jdbc_url,
            table=table,
            user=user,
            password=PASSWORD if password is None else password,
            s3={"Prefix": prefix, "BufferingHints": hints} | (s3 or {}),
            **members,
        )
        self.client.create_delivery_stream(
            DeliveryStreamName=stream, RedshiftDestinationConfiguration=configuration
        )
        return WarehouseFlow(self.hydrant, stream, self.bucket, table, prefix, behind)
