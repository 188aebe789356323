"""The AWS CLI, as a person at a terminal uses it."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from server import REGION
from streams import destination, fresh_name

Run = Callable[..., subprocess.CompletedProcess]


@pytest.fixture
def aws(hydrant) -> Run:
    """Runs `aws firehose ...` against the shared server."""
    program = Path(sys.executable).parent / "aws"
    environment = os.environ | {
        "AWS_ACCESS_KEY_ID": "producer",
        "AWS_SECRET_ACCESS_KEY": "producer-secret",
        "AWS_DEFAULT_REGION": REGION,
        "AWS_MAX_ATTEMPTS": "1",
        "AWS_PAGER": "",
    }

    def run(*arguments: str) -> subprocess.CompletedProcess:
        return subprocess.run(
            [program, "firehose", *arguments, "--endpoint-url", hydrant.endpoint],
            env=environment,
            capture_output=True,
            text=True,
            timeout=60,
        )

    return run


def answer(done: subprocess.CompletedProcess) -> dict:
    """What a command that must succeed printed."""
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout or "{}")


def test_a_stream_lives_its_whole_life_from_the_command_line(aws, folder_bucket):
    name = fresh_name()
    configuration = json.dumps(destination(folder_bucket.arn, CompressionFormat="GZIP"))
    create = (
        *("create-delivery-stream", "--delivery-stream-name", name),
        *("--extended-s3-destination-configuration", configuration),
    )
    created = answer(aws(*create))
    described = answer(aws("describe-delivery-stream", "--delivery-stream-name", name))
    description = described["DeliveryStreamDescription"]
    assert description["DeliveryStreamARN"] == created["DeliveryStreamARN"]
    assert description["DeliveryStreamStatus"] == "ACTIVE"
    listed = answer(aws("list-delivery-streams", "--limit", "10000"))
    assert name in listed["DeliveryStreamNames"]

    one = answer(aws("put-record", "--delivery-stream-name", name, "--record", "Data=one;"))
    assert one["RecordId"]
    batch = json.dumps([{"Data": "two;"}, {"Data": "three;"}])
    many = answer(aws("put-record-batch", "--delivery-stream-name", name, "--records", batch))
    assert many["FailedPutCount"] == 0
    assert len(many["RequestResponses"]) == 2
    folder_bucket.wait_for(b"one;two;three;")

    answer(aws("delete-delivery-stream", "--delivery-stream-name", name))
    gone = aws("describe-delivery-stream", "--delivery-stream-name", name)
    assert gone.returncode != 0
    assert "ResourceNotFoundException" in gone.stderr


def test_errors_are_shown_with_their_name_and_message(aws):
    failed = aws("put-record", "--delivery-stream-name", "nobody", "--record", "Data=x")
    assert failed.returncode != 0
    assert "(ResourceNotFoundException)" in failed.stderr
    assert "Firehose nobody under account" in failed.stderr
