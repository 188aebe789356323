"""The server's settings: from its options, from the environment and from a file, in that order.

Most of these servers end before they listen: their data folder is none that can be made, and
whether that is all they complain of says whether a setting was taken, in a fraction of the time.
"""

import json
import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from buckets import FolderBucket
from master_keys import create_encrypted, fresh_master_key, write_master_keys, written
from server import BINARY, REPOSITORY, Hydrant, clean_environment
from streams import AT_ONCE, create_stream, describe, put

NOWHERE = "/dev/null/nowhere"
"""A data folder that nobody can make."""

WRONG_USAGE = 64

LAYERS = ["file", "environment"]


@dataclass(frozen=True)
class Setting:
    """One line of `hydrant settings`."""

    option: str
    variable: str
    member: str


def all_settings() -> list[Setting]:
    """What the program lists; nothing where tests are only collected."""
    if not BINARY.is_file():
        return []
    done = subprocess.run([BINARY, "settings"], capture_output=True, text=True, check=True)
    return [Setting(*line.split()) for line in done.stdout.splitlines()]


SETTINGS = {each.option: each for each in all_settings()}

FLAGS = {
    "--create-copy-ledger",
    "--strict-aws",
    "--accept-undeliverable",
    "--no-auth",
    "--encrypt-at-rest",
}

LISTS = {"--stream-limit"}

GOOD: dict[str, object] = {
    "--host": "127.0.0.2",
    "--port": 4000,
    "--data-dir": NOWHERE,
    "--s3-retry-duration": 60,
    "--endpoint-settings": "endpoints.json",
    "--durability": "os",
    "--compression-level": 9,
    "--max-log-bytes": 1_000_000_000_000,
    "--log-segment-kilobytes": 1024,
    "--region": "eu-west-1",
    "--account-id": "123456789012",
    "--log-level": "debug",
    "--log-format": "json",
    "--local-buckets": "/dev/null/buckets",
    "--s3-endpoint": "http://127.0.0.1:9",
    "--s3-region": "eu-west-1",
    "--s3-addressing": "path",
    "--copy": "data-api",
    "--copy-credentials": "keys",
    "--copy-statement": "SELECT load({manifest})",
    "--copy-ledger": "ledger",
    "--create-copy-ledger": True,
    "--copy-tls": "verify-full",
    "--copy-ca": "authority.pem",
    "--copy-timeout": 60,
    "--psql": "/usr/bin/psql",
    "--data-api-endpoint": "http://127.0.0.1:9",
    "--data-api-secret": "arn:aws:secretsmanager:eu-west-1:000000000000:secret:a",
    "--streams": "streams.json",
    "--min-buffer-interval": 0,
    "--stream-limit": ["a-*:records=1", "*:records=1000,requests=100,bytes=1048576"],
    "--strict-aws": True,
    "--accept-undeliverable": True,
    "--transforms": "programs",
    "--transform-limit": 4,
    "--credentials": "keys.json",
    "--no-auth": True,
    "--tls-certificate": "server.pem",
    "--tls-key": "server.key",
    "--tls-client-ca": "clients.pem",
    "--master-key": "master.key",
    "--encrypt-at-rest": True,
    "--freshness-bound": 60,
}
"""A value that makes sense for every setting."""

COMPANIONS = {
    "--create-copy-ledger": ("--copy-ledger", "ledger"),
    "--tls-certificate": ("--tls-key", "server.key"),
    "--tls-key": ("--tls-certificate", "server.pem"),
    "--tls-client-ca": ("--tls-certificate", "server.pem", "--tls-key", "server.key"),
}
"""Options that another one needs."""

BAD: dict[str, object] = {
    "--host": "0.0.0.0",
    "--port": 70_000,
    "--s3-retry-duration": -1,
    "--durability": "none",
    "--compression-level": 10,
    "--max-log-bytes": "much",
    "--log-segment-kilobytes": "63",
    "--log-level": "loud",
    "--log-format": "xml",
    "--s3-addressing": "sideways",
    "--copy": "by-hand",
    "--copy-credentials": "none",
    "--copy-statement": "SELECT {no_such_thing}",
    "--copy-tls": "perhaps",
    "--copy-timeout": 0,
    "--create-copy-ledger": True,
    "--data-api-endpoint": "nowhere",
    "--min-buffer-interval": 901,
    "--stream-limit": ["*:records=1", "*:records=none"],
    "--transform-limit": 0,
    "--tls-certificate": "server.pem",
    "--tls-key": "server.key",
    "--tls-client-ca": "clients.pem",
}
"""What is refused before anything is looked at; some only because something is missing."""


@dataclass
class Given:
    """What a server is told, and where: `file` is the settings file's text or content."""

    folder: Path
    options: list[str] = field(default_factory=list)
    environment: dict[str, str] = field(default_factory=dict)
    file: object = None

    def layer(self, layer: str, option: str, value: object) -> str:
        """Adds a setting to the file or to the environment; returns what it is called there."""
        setting = SETTINGS[option]
        if layer == "file":
            self.file = (self.file or {}) | {setting.member: value}
            return f"{self.path}: {setting.member}"
        texts = value if isinstance(value, list) else [value]
        said = ";".join(str(each).lower() if each is True else str(each) for each in texts)
        self.environment[setting.variable] = said
        return setting.variable

    @property
    def path(self) -> Path:
        """Where the settings file is."""
        return self.folder / "hydrant.json"

    @property
    def arguments(self) -> list[str]:
        """The command line; it names the file, which is written, if there is to be one."""
        if self.file is None:
            return self.options
        text = self.file if isinstance(self.file, str | bytes) else json.dumps(self.file)
        self.path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return ["--config", str(self.path), *self.options]

    def run(self, command: tuple[str, ...] = ("serve",)) -> subprocess.CompletedProcess:
        """Runs a command that ends by itself, in a folder of its own that must stay empty."""
        place = self.folder / "empty"
        place.mkdir(exist_ok=True)
        done = subprocess.run(
            [BINARY, *command, *self.arguments],
            env=clean_environment() | self.environment,
            cwd=place,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=10,
        )
        assert list(place.iterdir()) == []
        return done

    def refusal(self, command: tuple[str, ...] = ("serve",)) -> str:
        """What the server says of settings that it must not take."""
        done = self.run(command)
        assert (done.returncode, done.stdout) == (WRONG_USAGE, ""), done.stderr
        return done.stderr.removeprefix("Error: ")

    def unmakeable_folder(self) -> str:
        """Checks that all settings are taken; returns the data folder that cannot be made."""
        done = self.run()
        match = re.search(r"mkdir failed on (.*): Not a directory", done.stderr, re.DOTALL)
        assert match, done.stderr
        assert (done.returncode, done.stdout) == (1, "")
        return match.group(1)


@pytest.fixture
def given(tmp_path) -> Given:
    """A server that is told nothing yet."""
    return Given(tmp_path)


class Configured(Hydrant):
    """A server whose command line has its options and nothing else."""

    def spawn(self) -> subprocess.Popen:
        assert self.process is None, "the server runs already"
        with self._stdout.open("wb") as stdout, self._stderr.open("ab") as stderr:
            self.process = subprocess.Popen(
                [BINARY, "serve", *self.options],
                stdin=subprocess.DEVNULL,
                stdout=stdout,
                stderr=stderr,
                env=clean_environment() | self.environment,
                cwd=self.folder,
                start_new_session=True,
            )
        return self.process


@pytest.fixture
def start(tmp_path) -> Iterator:
    """Starts servers that are told what is `given`; what still runs at the end is killed."""

    def start(given: Given) -> Configured:
        folder = tmp_path / f"server-{len(servers)}"
        server = Configured(folder, *given.arguments, environment=given.environment)
        server.data = folder / "hydrant-data"
        servers.append(server)
        return server.start()

    servers: list[Configured] = []
    yield start
    for server in servers:
        if server.process:
            server.sigkill()


# MARK: Every setting


def test_every_setting_has_a_value_here():
    assert set(SETTINGS) <= set(GOOD), "a new setting needs a line in GOOD"
    assert len(SETTINGS) > 40


@pytest.mark.parametrize("layer", LAYERS)
@pytest.mark.parametrize("option", SETTINGS)
def test_every_setting_is_taken(given, option, layer):
    given.options = ["--data-dir", NOWHERE] if option != "--data-dir" else []
    given.options += COMPANIONS.get(option, ())
    given.layer(layer, option, GOOD.get(option, "1"))
    assert given.unmakeable_folder() == NOWHERE


@pytest.mark.parametrize("layer", LAYERS)
@pytest.mark.parametrize("option", BAD)
def test_a_value_that_is_not_valid_is_refused_with_its_source(given, option, layer):
    source = given.layer(layer, option, BAD[option])
    assert given.refusal().startswith(f"{source}: ")


@pytest.mark.parametrize("layer", LAYERS)
@pytest.mark.parametrize("option", sorted(FLAGS))
def test_flags_are_true_or_false(given, option, layer):
    """False is what they are anyway."""
    given.options = ["--data-dir", NOWHERE]
    given.layer(layer, option, False)
    assert given.unmakeable_folder() == NOWHERE
    source = given.layer(layer, option, "perhaps")
    assert given.refusal().startswith(f"{source}: ")


def test_settings_have_their_effects(start, given):
    """The same, once by the file and once by the environment."""
    for layer in LAYERS:
        told = Given(given.folder)
        for option, value in {
            "--port": 0,
            "--host": "127.0.0.1",
            "--data-dir": "elsewhere",
            "--stream-limit": ["slow-*:records=1", "*:records=1000"],
            "--min-buffer-interval": 7,
            "--region": "eu-west-3",
            "--account-id": "123456789012",
            "--log-format": "json",
            "--local-buckets": "pails",
        }.items():
            told.layer(layer, option, value)
        hydrant = start(told)
        client = hydrant.client()
        hints = AT_ONCE | {"IntervalInSeconds": 7}
        for name in ("slow-one", "fast"):
            create_stream(client, "arn:aws:s3:::bucket", name=name, BufferingHints=hints)
        arn = describe(client, "fast")["DeliveryStreamARN"]
        assert arn == "arn:aws:firehose:eu-west-3:123456789012:deliverystream/fast"
        with pytest.raises(client.exceptions.InvalidArgumentException):
            hints = AT_ONCE | {"IntervalInSeconds": 6}
            create_stream(client, "arn:aws:s3:::bucket", BufferingHints=hints)
        records = [{"Data": b"x"}] * 5
        failed = {
            name: client.put_record_batch(DeliveryStreamName=name, Records=records)[
                "FailedPutCount"
            ]
            for name in ("slow-one", "fast")
        }
        assert failed == {"slow-one": 4, "fast": 0}
        assert (hydrant.folder / "elsewhere" / "streams").is_dir()
        assert (hydrant.folder / "pails").is_dir()
        assert not hydrant.data.exists()
        for line in hydrant.log().splitlines():
            assert json.loads(line)["level"]


# MARK: Which counts


@pytest.mark.parametrize("layers", range(1, 8), ids="{:03b}".format)
def test_an_option_counts_before_its_variable_and_that_before_the_file(given, layers):
    if layers & 1:
        expected = "/dev/null/file"
        given.layer("file", "--data-dir", expected)
    if layers & 2:
        expected = "/dev/null/environment"
        given.layer("environment", "--data-dir", expected)
    if layers & 4:
        expected = "/dev/null/option"
        given.options = ["--data-dir", expected]
    assert given.unmakeable_folder() == expected


def test_what_is_repeated_is_replaced_as_a_whole(given):
    """A limit that is not valid is not looked at where another layer counts."""
    given.options = ["--data-dir", NOWHERE]
    bad, good = ["a:records=1", "b:records=none"], ["c:records=1", "d:records=2"]
    given.layer("file", "--stream-limit", bad)
    assert given.refusal().startswith(f"{given.path}: streamLimit: ")
    given.layer("environment", "--stream-limit", good)
    assert given.unmakeable_folder() == NOWHERE
    given.layer("environment", "--stream-limit", bad)
    assert given.refusal().startswith("HYDRANT_STREAM_LIMIT: ")
    given.options += ["--stream-limit", good[0], "--stream-limit", good[1]]
    assert given.unmakeable_folder() == NOWHERE
    given.options += ["--stream-limit", bad[1]]
    assert given.refusal().startswith("The value 'b:records=none' is invalid")


@pytest.mark.parametrize("between", [";", "\n", "; ", " ;\n\n", "\r\n"], ids=repr)
def test_a_variable_has_a_list_in_lines_or_with_semicolons(given, between):
    """What is empty between them is nothing."""
    given.options = ["--data-dir", NOWHERE]
    variable = "HYDRANT_STREAM_LIMIT"
    given.environment[variable] = between.join(["a:records=1", "b:records=2", ""])
    assert given.unmakeable_folder() == NOWHERE
    given.environment[variable] = between.join(["a:records=1", "b:records=none", "c:records=1"])
    assert given.refusal().startswith(f"{variable}: The value 'b:records=none' is invalid")


def test_an_empty_list_is_a_list(given):
    given.options = ["--data-dir", NOWHERE]
    given.layer("file", "--stream-limit", [])
    assert given.unmakeable_folder() == NOWHERE


@pytest.mark.parametrize(
    ("file", "variable", "option", "is_on"),
    [
        (None, None, False, False),
        (True, None, False, True),
        (False, None, False, False),
        (None, "true", False, True),
        (None, "1", False, True),
        (None, "0", False, False),
        (True, "false", False, False),
        (False, "TRUE", False, True),
        (False, "false", True, True),
    ],
)
def test_flags_have_the_same_order(given, file, variable, option, is_on):
    """Without --no-auth nobody may listen on such an address."""
    given.options = ["--data-dir", NOWHERE, "--host", "0.0.0.0"] + ["--no-auth"] * option
    if file is not None:
        given.layer("file", "--no-auth", file)
    if variable is not None:
        given.layer("environment", "--no-auth", variable)
    if is_on:
        assert given.unmakeable_folder() == NOWHERE
    else:
        assert "--host 0.0.0.0 is not a loopback address" in given.refusal()


def test_the_file_of_the_option_counts_before_the_variable_s(given):
    given.environment["HYDRANT_CONFIG"] = "missing.json"
    assert "missing.json" in given.refusal()
    given.file = {"dataDir": NOWHERE}
    assert given.unmakeable_folder() == NOWHERE


def test_the_file_of_the_variable_is_read(given):
    given.file = {"dataDir": NOWHERE}
    given.environment["HYDRANT_CONFIG"] = given.arguments[1]
    given.file = None
    assert given.unmakeable_folder() == NOWHERE


def test_the_last_of_an_option_counts(given):
    given.environment["HYDRANT_DATA_DIR"] = "/dev/null/0"
    given.options = ["--data-dir=/dev/null/1", "--data-dir", "/dev/null/2", "--data-dir=" + NOWHERE]
    assert given.unmakeable_folder() == NOWHERE


# MARK: Texts that look like something else


@pytest.mark.parametrize("layer", LAYERS)
@pytest.mark.parametrize(
    "folder", ["日本語 🚰", "-d", "--help", "--", "a=b;c", 'quo"te', "new\nline", "$HOME %s \\n"]
)
def test_a_value_is_taken_as_it_is(given, folder, layer):
    given.layer(layer, "--data-dir", f"/dev/null/{folder}")
    assert given.unmakeable_folder() == f"/dev/null/{folder}"


@pytest.mark.parametrize("layer", LAYERS)
@pytest.mark.parametrize("value", ["-x", "--help", "--version", "--", "--port", "--config=a", "="])
def test_a_value_that_looks_like_an_option_is_none(given, value, layer):
    given.options = ["--data-dir", NOWHERE]
    for option in ("--copy-statement", "--region", "--psql"):
        given.layer(layer, option, value)
    assert given.unmakeable_folder() == NOWHERE


def test_nothing_is_read_behind_two_dashes(given):
    given.options = ["--", "--config=missing.json"]
    assert given.refusal().startswith("Unexpected argument '--config=missing.json'")


def test_a_mistake_on_the_command_line_is_no_variable_s(given):
    """Even if the message speaks of an option that a variable stands for."""
    given.environment = {"HYDRANT_PORT": "0"}
    given.options = ["--prot", "1"]
    assert given.refusal().startswith("Unknown option '--prot'")


# MARK: The environment


@pytest.mark.parametrize(
    ("variable", "meant"),
    [
        ("HYDRANT_PROT", "HYDRANT_PORT"),
        ("HYDRANT_DATADIR", "HYDRANT_DATA_DIR"),
        ("HYDRANT_S3_ENPOINT", "HYDRANT_S3_ENDPOINT"),
        ("HYDRANT_TLS_CERT", None),
        ("HYDRANT_CHECK", None),
        ("HYDRANT_HELP", None),
        ("HYDRANT_ZZZZZZZZZZZZZZZZZZ", None),
        ("HYDRANT_", None),
        ("HYDRANT_port", "HYDRANT_PORT"),
    ],
)
def test_a_variable_that_is_not_known_is_refused(given, variable, meant):
    given.environment = {variable: "1", "HYDRANT_REGION": "eu-west-1"}
    said = given.refusal()
    assert said.startswith(f"{variable}: ")
    if meant:
        assert f"{meant} " in said.partition(": ")[2]


def test_variables_that_are_empty_are_none(given):
    given.options = ["--data-dir", NOWHERE]
    given.environment = {each.variable: "" for each in SETTINGS.values()}
    given.environment["HYDRANT_CONFIG"] = ""
    assert given.unmakeable_folder() == NOWHERE


KUBERNETES = {
    "HYDRANT_SERVICE_HOST": "10.96.0.7",
    "HYDRANT_SERVICE_PORT": "4573",
    "HYDRANT_SERVICE_PORT_FIREHOSE_API": "4573",
    "HYDRANT_PORT_4573_TCP": "tcp://10.96.0.7:4573",
    "HYDRANT_PORT_4573_TCP_PROTO": "tcp",
    "HYDRANT_PORT_4573_TCP_PORT": "4573",
    "HYDRANT_PORT_4573_TCP_ADDR": "10.96.0.7",
    "HYDRANT_METRICS_SERVICE_HOST": "10.96.0.8",
    "HYDRANT_METRICS_SERVICE_PORT": "9090",
    "HYDRANT_METRICS_PORT": "tcp://10.96.0.8:9090",
    "HYDRANT_METRICS_PORT_9090_TCP_ADDR": "10.96.0.8",
}
"""What pods see of services that are called hydrant, but for one, and hydrant-metrics."""


def test_the_variables_of_a_service_of_that_name_are_let_through(given):
    given.options = ["--data-dir", NOWHERE]
    given.environment = dict(KUBERNETES)
    assert given.unmakeable_folder() == NOWHERE


def test_a_service_s_url_in_place_of_the_port_is_explained(given):
    given.options = ["--data-dir", NOWHERE]
    given.environment = KUBERNETES | {"HYDRANT_PORT": "tcp://10.96.0.7:4573"}
    said = given.refusal()
    assert said.startswith("HYDRANT_PORT: ")
    assert "Kubernetes" in said
    assert "enableServiceLinks" in said
    if "or give --port" in said:
        given.options += ["--port", "0"]
        assert given.unmakeable_folder() == NOWHERE


def test_other_commands_do_not_mind(given):
    given.environment = {"HYDRANT_PROT": "1", "HYDRANT_CONFIG": "missing.json"}
    for command in (("settings",), ("streams", "--help"), ("--version",)):
        done = given.run(command)
        assert (done.returncode, done.stderr) == (0, "")


# MARK: Master keys


def test_the_variable_of_the_master_key_holds_the_key_itself(given, start):
    """It counts before the path of the file, and the option's path before both."""
    given.options = ["--port", "0"]
    given.environment = {"HYDRANT_MASTER_KEY": written(fresh_master_key())}
    given.file = {"masterKey": "/missing/master.key", "encryptAtRest": True}
    hydrant = start(given)
    create_encrypted(hydrant.client(), "arn:aws:s3:::bucket", BufferingHints={})
    hydrant.sigkill()
    hydrant.options += ["--master-key", "/missing/other.key"]
    assert "/missing/other.key" in hydrant.refusal_to_start()


def test_the_file_s_master_key_is_a_path(given, start, tmp_path):
    path = write_master_keys(tmp_path / "master.key", fresh_master_key())
    given.file = {"port": 0, "masterKey": str(path), "encryptAtRest": True}
    bucket = FolderBucket(start(given).data / "buckets", "bucket")
    assert not bucket.folder.exists()


def test_a_master_key_is_not_repeated_in_a_message(make_hydrant):
    environment = {"HYDRANT_MASTER_KEY": "not-a-master-key-but-hidden"}
    said = make_hydrant(environment=environment).refusal_to_start()
    assert "HYDRANT_MASTER_KEY" in said
    assert "not-a-master-key" not in said


# MARK: The file


@pytest.mark.parametrize(
    ("member", "meant"),
    [
        ("prot", "port"),
        ("Port", "port"),
        ("data-dir", "dataDir"),
        ("data_dir", "dataDir"),
        ("DATADIR", "dataDir"),
        ("s3EndPoint", "s3Endpoint"),
        ("HYDRANT_PORT", None),
        ("config", None),
        ("check", None),
        ("help", None),
        ("", None),
        ("größe 🚰", None),
        ("port\n", "port"),
    ],
)
def test_a_member_that_is_not_known_is_refused(given, member, meant):
    given.file = {"region": "eu-west-1", member: "1"}
    said = given.refusal()
    assert said.startswith(f"{given.path}: {member}: ")
    if meant:
        assert f" {meant} " in said


@pytest.mark.parametrize(
    ("member", "value"),
    [
        ("port", True),
        ("port", None),
        ("port", [4573]),
        ("port", {}),
        ("port", 1.5),
        ("port", 2**70),
        ("port", 1e300),
        ("port", ""),
        ("port", " 0"),
        ("region", False),
        ("noAuth", "true"),
        ("noAuth", 1),
        ("noAuth", None),
        ("noAuth", []),
        ("streamLimit", "*:records=1"),
        ("streamLimit", [1]),
        ("streamLimit", [["*:records=1"]]),
        ("streamLimit", [None]),
        ("streamLimit", [""]),
        ("streamLimit", {}),
        ("dataDir", ""),
        ("dataDir", "nul\0byte"),
    ],
    ids=repr,
)
def test_a_value_of_the_wrong_kind_is_refused(given, member, value):
    given.file = {member: value}
    assert given.refusal().startswith(f"{given.path}: {member}: ")


@pytest.mark.parametrize("value", [0, "0", 0.0, 1])
def test_numbers_may_be_texts(given, value):
    given.file = {"minBufferInterval": value, "compressionLevel": 1, "dataDir": NOWHERE}
    assert given.unmakeable_folder() == NOWHERE


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        '{"port": 0',
        '{"port": 0,}',
        "{'port': 0}",
        '{"port": 0} {}',
        '{"port": 00}',
        '{"port": 1e999}',
        '{"port": 1, "port": 1}',
        '{"port": 1, "p\\u006frt": 1}',
        '{"region": "\\ud800"}',
        b'{"region": "\xff"}',
        b'{"region": "\xc0\xaf"}',
        '{"region": "eu'.encode("utf-16"),
        "// comment\n{}",
        "[]",
        '"port"',
        "null",
        "4573",
        "[" * 1_000_000,
        '{"a":' * 100_000 + "1" + "}" * 100_000,
        '{"' + "x" * 10_000_000 + '": 1}',
    ],
    ids=lambda text: f"{text!r:.30}",
)
def test_a_file_that_is_no_json_object_is_refused(given, text):
    given.file = text
    said = given.refusal()
    assert str(given.path) in said
    assert len(said) < 2_000


def test_a_file_without_members_says_nothing(given):
    given.file = " {} \n"
    given.options = ["--data-dir", NOWHERE]
    assert given.unmakeable_folder() == NOWHERE


@pytest.mark.parametrize("path", ["missing.json", "/", "/dev/null", "/dev/null/x"])
@pytest.mark.parametrize("how", ["option", "variable"])
def test_a_file_that_cannot_be_read_is_refused(given, path, how):
    if how == "option":
        given.options = ["--config", path]
    else:
        given.environment = {"HYDRANT_CONFIG": path}
    assert path in given.refusal()


def test_a_link_to_a_file_is_followed(given):
    """As Kubernetes mounts what a ConfigMap has."""
    given.folder.joinpath("real.json").write_text(json.dumps({"dataDir": NOWHERE}))
    given.path.symlink_to("real.json")
    given.options = ["--config", str(given.path)]
    assert given.unmakeable_folder() == NOWHERE


# MARK: Other commands


def test_a_replay_takes_the_server_s_file(given, tmp_path):
    """With what is of no use to it."""
    command = ("replay", "redshift", "nobody")
    given.file = {
        "dataDir": str(tmp_path / "data"),
        "port": 4573,
        "credentials": "/missing/keys.json",
        "streamLimit": ["*:records=1"],
        "strictAws": True,
        "copyTimeout": 60,
    }
    done = given.run(command)
    assert done.returncode == 1
    assert f"the data folder {tmp_path / 'data'} does not exist" in done.stderr
    given.file["copyTimeout"] = 0
    assert given.refusal(command).startswith(f"{given.path}: copyTimeout: ")
    given.file["copyTimeuot"] = 1
    assert given.refusal(command).startswith(f"{given.path}: copyTimeuot: ")
    given.environment["HYDRANT_COPY_TIMEOUT"] = "-1"
    del given.file["copyTimeuot"]
    assert given.refusal(command).startswith("HYDRANT_COPY_TIMEOUT: ")


@pytest.mark.parametrize("config", ["missing.json", "/dev/null"])
def test_help_needs_no_settings(given, config):
    given.environment = {"HYDRANT_CONFIG": config, "HYDRANT_NO_SUCH": "1", "HYDRANT_PORT": "x"}
    for options in (["--help"], ["-h"], ["--version"], ["--port", "1", "--help"]):
        given.options = options
        done = given.run()
        assert (done.returncode, done.stderr) == (0, "")
        assert done.stdout


# MARK: What is written about them


def test_the_help_names_every_setting(given):
    given.options = ["--help"]
    said = given.run().stdout.split()
    for setting in SETTINGS.values():
        for name in (setting.option, setting.variable, setting.member):
            assert name in said


def test_names_follow_from_the_option():
    for setting in SETTINGS.values():
        first, *others = setting.option.removeprefix("--").split("-")
        assert setting.variable == "_".join(["HYDRANT", first, *others]).upper()
        assert setting.member == first + "".join(each.capitalize() for each in others)


def test_the_readme_has_the_table_that_the_program_prints(given):
    text = (REPOSITORY / "README.md").read_text()
    match = re.search(r"<!-- settings -->\n(.*?)<!-- /settings -->", text, re.DOTALL)
    assert match, "the README has no table of settings"
    printed = given.run(("settings", "--markdown")).stdout
    assert match.group(1).strip() == printed.strip()


def test_a_put_is_delivered_by_a_server_that_has_only_a_file(given, start):
    given.file = {"port": 0, "minBufferInterval": 0, "dataDir": "here"}
    hydrant = start(given)
    bucket = FolderBucket(hydrant.folder / "here" / "buckets", "bucket")
    put(hydrant.client(), create_stream(hydrant.client(), bucket.arn), b"record")
    bucket.wait_for(b"record")
    assert hydrant.sigterm() == 0
