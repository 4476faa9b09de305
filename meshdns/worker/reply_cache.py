"""Cache of whole wire replies, found by the bytes of a query.

It holds three kinds: replies from the name database (`ReplyCache`), denials, which hold for the siblings of a name too
(`NegativeReplies`), and answers of upstreams (`ForwardedReplies`). Each reply has the id of the series that it counts
as (`meshdns.worker.reply_metrics`). All are dropped together when the memory or the series are used up.
"""

import math
import struct
from collections.abc import Iterable
from typing import Final

from meshdns.authority.authority import NO_SOURCE, AnswerSource, Authority, AuthorityReply, Verdict
from meshdns.authority.row_reader import RowReader
from meshdns.dns.codes import FLAG_TC, NXDOMAIN
from meshdns.dns.compression import skip_name
from meshdns.dns.query import HEADER_SIZE, OPT_SIZE, Query
from meshdns.namedb.database import NameDatabaseError
from meshdns.upstream.timer_wheel import TimerWheel
from meshdns.worker.reply_metrics import PLUGIN_MESH, PLUGIN_UPSTREAM_CACHE, ReplyMetrics

MAX_FORWARDED: Final = 8192  # answers of at most 1232 bytes; beyond it all are dropped
REVALIDATE_AFTER: Final = 8.0  # seconds
EXPIRY_PERIOD: Final = 1 / 16  # seconds that an answer may expire early: expiry is in bulk

_write_ttl = struct.Struct(">I").pack_into


class _ForwardedReply:
    """An answer as received, without its id, its question in lower case. TTLs first fall at `ages_at`."""

    __slots__ = ("ages_at", "body", "expires_at", "series_id", "ttls")

    def __init__(self, series_id: int, body: bytes, ages_at: float, expires_at: float) -> None:
        self.series_id = series_id
        self.body = body
        self.ages_at = ages_at
        self.expires_at = expires_at
        self.ttls: tuple[tuple[int, int], ...] | None = None  # offsets in `body` and seconds, once they are needed

    def with_ttls_lowered(self, seconds: int) -> bytes:
        """Return the answer with its TTLs lowered by `seconds`."""
        if not seconds:
            return self.body
        if self.ttls is None:
            self.ttls = _ttl_fields(self.body)
        body = bytearray(self.body)
        for place, ttl in self.ttls:
            _write_ttl(body, place, max(ttl - seconds, 0))
        return bytes(body)


class ForwardedReplies:
    """Cached answers of upstreams, each among the cached replies for as long as it stays the same.

    A cached answer changes when it is a second older, and its TTLs with it. Until then every client that sends the same
    question gets the same bytes: a cached reply, found as fast as a name of the mesh. It leaves the cached replies
    shortly before its second is over, and returns with lower TTLs when the next query for it is received. Every
    `REVALIDATE_AFTER` seconds a query takes the path through the forwarder's cache, which learns from it that the name
    is popular.

    `replies` are the cached replies, by the query without its id. No other code stores the same queries there. Times
    are seconds of one monotonic clock. From `next_expiry` on, `expire` has to be called before `replies` is read.
    """

    __slots__ = ("_expiry", "_replies", "_stored", "next_expiry")

    def __init__(self, replies: dict[bytes, tuple[int, tuple[bytes, ...]]]) -> None:
        self._replies = replies
        self._stored: dict[bytes, _ForwardedReply] = {}
        self._expiry: TimerWheel[bytes] = TimerWheel(EXPIRY_PERIOD)  # of those among the replies
        self.next_expiry = math.inf

    def __len__(self) -> int:
        return len(self._stored)

    def clear(self) -> None:
        """Drop all answers."""
        self.expire(math.inf)
        self._stored.clear()

    def store(
        self, query: Query, reply: bytes, series_id: int, *, now: float, ages_at: float, expires_at: float
    ) -> None:
        """Cache the reply to a query; its TTLs fall by one at `ages_at` and each second from then on."""
        if len(self._stored) >= MAX_FORWARDED:
            self.clear()
        key, body = with_lowercase_name(query.data, query.qname_lower), with_lowercase_name(reply, query.qname_lower)
        self._stored[key] = _ForwardedReply(series_id, body, ages_at, min(expires_at, now + REVALIDATE_AFTER))
        self._publish(key, series_id, body, ages_at, now)

    def find(self, key: bytes, now: float) -> tuple[int, tuple[bytes, ...]] | None:
        """Return the answer with its present TTLs, among the cached replies once more; None if it has expired."""
        stored = self._stored.get(key)
        if stored is None:
            return None
        if now >= stored.expires_at:
            del self._stored[key]
            return None
        seconds = max(math.floor(now - stored.ages_at) + 1, 0)
        return self._publish(key, stored.series_id, stored.with_ttls_lowered(seconds), stored.ages_at + seconds, now)

    def expire(self, now: float) -> None:
        """Remove from the cached replies the answers whose TTLs fall in this period or have fallen before."""
        for key in self._expiry.pop_due(now):
            self._replies.pop(key, None)
        self.next_expiry = self._expiry.next_due

    def _publish(
        self, key: bytes, series_id: int, body: bytes, ages_at: float, now: float
    ) -> tuple[int, tuple[bytes, ...]]:
        cached = series_id, (body,)
        leaves_at = ages_at - EXPIRY_PERIOD  # or up to a period later
        if leaves_at >= now:
            self._replies[key] = cached
            self._expiry.schedule(key, leaves_at)
            self.next_expiry = self._expiry.next_due
        return cached


def _ttl_fields(body: bytes) -> tuple[tuple[int, int], ...]:
    """Return the offsets of the TTLs of answer and authority in a reply without its id, and their seconds."""
    reply = b"\0\0" + body
    count = (reply[6] << 8 | reply[7]) + (reply[8] << 8 | reply[9])
    at = skip_name(reply, HEADER_SIZE) + 4
    found = []
    for _ in range(count):
        at = skip_name(reply, at) + 4
        found.append((at - 2, int.from_bytes(reply[at : at + 4], "big")))
        at += 6 + int.from_bytes(reply[at + 4 : at + 6], "big")
    return tuple(found)


def with_lowercase_name(message: bytes, lower: bytes) -> bytes:
    """Return a query or reply without its id, the name of its question replaced by `lower`."""
    return message[2:HEADER_SIZE] + lower + message[HEADER_SIZE + len(lower) :]


MAX_NEGATIVE: Final = 2048  # parents × lengths × question shapes; beyond it all are dropped


class NegativeReplies:
    """Cached denials, by the query without its id and first label.

    Unknown names of one parent are denied by the same bytes, but for the name itself. A search list, or a flood of
    random names, queries ever new names of few parents. A denial for which `Authority.is_denial_shared` is true holds
    for all siblings with a first label of the same length, as long as the name database does not change. All that is
    left to do for the next sibling is to check that it is unknown. All denials are dropped at a commit, because the SOA
    in a denial carries the serial of the name database.
    """

    __slots__ = ("_stored",)

    def __init__(self) -> None:
        self._stored: dict[bytes, tuple[bytes, int, bytes, int]] = {}

    def __len__(self) -> int:
        return len(self._stored)

    def clear(self) -> None:
        """Drop all answers."""
        if self._stored:
            self._stored.clear()

    def find(self, data: bytes, lower: bytes, end: int) -> tuple[bytes, int] | None:
        """Return the denial of the name in `data` and the id of its series; None if no sibling was denied.

        `end` is the offset behind the first zero byte. The denial may be sent only if the name is unknown.
        """
        first = lower[0] + 1
        if len(lower) <= first:
            return None  # that zero byte is one of the first label
        found = self._stored.get(data[2:HEADER_SIZE] + lower[:1] + lower[first:] + data[end:])
        if found is None:
            return None
        header, question, tail, series_id = found
        return data[:2] + header + data[HEADER_SIZE:question] + tail, series_id

    def store(self, query: Query, reply: bytes, series_id: int) -> None:
        """Cache the denial of a name with the id of its series."""
        if len(self._stored) >= MAX_NEGATIVE:
            self._stored.clear()
        data, lower = query.data, query.qname_lower
        key = data[2:HEADER_SIZE] + lower[:1] + lower[lower[0] + 1 :] + data[HEADER_SIZE + len(lower) :]
        self._stored[key] = (reply[2:HEADER_SIZE], query.question_end, reply[query.question_end :], series_id)


MAX_MEMORY: Final = 64 << 20
"""Bytes of memory for cached replies, enough for some 140,000 queries; beyond it all are dropped, which costs one
lookup in the name database each. There is no end of different queries for one name: flags, EDNS sizes, types."""

_ENTRY_OVERHEAD: Final = 300  # bytes of memory for one query beside its bytes and those of its replies
_VARIANT_OVERHEAD: Final = 50  # the same for one reply

_TC_BIT: Final = FLAG_TC >> 8  # in the first byte of the flags

_NO_OPTIONS: Final = b"\0\0"  # how a reply with an empty OPT ends

MAX_VARIANTS: Final = 15


class ReplyCache:
    """The cached replies of a worker. `replies` are complete but for their ids; a transport looks there first.

    Replies from the name database are found by the query without its id, both in lower case whatever the case of the
    query: a client that randomizes case would otherwise fill the cache with copies. Only replies about names that exist
    are stored, and a commit of the name database drops those that it changed. A reply with several addresses is stored
    in all its rotations; the low byte of the query id selects one, which spreads a client's answers without any state.
    """

    def __init__(self, metrics: ReplyMetrics) -> None:
        self.replies: dict[bytes, tuple[int, tuple[bytes, ...]]] = {}
        self.forwarded = ForwardedReplies(self.replies)
        self._metrics = metrics
        self._keys_by_owner: dict[bytes, list[bytes]] = {}  # owner name → its keys in replies
        self._memory_used = 0  # bytes for all that was stored in replies since they were empty
        self._negative = NegativeReplies()

    def invalidate(self, owners: Iterable[bytes]) -> None:
        """Drop the replies that a commit changed: those of these owner names, and all denials."""
        self._negative.clear()
        for owner in owners:
            for key in self._keys_by_owner.pop(owner, ()):
                self.replies.pop(key, None)

    def find(
        self, data: bytes, authority: Authority, rows: RowReader | None, *, now: float, tcp: bool
    ) -> tuple[bytes, int] | None:
        """Return the cached reply to a query, in the letters of its question, and the id of its series; None if none.

        A cached answer of an upstream comes second, a denial third. A reply that was truncated for UDP is no reply over
        TCP.
        """
        end = data.find(b"\0", HEADER_SIZE) + 1
        lower = data[HEADER_SIZE:end].lower()
        key = data[2:HEADER_SIZE] + lower + data[end:]
        found = self.replies.get(key) or self.forwarded.find(key, now)
        if found is None:
            return self._find_negative(data, lower, end, authority, rows)
        series_id, variants = found
        body = variants[data[1] % len(variants)]
        if tcp and body[0] & _TC_BIT:
            return None
        return data[:2] + body[: HEADER_SIZE - 2] + data[HEADER_SIZE:end] + body[end - 2 :], series_id

    def store(self, query: Query, authority: Authority, rows: RowReader, reply: AuthorityReply) -> None:
        """Cache a reply that depends on one owner name alone, or a denial; only for queries without EDNS options."""
        key = with_lowercase_name(query.data, query.qname_lower)
        if len(query.data) > query.question_end + OPT_SIZE or key in self.replies:
            return
        owner = authority.cacheable_owner(query, rows)
        message, source = reply
        if owner is None:
            self._store_negative(query, authority, rows, message)
            return
        count = min(message[6] << 8 | message[7], MAX_VARIANTS)
        variants = [message]
        if count > 1:
            made = [authority.respond(query, rows, tcp=False, rotation=rotation) for rotation in range(count)]
            variants = [each[0] for each in made if not isinstance(each, Verdict)]
        if self._memory_used > MAX_MEMORY:
            self.clear()
        series_id = self._series_id(query, message, source)
        self._memory_used += _ENTRY_OVERHEAD + len(key) + count * (_VARIANT_OVERHEAD + len(message))
        self.replies[key] = (series_id, tuple(with_lowercase_name(each, query.qname_lower) for each in variants))
        self._keys_by_owner.setdefault(owner, []).append(key)

    def store_forwarded(self, query: Query, reply: bytes, *, now: float, ages_at: float, expires_at: float) -> None:
        """Cache an upstream's answer (see `ForwardedReplies.store`), unless the reply over TCP differs from it."""
        plain = len(query.data) <= query.question_end + OPT_SIZE
        if plain and len(reply) <= query.udp_size and not reply[2] & _TC_BIT:
            series_id = self._series_id(query, reply, NO_SOURCE, PLUGIN_UPSTREAM_CACHE)
            self.forwarded.store(query, reply, series_id, now=now, ages_at=ages_at, expires_at=expires_at)

    def clear(self) -> None:
        """Drop everything."""
        self.forwarded.clear()
        self.replies.clear()
        self._negative.clear()
        self._keys_by_owner.clear()
        self._memory_used = 0
        self._metrics.clear_cached_series()

    def _store_negative(self, query: Query, authority: Authority, rows: RowReader, reply: bytes) -> None:
        """Cache a denial that holds for all siblings of the name; one with EDNS options is about this name alone."""
        bare = not query.edns or reply.endswith(_NO_OPTIONS)
        if is_nxdomain(reply) and bare and authority.is_denial_shared(query, rows):
            self._negative.store(query, reply, self._series_id(query, reply, NO_SOURCE))

    def _find_negative(
        self, data: bytes, lower: bytes, end: int, authority: Authority, rows: RowReader | None
    ) -> tuple[bytes, int] | None:
        """Return the denial of a sibling for a name that is unknown too, and the id of its series; None if none."""
        found = self._negative.find(data, lower, end) if rows is not None and lower else None
        if rows is None or found is None or lower in authority.fixed_names:
            return None
        try:
            known = rows.row(lower) is not None
        except NameDatabaseError:
            return None  # met again, and logged, where the name database is read for the reply
        return None if known else found

    def _series_id(self, query: Query, reply: bytes, answer_source: AnswerSource, plugin: str = PLUGIN_MESH) -> int:
        if self._metrics.is_full:
            self.clear()
        return self._metrics.series_id(len(query.data), reply, answer_source, plugin)


def is_nxdomain(reply: bytes) -> bool:
    """Whether a reply says that the name does not exist."""
    return reply[3] & 0x0F == NXDOMAIN


def is_name_denied(reply: bytes) -> bool:
    """Whether a reply says that the queried name does not exist: after an alias it is said of the last target."""
    return is_nxdomain(reply) and not any(reply[6:8])
