"""Build the authoritative reply to a query, or return a `Verdict`.

The order of checks, first match decides: malformed or refused; outside our zones → FORWARD; not ready → SERVFAIL with
EDE 14; the apex's SOA and NS; the exact owner name; a wildcard that covers it; a denial, which is asserted only when
every cluster that could know the name has synced, and by names that were computed for the settings in force
(`meshdns.authority.denial`; RFC 2308 for its form, RFC 4592 for empty non-terminals). An answer that rests on a cluster
out of contact carries EDE 3 (Stale Answer).
"""

import enum
from collections.abc import Iterable, Sequence
from itertools import islice
from typing import Final, NamedTuple, TypeAlias

from meshdns.authority import synthesis
from meshdns.authority.denial import Hold, hold_denials
from meshdns.authority.row import Row, rotate_section
from meshdns.authority.row_format import RowStatus
from meshdns.authority.row_reader import (
    NO_ERROR,
    UNWRITABLE_ERROR,
    RowReader,
    find_owned_row,
    find_row,
    is_undeclared,
    stale_error,
)
from meshdns.authority.state import NamedbState
from meshdns.authority.synthesis import Synthesized
from meshdns.authority.synthesis_cache import SynthesisCache
from meshdns.authority.zone import (
    FORWARDED,
    ServedZone,
    compression_pointer,
    find_inner_zones,
    has_server_name,
    implied_names,
    ns_rdata,
    server_name,
    server_rrsets,
    soa_rdata,
)
from meshdns.dns.codes import (
    EDE_NO_REACHABLE_AUTHORITY,
    EDE_NOT_READY,
    NOERROR,
    NXDOMAIN,
    SERVFAIL,
    TYPE_A,
    TYPE_AAAA,
    TYPE_ANY,
    TYPE_DS,
    TYPE_NS,
    TYPE_SOA,
    TYPE_TXT,
)
from meshdns.dns.names import ZoneMap, ancestors, up_to_closest_encloser
from meshdns.dns.query import HEADER_SIZE, Query
from meshdns.dns.response import EMPTY_SECTION, Section, build_reply, record, reply_options

_ROTATED: Final = frozenset({TYPE_A, TYPE_AAAA})


class Verdict(enum.Enum):
    """What the worker does with a query that has no answer here."""

    FORWARD = "forward"
    FALLBACK = "forward, and answer from the mesh if the upstream denies the name"
    FALL_THROUGH = "forward, and say that the name exists if the upstream denies it"


class AnswerSource(NamedTuple):
    """The level that answered from the mesh, and whether the answer is last known data."""

    level: int = 0
    stale: bool = False


NO_SOURCE: Final = AnswerSource()


_SOURCES: Final = tuple((AnswerSource(level), AnswerSource(level, stale=True)) for level in range(8))

AuthorityReply: TypeAlias = tuple[bytes, AnswerSource]
"""A whole reply and the source of its answer, `NO_SOURCE` if it does not rest on a row.

A named tuple here would cost 7 % of the time of a reply.
"""


class Authority:
    """Answers for the zones of the settings. `fixed_names` exist because of the zones, whatever the database holds.

    The longest match decides about a name, over `zones` and `forward_zones`: the names of a zone end where another zone
    or a forward zone inside it begins.
    """

    def __init__(
        self,
        zones: Sequence[ServedZone],
        forward_zones: Iterable[bytes] = (),
        *,
        nsid: bytes = b"",
        keepalive: int = 100,
    ) -> None:
        by_apex = {zone.apex: zone for zone in zones}
        inner_zones = find_inner_zones(by_apex, forward_zones)
        forwarded = dict.fromkeys(inner_zones.keys() - by_apex.keys(), FORWARDED)
        self._parents = {apex: zone for apex, outer in inner_zones.items() if not (zone := by_apex[outer]).fallback}
        self._zones = tuple(by_apex.values())
        self._holds: dict[bytes, Hold] = {}
        self._judged_state: NamedbState | None = None  # the state that the holds follow from
        self._zone = ZoneMap({**by_apex, **forwarded}).find
        self._apexes = frozenset(by_apex)
        self._implied_names = frozenset(implied_names(self._zones, inner_zones))
        named = {server_name(zone.apex): zone for zone in self._zones if has_server_name(zone)}
        self._server_names = frozenset(named)
        self._servers = {name: server_rrsets(zone) for name, zone in named.items() if zone.servers}
        self.fixed_names = self._implied_names | self._apexes
        self._synthesis_cache = SynthesisCache()
        self._nsid = nsid
        self._keepalive = keepalive

    def respond(
        self, query: Query, rows: RowReader | None, *, tcp: bool, rotation: int = 0
    ) -> AuthorityReply | Verdict:
        """Return the reply to a query; `rows` is None without a database, `rotation` rotates several addresses."""
        if query.error_rcode:
            return self._reply(query, query.error_rcode, tcp=tcp)
        zone = self._zone(query.qname_lower)
        if query.qtype == TYPE_DS and query.qname_lower in self._parents:  # the parent's to answer (RFC 4035 3.1.4.1)
            return self._denial(query, NOERROR, self._parents[query.qname_lower], rows, tcp=tcp)
        if zone is None or zone is FORWARDED:
            return Verdict.FORWARD
        if zone.fallback:
            return self._answer_fallback(query, zone, rows, tcp=tcp, rotation=rotation)
        row = find_row(rows, query.qname_lower) if rows is not None else None
        if query.qname_lower in self._servers and is_undeclared(row):
            return self._answer_server_name(query, zone, rows, tcp=tcp, rotation=rotation)
        if rows is None:
            return self._reply(query, SERVFAIL, error=(EDE_NOT_READY, b"the mesh has not been read yet"), tcp=tcp)
        if not rows.state.ready and not (row is not None and row.static):
            if row is None and self._is_still_forwarded(query, zone, rows):
                return Verdict.FORWARD
            return self._reply(query, SERVFAIL, error=(EDE_NOT_READY, b"the own cluster has not synced yet"), tcp=tcp)
        if query.qname_lower == zone.apex:
            return self._answer_apex(query, zone, row, rows, tcp=tcp, rotation=rotation)
        if row is None:
            return self._no_exact_match(query, zone, rows, tcp=tcp, rotation=rotation)
        return self._answer_from_row(
            query, zone, self._row_or_wildcard(query, zone, row, rows), rows, tcp=tcp, rotation=rotation
        )

    def serves(self, name: bytes) -> bool:
        """Return whether a lower-case wire name is in one of the zones."""
        return self._served_zone(name) is not None

    def _served_zone(self, name: bytes) -> ServedZone | None:
        """Return the zone that answers for a name; None if it is forwarded whatever the database holds."""
        zone = self._zone(name)
        return None if zone is FORWARDED else zone

    def is_of_zone(self, name: bytes, rows: RowReader) -> bool:
        """Return whether a lower-case wire name exists because of the zones alone, without any declaration."""
        zone, row = self._served_zone(name), find_row(rows, name)
        if zone is None or zone.fallback:
            return False
        return (name in self._servers and is_undeclared(row)) or (name in self._implied_names and row is None)

    def covering_owner(self, name: bytes, rows: RowReader) -> bytes | None:
        """Return the owner name whose row answers for a lower-case wire name: itself, or a wildcard that covers it."""
        zone = self._served_zone(name)
        if zone is None or rows.row(name) is not None:
            return name if zone is not None else None
        found = self._wildcard_above(name, zone, rows)
        return found[0] if found is not None else None

    def cacheable_owner(self, query: Query, rows: RowReader) -> bytes | None:
        """Return the owner name whose row alone determines the reply to this query; None if there is none.

        Replies without one must not be cached: those to queries with options, to unknown names, and to names without
        records, which a wildcard may cover.
        """
        if query.error_rcode or query.nsid or query.cookie or query.keepalive:
            return None
        found = rows.row(query.qname_lower)
        if (
            found is None
            or query.qname_lower in self._apexes
            or (rows.state.wildcards and Row(found).is_empty_nonterminal)
        ):
            return None
        return query.qname_lower

    def is_denial_shared(self, query: Query, rows: RowReader) -> bool:
        """Return whether the denial of this unknown name holds for all unknown names of its parent.

        It does not below hosts, of which names by cluster are synthesized; for service labels, which a wildcard covers
        in its own way; for TXT, which tools query; and while some names may not be denied.
        """
        zone = self._served_zone(query.qname_lower)
        if zone is None or zone.fallback or query.qtype == TYPE_TXT or query.qname_lower[1] == ord("_"):
            return False
        if self._find_hold(zone, rows) is not None:
            return False
        above = [find_row(rows, name) for name in islice(ancestors(query.qname_lower, zone.apex), 2)]
        return not any(row is not None and row.has_synthesis for row in above)

    def answer_after_denial(
        self, query: Query, rows: RowReader | None, *, tcp: bool, rotation: int = 0
    ) -> AuthorityReply | None:
        """Return the answer for a name that an upstream denied; None if the denial stands.

        In a fallback zone it stands while clusters have not synced, too: SERVFAIL here would break every search list.
        In another zone a name that falls through has no data of its own, but names below it exist here: it is no
        NXDOMAIN, for caches take that for all names below it (RFC 8020).
        """
        zone = self._served_zone(query.qname_lower)
        if zone is None or rows is None:
            return None
        if not zone.fallback:
            found = self.respond(query, rows, tcp=tcp, rotation=rotation)  # it may be declared by now
            if isinstance(found, Verdict):
                is_above = found is Verdict.FALL_THROUGH
                return self._answer_without_upstream(query, zone, rows, tcp=tcp) if is_above else None
            return found
        if not rows.state.ready:
            return None
        row = find_row(rows, query.qname_lower)
        if row is None:
            made = synthesis.synthesize_service(
                query, zone.apex, lambda name: find_owned_row(rows, name), self._synthesis_cache
            )
            return self._answer_synthesized(query, zone, made, rows, tcp=tcp) if made is not None else None
        if row.is_empty_nonterminal or row.status != RowStatus.DATA:
            return None
        reply = self._answer_from_row(query, zone, row, rows, tcp=tcp, rotation=rotation)
        return None if isinstance(reply, Verdict) else reply

    # ------------------------------------------------------------------------------------------ cases

    def _answer_fallback(
        self, query: Query, zone: ServedZone, rows: RowReader | None, *, tcp: bool, rotation: int
    ) -> AuthorityReply | Verdict:
        if not zone.has_no_upstream:
            return Verdict.FALLBACK
        found = self.answer_after_denial(query, rows, tcp=tcp, rotation=rotation)
        return found if found is not None else self._denial(query, NXDOMAIN, zone, rows, tcp=tcp)

    def _answer_without_upstream(self, query: Query, zone: ServedZone, rows: RowReader, *, tcp: bool) -> AuthorityReply:
        """Answer for an undeclared name, above declared ones, that fell through and was denied."""
        own = self._apex_records(query, zone, rows) if query.qname_lower == zone.apex else None
        if own is None:
            return self._denial(query, NOERROR, zone, rows, tcp=tcp)
        return self._reply(query, NOERROR, answer=own, aa=True, tcp=tcp)

    def _fall_through(self, query: Query, zone: ServedZone, rows: RowReader, *, tcp: bool) -> AuthorityReply | Verdict:
        """Forward an undeclared name of a fallthrough zone that exists here: the data is the other server's."""
        hold = self._find_hold(zone, rows)
        if hold is not None and hold.covers(query.qname_lower):
            if _forwards(hold, query, rows):
                return Verdict.FALL_THROUGH
            return self._reply(query, SERVFAIL, error=(EDE_NOT_READY, hold.text), tcp=tcp)
        if not rows.state.complete:
            return self._reply(query, SERVFAIL, error=(EDE_NOT_READY, b"a cluster has not synced yet"), tcp=tcp)
        return Verdict.FALL_THROUGH

    def _answer_server_name(
        self, query: Query, zone: ServedZone, rows: RowReader | None, *, tcp: bool, rotation: int
    ) -> AuthorityReply:
        """Answer for the name of this server, from the settings alone, whether or not any cluster has synced."""
        rrsets = self._servers[query.qname_lower]
        rrset = next(iter(rrsets.values())) if query.qtype == TYPE_ANY else rrsets.get(query.qtype)
        if rrset is None:
            return self._no_data(query, zone, rows, tcp=tcp)
        return self._reply(query, NOERROR, answer=rotate_section(rrset, rotation), aa=True, tcp=tcp)

    def _answer_apex(
        self, query: Query, zone: ServedZone, row: Row | None, rows: RowReader, *, tcp: bool, rotation: int
    ) -> AuthorityReply | Verdict:
        if row is None and self._is_still_forwarded(query, zone, rows):
            return Verdict.FORWARD
        answer = self._apex_records(query, zone, rows)
        if zone.fallthrough and (is_undeclared(row) or query.qtype in (TYPE_SOA, TYPE_NS)):
            return self._fall_through(query, zone, rows, tcp=tcp)
        if answer is not None and not zone.fallthrough:
            return self._reply(query, NOERROR, answer=answer, aa=True, tcp=tcp)
        if row is None:
            return self._deny_unknown(query, NOERROR, zone, rows, tcp=tcp)
        return self._answer_from_row(query, zone, row, rows, tcp=tcp, rotation=rotation)

    def _apex_records(self, query: Query, zone: ServedZone, rows: RowReader) -> Section | None:
        """Return the zone's own records of the queried type, SOA for any type; None if it has none."""
        if query.qtype in (TYPE_SOA, TYPE_ANY):
            return Section(1, record(TYPE_SOA, zone.negative_ttl, soa_rdata(zone, HEADER_SIZE, rows.serial)))
        if query.qtype == TYPE_NS:
            return Section(1, record(TYPE_NS, zone.ttl, ns_rdata(zone, HEADER_SIZE)))
        return None

    def _answer_from_row(
        self, query: Query, zone: ServedZone, row: Row, rows: RowReader, *, tcp: bool, rotation: int
    ) -> AuthorityReply | Verdict:
        """Answer for a name with a row of its own, or covered by a wildcard that has one."""
        if row.status == RowStatus.FORWARD:
            return Verdict.FORWARD
        if row.status == RowStatus.PENDING:
            error = (EDE_NO_REACHABLE_AUTHORITY, b"no address is known yet for this name")
            return self._reply(query, SERVFAIL, error=error, tcp=tcp)
        rrset = row.rrsets.get(query.qtype)
        if query.qtype == TYPE_ANY and row.rrsets:
            rrset = next(iter(row.rrsets.values()))  # RFC 8482 4.1: one RRset is enough
        if rrset is None:
            if not row.rrsets and zone.fallthrough and row.is_empty_nonterminal:
                return self._fall_through(query, zone, rows, tcp=tcp)
            if not row.rrsets:
                is_declared = row.status == RowStatus.DECLARED
                return self._deny_unknown(query, NOERROR, zone, rows, tcp=tcp, is_declared=is_declared)
            return self._no_data(query, zone, rows, tcp=tcp)
        answer = rotate_section(rrset, rotation) if query.qtype in _ROTATED else rrset
        return self._row_reply(query, row, answer, rows, tcp=tcp)

    def _no_exact_match(
        self, query: Query, zone: ServedZone, rows: RowReader, *, tcp: bool, rotation: int
    ) -> AuthorityReply | Verdict:
        """Answer for a name without a row: an implied or synthesized name, a wildcard, else a denial."""
        if query.qname_lower in self._implied_names:
            if zone.fallthrough:
                return self._fall_through(query, zone, rows, tcp=tcp)
            return self._deny_unknown(query, NOERROR, zone, rows, tcp=tcp)
        made = synthesis.synthesize_service(
            query, zone.apex, lambda name: self._covering_row(name, zone, rows), self._synthesis_cache
        )
        if made is not None:
            return self._answer_synthesized(query, zone, made, rows, tcp=tcp)
        if not rows.state.complete:
            if self._is_still_forwarded(query, zone, rows):
                return Verdict.FORWARD
            return self._reply(query, SERVFAIL, error=(EDE_NOT_READY, b"a cluster has not synced yet"), tcp=tcp)
        row = self._wildcard(query, zone, rows) if rows.state.wildcards else None
        if row is not None:
            return self._answer_from_row(query, zone, row, rows, tcp=tcp, rotation=rotation)
        made = synthesis.synthesize_cluster_name(
            query, zone.apex, lambda name: find_owned_row(rows, name), self._synthesis_cache
        )
        if made is not None:
            return self._answer_synthesized(query, zone, made, rows, tcp=tcp)
        return self._deny_unknown(query, NXDOMAIN, zone, rows, tcp=tcp)

    def _deny_unknown(
        self, query: Query, rcode: int, zone: ServedZone, rows: RowReader, *, tcp: bool, is_declared: bool = False
    ) -> AuthorityReply | Verdict:
        """Deny a name without data, or do what its zone's hold says if it may not be denied.

        A declared name is not forwarded, and one that others are below is no name that an upstream may deny.
        """
        hold = self._find_hold(zone, rows)
        if hold is not None and hold.covers(query.qname_lower):
            if not is_declared and _forwards(hold, query, rows):
                return Verdict.FORWARD if rcode == NXDOMAIN else Verdict.FALL_THROUGH
            return self._reply(query, SERVFAIL, error=(EDE_NOT_READY, hold.text), tcp=tcp)
        if rcode == NXDOMAIN and zone.fallthrough:
            return Verdict.FORWARD
        return self._denial(query, rcode, zone, rows, tcp=tcp)

    def _no_data(self, query: Query, zone: ServedZone, rows: RowReader | None, *, tcp: bool) -> AuthorityReply:
        """Deny a type of a name that has data of another one; a static record that is still to come has data."""
        hold = self._find_hold(zone, rows) if rows is not None else None
        if hold is not None and hold.covers_type(query.qname_lower, query.qtype):
            return self._reply(query, SERVFAIL, error=(EDE_NOT_READY, hold.text), tcp=tcp)
        error = UNWRITABLE_ERROR if rows is not None and rows.state.is_unwritable else NO_ERROR
        return self._denial(query, NOERROR, zone, rows, error=error, tcp=tcp)

    def _is_still_forwarded(self, query: Query, zone: ServedZone, rows: RowReader) -> bool:
        """Return whether a name was in no zone of the mesh in the settings that the names were computed for."""
        hold = self._find_hold(zone, rows)
        return hold is not None and hold.is_new and _forwards(hold, query, rows)

    def _find_hold(self, zone: ServedZone, rows: RowReader) -> Hold | None:
        """Return what may not be denied in a zone, or None; judged again when the state has changed."""
        if rows.state is not self._judged_state:
            self._holds = hold_denials(self._zones, rows.state)
            self._judged_state = rows.state
        return self._holds.get(zone.apex)

    def _answer_synthesized(
        self, query: Query, zone: ServedZone, synthesized: Synthesized, rows: RowReader, *, tcp: bool
    ) -> AuthorityReply:
        """Answer for a name that exists because of another name's row."""
        if not synthesized.section.count:
            return self._denial(query, NOERROR, zone, rows, tcp=tcp)
        return self._row_reply(query, synthesized.row, synthesized.section, rows, tcp=tcp)

    def _covering_row(self, name: bytes, zone: ServedZone, rows: RowReader) -> tuple[bytes, Row] | None:
        """Return the row of a name, or of the wildcard that covers it, with its owner name; or None.

        In Istio a wildcard covers an empty non-terminal, too (`_row_or_wildcard`).
        """
        found = find_owned_row(rows, name)
        is_covered = found is None or (found[1].is_empty_nonterminal and not zone.closest_encloser)
        if is_covered and rows.state.wildcards and rows.state.complete and name not in self._server_names:
            return self._wildcard_above(name, zone, rows) or found
        return found

    def _row_or_wildcard(self, query: Query, zone: ServedZone, row: Row, rows: RowReader) -> Row:
        """Return the row that answers for a known name: in Istio a wildcard covers an empty non-terminal too.

        By RFC 4592 section 2.2.2 that name exists and the wildcard does not cover it.
        """
        if zone.closest_encloser or not row.is_empty_nonterminal or query.qname_lower in self._server_names:
            return row
        if not (rows.state.wildcards and rows.state.complete):
            return row
        return self._wildcard(query, zone, rows) or row

    def _wildcard(self, query: Query, zone: ServedZone, rows: RowReader) -> Row | None:
        """Return the row of the longest wildcard above the name; by RFC 4592 only that of the closest encloser."""
        if query.qname_lower[1] == ord("_"):
            return None  # service labels are covered for SRV alone, which is synthesized from the name without them
        found = self._wildcard_above(query.qname_lower, zone, rows)
        return found[1] if found is not None else None

    def _wildcard_above(self, name: bytes, zone: ServedZone, rows: RowReader) -> tuple[bytes, Row] | None:
        """Return the wildcard owner name that covers a name, and its row; None if none does."""
        above = ancestors(name, zone.apex)
        if zone.closest_encloser:
            above = up_to_closest_encloser(above, lambda parent: rows.row(parent) is not None)
        for parent in above:
            owner = b"\x01*" + parent
            found = rows.row(owner)
            if found is not None:
                return owner, Row(found)
        return None

    # ------------------------------------------------------------------------------------------ replies

    def _row_reply(self, query: Query, row: Row, answer: Section, rows: RowReader, *, tcp: bool) -> AuthorityReply:
        """Return an answer that rests on a row."""
        error = stale_error(row, rows.state)
        message, _ = self._reply(query, NOERROR, answer=answer, error=error, aa=True, tcp=tcp)
        return message, _SOURCES[row.level][error is not NO_ERROR]

    def _denial(
        self,
        query: Query,
        rcode: int,
        zone: ServedZone,
        rows: RowReader | None,
        *,
        tcp: bool,
        error: tuple[int, bytes] = NO_ERROR,
    ) -> AuthorityReply:
        """Return NXDOMAIN or NODATA with SOA, its TTL equal to MINIMUM: caches read either (RFC 2308 section 5)."""
        apex = HEADER_SIZE + len(query.qname) - len(zone.apex)
        rdata = soa_rdata(zone, apex, rows.serial if rows is not None else 0)
        soa = compression_pointer(apex) + record(TYPE_SOA, zone.negative_ttl, rdata)[2:]
        return self._reply(query, rcode, authority=Section(1, soa), error=error, aa=True, tcp=tcp)

    def _reply(
        self,
        query: Query,
        rcode: int,
        *,
        answer: Section = EMPTY_SECTION,
        authority: Section = EMPTY_SECTION,
        error: tuple[int, bytes] = NO_ERROR,
        aa: bool = False,
        tcp: bool,
    ) -> AuthorityReply:
        extra = b""
        if query.edns and (error[0] >= 0 or query.nsid or query.keepalive):
            extra = reply_options(
                query, ede=error[0], text=error[1], nsid=self._nsid, keepalive=self._keepalive if tcp else 0
            )
        message = build_reply(query, rcode, answer=answer, authority=authority, aa=aa, edns_options=extra, tcp=tcp)
        return message, NO_SOURCE


def _forwards(hold: Hold, query: Query, rows: RowReader) -> bool:
    return hold.forwards(query.qname_lower, rows.row if rows.state.wildcards else None)
