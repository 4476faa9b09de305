"""Registry of the clusters of all sources: which one is served under which name. Pure.

Rules:
- A name belongs to the source that registered it first, until it is given back (istiod's rule for remote secrets).
- One cluster is served under one name: of several with one UID that of the own cluster, else of the source that stands
  first in the settings, else the one registered first, as soon as it has been read. So all instances with the same
  settings serve the same one, whichever answers first.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from meshdns.mesh.objects.raw import is_text

NO_NAME: Final = ""
_NAME_LIMIT: Final = 253  # bytes: as long as names of objects; keys of the name database begin with it


def is_cluster_name(name: str) -> bool:
    """Whether a cluster can be served under this name: one line of text, of bounded length."""
    return is_text(name) and name.isprintable() and 0 < len(name.encode()) <= _NAME_LIMIT


@dataclass(slots=True)
class _Registration:
    owner: str
    precedence: tuple[int, int]
    uid: str = ""
    is_complete: bool = False


class ClusterRegistry:
    """The names that are taken, by whom, and the clusters' identities; `own` is the own cluster's name or empty."""

    def __init__(self, own: str = "") -> None:
        self._own = own
        self._registrations: dict[str, _Registration] = {}
        self._count = 0
        self._subscribers: list[Callable[[], None]] = []

    def claim(self, name: str, owner: str, rank: int) -> str:
        """Register `name` for `owner` (for people) in the source of that `rank`; who has it already, or `NO_NAME`."""
        if name in self._registrations:
            return self._registrations[name].owner
        self._count += 1
        self._registrations[name] = _Registration(owner, (-1 if name == self._own else rank, self._count))
        return NO_NAME

    def release(self, name: str) -> None:
        """The name is free again."""
        if self._registrations.pop(name, None) is not None:
            self._notify()

    def set_uid(self, name: str, uid: str) -> None:
        """The cluster of a registered name has this UID; empty: that is not known any more."""
        registration = self._registrations[name]
        if registration.uid != uid:
            registration.uid = uid
            self._notify()

    def mark_complete(self, name: str) -> None:
        """All of the cluster was read under that name."""
        if not self._registrations[name].is_complete:
            self._registrations[name].is_complete = True
            self._notify()

    def duplicate_of(self, name: str) -> str:
        """The name under which the same cluster is served instead of `name`; `NO_NAME` where this one is."""
        mine = self._registrations[name]
        others = [
            (each.precedence, other)
            for other, each in self._registrations.items()
            if each.uid == mine.uid != "" and each.precedence < mine.precedence and each.is_complete
        ]
        return min(others, default=((0, 0), NO_NAME))[1]

    def subscribe(self, on_change: Callable[[], None]) -> None:
        """Call `on_change` whenever a name or an identity is free, or another's."""
        self._subscribers.append(on_change)

    def unsubscribe(self, on_change: Callable[[], None]) -> None:
        """Call `on_change` no more."""
        self._subscribers = [each for each in self._subscribers if each != on_change]

    def _notify(self) -> None:
        for told in tuple(self._subscribers):
            told()
