"""The scoreboard as Prometheus metrics; the only door to prometheus_client. Nobody else does any work for a scrape.

What has labels comes from the pages of workers and controller (`meshdns.meters`), which outlive both; what has none but
the worker's number, from plain integers. With ``metrics.corednsNames`` everything that means the same as in CoreDNS is
told under CoreDNS's names, too.
"""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from typing import Final, NamedTuple

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector, CollectorRegistry
from prometheus_client.utils import floatToGoString

import meshdns
from meshdns import meters
from meshdns.config.model import Settings
from meshdns.meters import Kind, Ledger, Meter
from meshdns.scoreboard import CONTROLLER, Count, Scoreboard
from meshdns.supervisor.usage import Usage

__all__ = ["PREFIX", "About", "Instance", "Metric", "exposition"]

PREFIX: Final = "meshdns_"
COREDNS: Final = "coredns_"

_COUNTERS: Final = {
    Count.QUERIES: ("queries", "Messages received over UDP and TCP."),
    Count.READY: ("queries_ready", "Queries answered from ready replies."),
    Count.ANSWERED: ("queries_answered", "Queries answered from the view."),
    Count.FORWARDED: ("queries_forwarded", "Queries for names outside the zones."),
    Count.REFUSED: ("queries_refused", "Queries from outside allowQuery."),
    Count.DROPPED: ("messages_dropped", "Messages that are no query."),
    Count.TCP: ("queries_tcp", "Queries over TCP."),
    Count.PORTLESS: ("messages_portless", "Messages from source port 0, which cannot be answered."),
    Count.UNSENT: ("replies_unsent", "Replies that the kernel did not take."),
    Count.LIMITED: ("replies_limited", "Replies dropped by rateLimit."),
    Count.CUT: ("replies_cut", "Replies truncated by rateLimit, so that the client asks over TCP."),
    Count.LATE: ("messages_late", "Messages discarded because they had waited too long."),
    Count.COMMITS: ("view_commits_seen", "Changes of the view that a worker noticed."),
    Count.CONNECTIONS_REFUSED: ("connections_refused", "TCP connections over the limits."),
    Count.CONNECTIONS_CUT: ("connections_cut", "TCP connections ended for others: idlest, or took no replies."),
    Count.VIEW_FAULTS: ("view_faults", "Looks at the view that failed."),
    Count.FORWARD_HITS: ("forward_cache_hits", "Forwarded queries answered from the cache."),
    Count.FORWARD_MISSES: ("forward_cache_misses", "Forwarded queries that asked an upstream."),
    Count.FORWARD_SENDS: ("forward_sends", "Messages sent to upstreams."),
    Count.FORWARD_RETRIES: ("forward_retries", "Messages sent to upstreams again."),
    Count.FORWARD_TIMEOUTS: ("forward_timeouts", "Messages that no upstream answered in time."),
    Count.FORWARD_MISMATCHES: ("forward_mismatches", "Replies that answer nothing that was asked."),
    Count.FORWARD_MALFORMED: ("forward_malformed", "Replies that break the wire format."),
    Count.FORWARD_SERVFAIL: ("forward_servfail", "Forwarded queries that got SERVFAIL."),
    Count.FORWARD_OVERFLOW: ("forward_overflow", "Forwarded queries over the limits."),
    Count.FORWARD_COALESCED: ("forward_coalesced", "Forwarded queries that joined one in flight."),
    Count.FORWARD_STALE: ("forward_stale", "Forwarded queries answered with an expired answer (RFC 8767)."),
    Count.FORWARD_OVERFLOW_CLIENT: ("forward_overflow_client", "Forwarded queries over one client's limit."),
    Count.FORWARD_OVERFLOW_SUFFIX: ("forward_overflow_suffix", "Forwarded queries over the limit of one domain."),
    Count.FORWARD_LOOPS: ("forward_loops", "Queries that this instance had forwarded itself."),
    Count.FORWARD_LATE: ("forward_late", "Upstream answers that came after the client had got SERVFAIL."),
}

_OF_COREDNS: Final = {
    Count.FORWARD_MISSES: ("cache_misses", "Forwarded queries that the cache could not answer."),
    Count.FORWARD_STALE: ("cache_served_stale", "Forwarded queries answered with an expired answer."),
    Count.FORWARD_OVERFLOW: ("forward_max_concurrent_rejects", "Forwarded queries over the limits."),
    Count.PANICS: ("panics", "Queries that ended in an unforeseen exception."),
}
"""Sums over all workers that mean the same as in CoreDNS; those of the cache have labels server, zones and view."""


class About(NamedTuple):
    """What the supervisor says of itself."""

    settings: Settings
    restarts: Sequence[tuple[str, int]]
    generation: int
    ready: bool
    reload_failures: int
    usage: Usage
    logged: tuple[int, int] = (0, 0)  # lines of the query log, and those that were dropped
    health: bytes = b""  # of an encoded ledger

    @property
    def server(self) -> str:
        """The server as CoreDNS labels it, by the port alone."""
        return f"dns://:{self.settings.listen[0].rpartition(':')[2]}"

    @property
    def settings_hash(self) -> str:
        """What tells these settings from others."""
        return hashlib.sha512(self.settings.model_dump_json().encode()).hexdigest()


class Instance(Collector):
    """Reads the scoreboard at a scrape; `now` is in seconds of the monotonic clock."""

    def __init__(self, board: Scoreboard, workers: int, *, now: float, about: About) -> None:
        self._board = board
        self._workers = workers
        self._now = now
        self._about = about
        self._prefixes = (PREFIX, COREDNS) if about.settings.metrics.coredns_names else (PREFIX,)

    def collect(self) -> Iterator[Metric]:
        """All metrics."""
        yield from self._by_worker()
        yield from self._labelled()
        yield from self._shared()
        yield from self._own()

    def _by_worker(self) -> Iterator[Metric]:
        """What each worker counts, told apart by its number."""
        board, numbers = self._board, range(self._workers)
        for count, (name, text) in _COUNTERS.items():
            family = CounterMetricFamily(PREFIX + name, text, labels=["worker"])
            for worker in numbers:
                family.add_metric([str(worker)], board.read(worker, count))
            yield family
        skipped = CounterMetricFamily(PREFIX + "samples_skipped", "Sampled queries over the bound.", labels=["worker"])
        for worker in numbers:
            skipped.add_metric([str(worker)], board.samples_skipped(worker))
        yield skipped
        gauges: tuple[tuple[str, str, Callable[[int], float]], ...] = (
            ("forward_in_flight", "Open exchanges with upstreams.", lambda worker: board.held(worker)[0]),
            ("ready_replies", "Replies kept ready.", lambda worker: board.held(worker)[1]),
            ("connections", "Open TCP connections.", board.connections),
            (
                "worker_silence_seconds",
                "Time since the heartbeat.",
                lambda worker: max(board.worker_silence(worker, self._now), 0),
            ),
        )
        for name, text, value in gauges:
            gauge = GaugeMetricFamily(PREFIX + name, text, labels=["worker"])
            for worker in numbers:
                gauge.add_metric([str(worker)], value(worker))
            yield gauge

    def _labelled(self) -> Iterator[Metric]:
        """What workers and controller published, and how workers answered the supervisor."""
        workers = Ledger()
        for worker in range(self._workers):
            workers.merge(self._board.published(worker))
        controller = Ledger(self._board.published(CONTROLLER))
        health = Ledger(self._about.health)
        known_by = ((workers, meters.WORKERS), (controller, meters.CONTROLLERS), (health, meters.SUPERVISOR))
        for found, known in known_by:
            for meter in known:
                for prefix in self._prefixes if meter.coredns else (PREFIX,):
                    yield self._family(prefix, meter, found)

    def _family(self, prefix: str, meter: Meter, found: Ledger) -> Metric:
        """One meter with all its samples."""
        given = [label for label in meter.labels if label not in meters.CONTEXT]
        samples = [
            ([self._label(label, given, values) for label in meter.labels], sums)
            for values, sums in sorted(found.samples(meter))
        ]
        if not meter.labels and not samples:
            samples = [([], found.row(meter))]
        name = prefix + meter.name
        if meter.kind is Kind.HISTOGRAM:
            histogram = HistogramMetricFamily(name, meter.text, labels=meter.labels)
            for labels, sums in samples:
                histogram.add_metric(labels, list(_cumulated(meter, sums)), sums[-1])
            return histogram
        if meter.kind is Kind.COUNTER:
            counter = CounterMetricFamily(name.removesuffix("_total"), meter.text, labels=meter.labels)
            for labels, sums in samples:
                counter.add_metric(labels, sums[0])
            return counter
        gauge = GaugeMetricFamily(name, meter.text, labels=meter.labels)
        for labels, sums in samples:
            gauge.add_metric(labels, sums[0])
        return gauge

    def _label(self, label: str, given: Sequence[str], values: Sequence[str]) -> str:
        if label == "server":
            return self._about.server
        return "" if label == "view" else values[given.index(label)]

    def _shared(self) -> Iterator[Metric]:
        """What means the same as in CoreDNS and is counted without labels."""
        numbers = range(self._workers)
        entries = [self._board.cached(worker) for worker in numbers]
        denials = sum(denied for _, denied in entries)
        kept = {"success": sum(all_kept for all_kept, _ in entries) - denials, "denial": denials}
        cache = [self._about.server, ".", ""]
        for prefix in self._prefixes:
            for count, (name, text) in _OF_COREDNS.items():
                labels = ["server", "zones", "view"] if name.startswith("cache_") else []
                counter = CounterMetricFamily(prefix + name, text, labels=labels)
                counter.add_metric(cache if labels else [], sum(self._board.read(worker, count) for worker in numbers))
                yield counter
            held = GaugeMetricFamily(
                prefix + "cache_entries", "Upstream answers kept.", labels=["server", "type", "zones", "view"]
            )
            evicted = CounterMetricFamily(
                prefix + "cache_evictions",
                "Upstream answers dropped for want of room.",
                labels=["server", "type", "zones", "view"],
            )
            for kind, count in (("success", Count.EVICTED_ANSWERS), ("denial", Count.EVICTED_DENIALS)):
                held.add_metric([cache[0], kind, *cache[1:]], kept[kind])
                dropped = sum(self._board.read(worker, count) for worker in numbers)
                evicted.add_metric([cache[0], kind, *cache[1:]], dropped)
            yield held
            yield evicted
            yield CounterMetricFamily(
                prefix + "reload_failed", "Settings that were wrong when they were reread.", self._about.reload_failures
            )
            version = GaugeMetricFamily(
                prefix + "reload_version_info", "The settings in force.", labels=["hash", "value"]
            )
            version.add_metric(["sha512", self._about.settings_hash], 1)
            yield version
            build = GaugeMetricFamily(
                prefix + "build_info", "The running version.", labels=["version", "revision", "goversion"]
            )
            build.add_metric([meshdns.__version__, "", ""], 1)
            yield build
            enabled = GaugeMetricFamily(
                prefix + "plugin_enabled", "What answers in a zone.", labels=["server", "zone", "view", "name"]
            )
            for zone, name in self._plugins():
                enabled.add_metric([cache[0], zone, "", name], 1)
            yield enabled

    def _plugins(self) -> Iterator[tuple[str, str]]:
        """What answers in each zone."""
        settings = self._about.settings
        for zone in (*(zone.name for zone in settings.zones), *(each.zone for each in settings.fallback)):
            yield zone + ".", "mesh"
        for forward in settings.forward:
            for name in ("forward", "cache"):
                yield forward.zone.removesuffix(".") + ".", name

    def _own(self) -> Iterator[Metric]:
        about = self._about
        restarts = CounterMetricFamily(PREFIX + "child_restarts", "Processes started again.", labels=["process"])
        for name, number in about.restarts:
            restarts.add_metric([name], number)
        yield restarts
        silence = max(self._board.controller_silence(self._now), 0)
        yield GaugeMetricFamily(
            PREFIX + "controller_silence_seconds", "Time since the controller's heartbeat.", value=silence
        )
        yield GaugeMetricFamily(PREFIX + "settings_generation", "Settings in force.", value=about.generation)
        yield GaugeMetricFamily(PREFIX + "ready", "Whether queries are welcome.", value=int(about.ready))
        yield CounterMetricFamily(PREFIX + "query_log_lines", "Lines of the query log.", about.logged[0])
        yield CounterMetricFamily(
            PREFIX + "query_log_dropped", "Queries that the query log wanted and could not write.", about.logged[1]
        )
        usage = about.usage
        yield CounterMetricFamily("process_cpu_seconds", "Processor time of all processes.", usage.processor)
        yield GaugeMetricFamily("process_resident_memory_bytes", "Memory of all processes.", usage.resident)
        yield GaugeMetricFamily("process_start_time_seconds", "When the supervisor started.", usage.started)


def _cumulated(meter: Meter, sums: Sequence[float]) -> Iterator[tuple[str, float]]:
    """The buckets of a histogram as Prometheus wants them: each holds those below it, too."""
    total = 0.0
    for bound, number in zip((*meter.buckets, float("inf")), sums[:-1], strict=False):
        total += number
        yield floatToGoString(bound), total  # type: ignore[no-untyped-call]  # it has no types


def exposition(collector: Collector, accept: str) -> tuple[bytes, str]:
    """The metrics in the format that `accept` prefers (text or OpenMetrics), and its content type."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(collector)
    encode, content_type = choose_encoder(accept)
    return encode(registry), content_type
