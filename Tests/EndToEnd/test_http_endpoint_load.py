"""Ten thousand requests to HTTP endpoints that fail at random, each judged as it arrives.

The full load runs with HYDRANT_FULL_LOAD=1; HYDRANT_SEED repeats an earlier run's choices.
"""

import os
import random
from functools import partial

import pytest

from endpoint_loads import Findings, Lane, SmallPuts, compare, identities, kill_during
from endpoint_streams import EndpointBench
from firehose_replies import FAULTS, later
from ports import free_port
from producers import Ledger
from waiting import wait_until

pytest_plugins = ["endpoint_fixtures"]

pytestmark = [pytest.mark.usefixtures("no_violations"), pytest.mark.timeout(900)]

FULL = os.environ.get("HYDRANT_FULL_LOAD") == "1"

REQUESTS, STREAMS = (10_000, 120) if FULL else (1_500, 60)

REQUESTS_WITH_KILLS = REQUESTS // 3

MOMENTS = [REQUESTS_WITH_KILLS / 3, REQUESTS_WITH_KILLS * 2 / 3]
"""After so many requests the server is killed."""

FAULTY_SHARE = 0.1

PATIENCE_SECONDS = 600 if FULL else 90

RANDOM_FAULTS = [reply for name, (reply, _) in FAULTS.items() if name != "1 GiB"] + [later(0.2)]


class Load:
    """Streams of all kinds of requests, and what arrived of them."""

    def __init__(self, bench: EndpointBench, seed: int, *, forgiving: bool = False):
        self.bench = bench
        self.seed = seed
        chance = random.Random(seed)

        def plan(_):
            return chance.choice(RANDOM_FAULTS) if chance.random() < FAULTY_SHARE else None

        self.lanes = []
        for number in range(STREAMS):
            place = {
                "plan": plan,
                "forgiving": forgiving,
                "compressed": number % 2 == 0,
                "access_key": f"key {number}" if number % 3 else None,
                "attributes": {"number": str(number)} if number % 5 else None,
            }
            flow = bench.http_flow(place=place)
            arrived = partial(getattr, flow.place, "arrived")
            self.lanes.append(Lane(flow, Ledger(number), arrived))

    def firsts(self) -> int:
        """How many requests came, retries left out."""
        return sum(lane.flow.place.firsts for lane in self.lanes)

    def findings(self) -> Findings:
        """What the endpoints have taken, compared with what was put."""
        found = Findings()
        for lane in self.lanes:
            records = lane.flow.place.records()
            compare(lane, (each for record in records for each in identities(record)), found)
        return found

    def settle(self) -> Findings:
        """Waits until all that was acknowledged is taken, and no request is under way."""
        wait_until(
            lambda: not self.findings().missing,
            "all records",
            timeout=PATIENCE_SECONDS,
            pause=0.5,
        )
        return self.findings()

    def summary(self, title: str) -> str:
        """One line of counts."""
        requests = [each for lane in self.lanes for each in lane.flow.place.requests]
        firsts = sum(each.is_first for each in requests)
        acknowledged = sum(lane.ledger.acknowledged for lane in self.lanes)
        return (
            f"{title} (HYDRANT_SEED={self.seed}): {acknowledged:,} records acknowledged; "
            f"{firsts:,} requests and {len(requests) - firsts:,} retries on {STREAMS} streams; "
            f"{self.findings()}"
        )


def test_every_request_is_as_aws_specifies_it(start_endpoints, seed, report_counts):
    load = Load(start_endpoints(), seed)
    with SmallPuts(
        load.bench.hydrant, load.lanes, enough=lambda: load.firsts() >= REQUESTS, seed=seed
    ) as puts:
        puts.wait(timeout=PATIENCE_SECONDS)
    findings = load.settle()
    report_counts(load.summary("HTTP endpoints that fail at random"))
    findings.assert_exactly_once()
    assert load.firsts() >= REQUESTS
    assert all(lane.flow.bucket.keys() == [] for lane in load.lanes)


def test_no_kill_loses_a_record_on_its_way_to_http_endpoints(start_endpoints, seed, report_counts):
    """Requests that were taken may come again, but with their ids."""
    load = Load(start_endpoints(port=free_port()), seed, forgiving=True)
    hydrant = load.bench.hydrant
    with SmallPuts(
        hydrant,
        load.lanes,
        enough=lambda: load.firsts() >= REQUESTS_WITH_KILLS,
        seed=seed,
        survives_outages=True,
    ) as puts:
        kill_during(puts, hydrant, MOMENTS, load.firsts, timeout=PATIENCE_SECONDS)
        puts.wait(timeout=PATIENCE_SECONDS)
    findings = load.settle()
    report_counts(load.summary(f"HTTP endpoints and {len(MOMENTS)} kills"))
    findings.assert_at_least_once()
    # Under another id it would have come a second time for those who look at ids.
    assert findings.repeated == []
    assert all(lane.flow.bucket.keys() == [] for lane in load.lanes)
