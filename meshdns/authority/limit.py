"""How many replies a block of addresses may draw over UDP: response rate limiting, against amplification.

Who sends queries with a victim's address has our replies, which are larger, sent to it. So replies are counted by who
seems to ask, not by who does:

- A block is a /24 of IPv4 or a /56 of IPv6: a victim's neighbours share its line. Answers, denials and errors of a
  block are counted apart, so that a flood of one kind leaves the others (as in BIND, NSD and Knot).
- Each has `per_second` replies a second, and those of one second at once. Of what is over, every `slip`-th is told to
  come over TCP, where an address cannot be forged; the rest is dropped. An honest client among them gets through.
- What is remembered is bounded; who drew replies longest ago is forgotten first, and a flooded victim never is.
- Addresses of local use can't be a victim elsewhere, and are not counted unless that is asked for; loopback never is.
"""

import enum
from collections import OrderedDict
from typing import Final

import msgspec

from meshdns.dns.codes import NOERROR, NXDOMAIN

MAX_COUNTED: Final = 20_000  # blocks and kinds, as BIND's max-table-size; some 4 MB of a worker

_MAPPED: Final = b"\0" * 10 + b"\xff\xff"  # ::ffff:0:0/96, IPv4 over an IPv6 socket
_LOOPBACK: Final = b"\0" * 15 + b"\1"
_FLAG_TC: Final = 0x02  # in the third octet


class Limit(msgspec.Struct, frozen=True):
    """The settings: replies a second, at least 1, of each kind; see above for `slip`, 0 for never.

    `private` says that addresses of local use are counted too.
    """

    per_second: int
    slip: int = 2
    private: bool = False


class Kind(enum.IntEnum):
    """What replies are counted as."""

    ANSWER = 0
    DENIAL = 1
    ERROR = 2


class Ruling(enum.Enum):
    """What becomes of a reply."""

    PASS = "pass"  # noqa: S105 — no password
    SLIP = "tell the client to ask over TCP"
    DROP = "drop"


class Quota:
    """What blocks of addresses have drawn; see the rules above. Times are seconds of a monotonic clock."""

    def __init__(self, limit: Limit, *, most: int = MAX_COUNTED) -> None:
        self._limit = limit
        self._cost = 1 / limit.per_second  # seconds for which one reply uses up a block's share
        self._most = most
        self._paid: OrderedDict[bytes, float] = OrderedDict()  # until when the replies so far use up the share
        self._over = 0

    def __len__(self) -> int:
        return len(self._paid)

    def counts(self, source: bytes) -> bool:
        """Whether replies to a packed address are counted at all."""
        plain = _plain(source)
        return not _is_loopback(plain) if self._limit.private else not is_local(plain)

    def judge(self, source: bytes, kind: Kind, now: float) -> Ruling:
        """Count one reply to a packed address."""
        name = _block(_plain(source)) + bytes((kind,))
        paid = max(self._paid.get(name, now), now) + self._cost
        if paid - now > 1 + self._cost / 2:  # of rounding
            self._paid.move_to_end(name)
            return self._exceed()
        self._paid[name] = paid
        self._paid.move_to_end(name)
        if len(self._paid) > self._most:
            self._paid.popitem(last=False)
        return Ruling.PASS

    def _exceed(self) -> Ruling:
        self._over += 1
        return Ruling.SLIP if self._limit.slip and self._over % self._limit.slip == 0 else Ruling.DROP


def kind(reply: bytes) -> Kind:
    """What a whole reply counts as; a truncated one is an answer."""
    rcode = reply[3] & 0x0F
    if rcode not in (NOERROR, NXDOMAIN):
        return Kind.ERROR
    if rcode == NXDOMAIN or not (reply[6] or reply[7] or reply[2] & _FLAG_TC):
        return Kind.DENIAL
    return Kind.ANSWER


def is_local(source: bytes) -> bool:
    """Whether a packed address is loopback, private, shared or link-local: those that ``private`` admits."""
    first, second = source[0], source[1]
    if len(source) == 16:
        return first & 0xFE == 0xFC or (first == 0xFE and second & 0xC0 == 0x80) or source == _LOOPBACK
    return (
        first in (10, 127)
        or (first == 172 and second & 0xF0 == 16)
        or (first == 192 and second == 168)
        or (first == 169 and second == 254)
        or (first == 100 and second & 0xC0 == 64)
    )


def _plain(source: bytes) -> bytes:
    return source[12:] if len(source) == 16 and source.startswith(_MAPPED) else source


def _block(source: bytes) -> bytes:
    return source[:3] if len(source) == 4 else source[:7]


def _is_loopback(source: bytes) -> bool:
    return source[0] == 127 if len(source) == 4 else source == _LOOPBACK
