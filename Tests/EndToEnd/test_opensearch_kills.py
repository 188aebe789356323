"""The promise to OpenSearch: each document is indexed once or failed once, whatever dies.

The full load runs with HYDRANT_FULL_LOAD=1; HYDRANT_SEED repeats an earlier run's choices.
"""

import os
import random
import time
from contextlib import suppress

import pytest

from bulk_faults import BulkFaults
from bulk_replies import (
    BUSY,
    UNAVAILABLE,
    always,
    answer,
    cut,
    drop,
    one_by_one,
    randomly,
    refuse_some,
    reset,
    slow,
)
from ports import free_port
from search_load import MAPPING, Findings, SearchLoad, is_good, record
from search_streams import DELIVERED, KEPT, SearchFlow, StrictBucket, numbered
from strict_s3 import DROP, StrictS3
from waiting import WaitedTooLong, wait_until

pytest_plugins = ["search_fixtures"]

FULL = os.environ.get("HYDRANT_FULL_LOAD") == "1"

RECORDS = 100_000

RECORDS_WITH_KILLS, KILLS = (100_000, 8) if FULL else (20_000, 2)

PACE_SECONDS = 6
"""What a load is spread over, so that buffers stay small and requests are many."""

PACE_WITH_KILLS_SECONDS = 20 if FULL else 3
"""The same; it must not be over before the last kill."""

PATIENCE_SECONDS = 600 if FULL else 90
"""How long a load and the delivery behind it may take."""

pytestmark = pytest.mark.timeout(3 * PATIENCE_SECONDS)

HINTS = {"SizeInMBs": 1, "IntervalInSeconds": 0}
"""Many requests, so that there is always one under way."""

STATUS_FAULTS = (answer(429), answer(503))

ALL_FAULTS = (
    *STATUS_FAULTS,
    cut,
    drop,
    reset(),
    reset(stored=True),
    refuse_some(0.3, 1, BUSY, UNAVAILABLE),
)


def chosen_seed() -> int:
    """That of this run, or the one to repeat."""
    seed = int(os.environ.get("HYDRANT_SEED", random.randrange(2**32)))
    print(f"HYDRANT_SEED={seed}")
    return seed


def wait_for_all(flow: SearchFlow, load: SearchLoad) -> None:
    """Waits until as much is delivered and failed as was acknowledged.

    Gives up in silence: what is found says better what is missing.
    """
    good = sum(map(is_good, load.acknowledged))
    bad = len(load.acknowledged) - good

    def is_there() -> bool:
        return flow.osmem.count(flow.index) >= good and len(flow.failures()) >= bad

    with suppress(WaitedTooLong):
        wait_until(is_there, "all records", timeout=PATIENCE_SECONDS, pause=0.25)


def summary(title: str, load: SearchLoad, faults: BulkFaults, findings: Findings) -> str:
    """One line of counts."""
    troubled = sum(each.status != 200 for each in faults.requests)
    return (
        f"{title}: {len(load.acknowledged):,} acknowledged, {troubled} of "
        f"{len(faults.requests)} requests with a fault; {findings}"
    )


def test_good_records_are_indexed_and_bad_ones_failed(start_search, own_osmem, report_counts):
    """Two of a hundred are no JSON and one does not fit the mapping; three of ten requests are
    answered 429 or 503."""
    seed = chosen_seed()
    search = start_search(osmem=own_osmem)
    start = time.monotonic()
    with BulkFaults(own_osmem) as faults:
        faults.plan = randomly(0.3, seed, *STATUS_FAULTS)
        flow = search.flow(faults, hints=HINTS)
        own_osmem.create_index(flow.index, **MAPPING)
        with SearchLoad(search.hydrant, flow.stream, records=RECORDS, pace=PACE_SECONDS) as load:
            wait_until(lambda: load.is_over, "the producers", timeout=PATIENCE_SECONDS)
        wait_for_all(flow, load)
        findings = Findings.of(flow, load)
        seconds = time.monotonic() - start
        title = f"OpenSearch, {seconds:.0f} s (HYDRANT_SEED={seed})"
        report_counts(summary(title, load, faults, findings))
        findings.assert_exactly_once()
        assert load.acknowledged == set(range(RECORDS))
        assert findings.delivered == RECORDS * 97 // 100
        assert faults.problems == []
        troubled = sum(each.status != 200 for each in faults.requests)
        assert troubled > 0.1 * len(faults.requests) > 5


def test_no_kill_loses_or_doubles_a_document(start_search, own_osmem, report_counts):
    """Answers are lost on their way as well. The server is killed while records come in, and once
    more while it works off the rest."""
    seed = chosen_seed()
    chance = random.Random(seed)
    moments = sorted(chance.uniform(0.1, 0.9) for _ in range(KILLS - 1))
    search = start_search(osmem=own_osmem, port=free_port())
    with BulkFaults(own_osmem) as faults:
        faults.plan = randomly(0.4, seed, *ALL_FAULTS)
        flow = search.flow(faults, hints=HINTS)
        own_osmem.create_index(flow.index, **MAPPING)

        def kill() -> None:
            time.sleep(chance.uniform(0, 0.03))
            search.hydrant.sigkill()
            search.hydrant.start()

        with SearchLoad(
            search.hydrant, flow.stream, records=RECORDS_WITH_KILLS, pace=PACE_WITH_KILLS_SECONDS
        ) as load:
            for moment in moments:
                wait_until(
                    lambda moment=moment: load.has_put(moment),
                    f"{moment:.0%} of the load",
                    timeout=PATIENCE_SECONDS,
                    pause=0.005,
                )
                assert not load.is_over, "the load was over before the last kill"
                kill()
            wait_until(lambda: load.is_over, "the producers", timeout=PATIENCE_SECONDS)
        kill()
        wait_for_all(flow, load)
        search.hydrant.restart()
        deliver_one_more(flow, load)
        findings = Findings.of(flow, load)
        title = f"OpenSearch, {KILLS} kills (HYDRANT_SEED={seed})"
        report_counts(summary(title, load, faults, findings))
        findings.assert_exactly_once()
        assert faults.problems == []


def deliver_one_more(flow: SearchFlow, load: SearchLoad) -> None:
    """Puts a last record and waits for it: what the server still had to send is there by then."""
    number = 10**9
    assert is_good(number)
    flow.put(record(number))
    load.acknowledged.add(number)

    def is_there() -> bool:
        return any(each["n"] == number for each in flow.documents())

    wait_until(is_there, "the last record", timeout=60, pause=0.5)


# MARK: Chosen moments


def test_ids_outlive_a_kill(start_search, faults):
    search = start_search()
    faults.plan = always(answer(503))
    flow = search.flow(faults)
    flow.put(*numbered(20))
    wait_until(lambda: faults.requests, "an attempt")
    search.hydrant.sigkill()
    faults.plan = lambda _: None
    search.hydrant.start()
    flow.settle(20)
    first, last = faults.requests[0], faults.requests[-1]
    assert (first.documents, first.ids) == (last.documents, last.ids)


def test_what_was_stored_when_the_server_died_is_there_once(start_search, faults):
    """The answer was on its way; a record beside it has failed, and fails once."""
    search = start_search()
    faults.plan = one_by_one(slow(600))
    flow = search.flow(faults)
    flow.put(*numbered(10), b"bad", b'{"n": 10}')
    wait_until(lambda: flow.osmem.count(flow.index) == 11, "documents in the index")
    search.hydrant.sigkill()
    search.hydrant.start()
    _, (failed,) = flow.settle(11, 1)
    wait_until(lambda: flow.log(DELIVERED), "the line in the log")
    assert failed.raw == b"bad"
    assert len(flow.documents()) == 11


@pytest.mark.parametrize("dies", [True, False], ids=["killed", "running"])
def test_what_was_given_up_stays_given_up(start_search, faults, dies):
    """The object of failed records is stored, and the answer to it is lost. Now the destination
    works again, but what has failed must not be indexed as well."""
    with StrictS3() as store:
        search = start_search(environment=store.environment)
        store.fault = lambda _: DROP
        faults.plan = always(answer(503))
        bucket = StrictBucket(store, "failed-records")
        flow = search.flow(faults, retry=0, bucket=bucket)
        flow.put(*numbered(10))
        wait_until(lambda: store.puts, "the object")
        if dies:
            search.hydrant.sigkill()
        faults.plan = lambda _: None
        if dies:
            search.hydrant.start()
        flow.put(b'{"n": 10}')
        wait_until(lambda: any(each["n"] == 10 for each in flow.documents()), "the last document")
        store.fault = lambda _: None
        wait_until(lambda: flow.log(KEPT) or len(flow.documents()) > 1, "the line in the log")
        assert flow.documents() == [{"n": 10}]
        assert [each.raw for each in flow.failures()] == flow.records[:10]
        assert len(bucket.keys()) == 1
