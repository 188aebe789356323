"""Fixtures: streams with processors."""

from collections.abc import Callable

import pytest

from processed import Processed


@pytest.fixture
def process(hydrant) -> Callable[..., Processed]:
    """Creates streams with processors on the module's server."""
    return lambda *processors, **members: Processed.create(hydrant, *processors, **members)
