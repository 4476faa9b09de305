"""The marker `rig` cannot be forgotten: a test without it that reaches for a component fails.

Rules:
- pytest says in the environment which test runs without the mark, so that programs which the test starts know it, too.
- Whatever starts or locates a real program asks here first: `Component`, and the functions that find built programs
  and those of system packages.
- A test whose fixtures provide a `Component` gets the mark by itself (`tests/conftest.py`); others carry it.

Nothing but the standard library: the set-up imports it.
"""

import os
from typing import Final

UNMARKED: Final = "MESHDNS_TEST_WITHOUT_RIG"
"""The environment variable that holds the id of the running test, while that has no mark."""


class UnmarkedTestError(Exception):
    """A test without the mark started a component."""


def require_rig(what: str) -> None:
    """Raise `UnmarkedTestError` if a test without the mark `rig` runs."""
    test = os.environ.get(UNMARKED)
    if test:
        raise UnmarkedTestError(f"{test} needs {what}: mark it with pytest.mark.rig")
