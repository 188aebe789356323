"""Streams and their processors: what is taken, what is refused and with which words, what shows."""

import json
import threading

import pytest

from streams import ROLE_ARN, create_stream, describe, put
from transform_programs import FAILING, IDENTITY, UPPER
from transforms import Flow, lambda_arn, lambda_processor, lines, processing
from updates import assert_refused, described, update
from waiting import wait_until

pytest_plugins = ["transform_fixtures"]

BUCKET_ARN = "arn:aws:s3:::some-bucket"

INVALID = "InvalidArgumentException"


def parameter(name: str, value: str) -> dict:
    """One parameter of a processor."""
    return {"ParameterName": name, "ParameterValue": value}


def processor_of(kind: str, *parameters: dict) -> dict:
    """A processor with parameters as they are."""
    return {"Type": kind, "Parameters": list(parameters)}


def assert_nobody_takes(bench, processors: list[dict], *words: str) -> None:
    """Checks that CreateDeliveryStream and UpdateDestination both refuse processors."""
    client = bench.client
    before = client.list_delivery_streams(Limit=1_000)["DeliveryStreamNames"]
    members = processing(*processors)
    assert_refused(INVALID, lambda: create_stream(client, BUCKET_ARN, **members), *words)
    assert client.list_delivery_streams(Limit=1_000)["DeliveryStreamNames"] == before

    stream = create_stream(client, BUCKET_ARN)
    state = describe(client, stream)
    assert_refused(INVALID, lambda: update(client, stream, **members), *words)
    assert describe(client, stream) == state
    client.delete_delivery_stream(DeliveryStreamName=stream)


# MARK: What shows


def test_describe_shows_the_processors(bench):
    name = bench.programs.write("once", IDENTITY)
    wanted = processing(
        processor_of(
            "Lambda",
            parameter("LambdaArn", lambda_arn(name, "$LATEST")),
            parameter("NumberOfRetries", "300"),
            parameter("RoleArn", ROLE_ARN),
            parameter("BufferSizeInMBs", "0.2"),
            parameter("BufferIntervalInSeconds", "900"),
        )
    )
    stream = create_stream(bench.client, BUCKET_ARN, **wanted)
    assert described(bench.client, stream)["ProcessingConfiguration"] == (
        wanted["ProcessingConfiguration"]
    )


def test_configurations_outlive_the_server(start_bench):
    bench = start_bench()
    flow = bench.flow_through("worker", UPPER, retries=0)
    before = describe(bench.client, flow.stream)
    bench.hydrant.sigkill()
    bench.hydrant.start()
    assert describe(bench.client, flow.stream) == before
    flow.put(b"record")
    flow.wait_for(b"RECORD")


@pytest.mark.parametrize(
    "values",
    [
        {"NumberOfRetries": "0", "BufferSizeInMBs": "0.2", "BufferIntervalInSeconds": "0"},
        {"NumberOfRetries": "300", "BufferSizeInMBs": "3", "BufferIntervalInSeconds": "900"},
        {"BufferSizeInMBs": "1.0"},
        {"BufferSizeInMBs": "2.75"},
    ],
    ids=str,
)
def test_values_at_the_edges_are_taken(bench, values):
    name = bench.programs.write("once", IDENTITY)
    create_stream(bench.client, BUCKET_ARN, **processing(lambda_processor(name, **values)))


# MARK: Refused


def test_a_lambda_needs_its_arn(bench):
    assert_nobody_takes(bench, [processor_of("Lambda")], "LambdaArn")
    retries = parameter("NumberOfRetries", "1")
    assert_nobody_takes(bench, [processor_of("Lambda", retries)], "LambdaArn")


def test_two_processors_of_one_type_are_refused(bench):
    processors = [lambda_processor(bench.programs.write("once", IDENTITY)) for _ in range(2)]
    assert_nobody_takes(bench, processors, "Lambda")


def test_extraction_of_metadata_is_refused(bench):
    query = parameter("MetadataExtractionQuery", "{a: .a}")
    engine = parameter("JsonParsingEngine", "JQ-1.6")
    processor = processor_of("MetadataExtraction", query, engine)
    assert_nobody_takes(bench, [processor], "MetadataExtraction")


@pytest.mark.parametrize(
    "name",
    [
        "..",
        ".",
        "../outside",
        "inside/../../outside",
        "/bin/cat",
        "a/b",
        ".hidden",
        "-option",
        "white space",
        "ünïcödé",
        "x" * 65,
        "a:b:c",
    ],
)
def test_nothing_outside_the_folder_can_be_named(bench, name):
    """Not even if it is there: bare and in an ARN."""
    (bench.programs.folder.parent / "outside").write_text("#!/bin/sh\n")
    (bench.programs.folder.parent / "outside").chmod(0o755)
    for arn in (name, lambda_arn(name)):
        assert_nobody_takes(bench, [lambda_processor(arn)], "Invalid lambda ARN.")


@pytest.mark.parametrize(
    "arn",
    [
        "arn:aws:lambda:us-east-1:000000000000:function:",
        "arn:aws:lambda:us-east-1:000000000000:layer:{name}",
        "arn:aws:s3:::{name}",
        "arn:aws:lambda:{name}",
    ],
)
def test_what_is_no_arn_of_a_function_is_refused(bench, arn):
    name = bench.programs.write("once", IDENTITY)
    assert_nobody_takes(bench, [lambda_processor(arn.format(name=name))], "Invalid lambda ARN.")


def test_a_program_must_be_there_and_executable(bench):
    assert_nobody_takes(bench, [lambda_processor("not-there")], "not-there")
    name = bench.programs.write("once", IDENTITY)
    (bench.programs.folder / name).chmod(0o644)
    assert_nobody_takes(bench, [lambda_processor(name)], name, "executable")
    (bench.programs.folder / "empty").mkdir(exist_ok=True)
    assert_nobody_takes(bench, [lambda_processor("empty")], "empty", "transform.json")


COMMAND = {"command": ["python3", "app.py"]}


@pytest.mark.parametrize(
    ("settings", "word"),
    [
        ({}, "command"),
        ({"command": []}, "command"),
        ({"command": "python3 app.py"}, "command"),
        ({"command": ["python3", 1]}, "command"),
        ({"command": [""]}, "command"),
        (COMMAND | {"mode": "often"}, "mode"),
        (COMMAND | {"mode": 1}, "mode"),
        (COMMAND | {"concurrency": 0}, "concurrency"),
        (COMMAND | {"concurrency": 101}, "concurrency"),
        (COMMAND | {"concurrency": "5"}, "concurrency"),
        (COMMAND | {"concurrency": 1.5}, "concurrency"),
        (COMMAND | {"timeoutSeconds": 0}, "timeoutSeconds"),
        (COMMAND | {"timeoutSeconds": 901}, "timeoutSeconds"),
        (COMMAND | {"memoryMiB": 15}, "memoryMiB"),
        (COMMAND | {"memoryMiB": 65_537}, "memoryMiB"),
        (COMMAND | {"openFiles": -1}, "openFiles"),
        (COMMAND | {"recycleAfter": 0}, "recycleAfter"),
        (COMMAND | {"environment": ["A=1"]}, "environment"),
        (COMMAND | {"environment": {"A": 1}}, "environment"),
        (COMMAND | {"timeout": 3}, "timeout"),
        (COMMAND | {"Mode": "once"}, "Mode"),
    ],
    ids=str,
)
def test_a_wrong_configuration_is_refused_with_its_key(bench, settings, word):
    name = bench.programs.write_folder("")
    bench.programs.configure(name, **settings)
    assert_nobody_takes(bench, [lambda_processor(name)], name, word)


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "null", json.dumps(COMMAND) + "}", '{"command": ["a"],}'], ids=repr
)
def test_a_configuration_that_is_no_json_object_is_refused(bench, text):
    name = bench.programs.write_folder("")
    bench.programs.configure_text(name, text)
    assert_nobody_takes(bench, [lambda_processor(name)], name, "transform.json")


# MARK: Updates


def test_an_update_replaces_the_program(bench):
    flow = bench.flow_through("worker", UPPER)
    flow.put(b"first ")
    flow.wait_for(b"FIRST ")
    name = bench.programs.write("worker", IDENTITY)
    changed = processing(lambda_processor(name, BufferIntervalInSeconds=0))
    update(bench.client, flow.stream, **changed)
    flow.put(b"second")
    flow.wait_for(b"FIRST second")
    bench.programs.wait_until_dead(flow.transform)


def test_an_update_without_a_word_about_processing_keeps_it(bench):
    flow = bench.flow_through("worker", UPPER)
    before = described(bench.client, flow.stream)["ProcessingConfiguration"]
    update(bench.client, flow.stream, Prefix="elsewhere/")
    assert described(bench.client, flow.stream)["ProcessingConfiguration"] == before
    flow.put(b"record")
    flow.wait_for(b"RECORD")


def test_a_stream_whose_program_fails_can_be_helped_by_an_update(bench):
    """What failed before stays failed; what comes after goes through the better program."""
    flow = bench.flow_through("worker", FAILING, retries=0)
    flow.put(b"before\n")
    flow.wait_for_failures(1)
    name = bench.programs.write("worker", UPPER)
    changed = processing(lambda_processor(name, BufferIntervalInSeconds=0))
    update(bench.client, flow.stream, **changed)
    flow.put(b"after\n")
    flow.wait_for(b"AFTER\n")
    assert [each.raw for each in flow.failures()] == [b"before\n"]


def test_switching_it_on_and_off_loses_and_doubles_no_record(bench):
    """A producer puts all the while. Every record arrives once, changed or not, each sort in order."""
    name = bench.programs.write("worker", UPPER)
    processor = lambda_processor(name, BufferIntervalInSeconds=0)
    bucket = bench.bucket()
    stream = create_stream(bench.client, bucket.arn)
    flow = Flow(bench.hydrant, bench.programs, name, bucket, stream)
    done = threading.Event()

    def produce() -> None:
        try:
            for record in lines(1_000):
                put(bench.client, stream, record)
        finally:
            done.set()

    producer = threading.Thread(target=produce)
    producer.start()
    version = 1
    while not done.is_set() or version < 21:
        switched = processing(processor, enabled=version % 2 == 1)
        update(bench.client, stream, str(version), **switched)
        moment = len(flow.output())
        # Some records go each way before the next turn.
        wait_until(lambda now=moment: len(flow.output()) > now or done.is_set(), "records")
        version += 1
    producer.join()

    wait_until(lambda: flow.output().count(b"\n") >= 1_000, "1,000 records")
    found = flow.output().splitlines(keepends=True)
    assert sorted(each.lower() for each in found) == sorted(lines(1_000))
    # What was changed takes a longer way than what was not: only within each is there an order.
    changed = [each.lower() for each in found if each.startswith(b"RECORD")]
    unchanged = [each for each in found if each.startswith(b"record")]
    place = {record: number for number, record in enumerate(lines(1_000))}
    assert changed == sorted(changed, key=place.__getitem__)
    assert unchanged == sorted(unchanged, key=place.__getitem__)
    assert changed and unchanged
    assert flow.failures() == []
