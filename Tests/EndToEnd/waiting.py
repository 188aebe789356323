"""Waiting for something to become true, without guessing how long it takes."""

import time
from collections.abc import Callable
from typing import TypeVar

Value = TypeVar("Value")


class WaitedTooLong(AssertionError):
    """What was waited for did not happen in time."""


def wait_until(
    probe: Callable[[], Value], what: str, *, timeout: float = 30, pause: float = 0.05
) -> Value:
    """Calls `probe` until it answers something true, and returns that answer.

    Raises `WaitedTooLong` with `what` when `timeout` seconds have gone; `pause` is the time between
    two looks.
    """
    deadline = time.monotonic() + timeout
    while True:
        if value := probe():
            return value
        if time.monotonic() > deadline:
            raise WaitedTooLong(f"waited {timeout:g} s for {what}; last seen: {value!r}")
        time.sleep(pause)
