"""The servers that run at the moment: started when a workload wants them, ended when the next one does not."""

import tempfile
from collections.abc import Collection
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.bench.cluster import Cluster
from tests.bench.cores import Cores
from tests.bench.peers import PEERS, Site
from tests.bench.population import Population
from tests.bench.programs import Answering
from tests.bench.queries import ask, is_right, query
from tests.rig.component import Component
from tests.rig.waiting import eventually

_START = 120.0  # seconds for a server to read its names
_WITH_CLUSTER = frozenset({"meshdns-api", "coredns-kubernetes"})
_WITH_SERVICES = frozenset({"coredns-services"})
_ANY_ANSWER = frozenset({"echo", "coredns-kubernetes", *_WITH_SERVICES})
"""Peers that know none of the population's names."""


@dataclass
class _Running:
    component: Component
    stack: ExitStack


class Fleet:
    """Starts peers on the servers' core; upstream and API server stand on the other."""

    def __init__(self, cores: Cores) -> None:
        self._cores = cores
        self._stack = ExitStack()
        self._running: dict[tuple[str, Population], _Running] = {}
        self._folders: dict[Population, Path] = {}
        self._cluster: Cluster | None = None
        self._services: Cluster | None = None

    def __enter__(self) -> Self:
        self._folder = Path(self._stack.enter_context(tempfile.TemporaryDirectory(prefix="meshdns-bench-")))
        self._upstream = self._stack.enter_context(Answering())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.keep((), Population())
        self._stack.close()

    @property
    def folder(self) -> Path:
        """A folder for files of the bench."""
        return self._folder

    def cluster(self) -> Cluster:
        """The real cluster with the default population, started when it is first asked for."""
        if self._cluster is None:
            self._cluster = self._stack.enter_context(Cluster(Population()))
        return self._cluster

    def services(self) -> Cluster:
        """The same with the default population as Services."""
        if self._services is None:
            self._services = self._stack.enter_context(Cluster(Population(), services=True))
        return self._services

    def keep(self, names: Collection[str], population: Population) -> None:
        """End every peer but these."""
        for key in [key for key in self._running if key[0] not in names or key[1] != population]:
            self._running.pop(key).stack.close()

    def peer(self, name: str, population: Population) -> Component:
        """The running peer, started if need be; it answers right. Raises `ComponentUnavailable`."""
        running = self._running.get((name, population))
        if running is None:
            with ExitStack() as stack:
                component = PEERS[name].start(self.site(name, population))
                with self._cores.both() if PEERS[name].spread else self._cores.serving():
                    stack.enter_context(component)
                if name not in _ANY_ANSWER:
                    _await_answers(name, component, population)
                running = self._running[name, population] = _Running(component, stack.pop_all())
        return running.component

    def site(self, name: str, population: Population) -> Site:
        """What a peer is started with."""
        if population not in self._folders:
            folder = self._folder / f"clusters-{population.count}-{population.each}"
            self._folders[population] = population.write_clusters(folder)
        kubeconfig = None
        if name in _WITH_CLUSTER | _WITH_SERVICES:
            kubeconfig = (self.cluster() if name in _WITH_CLUSTER else self.services()).kubeconfig
        return Site(population, self._folders[population], self._upstream.port, kubeconfig)


def _await_answers(name: str, component: Component, population: Population) -> None:
    """Wait until the peer answers the last name right; a forwarder that of an outside name."""
    last = population.count - 1
    asked, right = population.name(last), population.addresses(last)
    if name.endswith("-forward"):
        asked, right = "ready.example.com", [Answering.ADDRESS]
    message = query(asked)
    eventually(
        lambda: is_right(ask(component.port, message), right), what=f"{component.title} knows {asked}", within=_START
    )
