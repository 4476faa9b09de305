"""What a worker answered, by zone, type, RCODE and the like: kept while it answers, published with its heartbeat.

Rules:
- A ready reply carries the number of its *case*; to count it is to add one at that place of a list. What the case
  stands for is worked out when the reply is made ready, and its sums are carried over five times a second.
- Every other reply is counted when it is made. What its octets and its way tell is its *likeness*; of those that are
  alike all but the first find the rows that they add to by one look, for less than a microsecond.
- Cases are bounded; their labels are (`meshdns.instance.metric_pages`), and what is forgotten of a case is nothing but
  its number.

What a reply counts as: the labels that its octets and its way make, and the rows of the ledger behind them.
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
PLUGIN_CACHE: Final = "cache"
PLUGIN_ACL: Final = "acl"
PLUGIN_FORWARD: Final = "forward"

LEVELS: Final = ("none", "static", "own_entry", "own_service", "remote_entry", "near_service", "far_service")
"""The levels of an answer by number, as a label."""


ReceivedQuery: TypeAlias = tuple[Query, bytes, int, bool, float]
"""A query, its client's packed address and port, whether it came over TCP, and the `perf_counter` of its receipt.

A named tuple here costs 6 % of a reply that is made.
"""


class ReplyLabels(NamedTuple):
    """What tells one case from another."""

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
    """The rows of the ledger that one kind of reply adds to."""

    __slots__ = ("counts", "query_sizes", "reply_sizes")

    def __init__(self, labels: ReplyLabels, page: MetricPage, *, is_mesh_zone: bool) -> None:
        zone, proto, plugin = labels.zone, labels.proto, labels.plugin
        rows = [
            page.series_values(metric_pages.REQUESTS, zone, proto, labels.family, labels.qtype),
            page.series_values(metric_pages.RESPONSES, zone, RCODE_NAMES[labels.rcode], plugin),
        ]
        if labels.do:
            rows.append(page.series_values(metric_pages.DO_REQUESTS, zone))
        if plugin == "cache" and labels.response_class != "error":
            rows.append(page.series_values(metric_pages.CACHE_HITS, labels.response_class, zone))
        if labels.answer_source.level:
            rows.append(page.series_values(metric_pages.ANSWERS, zone, LEVELS[labels.answer_source.level]))
        if labels.answer_source.stale:
            rows.append(page.series_values(metric_pages.STALE_ANSWERS, zone))
        if labels.ede >= 0:
            rows.append(
                page.series_values(metric_pages.EXTENDED_ERRORS, str(labels.ede) if labels.ede < 32 else "other")
            )
        if is_mesh_zone and plugin in ("forward", "cache"):
            rows.append(page.series_values(metric_pages.LEAKED_QUERIES, zone))
        self.counts = rows
        self.query_sizes = page.series_values(metric_pages.REQUEST_SIZE, zone, proto)
        self.reply_sizes = page.series_values(metric_pages.RESPONSE_SIZE, zone, proto)

    def add(self, times: int, query_size: int, reply_size: int) -> None:
        """So many replies of `replied` octets to queries of `asked` octets."""
        for row in self.counts:
            row[0] += times
        self.query_sizes[bisect_left(SIZE_BUCKETS, query_size)] += times
        self.query_sizes[-1] += query_size * times
        self.reply_sizes[bisect_left(SIZE_BUCKETS, reply_size)] += times
        self.reply_sizes[-1] += reply_size * times


def type_label(qtype: int) -> str:
    """The label of a type; there are few, whatever is asked for."""
    named = type_mnemonic(qtype)
    return named if named in _LABELLED_TYPES else "other"


def response_class(reply: bytes) -> str:
    """Return ``success``, ``denial`` or ``error``, as CoreDNS's plugin/pkg/response classes a reply."""
    return _CLASS_LABELS[reply_class(reply)]


def do_bit_and_ede(reply: bytes) -> tuple[bool, int]:
    """The DO bit of a reply's OPT, and the first extended error in it, -1 where there is none."""
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


MAX_CACHED_SERIES: Final = 16_384  # cases of ready replies: a zone, a type and two sizes each
_MAX_SERIES: Final = 8192
_FIRST_BUCKET: Final = DURATION_BUCKETS[0]
_MAX_SIGNATURES: Final = 2048
_MAX_PARENTS: Final = 4096
_COOKIE_SIZE: Final = 28  # octets of the option with a full cookie, which is the last one

_OPTS_WITHOUT_EDE: Final = {
    OPT_PREFIX + b"\0\0" + do + b"\0" + options: bool(do[0])
    for do in (b"\0", b"\x80")
    for options in (b"\0\0", b"\0\x1c\0\x0a\0\x18")
}
"""OPTs without an extended error, nothing or a full cookie in them, up to the cookie, by their DO bits."""

DROPPED: Final = "dropped"
"""What CoreDNS gives as the zone of messages that have none."""


_TRANSPORTS: Final = (
    ("udp", "1"),
    ("udp", "2"),
    ("tcp", "1"),
    ("tcp", "2"),
)  # protocol and family, as CoreDNS names them

_NO_EDE: Final = (False, -1)


class _SignatureRows(NamedTuple):
    """What replies of one likeness add to: rows that count them, and a row with a bucket for each size."""

    plugin: str
    counts: tuple[list[float], ...]
    query_sizes: list[float]
    query_size_bucket: int
    reply_sizes: list[float]
    reply_size_bucket: int
    durations: list[float]


class _CachedSeries(NamedTuple):
    """What a ready reply counts as by each of the ways, and the sizes of query and reply."""

    labels_by_transport: tuple[ReplyLabels, ...]
    query_size: int
    reply_size: int


class ReplyMetrics:
    """The sums of one worker.

    `hits` are the ready replies sent since the last time: over UDP by IPv4 and by IPv6, over TCP by IPv4 and by IPv6.
    `forwarded_hits` are those of all times until then that were cached answers of upstreams.
    """

    def __init__(self, page: MetricPage) -> None:
        self.page = page
        self.hits: tuple[list[int], ...] = tuple([] for _ in _TRANSPORTS)
        self.forwarded_hits = 0
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
        self._zone_by_parent: dict[bytes, str] = {}  # the zone of the names right beneath one

    def configure(self, mesh_zones: Iterable[bytes], forwarded_zones: Iterable[bytes]) -> None:
        """The zones that are told apart, by wire name: those answered from the mesh, and those forwarded."""
        served = {apex: names.to_text(apex).removesuffix(".") + "." for apex in mesh_zones}
        self._zones = {apex: names.to_text(apex).removesuffix(".") + "." for apex in forwarded_zones} | served
        self._zone_map = ZoneMap(self._zones)
        self._mesh_zones = frozenset(served.values())
        self._rows_by_signature.clear()
        self._zone_by_parent.clear()
        self._upstream_rows.clear()

    # ------------------------------------------------------------------------------------------ ready replies

    @property
    def is_full(self) -> bool:
        """Whether the ready replies have to be forgotten before another is made."""
        return len(self._cached_series) >= MAX_CACHED_SERIES

    def series_id(self, query_size: int, reply: bytes, answer_source: AnswerSource, plugin: str = "mesh") -> int:
        """The case of a reply that is made ready, to a query of `asked` octets; `plugin_of` wrote it."""
        facts = self._labels(
            reply, plugin, proto="udp", family="1", ede=do_bit_and_ede(reply), answer_source=answer_source
        )
        key = (facts, query_size, len(reply))
        number = self._series_ids.get(key)
        if number is None:
            number = self._series_ids[key] = len(self._cached_series)
            ways = tuple(facts._replace(proto=proto, family=family) for proto, family in _TRANSPORTS)
            self._cached_series.append(_CachedSeries(ways, query_size, len(reply)))
            for hits in self.hits:
                hits.append(0)
        return number

    def plugin_of(self, series_id: int) -> str:
        """What wrote the ready replies of a case."""
        return self._cached_series[series_id].labels_by_transport[0].plugin

    def clear_cached_series(self) -> None:
        """The ready replies are all forgotten: so are their cases."""
        self.flush()
        self._cached_series.clear()
        self._series_ids.clear()
        for hits in self.hits:
            hits.clear()

    def observe_batch(self, hits: int, seconds: float) -> None:
        """So many ready replies took that long from their receipt until they were sent, together."""
        self._batch_durations[bisect_left(DURATION_BUCKETS, seconds)] += hits
        self._batch_seconds += seconds * hits

    def flush(self) -> None:
        """Carry what was counted of ready replies into the ledger."""
        by_zone: dict[str, int] = {}
        for way, hits in enumerate(self.hits):
            for number, times in enumerate(hits):
                if times:
                    hits[number] = 0
                    facts, asked, replied = self._cached_series[number]
                    self._series(facts[way]).add(times, asked, replied)
                    self.forwarded_hits += times if facts[way].plugin == "cache" else 0
                    zone = facts[way].zone
                    by_zone[zone] = by_zone.get(zone, 0) + times
        self._flush_durations(by_zone)

    def _flush_durations(self, by_zone: dict[str, int]) -> None:
        """Share the times among the zones in proportion; what rounding leaves goes to the last one."""
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
        """Count one reply, which `plugin` wrote as far as its path tells, after so long.

        Returns what its octets tell more closely, one of those that `meters.RESPONSES` names.
        """
        query, client, _, tcp, _ = received
        ipv6 = len(client) != 4
        asked, replied = len(query.data), len(message)
        error = _NO_EDE
        if query.edns:
            do = _OPTS_WITHOUT_EDE.get(message[-39:-24] if query.reply_cookie else message[-11:])
            error = (do, -1) if do is not None else do_bit_and_ede(message)
        lower = query.qname_lower
        zone = self._zones.get(lower) or (self._zone_by_parent.get(lower[lower[0] + 1 :]) if lower else DROPPED)
        if zone is None:
            zone = self._zone_of(lower)
        like = zone, query.qtype, message[2:12], plugin, tcp, ipv6, error, source, asked, replied
        alike = self._rows_by_signature.get(like)
        if alike is None:
            if len(self._rows_by_signature) >= _MAX_SIGNATURES:
                self._rows_by_signature.clear()
            alike = self._rows_by_signature[like] = self._signature_rows(received, message, plugin, source, ede=error)
        written_by, counts, asked_sizes, asked_bucket, replied_sizes, replied_bucket, times = alike
        for row in counts:
            row[0] += 1
        asked_sizes[asked_bucket] += 1
        asked_sizes[-1] += asked
        replied_sizes[replied_bucket] += 1
        replied_sizes[-1] += replied
        times[bisect_left(DURATION_BUCKETS, seconds) if seconds > _FIRST_BUCKET else 0] += 1
        times[-1] += seconds
        return written_by

    def observe_upstream(self, address: Address, rcode: int, seconds: float) -> None:
        """An upstream of the settings replied after so long."""
        row = self._upstream_rows.get((address, rcode))
        if row is None:
            row = self.page.series_values(metric_pages.UPSTREAM_DURATION, "forward", str(address), RCODE_NAMES[rcode])
            self._upstream_rows[address, rcode] = row
        row[bisect_left(DURATION_BUCKETS, seconds)] += 1
        row[-1] += seconds

    def _signature_rows(
        self, received: ReceivedQuery, message: bytes, plugin: str, source: AnswerSource, *, ede: tuple[bool, int]
    ) -> _SignatureRows:
        """What the first reply of its likeness adds to, and all that follow it."""
        query, client, _, tcp, _ = received
        source = source if message[7] else NO_SOURCE
        proto, family = "tcp" if tcp else "udp", "12"[len(client) != 4]
        facts = self._labels(message, plugin, proto=proto, family=family, ede=ede, answer_source=source)
        case = self._series(facts)
        return _SignatureRows(
            facts.plugin,
            tuple(case.counts),
            case.query_sizes,
            bisect_left(SIZE_BUCKETS, len(query.data)),
            case.reply_sizes,
            bisect_left(SIZE_BUCKETS, len(message)),
            self.page.series_values(metric_pages.REQUEST_DURATION, facts.zone),
        )

    def _series(self, labels: ReplyLabels) -> ReplySeries:
        case = self._series_by_labels.get(labels)
        if case is None:
            if len(self._series_by_labels) >= _MAX_SERIES:
                self._series_by_labels.clear()
            case = self._series_by_labels[labels] = ReplySeries(
                labels, self.page, is_mesh_zone=labels.zone in self._mesh_zones
            )
        return case

    def _labels(
        self, reply: bytes, plugin: str, *, proto: str, family: str, ede: tuple[bool, int], answer_source: AnswerSource
    ) -> ReplyLabels:
        rcode = reply[3] & 0x0F
        name, qtype, _ = question_of(reply)
        zone = self._zone_of(name.lower()) if reply[5] else DROPPED
        if zone in self._mesh_zones and plugin == "cache" and reply[2] & FLAG_AA >> 8:
            plugin = "mesh"  # a fallback zone: the mesh answered what the upstream had denied
        elif zone not in self._mesh_zones and plugin == "mesh":
            plugin = "local"
        elif plugin == "cache" and response_class(reply) == "error":
            plugin = "forward"  # refused or failed at once
        return ReplyLabels(
            zone, type_label(qtype), rcode, plugin, response_class(reply), proto, family, *ede, answer_source
        )

    def _zone_of(self, lower: bytes) -> str:
        """The longest zone that a lower-case wire name is in; of what has no name that of messages without one."""
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
