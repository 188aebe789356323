"""Random calls that change streams' configurations, and what each must make of them.

A stream is modelled as what can be seen of it from outside. Every client has names of its own, so
that it knows what each of its calls finds; only a call that was under way when the server died may
have been made or not, and then the server is asked.
"""

import random
import threading
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from botocore.exceptions import ClientError

from producers import OUTAGES
from server import Hydrant
from streams import ROLE_ARN, destination
from updates import DESTINATION_ID

MAXIMUM_TAGS = 50

CHANGES: dict[str, list] = {
    "Prefix": ["p/", "logs/", "sp ace/ü/", "x" * 100 + "/"],
    "CompressionFormat": ["UNCOMPRESSED", "GZIP", "ZIP"],
    "BufferingHints": [
        {"SizeInMBs": size, "IntervalInSeconds": interval}
        for size in (1, 128)
        for interval in (0, 900)
    ],
    "FileExtension": [".a", ".b"],
    "RoleARN": [ROLE_ARN, f"{ROLE_ARN}-2"],
}
"""Members that updates change, and what to."""

TAG_KEYS = [f"tag-{number}" for number in range(60)]


@dataclass(frozen=True)
class State:
    """What is to be seen of a stream."""

    version: int = 1
    members: dict = field(default_factory=dict)
    """Of the destination: those in `CHANGES`."""
    tags: dict[str, str] = field(default_factory=dict)


Streams = dict[str, State | None]
"""Streams by name; None where there is none."""


@dataclass
class Counts:
    """How many calls did what."""

    made: int = 0
    refused: int = 0
    in_doubt: int = 0
    in_doubt_made: int = 0


class Refused(Exception):
    """What a call must fail with."""


class ConfigurationClient:
    """Makes one random call after another, on streams that nobody else touches."""

    def __init__(self, hydrant: Hydrant, number: int, *, seed: int, streams: int):
        self.names = [f"client-{number}-stream-{each}" for each in range(streams)]
        self.streams: Streams = dict.fromkeys(self.names)
        self.counts = Counts()
        self.error: BaseException | None = None
        self._hydrant = hydrant
        self._client = hydrant.client()
        self._chance = random.Random(f"{seed}/{number}")
        self._doubt: tuple[str, State | None] | None = None
        """The stream of a call that was not answered, and what the call would make of it."""

    def connect(self) -> None:
        """Follows the server to where it listens now."""
        self._client = self._hydrant.client()

    def run(self, ticket: threading.Semaphore, called: Callable[[], None]) -> None:
        """Makes calls while there are tickets, until the server goes away."""
        try:
            while ticket.acquire(blocking=False):
                answered = self.call()
                called()
                if not answered:
                    return
        except BaseException as error:
            self.error = error

    def call(self) -> bool:
        """Makes a random call; answers whether the server answered."""
        name = self._chance.choice(self.names)
        before = self.streams[name]
        choices = [self._create] if before is None else [self._update, self._tag, self._untag]
        (plan,) = self._chance.choices(
            [self._chance.choice(choices), self._delete, self._create, self._update],
            [85, 5, 5, 5],
        )
        call, outcome = plan(name, before)
        try:
            call()
        except ClientError as error:
            said = error.response["Error"]["Code"]
            assert isinstance(outcome, Refused), f"{name}: {error} of {before}"
            assert said == outcome.args[0], f"{name}: {error}, not {outcome}"
            self.counts.refused += 1
            return True
        except OUTAGES:
            self._doubt = name, before if isinstance(outcome, Refused) else outcome
            return False
        assert not isinstance(outcome, Refused), f"{name}: no {outcome} of {before}"
        self.streams[name] = outcome
        self.counts.made += 1
        return True

    def settle_doubt(self) -> None:
        """Asks the restarted server whether the call that it did not answer was made."""
        if self._doubt is None:
            return
        name, outcome = self._doubt
        self._doubt = None
        found = observe(self._client, name)
        before = self.streams[name]
        assert found in (before, outcome), f"{name} is {found}: neither {before} nor {outcome}"
        self.counts.in_doubt += 1
        self.counts.in_doubt_made += found != before
        self.streams[name] = found

    # MARK: Calls, and what they must make of a stream

    def _create(self, name: str, before: State | None):
        members = self._some_members()
        tags = self._some_tags()
        given = destination("arn:aws:s3:::bucket", CompressionFormat="UNCOMPRESSED") | members
        options = {"Tags": _listed(tags)} if tags else {}

        def call() -> None:
            self._client.create_delivery_stream(
                DeliveryStreamName=name, ExtendedS3DestinationConfiguration=given, **options
            )

        if before is not None:
            return call, Refused("ResourceInUseException")
        return call, State(1, {each: given.get(each) for each in CHANGES}, tags)

    def _update(self, name: str, before: State | None):
        members = self._some_members()
        version = before.version if before else 1
        given = version if self._chance.random() < 0.9 else version + self._chance.choice([-1, 1])

        def call() -> None:
            self._client.update_destination(
                DeliveryStreamName=name,
                CurrentDeliveryStreamVersionId=str(given),
                DestinationId=DESTINATION_ID,
                ExtendedS3DestinationUpdate=members,
            )

        if before is None:
            return call, Refused("ResourceNotFoundException")
        if given != version:
            return call, Refused("ConcurrentModificationException")
        if before.members | members == before.members:
            return call, before
        return call, replace(before, version=version + 1, members=before.members | members)

    def _tag(self, name: str, before: State | None):
        tags = self._some_tags() or {"tag": "always"}

        def call() -> None:
            self._client.tag_delivery_stream(DeliveryStreamName=name, Tags=_listed(tags))

        if len(before.tags | tags) > MAXIMUM_TAGS:
            return call, Refused("LimitExceededException")
        return call, replace(before, tags=before.tags | tags)

    def _untag(self, name: str, before: State | None):
        keys = self._chance.sample(TAG_KEYS, self._chance.randint(1, 20))

        def call() -> None:
            self._client.untag_delivery_stream(DeliveryStreamName=name, TagKeys=keys)

        return call, replace(before, tags={k: v for k, v in before.tags.items() if k not in keys})

    def _delete(self, name: str, before: State | None):
        def call() -> None:
            self._client.delete_delivery_stream(DeliveryStreamName=name)

        return call, Refused("ResourceNotFoundException") if before is None else None

    def _some_members(self) -> dict:
        count = self._chance.randint(0, 3)
        return {each: self._chance.choice(CHANGES[each]) for each in self._sample(CHANGES, count)}

    def _some_tags(self) -> dict[str, str]:
        keys = self._sample(TAG_KEYS, self._chance.randint(0, 12))
        return {key: f"value-{self._chance.randrange(100)}" for key in keys}

    def _sample(self, names, count: int) -> list[str]:
        return self._chance.sample(list(names), count)


def observe(client, name: str) -> State | None:
    """What the server shows of a stream, which must go together."""
    try:
        answer = client.describe_delivery_stream(DeliveryStreamName=name)
    except client.exceptions.ResourceNotFoundException:
        return None
    description = answer["DeliveryStreamDescription"]
    (only,) = description["Destinations"]
    version = int(description["VersionId"])
    assert ("LastUpdateTimestamp" in description) == (version > 1), description
    found = only["ExtendedS3DestinationDescription"]
    tags = client.list_tags_for_delivery_stream(DeliveryStreamName=name)["Tags"]
    members = {each: found.get(each) for each in CHANGES}
    return State(version, members, {tag["Key"]: tag["Value"] for tag in tags})


def _listed(tags: dict[str, str]) -> list[dict]:
    return [{"Key": key, "Value": value} for key, value in tags.items()]
