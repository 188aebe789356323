"""The promise: every acknowledged record is in the bucket once, whatever dies in between.

The full loads run with HYDRANT_FULL_LOAD=1; without it they are small enough for every day.
"""

import functools
import os
import random
import time
from contextlib import suppress

import pytest

from buckets import S3Bucket
from ports import free_port
from producers import Ledger, Load
from reconciliation import Findings, Reader, reconcile
from records import Identity, encode
from server import Hydrant
from streams import MEBIBYTE, create_stream, put
from waiting import WaitedTooLong, wait_until

FULL = os.environ.get("HYDRANT_FULL_LOAD") == "1"

RECORDS = 200_000 if FULL else 20_000

KILLS = 10

OUTAGE_SECONDS = 60 if FULL else 5

PATIENCE_SECONDS = 900 if FULL else 120
"""How long a load and the delivery behind it may take."""

pytestmark = pytest.mark.timeout(3 * PATIENCE_SECONDS)

SMALL_BUFFERS = {"SizeInMBs": 2, "IntervalInSeconds": 1}
"""Many objects, so that there is always one under way."""

LARGEST_OBJECT_BYTES = 128 * MEBIBYTE
"""How far buffers may grow where delivery falls behind."""


def create_loaded_stream(client, bucket: S3Bucket) -> str:
    """A stream of gzip objects whose keys sort in the order of the records in every hour."""
    return create_stream(client, bucket.arn, BufferingHints=SMALL_BUFFERS, CompressionFormat="GZIP")


def wait_for_acknowledgements(load: Load) -> None:
    """Waits until every producer has put its quota; fails with a producer's error."""
    wait_until(lambda: load.is_over, "the producers to finish", timeout=PATIENCE_SECONDS)


def wait_for_share(load: Load, share: float) -> None:
    """Waits until that share of the records was acknowledged."""
    wait_until(
        lambda: load.is_over or load.acknowledged >= share * RECORDS,
        f"{share:.0%} of the load",
        timeout=PATIENCE_SECONDS,
        pause=0.005,
    )


def wait_for_delivery(bucket: S3Bucket, ledgers: list[Ledger]) -> None:
    """Waits until all acknowledged records that can be told apart are in the bucket.

    Gives up in silence: reconciling says better what is missing.
    """
    reader = Reader(bucket)
    with suppress(WaitedTooLong):
        wait_until(lambda: reader.has_all(ledgers), "records", timeout=PATIENCE_SECONDS, pause=0.5)


def wait_for_count(hydrant: Hydrant, stream: str, records: int) -> None:
    """Waits until the log says that so many records were delivered, the empty ones included."""
    count = functools.partial(hydrant.delivered_records, stream)
    wait_until(lambda: count() >= records, f"{records:,} delivered records in the log")
    assert count() == records


def deliver_one_more(hydrant: Hydrant, stream: str, bucket: S3Bucket) -> Ledger:
    """Puts a last record and waits for it: what the server still had to send is there by then."""
    last = Ledger(producer=999)
    record = encode(Identity(last.producer, 0), b"last")
    put(hydrant.client(), stream, record)
    last.note([record], acknowledged=True)
    wait_for_delivery(bucket, [last])
    return last


def summary(title: str, ledgers: list[Ledger], findings: Findings) -> str:
    """One line of counts."""
    acknowledged = sum(ledger.acknowledged for ledger in ledgers)
    unacknowledged = sum(ledger.unacknowledged for ledger in ledgers)
    return (
        f"{title}: {acknowledged:,} acknowledged, {unacknowledged:,} not; "
        f"in {findings.objects:,} objects of {findings.content_bytes / 1e6:,.0f} MB: "
        f"{findings.framed:,} framed and {findings.ticks:,} one-byte records, "
        f"{findings.unacknowledged:,} of them unacknowledged; {len(findings.missing)} missing, "
        f"{len(findings.repeated)} repeated, {len(findings.disordered)} out of order"
    )


def test_every_record_arrives_once_and_in_order(s3_hydrant, s3_client, bucket, report_counts):
    stream = create_loaded_stream(s3_client, bucket)
    with Load(s3_client, stream, records=RECORDS, seed=1) as load:
        wait_for_acknowledgements(load)
    wait_for_delivery(bucket, load.ledgers)

    findings = reconcile(bucket, load.ledgers)
    report_counts(summary("no faults", load.ledgers, findings))
    findings.assert_exactly_once(load.ledgers)
    wait_for_count(s3_hydrant, stream, load.acknowledged)
    assert load.acknowledged == RECORDS
    assert findings.largest_object_bytes <= LARGEST_OBJECT_BYTES


def test_no_kill_loses_or_doubles_a_record(start_hydrant, seaweed, bucket, report_counts):
    """The server is killed at random moments of the load, sometimes again while it recovers.

    HYDRANT_SEED repeats a run's choices. Empty records are put as well, but a kill can take the
    log line that would count them.
    """
    seed = int(os.environ.get("HYDRANT_SEED", random.randrange(2**32)))
    chance = random.Random(seed)
    print(f"HYDRANT_SEED={seed}")
    hydrant = start_hydrant(environment=seaweed.environment, port=free_port())
    client = hydrant.client()
    stream = create_loaded_stream(client, bucket)
    moments = sorted(chance.uniform(0.02, 0.85) for _ in range(KILLS))
    relapses = 0
    with Load(
        client, stream, records=RECORDS, seed=seed, largest_batch=100, survives_outages=True
    ) as load:
        for moment in moments:
            wait_for_share(load, moment)
            time.sleep(chance.uniform(0, 0.03))
            assert not load.is_over, "the load was over before the last kill"
            hydrant.sigkill()
            if chance.random() < 0.3:
                relapses += 1
                hydrant.spawn()
                time.sleep(chance.uniform(0, 0.1))
                hydrant.sigkill()
            hydrant.start()
        wait_for_acknowledgements(load)
    wait_for_delivery(bucket, load.ledgers)
    hydrant.restart()
    ledgers = [*load.ledgers, deliver_one_more(hydrant, stream, bucket)]

    findings = reconcile(bucket, ledgers)
    title = f"{KILLS} kills and {relapses} during recovery (HYDRANT_SEED={seed})"
    report_counts(summary(title, ledgers, findings))
    findings.assert_exactly_once(ledgers)
    assert findings.largest_object_bytes <= LARGEST_OBJECT_BYTES


def test_an_outage_of_s3_costs_producers_nothing(start_hydrant, own_seaweed, report_counts):
    bucket = S3Bucket(own_seaweed, own_seaweed.create_bucket())
    own_seaweed.stop()
    hydrant = start_hydrant(environment=own_seaweed.environment)
    client = hydrant.client()
    stream = create_loaded_stream(client, bucket)
    start = time.monotonic()
    with Load(client, stream, records=RECORDS, seed=3, pace=2 * OUTAGE_SECONDS) as load:
        wait_until(
            lambda: load.is_over or time.monotonic() - start > OUTAGE_SECONDS,
            "the outage to end",
            timeout=PATIENCE_SECONDS,
        )
        during_outage = load.acknowledged
        own_seaweed.start()
        wait_for_acknowledgements(load)
    wait_for_delivery(bucket, load.ledgers)

    findings = reconcile(bucket, load.ledgers)
    title = f"S3 away for {OUTAGE_SECONDS} s, {during_outage:,} acknowledged meanwhile"
    report_counts(summary(title, load.ledgers, findings))
    findings.assert_exactly_once(load.ledgers)
    wait_for_count(hydrant, stream, load.acknowledged)
    assert load.acknowledged == RECORDS
    assert during_outage > RECORDS / 10
