"""The clusters of one source, kept in step with what the source says.

Rules:
- A cluster that cannot be begun, or whose name cannot be written down, is a problem and keeps no other from being read.
- When a source ends, its names are free: whoever starts it again reads the same clusters under the same names. What was
  read of them stays and grows old.
"""

import asyncio
import itertools
import logging
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from functools import partial
from typing import Final

from meshdns.instance.timers import Timers
from meshdns.mesh.objects.foreign import describe_error, listed, shown
from meshdns.mesh.objects.problems import Problem, ProblemKind, first_problems
from meshdns.sources.auth.kubeconfig import ClientConfig
from meshdns.sources.cluster_reader import ClusterReader, SourceContext
from meshdns.sources.registry import NO_NAME, is_cluster_name, server_identity
from meshdns.sources.settings import problem_from_message
from meshdns.sources.sink import SourceListed, SourceProblems

_REPORT_INTERVAL: Final = 1.0  # seconds between looks at what became of a new access

_MAX_PROBLEMS: Final = 200
"""Problems of one source that are named one by one: all are written at each change of one of them."""

_log = logging.getLogger(__name__)


def choose_clusters(known: Collection[str], wanted: Collection[str], most: int) -> tuple[set[str], list[str]]:
    """The clusters that are read, and those of `wanted` that are too many: the `known` ones stay, then by order."""
    ordered = [*(name for name in wanted if name in known), *(name for name in wanted if name not in known)]
    return set(ordered[:most]), ordered[most:]


class ClusterSet:
    """`title` names the source for people, `own` is the cluster that needs no other way to it (empty: none)."""

    def __init__(self, title: str, own: str, context: SourceContext) -> None:
        self._title = title
        self._own = own
        self._context = context
        self._clusters: dict[str, ClusterReader] = {}
        self._client_configs: dict[str, ClientConfig] = {}
        self._owners: dict[str, str] = {}
        self._faults: dict[str, Problem] = {}  # by cluster why it cannot be begun
        self._source_problems: tuple[Problem, ...] = ()
        self._reported_problems: tuple[Problem, ...] = ()
        self._scheduled = False
        self._timers = Timers()
        self._is_closed = False
        context.registry.subscribe(self._schedule_reconcile)

    @property
    def max_clusters(self) -> int:
        """How many clusters of the source are read."""
        return self._context.max_clusters

    @property
    def names(self) -> Collection[str]:
        """The clusters that are wanted."""
        return self._client_configs.keys()

    def set_clusters(
        self,
        client_configs: Mapping[str, ClientConfig],
        problems: Sequence[Problem],
        *,
        retained: Collection[str] = (),
        is_whole_source: bool = True,
    ) -> None:
        """Read these clusters and no others, but for those in `retained`, which go on as they are.

        `is_whole_source` says that the source has no other clusters; what an earlier process knew of others is then
        gone.
        """
        wanted = {name: self._client_configs[name] for name in retained if name in self._client_configs}
        wanted |= {name: config for name, config in client_configs.items() if is_cluster_name(name)}
        kept, excess = choose_clusters(self._client_configs, wanted, self.max_clusters)
        self._client_configs = {name: config for name, config in wanted.items() if name in kept}
        self._source_problems = (
            *problems,
            *(_bad_name_problem(name) for name in client_configs if not is_cluster_name(name)),
            *self._excess_problems(excess),
        )
        for name in self._clusters.keys() - self._client_configs.keys():
            _log.info("cluster %s is not in %s any more", name, self._title)
            self._clusters.pop(name).stop()
            self._context.registry.release(name)
        self._reconcile()
        if is_whole_source and self._client_configs.keys() >= set(retained):
            self._context.sink.report(SourceListed(self._title))

    def _excess_problems(self, excess: Sequence[str]) -> Iterator[Problem]:
        if excess:
            reason = f"names more clusters than the {self.max_clusters} that are read; not read: {listed(excess)}"
            yield Problem(ProblemKind.UNREADABLE, "source", "", self._title, "", reason, "remove what is not needed")

    async def run(self) -> None:
        """Tell what became of each new access, until cancelled."""
        try:
            while True:
                await asyncio.sleep(_REPORT_INTERVAL)
                self._report_problems()
        finally:
            self.close()

    def close(self) -> None:
        """Read none of the clusters any more, and give their names back; what was read of them stays."""
        self._is_closed = True
        self._timers.close()
        self._context.registry.unsubscribe(self._schedule_reconcile)
        for name in self._clusters:
            self._context.registry.release(name)
        self._clusters.clear()

    def _schedule_reconcile(self) -> None:
        if not self._scheduled:
            self._scheduled = True
            self._timers.call_soon(self._reconcile)

    def _reconcile(self) -> None:
        """Start, change and suspend clusters by what is wanted and registered now."""
        self._scheduled = False
        if self._is_closed:
            return
        self._owners, self._faults = {}, {}
        before = set(self._clusters)
        for name, client_config in self._client_configs.items():
            self._isolate(name, partial(self._reconcile_cluster, name, client_config))
        for name in [name for name in self._clusters if name not in before]:
            self._isolate(name, self._clusters[name].update_duplicate)
        self._report_problems()

    def _isolate(self, name: str, action: Callable[[], None]) -> None:
        try:
            action()
        except Exception as error:  # noqa: BLE001 — the border between clusters
            _log.exception("cluster %s cannot be begun", name)
            reason = f"cannot be begun: {describe_error(error)}; report this with the log"
            self._faults[name] = problem_from_message("cluster", name, reason)

    def _reconcile_cluster(self, name: str, client_config: ClientConfig) -> None:
        if name in self._clusters:
            self._clusters[name].set_client_config(client_config)
            self._clusters[name].update_duplicate()
            return
        holder = self._context.registry.claim(
            name,
            client_config.title,
            self._context.rank,
            server_identity(client_config),
            is_named=self._context.is_named,
        )
        if holder == NO_NAME:
            self._clusters[name] = ClusterReader(name, client_config, self._context)
        else:
            self._owners[name] = holder

    def _report_problems(self) -> None:
        every = itertools.chain(self._source_problems, self._faults.values(), self._conflicts())
        problems = first_problems(every, _MAX_PROBLEMS)
        if problems != self._reported_problems:
            self._reported_problems = problems
            self._context.sink.report(SourceProblems(self._title, problems))

    def _conflicts(self) -> list[Problem]:
        found = [
            _conflict_problem(
                name, f"{self._client_configs[name].title} is not read: {holder} has that name", "rename one of the two"
            )
            for name, holder in self._owners.items()
        ]
        for name, cluster in self._clusters.items():
            if cluster.duplicate_of not in (NO_NAME, self._own):
                reason = f"is the same cluster as {cluster.duplicate_of}, by the UID of kube-system, and served as that"
                found.append(_conflict_problem(name, reason, f"remove {name} or {cluster.duplicate_of}"))
            found += self._rival_problems(name, cluster)
            if cluster.pending_reason:
                found.append(
                    problem_from_message(
                        "cluster", name, f"its new kubeconfig is not served yet: {cluster.pending_reason}"
                    )
                )
        return found

    def _rival_problems(self, name: str, cluster: ClusterReader) -> Iterator[Problem]:
        """That another server says that it is this cluster: a problem of both, until the settings decide."""
        registry = self._context.registry
        rivals = registry.rivals(name)
        own = [other for other in rivals if registry.own in (name, other) and registry.is_same_authority(name, other)]
        rivals = [other for other in rivals if other not in own]
        is_decided = bool(registry.believed_uid(name)) and cluster.rival == NO_NAME
        if not rivals or is_decided:
            return
        served = "this one is served" if cluster.rival == NO_NAME else "nothing of this one is served"
        yield _conflict_problem(
            name,
            f"has the same UID of kube-system as {listed(rivals)}, from another server or authority; {served}",
            "remove what is wrong, or give its UID as clusters.<name>.uid of the one that is right",
        )


def _bad_name_problem(name: str) -> Problem:
    reason = f"the name {shown(name)} is not one line of text of at most 253 bytes; rename the cluster"
    return problem_from_message("cluster", name, reason)


def _conflict_problem(name: str, reason: str, advice: str) -> Problem:
    return Problem(ProblemKind.CONFLICT, "cluster", "", name, "", reason, advice)
