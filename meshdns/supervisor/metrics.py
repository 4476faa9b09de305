"""The scoreboard as Prometheus metrics; the only door to prometheus_client. Workers do no work for a scrape."""

from collections.abc import Callable, Iterable, Iterator
from typing import Final

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector, CollectorRegistry

import meshdns
from meshdns.scoreboard import Count, Scoreboard

_COUNTERS: Final = {
    Count.QUERIES: ("meshdns_queries", "Messages received over UDP and TCP."),
    Count.READY: ("meshdns_queries_ready", "Queries answered from ready replies."),
    Count.ANSWERED: ("meshdns_queries_answered", "Queries answered from the view."),
    Count.FORWARDED: ("meshdns_queries_forwarded", "Queries for names outside the zones."),
    Count.REFUSED: ("meshdns_queries_refused", "Queries from outside allowQuery."),
    Count.DROPPED: ("meshdns_messages_dropped", "Messages that are no query."),
    Count.TCP: ("meshdns_queries_tcp", "Queries over TCP."),
    Count.PORTLESS: ("meshdns_messages_portless", "Messages from source port 0, which cannot be answered."),
    Count.UNSENT: ("meshdns_replies_unsent", "Replies that the kernel did not take."),
    Count.LATE: ("meshdns_messages_late", "Messages discarded because they had waited too long."),
    Count.COMMITS: ("meshdns_view_commits_seen", "Changes of the view that a worker noticed."),
    Count.CONNECTIONS_REFUSED: ("meshdns_connections_refused", "TCP connections over the limits."),
    Count.VIEW_FAULTS: ("meshdns_view_faults", "Looks at the view that failed."),
    Count.FORWARD_HITS: ("meshdns_forward_cache_hits", "Forwarded queries answered from the cache."),
    Count.FORWARD_MISSES: ("meshdns_forward_cache_misses", "Forwarded queries that asked an upstream."),
    Count.FORWARD_SENDS: ("meshdns_forward_sends", "Messages sent to upstreams."),
    Count.FORWARD_RETRIES: ("meshdns_forward_retries", "Messages sent to upstreams again."),
    Count.FORWARD_TIMEOUTS: ("meshdns_forward_timeouts", "Messages that no upstream answered in time."),
    Count.FORWARD_MISMATCHES: ("meshdns_forward_mismatches", "Replies that answer nothing that was asked."),
    Count.FORWARD_MALFORMED: ("meshdns_forward_malformed", "Replies that break the wire format."),
    Count.FORWARD_SERVFAIL: ("meshdns_forward_servfail", "Forwarded queries that got SERVFAIL."),
    Count.FORWARD_OVERFLOW: ("meshdns_forward_overflow", "Forwarded queries over the limits."),
    Count.FORWARD_COALESCED: ("meshdns_forward_coalesced", "Forwarded queries that joined one in flight."),
    Count.FORWARD_STALE: ("meshdns_forward_stale", "Forwarded queries answered with an expired answer (RFC 8767)."),
    Count.FORWARD_OVERFLOW_CLIENT: ("meshdns_forward_overflow_client", "Forwarded queries over one client's limit."),
    Count.FORWARD_LOOPS: ("meshdns_forward_loops", "Queries that this instance had forwarded itself."),
    Count.FORWARD_LATE: ("meshdns_forward_late", "Upstream answers that came after the client had got SERVFAIL."),
}


class Instance(Collector):
    """Reads the scoreboard at each scrape."""

    def __init__(
        self,
        board: Scoreboard,
        workers: int,
        *,
        clock: Callable[[], float],
        restarts: Callable[[], Iterable[tuple[str, int]]],
        generation: Callable[[], int],
        ready: Callable[[], bool],
    ) -> None:
        self._board = board
        self._workers = workers
        self._clock = clock
        self._restarts = restarts
        self._generation = generation
        self._ready = ready

    def collect(self) -> Iterator[Metric]:
        """All metrics, workers told apart by their number."""
        board, now = self._board, self._clock()
        for count, (name, text) in _COUNTERS.items():
            family = CounterMetricFamily(name, text, labels=["worker"])
            for worker in range(self._workers):
                family.add_metric([str(worker)], board.read(worker, count))
            yield family
        in_flight = GaugeMetricFamily("meshdns_forward_in_flight", "Open exchanges with upstreams.", labels=["worker"])
        kept = GaugeMetricFamily("meshdns_ready_replies", "Replies kept ready.", labels=["worker"])
        silence = GaugeMetricFamily("meshdns_worker_silence_seconds", "Time since the heartbeat.", labels=["worker"])
        for worker in range(self._workers):
            flying, replies = board.held(worker)
            in_flight.add_metric([str(worker)], flying)
            kept.add_metric([str(worker)], replies)
            silence.add_metric([str(worker)], max(board.worker_silence(worker, now), 0))
        yield from (in_flight, kept, silence)
        yield from self._own(now)

    def _own(self, now: float) -> Iterator[Metric]:
        restarts = CounterMetricFamily("meshdns_child_restarts", "Processes started again.", labels=["process"])
        for name, number in self._restarts():
            restarts.add_metric([name], number)
        yield restarts
        yield GaugeMetricFamily(
            "meshdns_controller_silence_seconds",
            "Time since the controller's heartbeat.",
            value=max(self._board.controller_silence(now), 0),
        )
        yield GaugeMetricFamily("meshdns_settings_generation", "Settings in force.", value=self._generation())
        yield GaugeMetricFamily("meshdns_ready", "Whether queries are welcome.", value=int(self._ready()))
        build = GaugeMetricFamily("meshdns_build_info", "The running version.", labels=["version"])
        build.add_metric([meshdns.__version__], 1)
        yield build


def exposition(collector: Collector, accept: str) -> tuple[bytes, str]:
    """The metrics in the format that `accept` prefers (text or OpenMetrics), and its content type."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(collector)
    encode, content_type = choose_encoder(accept)
    return encode(registry), content_type
