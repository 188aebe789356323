"""`hydrant replay redshift`: manifests that were given up are loaded after all."""

import json
import subprocess
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest

from commands import Done, run_hydrant
from postgres_wire import Hold
from server import BINARY, clean_environment
from streams import create_stream, fresh_name
from warehouse_fixtures import template
from warehouse_streams import (
    BACK_FILLED,
    GIVEN_UP,
    LEDGER_OPTIONS,
    MANIFESTS,
    WarehouseFlow,
    numbered,
)

pytest_plugins = ["warehouse_fixtures"]

WRONG_USAGE = 64

NOON = datetime(2026, 3, 29, 12, tzinfo=UTC)


Replay = Callable[..., Done]
"""Replays a stream with these options behind it."""


@pytest.fixture
def replay(seaweed) -> Replay:
    """Runs the command with what its server has."""

    def run(flow: WarehouseFlow, *options: str, **variables: str) -> Done:
        variables = seaweed.environment | variables
        return run_hydrant(None, *command(seaweed, flow), *options, **variables)

    return run


def command(seaweed, flow: WarehouseFlow) -> list[str]:
    """The command's arguments."""
    folder = ["--data-dir", str(flow.hydrant.data)]
    return ["replay", "redshift", flow.stream, *folder, *template(seaweed), *LEDGER_OPTIONS]


def said(done: Done, status: int = 0) -> list[str]:
    """The lines that a replay printed; checks how it ended."""
    assert done.returncode == status, (done.stdout + done.stderr).decode()
    return done.stdout.decode().splitlines()


def plant(flow: WarehouseFlow, moment: datetime, *records: bytes) -> str:
    """Puts an object and its manifests as if they had been given up; returns the name."""
    name = f"{flow.stream}-1-{moment:%Y-%m-%d-%H-%M-%S}-{uuid.uuid4()}"
    hour, body = f"{moment:%Y/%m/%d/%H}/", b"".join(records)
    url = flow.url(f"{flow.prefix}{hour}{name}")
    entry = {"url": url, "mandatory": True, "meta": {"content_length": len(body)}}
    manifest = json.dumps({"entries": [entry]}, separators=(",", ":")).encode()
    store(flow, f"{hour}{name}", body)
    for folder in (MANIFESTS, GIVEN_UP):
        store(flow, f"{folder}{hour}{name}-manifest", manifest)
    return f"{name}-manifest"


def store(flow: WarehouseFlow, key: str, body: bytes) -> None:
    """Puts an object below the prefix."""
    flow.bucket.client.put_object(Bucket=flow.bucket.name, Key=flow.prefix + key, Body=body)


def names(flow: WarehouseFlow, folder: str) -> list[str]:
    """The names of the manifests in a folder."""
    return [each.rpartition("/")[2] for each in flow.keys(folder)]


# MARK: Loading


def test_what_was_given_up_is_loaded(warehouse, postgres, replay):
    flow = warehouse.flow(create=False, retry=0, password=postgres.password)
    for number in range(3):
        flow.put(*numbered(5, 5 * number))
        flow.wait_for_given_up(number + 1)
    before = {each.key: each for each in flow.manifests(GIVEN_UP)}
    postgres.query(f"CREATE TABLE {flow.table} (n bigint)")
    lines = said(replay(flow))
    assert flow.numbers() == list(range(15))
    loads = [each for each in lines if "loaded" in each]
    assert len(loads) == 3
    for key, line in zip(sorted(before), loads, strict=True):
        assert key.rpartition("/")[2] in line
    assert flow.keys(GIVEN_UP) == []
    after = flow.check_manifests(BACK_FILLED)
    assert [each.key.replace(BACK_FILLED, GIVEN_UP) for each in after] == sorted(before)
    assert [each.url for each in after] == [before[key].url for key in sorted(before)]
    assert flow.loads() == [flow.url(each.key) for each in flow.check_manifests()]


def test_the_statement_has_the_error_manifest(warehouse, proxy, replay):
    """The ledger has the first one, so that both are known to be one."""
    flow = warehouse.flow(proxy)
    name = plant(flow, NOON, *numbered(3))
    said(replay(flow))
    hour = f"{NOON:%Y/%m/%d/%H}/"
    (statement,) = proxy.statements("redshift_copy")
    assert f"''{flow.url(flow.prefix + GIVEN_UP + hour + name)}''" in statement
    assert flow.loads() == [flow.url(flow.prefix + MANIFESTS + hour + name)]


def test_twice_in_a_row_loads_nothing_twice(warehouse, replay):
    flow = warehouse.flow()
    plant(flow, NOON, *numbered(3))
    assert any("loaded" in each for each in said(replay(flow)))
    assert not any("manifest" in each for each in said(replay(flow)))
    assert flow.numbers() == [0, 1, 2]
    assert len(flow.keys(BACK_FILLED)) == 1


def test_what_the_ledger_has_is_only_moved(warehouse, replay):
    """It was loaded, and the command died before it had moved it."""
    flow = warehouse.flow()
    name = plant(flow, NOON, *numbered(3))
    said(replay(flow))
    (manifest,) = flow.manifests(BACK_FILLED)
    hour = f"{NOON:%Y/%m/%d/%H}/"
    store(flow, f"{GIVEN_UP}{hour}{name}", flow.bucket.raw(manifest.key))
    flow.bucket.client.delete_object(Bucket=flow.bucket.name, Key=manifest.key)
    lines = said(replay(flow))
    assert [name in each for each in lines if "already loaded" in each] == [True]
    assert flow.numbers() == [0, 1, 2]
    assert names(flow, GIVEN_UP) == []
    assert names(flow, BACK_FILLED) == [name]


def test_a_kill_in_the_middle_loads_nothing_twice(warehouse, proxy, replay, seaweed):
    """psql outlives the command, and is waited for by the next one."""
    hold = proxy.plan = Hold("COMMIT")
    flow = warehouse.flow(proxy)
    name = plant(flow, NOON, *numbered(3))
    killed = subprocess.Popen(
        [BINARY, *command(seaweed, flow)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env=clean_environment() | seaweed.environment,
    )
    with killed:
        hold.wait()
        killed.kill()
    hold.let_go()
    lines = said(replay(flow))
    assert [name in each for each in lines if "already loaded" in each] == [True]
    assert flow.numbers() == [0, 1, 2]
    assert names(flow, BACK_FILLED) == [name]


def test_a_dry_run_changes_nothing(warehouse, proxy, replay):
    flow = warehouse.flow(proxy)
    planted = [plant(flow, NOON + timedelta(hours=each), *numbered(3)) for each in range(2)]
    keys = flow.bucket.keys()
    lines = [each for each in said(replay(flow, "--dry-run")) if "manifest" in each]
    assert [planted[n] in line for n, line in enumerate(lines)] == [True, True]
    assert flow.bucket.keys() == keys
    assert flow.numbers() == flow.loads() == []
    assert proxy.statements("redshift_copy") == []


@pytest.mark.parametrize(
    ("start", "end", "expected"),
    [
        (None, None, [0, 1, 2, 3, 4]),
        ("2026-03-29T13:00:00Z", None, [1, 2, 3, 4]),
        (None, "2026-03-29T13:00:00Z", [0, 1]),
        ("2026-03-29T13:00:00Z", "2026-03-29T14:00:00Z", [1, 2]),
        ("2026-03-30T00:00:00Z", "2026-03-31T00:00:00Z", [3]),
        ("2027-01-01T00:00:00Z", None, []),
    ],
)
def test_a_time_chooses_manifests(warehouse, replay, start, end, expected):
    """The oldest one is the first. 13:20 is in the hour from 13:00 on."""
    flow = warehouse.flow()
    hours = [timedelta(hours=each) for each in (0, 1.4, 2.9, 20, 24 * 40)]
    planted = [plant(flow, NOON + hour, *numbered(1, n)) for n, hour in enumerate(hours)]
    options = (["--from", start] if start else []) + (["--to", end] if end else [])
    lines = [each for each in said(replay(flow, *options)) if "-manifest" in each]
    for number, line in zip(expected, lines, strict=True):
        assert planted[number] in line
    assert flow.numbers() == expected
    left = [name for number, name in enumerate(planted) if number not in expected]
    assert sorted(names(flow, GIVEN_UP)) == sorted(left)


def test_what_fails_stays_and_the_rest_is_loaded(warehouse, replay):
    flow = warehouse.flow()
    good = plant(flow, NOON, *numbered(2))
    bad = plant(flow, NOON + timedelta(hours=1), b'{"n": "no number"}')
    last = plant(flow, NOON + timedelta(hours=2), *numbered(2, 2))
    lines = said(replay(flow), 1)
    (failed,) = [each for each in lines if "failed Redshift." in each]
    assert bad in failed
    assert "failed Redshift.DataLoadFailed: " in failed
    assert "stl_load_errors" in failed
    assert flow.numbers() == [0, 1, 2, 3]
    assert names(flow, GIVEN_UP) == [bad]
    assert names(flow, BACK_FILLED) == [good, last]


def test_each_line_can_be_json(warehouse, replay):
    flow = warehouse.flow()
    good = plant(flow, NOON, *numbered(2))
    bad = plant(flow, NOON + timedelta(hours=1), b'{"n": "no number"}')
    found = [json.loads(each) for each in said(replay(flow, "--json"), 1)]
    by_name = {each["manifest"].rpartition("/")[2]: each for each in found if "manifest" in each}
    assert by_name.keys() == {good, bad}
    assert by_name[bad]["code"] == "Redshift.DataLoadFailed"


def test_manifests_of_other_streams_are_left_alone(warehouse, postgres, replay):
    """They share a bucket and a prefix, and have tables of their own."""
    flow = warehouse.flow()
    other = warehouse.flow(prefix=flow.prefix)
    name, foreign = plant(flow, NOON, *numbered(2)), plant(other, NOON, *numbered(2, 2))
    said(replay(flow))
    assert flow.numbers() == [0, 1]
    assert other.numbers() == []
    assert names(flow, GIVEN_UP) == [foreign]
    assert names(flow, BACK_FILLED) == [name]


def test_more_manifests_than_one_listing_has_are_found(warehouse, replay):
    flow = warehouse.flow()
    start = f"{GIVEN_UP}{NOON:%Y/%m/%d/%H}/{flow.stream}-1-{NOON:%Y-%m-%d-%H-%M-%S}-"
    keys = [f"{start}{uuid.uuid4()}-manifest" for _ in range(1_003)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda key: store(flow, key, b"{}"), keys))
    lines = said(replay(flow, "--dry-run"))
    assert sum("-manifest" in each for each in lines) == 1_003


# MARK: Beside a server, and without one


def test_a_running_server_goes_on(warehouse, proxy, replay):
    """One waits for the other, by the ledger's lock."""
    flow = warehouse.flow(proxy)
    for number in range(3):
        plant(flow, NOON + timedelta(hours=number), *numbered(2, 100 + 2 * number))
        flow.put(*numbered(2, 2 * number))
    said(replay(flow))
    flow.put(*numbered(2, 6))
    assert flow.settle(14) == [*range(8), *range(100, 106)]
    flow.wait_for_loads(len(flow.keys()) - 3)
    flow.check_manifests()


def test_no_server_is_needed(start_warehouse, postgres, replay):
    bench = start_warehouse(*LEDGER_OPTIONS, postgres=postgres)
    flow = bench.flow()
    assert bench.hydrant.sigterm() == 0
    plant(flow, NOON, *numbered(3))
    said(replay(flow))
    assert flow.numbers() == [0, 1, 2]


def test_a_wrong_password_is_said_and_not_shown(warehouse, replay):
    flow = warehouse.flow(password="Wrong-0-password")
    plant(flow, NOON, *numbered(3))
    done = replay(flow)
    (line,) = [each for each in said(done, 1) if "failed" in each]
    assert "Redshift.AuthenticationFailed" in line
    assert b"Wrong-0-password" not in done.stdout + done.stderr


@pytest.mark.parametrize(
    "options",
    [["--from", "yesterday"], ["--to", "2026-13-01T00:00:00Z"], ["--copy-statement", "{nothing}"]],
    ids=["from", "to", "template"],
)
def test_what_makes_no_sense_is_refused(warehouse, replay, options):
    flow = warehouse.flow()
    plant(flow, NOON, *numbered(3))
    done = replay(flow, *options)
    assert done.returncode == WRONG_USAGE, done.stderr
    assert options[1] in done.stderr.decode()
    assert flow.numbers() == []


def test_a_stream_that_is_no_warehouses_is_refused(warehouse, replay):
    """There is none of that name, or it delivers elsewhere."""
    for stream in (fresh_name(), create_stream(warehouse.client, warehouse.bucket.arn)):
        done = replay(WarehouseFlow(warehouse.hydrant, stream, warehouse.bucket, "t", "p/"))
        assert said(done, 1) == []
        assert stream in done.stderr.decode()
