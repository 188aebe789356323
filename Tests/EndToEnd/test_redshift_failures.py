"""COPYs that fail: what an operator reads about them, where their manifests go, and when."""

import os
import signal
import threading
import time

import pytest

from ports import free_port
from postgres_wire import Drop, Hold, Refusal, Rows, always, on
from search_streams import StrictBucket
from server import Hydrant
from streams import fresh_name
from strict_s3 import StrictS3
from transform_fixtures import LOG_FORMAT
from waiting import wait_until
from warehouse import DATABASE
from warehouse_psql import children
from warehouse_streams import (
    FAILED_ONCE,
    GIVEN_UP,
    KEPT,
    LEDGER_OPTIONS,
    LOADED,
    PASSWORD,
    WarehouseBench,
    WarehouseFlow,
    numbered,
)

pytest_plugins = ["warehouse_fixtures"]

S3_SAYS = "S3ServiceException:{},Status {},Error {},Rid 5FBA0,ExtRid abc,CanRetry 1"

CODES = {
    "TableNotFound": Refusal("42P01", 'relation "t" does not exist'),
    "SyntaxError": Refusal("42601", 'syntax error at or near "CREDENTIALS"'),
    "InsufficientPrivilege": Refusal("42501", "permission denied for relation t"),
    "ColumnNotFound": Refusal("42703", 'column "a" of relation "t" does not exist'),
    "DatabaseNotFound": Refusal("3D000", 'database "x" does not exist'),
    "DiskFull": Refusal("53100", "could not extend file: No space left on device"),
    "ReadOnlyCluster": Refusal("25006", "cannot execute COPY in a read-only transaction"),
    "ConnectionFailed 57P01": Refusal("57P01", "terminating connection", "FATAL"),
    "ConnectionFailed 57P02": Refusal("57P02", "terminating connection"),
    "ConnectionFailed 57P03": Refusal("57P03", "the database system is starting up"),
    "ConnectionFailed 08006": Refusal("08006", "connection failure"),
    "DataLoadFailed 22P02": Refusal("22P02", "invalid input syntax for type integer"),
    "DataLoadFailed 22001": Refusal("22001", "value too long for type character varying(10)"),
    "DataLoadFailed": Refusal(
        "XX000",
        "Load into table 't' failed.  Check 'stl_load_errors' system table for details.",
    ),
    "MissingS3File": Refusal("XX000", S3_SAYS.format("Not Found", 404, "NoSuchKey")),
    "S3BucketAccessDenied": Refusal("XX000", S3_SAYS.format("Access Denied", 403, "AccessDenied")),
    "InternalError": Refusal("XX000", "an assertion failed"),
}
"""What a database answers, by the code's second part."""


# MARK: Codes


@pytest.mark.parametrize("name", CODES)
def test_what_the_database_says_has_a_code(copier, wire, name):
    """Without retry time there is one attempt."""
    wire.plan = always("COPY", CODES[name])
    flow = copier.flow(wire, table="t", retry=0)
    flow.put(*numbered(1))
    (said,) = flow.wait_for_given_up()
    assert said["code"] == f"Redshift.{name.split()[0]}"
    assert CODES[name].message in said["error"]
    assert said["attempts"] == "1"
    assert len(wire.statements("COPY")) == 1
    assert flow.log(FAILED_ONCE) == flow.log(LOADED) == []


BAD = {
    "wrong password": ("AuthenticationFailed", {"password": "Wrong-0-password"}, "password"),
    "unknown user": ("AuthenticationFailed", {"user": "nobody"}, "password"),
    "missing table": ("TableNotFound", {"create": False}, "does not exist"),
    "missing column": ("ColumnNotFound", {"columns": "n, nothing"}, "nothing"),
    "bad data": ("DataLoadFailed", {"schema": "n smallint"}, "stl_load_errors"),
    "no document": ("DataLoadFailed", {"options": "JSON 'auto'"}, "stl_load_errors"),
    "denied object": (
        "S3BucketAccessDenied",
        {"RoleARN": "arn:aws:iam::000000000000:role/stranger"},
        "AccessDenied",
    ),
}
"""Streams that cannot load: the code, what is wrong with them, and a word that an operator needs.

Their record is `{"n": 100000}`, or what is no document.
"""


@pytest.mark.parametrize("name", BAD)
def test_a_load_that_cannot_be_is_given_up(warehouse, name):
    code, members, word = BAD[name]
    password = {"password": warehouse.postgres.password} | members
    flow = warehouse.flow(retry=0, **(password | members))
    flow.put(b"{" if name == "no document" else b'{"n": 100000}')
    (said,) = flow.wait_for_given_up()
    assert said["code"] == f"Redshift.{code}"
    assert word in said["error"]
    assert "\n" not in said["error"]
    assert warehouse.postgres.password not in flow.hydrant.log()
    assert flow.loads() == []
    if members.get("create", True):
        assert flow.numbers() == []


def test_a_missing_database_is_named(warehouse):
    url = warehouse.postgres.jdbc_url.replace(f"/{DATABASE}", "/nowhere")
    flow = warehouse.flow(url=url, retry=0)
    flow.put(*numbered(1))
    (said,) = flow.wait_for_given_up()
    assert said["code"] == "Redshift.DatabaseNotFound"
    assert "nowhere" in said["error"]


def test_a_cluster_that_is_down_has_no_connection(copier):
    port = free_port()
    flow = copier.flow(url=f"jdbc:redshift://127.0.0.1:{port}/db", table="t", retry=0)
    flow.put(*numbered(1))
    (said,) = flow.wait_for_given_up()
    assert said["code"] == "Redshift.ConnectionFailed"
    assert f"port {port}" in said["error"]


def test_an_object_that_is_gone_is_missed(warehouse, proxy):
    hold = proxy.plan = Hold("redshift_copy")
    flow = warehouse.flow(proxy, retry=0)
    flow.put(*numbered(1))
    hold.wait()
    (key,) = flow.keys()
    flow.bucket.client.delete_object(Bucket=flow.bucket.name, Key=key)
    hold.let_go()
    (said,) = flow.wait_for_log(KEPT)
    assert said["code"] == "Redshift.MissingS3File"
    assert "NoSuchKey" in said["error"]
    (manifest,) = flow.manifests(GIVEN_UP)
    assert said["manifest"] == flow.url(manifest.key)


def test_without_psql_nothing_is_lost(start_warehouse, wire, tmp_path):
    """It is installed while manifests wait."""
    psql = tmp_path / "psql"
    flow = start_warehouse("--psql", str(psql)).flow(wire, table="t")
    flow.put(*numbered(1))
    said = flow.wait_for_log(FAILED_ONCE)[0]
    assert said["level"] == "warning"
    assert str(psql) in said["error"]
    psql.symlink_to("/usr/bin/psql")
    flow.wait_for_log(LOADED)


def test_a_copy_has_its_time(start_warehouse, wire):
    """An attempt that takes longer is ended, and nobody knows what became of it."""
    hold = Hold("COPY")
    wire.plan = lambda session, text: hold(session, text) if session.number == 0 else None
    flow = start_warehouse("--copy-timeout", "1").flow(wire, table="t")
    flow.put(*numbered(1))
    (said,) = flow.wait_for_log(FAILED_ONCE)
    flow.wait_for_log(LOADED)
    hold.let_go()
    assert said["code"] in ("Redshift.InternalError", "Redshift.ConnectionFailed")
    assert len(wire.statements("COPY")) == 2
    wait_until(lambda: wire.sessions[0].is_over, "the first psql to end")


# MARK: Retries


def test_a_copy_is_tried_again(warehouse, proxy):
    proxy.plan = on("redshift_copy", CODES["DiskFull"])
    flow = warehouse.flow(proxy)
    flow.put(*numbered(3))
    flow.settle(3)
    (loaded,) = flow.wait_for_log(LOADED)
    (failed,) = flow.log(FAILED_ONCE)
    (manifest,) = flow.check_manifests()
    assert failed["level"] == "warning"
    assert (failed["code"], failed["attempts"]) == ("Redshift.DiskFull", "1")
    assert failed["manifest"] == loaded["manifest"] == flow.url(manifest.key)
    assert "No space left on device" in failed["error"]
    assert loaded["attempts"] == "2"
    assert flow.keys(GIVEN_UP) == []


def test_later_manifests_are_loaded_while_one_is_tried_again(warehouse, proxy):
    flow = warehouse.flow(proxy)
    refused: list[str] = []

    def plan(_, statement: str) -> Refusal | None:
        if "redshift_copy" not in statement:
            return None
        if not refused:
            refused.append(statement)
        return CODES["DiskFull"] if statement in refused else None

    proxy.plan = plan
    flow.put(*numbered(3))
    flow.wait_for_log(FAILED_ONCE)
    for number in range(1, 4):
        flow.put(*numbered(3, 3 * number))
    assert flow.settle(9) == list(range(3, 12))
    refused[0] = ""
    assert flow.settle(12) == list(range(12))
    assert flow.keys(GIVEN_UP) == []


def test_later_manifests_are_loaded_when_one_is_given_up(warehouse, proxy):
    proxy.plan = on("redshift_copy", CODES["DataLoadFailed"])
    flow = warehouse.flow(proxy, retry=0)
    flow.put(*numbered(3))
    flow.wait_for_given_up()
    flow.put(*numbered(3, 3))
    assert flow.settle(3) == [3, 4, 5]
    assert len(flow.check_manifests()) == 2


@pytest.mark.parametrize("killed", [False, True], ids=["running", "killed"])
def test_retries_end_with_their_time(start_warehouse, wire, killed):
    """A restart does not begin it anew. Attempts are after 0, 1 and 3 s, or so."""
    seconds = 4
    wire.plan = always("COPY", CODES["DiskFull"])
    bench = start_warehouse()
    flow = bench.flow(wire, table="t", retry=seconds)
    flow.put(*numbered(1))
    wait_until(lambda: wire.statements("COPY"), "the first attempt")
    start = time.monotonic()
    if killed:
        wait_until(lambda: time.monotonic() - start > seconds * 0.7, "most of the time to pass")
        bench.hydrant.sigkill()
        bench.hydrant.start()
    (said,) = flow.wait_for_given_up()
    took = time.monotonic() - start
    assert seconds * 0.6 < took < seconds * 1.6
    assert said["code"] == "Redshift.DiskFull"
    # An attempt that was killed before it came so far is one all the same.
    assert 0 <= int(said["attempts"]) - len(wire.statements("COPY")) <= killed
    assert int(said["attempts"]) > 2


def test_a_new_password_is_used_for_what_waits(warehouse):
    flow = warehouse.flow(password="Wrong-0-password")
    flow.put(*numbered(3))
    said = flow.wait_for_log(FAILED_ONCE)[0]
    assert said["code"] == "Redshift.AuthenticationFailed"
    flow.update(Password=warehouse.postgres.password)
    assert flow.settle(3) == [0, 1, 2]
    flow.check_manifests()


def test_what_waits_for_another_cluster_waits_for_that(warehouse, postgres, wire):
    """The stream has a new one, with a password that is none of the old one's business."""
    wire.plan = always("redshift_copy", CODES["DiskFull"])
    flow = warehouse.flow(wire, table="t")
    flow.put(*numbered(2))
    flow.wait_for_log(FAILED_ONCE)
    flow.table, flow.postgres = fresh_name("t").replace("-", "_"), postgres
    postgres.query(f"CREATE TABLE {flow.table} (n bigint)")
    command = {"DataTableName": flow.table, "CopyOptions": "JSON 'auto'"}
    members = {"ClusterJDBCURL": postgres.jdbc_url, "Password": postgres.password}
    flow.update(CopyCommand=command, **members)
    flow.put(*numbered(2, 2))
    assert flow.settle(2) == [2, 3]
    wire.plan = always("hydrant_loaded", Rows(("f",), "hydrant_loaded"))
    flow.wait_for_loads(2)
    assert {each.password for each in wire.sessions} == {PASSWORD}
    assert flow.numbers() == [2, 3]


# MARK: Attempts whose end nobody knows


def lose(warehouse, proxy, plan) -> WarehouseFlow:
    """Loads records through a plan that ends a connection once."""
    proxy.plan = plan
    flow = warehouse.flow(proxy)
    flow.put(*numbered(5))
    flow.wait_for_loads()
    (failed,) = flow.log(FAILED_ONCE)
    assert failed["code"] == "Redshift.ConnectionFailed"
    assert flow.numbers() == list(range(5))
    (manifest,) = flow.check_manifests()
    assert flow.loads() == [flow.url(manifest.key)]
    return flow


@pytest.mark.parametrize(
    ("word", "drop", "loads"),
    [
        ("BEGIN", Drop.BEFORE, 1),
        ("redshift_copy", Drop.BEFORE, 2),
        ("redshift_copy", Drop.AFTER, 2),
        ("INSERT", Drop.AFTER, 2),
        ("COMMIT", Drop.BEFORE, 2),
        ("COMMIT", Drop.AFTER, 1),
    ],
)
def test_a_lost_connection_loads_nothing_twice(warehouse, proxy, word, drop, loads):
    """The ledger says whether it was carried out."""
    lose(warehouse, proxy, on(word, drop))
    assert len(proxy.statements("redshift_copy")) == loads


def test_without_a_ledger_a_lost_copy_is_repeated(copier, wire):
    wire.plan = on("COPY", Drop.AFTER)
    flow = copier.flow(wire, table="t")
    flow.put(*numbered(1))
    (loaded,) = flow.wait_for_log(LOADED)
    assert loaded["attempts"] == "2"
    assert len(wire.statements("COPY")) == 2


@pytest.mark.parametrize("killed", [False, True], ids=["stopped", "killed"])
def test_a_copy_that_outlives_the_server_is_not_repeated(start_warehouse, postgres, proxy, killed):
    """Where it is killed psql goes on: the next attempt waits for it, and finds what it wrote."""
    hold = proxy.plan = Hold("redshift_copy")
    bench = start_warehouse(*LEDGER_OPTIONS, postgres=postgres)
    flow = bench.flow(proxy)
    flow.put(*numbered(5))
    hold.wait()
    if killed:
        bench.hydrant.sigkill()
        bench.hydrant.start()
    else:
        bench.hydrant.restart()
    wait_until(lambda: len(proxy.statements("LOCK")) == 2, "the next attempt")
    hold.let_go()
    flow.wait_for_loads()
    assert flow.numbers() == list(range(5))
    (manifest,) = flow.check_manifests()
    assert flow.loads() == [flow.url(manifest.key)]


def test_a_psql_that_is_killed_is_started_again(warehouse, proxy):
    hold = Hold("redshift_copy")
    proxy.plan = lambda session, text: hold(session, text) if session.number == 0 else None
    flow = warehouse.flow(proxy)
    flow.put(*numbered(5))
    hold.wait()
    for each in children(warehouse.hydrant):
        os.kill(each, signal.SIGKILL)
    flow.wait_for_log(FAILED_ONCE)
    hold.let_go()
    flow.wait_for_loads()
    assert flow.numbers() == list(range(5))


# MARK: Error manifests


def test_an_error_manifest_is_written_until_the_bucket_takes_it(start_hydrant, wire):
    """The same one, although the server is killed meanwhile and the warehouse would take it."""
    with StrictS3() as store:
        works = threading.Event()
        store.fault = lambda count: None if count < 2 or works.is_set() else 503
        hydrant: Hydrant = start_hydrant(*LOG_FORMAT, environment=store.environment)
        bench = WarehouseBench(hydrant, StrictBucket(store, "bucket"))
        wire.plan = on("COPY", CODES["DataLoadFailed"])
        flow = bench.flow(wire, table="t", retry=0)
        flow.put(*numbered(1))
        wait_until(lambda: len(store.puts) > 2, "an attempt to write the error manifest")
        hydrant.sigkill()
        hydrant.start()
        wait_until(lambda: len(store.puts) > 3, "another one")
        works.set()
        flow.wait_for_given_up()
        assert len({(key, body) for _, key, body in store.puts}) == 3
        assert flow.log(LOADED) == []
        assert len(wire.statements("COPY")) == 1
