"""Tags of streams: set, overwritten, taken away, paged through, bounded and kept."""

from functools import partial

import pytest

from server import ACCOUNT
from streams import create_stream, describe, destination, fresh_name
from updates import assert_refused

BUCKET_ARN = "arn:aws:s3:::some-bucket"

MAXIMUM_TAGS = 50


def tags(**values: str) -> list[dict]:
    """Tags in the API's words."""
    return [{"Key": key, "Value": value} for key, value in values.items()]


def numbered(start: int, count: int) -> list[dict]:
    """So many tags, whose keys sort by their numbers."""
    return [{"Key": f"key-{n:03}", "Value": str(n)} for n in range(start, start + count)]


def tag(client, stream: str, given: list[dict]) -> None:
    """Tags a stream."""
    client.tag_delivery_stream(DeliveryStreamName=stream, Tags=given)


def listed(client, stream: str, **options) -> list[dict]:
    """A stream's tags, all on one page."""
    answer = client.list_tags_for_delivery_stream(DeliveryStreamName=stream, **options)
    assert answer["HasMoreTags"] is False
    return answer["Tags"]


@pytest.fixture
def stream(client) -> str:
    """A stream without tags."""
    return create_stream(client, BUCKET_ARN)


@pytest.fixture(scope="module")
def lax_client(hydrant):
    """A client that sends what the API model forbids."""
    return hydrant.client(parameter_validation=False)


# MARK: Tag and untag


def test_a_stream_has_no_tags_unless_given(client, stream):
    assert listed(client, stream) == []


def test_tags_given_at_the_creation_are_listed_by_key(client):
    name = fresh_name()
    client.create_delivery_stream(
        DeliveryStreamName=name,
        ExtendedS3DestinationConfiguration=destination(BUCKET_ARN),
        Tags=tags(zone="z", Area="a", team="t"),
    )
    assert listed(client, name) == tags(Area="a", team="t", zone="z")


def test_tags_are_added_and_overwritten(client, stream):
    tag(client, stream, tags(b="1", c="1"))
    tag(client, stream, tags(a="2", c="2"))
    assert listed(client, stream) == tags(a="2", b="1", c="2")


def test_keys_differ_by_case(client, stream):
    tag(client, stream, tags(key="lower", KEY="upper"))
    assert listed(client, stream) == tags(KEY="upper", key="lower")


def test_a_value_can_be_empty_or_left_out(client, stream):
    tag(client, stream, [{"Key": "empty", "Value": ""}, {"Key": "none"}])
    found = listed(client, stream)
    assert [(each["Key"], each.get("Value", "")) for each in found] == [("empty", ""), ("none", "")]


def test_tags_are_taken_away(client, stream):
    tag(client, stream, tags(a="1", b="2", c="3"))
    client.untag_delivery_stream(DeliveryStreamName=stream, TagKeys=["a", "c"])
    assert listed(client, stream) == tags(b="2")


def test_taking_away_what_is_not_there_is_no_error(client, stream):
    tag(client, stream, tags(a="1"))
    client.untag_delivery_stream(DeliveryStreamName=stream, TagKeys=["b", "c"])
    assert listed(client, stream) == tags(a="1")


def test_tags_are_no_new_version(client, stream):
    tag(client, stream, tags(a="1"))
    client.untag_delivery_stream(DeliveryStreamName=stream, TagKeys=["a"])
    assert describe(client, stream)["VersionId"] == "1"


def test_tags_go_with_their_stream(client, stream):
    tag(client, stream, tags(a="1"))
    client.delete_delivery_stream(DeliveryStreamName=stream)
    create_stream(client, BUCKET_ARN, name=stream)
    assert listed(client, stream) == []


# MARK: Pages


def test_tags_are_paged_through_by_key(client, stream):
    tag(client, stream, numbered(0, 7))
    pages, start = [], {}
    while True:
        answer = client.list_tags_for_delivery_stream(DeliveryStreamName=stream, Limit=3, **start)
        pages.append(answer["Tags"])
        if not answer["HasMoreTags"]:
            break
        start = {"ExclusiveStartTagKey": answer["Tags"][-1]["Key"]}
    assert pages == [numbered(0, 3), numbered(3, 3), numbered(6, 1)]


def test_a_full_last_page_says_that_it_is_the_last(client, stream):
    tag(client, stream, numbered(0, 3))
    assert listed(client, stream, Limit=3) == numbered(0, 3)


def test_a_page_begins_behind_a_key_that_need_not_exist(client, stream):
    tag(client, stream, tags(a="1", c="3"))
    assert listed(client, stream, ExclusiveStartTagKey="b") == tags(c="3")
    assert listed(client, stream, ExclusiveStartTagKey="c") == []


def test_fifty_tags_come_on_one_page(client, stream):
    tag(client, stream, numbered(0, MAXIMUM_TAGS))
    assert listed(client, stream) == numbered(0, MAXIMUM_TAGS)


# MARK: Bounds


def test_a_stream_has_fifty_tags_at_most(client, stream):
    tag(client, stream, numbered(0, 30))
    tag(client, stream, numbered(20, 30))
    assert_refused("LimitExceededException", partial(tag, client, stream, numbered(50, 1)))
    overwritten = [{"Key": "key-000", "Value": "new"}, {"Key": "key-100", "Value": "one too many"}]
    assert_refused("LimitExceededException", partial(tag, client, stream, overwritten))
    assert listed(client, stream) == numbered(0, MAXIMUM_TAGS), "a refused call changed a tag"

    tag(client, stream, [{"Key": "key-000", "Value": "new"}])
    client.untag_delivery_stream(DeliveryStreamName=stream, TagKeys=["key-001"])
    tag(client, stream, numbered(50, 1))
    assert len(listed(client, stream)) == MAXIMUM_TAGS


@pytest.mark.parametrize(
    ("given", "place"),
    [
        ([], "tags"),
        (numbered(0, MAXIMUM_TAGS + 1), "tags"),
        ([{"Key": "", "Value": "v"}], "tags.1.member.key"),
        ([{"Key": "x" * 129}], "tags.1.member.key"),
        ([{"Key": "aws:mine"}], "tags.1.member.key"),
        ([{"Key": "a#b"}], "tags.1.member.key"),
        ([{"Key": "a\tb"}], "tags.1.member.key"),
        ([{"Key": "good"}, {"Key": "b", "Value": "x" * 257}], "tags.2.member.value"),
        ([{"Key": "good"}, {"Key": "b", "Value": "a|b"}], "tags.2.member.value"),
        ([{"Value": "v"}], "tags.1.member.key"),
    ],
    ids=lambda value: f"{value!r:.40}",
)
def test_bad_tags_are_refused_by_their_place(lax_client, given, place):
    stream = create_stream(lax_client, BUCKET_ARN)
    for call in (
        partial(tag, lax_client, stream, given),
        partial(
            lax_client.create_delivery_stream,
            DeliveryStreamName=fresh_name(),
            ExtendedS3DestinationConfiguration=destination(BUCKET_ARN),
            Tags=given,
        ),
    ):
        assert_refused("ValidationException", call, f"at '{place}' failed to satisfy constraint")
    assert listed(lax_client, stream) == []


@pytest.mark.parametrize(
    "given",
    [
        {"Key": "x" * 128, "Value": "x" * 256},
        {"Key": "Straße 7/日本語", "Value": "ünïcödé Ελλάδα"},
        {"Key": "_.:/=+-@%", "Value": "_.:/=+-@%"},
        {"Key": "myaws:key", "Value": "aws:value"},
        {"Key": "aws", "Value": " spaces around "},
    ],
    ids=lambda value: f"{value!r:.40}",
)
def test_every_legal_tag_is_kept_as_it_is(client, stream, given):
    tag(client, stream, [given])
    assert listed(client, stream) == [given]


def test_a_key_that_is_given_twice_is_refused(client, stream):
    twice = [{"Key": "a", "Value": "1"}, {"Key": "a", "Value": "2"}]
    assert_refused("InvalidArgumentException", partial(tag, client, stream, twice))
    name = fresh_name()
    create = partial(
        client.create_delivery_stream,
        DeliveryStreamName=name,
        ExtendedS3DestinationConfiguration=destination(BUCKET_ARN),
        Tags=twice,
    )
    assert_refused("InvalidArgumentException", create)
    assert listed(client, stream) == []
    with pytest.raises(client.exceptions.ResourceNotFoundException):
        describe(client, name)


@pytest.mark.parametrize("keys", [[], [f"k{n}" for n in range(51)], [""], ["x" * 129]])
def test_bad_keys_to_take_away_are_refused(lax_client, keys):
    stream = create_stream(lax_client, BUCKET_ARN)
    untag = partial(lax_client.untag_delivery_stream, DeliveryStreamName=stream, TagKeys=keys)
    assert_refused("ValidationException", untag, "at 'tagKeys")


@pytest.mark.parametrize(
    ("options", "place"),
    [
        ({"Limit": 0}, "limit"),
        ({"Limit": 51}, "limit"),
        ({"ExclusiveStartTagKey": ""}, "exclusiveStartTagKey"),
    ],
)
def test_bad_pages_are_refused(lax_client, options, place):
    stream = create_stream(lax_client, BUCKET_ARN)
    assert_refused(
        "ValidationException", partial(listed, lax_client, stream, **options), f"at '{place}'"
    )


@pytest.mark.parametrize(
    "call",
    [
        lambda client: tag(client, "nobody", tags(a="1")),
        lambda client: client.untag_delivery_stream(DeliveryStreamName="nobody", TagKeys=["a"]),
        lambda client: listed(client, "nobody"),
    ],
    ids=["tag", "untag", "list"],
)
def test_an_unknown_stream_is_named(client, call):
    message = assert_refused("ResourceNotFoundException", partial(call, client))
    assert message == f"Firehose nobody under account {ACCOUNT} not found."


# MARK: Kept


@pytest.mark.parametrize("stop", ["sigterm", "sigkill"])
def test_tags_survive_the_end_of_the_server(start_hydrant, stop):
    hydrant = start_hydrant()
    stream = create_stream(hydrant.client(), BUCKET_ARN)
    tag(hydrant.client(), stream, tags(kept="ü", removed="x"))
    getattr(hydrant, stop)()
    hydrant.start()
    assert listed(hydrant.client(), stream) == tags(kept="ü", removed="x")
    hydrant.client().untag_delivery_stream(DeliveryStreamName=stream, TagKeys=["removed"])
    getattr(hydrant, stop)()
    hydrant.start()
    assert listed(hydrant.client(), stream) == tags(kept="ü")
