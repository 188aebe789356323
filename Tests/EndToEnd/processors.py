"""Built-in processors: how streams are told to use them, and the encodings that they read.

The encoders are written from the formats' descriptions and share nothing with the server.
"""

import gzip
import hashlib
import json
from base64 import b64encode
from collections.abc import Iterable

from streams import destination

# MARK: Members of a configuration


def processor(kind: str, **parameters: object) -> dict:
    """A processor; what is None is left out."""
    given = [
        {"ParameterName": name, "ParameterValue": str(value)}
        for name, value in parameters.items()
        if value is not None
    ]
    return {"Type": kind, "Parameters": given}


def delimited(delimiter: bytes) -> dict:
    """Splits records at a delimiter."""
    encoded = b64encode(delimiter).decode()
    return processor("RecordDeAggregation", SubRecordType="DELIMITED", Delimiter=encoded)


APPEND_DELIMITER = processor("AppendDelimiterToRecord")

DECOMPRESSION = processor("Decompression", CompressionFormat="GZIP")

LOG_MESSAGES = processor("CloudWatchLogProcessing", DataMessageExtraction="true")
"""Takes the messages out of CloudWatch Logs' documents."""

WHOLE_LOGS = processor("CloudWatchLogProcessing", DataMessageExtraction="false")
"""Leaves CloudWatch Logs' documents as they are."""

JSON_OBJECTS = processor("RecordDeAggregation", SubRecordType="JSON")

NEVER = b"<a delimiter that no record has>"

PASS_ON = delimited(NEVER)
"""Changes nothing, but has records processed, and so KPL's aggregation undone."""


def backup(bucket_arn: str, **members) -> dict:
    """The destination's members that keep a copy of the source in a bucket."""
    return {
        "S3BackupMode": "Enabled",
        "S3BackupConfiguration": destination(bucket_arn, **members),
    }


# MARK: KPL's aggregation

KPL_MAGIC = bytes.fromhex("f3899ac2")

VARINT, FIXED_64, LENGTH_DELIMITED, GROUP_START, FIXED_32 = 0, 1, 2, 3, 5
"""Wire types of protocol buffers."""


def varint(number: int) -> bytes:
    """A number in protocol buffers' variable length: seven bits a byte, the lowest first."""
    encoded = bytearray()
    while number > 0x7F:
        encoded.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*encoded, number])


def tag(number: int, wire_type: int) -> bytes:
    """What stands before a field's value."""
    return varint(number << 3 | wire_type)


def field(number: int, value: int | bytes) -> bytes:
    """A field with a number, or with bytes behind their length."""
    if isinstance(value, int):
        return tag(number, VARINT) + varint(value)
    return tag(number, LENGTH_DELIMITED) + varint(len(value)) + value


def kpl_record(
    data: bytes, *, key: int = 0, hash_key: int | None = None, tags: dict[str, str] | None = None
) -> bytes:
    """A message `Record`: {partition_key_index = 1, explicit_hash_key_index = 2, data = 3,
    tags = 4}."""
    encoded = field(1, key)
    if hash_key is not None:
        encoded += field(2, hash_key)
    encoded += field(3, data)
    for name, value in (tags or {}).items():
        encoded += field(4, field(1, name.encode()) + field(2, value.encode()))
    return encoded


def kpl_message(
    records: Iterable[bytes], *, keys: Iterable[str] = ("key",), hash_keys: Iterable[str] = ()
) -> bytes:
    """A message `AggregatedRecord`: {partition_key_table = 1, explicit_hash_key_table = 2,
    records = 3}; its records are encoded already."""
    return b"".join(
        [
            *(field(1, each.encode()) for each in keys),
            *(field(2, each.encode()) for each in hash_keys),
            *(field(3, each) for each in records),
        ]
    )


def kpl_frame(message: bytes, *, digest: bytes | None = None) -> bytes:
    """A message as it is put: behind the magic number, before its MD5."""
    return KPL_MAGIC + message + (hashlib.md5(message).digest() if digest is None else digest)


def kpl(*data: bytes) -> bytes:
    """An aggregated record."""
    return kpl_frame(kpl_message(map(kpl_record, data)))


# MARK: CloudWatch Logs


def gzipped(*contents: bytes) -> bytes:
    """Packed bytes, each content in a member of its own."""
    return b"".join(gzip.compress(each, mtime=0) for each in contents)


def log_document(*messages: str, kind: str = "DATA_MESSAGE", **others: object) -> bytes:
    """What a subscription of CloudWatch Logs puts, before it is packed."""
    document = {
        "messageType": kind,
        "owner": "000000000000",
        "logGroup": "/aws/lambda/shop",
        "logStream": "2026/11/21/[$LATEST]0123456789abcdef",
        "subscriptionFilters": ["all"],
        "logEvents": [
            {"id": f"{number:056}", "timestamp": 1_790_000_000_000 + number, "message": message}
            for number, message in enumerate(messages)
        ],
    }
    return json.dumps(document | others, separators=(",", ":")).encode()


def packed_log(*messages: str, **others) -> bytes:
    """As `log_document`, packed as CloudWatch Logs does."""
    return gzipped(log_document(*messages, **others))


CONTROL_MESSAGE = packed_log(
    "CWL CONTROL MESSAGE: Checking health of destination Firehose.", kind="CONTROL_MESSAGE"
)
"""What CloudWatch Logs puts to see whether a stream is there."""
