"""Requests that give every member of the API model, made from the model itself.

What excludes one another is spread over several editions of a document. Three numbered editions
have three values for every member, so that an update can change all of them. The tables hold what
the model does not say: how texts look, and which members do not go together.
"""

import base64
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from apimodel import OPERATIONS, SHAPES, Pair, breaches, input_shape, members, type_of

NUMBERS = (1, 2, 3)
"""The editions by value. In the first, backups are off; they can be switched on, and not off."""

ENDINGS = {"CreateDeliveryStream": "Configuration", "UpdateDestination": "Update"}
"""The operations that take a destination, and how its member's name ends."""

ACCOUNT = "000000000000"


@dataclass(frozen=True)
class Edition:
    """Which of the documents with all members: `number` decides values, `choice` among members."""

    number: int
    choice: int


@dataclass(frozen=True)
class Document:
    """A request with all members that go together."""

    operation: str
    edition: Edition
    body: dict
    destination: str | None = None
    """The destination's kind, as in the model: `Redshift`."""


def destinations() -> list[str]:
    """The kinds of destinations that the server knows, out of the model."""
    found = members(input_shape("CreateDeliveryStream"))
    return [_kind(name) for name in found if _kind(name)]


def choices(destination: str | None) -> range:
    """How many documents it takes to give every member of a destination."""
    return range(3 if destination == "ExtendedS3" else 2)


def document(
    operation: str, stream: str, edition: Edition, destination: str | None = None, **given
) -> Document:
    """A request of an operation with all members that go together, but `given` ones."""
    shape = input_shape(operation)
    filler = Filler(edition, destination)
    body = {"DeliveryStreamName": stream} if "DeliveryStreamName" in members(shape) else {}
    for name, below in members(shape).items():
        if name not in body and _kind(name) in (None, destination):
            body[name] = filler.value(below, (shape, name))
    return Document(operation, edition, body | given, destination)


def all_documents(stream: Callable[[str], str], number: int = 2) -> Iterator[Document]:
    """Documents that together give every member of every request.

    `stream` answers the stream's name for an operation.
    """
    for operation in OPERATIONS:
        kinds = destinations() if operation in ENDINGS else [None]
        for kind in kinds:
            for choice in choices(kind):
                yield document(operation, stream(operation), Edition(number, choice), kind)


def _kind(member: str) -> str | None:
    for ending in ENDINGS.values():
        if member.endswith(f"Destination{ending}"):
            return member.removesuffix(f"Destination{ending}")
    return None


class Filler:
    """Fills shapes with values that the model and AWS's further rules allow.

    `destination` is the kind of the document's destination; `within` is its member that is filled,
    if that has structures in common with others.
    """

    def __init__(self, edition: Edition, destination: str | None = None, within: str | None = None):
        self.number = edition.number + OFFSETS.get(within, 0)
        self.choice = edition.choice
        self.destination = destination
        self._edition = edition
        self._within = within

    def value(self, shape: str, owner: Pair | None = None, index: int = 0):
        """A value of a shape, for a member; `index` tells items of one list apart."""
        if owner and owner[1] in OFFSETS and self._within is None:
            return Filler(self._edition, self.destination, owner[1]).value(shape, owner)
        if owner in MEMBERS or shape in TEXTS:
            value = MEMBERS[owner](self) if owner in MEMBERS else TEXTS[shape](self.number)
        else:
            value = self._from_model(shape, owner, index)
        if problems := list(breaches(shape, value)):
            raise AssertionError(f"the tables in documents.py lack {shape}, {owner}: {problems}")
        return value

    def _from_model(self, shape: str, owner: Pair | None, index: int):
        bounds = SHAPES[shape]
        match bounds["type"]:
            case "structure":
                return {
                    name: self.value(below, (shape, name), index)
                    for name, below in members(shape).items()
                    if not self._leaves_out(shape, name)
                }
            case "list":
                item = bounds["member"]["shape"]
                return [self.value(item, owner, each) for each in range(2)]
            case "map":
                return {f"key-{self.number}": self.value(bounds["value"]["shape"], owner)}
            case "string" if "enum" in bounds:
                return bounds["enum"][(self.number - 1) % len(bounds["enum"])]
            case "string":
                return f"{(owner or (shape,))[-1]}-{self.number}" + f".{index}" * (index > 0)
            case "blob":
                return base64.b64encode(b"%d" % self.number).decode()
            case "boolean":
                return self.number % 2 == 1
            case "integer":
                low = bounds.get("min", 0)
                span = bounds.get("max", low + 1_000_000) - low
                return low + (span // 2 + self.number) % (span + 1)
            case "double":
                return self.number / 4
            case other:
                raise AssertionError(f"documents.py cannot fill a {other}: {shape}")

    def _leaves_out(self, structure: str, name: str) -> bool:
        if structure in UNIONS:
            return name != list(members(structure))[self.choice % 2]
        if name.startswith("S3Backup") and type_of(members(structure)[name]) == "structure":
            return self.number == NUMBERS[0]
        if self._within in ("S3Configuration", "S3Update") and name == "ErrorOutputPrefix":
            # Developer guide, "prefixes": it must be null for Redshift.
            return self.destination == "Redshift"
        for ending in ENDINGS.values():
            key = structure.removesuffix(ending), name
            if self.choice in EXCLUDED.get(key, ()):
                return True
        return False


# MARK: What the model does not say

OFFSETS = {
    "S3Configuration": 10,
    "S3Update": 10,
    "S3BackupConfiguration": 20,
    "S3BackupUpdate": 20,
    "VpcConfiguration": 30,
    "SecretsManagerConfiguration": 40,
}
"""Members whose values have other numbers, so that they are not taken for their namesakes."""

UNIONS = {"EncryptionConfiguration", "Serializer", "Deserializer"}
"""Structures of which one member is given: the first in even choices, the second in odd ones."""

EXCLUDED: dict[Pair, set[int]] = {
    # A domain is named by its ARN or by its endpoint.
    ("ElasticsearchDestination", "ClusterEndpoint"): {0},
    ("ElasticsearchDestination", "DomainARN"): {1},
    ("AmazonopensearchserviceDestination", "ClusterEndpoint"): {0},
    ("AmazonopensearchserviceDestination", "DomainARN"): {1},
    # A secret is given, or kept in Secrets Manager.
    ("RedshiftDestination", "SecretsManagerConfiguration"): {0},
    ("RedshiftDestination", "Username"): {1},
    ("RedshiftDestination", "Password"): {1},
    ("SplunkDestination", "SecretsManagerConfiguration"): {0},
    ("SplunkDestination", "HECToken"): {1},
    ("HttpEndpointDestination", "SecretsManagerConfiguration"): {0},
    ("HttpEndpoint", "AccessKey"): {1},
    # Conversion wants no compression, and partitioning wants prefixes of its own.
    ("ExtendedS3Destination", "DataFormatConversionConfiguration"): {0},
    ("ExtendedS3Destination", "DynamicPartitioningConfiguration"): {0, 2},
    # Keys of AWS's own have no ARN that one could give.
    ("DeliveryStreamEncryptionConfigurationInput", "KeyARN"): {1},
}
"""Members, by structure without its ending, and the choices in which they are left out."""


def _arn(service: str, resource: str, region: str = "us-east-1") -> Callable[[int], str]:
    return lambda number: f"arn:aws:{service}:{region}:{ACCOUNT}:{resource}-{number}"


def _text(pattern: str) -> Callable[[int], str]:
    return lambda number: pattern.replace("#", str(number))


ZONES = ("Asia/Tokyo", "Europe/Berlin", "America/New_York")

TEXTS: dict[str, Callable[[int], str]] = {
    "RoleARN": _arn("iam", "role/firehose", region=""),
    "BucketARN": _text("arn:aws:s3:::bucket-#"),
    "AWSKMSKeyARN": _arn("kms", "key/key"),
    "AWSKMSKeyARNForSSE": _arn("kms", "key/stream-key"),
    "SecretARN": _arn("secretsmanager", "secret:secret"),
    "ElasticsearchDomainARN": _arn("es", "domain/domain"),
    "AmazonopensearchserviceDomainARN": _arn("es", "domain/domain"),
    "ElasticsearchClusterEndpoint": _text("https://elasticsearch-#.example.com"),
    "AmazonopensearchserviceClusterEndpoint": _text("https://opensearch-#.example.com"),
    "HttpEndpointUrl": _text("https://http-#.example.com/records"),
    "HECEndpoint": _text("https://splunk-#.example.com:8088"),
    "ClusterJDBCURL": _text("jdbc:redshift://cluster-#.redshift.amazonaws.com:5439/db#"),
    "CopyOptions": _text("GZIP MAXERROR #"),
    "Prefix": _text("prefix-#/"),
    "ErrorOutputPrefix": _text("failed-#/"),
    "FileExtension": _text(".v#"),
    "CustomTimeZone": lambda number: ZONES[number % len(ZONES)],
    "ElasticsearchIndexName": _text("index-#"),
    "AmazonopensearchserviceIndexName": _text("index-#"),
    "DeliveryStreamVersionId": _text("#"),
    # Of several modes, the second cannot be left again.
    "S3BackupMode": lambda number: ("Disabled", "Enabled", "Enabled")[number - 1],
    "RedshiftS3BackupMode": lambda number: ("Disabled", "Enabled", "Enabled")[number - 1],
    "SplunkS3BackupMode": lambda number: ("FailedEventsOnly", *["AllEvents"] * 2)[number - 1],
    # Redshift takes neither ZIP nor Snappy.
    "CompressionFormat": lambda number: ("GZIP", "UNCOMPRESSED")[number % 2],
    "DeliveryStreamType": lambda _: "DirectPut",
}
"""Shapes whose values have a form, or an order, that counts."""


def _on(_: Filler) -> bool:
    return True


def _prefix(filler: Filler) -> str:
    number = filler.number
    if filler.choice == 1:
        return f"customer=!{{partitionKeyFromQuery:customer}}/v{number}/"
    return f"prefix-{number}/"


def _compression(filler: Filler) -> str:
    return "UNCOMPRESSED" if filler.choice else TEXTS["CompressionFormat"](filler.number)


def _key_type(filler: Filler) -> str:
    return ("CUSTOMER_MANAGED_CMK", "AWS_OWNED_CMK")[filler.choice % 2]


def _processors(filler: Filler) -> list[dict]:
    number = filler.number
    unpack = [
        _processor("Decompression", CompressionFormat="GZIP"),
        _processor("CloudWatchLogProcessing", DataMessageExtraction=("true", "false")[number % 2]),
    ]
    function = _processor(
        "Lambda",
        LambdaArn=_arn("lambda", "function:transform")(number),
        NumberOfRetries=str(number),
        RoleArn=TEXTS["RoleARN"](number),
        BufferSizeInMBs=str(number),
        BufferIntervalInSeconds=str(60 + number),
    )
    delimiter = _processor("AppendDelimiterToRecord")
    # Not served, so that no stream of these needs a program to be there.
    extraction = _processor(
        "MetadataExtraction",
        MetadataExtractionQuery=f"{{customer:.customer_{number}}}",
        JsonParsingEngine="JQ-1.6",
    )
    if filler.destination != "ExtendedS3":
        return unpack
    if filler.choice != 1:
        return [*unpack, function, extraction, delimiter]
    return [
        _processor(
            "RecordDeAggregation",
            SubRecordType="DELIMITED",
            Delimiter=base64.b64encode(b"%d" % number).decode(),
        ),
        extraction,
        delimiter,
    ]


def _processor(kind: str, **parameters: str) -> dict:
    given = [{"ParameterName": n, "ParameterValue": v} for n, v in parameters.items()]
    return {"Type": kind, "Parameters": given}


MEMBERS: dict[Pair, Callable[[Filler], object]] = {
    ("ProcessingConfiguration", "Enabled"): _on,
    ("ProcessingConfiguration", "Processors"): _processors,
    ("DataFormatConversionConfiguration", "Enabled"): _on,
    ("DynamicPartitioningConfiguration", "Enabled"): _on,
    ("SecretsManagerConfiguration", "Enabled"): _on,
    ("ExtendedS3DestinationConfiguration", "Prefix"): _prefix,
    ("ExtendedS3DestinationUpdate", "Prefix"): _prefix,
    ("ExtendedS3DestinationConfiguration", "CompressionFormat"): _compression,
    ("ExtendedS3DestinationUpdate", "CompressionFormat"): _compression,
    ("DeliveryStreamEncryptionConfigurationInput", "KeyType"): _key_type,
    ("UpdateDestinationInput", "DestinationId"): lambda _: "destinationId-000000000001",
}
"""Members whose values must fit what else is given."""
