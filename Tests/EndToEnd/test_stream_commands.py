"""`hydrant streams`: what an operator does with streams at a terminal."""

import json

import pytest

from commands import run_hydrant, run_redirected
from keys import PRODUCER, TEMPORARY, UNKNOWN
from server import ACCOUNT
from streams import create_stream, describe, destination, fresh_name

BUCKET_ARN = "arn:aws:s3:::bucket"


@pytest.fixture
def run(hydrant):
    """Runs `hydrant streams ...` against the shared server; returns what it printed."""

    def run(*arguments: str, stdin: str = "") -> str:
        done = run_hydrant(hydrant, "streams", *arguments, stdin=stdin.encode())
        assert done.returncode == 0, done.stderr
        assert done.stderr == b""
        return done.stdout.decode()

    return run


@pytest.fixture
def fail(hydrant):
    """As `run` for a command that must fail; returns its message."""

    def fail(*arguments: str, stdin: str = "") -> str:
        done = run_hydrant(hydrant, "streams", *arguments, stdin=stdin.encode())
        assert (done.returncode, done.stdout) == (1, b"")
        said = done.stderr.decode()
        assert said.startswith("hydrant: ")
        assert said.endswith("\n")
        return said

    return fail


def creation(name: str, **members) -> str:
    """The document that creates a stream."""
    given = destination(BUCKET_ARN, **members)
    return json.dumps({"DeliveryStreamName": name, "ExtendedS3DestinationConfiguration": given})


def test_all_streams_are_listed_one_a_line(start_hydrant):
    """More than the API lists at a time."""
    hydrant = start_hydrant()
    client = hydrant.client()
    assert run_hydrant(hydrant, "streams", "list").stdout == b""
    names = sorted(create_stream(client, BUCKET_ARN) for _ in range(25))
    done = run_hydrant(hydrant, "streams", "list")
    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout.decode() == "".join(f"{name}\n" for name in names)
    assert json.loads(run_hydrant(hydrant, "streams", "list", "--json").stdout) == names


def test_a_stream_is_created_from_a_file(run, client, tmp_path):
    name = fresh_name()
    path = tmp_path / "stream.json"
    path.write_text(creation(name, Prefix="logs/"))
    arn = run("create", str(path))
    assert arn == f"{describe(client, name)['DeliveryStreamARN']}\n"
    s3 = describe(client, name)["Destinations"][0]["ExtendedS3DestinationDescription"]
    assert s3["Prefix"] == "logs/"


def test_a_stream_is_created_from_the_standard_input(run, client):
    name = fresh_name()
    assert run("create", "-", stdin=creation(name)).endswith(f":deliverystream/{name}\n")
    assert describe(client, name)["DeliveryStreamStatus"] == "ACTIVE"


def test_a_member_that_there_is_not_is_refused(fail, client):
    """A server passes it over, as AWS does, and the stream would be another than was meant."""
    name = fresh_name()
    said = fail("create", "-", stdin=creation(name, CompresionFormat="GZIP"))
    assert "CompresionFormat" in said
    assert name not in client.list_delivery_streams()["DeliveryStreamNames"]


def test_a_description_is_the_api_s(run, client):
    name = create_stream(client, BUCKET_ARN, CompressionFormat="GZIP")
    said = json.loads(run("describe", name))
    expected = describe(client, name)
    assert said.keys() == expected.keys()
    assert said["CreateTimestamp"] == pytest.approx(expected["CreateTimestamp"].timestamp())
    del said["CreateTimestamp"], expected["CreateTimestamp"]
    assert said == expected


def test_an_update_needs_only_what_changes(run, client, tmp_path):
    """The name, the version and the destination are filled in."""
    name = create_stream(client, BUCKET_ARN, Prefix="old/")
    path = tmp_path / "update.json"
    path.write_text(json.dumps({"ExtendedS3DestinationUpdate": {"Prefix": "new/"}}))
    run("update", name, str(path))
    update = json.dumps({"ExtendedS3DestinationUpdate": {"CompressionFormat": "GZIP"}})
    run("update", name, "-", stdin=update)
    description = describe(client, name)
    assert description["VersionId"] == "3"
    s3 = description["Destinations"][0]["ExtendedS3DestinationDescription"]
    assert (s3["Prefix"], s3["CompressionFormat"]) == ("new/", "GZIP")


def test_a_version_that_is_given_is_not_replaced(run, fail, client):
    name = create_stream(client, BUCKET_ARN)

    def update(version: str) -> str:
        members = {"CurrentDeliveryStreamVersionId": version}
        return json.dumps(members | {"ExtendedS3DestinationUpdate": {"Prefix": "a/"}})

    said = fail("update", name, "-", stdin=update("7"))
    assert said.startswith("hydrant: ConcurrentModificationException: Cannot update firehose: ")
    run("update", name, "-", stdin=update("1"))
    assert describe(client, name)["VersionId"] == "2"


def test_a_stream_is_deleted(run, client):
    name = create_stream(client, BUCKET_ARN)
    assert run("delete", name) == ""
    assert name not in client.list_delivery_streams(Limit=10_000)["DeliveryStreamNames"]


# MARK: Errors


@pytest.mark.parametrize("command", ["describe", "delete"])
def test_a_stream_that_is_not_there_is_an_error(fail, command):
    said = fail(command, "nobody")
    expected = f"Firehose nobody under account {ACCOUNT} not found."
    first, advice = said.splitlines()
    assert first == f"hydrant: ResourceNotFoundException: {expected}"
    assert "`hydrant streams list`" in advice


def test_an_update_of_nothing_is_an_error(fail):
    update = json.dumps({"ExtendedS3DestinationUpdate": {"Prefix": "a/"}})
    said = fail("update", "nobody", "-", stdin=update)
    assert said.startswith("hydrant: ResourceNotFoundException: ")


@pytest.mark.parametrize("redirection", [">/dev/full", ">&-"])
def test_output_that_cannot_be_written_is_an_error(hydrant, client, redirection):
    name = create_stream(client, BUCKET_ARN)
    for arguments in (("list",), ("describe", name)):
        done = run_redirected(hydrant, redirection, "streams", *arguments)
        assert done.returncode == 1
        assert done.stderr.startswith(b"hydrant: ")


def test_a_refused_document_is_explained(fail, client):
    name = create_stream(client, BUCKET_ARN)
    said = fail("create", "-", stdin=creation(name))
    assert said.startswith("hydrant: ResourceInUseException: ")
    said = fail("create", "-", stdin=creation("not a name"))
    assert said.startswith("hydrant: ValidationException: ")
    assert "deliveryStreamName" in said


@pytest.mark.parametrize("text", ["", "{", "[]", '"x"', "{} {}"])
def test_what_is_no_document_is_refused(fail, client, tmp_path, text):
    """Whoever notices, the server or the command."""
    path = tmp_path / "stream.json"
    path.write_text(text)
    fail("create", str(path))
    fail("update", create_stream(client, BUCKET_ARN), str(path))


def test_a_missing_file_is_named(fail, tmp_path):
    path = tmp_path / "absent.json"
    assert str(path) in fail("create", str(path))
    assert str(path) in fail("update", "any", str(path))


@pytest.mark.parametrize(
    "arguments",
    [(), ("describe",), ("delete",), ("update", "name"), ("create",), ("rename", "a", "b")],
    ids=" ".join,
)
def test_wrong_arguments_are_refused(hydrant, arguments):
    done = run_hydrant(hydrant, "streams", *arguments)
    if arguments:
        assert done.returncode != 0
    assert b"USAGE" in (done.stdout + done.stderr).upper()


def test_keys_are_used(guarded_hydrant):
    for key in (PRODUCER, TEMPORARY):
        done = run_hydrant(guarded_hydrant, "streams", "list", key=key)
        assert (done.returncode, done.stderr) == (0, b"")
    done = run_hydrant(guarded_hydrant, "streams", "list", key=UNKNOWN)
    assert done.returncode == 1
    assert done.stderr.startswith(b"hydrant: UnrecognizedClientException: ")
    done = run_hydrant(guarded_hydrant, "streams", "list")
    assert done.stderr.startswith(b"hydrant: MissingAuthenticationTokenException: ")
