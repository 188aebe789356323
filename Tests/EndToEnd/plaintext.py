"""Looking for records in files, in the open or in forms that anybody can undo."""

import re
import uuid
import zlib
from base64 import b64encode
from collections.abc import Iterator
from pathlib import Path

BEGINNINGS = re.compile(rb"\x1f\x8b\x08|PK\x03\x04")
"""How gzip and zip data begin."""

MOST_UNPACKED_BYTES = 64 * 1024 * 1024

ZIP_HEADER_BYTES = 30


def fresh_secret() -> bytes:
    """Bytes that are nowhere else."""
    return f"<the plaintext {uuid.uuid4().hex} of a record>".encode()


def forms(secret: bytes) -> list[bytes]:
    """A secret as it is, in hexadecimal digits, and in base64 at each of the three alignments."""
    return [secret, secret.hex().encode(), secret.hex().upper().encode(), *_base64_forms(secret)]


def traces(folder: Path, secret: bytes) -> list[str]:
    """The files below a folder that hold a secret, also packed with gzip or zip.

    A file's name counts as a part of it. Files that go while they are looked for hold nothing.
    """
    wanted = forms(secret)
    found = []
    for path in sorted(folder.rglob("*")):
        if not path.is_file():
            continue
        try:
            data = path.read_bytes()
        except FileNotFoundError:
            continue
        texts = [str(path.relative_to(folder)).encode(), data, *_unpacked(data)]
        if any(form in text for text in texts for form in wanted):
            found.append(path.relative_to(folder).as_posix())
    return found


def _base64_forms(secret: bytes) -> Iterator[bytes]:
    """What base64 makes of a secret in the middle of something, without the letters at its edges
    that depend on its neighbours."""
    for before in range(3):
        text = b64encode(bytes(before) + secret).rstrip(b"=")
        rest = (before + len(secret)) % 3
        yield text[(0, 2, 3)[before] : len(text) - bool(rest)]


def _unpacked(data: bytes) -> Iterator[bytes]:
    """What can be unpacked from anywhere in a file."""
    for match in BEGINNINGS.finditer(data):
        start = match.start()
        if match.group() == b"PK\x03\x04":
            lengths = data[start + 26 : start + ZIP_HEADER_BYTES]
            names = sum(int.from_bytes(lengths[each : each + 2], "little") for each in (0, 2))
            start, window = start + ZIP_HEADER_BYTES + names, -zlib.MAX_WBITS
        else:
            window = zlib.MAX_WBITS | 16
        try:
            yield zlib.decompressobj(window).decompress(data[start:], MOST_UNPACKED_BYTES)
        except zlib.error:
            continue
