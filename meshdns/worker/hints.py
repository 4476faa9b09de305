"""Why a name is denied, told with the denial: somebody declares it and may not, or it is one letter off a known one.

Only queries that carry an option get a hint, as dig's do with its cookie: their replies are made one by one anyway. To
look for near names costs a few hundred µs, so no more than `PER_SECOND` are looked for; why a declared name is refused
stands in the view.
"""

from collections.abc import Callable, Iterator
from itertools import islice, takewhile
from typing import Final, Protocol

from meshdns.authority.apex import parents
from meshdns.authority.rows import Row
from meshdns.dns import names
from meshdns.dns.codes import NOERROR, NXDOMAIN
from meshdns.dns.query import Query
from meshdns.dns.response import with_error
from meshdns.mesh.refused import told

PER_SECOND: Final = 20
_CANDIDATES: Final = 64  # names looked at for each length of the first label
_OTHER: Final = 0  # RFC 8914: Other Error
_MAX_TEXT: Final = 120
_PARENTS: Final = 16  # of a name, whose wildcards are looked at
_ROOT: Final = b"\0"


class Look(Protocol):
    """A look at the view that can be walked."""

    def row(self, owner: bytes, /) -> bytes | None:
        """The row of a lower-case wire name."""

    def refusal(self, owner: bytes) -> bytes | None:
        """Why nothing is served of an owner name that somebody declares (`meshdns.mesh.refused`)."""

    def known_from(self, owner: bytes) -> Iterator[bytes]:
        """The owner names of the view from `owner` on, in the order of their octets."""


class Hints:
    """Looks for near names; `clock` gives seconds."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._second = 0
        self._left = PER_SECOND

    def added(self, query: Query, reply: bytes, look: Look, *, inside: bool, tcp: bool) -> bytes:
        """A reply that `lacks` records with the reason in it, or a denial with the nearest known name, where it fits.

        `inside` says that the asker may know what is in which cluster (`allowDebug`).
        """
        exists = reply[3] & 0x0F == NOERROR
        kept = refusal(query.lower, look, exists=exists)
        if kept is not None:
            error: tuple[int, bytes] | None = told(kept, inside=inside)
        else:
            error = None if exists else self._near(query.lower, look)
        hinted = with_error(reply, *error) if error is not None else reply
        return hinted if tcp or len(hinted) <= query.size else reply

    def _near(self, name: bytes, look: Look) -> tuple[int, bytes] | None:
        """The error that names the nearest name, as long as the second has looks left."""
        second = int(self._clock())
        if second != self._second:
            self._second, self._left = second, PER_SECOND
        if not self._left:
            return None
        self._left -= 1
        near = nearest(name, look)
        if near is None:
            return None
        return _OTHER, f"no such name; nearest: {names.text(near)}"[:_MAX_TEXT].encode()


def lacks(reply: bytes) -> bool:
    """Whether a reply denies the name, or has no record of its type."""
    return reply[3] & 0x0F in (NOERROR, NXDOMAIN) and reply[6:8] == b"\0\0"


def refusal(name: bytes, look: Look, *, exists: bool) -> bytes | None:
    """Why a denied name that somebody declares, itself or by a wildcard, is not served.

    Where the denial is of one type alone (`exists`), what has records of another type is served.
    """
    owners = [name, *(b"\x01*" + parent for parent in islice(parents(name, _ROOT), _PARENTS))]
    if exists:
        rows = {owner: Row(row) for owner in owners if (row := look.row(owner)) is not None}
        owners = [] if any(not row.hollow for row in rows.values()) else list(rows)
    return next((kept for owner in owners if (kept := look.refusal(owner)) is not None), None)


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
