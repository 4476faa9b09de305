"""The scoreboard: each process in its slot, everybody sees all."""

import os

import pytest

from meshdns.instance.scoreboard import MAX_COUNTERS, MAX_WORKERS, Scoreboard


@pytest.fixture
def board() -> Scoreboard:
    """A new one."""
    return Scoreboard.create()


def test_counters_of_a_worker_outlive_it(board: Scoreboard) -> None:
    """Whoever opens the descriptor later goes on from what the slot holds."""
    board.add_to_counter(0, 0, 3)
    again = Scoreboard(os.dup(board.descriptor))
    again.add_to_counter(0, 0, 2)
    assert board.read_counter(0, 0) == 5


def test_slots_do_not_touch(board: Scoreboard) -> None:
    """What one worker writes, the highest count included, no other slot shows."""
    for place in range(MAX_COUNTERS):
        board.add_to_counter(1, place, 7)
    board.record_worker_heartbeat(1, 5.0)
    board.set_gauges(1, in_flight=1, cached_replies=2)
    for other in (0, 2, MAX_WORKERS - 1):
        assert [board.read_counter(other, place) for place in range(MAX_COUNTERS)] == [0] * MAX_COUNTERS
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


def test_counters_touch_nothing_else(board: Scoreboard) -> None:
    """No counter lies where heartbeats, gauges, samples and sizes of the cache are, and none where another is."""
    board.set_gauges(1, in_flight=1, cached_replies=2, connections=3)
    board.set_forward_cache_sizes(1, 4, 5)
    board.record_worker_heartbeat(1, 5.0)
    board.add_skipped_samples(1, 6)
    for place in range(MAX_COUNTERS):
        board.add_to_counter(1, place, place + 100)
    assert [board.read_counter(1, place) for place in range(MAX_COUNTERS)] == list(range(100, 100 + MAX_COUNTERS))
    assert board.forwards_and_cached_replies(1) == (1, 2)
    assert board.open_connections(1) == 3
    assert board.forward_cache_sizes(1) == (4, 5)
    assert board.worker_heartbeat_age(1, 5.0) == 0
    assert board.samples_skipped(1) == 6
    assert board.samples_written(1) == 0
    assert board.read_page(1) == b""
