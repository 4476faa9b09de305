"""What one message may cost, for those that are known to be expensive; `make fuzz` searches for worse."""

import pytest

from tests.fuzz.cost import SEARCHES, Search, cost

SLOWER = 4  # times that another machine may be


@pytest.mark.parametrize("search", SEARCHES, ids=lambda search: search.name)
def test_the_most_expensive_messages_that_are_known_are_cheap(search: Search) -> None:
    """No UDP payload takes a millisecond to read and answer, no 64 KiB over TCP 20 ms."""
    messages = list(search.begin())
    assert max(map(len, messages)) > search.longest / 2
    worst = max(messages, key=lambda each: cost(search.work, each, runs=2))
    assert cost(search.work, worst, runs=20) < SLOWER * search.most
