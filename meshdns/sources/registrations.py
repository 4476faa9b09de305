"""Which cluster is served under which name, over all sources: pure.

Rules:
- A name belongs to whoever registered it first, until it is given back (istiod's rule for remote secrets).
- One cluster is served under one name: of several with one UID that of the own cluster, else of the source that stands
  first in the settings, else the one registered first, as soon as it has been read. So all instances with the same
  settings serve the same one, whichever answers first.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

NOBODY: Final = ""


@dataclass(slots=True)
class _Registration:
    holder: str
    order: tuple[int, int]
    uid: str = ""
    complete: bool = False


class Registrations:
    """The names that are taken, by whom, and the clusters' identities; `own` is the own cluster's name or empty."""

    def __init__(self, own: str = "") -> None:
        self._own = own
        self._taken: dict[str, _Registration] = {}
        self._count = 0
        self._watchers: list[Callable[[], None]] = []

    def take(self, name: str, holder: str, rank: int) -> str:
        """Register `name` for `holder` (for people) in the source of that `rank`; who has it already, or `NOBODY`."""
        if name in self._taken:
            return self._taken[name].holder
        self._count += 1
        self._taken[name] = _Registration(holder, (-1 if name == self._own else rank, self._count))
        return NOBODY

    def give_back(self, name: str) -> None:
        """The name is free again."""
        if self._taken.pop(name, None) is not None:
            self._tell()

    def identified(self, name: str, uid: str) -> None:
        """The cluster of a registered name has this UID; empty: that is not known any more."""
        registration = self._taken[name]
        if registration.uid != uid:
            registration.uid = uid
            self._tell()

    def completed(self, name: str) -> None:
        """All of the cluster was read under that name."""
        if not self._taken[name].complete:
            self._taken[name].complete = True
            self._tell()

    def twin(self, name: str) -> str:
        """The name under which the same cluster is served instead of `name`; `NOBODY` where this one is."""
        mine = self._taken[name]
        others = [
            (each.order, other)
            for other, each in self._taken.items()
            if each.uid == mine.uid != "" and each.order < mine.order and each.complete
        ]
        return min(others, default=((0, 0), NOBODY))[1]

    def watch(self, told: Callable[[], None]) -> None:
        """Call `told` whenever a name or an identity is free, or another's."""
        self._watchers.append(told)

    def _tell(self) -> None:
        for told in tuple(self._watchers):
            told()
