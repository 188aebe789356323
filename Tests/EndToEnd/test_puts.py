"""Putting records: what is taken, what is refused, and that a refused batch leaves nothing."""

import os

import pytest
from botocore.exceptions import ClientError

from streams import create_stream, fresh_name, put
from waiting import wait_until

MAXIMUM_RECORD_BYTES = 1_024_000
MAXIMUM_BATCH_BYTES = 4 * 1024 * 1024
MAXIMUM_BATCH_RECORDS = 500


@pytest.fixture
def stream(client, folder_bucket) -> str:
    """A stream that delivers at once to the test's folder bucket."""
    return create_stream(client, folder_bucket.arn)


def refused(call) -> tuple[str, str]:
    """The code and message with which `call` is refused."""
    with pytest.raises(ClientError) as caught:
        call()
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 400
    error = caught.value.response["Error"]
    return error["Code"], error["Message"]


# MARK: Taken


def test_a_record_is_acknowledged_and_delivered(client, stream, folder_bucket):
    answer = client.put_record(DeliveryStreamName=stream, Record={"Data": b"hello"})
    assert answer["RecordId"]
    assert answer["Encrypted"] is False
    folder_bucket.wait_for(b"hello")


def test_a_batch_is_answered_record_by_record(client, stream, folder_bucket):
    answer = client.put_record_batch(
        DeliveryStreamName=stream, Records=[{"Data": b"%d;" % n} for n in range(500)]
    )
    assert answer["FailedPutCount"] == 0
    assert answer["Encrypted"] is False
    ids = [each["RecordId"] for each in answer["RequestResponses"]]
    assert len(set(ids)) == 500
    folder_bucket.wait_for(b"".join(b"%d;" % n for n in range(500)))


def test_records_keep_their_bytes(client, stream, folder_bucket):
    """Every byte value, every length modulo base64's three, and what JSON would escape."""
    records = [bytes(range(256)), b"a", b"ab", b"abc", b"\xff\xfe", b'"\\/\n\r\t\0', b"=" * 7]
    put(client, stream, *records)
    folder_bucket.wait_for(b"".join(records))


def test_records_are_concatenated_without_a_separator(client, stream, folder_bucket):
    put(client, stream, b"abc", b"abc", b"abc")
    folder_bucket.wait_for(b"abcabcabc")


def test_order_is_kept_within_and_across_puts(client, stream, folder_bucket):
    expected = b""
    for batch in range(30):
        records = [b"%d.%d " % (batch, each) for each in range(20)]
        put(client, stream, *records)
        expected += b"".join(records)
    folder_bucket.wait_for(expected)


def test_an_empty_record_is_legal_and_counted(hydrant, client, stream, folder_bucket):
    answer = client.put_record(DeliveryStreamName=stream, Record={"Data": b""})
    assert answer["RecordId"]
    put(client, stream, b"", b"x", b"")
    folder_bucket.wait_for(b"x")
    wait_until(lambda: hydrant.delivered_records(stream) == 4, "4 records in the log")


def test_the_largest_record_is_taken(client, stream, folder_bucket):
    data = os.urandom(MAXIMUM_RECORD_BYTES)
    client.put_record(DeliveryStreamName=stream, Record={"Data": data})
    folder_bucket.wait_for(data)


def test_the_largest_batch_is_taken(client, stream, folder_bucket):
    """4 MiB count before base64, which makes a body of 5.6 MB."""
    whole, rest = divmod(MAXIMUM_BATCH_BYTES, MAXIMUM_RECORD_BYTES)
    records = [os.urandom(MAXIMUM_RECORD_BYTES) for _ in range(whole)] + [os.urandom(rest)]
    put(client, stream, *records)
    folder_bucket.wait_for(b"".join(records))


# MARK: Refused


def test_a_record_that_is_too_large_is_refused(client, stream):
    data = bytes(MAXIMUM_RECORD_BYTES + 1)
    code, message = refused(
        lambda: client.put_record(DeliveryStreamName=stream, Record={"Data": data})
    )
    assert code == "ValidationException"
    assert "1 validation error detected" in message
    assert "Member must have length less than or equal to 1024000" in message


def test_a_batch_with_a_record_that_is_too_large_is_refused_whole(client, stream, folder_bucket):
    records = [b"not stored"] * 17 + [bytes(MAXIMUM_RECORD_BYTES + 1)] + [b"nor this"]
    code, message = refused(lambda: put(client, stream, *records))
    assert code == "ValidationException"
    assert "'records.18.member.data'" in message
    assert "Member must have length less than or equal to 1024000" in message
    put(client, stream, b"only this")
    folder_bucket.wait_for(b"only this")


def test_a_batch_above_4_mib_is_refused_whole(client, stream, folder_bucket):
    records = [bytes(1_000_000)] * 4 + [bytes(MAXIMUM_BATCH_BYTES - 4_000_000 + 1)]
    refusal = refused(lambda: put(client, stream, *records))
    assert refusal == ("InvalidArgumentException", "Records size exceeds 4 MB limit")
    put(client, stream, b"only this")
    folder_bucket.wait_for(b"only this")


def test_a_batch_of_more_than_500_records_is_refused_whole(client, stream, folder_bucket):
    records = [b"x"] * (MAXIMUM_BATCH_RECORDS + 1)
    code, message = refused(lambda: put(client, stream, *records))
    assert code == "ValidationException"
    assert "'records'" in message
    assert "Member must have length less than or equal to 500" in message
    put(client, stream, b"only this")
    folder_bucket.wait_for(b"only this")


def test_a_batch_without_records_is_refused(hydrant, stream):
    client = hydrant.client(parameter_validation=False)
    code, message = refused(lambda: put(client, stream))
    assert code == "ValidationException"
    assert "Member must have length greater than or equal to 1" in message


@pytest.mark.parametrize(
    ("operation", "members"),
    [
        ("put_record", {}),
        ("put_record", {"Record": {}}),
        ("put_record_batch", {}),
        ("put_record_batch", {"Records": [{}]}),
    ],
    ids=str,
)
def test_missing_members_are_refused(hydrant, stream, operation, members):
    client = hydrant.client(parameter_validation=False)
    call = getattr(client, operation)
    code, _ = refused(lambda: call(DeliveryStreamName=stream, **members))
    assert code in ("ValidationException", "SerializationException")


def test_a_refused_put_does_not_need_the_stream_to_exist(client):
    """The stream is looked up last on AWS's side too; either error is a client's error."""
    code, _ = refused(lambda: put(client, fresh_name(), *[b"x"] * 501))
    assert code in ("ValidationException", "ResourceNotFoundException")
