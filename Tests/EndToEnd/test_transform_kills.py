"""The promise with a transform: every record is delivered, dropped or failed once, whatever dies.

The full load runs with HYDRANT_FULL_LOAD=1; HYDRANT_SEED repeats an earlier run's choices.
"""

import os
import random
import time
from contextlib import suppress

import pytest

from buckets import S3Bucket
from ports import free_port
from producers import Ledger, Load
from records import Identity, encode
from streams import put
from transform_programs import is_alive
from transform_reconciliation import ERRATIC, Arrivals
from transforms import client_of
from waiting import WaitedTooLong, wait_until

pytest_plugins = ["transform_fixtures"]

FULL = os.environ.get("HYDRANT_FULL_LOAD") == "1"

RECORDS, KILLS = (200_000, 12) if FULL else (5_000, 4)

KILLS_BEHIND_THE_LOAD = KILLS // 4
"""So many of the kills come when all is put, and the transform still has work to do."""

PACE_SECONDS = 0 if FULL else 8
"""What a small load is spread over, so that it is not over before the last kill."""

PATIENCE_SECONDS = 1_800 if FULL else 90
"""How long a load and the delivery behind it may take."""

pytestmark = pytest.mark.timeout(3 * PATIENCE_SECONDS)

SMALL_BUFFERS = {"SizeInMBs": 1, "IntervalInSeconds": 1}
"""Many objects, so that there is always one under way."""


def deliver_one_more(bench, stream: str, bucket: S3Bucket, arrivals: Arrivals) -> Ledger:
    """Puts a last record and waits for it: what the server still had to send is there by then."""
    last = Ledger(producer=999)
    # The record with the number 0 would be dropped.
    records = [encode(Identity(last.producer, number), b"last") for number in range(2)]
    put(client_of(bench.hydrant), stream, *records)
    last.note(records, acknowledged=True)
    wait_until(lambda: arrivals.has_all([last]), "the last record", timeout=60)
    return last


def test_no_kill_loses_or_doubles_what_a_transform_makes(
    start_bench, seaweed, bucket, report_counts
):
    """The transform never answers the same twice, so nothing that was computed again may show.

    The server is killed at random moments, sometimes again while it recovers.
    """
    seed = int(os.environ.get("HYDRANT_SEED", random.randrange(2**32)))
    chance = random.Random(seed)
    print(f"HYDRANT_SEED={seed}")
    bench = start_bench(environment=seaweed.environment, port=free_port())
    hydrant = bench.hydrant
    name = bench.programs.write_folder(ERRATIC, mode="worker")
    flow = bench.flow(
        name, size=0.2, retries=1, bucket=bucket, hints=SMALL_BUFFERS, CompressionFormat="GZIP"
    )
    arrivals = Arrivals(bucket)
    moments = sorted(chance.uniform(0.05, 0.95) for _ in range(KILLS - KILLS_BEHIND_THE_LOAD))
    relapses = 0

    def kill() -> None:
        nonlocal relapses
        if chance.random() < 0.5:
            # Just behind the arrival of an object, which the server may not have noted yet.
            before = len(bucket.keys())
            with suppress(WaitedTooLong):
                wait_until(
                    lambda: len(bucket.keys()) > before, "another object", timeout=2, pause=0.001
                )
        else:
            time.sleep(chance.uniform(0, 0.03))
        hydrant.sigkill()
        if chance.random() < 0.3:
            relapses += 1
            hydrant.spawn()
            time.sleep(chance.uniform(0, 0.1))
            hydrant.sigkill()
        hydrant.start()

    with Load(
        client_of(hydrant),
        flow.stream,
        records=RECORDS,
        seed=seed,
        largest_batch=100,
        survives_outages=True,
        pace=PACE_SECONDS,
    ) as load:
        for moment in moments:
            wait_until(
                lambda: load.is_over or load.acknowledged >= moment * RECORDS,
                f"{moment:.0%} of the load",
                timeout=PATIENCE_SECONDS,
                pause=0.005,
            )
            assert not load.is_over, "the load was over before the last kill"
            kill()
        wait_until(lambda: load.is_over, "the producers to finish", timeout=PATIENCE_SECONDS)
    for _ in range(KILLS_BEHIND_THE_LOAD):
        kill()
    with suppress(WaitedTooLong):  # Reconciling says better what is missing.
        wait_until(
            lambda: arrivals.has_all(load.ledgers),
            "all records",
            timeout=PATIENCE_SECONDS,
            pause=0.5,
        )
    hydrant.restart()
    ledgers = [*load.ledgers, deliver_one_more(bench, flow.stream, bucket, arrivals)]
    whole = Arrivals(bucket)
    whole.read()

    findings = whole.findings(ledgers)
    acknowledged = sum(ledger.acknowledged for ledger in ledgers)
    report_counts(
        f"erratic transform, {KILLS} kills and {relapses} during recovery (HYDRANT_SEED={seed}): "
        f"{acknowledged:,} acknowledged; {findings}"
    )
    findings.assert_exactly_once()
    changed = (whole.delivered, whole.failed) != (arrivals.delivered, arrivals.failed)
    assert not changed, "an object was written again with something else in it"
    assert findings.failed > 0 < findings.dropped
    workers = bench.programs.pids(name)
    assert hydrant.sigterm() == 0
    wait_until(lambda: not any(map(is_alive, workers)), "the workers of all servers to end")
