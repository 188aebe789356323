"""Fixtures: one SeaweedFS for the session, Hydrant servers for a module or for one test.

The environment decides what runs: HYDRANT_BINARY is the program under test (by default the release
build), HYDRANT_FULL_LOAD=1 makes the loads as large as the promise, HYDRANT_SEED repeats the
kills of an earlier run.
"""

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from itertools import count
from pathlib import Path

import pytest

from buckets import FolderBucket, S3Bucket
from keys import KEYS, write_keys
from seaweed import SeaweedFS, fresh_bucket_name
from server import BINARY, Hydrant, leads_elsewhere
from streams import create_stream, fresh_name

COUNTS = pytest.StashKey[list[str]]()
SERVERS = pytest.StashKey[list[Hydrant]]()


def pytest_configure(config: pytest.Config) -> None:
    """Keeps this process's AWS clients from the user's own settings and from the network."""
    config.stash[COUNTS] = []
    config.stash[SERVERS] = []
    # A shell may have this process, and so its children, ignore what Ctrl-C sends.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for name in filter(leads_elsewhere, list(os.environ)):
        del os.environ[name]
    os.environ["AWS_CONFIG_FILE"] = os.environ["AWS_SHARED_CREDENTIALS_FILE"] = os.devnull
    os.environ["AWS_EC2_METADATA_DISABLED"] = "true"


def pytest_sessionstart(session: pytest.Session) -> None:
    """Says at once what is missing, instead of in every test."""
    if not session.config.option.collectonly and not BINARY.is_file():
        pytest.exit(f"{BINARY} is missing: `swift build -c release` makes it", returncode=2)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo):
    """Shows the end of every running server's log below a failure."""
    report = yield
    if report.failed:
        for server in item.config.stash[SERVERS]:
            report.sections.append((f"log of the server in {server.folder}", server.log_tail()))
    return report


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Hands what was counted to the process that prints it, where tests run in several."""
    if hasattr(session.config, "workeroutput"):
        session.config.workeroutput["counts"] = session.config.stash[COUNTS]


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node, error) -> None:
    """Takes what a process has counted."""
    node.config.stash[COUNTS].extend(getattr(node, "workeroutput", {}).get("counts", []))


def pytest_terminal_summary(terminalreporter, config: pytest.Config) -> None:
    """Prints what the load tests counted, also when they passed."""
    if counts := config.stash[COUNTS]:
        terminalreporter.section("counts")
        for line in counts:
            terminalreporter.line(line)


@pytest.fixture
def report_counts(request: pytest.FixtureRequest) -> Callable[[str], None]:
    """Takes a line that the summary at the end of the run shows."""
    return request.config.stash[COUNTS].append


@pytest.fixture(scope="session")
def seaweed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SeaweedFS]:
    """The S3 server that all tests share. A test that stops it must use one of its own."""
    server = SeaweedFS(tmp_path_factory.mktemp("seaweed"))
    server.start()
    yield server
    server.kill()


@pytest.fixture
def own_seaweed(tmp_path: Path) -> Iterator[SeaweedFS]:
    """A running S3 server of the test's own, to stop and bring back."""
    server = SeaweedFS(tmp_path / "seaweed")
    server.start()
    yield server
    server.kill()


@pytest.fixture
def bucket(seaweed: SeaweedFS) -> Iterator[S3Bucket]:
    """An empty bucket in SeaweedFS for one test."""
    name = seaweed.create_bucket()
    yield S3Bucket(seaweed, name)
    seaweed.delete_bucket(name)


@pytest.fixture
def missing_bucket(seaweed: SeaweedFS) -> Iterator[S3Bucket]:
    """A bucket in SeaweedFS that nobody created yet."""
    bucket = S3Bucket(seaweed, fresh_bucket_name())
    yield bucket
    if bucket.name in [each["Name"] for each in bucket.client.list_buckets()["Buckets"]]:
        seaweed.delete_bucket(bucket.name)


StartHydrant = Callable[..., Hydrant]
"""Makes a server with `Hydrant`'s own arguments after `folder`, and starts it."""


@pytest.fixture
def make_hydrant(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[StartHydrant]:
    """Makes servers for one test, which start them; what still runs at its end is killed.

    Each server gets a folder of its own unless `folder=` names one.
    """
    numbers = count()

    def make(*options: str, folder: Path | None = None, **arguments) -> Hydrant:
        server = Hydrant(folder or tmp_path / f"hydrant-{next(numbers)}", *options, **arguments)
        servers.append(server)
        request.config.stash[SERVERS].append(server)
        return server

    servers: list[Hydrant] = []
    yield make
    for server in servers:
        request.config.stash[SERVERS].remove(server)
        if server.process:
            server.sigkill()


@pytest.fixture
def start_hydrant(make_hydrant: StartHydrant) -> StartHydrant:
    """As `make_hydrant`, but the server is started."""
    return lambda *options, **arguments: make_hydrant(*options, **arguments).start()


@pytest.fixture(scope="module")
def start_module_hydrant(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[StartHydrant]:
    """As `start_hydrant`, for servers that a module's tests share and that must end cleanly."""

    def start(*options: str, **arguments) -> Hydrant:
        server = Hydrant(tmp_path_factory.mktemp("hydrant"), *options, **arguments)
        return stack.enter_context(contextmanager(_shared)(request, server))

    with ExitStack() as stack:
        yield start


@pytest.fixture(scope="module")
def hydrant(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Hydrant]:
    """A server on the embedded default, folders as buckets, shared by a module's tests."""
    yield from _shared(request, Hydrant(tmp_path_factory.mktemp("hydrant")))


@pytest.fixture(scope="module")
def s3_hydrant(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, seaweed: SeaweedFS
) -> Iterator[Hydrant]:
    """A server that delivers to SeaweedFS, shared by a module's tests."""
    folder = tmp_path_factory.mktemp("hydrant-s3")
    yield from _shared(request, Hydrant(folder, environment=seaweed.environment))


@pytest.fixture(scope="module")
def guarded_hydrant(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Hydrant]:
    """A server that demands signatures with one of `keys.KEYS`, shared by a module's tests."""
    folder = tmp_path_factory.mktemp("hydrant-guarded")
    keys = write_keys(folder / "keys.json", *KEYS)
    yield from _shared(request, Hydrant(folder, "--credentials", str(keys)))


@pytest.fixture
def guarded_bucket(guarded_hydrant: Hydrant) -> FolderBucket:
    """A bucket of the shared server that demands signatures, for one test."""
    return FolderBucket(guarded_hydrant.data / "buckets", fresh_name("bucket"))


@pytest.fixture
def guarded_stream(guarded_hydrant: Hydrant, guarded_bucket: FolderBucket) -> str:
    """A stream that delivers at once to the test's `guarded_bucket`."""
    return create_stream(guarded_hydrant.client(), guarded_bucket.arn)


@pytest.fixture
def folder_bucket(hydrant: Hydrant) -> FolderBucket:
    """A bucket of the shared server's embedded default, for one test."""
    return FolderBucket(hydrant.data / "buckets", fresh_name("bucket"))


@pytest.fixture(scope="module")
def client(hydrant: Hydrant):
    """A boto3 client of the shared server on the embedded default."""
    return hydrant.client()


@pytest.fixture(scope="module")
def s3_client(s3_hydrant: Hydrant):
    """A boto3 client of the shared server that delivers to SeaweedFS."""
    return s3_hydrant.client()


def _shared(request: pytest.FixtureRequest, server: Hydrant) -> Iterator[Hydrant]:
    request.config.stash[SERVERS].append(server)
    server.start()
    yield server
    request.config.stash[SERVERS].remove(server)
    if server.process:
        assert server.sigterm() == 0, server.log_tail()
