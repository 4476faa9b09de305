"""Random schedules of faults and changes, judged by a model: a sample of those that the soak plays."""

import pytest

from tests.sources.schedules.simulation import play

pytestmark = pytest.mark.long

SAMPLE = 1200
ONCE_WRONG = (6506, 6568, 7184, 7323, 9509, 10503, 12911, 82231, 91787)
_PART = 100


@pytest.mark.slow
@pytest.mark.parametrize("first", range(0, SAMPLE, _PART))
def test_no_schedule_is_answered_wrongly(first: int) -> None:
    """Nothing wrong is served, no server is asked in a loop, and nothing is left behind."""
    outcomes = list(play(range(first, first + _PART)))
    assert [each for each in outcomes if each.wrong or each.hot or each.leaked] == []
    assert sum(each.checks for each in outcomes) > 10 * _PART


@pytest.mark.parametrize("seed", ONCE_WRONG)
def test_a_schedule_that_was_answered_wrongly_once_is_not_again(seed: int) -> None:
    """By pages taken for contact, checks of a watch that was over, or a server whose pages told of two moments."""
    (outcome,) = play(range(seed, seed + 1))
    assert (outcome.wrong, outcome.hot, outcome.leaked) == ([], [], [])
