"""Query and view become a reply, or the word that it is for somebody else.

The order of questions, first match decides: malformed or refused; outside our zones → FORWARD; not ready → SERVFAIL
with EDE 14; the apex's SOA and NS; the exact owner name; a wildcard that covers it; a denial, which is asserted only
when every cluster that could know the name has been heard (RFC 2308 for its form, RFC 4592 for empty non-terminals).
"""

import enum
from collections.abc import Sequence
from itertools import islice
from typing import Final, Protocol

from meshdns.authority import made_up
from meshdns.authority.apex import ServedZone, own_names, parents, pointer, server_name, server_rrsets, soa_rdata
from meshdns.authority.made_up import MadeUp
from meshdns.authority.rows import Row, Status, rotated
from meshdns.authority.state import ViewState
from meshdns.dns.codes import (
    EDE_NO_REACHABLE_AUTHORITY,
    EDE_NOT_READY,
    EDE_STALE_ANSWER,
    NOERROR,
    NXDOMAIN,
    SERVFAIL,
    TYPE_A,
    TYPE_AAAA,
    TYPE_ANY,
    TYPE_NS,
    TYPE_SOA,
    TYPE_TXT,
)
from meshdns.dns.query import HEADER_SIZE, Query
from meshdns.dns.response import EMPTY, QUESTION_POINTER, Section, build, options, record

_ROTATED: Final = frozenset({TYPE_A, TYPE_AAAA})
_NO_ERROR: Final = (-1, b"")


class Verdict(enum.Enum):
    """What to do with a query that has no answer here."""

    FORWARD = "forward"
    FALLBACK = "forward, and ask again where the upstream denies the name"
    DROP = "drop"


class Rows(Protocol):
    """One consistent look at the view."""

    state: ViewState
    serial: int

    def row(self, owner: bytes) -> bytes | None:
        """The row of a lower-case wire name."""


class Authority:
    """Answers for the zones of the settings. `fixed` are names that exist because of these, whatever the view holds."""

    def __init__(self, zones: Sequence[ServedZone], *, nsid: bytes = b"", keepalive: int = 100) -> None:
        self._zones = {zone.apex: zone for zone in zones}
        self._own_names = frozenset(own_names(self._zones))
        self._servers = {server_name(zone.apex): server_rrsets(zone) for zone in zones if zone.servers}
        self.fixed = self._own_names | frozenset(self._zones)
        self._nsid = nsid
        self._keepalive = keepalive

    def respond(self, query: Query, rows: Rows | None, *, tcp: bool, spin: int = 0) -> bytes | Verdict:
        """The reply to a parsed query; `rows` is None where there is no view, `spin` rotates several addresses."""
        if query.fault:
            return self._reply(query, query.fault, tcp=tcp)
        zone = self._zone(query.lower)
        if zone is None:
            return Verdict.FORWARD
        if zone.fallback:
            return self._fallback(query, zone, rows, tcp=tcp, spin=spin)
        row = _row(rows, query.lower) if rows is not None else None
        if query.lower in self._servers and (row is None or row.hollow):
            return self._server(query, zone, rows, tcp=tcp, spin=spin)
        if rows is None:
            return self._reply(query, SERVFAIL, error=(EDE_NOT_READY, b"the mesh has not been read yet"), tcp=tcp)
        if not rows.state.ready and not (row is not None and row.static):
            return self._reply(query, SERVFAIL, error=(EDE_NOT_READY, b"the own cluster has not synced yet"), tcp=tcp)
        if query.lower == zone.apex:
            return self._apex(query, zone, row, rows, tcp=tcp, spin=spin)
        if row is None:
            return self._uncovered(query, zone, rows, tcp=tcp, spin=spin)
        return self._known(query, zone, self._covered(query, zone, row, rows), rows, tcp=tcp, spin=spin)

    def serves(self, name: bytes) -> bool:
        """Whether a lower-case wire name is in one of the zones."""
        return self._zone(name) is not None

    def speaks_for(self, name: bytes, rows: Rows) -> bytes | None:
        """The owner name whose row answers for a lower-case wire name: itself, or the wildcard that covers it."""
        zone = self._zone(name)
        if zone is None or rows.row(name) is not None:
            return name if zone is not None else None
        return next((above for p in parents(name, zone.apex) if rows.row(above := b"\x01*" + p) is not None), None)

    def owner(self, query: Query, rows: Rows) -> bytes | None:
        """The owner name whose row alone makes the reply to this query, so that the reply may be kept until it changes.

        None where the reply must not be kept: options, unknown names, and names without records, which a wildcard may
        cover.
        """
        if query.fault or query.nsid or query.cookie or query.keepalive:
            return None
        found = rows.row(query.lower)
        if found is None or query.lower in self._zones or (rows.state.wildcards and Row(found).hollow):
            return None
        return query.lower

    def denies_alike(self, query: Query, rows: Rows) -> bool:
        """Whether what this unknown name is denied with holds for all unknown names of its parent.

        It does not beneath hosts, of which names by cluster are made up; for service labels, which a wildcard covers
        in its own way; and for TXT, which tools ask for.
        """
        zone = self._zone(query.lower)
        if zone is None or zone.fallback or query.qtype == TYPE_TXT or query.lower[1] == ord("_"):
            return False
        above = [_row(rows, name) for name in islice(parents(query.lower, zone.apex), 2)]
        return not any(row is not None and row.makes_names for row in above)

    def after_denial(self, query: Query, rows: Rows | None, *, tcp: bool, spin: int = 0) -> bytes | None:
        """What the mesh says of a name that the upstream of a fallback zone denied; None where that denial stands.

        It stands for lack of sync too: SERVFAIL here would break every search list.
        """
        zone = self._zone(query.lower)
        row = _row(rows, query.lower) if rows is not None and rows.state.ready else None
        if zone is None or rows is None or row is None or row.hollow or row.status != Status.DATA:
            return None
        reply = self._known(query, zone, row, rows, tcp=tcp, spin=spin)
        return reply if isinstance(reply, bytes) else None

    # ------------------------------------------------------------------------------------------ cases

    def _fallback(self, query: Query, zone: ServedZone, rows: Rows | None, *, tcp: bool, spin: int) -> bytes | Verdict:
        if not zone.alone:
            return Verdict.FALLBACK
        found = self.after_denial(query, rows, tcp=tcp, spin=spin)
        return found if found is not None else self._denial(query, NXDOMAIN, zone, rows, tcp=tcp)

    def _server(self, query: Query, zone: ServedZone, rows: Rows | None, *, tcp: bool, spin: int) -> bytes:
        """The name of this server: it rests on the settings alone, whether or not any cluster has synced."""
        rrsets = self._servers[query.lower]
        rrset = next(iter(rrsets.values())) if query.qtype == TYPE_ANY else rrsets.get(query.qtype)
        if rrset is None:
            return self._denial(query, NOERROR, zone, rows, tcp=tcp)
        return self._reply(query, NOERROR, answer=rotated(rrset, spin), aa=True, tcp=tcp)

    def _apex(
        self, query: Query, zone: ServedZone, row: Row | None, rows: Rows, *, tcp: bool, spin: int
    ) -> bytes | Verdict:
        if query.qtype in (TYPE_SOA, TYPE_ANY):
            rdata = soa_rdata(zone, HEADER_SIZE, rows.serial)
            answer = Section(1, record(TYPE_SOA, zone.negative_ttl, rdata))
            return self._reply(query, NOERROR, answer=answer, aa=True, tcp=tcp)
        if query.qtype == TYPE_NS:
            answer = Section(1, record(TYPE_NS, zone.ttl, b"\x02ns" + QUESTION_POINTER))
            return self._reply(query, NOERROR, answer=answer, aa=True, tcp=tcp)
        if row is None:
            return self._denial(query, NOERROR, zone, rows, tcp=tcp)
        return self._known(query, zone, row, rows, tcp=tcp, spin=spin)

    def _known(self, query: Query, zone: ServedZone, row: Row, rows: Rows, *, tcp: bool, spin: int) -> bytes | Verdict:
        """A name with a row of its own, or covered by a wildcard that has one."""
        if row.status == Status.FORWARD:
            return Verdict.FORWARD
        if row.status == Status.PENDING:
            error = (EDE_NO_REACHABLE_AUTHORITY, b"no address is known yet for this name")
            return self._reply(query, SERVFAIL, error=error, tcp=tcp)
        rrset = row.rrsets.get(query.qtype)
        if query.qtype == TYPE_ANY and row.rrsets:
            rrset = next(iter(row.rrsets.values()))  # RFC 8482 4.1: one RRset is enough
        if rrset is None:
            return self._denial(query, NOERROR, zone, rows, tcp=tcp)
        answer = rotated(rrset, spin) if query.qtype in _ROTATED else rrset
        return self._reply(query, NOERROR, answer=answer, error=_noted(query, row, rows.state), aa=True, tcp=tcp)

    def _uncovered(self, query: Query, zone: ServedZone, rows: Rows, *, tcp: bool, spin: int) -> bytes | Verdict:
        """A name without a row: one of our own making, a wildcard, else the denial of it."""
        if query.lower in self._own_names:
            return self._denial(query, NOERROR, zone, rows, tcp=tcp)
        made = made_up.service(query, zone.apex, lambda name: self._speaking(name, zone, rows))
        if made is not None:
            return self._made_up(query, zone, made, rows, tcp=tcp)
        if not rows.state.complete:
            return self._reply(query, SERVFAIL, error=(EDE_NOT_READY, b"a cluster has not synced yet"), tcp=tcp)
        row = self._wildcard(query, zone, rows) if rows.state.wildcards else None
        if row is not None:
            return self._known(query, zone, row, rows, tcp=tcp, spin=spin)
        made = made_up.in_cluster(query, zone.apex, lambda name: _row(rows, name))
        if made is not None:
            return self._made_up(query, zone, made, rows, tcp=tcp)
        if zone.fallthrough:
            return Verdict.FORWARD
        return self._denial(query, NXDOMAIN, zone, rows, tcp=tcp)

    def _made_up(self, query: Query, zone: ServedZone, made: MadeUp, rows: Rows, *, tcp: bool) -> bytes:
        """A name that exists because of another name's row."""
        if not made.section.count:
            return self._denial(query, NOERROR, zone, rows, tcp=tcp)
        error = _noted(query, made.row, rows.state)
        return self._reply(query, NOERROR, answer=made.section, error=error, aa=True, tcp=tcp)

    def _speaking(self, name: bytes, zone: ServedZone, rows: Rows) -> Row | None:
        """The row of a name, or of the wildcard that covers it."""
        row = _row(rows, name)
        if row is None and rows.state.wildcards and rows.state.complete:
            return self._wildcard_above(name, zone, rows)
        return row

    def _covered(self, query: Query, zone: ServedZone, row: Row, rows: Rows) -> Row:
        """The row that speaks for a known name: in Istio a wildcard covers an empty non-terminal too.

        By RFC 4592 section 2.2.2 that name exists and the wildcard does not cover it.
        """
        if zone.closest_encloser or not row.hollow or not (rows.state.wildcards and rows.state.complete):
            return row
        return self._wildcard(query, zone, rows) or row

    def _wildcard(self, query: Query, zone: ServedZone, rows: Rows) -> Row | None:
        """The longest wildcard above the name; by RFC 4592 only that of the closest encloser."""
        if query.lower[1] == ord("_"):
            return None  # service labels are covered for SRV alone, which is made up from the name without them
        return self._wildcard_above(query.lower, zone, rows)

    def _wildcard_above(self, name: bytes, zone: ServedZone, rows: Rows) -> Row | None:
        for parent in parents(name, zone.apex):
            found = rows.row(b"\x01*" + parent)
            if found is not None:
                return Row(found)
            if zone.closest_encloser and (parent == zone.apex or rows.row(parent) is not None):
                return None
        return None

    def _zone(self, name: bytes) -> ServedZone | None:
        """The longest zone that a lower-case wire name is in."""
        zone = self._zones.get(name)
        at = 0
        while zone is None and name[at]:
            at += name[at] + 1
            zone = self._zones.get(name[at:])
        return zone

    # ------------------------------------------------------------------------------------------ replies

    def _denial(self, query: Query, rcode: int, zone: ServedZone, rows: Rows | None, *, tcp: bool) -> bytes:
        """NXDOMAIN or NODATA with SOA, its TTL equal to MINIMUM: caches read one or the other (RFC 2308 section 5)."""
        apex = HEADER_SIZE + len(query.qname) - len(zone.apex)
        rdata = soa_rdata(zone, apex, rows.serial if rows is not None else 0)
        soa = pointer(apex) + record(TYPE_SOA, zone.negative_ttl, rdata)[2:]
        return self._reply(query, rcode, authority=Section(1, soa), aa=True, tcp=tcp)

    def _reply(
        self,
        query: Query,
        rcode: int,
        *,
        answer: Section = EMPTY,
        authority: Section = EMPTY,
        error: tuple[int, bytes] = _NO_ERROR,
        aa: bool = False,
        tcp: bool,
    ) -> bytes:
        extra = b""
        if query.edns and (error[0] >= 0 or query.nsid or query.keepalive):
            extra = options(
                query, ede=error[0], text=error[1], nsid=self._nsid, keepalive=self._keepalive if tcp else 0
            )
        return build(query, rcode, answer=answer, authority=authority, aa=aa, extra=extra, tcp=tcp)


def _row(rows: Rows, name: bytes) -> Row | None:
    found = rows.row(name)
    return Row(found) if found is not None else None


def _noted(query: Query, row: Row, state: ViewState) -> tuple[int, bytes]:
    """The error of an answer from a row, noted with its level in the query for those who count."""
    error = _staleness(row, state)
    query.level = row.level
    query.stale = error is not _NO_ERROR
    return error


def _staleness(row: Row, state: ViewState) -> tuple[int, bytes]:
    """EDE 3 where a cluster that the answer rests on has not been heard of for too long."""
    if state.silent and not row.static:
        return EDE_STALE_ANSWER, b"the controller is silent"
    if state.stale:
        stale = [state.clusters[i] for i in row.clusters if i in state.stale]
        if stale:
            return EDE_STALE_ANSWER, f"last known data of {', '.join(stale)}".encode()
    return _NO_ERROR
