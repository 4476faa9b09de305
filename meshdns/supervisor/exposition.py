"""The scoreboard as Prometheus metrics; the only door to prometheus_client. No other process does work for a scrape.

Metrics with labels come from the pages of workers and controller (`meshdns.instance.metric_pages`), which outlive both;
metrics by worker alone come from plain integers. With ``metrics.corednsNames`` every metric with the same meaning as in
CoreDNS is exposed under CoreDNS's name, too.
"""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from typing import Final, NamedTuple

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector, CollectorRegistry
from prometheus_client.utils import floatToGoString

import meshdns
from meshdns.config.model import Settings
from meshdns.instance import metric_pages
from meshdns.instance.metric_pages import MetricDefinition, MetricKind, MetricPage
from meshdns.instance.scoreboard import CONTROLLER, Scoreboard
from meshdns.supervisor.usage import ProcessUsage
from meshdns.worker.scoreboard_counters import COUNTER_PLACES, SCOREBOARD_COUNTERS

__all__ = ["PREFIX", "InstanceCollector", "Metric", "SupervisorStatus", "encode_metrics"]

PREFIX: Final = "meshdns_"
COREDNS: Final = "coredns_"


class SupervisorStatus(NamedTuple):
    """The supervisor's own state, for its metrics."""

    settings: Settings
    child_restarts: Sequence[tuple[str, int]]
    generation: int
    is_ready: bool
    reload_failures: int
    usage: ProcessUsage
    query_log_counts: tuple[int, int] = (0, 0)  # lines of the query log, and those that were dropped
    own_page: bytes = b""  # the supervisor's own `MetricPage`, encoded
    unreadable_files: int = 0
    failed_file_reads: int = 0

    @property
    def server(self) -> str:
        """The server as CoreDNS labels it, by the port alone."""
        return f"dns://:{self.settings.listen[0].rpartition(':')[2]}"

    @property
    def settings_hash(self) -> str:
        """A hash that tells these settings from others."""
        return hashlib.sha512(self.settings.model_dump_json().encode()).hexdigest()


class InstanceCollector(Collector):
    """Reads the scoreboard at a scrape; `now` is in seconds of the monotonic clock."""

    def __init__(self, board: Scoreboard, workers: int, *, now: float, status: SupervisorStatus) -> None:
        self._board = board
        self._workers = workers
        self._now = now
        self._status = status
        self._prefixes = (PREFIX, COREDNS) if status.settings.metrics.coredns_names else (PREFIX,)

    def collect(self) -> Iterator[Metric]:
        """All metrics."""
        yield from self._worker_metrics()
        yield from self._labelled_metrics()
        yield from self._coredns_metrics()
        yield from self._supervisor_metrics()

    def _worker_metrics(self) -> Iterator[Metric]:
        """What each worker counts, told apart by its number."""
        board, numbers = self._board, range(self._workers)
        for place, (_, metric) in enumerate(SCOREBOARD_COUNTERS):
            if metric.name:
                family = CounterMetricFamily(PREFIX + metric.name, metric.help, labels=["worker"])
                for worker in numbers:
                    family.add_metric([str(worker)], board.read_counter(worker, place))
                yield family
        skipped = CounterMetricFamily(PREFIX + "samples_skipped", "Sampled queries over the bound.", labels=["worker"])
        for worker in numbers:
            skipped.add_metric([str(worker)], board.samples_skipped(worker))
        yield skipped
        gauges: tuple[tuple[str, str, Callable[[int], float]], ...] = (
            (
                "forward_in_flight",
                "Open exchanges with upstreams.",
                lambda worker: board.forwards_and_cached_replies(worker)[0],
            ),
            (
                "ready_replies",
                "Whole replies in the reply cache.",
                lambda worker: board.forwards_and_cached_replies(worker)[1],
            ),
            ("connections", "Open TCP connections.", board.open_connections),
            (
                "worker_silence_seconds",
                "Time since the heartbeat.",
                lambda worker: max(board.worker_heartbeat_age(worker, self._now), 0),
            ),
        )
        for name, text, value in gauges:
            gauge = GaugeMetricFamily(PREFIX + name, text, labels=["worker"])
            for worker in numbers:
                gauge.add_metric([str(worker)], value(worker))
            yield gauge

    def _labelled_metrics(self) -> Iterator[Metric]:
        """What workers and controller published, and what the supervisor counts itself."""
        workers = MetricPage()
        for worker in range(self._workers):
            workers.merge(self._board.read_page(worker))
        controller = MetricPage(self._board.read_page(CONTROLLER))
        supervisor = MetricPage(self._status.own_page)
        known_by = (
            (workers, metric_pages.WORKER_METRICS),
            (controller, metric_pages.CONTROLLER_METRICS),
            (supervisor, metric_pages.SUPERVISOR_METRICS),
        )
        for found, known in known_by:
            for metric in known:
                for prefix in self._prefixes if metric.coredns else (PREFIX,):
                    yield self._family(prefix, metric, found)

    def _family(self, prefix: str, metric: MetricDefinition, page: MetricPage) -> Metric:
        """Return one metric with all its samples."""
        given = [label for label in metric.labels if label not in metric_pages.INSTANCE_LABELS]
        samples = [
            ([self._label(label, given, values) for label in metric.labels], sums)
            for values, sums in sorted(page.samples(metric))
        ]
        if not metric.labels and not samples:
            samples = [([], page.series_values(metric))]
        name = prefix + metric.name
        if metric.kind is MetricKind.HISTOGRAM:
            histogram = HistogramMetricFamily(name, metric.help, labels=metric.labels)
            for labels, sums in samples:
                histogram.add_metric(labels, list(_cumulative_buckets(metric, sums)), sums[-1])
            return histogram
        if metric.kind is MetricKind.COUNTER:
            counter = CounterMetricFamily(name.removesuffix("_total"), metric.help, labels=metric.labels)
            for labels, sums in samples:
                counter.add_metric(labels, sums[0])
            return counter
        gauge = GaugeMetricFamily(name, metric.help, labels=metric.labels)
        for labels, sums in samples:
            gauge.add_metric(labels, sums[0])
        return gauge

    def _label(self, label: str, given: Sequence[str], values: Sequence[str]) -> str:
        if label == "server":
            return self._status.server
        return "" if label == "view" else values[given.index(label)]

    def _coredns_metrics(self) -> Iterator[Metric]:
        """What means the same as in CoreDNS and is counted without labels."""
        numbers = range(self._workers)
        entries = [self._board.forward_cache_sizes(worker) for worker in numbers]
        denials = sum(denied for _, denied in entries)
        kept = {"success": sum(all_kept for all_kept, _ in entries) - denials, "denial": denials}
        cache = [self._status.server, ".", ""]
        for prefix in self._prefixes:
            for place, (_, metric) in enumerate(SCOREBOARD_COUNTERS):
                if metric.coredns_name:
                    labels = ["server", "zones", "view"] if metric.coredns_name.startswith("cache_") else []
                    counter = CounterMetricFamily(prefix + metric.coredns_name, metric.coredns_help, labels=labels)
                    counter.add_metric(cache if labels else [], self._sum_over_workers(place))
                    yield counter
            held = GaugeMetricFamily(
                prefix + "cache_entries", "Upstream answers kept.", labels=["server", "type", "zones", "view"]
            )
            evicted = CounterMetricFamily(
                prefix + "cache_evictions",
                "Upstream answers dropped for want of room.",
                labels=["server", "type", "zones", "view"],
            )
            for kind, counted in (("success", "evicted_answers"), ("denial", "evicted_denials")):
                held.add_metric([cache[0], kind, *cache[1:]], kept[kind])
                dropped = self._sum_over_workers(COUNTER_PLACES[counted])
                evicted.add_metric([cache[0], kind, *cache[1:]], dropped)
            yield held
            yield evicted
            yield CounterMetricFamily(
                prefix + "reload_failed",
                "Settings that were wrong when they were reread.",
                self._status.reload_failures,
            )
            version = GaugeMetricFamily(
                prefix + "reload_version_info", "The settings in force.", labels=["hash", "value"]
            )
            version.add_metric(["sha512", self._status.settings_hash], 1)
            yield version
            build = GaugeMetricFamily(
                prefix + "build_info", "The running version.", labels=["version", "revision", "goversion"]
            )
            build.add_metric([meshdns.__version__, "", ""], 1)
            yield build
            enabled = GaugeMetricFamily(
                prefix + "plugin_enabled", "What answers in a zone.", labels=["server", "zone", "view", "name"]
            )
            for zone, name in self._enabled_plugins():
                enabled.add_metric([cache[0], zone, "", name], 1)
            yield enabled

    def _sum_over_workers(self, place: int) -> int:
        return sum(self._board.read_counter(worker, place) for worker in range(self._workers))

    def _enabled_plugins(self) -> Iterator[tuple[str, str]]:
        """What answers in each zone."""
        settings = self._status.settings
        for zone in (*(zone.name for zone in settings.zones), *(each.zone for each in settings.fallback)):
            yield zone + ".", "mesh"
        for forward in settings.forward:
            for name in ("forward", "cache"):
                yield forward.zone.removesuffix(".") + ".", name

    def _supervisor_metrics(self) -> Iterator[Metric]:
        about = self._status
        restarts = CounterMetricFamily(PREFIX + "child_restarts", "Processes started again.", labels=["process"])
        for name, number in about.child_restarts:
            restarts.add_metric([name], number)
        yield restarts
        silence = max(self._board.controller_heartbeat_age(self._now), 0)
        yield GaugeMetricFamily(
            PREFIX + "controller_silence_seconds", "Time since the controller's heartbeat.", value=silence
        )
        yield GaugeMetricFamily(PREFIX + "settings_generation", "Settings in force.", value=about.generation)
        yield GaugeMetricFamily(
            PREFIX + "settings_files_unreadable",
            "Files that the settings name and that cannot be read now; the last good value of each is in force.",
            value=about.unreadable_files,
        )
        yield CounterMetricFamily(
            PREFIX + "settings_file_reads_failed", "Looks at such files that failed.", about.failed_file_reads
        )
        yield GaugeMetricFamily(PREFIX + "ready", "Whether queries are welcome.", value=int(about.is_ready))
        yield CounterMetricFamily(PREFIX + "query_log_lines", "Lines of the query log.", about.query_log_counts[0])
        yield CounterMetricFamily(
            PREFIX + "query_log_dropped",
            "Queries that the query log wanted and could not write.",
            about.query_log_counts[1],
        )
        usage = about.usage
        yield CounterMetricFamily("process_cpu_seconds", "Processor time of all processes.", usage.cpu_seconds)
        yield GaugeMetricFamily("process_resident_memory_bytes", "Memory of all processes.", usage.resident_bytes)
        yield GaugeMetricFamily("process_start_time_seconds", "When the supervisor started.", usage.start_time)


def _cumulative_buckets(metric: MetricDefinition, sums: Sequence[float]) -> Iterator[tuple[str, float]]:
    """The buckets of a histogram as Prometheus wants them: each holds those below it, too."""
    total = 0.0
    for bound, number in zip((*metric.buckets, float("inf")), sums[:-1], strict=False):
        total += number
        yield floatToGoString(bound), total  # type: ignore[no-untyped-call]  # it has no types


def encode_metrics(collector: Collector, accept: str) -> tuple[bytes, str]:
    """The metrics in the format that `accept` prefers (text or OpenMetrics), and its content type."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(collector)
    encode, content_type = choose_encoder(accept)
    return encode(registry), content_type
