"""The mass-delete guard: a list that lacks most of what was known is not believed at once.

An API server in front of an empty or old etcd, a wrong server behind the right address and a proxy that cuts lists all
answer 200 OK with what they have. Rules, for each kind of a cluster:

- Where a list lacks more than 10 objects that were known, and more than 30 % of them, what it lacks is kept and served.
- What is kept goes once it lacks in another complete list, at least the hold (60 s) after the first that lacked it.
- It is for lists of one and the same cluster: another identity replaces everything at once
  (`meshdns.controller.identity_change`), unless it declares nothing at all: a store that was lost has another one.
- While anything is kept, whatever else a list lacks is kept too: a cluster that vanishes piecemeal is no better.
- What the cluster itself says is believed at once: an object that is deleted by an event, or that comes back.

Pure: times are seconds of one monotonic clock.
"""

from collections.abc import Collection, Mapping
from collections.abc import Set as AbstractSet
from typing import Final, NamedTuple

from meshdns.mesh.objects.declarations import ObjectKey, ObjectKind

DEFAULT_HOLD: Final = 60.0
_MIN_MISSING: Final = 10  # objects
_MIN_MISSING_SHARE: Final = 0.3

_ClusterKind = tuple[str, ObjectKind]


class GuardDecision(NamedTuple):
    """Decision on a list: the objects that are gone, and the seconds until another list is wanted (0: none)."""

    deleted: frozenset[ObjectKey]
    relist_after: float


class Alarm(NamedTuple):
    """Alarm of the guard for people: the missing objects, and what to do."""

    reason: str
    advice: str


class MassDeleteGuard:
    """Guard that keeps missing objects; `holds` are seconds by cluster that differ from the default (0: no guard)."""

    def __init__(self, holds: Mapping[str, float]) -> None:
        self._holds = holds
        self._missing: dict[_ClusterKind, dict[ObjectKey, float]] = {}  # since when
        self._known_counts: dict[_ClusterKind, int] = {}  # how many objects there were then

    def check_list(
        self,
        cluster: str,
        kind: ObjectKind,
        known: AbstractSet[ObjectKey],
        listed: Collection[ObjectKey],
        *,
        now: float,
    ) -> GuardDecision:
        """A complete list came: `known` is what is served of the same cluster."""
        place = (cluster, kind)
        hold = self._holds.get(cluster, DEFAULT_HOLD)
        gone = frozenset(known) - frozenset(listed)
        before = self._missing.pop(place, {})
        if not hold or not (before or self._is_suspicious(len(gone), len(known))):
            return GuardDecision(gone, 0.0)
        missing = {key: before.get(key, now) for key in gone}
        confirmed = frozenset(key for key, since in missing.items() if now - since >= hold)
        kept = {key: since for key, since in missing.items() if key not in confirmed}
        if kept:
            self._missing[place] = kept
            self._known_counts[place] = max(len(known), self._known_counts.get(place, 0)) if before else len(known)
            return GuardDecision(confirmed, max(0.001, hold - (now - min(kept.values()))))
        return GuardDecision(confirmed, 0.0)

    def hold_of_lost_store(self, cluster: str, known: Mapping[ObjectKind, int]) -> tuple[float, list[Alarm]]:
        """The cluster came back with nothing: for how many seconds so many objects are served on, and its alarms."""
        hold = self._holds.get(cluster, DEFAULT_HOLD)
        lost = [kind for kind, count in known.items() if self._is_suspicious(count, count)]
        if not hold or not lost:
            return 0.0, []
        return hold, [_alarm(known[kind], known[kind], kind, hold) for kind in lost]

    def release(self, cluster: str, key: ObjectKey) -> bool:
        """The cluster itself said something of an object: it is not kept any more; whether it was."""
        place = (cluster, key[0])
        kept = self._missing.get(place)
        if kept is None or kept.pop(key, None) is None:
            return False
        if not kept:
            del self._missing[place]
        return True

    def forget_cluster(self, cluster: str) -> None:
        """The cluster is gone with all that is kept of it."""
        for place in [place for place in self._missing if place[0] == cluster]:
            del self._missing[place]

    def alarms(self, cluster: str) -> list[Alarm]:
        """What is kept of a cluster; one alarm per kind."""
        hold = self._holds.get(cluster, DEFAULT_HOLD)
        return [
            _alarm(len(kept), self._known_counts[place], place[1], hold)
            for place, kept in self._missing.items()
            if place[0] == cluster
        ]

    @staticmethod
    def _is_suspicious(gone: int, known: int) -> bool:
        return gone > _MIN_MISSING and gone > _MIN_MISSING_SHARE * known


def _alarm(missing: int, known: int, kind: ObjectKind, hold: float) -> Alarm:
    return Alarm(
        f"{missing} of {known} objects of kind {kind.value} were missing from a list",
        f"they are served until a list {hold:g} s later agrees; check whether its API server lost them",
    )
