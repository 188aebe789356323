"""HTTP and JSON as clients other than boto3 send them, and as nobody should."""

import base64
import gzip
import json

import pytest

from streams import create_stream, fresh_name
from wire import CONTENT_TYPE, Connection, chunked, head, put_body, request

MAXIMUM_BODY_BYTES = 8 * 1024 * 1024


@pytest.fixture
def stream(client, folder_bucket) -> str:
    """A stream that delivers at once to the test's folder bucket."""
    return create_stream(client, folder_bucket.arn)


@pytest.fixture
def connection(hydrant):
    """A connection to the shared server."""
    with Connection(hydrant.port) as connection:
        yield connection


# MARK: Answers


def test_answers_carry_what_sdks_look_for(connection, stream):
    answer = connection.exchange(request("PutRecordBatch", put_body(stream, b"x")))
    assert answer.status == 200
    assert answer.headers["x-amzn-RequestId"]
    assert answer.headers["Content-Type"] == CONTENT_TYPE
    again = connection.exchange(request("DescribeDeliveryStream", {"DeliveryStreamName": "no"}))
    assert again.status == 400
    assert again.headers["x-amzn-RequestId"] not in (None, answer.headers["x-amzn-RequestId"])
    assert again.headers["Content-Type"] == CONTENT_TYPE
    assert again.error == "ResourceNotFoundException"
    assert again.json["message"]


def test_health_answers_ok(connection):
    answer = connection.exchange(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n")
    assert answer.status == 200
    assert answer.json["status"] == "ok"


@pytest.mark.parametrize(
    ("start", "allowed"),
    [(b"POST /ready", "GET, HEAD"), (b"DELETE /metrics", "GET, HEAD"), (b"GET /", "POST")],
)
def test_a_wrong_method_is_told_the_right_ones(connection, start, allowed):
    answer = connection.exchange(start + b" HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n")
    assert answer.status == 405
    assert answer.headers["allow"] == allowed


# MARK: JSON


@pytest.mark.parametrize(
    "body",
    [
        b"{",
        b"[]",
        b"null",
        b'"text"',
        b"not json",
        b'{"DeliveryStreamName":"s","Record":{"Data":"aGk="}} trailing',
        b'{"DeliveryStreamName":"s","Record":{"Data":"aGk="}',
        b'{"DeliveryStreamName":"s","Record":{"Data":"aGk=",}}',
        b'{"DeliveryStreamName":"s","Record":{"Data":12}}',
        b'{"DeliveryStreamName":"s","Record":{"Data":"not base64!"}}',
        b'{"DeliveryStreamName":"s","Record":{"Data":"aGk"}}',
        b'{"DeliveryStreamName":7,"Record":{"Data":"aGk="}}',
        b'{"DeliveryStreamName":"\xff","Record":{"Data":"aGk="}}',
        b'{"DeliveryStreamName":"s","Record":{"Data":"aG\nk="}}',
        b'{"a":' * 10_000,
    ],
    ids=lambda body: body[:60].decode(errors="replace"),
)
def test_a_malformed_body_is_a_serialization_error(connection, body):
    answer = connection.exchange(request("PutRecord", body))
    assert answer.status == 400
    assert answer.error == "SerializationException"
    assert connection.exchange(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n").status == 200


def test_bad_base64_anywhere_refuses_the_whole_batch(connection, stream, folder_bucket):
    body = put_body(stream, b"one", b"two", b"three")
    body["Records"][1]["Data"] = "dHdv*"
    answer = connection.exchange(request("PutRecordBatch", body))
    assert (answer.status, answer.error) == (400, "SerializationException")
    assert connection.exchange(request("PutRecordBatch", put_body(stream, b"!"))).status == 200
    folder_bucket.wait_for(b"!")


@pytest.mark.parametrize(
    "template",
    [
        '{"Records":[{"Data":"DATA"}],"DeliveryStreamName":"STREAM"}',
        '\n\t{ "DeliveryStreamName" :\r\n"STREAM" , "Records" : [ { "Data" : "DATA" } ] } \n',
        '{"DeliveryStreamName":"STREAM","Extra":{"Data":["x",{"y":null}]},'
        '"Records":[{"Other":[1,-2.5e3,true],"Data":"DATA","More":"\\"}"}]}',
        '{"\\u0044eliveryStreamName":"STREAM","Records":[{"D\\u0061ta":"DATA"}]}',
    ],
    ids=["reordered", "spaced", "unknown-members", "escaped-names"],
)
def test_json_may_be_written_in_any_way(connection, stream, folder_bucket, template):
    data = bytes(range(256))
    body = template.replace("STREAM", stream).replace("DATA", base64.b64encode(data).decode())
    answer = connection.exchange(request("PutRecordBatch", body.encode()))
    assert answer.status == 200, answer.body
    folder_bucket.wait_for(data)


def test_base64_may_come_with_escapes(connection, stream, folder_bucket):
    """PHP writes every slash as `\\/`; some encoders write `=` and `+` as `\\u003d`, `\\u002b`."""
    data = b"\xfb\xff\xbf" * 50 + b"\xff"
    text = base64.b64encode(data).decode()
    assert {"/", "+", "="} <= set(text)
    text = text.replace("/", "\\/").replace("=", "\\u003d").replace("+", "\\u002B")
    body = f'{{"DeliveryStreamName":"{stream}","Records":[{{"Data":"{text}"}}]}}'
    assert connection.exchange(request("PutRecordBatch", body.encode())).status == 200
    folder_bucket.wait_for(data)


# MARK: Targets and paths


@pytest.mark.parametrize(
    "target",
    [
        "Firehose_20150804.NoSuchOperation",
        "Kinesis_20131202.PutRecord",
        "PutRecord",
        "Firehose_20150804.",
        "Firehose_20150804.putrecord",
    ],
)
def test_an_unknown_operation_is_refused(connection, target):
    answer = connection.exchange(request("", b"{}", target=target))
    assert (answer.status, answer.error) == (400, "UnknownOperationException")


def test_a_missing_target_is_an_unknown_operation(connection):
    answer = connection.exchange(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}")
    assert (answer.status, answer.error) == (400, "UnknownOperationException")


@pytest.mark.parametrize("line", ["GET /", "PUT /", "DELETE /", "GET /nothing", "POST /nothing"])
def test_other_methods_and_paths_are_client_errors(connection, line):
    wrong = f"{line} HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n".encode()
    assert 400 <= connection.exchange(wrong).status < 500
    assert connection.exchange(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n").status == 200


def test_what_is_not_http_harms_nobody(hydrant):
    for garbage in (b"\x16\x03\x01\x02\x00\x01\x00", b"HELO mail\r\n\r\n", b"\0" * 5_000):
        with Connection(hydrant.port) as connection:
            connection.send(garbage)
    with Connection(hydrant.port) as connection:
        assert connection.exchange(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n").status == 200


# MARK: Bodies


def test_a_gzipped_body_is_understood(connection, stream, folder_bucket):
    body = gzip.compress(json.dumps(put_body(stream, b"zipped")).encode())
    answer = connection.exchange(request("PutRecordBatch", body, "Content-Encoding: gzip"))
    assert answer.status == 200, answer.body
    folder_bucket.wait_for(b"zipped")


@pytest.mark.parametrize("damage", ["garbage", "truncated", "checksum"])
def test_a_damaged_gzip_body_is_refused(connection, stream, folder_bucket, damage):
    whole = gzip.compress(json.dumps(put_body(stream, b"zipped")).encode())
    body = {
        "garbage": b"this is not gzip",
        "truncated": whole[:-12],
        "checksum": whole[:-8] + bytes(4) + whole[-4:],
    }[damage]
    answer = connection.exchange(request("PutRecordBatch", body, "Content-Encoding: gzip"))
    assert (answer.status, answer.error) == (400, "SerializationException")
    assert connection.exchange(request("PutRecordBatch", put_body(stream, b"!"))).status == 200
    folder_bucket.wait_for(b"!")


@pytest.mark.parametrize("size", [1, 7, 4_096])
def test_a_chunked_body_is_understood(connection, stream, folder_bucket, size):
    data = bytes(1_000)
    body = json.dumps(put_body(stream, data)).encode()
    connection.send(head("PutRecordBatch", "Transfer-Encoding: chunked") + b"\r\n")
    connection.send(chunked(body, size))
    assert connection.answer().status == 200
    folder_bucket.wait_for(data)


def test_a_body_of_8_mib_is_read(connection, stream, folder_bucket):
    """White space makes it that long; nothing in it is too large."""
    body = json.dumps(put_body(stream, b"padded")).encode().ljust(MAXIMUM_BODY_BYTES)
    assert connection.exchange(request("PutRecordBatch", body)).status == 200
    folder_bucket.wait_for(b"padded")


# MARK: Bodies that are too large


def test_a_client_that_sends_too_much_can_read_why(connection):
    """The whole body is taken off the line: closing early would reset the client's connection."""
    body = b" " * (MAXIMUM_BODY_BYTES + 1)
    answer = connection.exchange(request("PutRecordBatch", body))
    assert answer.status == 413
    assert answer.headers["x-amzn-RequestId"]
    assert answer.json["__type"]


def test_boto3_sees_413_for_a_body_that_is_too_large(client, stream):
    with pytest.raises(client.exceptions.ClientError) as caught:
        client.put_record_batch(
            DeliveryStreamName=stream, Records=[{"Data": bytes(1_000_000)}] * 10
        )
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 413


def test_a_body_that_grows_too_large_in_chunks_is_413(connection):
    connection.send(head("PutRecordBatch", "Transfer-Encoding: chunked") + b"\r\n")
    connection.send(chunked(b" " * (MAXIMUM_BODY_BYTES + 1), 65_536))
    assert connection.answer().status == 413


def test_a_body_that_unzips_to_too_much_is_413(connection):
    bomb = gzip.compress(b" " * (MAXIMUM_BODY_BYTES + 1))
    answer = connection.exchange(request("PutRecordBatch", bomb, "Content-Encoding: gzip"))
    assert answer.status == 413


def test_a_body_that_is_too_large_is_refused_before_it_is_sent(connection):
    length = f"Content-Length: {MAXIMUM_BODY_BYTES + 1}"
    connection.send(head("PutRecordBatch", length, "Expect: 100-continue") + b"\r\n")
    assert connection.answer().status == 413


# MARK: Connections


def test_expect_100_continue_is_answered_before_the_body(connection, stream, folder_bucket):
    body = json.dumps(put_body(stream, b"expected")).encode()
    length = f"Content-Length: {len(body)}"
    connection.send(head("PutRecordBatch", length, "Expect: 100-continue") + b"\r\n")
    assert connection.answer().status == 100
    assert connection.exchange(body).status == 200
    folder_bucket.wait_for(b"expected")


def test_pipelined_requests_are_answered_in_order(connection, stream, folder_bucket):
    puts = [request("PutRecordBatch", put_body(stream, b"%d," % each)) for each in range(20)]
    unknown = fresh_name()
    wrong = request("DescribeDeliveryStream", {"DeliveryStreamName": unknown})
    connection.send(b"".join(puts[:10]) + wrong + b"".join(puts[10:]))
    answers = [connection.answer() for _ in range(21)]
    assert [each.status for each in answers] == [200] * 10 + [400] + [200] * 10
    assert unknown in answers[10].json["message"]
    folder_bucket.wait_for(b"".join(b"%d," % each for each in range(20)))


def test_a_connection_serves_many_requests(connection, stream, folder_bucket):
    for _ in range(200):
        body = {"DeliveryStreamName": stream, "Record": {"Data": "eA=="}}
        assert connection.exchange(request("PutRecord", body)).status == 200
    folder_bucket.wait_for(b"x" * 200)


def test_a_client_may_send_byte_by_byte(connection, stream, folder_bucket):
    connection.send_slowly(request("PutRecordBatch", put_body(stream, b"slow")), pause=0.002)
    assert connection.answer().status == 200
    folder_bucket.wait_for(b"slow")


def test_connection_close_is_honoured(connection):
    answer = connection.exchange(b"GET /health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    assert answer.status == 200
    assert connection.is_closed()


def test_a_put_that_is_cut_off_stores_nothing(hydrant, stream, folder_bucket):
    whole = request("PutRecordBatch", put_body(stream, b"cut off"))
    with Connection(hydrant.port) as connection:
        connection.send(whole[:-2])
    with Connection(hydrant.port) as connection:
        assert connection.exchange(request("PutRecordBatch", put_body(stream, b"!"))).status == 200
    folder_bucket.wait_for(b"!")
