"""`deploy/docker-compose.yml` and the image of `deploy/Dockerfile`: what they say, and that the
server does its work when it is started as they say.

No container is started: what is in them runs on this machine, with SeaweedFS and osmem in the
places of MinIO and OpenSearch.
"""

import json
import re
import shlex
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from buckets import FolderBucket, S3Bucket
from conftest import SERVERS
from deploy_container import PORT, Container
from deploy_files import (
    DEPLOY,
    commands,
    compose_config,
    dockerfile,
    is_in_context,
    links,
    made_buckets,
    mounts,
    services,
    settings_of,
)
from osmem import Osmem
from seaweed import ACCESS_KEY, SECRET_KEY, SeaweedFS
from server import BINARY, GRACEFUL_STOP_SECONDS, REPOSITORY
from streams import create_stream, describe, fresh_name, put
from waiting import wait_until

BUILD, RUNTIME = dockerfile()

LONG_RUNNING = {"hydrant", "minio", "opensearch"}

SECRET = re.compile(r"(?i)password|passwd|secret|token|credential|private|_key\b|api_?key")

HYDRANT_SETTING = re.compile(r"HYDRANT_[A-Z0-9_]+")


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An .env file whose keys SeaweedFS knows."""
    path = tmp_path_factory.mktemp("compose") / "env"
    path.write_text(f"MINIO_ROOT_USER={ACCESS_KEY}\nMINIO_ROOT_PASSWORD={SECRET_KEY}\n")
    return path


@pytest.fixture(scope="module")
def composed(settings: Path) -> dict[str, dict]:
    """The services as docker-compose resolves them."""
    return services(settings)


# MARK: What the file says


def test_docker_compose_takes_the_file(settings):
    done = compose_config(settings, "--quiet")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_the_sample_is_refused_until_its_password_is_filled_in():
    done = compose_config(DEPLOY / ".env.sample")
    assert done.returncode != 0
    assert "fill it in in .env" in done.stderr
    assert settings_of((DEPLOY / ".env.sample").read_text())["MINIO_ROOT_PASSWORD"] == ""


def test_the_page_fills_in_the_sample(tmp_path):
    deploy = tmp_path / "deploy"
    deploy.mkdir()
    shutil.copy(DEPLOY / ".env.sample", deploy)
    first = commands("Compose: to try it out")[0].splitlines()[0]
    subprocess.run(["sh", "-ec", first], cwd=tmp_path, check=True)
    made = deploy / ".env"
    assert made.stat().st_mode & 0o777 == 0o600
    assert re.fullmatch("[0-9a-f]{40}", settings_of(made.read_text())["MINIO_ROOT_PASSWORD"])
    assert compose_config(made).returncode == 0


def test_images_are_pinned(composed):
    images = [each["image"] for each in composed.values() if "build" not in each]
    images += [BUILD.base, RUNTIME.base]
    assert len(images) == 5
    for image in images:
        name, _, tag = image.rpartition(":")
        assert name and re.search(r"\d+\.\d+|\d{4}-\d\d-\d\d", tag), image


def test_ports_are_those_of_this_machine_alone(composed):
    published = [port for each in composed.values() for port in each.get("ports", [])]
    assert len(published) == 3
    assert all(re.fullmatch(r"127\.0\.0\.1:(\d+):\1/tcp", each) for each in published), published
    assert f"127.0.0.1:{PORT}:{PORT}/tcp" in composed["hydrant"]["ports"]
    assert RUNTIME.only("EXPOSE") == str(PORT)


def test_what_runs_on_has_a_health_check_and_is_waited_for(composed):
    assert {name for name, each in composed.items() if "healthcheck" in each} == LONG_RUNNING
    assert {name for name, each in composed.items() if "restart" in each} == LONG_RUNNING
    waits = {
        (name, other): condition["condition"]
        for name, each in composed.items()
        for other, condition in each.get("depends_on", {}).items()
    }
    assert waits == {
        ("hydrant", "buckets"): "service_completed_successfully",
        ("hydrant", "opensearch"): "service_healthy",
        ("buckets", "minio"): "service_healthy",
    }


def test_data_is_in_named_volumes(composed):
    kept = {name: [m for m in mounts(composed[name]) if m.is_volume] for name in LONG_RUNNING}
    assert {name: len(each) for name, each in kept.items()} == dict.fromkeys(LONG_RUNNING, 1)
    (data,) = kept["hydrant"]
    assert data.target == RUNTIME.environment["HYDRANT_DATA_DIR"] == RUNTIME.only("VOLUME")
    assert not data.is_read_only
    assert all(each.is_read_only for each in mounts(composed["hydrant"]) if not each.is_volume)


def test_the_container_has_no_rights_and_time_to_stop(composed):
    hydrant = composed["hydrant"]
    assert hydrant["cap_drop"] == ["ALL"]
    assert hydrant["security_opt"] == ["no-new-privileges:true"]
    assert hydrant["read_only"] and hydrant["init"]
    assert int(hydrant["stop_grace_period"].removesuffix("s")) > GRACEFUL_STOP_SECONDS


def test_no_secret_is_in_a_file():
    """All that looks like one refers to what the user fills in, and must be filled in."""
    written = yaml.safe_load((DEPLOY / "docker-compose.yml").read_text())["services"]
    found = [
        (name, str(value))
        for each in written.values()
        for name, value in each.get("environment", {}).items()
        if SECRET.search(name)
    ]
    assert len(found) == 3
    for name, value in found:
        assert re.fullmatch(r"\$\{[A-Z_]+:\?[^}]+\}", value), name


# MARK: What runs


@pytest.fixture(scope="module")
def search(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Osmem]:
    """What stands for OpenSearch."""
    server = Osmem(tmp_path_factory.mktemp("osmem")).start()
    yield server
    server.kill()


@pytest.fixture(scope="module")
def store(seaweed: SeaweedFS, composed) -> Iterator[SeaweedFS]:
    """What stands for MinIO, with the buckets that the one-shot service makes."""
    names = made_buckets(composed["buckets"])
    for name in names:
        seaweed.create_bucket(name)
    yield seaweed
    for name in names:
        seaweed.delete_bucket(name)


@pytest.fixture(scope="module")
def container(
    request: pytest.FixtureRequest, composed, store: SeaweedFS, search: Osmem
) -> Iterator[Container]:
    """The server as the file has it started; it must end well."""
    addresses = {
        "minio:9000": f"127.0.0.1:{store.port}",
        "opensearch:9200": f"127.0.0.1:{search.port}",
    }
    # pytest's own folders are closed to the image's user.
    with tempfile.TemporaryDirectory(prefix="hydrant-container-") as folder:
        server = Container(Path(folder), RUNTIME, composed["hydrant"], addresses)
        request.config.stash[SERVERS].append(server)
        try:
            server.start()
            yield server
            assert server.sigterm() == 0, server.log_tail()
        finally:
            request.config.stash[SERVERS].remove(server)
            if server.process:
                server.sigkill()


DECLARED = sorted(DEPLOY.glob("streams/*.json"))


def test_the_declared_streams_are_there(container):
    names = [json.loads(each.read_text())["DeliveryStreamName"] for each in DECLARED]
    assert names == ["events", "logs"]
    client = container.client()
    assert client.list_delivery_streams()["DeliveryStreamNames"] == names
    for name in names:
        assert describe(client, name)["DeliveryStreamStatus"] == "ACTIVE"


def test_records_arrive_in_the_store(container, store, report_counts):
    records = [f"line {number}\n".encode() for number in range(500)]
    put(container.client(), "logs", *records)
    bucket = S3Bucket(store, "logs")
    keys = bucket.wait_for(b"".join(records), timeout=60)
    assert all(re.fullmatch(r"logs/\d{4}/\d\d/\d\d/\d\d/logs-.*\.log\.gz", each) for each in keys)
    report_counts(f"compose: {len(records)} records in {len(keys)} objects of the store")


def test_records_arrive_in_the_index(container, store, search, report_counts):
    records = [json.dumps({"number": number}).encode() for number in range(500)]
    put(container.client(), "events", *records)

    def documents() -> list[int]:
        found = [search.documents(name).values() for name in search.indices("events-")]
        return sorted(each["number"] for some in found for each in some if "number" in each)

    wait_until(lambda: len(documents()) == 500, "the documents", timeout=60)
    assert documents() == list(range(500))
    assert re.fullmatch(r"events-\d{4}-\d\d-\d\d", search.indices("events-")[0])
    assert S3Bucket(store, "failed").keys() == []
    report_counts(f"compose: {len(records)} records in the index")


def test_the_pages_first_record_arrives(container, search):
    block = commands("Compose: to try it out")[0].replace("\\\n", " ")
    put_line, search_line = block.splitlines()[-2:]
    record, program = re.fullmatch(
        r"echo '(.*)' \| docker-compose exec -T hydrant +hydrant (.*)", put_line
    ).groups()
    done = container.run(*shlex.split(program), stdin=f"{record}\n")
    assert done.returncode == 0, done.stderr
    path = re.search(r"curl 'http://127\.0\.0\.1:9200(.*)'", search_line)[1]

    def sources() -> list[dict]:
        status, answer = search.request("GET", f"{path}?size=10000")
        assert status == 200, answer
        return [each["_source"] for each in answer["hits"]["hits"]]

    wait_until(lambda: json.loads(record) in sources(), "the record in the index", timeout=60)


def test_health_checks_pass_while_it_runs(container, composed, search):
    done = container.ask_health()
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["status"] == "ready"
    done = container.ask_image_health()
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["status"] == "ok"
    kind, *command = composed["opensearch"]["healthcheck"]["test"]
    assert kind == "CMD"
    here = [each.replace("127.0.0.1:9200", f"127.0.0.1:{search.port}") for each in command]
    done = subprocess.run(here, capture_output=True, text=True, timeout=30)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["status"] in ("green", "yellow")


def test_health_checks_fail_where_nothing_listens(composed):
    with tempfile.TemporaryDirectory(prefix="hydrant-container-") as folder:
        container = Container(Path(folder), RUNTIME, composed["hydrant"], {})
        assert container.ask_health().returncode != 0
        assert container.ask_image_health().returncode != 0


def test_the_check_of_all_settings_passes(container):
    done = container.run("serve", "--check")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "FAIL" not in done.stdout


def test_only_the_images_user_can_read_the_data(container):
    user = int(RUNTIME.only("USER").partition(":")[0])
    assert {each.stat().st_uid for each in container.data.rglob("*")} == {user}
    assert container.data.stat().st_mode & 0o077 == 0


# MARK: The image


def test_the_image_runs_as_nobody_in_particular():
    user = RUNTIME.only("USER")
    assert re.fullmatch(r"([1-9]\d{4}):\1", user), user
    last = [name for name, _ in RUNTIME.instructions].index("USER")
    assert not {"RUN", "COPY", "ADD"} & {name for name, _ in RUNTIME.instructions[last:]}
    number = user.partition(":")[0]
    assert f"useradd --uid {number} --gid {number}" in RUNTIME.only("RUN")


def test_the_image_has_no_secret():
    for stage in (BUILD, RUNTIME):
        names = [*stage.environment, *(each.partition("=")[0] for each in stage.all("ARG"))]
        assert not [each for each in names if SECRET.search(each)]
        assert not stage.all("ADD")


def test_what_the_image_copies_is_there_and_in_its_context():
    copied = [each for stage in (BUILD, RUNTIME) for each in stage.all("COPY")]
    inside = [each.split() for each in copied if not each.startswith("--from")]
    assert inside
    for *sources, _ in inside:
        found = [each for source in sources for each in REPOSITORY.glob(source)]
        assert found, sources
        for source in found:
            assert is_in_context(source.relative_to(REPOSITORY).as_posix()), source
    (outside,) = [each.split() for each in copied if each.startswith("--from")]
    assert outside[0] == f"--from={BUILD.name}"
    assert f" {outside[1]}" in BUILD.run_with("swift build")


def test_the_context_is_what_is_built_and_no_more():
    package = (REPOSITORY / "Package.swift").read_text()
    declaration = r'(?:library|target|Target|systemLibrary|tests)\(\s*(?:name: )?"(\w+)"'
    names = re.findall(declaration, package)
    folders = {name: f"Sources/{name}" for name in names}
    folders |= {f"{name}Tests": f"Tests/{name}Tests" for name in names}
    there = [each for each in folders.values() if (REPOSITORY / each).is_dir()]
    assert len(there) > 20
    for folder in there:
        files = [each for each in (REPOSITORY / folder).rglob("*") if each.is_file()]
        assert all(is_in_context(each.relative_to(REPOSITORY).as_posix()) for each in files)
    for path in (".git/config", ".build/release/hydrant", "deploy/.env", "deploy/Dockerfile"):
        assert not is_in_context(path), path
    assert not is_in_context("Tests/EndToEnd/conftest.py")


def test_the_image_stops_and_is_watched_as_the_server_wants_it():
    assert RUNTIME.only("STOPSIGNAL") == "SIGTERM"
    assert RUNTIME.form("ENTRYPOINT") == ["hydrant"]
    assert RUNTIME.form("CMD") == ["serve"]
    assert "/health" in RUNTIME.health_command
    packages = RUNTIME.only("RUN")
    for wanted in ("libcurl4", "zlib1g", "ca-certificates", "curl "):
        assert wanted in packages
    assert re.search(r'if \[ "\$WITH_PYTHON" = 1 \]; then packages="\$packages python3"', packages)
    assert RUNTIME.all("ARG") == ["WITH_PSQL=0", "WITH_PYTHON=0"]


def test_settings_of_the_image_and_the_page_are_known(composed):
    """The server refuses others, but names in a sentence are not tried otherwise."""
    listed = subprocess.run([BINARY, "settings"], capture_output=True, text=True, timeout=30)
    assert listed.returncode == 0, listed.stderr
    known = set(HYDRANT_SETTING.findall(listed.stdout)) | {"HYDRANT_CONFIG"}
    files = ["Dockerfile", "docker-compose.yml", "README.md", "hydrant.env", "hydrant.service"]
    for file in files:
        named = set(HYDRANT_SETTING.findall((DEPLOY / file).read_text()))
        assert named <= known, f"{file}: {named - known}"
    assert set(composed["hydrant"]["environment"]) > {"HYDRANT_STREAMS"}


def test_a_copy_of_the_data_folder_is_a_backup(start_hydrant, tmp_path):
    """As the page says: what was answered and not delivered yet is in it, and is delivered."""
    server = start_hydrant()
    name = fresh_name("bucket")
    hints = {"SizeInMBs": 5, "IntervalInSeconds": 5}
    stream = create_stream(server.client(), f"arn:aws:s3:::{name}", BufferingHints=hints)
    put(server.client(), stream, b"not delivered yet\n")
    assert server.sigterm() == 0
    folders = [server.folder, tmp_path / "restored"]
    shutil.copytree(server.data, folders[1] / "data")
    for folder in folders:
        assert FolderBucket(folder / "data/buckets", name).keys() == []
        again = start_hydrant(folder=folder)
        FolderBucket(again.data / "buckets", name).wait_for(b"not delivered yet\n")
        assert again.sigterm() == 0


def test_what_the_page_links_to_is_there():
    assert len(links()) > 5
    for each in links():
        assert (DEPLOY / each).exists(), each
