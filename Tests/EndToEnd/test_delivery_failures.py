"""What happens when S3 does not take an object: retries with the same key, then set aside."""

import json
import time

import pytest

from streams import BY_SIZE_ONLY, create_stream, fresh_name, put
from strict_s3 import DROP, StrictS3
from waiting import wait_until

RETRY_LONG = ("--s3-retry-duration", "86400")


@pytest.fixture
def endpoint():
    """A strict endpoint of the test's own, to make fail."""
    with StrictS3() as endpoint:
        yield endpoint


# MARK: Mended by an operator


def test_a_missing_bucket_can_be_created_later(start_hydrant, seaweed, missing_bucket):
    hydrant = start_hydrant(environment=seaweed.environment)
    client = hydrant.client()
    stream = create_stream(client, missing_bucket.arn)
    put(client, stream, b"first ")
    hydrant.wait_for_log(r"NoSuchBucket|\b404\b")
    put(client, stream, b"second")

    seaweed.create_bucket(missing_bucket.name)
    missing_bucket.wait_for(b"first second", timeout=90)


def test_wrong_credentials_can_be_put_right(make_hydrant, seaweed, bucket):
    hydrant = make_hydrant(environment=seaweed.environment | {"AWS_SECRET_ACCESS_KEY": "wrong"})
    client = hydrant.start().client()
    put(client, create_stream(client, bucket.arn), b"delivered once")
    hydrant.wait_for_log(r"SignatureDoesNotMatch|\b403\b")
    assert bucket.keys() == []

    hydrant.environment = seaweed.environment
    hydrant.restart()
    assert len(bucket.wait_for(b"delivered once")) == 1


def test_a_stream_whose_bucket_is_missing_does_not_hold_up_others(
    start_hydrant, seaweed, bucket, missing_bucket
):
    hydrant = start_hydrant(environment=seaweed.environment)
    client = hydrant.client()
    put(client, create_stream(client, missing_bucket.arn), b"stuck")
    hydrant.wait_for_log(r"NoSuchBucket|\b404\b")
    put(client, create_stream(client, bucket.arn), b"flows")
    bucket.wait_for(b"flows")


# MARK: Retries


@pytest.mark.parametrize("status", [403, 404, 500, 503, DROP])
def test_a_failed_put_is_sent_again_under_the_same_key(start_hydrant, endpoint, status):
    """`DROP` stores the object and ends the connection: what S3 has is sent to it once more."""
    endpoint.fault = lambda puts: status if puts < 2 else None
    client = start_hydrant(environment=endpoint.environment).client()
    stream = create_stream(client, "arn:aws:s3:::retries", CompressionFormat="GZIP")
    put(client, stream, b"once")
    wait_until(lambda: len(endpoint.puts) >= 3, "the third attempt", timeout=60)
    endpoint.wait_for("retries", b"once")
    assert len(set(endpoint.puts)) == 1, "an attempt had another key or another body"
    assert len(endpoint.puts) == 3


def test_a_put_whose_answer_is_lost_in_a_crash_is_sent_again_under_the_same_key(
    start_hydrant, endpoint
):
    endpoint.fault = lambda _: DROP
    hydrant = start_hydrant(environment=endpoint.environment)
    stream = create_stream(hydrant.client(), "arn:aws:s3:::crash")
    put(hydrant.client(), stream, b"once")
    wait_until(lambda: endpoint.puts, "the first attempt")
    hydrant.sigkill()
    put_before = len(endpoint.puts)

    endpoint.fault = lambda _: None
    hydrant.start()
    wait_until(lambda: len(endpoint.puts) > put_before, "an attempt after the restart")
    assert len(set(endpoint.puts)) == 1, "the restarted server chose another key or body"


def test_records_put_while_s3_fails_follow_in_order(start_hydrant, endpoint):
    endpoint.fault = lambda puts: 503 if puts < 3 else None
    client = start_hydrant(environment=endpoint.environment).client()
    stream = create_stream(client, "arn:aws:s3:::order")
    expected = b""
    for number in range(50):
        put(client, stream, b"%d " % number)
        expected += b"%d " % number
    endpoint.wait_for("order", expected, timeout=60)


# MARK: Set aside


def test_what_s3_never_takes_is_set_aside_and_reported(start_hydrant, endpoint):
    endpoint.fault = lambda _: 503
    hydrant = start_hydrant("--s3-retry-duration", "1", environment=endpoint.environment)
    client = hydrant.client()
    stream = create_stream(client, "arn:aws:s3:::refusing", CompressionFormat="GZIP")
    put(client, stream, b"kept ", b"somewhere")

    line = hydrant.wait_for_log(r".*set aside.*").group()
    assert stream in line
    folder = hydrant.data / "set-aside" / stream / "refusing"
    files = wait_until(lambda: [p for p in folder.rglob("*") if p.is_file()], "the file")
    kept = {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}
    sent = {key: body for _, key, body in endpoint.puts}
    assert kept == sent, "what was set aside is not what S3 was offered"

    endpoint.fault = lambda _: None
    put(client, stream, b"next")
    endpoint.wait_for("refusing", b"next", timeout=60)


def test_the_first_attempt_is_remembered_over_a_restart(make_hydrant, endpoint):
    """The retry duration is the records' time, not the process's."""
    duration = 8
    endpoint.fault = lambda _: 503
    hydrant = make_hydrant("--s3-retry-duration", str(duration), environment=endpoint.environment)
    client = hydrant.start().client()
    put(client, create_stream(client, "arn:aws:s3:::patient"), b"record")
    wait_until(lambda: endpoint.puts, "the first attempt")
    first_attempt = time.monotonic()
    hydrant.sigkill()
    wait_until(lambda: time.monotonic() > first_attempt + duration, "the time to run out")

    hydrant.start()
    hydrant.wait_for_log("set aside", timeout=duration - 2)


def test_nothing_is_set_aside_before_its_time(make_hydrant, endpoint):
    endpoint.fault = lambda puts: 503 if puts < 4 else None
    hydrant = make_hydrant(*RETRY_LONG, environment=endpoint.environment)
    client = hydrant.start().client()
    put(client, create_stream(client, "arn:aws:s3:::patient"), b"record")
    wait_until(lambda: len(endpoint.puts) >= 2, "two attempts")
    hydrant.restart()
    endpoint.wait_for("patient", b"record", timeout=90)
    assert "set aside" not in hydrant.log()


# MARK: Reports


def test_the_log_can_be_json(start_hydrant, endpoint):
    hydrant = start_hydrant("--log-format", "json", environment=endpoint.environment)
    client = hydrant.client()
    stream = create_stream(client, "arn:aws:s3:::json", name=fresh_name("json"))
    put(client, stream, b"record")
    hydrant.wait_for_log(rf"delivered.*{stream}|{stream}.*delivered")
    assert all(isinstance(json.loads(line), dict) for line in hydrant.log().splitlines())


def test_a_failing_s3_does_not_flood_the_log(start_hydrant, endpoint):
    """One line for an attempt is what an operator can use."""
    endpoint.fault = lambda puts: 500 if puts < 5 else None
    hydrant = start_hydrant(environment=endpoint.environment)
    client = hydrant.client()
    stream = create_stream(client, "arn:aws:s3:::noisy", BufferingHints=BY_SIZE_ONLY)
    put(client, stream, *[bytes(400_000)] * 3)
    wait_until(lambda: len(endpoint.puts) >= 5, "five attempts", timeout=60)
    assert len(hydrant.log().splitlines()) < 60
