"""The promise holds for encrypted streams too: every acknowledged record is there once."""

import os
import random

import pytest

from buckets import S3Bucket
from master_keys import create_encrypted, fresh_master_key, write_master_keys
from ports import free_port
from producers import Load
from reconciliation import Reader, reconcile
from streams import create_stream
from waiting import wait_until

SMALL_BUFFERS = {"SizeInMBs": 2, "IntervalInSeconds": 1}

RECORDS = 200_000 if os.environ.get("HYDRANT_FULL_LOAD") == "1" else 8_000

KILLS = 5

PATIENCE_SECONDS = 900 if os.environ.get("HYDRANT_FULL_LOAD") == "1" else 120

pytestmark = pytest.mark.timeout(3 * PATIENCE_SECONDS)


@pytest.fixture
def options(tmp_path) -> tuple[str, str]:
    """What gives a server a master key."""
    path = write_master_keys(tmp_path / "master.keys", fresh_master_key())
    return ("--master-key", str(path))


def wait_for_share(load: Load, share: float) -> None:
    """Waits until that share of the records was acknowledged."""
    wait_until(
        lambda: load.is_over or load.acknowledged >= share * RECORDS,
        f"{share:.0%} of the load",
        timeout=PATIENCE_SECONDS,
        pause=0.005,
    )


def wait_for_delivery(bucket: S3Bucket, load: Load) -> None:
    """Waits for the end of a load and for all that it put."""
    wait_until(lambda: load.is_over, "the producers to finish", timeout=PATIENCE_SECONDS)
    reader = Reader(bucket)
    wait_until(
        lambda: reader.has_all(load.ledgers),
        "all records",
        timeout=PATIENCE_SECONDS,
        pause=0.5,
    )


def test_encryption_comes_and_goes_while_producers_put(start_hydrant, seaweed, bucket, options):
    client = start_hydrant(*options, environment=seaweed.environment).client()
    stream = create_stream(client, bucket.arn, BufferingHints=SMALL_BUFFERS)
    turns = 0
    with Load(client, stream, records=RECORDS, seed=5, producers=4, largest_batch=50) as load:
        while not load.is_over:
            client.start_delivery_stream_encryption(DeliveryStreamName=stream)
            client.start_delivery_stream_encryption(DeliveryStreamName=stream)
            client.stop_delivery_stream_encryption(DeliveryStreamName=stream)
            turns += 1
        wait_for_delivery(bucket, load)
    assert turns > 5
    reconcile(bucket, load.ledgers).assert_exactly_once(load.ledgers)


def test_no_kill_loses_or_doubles_an_encrypted_record(
    start_hydrant, seaweed, bucket, options, report_counts
):
    """Some kills come right after a new data key. HYDRANT_SEED repeats a run's choices."""
    seed = int(os.environ.get("HYDRANT_SEED", random.randrange(2**32)))
    chance = random.Random(seed)
    print(f"HYDRANT_SEED={seed}")
    hydrant = start_hydrant(*options, environment=seaweed.environment, port=free_port())
    client = hydrant.client()
    stream = create_encrypted(
        client, bucket.arn, BufferingHints=SMALL_BUFFERS, CompressionFormat="GZIP"
    )
    moments = sorted(chance.uniform(0.02, 0.85) for _ in range(KILLS))
    with Load(
        client, stream, records=RECORDS, seed=seed, largest_batch=100, survives_outages=True
    ) as load:
        for number, moment in enumerate(moments):
            wait_for_share(load, moment)
            assert not load.is_over, "the load was over before the last kill"
            if number % 2:
                client.start_delivery_stream_encryption(DeliveryStreamName=stream)
            hydrant.sigkill()
            hydrant.start()
        wait_for_delivery(bucket, load)

    findings = reconcile(bucket, load.ledgers)
    report_counts(
        f"{KILLS} kills of an encrypted stream (HYDRANT_SEED={seed}): "
        f"{load.acknowledged:,} acknowledged, {len(findings.missing)} missing, "
        f"{len(findings.repeated)} repeated, {len(findings.disordered)} out of order"
    )
    findings.assert_exactly_once(load.ledgers)
