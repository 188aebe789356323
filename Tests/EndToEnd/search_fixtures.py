"""Fixtures: search servers, faults in front of them, and servers that deliver to them.

The servers' logs are JSON, because the tests count what they say.
"""

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from bulk_faults import BulkFaults
from keys import write_private
from osmem import Osmem
from search_streams import SearchBench
from transform_fixtures import LOG_FORMAT
from transform_programs import PYTHON_FIRST, Programs

ENDPOINTS = [
    {"endpoint": "*/hasty", "timeoutSeconds": 1},
    {"endpoint": "*/packed", "compression": "GZIP"},
    {"endpoint": "*/small", "maximumRequestMegabytes": 1},
]
"""What the shared servers are told about endpoints, which all are at 127.0.0.1, by their paths."""


@pytest.fixture(scope="session")
def osmem(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Osmem]:
    """The search server that all tests share. A test that stops it must use one of its own."""
    server = Osmem(tmp_path_factory.mktemp("osmem"))
    server.start()
    yield server
    server.kill()


@pytest.fixture
def own_osmem(tmp_path: Path) -> Iterator[Osmem]:
    """A running search server of the test's own."""
    server = Osmem(tmp_path / "osmem")
    server.start()
    yield server
    server.kill()


@pytest.fixture
def faults(osmem: Osmem) -> Iterator[BulkFaults]:
    """Faults in front of the shared search server."""
    with BulkFaults(osmem) as faults:
        yield faults


@pytest.fixture
def alone() -> Iterator[BulkFaults]:
    """Faults with nothing behind them: a server that takes whatever it is sent."""
    with BulkFaults() as alone:
        yield alone


@pytest.fixture(scope="module")
def search(
    start_module_hydrant, osmem: Osmem, tmp_path_factory: pytest.TempPathFactory
) -> SearchBench:
    """A server with `ENDPOINTS` and a folder of transforms, shared by a module's tests."""
    folder = tmp_path_factory.mktemp("search")
    programs = Programs(folder)
    settings = endpoint_settings(folder / "endpoints.json", *ENDPOINTS)
    environment = {"PATH": PYTHON_FIRST}
    options = (*programs.options, *LOG_FORMAT, *settings)
    hydrant = start_module_hydrant(*options, environment=environment)
    return SearchBench(hydrant, osmem, programs)


StartSearch = Callable[..., SearchBench]
"""Starts a server as `start_hydrant` does."""


@pytest.fixture
def start_search(start_hydrant, osmem: Osmem) -> StartSearch:
    """Starts a server of a test's own."""

    def start(*options: str, osmem: Osmem = osmem, **arguments) -> SearchBench:
        return SearchBench(start_hydrant(*LOG_FORMAT, *options, **arguments), osmem)

    return start


def endpoint_settings(path: Path, *entries: dict) -> tuple[str, str]:
    """Writes a file of settings; returns the options that have a server read it."""
    write_private(path, json.dumps({"endpoints": list(entries)}))
    return ("--endpoint-settings", str(path))
