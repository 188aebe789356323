"""What OpenSearch refuses, and records that are no documents: which fail, when, and how."""

import re
from datetime import UTC, datetime

import pytest

from bulk_faults import Item
from bulk_replies import (
    BUSY,
    ONLY_CREATE,
    UNAVAILABLE,
    Refusal,
    always,
    cut,
    one_by_one,
    refuse,
    refuse_all,
)
from osmem import STORED_LONG
from search_streams import (
    DELIVERED,
    ELASTICSEARCH,
    FAILED_ONCE,
    KEPT,
    OPENSEARCH,
    milliseconds,
    numbered,
)
from waiting import wait_until

pytest_plugins = ["search_fixtures"]

HOUR = r"\d{4}/\d\d/\d\d/\d\d/"

NO_DOCUMENTS = [
    b"",
    b" \n\t",
    b"no JSON",
    b"{",
    b'{"a": 1',
    b'{"a": "1}',
    b'{"a": 1}}',
    b'{"a": 1},',
    b'{"a": 1}{"b": 2}',
    b'{"a": 1}\n{"b": 2}',
    b'{"a": 1} // a comment',
    b'{"a": 1}\0',
    b'[{"a": 1}]',
    b"[]",
    b'"text"',
    b"17",
    b"null",
    b"true",
    b"{'a': 1}",
    b"{a: 1}",
    b'{"a": 1,}',
    b'{"a": 01}',
    b'{"a": +1}',
    b'{"a": .5}',
    b'{"a": NaN}',
    b'{"a": True}',
    b'{"a" 1}',
    b'{"a": "\\x"}',
    b'{"a": "\\u12"}',
    b'{"a": "a line\nbreak"}',
    b'{"a": "\x01"}',
    b'{"a": "\xff"}',
    b'{"a": "\xc3"}',
    b'{"a": "\xc0\xaf"}',
    b'{"a": "\xed\xa0\x80"}',
    b'{"\xf4\x90\x80\x80": 1}',
    b"\x1f\x8b\x08\x00 gzip",
    '{"a": 1}'.encode("utf-16"),
    b'{"a": 1}\n{"delete": {"_index": "other", "_id": "1"}}',
    b'{"index": {"_index": "other"}}\n{"a": 1}',
]
"""Records that are anything but one JSON object in UTF-8."""


# MARK: Records that are no documents


def test_records_that_are_no_documents_are_not_sent(search, faults):
    """They fail at once and by themselves: those between them are delivered."""
    flow = search.flow(faults)
    good = numbered(len(NO_DOCUMENTS))
    flow.put(*[each for pair in zip(good, NO_DOCUMENTS, strict=True) for each in pair])
    documents, failed = flow.settle(len(good), len(NO_DOCUMENTS))
    assert [each.raw for each in failed] == NO_DOCUMENTS
    assert {(each.code, each.attempts) for each in failed} == {("400", 0)}
    assert {(each.index, each.type) for each in failed} == {(flow.index, "")}
    (only,) = faults.requests
    assert only.documents == good
    assert sorted(each["n"] for each in documents) == list(range(len(good)))
    # Of the shared server's log: not only this stream's lines count.
    assert "Fatal error" not in search.hydrant.log()


@pytest.mark.parametrize(
    "document",
    [
        b'{"a": {"b": [{"c": {"d": 1, "d": 2}}]}}',
        b'{"a": 1, "a": 2}',
        b'{"a": 1, "\\u0061": 2}',
    ],
    ids=["nested", "plain", "escaped"],
)
def test_members_that_are_there_twice_fail_a_document(search, document):
    """Whoever notices: OpenSearch does, for which of them counts is anybody's guess."""
    flow = search.flow()
    flow.put(b'{"n": 1}', document, b'{"n": 2}')
    _, (failed,) = flow.settle(2, 1)
    assert (failed.raw, failed.code) == (document, "400")
    assert failed.attempts in (0, 1)


def test_documents_may_be_nested_as_deeply_as_there_is_room(search, faults):
    """It is for OpenSearch to say how deep is too deep; here it refuses all of these."""
    deep = [b'{"a":' * depth + b"1" + b"}" * depth for depth in (1_000, 20_000, 150_000)]
    deep += [b'{"a":' + b"[" * 400_000 + b"]" * 400_000 + b"}"]
    flow = search.flow(faults)
    faults.plan = always(refuse(lambda each: Refusal(400) if b'"n"' not in each.document else None))
    flow.put(b'{"n": 1}', *deep, b'{"n": 2}')
    _, failed = flow.settle(2, len(deep))
    assert [each.raw for each in failed] == deep
    assert {each.code for each in failed} == {"400"}


# MARK: Refused documents


@pytest.mark.parametrize("kind", [OPENSEARCH, ELASTICSEARCH])
def test_a_document_that_does_not_fit_the_mapping_fails(search, faults, kind):
    """Every member of the line about it is looked at, and the name of its object."""
    flow = search.flow(faults, kind=kind)
    flow.osmem.create_index(flow.index, n={"type": "long"})
    before = milliseconds(datetime.now(UTC))
    flow.put(b'{"n": 1}', b'{"n": "no number"}\n', b'{"n": 2}', b"bad")
    _, failed = flow.settle(2, 2)
    after = milliseconds(datetime.now(UTC))
    refused = next(each for each in failed if each.raw == b'{"n": "no number"}\n')
    assert (refused.code, refused.attempts) == ("400", 1)
    assert "failed to parse field [n] of type [long]" in refused.message
    assert (refused.id, refused.index, refused.type) == (faults.requests[0].ids[1], flow.index, "")
    for each in failed:
        assert before - 1 <= each.arrived <= each.ended <= after + 1
        assert re.fullmatch(r"[0-9a-fA-F]{32}", each.id)
    (key,) = flow.keys()
    folder = {OPENSEARCH: "AmazonOpenSearchService", ELASTICSEARCH: "elasticsearch"}[kind]
    name = rf"{flow.stream}-1-\d{{4}}-\d\d-\d\d-\d\d-\d\d-\d\d-[0-9a-f-]{{36}}"
    assert re.fullmatch(f"{folder}-failed/{HOUR}{name}", key), key
    wait_until(lambda: flow.log(DELIVERED), "the line in the log")
    assert flow.total(DELIVERED, "failed") == 2
    (said,) = flow.log(KEPT)
    names = ["bucket", "key", "records", "error_output_type"]
    assert [said[name] for name in names] == [flow.bucket.name, key, "2", f"{folder}-failed"]


def test_the_prefix_says_where_failed_records_lie(search):
    """Their objects are not packed and have no extension, whatever the backup's are."""
    folder = "AmazonOpenSearchService-failed"
    patterns = {
        f"logs/{folder}/{HOUR}": {"Prefix": "logs/"},
        f"errors/{folder}/{HOUR}": {"ErrorOutputPrefix": "errors/", "Prefix": "logs/"},
        rf"e/{folder}/x\d{{4}}/": {
            "ErrorOutputPrefix": "e/!{firehose:error-output-type}/x!{timestamp:yyyy}/"
        },
    }
    flows = {
        pattern: search.flow(s3={"CompressionFormat": "GZIP"} | prefixes)
        for pattern, prefixes in patterns.items()
    }
    for flow in flows.values():
        flow.put(b"bad")
    for pattern, flow in flows.items():
        flow.wait_for_failures(1)
        (key,) = flow.bucket.keys()
        assert re.fullmatch(rf"{pattern}{flow.stream}-[0-9-]+-[0-9a-f-]{{36}}", key), key


@pytest.mark.parametrize("status", [400, 403, 404, 409])
def test_refused_documents_are_not_sent_again(search, faults, status):
    """Those beside them are delivered; retry time is left."""
    faults.plan = always(refuse(lambda each: Refusal(status) if b"bad" in each.document else None))
    flow = search.flow(faults)
    flow.put(*numbered(5), b'{"bad": 1}', b'{"n": 5}', b'{"bad": 2}')
    _, failed = flow.settle(6, 2)
    assert {(each.code, each.attempts) for each in failed} == {(str(status), 1)}
    assert all("the test wants this" in each.message for each in failed)
    assert len(faults.requests) == 1
    assert len(flow.keys()) == 1


# MARK: Documents that are sent again


def test_only_busy_documents_are_sent_again(search, faults):
    busy = {1: BUSY, 4: UNAVAILABLE, 8: BUSY}

    def select(item: Item) -> Refusal | None:
        return next((each for n, each in busy.items() if b'{"n": %d}' % n == item.document), None)

    faults.plan = one_by_one(refuse(select))
    flow = search.flow(faults)
    flow.put(*numbered(10))
    documents, _ = flow.settle(10)
    assert sorted(each["n"] for each in documents) == list(range(10))
    first, second = faults.requests
    assert second.documents == [flow.records[n] for n in busy]
    assert second.ids == [first.ids[n] for n in busy]
    assert len(flow.log(FAILED_ONCE)) == 1
    assert flow.log(FAILED_ONCE)[0]["level"] == "warning"
    assert flow.total(FAILED_ONCE, "records") == 3


def test_an_index_whose_disk_is_full_gets_its_documents_later(search, faults):
    """osmem's own answer 429, until the block is taken away."""
    flow = search.flow(faults)
    flow.osmem.create_index(flow.index)
    flow.osmem.block(flow.index)
    flow.put(*numbered(10))
    wait_until(lambda: faults.requests and faults.requests[0].status, "an attempt")
    flow.osmem.unblock(flow.index)
    flow.settle(10)


def test_documents_fail_when_the_retry_time_is_used_up(search, faults):
    """Those that were taken meanwhile are delivered; the last answer is what failed them."""
    refusal = refuse(lambda each: BUSY if b"busy" in each.document else None)
    faults.plan = always(refusal)
    flow = search.flow(faults, retry=1)
    flow.put(*numbered(5), b'{"busy": 1}')
    _, (failed,) = flow.settle(5, 1)
    assert failed.code == "429"
    assert BUSY.reason in failed.message
    assert failed.attempts == len(faults.carrying(failed.raw)) > 1
    assert [each.documents for each in faults.requests[1:]] == [[failed.raw]] * (
        failed.attempts - 1
    )


def test_attempts_are_counted_for_each_record(search, faults):
    """Of one buffer: some were sent once, some twice, some never."""
    faults.plan = one_by_one(
        refuse(lambda each: BUSY if b"later" in each.document else None),
        refuse_all(Refusal(400)),
    )
    flow = search.flow(faults)
    flow.osmem.create_index(flow.index, n=STORED_LONG)
    flow.put(b"bad", b'{"n": "conflict"}', b'{"later": 1}', b'{"n": 1}')
    _, failed = flow.settle(1, 3)
    assert {each.raw: each.attempts for each in failed} == {
        b"bad": 0,
        b'{"n": "conflict"}': 1,
        b'{"later": 1}': 2,
    }
    assert len(flow.keys()) == 1, "one buffer's failures are in one object"


# MARK: Data streams


def test_data_streams_get_what_they_ask_for(search, faults):
    """They take `create` alone, which is remembered for what comes later."""

    def select(item: Item) -> Refusal | None:
        return ONLY_CREATE if item.action == "index" else None

    faults.plan = always(refuse(select))
    flow = search.flow(faults)
    flow.put(*numbered(5))
    flow.settle(5)
    actions = [{item.action for item in each.items} for each in faults.requests]
    assert actions == [{"index"}, {"create"}]
    assert faults.requests[0].ids == faults.requests[1].ids
    flow.put(b'{"n": 5}')
    flow.settle(6)
    assert {item.action for item in faults.requests[2].items} == {"create"}


def test_what_was_created_before_counts_as_delivered(search, faults):
    """The answer to a `create` was lost, and the next one meets the document itself: 409."""
    faults.plan = one_by_one(refuse_all(ONLY_CREATE), cut)
    flow = search.flow(faults)
    flow.put(*numbered(5))
    wait_until(lambda: flow.log(DELIVERED), "the delivery")
    flow.settle(5)
    assert [each.items[0].action for each in faults.requests] == ["index", "create", "create"]
    assert flow.total(DELIVERED, "failed") == 0
