"""The scoreboard: each process in its slot, everybody sees all."""

import os

import pytest

from meshdns.instance.scoreboard import MAX_WORKERS, CounterIndex, Scoreboard


@pytest.fixture
def board() -> Scoreboard:
    """A new one."""
    return Scoreboard.create()


def test_counters_of_a_worker_outlive_it(board: Scoreboard) -> None:
    """Whoever opens the descriptor later goes on from what the slot holds."""
    board.add_to_counter(0, CounterIndex.QUERIES, 3)
    again = Scoreboard(os.dup(board.descriptor))
    again.add_to_counter(0, CounterIndex.QUERIES, 2)
    assert board.read_counter(0, CounterIndex.QUERIES) == 5


def test_slots_do_not_touch(board: Scoreboard) -> None:
    """What one worker writes, the highest count included, no other slot shows."""
    for count in CounterIndex:
        board.add_to_counter(1, count, 7)
    board.record_worker_heartbeat(1, 5.0)
    board.set_gauges(1, in_flight=1, cached_replies=2)
    for other in (0, 2, MAX_WORKERS - 1):
        assert [board.read_counter(other, count) for count in CounterIndex] == [0] * len(CounterIndex)
        assert board.forwards_and_cached_replies(other) == (0, 0)
        assert board.worker_heartbeat_age(other, 5.0) == 5.0
    assert board.controller_heartbeat_age(5.0) == 5.0


def test_heartbeats_in_seconds(board: Scoreboard) -> None:
    """Silence is the time since the last beat, to a millisecond."""
    board.record_controller_heartbeat(100.25)
    board.record_worker_heartbeat(3, 101.5)
    assert board.controller_heartbeat_age(110.25) == pytest.approx(10.0)
    assert board.worker_heartbeat_age(3, 102.0) == pytest.approx(0.5)


def test_gauges_are_set_not_added(board: Scoreboard) -> None:
    """What a worker holds is what it said last."""
    board.set_gauges(0, in_flight=9, cached_replies=100)
    board.set_gauges(0, in_flight=1, cached_replies=0)
    assert board.forwards_and_cached_replies(0) == (1, 0)


def test_every_count_has_its_own_place() -> None:
    """No two counters share a word, and none lies where heartbeats and gauges are."""
    assert len(set(CounterIndex)) == len(CounterIndex.__members__)
    assert min(CounterIndex) >= 8
