"""The mass-delete guard: a list that lacks most of what was known is not believed at once.

An API server in front of an empty or old etcd, a wrong server behind the right address and a proxy that cuts lists all
answer 200 OK with what they have. Rules, for each kind of a cluster:

- Where a list lacks more than 10 objects that were known, and more than 30 % of them, what it lacks is kept and served.
- What is kept goes once it lacks in another complete list, at least the hold (60 s) after the first that lacked it.
  Another cluster identity (UID of ``kube-system``) in between begins the hold anew.
- While anything is kept, whatever else a list lacks is kept too: a cluster that vanishes piecemeal is no better.
- What the cluster itself says is believed at once: an object that is deleted by an event, or that comes back.

Pure: times are seconds of one monotonic clock.
"""

from collections.abc import Collection, Mapping
from collections.abc import Set as AbstractSet
from typing import Final, NamedTuple

from meshdns.mesh.declarations import Key, Kind

HOLD: Final = 60.0
_MANY: Final = 10  # objects
_SHARE: Final = 0.3

_Place = tuple[str, Kind]


class Verdict(NamedTuple):
    """What a list means: what is gone, and the seconds until another list is wanted (0: none)."""

    gone: frozenset[Key]
    again: float


class Alarm(NamedTuple):
    """What the guard says to people: what is missing, and what to do."""

    reason: str
    advice: str


class Guard:
    """What is kept of each cluster; `holds` are seconds by cluster, where they are not the usual ones (0: no guard)."""

    def __init__(self, holds: Mapping[str, float]) -> None:
        self._holds = holds
        self._missing: dict[_Place, dict[Key, float]] = {}  # since when
        self._known: dict[_Place, int] = {}  # how many objects there were then
        self._identities: dict[_Place, str] = {}

    def judge(
        self, cluster: str, kind: Kind, known: AbstractSet[Key], listed: Collection[Key], *, identity: str, now: float
    ) -> Verdict:
        """A complete list came: `known` is what is served, `identity` the cluster's UID as far as known."""
        place = (cluster, kind)
        hold = self._holds.get(cluster, HOLD)
        gone = frozenset(known) - frozenset(listed)
        before = self._missing.pop(place, {})
        if not hold or not (before or self._suspicious(len(gone), len(known))):
            return Verdict(gone, 0.0)
        if self._identities.get(place) != identity:
            self._identities[place] = identity
            before = {}
        missing = {key: before.get(key, now) for key in gone}
        confirmed = frozenset(key for key, since in missing.items() if now - since >= hold)
        kept = {key: since for key, since in missing.items() if key not in confirmed}
        if kept:
            self._missing[place] = kept
            self._known[place] = max(len(known), self._known.get(place, 0)) if before else len(known)
            return Verdict(confirmed, max(0.001, hold - (now - min(kept.values()))))
        return Verdict(confirmed, 0.0)

    def heard(self, cluster: str, key: Key) -> bool:
        """The cluster itself said something of an object: it is not kept any more; whether it was."""
        place = (cluster, key[0])
        kept = self._missing.get(place)
        if kept is None or kept.pop(key, None) is None:
            return False
        if not kept:
            del self._missing[place]
        return True

    def forget(self, cluster: str) -> None:
        """The cluster is gone with all that is kept of it."""
        for place in [place for place in self._identities.keys() | self._missing.keys() if place[0] == cluster]:
            self._missing.pop(place, None)
            self._identities.pop(place, None)

    def alarms(self, cluster: str) -> list[Alarm]:
        """What is kept of a cluster; one alarm per kind."""
        hold = self._holds.get(cluster, HOLD)
        return [
            Alarm(
                f"{len(kept)} of {self._known[place]} objects of kind {place[1].value} were missing from a list",
                f"they are served until a list {hold:g} s later agrees; check whether its API server lost them",
            )
            for place, kept in self._missing.items()
            if place[0] == cluster
        ]

    @staticmethod
    def _suspicious(gone: int, known: int) -> bool:
        return gone > _MANY and gone > _SHARE * known
