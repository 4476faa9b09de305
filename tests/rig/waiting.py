"""Waiting for a condition instead of sleeping for luck."""

import time
from collections.abc import Callable
from typing import TypeVar

Value = TypeVar("Value")

_PAUSE = 0.01  # seconds between two looks: short against every start, long against a busy loop


def eventually(condition: Callable[[], Value], *, what: str, within: float = 60.0) -> Value:
    """The first truthy value of `condition`, looked at until `within` seconds have passed; raises `TimeoutError`.

    The last look is after the deadline, so that a machine that stood still does not fail a test.
    """
    deadline = time.monotonic() + within
    while True:
        late = time.monotonic() >= deadline
        value = condition()
        if value:
            return value
        if late:
            raise TimeoutError(f"not within {within:g} s: {what} (the last look gave {value!r})")
        time.sleep(_PAUSE)
