"""`hydrant serve --streams`: declared streams with processors and source backup."""

import json
from pathlib import Path

import pytest

from buckets import FolderBucket
from processed import transform_at_once
from processors import (
    APPEND_DELIMITER,
    DECOMPRESSION,
    LOG_MESSAGES,
    backup,
    packed_log,
    processor,
)
from streams import describe, destination, put
from transform_programs import UPPER, Programs
from transforms import lambda_processor, processing
from updates import described

NAME = "declared"


def declare(path: Path, *processors: dict, **members) -> Path:
    """Writes a file with one stream that has processors; returns its path."""
    given = destination("arn:aws:s3:::main", **processing(*processors), **members)
    declared = {"DeliveryStreamName": NAME, "ExtendedS3DestinationConfiguration": given}
    path.write_text(json.dumps(declared))
    return path


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Where a test's stream is declared."""
    return tmp_path / "streams.json"


@pytest.fixture
def programs(tmp_path: Path) -> Programs:
    """The folder of a test's transforms."""
    return Programs(tmp_path)


def bucket(hydrant, name: str) -> FolderBucket:
    """A bucket of the server's embedded default."""
    return FolderBucket(hydrant.data / "buckets", name)


def test_declared_processors_and_backup_do_their_work(start_hydrant, file, programs):
    name = programs.write("once", UPPER)
    function = transform_at_once(name)
    processors = [function, LOG_MESSAGES, DECOMPRESSION]
    declare(file, *processors, **backup("arn:aws:s3:::copies", CompressionFormat="GZIP"))
    hydrant = start_hydrant("--streams", str(file), *programs.options)
    record = packed_log("a", "b")
    put(hydrant.client(), NAME, record)
    bucket(hydrant, "main").wait_for(b"A\nB\n")
    copies = bucket(hydrant, "copies")
    (key,) = copies.wait_for_objects(1)
    # The object is compressed, and so is the record in it.
    assert copies.content(key) == record


def test_another_start_changes_nothing(start_hydrant, file, programs):
    name = programs.write("once", UPPER)
    declare(file, lambda_processor(name), APPEND_DELIMITER, **backup("arn:aws:s3:::copies"))
    hydrant = start_hydrant("--streams", str(file), *programs.options)
    before = describe(hydrant.client(), NAME)
    for stop in (hydrant.sigterm, hydrant.sigkill):
        stop()
        hydrant.start()
        assert describe(hydrant.client(), NAME) == before


def test_changed_processors_make_a_new_version(start_hydrant, file):
    declare(file, APPEND_DELIMITER)
    hydrant = start_hydrant("--streams", str(file))
    declare(file, DECOMPRESSION)
    hydrant.restart()
    found = described(hydrant.client(), NAME)["ProcessingConfiguration"]["Processors"]
    assert [each["Type"] for each in found] == ["Decompression"]
    assert describe(hydrant.client(), NAME)["VersionId"] == "2"


@pytest.mark.parametrize(
    ("processors", "words"),
    [
        ([], ["A maximum of 5 and a minimum of 1"]),
        ([processor("Lambda")], ["LambdaArn is required"]),
        ([lambda_processor("../escape")], ["Invalid lambda ARN."]),
        ([lambda_processor("no-such-program")], ["LambdaArn: ", "no-such-program"]),
        ([LOG_MESSAGES], ["can only be enabled with DecompressionProcessor"]),
        ([processor("RecordDeAggregation", SubRecordType="XML")], ["SubRecordType has to be"]),
        ([{"Type": "NoSuchProcessor"}], ["rocessors"]),
    ],
    ids=str,
)
def test_wrong_processors_stop_the_start(make_hydrant, file, programs, processors, words):
    """The message names the file and the stream, too."""
    declare(file, *processors)
    hydrant = make_hydrant("--streams", str(file), *programs.options)
    said = hydrant.refusal_to_start()
    for word in (file.name, NAME, *words):
        assert word in said
