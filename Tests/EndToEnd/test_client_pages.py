"""The pages on clients (`deploy/clients`): their blocks are run, and records arrive.

boto3 and OpenSSL are real, and so are both versions of the AWS CLI and Terraform with its
provider for AWS where they are installed. The SDKs for JavaScript and Java are stand-ins: the
pages' code runs in Node and Java, and its requests are signed and sent as the SDKs do it. Fluent
Bit and Kinesis Agent are run where they are installed or CLIENT_FLUENT_BIT and
CLIENT_KINESIS_AGENT name them; everywhere their requests are replayed, and Terraform's.
"""

import configparser
import json
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from buckets import FolderBucket
from client_pages import (
    ANY,
    BUCKET,
    HOST,
    OPERATOR,
    PAGES,
    SECURED_HOST,
    SHOP,
    STREAM,
    Place,
    block,
    blocks,
    serve_arguments,
    write,
    write_server_files,
)
from client_programs import (
    cli,
    cli_knows_services,
    client_environment,
    compile_java,
    install_javascript_stand_in,
    program,
    provider_mirror,
    run,
    run_node,
    run_shell,
    terraform,
)
from client_replays import FLUENT_BIT, KINESIS_AGENT, TERRAFORM
from client_sdks import (
    PutAll,
    put_all_in_java,
    put_all_in_javascript,
    put_all_in_python,
    sdk_client,
)
from keys import Key
from server import Hydrant
from streams import MEBIBYTE, ROLE_ARN, fresh_name
from strict_firehose import StrictFirehose
from wire import put_body

HELLO = b"hello\n"


@dataclass(frozen=True)
class Served:
    """A server as the index sets it up, and the bucket of its stream."""

    server: Hydrant
    place: Place

    @property
    def bucket(self) -> FolderBucket:
        """Where the stream of the pages delivers."""
        return FolderBucket(self.server.data / "buckets", BUCKET)

    def client(self, key: Key):
        """A boto3 client, for what a test does beside the page."""
        return sdk_client(self.place.endpoint, key, self.place.ca)


@pytest.fixture(scope="module")
def certificates(tmp_path_factory) -> Path:
    """What the index's commands make: an authority, and a certificate for `localhost`."""
    folder = tmp_path_factory.mktemp("certificates")
    run_shell(block("certificates").replace(SECURED_HOST, HOST), folder)
    return folder


@pytest.fixture
def plain(start_hydrant, tmp_path) -> Served:
    """The index's server on this machine."""
    return serve(start_hydrant, tmp_path, "server-plain")


@pytest.fixture
def secured(start_hydrant, tmp_path, certificates) -> Served:
    """The index's server on a network."""
    return serve(start_hydrant, tmp_path, "server-tls", certificates)


def serve(
    start_hydrant, tmp_path: Path, name: str, certificates: Path | None = None, *more: str
) -> Served:
    """Starts a server with a block's options, and `more`."""
    folder = tmp_path / "server"
    write_server_files(folder, certificates)
    server = start_hydrant(*serve_arguments(name), *more, folder=folder)
    return Served(server, Place(server.port, certificates and certificates / "ca.pem"))


@pytest.fixture
def home(tmp_path) -> Path:
    """The client's working and home folder."""
    folder = tmp_path / "home"
    folder.mkdir()
    return folder


# MARK: The pages


def test_every_block_has_a_name_and_is_run():
    nameless = [each for each in blocks() if each.name is None]
    assert not nameless
    names = [each.name for each in blocks()]
    assert len(names) == len(set(names)) > 25
    here = Path(__file__)
    tests = "".join(each.read_text() for each in [here, *here.parent.glob("client_*.py")])
    assert [name for name in names if f'"{name}"' not in tests] == []


def test_a_page_is_there_for_every_client_and_the_index_has_it():
    pages = {each.page for each in blocks()} - {"README.md"}
    index = (PAGES / "README.md").read_text()
    assert pages == set(re.findall(r"\((\w[\w-]*\.md)\)", index))


def test_what_the_index_makes_private_is_private(certificates):
    for name in ("ca.key", "server.key"):
        assert (certificates / name).stat().st_mode & 0o077 == 0, name
    assert "chmod 600 keys.json server.key" in block("server-tls")


# MARK: boto3


@pytest.mark.parametrize("name", ["boto3-plain", "boto3-tls"])
def test_boto3_puts_with_what_is_in_the_code(request, home, name):
    served = request.getfixturevalue("plain" if name == "boto3-plain" else "secured")
    script = write(home / "put.py", served.place.fill(block(name)))
    run([sys.executable, script], home)
    served.bucket.wait_for(HELLO)


def test_boto3_puts_with_what_is_in_the_environment(secured, home):
    script = write(home / "put.py", block("boto3-environment"))
    environment = secured.place.fill(block("client-environment"))
    run_shell(f"{environment}{sys.executable} {script}", home)
    secured.bucket.wait_for(HELLO)


# MARK: AWS CLI


@pytest.mark.parametrize(
    ("version", "name", "expected"),
    [(1, "cli-plain-v1", HELLO), (2, "cli-plain-v2", HELLO + b"hello again\n")],
)
def test_the_aws_cli_puts_on_this_machine(plain, home, version, name, expected):
    run_shell(plain.place.fill(block(name)), home, first=cli(version))
    plain.bucket.wait_for(expected)


@pytest.mark.parametrize("version", [1, 2])
def test_the_aws_cli_puts_text_with_a_profile(secured, home, version):
    folder = use_profile(secured.place, home, version)
    run_shell(for_version(block("cli-profile"), secured.place, folder), home, first=folder)
    secured.bucket.wait_for(b"one\ntwo\n")


@pytest.mark.parametrize("version", [1, 2])
def test_the_aws_cli_puts_what_was_refused_again(
    start_hydrant, tmp_path, certificates, home, version
):
    limit = ("--stream-limit", f"{STREAM}:records=3")
    served = serve(start_hydrant, tmp_path, "server-tls", certificates, *limit)
    folder = use_profile(served.place, home, version)
    records = [f"record {number}\n" for number in range(8)]
    write(home / "records.json", json.dumps([{"Data": each} for each in records]))
    run_shell(for_version(block("cli-retry"), served.place, folder), home, first=folder)
    served.bucket.wait_for("".join(records).encode())
    assert (home / "records.json").read_text().strip() == "[]"


def use_profile(place: Place, home: Path, version: int) -> Path:
    """Writes the page's files into a home; returns the folder of the CLI."""
    folder = cli(version)
    write(home / ".aws" / "config", place.fill(block("cli-config")))
    write(home / ".aws" / "credentials", block("cli-credentials"))
    return folder


def for_version(script: str, place: Place, folder: Path) -> str:
    """A block for a CLI that may be too old for `services`: the page says what to do then."""
    if cli_knows_services(folder):
        return script
    return script.replace("    aws ", "aws ").replace(
        "aws ", f"aws --endpoint-url {place.endpoint} ", 1
    )


# MARK: Retries in SDKs

LANGUAGES = pytest.mark.parametrize(
    "put_all", [put_all_in_python, put_all_in_javascript, put_all_in_java]
)


@LANGUAGES
def test_what_is_refused_is_put_again_and_nothing_else(put_all: PutAll, home):
    """Whatever is refused of a batch; and batches have up to 500 records and 4 MiB."""
    small = [f"record {number}\n".encode() for number in range(1203)]
    large = [bytes([number]) * 900_000 for number in range(10)]
    faults = {0: (0, 7, 499), 1: range(500), 3: (1,), 6: (0,)}
    with StrictFirehose(ANY) as endpoint:
        endpoint.fault = faults.get
        put_all(endpoint.endpoint, small + large, home)
        assert endpoint.complaints == []
        assert sorted(endpoint.stored) == sorted(small + large)
        sizes = [sum(map(len, each)) for each in endpoint.batches]
        assert max(map(len, endpoint.batches)) == 500
        assert 3 * MEBIBYTE < max(sizes) <= 4 * MEBIBYTE


@LANGUAGES
def test_a_stream_with_a_limit_gets_everything_once(put_all: PutAll, start_hydrant, tmp_path, home):
    limit = ("--stream-limit", f"{STREAM}:records=40")
    served = serve(start_hydrant, tmp_path, "server-plain", None, *limit)
    records = [b"%04d\n" % number for number in range(120)]
    put_all(served.place.endpoint, records, home)
    served.bucket.wait_for(b"".join(records))


# MARK: JavaScript


def test_javascript_puts_on_this_machine(plain, home):
    run_node(write(home / "put.mjs", plain.place.fill(block("javascript-plain"))))
    plain.bucket.wait_for(HELLO)


def test_javascript_puts_by_tls(secured, home):
    program("node")
    install_javascript_stand_in(home)
    write(home / "put.mjs", secured.place.fill(block("javascript-tls")))
    run_shell(secured.place.fill(block("javascript-run")), home)
    secured.bucket.wait_for(HELLO)


# MARK: Java


def test_java_puts_on_this_machine(plain, home):
    source = write(home / "PutPlain.java", plain.place.fill(block("java-plain")))
    compile_java(home, source)
    run([program("java"), "PutPlain"], home)
    plain.bucket.wait_for(HELLO)


def test_java_puts_by_tls(secured, home):
    program("keytool")
    source = write(home / "PutSecured.java", secured.place.fill(block("java-tls")))
    compile_java(home, source)
    store = {"/etc/hydrant/trust.p12": home / "trust.p12"}
    run_shell(secured.place.fill(block("java-trust-store"), store), home)
    run_shell(secured.place.fill(block("java-run"), store), home)
    secured.bucket.wait_for(HELLO)


# MARK: Terraform


@pytest.fixture
def workspace(home) -> Path:
    """An initialised folder for Terraform with the page's stream."""
    mirror = provider_mirror()
    write(home / "stream.tf", Place(0).fill(block("terraform-stream")))
    terraform(home, "init", "-input=false", f"-plugin-dir={mirror}")
    return home


@pytest.fixture
def without_streams(start_hydrant, certificates, tmp_path) -> Callable[[bool], Served]:
    """Starts the index's servers without its stream, which Terraform makes."""

    def start(tls: bool) -> Served:
        folder = tmp_path / "server"
        write_server_files(folder, certificates)
        options = serve_arguments("server-tls" if tls else "server-plain")
        place = options.index("--streams")
        server = start_hydrant(*options[:place], *options[place + 2 :], folder=folder)
        return Served(server, Place(server.port, certificates / "ca.pem" if tls else None))

    return start


@pytest.mark.timeout(600)
def test_terraform_makes_changes_and_removes_a_stream(without_streams, workspace):
    served = without_streams(False)
    write(workspace / "provider.tf", served.place.fill(block("terraform-plain")))
    apply = ("apply", "-input=false", "-auto-approve")
    assert "1 added, 0 changed" in terraform(workspace, *apply)
    terraform(workspace, "plan", "-input=false", "-detailed-exitcode")

    stream = workspace / "stream.tf"
    stream.write_text(stream.read_text().replace('"GZIP"', '"ZIP"').replace('"shop"', '"store"'))
    assert "0 added, 1 changed" in terraform(workspace, *apply)
    terraform(workspace, "plan", "-input=false", "-detailed-exitcode")

    assert "1 destroyed" in terraform(workspace, *apply, "-destroy")
    assert served.client(ANY).list_delivery_streams()["DeliveryStreamNames"] == []


@pytest.mark.timeout(600)
def test_terraform_makes_a_stream_by_tls_that_takes_records(without_streams, workspace):
    served = without_streams(True)
    write(workspace / "provider.tf", served.place.fill(block("terraform-tls")))
    assert block("terraform-keys").split()[1:] == [
        f"{name}={value}" for name, value in OPERATOR.environment.items()
    ]
    apply = ("apply", "-input=false", "-auto-approve")
    assert "1 added" in terraform(workspace, *apply, **OPERATOR.environment)
    served.client(SHOP).put_record(DeliveryStreamName=STREAM, Record={"Data": HELLO})
    served.bucket.wait_for(HELLO)


def test_terraform_s_requests_are_answered_as_it_wants_them(without_streams):
    """A replay of create, wait, read, change and delete, with the members that it sends."""
    served = without_streams(True)
    described = {"DeliveryStreamName": STREAM}

    def post(operation: str, body: dict) -> dict:
        answer = TERRAFORM.post(served.place, operation, body, OPERATOR)
        assert answer.status == 200, answer.body
        return answer.json

    tags = [{"Key": "team", "Value": "shop"}]
    created = post(
        "CreateDeliveryStream",
        {
            "DeliveryStreamName": STREAM,
            "DeliveryStreamType": "DirectPut",
            "ExtendedS3DestinationConfiguration": terraform_members(60),
            "Tags": tags,
        },
    )
    description = post("DescribeDeliveryStream", described)["DeliveryStreamDescription"]
    assert description["DeliveryStreamStatus"] == "ACTIVE"
    assert description["DeliveryStreamARN"] == created["DeliveryStreamARN"]
    assert post("ListTagsForDeliveryStream", described)["Tags"] == tags

    post(
        "UpdateDestination",
        {
            "CurrentDeliveryStreamVersionId": description["VersionId"],
            "DeliveryStreamName": STREAM,
            "DestinationId": description["Destinations"][0]["DestinationId"],
            "ExtendedS3DestinationUpdate": {
                **terraform_members(120),
                "CloudWatchLoggingOptions": {
                    "Enabled": False,
                    "LogGroupName": "",
                    "LogStreamName": "",
                },
                "ErrorOutputPrefix": "",
            },
        },
    )
    post("TagDeliveryStream", described | {"Tags": [{"Key": "team", "Value": "store"}]})
    changed = post("DescribeDeliveryStream", described)["DeliveryStreamDescription"]
    destination = changed["Destinations"][0]["ExtendedS3DestinationDescription"]
    assert destination["BufferingHints"] == {"IntervalInSeconds": 120, "SizeInMBs": 5}
    assert int(changed["VersionId"]) > int(description["VersionId"])

    post("DeleteDeliveryStream", described)
    gone = TERRAFORM.post(served.place, "DescribeDeliveryStream", described, OPERATOR)
    assert (gone.status, gone.error) == (400, "ResourceNotFoundException")


def test_what_terraform_left_out_is_left_out_of_descriptions(plain):
    """The provider keeps no default for it, and would want to change the stream forever."""
    client, name = plain.client(ANY), fresh_name()
    bucket = {"RoleARN": ROLE_ARN, "BucketARN": plain.bucket.arn}
    client.create_delivery_stream(
        DeliveryStreamName=name,
        AmazonopensearchserviceDestinationConfiguration={
            "RoleARN": ROLE_ARN,
            "ClusterEndpoint": "https://127.0.0.1:1",
            "IndexName": "logs",
            "S3Configuration": bucket,
        },
    )
    described = client.describe_delivery_stream(DeliveryStreamName=name)
    (destination,) = described["DeliveryStreamDescription"]["Destinations"]
    members = destination["AmazonopensearchserviceDestinationDescription"]
    assert "DocumentIdOptions" not in members


def terraform_members(interval: int) -> dict:
    """An S3 destination as the provider writes it: also what the page's lines leave out."""
    return {
        "BucketARN": f"arn:aws:s3:::{BUCKET}",
        "BufferingHints": {"IntervalInSeconds": interval, "SizeInMBs": 5},
        "CompressionFormat": "GZIP",
        "CustomTimeZone": "UTC",
        "DataFormatConversionConfiguration": {"Enabled": False},
        "EncryptionConfiguration": {"NoEncryptionConfig": "NoEncryption"},
        "FileExtension": "",
        "Prefix": "",
        "ProcessingConfiguration": {"Enabled": False, "Processors": []},
        "RoleARN": "arn:aws:iam::000000000000:role/firehose",
        "S3BackupMode": "Disabled",
    }


# MARK: Fluent Bit


def test_fluent_bit_s_requests_are_taken(secured, tmp_path):
    """A replay, to where the page's lines lead."""
    output = fluent_bit_output(fluent_bit_lines(secured.place, tmp_path))
    place = Place(int(output["port"]), Path(output["tls.ca_file"]))
    assert output["endpoint"] == HOST
    assert block("fluent-bit-keys").split()[1:] == [
        f"{name}={value}" for name, value in SHOP.environment.items()
    ]
    body = put_body(output["delivery_stream"], b'{"log":"one"}\n', b'{"log":"two"}\n')
    answer = FLUENT_BIT.post(place, "PutRecordBatch", body, SHOP, region=output["region"])
    assert answer.status == 200, answer.body
    # It looks for these very characters before it reads the answer as JSON.
    assert b'"FailedPutCount":0' in answer.body
    secured.bucket.wait_for(b'{"log":"one"}\n{"log":"two"}\n')


def test_fluent_bit_puts_what_is_in_a_file(secured, home, tmp_path):
    binary = program("fluent-bit", "CLIENT_FLUENT_BIT")
    write(tmp_path / "shop" / "access.log", "one\ntwo\n")
    lines = write(home / "fluent-bit.conf", fluent_bit_lines(secured.place, tmp_path))
    with running([binary, "-c", lines], home, **SHOP.environment):
        secured.bucket.wait_for(b'{"log":"one"}\n{"log":"two"}\n')


def fluent_bit_lines(place: Place, folder: Path) -> str:
    """The page's configuration, for files in a folder."""
    (folder / "fluent-bit").mkdir()
    paths = {"/var/log/shop": folder / "shop", "/var/lib/fluent-bit": folder / "fluent-bit"}
    return place.fill(block("fluent-bit-tls"), paths)


def fluent_bit_output(lines: str) -> dict[str, str]:
    """The options of the OUTPUT section."""
    unindented = "\n".join(line.strip() for line in lines.splitlines())
    parser = configparser.ConfigParser(delimiters=(" ",), strict=True)
    parser.read_string(unindented)
    return dict(parser["OUTPUT"])


# MARK: Kinesis Agent


@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
def test_kinesis_agent_s_requests_are_taken(request, tmp_path, tls):
    """A replay, to where the page's lines lead, with the keys that are in them."""
    served = request.getfixturevalue("secured" if tls else "plain")
    settings = agent_settings(served.place, tmp_path, tls)
    key = Key(settings["awsAccessKeyId"], settings["awsSecretAccessKey"])
    assert settings["firehose.endpoint"] == served.place.endpoint
    (flow,) = settings["flows"]
    body = put_body(flow["deliveryStream"], b"one\n", b"two\n")
    answer = KINESIS_AGENT.post(served.place, "PutRecordBatch", body, key)
    assert answer.status == 200, answer.body
    assert [set(each) for each in answer.json["RequestResponses"]] == [{"RecordId"}] * 2
    served.bucket.wait_for(b"one\ntwo\n")


@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
def test_kinesis_agent_puts_what_is_in_a_file(request, home, tmp_path, tls):
    binary = program("start-aws-kinesis-agent", "CLIENT_KINESIS_AGENT")
    served = request.getfixturevalue("secured" if tls else "plain")
    write(tmp_path / "shop" / "access.log", "one\ntwo\n")
    settings = agent_settings(served.place, tmp_path, tls)
    lines = write(home / "agent.json", json.dumps(settings))
    variables = java_variables(served.place, home) if tls else {}
    with running([binary, "-c", lines], home, **variables):
        served.bucket.wait_for(b"one\ntwo\n")


def test_the_agent_s_trust_store_has_the_authority(secured, home):
    """Java's own tool reads it back, by the very options that the agent's Java gets."""
    program("keytool")
    options = dict(
        each.removeprefix("-Djavax.net.ssl.").split("=")
        for each in java_variables(secured.place, home)["JVM_ARGS"].split()
    )
    arguments = ["-keystore", options["trustStore"], "-storepass", options["trustStorePassword"]]
    listed = run(["keytool", "-list", *arguments], home).stdout
    assert "hydrant" in listed
    assert "trustedCertEntry" in listed


def agent_settings(place: Place, folder: Path, tls: bool) -> dict:
    """The page's agent.json, for files in a folder."""
    paths = {"/var/log/shop": folder / "shop", "/var/lib/aws-kinesis-agent": folder}
    settings = json.loads(place.fill(block("agent-plain"), paths))
    return settings | (json.loads(place.fill(block("agent-tls"))) if tls else {})


def java_variables(place: Place, home: Path) -> dict[str, str]:
    """Makes the agent's trust store; returns the variables that name it."""
    store = {"/etc/aws-kinesis/trust.p12": home / "trust.p12"}
    run_shell(place.fill(block("agent-trust-store"), store), home)
    printed = run_shell(place.fill(block("agent-java"), store) + 'echo "$JVM_ARGS"\n', home)
    return {"JVM_ARGS": " ".join(printed.split())}


@contextmanager
def running(command: list[str | Path], folder: Path, **variables: str) -> Iterator[None]:
    """Runs a program beside the test; shows what it said when the test fails."""
    with (folder / "said.log").open("w+") as said:
        process = subprocess.Popen(
            command,
            cwd=folder,
            env=client_environment(folder) | variables,
            stdin=subprocess.DEVNULL,
            stdout=said,
            stderr=subprocess.STDOUT,
        )
        try:
            yield
        finally:
            process.terminate()
            try:
                process.wait(timeout=20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            said.seek(0)
            print(said.read())
