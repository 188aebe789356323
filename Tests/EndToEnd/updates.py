"""UpdateDestination as the tests call it, and how they look at what became of it."""

from collections.abc import Callable

import pytest
from botocore.exceptions import ClientError

from streams import describe

DESTINATION_ID = "destinationId-000000000001"
"""A stream has one destination, and this is its id."""


def update(client, stream: str, version: str = "1", *, kind: str = "ExtendedS3", **members) -> None:
    """Updates a stream's destination; `members` are those of the kind's update."""
    client.update_destination(
        DeliveryStreamName=stream,
        CurrentDeliveryStreamVersionId=version,
        DestinationId=DESTINATION_ID,
        **{f"{kind}DestinationUpdate": members},
    )


def described(client, stream: str, kind: str = "ExtendedS3") -> dict:
    """The description of a stream's destination in the shape of a kind."""
    (only,) = describe(client, stream)["Destinations"]
    return only[f"{kind}DestinationDescription"]


def assert_refused(code: str, call: Callable[[], object], *words: str) -> str:
    """Checks that a call fails with `code` and a message that has `words`; returns the message."""
    with pytest.raises(ClientError) as caught:
        call()
    error = caught.value.response
    assert error["Error"]["Code"] == code, error
    assert error["ResponseMetadata"]["HTTPStatusCode"] == 400
    message = error["Error"]["Message"]
    assert all(word in message for word in words), message
    return message
