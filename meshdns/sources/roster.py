"""The clusters of one source, kept in step with what the source says."""

import asyncio
import logging
from collections.abc import Collection, Mapping, Sequence
from typing import Final

from meshdns.mesh.problems import Problem, ProblemKind
from meshdns.sources.access import Access
from meshdns.sources.clusters import Cluster, Surroundings
from meshdns.sources.problems import fault
from meshdns.sources.registrations import NOBODY

_LOOK: Final = 1.0  # seconds between looks at what became of a new access

log = logging.getLogger(__name__)


class Roster:
    """`title` names the source for people, `own` is the cluster that needs no other way to it (empty: none)."""

    def __init__(self, title: str, own: str, around: Surroundings) -> None:
        self._title = title
        self._own = own
        self._around = around
        self._clusters: dict[str, Cluster] = {}
        self._wanted: dict[str, Access] = {}
        self._holders: dict[str, str] = {}
        self._faults: tuple[Problem, ...] = ()
        self._told: tuple[Problem, ...] = ()
        self._scheduled = False
        self._over = False
        around.registrations.watch(self._stir)

    @property
    def names(self) -> Collection[str]:
        """The clusters that are wanted."""
        return self._wanted.keys()

    def want(
        self, wanted: Mapping[str, Access], faults: Sequence[Problem], *, kept: Collection[str] = (), whole: bool = True
    ) -> None:
        """Read these clusters and no others, but for those in `kept`, which go on as they are.

        `whole` says that the source has no other clusters; what an earlier process knew of others is then gone.
        """
        self._wanted = {name: self._wanted[name] for name in kept if name in self._wanted} | dict(wanted)
        self._faults = tuple(faults)
        for name in self._clusters.keys() - self._wanted.keys():
            log.info("cluster %s is not in %s any more", name, self._title)
            self._clusters.pop(name).leave()
            self._around.registrations.give_back(name)
        self._settle()
        if whole and self._wanted.keys() >= set(kept):
            self._around.sink.named(self._title)

    async def run(self) -> None:
        """Tell what became of each new access, until cancelled."""
        try:
            while True:
                await asyncio.sleep(_LOOK)
                self._tell()
        finally:
            self._over = True

    def _stir(self) -> None:
        if not self._scheduled:
            self._scheduled = True
            asyncio.get_running_loop().call_soon(self._settle)

    def _settle(self) -> None:
        """Start, change and suspend clusters by what is wanted and registered now."""
        self._scheduled = False
        if self._over:
            return
        self._holders = {}
        for name, access in self._wanted.items():
            if name in self._clusters:
                self._clusters[name].use(access)
                self._clusters[name].reconsider()
                continue
            holder = self._around.registrations.take(name, access.title, self._around.rank)
            if holder == NOBODY:
                self._clusters[name] = Cluster(name, access, self._around)
            else:
                self._holders[name] = holder
        self._tell()

    def _tell(self) -> None:
        problems = (*self._faults, *self._conflicts())
        if problems != self._told:
            self._told = problems
            self._around.sink.troubled(self._title, problems)

    def _conflicts(self) -> list[Problem]:
        found = [
            _conflict(name, f"{self._wanted[name].title} is not read: {holder} has that name", "rename one of the two")
            for name, holder in self._holders.items()
        ]
        for name, cluster in self._clusters.items():
            if cluster.twin not in (NOBODY, self._own):
                reason = f"is the same cluster as {cluster.twin}, by the UID of kube-system, and served as that"
                found.append(_conflict(name, reason, f"remove {name} or {cluster.twin}"))
            if cluster.waiting:
                found.append(fault("cluster", name, f"its new kubeconfig is not served yet: {cluster.waiting}"))
        return found


def _conflict(name: str, reason: str, advice: str) -> Problem:
    return Problem(ProblemKind.CONFLICT, "cluster", "", name, "", reason, advice)
