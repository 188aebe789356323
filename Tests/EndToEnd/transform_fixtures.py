"""Fixtures: servers with a folder of transforms, for a module or for one test.

Their logs are JSON, because the tests count what they say.
"""

from collections.abc import Callable
from pathlib import Path

import pytest

from transform_programs import PYTHON_FIRST, Programs
from transforms import Bench

LOG_FORMAT = ("--log-format", "json")


@pytest.fixture(scope="module")
def bench(start_module_hydrant, tmp_path_factory: pytest.TempPathFactory) -> Bench:
    """A server with a folder of transforms, shared by a module's tests."""
    programs = Programs(tmp_path_factory.mktemp("programs"))
    environment = {"PATH": PYTHON_FIRST}
    hydrant = start_module_hydrant(*programs.options, *LOG_FORMAT, environment=environment)
    return Bench(hydrant, programs)


StartBench = Callable[..., Bench]
"""Starts a server as `start_hydrant` does."""


@pytest.fixture
def start_bench(start_hydrant, tmp_path: Path) -> StartBench:
    """Starts a server of a test's own with a folder of transforms."""
    programs = Programs(tmp_path)

    def start(*options: str, environment: dict[str, str] | None = None, **arguments) -> Bench:
        hydrant = start_hydrant(
            *programs.options,
            *LOG_FORMAT,
            *options,
            environment={"PATH": PYTHON_FIRST} | (environment or {}),
            **arguments,
        )
        return Bench(hydrant, programs)

    return start
