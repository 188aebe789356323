"""ProcessingConfiguration: what is refused and in which words, and how the rest is described."""

from collections.abc import Callable
from functools import partial

import pytest

from processors import (
    APPEND_DELIMITER,
    DECOMPRESSION,
    JSON_OBJECTS,
    LOG_MESSAGES,
    delimited,
    processor,
)
from streams import ROLE_ARN, create_stream, describe, fresh_name
from transform_programs import IDENTITY
from transforms import lambda_arn, lambda_processor, processing
from updates import assert_refused, described, update

pytest_plugins = ["transform_fixtures"]

BUCKET_ARN = "arn:aws:s3:::some-bucket"

PROGRAM = "program-that-is-there"

FUNCTION = lambda_processor(lambda_arn(PROGRAM))

EXTRACTION = "CloudWatchLogProcessing"

COUNT_MESSAGE = (
    "A maximum of 5 and a minimum of 1 processor needs to be supplied when processing is enabled."
)
ARN_MISSING = "LambdaArn is required when Lambda processor is used."
ONE_LAMBDA = "Cannot have more than 1 Lambda processor."
DUPLICATE = "Duplicate ProcessorParameter passed to ProcessingConfiguration."
BOTH_HINTS = (
    "Both BufferSizeInMBs and BufferIntervalInSeconds are required to configure buffering for "
    "lambda processor."
)
SIZE_RANGE = "BufferSizeInMBs for lambda processor must be between 0.2 and 3."
INTERVAL_RANGE = "BufferIntervalInSeconds for lambda processor must be between 0 and 900."
RETRY_RANGE = "Number of retries for lambda must be between 0 and 300."
INVALID_ARN = "Invalid lambda ARN."
GZIP_ONLY = "CompressionFormat has to be GZIP"
NEEDS_DECOMPRESSION = (
    "CloudWatchLogProcessingProcessor can only be enabled with DecompressionProcessor"
)
EXTRACTION_VALUES = (
    "Invalid parameter value for DataMessageExtraction. Allowed values are True and False."
)
SUB_RECORD_TYPES = "SubRecordType has to be one of JSON, DELIMITED"
NEEDS_DELIMITER = "Delimiter should be present for DELIMITED"


def function(**parameters) -> dict:
    """The transform that is there, with parameters."""
    given = {"LambdaArn": lambda_arn(PROGRAM)} | parameters
    named = [
        {"ParameterName": name, "ParameterValue": str(value)}
        for name, value in given.items()
        if value is not None
    ]
    return {"Type": "Lambda", "Parameters": named}


def sized(size: object = 1, interval: object = 60) -> dict:
    """The transform that is there, with a buffer of its own."""
    return function(BufferSizeInMBs=size, BufferIntervalInSeconds=interval)


def twice(given: dict) -> dict:
    """A processor whose first parameter is given twice."""
    return given | {"Parameters": [given["Parameters"][0], *given["Parameters"]]}


REFUSED = {
    "no processors": ([], COUNT_MESSAGE),
    "six processors": ([APPEND_DELIMITER] * 6, COUNT_MESSAGE),
    "no LambdaArn": ([processor("Lambda", NumberOfRetries=1)], ARN_MISSING),
    "no parameters": ([processor("Lambda")], ARN_MISSING),
    "two transforms": ([FUNCTION, FUNCTION], ONE_LAMBDA),
    "LambdaArn twice": ([twice(FUNCTION)], DUPLICATE),
    "CompressionFormat twice": ([twice(DECOMPRESSION)], DUPLICATE),
    "SubRecordType twice": ([twice(JSON_OBJECTS)], DUPLICATE),
    "a size alone": ([sized(interval=None)], BOTH_HINTS),
    "an interval alone": ([sized(size=None)], BOTH_HINTS),
    **{
        f"size {size}": ([sized(size=size)], SIZE_RANGE)
        for size in ("0.1", "0.19", "3.01", "4", "-1", "0", "much", "nan", "inf", "1e99")
    },
    **{
        f"interval {interval}": ([sized(interval=interval)], INTERVAL_RANGE)
        for interval in ("-1", "901", "99999999999999999999", "soon")
    },
    **{
        f"retries {retries}": ([function(NumberOfRetries=retries)], RETRY_RANGE)
        for retries in ("-1", "301", "99999999999999999999", "often")
    },
    **{
        f"ARN {name!r:.30}": ([lambda_processor(name)], INVALID_ARN)
        for name in (
            "..",
            ".",
            "../program",
            "folder/program",
            "/bin/cat",
            ".hidden",
            "-rf",
            "two words",
            "tab\there",
            "zero\0byte",
            "ünïcödé",
            "x" * 65,
            "$(reboot)",
            lambda_arn("../program"),
            lambda_arn(".."),
            lambda_arn("a/b"),
            lambda_arn(""),
            lambda_arn("x" * 65),
            "arn:aws:lambda:us-east-1:000000000000",
            "arn:aws:s3:::bucket",
        )
    },
    "ZIP": ([processor("Decompression", CompressionFormat="ZIP")], GZIP_ONLY),
    "Snappy": ([processor("Decompression", CompressionFormat="Snappy")], GZIP_ONLY),
    "extraction alone": ([LOG_MESSAGES], NEEDS_DECOMPRESSION),
    "no extraction": ([DECOMPRESSION, processor(EXTRACTION)], EXTRACTION_VALUES),
    "extraction maybe": (
        [DECOMPRESSION, processor(EXTRACTION, DataMessageExtraction="maybe")],
        EXTRACTION_VALUES,
    ),
    "no SubRecordType": ([processor("RecordDeAggregation")], SUB_RECORD_TYPES),
    "SubRecordType XML": (
        [processor("RecordDeAggregation", SubRecordType="XML")],
        SUB_RECORD_TYPES,
    ),
    "no Delimiter": (
        [processor("RecordDeAggregation", SubRecordType="DELIMITED")],
        NEEDS_DELIMITER,
    ),
}
"""What makes a configuration a wrong one, with the whole message."""

UNREADABLE_DELIMITERS = ["\\n", "|", "=", "====", "abc", "Zm9v!", "Zm 9v"]
"""What is not base64."""

Refuse = Callable[..., str]
"""Has a configuration refused, with these words in the message; returns the message."""


@pytest.fixture(params=["create", "update"])
def refuse(request, bench) -> Refuse:
    """Has a configuration refused as a stream is created, or updated: then nothing changes."""
    if not (bench.programs.folder / PROGRAM).exists():
        bench.programs.write("once", IDENTITY, name=PROGRAM)
    client = bench.hydrant.client()

    def create(*processors: dict, words: tuple[str, ...] = ()) -> str:
        name = fresh_name()
        call = partial(create_stream, client, BUCKET_ARN, name=name, **processing(*processors))
        message = assert_refused("InvalidArgumentException", call, *words)
        assert name not in client.list_delivery_streams(Limit=10_000)["DeliveryStreamNames"]
        return message

    def change(*processors: dict, words: tuple[str, ...] = ()) -> str:
        stream = create_stream(client, BUCKET_ARN, **processing(APPEND_DELIMITER))
        before = describe(client, stream)
        call = partial(update, client, stream, **processing(*processors))
        message = assert_refused("InvalidArgumentException", call, *words)
        assert describe(client, stream) == before
        return message

    return create if request.param == "create" else change


# MARK: Refused


@pytest.mark.parametrize("case", REFUSED)
def test_a_wrong_configuration_is_refused_in_awss_words(refuse, case):
    processors, expected = REFUSED[case]
    assert refuse(*processors) == expected


@pytest.mark.parametrize("delimiter", UNREADABLE_DELIMITERS)
def test_a_delimiter_that_is_not_base64_is_refused(refuse, delimiter):
    given = processor("RecordDeAggregation", SubRecordType="DELIMITED", Delimiter=delimiter)
    assert refuse(given).startswith("Delimiter")


def test_metadata_extraction_is_refused_by_name(refuse):
    given = processor(
        "MetadataExtraction",
        MetadataExtractionQuery="{customer:.customer}",
        JsonParsingEngine="JQ-1.6",
    )
    refuse(given, words=("MetadataExtraction",))
    refuse(APPEND_DELIMITER, given, words=("MetadataExtraction",))


def test_a_transform_that_is_not_there_is_refused_by_name(refuse):
    message = refuse(lambda_processor(lambda_arn("no-such-program")), words=("no-such-program",))
    assert message.startswith("LambdaArn: ")


def test_a_program_that_cannot_be_executed_is_refused_by_name(refuse, bench):
    path = bench.programs.folder / "not-executable"
    path.write_text("#!/bin/sh\n")
    path.chmod(0o644)
    message = refuse(lambda_processor(lambda_arn(path.name)), words=(path.name,))
    assert message.startswith("LambdaArn: ")


@pytest.mark.parametrize(
    ("text", "word"),
    [
        (None, "transform.json"),
        ("", "transform.json"),
        ("{", "transform.json"),
        ("[]", "transform.json"),
        ("{}", "command"),
        ('{"command": []}', "command"),
        ('{"command": "cat"}', "command"),
        ('{"command": [1]}', "command"),
        ('{"command": ["cat"], "mode": "twice"}', "mode"),
        ('{"command": ["cat"], "concurrency": 0}', "concurrency"),
        ('{"command": ["cat"], "concurrency": 101}', "concurrency"),
        ('{"command": ["cat"], "timeoutSeconds": 901}', "timeoutSeconds"),
        ('{"command": ["cat"], "timeoutSeconds": "5"}', "timeoutSeconds"),
        ('{"command": ["cat"], "memoryMiB": 15}', "memoryMiB"),
        ('{"command": ["cat"], "memoryMiB": 65537}', "memoryMiB"),
        ('{"command": ["cat"], "environment": {"NAME": 1}}', "environment"),
        ('{"command": ["cat"], "timeout": 5}', "timeout"),
    ],
    ids=str,
)
def test_a_transform_that_is_not_set_up_right_is_refused_by_name(refuse, bench, text, word):
    name = fresh_name("folder")
    (bench.programs.folder / name).mkdir()
    if text is not None:
        bench.programs.configure_text(name, text)
    message = refuse(lambda_processor(lambda_arn(name)), words=(name, word))
    assert message.startswith("LambdaArn: ")


# MARK: Taken and described


def configured(client, *processors: dict, **members) -> dict:
    """How a stream with processors is described: their parameters in order, by type."""
    stream = create_stream(client, BUCKET_ARN, **processing(*processors), **members)
    found = described(client, stream)["ProcessingConfiguration"]
    assert found["Enabled"] is True
    return {
        each["Type"]: [(p["ParameterName"], p["ParameterValue"]) for p in each["Parameters"]]
        for each in found["Processors"]
    }


@pytest.fixture
def client(bench):
    """A client of the module's server, which has a transform."""
    if not (bench.programs.folder / PROGRAM).exists():
        bench.programs.write("once", IDENTITY, name=PROGRAM)
    return bench.hydrant.client()


@pytest.mark.parametrize(
    "arn",
    [
        PROGRAM,
        lambda_arn(PROGRAM),
        lambda_arn(PROGRAM, "$LATEST"),
        lambda_arn(PROGRAM, "12"),
        f"arn:aws:lambda:eu-central-1:123456789012:function:{PROGRAM}",
    ],
)
def test_a_transform_is_described_with_all_its_parameters(client, arn):
    """In AWS's order, its name as it was given."""
    assert configured(client, lambda_processor(arn)) == {
        "Lambda": [
            ("LambdaArn", arn),
            ("NumberOfRetries", "3"),
            ("RoleArn", ROLE_ARN),
            ("BufferSizeInMBs", "1"),
            ("BufferIntervalInSeconds", "60"),
        ]
    }


def test_parameters_that_are_given_stay_and_are_put_in_order(client):
    given = processor(
        "Lambda",
        BufferIntervalInSeconds="900",
        BufferSizeInMBs="0.2",
        RoleArn=f"{ROLE_ARN}-of-the-transform",
        NumberOfRetries="0",
        LambdaArn=PROGRAM,
    )
    assert configured(client, given) == {
        "Lambda": [
            ("LambdaArn", PROGRAM),
            ("NumberOfRetries", "0"),
            ("RoleArn", f"{ROLE_ARN}-of-the-transform"),
            ("BufferSizeInMBs", "0.2"),
            ("BufferIntervalInSeconds", "900"),
        ]
    }


@pytest.mark.parametrize(
    ("size", "interval", "retries"), [("0.2", "0", "0"), ("3", "900", "300"), ("1.5", "1", "1")]
)
def test_values_at_the_edges_are_taken(client, size, interval, retries):
    given = function(
        NumberOfRetries=retries, BufferSizeInMBs=size, BufferIntervalInSeconds=interval
    )
    found = dict(configured(client, given)["Lambda"])
    assert found["BufferSizeInMBs"] == size
    assert found["BufferIntervalInSeconds"] == interval
    assert found["NumberOfRetries"] == retries


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (processor("AppendDelimiterToRecord", Delimiter="\\n"), []),
        (processor("AppendDelimiterToRecord"), []),
        ({"Type": "AppendDelimiterToRecord"}, []),
        (processor("Decompression"), [("CompressionFormat", "GZIP")]),
        (DECOMPRESSION, [("CompressionFormat", "GZIP")]),
        (JSON_OBJECTS, [("SubRecordType", "JSON")]),
        (delimited(b"||"), [("SubRecordType", "DELIMITED"), ("Delimiter", "fHw=")]),
    ],
    ids=str,
)
def test_built_in_processors_are_described_with_their_parameters(client, given, expected):
    assert configured(client, given) == {given["Type"]: expected}


def test_parameters_that_a_type_does_not_take_are_dropped(client):
    foreign = {"JsonParsingEngine": "JQ-1.6", "MetadataExtractionQuery": "{a:.a}"}
    unpack = processor("Decompression", CompressionFormat="GZIP", SubRecordType="XML")
    split = processor("RecordDeAggregation", SubRecordType="JSON", NumberOfRetries=999)
    found = configured(client, function(SubRecordType="XML", **foreign), unpack, split)
    names = {kind: [name for name, _ in parameters] for kind, parameters in found.items()}
    assert names["Decompression"] == ["CompressionFormat"]
    assert names["RecordDeAggregation"] == ["SubRecordType"]
    assert names["Lambda"] == [
        "LambdaArn",
        "NumberOfRetries",
        "RoleArn",
        "BufferSizeInMBs",
        "BufferIntervalInSeconds",
    ]


def test_five_processors_are_described_in_the_order_in_which_they_were_given(client):
    given = [APPEND_DELIMITER, FUNCTION, JSON_OBJECTS, LOG_MESSAGES, DECOMPRESSION]
    assert list(configured(client, *given)) == [each["Type"] for each in given]


def test_processing_that_is_not_enabled_needs_no_processors(client):
    stream = create_stream(client, BUCKET_ARN, **processing(enabled=False))
    found = described(client, stream)["ProcessingConfiguration"]
    assert found == {"Enabled": False, "Processors": []}


def test_the_same_processors_again_make_no_new_version(client):
    """Neither as they were given, nor as they are described."""
    stream = create_stream(client, BUCKET_ARN, **processing(FUNCTION, APPEND_DELIMITER))
    before = describe(client, stream)
    update(client, stream, **processing(FUNCTION, APPEND_DELIMITER))
    assert describe(client, stream) == before
    whole = described(client, stream)["ProcessingConfiguration"]
    update(client, stream, ProcessingConfiguration=whole)
    assert describe(client, stream) == before


def test_an_update_replaces_the_processors(client):
    stream = create_stream(client, BUCKET_ARN, **processing(APPEND_DELIMITER, JSON_OBJECTS))
    update(client, stream, **processing(FUNCTION))
    found = described(client, stream)["ProcessingConfiguration"]["Processors"]
    assert [each["Type"] for each in found] == ["Lambda"]
    assert describe(client, stream)["VersionId"] == "2"
