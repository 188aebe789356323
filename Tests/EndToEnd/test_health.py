"""`GET /health` and `GET /ready`: what whoever watches over the server is told."""

import http.client
import json
import os
import signal
import socket
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from buckets import FolderBucket, S3Bucket
from certificates import Authority
from keys import PRODUCER, write_keys
from ports import free_port
from seaweed import SeaweedFS
from server import Hydrant
from streams import AT_ONCE, BY_SIZE_ONLY, create_stream, put
from waiting import wait_until
from wire import Connection, put_body, request

PATHS = ["/health", "/ready"]

GOOD = {"/health": "ok", "/ready": "ready"}

OPEN_BYTES = 512 * 1024 * 1024
"""What must be free on the disk that a server puts records on."""

SMALL_BYTES = OPEN_BYTES + 64 * 1024 * 1024

PATIENCE_SECONDS = 10
"""How long the disk may take until the server is not ready."""

AS_ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount file systems")

BOUND_SECONDS = 1


def page(hydrant: Hydrant, path: str, method: str = "GET", **headers) -> tuple[int, dict]:
    """Asks for a page; returns its status and its JSON."""
    connection = http.client.HTTPConnection("127.0.0.1", hydrant.port, timeout=5)
    try:
        connection.request(method, path, headers=headers)
        answer = connection.getresponse()
        body = answer.read()
        assert answer.headers["Content-Type"] == "application/json"
        return answer.status, json.loads(body)
    finally:
        connection.close()


def is_ready(hydrant: Hydrant) -> bool:
    """Whether the server says that it is; checks that it says so properly."""
    status, said = page(hydrant, "/ready")
    if status == 200:
        assert said == {"status": "ready"}
        return True
    assert (status, said["status"]) == (503, "not ready")
    assert said["reasons"]
    return False


def reasons(hydrant: Hydrant) -> list[str]:
    """Why the server is not ready; nothing if it is."""
    return page(hydrant, "/ready")[1].get("reasons", [])


def local_bucket(hydrant: Hydrant) -> FolderBucket:
    """A bucket of a server's embedded default."""
    return FolderBucket(hydrant.data / "buckets", "bucket")


# MARK: The pages


def test_a_server_that_works_says_so(hydrant):
    status, said = page(hydrant, "/health")
    assert (status, said["status"]) == (200, "ok")
    assert "reasons" not in said
    assert page(hydrant, "/ready") == (200, {"status": "ready"})


@pytest.mark.parametrize("path", PATHS)
def test_a_head_is_a_page_without_its_body(hydrant, path):
    with socket.create_connection(("127.0.0.1", hydrant.port), timeout=5) as connection:
        connection.sendall(f"HEAD {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        connection.sendall(f"GET {path} HTTP/1.0\r\n\r\n".encode())
        text = b"".join(iter(lambda: connection.recv(65_536), b"")).decode()
    head, _, rest = text.partition("\r\n\r\n")
    assert head.startswith("HTTP/1.1 200 OK\r\n")
    assert " 200 OK\r\n" in rest[:20]
    body = rest.partition("\r\n\r\n")[2]
    assert json.loads(body)["status"] == GOOD[path]
    assert f"Content-Length: {len(body)}" in head


@pytest.mark.parametrize("path", PATHS)
def test_a_query_makes_no_difference(hydrant, path):
    assert page(hydrant, f"{path}?verbose=1")[0] == 200


@pytest.mark.parametrize("path", PATHS)
def test_pages_are_only_read(hydrant, path):
    connection = http.client.HTTPConnection("127.0.0.1", hydrant.port, timeout=5)
    for method in ("POST", "PUT", "DELETE"):
        connection.request(method, path, body=b"{}")
        answer = connection.getresponse()
        answer.read()
        assert 400 <= answer.status < 500


@pytest.mark.parametrize("path", PATHS)
def test_no_key_is_needed(guarded_hydrant, path):
    assert page(guarded_hydrant, path)[1]["status"] == GOOD[path]
    signed = {"Authorization": "AWS4-HMAC-SHA256 Credential=nobody"}
    assert page(guarded_hydrant, path, **signed)[1]["status"] == GOOD[path]


def test_many_may_ask_at_once(hydrant):
    statuses: list[int] = []

    def ask() -> None:
        statuses.extend(page(hydrant, path)[0] for path in PATHS * 10)

    askers = [threading.Thread(target=ask) for _ in range(8)]
    for asker in askers:
        asker.start()
    for asker in askers:
        asker.join()
    assert statuses == [200] * 160


def test_the_data_folder_is_left_as_it_was(hydrant):
    """What is tried there is not left behind."""
    before = {each for each in hydrant.data.rglob("*") if each.is_file()}
    assert is_ready(hydrant)
    assert {each for each in hydrant.data.rglob("*") if each.is_file()} == before


# MARK: The disk


@pytest.fixture
def small_disk(tmp_path) -> Iterator[Path]:
    """A file system in memory that is not much larger than what must stay free."""
    place = tmp_path / "disk"
    place.mkdir()
    size = f"size={SMALL_BYTES}"
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", size, "hydrant", place])
    if done.returncode:
        pytest.skip("no file system can be mounted here")
    yield place
    subprocess.run(["umount", "--lazy", place], check=True)


@pytest.fixture
def file_disk(tmp_path) -> Iterator[Path]:
    """A file system in a file, which can hang and fail."""
    image, place = tmp_path / "image", tmp_path / "disk"
    place.mkdir()
    with image.open("wb") as file:
        file.truncate(2 * SMALL_BYTES)
    subprocess.run(["mkfs.ext4", "-q", image], check=True)
    if subprocess.run(["mount", "-o", "loop,errors=remount-ro", image, place]).returncode:
        pytest.skip("no file system can be mounted here")
    yield place
    subprocess.run(["fsfreeze", "--unfreeze", place], stderr=subprocess.DEVNULL)
    subprocess.run(["umount", "--lazy", place], check=True)


def start_on(disk: Path, make_hydrant) -> Hydrant:
    """Starts a server that has its data, and that alone, on a disk."""
    hydrant = make_hydrant()
    hydrant.data = disk / "data"
    return hydrant.start()


@AS_ROOT
def test_a_full_disk_is_a_reason(small_disk, make_hydrant):
    hydrant = start_on(small_disk, make_hydrant)
    assert is_ready(hydrant)
    filler = small_disk / "filler"
    with filler.open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, SMALL_BYTES - OPEN_BYTES)
    wait_until(lambda: not is_ready(hydrant), "the full disk to be noticed", timeout=5)
    (reason,) = reasons(hydrant)
    assert "data folder" in reason
    assert "No space left" in reason
    assert page(hydrant, "/health")[0] == 200
    filler.unlink()
    wait_until(lambda: is_ready(hydrant), "the free disk to be noticed", timeout=5)
    assert hydrant.sigterm() == 0


@AS_ROOT
def test_a_disk_that_fails_is_a_reason(file_disk, make_hydrant):
    """As ext4 behaves after an error: nothing can be written any more."""
    hydrant = start_on(file_disk, make_hydrant)
    assert is_ready(hydrant)
    subprocess.run(["mount", "-o", "remount,abort", file_disk], check=True)
    wait_until(lambda: not is_ready(hydrant), "the disk to be missed", timeout=5)
    (reason,) = reasons(hydrant)
    assert "Read-only file system" in reason
    hydrant.sigkill()


@AS_ROOT
def test_a_disk_that_hangs_is_a_reason_and_holds_up_no_answer(file_disk, make_hydrant):
    hydrant = start_on(file_disk, make_hydrant)
    stream = create_stream(hydrant.client(), local_bucket(hydrant).arn)
    assert is_ready(hydrant)
    subprocess.run(["fsfreeze", "--freeze", file_disk], check=True)
    with Connection(hydrant.port) as hanging:
        hanging.send(request("PutRecordBatch", put_body(stream, b"waits for the disk")))
        # Each of these has 5 seconds.
        patience = 2 * PATIENCE_SECONDS
        wait_until(lambda: not is_ready(hydrant), "the disk to be missed", timeout=patience)
        (reason,) = reasons(hydrant)
        assert "data folder" in reason
        assert page(hydrant, "/health")[0] == 200
        subprocess.run(["fsfreeze", "--unfreeze", file_disk], check=True)
        assert hanging.answer().status == 200
    wait_until(lambda: is_ready(hydrant), "the disk to be back", timeout=5)


@AS_ROOT
def test_a_server_that_stops_is_ready_for_nobody(file_disk, make_hydrant):
    """It finishes what was begun, and who comes anew is refused."""
    hydrant = start_on(file_disk, make_hydrant)
    stream = create_stream(hydrant.client(), local_bucket(hydrant).arn)
    subprocess.run(["fsfreeze", "--freeze", file_disk], check=True)
    with Connection(hydrant.port) as hanging:
        hanging.send(request("PutRecordBatch", put_body(stream, b"waits for the disk")))
        page(hydrant, "/health")  # what came before is read
        assert hydrant.process is not None
        hydrant.process.send_signal(signal.SIGTERM)
        hydrant.wait_for_log("no longer accepting connections")
        try:
            assert not is_ready(hydrant)
        except (ConnectionRefusedError, http.client.RemoteDisconnected):
            pass
        assert hydrant.process.poll() is None
        subprocess.run(["fsfreeze", "--unfreeze", file_disk], check=True)
        assert hanging.answer().status == 200
    assert hydrant.sigterm() == 0


# MARK: Records that are stuck


def stuck(hydrant: Hydrant) -> list[str]:
    """The reasons, when there are some."""
    return wait_until(lambda: reasons(hydrant), "a reason", timeout=10)


def test_records_that_are_stuck_are_a_reason_until_they_are_not(
    make_hydrant, own_seaweed: SeaweedFS
):
    bucket = S3Bucket(own_seaweed, own_seaweed.create_bucket())
    hydrant = make_hydrant(
        "--freshness-bound", str(BOUND_SECONDS), environment=own_seaweed.environment
    ).start()
    client = hydrant.client()
    names = [create_stream(client, bucket.arn) for _ in range(2)]
    idle = create_stream(client, bucket.arn)
    own_seaweed.kill()
    assert is_ready(hydrant)
    for name in names:
        put(client, name, b"stuck")
    wait_until(lambda: len(reasons(hydrant)) == 2, "both streams to be late", timeout=10)
    for name, reason in zip(sorted(names), reasons(hydrant), strict=True):
        assert name in reason
        assert f"{BOUND_SECONDS} s" in reason
    assert idle not in " ".join(reasons(hydrant))
    assert page(hydrant, "/health")[0] == 200
    # Whoever did not deliver before its restart is no more ready after it.
    hydrant.restart()
    assert len(stuck(hydrant)) == 2
    client = hydrant.client()
    client.delete_delivery_stream(DeliveryStreamName=names[0])
    wait_until(lambda: len(reasons(hydrant)) == 1, "the deleted stream to be forgotten")
    assert names[1] in reasons(hydrant)[0]
    own_seaweed.start()
    wait_until(lambda: is_ready(hydrant), "the delivery")
    assert bucket.contents() == [b"stuck"]


def test_what_waits_for_its_buffer_is_not_stuck(start_hydrant):
    """A record may wait for its buffer's interval and the bound together."""
    hydrant = start_hydrant("--freshness-bound", "0")
    client = hydrant.client()
    waiting = create_stream(client, local_bucket(hydrant).arn, BufferingHints=BY_SIZE_ONLY)
    put(client, waiting, b"waits for 900 s")
    hints = AT_ONCE | {"IntervalInSeconds": 1}
    late = create_stream(client, "arn:aws:s3:::late", BufferingHints=hints)
    # A file in the place of the bucket's folder.
    hydrant.data.joinpath("buckets").mkdir(exist_ok=True)
    hydrant.data.joinpath("buckets", "late").touch()
    put(client, late, b"is late after 1 s")
    (reason,) = stuck(hydrant)
    assert late in reason


def test_a_stream_whose_destination_is_away_is_named(start_hydrant):
    """Records that no cluster takes count as well, as long as they are tried."""
    hydrant = start_hydrant("--freshness-bound", str(BOUND_SECONDS))
    hydrant.client().create_delivery_stream(
        DeliveryStreamName="searched",
        AmazonopensearchserviceDestinationConfiguration={
            "RoleARN": "arn:aws:iam::000000000000:role/firehose",
            "ClusterEndpoint": f"http://127.0.0.1:{free_port()}",
            "IndexName": "events",
            "BufferingHints": AT_ONCE,
            "S3Configuration": {
                "RoleARN": "arn:aws:iam::000000000000:role/firehose",
                "BucketARN": "arn:aws:s3:::bucket",
            },
        },
    )
    put(hydrant.client(), "searched", b"{}")
    (reason,) = stuck(hydrant)
    assert "searched" in reason


def test_very_many_reasons_are_counted(start_hydrant):
    hydrant = start_hydrant("--freshness-bound", "0")
    client = hydrant.client()
    hydrant.data.joinpath("buckets").mkdir(exist_ok=True)
    hydrant.data.joinpath("buckets", "late").touch()
    names = [create_stream(client, "arn:aws:s3:::late") for _ in range(30)]
    for name in names:
        put(client, name, b"late")

    def has_all() -> bool:
        found = reasons(hydrant)
        return bool(found) and found[-1] == "and 10 more"

    wait_until(has_all, "all streams to be late")
    found = reasons(hydrant)
    assert len(found) == 21
    for name, reason in zip(sorted(names)[:20], found[:20], strict=True):
        assert name in reason


# MARK: The end


def test_a_server_that_stopped_answers_nobody(start_hydrant):
    hydrant = start_hydrant()
    port = hydrant.port
    assert hydrant.sigterm() == 0
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port), timeout=5)


# MARK: The service manager


@pytest.fixture
def notifications(tmp_path_factory) -> Iterator[socket.socket]:
    """The socket that systemd would listen on. Its name must be short."""
    path = tmp_path_factory.mktemp("n") / "s"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind(str(path))
        listening.settimeout(10)
        yield listening


def test_the_service_manager_is_told(start_hydrant, notifications):
    """As `Type=notify` of systemd wants it."""
    environment = {"NOTIFY_SOCKET": notifications.getsockname()}
    hydrant = start_hydrant(environment=environment)
    assert notifications.recv(1000).decode().splitlines() == ["READY=1"]
    assert is_ready(hydrant)
    assert hydrant.sigterm() == 0
    assert notifications.recv(1000).decode().splitlines() == ["STOPPING=1"]


def test_a_name_of_the_abstract_kind_is_a_socket_too(start_hydrant):
    name = f"hydrant-{os.getpid()}-{free_port()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind(f"\0{name}")
        listening.settimeout(10)
        start_hydrant(environment={"NOTIFY_SOCKET": f"@{name}"})
        assert listening.recv(1000).decode() == "READY=1"


@pytest.mark.parametrize("name", ["", "/missing/socket", "x" * 500, "@"])
def test_a_service_manager_that_is_away_is_nothing(start_hydrant, name):
    hydrant = start_hydrant(environment={"NOTIFY_SOCKET": name})
    assert is_ready(hydrant)
    assert hydrant.sigterm() == 0


# MARK: TLS


def test_the_pages_are_served_by_tls_as_well(start_hydrant, tmp_path):
    """Also where keys are demanded."""
    authority = Authority(tmp_path / "pki")
    keys = write_keys(tmp_path / "keys.json", PRODUCER)
    hydrant = start_hydrant("--credentials", str(keys), *authority.server().options)
    command = ["curl", "--silent", "--fail", "--cacert", authority.path]
    done = subprocess.run(
        [*command, f"{hydrant.endpoint}/ready"], capture_output=True, text=True, timeout=20
    )
    assert json.loads(done.stdout) == {"status": "ready"}
