"""The scoreboard: each process in its slot, everybody sees all."""

import os

import pytest

from meshdns.scoreboard import MAX_WORKERS, Count, Scoreboard


@pytest.fixture
def board() -> Scoreboard:
    """A new one."""
    return Scoreboard.create()


def test_counters_of_a_worker_outlive_it(board: Scoreboard) -> None:
    """Whoever opens the descriptor later goes on from what the slot holds."""
    board.add(0, Count.QUERIES, 3)
    again = Scoreboard(os.dup(board.descriptor))
    again.add(0, Count.QUERIES, 2)
    assert board.read(0, Count.QUERIES) == 5


def test_slots_do_not_touch(board: Scoreboard) -> None:
    """What one worker writes, the highest count included, no other slot shows."""
    for count in Count:
        board.add(1, count, 7)
    board.beat_worker(1, 5.0)
    board.show(1, in_flight=1, ready_replies=2)
    for other in (0, 2, MAX_WORKERS - 1):
        assert [board.read(other, count) for count in Count] == [0] * len(Count)
        assert board.held(other) == (0, 0)
        assert board.worker_silence(other, 5.0) == 5.0
    assert board.controller_silence(5.0) == 5.0


def test_heartbeats_in_seconds(board: Scoreboard) -> None:
    """Silence is the time since the last beat, to a millisecond."""
    board.beat_controller(100.25)
    board.beat_worker(3, 101.5)
    assert board.controller_silence(110.25) == pytest.approx(10.0)
    assert board.worker_silence(3, 102.0) == pytest.approx(0.5)


def test_gauges_are_set_not_added(board: Scoreboard) -> None:
    """What a worker holds is what it said last."""
    board.show(0, in_flight=9, ready_replies=100)
    board.show(0, in_flight=1, ready_replies=0)
    assert board.held(0) == (1, 0)


def test_every_count_has_its_own_place() -> None:
    """No two counters share a word, and none lies where heartbeats and gauges are."""
    assert len(set(Count)) == len(Count.__members__)
    assert min(Count) >= 8
