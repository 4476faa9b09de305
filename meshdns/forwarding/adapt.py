"""What an upstream said, or why it said nothing, as the reply to one client.

The client's id, letter case, RD, CD, DO and size are its own; AA and AD are 0: we are no authority for it (RFC 1034
4.3.1) and have validated nothing (RFC 6840 5.8). Whoever has no OPT hears no extended error.
"""

import struct
from collections.abc import Sequence
from typing import Final, TypeAlias

from meshdns.dns.codes import EDE_STALE_ANSWER, EDE_STALE_NXDOMAIN, NXDOMAIN, SERVFAIL
from meshdns.dns.query import HEADER_SIZE, Query
from meshdns.dns.reply import Part, Reply
from meshdns.dns.response import Section, build, options
from meshdns.forwarding.cache import Entry
from meshdns.forwarding.policy import Failure

STALE_TTL: Final = 30  # seconds, on every record of an answer past its lifetime (RFC 8767 section 4)

MAX_TOLD: Final = 4096  # replies of at most 1232 octets; beside the cache's budget, 2 MB of common ones

_OPT_SIZE: Final = 11  # octets of an OPT without options
_Shape: TypeAlias = tuple[int, bool, int, bool]

_KEEPALIVE: Final = 100  # units of 100 ms: the idle timeout of a client's connection (RFC 7766 6.2.3)

_write_ttl = struct.Struct(">I").pack_into


def relayed(query: Query, reply: Reply, *, age: int, tcp: bool, nsid: bytes = b"") -> bytes:
    """A reply that is `age` whole seconds old; its TTLs are that much lower, at least 0."""
    return build(
        query,
        reply.rcode,
        answer=_aged(reply.answer, age),
        authority=_aged(reply.authority, age),
        extra=_extra(query, nsid=nsid, tcp=tcp),
        tcp=tcp,
    )


class Told:
    """Replies as they were last told, by the key of their entry: most of those who ask get the same octets.

    A reply differs from the last one in id and name alone while the entry is the same, and as old in whole seconds, and
    so is everything of the query that shapes a reply. Queries with options, and over TCP, are answered anew each time.
    """

    def __init__(self) -> None:
        self._last: dict[bytes, tuple[float, int, _Shape, bytes, bytes]] = {}

    def __len__(self) -> int:
        return len(self._last)

    def relayed(self, key: bytes, query: Query, entry: Entry, *, now: float, tcp: bool, nsid: bytes = b"") -> bytes:
        """As the function `relayed`, of a cache's entry at a moment."""
        data, end = query.data, query.end
        age = int(now - entry.stored)
        if tcp or len(data) > end + _OPT_SIZE:
            return relayed(query, entry.reply, age=age, tcp=tcp, nsid=nsid)
        shape = (query.flags, query.do, query.size, query.edns)
        last = self._last.get(key)
        if last is not None and last[0] == entry.stored and last[1] == age and last[2] == shape:
            return data[:2] + last[3] + data[HEADER_SIZE:end] + last[4]
        out = relayed(query, entry.reply, age=age, tcp=tcp, nsid=nsid)
        if len(self._last) >= MAX_TOLD:
            self._last.clear()
        self._last[key] = (entry.stored, age, shape, out[2:HEADER_SIZE], out[end:])
        return out


def stale(query: Query, reply: Reply, failure: Failure, *, tcp: bool, nsid: bytes = b"") -> bytes:
    """A reply past its lifetime in place of `failure`, which its extended error tells (RFC 8914 4.4 and 4.20)."""
    ede = EDE_STALE_NXDOMAIN if reply.rcode == NXDOMAIN else EDE_STALE_ANSWER
    return build(
        query,
        reply.rcode,
        answer=_with_ttls(reply.answer, [STALE_TTL] * len(reply.answer.ttls)),
        authority=_with_ttls(reply.authority, [STALE_TTL] * len(reply.authority.ttls)),
        extra=_extra(query, nsid=nsid, tcp=tcp, ede=ede, text=failure.text),
        tcp=tcp,
    )


def failed(query: Query, failure: Failure, *, tcp: bool, rcode: int = SERVFAIL, nsid: bytes = b"") -> bytes:
    """A refusal or failure with its extended error."""
    extra = _extra(query, nsid=nsid, tcp=tcp, ede=failure.ede, text=failure.text)
    return build(query, rcode, extra=extra, tcp=tcp)


def _extra(query: Query, *, nsid: bytes, tcp: bool, ede: int = -1, text: bytes = b"") -> bytes:
    if not query.edns or (ede < 0 and not query.nsid and not query.keepalive):
        return b""
    return options(query, ede=ede, text=text, nsid=nsid, keepalive=_KEEPALIVE if tcp else 0)


def _aged(part: Part, age: int) -> Section:
    return _with_ttls(part, [max(ttl - age, 0) for _, ttl in part.ttls]) if age else part.section


def _with_ttls(part: Part, ttls: Sequence[int]) -> Section:
    if not ttls:
        return part.section
    wire = bytearray(part.section.wire)
    for (at, _), ttl in zip(part.ttls, ttls, strict=True):
        _write_ttl(wire, at, ttl)
    return Section(part.section.count, bytes(wire))
