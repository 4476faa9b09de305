"""Hints in denials, as extended errors: the name is declared but not served, or it is one edit from a known name.

Only queries that carry an EDNS option get a hint, as dig's do with its cookie: their replies are never cached anyway.
The search for a near name costs a few hundred µs, so there are at most `MAX_SEARCHES_PER_SECOND`. The reasons for which
declared names are not served are in the name database.
"""

from collections.abc import Callable
from itertools import islice, takewhile
from typing import Final

from meshdns.authority.row import Row
from meshdns.dns import names
from meshdns.dns.codes import EDE_OTHER, NOERROR, NXDOMAIN
from meshdns.dns.query import Query
from meshdns.dns.response import MAX_MESSAGE, with_extended_error
from meshdns.mesh.unserved_reasons import extended_error
from meshdns.worker.database_read import DatabaseRead

MAX_SEARCHES_PER_SECOND: Final = 20
_MAX_SCANNED: Final = 64  # names compared for each length of the first label
_MAX_TEXT: Final = 120
_MAX_PARENTS: Final = 16  # of a name, whose wildcards are looked up


class DenialHints:
    """Adds hints to denials; `clock` gives seconds."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._second = 0
        self._searches_left = MAX_SEARCHES_PER_SECOND

    def with_hint(self, query: Query, reply: bytes, read: DatabaseRead, *, may_see_clusters: bool, tcp: bool) -> bytes:
        """Return a reply without records with a reason, or a denial with the nearest known name, as EDE if it fits.

        `may_see_clusters` says that the client may know what is in which cluster (`allowDebug`).
        """
        exists = reply[3] & 0x0F == NOERROR
        kept = unserved_reason(query.qname_lower, read, exists=exists)
        if kept is not None:
            error: tuple[int, bytes] | None = extended_error(kept, show_cluster=may_see_clusters)
        else:
            error = None if exists else self._nearest_hint(query.qname_lower, read)
        if error is None:
            return reply
        return with_extended_error(reply, *error, limit=MAX_MESSAGE if tcp else query.udp_size)

    def _nearest_hint(self, name: bytes, read: DatabaseRead) -> tuple[int, bytes] | None:
        """Return the error with the nearest name, as long as searches are left in this second."""
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
    """Return whether a reply denies the name, or has no record of its type."""
    return reply[3] & 0x0F in (NOERROR, NXDOMAIN) and reply[6:8] == b"\0\0"


def unserved_reason(name: bytes, read: DatabaseRead, *, exists: bool) -> bytes | None:
    """Return why a denied name that is declared, itself or by a wildcard, is not served; None if it is not declared.

    If the denial is of one type alone (`exists`), a name with records of another type is served.
    """
    owners = [name, *(b"\x01*" + parent for parent in islice(names.ancestors(name), _MAX_PARENTS))]
    if exists:
        rows = {owner: Row(row) for owner in owners if (row := read.row(owner)) is not None}
        owners = [] if any(row.rrsets for row in rows.values()) else list(rows)
    return next((kept for owner in owners if (kept := read.unserved_reason(owner)) is not None), None)


def nearest_name(name: bytes, read: DatabaseRead) -> bytes | None:
    """Return a known name that is one edit away in one of its first two labels, or None if the search finds none.

    Wire names are ordered by the length of their first label and then its letters, so similar names are close together,
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
    """Return whether two parents differ in their first label alone, however much: another namespace."""
    return bool(one[0] and other[0]) and one[one[0] + 1 :] == other[other[0] + 1 :]


def _is_one_edit_apart(one: bytes, other: bytes) -> bool:
    """Return whether one byte inserted, deleted, replaced or swapped with the next makes `one` out of `other`."""
    if abs(len(one) - len(other)) > 1 or one == other:
        return False
    shorter, longer = sorted((one, other), key=len)
    at = next((i for i, byte in enumerate(shorter) if byte != longer[i]), len(shorter))
    if len(shorter) < len(longer):
        return shorter[at:] == longer[at + 1 :]
    swapped = shorter[at : at + 2] == longer[at : at + 2][::-1] and shorter[at + 2 :] == longer[at + 2 :]
    return shorter[at + 1 :] == longer[at + 1 :] or swapped
