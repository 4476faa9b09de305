"""What an upstream said, or why it said nothing, as the reply to one client.

The client's id, letter case, RD, CD, DO and size are its own; AA and AD are 0: we are no authority for it (RFC 1034
4.3.1) and have validated nothing (RFC 6840 5.8). Whoever has no OPT hears no extended error.
"""

import struct
from collections.abc import Sequence
from typing import Final

from meshdns.dns.codes import EDE_STALE_ANSWER, EDE_STALE_NXDOMAIN, NXDOMAIN, SERVFAIL
from meshdns.dns.query import Query
from meshdns.dns.reply import Part, Reply
from meshdns.dns.response import Section, build, options
from meshdns.forwarding.policy import Failure

STALE_TTL: Final = 30  # seconds, on every record of an answer past its lifetime (RFC 8767 section 4)

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
