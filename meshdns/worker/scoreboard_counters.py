"""Counters of a worker without labels, and their publication on the scoreboard.

A worker adds to plain integers. Every heartbeat adds to its slot of the scoreboard what is new since the last one.
Metrics with labels are published as one page, and only after a query was received.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from operator import attrgetter
from typing import Annotated, Final

from meshdns.forwarding.counters import CounterMetric, DeclaredCounter, ForwardCounters, declared_counters
from meshdns.instance.scoreboard import Scoreboard
from meshdns.worker.reply_metrics import ReplyMetrics


@dataclass(slots=True, eq=False)
class WorkerCounters:
    """Counters as plain integers, which only grow."""

    queries: Annotated[int, CounterMetric("queries", "Messages received over UDP and TCP.")] = 0
    reply_cache_hits: Annotated[int, CounterMetric("queries_ready", "Queries answered from the reply cache.")] = 0
    answered: Annotated[int, CounterMetric("queries_answered", "Queries answered from the name database.")] = 0
    forwarded: Annotated[int, CounterMetric("queries_forwarded", "Queries for names outside the zones.")] = 0
    refused: Annotated[int, CounterMetric("queries_refused", "Queries from outside allowQuery.")] = 0
    dropped: Annotated[int, CounterMetric("messages_dropped", "Messages that are no query.")] = 0
    tcp: Annotated[int, CounterMetric("queries_tcp", "Queries over TCP.")] = 0
    zero_source_port: Annotated[
        int, CounterMetric("messages_portless", "Messages from source port 0, which cannot be answered.")
    ] = 0
    send_failed: Annotated[int, CounterMetric("replies_unsent", "Replies that the kernel did not take.")] = 0
    dropped_by_rrl: Annotated[int, CounterMetric("replies_limited", "Replies dropped by rateLimit.")] = 0
    truncated_by_rrl: Annotated[
        int, CounterMetric("replies_cut", "Replies truncated by rateLimit, so that the client asks over TCP.")
    ] = 0
    expired_in_socket: Annotated[
        int, CounterMetric("messages_late", "Messages discarded because they had waited too long.")
    ] = 0
    commits: Annotated[
        int, CounterMetric("namedb_commits_seen", "Changes of the name database that a worker noticed.")
    ] = 0
    connections_refused: Annotated[int, CounterMetric("connections_refused", "TCP connections over the limits.")] = 0
    connections_aborted: Annotated[
        int, CounterMetric("connections_cut", "TCP connections ended for others: idlest, or took no replies.")
    ] = 0
    accepts_failed: Annotated[
        int, CounterMetric("accepts_failed", "TCP connections not accepted for want of descriptors or memory.")
    ] = 0
    refusals_dropped: Annotated[
        int, CounterMetric("refusals_dropped", "Refusals not sent, of clients outside allowQuery that ask too often.")
    ] = 0
    namedb_errors: Annotated[int, CounterMetric("namedb_faults", "Reads of the name database that failed.")] = 0
    panics: Annotated[
        int, CounterMetric(coredns_name="panics", coredns_help="Queries that ended in an unforeseen exception.")
    ] = 0


_OWN: Final = tuple(declared_counters(WorkerCounters))
_FORWARDING: Final = tuple(declared_counters(ForwardCounters))

SCOREBOARD_COUNTERS: Final[tuple[DeclaredCounter, ...]] = (*_OWN, *_FORWARDING)
"""All counters of a worker, each at its place in the worker's slot of the scoreboard."""

COUNTER_PLACES: Final[Mapping[str, int]] = {
    counter.attribute: place for place, counter in enumerate(SCOREBOARD_COUNTERS)
}

_FORWARD_HITS: Final = COUNTER_PLACES["hits"]
_own_values = attrgetter(*(counter.attribute for counter in _OWN))
_forwarding_values = attrgetter(*(counter.attribute for counter in _FORWARDING))


class CounterPublisher:
    """Publishes the counters of a worker with every heartbeat, not with every query."""

    def __init__(self, board: Scoreboard, number: int) -> None:
        self._board = board
        self._number = number
        self._published = [0] * len(SCOREBOARD_COUNTERS)
        self._published_queries = -1  # queries, when the page was published

    def publish(
        self,
        counters: WorkerCounters,
        forwarding: ForwardCounters,
        *,
        cached_upstream_hits: int,
        cached_replies: int,
        connections: int,
    ) -> None:
        """Add what is new. `cached_upstream_hits` counts the cached replies sent that came from an upstream."""
        values: list[int] = [*_own_values(counters), *_forwarding_values(forwarding)]
        values[_FORWARD_HITS] += cached_upstream_hits
        for place, (value, published) in enumerate(zip(values, self._published, strict=True)):
            if value != published:
                self._board.add_to_counter(self._number, place, value - published)
        self._published = values
        self._board.set_gauges(
            self._number, in_flight=forwarding.in_flight, cached_replies=cached_replies, connections=connections
        )

    def publish_metrics(self, metrics: ReplyMetrics, *, queries: int) -> None:
        """Publish the metrics with labels, if any query was received since the last call."""
        if queries != self._published_queries:
            self._published_queries = queries
            metrics.flush()
            self._board.publish_page(self._number, metrics.page.encode())
