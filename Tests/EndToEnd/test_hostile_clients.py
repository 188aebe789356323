"""Clients that stop half-way, do not read, or send little that becomes much."""

import contextlib
import gzip
import json
import socket

import pytest

from keys import PRODUCER, write_keys
from signed import Signer, exchange, message
from streams import create_stream
from wire import Connection, head, put_body, request

MAXIMUM_MEMORY_BYTES = 200 * 1000 * 1000


def test_a_client_that_has_finished_sending_still_gets_its_answer(start_hydrant):
    """Otherwise it puts again what was stored, and doubles it."""
    hydrant = start_hydrant()
    stream = create_stream(hydrant.client(), "arn:aws:s3:::bucket")
    with socket.create_connection(("127.0.0.1", hydrant.port), timeout=20) as raw:
        raw.sendall(request("PutRecord", json.dumps(put_record(stream)).encode()))
        raw.shutdown(socket.SHUT_WR)
        received = b""
        while part := raw.recv(65536):
            received += part
    assert received.startswith(b"HTTP/1.1 200")
    assert b"RecordId" in received


def put_record(stream: str) -> dict:
    """The body of a PutRecord."""
    return {"DeliveryStreamName": stream, "Record": put_body(stream, b"x")["Records"][0]}


def test_a_client_that_never_reads_is_not_read_from_either(start_hydrant):
    """Its answers would pile up in the server's memory."""
    hydrant = start_hydrant()
    requests = b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n" * 2000
    sent = 0
    with socket.create_connection(("127.0.0.1", hydrant.port)) as raw:
        raw.settimeout(2)
        try:
            while sent < 500_000_000:
                sent += raw.send(requests)
        except TimeoutError:
            pass
    assert sent < 500_000_000, "the server read on"
    assert hydrant.peak_memory_bytes() < MAXIMUM_MEMORY_BYTES


def test_small_bodies_that_unpack_to_large_ones_wait_for_memory(start_hydrant):
    hydrant = start_hydrant()
    large = b'{"DeliveryStreamName":"x","y":"' + b"z" * 8_000_000 + b'"}'
    body = gzip.compress(large)
    with contextlib.ExitStack() as stack:
        connections = [stack.enter_context(Connection(hydrant.port)) for _ in range(60)]
        for connection in connections:
            connection.send(request("CreateDeliveryStream", body, "Content-Encoding: gzip"))
        for connection in connections:
            assert connection.answer().status == 413
    assert hydrant.peak_memory_bytes() < MAXIMUM_MEMORY_BYTES


@pytest.mark.parametrize("encoding", ["", "gzip"])
def test_strangers_hold_no_memory_that_others_wait_for(start_hydrant, tmp_path, encoding):
    """Packed bodies that never come are reckoned at what they may unpack to."""
    keys = write_keys(tmp_path / "keys.json", PRODUCER)
    hydrant = start_hydrant("--credentials", str(keys))
    stream = create_stream(hydrant.client(), "arn:aws:s3:::bucket")
    body = json.dumps(put_record(stream)).encode()
    wanted = message("PutRecord", body)
    if encoding:
        wanted = message("PutRecord", gzip.compress(body), ("Content-Encoding", encoding))
    unfinished = head("PutRecord", "Content-Encoding: gzip", "Content-Length: 60000") + b"\r\n\x1f"
    with contextlib.ExitStack() as stack:
        connections = [stack.enter_context(Connection(hydrant.port)) for _ in range(400)]
        for connection in connections:
            connection.exchange(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n")
            connection.send(unfinished)
        for _ in range(3):
            answer = exchange(hydrant.port, Signer(PRODUCER).sign(wanted))
            assert answer.status == 200, answer.body
