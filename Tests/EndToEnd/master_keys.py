"""Master keys, and the file in which `hydrant serve --master-key` finds them."""

import os
from base64 import b64encode
from pathlib import Path

from keys import write_private
from streams import destination, fresh_name

MASTER_KEY_BYTES = 32

MANAGED = {"KeyType": "AWS_OWNED_CMK"}
"""What encrypts a stream with the server's own master key."""

SSE = "DeliveryStreamEncryptionConfigurationInput"
"""CreateDeliveryStream's name for it."""


def fresh_master_key() -> bytes:
    """A master key that no other test uses."""
    return os.urandom(MASTER_KEY_BYTES)


def write_master_keys(path: Path, *keys: bytes, mode: int = 0o600) -> Path:
    """Writes a file of master keys, over one that is there already; returns its path."""
    return write_private(path, "".join(f"{written(each)}\n" for each in keys), mode=mode)


def written(key: bytes) -> str:
    """A master key as text."""
    return b64encode(key).decode()


def create_encrypted(client, bucket_arn: str, how: dict = MANAGED, **members) -> str:
    """Creates a stream that is encrypted from its first record on; returns its name.

    `members` are its S3 destination's.
    """
    name = fresh_name()
    client.create_delivery_stream(
        DeliveryStreamName=name,
        ExtendedS3DestinationConfiguration=destination(bucket_arn, **members),
        **{SSE: how},
    )
    return name
