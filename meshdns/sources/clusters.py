"""One cluster at work: the client that is served, and the one that is to take its place.

Rules:
- A changed access, or another cluster behind the same one, is read by a client of its own behind a `Stage`. Only when
  it has listed every kind does it take the old one's place, in one turn of the loop; until then the old one is served.
  An old client that never got so far has nothing to keep, and gives way at once.
- Each cluster has one client and, per kind, a task of its own; nothing that one of them meets reaches another. A fault
  that nobody foresaw is logged and reported as failed, and its kind begins anew after a wait.
- Starts are spread: over half a second at first, over two seconds where all instances see the same change.
- A cluster that is served under another name already is not served: see `meshdns.sources.registrations`.
"""

import asyncio
import logging
import math
from collections.abc import Callable, Collection
from dataclasses import replace
from typing import Final, NamedTuple

from meshdns.sources.access import Access
from meshdns.sources.courtesy import Courtesy
from meshdns.sources.expiry import expiry
from meshdns.sources.following import Follower
from meshdns.sources.identity import IdentifiedConnection
from meshdns.sources.kubeapi import ApiConnection
from meshdns.sources.plugin import Credential
from meshdns.sources.port import Sink
from meshdns.sources.reflector import Reflector
from meshdns.sources.registrations import NOBODY, Registrations
from meshdns.sources.resources import Resource, resources
from meshdns.sources.settings import SourceError
from meshdns.sources.stage import Stage

_START: Final = 0.5  # seconds over which first starts are spread
_SWAP: Final = 2.0  # seconds over which the instances that see a changed access are spread

log = logging.getLogger(__name__)


class Surroundings(NamedTuple):
    """What all clusters of a source share; `draw` gives numbers from 0 to 1 for jitter.

    `rank` is the source's place in the settings, `unready` are the clusters whose EndpointSlices are not read.
    """

    sink: Sink
    registrations: Registrations
    draw: Callable[[], float]
    group: asyncio.TaskGroup
    rank: int = 0
    unready: Collection[str] = ()


class Cluster:
    """A registered cluster from its joining to its leaving."""

    def __init__(self, name: str, access: Access, around: Surroundings) -> None:
        self._name = name
        self._around = around
        self._access = access
        self._next: _Reading | None = None
        self.twin = NOBODY
        """The name under which this cluster is served instead."""
        self._live: _Reading | None = self._join()

    @property
    def access(self) -> Access:
        """What it is to be read with."""
        return self._access

    @property
    def waiting(self) -> str:
        """Why a new access is not served yet; empty where there is none, or nothing failed so far."""
        return self._next.stage.reason if self._next is not None else ""

    def use(self, access: Access) -> None:
        """Read with this access from now on."""
        if access == self._access:
            return
        self._access = access
        log.info("cluster %s has new credentials or another address; it is read anew", self._name)
        if self._live is None:
            self.twin = NOBODY
            self._around.registrations.identified(self._name, "")
            self._live = self._join()
        else:
            self._replace(self._live)

    def reconsider(self) -> None:
        """Serve it, or not, by what is registered now."""
        twin = self._around.registrations.twin(self._name)
        if twin != NOBODY and self._live is not None:
            self.leave()
        elif twin == NOBODY and self._live is None:
            self._live = self._join()
        self.twin = twin

    def leave(self) -> None:
        """Read and serve it no more."""
        for reading in (self._live, self._next):
            if reading is not None:
                reading.end()
        if self._live is not None:
            self._around.sink.left(self._name)
        self._live = self._next = None

    def _join(self) -> "_Reading":
        kinds = tuple(resources(readiness=self._name not in self._around.unready))
        self._around.sink.joined(self._name, kinds, source=self._access.title)
        return self._read(hidden=False)

    def _read(self, *, hidden: bool) -> "_Reading":
        return _Reading(self, self._name, self._access, self._around, hidden=hidden)

    def _replace(self, live: "_Reading") -> None:
        """Begin to read with the current access, and serve what `live` knows until that is done."""
        if self._next is not None:
            self._next.end()
        if live.stage.ready:
            self._next = self._read(hidden=True)
        else:
            live.end()
            self._live = self._read(hidden=False)

    def completed(self, reading: "_Reading") -> None:
        """A client has listed everything."""
        if reading is self._next and self._live is not None:
            self._live.end()
            self._live, self._next = reading, None
            self._around.registrations.identified(self._name, reading.uid)
            again = reading.stage.rise(self._name)
            log.info("cluster %s is served by its new client", self._name)
            if again:
                asyncio.get_running_loop().call_later(again, self._confirm, reading)
        self._around.registrations.completed(self._name)

    def _confirm(self, reading: "_Reading") -> None:
        """List all once more, as the sink wanted before it believes what the first lists lacked."""
        if reading is self._live and self._next is None:
            self._replace(reading)

    def identified(self, reading: "_Reading", uid: str) -> None:
        """A client was told for the first time which cluster answers."""
        if reading is self._live:
            self._around.registrations.identified(self._name, uid)

    def replaced(self, reading: "_Reading") -> None:
        """Another cluster answers to a client than before."""
        if reading is self._live and self._next is None:
            self._replace(reading)
        elif reading is self._next:
            reading.end()
            self._next = None
            if self._live is not None and self._live.access != self._access:
                self._replace(self._live)


class _Reading:
    """One client that lists and watches a cluster."""

    def __init__(self, cluster: Cluster, name: str, access: Access, around: Surroundings, *, hidden: bool) -> None:
        self.access = access
        self.uid = ""
        self._resources = resources(readiness=name not in around.unready)
        self.stage = Stage(around.sink, self._resources, hidden=hidden, complete=lambda: cluster.completed(self))
        self._cluster = cluster
        self._name = name
        self._draw = around.draw
        self._clock = asyncio.get_running_loop().time
        self._pause = (_SWAP if hidden else _START) * around.draw()
        self._task = around.group.create_task(self._run(), name=f"cluster {name}")

    def end(self) -> None:
        """Stop to read; nothing more is said."""
        self.stage.close()
        self._task.cancel()

    async def _run(self) -> None:
        await asyncio.sleep(self._pause)
        connection = ApiConnection(self.access, self._obtained)
        identified = IdentifiedConnection(connection, self._told)
        courtesy = Courtesy(clock=self._clock, draw=self._draw)
        try:
            async with asyncio.TaskGroup() as group:
                for resource in self._resources.values():
                    task = self._follow(resource, identified, courtesy)
                    group.create_task(task, name=f"cluster {self._name}: {resource.title}")
        finally:
            await connection.close()

    async def _follow(self, resource: Resource, connection: IdentifiedConnection, courtesy: Courtesy) -> None:
        """Follow one kind for ever; a fault in this program costs that kind a pause, not the process."""
        while True:
            reflector = Reflector(resource, cluster=self._name, sink=self.stage, draw=self._draw)
            try:
                await Follower(reflector, resource, connection, courtesy, self._clock).run()
            except Exception as error:
                log.exception("cluster %s: %s stopped; it is begun anew", self._name, resource.title)
                self.stage.failed(
                    self._name, resource.kind, f"{type(error).__name__}: {error}; report this with the log"
                )
            await asyncio.sleep(5 + 25 * self._draw())

    def _obtained(self, credential: Credential) -> None:
        """What a provider gives is got anew each minute, whatever it says."""
        stated = replace(credential, expires=math.inf) if self.access.provider else credential
        self.stage.authenticated(self._name, expiry(stated), renewed=self.access.renewed)

    def _told(self, uid: str) -> None:
        """Which cluster answers. Raises `SourceError` where it is another than before."""
        if not self.uid:
            self.uid = uid
            self.stage.identified(self._name, uid)
            self._cluster.identified(self, uid)
        elif uid != self.uid:
            asyncio.get_running_loop().call_soon(self._cluster.replaced, self)
            raise SourceError(
                f"another cluster answers at {self.access.server} (kube-system {uid}, not {self.uid}); its names are "
                "served once all are read: wait, or correct the kubeconfig"
            )
