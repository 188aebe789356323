"""The Runtime API byte by byte: what clients other than AWS's own may do, and what none should."""

import pytest

from transforms import FUNCTION_ERROR, Flow, lines

pytest_plugins = ["transform_fixtures"]

MEGABYTE = 1_000_000

MAXIMUM_GROWTH_BYTES = 60 * MEGABYTE
"""What requests may add to the server's memory, all together; a response has 6.3 MB at most."""

RUNTIME = """
import socket

HOST, PORT = os.environ["AWS_LAMBDA_RUNTIME_API"].split(":")
BASE = "/2018-06-01/runtime/invocation/"
NEXT = BASE + "next"

class Wire:
    \"\"\"A connection that sends what it is told to.\"\"\"

    def __init__(self):
        self.socket = socket.create_connection((HOST, int(PORT)), timeout=10)
        self.reader = self.socket.makefile("rb")

    def send(self, method, path, *headers, body=b""):
        lines = [f"{method} {path} HTTP/1.1", "Host: x", *headers, "", ""]
        self.socket.sendall("\\r\\n".join(lines).encode() + body)

    def head(self):
        \"\"\"The status and the headers of an answer; None at the end of the connection.\"\"\"
        line = self.reader.readline()
        if not line:
            return None, {}
        headers = {}
        while (text := self.reader.readline().decode().strip()):
            name, _, value = text.partition(": ")
            headers[name.lower()] = value
        return int(line.split()[1]), headers

    def answer(self):
        status, headers = self.head()
        return status, headers, self.reader.read(int(headers.get("content-length", 0)))

    def next(self):
        \"\"\"Asks for an event; returns the path and the body of a good answer to it.\"\"\"
        self.send("GET", NEXT)
        return self.taken(*self.answer())

    def taken(self, status, headers, text):
        assert status == 200, status
        event = json.loads(text)
        trace_event(event, len(text))
        found = [answer(each, content(each)) for each in event["records"]]
        path = BASE + headers["lambda-runtime-aws-request-id"] + "/response"
        return path, json.dumps({"records": found}).encode()

    def post(self, path, body, *headers):
        self.send("POST", path, f"Content-Length: {len(body)}", *headers, body=body)
        return self.answer()[0]
"""


def flow_of_runtime(bench, body: str, *, settings: dict | None = None, **others) -> Flow:
    """A stream through a runtime of one's own that speaks over `Wire`s."""
    given = {"command": ["python3", "-SE", "app.py"], "concurrency": 1, "timeoutSeconds": 15}
    given |= settings or {}
    name = bench.programs.write_folder(RUNTIME + body, mode="lambda", **given)
    return bench.flow(name, **{"retries": 0} | others)


# MARK: What clients may do


def test_a_client_that_asks_before_it_sends_is_told_to_go_on(bench):
    """curl would wait for a second, others for longer."""
    body = """
wire = Wire()
while True:
    path, text = wire.next()
    text += b" " * 100_000
    wire.send("POST", path, f"Content-Length: {len(text)}", "Expect: 100-continue")
    interim, _ = wire.head()
    wire.socket.sendall(text)
    trace(interim=interim, final=wire.head()[0])
    wire = Wire()
"""
    flow = flow_of_runtime(bench, body, settings={"timeoutSeconds": 2})
    flow.put(*lines(3))
    assert flow.settle().delivered == lines(3)
    (seen,) = bench.programs.wait_for_traces(flow.transform, "interim")
    assert (seen["interim"], seen["final"]) == (100, 202)


@pytest.mark.parametrize("path", ["next", "x/response", "x"])
def test_head_gets_an_answer_without_a_body_and_no_event(bench, path):
    """A body would be taken for the beginning of the next answer."""
    body = f"""
wire = Wire()
wire.send("HEAD", BASE + "{path}")
status, headers = wire.head()
trace(status=status, length=headers["content-length"])
while True:
    path, text = wire.next()
    wire.post(path, text)
"""
    flow = flow_of_runtime(bench, body, settings={"timeoutSeconds": 2})
    flow.put(*lines(3))
    assert flow.settle().delivered == lines(3)
    (seen,) = bench.programs.wait_for_traces(flow.transform, "status")
    assert seen["status"] == 404
    assert int(seen["length"]) > 0


def test_an_event_is_not_lost_with_a_connection_that_ends_behind_its_request(bench):
    """It is half closed: the client sees whether the event came, and if not, it asks again."""
    body = """
while True:
    wire = Wire()
    wire.send("GET", NEXT)
    wire.socket.shutdown(socket.SHUT_WR)
    status, headers, text = wire.answer()
    if status:
        path, text = wire.taken(status, headers, text)
    else:
        path, text = Wire().next()
    Wire().post(path, text)
"""
    flow = flow_of_runtime(bench, body, settings={"timeoutSeconds": 2})
    for record in lines(20):
        flow.put(record)
        flow.wait_for(b"".join(flow.records))
    assert flow.failures() == []


# MARK: What none should do

HOLDING = """
def hold(path):
    wire = Wire()
    wire.send("POST", path, f"Content-Length: {SIZE + 1}")
    for _ in range(SIZE // 1_000_000):
        wire.socket.sendall(bytes(1_000_000))
    return wire

path, text = Wire().next()
held = [hold(WHERE) for _ in range(COUNT)]
trace(held=True)
while not any("go" in each for each in traced()):
    time.sleep(0.02)
if COUNT == 1 and WHERE == path:
    held[0].socket.sendall(b"x")
    trace(status=held[0].head()[0])
else:
    trace(status=Wire().post(path, text))
time.sleep(600)
"""
"""Sends bodies but for their last byte, and waits until it may go on."""


def hold_bodies(bench, where: str, *, count: int, size: int) -> tuple[Flow, int]:
    """Has a runtime send bodies; returns its stream, and what they add to the server's memory."""
    given = {"WHERE": where, "COUNT": str(count), "SIZE": str(size)}
    source = HOLDING
    for name, value in given.items():
        source = source.replace(name, value)
    flow = flow_of_runtime(bench, source)
    before = bench.hydrant.memory_bytes()
    flow.put(*lines(3))
    bench.programs.wait_for_traces(flow.transform, "held")
    grown = bench.hydrant.memory_bytes() - before
    with bench.programs.traces_path(flow.transform).open("a") as file:
        file.write('{"pid": 0, "go": true}\n')
    return flow, grown


@pytest.mark.parametrize(
    "where", ["BASE + 'other/response'", "BASE + 'other/error'", "'/other'", "path"]
)
def test_many_bodies_at_once_do_not_grow_the_servers_memory(bench, where):
    """`path` is where the one response belongs that the server waits for, and gets in the end."""
    flow, grown = hold_bodies(bench, where, count=40, size=6 * MEGABYTE)
    assert flow.settle().delivered == lines(3)
    flow.delete()
    assert grown < MAXIMUM_GROWTH_BYTES


def test_a_body_without_end_does_not_grow_the_servers_memory(bench):
    flow, grown = hold_bodies(bench, "path", count=1, size=200 * MEGABYTE)
    assert {each.code for each in flow.wait_for_failures(3)} == {FUNCTION_ERROR}
    flow.delete()
    assert grown < MAXIMUM_GROWTH_BYTES
