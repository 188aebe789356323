"""A data folder that is removed, moved or hidden while the server runs: nothing is acknowledged into it."""

import shutil
import subprocess
import time
from pathlib import Path

import pytest
from botocore.exceptions import ClientError

from server import Hydrant
from streams import create_stream
from test_health import is_ready
from waiting import wait_until

NOTICED_SECONDS = 1
"""How long puts may go into a folder that is gone."""


def remove(folder: Path) -> None:
    shutil.rmtree(folder)


def move(folder: Path) -> None:
    folder.rename(folder.with_name("aside"))


def hide(folder: Path) -> None:
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "none", folder], capture_output=True, check=False
    )
    if done.returncode != 0:
        pytest.skip(f"nothing can be mounted here: {done.stderr.decode()}")


def remove_and_make(folder: Path) -> None:
    shutil.rmtree(folder)
    folder.mkdir()


def replace(folder: Path) -> None:
    """As a program that restores a copy does, which writes new files and renames them."""
    copy = folder.with_name("copy")
    shutil.copytree(folder, copy)
    shutil.rmtree(folder)
    copy.rename(folder)


@pytest.mark.parametrize("place", ["", "streams"], ids=["data folder", "streams"])
@pytest.mark.parametrize("lose", [remove, move, hide, remove_and_make, replace])
def test_puts_are_refused_within_a_second(start_hydrant, lose, place):
    server = start_hydrant()
    client = server.client()
    hints = {"SizeInMBs": 5, "IntervalInSeconds": 900}
    stream = create_stream(client, "arn:aws:s3:::bucket", BufferingHints=hints)
    client.put_record(DeliveryStreamName=stream, Record={"Data": b"taken"})
    folder = server.data / place
    lose(folder)
    try:
        lost = time.monotonic()
        last = lost
        while time.monotonic() < lost + 2 * NOTICED_SECONDS:
            try:
                client.put_record(DeliveryStreamName=stream, Record={"Data": b"too late"})
                last = time.monotonic()
            except ClientError as error:
                assert error.response["Error"]["Code"] == "ServiceUnavailableException"
        assert last < lost + NOTICED_SECONDS
        wait_until(lambda: not is_ready(server), "the server to say so", timeout=10)
        assert "the data folder was removed or replaced" in server.log()
    finally:
        if lose is hide:
            subprocess.run(["umount", "--lazy", folder], check=True)
