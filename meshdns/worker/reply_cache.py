"""What is at hand: whole replies made ready, found by the octets of a question.

- Replies from the name database, without their id, by the query without its id, both in lower case however it was
  asked: who draws the case of each question anew would else have all of them made. Only replies to questions about
  names that exist are kept, and a commit of the name database drops those it changed. A reply with several addresses is
  kept in all its rotations; the low octet of the query id picks one, so that a client's answers are spread without any
  state.
- Denials, which hold for the siblings of the name too (`meshdns.worker.reply_cache`).
- Answers of upstreams, each for as long as it stays the same (`meshdns.worker.reply_cache`).

Each has the number of the case that it counts as (`meshdns.worker.reply_metrics`); all go together when these are full.

Cached answers of upstreams among the ready replies, for as long as they stay the same.

A cached answer changes when it is a second older, and its TTLs with it. Until then whoever asks the same question gets
the same octets: a ready reply, found as fast as a name of the mesh. It leaves these shortly before its second is over,
and comes back with lower TTLs once it is asked for again. Every `REVALIDATE_AFTER` seconds the question takes the long
way, where the cache learns that it is popular.

Denials made ready: unknown names of one parent are denied by the same octets, but for the name itself.

A search list, or a flood of random names, asks for ever new names of few parents. What `Authority.is_denial_shared`
says of one of them holds for its siblings with a first label of the same length, as long as the name database does not
change; so all that is left to do for the next sibling is to look whether it is known. Everything is forgotten at a
commit, since the SOA in a denial carries the serial of the name database.
"""

import math
import struct
from collections.abc import Iterable
from typing import Final

from meshdns.authority.authority import NO_SOURCE, AnswerSource, Authority, AuthorityReply, RowReader, Verdict
from meshdns.dns.codes import FLAG_TC, NXDOMAIN
from meshdns.dns.compression import skip_name
from meshdns.dns.query import HEADER_SIZE, OPT_SIZE, Query
from meshdns.namedb.database import NameDatabaseError
from meshdns.upstream.timer_wheel import TimerWheel
from meshdns.worker.reply_metrics import PLUGIN_CACHE, PLUGIN_MESH, ReplyMetrics

MAX_FORWARDED: Final = 8192  # answers of at most 1232 octets; beyond it all are forgotten
REVALIDATE_AFTER: Final = 8.0  # seconds
EXPIRY_PERIOD: Final = 1 / 16  # seconds that an answer may leave the ready replies early: they are swept in bulk

_write_ttl = struct.Struct(">I").pack_into


class _ForwardedReply:
    """An answer as it was at first: without its id, its question in lower case. `ages_at` is when TTLs first fell."""

    __slots__ = ("ages_at", "body", "expires_at", "series_id", "ttls")

    def __init__(self, series_id: int, body: bytes, ages_at: float, expires_at: float) -> None:
        self.series_id = series_id
        self.body = body
        self.ages_at = ages_at
        self.expires_at = expires_at
        self.ttls: tuple[tuple[int, int], ...] | None = None  # places in `body` and seconds, once they are needed

    def with_ttls_lowered(self, seconds: int) -> bytes:
        """The answer with TTLs that are so much lower."""
        if not seconds:
            return self.body
        if self.ttls is None:
            self.ttls = _ttl_fields(self.body)
        body = bytearray(self.body)
        for place, ttl in self.ttls:
            _write_ttl(body, place, max(ttl - seconds, 0))
        return bytes(body)


class ForwardedReplies:
    """Puts answers into `replies`, by the question without its id, and takes them out in time.

    Times are seconds of one clock that never goes back. `next_expiry` is when `expire` has to be called before
    `replies` is looked into. Nothing else puts the same questions there.
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
        """Forget all."""
        self.expire(math.inf)
        self._stored.clear()

    def store(
        self, query: Query, reply: bytes, series_id: int, *, now: float, ages_at: float, expires_at: float
    ) -> None:
        """Keep the reply to a query, whose TTLs fall by one at `ages_at` and each second from then on."""
        if len(self._stored) >= MAX_FORWARDED:
            self.clear()
        asked, body = with_lowercase_name(query.data, query.qname_lower), with_lowercase_name(reply, query.qname_lower)
        self._stored[asked] = _ForwardedReply(series_id, body, ages_at, min(expires_at, now + REVALIDATE_AFTER))
        self._publish(asked, series_id, body, ages_at, now)

    def find(self, key: bytes, now: float) -> tuple[int, tuple[bytes, ...]] | None:
        """What is a ready reply once more, if it is still to be told."""
        relay = self._stored.get(key)
        if relay is None:
            return None
        if now >= relay.expires_at:
            del self._stored[key]
            return None
        seconds = max(math.floor(now - relay.ages_at) + 1, 0)
        return self._publish(key, relay.series_id, relay.with_ttls_lowered(seconds), relay.ages_at + seconds, now)

    def expire(self, now: float) -> None:
        """Take out what changes in this period or did so before."""
        for asked in self._expiry.pop_due(now):
            self._replies.pop(asked, None)
        self.next_expiry = self._expiry.next_due

    def _publish(
        self, key: bytes, series_id: int, body: bytes, ages_at: float, now: float
    ) -> tuple[int, tuple[bytes, ...]]:
        found = series_id, (body,)
        leaves_at = ages_at - EXPIRY_PERIOD  # or up to a period later
        if leaves_at >= now:
            self._replies[key] = found
            self._expiry.schedule(key, leaves_at)
            self.next_expiry = self._expiry.next_due
        return found


def _ttl_fields(body: bytes) -> tuple[tuple[int, int], ...]:
    """Where the TTLs of answer and authority stand in a reply without its id, and their seconds."""
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
    """A query or its reply without the id, its question's name as in `lower`; other names point there or are ours."""
    return message[2:HEADER_SIZE] + lower + message[HEADER_SIZE + len(lower) :]


MAX_NEGATIVE: Final = 2048  # parents × lengths × question shapes; beyond it all are forgotten


class NegativeReplies:
    """Ready denials by the query without its id and first label."""

    __slots__ = ("_stored",)

    def __init__(self) -> None:
        self._stored: dict[bytes, tuple[bytes, int, bytes, int]] = {}

    def __len__(self) -> int:
        return len(self._stored)

    def clear(self) -> None:
        """Forget all."""
        if self._stored:
            self._stored.clear()

    def find(self, data: bytes, lower: bytes, end: int) -> tuple[bytes, int] | None:
        """The denial of the name in `data`, whose first zero octet is before `end`, if a sibling was denied; its case.

        It may be sent only where the name is unknown.
        """
        first = lower[0] + 1
        if len(lower) <= first:
            return None  # that zero octet is one of the first label
        found = self._stored.get(data[2:HEADER_SIZE] + lower[:1] + lower[first:] + data[end:])
        if found is None:
            return None
        header, question, tail, case = found
        return data[:2] + header + data[HEADER_SIZE:question] + tail, case

    def store(self, query: Query, reply: bytes, series_id: int) -> None:
        """Keep the denial of a name, and the case that it counts as."""
        if len(self._stored) >= MAX_NEGATIVE:
            self._stored.clear()
        data, lower = query.data, query.qname_lower
        key = data[2:HEADER_SIZE] + lower[:1] + lower[lower[0] + 1 :] + data[HEADER_SIZE + len(lower) :]
        self._stored[key] = (reply[2:HEADER_SIZE], query.question_end, reply[query.question_end :], series_id)


MAX_MEMORY: Final = 64 << 20
"""Memory for ready replies, enough for some 140,000 questions; beyond it all are forgotten, which costs one lookup in
the name database each. What may be asked of one name is without end: flags, EDNS sizes, types."""

_ENTRY_OVERHEAD: Final = 300  # octets of memory for one question beside its octets and those of its replies
_VARIANT_OVERHEAD: Final = 50  # the same for one reply

_TC_BIT: Final = FLAG_TC >> 8  # in the first octet of the flags

_NO_OPTIONS: Final = b"\0\0"  # how a reply with an empty OPT ends

MAX_VARIANTS: Final = 15


class ReplyCache:
    """The replies at hand. `replies` are whole but for their ids; a transport looks there first."""

    def __init__(self, metrics: ReplyMetrics) -> None:
        self.replies: dict[bytes, tuple[int, tuple[bytes, ...]]] = {}
        self.forwarded = ForwardedReplies(self.replies)
        self._metrics = metrics
        self._keys_by_owner: dict[bytes, list[bytes]] = {}  # owner name → its keys in replies
        self._memory_used = 0  # of memory for what was put into replies since it was empty
        self._negative = NegativeReplies()

    def invalidate(self, owners: Iterable[bytes]) -> None:
        """Drop what a commit changed: the replies of these owner names, and all denials."""
        self._negative.clear()
        for owner in owners:
            for asked in self._keys_by_owner.pop(owner, ()):
                self.replies.pop(asked, None)

    def find(
        self, data: bytes, authority: Authority, rows: RowReader | None, *, now: float, tcp: bool
    ) -> tuple[bytes, int] | None:
        """The reply to the same question in lower case, with the name put back as it was asked, and its case.

        Else that of an upstream which may be told again, else a denial. What was cut short for UDP is none over TCP.
        """
        end = data.find(b"\0", HEADER_SIZE) + 1
        lower = data[HEADER_SIZE:end].lower()
        asked = data[2:HEADER_SIZE] + lower + data[end:]
        found = self.replies.get(asked) or self.forwarded.find(asked, now)
        if found is None:
            return self._find_negative(data, lower, end, authority, rows)
        case, variants = found
        body = variants[data[1] % len(variants)]
        if tcp and body[0] & _TC_BIT:
            return None
        return data[:2] + body[: HEADER_SIZE - 2] + data[HEADER_SIZE:end] + body[end - 2 :], case

    def store(self, query: Query, authority: Authority, rows: RowReader, reply: AuthorityReply) -> None:
        """Keep a reply that depends on one owner name alone, or a denial, to a question as plain as most."""
        asked = with_lowercase_name(query.data, query.qname_lower)
        if len(query.data) > query.question_end + OPT_SIZE or asked in self.replies:
            return
        owner = authority.cacheable_owner(query, rows)
        message, source = reply
        if owner is None:
            self._store_negative(query, authority, rows, message)
            return
        count = min(message[6] << 8 | message[7], MAX_VARIANTS)
        variants = [message]
        if count > 1:
            made = [authority.respond(query, rows, tcp=False, rotation=spin) for spin in range(count)]
            variants = [each[0] for each in made if not isinstance(each, Verdict)]
        if self._memory_used > MAX_MEMORY:
            self.clear()
        case = self._series_id(query, message, source)
        self._memory_used += _ENTRY_OVERHEAD + len(asked) + count * (_VARIANT_OVERHEAD + len(message))
        self.replies[asked] = (case, tuple(with_lowercase_name(each, query.qname_lower) for each in variants))
        self._keys_by_owner.setdefault(owner, []).append(asked)

    def store_forwarded(self, query: Query, reply: bytes, *, now: float, ages_at: float, expires_at: float) -> None:
        """Keep an upstream's answer (see `ForwardedReplies.store`); not what is another reply over TCP."""
        plain = len(query.data) <= query.question_end + OPT_SIZE
        if plain and len(reply) <= query.udp_size and not reply[2] & _TC_BIT:
            case = self._series_id(query, reply, NO_SOURCE, PLUGIN_CACHE)
            self.forwarded.store(query, reply, case, now=now, ages_at=ages_at, expires_at=expires_at)

    def clear(self) -> None:
        """Drop everything."""
        self.forwarded.clear()
        self.replies.clear()
        self._negative.clear()
        self._keys_by_owner.clear()
        self._memory_used = 0
        self._metrics.clear_cached_series()

    def _store_negative(self, query: Query, authority: Authority, rows: RowReader, reply: bytes) -> None:
        """Keep a denial that holds for all siblings of the name; one with options speaks of this one alone."""
        bare = not query.edns or reply.endswith(_NO_OPTIONS)
        if is_nxdomain(reply) and bare and authority.is_denial_shared(query, rows):
            self._negative.store(query, reply, self._series_id(query, reply, NO_SOURCE))

    def _find_negative(
        self, data: bytes, lower: bytes, end: int, authority: Authority, rows: RowReader | None
    ) -> tuple[bytes, int] | None:
        """The denial of a name that is as unknown as a sibling of it was, and its case."""
        found = self._negative.find(data, lower, end) if rows is not None and lower else None
        if rows is None or found is None or lower in authority.fixed_names:
            return None
        try:
            known = rows.row(lower) is not None
        except NameDatabaseError:
            return None  # found again, and told, on the long way
        return None if known else found

    def _series_id(self, query: Query, reply: bytes, answer_source: AnswerSource, plugin: str = PLUGIN_MESH) -> int:
        if self._metrics.is_full:
            self.clear()
        return self._metrics.series_id(len(query.data), reply, answer_source, plugin)


def is_nxdomain(reply: bytes) -> bool:
    """Whether a reply says that the name does not exist."""
    return reply[3] & 0x0F == NXDOMAIN
