"""The search for plaintext in `plaintext` finds what it has to."""

import gzip
import io
import zipfile
from base64 import b64encode

import pytest

from plaintext import fresh_secret, traces


def zipped(data: bytes) -> bytes:
    """A zip archive with one file."""
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("name", data)
    return made.getvalue()


@pytest.mark.parametrize("before", range(7))
@pytest.mark.parametrize(
    "form", [bytes, b64encode, lambda data: data.hex().encode(), gzip.compress, zipped]
)
def test_a_secret_is_found_in_every_form(tmp_path, form, before):
    secret = fresh_secret()
    hiding = tmp_path / "a" / "b"
    hiding.mkdir(parents=True)
    data = b"?" * before + secret + b"more"
    (hiding / "file").write_bytes(b"\0" * 100 + form(data) + b"\0" * 100)
    (tmp_path / "other").write_bytes(form(fresh_secret()))
    assert traces(tmp_path, secret) == ["a/b/file"]


def test_a_secret_is_found_in_names(tmp_path):
    secret = fresh_secret()
    (tmp_path / secret.decode()).touch()
    assert len(traces(tmp_path, secret)) == 1
    assert traces(tmp_path, fresh_secret()) == []
