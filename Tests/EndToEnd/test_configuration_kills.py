"""The promise for configurations: what was answered is kept, and nothing is ever half done.

HYDRANT_FULL_LOAD=1 makes 10,000 calls; HYDRANT_SEED repeats an earlier run's choices.
"""

import os
import random
import threading
import time

import pytest

from configurations import ConfigurationClient, observe
from server import Hydrant

FULL = os.environ.get("HYDRANT_FULL_LOAD") == "1"

CALLS = 10_000 if FULL else 800

CLIENTS, STREAMS_PER_CLIENT = 4, 8

pytestmark = pytest.mark.timeout(1_800 if FULL else 180)


def assert_configuration(hydrant: Hydrant, clients: list[ConfigurationClient]) -> int:
    """Checks every stream of the server; returns how many there are."""
    for each in clients:
        each.connect()
        each.settle_doubt()
    expected = {
        name: state for each in clients for name, state in each.streams.items() if state is not None
    }
    client = hydrant.client()
    listed = client.list_delivery_streams(Limit=10_000)["DeliveryStreamNames"]
    assert listed == sorted(expected)
    for name, state in expected.items():
        assert observe(client, name) == state, name
    return len(expected)


def run_until_killed(
    hydrant: Hydrant, clients: list[ConfigurationClient], calls: int, chance: random.Random
) -> None:
    """Lets the clients call at the same time, and kills the server after so many calls."""
    tickets = threading.Semaphore(calls + 10 * len(clients))
    done = threading.Semaphore(0)
    threads = [
        threading.Thread(target=each.run, args=(tickets, done.release), daemon=True)
        for each in clients
    ]
    for thread in threads:
        thread.start()
    for _ in range(calls):
        assert done.acquire(timeout=30) or any(each.error for each in clients), "no calls"
        if any(each.error for each in clients):
            break
    time.sleep(chance.uniform(0, 0.01))
    hydrant.sigkill()
    for thread in threads:
        thread.join()
    for each in clients:
        if each.error:
            raise each.error


def test_no_kill_loses_or_halves_a_change(start_hydrant, report_counts):
    """The server is killed in the middle of calls, sometimes again while it starts."""
    seed = int(os.environ.get("HYDRANT_SEED", random.randrange(2**32)))
    chance = random.Random(seed)
    print(f"HYDRANT_SEED={seed}")
    hydrant = start_hydrant()
    clients = [
        ConfigurationClient(hydrant, number, seed=seed, streams=STREAMS_PER_CLIENT)
        for number in range(CLIENTS)
    ]
    kills = relapses = 0

    def calls() -> int:
        return sum(each.counts.made + each.counts.refused for each in clients)

    while calls() < CALLS:
        run_until_killed(hydrant, clients, chance.randint(10, 100), chance)
        kills += 1
        if chance.random() < 0.3:
            relapses += 1
            hydrant.spawn()
            time.sleep(chance.uniform(0, 0.1))
            hydrant.sigkill()
        hydrant.start()
        assert_configuration(hydrant, clients)
    hydrant.restart()
    streams = assert_configuration(hydrant, clients)

    counts = [each.counts for each in clients]
    in_doubt = sum(each.in_doubt for each in counts)
    report_counts(
        f"configurations: {sum(each.made for each in counts):,} calls made, "
        f"{sum(each.refused for each in counts):,} refused as they must be, {in_doubt} in doubt "
        f"of which {sum(each.in_doubt_made for each in counts)} were made, over {kills} kills "
        f"and {relapses} during the start (HYDRANT_SEED={seed}); {streams} streams at the end"
    )
    assert in_doubt > 0, "no kill met a call"
