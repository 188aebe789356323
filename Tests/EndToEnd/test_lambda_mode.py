"""The mode `lambda`: handlers written for AWS, under AWS's own runtime interface client."""

import os
import re
import uuid

import pytest

from commands import run_hydrant
from transform_programs import IDENTITY, PYTHON_FIRST
from transforms import FAILED_ONCE, Flow, lambda_arn, lines
from waiting import wait_until

pytest_plugins = ["transform_fixtures"]

BLUEPRINT = """
import base64

print('Loading function')


def lambda_handler(event, context):
    output = []

    for record in event['records']:
        print(record['recordId'])
        payload = base64.b64decode(record['data']).decode('utf-8')

        # Do custom processing on the payload here
        payload = payload.upper()

        output_record = {
            'recordId': record['recordId'],
            'result': 'Ok',
            'data': base64.b64encode(payload.encode('utf-8')).decode('utf-8')
        }
        output.append(output_record)

    print('Successfully processed {} records.'.format(len(event['records'])))

    return {'records': output}
"""
"""AWS's blueprint of a Firehose function in Python, with one line of processing."""

CONTEXT = """
def handle(event):
    return {"records": [answer(each, content(each)) for each in event["records"]]}

def look(event, context):
    trace(request=context.aws_request_id, arn=context.invoked_function_arn,
          name=context.function_name, version=context.function_version,
          memory=context.memory_limit_in_mb, group=context.log_group_name,
          stream=context.log_stream_name, remaining=context.get_remaining_time_in_millis(),
          sent=event["invocationId"])
    return handle(event)
"""

def flow_of_handler(bench, source: str, *, settings: dict | None = None, **others) -> Flow:
    """A stream through a function whose `app.py` is `source` and nothing else."""
    name = bench.programs.write("lambda", IDENTITY, **settings or {})
    (bench.programs.folder / name / "app.py").write_text(source)
    return bench.flow(name, **others)


def failing_flow(bench, body: str, **others) -> Flow:
    """A stream through a function that traces events and fails in `body`'s own way."""
    return bench.flow_through("lambda", body, retries=1, settings={"concurrency": 1}, **others)


# MARK: Handlers


def test_a_handler_written_for_aws_runs_unchanged(bench):
    flow = flow_of_handler(bench, BLUEPRINT)
    for number in range(5):
        flow.put(*lines(100, f"blueprint {number} äöü"))
    flow.wait_for(b"".join(flow.records).decode().upper().encode())
    assert flow.settle().failed == []
    wait_until(
        lambda: "Loading function" in [each["line"] for each in flow.log("transform says")],
        "its prints in the log",
    )


def test_a_handler_gets_its_context(bench):
    settings = {
        "command": ["python3", "-m", "awslambdaric", "app.look"],
        "timeoutSeconds": 30,
        "memoryMiB": 700,
    }
    name = bench.programs.write("lambda", CONTEXT, **settings)
    flow = bench.flow(name, arn=lambda_arn(name))
    for record in lines(3):
        flow.put(record)
        flow.wait_for(b"".join(flow.records))
    contexts = bench.programs.traces(name, "request")
    assert len(contexts) == 3
    for each in contexts:
        assert str(uuid.UUID(each["request"])) == each["request"]
        assert each["arn"] == lambda_arn(name)
        assert (each["name"], each["version"], each["memory"]) == (name, "$LATEST", "700")
        assert each["group"] and each["stream"]
        assert 20_000 < each["remaining"] <= 30_000
    assert len({each["request"] for each in contexts}) == 3
    assert len({each["sent"] for each in contexts}) == 3


def test_a_handler_is_kept_warm(bench):
    flow = bench.flow_through("lambda", IDENTITY)
    for record in lines(10):
        flow.put(record)
        flow.wait_for(b"".join(flow.records))
    assert len(bench.programs.pids(flow.transform)) == 1


def test_an_event_and_a_response_may_have_five_megabytes(bench):
    """The handler adds to the response what makes it larger than the event."""
    body = """
def handle(event):
    found = [answer(each, content(each)) for each in event["records"]]
    return {"records": found, "filler": "x" * (6_291_556 - 1_000 - len(json.dumps(found)))}
"""
    flow = bench.flow_through("lambda", body, size=3, interval=2)
    flow.put(*[os.urandom(1_000_000) for _ in range(3)])
    flow.wait_for(b"".join(flow.records))
    assert max(each.bytes for each in bench.programs.events(flow.transform)) > 3_900_000


# MARK: Failures


def test_an_exception_is_a_failure_that_is_tried_again(bench):
    body = """
def handle(event):
    raise ValueError("the handler does not like it")
"""
    flow = failing_flow(bench, body)
    flow.put(*lines(3))
    flow.assert_retried_and_set_apart()
    assert "does not like it" in flow.log(FAILED_ONCE)[0]["error"]


def test_a_handler_that_comes_to_its_senses_is_answered(bench):
    body = """
def handle(event):
    if len(traced()) < 2:
        raise ValueError("not yet")
    return {"records": [answer(each, content(each)) for each in event["records"]]}
"""
    flow = failing_flow(bench, body)
    flow.put(*lines(3))
    assert flow.settle().delivered == lines(3)
    (transformed,) = flow.log("transformed")
    assert transformed["attempts"] == "2"


def test_a_process_that_ends_is_a_failure(bench):
    flow = failing_flow(bench, "def handle(event):\n    os._exit(0)\n")
    flow.put(*lines(3))
    flow.assert_retried_and_set_apart()
    assert len(bench.programs.pids(flow.transform)) == 2


def test_a_module_that_cannot_be_loaded_is_a_failure(bench):
    name = bench.programs.write("lambda", IDENTITY, concurrency=1)
    (bench.programs.folder / name / "app.py").write_text("import there_is_no_such_module\n")
    flow = bench.flow(name, retries=1)
    flow.put(*lines(3))
    flow.assert_retried_and_set_apart(sees_events=False)
    assert "there_is_no_such_module" in flow.log(FAILED_ONCE)[0]["error"]


def test_a_handler_that_takes_too_long_is_ended(bench):
    name = bench.programs.write(
        "lambda",
        "def handle(event):\n    time.sleep(600)\n",
        timeoutSeconds=1,
        concurrency=1,
    )
    flow = bench.flow(name, retries=1)
    flow.put(*lines(3))
    flow.assert_retried_and_set_apart()
    bench.programs.wait_until_dead(name)


def test_a_response_that_is_no_json_cannot_be_made_with_awslambdaric(bench):
    """What cannot be written as JSON is an error of the function."""
    flow = failing_flow(bench, "def handle(event):\n    return {1, 2}\n")
    flow.put(b"record\n")
    flow.assert_retried_and_set_apart()


# MARK: Speed


@pytest.mark.parametrize("mode", ["once", "worker", "lambda"])
def test_warm_invocations_are_measured(bench, tmp_path, report_counts, mode):
    """One tiny record each: what an invocation costs. Nothing is asserted about it."""
    name = bench.programs.write(mode, IDENTITY, concurrency=1)
    path = tmp_path / "input"
    path.write_bytes(b"record\n")
    folder = str(bench.programs.folder)
    arguments = ["--input", str(path), "--transforms", folder, "--bench", "--seconds", "1"]
    done = run_hydrant(None, "transform", "run", name, *arguments, PATH=PYTHON_FIRST)
    said = (done.stdout + done.stderr).decode()
    assert done.returncode == 0, said
    figures = re.search(r".* records/s, .* MB/s, p50 .* ms, p99 .* ms an invocation", said)
    assert figures, said
    report_counts(f"one tiny record an invocation, mode {mode}: {figures.group().strip()}")
