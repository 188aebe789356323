"""Encryption of streams: on and off, new keys and lost ones."""

import os

import pytest
from botocore.exceptions import ClientError

from buckets import FolderBucket
from master_keys import MANAGED, create_encrypted, fresh_master_key, write_master_keys
from plaintext import fresh_secret, traces
from server import Hydrant
from streams import AT_ONCE, BY_SIZE_ONLY, create_stream, describe, fresh_name, put
from strict_s3 import StrictS3
from updates import update
from waiting import wait_until

KEY_ARN = "arn:aws:kms:us-east-1:000000000000:key/12345678-1234-1234-1234-123456789012"

CUSTOMER = {"KeyType": "CUSTOMER_MANAGED_CMK", "KeyARN": KEY_ARN}


@pytest.fixture
def key_file(tmp_path):
    """A file with one master key."""
    return write_master_keys(tmp_path / "master.keys", fresh_master_key())


@pytest.fixture
def hydrant(start_hydrant, key_file) -> Hydrant:
    """A server that has a master key."""
    return start_hydrant("--master-key", str(key_file))


@pytest.fixture
def client(hydrant):
    """A client of it."""
    return hydrant.client()


@pytest.fixture
def bucket(hydrant) -> FolderBucket:
    """A bucket of it."""
    return FolderBucket(hydrant.data / "buckets", fresh_name("bucket"))


def start_encryption(client, stream: str, **how) -> None:
    """Encrypts what is put from now on, with a new data key."""
    client.start_delivery_stream_encryption(DeliveryStreamName=stream, **how)


def is_sealed(client, stream: str, record: bytes) -> bool:
    """Puts a record both ways; returns whether the answers call it encrypted."""
    one = client.put_record(DeliveryStreamName=stream, Record={"Data": record})
    many = client.put_record_batch(DeliveryStreamName=stream, Records=[{"Data": record}])
    assert many["FailedPutCount"] == 0
    assert one["Encrypted"] is many["Encrypted"]
    return one["Encrypted"]


def refusal(call) -> dict:
    """The InvalidKMSResourceException with which a call is refused."""
    with pytest.raises(ClientError) as caught:
        call()
    answer = caught.value.response
    assert answer["Error"]["Code"] == "InvalidKMSResourceException", answer
    assert answer["ResponseMetadata"]["HTTPStatusCode"] == 400
    assert answer["Error"]["Message"]
    return answer


# MARK: On and off


def test_answers_say_whether_a_record_was_sealed(client, bucket):
    stream = create_stream(client, bucket.arn)
    assert not is_sealed(client, stream, b"a")
    start_encryption(client, stream)
    assert is_sealed(client, stream, b"b")
    client.stop_delivery_stream_encryption(DeliveryStreamName=stream)
    assert not is_sealed(client, stream, b"c")
    start_encryption(client, stream, DeliveryStreamEncryptionConfigurationInput=CUSTOMER)
    assert is_sealed(client, stream, b"d")
    bucket.wait_for(b"aabbccdd")


@pytest.mark.parametrize("how", [MANAGED, CUSTOMER], ids=lambda how: how["KeyType"])
def test_a_stream_can_be_encrypted_from_its_creation_on(hydrant, client, bucket, how):
    stream = create_encrypted(client, bucket.arn, how)
    expected = how | {"Status": "ENABLED"}
    assert describe(client, stream)["DeliveryStreamEncryptionConfiguration"] == expected
    assert is_sealed(client, stream, b"x")
    hydrant.restart()
    client = hydrant.client()
    assert describe(client, stream)["DeliveryStreamEncryptionConfiguration"] == expected
    assert is_sealed(client, stream, b"y")
    bucket.wait_for(b"xxyy")


def test_what_is_put_after_the_start_is_sealed_and_what_was_put_before_is_not(hydrant, client):
    """A search on the disk tells the two apart."""
    stream = create_stream(client, "arn:aws:s3:::bucket", BufferingHints=BY_SIZE_ONLY)
    before, during, after = fresh_secret(), fresh_secret(), fresh_secret()
    put(client, stream, before)
    start_encryption(client, stream)
    put(client, stream, during)
    client.stop_delivery_stream_encryption(DeliveryStreamName=stream)
    put(client, stream, after)
    assert traces(hydrant.data, before)
    assert traces(hydrant.data, during) == []
    assert traces(hydrant.data, after)


def test_a_mixed_log_is_delivered_in_order_after_a_kill(hydrant, client, bucket):
    stream = create_stream(client, bucket.arn, BufferingHints=BY_SIZE_ONLY)
    expected = b""
    for number in range(40):
        if number % 4 == 1:
            start_encryption(client, stream)
        if number % 4 == 3:
            client.stop_delivery_stream_encryption(DeliveryStreamName=stream)
        record = b"<%d>" % number * 3_000
        put(client, stream, record)
        expected += record
    hydrant.sigkill()
    hydrant.start()
    put(hydrant.client(), stream, b"x" * 900_000)
    bucket.wait_for(expected)


def test_largest_and_empty_records_are_sealed_too(client, bucket):
    stream = create_encrypted(client, bucket.arn)
    records = [b"", os.urandom(1_024_000), b"", b"a", os.urandom(1_024_000), b""]
    put(client, stream, *records)
    client.put_record(DeliveryStreamName=stream, Record={"Data": b""})
    put(client, stream, *[b""] * 500)
    bucket.wait_for(b"".join(records))


# MARK: New keys


def test_a_new_data_key_leaves_old_records_readable(hydrant, client, bucket):
    stream = create_encrypted(client, bucket.arn, BufferingHints=BY_SIZE_ONLY)
    expected = b""
    for number in range(20):
        record = b"<%d>" % number * 5_000
        put(client, stream, record)
        expected += record
        start_encryption(client, stream)
    hydrant.restart()
    put(hydrant.client(), stream, b"x" * 900_000)
    bucket.wait_for(expected)


def test_an_old_master_key_goes_on_opening_what_it_sealed(hydrant, client, bucket, key_file):
    """The first key of the file seals, all of them open."""
    old, new = key_file.read_text(), f"{fresh_master_key().hex()}\n"
    stream = create_encrypted(client, bucket.arn, BufferingHints=BY_SIZE_ONLY)
    put(client, stream, b"a" * 300_000)
    key_file.write_text(new + old)
    hydrant.restart()
    put(hydrant.client(), stream, b"b" * 300_000)
    start_encryption(hydrant.client(), stream)
    put(hydrant.client(), stream, b"c" * 300_000)
    hydrant.restart()
    put(hydrant.client(), stream, b"d" * 900_000)
    bucket.wait_for(b"a" * 300_000 + b"b" * 300_000 + b"c" * 300_000)


def test_an_old_master_key_can_go_when_nothing_needs_it(hydrant, client, bucket, key_file):
    """After a new data key, and the delivery of all that was sealed with older ones."""
    old, new = key_file.read_text(), f"{fresh_master_key().hex()}\n"
    stream = create_encrypted(client, bucket.arn)
    put(client, stream, b"old;")
    bucket.wait_for(b"old;")
    key_file.write_text(new + old)
    hydrant.restart()
    start_encryption(hydrant.client(), stream)
    put(hydrant.client(), stream, b"both;")
    bucket.wait_for(b"old;both;")
    wait_until(lambda: hydrant.delivered_records(stream) == 2, "the deliveries in the log")
    key_file.write_text(new)
    hydrant.restart()
    assert is_sealed(hydrant.client(), stream, b"new;")
    bucket.wait_for(b"old;both;new;new;")


# MARK: Lost keys


def lose_key(hydrant: Hydrant, how: str) -> None:
    """Starts a server again with another master key, or without."""
    file = hydrant.options.index("--master-key")
    if how == "wrong":
        path = write_master_keys(hydrant.folder / "wrong.keys", fresh_master_key())
        hydrant.options[file + 1] = str(path)
    else:
        del hydrant.options[file : file + 2]
    hydrant.restart()


@pytest.mark.parametrize("how", ["wrong", "missing"])
def test_without_its_key_a_stream_waits_and_others_go_on(hydrant, client, bucket, how):
    other_bucket = FolderBucket(hydrant.data / "buckets", fresh_name("other"))
    other = create_stream(client, other_bucket.arn)
    stream = create_encrypted(client, bucket.arn, BufferingHints=BY_SIZE_ONLY)
    put(client, stream, b"a" * 700_000)
    start = list(hydrant.options)
    before = len(hydrant.log())
    lose_key(hydrant, how)

    client = hydrant.client()
    said = wait_until(
        lambda: [line for line in hydrant.log()[before:].splitlines() if stream in line],
        "a line about the stream",
    )
    assert any("error" in line and "master key" in line for line in said), said
    put(client, other, b"flows")
    other_bucket.wait_for(b"flows")
    for call in (
        lambda: client.put_record(DeliveryStreamName=stream, Record={"Data": b"x"}),
        lambda: put(client, stream, b"x"),
        lambda: start_encryption(client, stream),
    ):
        refusal(call)
    status = describe(client, stream)["DeliveryStreamEncryptionConfiguration"]
    assert status["KeyType"] == "AWS_OWNED_CMK"
    assert bucket.keys() == []

    hydrant.options = start
    hydrant.restart()
    put(hydrant.client(), stream, b"b" * 300_000, b"c" * 300_000)
    bucket.wait_for(b"a" * 700_000 + b"b" * 300_000)


@pytest.mark.parametrize("how", ["wrong", "missing"])
def test_a_buffer_under_way_waits_for_its_key_too(hydrant, client, bucket, how):
    """Its object was being written when the server was killed; it is finished as it was begun."""
    stream = create_encrypted(client, bucket.arn)
    for number in range(30):
        put(client, stream, b"<%d>" % number * 10_000)
    hydrant.sigkill()
    start = list(hydrant.options)
    hydrant.start()
    lose_key(hydrant, how)
    with pytest.raises(ClientError):
        put(hydrant.client(), stream, b"x")
    hydrant.options = start
    hydrant.restart()
    bucket.wait_for(b"".join(b"<%d>" % number * 10_000 for number in range(30)))


def test_streams_whose_keys_are_lost_do_not_stand_in_the_way_of_others(start_hydrant, key_file):
    """There are more of them than there are places for buffers on their way."""
    options = ("--master-key", str(key_file))
    with StrictS3() as endpoint:
        endpoint.fault = lambda _: 503
        hydrant = start_hydrant(*options, environment=endpoint.environment)
        client = hydrant.client()
        lost = [create_encrypted(client, "arn:aws:s3:::sealed") for _ in range(20)]
        plain = create_stream(client, "arn:aws:s3:::plain")
        for stream in lost:
            put(client, stream, b"waits")
        start = list(hydrant.options)
        before = len(hydrant.log())
        lose_key(hydrant, "wrong")

        def stuck() -> set[str]:
            lines = [each for each in hydrant.log()[before:].splitlines() if " error " in each]
            return {stream for stream in lost if any(stream in line for line in lines)}

        wait_until(lambda: len(stuck()) >= 16, "errors of the streams without their keys")
        endpoint.fault = lambda _: None
        put(hydrant.client(), plain, b"flows")
        endpoint.wait_for("plain", b"flows")
        assert endpoint.content("sealed") == b""
        hydrant.options = start
        hydrant.restart()
        endpoint.wait_for("sealed", b"waits" * len(lost))


def test_records_wait_for_data_keys_that_are_not_there(hydrant, client, bucket, tmp_path):
    """They are not taken for damaged ones, and go on when the file is back."""
    stream = create_encrypted(client, bucket.arn, BufferingHints=BY_SIZE_ONLY)
    put(client, stream, b"first;", b"second;")
    hydrant.sigkill()
    (data_keys,) = hydrant.data.rglob("data-keys")
    away = data_keys.rename(tmp_path / "data-keys")
    before = len(hydrant.log())
    client = hydrant.start().client()
    update(client, stream, BufferingHints=AT_ONCE)

    def errors() -> list[str]:
        lines = hydrant.log()[before:].splitlines()
        return [each for each in lines if " error " in each and stream in each]

    wait_until(errors, "an error of the stream without its data keys")
    refusal(lambda: client.put_record(DeliveryStreamName=stream, Record={"Data": b"x"}))
    refusal(lambda: put(client, stream, b"x"))
    assert bucket.keys() == []
    assert hydrant.sigterm() == 0
    assert not any("damage" in line for line in errors()), errors()
    assert [each for each in (hydrant.data / "set-aside").rglob("*") if each.is_file()] == []

    away.rename(data_keys)
    put(hydrant.start().client(), stream, b"third;")
    bucket.wait_for(b"first;second;third;")


def test_a_stream_whose_key_is_lost_can_be_deleted(hydrant, client):
    stream = create_encrypted(client, "arn:aws:s3:::bucket", BufferingHints=BY_SIZE_ONLY)
    put(client, stream, b"never to be read")
    lose_key(hydrant, "missing")
    hydrant.client().delete_delivery_stream(DeliveryStreamName=stream)
    assert hydrant.client().list_delivery_streams()["DeliveryStreamNames"] == []
    assert hydrant.restart().client().list_delivery_streams()["DeliveryStreamNames"] == []


def test_without_a_master_key_nothing_can_be_encrypted(start_hydrant):
    hydrant = start_hydrant()
    client = hydrant.client()
    stream = create_stream(client, "arn:aws:s3:::bucket")
    answer = refusal(lambda: start_encryption(client, stream))
    assert answer["code"], "the model's member `code` is missing"
    refusal(lambda: create_encrypted(client, "arn:aws:s3:::bucket"))
    put(client, stream, b"in the open")
    assert len(client.list_delivery_streams()["DeliveryStreamNames"]) == 1


def test_an_encryption_that_was_refused_has_not_begun(start_hydrant):
    client = start_hydrant().client()
    stream = create_stream(client, "arn:aws:s3:::bucket")
    before = describe(client, stream)
    for how in ({}, {"DeliveryStreamEncryptionConfigurationInput": CUSTOMER}):
        refusal(lambda: start_encryption(client, stream, **how))
        assert not is_sealed(client, stream, b"in the open")
        assert describe(client, stream) == before


def test_streams_that_a_server_would_not_take_any_more_can_be_encrypted(hydrant, client):
    """Their interval is below the shortest one, which was another when they were created."""
    hints = {"SizeInMBs": 5, "IntervalInSeconds": 1}
    stream = create_stream(client, "arn:aws:s3:::bucket", BufferingHints=hints)
    hydrant.min_buffer_interval = None
    client = hydrant.restart().client()
    client.tag_delivery_stream(DeliveryStreamName=stream, Tags=[{"Key": "a", "Value": "b"}])
    start_encryption(client, stream)
    assert is_sealed(client, stream, b"a")
    client.stop_delivery_stream_encryption(DeliveryStreamName=stream)
    assert not is_sealed(client, stream, b"b")
    client.untag_delivery_stream(DeliveryStreamName=stream, TagKeys=["a"])
    hydrant.restart()
    assert not is_sealed(hydrant.client(), stream, b"c")


def test_keys_must_fit_their_type(client):
    stream = create_stream(client, "arn:aws:s3:::bucket")
    for how in ({"KeyType": "CUSTOMER_MANAGED_CMK"}, MANAGED | {"KeyARN": KEY_ARN}):
        with pytest.raises(ClientError, match="InvalidArgumentException"):
            start_encryption(client, stream, DeliveryStreamEncryptionConfigurationInput=how)
        with pytest.raises(ClientError, match="InvalidArgumentException"):
            create_encrypted(client, "arn:aws:s3:::bucket", how)
