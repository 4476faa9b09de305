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

MAX_TABLE_SIZE: Final = 20_000  # blocks and kinds, as BIND's max-table-size; some 4 MB of a worker

_MAPPED: Final = b"\0" * 10 + b"\xff\xff"  # ::ffff:0:0/96, IPv4 over an IPv6 socket
_LOOPBACK: Final = b"\0" * 15 + b"\1"
_FLAG_TC: Final = 0x02  # in the third octet


class RrlSettings(msgspec.Struct, frozen=True):
    """The settings: replies a second, at least 1, of each kind; see above for `slip`, 0 for never.

    `private` says that addresses of local use are counted too.
    """

    per_second: int
    slip: int = 2
    private: bool = False


class ReplyClass(enum.IntEnum):
    """What replies are counted as."""

    ANSWER = 0
    DENIAL = 1
    ERROR = 2


class RrlAction(enum.Enum):
    """What becomes of a reply."""

    PASS = "pass"  # noqa: S105 — no password
    SLIP = "tell the client to ask over TCP"
    DROP = "drop"


class RateLimiter:
    """What blocks of addresses have drawn; see the rules above. Times are seconds of a monotonic clock."""

    def __init__(self, settings: RrlSettings, *, max_entries: int = MAX_TABLE_SIZE) -> None:
        self._settings = settings
        self._cost = 1 / settings.per_second  # seconds for which one reply uses up a block's share
        self._max_entries = max_entries
        self._spent_until: OrderedDict[bytes, float] = OrderedDict()  # until when the replies so far use up the share
        self._exceeded = 0

    def __len__(self) -> int:
        return len(self._spent_until)

    def is_limited(self, source: bytes) -> bool:
        """Whether replies to a packed address are counted at all."""
        plain = _unmapped(source)
        return not _is_loopback(plain) if self._settings.private else not is_local(plain)

    def check(self, source: bytes, reply_class: ReplyClass, now: float) -> RrlAction:
        """Count one reply to a packed address."""
        name = _block(_unmapped(source)) + bytes((reply_class,))
        paid = max(self._spent_until.get(name, now), now) + self._cost
        if paid - now > 1 + self._cost / 2:  # of rounding
            self._spent_until.move_to_end(name)
            return self._limit_exceeded()
        self._spent_until[name] = paid
        self._spent_until.move_to_end(name)
        if len(self._spent_until) > self._max_entries:
            self._spent_until.popitem(last=False)
        return RrlAction.PASS

    def _limit_exceeded(self) -> RrlAction:
        self._exceeded += 1
        return RrlAction.SLIP if self._settings.slip and self._exceeded % self._settings.slip == 0 else RrlAction.DROP


def reply_class(reply: bytes) -> ReplyClass:
    """What a whole reply counts as; a truncated one is an answer."""
    rcode = reply[3] & 0x0F
    if rcode not in (NOERROR, NXDOMAIN):
        return ReplyClass.ERROR
    if rcode == NXDOMAIN or not (reply[6] or reply[7] or reply[2] & _FLAG_TC):
        return ReplyClass.DENIAL
    return ReplyClass.ANSWER


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


def _unmapped(source: bytes) -> bytes:
    return source[12:] if len(source) == 16 and source.startswith(_MAPPED) else source


def _block(source: bytes) -> bytes:
    return source[:3] if len(source) == 4 else source[:7]


def _is_loopback(source: bytes) -> bool:
    return source[0] == 127 if len(source) == 4 else source == _LOOPBACK
