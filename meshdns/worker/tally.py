"""From a worker's own integers to its slot of the scoreboard: only what was added since the last time."""

from meshdns.forwarding.counters import ForwardCounters
from meshdns.scoreboard import Count, Scoreboard
from meshdns.worker.answering import Counters


class Tally:
    """Publishes what a worker counts, at the beat of its heart rather than query by query."""

    def __init__(self, board: Scoreboard, number: int) -> None:
        self._board = board
        self._number = number
        self._published: dict[Count, int] = {}

    def publish(self, counters: Counters, forwarding: ForwardCounters, *, ready_replies: int) -> None:
        """Add what is new."""
        for count, value in _values(counters, forwarding):
            new = value - self._published.get(count, 0)
            if new:
                self._board.add(self._number, count, new)
                self._published[count] = value
        self._board.show(self._number, in_flight=forwarding.in_flight, ready_replies=ready_replies)


def _values(counters: Counters, forwarding: ForwardCounters) -> tuple[tuple[Count, int], ...]:
    return (
        (Count.QUERIES, counters.queries),
        (Count.READY, counters.ready),
        (Count.ANSWERED, counters.answered),
        (Count.FORWARDED, counters.forwarded),
        (Count.REFUSED, counters.refused),
        (Count.DROPPED, counters.dropped),
        (Count.TCP, counters.tcp),
        (Count.PORTLESS, counters.portless),
        (Count.UNSENT, counters.unsent),
        (Count.LATE, counters.late),
        (Count.COMMITS, counters.commits),
        (Count.CONNECTIONS_REFUSED, counters.connections_refused),
        (Count.VIEW_FAULTS, counters.view_faults),
        (Count.FORWARD_HITS, forwarding.hits),
        (Count.FORWARD_MISSES, forwarding.misses),
        (Count.FORWARD_SENDS, forwarding.sends),
        (Count.FORWARD_RETRIES, forwarding.retries),
        (Count.FORWARD_TIMEOUTS, forwarding.timeouts),
        (Count.FORWARD_MISMATCHES, forwarding.mismatches),
        (Count.FORWARD_MALFORMED, forwarding.malformed),
        (Count.FORWARD_SERVFAIL, forwarding.servfail),
        (Count.FORWARD_OVERFLOW, forwarding.overflow),
        (Count.FORWARD_COALESCED, forwarding.coalesced),
        (Count.FORWARD_LATE, forwarding.late),
        (Count.FORWARD_STALE, forwarding.stale),
        (Count.FORWARD_OVERFLOW_CLIENT, forwarding.overflow_client),
        (Count.FORWARD_LOOPS, forwarding.loops),
    )
