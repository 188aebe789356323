"""Ten thousand requests to Splunk that fails at random, each judged as it arrives.

The full load runs with HYDRANT_FULL_LOAD=1; HYDRANT_SEED repeats an earlier run's choices.
"""

import os
import random
from collections.abc import Callable, Iterator

import pytest

from endpoint_loads import Findings, Lane, SmallPuts, compare, identities, kill_during, unwrap
from endpoint_streams import EndpointBench
from ports import free_port
from producers import Ledger
from records import Identity
from splunk_receiver import EVENT, RAW, Token
from splunk_replies import FAULTS, POLL_FAULTS, reset, status
from waiting import wait_until

pytest_plugins = ["endpoint_fixtures"]

pytestmark = [pytest.mark.usefixtures("no_violations"), pytest.mark.timeout(3_000)]

FULL = os.environ.get("HYDRANT_FULL_LOAD") == "1"

REQUESTS, REQUESTS_WITH_KILLS, STREAMS = (10_000, 3_300, 400) if FULL else (500, 250, 100)

MOMENTS = [REQUESTS_WITH_KILLS / 3, REQUESTS_WITH_KILLS * 2 / 3]
"""After so many requests the server is killed."""

FAULTY_SHARE = 0.1 if FULL else 0.05

PATIENCE_SECONDS = 1_200 if FULL else 240

LATEST_ACK_SECONDS = 2.0 if FULL else 1.2

RANDOM_FAULTS = [reply for reply, _ in FAULTS.values()]

RANDOM_POLL_FAULTS = [reply for reply, _ in POLL_FAULTS.values()] + [reset, status(503)]


class Load:
    """Streams of both kinds of endpoints, and what is indexed of them."""

    def __init__(self, bench: EndpointBench, seed: int):
        self.bench = bench
        self.seed = seed
        chance = random.Random(seed)

        def sometimes(replies: list) -> Callable:
            return lambda _: chance.choice(replies) if chance.random() < FAULTY_SHARE else None

        self.lanes = []
        for number in range(STREAMS):
            token = {
                "kind": (RAW, EVENT)[number % 2],
                "delay": chance.uniform(0, LATEST_ACK_SECONDS) if number % 4 == 0 else 0.0,
                "indexers": number % 3,
                "plan": sometimes(RANDOM_FAULTS),
                "poll_plan": sometimes(RANDOM_POLL_FAULTS),
            }
            flow = bench.splunk_flow(token=token)
            self.lanes.append(Lane(flow, Ledger(number), Arrivals(flow.token).count))

    def posts(self) -> int:
        """How many requests with data came, retries among them."""
        return sum(len(lane.flow.token.posts) for lane in self.lanes)

    def findings(self) -> Findings:
        """What Splunk said that it has indexed, compared with what was put."""
        found = Findings()
        for lane in self.lanes:
            token = lane.flow.token
            compare(lane, (each for body in token.bodies() for each in read(token, body)), found)
        return found

    def settle(self) -> Findings:
        """Waits until all that was acknowledged to producers is so to the server."""
        wait_until(
            lambda: not self.findings().missing,
            "all records",
            timeout=PATIENCE_SECONDS,
            pause=0.5,
        )
        return self.findings()

    def summary(self, title: str) -> str:
        """One line of counts."""
        tokens = [lane.flow.token for lane in self.lanes]
        posts = [each for token in tokens for each in token.posts]
        polls = sum(len(token.polls) for token in tokens)
        acknowledged = sum(lane.ledger.acknowledged for lane in self.lanes)
        taken = sum(each.ack_id is not None for each in posts)
        return (
            f"{title} (HYDRANT_SEED={self.seed}): {acknowledged:,} records acknowledged; "
            f"{len(posts):,} requests with data, {taken:,} of them taken, and {polls:,} polls "
            f"on {STREAMS} streams; {self.findings()}"
        )


class Arrivals:
    """Counts what was taken with a token, without looking at a request twice."""

    def __init__(self, token: Token):
        self._token = token
        self._read = 0
        self._seen: set[Identity] = set()

    def count(self) -> int:
        """How many records there are so far."""
        new = self._token.posts[self._read :]
        self._read += len(new)
        self._seen.update(each for post in new for each, _ in read(self._token, post.body))
        return len(self._seen)


def read(token: Token, body: bytes) -> Iterator[tuple[Identity, int]]:
    """The records in a body."""
    return unwrap(body) if token.kind == EVENT else identities(body)


def sent_without_cause(load: Load) -> list[bytes]:
    """Bodies that were taken and whose polls all had answers, and that came again later."""
    found = []
    for lane in load.lanes:
        done: set[bytes] = set()
        for post in lane.flow.token.posts:
            if post.body in done:
                found.append(post.body)
            if post.ack_id is not None and not post.has_failed_poll:
                done.add(post.body)
    return found


def test_every_request_is_as_hec_wants_it(start_endpoints, seed, report_counts):
    load = Load(start_endpoints(), seed)
    with SmallPuts(
        load.bench.hydrant, load.lanes, enough=lambda: load.posts() >= REQUESTS, seed=seed
    ) as puts:
        puts.wait(timeout=PATIENCE_SECONDS)
    findings = load.settle()
    report_counts(load.summary("Splunk that fails at random"))
    findings.assert_at_least_once()
    assert sent_without_cause(load) == []
    assert load.posts() >= REQUESTS
    assert all(lane.flow.bucket.keys() == [] for lane in load.lanes)


def test_no_kill_loses_a_record_on_its_way_to_splunk(start_endpoints, seed, report_counts):
    """What was not acknowledged before a kill comes again."""
    load = Load(start_endpoints(port=free_port()), seed)
    hydrant = load.bench.hydrant
    with SmallPuts(
        hydrant,
        load.lanes,
        enough=lambda: load.posts() >= REQUESTS_WITH_KILLS,
        seed=seed,
        survives_outages=True,
    ) as puts:
        kill_during(puts, hydrant, MOMENTS, load.posts, timeout=PATIENCE_SECONDS)
        puts.wait(timeout=PATIENCE_SECONDS)
    findings = load.settle()
    report_counts(load.summary(f"Splunk and {len(MOMENTS)} kills"))
    findings.assert_at_least_once()
    assert all(lane.flow.bucket.keys() == [] for lane in load.lanes)
