"""The nearest known name, told with a denial: what is asked by hand is often but one letter off.

Only queries that carry an option get a hint, as dig's do with its cookie: their replies are made one by one anyway. It
costs a few hundred µs, so no more than `PER_SECOND` are looked for.
"""

from collections.abc import Callable, Iterator
from itertools import islice, takewhile
from typing import Final, Protocol

from meshdns.dns import names
from meshdns.dns.query import Query
from meshdns.dns.response import with_error

PER_SECOND: Final = 20
_CANDIDATES: Final = 64  # names looked at for each length of the first label
_OTHER: Final = 0  # RFC 8914: Other Error
_MAX_TEXT: Final = 120


class Look(Protocol):
    """A look at the view that can be walked."""

    def known_from(self, owner: bytes) -> Iterator[bytes]:
        """The owner names of the view from `owner` on, in the order of their octets."""


class Hints:
    """Looks for near names; `clock` gives seconds."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._second = 0
        self._left = PER_SECOND

    def added(self, query: Query, reply: bytes, look: Look, *, tcp: bool) -> bytes:
        """A denial with the nearest known name in it, where there is one and it fits."""
        second = int(self._clock())
        if second != self._second:
            self._second, self._left = second, PER_SECOND
        if not self._left:
            return reply
        self._left -= 1
        near = nearest(query.lower, look)
        if near is None:
            return reply
        text = f"no such name; nearest: {names.text(near)}"[:_MAX_TEXT].encode()
        hinted = with_error(reply, _OTHER, text)
        return hinted if tcp or len(hinted) <= query.size else reply


def nearest(name: bytes, look: Look) -> bytes | None:
    """A known name that is one edit away in one of its first two labels; None where none is seen nearby.

    Wire names are ordered by the length of their first label and then its letters, so what is alike stands close by,
    as long as the first letters are right.
    """
    first, parent = name[1 : name[0] + 1], name[name[0] + 1 :]
    for length in (name[0], name[0] - 1, name[0] + 1):
        if 0 < length < 64:
            for start in (first, first[:2], first[:1]):
                found = _among(bytes([length]) + start[:length], first, parent, look)
                if found is not None:
                    return found
    return None


def _among(start: bytes, first: bytes, parent: bytes, look: Look) -> bytes | None:
    """The first near name of those that begin with `start`."""
    for known in takewhile(lambda owner: owner.startswith(start), islice(look.known_from(start), _CANDIDATES)):
        label, above = known[1 : known[0] + 1], known[known[0] + 1 :]
        if (above == parent and _alike(label, first)) or (label == first and _near_parents(above, parent)):
            return known
    return None


def _near_parents(one: bytes, other: bytes) -> bool:
    """Whether two parents differ in their first label alone, however much: another namespace."""
    return bool(one[0] and other[0]) and one[one[0] + 1 :] == other[other[0] + 1 :]


def _alike(one: bytes, other: bytes) -> bool:
    """Whether one octet more, less, other or changed with its neighbour makes `one` out of `other`."""
    if abs(len(one) - len(other)) > 1 or one == other:
        return False
    shorter, longer = sorted((one, other), key=len)
    at = next((i for i, octet in enumerate(shorter) if octet != longer[i]), len(shorter))
    if len(shorter) < len(longer):
        return shorter[at:] == longer[at + 1 :]
    swapped = shorter[at : at + 2] == longer[at : at + 2][::-1] and shorter[at + 2 :] == longer[at + 2 :]
    return shorter[at + 1 :] == longer[at + 1 :] or swapped
