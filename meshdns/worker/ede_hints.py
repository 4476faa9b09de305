"""Why a name is denied, told with the denial: somebody declares it and may not, or it is one letter off a known one.

Only queries that carry an option get a hint, as dig's do with its cookie: their replies are made one by one anyway. To
look for near names costs a few hundred µs, so no more than `MAX_SEARCHES_PER_SECOND` are looked for; why a declared
name is refused stands in the name database.
"""

from collections.abc import Callable
from itertools import islice, takewhile
from typing import Final

from meshdns.authority.row import Row
from meshdns.dns import names
from meshdns.dns.codes import EDE_OTHER, NOERROR, NXDOMAIN
from meshdns.dns.query import Query
from meshdns.dns.response import with_extended_error
from meshdns.mesh.unserved_reasons import extended_error
from meshdns.worker.database_read import DatabaseRead

MAX_SEARCHES_PER_SECOND: Final = 20
_MAX_SCANNED: Final = 64  # names looked at for each length of the first label
_MAX_TEXT: Final = 120
_MAX_PARENTS: Final = 16  # of a name, whose wildcards are looked at


class DenialHints:
    """Looks for near names; `clock` gives seconds."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._second = 0
        self._searches_left = MAX_SEARCHES_PER_SECOND

    def with_hint(self, query: Query, reply: bytes, read: DatabaseRead, *, may_see_clusters: bool, tcp: bool) -> bytes:
        """A reply without records, with the reason as EDE, or a denial with the nearest known name, if it fits.

        `may_see_clusters` says that the asker may know what is in which cluster (`allowDebug`).
        """
        exists = reply[3] & 0x0F == NOERROR
        kept = unserved_reason(query.qname_lower, read, exists=exists)
        if kept is not None:
            error: tuple[int, bytes] | None = extended_error(kept, show_cluster=may_see_clusters)
        else:
            error = None if exists else self._nearest_hint(query.qname_lower, read)
        hinted = with_extended_error(reply, *error) if error is not None else reply
        return hinted if tcp or len(hinted) <= query.udp_size else reply

    def _nearest_hint(self, name: bytes, read: DatabaseRead) -> tuple[int, bytes] | None:
        """The error that names the nearest name, as long as the second has looks left."""
        second = int(self._clock())
        if second != self._second:
            self._second, self._searches_left = second, MAX_SEARCHES_PER_SECOND
        if not self._searches_left:
            return None
        self._searches_left -= 1
        near = nearest_name(name, read)
        if near is None:
            return None
        return EDE_OTHER, f"no such name; nearest: {names.to_text(near)}"[:_MAX_TEXT].encode()


def has_no_answer(reply: bytes) -> bool:
    """Whether a reply denies the name, or has no record of its type."""
    return reply[3] & 0x0F in (NOERROR, NXDOMAIN) and reply[6:8] == b"\0\0"


def unserved_reason(name: bytes, read: DatabaseRead, *, exists: bool) -> bytes | None:
    """Why a denied name that somebody declares, itself or by a wildcard, is not served.

    Where the denial is of one type alone (`exists`), what has records of another type is served.
    """
    owners = [name, *(b"\x01*" + parent for parent in islice(names.ancestors(name), _MAX_PARENTS))]
    if exists:
        rows = {owner: Row(row) for owner in owners if (row := read.row(owner)) is not None}
        owners = [] if any(not row.is_empty_nonterminal for row in rows.values()) else list(rows)
    return next((kept for owner in owners if (kept := read.unserved_reason(owner)) is not None), None)


def nearest_name(name: bytes, read: DatabaseRead) -> bytes | None:
    """A known name that is one edit away in one of its first two labels; None where none is seen nearby.

    Wire names are ordered by the length of their first label and then its letters, so what is alike stands close by,
    as long as the first letters are right.
    """
    first, parent = name[1 : name[0] + 1], name[name[0] + 1 :]
    for length in (name[0], name[0] - 1, name[0] + 1):
        if 0 < length < 64:
            for start in (first, first[:2], first[:1]):
                found = _first_near(bytes([length]) + start[:length], first, parent, read)
                if found is not None:
                    return found
    return None


def _first_near(start: bytes, first: bytes, parent: bytes, read: DatabaseRead) -> bytes | None:
    """The first near name of those that begin with `start`."""
    for known in takewhile(lambda owner: owner.startswith(start), islice(read.owners_from(start), _MAX_SCANNED)):
        label, above = known[1 : known[0] + 1], known[known[0] + 1 :]
        if (above == parent and _is_one_edit_apart(label, first)) or (
            label == first and _differ_in_first_label(above, parent)
        ):
            return known
    return None


def _differ_in_first_label(one: bytes, other: bytes) -> bool:
    """Whether two parents differ in their first label alone, however much: another namespace."""
    return bool(one[0] and other[0]) and one[one[0] + 1 :] == other[other[0] + 1 :]


def _is_one_edit_apart(one: bytes, other: bytes) -> bool:
    """Whether one octet more, less, other or changed with its neighbour makes `one` out of `other`."""
    if abs(len(one) - len(other)) > 1 or one == other:
        return False
    shorter, longer = sorted((one, other), key=len)
    at = next((i for i, octet in enumerate(shorter) if octet != longer[i]), len(shorter))
    if len(shorter) < len(longer):
        return shorter[at:] == longer[at + 1 :]
    swapped = shorter[at : at + 2] == longer[at : at + 2][::-1] and shorter[at + 2 :] == longer[at + 2 :]
    return shorter[at + 1 :] == longer[at + 1 :] or swapped
