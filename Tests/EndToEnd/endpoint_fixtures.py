"""Fixtures: a server whose streams deliver to receivers of HTTP endpoints and of Splunk's HEC.

Its log is JSON, because the tests count what it says.
"""

import os
import random
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from endpoint_streams import LOG_FORMAT, EndpointBench, endpoint_settings
from firehose_receiver import FirehoseReceiver
from splunk_receiver import SplunkReceiver

IMPATIENT_SECONDS = 2
"""How long a server waits for an answer from places below `/impatient` and from `localhost`."""

IMPATIENT = "/impatient"


@pytest.fixture(scope="module")
def receivers() -> Iterator[tuple[FirehoseReceiver, SplunkReceiver]]:
    """The receivers that a module's tests share."""
    with FirehoseReceiver() as http, SplunkReceiver() as splunk:
        yield http, splunk


@pytest.fixture
def no_violations(receivers) -> Iterator[None]:
    """Checks that all requests of a test were as they must be. Modules ask for it as a whole."""
    yield
    found = [each for receiver in receivers for each in receiver.violations]
    for receiver in receivers:
        receiver.violations.clear()
    assert not found, f"{len(found)} violations, such as {found[:5]}"


@pytest.fixture(scope="module")
def endpoints(
    receivers, start_module_hydrant, tmp_path_factory: pytest.TempPathFactory
) -> EndpointBench:
    """A server and the receivers, shared by a module's tests."""
    settings = endpoint_settings(
        tmp_path_factory.mktemp("settings") / "endpoints.json",
        {"endpoint": f"http://127.0.0.1:*{IMPATIENT}/*", "timeoutSeconds": IMPATIENT_SECONDS},
        {"endpoint": "http://localhost:*", "timeoutSeconds": IMPATIENT_SECONDS},
    )
    return EndpointBench(start_module_hydrant(*LOG_FORMAT, *settings), *receivers)


StartEndpoints = Callable[..., EndpointBench]
"""Starts a server as `start_hydrant` does."""


@pytest.fixture
def start_endpoints(start_hydrant, receivers) -> StartEndpoints:
    """Starts a server of a test's own in front of the receivers."""
    return lambda *options, **arguments: EndpointBench(
        start_hydrant(*LOG_FORMAT, *options, **arguments), *receivers
    )


@pytest.fixture
def seed() -> int:
    """What all random choices of a test come from; HYDRANT_SEED repeats those of an earlier run."""
    found = int(os.environ.get("HYDRANT_SEED", random.randrange(2**32)))
    print(f"HYDRANT_SEED={found}")
    return found


@pytest.fixture
def settings_path(tmp_path: Path) -> Path:
    """Where a test can write settings of endpoints."""
    return tmp_path / "endpoints.json"
