"""What `tests.bench.ablation` takes away is there to be taken away."""

import pytest

from meshdns.worker.udp_batch import is_available
from tests.bench.ablation import PARTS, without


@pytest.mark.skipif(not is_available(), reason="batches of messages are Linux's")
@pytest.mark.parametrize("part", PARTS)
def test_each_part_can_be_taken_out(part: str) -> None:
    """The lines are found, and what is left is Python."""
    assert callable(without(PARTS[part]))
