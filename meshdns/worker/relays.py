"""Cached answers of upstreams among the ready replies, for as long as they stay the same.

A cached answer changes when it is a second older, and its TTLs with it. Until then whoever asks the same question gets
the same octets: a ready reply, found as fast as a name of the mesh. It leaves these shortly before its second is over,
and comes back with lower TTLs once it is asked for again. Every `LONGEST` seconds the question takes the long way,
where the cache learns that it is popular.
"""

import math
import struct
from typing import Final

from meshdns.dns.compression import behind
from meshdns.dns.query import HEADER_SIZE, Query

MAX_KEPT: Final = 8192  # answers of at most 1232 octets; beyond it all are forgotten
LONGEST: Final = 8.0  # seconds
PERIOD: Final = 1 / 16  # seconds that an answer may leave the ready replies early: they are swept in bulk

_write_ttl = struct.Struct(">I").pack_into


class _Relay:
    """An answer as it was at first: without its id, its question in lower case. `changes` is when TTLs first fell."""

    __slots__ = ("body", "case", "changes", "ends", "ttls")

    def __init__(self, case: int, body: bytes, changes: float, ends: float) -> None:
        self.case = case
        self.body = body
        self.changes = changes
        self.ends = ends
        self.ttls: tuple[tuple[int, int], ...] | None = None  # places in `body` and seconds, once they are needed

    def aged(self, seconds: int) -> bytes:
        """The answer with TTLs that are so much lower."""
        if not seconds:
            return self.body
        if self.ttls is None:
            self.ttls = _ttls(self.body)
        body = bytearray(self.body)
        for place, ttl in self.ttls:
            _write_ttl(body, place, max(ttl - seconds, 0))
        return bytes(body)


class Relays:
    """Puts answers into `replies`, by the question without its id, and takes them out in time.

    Times are seconds of one clock that never goes back. `due` is when `expire` has to be called before `replies` is
    looked into. Nothing else puts the same questions there.
    """

    __slots__ = ("_kept", "_replies", "_slots", "due")

    def __init__(self, replies: dict[bytes, tuple[int, tuple[bytes, ...]]]) -> None:
        self._replies = replies
        self._kept: dict[bytes, _Relay] = {}
        self._slots: dict[int, list[bytes]] = {}  # those among the replies, by the period in which they change
        self.due = math.inf

    def __len__(self) -> int:
        return len(self._kept)

    def clear(self) -> None:
        """Forget all."""
        for shown in self._slots.values():
            for asked in shown:
                self._replies.pop(asked, None)
        self._slots.clear()
        self._kept.clear()
        self.due = math.inf

    def keep(self, query: Query, reply: bytes, case: int, *, now: float, changes: float, expires: float) -> None:
        """Keep the reply to a query, whose TTLs fall by one at `changes` and each second from then on."""
        if len(self._kept) >= MAX_KEPT:
            self.clear()
        asked, body = in_lower_case(query.data, query.lower), in_lower_case(reply, query.lower)
        self._kept[asked] = _Relay(case, body, changes, min(expires, now + LONGEST))
        self._show(asked, case, body, changes, now)

    def find(self, asked: bytes, now: float) -> tuple[int, tuple[bytes, ...]] | None:
        """What is a ready reply once more, if it is still to be told."""
        relay = self._kept.get(asked)
        if relay is None:
            return None
        if now >= relay.ends:
            del self._kept[asked]
            return None
        seconds = max(math.floor(now - relay.changes) + 1, 0)
        return self._show(asked, relay.case, relay.aged(seconds), relay.changes + seconds, now)

    def expire(self, now: float) -> None:
        """Take out what changes in this period or did so before."""
        current = int(now / PERIOD)
        for slot in [slot for slot in self._slots if slot <= current]:
            for asked in self._slots.pop(slot):
                self._replies.pop(asked, None)
        self.due = min(self._slots) * PERIOD if self._slots else math.inf

    def _show(self, asked: bytes, case: int, body: bytes, changes: float, now: float) -> tuple[int, tuple[bytes, ...]]:
        found = case, (body,)
        slot = int(changes / PERIOD)
        if slot > int(now / PERIOD):
            self._replies[asked] = found
            self._slots.setdefault(slot, []).append(asked)
            self.due = min(self.due, slot * PERIOD)
        return found


def _ttls(body: bytes) -> tuple[tuple[int, int], ...]:
    """Where the TTLs of answer and authority stand in a reply without its id, and their seconds."""
    reply = b"\0\0" + body
    count = (reply[6] << 8 | reply[7]) + (reply[8] << 8 | reply[9])
    at = behind(reply, HEADER_SIZE) + 4
    found = []
    for _ in range(count):
        at = behind(reply, at) + 4
        found.append((at - 2, int.from_bytes(reply[at : at + 4], "big")))
        at += 6 + int.from_bytes(reply[at + 4 : at + 6], "big")
    return tuple(found)


def in_lower_case(message: bytes, lower: bytes) -> bytes:
    """A query or its reply without the id, its question's name as in `lower`; other names point there or are ours."""
    return message[2:HEADER_SIZE] + lower + message[HEADER_SIZE + len(lower) :]
