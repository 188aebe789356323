"""A disk of its own that is full: producers are refused, and all that was taken gets out."""

import subprocess
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest
from botocore.exceptions import ClientError

from buckets import S3Bucket
from processors import delimited
from seaweed import SeaweedFS
from server import Hydrant
from streams import create_stream
from transforms import processing
from waiting import wait_until

DISK_MEBIBYTES = 660
RECORD_BYTES, BATCH = 8000, 500


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A folder on a disk that is little larger than what a server leaves free."""
    folder = tmp_path / "disk"
    folder.mkdir()
    options = ["-t", "tmpfs", "-o", f"size={DISK_MEBIBYTES}m"]
    done = subprocess.run(["mount", *options, "none", folder], capture_output=True, check=False)
    if done.returncode != 0:
        pytest.skip(f"no disk can be mounted here: {done.stderr.decode()}")
    yield folder
    subprocess.run(["umount", "--lazy", folder], check=True)


def leave(disk: Path, mebibytes: int) -> None:
    """Fills a disk up to so much, as another program would."""
    ballast = disk / "ballast"
    ballast.unlink(missing_ok=True)
    count = free_mebibytes(disk) - mebibytes
    assert count > 0, "there is less already"
    subprocess.run(["fallocate", "-l", f"{count}MiB", ballast], check=True)


def free_mebibytes(disk: Path) -> int:
    done = subprocess.run(
        ["df", "--output=avail", "-BM", disk], capture_output=True, text=True, check=True
    )
    return int(done.stdout.split()[-1].rstrip("M"))


def fill(client, stream: str) -> bytes:
    """Puts records until the disk is too full for more; gives what was acknowledged."""
    taken = []
    for number in range(0, 10**6, BATCH):
        records = [b"%0*d," % (RECORD_BYTES - 1, each) for each in range(number, number + BATCH)]
        answer = client.put_record_batch(
            DeliveryStreamName=stream, Records=[{"Data": each} for each in records]
        )
        if answer["FailedPutCount"]:
            # A batch is durable as a whole, or not at all.
            codes = {each.get("ErrorCode") for each in answer["RequestResponses"]}
            assert codes == {"ServiceUnavailableException"}
            return b"".join(taken).replace(b",", b"")
        taken += records
    raise AssertionError("the disk is never full")


def is_taken(put: Callable[[], dict]) -> bool:
    """Whether a put is, which fails while the disk is full."""
    try:
        put()
    except ClientError as error:
        assert error.response["Error"]["Code"] == "ServiceUnavailableException"
        return False
    return True


@pytest.mark.parametrize("left", [490, 60])
def test_a_disk_that_is_full_drains_through_a_transform_also_after_a_restart(
    make_hydrant, seaweed: SeaweedFS, missing_bucket: S3Bucket, small_disk: Path, left: int
):
    server: Hydrant = make_hydrant(folder=small_disk, environment=seaweed.environment)
    client = server.start().client()
    stream = create_stream(
        client,
        missing_bucket.arn,
        BufferingHints={"SizeInMBs": 5, "IntervalInSeconds": 1},
        **processing(delimited(b",")),
    )
    expected = fill(client, stream)
    leave(small_disk, left)
    server.restart()
    missing_bucket.client.create_bucket(Bucket=missing_bucket.name)
    missing_bucket.wait_for(expected, timeout=120)
    # What was delivered makes room, and producers are taken again.
    (small_disk / "ballast").unlink()
    put_again = partial(
        server.client().put_record, DeliveryStreamName=stream, Record={"Data": b"again,"}
    )
    wait_until(lambda: is_taken(put_again), "a put to be taken", timeout=30)
    missing_bucket.wait_for(expected + b"again", timeout=30)
