"""What DescribeDeliveryStream must say about a stream, worked out from what was given."""

from collections.abc import Callable

from apimodel import (
    OPERATIONS,
    Pair,
    breaches,
    input_shape,
    members,
    output_shape,
    type_of,
    walk,
)
from documents import Document, Edition, choices, destinations, document
from model import assert_conforms
from probes import Survey
from streams import fresh_name
from wire import Connection, request

RENAMED = {
    "S3Configuration": "S3DestinationDescription",
    "S3Update": "S3DestinationDescription",
    "S3BackupConfiguration": "S3BackupDescription",
    "S3BackupUpdate": "S3BackupDescription",
    "VpcConfiguration": "VpcConfigurationDescription",
}
"""Members that have another name in descriptions."""

SECRET: set[Pair] = {
    ("RedshiftDestinationConfiguration", "Password"),
    ("RedshiftDestinationUpdate", "Password"),
    ("HttpEndpointConfiguration", "AccessKey"),
}
"""Members that are never shown again."""

KEPT = {
    "CreateDeliveryStream",
    "UpdateDestination",
    "TagDeliveryStream",
    "StartDeliveryStreamEncryption",
}
"""Operations whose members all become a part of the stream, and are described."""


def described(shape: str, value):
    """A configuration's or an update's value as a description shows it."""
    kind = type_of(shape)
    if kind == "structure":
        return {
            RENAMED.get(name, name): described(below, value[name])
            for name, below in members(shape).items()
            if name in value and (shape, name) not in SECRET
        }
    return value


def expected_destination(given: Document) -> dict:
    """The members of DestinationDescription that a Create or an UpdateDestination brings about."""
    shape = input_shape(given.operation)
    (member,) = (each for each in given.body if _destination(each) == given.destination)
    whole = described(members(shape)[member], given.body[member])
    if given.destination not in ("S3", "ExtendedS3"):
        return {f"{given.destination}DestinationDescription": whole}
    common = members("S3DestinationDescription").keys() & whole.keys()
    return {
        "S3DestinationDescription": {name: whole[name] for name in common},
        "ExtendedS3DestinationDescription": whole,
    }


def _destination(member: str) -> str:
    return member.partition("Destination")[0] if "Destination" in member else ""


def differences(expected, found, place: str = "") -> list[str]:
    """Where `found` is not as expected. Structures may have more members than are expected."""
    if isinstance(expected, dict) and isinstance(found, dict):
        return [
            each
            for name, value in expected.items()
            for each in differences(value, found.get(name), f"{place}.{name}")
        ]
    return [] if found == expected else [f"{place[1:]} is {found!r}, not {expected!r}"]


def merged(before: dict, update: dict) -> dict:
    """An expected destination after an update with all members."""
    return {name: before[name] | value for name, value in update.items()}


class Witness:
    """Calls the API, holds every answer against the model, and describes streams."""

    def __init__(self, connection: Connection, survey: Survey):
        self.survey = survey
        self._connection = connection

    def call(self, operation: str, body: dict) -> dict:
        """Makes a call that must succeed; returns the answer."""
        answer = self._connection.exchange(request(operation, body))
        self.survey.requests += 1
        assert answer.status == 200, f"{operation}: {answer.status} {answer.body!r:.600}"
        decoded = assert_conforms(operation, answer.body)
        problems = sorted(breaches(output_shape(operation), decoded))
        self.survey.problems += [f"answer to {operation}: {each}" for each in problems]
        places = walk(output_shape(operation), decoded)
        self.survey.answered |= {place.owner for place in places if place.owner}
        return decoded

    def describe(self, stream: str) -> dict:
        """A stream's description."""
        answer = self.call("DescribeDeliveryStream", {"DeliveryStreamName": stream})
        return answer["DeliveryStreamDescription"]

    def compare(self, what: str, expected, found) -> None:
        """Notes where what was found is not as expected."""
        self.survey.problems += [f"{what}: {each}" for each in differences(expected, found)]

    def cover(self, given: Document) -> None:
        """Notes that what a document gives was looked for."""
        places = walk(input_shape(given.operation), given.body)
        self.survey.covered |= {place.owner for place in places if place.owner}

    # MARK: What is described

    def watch_creation(self, given: Document) -> None:
        """Creates a stream with all members, and looks for every one in its description."""
        stream = given.body["DeliveryStreamName"]
        what = f"Create {given.destination} {given.edition.choice}"
        self.call("CreateDeliveryStream", given.body)
        found = self.describe(stream)
        encryption = given.body["DeliveryStreamEncryptionConfigurationInput"]
        expected = {
            "DeliveryStreamName": stream,
            "DeliveryStreamType": given.body["DeliveryStreamType"],
            "DeliveryStreamStatus": "ACTIVE",
            "VersionId": "1",
            "Source": {"DirectPutSourceDescription": given.body["DirectPutSourceConfiguration"]},
            "DeliveryStreamEncryptionConfiguration": encryption | {"Status": "ENABLED"},
        }
        self.compare(what, expected, found)
        self._compare_destination(what, expected_destination(given), found)
        listed = self.call("ListTagsForDeliveryStream", {"DeliveryStreamName": stream})
        self.compare(what, {"Tags": given.body["Tags"], "HasMoreTags": False}, listed)
        self.cover(given)

    def watch_updates(self, destination: str, choice: int) -> None:
        """Creates a stream, then twice changes every member that an update can have."""
        stream = fresh_name("updated")
        created = document("CreateDeliveryStream", stream, Edition(1, choice), destination)
        self.call("CreateDeliveryStream", created.body)
        expected = expected_destination(created)
        for number in (2, 3):
            what = f"Update {destination} {choice} to {number}"
            update = document(
                "UpdateDestination",
                stream,
                Edition(number, choice),
                destination,
                CurrentDeliveryStreamVersionId=str(number - 1),
            )
            self.call("UpdateDestination", update.body)
            found = self.describe(stream)
            expected = merged(expected, expected_destination(update))
            self._compare_destination(what, expected, found)
            self.compare(what, {"VersionId": str(number)}, found)
            if found.get("LastUpdateTimestamp", 0) < found["CreateTimestamp"]:
                self.survey.problems.append(f"{what}: LastUpdateTimestamp is not set")
            self.cover(update)

    def watch_encryption(self, stream: str) -> None:
        """Starts a stream's encryption in all ways and stops it."""
        for choice in choices(None):
            edition = Edition(3, choice)
            start = document("StartDeliveryStreamEncryption", stream, edition)
            self.call("StartDeliveryStreamEncryption", start.body)
            expected = start.body["DeliveryStreamEncryptionConfigurationInput"]
            self._compare_encryption(stream, expected | {"Status": "ENABLED"})
            self.cover(start)
        self.call("StopDeliveryStreamEncryption", {"DeliveryStreamName": stream})
        self._compare_encryption(stream, {"Status": "DISABLED"})

    def watch_the_rest(self, stream: str) -> None:
        """Makes every other call about a stream, and deletes it."""
        name = {"DeliveryStreamName": stream}
        tags = document("TagDeliveryStream", stream, Edition(3, 0))
        self.call("TagDeliveryStream", tags.body)
        listed = self.call("ListTagsForDeliveryStream", name)["Tags"]
        missing = [tag for tag in tags.body["Tags"] if tag not in listed]
        self.survey.problems += [f"TagDeliveryStream: {tag} is not listed" for tag in missing]
        self.cover(tags)
        self.call("UntagDeliveryStream", name | {"TagKeys": [tag["Key"] for tag in listed]})
        listed = self.call("ListTagsForDeliveryStream", name)
        self.compare("UntagDeliveryStream", {"Tags": []}, listed)
        self.call("ListDeliveryStreams", {"Limit": 10_000})
        self.call("PutRecord", name | {"Record": {"Data": ""}})
        self.call("PutRecordBatch", name | {"Records": [{"Data": "aGk="}] * 2})
        self.call("DeleteDeliveryStream", name | {"AllowForceDelete": True})

    def _compare_encryption(self, stream: str, expected: dict) -> None:
        found = self.describe(stream)["DeliveryStreamEncryptionConfiguration"]
        self.compare("encryption", expected, found)

    def _compare_destination(self, what: str, expected: dict, found: dict) -> None:
        (destination,) = found["Destinations"]
        expected = {"DestinationId": "destinationId-000000000001"} | expected
        self.compare(what, expected, destination)
        unexpected = destination.keys() - expected.keys()
        self.survey.problems += [f"{what}: there is a {name}" for name in sorted(unexpected)]
        for secret in ("Password-", "AccessKey-"):
            if secret in str(found):
                self.survey.problems.append(f"{what}: {secret} is shown")


def watch_everything(connection: Connection) -> Survey:
    """Has every member of every operation described that becomes a part of a stream."""
    survey = Survey()
    witness = Witness(connection, survey)

    def watch(step: Callable[..., None], *arguments) -> None:
        try:
            step(*arguments)
        except AssertionError as error:
            survey.problems.append(f"{step.__name__} {arguments!r:.200}: {error}")

    for destination in destinations():
        for choice in choices(destination):
            stream, edition = fresh_name("created"), Edition(2, choice)
            created = document("CreateDeliveryStream", stream, edition, destination)
            watch(witness.watch_creation, created)
            watch(witness.watch_updates, destination, choice)
    watch(witness.watch_encryption, stream)
    watch(witness.watch_the_rest, stream)
    for operation in OPERATIONS.keys() - KEPT:
        witness.cover(document(operation, stream, Edition(2, 0)))
    return survey
