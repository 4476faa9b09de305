"""Objects at their maximum: bounds on the work of one turn, on all of it, and on memory."""

import pytest

from meshdns.controller.publisher import CANDIDATES_PER_COMMIT
from tests.maxima.__main__ import measured, memory_limit
from tests.maxima.objects import MAXIMA

COPIES = 1  # three of each are measured by ``python -m tests.maxima``
LARGEST_NAME = 8192 + 4096  # candidates of one name and of those that it leads to, and what their ports count
WORK_OF_ONE_OBJECT = 1_000_000  # candidates


@pytest.mark.slow
@pytest.mark.parametrize("name", MAXIMA)
def test_a_maximum_stays_in_its_bounds(name: str) -> None:
    """A turn ends soon after its share of candidates, and memory stays below the limit of a whole pod."""
    found = measured(name, COPIES)
    assert found.most_in_a_turn <= CANDIDATES_PER_COMMIT + LARGEST_NAME
    assert found.candidates <= COPIES * WORK_OF_ONE_OBJECT
    assert found.peak < memory_limit()
    assert max(found.shown.values()) < 20_000_000
