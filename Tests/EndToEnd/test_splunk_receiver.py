"""The receiver of Splunk's requests: it takes what is right, and nothing that is not."""

import http.client
import json
import uuid

import pytest

from splunk_receiver import ACK_PATH, CODES, EVENT, RAW, SplunkReceiver, Token, events, says

CHANNEL = str(uuid.uuid4())


@pytest.fixture
def receiver():
    """A receiver of the test's own."""
    with SplunkReceiver() as receiver:
        yield receiver


def send(
    receiver: SplunkReceiver,
    path: str,
    body: bytes,
    *,
    method: str = "POST",
    query: str = f"?channel={CHANNEL}",
    **headers: str | None,
) -> tuple[int, dict, list[str]]:
    """Sends a request; returns the answer's status, document and cookies."""
    given = {"Authorization": "Splunk token", "X-Splunk-Request-Channel": CHANNEL}
    given |= {name.replace("_", "-"): value for name, value in headers.items()}
    connection = http.client.HTTPConnection("127.0.0.1", receiver.port, timeout=10)
    connection.putrequest(method, f"{path}{query}", skip_accept_encoding=True)
    for name, value in given.items():
        if value is not None:
            connection.putheader(name, value)
    connection.putheader("Content-Length", str(len(body)))
    connection.endheaders(body)
    answer = connection.getresponse()
    cookies = [each.partition(";")[0] for each in answer.headers.get_all("Set-Cookie", [])]
    document = json.loads(answer.read())
    connection.close()
    return answer.status, document, cookies


def send_data(receiver: SplunkReceiver, body: bytes = b"data", **others) -> tuple:
    """Sends data to the raw endpoint."""
    return send(receiver, "/services/collector/raw", body, **others)


def poll(receiver: SplunkReceiver, *acks: int, **others) -> tuple:
    """Asks for acknowledgements."""
    return send(receiver, ACK_PATH, json.dumps({"acks": acks}).encode(), **others)


def outcome(receiver: SplunkReceiver, token: Token) -> tuple[int, int]:
    """How many violations there are, and how many requests with data were taken."""
    return len(receiver.violations), len(token.bodies(acknowledged=False))


def test_data_is_taken_and_acknowledged(receiver):
    token = receiver.token("token")
    for number, body in enumerate([b"one", b"two"]):
        assert send_data(receiver, body)[:2] == (
            200,
            {"text": "Success", "code": 0, "ackId": number},
        )
    assert token.bodies() == []
    assert poll(receiver, 1)[:2] == (200, {"acks": {"1": True}})
    assert token.bodies() == [b"two"]
    assert poll(receiver, 0)[:2] == (200, {"acks": {"0": True}})
    assert token.bodies() == [b"one", b"two"]
    assert receiver.violations == []


def test_acknowledgements_may_never_come(receiver):
    token = receiver.token("token", delay=None)
    send_data(receiver)
    for _ in range(2):
        assert poll(receiver, 0)[1] == {"acks": {"0": False}}
    assert token.bodies() == []
    assert receiver.violations == []


def test_numbers_of_acknowledgements_are_a_channels_own(receiver):
    receiver.token("token")
    other = str(uuid.uuid4())
    send_data(receiver)
    own = {"query": f"?channel={other}", "X_Splunk_Request_Channel": other}
    assert send_data(receiver, **own)[1]["ackId"] == 0
    send_data(receiver)
    poll(receiver, 1, **own)
    assert len(receiver.violations) == 1


@pytest.mark.parametrize(
    ("headers", "code"),
    [
        ({"Authorization": None}, 2),
        ({"Authorization": "Bearer token"}, 3),
        ({"Authorization": "Splunk other"}, 4),
        ({"X_Splunk_Request_Channel": None}, 11),
        ({"X_Splunk_Request_Channel": str(uuid.uuid4())}, 11),
        ({"query": ""}, 10),
        ({"query": f"?channel={CHANNEL}&token=token"}, 10),
        ({"query": "?channel=1"}, 10),
    ],
)
def test_hec_says_what_is_missing(receiver, headers, code):
    token = receiver.token("token")
    status, document, _ = send_data(receiver, **headers)
    assert (status, document["code"]) == (CODES[code][0], code)
    assert outcome(receiver, token) == (1, 0)


@pytest.mark.parametrize(
    "headers",
    [{"method": "PUT"}, {"Content_Encoding": "gzip"}, {"X_Amz_Date": "now"}],
)
def test_other_wrong_requests_are_found(receiver, headers):
    token = receiver.token("token")
    send_data(receiver, **headers)
    assert outcome(receiver, token) == (1, 0)


@pytest.mark.parametrize("body", [b"", b"x" * (5 * 1024 * 1024 + 1)], ids=["empty", "large"])
def test_wrong_sizes_are_found(receiver, body):
    token = receiver.token("token")
    send_data(receiver, body)
    assert outcome(receiver, token) == (1, 0)


def test_a_token_is_for_one_kind_of_endpoint(receiver):
    token = receiver.token("token", kind=EVENT)
    send_data(receiver, b'{"event":1}')
    assert outcome(receiver, token) == (1, 0)


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b'{"event":"a"}{"event":0} \r\n{"event":{},"time":1,"host":"h","fields":{"a":"b"}}', 0),
        (b'{"event":false}\n', 0),
        (b"text", 6),
        (b'{"event":"a"}x', 6),
        (b'[{"event":"a"}]', 6),
        (b'{"event":"a","other":1}', 6),
        (b'{"event":"\xff"}', 6),
        (b'{"event":null}', 12),
        (b'{"time":1}', 12),
        (b'{"event":"a"}{"event":""}', 13),
    ],
)
def test_events_are_looked_at(receiver, body, code):
    token = receiver.token("token", kind=EVENT)
    _, document, _ = send(receiver, "/services/collector/event", body)
    assert document["code"] == code
    assert outcome(receiver, token) == ((1, 0) if code else (0, 1))


def test_events_are_told_apart():
    assert list(events(b' {"event":1}{"event":"}{"}\n\n5 ')) == [{"event": 1}, {"event": "}{"}, 5]


@pytest.mark.parametrize(
    "body",
    [b"", b"[0]", b'{"acks":[]}', b'{"acks":0}', b'{"acks":["0"]}', b'{"acks":[0],"a":1}']
    + [b'{"acks":[0,0]}', b'{"acks":[1]}', b'{"acks":[-1]}', b'{"acks":[true]}'],
)
def test_wrong_polls_are_found(receiver, body):
    token = receiver.token("token")
    send_data(receiver)
    assert send(receiver, ACK_PATH, body)[0] == 400
    assert len(receiver.violations) == 1
    assert token.polls == []


def test_a_second_poll_for_what_is_acknowledged_is_found(receiver):
    receiver.token("token")
    send_data(receiver)
    poll(receiver, 0)
    assert receiver.violations == []
    poll(receiver, 0)
    assert len(receiver.violations) == 1


def test_behind_a_balancer_cookies_lead_to_the_indexer(receiver):
    token = receiver.token("token", indexers=2)
    first = send_data(receiver, b"first")
    second = send_data(receiver, b"second")
    assert first[1]["ackId"] == second[1]["ackId"] == 0
    assert first[2] != second[2]
    poll(receiver, 0, Cookie="; ".join(second[2]))
    assert token.bodies() == [b"second"]
    assert receiver.violations == []
    for cookies in (None, first[2][0], "; ".join([*first[2], "other=1"])):
        poll(receiver, 0, Cookie=cookies)
    assert len(receiver.violations) == 3
    assert token.bodies() == [b"second"]


@pytest.mark.parametrize("code", sorted(CODES.keys() - {0}))
def test_every_code_can_be_answered(receiver, code):
    token = receiver.token("token", plan=lambda _: says(code))
    status, document, _ = send_data(receiver)
    assert (status, document["code"]) == (CODES[code][0], code)
    assert outcome(receiver, token) == (0, 0)
    assert token.kind == RAW


def test_polls_can_fail(receiver):
    token = receiver.token("token", poll_plan=lambda poll: says(9) if poll.number == 0 else None)
    send_data(receiver)
    assert [poll(receiver, 0)[0] for _ in range(2)] == [503, 200]
    assert token.posts[0].has_failed_poll
    assert token.bodies() == [b"data"]
    assert receiver.violations == []
