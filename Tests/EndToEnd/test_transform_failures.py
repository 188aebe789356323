"""Every way in which a transform can fail: which records fail, with which words, after what."""

import time
from dataclasses import dataclass

import pytest

from streams import describe
from transform_programs import IDENTITY
from transforms import (
    DUPLICATED_ID,
    FAILED_ONCE,
    FUNCTION_ERROR,
    INVALID_FORMAT,
    JSON_ERROR,
    MESSAGES,
    MISSING_ID,
    SET_APART,
    STATUS_FAILED,
    Bench,
    Flow,
    lambda_arn,
    lines,
)

pytest_plugins = ["transform_fixtures"]

READ_ALL = "text = sys.stdin.read()\nevent = json.loads(text)\ntrace_event(event, len(text))\n"

READ_LINES = """
for text in sys.stdin:
    event = json.loads(text)
    trace_event(event, len(text))
"""

GOOD = 'json.dumps({"records": [answer(each, content(each)) for each in event["records"]]})'


@dataclass(frozen=True)
class Cause:
    """A program whose invocations all fail."""

    label: str
    code: str
    mode: str
    source: str
    """What it does with `event`, where a good answer is `GOOD`."""
    settings: tuple[tuple[str, int], ...] = ()

    def write(self, bench: Bench) -> str:
        """Writes the program; returns its name."""
        reading, indent = (READ_ALL, "") if self.mode == "once" else (READ_LINES, "    ")
        source = self.source.replace("GOOD", GOOD)
        whole = reading + "".join(f"{indent}{line}\n" for line in source.splitlines())
        settings = {"concurrency": 1} | dict(self.settings)
        return bench.programs.write_folder(whole, mode=self.mode, **settings)


INVOCATION_FAILURES = [
    Cause("exit status", FUNCTION_ERROR, "once", "print(GOOD, flush=True)\nsys.exit(3)"),
    Cause("signal", FUNCTION_ERROR, "once", "print(GOOD, flush=True)\nos.kill(os.getpid(), 9)"),
    Cause("abort", FUNCTION_ERROR, "once", "os.abort()"),
    Cause("exception", FUNCTION_ERROR, "once", "raise ValueError"),
    Cause("time-out", FUNCTION_ERROR, "once", "time.sleep(600)", (("timeoutSeconds", 1),)),
    Cause(
        "time-out after the answer",
        FUNCTION_ERROR,
        "once",
        "print(GOOD, flush=True)\ntime.sleep(600)",
        (("timeoutSeconds", 1),),
    ),
    Cause("too large", FUNCTION_ERROR, "once", "print(GOOD + ' ' * 6_300_000)"),
    Cause("nothing", JSON_ERROR, "once", "pass"),
    Cause("white space", JSON_ERROR, "once", "print(' \\n ')"),
    Cause("text", JSON_ERROR, "once", "print('hello')"),
    Cause("half an answer", JSON_ERROR, "once", "print(GOOD[:-2])"),
    Cause("two answers", JSON_ERROR, "once", "print(GOOD)\nprint(GOOD)"),
    Cause("NaN", JSON_ERROR, "once", "print(GOOD[:-1] + ', \"x\": NaN}')"),
    Cause("worker ends", FUNCTION_ERROR, "worker", "sys.exit(0)"),
    Cause("worker exits", FUNCTION_ERROR, "worker", "sys.exit(3)"),
    Cause("worker dies", FUNCTION_ERROR, "worker", "os.kill(os.getpid(), 9)"),
    Cause(
        "worker dies in its line",
        FUNCTION_ERROR,
        "worker",
        "print(GOOD[:-2], end='', flush=True)\nos.kill(os.getpid(), 9)",
    ),
    Cause(
        "worker hangs in its line",
        FUNCTION_ERROR,
        "worker",
        "print(GOOD[:-2], end='', flush=True)\ntime.sleep(600)",
        (("timeoutSeconds", 1),),
    ),
    Cause("worker closes stdout", FUNCTION_ERROR, "worker", "os.close(1)\ntime.sleep(600)"),
    Cause(
        "worker says two lines",
        FUNCTION_ERROR,
        "worker",
        "line = GOOD + '\\n'\nos.write(1, (line + line).encode())",
    ),
    Cause("worker's line too large", FUNCTION_ERROR, "worker", "print(GOOD + ' ' * 6_300_000)"),
    Cause("worker's text", JSON_ERROR, "worker", "print('hello', flush=True)"),
    Cause("worker's empty line", JSON_ERROR, "worker", "print(flush=True)"),
]


def assert_times_are_true(flow: Flow, since: float) -> None:
    """Checks that failed records arrived after `since`, and ended after they arrived."""
    now = time.time() * 1_000
    for each in flow.failures():
        assert since * 1_000 - 1 <= each.arrived <= each.ended <= now + 1


# MARK: Invocations


@pytest.mark.parametrize("retries", [0, 1])
@pytest.mark.parametrize("cause", INVOCATION_FAILURES, ids=lambda each: each.label)
def test_a_failed_invocation_is_tried_again_and_its_batch_set_apart(bench, cause, retries):
    """Each attempt has an id of its own and the same records; the log warns of each."""
    name = cause.write(bench)
    flow = bench.flow(name, retries=retries)
    since = time.time()
    flow.put(*lines(3), b"")
    failed = flow.wait_for_failures(4)
    assert [each.raw for each in failed] == flow.records
    assert {(each.code, each.message, each.attempts, each.arn) for each in failed} == {
        (cause.code, MESSAGES[cause.code], retries + 1, lambda_arn(name))
    }
    assert_times_are_true(flow, since)
    assert flow.output() == b""

    events = bench.programs.events(name)
    assert len(events) == len({each.invocation for each in events}) == retries + 1
    assert len({(tuple(each.ids), each.checksum) for each in events}) == 1
    assert [len(flow.log(each)) for each in (FAILED_ONCE, SET_APART)] == [retries, 1]
    for warning in flow.log(FAILED_ONCE) + flow.log(SET_APART):
        assert (warning["level"], warning["transform"]) == ("warning", name)
        assert warning["error"]
    (transformed,) = flow.log("transformed")
    wanted = {"records": "4", "ok": "0", "dropped": "0", "failed": "4"}
    assert wanted.items() <= transformed.items()
    assert transformed["attempts"] == str(retries + 1)


def test_three_retries_are_made_by_default(bench):
    flow = bench.flow_through("once", "def handle(event):\n    sys.exit(1)\n")
    flow.put(b"record\n")
    (failed,) = flow.wait_for_failures(1)
    assert failed.attempts == 4
    assert len(bench.programs.events(flow.transform)) == 4


def test_a_program_that_cannot_be_executed_is_a_failure(bench):
    name = bench.programs.write_executable(b"\x7fELF and no more\0")
    flow = bench.flow(name, retries=1)
    flow.put(*lines(2))
    flow.assert_retried_and_set_apart(sees_events=False)


@pytest.mark.parametrize("mode", ["once", "worker"])
def test_a_later_attempt_that_succeeds_is_what_counts(bench, mode):
    body = """
def handle(event):
    if len(traced()) < 3:
        os._exit(1)
    return {"records": [answer(each, content(each)) for each in event["records"]]}
"""
    # A worker's start is one more trace for each attempt.
    flow = bench.flow_through(mode, body.replace("3", "6" if mode == "worker" else "3"))
    flow.put(*lines(4))
    assert flow.settle().delivered == lines(4)
    assert flow.failures() == []
    assert [len(flow.log(each)) for each in (FAILED_ONCE, SET_APART)] == [2, 0]
    (transformed,) = flow.log("transformed")
    assert transformed["attempts"] == "3"


def test_the_attempt_that_answered_is_the_one_that_failed_records(bench):
    body = """
def handle(event):
    if len(traced()) < 2:
        os._exit(1)
    return {"records": [answer(each, result="ProcessingFailed") for each in event["records"]]}
"""
    flow = bench.flow_through("once", body)
    flow.put(*lines(2))
    failed = flow.wait_for_failures(2)
    assert {(each.code, each.attempts) for each in failed} == {(STATUS_FAILED, 2)}


def test_one_batch_that_fails_is_passed_by_the_next(bench):
    """And what is delivered behind it keeps its order."""
    body = """
def handle(event):
    if any(b"poison" in content(each) for each in event["records"]):
        os._exit(1)
    return {"records": [answer(each, content(each)) for each in event["records"]]}
"""
    flow = bench.flow_through("worker", body, retries=1)
    flow.put(b"first\n")
    flow.wait_for(b"first\n")
    for number in range(10):
        flow.put(b"poison\n" if number == 4 else b"%d\n" % number)
    flow.settle()
    flow.put(b"last\n")
    outcome = flow.settle()
    # Records that came into one batch with the poison share its end.
    failed = [each.raw for each in outcome.failed]
    assert b"poison\n" in failed
    assert outcome.delivered == [each for each in flow.records if each not in failed]
    assert outcome.delivered[-1] == b"last\n"


# MARK: Records

RECORD_FAILURES = {
    "failed": (STATUS_FAILED, 'answer(each, result="ProcessingFailed")'),
    "failed with data": (STATUS_FAILED, 'answer(each, b"data", result="ProcessingFailed")'),
    "failed and no text": (STATUS_FAILED, 'answer(each, None, "ProcessingFailed") | {"data": 1}'),
    "not returned": (MISSING_ID, "None"),
    "no object": (MISSING_ID, '"text"'),
    "a list": (MISSING_ID, '["recordId", each["recordId"]]'),
    "no id": (MISSING_ID, '{"result": "Ok", "data": ""}'),
    "another id": (MISSING_ID, 'answer(each, b"x\\n") | {"recordId": "0" * 40 + "x"}'),
    "returned twice": (DUPLICATED_ID, '[answer(each, b"x\\n"), answer(each, b"x\\n")]'),
    "dropped twice": (DUPLICATED_ID, '[answer(each, result="Dropped")] * 2'),
    "both": (DUPLICATED_ID, '[answer(each, result="Dropped"), answer(each, b"x\\n")]'),
    "unknown result": (INVALID_FORMAT, 'answer(each, b"x\\n", result="Okay")'),
    "result in small": (INVALID_FORMAT, 'answer(each, b"x\\n", result="ok")'),
    "no result": (INVALID_FORMAT, '{"recordId": each["recordId"], "data": ""}'),
    "null result": (INVALID_FORMAT, 'answer(each, b"x\\n", result=None)'),
    "no data": (INVALID_FORMAT, "answer(each)"),
    "null data": (INVALID_FORMAT, "answer(each) | {'data': None}"),
    "number as data": (INVALID_FORMAT, "answer(each) | {'data': 1}"),
    "object as data": (INVALID_FORMAT, "answer(each) | {'data': {'a': 1}}"),
    "no base64": (INVALID_FORMAT, "answer(each) | {'data': '***!'}"),
    "base64 and more": (INVALID_FORMAT, "answer(each) | {'data': 'eA==eA==*'}"),
}
"""What a program returns for `each` record that is marked; a list stands for several."""


@pytest.mark.parametrize("label", RECORD_FAILURES)
def test_a_record_that_fails_fails_alone_and_at_once(bench, label):
    code, expression = RECORD_FAILURES[label]
    body = f"""
def handle(event):
    found = []
    for each in event["records"]:
        is_marked = content(each).startswith(b"marked")
        item = {expression} if is_marked else answer(each, content(each))
        found += item if type(item) is list and type(item[0]) is dict else [item]
    return {{"records": found}}
"""
    flow = bench.flow_through("worker", body, retries=3)
    since = time.time()
    flow.put(b"good 1\n", b"marked 1\n", b"good 2\n", b"marked 2\n", b"good 3\n")
    outcome = flow.settle()
    assert outcome.delivered == [b"good 1\n", b"good 2\n", b"good 3\n"]
    assert [each.raw for each in outcome.failed] == [b"marked 1\n", b"marked 2\n"]
    for each in outcome.failed:
        arn = lambda_arn(flow.transform)
        assert (each.code, each.attempts, each.arn) == (code, 1, arn)
        assert each.message == MESSAGES.get(code, each.message) != ""
        if label in ("no data", "null data"):
            assert each.message.startswith("The data field cannot be null")
    assert_times_are_true(flow, since)
    assert len(bench.programs.events(flow.transform)) == 1
    assert flow.log(FAILED_ONCE) == flow.log(SET_APART) == []


@pytest.mark.parametrize("data", ["1", "null", '"***"', "[[[]]]", '{"a": 1}'])
def test_the_data_of_dropped_records_does_not_matter(bench, data):
    body = f"""
@each
def handle(record):
    return answer(record, result="Dropped") | {{"data": json.loads({data!r})}}
"""
    flow = bench.flow_through("worker", body)
    flow.put(*lines(3))
    outcome = flow.settle()
    assert (outcome.dropped, outcome.delivered, outcome.failed) == (3, [], [])


@pytest.mark.parametrize(
    "response",
    ["{}", "[]", "null", '"text"', "3", "true", '{"records": {}}', '{"records": null}',
     '{"records": []}', '{"Records": [1]}', '[{"recordId": "1"}]'],
)  # fmt: skip
@pytest.mark.parametrize("mode", ["once", "worker"])
def test_an_answer_without_records_returns_none_of_them(bench, mode, response):
    """It is a good answer to an invocation, so it is final."""
    flow = bench.flow_through(mode, f"def handle(event):\n    return json.loads({response!r})\n")
    flow.put(*lines(3))
    outcome = flow.settle()
    assert outcome.codes == {MISSING_ID: 3}
    assert {(each.message, each.attempts) for each in outcome.failed} == {(MESSAGES[MISSING_ID], 1)}
    assert len(bench.programs.events(flow.transform)) == 1


def test_members_that_nobody_asked_for_do_not_matter(bench):
    body = """
def handle(event):
    found = [answer(each, content(each), metadata={"partitionKeys": {"a": "b"}}, more=[None])
             for each in event["records"]]
    strangers = [{"recordId": "no-such-id", "result": "Ok", "data": "eA=="}] * 2
    return {"records": [*strangers, *reversed(found), None, {}], "more": {"records": 1}}
"""
    flow = bench.flow_through("worker", body)
    flow.put(*lines(20))
    assert flow.settle().delivered == lines(20)


def test_white_space_around_an_answer_does_not_matter(bench):
    flow = bench.flow_through("once", f"{IDENTITY}\nprint(' \\t\\r\\n' * 1000)\n")
    flow.put(*lines(2))
    assert flow.settle().delivered == lines(2)


def test_the_answer_may_be_in_any_order_the_output_is_in_that_of_arrival(bench):
    body = """
import random
def handle(event):
    found = [answer(each, content(each)) for each in event["records"]]
    random.shuffle(found)
    return {"records": found}
"""
    flow = bench.flow_through("worker", body)
    flow.put(*lines(300))
    flow.wait_for(b"".join(lines(300)))
    assert describe(bench.client, flow.stream)["DeliveryStreamStatus"] == "ACTIVE"
