"""Counters without labels: declared once, published as differences."""

from meshdns.forwarding.counters import ForwardCounters
from meshdns.instance.scoreboard import MAX_COUNTERS, Scoreboard
from meshdns.worker.scoreboard_counters import (
    COUNTER_PLACES,
    SCOREBOARD_COUNTERS,
    CounterPublisher,
    WorkerCounters,
)


def test_every_counter_has_its_own_place_and_metric() -> None:
    """Attributes and names of metrics are unique, and the slot has room for all counters."""
    assert len(SCOREBOARD_COUNTERS) <= MAX_COUNTERS
    assert len(COUNTER_PLACES) == len(SCOREBOARD_COUNTERS)
    for names in (
        [counter.metric.name for counter in SCOREBOARD_COUNTERS if counter.metric.name],
        [counter.metric.coredns_name for counter in SCOREBOARD_COUNTERS if counter.metric.coredns_name],
    ):
        assert len(set(names)) == len(names)


def test_every_metric_has_a_text() -> None:
    """A name without a text, or a text without a name, is a slip."""
    for _, metric in SCOREBOARD_COUNTERS:
        assert bool(metric.name) == bool(metric.help)
        assert bool(metric.coredns_name) == bool(metric.coredns_help)


def _publish(publisher: CounterPublisher, counters: WorkerCounters, forwarding: ForwardCounters, hits: int) -> None:
    publisher.publish(counters, forwarding, cached_upstream_hits=hits, cached_replies=0, connections=0)


def test_every_declared_counter_reaches_its_place() -> None:
    """Each by itself, as the difference since the last time; a worker that starts anew adds to what its slot holds."""
    board = Scoreboard.create()
    publisher, counters, forwarding = CounterPublisher(board, 3), WorkerCounters(), ForwardCounters()
    for place, (attribute, _) in enumerate(SCOREBOARD_COUNTERS):
        owner = counters if place < COUNTER_PLACES["hits"] else forwarding
        setattr(owner, attribute, place + 1)
    for _ in range(2):  # nothing is added a second time
        _publish(publisher, counters, forwarding, 0)
    expected = [place + 1 for place in range(len(SCOREBOARD_COUNTERS))]
    assert [board.read_counter(3, place) for place in range(len(SCOREBOARD_COUNTERS))] == expected
    _publish(CounterPublisher(board, 3), counters, forwarding, 0)
    assert [board.read_counter(3, place) for place in range(len(SCOREBOARD_COUNTERS))] == [
        2 * each for each in expected
    ]


def test_cached_replies_of_upstreams_count_as_hits_of_their_cache() -> None:
    """A reply that was found ready saves the upstream as much as one that was found in the cache."""
    board = Scoreboard.create()
    publisher, counters, forwarding = CounterPublisher(board, 0), WorkerCounters(), ForwardCounters(hits=2)
    _publish(publisher, counters, forwarding, 5)
    _publish(publisher, counters, forwarding, 6)
    assert board.read_counter(0, COUNTER_PLACES["hits"]) == 8
