"""What a key may do: its rules name actions and streams."""

from functools import partial

import pytest
from botocore.exceptions import ClientError

from buckets import FolderBucket
from keys import PRODUCER, Key, from_now, may, write_keys
from server import ACCOUNT, REGION
from streams import create_stream, fresh_name, put

LOGS_ONLY = Key("logs-only", "secret-1", allow=(may("PutRecord*", streams=("logs-*",)),))

ONE_LETTER = Key("one-letter", "secret-2", allow=(may("Put?ecord", streams=("s-?",)),))

READER = Key("reader", "secret-3", allow=(may("Describe*", "List*"),))

LISTER_OF_LOGS = Key("lister", "secret-4", allow=(may("List*", streams=("logs-*",)),))

TWO_RULES = Key(
    "two-rules",
    "secret-5",
    allow=(may("PutRecord", streams=("a-*",)), may("DescribeDeliveryStream", streams=("b-*",))),
)

LOUD = Key("loud", "secret-6", allow=({"actions": ["FIREHOSE:PUTRECORD"], "streams": ["*"]},))

TEMPORARY_READER = Key("temporary", "secret-7", "token", from_now(hours=1), READER.allow)

KEYS = (
    *(PRODUCER, LOGS_ONLY, ONE_LETTER, READER),
    *(LISTER_OF_LOGS, TWO_RULES, LOUD, TEMPORARY_READER),
)


@pytest.fixture(scope="module")
def hydrant(start_module_hydrant, tmp_path_factory):
    """A server with the keys above."""
    keys = write_keys(tmp_path_factory.mktemp("keys") / "keys.json", *KEYS)
    return start_module_hydrant("--credentials", str(keys))


@pytest.fixture
def make_stream(hydrant):
    """Creates streams that deliver at once; the function returns the bucket."""
    client = hydrant.client()
    made = []

    def make(name: str) -> FolderBucket:
        bucket = FolderBucket(hydrant.data / "buckets", fresh_name("bucket"))
        made.append(create_stream(client, bucket.arn, name=name))
        return bucket

    yield make
    for name in made:
        client.delete_delivery_stream(DeliveryStreamName=name)


def put_record(client, name: str) -> None:
    """Puts one record."""
    client.put_record(DeliveryStreamName=name, Record={"Data": b"x"})


def assert_denied(call, key: Key, action: str, stream: str | None = None) -> None:
    """Checks that AccessDeniedException says who may not do what; `stream` is the resource's."""
    with pytest.raises(ClientError) as caught:
        call()
    answer = caught.value.response
    assert answer["ResponseMetadata"]["HTTPStatusCode"] == 400
    assert answer["Error"]["Code"] == "AccessDeniedException"
    expected = (
        f"User: arn:aws:iam::{ACCOUNT}:user/{key.access_key} is not authorized to perform: "
        f"firehose:{action} on resource: "
    )
    if stream is not None:
        expected += f"arn:aws:firehose:{REGION}:{ACCOUNT}:deliverystream/{stream}"
    assert answer["Error"]["Message"].startswith(expected), answer["Error"]["Message"]


def test_an_action_that_no_rule_names_is_forbidden(hydrant, make_stream):
    make_stream("logs-web")
    client = hydrant.client(LOGS_ONLY)
    put_record(client, "logs-web")
    put(client, "logs-web", b"y")
    for action, call in (
        ("DescribeDeliveryStream", client.describe_delivery_stream),
        ("DeleteDeliveryStream", client.delete_delivery_stream),
        ("ListTagsForDeliveryStream", client.list_tags_for_delivery_stream),
        ("StopDeliveryStreamEncryption", client.stop_delivery_stream_encryption),
    ):
        denied = partial(call, DeliveryStreamName="logs-web")
        assert_denied(denied, LOGS_ONLY, action, "logs-web")


def test_a_stream_that_no_rule_names_is_forbidden(hydrant, make_stream):
    for name in ("metrics", "my-logs-web", "Logs-web"):
        bucket = make_stream(name)
        client = hydrant.client(LOGS_ONLY)
        assert_denied(partial(put_record, client, name), LOGS_ONLY, "PutRecord", name)
        assert_denied(partial(put, client, name, b"y"), LOGS_ONLY, "PutRecordBatch", name)
        put(hydrant.client(), name, b"allowed")
        bucket.wait_for(b"allowed")


def test_who_may_not_see_a_stream_is_not_told_whether_it_exists(hydrant):
    client = hydrant.client(LOGS_ONLY)
    assert_denied(partial(put_record, client, "nobody"), LOGS_ONLY, "PutRecord", "nobody")


def test_creating_needs_a_rule_for_the_new_name(hydrant, make_stream):
    client = hydrant.client(LOGS_ONLY)
    assert_denied(
        lambda: create_stream(client, "arn:aws:s3:::bucket", name="logs-new"),
        LOGS_ONLY,
        "CreateDeliveryStream",
        "logs-new",
    )
    assert "logs-new" not in hydrant.client().list_delivery_streams()["DeliveryStreamNames"]


def test_a_question_mark_stands_for_one_letter(hydrant, make_stream):
    client = hydrant.client(ONE_LETTER)
    for name in ("s-1", "s-", "s-12"):
        make_stream(name)
    put_record(client, "s-1")
    for name in ("s-", "s-12"):
        assert_denied(partial(put_record, client, name), ONE_LETTER, "PutRecord", name)
    assert_denied(partial(put, client, "s-1", b"y"), ONE_LETTER, "PutRecordBatch", "s-1")


def test_actions_are_compared_without_case(hydrant, make_stream):
    make_stream("any")
    put_record(hydrant.client(LOUD), "any")


def test_each_rule_stands_for_itself(hydrant, make_stream):
    """An action of one rule and a stream of another do not add up."""
    client = hydrant.client(TWO_RULES)
    make_stream("a-1")
    make_stream("b-1")
    put_record(client, "a-1")
    client.describe_delivery_stream(DeliveryStreamName="b-1")
    assert_denied(partial(put_record, client, "b-1"), TWO_RULES, "PutRecord", "b-1")
    assert_denied(
        lambda: client.describe_delivery_stream(DeliveryStreamName="a-1"),
        TWO_RULES,
        "DescribeDeliveryStream",
        "a-1",
    )


def test_listing_needs_a_rule_for_all_streams(hydrant, make_stream):
    make_stream("logs-1")
    for reader in (READER, TEMPORARY_READER):
        assert "logs-1" in hydrant.client(reader).list_delivery_streams()["DeliveryStreamNames"]
    client = hydrant.client(LISTER_OF_LOGS)
    assert_denied(client.list_delivery_streams, LISTER_OF_LOGS, "ListDeliveryStreams")
    client.list_tags_for_delivery_stream(DeliveryStreamName="logs-1")
