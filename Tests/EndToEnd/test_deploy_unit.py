"""`deploy/hydrant.service`: its score, and that the server does its work under it.

A systemd of the test's own runs the unit as it is, on a machine that is made for it and on which
Hydrant is installed as `deploy/README.md` says.
"""

import json
import os
import re
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

import deploy_probes
from buckets import S3Bucket
from conftest import SERVERS
from deploy_files import README, UNIT, unit
from deploy_machine import Machine
from deploy_service import OPERATOR, PRODUCER, SERVICE, Service, sample_refusal
from keys import Key
from osmem import Osmem
from seaweed import ACCESS_KEY, SECRET_KEY, SeaweedFS
from server import GRACEFUL_STOP_SECONDS
from streams import create_stream, fresh_name, put
from transforms import client_of, lambda_processor, processing
from waiting import wait_until
from warehouse import Postgres
from warehouse_streams import numbered, redshift_destination

pytest_plugins = ["warehouse_fixtures"]

BEST_EXPOSURE = 20
"""Ten times the exposure that is allowed."""

OPEN_FILES = 65_536

ORDINARY = {
    "Type", "ExecStart", "ExecReload", "User", "Group", "StateDirectory", "StateDirectoryMode",
    "WorkingDirectory", "EnvironmentFile", "Restart", "RestartSec", "RestartPreventExitStatus",
    "TimeoutStartSec", "TimeoutStopSec", "KillMode", "LimitNOFILE",
}  # fmt: skip
"""Directives that say how the server is run."""

SPACES = {"ProtectHostname": "uts", "PrivateIPC": "ipc", "PrivateMounts": "mnt"}
"""Directives that give the service a namespace of its own."""

IMPLIED = {
    "NoNewPrivileges": "by system call filters of a service that is not root's",
    "PrivateMounts": "by all that has files look different",
    "ProtectClock": "by SystemCallFilter",
    "RestrictRealtime": "by SystemCallFilter",
}
"""Directives whose walls would stand without them, too: they are for whoever loosens the others."""

NOT_SHOWN = {
    "OOMPolicy": "takes a machine whose memory can be used up",
    "ProtectKernelLogs": "an ordinary user may not read the kernel's log where "
    "kernel.dmesg_restrict is set, and /dev/kmsg is not there anyway (PrivateDevices)",
    "RemoveIPC": "nothing is left to be removed, because of PrivateIPC",
}
"""Directives whose effect no probe can see, and why."""

PLAIN = """\
[Service]
Type=oneshot
User=hydrant
ExecStart=/usr/bin/python3 /etc/hydrant/transforms/probes/transform.py --print
StandardOutput=truncate:/run/plain.json
"""
"""A service without walls."""


BEGAN, ENDED = "began", "ended-by"

BUSY = f"""\
import os, signal, sys
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
sys.stdin.read()
open("/var/lib/hydrant/{BEGAN}", "w").close()
sender = signal.sigwaitinfo([signal.SIGTERM]).si_pid
with open("/var/lib/hydrant/{ENDED}", "w") as file:
    file.write(str(sender))
"""
"""A transform that is at work when the service stops. It can write where the service can."""


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    """A machine with nothing on it."""
    machine = Machine(tmp_path_factory.mktemp("machine"))
    try:
        yield machine.start()
    finally:
        machine.stop()


@pytest.fixture(scope="module")
def store(seaweed: SeaweedFS) -> Iterator[SeaweedFS]:
    """The store, with the bucket of the sample's stream."""
    seaweed.create_bucket("logs")
    yield seaweed
    seaweed.delete_bucket("logs")


@pytest.fixture(scope="module")
def service(
    request: pytest.FixtureRequest,
    machine: Machine,
    store: SeaweedFS,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Service]:
    """The service, installed and started as the page says."""
    service = Service(machine, tmp_path_factory.mktemp("service"))
    service.install(s3Endpoint=store.endpoint)
    keys = {"AWS_ACCESS_KEY_ID": ACCESS_KEY, "AWS_SECRET_ACCESS_KEY": SECRET_KEY}
    service.write_environment(keys)
    service.add_transform("probes", Path(deploy_probes.__file__))
    machine.write("/tmp/of-somebody-else", "text")
    request.config.stash[SERVERS].append(service)
    service.first_start()
    # The tests' own streams deliver at once, and load into a warehouse that is not quite Redshift.
    statement = f"SELECT redshift_copy({{copy_literal}}, '{store.endpoint}')"
    service.configure(minBufferInterval=0, copyStatement=statement)
    service.order("restart")
    yield service
    request.config.stash[SERVERS].remove(service)


@pytest.fixture(scope="module")
def client(service: Service):
    """A client that may do everything."""
    return service.client(OPERATOR)


# MARK: What systemd thinks of it


def test_its_exposure_is_low(report_counts):
    analyze = ["systemd-analyze", "security", "--offline=true", f"--threshold={BEST_EXPOSURE}"]
    done = subprocess.run([*analyze, "--no-pager", UNIT], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    exposure = re.search(r"Overall exposure level for \S+: ([\d.]+)", done.stdout)[1]
    assert f"security`: {exposure} of 10)" in README.read_text()
    report_counts(f"unit: exposure {exposure} of 10 (systemd-analyze security)")


def test_systemd_has_nothing_to_complain_of(service, machine):
    done = machine.run("systemd-analyze", "verify", "--man=no", f"/etc/systemd/system/{SERVICE}")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert SERVICE not in machine.log()


def test_every_line_is_shown_to_work_or_has_a_reason():
    walls = set(deploy_probes.walls())
    assert set(unit()) == ORDINARY | set(SPACES) | set(NOT_SHOWN) | walls
    assert not walls & set(NOT_SHOWN)
    assert set(IMPLIED) < walls | set(SPACES)


# MARK: The server under it


def test_it_is_installed_and_started_as_the_page_says(service):
    assert service.show("ActiveState") == "active"
    assert service.show("UnitFileState") == "enabled"
    assert service.show("NRestarts") == "0"
    assert "FAIL" not in service.checked


def test_samples_without_secrets_are_refused(tmp_path):
    assert "secretAccessKey" in sample_refusal(tmp_path)


def test_it_is_started_when_it_listens(service):
    """`Type=notify`: systemd waits for the server's word."""
    service.order("restart")
    assert client_of(service).meta.endpoint_url == service.endpoint
    assert service.client(OPERATOR).list_delivery_streams()["DeliveryStreamNames"]


def test_records_of_the_declared_stream_arrive(service, store):
    records = [f"line {number}\n".encode() for number in range(500)]
    put(service.client(PRODUCER), "logs", *records)
    S3Bucket(store, "logs").wait_for(b"".join(records), timeout=60)


@pytest.fixture(scope="module")
def seen(service, client, store) -> dict:
    """What a transform sees that the server has started."""
    name = store.create_bucket()
    processor = lambda_processor("probes", BufferIntervalInSeconds=0, BufferSizeInMBs=1)
    stream = create_stream(client, f"arn:aws:s3:::{name}", **processing(processor))
    put(client, stream, b"one record")
    bucket = S3Bucket(store, name)
    (key,) = bucket.wait_for_objects(1, timeout=60)
    found = bucket.content(key)
    client.delete_delivery_stream(DeliveryStreamName=stream)
    store.delete_bucket(name)
    return json.loads(found)


def test_transforms_can_do_what_programs_do(seen):
    assert {name: each for name, each in seen["works"].items() if each is not True} == {}


def test_transforms_and_the_server_are_walled_in(seen, service, machine, report_counts):
    assert [name for name, stands in seen["walls"].items() if stands is False] == []
    first = machine.spaces()
    own = [name for name, space in SPACES.items() if seen["spaces"][space] == first[space]]
    assert own == []
    status = Path(f"/proc/{service.main_process}/status").read_text()
    for line in ("NoNewPrivs:\t1", "Seccomp:\t2", "CapEff:\t0000000000000000", "Umask:\t0077"):
        assert line in status
    shown = [name for name, stands in seen["walls"].items() if stands] + list(SPACES)
    report_counts(f"unit: {len(shown)} of its walls stand, {len(NOT_SHOWN)} cannot be seen")


def test_the_probes_tell_walls_from_none(service, machine):
    """Without the unit's lines, all that they find refused is possible."""
    machine.write("/etc/systemd/system/plain.service", PLAIN)
    machine.do("systemctl", "daemon-reload")
    machine.do("systemctl", "start", "plain.service")
    plain = json.loads(machine.path("/run/plain.json").read_text())
    assert [name for name, stands in plain["walls"].items() if stands] == []
    first = machine.spaces()
    assert [name for name, each in SPACES.items() if plain["spaces"][each] != first[each]] == []


def test_it_may_open_many_files(service):
    limits = Path(f"/proc/{service.main_process}/limits").read_text()
    soft = int(re.search(r"Max open files\s+(\d+)", limits)[1])
    # systemd cannot give more than it has itself.
    most = int(re.search(r"Max open files\s+\d+\s+(\d+)", Path("/proc/self/limits").read_text())[1])
    assert soft == min(most, OPEN_FILES)


def test_its_data_is_its_own(service):
    folder = service.data.stat()
    assert folder.st_mode & 0o777 == 0o700
    user = int(service.machine.do("id", "-u", "hydrant"))
    files = list(service.data.rglob("*"))
    assert files
    assert {each.lstat().st_uid for each in files} == {folder.st_uid} == {user}
    assert [each for each in files if each.lstat().st_mode & 0o077] == []


def test_psql_loads_into_a_warehouse(service, client, store, postgres: Postgres):
    name = store.create_bucket()
    table = fresh_name("t").replace("-", "_")
    postgres.query(f"CREATE TABLE {table} (n bigint)")
    arn, stream = f"arn:aws:s3:::{name}", fresh_name()
    into = redshift_destination(arn, postgres.jdbc_url, table=table, password=postgres.password)
    client.create_delivery_stream(
        DeliveryStreamName=stream, RedshiftDestinationConfiguration=into
    )
    put(client, stream, *numbered(20))
    wait_until(lambda: postgres.numbers(table) == list(range(20)), "the rows", timeout=60)
    client.delete_delivery_stream(DeliveryStreamName=stream)
    store.delete_bucket(name)


def test_records_arrive_in_an_index(service, client, store, tmp_path):
    search = Osmem(tmp_path / "osmem").start()
    try:
        stream = fresh_name()
        client.create_delivery_stream(
            DeliveryStreamName=stream,
            AmazonopensearchserviceDestinationConfiguration={
                "RoleARN": "arn:aws:iam::000000000000:role/firehose",
                "ClusterEndpoint": search.endpoint.replace("127.0.0.1", "localhost"),
                "IndexName": "walled",
                "IndexRotationPeriod": "NoRotation",
                "BufferingHints": {"SizeInMBs": 1, "IntervalInSeconds": 0},
                "S3Configuration": {
                    "RoleARN": "arn:aws:iam::000000000000:role/firehose",
                    "BucketARN": "arn:aws:s3:::logs",
                },
            },
        )
        put(client, stream, *(b'{"n": %d}' % each for each in range(10)))
        wait_until(lambda: search.count("walled") == 10, "the documents", timeout=60)
        client.delete_delivery_stream(DeliveryStreamName=stream)
    finally:
        search.kill()


# MARK: Its life


def test_a_reload_reads_the_keys_again(service):
    changed = Key("producer", "another-secret")
    process = service.main_process
    service.write_secrets(OPERATOR, changed)
    service.order("reload")

    def is_refused(key: Key) -> bool:
        answer = service.client(key)
        try:
            answer.put_record(DeliveryStreamName="logs", Record={"Data": b"after the reload\n"})
        except answer.exceptions.ClientError as error:
            return error.response["Error"]["Code"] == "InvalidSignatureException"
        return False

    wait_until(lambda: is_refused(PRODUCER), "the former key to be refused")
    assert not is_refused(changed)
    assert service.main_process == process
    service.write_secrets(OPERATOR, PRODUCER)
    service.order("reload")
    wait_until(lambda: not is_refused(PRODUCER), "the key to be let in again")


def test_a_stop_is_in_time_and_clean(service):
    client = service.client(OPERATOR)
    before = time.monotonic()
    service.order("stop")
    assert time.monotonic() - before < GRACEFUL_STOP_SECONDS
    assert (service.show("ActiveState"), service.show("Result")) == ("inactive", "success")
    assert (service.show("ExecMainCode"), service.show("ExecMainStatus")) == ("1", "0")
    service.order("start")
    assert "logs" in client.list_delivery_streams()["DeliveryStreamNames"]


def test_transforms_are_told_to_end_by_the_server_alone(service, client, tmp_path):
    """If systemd told them first, that would be a failed attempt of theirs."""
    program = tmp_path / "busy.py"
    program.write_text(BUSY)
    service.add_transform("busy", program)
    processor = lambda_processor("busy", BufferIntervalInSeconds=0, BufferSizeInMBs=1)
    stream = create_stream(client, "arn:aws:s3:::logs", **processing(processor))
    put(client, stream, b"one record")
    began, ended = service.data / BEGAN, service.data / ENDED
    wait_until(began.exists, "the transform to work")
    service.order("stop")
    assert not ended.exists() or ended.read_text() != "1"
    service.order("start")
    client.delete_delivery_stream(DeliveryStreamName=stream)
    assert f"stream={stream}" in service.log()
    assert "the transform failed" not in service.log()
    began.unlink()
    ended.unlink(missing_ok=True)


def test_systemd_gives_it_time_to_stop():
    assert int(unit()["TimeoutStopSec"][0]) > GRACEFUL_STOP_SECONDS


def test_a_crash_is_followed_by_a_start(service, client, store):
    name = store.create_bucket()
    hints = {"SizeInMBs": 128, "IntervalInSeconds": 3}
    stream = create_stream(client, f"arn:aws:s3:::{name}", BufferingHints=hints)
    process = service.main_process
    put(client, stream, b"put before the crash\n")
    os.kill(process, signal.SIGKILL)
    wait_until(lambda: service.show("NRestarts") == "1", "systemd to start it again")
    wait_until(lambda: service.show("ActiveState") == "active", "the server to listen")
    assert service.main_process != process
    S3Bucket(store, name).wait_for(b"put before the crash\n", timeout=60)
    client.delete_delivery_stream(DeliveryStreamName=stream)
    store.delete_bucket(name)


def test_wrong_settings_are_not_tried_again(service):
    with service.changed(prot=4573):
        done = service.machine.run("systemctl", "start", SERVICE)
        assert done.returncode != 0
        # It would be `activating` while it waits for another try.
        assert (service.show("ActiveState"), service.show("SubState")) == ("failed", "failed")
        assert (service.show("ExecMainStatus"), service.show("NRestarts")) == ("64", "0")
        assert "prot: no setting has this name" in service.log()


def test_a_master_key_can_come_as_a_credential(service, client):
    """As the remark in the unit says, by a file that only root can read."""
    text = UNIT.read_text()
    line = re.search(r"(?m)^#(LoadCredential=master\.key:(\S+))$", text)
    member = re.search(r'"masterKey": "([^"]+)"', text)
    service.machine.do("sh", "-c", f"openssl rand -base64 32 >{line[2]} && chmod 600 {line[2]}")
    with service.changed(line[1], masterKey=member[1]):
        service.order("start")
        stream = create_stream(client, "arn:aws:s3:::logs")
        client.start_delivery_stream_encryption(
            DeliveryStreamName=stream,
            DeliveryStreamEncryptionConfigurationInput={"KeyType": "AWS_OWNED_CMK"},
        )
        put(client, stream, b"sealed\n")
        client.delete_delivery_stream(DeliveryStreamName=stream)


def test_a_port_below_1024_takes_what_the_remark_says(service):
    remark = re.search(r"(?s)# For a port below 1024: (.*?)\.\n", UNIT.read_text())[1]
    lines = re.findall(r"\w+=\w+", remark)
    assert len(lines) == 3
    low, ordinary = _free_low_port(), service.port
    with service.changed(port=low):
        assert service.machine.run("systemctl", "start", SERVICE).returncode != 0
    with service.changed(*lines, port=low):
        service.order("start")
        service.port = low
        assert "logs" in service.client(OPERATOR).list_delivery_streams()["DeliveryStreamNames"]
        service.port = ordinary


def _free_low_port() -> int:
    for port in range(1023, 512, -1):
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise AssertionError("no port below 1024 is free")
