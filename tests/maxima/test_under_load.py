"""The two worst maxima in a running instance: every query is answered, and rightly."""

import pytest

from tests.maxima.__main__ import memory_limit
from tests.maxima.under_load import RATE, serve

# Much work, and the most memory where objects come as files; ``python -m tests.maxima`` measures all of them.
WORST = ("ServiceEntry: 4096 endpoints with port numbers of their own", "ServiceEntry: 300 of them for one host")


@pytest.mark.rig
@pytest.mark.slow
@pytest.mark.parametrize("name", WORST)
def test_a_maximum_costs_no_other_name_an_answer(name: str) -> None:
    """It comes and goes under load: none unanswered, none wrong, no process ends, and the controller has its memory."""
    found = serve(name, 1)
    assert (found.unanswered, found.wrong, found.restarts) == (0, 0, 0), found
    assert found.sent > RATE
    assert found.controller < memory_limit()
