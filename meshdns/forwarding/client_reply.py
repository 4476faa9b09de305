"""Replies to clients of the forwarder: cached or fresh answers, refusals, failures, expired answers in their place.

Id, letter case, RD, CD, DO and size are those of the client's query. AA and AD are 0: we are no authority for the name
(RFC 1034 4.3.1) and have validated nothing (RFC 6840 5.8). A client without OPT gets no extended error.
"""

import struct
from collections.abc import Sequence
from typing import Final, NamedTuple

from meshdns.dns.codes import (
    EDE_BLOCKED,
    EDE_OTHER,
    EDE_PROHIBITED,
    EDE_STALE_ANSWER,
    EDE_STALE_NXDOMAIN,
    NXDOMAIN,
    REFUSED,
    SERVFAIL,
)
from meshdns.dns.query import Query
from meshdns.dns.reply import RelayedPart, Reply
from meshdns.dns.response import Section, build_reply, reply_options
from meshdns.forwarding.cache import Cache
from meshdns.forwarding.counters import ForwardCounters
from meshdns.forwarding.policy import Failure

STALE_TTL: Final = 30  # seconds, on every record of an answer past its lifetime (RFC 8767 section 4)

_BLOCKED_TEXT: Final = b"a private address; see privateAddresses of this forward zone"
_KEEPALIVE: Final = 100  # units of 100 ms: the idle timeout of a client's connection (RFC 7766 6.2.3)

_write_ttl = struct.Struct(">I").pack_into


def forwarded_reply(query: Query, reply: Reply, *, age: int, tcp: bool, nsid: bytes = b"") -> bytes:
    """Return a reply that is `age` whole seconds old; its TTLs are lowered by that, to 0 at least."""
    ede = EDE_BLOCKED if reply.is_blocked else -1
    return build_reply(
        query,
        reply.rcode,
        answer=_with_age(reply.answer, age),
        authority=_with_age(reply.authority, age),
        edns_options=_edns_options(query, nsid=nsid, tcp=tcp, ede=ede, text=_BLOCKED_TEXT if reply.is_blocked else b""),
        tcp=tcp,
    )


def stale_reply(query: Query, reply: Reply, failure: Failure, *, tcp: bool, nsid: bytes = b"") -> bytes:
    """Return a reply past its lifetime; its extended error names the `failure` (RFC 8914 4.4 and 4.20)."""
    ede = EDE_STALE_NXDOMAIN if reply.rcode == NXDOMAIN else EDE_STALE_ANSWER
    return build_reply(
        query,
        reply.rcode,
        answer=_with_ttls(reply.answer, [STALE_TTL] * len(reply.answer.ttls)),
        authority=_with_ttls(reply.authority, [STALE_TTL] * len(reply.authority.ttls)),
        edns_options=_edns_options(query, nsid=nsid, tcp=tcp, ede=ede, text=failure.text),
        tcp=tcp,
    )


def error_reply(query: Query, failure: Failure, *, tcp: bool, rcode: int = SERVFAIL, nsid: bytes = b"") -> bytes:
    """Return a refusal or failure with its extended error."""
    extra = _edns_options(query, nsid=nsid, tcp=tcp, ede=failure.ede, text=failure.text)
    return build_reply(query, rcode, edns_options=extra, tcp=tcp)


def _edns_options(query: Query, *, nsid: bytes, tcp: bool, ede: int = -1, text: bytes = b"") -> bytes:
    if not query.edns or (ede < 0 and not query.nsid and not query.keepalive):
        return b""
    return reply_options(query, ede=ede, text=text, nsid=nsid, keepalive=_KEEPALIVE if tcp else 0)


def _with_age(part: RelayedPart, age: int) -> Section:
    return _with_ttls(part, [max(ttl - age, 0) for _, ttl in part.ttls]) if age else part.section


def _with_ttls(part: RelayedPart, ttls: Sequence[int]) -> Section:
    if not ttls:
        return part.section
    wire = bytearray(part.section.wire)
    for (at, _), ttl in zip(part.ttls, ttls, strict=True):
        _write_ttl(wire, at, ttl)
    return Section(part.section.count, bytes(wire))


_EDE_NOT_AUTHORITATIVE: Final = 20
NO_ROUTE: Final = Failure(
    _EDE_NOT_AUTHORITATIVE, b"no forward zone takes this name; add one to forward in the settings"
)
NOT_RECURSIVE: Final = Failure(EDE_PROHIBITED, b"not in the cache; ask again with RD=1")
LOOP: Final = Failure(EDE_OTHER, b"this query was here before; look for a loop of forward settings")
OVERLOAD: Final = Failure(EDE_OTHER, b"too many queries wait for upstream servers; ask again later")
OVERLOAD_CLIENT: Final = Failure(EDE_OTHER, b"too many queries of this client wait; ask again later")
OVERLOAD_SUFFIX: Final = Failure(EDE_OTHER, b"too many names of this domain wait; ask again later")
CLOSING: Final = Failure(EDE_OTHER, b"this server is stopping; ask again")


class Alias(NamedTuple):
    """The aliases of an upstream's answer that lead to a name of our own, which the caller of the forwarder looks up.

    `records` are without compression; `ede` and `text` are an extended error about them, -1 for none.
    """

    records: Section
    target: bytes
    ede: int = -1
    text: bytes = b""


class ImmediateReply(NamedTuple):
    """A reply that needs no upstream; for a cached answer with the times at which its TTLs fall next and it expires.

    Both are 0 for all other replies, which may not be sent to any other client. With `alias` there is no message yet.
    """

    message: bytes
    ttls_change_at: float = 0.0
    expires_at: float = 0.0
    alias: Alias | None = None


class ClientReplies:
    """Makes the replies and counts them. `nsid` identifies the server to clients that send NSID (RFC 5001)."""

    def __init__(self, cache: Cache, counters: ForwardCounters, nsid: bytes) -> None:
        self._cache = cache
        self._counters = counters
        self._nsid = nsid

    def cached_reply(self, query: Query, key: bytes, *, now: float, tcp: bool) -> ImmediateReply | None:
        """Return the cached answer under `key`, or None."""
        entry = self._cache.get(key, now)
        if entry is None:
            return None
        self._counters.hits += 1
        age = int(now - entry.stored_at)
        if entry.reply.continues_at:
            return ImmediateReply(b"", alias=Alias(_with_age(entry.reply.answer, age), entry.reply.continues_at))
        message = forwarded_reply(query, entry.reply, age=age, tcp=tcp, nsid=self._nsid)
        return ImmediateReply(message, entry.stored_at + age + 1, entry.expires_at)

    def fresh_reply(self, query: Query, reply: Reply, *, tcp: bool) -> bytes | Alias:
        """Return the reply for an answer that was just received."""
        if reply.continues_at:
            return Alias(reply.answer.section, reply.continues_at)
        return forwarded_reply(query, reply, age=0, tcp=tcp, nsid=self._nsid)

    def refusal(self, query: Query, failure: Failure, *, tcp: bool) -> bytes:
        """Return REFUSED with the reason."""
        self._counters.refused += 1
        return error_reply(query, failure, tcp=tcp, rcode=REFUSED, nsid=self._nsid)

    def failure_reply(self, query: Query, key: bytes, failure: Failure, *, now: float, tcp: bool) -> bytes | Alias:
        """Return an expired answer if there is one, else SERVFAIL."""
        expired = self._cache.get_stale(key, now)
        if expired is not None:
            self._counters.stale_answers += 1
            if expired.reply.continues_at:
                answer = expired.reply.answer
                stale = _with_ttls(answer, [STALE_TTL] * len(answer.ttls))
                return Alias(stale, expired.reply.continues_at, EDE_STALE_ANSWER, failure.text)
            return stale_reply(query, expired.reply, failure, tcp=tcp, nsid=self._nsid)
        self._counters.servfail += 1
        return error_reply(query, failure, tcp=tcp, rcode=SERVFAIL, nsid=self._nsid)
