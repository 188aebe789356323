"""Delivery to OpenSearch and Elasticsearch: what is sent, under which names, in which requests."""

import json
import re
import threading
from datetime import UTC, datetime

import pytest

from bulk_faults import BULK_PATH
from bulk_replies import answer, cut, hold, one_by_one, reset
from osmem import STORED_LONG
from search_streams import (
    DELIVERED,
    ELASTICSEARCH,
    FAILED_ONCE,
    FOLDERS,
    NO_IDS,
    OPENSEARCH,
    QUERY,
    numbered,
    rotated,
)
from streams import AT_ONCE, BY_SIZE_ONLY, MEBIBYTE, describe
from updates import update
from waiting import wait_until

pytest_plugins = ["search_fixtures"]

ID = re.compile(r"[0-9a-f]{32}", re.IGNORECASE)


# MARK: Requests


@pytest.mark.parametrize("kind", [OPENSEARCH, ELASTICSEARCH])
def test_documents_arrive_in_bulk_requests(search, faults, kind):
    flow = search.flow(faults, kind=kind)
    flow.put(*numbered(3, text="ä\u2028🚰"))
    documents, _ = flow.settle(3)
    assert sorted(documents, key=lambda each: each["n"]) == [
        {"n": n, "text": "ä\u2028🚰"} for n in range(3)
    ]
    (only,) = faults.requests
    assert (only.method, only.target) == ("POST", f"{BULK_PATH}?{QUERY}")
    assert only.headers["Content-Type"] == "application/x-ndjson"
    assert "Authorization" not in only.headers
    assert "Content-Encoding" not in only.headers
    assert only.documents == flow.records
    for each in only.items:
        action = b'{"index":{"_index":"%s","_id":"%s"}}\n'
        assert each.lines.startswith(action % (flow.index.encode(), each.id.encode()))
    wait_until(lambda: flow.log(DELIVERED), "the line in the log")
    (said,) = flow.log(DELIVERED)
    names = ["destination", "records", "failed", "requests", "attempts"]
    assert [said[name] for name in names] == [kind, "3", "0", "1", "1"]
    assert int(said["bytes"]) == sum(map(len, flow.records))
    # Nothing failed, and nothing else is backed up by default.
    assert flow.bucket.keys() == []
    assert faults.problems == []


@pytest.mark.parametrize(
    ("given", "expected"), [("/", BULK_PATH), ("/some/path", "/some/path/_bulk")]
)
def test_the_endpoint_may_have_a_path(search, alone, given, expected):
    flow = search.flow(alone, path=given)
    flow.put(b"{}")
    wait_until(lambda: alone.requests, "a request")
    assert alone.requests[0].path == expected


AWKWARD_DOCUMENTS = [
    b'{\n  "pretty": [\n    1,\n    2\n  ]\n}\n',
    b'{\r\n"text"\r\n:\r\n"carriage returns"\r\n}\r\n\r\n',
    b'\n\n {"n": 1}',
    b'{"n": 2} \t\n \n',
    b'{"escaped": "\\n\\r\\t\\u0000\\u2028"}',
    '{"raw": "\u2028\u2029\u0085\x7f"}'.encode(),
    b'{"numbers": [1.0, -0, 1e5, 0.1, 9007199254740993]}',
    b'{"_": ""}',
    b"{}",
    b'{"index": {"_index": "other", "_id": "1"}}',
]
"""Documents whose lines are easily torn apart, or changed on their way."""


def test_every_document_is_sent_on_one_line(search, faults):
    """It is the record, but for white space that a line cannot hold."""
    flow = search.flow(faults)
    flow.osmem.create_index(flow.index)
    flow.put(*AWKWARD_DOCUMENTS)
    documents, _ = flow.settle(len(AWKWARD_DOCUMENTS))
    (only,) = faults.requests
    expected = [each.replace(b"\n", b" ").rstrip() for each in AWKWARD_DOCUMENTS]
    spaces = bytes.maketrans(b"\r", b" ")
    assert [each.translate(spaces) for each in only.documents] == [
        each.translate(spaces) for each in expected
    ]
    as_put = sorted(json.dumps(json.loads(each)) for each in AWKWARD_DOCUMENTS)
    assert sorted(map(json.dumps, documents)) == as_put


def test_a_type_is_named_in_every_action(search, alone):
    flow = search.flow(alone, TypeName="my-type")
    flow.put(*numbered(2), b"bad")
    (failed,) = flow.wait_for_failures(1)
    wait_until(lambda: alone.requests, "the request")
    assert [each.type for each in alone.requests[0].items] == ["my-type"] * 2
    assert all(ID.fullmatch(each) for each in alone.requests[0].ids)
    assert failed.type == "my-type"


def test_requests_are_packed_if_the_settings_say_so(search, faults):
    flow = search.flow(faults, path="/packed")
    flow.put(*numbered(1_000, text="packed"))
    flow.settle(1_000)
    for each in faults.requests:
        assert each.headers["Content-Encoding"] == "gzip"
        assert len(each.sent) < len(each.body) / 4


# MARK: Document ids


def test_a_record_has_one_id_in_every_attempt(search, faults):
    """Equal records have different ids; what was stored without an answer is there once."""
    faults.plan = one_by_one(cut, reset(stored=True), answer(503))
    flow = search.flow(faults)
    flow.put(*numbered(20), *[b'{"n": 7}'] * 10)
    wait_until(lambda: flow.log(DELIVERED), "the delivery")
    flow.settle(30)
    assert len(faults.requests) == 4
    assert len({each.body for each in faults.requests}) == 1
    ids = faults.requests[0].ids
    assert all(map(ID.fullmatch, ids))
    assert len(set(ids)) == 30
    assert sorted(flow.osmem.documents(flow.index)) == sorted(ids)
    assert len(flow.log(FAILED_ONCE)) == 3
    assert [(each["requests"], each["attempts"]) for each in flow.log(DELIVERED)] == [("4", "4")]


def test_ids_can_be_left_to_the_server(search, faults):
    flow = search.flow(faults, **NO_IDS)
    (caution,) = flow.log("the destination may receive records twice")
    assert "NO_DOCUMENT_ID" in caution["reason"]
    flow.osmem.create_index(flow.index, n=STORED_LONG)
    flow.put(*numbered(3), b'{"n": "none"}', b"bad")
    _, failed = flow.settle(3, 2)
    assert [each.id for each in failed] == ["", ""]
    (only,) = faults.requests
    assert only.ids == [None] * 4
    action = b'{"index":{"_index":"%s"}}\n' % flow.index.encode()
    assert only.items[0].lines.startswith(action)


# MARK: Index names


def test_index_names_are_rotated_by_the_time_of_arrival(search):
    """A failed record says when it arrived and which index it was for; the default is a day."""
    periods = ["NoRotation", "OneHour", "OneDay", "OneWeek", "OneMonth", None]
    flows = {each: search.flow(rotation=each) for each in periods}
    before = datetime.now(UTC)
    for flow in flows.values():
        flow.put(b'{"good": 1}', b"[]")
    for given, flow in flows.items():
        period = given or "OneDay"
        (failed,) = flow.wait_for_failures(1)
        arrived = datetime.fromtimestamp(failed.arrived / 1000, UTC)
        assert failed.index == rotated(flow.index, period, arrived)
        indices = wait_until(lambda flow=flow: flow.osmem.indices(flow.index), "the index")
        now = datetime.now(UTC)
        possible = [rotated(flow.index, period, moment) for moment in (before, now)]
        assert len(indices) == 1 and indices[0] in possible


@pytest.mark.parametrize(
    ("day", "week"),
    [
        ("2016-01-02", "2016-w01"),
        ("2016-01-03", "2016-w02"),
        ("2015-12-26", "2015-w52"),
        ("2015-12-27", "2016-w01"),
        ("2022-12-31", "2022-w53"),
        ("2023-01-01", "2023-w01"),
        ("2024-12-29", "2025-w01"),
    ],
)
def test_weeks_are_counted_by_their_saturdays(day, week):
    """What the other test compares with."""
    assert rotated("i", "OneWeek", datetime.fromisoformat(f"{day}T12:00:00+00:00")) == f"i-{week}"


def test_an_update_applies_to_what_is_still_buffered(search):
    flow = search.flow(hints=BY_SIZE_ONLY)
    flow.put(*numbered(3))
    changed = f"{flow.index}-changed"
    update(search.client, flow.stream, kind=OPENSEARCH, IndexName=changed, BufferingHints=AT_ONCE)
    wait_until(lambda: flow.osmem.count(changed) == 3, "documents in the other index")
    assert flow.osmem.indices(flow.index) == [changed]


def test_a_stream_can_change_to_the_other_kind(search, faults):
    """Between OpenSearch and Elasticsearch, whose configurations are the same."""
    flow = search.flow(faults, kind=ELASTICSEARCH)
    flow.put(*numbered(2), b"bad as Elasticsearch")
    flow.settle(2, 1)
    update(search.client, flow.stream, kind=OPENSEARCH, TypeName="")
    flow.put(b'{"n": 2}', b"bad as OpenSearch")
    flow.kind = OPENSEARCH
    _, (failed,) = flow.settle(3, 1)
    assert failed.raw == b"bad as OpenSearch"
    assert [key.split("/")[0] + "/" for key in flow.bucket.keys()] == list(FOLDERS.values())
    (shown,) = describe(search.client, flow.stream)["Destinations"]
    assert f"{OPENSEARCH}DestinationDescription" in shown


# MARK: The size of requests


def test_a_large_buffer_goes_out_in_several_requests(search, faults):
    documents = numbered(400, text="x" * 10_000) + numbered(1, text="x" * 1_020_000)
    flow = search.flow(faults, path="/small")
    flow.put(*documents)
    flow.settle(401)
    wait_until(lambda: flow.total(DELIVERED, "records") == 401, "the log")
    assert max(len(each.body) for each in faults.requests) <= MEBIBYTE
    assert sum(len(each.items) for each in faults.requests) == 401
    assert flow.total(DELIVERED, "requests") == len(faults.requests)


def test_requests_that_are_too_large_are_cut_in_two(search, faults):
    """One document that is too large alone fails, and says how often it was sent."""
    faults.largest_body = 250_000
    large = b'{"n": 50, "text": "%s"}' % (b"x" * 300_000)
    flow = search.flow(faults)
    flow.put(*numbered(25, text="x" * 20_000), large, *numbered(25, text="y" * 20_000))
    _, (failed,) = flow.settle(50, 1)
    assert (failed.raw, failed.code) == (large, "413")
    assert failed.attempts == len(faults.carrying(large)) > 1
    assert {each.status for each in faults.requests} == {200, 413}
    # Not one by one: halves of a megabyte that fit have several documents each.
    assert len(faults.requests) < 25
    assert flow.log(FAILED_ONCE) == [], "cutting is no failure"
    wait_until(lambda: flow.log(DELIVERED), "the line in the log")
    assert flow.total(DELIVERED, "requests") == len(faults.requests)


def test_buffers_grow_with_the_backlog(search, faults):
    """An endpoint that was slow for a while is sent more at once until it has caught up."""
    opened = threading.Event()
    faults.plan = lambda _: None if opened.is_set() else hold(opened)
    flow = search.flow(faults, hints=BY_SIZE_ONLY)
    flow.osmem.create_index(flow.index)  # It need not look into the documents.
    flow.put_quickly(numbered(400, text="x" * 100_000))
    wait_until(lambda: faults.requests, "a request that is held up")
    opened.set()
    # The last buffer is not full.
    update(search.client, flow.stream, kind=OPENSEARCH, BufferingHints=AT_ONCE)
    flow.settle(400, timeout=60)
    wait_until(lambda: flow.total(DELIVERED, "records") == 400, "the log")
    sizes = [int(each["bytes"]) for each in flow.log(DELIVERED)]
    assert max(sizes) >= 2 * MEBIBYTE, sizes
