"""What a worker counts that has no labels.

From a worker's own integers to its slot of the scoreboard: only what was added since the last time.

What has labels goes into its page as a whole, once in a while and only where anything has changed.
"""

from meshdns.forwarding.counters import ForwardCounters
from meshdns.instance.scoreboard import CounterIndex, Scoreboard
from meshdns.worker.reply_metrics import ReplyMetrics


class WorkerCounters:
    """Plain integers, published elsewhere."""

    __slots__ = (
        "answered",
        "commits",
        "connections_aborted",
        "connections_refused",
        "dropped",
        "dropped_by_rrl",
        "expired_in_socket",
        "forwarded",
        "namedb_errors",
        "panics",
        "queries",
        "refused",
        "reply_cache_hits",
        "send_failed",
        "tcp",
        "truncated_by_rrl",
        "zero_source_port",
    )

    def __init__(self) -> None:
        self.queries = 0  # messages received
        self.reply_cache_hits = 0  # of these, answered from the ready replies
        self.answered = 0  # of these, answered from the view or by the worker itself
        self.forwarded = 0  # of these, for names that are not ours
        self.refused = 0  # of these, from outside allowQuery
        self.dropped = 0  # of these, not even a query
        self.tcp = 0  # of these, over TCP
        self.zero_source_port = 0  # from source port 0, which cannot be answered
        self.dropped_by_rrl = 0  # replies dropped because their asker's block has drawn too many
        self.truncated_by_rrl = 0  # replies cut to TC for the same reason
        self.expired_in_socket = 0  # discarded because they had waited too long
        self.send_failed = 0  # replies that the kernel did not take
        self.commits = 0  # changes of the view that were noticed
        self.connections_refused = 0
        self.connections_aborted = 0  # ended for the sake of others
        self.panics = 0  # exceptions that nobody foresaw
        self.namedb_errors = 0  # looks at the view that failed


class CounterPublisher:
    """Publishes what a worker counts, at the beat of its heart rather than query by query."""

    def __init__(self, board: Scoreboard, number: int) -> None:
        self._board = board
        self._number = number
        self._published: dict[CounterIndex, int] = {}
        self._published_queries = -1  # queries, when the page was published

    def publish(
        self,
        counters: WorkerCounters,
        forwarding: ForwardCounters,
        *,
        forwarded_hits: int,
        cached_replies: int,
        connections: int,
    ) -> None:
        """Add what is new; `forwarded_hits` are the ready replies that were an upstream's."""
        for count, value in _counter_values(counters, forwarding, forwarded_hits):
            new = value - self._published.get(count, 0)
            if new:
                self._board.add_to_counter(self._number, count, new)
                self._published[count] = value
        self._board.set_gauges(
            self._number, in_flight=forwarding.in_flight, cached_replies=cached_replies, connections=connections
        )

    def publish_metrics(self, metrics: ReplyMetrics, *, queries: int) -> None:
        """Publish what has labels, if any query came since the last time."""
        if queries != self._published_queries:
            self._published_queries = queries
            metrics.flush()
            self._board.publish_page(self._number, metrics.page.encode())


def _counter_values(
    counters: WorkerCounters, forwarding: ForwardCounters, forwarded_hits: int
) -> tuple[tuple[CounterIndex, int], ...]:
    return (
        (CounterIndex.QUERIES, counters.queries),
        (CounterIndex.REPLY_CACHE_HITS, counters.reply_cache_hits),
        (CounterIndex.ANSWERED, counters.answered),
        (CounterIndex.FORWARDED, counters.forwarded),
        (CounterIndex.REFUSED, counters.refused),
        (CounterIndex.DROPPED, counters.dropped),
        (CounterIndex.TCP, counters.tcp),
        (CounterIndex.ZERO_SOURCE_PORT, counters.zero_source_port),
        (CounterIndex.SEND_FAILED, counters.send_failed),
        (CounterIndex.EXPIRED_IN_SOCKET, counters.expired_in_socket),
        (CounterIndex.DROPPED_BY_RRL, counters.dropped_by_rrl),
        (CounterIndex.TRUNCATED_BY_RRL, counters.truncated_by_rrl),
        (CounterIndex.NAMEDB_COMMITS_SEEN, counters.commits),
        (CounterIndex.CONNECTIONS_REFUSED, counters.connections_refused),
        (CounterIndex.CONNECTIONS_ABORTED, counters.connections_aborted),
        (CounterIndex.NAMEDB_ERRORS, counters.namedb_errors),
        (CounterIndex.PANICS, counters.panics),
        (CounterIndex.FORWARD_HITS, forwarding.hits + forwarded_hits),
        (CounterIndex.FORWARD_MISSES, forwarding.misses),
        (CounterIndex.FORWARD_SENDS, forwarding.sends),
        (CounterIndex.FORWARD_RETRIES, forwarding.retries),
        (CounterIndex.FORWARD_TIMEOUTS, forwarding.timeouts),
        (CounterIndex.FORWARD_MISMATCHES, forwarding.mismatches),
        (CounterIndex.FORWARD_MALFORMED, forwarding.malformed),
        (CounterIndex.FORWARD_SERVFAIL, forwarding.servfail),
        (CounterIndex.FORWARD_OVERFLOW, forwarding.over_limit),
        (CounterIndex.FORWARD_COALESCED, forwarding.coalesced),
        (CounterIndex.FORWARD_LATE_REPLIES, forwarding.late_answers),
        (CounterIndex.FORWARD_STALE, forwarding.stale_answers),
        (CounterIndex.FORWARD_OVERFLOW_CLIENT, forwarding.over_client_limit),
        (CounterIndex.FORWARD_LOOPS, forwarding.loops),
        (CounterIndex.FORWARD_OVERFLOW_SUFFIX, forwarding.over_suffix_limit),
        (CounterIndex.EVICTED_ANSWERS, forwarding.evicted_answers),
        (CounterIndex.EVICTED_DENIALS, forwarding.evicted_denials),
    )
