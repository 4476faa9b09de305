"""Metrics of the replies of a worker, by zone, type, RCODE and other labels, published with its heartbeat.

Rules:
- A cached reply carries the id of its *series*; counting it adds one at that place of a list. The labels of the series
  are computed when the reply is cached, and its counts are added to the metric page five times a second.
- Every other reply is counted when it is made. All that its labels are computed from is its *signature*; a reply with
  a known signature finds the rows that it adds to by one lookup, in less than a microsecond.
- The number of series is bounded, because their labels are (`meshdns.instance.metric_pages`). When the series of cached
  replies are cleared, nothing is lost but their ids.
"""

from bisect import bisect_left
from collections.abc import Iterable
from typing import Final, NamedTuple, TypeAlias

from meshdns.authority.authority import NO_SOURCE, AnswerSource
from meshdns.dns import names
from meshdns.dns.codes import FLAG_AA, OPTION_EDE, RCODE_NAMES, type_mnemonic
from meshdns.dns.names import ZoneMap
from meshdns.dns.query import OPT_SIZE, Query
from meshdns.dns.response import OPT_PREFIX, find_opt, reply_class
from meshdns.forwarding.upstreams import Address
from meshdns.instance import metric_pages
from meshdns.instance.metric_pages import DURATION_BUCKETS, SIZE_BUCKETS, MetricPage
from meshdns.instance.samples import question_of

_LABELLED_TYPES: Final = frozenset(
    (
        *("A", "AAAA", "CNAME", "DNSKEY", "DS", "MX", "NSEC3", "NSEC", "NS", "PTR", "RRSIG", "SOA"),
        *("SRV", "TXT", "HTTPS", "SVCB", "IXFR", "AXFR", "ANY"),
    )
)
"""The types that have a label of their own, as in CoreDNS; all others are ``other``."""

_CLASS_LABELS: Final = ("success", "denial", "error", "success")
"""CoreDNS's words by `ReplyClass`: an empty reply is a success."""

PLUGIN_MESH: Final = "mesh"
PLUGIN_UPSTREAM_CACHE: Final = "cache"
PLUGIN_LOCAL: Final = "local"
PLUGIN_ACL: Final = "acl"
PLUGIN_FORWARD: Final = "forward"

LEVELS: Final = ("none", "static", "own_entry", "own_service", "remote_entry", "near_service", "far_service", "zone")
"""The levels of an answer by number, as a label."""


ReceivedQuery: TypeAlias = tuple[Query, bytes, int, bool, float]
"""A query, its client's packed address and port, whether it came over TCP, and the `perf_counter` of its receipt.

A named tuple here costs 6 % of a reply that is made.
"""


class ReplyLabels(NamedTuple):
    """The labels that tell one series from another."""

    zone: str
    qtype: str  # as its label
    rcode: int
    plugin: str
    response_class: str
    proto: str
    family: str
    do: bool
    ede: int
    answer_source: AnswerSource


class ReplySeries:
    """The rows of the metric page that the replies with the same labels add to."""

    __slots__ = ("counts", "query_sizes", "reply_sizes")

    def __init__(self, labels: ReplyLabels, page: MetricPage, *, is_mesh_zone: bool) -> None:
        zone, proto, plugin = labels.zone, labels.proto, labels.plugin
        rows = [
            page.series_values(metric_pages.REQUESTS, zone, proto, labels.family, labels.qtype),
            page.series_values(metric_pages.RESPONSES, zone, RCODE_NAMES[labels.rcode], plugin),
        ]
        if labels.do:
            rows.append(page.series_values(metric_pages.DO_REQUESTS, zone))
        if plugin == PLUGIN_UPSTREAM_CACHE and labels.response_class != "error":
            rows.append(page.series_values(metric_pages.CACHE_HITS, labels.response_class, zone))
        if labels.answer_source.level:
            rows.append(page.series_values(metric_pages.ANSWERS, zone, LEVELS[labels.answer_source.level]))
        if labels.answer_source.stale:
            rows.append(page.series_values(metric_pages.STALE_ANSWERS, zone))
        if labels.ede >= 0:
            rows.append(
                page.series_values(metric_pages.EXTENDED_ERRORS, str(labels.ede) if labels.ede < 32 else "other")
            )
        if is_mesh_zone and plugin in (PLUGIN_FORWARD, PLUGIN_UPSTREAM_CACHE):
            rows.append(page.series_values(metric_pages.LEAKED_QUERIES, zone))
        self.counts = rows
        self.query_sizes = page.series_values(metric_pages.REQUEST_SIZE, zone, proto)
        self.reply_sizes = page.series_values(metric_pages.RESPONSE_SIZE, zone, proto)

    def add(self, times: int, query_size: int, reply_size: int) -> None:
        """Count `times` replies of `reply_size` bytes to queries of `query_size` bytes."""
        for row in self.counts:
            row[0] += times
        self.query_sizes[bisect_left(SIZE_BUCKETS, query_size)] += times
        self.query_sizes[-1] += query_size * times
        self.reply_sizes[bisect_left(SIZE_BUCKETS, reply_size)] += times
        self.reply_sizes[-1] += reply_size * times


def type_label(qtype: int) -> str:
    """Return the label of a type, one of few, whichever type is queried."""
    named = type_mnemonic(qtype)
    return named if named in _LABELLED_TYPES else "other"


def response_class(reply: bytes) -> str:
    """Return ``success``, ``denial`` or ``error``, as CoreDNS's plugin/pkg/response classes a reply."""
    return _CLASS_LABELS[reply_class(reply)]


def do_bit_and_ede(reply: bytes) -> tuple[bool, int]:
    """Return the DO bit of a reply's OPT and the code of its first extended error, -1 if it has none."""
    at = find_opt(reply)
    if at < 0:
        return False, -1
    do = bool(reply[at + 7] & 0x80)
    at += OPT_SIZE
    while at + 4 <= len(reply):
        code, size = reply[at] << 8 | reply[at + 1], reply[at + 2] << 8 | reply[at + 3]
        if code == OPTION_EDE and size >= 2:
            return do, reply[at + 4] << 8 | reply[at + 5]
        at += 4 + size
    return do, -1


MAX_CACHED_SERIES: Final = 16_384  # series of cached replies: a zone, a type and two sizes each
_MAX_SERIES: Final = 8192
_FIRST_BUCKET: Final = DURATION_BUCKETS[0]
_MAX_SIGNATURES: Final = 2048
_MAX_PARENTS: Final = 4096

_OPTS_WITHOUT_EDE: Final = {
    OPT_PREFIX + b"\0\0" + do + b"\0" + options: bool(do[0])
    for do in (b"\0", b"\x80")
    for options in (b"\0\0", b"\0\x1c\0\x0a\0\x18")
}
"""The DO bit by OPT, for OPTs that are empty or hold only a full cookie; they end where the cookie begins."""

DROPPED: Final = "dropped"
"""The zone that CoreDNS reports for messages without a question."""


_TRANSPORTS: Final = (
    ("udp", "1"),
    ("udp", "2"),
    ("tcp", "1"),
    ("tcp", "2"),
)  # protocol and family, as CoreDNS names them

_NO_EDE: Final = (False, -1)


class _SignatureRows(NamedTuple):
    """The rows that replies with one signature add to: counts, sizes with their buckets, durations."""

    plugin: str
    counts: tuple[list[float], ...]
    query_sizes: list[float]
    query_size_bucket: int
    reply_sizes: list[float]
    reply_size_bucket: int
    durations: list[float]


class _CachedSeries(NamedTuple):
    """The labels of a cached reply by transport, and the sizes of query and reply."""

    labels_by_transport: tuple[ReplyLabels, ...]
    query_size: int
    reply_size: int


class ReplyMetrics:
    """The reply metrics of one worker.

    `cached_hits` counts the cached replies sent since the last `flush`, by transport (UDP over IPv4, UDP over IPv6, TCP
    over IPv4, TCP over IPv6) and id of series. `cached_upstream_hits` is the total, up to the last `flush`, of those
    that came from an upstream.
    """

    def __init__(self, page: MetricPage) -> None:
        self.page = page
        self.cached_hits: tuple[list[int], ...] = tuple([] for _ in _TRANSPORTS)
        self.cached_upstream_hits = 0
        self._cached_series: list[_CachedSeries] = []
        self._series_ids: dict[tuple[ReplyLabels, int, int], int] = {}
        self._series_by_labels: dict[ReplyLabels, ReplySeries] = {}
        self._batch_durations = [0] * (len(DURATION_BUCKETS) + 1)
        self._batch_seconds = 0.0
        self._zones: dict[bytes, str] = {}
        self._zone_map = ZoneMap(self._zones)
        self._mesh_zones: frozenset[str] = frozenset()
        self._rows_by_signature: dict[tuple[object, ...], _SignatureRows] = {}
        self._upstream_rows: dict[tuple[Address, int], list[float]] = {}
        self._zone_by_parent: dict[bytes, str] = {}  # the zone of the names directly below a name

    def configure(self, mesh_zones: Iterable[bytes], forwarded_zones: Iterable[bytes]) -> None:
        """Set the zones with labels of their own, by wire name: those answered from the mesh, and those forwarded."""
        served = {apex: names.to_text(apex).removesuffix(".") + "." for apex in mesh_zones}
        self._zones = {apex: names.to_text(apex).removesuffix(".") + "." for apex in forwarded_zones} | served
        self._zone_map = ZoneMap(self._zones)
        self._mesh_zones = frozenset(served.values())
        self._rows_by_signature.clear()
        self._zone_by_parent.clear()
        self._upstream_rows.clear()

    # ------------------------------------------------------------------------------------------ cached replies

    @property
    def is_full(self) -> bool:
        """Whether the cached replies have to be dropped before another is added."""
        return len(self._cached_series) >= MAX_CACHED_SERIES

    def series_id(self, query_size: int, reply: bytes, answer_source: AnswerSource, plugin: str = PLUGIN_MESH) -> int:
        """Return the id of the series of a reply to be cached, to a query of `query_size` bytes; `plugin` wrote it."""
        labels = self._labels(
            reply, plugin, proto="udp", family="1", ede=do_bit_and_ede(reply), answer_source=answer_source
        )
        key = (labels, query_size, len(reply))
        number = self._series_ids.get(key)
        if number is None:
            number = self._series_ids[key] = len(self._cached_series)
            by_transport = tuple(labels._replace(proto=proto, family=family) for proto, family in _TRANSPORTS)
            self._cached_series.append(_CachedSeries(by_transport, query_size, len(reply)))
            for hits in self.cached_hits:
                hits.append(0)
        return number

    def plugin_of(self, series_id: int) -> str:
        """Return the plugin that wrote the cached replies of a series."""
        return self._cached_series[series_id].labels_by_transport[0].plugin

    def clear_cached_series(self) -> None:
        """Clear the series of cached replies, after all cached replies were dropped."""
        self.flush()
        self._cached_series.clear()
        self._series_ids.clear()
        for hits in self.cached_hits:
            hits.clear()

    def observe_batch(self, hits: int, seconds: float) -> None:
        """Record the duration of a batch with `hits` cached replies, from receipt to send."""
        self._batch_durations[bisect_left(DURATION_BUCKETS, seconds)] += hits
        self._batch_seconds += seconds * hits

    def flush(self) -> None:
        """Add the counts of cached replies to the metric page."""
        by_zone: dict[str, int] = {}
        for transport, hits in enumerate(self.cached_hits):
            for number, times in enumerate(hits):
                if times:
                    hits[number] = 0
                    by_transport, query_size, reply_size = self._cached_series[number]
                    labels = by_transport[transport]
                    self._series(labels).add(times, query_size, reply_size)
                    self.cached_upstream_hits += times if labels.plugin == PLUGIN_UPSTREAM_CACHE else 0
                    by_zone[labels.zone] = by_zone.get(labels.zone, 0) + times
        self._flush_durations(by_zone)

    def _flush_durations(self, by_zone: dict[str, int]) -> None:
        """Divide the durations of batches among the zones in proportion; the last zone gets the rounding remainder."""
        left = sum(by_zone.values())
        for zone, times in by_zone.items():
            row = self.page.series_values(metric_pages.REQUEST_DURATION, zone)
            for bucket, number in enumerate(self._batch_durations):
                share = round(number * times / left)
                row[bucket] += share
                self._batch_durations[bucket] -= share
            row[-1] += self._batch_seconds * times / left
            self._batch_seconds -= self._batch_seconds * times / left
            left -= times

    # ------------------------------------------------------------------------------------------ all other replies

    def observe_reply(
        self, received: ReceivedQuery, message: bytes, plugin: str, source: AnswerSource, *, seconds: float
    ) -> str:
        """Count one reply, sent `seconds` after the receipt of its query; `plugin` is the path that it came by.

        Return the plugin that wrote it, by its bytes: one of those that `metric_pages.RESPONSES` names.
        """
        query, client, _, tcp, _ = received
        ipv6 = len(client) != 4
        query_size, reply_size = len(query.data), len(message)
        error = _NO_EDE
        if query.edns:
            do = _OPTS_WITHOUT_EDE.get(message[-39:-24] if query.reply_cookie else message[-11:])
            error = (do, -1) if do is not None else do_bit_and_ede(message)
        lower = query.qname_lower
        zone = self._zones.get(lower) or (self._zone_by_parent.get(lower[lower[0] + 1 :]) if lower else DROPPED)
        if zone is None:
            zone = self._zone_of(lower)
        signature = zone, query.qtype, message[2:12], plugin, tcp, ipv6, error, source, query_size, reply_size
        rows = self._rows_by_signature.get(signature)
        if rows is None:
            if len(self._rows_by_signature) >= _MAX_SIGNATURES:
                self._rows_by_signature.clear()
            rows = self._signature_rows(received, message, plugin, source, ede=error)
            self._rows_by_signature[signature] = rows
        written_by, counts, query_sizes, query_bucket, reply_sizes, reply_bucket, durations = rows
        for row in counts:
            row[0] += 1
        query_sizes[query_bucket] += 1
        query_sizes[-1] += query_size
        reply_sizes[reply_bucket] += 1
        reply_sizes[-1] += reply_size
        durations[bisect_left(DURATION_BUCKETS, seconds) if seconds > _FIRST_BUCKET else 0] += 1
        durations[-1] += seconds
        return written_by

    def observe_upstream(self, address: Address, rcode: int, seconds: float) -> None:
        """Record a reply of an upstream, `seconds` after the query to it."""
        row = self._upstream_rows.get((address, rcode))
        if row is None:
            row = self.page.series_values(
                metric_pages.UPSTREAM_DURATION, PLUGIN_FORWARD, str(address), RCODE_NAMES[rcode]
            )
            self._upstream_rows[address, rcode] = row
        row[bisect_left(DURATION_BUCKETS, seconds)] += 1
        row[-1] += seconds

    def _signature_rows(
        self, received: ReceivedQuery, message: bytes, plugin: str, source: AnswerSource, *, ede: tuple[bool, int]
    ) -> _SignatureRows:
        """Return the rows that a reply, and all others with its signature, add to."""
        query, client, _, tcp, _ = received
        source = source if message[7] else NO_SOURCE
        proto, family = "tcp" if tcp else "udp", "12"[len(client) != 4]
        labels = self._labels(message, plugin, proto=proto, family=family, ede=ede, answer_source=source)
        series = self._series(labels)
        return _SignatureRows(
            labels.plugin,
            tuple(series.counts),
            series.query_sizes,
            bisect_left(SIZE_BUCKETS, len(query.data)),
            series.reply_sizes,
            bisect_left(SIZE_BUCKETS, len(message)),
            self.page.series_values(metric_pages.REQUEST_DURATION, labels.zone),
        )

    def _series(self, labels: ReplyLabels) -> ReplySeries:
        series = self._series_by_labels.get(labels)
        if series is None:
            if len(self._series_by_labels) >= _MAX_SERIES:
                self._series_by_labels.clear()
            series = self._series_by_labels[labels] = ReplySeries(
                labels, self.page, is_mesh_zone=labels.zone in self._mesh_zones
            )
        return series

    def _labels(
        self, reply: bytes, plugin: str, *, proto: str, family: str, ede: tuple[bool, int], answer_source: AnswerSource
    ) -> ReplyLabels:
        rcode = reply[3] & 0x0F
        name, qtype, _ = question_of(reply)
        zone = self._zone_of(name.lower()) if reply[5] else DROPPED
        if zone in self._mesh_zones and plugin == PLUGIN_UPSTREAM_CACHE and reply[2] & FLAG_AA >> 8:
            plugin = PLUGIN_MESH  # a fallback zone: the mesh answered what the upstream had denied
        elif zone not in self._mesh_zones and plugin == PLUGIN_MESH:
            plugin = PLUGIN_LOCAL
        elif plugin == PLUGIN_UPSTREAM_CACHE and response_class(reply) == "error":
            plugin = PLUGIN_FORWARD  # refused or failed at once
        return ReplyLabels(
            zone, type_label(qtype), rcode, plugin, response_class(reply), proto, family, *ede, answer_source
        )

    def _zone_of(self, lower: bytes) -> str:
        """Return the longest zone of a lower-case wire name; `DROPPED` for a message without a name."""
        if not lower:
            return DROPPED
        zone = self._zones.get(lower)
        if zone is not None or not lower[0]:
            return zone or "."
        parent = lower[lower[0] + 1 :]
        zone = self._zone_by_parent.get(parent)
        if zone is None:
            if len(self._zone_by_parent) >= _MAX_PARENTS:
                self._zone_by_parent.clear()
            zone = self._zone_by_parent[parent] = self._zone_map.find(parent) or "."
        return zone
