"""From a worker's own integers to its slot of the scoreboard: only what was added since the last time.

What has labels goes into its page as a whole, once in a while and only where anything has changed.
"""

from meshdns.forwarding.counters import ForwardCounters
from meshdns.scoreboard import Count, Scoreboard
from meshdns.worker.accounts import Accounts
from meshdns.worker.counters import Counters


class Tally:
    """Publishes what a worker counts, at the beat of its heart rather than query by query."""

    def __init__(self, board: Scoreboard, number: int) -> None:
        self._board = board
        self._number = number
        self._published: dict[Count, int] = {}
        self._counted = -1  # queries, when the page was published

    def publish(
        self, counters: Counters, forwarding: ForwardCounters, *, relayed: int, ready_replies: int, connections: int
    ) -> None:
        """Add what is new; `relayed` are the ready replies that were an upstream's."""
        for count, value in _values(counters, forwarding, relayed):
            new = value - self._published.get(count, 0)
            if new:
                self._board.add(self._number, count, new)
                self._published[count] = value
        self._board.show(
            self._number, in_flight=forwarding.in_flight, ready_replies=ready_replies, connections=connections
        )

    def publish_accounts(self, accounts: Accounts, *, queries: int) -> None:
        """Publish what has labels, if any query came since the last time."""
        if queries != self._counted:
            self._counted = queries
            accounts.carry()
            self._board.publish(self._number, accounts.ledger.encode())


def _values(counters: Counters, forwarding: ForwardCounters, relayed: int) -> tuple[tuple[Count, int], ...]:
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
        (Count.LIMITED, counters.limited),
        (Count.CUT, counters.cut),
        (Count.COMMITS, counters.commits),
        (Count.CONNECTIONS_REFUSED, counters.connections_refused),
        (Count.CONNECTIONS_CUT, counters.connections_cut),
        (Count.VIEW_FAULTS, counters.view_faults),
        (Count.PANICS, counters.panics),
        (Count.FORWARD_HITS, forwarding.hits + relayed),
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
        (Count.FORWARD_OVERFLOW_SUFFIX, forwarding.overflow_suffix),
        (Count.EVICTED_ANSWERS, forwarding.evicted_answers),
        (Count.EVICTED_DENIALS, forwarding.evicted_denials),
    )
