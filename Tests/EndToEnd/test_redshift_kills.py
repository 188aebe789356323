"""The promise to a warehouse: each record becomes one row, whatever dies.

The full load runs with HYDRANT_FULL_LOAD=1; HYDRANT_SEED repeats an earlier run's choices.
"""

import os
import random
import time
from contextlib import suppress

import pytest

from ports import free_port
from postgres_wire import Drop, Wire
from waiting import WaitedTooLong, wait_until
from warehouse import Postgres
from warehouse_load import Findings, WarehouseLoad, record
from warehouse_streams import FAILED_ONCE, LEDGER_OPTIONS, WarehouseFlow

pytest_plugins = ["warehouse_fixtures"]

FULL = os.environ.get("HYDRANT_FULL_LOAD") == "1"

RECORDS, KILLS, RESTARTS = (200_000, 20, 5) if FULL else (20_000, 4, 1)

PACE_SECONDS = 60 if FULL else 6
"""What a load is spread over: it must not be over before the last kill."""

PATIENCE_SECONDS = 600 if FULL else 90
"""How long a load and the delivery behind it may take."""

pytestmark = pytest.mark.timeout(3 * PATIENCE_SECONDS)

HINTS = {"SizeInMBs": 1, "IntervalInSeconds": 0}
"""Many manifests, so that there is always one under way."""

LOST = 0.05
"""The share of statements after or before which the connection is lost."""

STATEMENTS = ("BEGIN", "LOCK", "SELECT", "INSERT", "COMMIT")


def chosen_seed() -> int:
    """That of this run, or the one to repeat."""
    seed = int(os.environ.get("HYDRANT_SEED", random.randrange(2**32)))
    print(f"HYDRANT_SEED={seed}")
    return seed


def wait_for_share(load: WarehouseLoad, share: float) -> None:
    """Waits until that share of the records was acknowledged."""
    what = f"{share:.0%} of the load"
    wait_until(lambda: load.has_put(share), what, timeout=PATIENCE_SECONDS, pause=0.005)
    assert not load.is_over, "the load was over before the last fault"


def wait_for_rows(flow: WarehouseFlow, load: WarehouseLoad) -> None:
    """Waits until there are as many rows as were acknowledged.

    Gives up in silence: what is found says better what is missing.
    """

    def are_there() -> bool:
        return flow.postgres.count(flow.table) >= len(load.acknowledged)

    with suppress(WaitedTooLong):
        wait_until(are_there, "all rows", timeout=PATIENCE_SECONDS, pause=0.25)


def load_one_more(flow: WarehouseFlow, load: WarehouseLoad) -> None:
    """Puts a last record and waits for it: what the server still had to load is there by then."""
    number = 10**9
    flow.put(record(number))
    load.acknowledged.add(number)
    query = f"SELECT 1 FROM {flow.table} WHERE n = {number}"
    wait_until(lambda: flow.postgres.query(query), "the last row", timeout=60, pause=0.25)
    wait_until(lambda: len(flow.loads()) >= len(flow.manifests()), "the ledger", timeout=60)


def summary(title: str, load: WarehouseLoad, findings: Findings) -> str:
    """One line of counts."""
    put = len(load.acknowledged) + len(load.unacknowledged)
    return f"{title}: {put:,} put, {len(load.acknowledged):,} acknowledged; {findings}"


def test_no_kill_loses_or_doubles_a_row(start_warehouse, own_postgres, report_counts):
    """The server is killed, sometimes again while it recovers, and the database is killed or
    stopped, at random moments of the load."""
    seed = chosen_seed()
    chance = random.Random(seed)
    bench = start_warehouse(*LEDGER_OPTIONS, postgres=own_postgres, port=free_port())
    hydrant, relapses = bench.hydrant, 0
    flow = bench.flow(hints=HINTS, options="GZIP JSON 'auto'", s3={"CompressionFormat": "GZIP"})
    faults = ["kill"] * KILLS + ["restart"] * RESTARTS
    chance.shuffle(faults)
    moments = sorted(chance.uniform(0.02, 0.9) for _ in faults)
    with WarehouseLoad(hydrant, flow.stream, records=RECORDS, pace=PACE_SECONDS) as load:
        for moment, fault in zip(moments, faults, strict=True):
            wait_for_share(load, moment)
            time.sleep(chance.uniform(0, 0.03))
            if fault == "restart":
                restart(own_postgres, chance)
                continue
            hydrant.sigkill()
            if chance.random() < 0.3:
                relapses += 1
                hydrant.spawn()
                time.sleep(chance.uniform(0, 0.1))
                hydrant.sigkill()
            hydrant.start()
        wait_until(lambda: load.is_over, "the producers", timeout=PATIENCE_SECONDS)
    wait_for_rows(flow, load)
    hydrant.restart()
    load_one_more(flow, load)
    findings = Findings.of(flow, load)
    title = (
        f"Redshift, {KILLS} kills and {relapses} during recovery, {RESTARTS} restarts of "
        f"PostgreSQL (HYDRANT_SEED={seed})"
    )
    report_counts(summary(title, load, findings))
    findings.assert_exactly_once()
    assert findings.objects > 10


def restart(postgres: Postgres, chance: random.Random) -> None:
    """Kills the database or stops it, and brings it back."""
    if chance.random() < 0.5:
        postgres.kill()
    else:
        postgres.stop()
    time.sleep(chance.uniform(0, 0.3))
    postgres.start()


def test_no_lost_connection_loses_or_doubles_a_row(start_warehouse, postgres, report_counts):
    """One of twenty statements is the end of its connection, whether it is carried out or not."""
    seed = chosen_seed()
    chance = random.Random(seed)
    with Wire(upstream=postgres.port) as wire:

        def plan(_, statement: str) -> Drop | None:
            if not statement.startswith(STATEMENTS) or chance.random() >= LOST:
                return None
            return chance.choice(list(Drop))

        wire.plan = plan
        bench = start_warehouse(*LEDGER_OPTIONS, postgres=postgres)
        flow = bench.flow(wire, hints=HINTS)
        with WarehouseLoad(bench.hydrant, flow.stream, records=5_000, pace=2) as load:
            wait_until(lambda: load.is_over, "the producers", timeout=PATIENCE_SECONDS)
        wait_for_rows(flow, load)
        wire.plan = lambda *_: None
        load_one_more(flow, load)
        lost = len(flow.log(FAILED_ONCE))
        findings = Findings.of(flow, load)
        title = f"Redshift, {lost} of {len(wire.sessions)} connections lost (HYDRANT_SEED={seed})"
        report_counts(summary(title, load, findings))
        findings.assert_exactly_once()
        assert lost > 0
        loads = flow.wait_for_loads(findings.manifests)
        assert sum(int(each["records"]) for each in loads) == 5_001
