"""Delivery streams as the tests configure them."""

import uuid

ROLE_ARN = "arn:aws:iam::000000000000:role/firehose"
"""The API demands a role; a self-hosted server has no use for it."""

ERROR_PREFIX = "failed/!{firehose:error-output-type}/"
"""The API demands an ErrorOutputPrefix as soon as the Prefix has expressions."""

AT_ONCE = {"SizeInMBs": 5, "IntervalInSeconds": 0}
"""Deliver what is there; needs a server that was started with `--min-buffer-interval 0`."""

BY_SIZE_ONLY = {"SizeInMBs": 1, "IntervalInSeconds": 900}
"""A buffer that no test lives long enough to see cut by time."""

MEBIBYTE = 1024 * 1024

AWKWARD_PREFIXES = [
    "plain/",
    "sp ace/two  spaces/ /",
    "plus+/",
    "dt=2024-01-01/h=07/",
    "ünïcödé/日本語/🚰/",
    "combining-u\u0308/",
    "percent%/%41/%2F/%zz/",
    "colon:/semi;/comma,/at@/",
    "(parens)/[brackets]/{braces}/",
    "'single'/\"double\"/`tick`/",
    "star*/bang!/dollar$/tilde~/caret^/pipe|/",
    "question?/hash#/amp&/equals=?a=b&c#d/",
    "less<than>/back\\slash/",
    "double//slash///",
    "tab\there/",
    "dots.../.hidden/..dots/",
    "UPPER/lower/0123456789-_.~",
]
"""Prefixes that are easily signed or encoded wrong."""


def fresh_name(hint: str = "stream") -> str:
    """A stream name that no other test uses."""
    return f"{hint}-{uuid.uuid4().hex[:10]}"


def destination(bucket_arn: str, **members) -> dict:
    """An S3 destination into `bucket_arn`; `members` are added in AWS's own words."""
    return {"RoleARN": ROLE_ARN, "BucketARN": bucket_arn, "BufferingHints": AT_ONCE} | members


def create_stream(client, bucket_arn: str, *, name: str | None = None, **members) -> str:
    """Creates a stream with an extended S3 destination, by default one that delivers at once.

    Returns its name.
    """
    name = fresh_name() if name is None else name
    client.create_delivery_stream(
        DeliveryStreamName=name,
        ExtendedS3DestinationConfiguration=destination(bucket_arn, **members),
    )
    return name


def put(client, stream: str, *records: bytes) -> list[str]:
    """Puts records in one batch, all of which must be taken; returns their ids."""
    answer = client.put_record_batch(
        DeliveryStreamName=stream, Records=[{"Data": each} for each in records]
    )
    assert answer["FailedPutCount"] == 0, answer
    return [each["RecordId"] for each in answer["RequestResponses"]]


def describe(client, stream: str) -> dict:
    """A stream's description."""
    answer = client.describe_delivery_stream(DeliveryStreamName=stream)
    return answer["DeliveryStreamDescription"]
