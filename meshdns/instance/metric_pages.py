"""Definitions of all metrics with labels (names, labels and buckets), and the page that holds their values.

Rules:
- A process that measures keeps a `MetricPage` and publishes it whole on the scoreboard. A process that is scraped only
  reads pages: no other process does any work for a scrape.
- Labels come from closed sets or from the settings (zones, clusters, upstreams): never a queried name, never the
  address of a client or of an answer.
- Names, labels and buckets marked `coredns` are those of CoreDNS 1.14, whose meaning they share; `server` and `view`
  are filled in where they are exposed.
"""

import enum
from bisect import bisect_left
from collections.abc import Iterator
from typing import Final, NamedTuple

import msgspec

DURATION_BUCKETS: Final = tuple(0.00025 * 2**i for i in range(16))
"""Upper bounds of durations: 0.25 ms doubled, up to 8.192 s (CoreDNS's TimeBuckets)."""

SLIM_DURATION_BUCKETS: Final = tuple(0.00025 * 10**i for i in range(5))
"""Upper bounds of durations where few will do, up to 2.5 s (CoreDNS's SlimTimeBuckets)."""

PROPAGATION_BUCKETS: Final = tuple(0.001 * 2**i for i in range(20))
"""Upper bounds of how long a change takes, as CoreDNS's dns_programming_duration_seconds."""

SIZE_BUCKETS: Final = (0, 100, 200, 300, 400, 511, 1023, 2047, 4095, 8291, 16e3, 32e3, 48e3, 64e3)
"""Upper bounds of message sizes, as CoreDNS's."""

INSTANCE_LABELS: Final = ("server", "view")
"""Labels that are the same for all samples of an instance."""


class MetricKind(enum.Enum):
    """Kinds of metrics; the value is Prometheus's name of the type."""

    COUNTER = "counter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"


class MetricDefinition(NamedTuple):
    """One metric. `name` is without prefix, a counter's with ``_total``; `buckets` are upper bounds."""

    name: str
    kind: MetricKind
    labels: tuple[str, ...]
    help: str
    buckets: tuple[float, ...] = ()
    coredns: bool = False


def _counter(name: str, labels: str, text: str, *, coredns: bool = False) -> MetricDefinition:
    return MetricDefinition(name, MetricKind.COUNTER, tuple(labels.split()), text, coredns=coredns)


def _gauge(name: str, labels: str, text: str, *, coredns: bool = False) -> MetricDefinition:
    return MetricDefinition(name, MetricKind.GAUGE, tuple(labels.split()), text, coredns=coredns)


def _histogram(
    name: str, labels: str, text: str, buckets: tuple[float, ...], *, coredns: bool = False
) -> MetricDefinition:
    return MetricDefinition(name, MetricKind.HISTOGRAM, tuple(labels.split()), text, buckets, coredns)


# ---------------------------------------------------------------------------------------------- by workers

REQUESTS: Final = _counter(
    "dns_requests_total", "server zone view proto family type", "Queries by zone and type.", coredns=True
)
RESPONSES: Final = _counter(
    "dns_responses_total",
    "server zone view rcode plugin",
    "Replies by RCODE and by what wrote them: mesh, cache, forward, local (special names, CHAOS) or acl.",
    coredns=True,
)
REQUEST_DURATION: Final = _histogram(
    "dns_request_duration_seconds",
    "server zone view",
    "Time from a query's receipt to its reply. Queries that are answered from the reply cache count with the time of "
    "the batch that they came in; of several zones' in a fifth of a second each gets its share of those times.",
    DURATION_BUCKETS,
    coredns=True,
)
REQUEST_SIZE: Final = _histogram(
    "dns_request_size_bytes", "server zone view proto", "Size of queries.", SIZE_BUCKETS, coredns=True
)
RESPONSE_SIZE: Final = _histogram(
    "dns_response_size_bytes", "server zone view proto", "Size of replies.", SIZE_BUCKETS, coredns=True
)
DO_REQUESTS: Final = _counter("dns_do_requests_total", "server zone view", "Queries with DO set.", coredns=True)
CACHE_HITS: Final = _counter(
    "cache_hits_total", "server type zones view", "Queries answered from what upstreams said before.", coredns=True
)
ANSWERS: Final = _counter("answers_total", "zone source", "Replies with mesh data, by the level that answered.")
STALE_ANSWERS: Final = _counter(
    "stale_answers_total",
    "zone",
    "Replies with last known data: of a cluster out of contact, or a silent controller.",
)
LEAKED_QUERIES: Final = _counter(
    "leaked_queries_total", "zone", "Queries for names of a mesh zone that upstreams were asked (fallthrough: true)."
)
EXTENDED_ERRORS: Final = _counter(
    "extended_errors_total", "code", "Replies with an extended error (RFC 8914), by code."
)
UPSTREAM_DURATION: Final = _histogram(
    "proxy_request_duration_seconds",
    "proxy_name to rcode",
    "Time from a query to an upstream to its reply.",
    DURATION_BUCKETS,
    coredns=True,
)

# ---------------------------------------------------------------------------------------------- by the controller

CLUSTER_STATUS: Final = _gauge(
    "remote_cluster_sync_status", "cluster status", "1 for the state that a cluster is in: synced, stale, never synced."
)
CLUSTER_AGE: Final = _gauge(
    "cluster_contact_age_seconds",
    "cluster",
    "Time since the kind of a cluster's objects was read that was not read for longest.",
)
CREDENTIAL_EXPIRY: Final = _gauge(
    "cluster_token_expiry_timestamp_seconds",
    "cluster renewed",
    "When the token or certificate that a cluster is read with ends, where it says so; renewed where another is got "
    "before, from a file, a plugin or a provider.",
)
CLUSTER_FAILURES: Final = _counter(
    "watch_failures_total", "cluster resource", "Lists and watches that failed or were withheld, and began anew."
)
SOURCE_ENDS: Final = _counter(
    "source_ends_total", "source", "Sources that ended unforeseen and were started again, by kind."
)
OBJECTS: Final = _gauge("objects", "cluster resource", "Objects known of a cluster.")
NAMES: Final = _gauge("names", "zone cluster", "Owner names whose answer rests on a cluster.")
PROBLEMS: Final = _gauge("problems", "cluster kind", "Problems as meshdns get problems --all lists them.")
GATEWAYS: Final = _gauge("gateways", "cluster health", "Gateway addresses of a cluster by health.")
GATEWAYS_KNOWN: Final = _gauge(
    "gateways_known",
    "cluster",
    "Gateways of a cluster, with an address or without: addresses, host names, and objects that have neither.",
)
GATEWAYS_WITHOUT_ADDRESS: Final = _gauge(
    "gateways_without_address",
    "cluster state",
    "Gateways of a cluster that have no address: a host name that resolves to nothing, or to nothing that is served, "
    "whose look-ups fail, or that has no reply yet; or an object without address.",
)
NAMES_WITHOUT_GATEWAY: Final = _gauge(
    "names_without_gateway",
    "cluster",
    "Names that lead through gateways of a cluster, none of which has an address; 0 where one has, or none is needed.",
)
NAMES_CLAIMED: Final = _counter(
    "names_claimed_total",
    "cluster by",
    "Names that a cluster's ServiceEntries began to declare while another cluster, or another namespace of the "
    "cluster, declared them. Those of a cluster that is read for the first time do not count.",
)
PROPAGATION: Final = _histogram(
    "propagation_seconds",
    "",
    "Time from a change's arrival from its source to its commit, by which workers answer from their next wake-up on.",
    PROPAGATION_BUCKETS,
)
COMMITS: Final = _counter("namedb_commits_total", "", "Commits of the name database.")
COMMIT_FAILURES: Final = _counter("namedb_commit_failures_total", "", "Commits that the name database did not take.")
NAME_FAILURES: Final = _counter(
    "name_failures_total",
    "",
    "Tries to work out a name that an error in meshdns ended; the name keeps its last answer. "
    "meshdns get problems names it.",
)

# ---------------------------------------------------------------------------------------------- by the supervisor

HEALTH_DURATION: Final = _histogram(
    "health_request_duration_seconds",
    "",
    "Time that a worker takes to answer the DNS query with which /health asks each.",
    SLIM_DURATION_BUCKETS,
    coredns=True,
)
HEALTH_FAILURES: Final = _counter(
    "health_request_failures_total", "", "Workers that did not answer /health within a second.", coredns=True
)
TASK_FAILURES: Final = _counter(
    "supervisor_task_failures_total", "task", "Tasks and callbacks of the supervisor that failed and are tried again."
)
MESSAGE_FAULTS: Final = _counter(
    "child_message_faults_total", "process", "Lines of a process to the supervisor that were dropped: no messages."
)

WORKER_METRICS: Final = (
    REQUESTS,
    RESPONSES,
    REQUEST_DURATION,
    REQUEST_SIZE,
    RESPONSE_SIZE,
    DO_REQUESTS,
    CACHE_HITS,
    UPSTREAM_DURATION,
    ANSWERS,
    STALE_ANSWERS,
    LEAKED_QUERIES,
    EXTENDED_ERRORS,
)
CONTROLLER_METRICS: Final = (
    CLUSTER_STATUS,
    CLUSTER_AGE,
    CREDENTIAL_EXPIRY,
    CLUSTER_FAILURES,
    SOURCE_ENDS,
    OBJECTS,
    NAMES,
    PROBLEMS,
    GATEWAYS,
    GATEWAYS_KNOWN,
    GATEWAYS_WITHOUT_ADDRESS,
    NAMES_WITHOUT_GATEWAY,
    NAMES_CLAIMED,
    PROPAGATION,
    COMMITS,
    COMMIT_FAILURES,
    NAME_FAILURES,
)
SUPERVISOR_METRICS: Final = (HEALTH_DURATION, HEALTH_FAILURES, TASK_FAILURES, MESSAGE_FAULTS)

SeriesKey = tuple[str, tuple[str, ...]]
"""The name of a metric and the values of its labels, without those of `INSTANCE_LABELS`."""


class MetricPage:
    """Values by metric and labels; of a histogram a count for each bucket, a count above the last one, and the sum."""

    def __init__(self, encoded: bytes = b"") -> None:
        """Start with the result of an earlier `encode`; empty if it cannot be decoded."""
        self._values: dict[SeriesKey, list[float]] = {}
        self.merge(encoded)

    def add(self, metric: MetricDefinition, *labels: str, amount: float = 1) -> None:
        """Add `amount` to a counter or a gauge."""
        self.series_values(metric, *labels)[0] += amount

    def observe(
        self, metric: MetricDefinition, *labels: str, value: float, count: int = 1, total: float | None = None
    ) -> None:
        """Add `count` values like `value` to a histogram; their sum is `total`."""
        self.observe_bucket(
            metric, labels, bisect_left(metric.buckets, value), count, value * count if total is None else total
        )

    def observe_bucket(
        self, metric: MetricDefinition, labels: tuple[str, ...], bucket: int, count: int, total: float
    ) -> None:
        """Add `count` values to the bucket of that index; their sum is `total`."""
        row = self.series_values(metric, *labels)
        row[bucket] += count
        row[-1] += total

    def clear(self, metric: MetricDefinition) -> None:
        """Drop all samples of a metric, for a gauge that is rebuilt as a whole."""
        for series in [series for series in self._values if series[0] == metric.name]:
            del self._values[series]

    def samples(self, metric: MetricDefinition) -> Iterator[tuple[tuple[str, ...], list[float]]]:
        """Yield the labels and values of each series of a metric."""
        for (name, labels), sums in self._values.items():
            if name == metric.name:
                yield labels, sums

    def encode(self) -> bytes:
        """Return the page as bytes."""
        return msgspec.msgpack.encode([(name, labels, sums) for (name, labels), sums in self._values.items()])

    def merge(self, encoded: bytes) -> None:
        """Add the values of another, encoded page; nothing if it cannot be decoded."""
        try:
            rows = (
                msgspec.msgpack.decode(encoded, type=list[tuple[str, tuple[str, ...], list[float]]]) if encoded else []
            )
        except msgspec.DecodeError:
            return
        for name, labels, sums in rows:
            known = self._values.get((name, labels))
            added = [a + b for a, b in zip(known, sums, strict=False)] if known is not None else sums
            self._values[name, labels] = added

    def series_values(self, metric: MetricDefinition, *labels: str) -> list[float]:
        """Return the values of one series, to be changed in place; the list stays the same until `clear`."""
        row = self._values.get((metric.name, labels))
        if row is None:
            row = self._values[metric.name, labels] = [0] * (len(metric.buckets) + 2 if metric.buckets else 1)
        return row
