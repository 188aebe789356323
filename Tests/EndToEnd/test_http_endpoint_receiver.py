"""The receiver of HTTP endpoints' requests: it takes what is right, and nothing that is not."""

import base64
import gzip
import http.client
import json
import time
import uuid

import pytest

from firehose_receiver import MOST_CHARACTERS, FirehoseReceiver, Place
from firehose_replies import FAULTS, SUCCESSES

RECORDS = [b"a record that can be told apart", b"another record, another text", b""]

ATTRIBUTES = {"ünïcödé": "日本", "empty": ""}


@pytest.fixture
def receiver():
    """A receiver of the test's own."""
    with FirehoseReceiver() as receiver:
        yield receiver


def body_of(request_id: str, *records: bytes, **members) -> bytes:
    """A request's body."""
    entries = [{"data": base64.b64encode(each).decode()} for each in records]
    whole = {"requestId": request_id, "timestamp": int(time.time() * 1000), "records": entries}
    return json.dumps(whole | members).encode()


def headers_of(place: Place, request_id: str) -> dict[str, str | bytes]:
    """The headers of a request that is right."""
    given: dict[str, str | bytes] = {
        "User-Agent": "hydrant",
        "Content-Type": "application/json",
        "X-Amz-Firehose-Protocol-Version": "1.0",
        "X-Amz-Firehose-Request-Id": request_id,
        "X-Amz-Firehose-Source-Arn": place.source_arn,
    }
    if place.access_key is not None:
        given["X-Amz-Firehose-Access-Key"] = place.access_key
    if place.attributes is not None:
        common = json.dumps({"commonAttributes": place.attributes}, ensure_ascii=False)
        given["X-Amz-Firehose-Common-Attributes"] = common.encode()
    if place.compressed:
        given["Content-Encoding"] = "gzip"
    return given


def send(place: Place, body: bytes, headers: dict, *, method: str = "POST") -> tuple[int, bytes]:
    """Sends a request; returns the answer's status and body."""
    host, _, target = place.url.removeprefix("http://").partition("/")
    connection = http.client.HTTPConnection(host, timeout=10)
    connection.putrequest(method, f"/{target}", skip_accept_encoding=True)
    for name, value in headers.items():
        connection.putheader(name, value)
    if "Transfer-Encoding" not in headers and "Content-Length" not in headers:
        connection.putheader("Content-Length", str(len(body)))
    connection.endheaders(body)
    answer = connection.getresponse()
    found = answer.status, answer.read()
    connection.close()
    return found


def test_a_right_request_is_taken(receiver):
    place = receiver.place("stream", access_key="a key", attributes=ATTRIBUTES)
    request_id = str(uuid.uuid4())
    status, body = send(place, body_of(request_id, *RECORDS), headers_of(place, request_id))
    assert (status, json.loads(body)["requestId"]) == (200, request_id)
    assert place.records() == RECORDS
    assert receiver.violations == []


def test_a_packed_request_is_taken(receiver):
    place = receiver.place("stream", query="?a=b%20c&d", compressed=True)
    body = gzip.compress(body_of(request_id := str(uuid.uuid4()), *RECORDS))
    assert send(place, body, headers_of(place, request_id))[0] == 200
    assert place.records() == RECORDS
    assert receiver.violations == []


@pytest.mark.parametrize(
    "headers",
    [
        {"X-Amz-Firehose-Protocol-Version": "1.1"},
        {"X-Amz-Firehose-Protocol-Version": None},
        {"X-Amz-Firehose-Request-Id": None},
        {"X-Amz-Firehose-Request-Id": "1"},
        {"X-Amz-Firehose-Request-Id": "ed4acda5-034f-9f42-bba1-f29aea6d7d8f"},
        {"X-Amz-Firehose-Source-Arn": None},
        {"X-Amz-Firehose-Source-Arn": "arn:aws:firehose:us-east-1:1:deliverystream/stream"},
        {"X-Amz-Firehose-Access-Key": None},
        {"X-Amz-Firehose-Access-Key": "another"},
        {"X-Amz-Firehose-Common-Attributes": None},
        {"X-Amz-Firehose-Common-Attributes": json.dumps(ATTRIBUTES)},
        {"X-Amz-Firehose-Other": "header"},
        {"Content-Type": "application/json; charset=utf-8"},
        {"Content-Encoding": "identity"},
        {"Content-Encoding": "gzip"},
        {"Content-Length": None, "Transfer-Encoding": "chunked"},
        {"Authorization": "Basic abc"},
        {"Accept-Encoding": "gzip"},
        {"User-Agent": "curl"},
    ],
    ids=lambda headers: next(iter(headers)),
)
def test_a_wrong_header_is_found(receiver, headers):
    place = receiver.place("stream", access_key="a key", attributes=ATTRIBUTES)
    request_id = str(uuid.uuid4())
    given = headers_of(place, request_id) | headers
    given = {name: value for name, value in given.items() if value is not None}
    body = body_of(request_id, *RECORDS)
    if "Transfer-Encoding" in headers:
        body = b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body)
    assert send(place, body, given)[0] in (400, 411)
    assert receiver.violations
    assert place.requests == []


@pytest.mark.parametrize(
    "members",
    [
        {"requestId": "ed4acda5-034f-9f42-bba1-f29aea6d7d8f"},
        {"timestamp": "1578090901599"},
        {"timestamp": 1578090901599},
        {"timestamp": int(time.time())},
        {"records": []},
        {"records": [{"data": "aGVsbG8"}]},
        {"records": [{"data": "aGVs bG8="}]},
        {"records": [{"data": "aGVsbG9="}]},
        {"records": [{"data": None}]},
        {"records": [{"data": "", "more": 1}]},
        {"records": [{"data": ""}] * 10_001},
        {"records": [{"data": "A" * (MOST_CHARACTERS + 4)}]},
        {"records": [{"data": "A" * MOST_CHARACTERS}]},
        {"more": 1},
    ],
)
def test_a_wrong_body_is_found(receiver, members):
    place = receiver.place("stream")
    request_id = str(uuid.uuid4())
    body = body_of(request_id, **members)
    assert send(place, body, headers_of(place, request_id))[0] == 400
    assert receiver.violations
    assert place.requests == []


@pytest.mark.parametrize("method", ["GET", "PUT", "PATCH"])
def test_another_method_is_found(receiver, method):
    place = receiver.place("stream")
    request_id = str(uuid.uuid4())
    given = headers_of(place, request_id)
    assert send(place, body_of(request_id, *RECORDS), given, method=method)[0] == 400
    assert receiver.violations


def test_an_unknown_place_is_found(receiver):
    place = receiver.place("stream")
    place.url += "?more"
    send(place, b"", headers_of(place, str(uuid.uuid4())))
    assert receiver.violations


# MARK: Between requests


def test_a_retry_has_the_id_and_the_records_of_the_first_try(receiver):
    place = receiver.place("stream")
    place.plan = lambda request: FAULTS["status 500"][0] if request.number == 0 else None
    request_id = str(uuid.uuid4())
    for expected in (500, 200):
        status, _ = send(place, body_of(request_id, *RECORDS), headers_of(place, request_id))
        assert status == expected
    assert receiver.violations == []
    assert [each.is_first for each in place.requests] == [True, False]
    assert place.records() == RECORDS


@pytest.mark.parametrize(
    ("taken", "same_id", "records"),
    [
        (False, True, RECORDS[:1]),
        (False, False, RECORDS[1:]),
        (True, True, RECORDS),
    ],
    ids=["other records", "another id", "taken already"],
)
def test_a_wrong_retry_is_found(receiver, taken, same_id, records):
    place = receiver.place("stream")
    place.plan = lambda request: None if taken else FAULTS["status 500"][0]
    first = str(uuid.uuid4())
    second = first if same_id else str(uuid.uuid4())
    send(place, body_of(first, *RECORDS), headers_of(place, first))
    assert receiver.violations == []
    send(place, body_of(second, *records), headers_of(place, second))
    assert len(receiver.violations) == 1


def test_an_id_of_another_place_is_found(receiver):
    request_id = str(uuid.uuid4())
    for name in ("one", "two"):
        place = receiver.place(name)
        send(place, body_of(request_id, *RECORDS), headers_of(place, request_id))
    assert any("one has used the id" in each for each in receiver.violations)


# MARK: Replies


@pytest.mark.parametrize("name", sorted(FAULTS.keys() - {"1 GiB"}))
def test_faults_do_not_take_records(receiver, name):
    place = receiver.place("stream", plan=lambda _: FAULTS[name][0])
    request_id = str(uuid.uuid4())
    try:
        send(place, body_of(request_id, *RECORDS), headers_of(place, request_id))
    except (OSError, http.client.HTTPException):
        assert FAULTS[name][1] == {"HttpEndpoint.ConnectionReset"}
    assert len(place.requests) == 1
    assert place.records() == []
    assert receiver.violations == []


@pytest.mark.parametrize("name", sorted(SUCCESSES))
def test_successes_take_records(receiver, name):
    place = receiver.place("stream", plan=lambda _: SUCCESSES[name])
    request_id = str(uuid.uuid4())
    status, body = send(place, body_of(request_id, *RECORDS), headers_of(place, request_id))
    assert (status, json.loads(body)["requestId"]) == (200, request_id)
    assert place.records() == RECORDS
