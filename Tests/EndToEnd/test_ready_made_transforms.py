"""The transforms of `transforms/`: what they make of samples, of edge cases and of attacks."""

import ast
import base64
import csv
import gzip
import io
import json
import random
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest

from commands import run_hydrant
from ready_made import (
    DROPPED,
    FAILED,
    FOLDER,
    MAXIMUM_ANSWER_BYTES,
    NAMES,
    OK,
    InvocationFailed,
    Outcome,
    event,
    expected_lines,
    outcome,
    outcome_of,
    outcomes,
    outcomes_of,
    running,
    running_folder,
    sample_event,
    sample_path,
)
from transform_programs import PYTHON_FIRST

LONG = 250 * 1024
"""Bytes of a record that takes minutes where matching goes wild, and no time otherwise."""

PATIENCE_SECONDS = 30
"""How long a transform may take for two megabytes, on a busy machine."""

ALL_OF_THEM = pytest.mark.parametrize("name", NAMES)


@pytest.fixture(scope="module", autouse=True)
def compiled() -> None:
    """The transform in Swift, built as its README says."""
    done = subprocess.run(["make", "-C", FOLDER / "enrich"], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def as_json(made: Outcome) -> dict:
    """An output that must be one JSON object on a line."""
    assert isinstance(made, bytes), made
    assert made.endswith(b"\n") and made.count(b"\n") == 1
    return json.loads(made)


# MARK: All of them


@ALL_OF_THEM
def test_the_sample_gives_what_is_expected(name):
    asked = sample_event(name)
    with running(name) as invoke:
        given = outcomes_of(invoke(asked), asked)
    assert given == [outcome_of(line) for line in expected_lines(name)]


@ALL_OF_THEM
def test_the_sample_runs_with_hydrants_own_command(name):
    arguments = ("--input", str(sample_path(name)), "--json", "--transforms", str(FOLDER))
    done = run_hydrant(None, "transform", "run", name, *arguments, PATH=PYTHON_FIRST)
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    expected = expected_lines(name)
    assert [each["recordId"] for each in lines] == [each["recordId"] for each in expected]
    assert [outcome_of(each) for each in lines] == [outcome_of(each) for each in expected]
    for member in ("errorCode", "errorMessage"):
        assert [each.get(member) for each in lines] == [each.get(member) for each in expected]
    results = [each["result"] for each in expected]
    counts = (results.count(OK), results.count(DROPPED), results.count(FAILED))
    summary = "{} records: {} Ok, {} Dropped, {} failed".format(len(expected), *counts)
    assert done.stderr.decode().splitlines()[-1] == summary
    assert done.returncode == (2 if FAILED in results else 0)


@ALL_OF_THEM
def test_an_event_without_records_gets_an_answer_without_records(name):
    assert outcomes(name) == []


@ALL_OF_THEM
def test_a_warm_process_answers_one_event_after_the_other(name):
    asked = sample_event(name)
    with running(name) as invoke:
        answers = {invoke(asked) for _ in range(5)}
    assert len(answers) == 1


@ALL_OF_THEM
def test_nothing_in_a_record_ends_the_program(name):
    """Every record is answered for, and the next event as if nothing had been."""
    generator = random.Random(11)
    hostile = [
        b"",
        b"\0",
        b"\n\r\n",
        b"\xff\xfe",
        b"\xef\xbb\xbf",
        b"{",
        b"[" * 100_000,
        b'{"a":' * 100_000,
        b"9" * 100_000,
        b'{"host":' + b"9" * 100_000 + b"}",
        gzip.compress(b"[" * 100_000, mtime=0),
        gzip.compress(
            b'{"messageType":"DATA_MESSAGE","logEvents":' + b"9" * 1_000_000 + b"}", mtime=0
        ),
        *(generator.randbytes(generator.randrange(2_000)) for _ in range(200)),
    ]
    sample = sample_event(name)
    for record in sample["records"]:
        data = base64.b64decode(record["data"])
        hostile += [data[:cut] for cut in range(0, len(data), 7)]
        for _ in range(20):
            mutant = bytearray(data)
            mutant[generator.randrange(len(mutant))] = generator.randrange(256)
            hostile.append(bytes(mutant))
    asked = event(hostile)
    with running(name) as invoke:
        assert len(outcomes_of(invoke(asked), asked)) == len(hostile)
        given = outcomes_of(invoke(sample), sample)
    assert given == [outcome_of(line) for line in expected_lines(name)]


TIMED = b"203.0.113.7 - - [06/May/2024:07:08:09 +0000] "
SYSLOG = b"<13>1 2024-05-06T07:08:09Z host app - - "


@ALL_OF_THEM
@pytest.mark.parametrize(
    "piece",
    [
        b"a",
        b"a ",
        b" ",
        b"[",
        b" [",
        b'"',
        b"\\",
        b'\\"',
        b"\\xff",
        b"<1",
        b"1 ",
        b"9",
        b"4-",
        b"a@",
        b"%40a.bb",
        b"a@b.c.",
        b"a.",
        b',"',
        b'""',
        b",",
        b"\n",
        b"\x01",
        b"\xff",
        b"[a]",
        b' a=""',
        b"ERROR",
        b'{"host":',
        b"\\u0041",
    ],
    ids=repr,
)
def test_no_record_takes_more_time_than_its_size_explains(name, piece):
    """Long records of one piece over and over: where matching could go wild."""
    heads = [b"", TIMED, TIMED + b'"', SYSLOG, SYSLOG + b"[a ", b'{"host":"', b"a@", b'1,"']
    started = time.monotonic()
    outcomes(name, *(head + piece * (LONG // len(piece)) for head in heads))
    assert time.monotonic() - started < PATIENCE_SECONDS


@ALL_OF_THEM
def test_a_folder_stands_alone(name):
    """It has what its README speaks of, and Python that needs the standard library alone."""
    folder = FOLDER / name
    text = (folder / "README.md").read_text()
    assert f"# {name}\n" in text and sample_path(name).name in text
    assert f"mode `{json.loads((folder / 'transform.json').read_text())['mode']}`" in text
    for path in folder.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                assert {each.name for each in node.names} <= sys.stdlib_module_names
            elif isinstance(node, ast.ImportFrom):
                assert node.level == 0
                assert node.module.partition(".")[0] in sys.stdlib_module_names


def test_each_mode_has_a_ready_made_transform():
    settings = [json.loads((FOLDER / name / "transform.json").read_text()) for name in NAMES]
    assert {each["mode"] for each in settings} == {"once", "worker", "lambda"}


def test_the_list_has_all_of_them():
    listed = re.findall(r"^\| \[([\w-]+)\]\(\1/README.md\) \|", readme(), re.MULTILINE)
    assert sorted(listed) == NAMES


def readme() -> str:
    """The page that lists the transforms."""
    return (FOLDER / "README.md").read_text()


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("apache-to-json", b'1.1.1.1 - - [06/May/2024:07:08:09 +0000] "GET / HTTP/1.0" 200 5\n'),
        ("syslog-to-json", b"<13>Oct 11 22:14:15 host app[1]: " + b"x" * 40),
    ],
)
def test_a_default_buffer_of_short_lines_fits_into_one_answer(name, line):
    made = outcomes(name, *[line] * (1024 * 1024 // len(line)))
    assert FAILED not in made


# MARK: The contract's own examples


@pytest.mark.parametrize(
    ("language", "settings"),
    [
        ("sh", {"command": ["./program"]}),
        ("python", {"command": ["./program"], "mode": "worker"}),
        ("bash", {"command": ["./program"], "mode": "lambda"}),
    ],
    ids=["once", "worker", "lambda"],
)
def test_the_examples_of_the_contract_work_as_they_stand(tmp_path, language, settings):
    page = (FOLDER / "CONTRACT.md").read_text()
    [source] = re.findall(rf"^```{language}\n(.*?)^```$", page, re.DOTALL | re.MULTILINE)
    (tmp_path / "program").write_text(source)
    (tmp_path / "program").chmod(0o755)
    (tmp_path / "transform.json").write_text(json.dumps(settings))
    with running_folder(tmp_path) as invoke:
        for count in (2, 1, 500):
            asked = event([b"hello %d\n" % number for number in range(count)])
            expected = [b"HELLO %d\n" % number for number in range(count)]
            assert outcomes_of(invoke(asked), asked) == expected


def test_the_contracts_json_is_json():
    page = (FOLDER / "CONTRACT.md").read_text()
    blocks = re.findall(r"^```json\n(.*?)^```$", page, re.DOTALL | re.MULTILINE)
    assert len(blocks) == 4
    asked, given, *_ = map(json.loads, blocks)
    assert [base64.b64decode(each["data"]) for each in asked["records"]] == [b"hello\n", b"world\n"]
    assert outcomes_of(json.dumps(given).encode(), asked) == [b"HELLO\n", DROPPED]


# MARK: apache-to-json


def access(line: str | bytes) -> Outcome:
    """What becomes of a line of an access log."""
    return outcome("apache-to-json", line.encode() if isinstance(line, str) else line)


@pytest.mark.parametrize("end", ["", "\n", "\r\n"], ids=repr)
def test_a_line_of_an_access_log_may_have_its_end(end):
    line = f'::1 - ann [01/Jan/2024:00:00:00 +0530] "GET / HTTP/1.1" 200 5{end}'
    assert as_json(access(line)) == {
        "host": "::1",
        "ident": None,
        "user": "ann",
        "time": "2024-01-01T00:00:00+05:30",
        "request": "GET / HTTP/1.1",
        "method": "GET",
        "path": "/",
        "protocol": "HTTP/1.1",
        "status": 200,
        "bytes": 5,
    }


@pytest.mark.parametrize(
    ("logged", "meant"),
    [
        (rb"plain", "plain"),
        (rb"say \"hi\"", 'say "hi"'),
        (rb"back\\slash", "back\\slash"),
        (rb"tab\there\nline", "tab\there\nline"),
        (rb"caf\xc3\xa9", "café"),
        ("café".encode(), "café"),
        (rb"\xff", r"\xff"),
        (b"\xff", r"\xff"),
        (rb"\q", r"\q"),
        (rb"\\xc3", r"\xc3"),
        (b"[x] 200", "[x] 200"),
    ],
    ids=repr,
)
def test_escapes_of_an_access_log_are_undone(logged, meant):
    line = TIMED + b'"GET / HTTP/1.1" 200 5 "-" "' + logged + b'"'
    made = as_json(access(line))
    assert (made["referer"], made["agent"]) == (None, meant)


@pytest.mark.parametrize(
    "line",
    [
        "",
        "\n",
        "x",
        '1.1.1.1 - - [06/May/2024:07:08:09 +0000] "GET / HTTP/1.1" 200',
        '1.1.1.1 - - [06/May/2024:07:08:09 +0000] "GET / HTTP/1.1" 200 5 "-"',
        '1.1.1.1 - - [06/May/2024:07:08:09 +0000] "GET / HTTP/1.1" 200 5 "-" "-" more',
        '1.1.1.1 - - [06/May/2024:07:08:09 +0000] "GET / HTTP/1.1" 200 5\n\nmore',
        '1.1.1.1 - - [06/Mai/2024:07:08:09 +0000] "GET / HTTP/1.1" 200 5',
        '1.1.1.1 - - [30/Feb/2024:07:08:09 +0000] "GET / HTTP/1.1" 200 5',
        '1.1.1.1 - - [06/May/2024:24:08:09 +0000] "GET / HTTP/1.1" 200 5',
        '1.1.1.1 - - [06/May/2024:07:08:09 +0000] "GET / HTTP/1.1" ٢٠٠ 5',
        '1.1.1.1 - - [06/May/2024:07:08:09 +0000] "GET / HTTP/1.1" 200 ' + "9" * 30,
        '1.1.1.1 - - [06/May/2024:07:08:09 +0000] "GET / HTTP/1.1\\" 200 5',
    ],
    ids=repr,
)
def test_what_is_no_line_of_an_access_log_fails(line):
    assert access(line) == FAILED


@pytest.mark.parametrize("request_line", ["-", "", "GET /", "GET /a b HTTP/1.1", "a b c"], ids=repr)
def test_a_request_that_is_not_http_is_kept_whole(request_line):
    made = as_json(access(TIMED + f'"{request_line}" 400 0'.encode()))
    assert made["request"] == request_line
    assert made["method"] is made["path"] is made["protocol"] is None


def test_outputs_that_do_not_fit_fail_alone():
    """Control characters take six bytes in JSON: one record would make the answer too long."""
    good = TIMED + b'"GET / HTTP/1.1" 200 5'
    swollen = TIMED + b'"' + b"\x01" * 1_000_000 + b'" 400 0'
    given = outcomes("apache-to-json", good, swollen, good)
    assert given[1] == FAILED
    assert as_json(given[0]) == as_json(given[2])


# MARK: syslog-to-json


def syslog(message: str | bytes) -> dict:
    """What becomes of a syslog message that is one."""
    data = message.encode() if isinstance(message, str) else message
    return as_json(outcome("syslog-to-json", data))


def test_every_priority_has_a_facility_and_a_severity():
    messages = [b"<%d>1 - - - - - -" % priority for priority in range(192)]
    made = [as_json(each) for each in outcomes("syslog-to-json", *messages)]
    assert [each["priority"] for each in made] == list(range(192))
    facilities = [each["facility"] for each in made]
    severities = [each["severity"] for each in made]
    assert len(set(facilities)) == 24 and len(set(severities)) == 8
    assert facilities[::8] == sorted(set(facilities), key=facilities.index)
    assert severities[:8] * 24 == severities
    assert (facilities[165], severities[165]) == ("local4", "notice")
    assert (facilities[34], severities[34]) == ("auth", "crit")


def test_messages_of_rfc_5424_come_back_as_they_were_made():
    generator = random.Random(5)
    names = "".join(chr(code) for code in range(33, 127) if chr(code) not in '=]"')
    values = 'ab \\"]=[\\\\\n\té日🚰'

    def word(most: int) -> str:
        return "".join(generator.choices(names, k=generator.randint(2, most)))

    messages, expected = [], []
    for _ in range(300):
        fields = [generator.choice([None, word(30)]) for _ in range(4)]
        elements = {
            word(32): {
                word(32): "".join(generator.choices(values, k=generator.randrange(12)))
                for _ in range(generator.randrange(4))
            }
            for _ in range(generator.randrange(3))
        }
        text = generator.choice([None, "", "text", " [x] é", "\ufeffmarked"])
        structured = "".join(
            f"[{name}"
            + "".join(f' {key}="{escaped(value)}"' for key, value in parameters.items())
            + "]"
            for name, parameters in elements.items()
        )
        parts = ["<13>1", "2024-05-06T07:08:09.123456+02:00"]
        parts += ["-" if field is None else field for field in fields] + [structured or "-"]
        messages.append((" ".join(parts) + ("" if text is None else f" {text}")).encode())
        expected.append((*fields, elements, text and text.removeprefix("\ufeff")))
    for made in map(as_json, outcomes("syslog-to-json", *messages)):
        members = ("host", "app", "pid", "msgid", "structuredData", "message")
        assert tuple(made[each] for each in members) == expected.pop(0)
        assert made["timestamp"] == "2024-05-06T07:08:09.123456+02:00"
        assert made["format"] == "rfc5424"


def escaped(value: str) -> str:
    """A parameter's value as RFC 5424 writes it."""
    return re.sub(r'(["\\\]])', r"\\\1", value)


@pytest.mark.parametrize(
    ("element", "parameters"),
    [
        (r'[a b="\"\\\]"]', {"a": {"b": '"\\]'}}),
        (r'[a b="\n\q"]', {"a": {"b": r"\n\q"}}),
        (r'[a b="]"]', {"a": {"b": "]"}}),
        (r'[a b=""]', {"a": {"b": ""}}),
        (r'[a b="1" b="2" b="2"]', {"a": {"b": ["1", "2", "2"]}}),
        (r"[a][b]", {"a": {}, "b": {}}),
        ("-", {}),
    ],
    ids=repr,
)
def test_structured_data_is_read_with_its_escapes(element, parameters):
    assert syslog(f"<13>1 - - - - - {element} text")["structuredData"] == parameters


@pytest.mark.parametrize(
    "message",
    [
        "<13>1 - - - - -",
        "<13>1 - - - - - [",
        '<13>1 - - - - - [a b="c"',
        '<13>1 - - - - - [a b="c]',
        "<13>1 - - - - - [a b=c]",
        "<13>1 - - - - - [] text",
        "<13>1 - - - - - -text",
        '<13>1 - - - - - [a b="\\"]',
        "<13>1 2024-02-30T00:00:00Z - - - - -",
        "<13>1 2024-05-06T24:00:00Z - - - - -",
        "<13>1 2024-05-06 - - - - -",
        "<192>1 - - - - - -",
        "<999>Oct 11 22:14:15 host app: text",
        "<-1>1 - - - - - -",
        "",
        "text",
        "Okt 11 22:14:15 host app: text",
    ],
    ids=repr,
)
def test_broken_syslog_messages_fail(message):
    assert outcome("syslog-to-json", message.encode()) == FAILED


@pytest.mark.parametrize(
    ("rest", "time", "host", "app", "process", "text"),
    [
        ("Oct 11 22:14:15 h su: x", "Oct 11 22:14:15", "h", "su", None, "x"),
        ("Oct  1 22:14:15 h a/b[1]: x", "Oct  1 22:14:15", "h", "a/b", "1", "x"),
        ("Oct 1 22:14:15 fe80::1 a: x", "Oct 1 22:14:15", "fe80::1", "a", None, "x"),
        ("Oct 11 22:14:15 su[7]: x", "Oct 11 22:14:15", None, "su", "7", "x"),
        ("Oct 11 22:14:15 su: x", "Oct 11 22:14:15", None, "su", None, "x"),
        ("Oct 11 22:14:15 h a b: c", "Oct 11 22:14:15", "h", None, None, "a b: c"),
        ("Oct 11 22:14:15 h %ASA-6: c", "Oct 11 22:14:15", "h", "%ASA-6", None, "c"),
        ("Oct 11 22:14:15 h a:b", "Oct 11 22:14:15", "h", "a", None, "b"),
        ("Oct 11 22:14:15", "Oct 11 22:14:15", None, None, None, ""),
        ("2024-05-06T07:08:09Z h a: x", "2024-05-06T07:08:09Z", "h", "a", None, "x"),
        ("2024-02-30T07:08:09Z h a: x", None, None, None, None, "2024-02-30T07:08:09Z h a: x"),
        ("Oct 41 22:14:15 h a: x", None, None, None, None, "Oct 41 22:14:15 h a: x"),
        ("1990 Oct 22 x", None, None, None, None, "1990 Oct 22 x"),
        ("", None, None, None, None, ""),
    ],
    ids=repr,
)
def test_messages_of_rfc_3164_are_read_as_far_as_they_go(rest, time, host, app, process, text):
    made = syslog(f"<30>{rest}\n")
    assert (made["format"], made["facility"], made["severity"]) == ("rfc3164", "daemon", "info")
    assert (made["timestamp"], made["host"], made["app"]) == (time, host, app)
    assert (made["pid"], made["message"]) == (process, text)


def test_a_message_keeps_what_is_not_utf8_and_loses_its_mark():
    assert syslog(SYSLOG + b"- \xef\xbb\xbfcaf\xc3\xa9")["message"] == "café"
    assert syslog(SYSLOG + b"- \xffx\0\n")["message"] == r"\xffx"


# MARK: csv-to-json


def rows_of(made: Outcome) -> list[dict]:
    """The objects of an output, one a line."""
    assert isinstance(made, bytes), made
    return [json.loads(line) for line in made.decode().split("\n")[:-1]]


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"], ids=repr)
def test_rows_of_csv_come_back_as_they_were_made(delimiter):
    generator = random.Random(3)
    columns = ["first", "se cond", "dritté"]
    texts = ["", "a", 'say "hi"', f"with{delimiter}in", "line\r\nend", "\n", "é日🚰", " space "]
    records, expected = [], []
    for _ in range(100):
        rows = [generator.choices(texts, k=3) for _ in range(generator.randint(1, 4))]
        written = io.StringIO(newline="")
        csv.writer(written, delimiter=delimiter).writerows(rows)
        records.append(written.getvalue().encode())
        expected.append([dict(zip(columns, row, strict=True)) for row in rows])
    made = outcomes("csv-to-json", *records, COLUMNS=delimiter.join(columns), DELIMITER=delimiter)
    assert [rows_of(each) for each in made] == expected


@pytest.mark.parametrize(
    ("record", "made"),
    [
        (b"1,2", [{"a": "1", "b": "2"}]),
        (b"1,2\r\n", [{"a": "1", "b": "2"}]),
        (b"\n1,2\n\n3,4\n", [{"a": "1", "b": "2"}, {"a": "3", "b": "4"}]),
        (b"\xef\xbb\xbfa,b\n1,2\n", [{"a": "1", "b": "2"}]),
        (b",", [{"a": "", "b": ""}]),
    ],
    ids=repr,
)
def test_a_record_of_csv_may_have_several_rows(record, made):
    assert rows_of(outcome("csv-to-json", record, COLUMNS="a,b")) == made


@pytest.mark.parametrize(
    ("record", "result"),
    [
        (b"", DROPPED),
        (b"\r\n", DROPPED),
        (b"a,b\n", DROPPED),
        (b"1", FAILED),
        (b"1,2,3", FAILED),
        (b"1,2\n3", FAILED),
        (b'"1,2', FAILED),
        (b'"1"x,2', FAILED),
        (b"1,\xff", FAILED),
    ],
    ids=repr,
)
def test_a_record_of_csv_without_good_rows_gives_nothing(record, result):
    assert outcome("csv-to-json", record, COLUMNS="a,b") == result


def test_a_field_may_be_as_long_as_a_record():
    record = b'1,"' + b"x" * 1_000_000 + b'"'
    assert rows_of(outcome("csv-to-json", record, COLUMNS="a,b")) == [
        {"a": "1", "b": "x" * 1_000_000}
    ]


def test_rows_that_swell_fail_alone():
    swelling = b",\n" * 250_000
    given = outcomes("csv-to-json", b"1,2", swelling, b"3,4", COLUMNS="a" * 30 + ",b")
    assert given[1] == FAILED
    assert rows_of(given[0])[0]["b"] == "2" and rows_of(given[2])[0]["b"] == "4"


def test_a_wrong_delimiter_is_an_error_of_the_initialization():
    with running("csv-to-json", DELIMITER=",,") as invoke:
        with pytest.raises(InvocationFailed, match=r"/init/error: .*delimiter"):
            invoke(event([b"1,2"]))


# MARK: cloudwatch-logs


def subscription(*messages: str, kind: str = "DATA_MESSAGE") -> bytes:
    """What CloudWatch Logs sends."""
    events = [
        {"id": str(number), "timestamp": 1_714_979_290_000, "message": message}
        for number, message in enumerate(messages)
    ]
    text = json.dumps({"messageType": kind, "logEvents": events}).encode()
    return gzip.compress(text, mtime=0)


def test_log_messages_come_out_one_a_line():
    made = outcome("cloudwatch-logs", subscription("one", "zwei é", "", "multi\nline"))
    assert made == "one\nzwei é\n\nmulti\nline\n".encode()


def test_half_a_character_does_not_cost_the_other_messages():
    assert outcome("cloudwatch-logs", subscription("a", "\ud800", "b")) == b"a\n?\nb\n"


def test_control_messages_are_dropped():
    assert outcome("cloudwatch-logs", subscription("x", kind="CONTROL_MESSAGE")) == DROPPED


@pytest.mark.parametrize(
    "record",
    [
        b"",
        b"text",
        subscription("x", kind="OTHER"),
        subscription("x")[:-1],
        subscription("x")[:20],
        subscription("x") + b"more",
        subscription("x") * 2,
        gzip.compress(b"", mtime=0),
        gzip.compress(b"[]", mtime=0),
        gzip.compress(b'"DATA_MESSAGE"', mtime=0),
        gzip.compress(b'{"messageType":"DATA_MESSAGE"}', mtime=0),
        gzip.compress(b'{"messageType":"DATA_MESSAGE","logEvents":[{"message":1}]}', mtime=0),
        gzip.compress(b'{"messageType":"DATA_MESSAGE","logEvents":[{}]}', mtime=0),
        gzip.compress(b'{"messageType":["DATA_MESSAGE"]}', mtime=0),
        gzip.compress(b"\xff", mtime=0),
    ],
    ids=lambda record: repr(record[:24]),
)
def test_what_is_not_from_cloudwatch_logs_fails(record):
    assert outcome("cloudwatch-logs", record) == FAILED


def test_a_bomb_hurts_nobody_else():
    """Zeros, a thousand times as many as there are bytes."""
    bomb = gzip.compress(b"\0" * 200_000_000, mtime=0)
    made = outcomes("cloudwatch-logs", subscription("a"), bomb, bomb, subscription("b"))
    assert made == [b"a\n", FAILED, FAILED, b"b\n"]


def test_messages_that_swell_fail_alone():
    """All outputs together would not even fit into memory."""
    swelling = [subscription("x" * 2_000_000)] * 250
    made = outcomes("cloudwatch-logs", subscription("a"), *swelling, subscription("b"))
    assert (made[0], made[-1]) == (b"a\n", b"b\n")
    delivered = [each for each in made[1:-1] if each != FAILED]
    assert 0 < sum(map(len, delivered)) * 4 / 3 < MAXIMUM_ANSWER_BYTES


# MARK: redact


def redacted(text: str | bytes) -> str:
    """What is left of a text."""
    made = outcome("redact", text.encode() if isinstance(text, str) else text)
    assert isinstance(made, bytes)
    return made.decode("utf-8", "surrogateescape")


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("ann@example.com", "[mail]"),
        ("<ann.smith+tag@mail.example.co.uk>", "<[mail]>"),
        ("from=ann@example.com,to=bob@example.com.", "from=[mail],to=[mail]."),
        ("ann@example.com.", "[mail]."),
        ("?mail=ann%40example.com&x=1", "?mail=[mail]&x=1"),
        ("jörg@exämple.de", "[mail]"),
        ("联系ann@example.com谢谢", "联系[mail]谢谢"),
        ("“ann@example.com”", "“[mail]”"),
        ("user@xn--bcher-kva.example", "[mail]"),
        (r'{"m":"\nann@example.com\t"}', r'{"m":"\n[mail]\t"}'),
        (r'{"m":"\u003cann@example.com\u003e"}', r'{"m":"\u003c[mail]\u003e"}'),
        (r'{"m":"andr\u00e9@example.com"}', r'{"m":"[mail]"}'),
        ("@example.com", "@example.com"),
        ("a@b", "a@b"),
        ("root@10.0.0.1", "root@10.0.0.1"),
        ("a @ example.com", "a @ example.com"),
        ("@", "@"),
    ],
    ids=repr,
)
def test_addresses_are_taken_out(text, left):
    assert redacted(text) == left


CARDS = [
    "4222222222222",
    "30569309025904",
    "378282246310005",
    "4111111111111111",
    "5555555555554444",
    "6011000990139424",
    "6304000000000000000",
]
"""Numbers of 13 to 19 digits that card networks publish for tests, or that look like theirs."""


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("4111 1111 1111 1111", "[card]"),
        ("4111-1111-1111-1111.", "[card]."),
        ("3782-822463-10005", "[card]"),
        ("4111 1111 1111 1111 05/27", "[card] 05/27"),
        ("no. 7 4111111111111111 x", "no. 7 [card] x"),
        ("x4111111111111111y", "x[card]y"),
        ("4111111111111111,5555555555554444", "[card],[card]"),
        ("4111111111111111 5555555555554444", "[card] [card]"),
        ("4111  1111 1111 1111", "4111  1111 1111 1111"),
        ("4111111111111112", "4111111111111112"),
        ("41111111111111111111", "41111111111111111111"),
        ("1712345678903", "1712345678903"),
        ("0.4111111111111111", "0.4111111111111111"),
        ("4111111111111111.5", "4111111111111111.5"),
        ('{"n":4111111111111111}', '{"n":0}'),
        ('{"n": 4111111111111111 }', '{"n": 0 }'),
        ("[4111111111111111,4111111111111111]", "[0,0]"),
        ('{"n":"4111111111111111"}', '{"n":"[card]"}'),
        ('{"n":"4111 1111 1111 1111","m":1}', '{"n":"[card]","m":1}'),
        (r'{"n":"\u00204111111111111111"}', r'{"n":"\u0020[card]"}'),
        (r'{"n":"\u41111111111111111"}', r'{"n":"\u41111111111111111"}'),
        *((card, "[card]") for card in CARDS),
    ],
    ids=repr,
)
def test_card_numbers_are_taken_out(text, left):
    assert redacted(text) == left


def test_exactly_the_numbers_that_pass_the_check_are_taken_out():
    generator = random.Random(17)
    numbers = [
        str(generator.randrange(10**digits)).zfill(digits)
        for digits in range(11, 22)
        for _ in range(400)
    ]
    for number, made in zip(
        numbers, outcomes("redact", *(each.encode() for each in numbers)), strict=True
    ):
        is_card = 13 <= len(number) <= 19 and number[0] not in "01" and passes_luhn(number)
        assert made == (b"[card]" if is_card else number.encode()), number


def passes_luhn(number: str) -> bool:
    """Whether the last digit of a number is its check digit."""
    total = 0
    for place, digit in enumerate(map(int, reversed(number))):
        total += sum(divmod(digit * 2, 10)) if place % 2 else digit
    return total % 10 == 0


def test_what_is_neither_stays_byte_for_byte():
    generator = random.Random(23)
    alphabet = ["é", "日", "🚰", "\ud800", "a", " ", "1", "-", "\\", '"', "\0", "\n", "\ufeff"]
    records = [
        "".join(generator.choices(alphabet, k=300)).encode("utf-8", "surrogatepass")
        for _ in range(200)
    ]
    records += [generator.randbytes(300).replace(b"@", b"") for _ in range(200)]
    assert outcomes("redact", *records) == records


def test_bytes_that_are_no_text_do_not_hide_an_address():
    assert redacted(b"\xff\xc3ann@example.com\xe9\xff") == "\udcff\udcc3[mail]\udce9\udcff"


def test_json_stays_json_and_never_grows():
    generator = random.Random(29)
    texts = ["a@b.cd", "\nann@example.com", "<é@x.de>", "4111 1111 1111 1111", *CARDS]
    records = []
    for _ in range(300):
        members = {
            str(number): generator.choice([generator.choice(texts), int(generator.choice(CARDS))])
            for number in range(generator.randint(1, 5))
        }
        indent, ascii_only = generator.choice([None, 2]), generator.random() < 0.5
        records.append(json.dumps(members, indent=indent, ensure_ascii=ascii_only).encode())
    for record, made in zip(records, outcomes("redact", *records), strict=True):
        assert json.loads(made).keys() == json.loads(record).keys()
        assert len(made) <= len(record)
        assert b"@" not in made and not re.search(rb"\d{13}", made)


# MARK: filter-errors


@pytest.mark.parametrize(
    ("pattern", "kept"),
    [("b", [b"abc", b"b\xff"]), ("^a", [b"abc"]), ("é", ["é".encode()]), ("^$", [b""])],
)
def test_records_that_match_are_kept_unchanged(pattern, kept):
    records = [b"abc", b"b\xff", "é".encode(), b"", b"\0\n"]
    made = outcomes("filter-errors", *records, PATTERN=pattern)
    assert made == [record if record in kept else DROPPED for record in records]


@pytest.mark.parametrize("pattern", ["(", "", "*"])
def test_a_wrong_pattern_fails_the_invocation(pattern):
    with running("filter-errors", PATTERN=pattern) as invoke:
        with pytest.raises(InvocationFailed, match=r"status [1-9]"):
            invoke(event([b"x"]))


def test_a_pattern_is_never_a_program():
    """It goes to jq as a value."""
    pattern = '"; halt_error #$(false)`false`\\\\'
    assert outcomes("filter-errors", b"x", PATTERN=pattern) == [DROPPED]


# MARK: enrich


def enriched(record: str | bytes, **environment: str) -> Outcome:
    """What becomes of a record."""
    data = record.encode() if isinstance(record, str) else record
    return outcome("enrich", data, **environment)


@pytest.mark.parametrize(
    ("record", "made"),
    [
        ('{"host":"web-1"}', '{"host":"web-1","datacenter":"fra"}'),
        ('{"host":"web-1"}\n', '{"host":"web-1","datacenter":"fra"}\n'),
        (' { "host" : "web-3" } \r\n', ' { "host" : "web-3" ,"datacenter":"ams, hall 2"} \r\n'),
        ('{"host":"db-1","x":[{"host":"web-1"}]}', None),
        (r'{"ho\u0073t":"d\u0062-1"}', r'{"ho\u0073t":"d\u0062-1","datacenter":"ams"}'),
        ('{"host":"unknown"}', '{"host":"unknown","datacenter":null}'),
        ('{"host":"host"}', '{"host":"host","datacenter":null}'),
        ('{"host":5}', '{"host":5,"datacenter":null}'),
        ('{"host":null}', '{"host":null,"datacenter":null}'),
        ("{}", '{"datacenter":null}'),
        ("{ \t}", '{ \t"datacenter":null}'),
        ('{"a":"}"}', '{"a":"}","datacenter":null}'),
        (r'{"a":"\\\",}"}', r'{"a":"\\\",}","datacenter":null}'),
        ('{"datacenter":"x","host":"web-1"}', '{"datacenter":"x","host":"web-1"}'),
        ('{"datacenter":null}', '{"datacenter":null}'),
    ],
    ids=repr,
)
def test_a_member_is_added_and_no_other_byte_changes(record, made):
    if made is None:
        made = record[:-1] + ',"datacenter":"ams"}'
    assert enriched(record) == made.encode()


def test_objects_of_every_form_keep_their_bytes():
    generator = random.Random(31)
    leaves = ['"é\\n\\u00e9"', "1.50", "-0", "1e2", "12345678901234567890", "true", "null", "[]"]
    records = []
    for _ in range(300):
        space = generator.choice(["", " ", "\n\t"])
        members = [
            f'{space}"{number}"{space}:{space}{generator.choice(leaves)}{space}'
            for number in range(generator.randint(0, 4))
        ]
        members.insert(generator.randint(0, len(members)), f'{space}"host":"db-1"')
        records.append(f"{space}{{{','.join(members)}{space}}}{space}")
    for record, made in zip(
        records, outcomes("enrich", *(each.encode() for each in records)), strict=True
    ):
        before, added, after = made.decode().rpartition(',"datacenter":"ams"')
        assert added and before + after == record
        assert list(json.loads(made))[-1] == "datacenter"


@pytest.mark.parametrize(
    "record",
    [
        b"",
        b" ",
        b"text",
        b"5",
        b"null",
        b'"{}"',
        b"[{}]",
        b'{"a":1',
        b'{"a":1}}',
        b'{"a":1}{"b":2}',
        b'{"a":1,}',
        b'{"a":1 , }',
        b'{"a":[1,]}',
        b"{,}",
        b'{"a":01}',
        b"{'a':1}",
        b'{"a":NaN}',
        b'{"a":"\n"}',
        b'{"a":"\xff"}',
        b'{/**/"a":1}',
        b'\xef\xbb\xbf{"a":1}',
        '{"a":1}'.encode("utf-16-le"),
        '{"a":1}'.encode("utf-16-be"),
    ],
    ids=repr,
)
def test_what_is_no_json_object_fails(record):
    assert enriched(record) == FAILED


def test_another_field_can_be_looked_up():
    assert enriched('{"node":"db-1"}', FIELD="node") == b'{"node":"db-1","datacenter":"ams"}'


def test_an_event_of_the_largest_size_keeps_its_order():
    """Records so small that the added members make the answer longer than the event."""
    records = [b'{"host":"web-3"}'] * 60_000
    made = outcomes("enrich", *records)
    assert set(made) <= {b'{"host":"web-3","datacenter":"ams, hall 2"}', FAILED}
    assert made.count(FAILED) < len(records) / 2


def test_without_its_table_it_says_so(tmp_path):
    for file in ("enrich", "transform.json"):
        (tmp_path / file).symlink_to(FOLDER / "enrich" / file)
    with running_folder(tmp_path) as invoke:
        with pytest.raises(InvocationFailed, match=r"status 1: enrich: hosts\.csv cannot be read"):
            invoke(event([b"{}"]))


def test_the_table_may_have_quotes_in_it(tmp_path: Path):
    for file in ("enrich", "transform.json"):
        (tmp_path / file).symlink_to(FOLDER / "enrich" / file)
    rows = ['a,"x, ""y"""', "b, z\\ ", "c,é\tq", ""]
    (tmp_path / "hosts.csv").write_text("\r\n".join(["host,datacenter", *rows]))
    asked = event([b'{"host":"a"}', b'{"host":"b"}', b'{"host":"c"}'])
    with running_folder(tmp_path) as invoke:
        made = outcomes_of(invoke(asked), asked)
    places = [json.loads(each)["datacenter"] for each in made]
    assert places == ['x, "y"', "z\\", "é\tq"]
