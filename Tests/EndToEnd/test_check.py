"""`hydrant serve --check`: what is wrong with a set-up is said before a server is started on it."""

import json
import os
import re
import socket
import subprocess
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from buckets import S3Bucket
from certificates import Authority
from keys import Key, write_keys, write_private
from master_keys import create_encrypted, fresh_master_key, write_master_keys, written
from osmem import Osmem
from ports import free_port
from seaweed import SECRET_KEY, SeaweedFS
from server import BINARY, Hydrant, clean_environment
from stand_ins import Answers, http_destination, search_destination, splunk_destination
from streams import create_stream, destination, fresh_name, put
from transform_programs import IDENTITY, Programs
from transforms import lambda_arn, lambda_processor, processing
from warehouse import Postgres
from warehouse_streams import redshift_destination
from waiting import wait_until

pytest_plugins = ["search_fixtures", "warehouse_fixtures"]

LINE = re.compile(r"(ok  |warn|FAIL)  ((?:[^:(]|\([^)]*\))+): (.+)")

KEY = Key("AKIACHECKED00000", "Hidden-secret-of-a-key", token="Hidden-token-of-a-key")

HEC_TOKEN = "11111111-2222-4333-8444-hidden000000"

ACCESS_KEY = "Hidden-key-of-an-endpoint"

PASSWORD = "Hidden-password"

SECRETS = (KEY.secret_key, KEY.token, HEC_TOKEN, ACCESS_KEY, PASSWORD, SECRET_KEY)
"""What a check must never say."""

CHECK_SECONDS = 40


@dataclass(frozen=True)
class Checked:
    """What a check said."""

    status: int
    text: str
    lines: list[tuple[str, str, str]]

    def some(self, verdict: str, *words: str) -> bool:
        """Whether there is a line with this verdict that has all these words."""
        return any(
            each[0] == verdict and all(word in f"{each[1]}: {each[2]}" for word in words)
            for each in self.lines
        )

    @property
    def failures(self) -> list[str]:
        """The lines that say what is wrong."""
        return [f"{subject}: {text}" for verdict, subject, text in self.lines if verdict == "FAIL"]


@dataclass
class SetUp:
    """What a server is to be started with."""

    folder: Path
    environment: dict[str, str] = field(default_factory=dict)
    options: list[str] = field(default_factory=list)
    declared: list[dict] = field(default_factory=list)

    @property
    def data(self) -> Path:
        """Its data folder, which nobody has made."""
        return self.folder / "data"

    def declare(self, kind: str, configuration: dict, name: str | None = None) -> str:
        """Adds a stream; returns its name."""
        name = name or fresh_name()
        members = {f"{kind}DestinationConfiguration": configuration}
        self.declared.append({"DeliveryStreamName": name} | members)
        return name

    def check(self, *options: str) -> Checked:
        """Runs the check, which must leave no trace; reads what it says."""
        arguments = ["--host", "127.0.0.1", *self.options, *options]
        if "--port" not in arguments:
            arguments += ["--port", "0"]
        if "--data-dir" not in arguments:
            arguments += ["--data-dir", str(self.data)]
        if self.declared:
            path = self.folder / "streams.json"
            path.write_text(json.dumps(self.declared))
            arguments += ["--streams", str(path)]
        before = listing(self.folder)
        done = subprocess.run(
            [BINARY, "serve", "--check", "--min-buffer-interval", "0", *arguments],
            env=clean_environment() | self.environment,
            cwd=self.folder,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=CHECK_SECONDS,
        )
        assert listing(self.folder) == before
        secrets = (*SECRETS, self.environment.get("HYDRANT_MASTER_KEY", SECRET_KEY))
        for secret in secrets:
            assert secret not in done.stdout + done.stderr
        return parse(done)

    def failure(self, *options: str) -> Checked:
        """As `check`, of what must not be found good."""
        checked = self.check(*options)
        assert checked.status == 1, checked.text
        return checked


def parse(done: subprocess.CompletedProcess) -> Checked:
    """What was said; fails when it has not the form that it must have."""
    *lines, last = done.stdout.splitlines()
    found = []
    for line in lines:
        match = LINE.fullmatch(line)
        assert match, line
        found.append((match[1].strip(), match[2], match[3]))
    verdicts = [verdict for verdict, _, _ in found]
    counts = [verdicts.count(each) for each in ("ok", "warn", "FAIL")]
    assert [int(each) for each in re.findall(r"\d+", last)] == counts, done.stdout
    assert done.returncode == (1 if "FAIL" in verdicts else 0), done.stdout
    return Checked(done.returncode, done.stdout + done.stderr, found)


def listing(folder: Path) -> dict[str, tuple]:
    """All that is in a folder, with what would tell that it was touched."""
    found = {}
    for path in sorted(folder.rglob("*")):
        status = path.lstat()
        found[str(path)] = (status.st_mode, status.st_size, status.st_mtime_ns, status.st_ino)
    return found


@pytest.fixture
def answers() -> Iterator:
    """Starts servers that answer alike; all are stopped at the end."""

    def start(status: int, body: bytes = b"{}") -> Answers:
        server = Answers(status, body)
        servers.append(server)
        return server.__enter__()

    servers: list[Answers] = []
    yield start
    for server in servers:
        server.__exit__()


@pytest.fixture
def setup(tmp_path) -> SetUp:
    """A server on folders as buckets, with no stream."""
    folder = tmp_path / "set-up"
    folder.mkdir()
    return SetUp(folder)


@pytest.fixture
def s3_setup(setup, seaweed: SeaweedFS) -> SetUp:
    """A server on S3, with no stream."""
    setup.environment = dict(seaweed.environment)
    return setup


BUCKET_ARN = "arn:aws:s3:::pails"


# MARK: Good set-ups


def test_a_server_without_anything_is_fine(setup):
    checked = setup.check()
    assert checked.status == 0, checked.text
    assert checked.some("ok", str(setup.data))
    assert not setup.data.exists()


def test_all_that_is_good_is_named(
    s3_setup, seaweed, bucket: S3Bucket, osmem: Osmem, postgres: Postgres, answers, tmp_path
):
    programs = Programs(tmp_path / "programs")
    transform = programs.write("once", IDENTITY)
    endpoint = answers(200)
    setup = s3_setup
    setup.options += ["--credentials", str(write_keys(setup.folder / "keys.json", KEY))]
    setup.options += Authority(setup.folder).server().options
    setup.environment["HYDRANT_MASTER_KEY"] = written(fresh_master_key())
    setup.options += ["--encrypt-at-rest", *programs.options]
    lambda_members = processing(lambda_processor(lambda_arn(transform)))
    names = [
        setup.declare("ExtendedS3", destination(bucket.arn, **lambda_members)),
        setup.declare("Amazonopensearchservice", search_destination(osmem.endpoint, bucket.arn)),
        setup.declare("HttpEndpoint", http_destination(endpoint.endpoint, bucket.arn, ACCESS_KEY)),
        setup.declare(
            "Redshift",
            redshift_destination(
                bucket.arn, postgres.jdbc_url, table="events", password=postgres.password
            ),
        ),
    ]
    checked = setup.check()
    assert checked.failures == []
    subjects = [f"stream {name}" for name in names]
    subjects += [f"destination of {name}" for name in names[1:3]] + [f"warehouse of {names[3]}"]
    subjects += [osmem.endpoint, endpoint.endpoint, f"127.0.0.1:{postgres.port}"]
    for word in (*subjects, f"bucket {bucket.name}", "keys.json", "server.pem", "master key"):
        assert checked.some("ok", word), (word, checked.text)
    assert postgres.password not in checked.text
    assert setup.environment["HYDRANT_MASTER_KEY"] not in checked.text
    assert bucket.keys() == []
    assert osmem.indices("events") == []
    assert not any(body for _, _, body in endpoint.requests)


# MARK: Files


def test_keys_that_others_can_read_are_wrong(setup):
    setup.options += ["--credentials", str(write_keys(setup.folder / "keys.json", KEY, mode=0o644))]
    assert setup.failure().some("FAIL", "keys.json")


@pytest.mark.parametrize("text", ["", "{", "[]", '{"keys": [{"accessKeyId": "a"}]}', '{"keys": 7}'])
def test_keys_that_cannot_be_read_are_wrong(setup, text):
    path = write_private(setup.folder / "keys.json", text)
    assert setup.failure("--credentials", str(path)).some("FAIL", "keys.json")


def test_missing_files_are_named(setup):
    """All of them, not the first alone."""
    options = ["--credentials", "no-keys.json", "--endpoint-settings", "no-endpoints.json"]
    options += ["--tls-certificate", "no-server.pem", "--tls-key", "no-server.key"]
    options += ["--master-key", "no-master.key", "--streams", "no-streams.json"]
    checked = setup.failure(*options)
    for name in ("no-keys", "no-endpoints", "no-server", "no-master", "no-streams"):
        assert checked.some("FAIL", name), checked.text


def test_a_key_of_another_certificate_is_wrong(setup):
    authority = Authority(setup.folder)
    one, other = authority.server("one"), authority.server("other")
    options = ("--tls-certificate", str(one.certificate), "--tls-key", str(other.key))
    assert setup.failure(*options).some("FAIL", "TLS")


def test_a_certificate_that_has_lapsed_is_noticed(setup):
    lapsed = Authority(setup.folder).server("lapsed", lapsed=True)
    checked = setup.check(*lapsed.options)
    assert checked.some("warn", "TLS") or checked.some("FAIL", "TLS"), checked.text


def test_a_bad_master_key_is_wrong(setup):
    path = write_private(setup.folder / "master.key", "Hidden-password\n")
    assert setup.failure("--master-key", str(path)).some("FAIL", "master.key")
    setup.environment["HYDRANT_MASTER_KEY"] = "too-short-but-hidden"
    assert setup.failure().some("FAIL", "HYDRANT_MASTER_KEY")


def test_a_master_key_that_others_can_read_is_wrong(setup):
    path = write_master_keys(setup.folder / "master.key", fresh_master_key(), mode=0o640)
    assert setup.failure("--master-key", str(path)).some("FAIL", "master.key")


def test_bad_endpoint_settings_are_wrong(setup):
    path = write_private(setup.folder / "endpoints.json", '{"endpoints": [{"endpoint": 7}]}')
    assert setup.failure("--endpoint-settings", str(path)).some("FAIL", "endpoints.json")


# MARK: Streams


@pytest.mark.parametrize(
    ("declared", "words"),
    [
        (destination(BUCKET_ARN, Prefx="typo/"), ["Prefx"]),
        (destination(BUCKET_ARN, CompressionFormat="LZ4"), ["ompressionFormat"]),
        (destination(BUCKET_ARN, Prefix="!{timestamp:yyyy}/"), ["ErrorOutputPrefix"]),
        (destination("no-arn"), ["ucketARN"]),
    ],
)
def test_a_bad_declaration_is_named_with_its_member(setup, declared, words):
    name = setup.declare("ExtendedS3", declared)
    setup.declare("ExtendedS3", destination(BUCKET_ARN))
    assert setup.failure().some("FAIL", name, *words)


@pytest.mark.parametrize("text", ["", "{", "7", '[{"DeliveryStreamName": "a"}'])
def test_a_file_of_streams_that_is_broken_is_named(setup, text):
    path = setup.folder / "broken.json"
    path.write_text(text)
    assert setup.failure("--streams", str(path)).some("FAIL", "broken.json")


def test_two_streams_of_a_name_are_wrong(setup):
    setup.declare("ExtendedS3", destination(BUCKET_ARN), "twin")
    setup.declare("ExtendedS3", destination(BUCKET_ARN, Prefix="other/"), "twin")
    assert setup.failure().some("FAIL", "twin")


def test_streams_that_want_encryption_need_a_master_key(setup):
    name = setup.declare("ExtendedS3", destination(BUCKET_ARN))
    kind = {"KeyType": "AWS_OWNED_CMK"}
    setup.declared[0]["DeliveryStreamEncryptionConfigurationInput"] = kind
    assert setup.failure().some("FAIL", name)


# MARK: Transforms


def make_not_executable(programs: Programs, name: str) -> None:
    """Writes a program that nobody may run."""
    (programs.folder / name).write_text("#!/bin/sh\n")


def make_bad_json(programs: Programs, name: str) -> None:
    """Writes a transform.json with a mode that there is not."""
    programs.configure_text(name, '{"command": ["cat"], "mode": "somehow"}')


def make_broken_json(programs: Programs, name: str) -> None:
    """Writes a transform.json that ends too early."""
    programs.configure_text(name, '{"command": ')


def make_missing_command(programs: Programs, name: str) -> None:
    """Names a program that is not there."""
    programs.configure(name, command=["./no-such-program"], mode="once")


@pytest.mark.parametrize(
    "make",
    [
        lambda *_: None,
        make_not_executable,
        make_bad_json,
        make_broken_json,
        make_missing_command,
    ],
    ids=["missing", "not-executable", "bad-mode", "broken-json", "missing-command"],
)
def test_a_transform_that_cannot_run_is_wrong(setup, tmp_path, make):
    programs = Programs(tmp_path / "programs")
    make(programs, "lame")
    members = processing(lambda_processor(lambda_arn("lame")))
    setup.declare("ExtendedS3", destination(BUCKET_ARN, **members))
    assert setup.failure(*programs.options).some("FAIL", "lame")


# MARK: Buckets


def test_a_bucket_that_is_missing_is_wrong(s3_setup, missing_bucket, bucket):
    lost = s3_setup.declare("ExtendedS3", destination(missing_bucket.arn))
    s3_setup.declare("ExtendedS3", destination(bucket.arn))
    checked = s3_setup.failure()
    assert len(checked.failures) == 1
    assert missing_bucket.name in checked.failures[0]
    assert lost in checked.text


def test_a_bucket_for_backups_or_failed_records_counts_too(s3_setup, missing_bucket, bucket):
    backup = {"S3BackupMode": "Enabled", "S3BackupConfiguration": destination(missing_bucket.arn)}
    s3_setup.declare("ExtendedS3", destination(bucket.arn, **backup))
    assert s3_setup.failure().some("FAIL", missing_bucket.name)


def test_s3_that_is_away_is_wrong(s3_setup):
    s3_setup.environment["AWS_ENDPOINT_URL_S3"] = f"http://127.0.0.1:{free_port()}"
    s3_setup.declare("ExtendedS3", destination(BUCKET_ARN))
    assert s3_setup.failure().some("FAIL", "pails")


def test_wrong_keys_for_s3_are_wrong(s3_setup, bucket):
    s3_setup.environment["AWS_SECRET_ACCESS_KEY"] = "Hidden-password"
    s3_setup.declare("ExtendedS3", destination(bucket.arn))
    assert s3_setup.failure().some("FAIL", bucket.name)


def test_s3_without_keys_is_wrong(setup):
    assert setup.failure("--s3-endpoint", "http://127.0.0.1:9").failures


# MARK: Destinations


def test_a_cluster_that_is_away_is_wrong(setup):
    endpoint = f"http://127.0.0.1:{free_port()}"
    name = setup.declare("Amazonopensearchservice", search_destination(endpoint, BUCKET_ARN))
    assert setup.failure().some("FAIL", name, endpoint)


def test_a_cluster_that_knows_no_such_user_is_wrong(setup, answers):
    endpoint = answers(401).endpoint.replace("//", f"//checker:{PASSWORD}@")
    name = setup.declare("Amazonopensearchservice", search_destination(endpoint, BUCKET_ARN))
    assert setup.failure().some("FAIL", name, "401", "127.0.0.1")


def test_a_cluster_that_may_not_be_asked_is_to_be_looked_at(setup, answers):
    """Who may only write to an index need not know the cluster."""
    endpoint = answers(403).endpoint
    name = setup.declare("Amazonopensearchservice", search_destination(endpoint, BUCKET_ARN))
    checked = setup.check()
    assert checked.failures == []
    assert checked.some("warn", name, "403")


def test_an_endpoint_that_is_away_is_wrong(setup):
    endpoint = f"http://127.0.0.1:{free_port()}"
    name = setup.declare("HttpEndpoint", http_destination(endpoint, BUCKET_ARN, ACCESS_KEY))
    assert setup.failure().some("FAIL", name, endpoint)


def test_an_endpoint_gets_no_records(setup, answers):
    server = answers(404)
    setup.declare("HttpEndpoint", http_destination(f"{server.endpoint}/in", BUCKET_ARN, ACCESS_KEY))
    assert setup.check().failures == []
    assert not any(body for _, _, body in server.requests)


def test_a_wrong_token_for_splunk_is_wrong(setup, answers):
    server = answers(403, b'{"text":"Invalid token","code":4}')
    name = setup.declare("Splunk", splunk_destination(server.endpoint, BUCKET_ARN, HEC_TOKEN))
    assert setup.failure().some("FAIL", name, server.endpoint, "Invalid token")
    assert not any(body for _, _, body in server.requests)


def test_a_splunk_that_is_away_is_wrong(setup):
    endpoint = f"http://127.0.0.1:{free_port()}"
    name = setup.declare("Splunk", splunk_destination(endpoint, BUCKET_ARN, HEC_TOKEN))
    assert setup.failure().some("FAIL", name, endpoint)


@pytest.mark.parametrize("status", [200, 400])
def test_a_splunk_that_knows_the_token_is_fine(setup, answers, status):
    """It says that there is no data, which is all that there is to say."""
    server = answers(status, b'{"text":"No data","code":5}')
    name = setup.declare("Splunk", splunk_destination(server.endpoint, BUCKET_ARN, HEC_TOKEN))
    checked = setup.check()
    assert checked.some("ok", f"destination of {name}"), checked.text
    assert not any(body for _, _, body in server.requests)


def test_a_destination_that_hangs_does_not_hold_up_the_check(setup):
    settings = '{"endpoints": [{"endpoint": "*", "timeoutSeconds": 1}]}'
    path = write_private(setup.folder / "endpoints.json", settings)
    setup.options += ["--endpoint-settings", str(path)]
    with socket.create_server(("127.0.0.1", 0)) as silent:
        endpoint = f"http://127.0.0.1:{silent.getsockname()[1]}"
        names = [
            setup.declare("Amazonopensearchservice", search_destination(endpoint, BUCKET_ARN)),
            setup.declare("HttpEndpoint", http_destination(endpoint, BUCKET_ARN, ACCESS_KEY)),
        ]
        checked = setup.failure()
    for name in names:
        assert checked.some("FAIL", f"destination of {name}"), checked.text


def test_a_warehouse_that_is_away_is_wrong(setup):
    port = free_port()
    url = f"jdbc:redshift://127.0.0.1:{port}/warehouse"
    setup.declare("Redshift", redshift_destination(BUCKET_ARN, url, table="t", password=PASSWORD))
    assert setup.failure().some("FAIL", str(port))


def test_a_wrong_password_for_a_warehouse_is_wrong(setup, postgres: Postgres):
    given = redshift_destination(BUCKET_ARN, postgres.jdbc_url, table="t", password=PASSWORD)
    name = setup.declare("Redshift", given)
    assert setup.failure().some("FAIL", f"warehouse of {name}", "password")


def test_an_authority_that_is_missing_is_wrong(setup, postgres: Postgres):
    given = redshift_destination(
        BUCKET_ARN, postgres.jdbc_url, table="t", password=postgres.password
    )
    name = setup.declare("Redshift", given)
    setup.options += ["--copy-tls", "verify-ca", "--copy-ca", "/missing/authority.pem"]
    assert setup.failure().some("FAIL", f"warehouse of {name}", "/missing/authority.pem")


def test_a_missing_psql_is_wrong(setup, postgres: Postgres):
    given = redshift_destination(
        BUCKET_ARN, postgres.jdbc_url, table="t", password=postgres.password
    )
    setup.declare("Redshift", given)
    assert setup.failure("--psql", "/missing/psql").some("FAIL", "/missing/psql")


# MARK: Folders and ports


def test_a_data_folder_that_cannot_be_made_is_wrong(setup):
    assert setup.failure("--data-dir", "/dev/null/data").some("FAIL", "/dev/null/data")


@pytest.fixture
def read_only_disk(tmp_path) -> Iterator[Path]:
    """A file system that nobody can write to, not even who runs this."""
    place = tmp_path / "read-only"
    place.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "ro", "none", place]
    if os.geteuid() or subprocess.run(command).returncode:
        pytest.skip("no file system can be mounted here")
    yield place
    subprocess.run(["umount", place], check=True)


def test_a_data_folder_on_a_read_only_disk_is_wrong(setup, read_only_disk):
    for place in (read_only_disk, read_only_disk / "data"):
        checked = setup.failure("--data-dir", str(place))
        assert checked.some("FAIL", str(place), "Read-only file system"), checked.text


def test_a_folder_for_buckets_that_cannot_be_made_is_wrong(setup):
    """The server would not start."""
    place = "/dev/null/buckets"
    assert setup.failure("--local-buckets", place).some("FAIL", place)


def test_an_address_of_somebody_else_is_wrong(setup):
    setup.options += ["--no-auth", "--host", "192.0.2.1"]
    assert setup.failure().some("FAIL", "192.0.2.1")


def test_a_data_folder_that_is_a_file_is_wrong(setup):
    path = setup.folder / "file"
    path.touch()
    assert setup.failure("--data-dir", str(path)).some("FAIL", str(path))


def test_a_port_in_use_is_wrong(setup):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        assert setup.failure("--port", port).some("FAIL", port)


def test_a_bad_setting_is_as_bad_as_at_a_start(setup):
    done = subprocess.run(
        [BINARY, "serve", "--check", "--port", "70000"],
        env=clean_environment(),
        cwd=setup.folder,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 64
    assert "--port" in done.stderr


# MARK: All of it


def test_all_that_is_wrong_is_said(s3_setup, missing_bucket, tmp_path):
    programs = Programs(tmp_path / "programs")
    setup = s3_setup
    away = [f"http://127.0.0.1:{free_port()}" for _ in range(2)]
    write_keys(setup.folder / "keys.json", KEY, mode=0o666)
    setup.options += ["--credentials", "keys.json", *programs.options]
    lambda_members = processing(lambda_processor(lambda_arn("missing-program")))
    setup.declare("ExtendedS3", destination(missing_bucket.arn, **lambda_members))
    setup.declare("Amazonopensearchservice", search_destination(away[0], missing_bucket.arn))
    setup.declare("HttpEndpoint", http_destination(away[1], missing_bucket.arn, ACCESS_KEY))
    checked = setup.failure()
    for word in ("keys.json", "missing-program", missing_bucket.name, *away):
        assert checked.some("FAIL", word), (word, checked.text)


# MARK: Beside a server


def test_streams_of_the_data_folder_are_checked(setup, make_hydrant):
    hydrant = make_hydrant(folder=setup.folder).start()
    endpoint = f"http://127.0.0.1:{free_port()}"
    hydrant.client().create_delivery_stream(
        DeliveryStreamName="kept",
        HttpEndpointDestinationConfiguration=http_destination(endpoint, BUCKET_ARN, ACCESS_KEY),
    )
    hydrant.sigterm()
    assert setup.failure().some("FAIL", "kept", endpoint)


def test_a_change_that_a_stream_does_not_allow_is_wrong(setup, make_hydrant):
    """As at a start."""
    hydrant = make_hydrant(folder=setup.folder).start()
    backup = {"S3BackupMode": "Enabled", "S3BackupConfiguration": destination(BUCKET_ARN)}
    create_stream(hydrant.client(), BUCKET_ARN, name="kept", **backup)
    hydrant.sigterm()
    setup.declare("ExtendedS3", destination(BUCKET_ARN), "kept")
    checked = setup.failure()
    assert checked.some("FAIL", "streams.json", "kept", "S3BackupMode"), checked.text


def test_an_interval_that_this_server_does_not_take_is_wrong(setup):
    hints = {"SizeInMBs": 5, "IntervalInSeconds": 5}
    name = setup.declare("ExtendedS3", destination(BUCKET_ARN, BufferingHints=hints))
    assert setup.check().status == 0
    assert setup.failure("--min-buffer-interval", "60").some("FAIL", name)


def test_a_master_key_that_does_not_fit_is_noticed(setup, make_hydrant):
    """The streams that it does not open are named."""
    environment = {"HYDRANT_MASTER_KEY": written(fresh_master_key())}
    hydrant = make_hydrant(folder=setup.folder, environment=environment).start()
    name = create_encrypted(hydrant.client(), BUCKET_ARN)
    put(hydrant.client(), name, b"record")
    hydrant.sigterm()
    setup.environment["HYDRANT_MASTER_KEY"] = environment["HYDRANT_MASTER_KEY"]
    assert setup.check().status == 0
    setup.environment["HYDRANT_MASTER_KEY"] = written(fresh_master_key())
    assert setup.failure().some("FAIL", name)
    del setup.environment["HYDRANT_MASTER_KEY"]
    assert setup.failure().some("FAIL", name)


def test_a_stream_s_own_file_that_is_broken_is_wrong(setup, make_hydrant):
    hydrant = make_hydrant(folder=setup.folder).start()
    create_stream(hydrant.client(), BUCKET_ARN, name="scratched")
    hydrant.sigterm()
    (path,) = hydrant.data.rglob("stream.json")
    path.write_text(path.read_text()[:-20])
    assert setup.failure().some("FAIL", "scratched")


def test_beside_a_running_server_it_changes_nothing(setup, make_hydrant):
    """Not even while the server works; and the server does not notice."""
    hydrant: Hydrant = make_hydrant(folder=setup.folder / "running").start()
    bucket = hydrant.data / "buckets" / "pails"
    stream = create_stream(hydrant.client(), BUCKET_ARN)
    put(hydrant.client(), stream, b"before")
    names = ("--data-dir", str(hydrant.data), "--port", str(hydrant.port))
    hydrant.wait_for_log("delivered")
    in_flight = hydrant.data / "streams" / f"{stream}.stream" / "in-flight"
    wait_until(lambda: not list(in_flight.iterdir()), "the end of the buffer")
    said = hydrant.log()
    checked = setup.check(*names)
    assert checked.failures == []
    assert checked.some("warn", str(hydrant.process.pid)), checked.text
    assert stream in checked.text
    assert hydrant.log() == said
    ready = threading.Event()
    failed: list[Exception] = []

    def produce() -> None:
        client = hydrant.client()
        try:
            for _ in range(30):
                put(client, stream, b"during")
                ready.set()
        except Exception as error:
            failed.append(error)

    producer = threading.Thread(target=produce)
    producer.start()
    ready.wait(10)
    done = subprocess.run(
        [BINARY, "serve", "--check", *names, "--min-buffer-interval", "0"],
        env=clean_environment(),
        capture_output=True,
        text=True,
        timeout=CHECK_SECONDS,
    )
    producer.join()
    assert parse(done).status == 0
    assert failed == []
    assert bucket.is_dir()
    assert hydrant.sigterm() == 0
