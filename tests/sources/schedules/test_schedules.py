"""Random schedules of faults and changes, judged by a model: a sample of those that the soak plays."""

import pytest

from tests.sources.schedules.play import play

SAMPLE = 1200
_PART = 100


@pytest.mark.parametrize("first", range(0, SAMPLE, _PART))
def test_no_schedule_is_answered_wrongly(first: int) -> None:
    """Nothing wrong is served, no server is asked in a loop, and nothing is left behind."""
    outcomes = list(play(range(first, first + _PART)))
    assert [each for each in outcomes if each.wrong or each.hot or each.leaked] == []
    assert sum(each.looks for each in outcomes) > 10 * _PART
