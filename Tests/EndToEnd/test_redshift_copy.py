"""Redshift streams into a real database: objects, manifests, and the rows that they become."""

import json
import re
import threading
from datetime import UTC, datetime

import pytest

from buckets import ObjectKey
from certificates import Authority
from endpoint_streams import IN_ONE_REQUEST
from postgres_wire import Hold
from processed import parse_failures, transform_at_once
from streams import fresh_name
from transforms import STATUS_FAILED, processing
from waiting import wait_until
from warehouse_streams import DELIVERED, KEPT, LOADED, MANIFESTS, numbered

pytest_plugins = ["warehouse_fixtures"]

THIRDS = """
@each
def handle(record):
    number = json.loads(content(record))["n"]
    if number % 3 == 1:
        return answer(record, result="Dropped")
    if number % 3 == 2:
        return answer(record, result="ProcessingFailed")
    return answer(record, json.dumps({"n": number, "text": "seen"}).encode())
"""


def test_records_become_an_object_a_manifest_and_rows(warehouse):
    flow = warehouse.flow(prefix="sp ace/ünï=1+2/'quoted'/")
    records = numbered(20)
    before = datetime.now(UTC).replace(microsecond=0)
    flow.put(*records)
    assert flow.settle(20) == list(range(20))
    (manifest,) = flow.check_manifests()
    (key,) = flow.keys()
    assert manifest.url == flow.url(key)
    assert flow.bucket.raw(key) == b"".join(records)
    name = ObjectKey.parse(key, flow.stream)
    assert before <= name.time <= datetime.now(UTC)
    assert (name.version, name.extension) == (1, "")
    wait_until(lambda: flow.loads() == [flow.url(manifest.key)], "the entry in the ledger")


def test_the_log_tells_objects_from_loads(warehouse):
    flow = warehouse.flow()
    records = numbered(10)
    flow.put(*records)
    (loaded,) = flow.wait_for_log(LOADED)
    (delivered,) = flow.wait_for_log(DELIVERED)
    (manifest,) = flow.manifests()
    assert loaded["level"] == delivered["level"] == "info"
    assert loaded["manifest"] == flow.url(manifest.key)
    assert (loaded["records"], loaded["attempts"]) == ("10", "1")
    assert loaded["bytes"] == str(len(b"".join(records)))
    assert (delivered["key"], delivered["records"]) == (flow.key(manifest.url), "10")


@pytest.mark.parametrize("prefix", ["", "a/b/", "no-slash-"])
def test_folders_are_below_the_prefix(start_warehouse, postgres, prefix):
    """One of the test's own, because all streams of the shared one deliver to one bucket."""
    flow = start_warehouse(postgres=postgres).flow(prefix=prefix)
    flow.put(*numbered(3))
    flow.settle(3)
    flow.check_manifests()
    (key,) = flow.keys()
    (manifest,) = flow.keys(MANIFESTS)
    assert flow.bucket.keys() == sorted([key, manifest])


@pytest.mark.parametrize(
    ("options", "compression", "records"),
    [
        (
            "GZIP JSON 'auto'",
            "GZIP",
            [b'{"n": 1, "text": "\\u00e4 \\n"}', b'{"text": "2", "n": 2}'],
        ),
        ("CSV", None, ['1,"a ""b"",\nä"\n'.encode(), b"2,\n"]),
        ("gzip delimiter as '|' ignoreheader 1", "GZIP", [b"n|text\n", b"1|a,b\n", b"2|'c'\n"]),
    ],
    ids=["json", "csv", "delimited"],
)
def test_options_say_how_records_are_read(warehouse, options, compression, records):
    s3 = {"CompressionFormat": compression} if compression else {}
    flow = warehouse.flow(options=options, s3=s3)
    flow.put(*records)
    assert flow.settle(2) == [1, 2]
    (manifest,) = flow.check_manifests()
    key = flow.key(manifest.url)
    assert ObjectKey.parse(key, flow.stream).extension == (".gz" if compression else "")
    assert flow.bucket.raw(key).startswith(b"\x1f\x8b") == bool(compression)


def test_columns_are_loaded_in_the_order_that_is_given(warehouse):
    flow = warehouse.flow(
        columns='"The Number", TEXT',
        options="CSV",
        schema='text varchar(10), extra integer DEFAULT 7, "The Number" integer',
    )
    flow.put(b"1,one\n", b"2,two\n")
    wait_until(lambda: flow.postgres.count(flow.table) == 2, "the rows")
    rows = flow.postgres.query(f"SELECT * FROM {flow.table} ORDER BY text")
    assert rows == [["one", "7", "1"], ["two", "7", "2"]]


@pytest.mark.parametrize(
    ("given", "table"),
    [
        ("Orders_of_2026", "orders_of_2026"),
        ("PUBLIC.Orders", "public.orders"),
        ("warehouse.public.all_of_it", "all_of_it"),
        ("Äußerst_Groß", '"Äußerst_groß"'),
        ('"My Table"', '"My Table"'),
        ('public."we""ird.one;"', '"we""ird.one;"'),
        ('"it\'s\\"', '"it\'s\\"'),
    ],
)
def test_tables_are_found_by_their_names(warehouse, postgres, given, table):
    postgres.query(f"CREATE TABLE {table} (n bigint)")
    flow = warehouse.flow(table=given, create=False, password=postgres.password)
    flow.put(*numbered(2))
    wait_until(lambda: postgres.numbers(table) == [0, 1], "the rows")


def test_empty_records_become_no_row(warehouse):
    flow = warehouse.flow(retry=0)
    flow.put(b"")
    flow.wait_for_log(LOADED)
    flow.put(b"", *numbered(2), b"")
    assert flow.settle(2) == [0, 1]
    flow.check_manifests()


def test_each_buffer_has_its_object_and_its_manifest(warehouse):
    flow = warehouse.flow()
    for number in range(6):
        flow.put(*numbered(5, 5 * number))
    assert flow.settle(30) == list(range(30))
    manifests = flow.check_manifests()
    assert len(manifests) == len(flow.keys()) > 1
    wait_until(lambda: len(flow.loads()) == len(manifests), "the ledger")
    assert flow.loads() == [flow.url(each.key) for each in manifests]
    assert sum(int(each["records"]) for each in flow.log(LOADED)) == 30


def test_one_copy_runs_at_a_time(warehouse, proxy):
    """Objects are stored meanwhile."""
    hold = proxy.plan = Hold("redshift_copy")
    flow = warehouse.flow(proxy)
    flow.put(*numbered(5))
    hold.wait()
    for number in range(1, 4):
        flow.put(*numbered(5, 5 * number))
        wait_until(lambda number=number: len(flow.manifests()) > number, "another manifest")
    assert proxy.busiest == 1
    hold.let_go()
    assert flow.settle(20) == list(range(20))
    assert proxy.busiest == 1
    assert len(flow.check_manifests()) == 4


def test_no_stream_waits_for_another_ones_copy(start_warehouse, postgres, proxy):
    """Without a ledger, for that is locked."""
    bench = start_warehouse(postgres=postgres)
    hold = proxy.plan = Hold("redshift_copy")
    flow, other = bench.flow(proxy), bench.flow()
    flow.put(*numbered(5))
    hold.wait()
    other.put(*numbered(3))
    other.settle(3)
    assert flow.numbers() == []
    hold.let_go()
    flow.settle(5)


def test_the_servers_own_keys_can_load(start_warehouse, postgres):
    """Instead of a role: this one may not read the bucket."""
    role = "arn:aws:iam::000000000000:role/stranger"
    bench = start_warehouse("--copy-credentials", "keys", postgres=postgres)
    flow = bench.flow(RoleARN=role)
    flow.put(*numbered(5))
    flow.settle(5)


@pytest.mark.parametrize("mode", ["disable", "require", "verify-full"])
def test_connections_can_be_encrypted(start_warehouse, postgres, mode):
    options = ("--copy-tls", mode, "--copy-ca", str(postgres.authority))
    flow = start_warehouse(*options, postgres=postgres).flow()
    flow.put(*numbered(5))
    flow.settle(5)


def test_a_database_that_is_somebody_elses_is_not_told_the_password(
    start_warehouse, postgres, tmp_path
):
    stranger = Authority(tmp_path, "stranger").path
    options = ("--copy-tls", "verify-full", "--copy-ca", str(stranger))
    flow = start_warehouse(*options, postgres=postgres).flow(retry=0)
    flow.put(*numbered(5))
    (said,) = flow.wait_for_given_up()
    assert said["code"] == "Redshift.ConnectionFailed"
    assert "certificate" in said["error"]
    assert flow.numbers() == []


# MARK: The ledger


def test_servers_can_create_the_ledger_at_once(start_warehouse, postgres, proxy):
    """`IF NOT EXISTS` is no help then: all but one of the statements can fail."""
    ledger = fresh_name("ledger").replace("-", "_")
    options = ("--copy-ledger", ledger, "--create-copy-ledger")
    together = threading.Barrier(4)

    def plan(_, statement: str) -> None:
        if statement.startswith("CREATE TABLE"):
            together.wait(30)

    proxy.plan = plan
    benches = [start_warehouse(*options, postgres=postgres) for _ in range(together.parties)]
    flows = [bench.flow(proxy, retry=0) for bench in benches]
    for flow in flows:
        flow.put(*numbered(2))
    for flow in flows:
        wait_until(lambda flow=flow: flow.log(LOADED) or flow.log(KEPT), "an end")
    assert [flow.log(KEPT) for flow in flows] == [[]] * together.parties
    assert postgres.count(ledger) == together.parties


def test_a_ledger_that_is_there_needs_no_right_to_create_it(start_warehouse, postgres):
    postgres.query(
        """
        CREATE SCHEMA guarded;
        CREATE TABLE guarded.ledger (manifest varchar(1300), stream varchar(64), loaded timestamp);
        GRANT USAGE ON SCHEMA guarded TO loader;
        GRANT SELECT, INSERT, UPDATE ON guarded.ledger TO loader;
        """,
        user="postgres",
    )
    options = ("--copy-ledger", "guarded.ledger", "--create-copy-ledger")
    flow = start_warehouse(*options, postgres=postgres).flow(retry=0)
    flow.put(*numbered(2))
    assert flow.settle(2) == [0, 1]
    assert postgres.count("guarded.ledger") == 1


# MARK: With the other features


def test_all_records_can_be_backed_up(warehouse):
    """As they were put, with a prefix and hints of their own."""
    backup = {
        "RoleARN": "arn:aws:iam::000000000000:role/backup",
        "BucketARN": warehouse.bucket.arn,
        "BufferingHints": IN_ONE_REQUEST,
        "CompressionFormat": "GZIP",
    }
    prefix = "backup-of-all/"
    flow = warehouse.flow(S3BackupMode="Enabled", S3BackupConfiguration=backup | {"Prefix": prefix})
    records = numbered(10)
    flow.put(*records)
    flow.settle(10)

    def backups() -> list[str]:
        return [key for key in flow.bucket.keys() if key.startswith(prefix)]

    wait_until(backups, "the backup")
    (key,) = backups()
    assert flow.bucket.content(key) == b"".join(records)
    assert ObjectKey.parse(key, flow.stream).extension == ".gz"
    assert len(flow.check_manifests()) == 1


def test_a_transform_comes_first(warehouse):
    """What it drops or fails is not loaded, and what it fails is kept as such; the backup has what
    was put."""
    name = warehouse.programs.write("worker", THIRDS)
    backup = {"RoleARN": "arn:aws:iam::000000000000:role/backup", "BucketARN": warehouse.bucket.arn}
    flow = warehouse.flow(
        S3BackupMode="Enabled",
        S3BackupConfiguration=backup
        | {"Prefix": "backup-of-thirds/", "BufferingHints": IN_ONE_REQUEST},
        **processing(transform_at_once(name)),
    )
    records = numbered(9)
    flow.put(*records)
    assert flow.settle(3) == [0, 3, 6]
    ((seen,),) = flow.postgres.query(f"SELECT DISTINCT text FROM {flow.table}")
    assert seen == "seen"

    def failures() -> list:
        pattern = re.compile(re.escape(flow.prefix) + r"processing[_-]failed/")
        keys = [key for key in flow.bucket.keys() if pattern.match(key)]
        return [each for key in keys for each in parse_failures(flow.bucket.raw(key))]

    wait_until(lambda: len(failures()) == 3, "what the transform failed")
    assert sorted(json.loads(each.raw)["n"] for each in failures()) == [2, 5, 8]
    assert {each.code for each in failures()} == {STATUS_FAILED}

    def kept() -> bytes:
        keys = [key for key in flow.bucket.keys() if key.startswith("backup-of-thirds/")]
        return b"".join(flow.bucket.content(key) for key in keys)

    wait_until(lambda: kept() == b"".join(records), "the backup")
    assert len(flow.check_manifests()) == 1
