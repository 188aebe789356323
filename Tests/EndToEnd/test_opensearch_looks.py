"""Documents that may be there though no answer says so: the cluster is asked before they fail.

A record is in the index or among the failed ones, not in both.
"""

import json

import pytest

from bulk_faults import Exchange, Item
from bulk_replies import (
    Refusal,
    answer,
    cut,
    drop,
    listed,
    one_by_one,
    refuse_all,
    reset,
    slow,
)
from search_streams import DELIVERED, NO_IDS, numbered
from waiting import wait_until

pytest_plugins = ["search_fixtures"]

FOUND = "records whose response was lost were delivered"
GIVEN_UP = "records that may have been delivered are given up: the destination could not be asked"

UNAVAILABLE = b'{"error":{"root_cause":[],"type":"cluster_block_exception"},"status":503}'
"""A cluster's own word that it did nothing."""

LOST = {
    "reset": reset(stored=True),
    "no answer": drop,
    "half an answer": cut,
    "an answer that lies": listed(lambda items: items[:-1]),
    "a gateway's word": lambda exchange: (exchange.forward(), exchange.answer(504)),
}
"""What stores all, and does not say so."""


def store_some(select):
    """Stores some documents and ends the connection without a word."""

    def play(exchange: Exchange) -> None:
        chosen = [each for each in exchange.bulk.items if select(each)]
        exchange.forward(b"".join(each.lines for each in chosen))
        exchange.close()

    return play


def then(first, rest):
    """A plan: one reply to the first request, another to all that follow."""
    return lambda bulk: first if bulk.number == 0 else rest


@pytest.mark.parametrize("name", LOST)
def test_what_is_there_does_not_fail_when_the_time_is_up(search, faults, name):
    """The answer is lost, and then there is none but 503 until the retry time is over."""
    faults.plan = then(LOST[name], answer(503))
    flow = search.flow(faults, retry=2)
    flow.put(*numbered(10))
    wait_until(lambda: flow.log(DELIVERED), "the end")
    flow.settle(10)
    assert flow.total(FOUND, "records") == 10
    assert flow.total(DELIVERED, "failed") == 0


@pytest.mark.parametrize(
    "rest",
    [answer(503, UNAVAILABLE), answer(400), answer(403), refuse_all(Refusal(400))],
    ids=["503", "400", "403", "each 400"],
)
@pytest.mark.parametrize("lost", [drop, reset(stored=True)], ids=["closed", "reset"])
def test_an_answer_that_was_lost_on_a_kept_connection_is_no_word(search, faults, lost, rest):
    """A connection that was kept and ends without a byte is replaced at once, with the same request."""
    faults.plan = lambda bulk: {0: None, 1: lost}.get(bulk.number, rest)
    flow = search.flow(faults, retry=2)
    flow.put(b'{"n": "first"}')
    wait_until(lambda: flow.log(DELIVERED), "a connection")
    flow.put(*numbered(10))
    wait_until(lambda: len(flow.log(DELIVERED)) == 2, "the end")
    documents, _ = flow.settle(11)
    assert sorted(each["n"] for each in documents if each["n"] != "first") == list(range(10))
    assert flow.total(DELIVERED, "failed") == 0


def test_what_is_there_does_not_fail_without_retry_time(search, faults):
    faults.plan = one_by_one(cut)
    flow = search.flow(faults, retry=0)
    flow.put(*numbered(10))
    wait_until(lambda: flow.log(DELIVERED), "the end")
    flow.settle(10)
    assert len(faults.requests) == 1


def test_each_record_is_in_one_place(search, faults):
    """Half of the documents were stored: the other half fail."""

    def is_even(item: Item) -> bool:
        return json.loads(item.document)["n"] % 2 == 0

    faults.plan = then(store_some(is_even), answer(503))
    flow = search.flow(faults, retry=2)
    flow.put(*numbered(10), b"bad")
    documents, failed = flow.settle(5, 6)
    assert sorted(each["n"] for each in documents) == [0, 2, 4, 6, 8]
    odd = [json.dumps({"n": number}).encode() for number in (1, 3, 5, 7, 9)]
    assert sorted(each.raw for each in failed) == sorted([*odd, b"bad"])
    assert {each.code for each in failed if each.raw != b"bad"} == {"503"}


def test_what_is_there_is_not_refused_later(search, faults):
    """The index takes nothing any more: what it took before the answer was lost is delivered."""
    refusal = refuse_all(Refusal(403, "cluster_block_exception", "index [i] blocked"))
    faults.plan = then(drop, refusal)
    flow = search.flow(faults)
    flow.put(*numbered(10))
    wait_until(lambda: flow.log(DELIVERED), "the end")
    flow.settle(10)
    assert flow.total(DELIVERED, "failed") == 0


def test_what_was_stored_when_the_server_died_does_not_fail(start_search, faults):
    search = start_search()
    faults.plan = then(slow(600), answer(503))
    flow = search.flow(faults, retry=1)
    flow.put(*numbered(10))
    wait_until(lambda: flow.osmem.count(flow.index) == 10, "documents in the index")
    search.hydrant.sigkill()
    search.hydrant.start()
    wait_until(lambda: flow.log(DELIVERED), "the end")
    flow.settle(10)
    assert flow.total(DELIVERED, "failed") == 0


def test_a_cluster_without_documents_by_id_is_searched(search, faults):
    """As data streams are: `_mget` knows no such index."""

    def no_ids(exchange: Exchange) -> None:
        if not exchange.bulk.path.endswith("/_mget"):
            return exchange.answer(*exchange.forward())
        error = {"type": "index_not_found_exception", "reason": "no such index"}
        asked = json.loads(exchange.bulk.body)["docs"]
        docs = [{"_id": each["_id"], "error": error} for each in asked]
        return exchange.answer(200, json.dumps({"docs": docs}).encode())

    faults.plan = then(drop, answer(503))
    faults.look = no_ids
    flow = search.flow(faults, retry=1)
    flow.put(*numbered(10))
    wait_until(lambda: flow.log(DELIVERED), "the end")
    flow.settle(10)
    assert flow.total(FOUND, "records") == 10
    paths = {each.path for each in faults.looks}
    assert paths == {"/_mget", f"/{flow.index}/_refresh", f"/{flow.index}/_search"}


def test_an_index_that_is_not_there_holds_nothing(search, faults):
    faults.plan = then(reset(), answer(503))
    flow = search.flow(faults, retry=1)
    flow.put(*numbered(3))
    assert {each.code for each in flow.wait_for_failures(3)} == {"503"}
    assert faults.looks


@pytest.mark.parametrize(
    "reply", [answer(429), answer(503, UNAVAILABLE), answer(401)], ids=["429", "503", "401"]
)
def test_nobody_is_asked_where_an_answer_says_that_nothing_was_done(search, faults, reply):
    faults.plan = lambda _: reply
    flow = search.flow(faults, retry=1)
    flow.put(*numbered(3))
    flow.wait_for_failures(3)
    assert not faults.looks


def test_the_question_is_asked_again_for_as_long_as_records_are_tried(search, faults):
    """The cluster answers nothing at all at first, and then knows."""
    faults.plan = then(drop, answer(503))
    faults.look = lambda exchange: (
        exchange.answer(503) if len(faults.looks) < 2 else exchange.answer(*exchange.forward())
    )
    flow = search.flow(faults, retry=3)
    flow.put(*numbered(10))
    wait_until(lambda: flow.log(DELIVERED), "the end")
    flow.settle(10)
    assert len(faults.looks) == 2


def test_a_gateway_that_says_503_may_have_passed_the_request_on(search, faults):
    faults.plan = lambda _: lambda exchange: (exchange.forward(), exchange.answer(503))
    flow = search.flow(faults, retry=1)
    flow.put(*numbered(10))
    wait_until(lambda: flow.log(DELIVERED), "the end")
    flow.settle(10)
    assert flow.total(DELIVERED, "failed") == 0


def test_a_cluster_that_does_not_let_itself_be_asked_is_asked_once(search, faults):
    """The role may index, and nothing else."""
    faults.plan = then(drop, answer(503))
    faults.look = answer(403)
    flow = search.flow(faults, retry=2)
    flow.put(*numbered(3))
    failed = flow.wait_for_failures(3)
    assert all("It may have been delivered" in each.message for each in failed)
    assert len(faults.looks) == 1


def test_a_failed_record_says_that_it_may_be_there(search, faults):
    """Nobody can be asked until the time for that is over as well."""
    faults.plan = then(drop, answer(503))
    faults.look = answer(503)
    flow = search.flow(faults, retry=1)
    flow.put(*numbered(3), b"bad")
    failed = flow.wait_for_failures(4)
    doubt = "It may have been delivered"
    assert {each.raw for each in failed if doubt not in each.message} == {b"bad"}
    assert flow.log(GIVEN_UP)


def test_nobody_is_asked_where_documents_have_no_ids_of_ours(search, faults):
    faults.plan = then(drop, answer(503))
    flow = search.flow(faults, retry=1, **NO_IDS)
    flow.put(*numbered(3))
    flow.wait_for_failures(3)
    assert not faults.looks
