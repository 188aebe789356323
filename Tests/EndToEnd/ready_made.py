"""Runs the transforms of `transforms/` as their contract says, without a server."""

import base64
import contextlib
import json
import queue
import subprocess
import tempfile
import threading
import uuid
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from ready_made_runtime import RuntimeAPI
from server import ACCOUNT, REGION, REPOSITORY
from transform_programs import PYTHON_FIRST

FOLDER = REPOSITORY / "transforms"

NAMES = sorted(path.parent.name for path in FOLDER.glob("*/transform.json"))

MAXIMUM_ANSWER_BYTES = 6_291_556

OK, DROPPED, FAILED = "Ok", "Dropped", "ProcessingFailed"

Outcome = bytes | str
"""What became of a record: its output, or `DROPPED` or `FAILED`."""

Invoke = Callable[[dict], bytes]
"""Makes one invocation with an event, and returns the response as it came."""


class InvocationFailed(AssertionError):
    """A program gave no response."""


# MARK: Events and answers


def event(records: Iterable[bytes]) -> dict:
    """An event with these records, as the server makes them."""
    entries = [
        {
            "recordId": f"49{number:018}",
            "approximateArrivalTimestamp": 1_714_979_290_000 + number,
            "data": base64.b64encode(data).decode(),
        }
        for number, data in enumerate(records)
    ]
    return {
        "invocationId": str(uuid.uuid4()),
        "deliveryStreamArn": f"arn:aws:firehose:{REGION}:{ACCOUNT}:deliverystream/logs",
        "region": REGION,
        "records": entries,
    }


def outcomes_of(response: bytes, of: dict) -> list[Outcome]:
    """What a response says became of an event's records.

    It must be one that the server takes without complaint: every id once and in order, and nothing
    else. Failed records come with their data, unless the answer would be too long.
    """
    assert len(response) <= MAXIMUM_ANSWER_BYTES
    answer = json.loads(response)
    assert answer.keys() == {"records"}
    ids = [each["recordId"] for each in answer["records"]]
    assert ids == [each["recordId"] for each in of["records"]]
    outcomes: list[Outcome] = []
    for asked, given in zip(of["records"], answer["records"], strict=True):
        assert given["result"] in (OK, DROPPED, FAILED)
        if given["result"] == OK:
            outcomes.append(base64.b64decode(given["data"], validate=True))
            continue
        if given["result"] == FAILED:
            assert given["data"] in ("", asked["data"])
        outcomes.append(given["result"])
    return outcomes


def outcomes(name: str, *records: bytes, **environment: str) -> list[Outcome]:
    """What a transform makes of records in one invocation."""
    with running(name, **environment) as invoke:
        asked = event(records)
        return outcomes_of(invoke(asked), asked)


def outcome(name: str, record: bytes, **environment: str) -> Outcome:
    """What a transform makes of one record."""
    return outcomes(name, record, **environment)[0]


# MARK: Samples


def sample_path(name: str) -> Path:
    """The sample input of a transform: lines, or an event."""
    [path] = (FOLDER / name).glob("sample*")
    return path


def sample_event(name: str) -> dict:
    """An event of a transform's sample input."""
    path = sample_path(name)
    if path.suffix == ".json":
        return json.loads(path.read_bytes())
    return event(path.read_bytes().splitlines())


def expected_lines(name: str) -> list[dict]:
    """What `hydrant transform run --json` prints for the sample."""
    text = (FOLDER / name / "expected.jsonl").read_text()
    return [json.loads(line) for line in text.splitlines()]


def outcome_of(line: dict) -> Outcome:
    """The outcome that such a line tells of."""
    if line["result"] != OK:
        return line["result"]
    if (data := line.get("dataBase64")) is not None:
        return base64.b64decode(data, validate=True)
    return line["data"].encode()


# MARK: Running programs


def running(name: str, **environment: str) -> contextlib.AbstractContextManager[Invoke]:
    """A transform in its mode, until the context ends; `environment` overrides its own."""
    return running_folder(FOLDER / name, **environment)


@contextlib.contextmanager
def running_folder(folder: Path, **environment: str) -> Iterator[Invoke]:
    """As `running`, for the transform in any folder."""
    settings = json.loads((folder / "transform.json").read_bytes())
    settings["environment"] = settings.get("environment", {}) | environment
    mode = {"once": _once, "worker": _worker, "lambda": _lambda}[settings.get("mode", "once")]
    with mode(folder, settings) as invoke:
        yield invoke


@contextlib.contextmanager
def _once(folder: Path, settings: dict) -> Iterator[Invoke]:
    def invoke(asked: dict) -> bytes:
        with _started(folder, settings, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
            output, _ = process.communicate(_line(asked))
            if process.returncode != 0:
                raise InvocationFailed(f"status {process.returncode}: {_said(process)}")
            return output

    yield invoke


@contextlib.contextmanager
def _worker(folder: Path, settings: dict) -> Iterator[Invoke]:
    with _started(folder, settings, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:

        def invoke(asked: dict) -> bytes:
            with contextlib.suppress(BrokenPipeError):
                process.stdin.write(_line(asked))
                process.stdin.flush()
            line = process.stdout.readline()
            if not line.endswith(b"\n"):
                raise InvocationFailed(f"status {process.wait()}: {_said(process)}")
            return line[:-1]

        yield invoke
        if process.poll() is None:
            process.stdin.close()
            assert process.stdout.read() == b"", "more than one line for an event"
            assert process.wait() == 0, _said(process)


@contextlib.contextmanager
def _lambda(folder: Path, settings: dict) -> Iterator[Invoke]:
    with RuntimeAPI(folder.name, settings.get("timeoutSeconds", 300)) as api:
        settings["environment"] |= {
            "AWS_LAMBDA_RUNTIME_API": api.address,
            "_HANDLER": settings["command"][-1],
            "LAMBDA_TASK_ROOT": str(folder),
            "AWS_LAMBDA_FUNCTION_NAME": folder.name,
            "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
            "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(settings.get("memoryMiB", 512)),
            "AWS_LAMBDA_INITIALIZATION_TYPE": "on-demand",
            "AWS_LAMBDA_LOG_GROUP_NAME": f"/aws/lambda/{folder.name}",
            "AWS_LAMBDA_LOG_STREAM_NAME": "logs",
            "AWS_REGION": REGION,
            "AWS_DEFAULT_REGION": REGION,
            "TZ": ":UTC",
        }
        with _started(folder, settings, stdin=subprocess.DEVNULL) as process:

            def invoke(asked: dict) -> bytes:
                expected = api.begin(_line(asked).rstrip())
                path, body = _report(api, process)
                if path != expected:
                    raise InvocationFailed(f"{path}: {body.decode()}")
                return body

            yield invoke


def _report(api: RuntimeAPI, process: subprocess.Popen) -> tuple[str, bytes]:
    """What a process reports next."""
    while True:
        is_over = process.poll() is not None
        with contextlib.suppress(queue.Empty):
            return api.reports.get(timeout=0.1)
        if is_over:
            raise InvocationFailed(f"status {process.returncode}: {_said(process)}")


@contextlib.contextmanager
def _started(folder: Path, settings: dict, **streams) -> Iterator[subprocess.Popen]:
    """A process with the limits and the environment of the contract."""
    command = list(settings["command"])
    limits = [
        "ulimit -c 0",
        f"ulimit -n {settings.get('openFiles', 256)}",
        f"ulimit -d {settings.get('memoryMiB', 512) * 1024}",
        'exec "$@"',
    ]
    environment = {
        "PATH": PYTHON_FIRST,
        "LANG": "C.UTF-8",
        "HYDRANT_STREAM": "logs",
        "HYDRANT_TRANSFORM": folder.name,
    }
    with tempfile.TemporaryFile() as stderr:
        process = subprocess.Popen(
            ["sh", "-c", "; ".join(limits), folder.name, *command],
            cwd=folder,
            env=environment | settings["environment"],
            stderr=stderr,
            start_new_session=True,
            **streams,
        )
        process.said = stderr
        timer = threading.Timer(settings.get("timeoutSeconds", 300), process.kill)
        timer.start()
        try:
            yield process
        finally:
            timer.cancel()
            if process.poll() is None:
                process.kill()
            process.wait()
            for stream in filter(None, (process.stdin, process.stdout)):
                with contextlib.suppress(BrokenPipeError):
                    stream.close()


def _line(asked: dict) -> bytes:
    return json.dumps(asked, separators=(",", ":")).encode() + b"\n"


def _said(process: subprocess.Popen) -> str:
    """What a process wrote to its standard error."""
    process.said.seek(0)
    return process.said.read().decode(errors="replace")
