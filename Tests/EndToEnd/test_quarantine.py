"""One bad place in one stream's files: the stream is in quarantine, and the others run."""

import subprocess
from pathlib import Path

import pytest
from botocore.exceptions import ClientError

from buckets import FolderBucket
from commands import run_hydrant
from metrics import metric
from server import BINARY, Hydrant, clean_environment
from streams import create_stream, describe, put
from test_health import page
from waiting import wait_until


@pytest.fixture
def server(start_hydrant) -> Hydrant:
    """A server with two streams, `sick` with a record that waits and `well` without."""
    server = start_hydrant()
    hints = {"SizeInMBs": 5, "IntervalInSeconds": 900}
    create_stream(server.client(), "arn:aws:s3:::sick", name="sick", BufferingHints=hints)
    create_stream(server.client(), "arn:aws:s3:::well", name="well")
    put(server.client(), "sick", b"waits")
    return server


def spoil(server: Hydrant, file: str) -> Path:
    path = server.data / "streams" / "sick.stream" / file
    server.sigterm()
    path.write_bytes(b"\xa5" * path.stat().st_size)
    return path


def check(server: Hydrant) -> tuple[int, str]:
    done = subprocess.run(
        [BINARY, "check", "--data-dir", server.data],
        capture_output=True,
        text=True,
        check=False,
        env=clean_environment(),
    )
    assert done.stderr == ""
    return done.returncode, done.stdout


@pytest.mark.parametrize("file", ["stream.json", "log/delivery.checkpoint"])
def test_a_stream_that_cannot_be_opened_is_told_of_and_the_others_run(server, file):
    path = spoil(server, file)
    server.start()
    client = server.client()
    assert client.list_delivery_streams()["DeliveryStreamNames"] == ["sick", "well"]
    description = describe(client, "sick")
    assert description["DeliveryStreamStatus"] == "CREATING_FAILED"
    assert description["FailureDescription"]["Type"] == "UNKNOWN_ERROR"
    # Where files lie is the operator's to know.
    assert "hydrant check" in description["FailureDescription"]["Details"]
    assert str(path) not in str(description)
    assert str(path) in server.log()
    assert page(server, "/ready") == (200, {"status": "ready", "quarantined": ["sick"]})
    with pytest.raises(ClientError) as refused:
        client.put_record(DeliveryStreamName="sick", Record={"Data": b"x"})
    assert refused.value.response["Error"]["Code"] == "ServiceUnavailableException"
    assert "in quarantine" in refused.value.response["Error"]["Message"]
    with pytest.raises(ClientError) as refused:
        client.update_destination(
            DeliveryStreamName="sick",
            CurrentDeliveryStreamVersionId="1",
            DestinationId="destinationId-000000000001",
            ExtendedS3DestinationUpdate={"Prefix": "new/"},
        )
    assert refused.value.response["Error"]["Code"] == "ResourceInUseException"
    assert metric(server, "hydrant_stream_quarantined", stream="sick") == 1
    put(client, "well", b"goes")
    FolderBucket(server.data / "buckets", "well").wait_for(b"goes")


def test_what_is_wrong_with_a_folder_is_said_with_what_can_be_done(server):
    assert check(server)[0] == 0
    path = spoil(server, "log/delivery.checkpoint")
    status, said = check(server)
    assert status == 1
    (line,) = [line for line in said.splitlines() if line.startswith("FAIL")]
    assert f"stream sick: {path}" in line
    assert "what is left of the log is delivered again from its beginning" in line
    # What is said can be done.
    path.unlink()
    assert check(server)[0] == 0
    server.start()
    client = server.client()
    assert describe(client, "sick")["DeliveryStreamStatus"] == "ACTIVE"
    put(client, "sick", b" and more")
    run_hydrant(server, "flush", "sick")
    FolderBucket(server.data / "buckets", "sick").wait_for(b"waits and more")


@pytest.mark.parametrize("spoilt", ["checkpoint", "first entry", "second entry"])
def test_what_is_said_can_be_done_with_buffers_in_flight(start_hydrant, missing_bucket, seaweed, spoilt):
    server = start_hydrant(environment=seaweed.environment)
    create_stream(server.client(), missing_bucket.arn, name="sick")
    folder = server.data / "streams" / "sick.stream"
    for number in range(2):
        put(server.client(), "sick", b"%d" % number)
        wait_until(lambda n=number: len(entries(folder)) == n + 1, "a buffer in flight")
    # Of the log's beginning, some is delivered.
    files = [folder / "log/delivery.checkpoint", *entries(folder)]
    path = files[["checkpoint", "first entry", "second entry"].index(spoilt)]
    spoil(server, str(path.relative_to(folder)))
    status, said = check(server)
    assert status == 1
    assert str(path) in said
    if spoilt == "checkpoint":
        assert f"and the files in {folder / 'in-flight'}:" in said
    behind = [each for each in entries(folder) if spoilt == "checkpoint" or each >= path]
    for each in {path, *behind}:
        each.unlink()
    assert check(server)[0] == 0
    missing_bucket.client.create_bucket(Bucket=missing_bucket.name)
    server.start()
    assert describe(server.client(), "sick")["DeliveryStreamStatus"] == "ACTIVE"
    missing_bucket.wait_for(b"01")


def entries(folder: Path) -> list[Path]:
    return sorted((folder / "in-flight").glob("*.json"))


def test_a_stream_in_quarantine_can_be_deleted(server):
    spoil(server, "stream.json")
    server.start()
    client = server.client()
    client.delete_delivery_stream(DeliveryStreamName="sick")
    assert client.list_delivery_streams()["DeliveryStreamNames"] == ["well"]
    create_stream(client, "arn:aws:s3:::sick", name="sick")
    put(client, "sick", b"anew")
    FolderBucket(server.data / "buckets", "sick").wait_for(b"anew")
