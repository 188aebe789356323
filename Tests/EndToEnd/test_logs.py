"""What the server says on standard error: levels, formats, ids to follow a batch by, no secrets."""

import base64
import gzip
import json
import re
from collections.abc import Iterable, Iterator
from datetime import datetime
from http.server import BaseHTTPRequestHandler
from urllib.parse import quote

import pytest

from background import InBackground
from buckets import FolderBucket
from commands import run_hydrant
from keys import EVERYTHING, UNKNOWN, Key, write_keys, write_private
from master_keys import create_encrypted, fresh_master_key, written
from metrics import metric, samples
from osmem import Osmem
from ports import free_port
from server import Hydrant
from stand_ins import (
    Answers,
    PromptServer,
    http_destination,
    search_destination,
    splunk_destination,
)
from streams import AT_ONCE, create_stream, destination, fresh_name, put
from transform_programs import UPPER, Programs
from transforms import lambda_arn, lambda_processor, processing
from waiting import wait_until
from wire import Connection, put_body, request
from warehouse import Postgres
from warehouse_streams import redshift_destination

pytest_plugins = ["search_fixtures", "warehouse_fixtures"]

JSON = ("--log-format", "json")

DEBUG = ("--log-level", "debug")

LEVELS = {"debug", "info", "notice", "warning", "error"}

PARTS = ("server", "ingest", "log", "delivery", "transforms")

TEXT_LINE = re.compile(
    r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z) (debug|info|notice|warning|error) "
    r"(hydrant(?:\.\w+)?): (.*)"
)

FAILED_ONCE = "S3 PUT failed; retrying"

LEFT_OUT = re.compile(r"(\d+) more like this were left out: (.*)")

Line = dict[str, str]


def lines(hydrant: Hydrant, **members: str) -> list[Line]:
    """The lines of a log in JSON that have these members; fails when one is not as it must be."""
    found = []
    for text in hydrant.log().splitlines(keepends=True):
        if not text.endswith("\n"):
            continue  # it is being written
        line = json.loads(text)
        assert {"time", "level", "logger", "message"} <= line.keys(), text
        assert line["level"] in LEVELS
        assert line["logger"] in {"hydrant", *(f"hydrant.{part}" for part in PARTS)}
        assert datetime.fromisoformat(line["time"]).tzinfo
        assert all(isinstance(each, str) for each in line.values())
        if members.items() <= line.items():
            found.append(line)
    return found


def wait_for_line(hydrant: Hydrant, **members: str) -> Line:
    """Waits for the first line with these members."""
    return wait_until(lambda: lines(hydrant, **members), f"a line with {members}")[0]


def bucket_of(hydrant: Hydrant, name: str = "bucket") -> FolderBucket:
    """A bucket of the server's embedded default."""
    return FolderBucket(hydrant.data / "buckets", name)


# MARK: Formats


def exercise(hydrant: Hydrant) -> None:
    """Has a server say something of everything."""
    client = hydrant.client()
    stream = create_stream(client, "arn:aws:s3:::bucket")
    put(client, stream, b"record")
    with pytest.raises(client.exceptions.ResourceNotFoundException):
        put(client, "nobody", b"record")
    hydrant.data.joinpath("buckets", "file").touch()
    failing = create_stream(client, "arn:aws:s3:::file")
    put(client, failing, b"record")
    hydrant.wait_for_log(FAILED_ONCE)
    hydrant.wait_for_log("delivered")
    client.delete_delivery_stream(DeliveryStreamName=failing)
    assert hydrant.sigterm() == 0


def test_lines_of_json_are_json(start_hydrant):
    hydrant = start_hydrant(*JSON, *DEBUG)
    exercise(hydrant)
    assert {line["level"] for line in lines(hydrant)} >= {"debug", "info", "warning"}


def test_lines_of_text_have_their_form(start_hydrant):
    hydrant = start_hydrant(*DEBUG)
    exercise(hydrant)
    for line in hydrant.log().splitlines():
        match = TEXT_LINE.fullmatch(line)
        assert match, line
        datetime.fromisoformat(match[1])


def test_what_others_say_begins_no_line_and_speaks_to_no_terminal(start_hydrant, tmp_path):
    """A program's output, for one, or an endpoint's answer."""
    hostile = "\x1b[2J\r\x07\x9b\u202e\u2028\x00 error hydrant: forged=1"
    programs = Programs(tmp_path / "programs")
    name = programs.write_file(f"sys.stderr.write({hostile!r} + '\\n'); sys.exit(3)")
    hydrant = start_hydrant(*DEBUG, *programs.options)
    members = processing(lambda_processor(lambda_arn(name), NumberOfRetries=0))
    body = json.dumps({"errorMessage": hostile}).encode()
    with Answers(400, body) as server:
        client = hydrant.client()
        soon = {"BufferingHints": AT_ONCE, "RetryOptions": {"DurationInSeconds": 0}}
        endpoint = http_destination(server.endpoint, "arn:aws:s3:::failed", "key", **soon)
        client.create_delivery_stream(
            DeliveryStreamName="ends", HttpEndpointDestinationConfiguration=endpoint
        )
        put(client, "ends", b"record")
        wait_until(bucket_of(hydrant, "failed").keys, "the failed record")
    stream = create_stream(client, "arn:aws:s3:::bucket", **members)
    put(client, stream, b"record")
    flush(hydrant, stream)
    hydrant.wait_for_log("forged")
    for line in hydrant.log().split("\n")[:-1]:
        assert TEXT_LINE.fullmatch(line), line
        assert not [each for each in line if each < " " or "\x7f" <= each <= "\x9f"], line
        assert "\u202e" not in line and "\u2028" not in line


# MARK: Levels


@pytest.mark.parametrize(
    ("levels", "there", "missing"),
    [
        ("debug", {"ingest debug", "delivery info", "delivery warning"}, set()),
        ("info", {"delivery info", "delivery warning"}, {"ingest debug"}),
        ("warning", {"delivery warning"}, {"ingest debug", "delivery info"}),
        ("error", set(), {"ingest debug", "delivery info", "delivery warning"}),
        ("error,ingest=debug", {"ingest debug"}, {"delivery info", "delivery warning"}),
        ("debug,ingest=info,delivery=error", {"ingest info"}, {"ingest debug", "delivery info"}),
        ("ingest=debug", {"ingest debug", "delivery info"}, set()),
        ("error,delivery=warning,server=info", {"delivery warning", " info"}, {"ingest debug"}),
    ],
)
def test_each_part_has_its_level(start_hydrant, levels, there, missing):
    hydrant = start_hydrant(*JSON, "--log-level", levels)
    client = hydrant.client()
    stream = create_stream(client, "arn:aws:s3:::bucket")
    hydrant.data.joinpath("buckets").mkdir(exist_ok=True)
    hydrant.data.joinpath("buckets", "file").touch()
    failing = create_stream(client, "arn:aws:s3:::file")
    put(client, stream, b"record")
    put(client, failing, b"record")
    bucket_of(hydrant).wait_for(b"record")
    labels = {"stream": failing, "pipeline": "source"}
    wait_until(lambda: metric(hydrant, "hydrant_delivery_retries_total", **labels), "a retry")
    assert hydrant.sigterm() == 0
    found = {
        f"{line['logger'].removeprefix('hydrant').removeprefix('.')} {line['level']}"
        for line in lines(hydrant)
    }
    assert there <= found
    assert not missing & found


@pytest.mark.parametrize(
    "levels",
    [
        *("loud", "", "info,", "info,ingest", "info,nobody=debug", "info,ingest=loud"),
        *("info,warning", "ingest=debug,info", "info,,ingest=debug", "info,ingest=", "INFO"),
        *("=info", "info=", "info ,ingest=debug", "critical", "trace"),
    ],
)
def test_levels_that_are_none_are_refused(make_hydrant, levels):
    said = make_hydrant(f"--log-level={levels}").refusal_to_start()
    assert "--log-level" in said


def test_lines_are_counted(start_hydrant):
    """Those that are left out as repeats, too."""
    hydrant = start_hydrant(*JSON, *DEBUG)
    stream = create_stream(hydrant.client(), "arn:aws:s3:::bucket")
    put(hydrant.client(), stream, b"record")
    bucket_of(hydrant).wait_for(b"record")

    def counts() -> dict[str, float]:
        return {
            dict(labels)["level"]: value
            for (name, labels), value in samples(hydrant).items()
            if name == "hydrant_log_lines_total"
        }

    def are_equal() -> bool:
        said = [line["level"] for line in lines(hydrant)]
        before = counts()
        return all(before.get(level, 0) == said.count(level) for level in ("info", "warning"))

    wait_until(are_equal, "equal counts")
    assert counts()["debug"] > 0


# MARK: Following a batch


def covers(line: Line, record_id: str) -> bool:
    """Whether a line is about a record."""
    return line.get("first_record_id", "~") <= record_id <= line.get("last_record_id", "")


def keys_of(hydrant: Hydrant, request_id: str, record_id: str, last: str) -> set[tuple[str, str]]:
    """Follows a record from its put to its objects: buckets and keys.

    Of what a transform gave, the log tells the range in the log of outcomes.
    """
    (taken,) = lines(hydrant, request_id=request_id)
    assert covers(taken, record_id)
    found = set()
    for line in lines(hydrant, stream=taken["stream"]):
        if "key" in line and covers(line, record_id) and line["message"] == last:
            found.add((line["bucket"], line["key"]))
        if line["message"] == "transformed" and covers(line, record_id):
            start, end = int(line["first_outcome"]), int(line["last_outcome"])
            for other in lines(hydrant, stream=taken["stream"], message="delivered"):
                if "first_outcome" in other:
                    first, final = int(other["first_outcome"]), int(other["last_outcome"])
                    if first <= end and start <= final:
                        found.add((other["bucket"], other["key"]))
    return found


def put_one_by_one(client, stream: str, wait) -> list[tuple[str, str, bytes]]:
    """Puts batches that are delivered apart; returns request ids, record ids and records."""
    known = []
    for number in range(4):
        records = [b"<%d.%d>" % (number, each) for each in range(3)]
        answer = client.put_record_batch(
            DeliveryStreamName=stream, Records=[{"Data": each} for each in records]
        )
        request_id = answer["ResponseMetadata"]["HTTPHeaders"]["x-amzn-requestid"]
        for entry, record in zip(answer["RequestResponses"], records, strict=True):
            known.append((request_id, entry["RecordId"], record))
        wait(number + 1)
    answer = client.put_record(DeliveryStreamName=stream, Record={"Data": b"<single>"})
    request_id = answer["ResponseMetadata"]["HTTPHeaders"]["x-amzn-requestid"]
    wait(5)
    return [*known, (request_id, answer["RecordId"], b"<single>")]


def test_a_record_can_be_followed_to_its_object(start_hydrant):
    hydrant = start_hydrant(*JSON, *DEBUG)
    client = hydrant.client()
    bucket = bucket_of(hydrant)
    stream = create_stream(client, bucket.arn)

    def wait(count: int) -> None:
        wait_until(lambda: len(lines(hydrant, message="delivered")) == count, "the delivery")

    for request_id, record_id, record in put_one_by_one(client, stream, wait):
        ((name, key),) = keys_of(hydrant, request_id, record_id, "delivered")
        assert name == bucket.name
        assert record in bucket.content(key)


def test_a_record_can_be_followed_through_a_transform(start_hydrant, tmp_path):
    """To the object of what came of it, and to that of its backup."""
    programs = Programs(tmp_path / "programs")
    hydrant = start_hydrant(*JSON, *DEBUG, *programs.options)
    client = hydrant.client()
    bucket, copies = bucket_of(hydrant), bucket_of(hydrant, "copies")
    name = programs.write("worker", UPPER.replace("upper", "swapcase"))
    stream = create_stream(
        client,
        bucket.arn,
        S3BackupMode="Enabled",
        S3BackupConfiguration=destination(copies.arn),
        **processing(lambda_processor(lambda_arn(name))),
    )

    def wait(count: int) -> None:
        flush(hydrant, stream)
        wait_until(lambda: len(lines(hydrant, message="delivered")) >= count, "the delivery")

    for request_id, record_id, record in put_one_by_one(client, stream, wait):
        found = keys_of(hydrant, request_id, record_id, "backed up")
        assert len(found) == 2, found
        for name, key in found:
            content = {bucket.name: bucket, copies.name: copies}[name].content(key)
            expected = record.swapcase() if name == bucket.name else record
            assert expected in content


def flush(hydrant: Hydrant, stream: str) -> None:
    """Has what waits delivered."""
    assert run_hydrant(hydrant, "flush", stream, "--no-wait").returncode == 0


def test_what_goes_wrong_names_the_records_as_well(start_hydrant):
    hydrant = start_hydrant(*JSON)
    client = hydrant.client()
    hydrant.data.joinpath("buckets").mkdir(exist_ok=True)
    hydrant.data.joinpath("buckets", "file").touch()
    stream = create_stream(client, "arn:aws:s3:::file")
    ids = put(client, stream, b"one", b"two")
    line = wait_for_line(hydrant, message=FAILED_ONCE, stream=stream)
    assert (line["first_record_id"], line["last_record_id"]) == (ids[0], ids[1])
    assert line["logger"] == "hydrant.delivery"


def test_a_refused_request_is_told_with_its_id(start_hydrant):
    hydrant = start_hydrant(*JSON, *DEBUG)
    client = hydrant.client()
    for call in (
        lambda: put(client, "nobody", b"record"),
        lambda: client.describe_delivery_stream(DeliveryStreamName="nobody"),
    ):
        with pytest.raises(client.exceptions.ResourceNotFoundException) as caught:
            call()
        headers = caught.value.response["ResponseMetadata"]["HTTPHeaders"]
        line = wait_for_line(hydrant, request_id=headers["x-amzn-requestid"])
        assert (line["status"], line["code"]) == ("400", "ResourceNotFoundException")


# MARK: Repeats


def test_warnings_of_many_streams_are_bounded(start_hydrant):
    """All are counted, and what was left out is said."""
    hydrant = start_hydrant(
        *(*JSON, "--s3-endpoint", f"http://127.0.0.1:{free_port()}"),
        environment={"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b"},
    )
    client = hydrant.client()
    names = [create_stream(client, "arn:aws:s3:::away") for _ in range(60)]
    with Connection(hydrant.port) as connection:
        # All at once, or the first would have said all that may be said before the last begins.
        bodies = [put_body(name, b"record") for name in names]
        connection.send(b"".join(request("PutRecordBatch", body) for body in bodies))
        assert [connection.answer().status for _ in names] == [200] * len(names)

    def warnings() -> float:
        return metric(hydrant, "hydrant_log_lines_total", level="warning") or 0

    wait_until(lambda: warnings() > 115, "many warnings", pause=0.2)
    counted = warnings()
    assert 60 <= len(lines(hydrant, message=FAILED_ONCE)) <= 100
    assert hydrant.sigterm() == 0
    said = lines(hydrant, message=FAILED_ONCE)
    assert len(said) <= 100
    assert {line["stream"] for line in said} == set(names)
    left = [LEFT_OUT.fullmatch(line["message"]) for line in lines(hydrant, level="warning")]
    told = sum(int(match[1]) for match in left if match and match[2] == FAILED_ONCE)
    assert len(said) + told >= counted


def test_one_stream_does_not_silence_another(start_hydrant):
    """Of what one says too often, the others' is still said."""
    hydrant = start_hydrant(
        *(*JSON, "--s3-endpoint", f"http://127.0.0.1:{free_port()}"),
        environment={"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b"},
    )
    client = hydrant.client()
    loud = create_stream(client, "arn:aws:s3:::away", BufferingHints=AT_ONCE)
    for _ in range(30):
        put(client, loud, b"record")
    wait_until(lambda: len(lines(hydrant, message=FAILED_ONCE, stream=loud)) >= 8, "warnings")
    quiet = create_stream(client, "arn:aws:s3:::away")
    put(client, quiet, b"record")
    wait_for_line(hydrant, message=FAILED_ONCE, stream=quiet)
    assert len(lines(hydrant, message=FAILED_ONCE, stream=loud)) <= 10


# MARK: Secrets


HIDDEN = {
    name: f"Hidden+{name}/{number:08x}="
    for number, name in enumerate(
        ["secret", "token", "password", "access-key", "s3-secret", "s3-token", "api-key", "record"],
        start=0x5EC0,
    )
}
"""Secrets of every kind, each with characters that URLs and JSON write otherwise."""

HEC_TOKEN = "99999999-8888-4777-8666-555555555555"

KEY = Key("AKIAHIDDEN000000", HIDDEN["secret"], token=HIDDEN["token"], allow=EVERYTHING)


def disguises(secret: str) -> Iterable[str]:
    """A secret as it is, and as it is written in URLs and headers."""
    yield secret
    yield quote(secret, safe="")
    yield json.dumps(secret)[1:-1].replace("/", "\\/")
    for start in range(3):
        # What every base64 has of it, wherever it begins.
        coded = base64.b64encode(b"x" * start + secret.encode()).decode()
        yield coded[4:-4]


EXPIRED = (
    "<Error><Code>ExpiredToken</Code><Message>The provided token has expired.</Message>"
    "<Token-0>{}</Token-0><RequestId>1</RequestId></Error>"
)
"""What AWS's S3 answers, with the token."""


class Echo(InBackground):
    """Refuses every request, and repeats what it was told in every form of an error."""

    def __init__(self):
        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def answer(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                if self.headers.get("Content-Encoding") == "gzip":
                    body = gzip.decompress(body)
                names = ("Authorization", "X-Amz-Security-Token", "X-Amz-Firehose-Access-Key")
                heads = [f"{name}: {self.headers[name]}" for name in names if self.headers[name]]
                said = f"{' '.join(heads)[:90]} {body.decode(errors='replace')[-90:]}"
                request_id = self.headers.get("X-Amz-Firehose-Request-Id")
                members = {"requestId": request_id, "timestamp": 1, "errorMessage": said}
                members |= {"text": said, "code": 8, "status": 400}
                members |= {"error": {"type": "some_exception", "reason": said}}
                answer = json.dumps(members).encode()
                if self.command == "PUT":
                    answer = EXPIRED.format(self.headers["X-Amz-Security-Token"]).encode()
                self.send_response(400)
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            do_GET = do_HEAD = do_POST = do_PUT = answer

            def log_message(self, *_) -> None:
                """Says nothing."""

        super().__init__(PromptServer(("127.0.0.1", 0), Handler))


@pytest.fixture
def echo() -> Iterator[str]:
    """The URL of a server that repeats what it is told."""
    with Echo() as server:
        yield server.endpoint


@pytest.mark.parametrize("s3", [False, True], ids=["folders", "s3"])
@pytest.mark.parametrize("form", ["text", "json"])
def test_no_secret_is_ever_said(
    start_hydrant, tmp_path, osmem: Osmem, postgres: Postgres, echo: str, form, s3
):
    """At the lowest level, while everything goes wrong that can."""
    master_key = written(fresh_master_key())
    keys = write_keys(tmp_path / "keys.json", KEY)
    password = HIDDEN["password"]
    entries = [
        {"endpoint": f"*:{osmem.port}/keyed", "apiKey": HIDDEN["api-key"]},
        {"endpoint": "*/named", "username": "user", "password": password},
    ]
    settings = write_private(tmp_path / "endpoints.json", json.dumps({"endpoints": entries}))
    programs = Programs(tmp_path / "programs")
    rubbish = programs.write_file("sys.stdout.write('{' + sys.stdin.read())")
    hydrant = start_hydrant(
        *("--log-format", form, *DEBUG, "--credentials", str(keys), *programs.options),
        *("--endpoint-settings", str(settings), "--copy-credentials", "keys"),
        *(("--s3-endpoint", echo) if s3 else ("--local-buckets", str(tmp_path / "buckets"))),
        "--encrypt-at-rest",
        environment={
            "AWS_ACCESS_KEY_ID": "AKIAS3KEY0000000",
            "AWS_SECRET_ACCESS_KEY": HIDDEN["s3-secret"],
            "AWS_SESSION_TOKEN": HIDDEN["s3-token"],
            "HYDRANT_MASTER_KEY": master_key,
        },
    )
    client = hydrant.client(KEY)
    record = json.dumps({"n": HIDDEN["record"]}).encode()
    arn = "arn:aws:s3:::away"
    soon = {"RetryOptions": {"DurationInSeconds": 0}, "BufferingHints": AT_ONCE}
    with_password = echo.replace("//", f"//user:{quote(password, safe='')}@")
    index = fresh_name("index")
    osmem.create_index(index, n={"type": "long"})
    named = {"IndexName": index, "IndexRotationPeriod": "NoRotation"}
    search = search_destination(osmem.endpoint, arn, **soon, **named)
    processor = lambda_processor(lambda_arn(rubbish), NumberOfRetries=0)
    redshift = {"table": "missing_table", "password": postgres.password, "retry": 0}
    streams = {
        "s3": ("ExtendedS3", destination(arn)),
        "mapped": ("Amazonopensearchservice", search),
        "keyed": (
            "Amazonopensearchservice",
            search | {"ClusterEndpoint": f"{osmem.endpoint}/keyed"},
        ),
        "named": ("Amazonopensearchservice", search | {"ClusterEndpoint": f"{echo}/named"}),
        "in-url": ("Amazonopensearchservice", search | {"ClusterEndpoint": with_password}),
        "http": ("HttpEndpoint", http_destination(echo, arn, HIDDEN["access-key"], **soon)),
        "splunk": ("Splunk", splunk_destination(echo, arn, HEC_TOKEN, **soon)),
        "copy": ("Redshift", redshift_destination(arn, postgres.jdbc_url, **redshift)),
        "refused": (
            "Redshift",
            redshift_destination(arn, postgres.jdbc_url, **redshift | {"password": password}),
        ),
        "rubbish": ("ExtendedS3", destination(arn, **processing(processor))),
    }
    for name, (kind, configuration) in streams.items():
        client.create_delivery_stream(
            DeliveryStreamName=name, **{f"{kind}DestinationConfiguration": configuration}
        )
        put(client, name, record)
    create_encrypted(client, arn)
    for wrong in (UNKNOWN, Key(KEY.access_key, "wrong", token="Hidden+wrong/token=")):
        with pytest.raises(client.exceptions.ClientError):
            put(hydrant.client(wrong), "s3", record)
    with pytest.raises(client.exceptions.ClientError):
        client.create_delivery_stream(
            DeliveryStreamName="bad",
            HttpEndpointDestinationConfiguration=http_destination(
                "nowhere", arn, HIDDEN["access-key"]
            ),
        )
    assert run_hydrant(hydrant, "flush", "rubbish", "--no-wait", key=KEY).returncode == 0
    for name in streams:
        if s3 or name != "s3":
            wait_until(lambda: is_in_trouble(hydrant, name), f"trouble of {name}", timeout=20)
    assert hydrant.sigterm() == 0
    log = hydrant.log()
    secrets = [*HIDDEN.values(), HEC_TOKEN, master_key, postgres.password, "Hidden+wrong/token="]
    found = [
        (secret, line)
        for secret in secrets
        for each in disguises(secret)
        for line in log.splitlines()
        if each and each in line
    ]
    assert not found, found[:3]


def is_in_trouble(hydrant: Hydrant, stream: str) -> bool:
    """Whether the log has something about a stream that is no success."""
    mark = re.compile(rf"(\bstream=|\"stream\":\"){stream}\b")
    trouble = re.compile(r"\b(warning|error|failed)\b")
    return any(
        mark.search(line) and trouble.search(line) for line in hydrant.log().splitlines()
    )
