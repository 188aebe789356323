"""COPYs that never end, are cancelled, wait for each other or are not run any more; back-fills that
cannot move what they loaded; and settings that nothing could be loaded with.
"""

import re
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from urllib.parse import parse_qs
from xml.sax.saxutils import escape

import pytest

from commands import Done, run_hydrant
from data_api import CANCEL, RUNS, DataAPI
from postgres_wire import Refusal, always, on
from redshift_streams import data_api_options, load_in
from search_streams import StrictBucket
from sigv4_judge import Request
from streams import fresh_name
from strict_s3 import StrictS3
from transform_fixtures import LOG_FORMAT
from updates import assert_refused
from waiting import wait_until
from warehouse import Postgres
from warehouse_streams import (
    BACK_FILLED,
    FAILED_ONCE,
    GIVEN_UP,
    KEPT,
    LEDGER_OPTIONS,
    LOADED,
    WarehouseBench,
    WarehouseFlow,
    numbered,
)

pytest_plugins = ["warehouse_fixtures"]

INVALID = "InvalidArgumentException"

NO_TABLE = Refusal("42P01", 'relation "t" does not exist')

MOST_KEY_BYTES = 1024
"""That of S3."""

VERSION_ROOM = 6
"""Digits by which a stream's version may grow."""

with_and_without_ledger = pytest.mark.parametrize(
    "ledger", [(), LEDGER_OPTIONS], ids=["no ledger", "ledger"]
)

Start = Callable[..., WarehouseBench]
"""Starts a server that loads by a template."""


@pytest.fixture
def start_with(start_warehouse, postgres, seaweed) -> Start:
    """The template's `{load}` is a call that loads a manifest, without its end."""

    def start(template: str, *options: str) -> WarehouseBench:
        call = f"redshift_copy({{copy_literal}}, '{seaweed.endpoint}'"
        statement = template.replace("{load}", call)
        bench = start_warehouse("--copy-statement", statement, *options)
        return replace(bench, postgres=postgres)

    return start


# MARK: Statements without an end


@with_and_without_ledger
def test_a_template_that_does_not_end_loads_nothing(start_with, ledger):
    """It is not taken for one that was carried out."""
    flow = start_with("SELECT {load}", *ledger).flow(retry=0)
    flow.put(*numbered(3))
    (said,) = flow.wait_for_given_up()
    assert said["code"] == "Redshift.SyntaxError"
    assert flow.log(LOADED) == []
    assert flow.numbers() == flow.loads() == []


@with_and_without_ledger
def test_a_template_may_end_in_a_comment(start_with, ledger):
    flow = start_with("SELECT {load}) -- one manifest", *ledger).flow(retry=0)
    flow.put(*numbered(3))
    flow.wait_for_loads()
    assert flow.numbers() == [0, 1, 2]
    assert len(flow.loads()) == (1 if ledger else 0)
    assert flow.keys(GIVEN_UP) == []


@pytest.mark.parametrize(
    "options",
    ["JSON ('auto'", "((((')')", "GZIP)", ")("],
    ids=["not closed", "closed in a literal", "not opened", "closed first"],
)
def test_options_whose_parentheses_do_not_match_are_refused(copier, wire, options):
    create = partial(copier.flow, wire, table="t", options=options)
    assert_refused(INVALID, create, "CopyOptions")


# MARK: COPYs that are cancelled


class Slow:
    """A template whose first statement goes on for longer than any test, and others do not."""

    def __init__(self, postgres: Postgres):
        self._postgres = postgres
        self._counter = fresh_name("counter").replace("-", "_")
        postgres.query(f"CREATE SEQUENCE {self._counter}")

    @property
    def template(self) -> str:
        """What counts is not undone when it is rolled back."""
        seconds = f"CASE nextval('{self._counter}') WHEN 1 THEN 100 ELSE 0 END"
        return f"SELECT {{load}}) FROM pg_sleep({seconds})"

    def running(self) -> list[str]:
        """The processes of the database that run it now."""
        found = self._postgres.query(
            "SELECT pid FROM pg_stat_activity WHERE state = 'active' "
            f"AND query LIKE '%{self._counter}%' AND pid <> pg_backend_pid()"
        )
        return [pid for (pid,) in found]

    def wait(self) -> str:
        """Waits until it runs; returns its process."""
        (pid,) = wait_until(self.running, "a statement that runs")
        return pid


@pytest.fixture
def slow(postgres) -> Slow:
    """One of the test's own."""
    return Slow(postgres)


def test_a_copy_whose_time_is_up_does_not_go_on(start_with, slow):
    """The database has ended it when another one is tried, so that no ledger is needed."""
    flow = start_with(slow.template, "--copy-timeout", "1").flow()
    flow.put(*numbered(5))
    first = slow.wait()
    flow.wait_for_log(FAILED_ONCE)
    assert first not in slow.running()
    flow.wait_for_loads()
    assert flow.numbers() == list(range(5))
    assert len(flow.log(FAILED_ONCE)) == 1


@with_and_without_ledger
def test_a_stop_ends_the_copy_at_the_database(start_with, slow, ledger):
    bench = start_with(slow.template, *ledger)
    flow = bench.flow()
    flow.put(*numbered(5))
    slow.wait()
    assert bench.hydrant.sigterm() == 0
    assert slow.running() == []
    assert flow.numbers() == []
    bench.hydrant.start()
    flow.wait_for_loads()
    assert flow.numbers() == list(range(5))


def test_a_statement_of_the_data_api_whose_time_is_up_is_cancelled(start_hydrant):
    with DataAPI() as api:
        variables = api.environment | {"AWS_REGION": "eu-west-1"}
        options = data_api_options(api, "--copy-timeout", "1")
        hydrant = start_hydrant(*options, environment=variables)
        load = load_in(hydrant, api, course=lambda _: RUNS, retry=0)
        load.flow.put(b"record\n")
        load.flow.wait_until_given_up()
        assert load.database.calls_of(CANCEL)
        assert [each.status for each in load.database.loads] == ["ABORTED"]
        assert api.violations == []


# MARK: Servers that load nothing any more


def test_what_was_tried_is_kept_by_a_server_that_loads_nothing(start_warehouse, wire):
    """A back-fill finds it; later objects are none of its business."""
    wire.plan = always("COPY", NO_TABLE)
    bench = start_warehouse()
    flow = bench.flow(wire, table="t")
    flow.put(*numbered(1))
    flow.wait_for_log(FAILED_ONCE)
    assert bench.hydrant.sigterm() == 0
    tried = len(wire.statements("COPY"))
    bench.hydrant.options += ["--copy", "none"]
    bench.hydrant.start()
    (said,) = flow.wait_for_given_up()
    assert "--copy none" in said["error"]
    flow.put(*numbered(1, 1))
    wait_until(lambda: len(flow.check_manifests()) == 2, "the next manifest")
    assert len(flow.keys(GIVEN_UP)) == 1
    assert len(wire.statements("COPY")) == tried


# MARK: Streams that share a ledger


def test_waiting_for_others_takes_none_of_the_time(start_with):
    """All of them together take longer than any of them may, and there is no second attempt."""
    template = "SELECT {load}) FROM pg_sleep(0.8)"
    bench = start_with(template, "--copy-timeout", "2", *LEDGER_OPTIONS)
    flows = [bench.flow(retry=0) for _ in range(3)]
    for each in flows:
        each.put(*numbered(2))
    for each in flows:
        each.wait_for_loads()
        assert each.log(KEPT) == each.log(FAILED_ONCE) == []
        assert each.numbers() == [0, 1]


# MARK: Back-fills


class ListedS3(StrictS3):
    """An S3 endpoint that also lists and deletes what it has, all on one page."""

    def handle(self, request: Request) -> tuple[int, bytes]:
        """As `StrictS3`, for a bucket `bucket`."""
        query = parse_qs(request.target.partition("?")[2])
        if request.method == "GET" and "list-type" in query:
            if faults := self.judge.faults(request):
                self.refusals += faults
                return 403, b""
            prefix = query["prefix"][0]
            keys = [key for key in self.objects("bucket") if key.startswith(prefix)]
            inner = "".join(f"<Contents><Key>{escape(key)}</Key></Contents>" for key in keys)
            ends = "<IsTruncated>false</IsTruncated></ListBucketResult>"
            return 200, f"<ListBucketResult>{inner}{ends}".encode()
        if request.method == "DELETE":
            key = request.path.removeprefix("/bucket/")
            with self._lock:
                return (204, b"") if self._objects.pop(("bucket", key), None) else (404, b"")
        return super().handle(request)


def replay(flow: WarehouseFlow, *options: str, **variables: str) -> Done:
    """Runs the command with COPY itself and without a ledger."""
    folder = ("--data-dir", str(flow.hydrant.data))
    return run_hydrant(None, "replay", "redshift", flow.stream, *folder, *options, **variables)


@pytest.mark.parametrize("options", [(), ("--dry-run",)], ids=["replay", "dry run"])
def test_no_manifests_are_no_failure_and_are_said(copier, seaweed, wire, options):
    flow = copier.flow(wire, table="t")
    flow.put(*numbered(1))
    flow.wait_for_loads()
    done = replay(flow, *options, **seaweed.environment)
    assert (done.returncode, done.stdout) == (0, b"")
    said = done.stderr.decode()
    assert f"no manifests of {flow.stream}" in said
    assert flow.url(flow.prefix + GIVEN_UP) in said


def test_what_is_loaded_and_cannot_be_moved_is_said(start_hydrant, wire):
    """The next one is loaded and moved all the same."""
    with ListedS3() as store:
        hydrant = start_hydrant(*LOG_FORMAT, environment=store.environment)
        bench = WarehouseBench(hydrant, StrictBucket(store, "bucket"))
        wire.plan = on("COPY", NO_TABLE, NO_TABLE)
        flow = bench.flow(wire, table="t", retry=0)
        for number in range(2):
            flow.put(*numbered(1, number))
            flow.wait_for_given_up(number + 1)
        first, second = flow.keys(GIVEN_UP)
        before = len(store.puts)
        store.fault = lambda count: 503 if count == before else None
        done = replay(flow, **store.environment)
        lines = done.stdout.decode().splitlines()
        assert done.returncode == 1, done.stderr
        assert len(lines) == 2
        assert lines[0].startswith(f"{flow.url(first)} loaded, and not moved: S3.")
        assert lines[1] == f"{flow.url(second)} loaded"
        assert flow.keys(GIVEN_UP) == [first]
        assert flow.keys(BACK_FILLED) == [second.replace(GIVEN_UP, BACK_FILLED)]
        assert len(wire.statements("COPY")) == 4
        assert store.refusals == []


# MARK: Settings


@pytest.mark.parametrize("seconds", ["0", "-1", "604801", "9223372036854775807"])
def test_times_that_no_copy_takes_are_refused(make_hydrant, seconds):
    said = make_hydrant(f"--copy-timeout={seconds}").refusal_to_start()
    assert "--copy-timeout is" in said


@pytest.mark.parametrize("character", ["é", "漢"], ids=["two bytes", "three bytes"])
def test_a_prefix_without_room_for_manifests_is_refused(copier, wire, character):
    """There would be room for the objects."""
    prefix = character * (928 // len(character.encode()))
    create = partial(copier.flow, wire, table="t", prefix=prefix)
    assert_refused(INVALID, create, "Prefix")


def folders(length: int) -> str:
    """A prefix of so many bytes, in fewer characters than a prefix may have."""
    text = (("é" * 49 + "/") * 11).encode()[:length].decode(errors="ignore")
    return text + "a" * (length - len(text.encode()))


def test_the_longest_prefix_has_room_for_all_manifests(copier, wire):
    """The one with another byte is refused, though its objects have room."""
    wire.plan = always("COPY", NO_TABLE)
    create = partial(copier.flow, wire, table="t", retry=0)
    said = assert_refused(INVALID, partial(create, prefix=folders(1000)), "Prefix")
    (count,) = map(int, re.findall(r"keys of (\d+) bytes", said))
    most = 1000 - (count - MOST_KEY_BYTES)
    assert_refused(INVALID, partial(create, prefix=folders(most + 1)), "Prefix")
    flow = create(prefix=folders(most))
    flow.put(*numbered(1))
    flow.wait_for_given_up()
    (key,) = flow.keys(GIVEN_UP)
    longest = key.replace(GIVEN_UP, BACK_FILLED).encode()
    assert len(longest) == MOST_KEY_BYTES - VERSION_ROOM
