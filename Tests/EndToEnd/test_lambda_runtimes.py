"""Runtimes of one's own, which speak AWS's Runtime API to the server: what they are told."""

import os
import re
import time
import uuid

import pytest

from transforms import FAILED_ONCE, FUNCTION_ERROR, Flow, lambda_arn, lines

pytest_plugins = ["transform_fixtures"]

LAMBDA_VARIABLES = {
    "AWS_LAMBDA_RUNTIME_API",
    "_HANDLER",
    "LAMBDA_TASK_ROOT",
    "AWS_LAMBDA_FUNCTION_NAME",
    "AWS_LAMBDA_FUNCTION_VERSION",
    "AWS_LAMBDA_FUNCTION_MEMORY_SIZE",
    "AWS_REGION",
    "AWS_DEFAULT_REGION",
    "AWS_LAMBDA_INITIALIZATION_TYPE",
    "AWS_LAMBDA_LOG_GROUP_NAME",
    "AWS_LAMBDA_LOG_STREAM_NAME",
    "TZ",
    "PATH",
    "LANG",
    "HYDRANT_STREAM",
    "HYDRANT_TRANSFORM",
    "OWN",
}

BOOTSTRAP = """
import http.client

NEXT = "/2018-06-01/runtime/invocation/next"

def call(method, path, body=None, **headers):
    connection.request(method, path, body, headers)
    response = connection.getresponse()
    return response.status, response.headers, response.read()

connection = http.client.HTTPConnection(os.environ["AWS_LAMBDA_RUNTIME_API"])
while True:
    status, headers, text = call("GET", NEXT)
    assert status == 200, status
    event = json.loads(text)
    trace_event(event, len(text))
    identity = headers["Lambda-Runtime-Aws-Request-Id"]
    response = {"records": [answer(each, content(each)) for each in event["records"]]}
    path = f"/2018-06-01/runtime/invocation/{identity}/response"
"""
"""A runtime up to the point at which it has the answer to an invocation, in `response`."""

RESPOND = "    trace(status=call('POST', path, json.dumps(response))[0])\n"


def flow_of_bootstrap(bench, source: str, *, settings: dict | None = None, **others) -> Flow:
    """A stream through an executable `bootstrap` in Python."""
    command = {"command": ["python3", "-SE", "app.py", "own.handler"]}
    name = bench.programs.write_folder(
        source, mode="lambda", **command | {"concurrency": 1} | (settings or {})
    )
    return bench.flow(name, **others)


def test_a_runtime_is_told_what_the_api_promises(start_bench):
    secret = {"AWS_SECRET_ACCESS_KEY": "of-the-server", "OTHER": "x"}
    bench = start_bench("--local-buckets", "data/buckets", environment=secret)
    body = BOOTSTRAP + "    trace(headers=dict(headers.items()))\n" + RESPOND
    body = "trace(environment=dict(os.environ))\n" + body
    settings = {"environment": {"OWN": "own"}, "timeoutSeconds": 60, "memoryMiB": 300}
    flow = flow_of_bootstrap(bench, body, settings=settings)
    before = time.time() * 1_000
    flow.put(*lines(3))
    assert flow.settle().delivered == lines(3)
    after = time.time() * 1_000

    (seen,) = (each["environment"] for each in bench.programs.traces(flow.transform, "environment"))
    assert set(seen) == LAMBDA_VARIABLES
    folder = bench.programs.folder / flow.transform
    assert os.path.samefile(seen["LAMBDA_TASK_ROOT"], folder)
    assert re.fullmatch(r"127\.0\.0\.1:\d+", seen["AWS_LAMBDA_RUNTIME_API"])
    wanted = {
        "_HANDLER": "own.handler",
        "AWS_LAMBDA_FUNCTION_NAME": flow.transform,
        "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "300",
        "AWS_REGION": "us-east-1",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_LAMBDA_INITIALIZATION_TYPE": "on-demand",
        "TZ": ":UTC",
        "HYDRANT_STREAM": flow.stream,
        "HYDRANT_TRANSFORM": flow.transform,
        "OWN": "own",
    }
    assert {name: seen[name] for name in wanted} == wanted

    (traced,) = bench.programs.traces(flow.transform, "headers")
    headers = {name.lower(): value for name, value in traced["headers"].items()}
    assert headers["lambda-runtime-invoked-function-arn"] == lambda_arn(flow.transform)
    assert uuid.UUID(headers["lambda-runtime-aws-request-id"])
    deadline = int(headers["lambda-runtime-deadline-ms"])
    assert before + 60_000 - 1 <= deadline <= after + 60_000 + 1
    assert headers["content-type"] == "application/json"
    (posted,) = bench.programs.wait_for_traces(flow.transform, "status")
    assert posted["status"] == 202


@pytest.mark.parametrize("path", ["response", "error"])
def test_unknown_request_ids_are_refused(bench, path):
    """Those of others, and its own once it has answered. The invocation is not harmed."""
    body = BOOTSTRAP + f"""
    def strange(name):
        where = f"/2018-06-01/runtime/invocation/{{name}}/{path}"
        return call("POST", where, json.dumps({{"records": []}}))[0]
    before = [strange(name) for name in ("unknown", "00000000-0000-4000-8000-000000000000")]
    good = call("POST", path, json.dumps(response))[0]
    trace(before=before, good=good, again=strange(identity))
"""
    flow = flow_of_bootstrap(bench, body)
    flow.put(*lines(3))
    assert flow.settle().delivered == lines(3)
    (seen,) = bench.programs.wait_for_traces(flow.transform, "again")
    assert (seen["before"], seen["good"], seen["again"]) == ([400, 400], 202, 400)


def test_a_response_that_is_too_large_is_refused_and_fails(bench):
    """The runtime looks for the answer while it sends, so that no reset can hide it."""
    body = "import select\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\n" + BOOTSTRAP + """
    connection.putrequest("POST", path)
    connection.putheader("Content-Length", str(7_000_000))
    connection.endheaders()
    for _ in range(70):
        if select.select([connection.sock], [], [], 0.01)[0]:
            break
        connection.send(b"x" * 100_000)
    trace(status=connection.getresponse().status)
"""
    flow = flow_of_bootstrap(bench, body, retries=0)
    flow.put(*lines(3))
    assert {each.code for each in flow.wait_for_failures(3)} == {FUNCTION_ERROR}
    (seen,) = bench.programs.wait_for_traces(flow.transform, "status")
    assert seen["status"] == 413


def test_the_largest_response_is_taken(bench):
    body = BOOTSTRAP + """
    text = json.dumps(response | {"filler": ""})
    text = json.dumps(response | {"filler": "x" * (6_291_556 - len(text))})
    trace(status=call("POST", path, text)[0], length=len(text))
"""
    flow = flow_of_bootstrap(bench, body)
    flow.put(*lines(3))
    assert flow.settle().delivered == lines(3)
    (seen,) = bench.programs.wait_for_traces(flow.transform, "status")
    assert (seen["status"], seen["length"]) == (202, 6_291_556)


def test_a_runtime_reports_errors(bench):
    body = BOOTSTRAP + """
    error = {"errorMessage": "my own message", "errorType": "Own.Error", "stackTrace": []}
    path = path.replace("/response", "/error")
    trace(status=call("POST", path, json.dumps(error))[0])
"""
    flow = flow_of_bootstrap(bench, body, retries=1)
    flow.put(*lines(3))
    flow.assert_retried_and_set_apart()
    seen = bench.programs.wait_for_traces(flow.transform, "status", count=2)
    assert [each["status"] for each in seen] == [202, 202]
    assert "my own message" in flow.log(FAILED_ONCE)[0]["error"]


SHELL_BOOTSTRAP = r"""#!/bin/sh
set -eu
api="http://$AWS_LAMBDA_RUNTIME_API/2018-06-01/runtime"
folder=$(mktemp -d ./event.XXXXXX)
while true; do
    curl -sS --fail -D "$folder/headers" -o "$folder/event" "$api/invocation/next"
    id=$(tr -d '\r' <"$folder/headers" | sed -n 's/^Lambda-Runtime-Aws-Request-Id: *//Ip')
    sed -e 's/^.*"records": *\[/{"records":[/' \
        -e 's/"approximateArrivalTimestamp": *[0-9]*,/"result":"Ok",/g' \
        <"$folder/event" >"$folder/response"
    curl -sS --fail -X POST --data-binary "@$folder/response" "$api/invocation/$id/response"
done
"""


def test_a_bootstrap_may_be_a_shell_script_with_curl(bench):
    """curl asks before it sends more than a megabyte (`Expect: 100-continue`)."""
    name = bench.programs.write_folder("", mode="lambda", command=["./bootstrap"])
    path = bench.programs.folder / name / "bootstrap"
    path.write_text(SHELL_BOOTSTRAP)
    path.chmod(0o755)
    flow = bench.flow(name, size=3)
    flow.put(*lines(10), *[b"%d" % n * 900_000 + b"\n" for n in range(3)], *lines(10, "more"))
    assert flow.settle().delivered == flow.records
