"""Fixtures: a warehouse, and servers that load into it or into a recorder.

The servers' logs are JSON, because the tests count what they say.
"""

from collections.abc import Callable, Iterator

import pytest

from buckets import S3Bucket
from postgres_wire import Wire
from seaweed import SeaweedFS
from server import Hydrant
from transform_fixtures import LOG_FORMAT
from transform_programs import PYTHON_FIRST, Programs
from warehouse import Postgres
from warehouse_streams import LEDGER_OPTIONS, PASSWORD, WarehouseBench


def template(seaweed: SeaweedFS) -> tuple[str, str]:
    """What has a server load by `warehouse.sql`."""
    return ("--copy-statement", f"SELECT redshift_copy({{copy_literal}}, '{seaweed.endpoint}')")


@pytest.fixture(scope="session")
def postgres(seaweed: SeaweedFS) -> Iterator[Postgres]:
    """The warehouse that all tests share. A test that stops it must use one of its own."""
    server = Postgres(seaweed.environment)
    try:
        yield server.create()
    finally:
        server.remove()


@pytest.fixture
def own_postgres(seaweed: SeaweedFS) -> Iterator[Postgres]:
    """A running warehouse of the test's own, to stop and bring back."""
    server = Postgres(seaweed.environment)
    try:
        yield server.create()
    finally:
        server.remove()


@pytest.fixture
def wire() -> Iterator[Wire]:
    """A recorder with nothing behind it."""
    with Wire(password=PASSWORD) as wire:
        yield wire


@pytest.fixture
def proxy(postgres: Postgres) -> Iterator[Wire]:
    """A recorder in front of the shared warehouse."""
    with Wire(upstream=postgres.port) as wire:
        yield wire


@pytest.fixture(scope="module")
def module_bucket(seaweed: SeaweedFS) -> Iterator[S3Bucket]:
    """A bucket for all streams of a module's shared servers."""
    name = seaweed.create_bucket()
    yield S3Bucket(seaweed, name)
    seaweed.delete_bucket(name)


@pytest.fixture(scope="module")
def warehouse(
    start_module_hydrant,
    seaweed: SeaweedFS,
    postgres: Postgres,
    module_bucket: S3Bucket,
    tmp_path_factory: pytest.TempPathFactory,
) -> WarehouseBench:
    """A server that loads into the shared warehouse and keeps a ledger, shared by a module."""
    programs = Programs(tmp_path_factory.mktemp("programs"))
    options = (*template(seaweed), *LEDGER_OPTIONS, *programs.options, *LOG_FORMAT)
    environment = seaweed.environment | {"PATH": PYTHON_FIRST}
    hydrant = start_module_hydrant(*options, environment=environment)
    return WarehouseBench(hydrant, module_bucket, postgres, programs)


@pytest.fixture(scope="module")
def copier(start_module_hydrant, seaweed: SeaweedFS, module_bucket: S3Bucket) -> WarehouseBench:
    """A server that sends COPY itself and keeps no ledger, shared by a module."""
    hydrant = start_module_hydrant(*LOG_FORMAT, environment=seaweed.environment)
    return WarehouseBench(hydrant, module_bucket)


StartWarehouse = Callable[..., WarehouseBench]
"""Starts a server as `start_hydrant` does."""


@pytest.fixture
def start_warehouse(start_hydrant, seaweed: SeaweedFS, bucket: S3Bucket) -> StartWarehouse:
    """Starts a server of a test's own. With a warehouse, it loads into that; else it sends COPY."""

    def start(
        *options: str,
        postgres: Postgres | None = None,
        environment: dict[str, str] | None = None,
        **arguments,
    ) -> WarehouseBench:
        loading = template(seaweed) if postgres else ()
        hydrant: Hydrant = start_hydrant(
            *LOG_FORMAT,
            *loading,
            *options,
            environment=seaweed.environment | (environment or {}),
            **arguments,
        )
        return WarehouseBench(hydrant, bucket, postgres)

    return start
