"""Denials made ready: unknown names of one parent are denied by the same octets, but for the name itself.

A search list, or a flood of random names, asks for ever new names of few parents. What `Authority.denies_alike` says of
one of them holds for its siblings with a first label of the same length, as long as the view does not change; so all
that is left to do for the next sibling is to look whether it is known. Everything is forgotten at a commit, since the
SOA in a denial carries the serial of the view.
"""

from typing import Final

from meshdns.dns.query import HEADER_SIZE, Query

MAX_KEPT: Final = 2048  # parents × lengths × question shapes; beyond it all are forgotten


class Denials:
    """Ready denials by the query without its id and first label."""

    __slots__ = ("_kept",)

    def __init__(self) -> None:
        self._kept: dict[bytes, tuple[bytes, int, bytes, int]] = {}

    def __len__(self) -> int:
        return len(self._kept)

    def clear(self) -> None:
        """Forget all."""
        if self._kept:
            self._kept.clear()

    def find(self, data: bytes, lower: bytes, end: int) -> tuple[bytes, int] | None:
        """The denial of the name in `data`, whose first zero octet is before `end`, if a sibling was denied; its case.

        It may be sent only where the name is unknown.
        """
        first = lower[0] + 1
        if len(lower) <= first:
            return None  # that zero octet is one of the first label
        found = self._kept.get(data[2:HEADER_SIZE] + lower[:1] + lower[first:] + data[end:])
        if found is None:
            return None
        header, question, tail, case = found
        return data[:2] + header + data[HEADER_SIZE:question] + tail, case

    def keep(self, query: Query, reply: bytes, case: int) -> None:
        """Keep the denial of a name, and the case that it counts as."""
        if len(self._kept) >= MAX_KEPT:
            self._kept.clear()
        data, lower = query.data, query.lower
        key = data[2:HEADER_SIZE] + lower[:1] + lower[lower[0] + 1 :] + data[HEADER_SIZE + len(lower) :]
        self._kept[key] = (reply[2:HEADER_SIZE], query.end, reply[query.end :], case)
