"""Response rate limiting: bounds the replies over UDP to a block of addresses, against amplification.

Queries with a forged source address make us send our replies, which are larger, to a victim. So replies are counted by
the source address, whoever sent the query:

- A block is a /24 of IPv4 or a /56 of IPv6: a victim's neighbours share its line. Answers, denials and errors of a
  block are counted apart, so that a flood of one class leaves the others (as in BIND, NSD and Knot).
- Each has `per_second` replies a second, and those of one second at once. Of the replies over the limit, every
  `slip`-th is truncated, so that an honest client retries over TCP, where an address cannot be forged; the others are
  dropped.
- The table is bounded; the block with the oldest reply is dropped first, so that a flooded victim never is.
- Private addresses cannot be victims elsewhere, and are not counted unless the settings say so; loopback never is.
"""

import enum
from collections import OrderedDict
from typing import Final

import msgspec

from meshdns.dns.address_blocks import is_local_client, is_loopback, unmapped
from meshdns.dns.response import ReplyClass

MAX_TABLE_SIZE: Final = 20_000  # blocks and classes, as BIND's max-table-size; some 4 MB of a worker

_CLASS_KEYS: Final = (b"a", b"d", b"e", b"d")
"""The classes that are counted apart, by `ReplyClass`: an empty reply counts as a denial."""


class RrlSettings(msgspec.Struct, frozen=True):
    """The settings: replies a second of each class, at least 1; see above for `slip`, 0 for never.

    `private` says that private addresses are counted too.
    """

    per_second: int
    slip: int = 2
    private: bool = False


class RrlAction(enum.Enum):
    """Actions on a reply."""

    PASS = "pass"  # noqa: S105 — no password
    SLIP = "tell the client to ask over TCP"
    DROP = "drop"


class RateLimiter:
    """Counts the replies to blocks of addresses; see the rules above. Times are seconds of a monotonic clock."""

    def __init__(self, settings: RrlSettings, *, max_entries: int = MAX_TABLE_SIZE) -> None:
        self._settings = settings
        self._cost = 1 / settings.per_second  # seconds for which one reply uses up a block's share
        self._max_entries = max_entries
        self._spent_until: OrderedDict[bytes, float] = OrderedDict()  # until when the replies so far use up the share
        self._exceeded = 0

    def __len__(self) -> int:
        return len(self._spent_until)

    def is_limited(self, source: bytes) -> bool:
        """Return whether replies to a packed address are counted at all."""
        plain = unmapped(source)
        return not is_loopback(plain) if self._settings.private else not is_local_client(plain)

    def check(self, source: bytes, reply_class: ReplyClass, now: float) -> RrlAction:
        """Count one reply to a packed address."""
        name = _block(unmapped(source)) + _CLASS_KEYS[reply_class]
        spent_until = max(self._spent_until.get(name, now), now) + self._cost
        if spent_until - now > 1 + self._cost / 2:  # of rounding
            self._spent_until.move_to_end(name)
            return self._limit_exceeded()
        self._spent_until[name] = spent_until
        self._spent_until.move_to_end(name)
        if len(self._spent_until) > self._max_entries:
            self._spent_until.popitem(last=False)
        return RrlAction.PASS

    def _limit_exceeded(self) -> RrlAction:
        self._exceeded += 1
        return RrlAction.SLIP if self._settings.slip and self._exceeded % self._settings.slip == 0 else RrlAction.DROP


def _block(source: bytes) -> bytes:
    return source[:3] if len(source) == 4 else source[:7]
