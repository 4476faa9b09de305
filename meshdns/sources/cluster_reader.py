"""Reader of one cluster: the client whose data are served, and the one that is to replace it.

Rules:
- A changed access, or another cluster behind the same one, is read by a client of its own behind a `SyncBuffer`. Only
  when it has listed every kind does it take the old one's place, in one turn of the loop; until then the old one is
  served. An old client that never got so far has nothing to keep, and gives way at once.
- Each cluster has one client and, per kind, a task of its own; nothing that one of them meets reaches another. A fault
  that was not foreseen is logged and reported as failed, and its kind, or the client, restarts after a wait.
- Starts are spread: over half a second at first, over two seconds where all instances see the same change. They take
  turns, the own cluster first: see `meshdns.sources.start_queue`.
- A cluster that is served under another name already is not served, nor one that another has a better claim to be:
  see `meshdns.sources.registry`. The first is not read. What was known of the second goes at once; it is asked who it
  is from time to time, and read when that is no one else, unless the same authority vouches for both.
- Nothing counts before the identity is known to be right. A cluster that was identified once is not read over a
  connection that does not tell its identity.
"""

import asyncio
import logging
import math
from collections.abc import Callable, Collection
from dataclasses import replace
from functools import partial
from typing import Final, NamedTuple

from meshdns.instance.timers import Timers
from meshdns.mesh.objects.foreign import bounded_text, describe_error
from meshdns.sources.auth.credentials import Credential, credential_expiry
from meshdns.sources.auth.kubeconfig import ClientConfig
from meshdns.sources.kube.client import ApiConnection
from meshdns.sources.kube.follower import Follower
from meshdns.sources.kube.identity import VerifiedConnection
from meshdns.sources.kube.reflector import Reflector
from meshdns.sources.kube.request_gate import RequestGate
from meshdns.sources.kube.resources import Resource, resources_to_watch
from meshdns.sources.read_limits import ReadLimits
from meshdns.sources.registry import NO_NAME, UNKNOWN_SERVER, ClusterRegistry, server_identity
from meshdns.sources.settings import DEFAULT_MAX_CLUSTERS, SourceError
from meshdns.sources.sink import ClusterAdded, ClusterIdentified, ClusterRemoved, CredentialsObtained, ReadFailed, Sink
from meshdns.sources.start_queue import StartOrder
from meshdns.sources.sync_buffer import SyncBuffer

_START_SPREAD: Final = 0.5  # seconds over which first starts are spread
_SWAP_SPREAD: Final = 2.0  # seconds over which the instances that see a changed access are spread

_log = logging.getLogger(__name__)


class SourceContext(NamedTuple):
    """Context that all clusters of a source share; `draw` gives numbers from 0 to 1 for jitter.

    `rank` is the source's place in the settings, `without_readiness` are the clusters whose EndpointSlices are not
    read. `is_named` says that its clusters are named by the settings, or by files of the operator. `limits` are those
    of all sources; of this one no more than `max_clusters` are read.
    """

    sink: Sink
    registry: ClusterRegistry
    draw: Callable[[], float]
    group: asyncio.TaskGroup
    limits: ReadLimits
    rank: int = 0
    without_readiness: Collection[str] = ()
    is_named: bool = True
    max_clusters: int = DEFAULT_MAX_CLUSTERS


class ClusterReader:
    """Reader of a registered cluster, from its addition to its removal."""

    def __init__(self, name: str, client_config: ClientConfig, context: SourceContext) -> None:
        self._name = name
        self._context = context
        self._client_config = client_config
        self._pending: _ClusterClient | None = None
        self.duplicate_of = NO_NAME
        """The name under which this cluster is served instead."""
        self.rival = NO_NAME
        """The name of the other server with the same UID that is served instead."""
        if name == context.registry.own:
            context.limits.queue.begin_own()
        self._current: _ClusterClient | None = self._start()

    @property
    def client_config(self) -> ClientConfig:
        """The access with which it is read."""
        return self._client_config

    @property
    def pending_reason(self) -> str:
        """Why a new access is not served yet; empty where there is none, or nothing failed so far."""
        return self._pending.buffer.failure_reason if self._pending is not None else ""

    def set_client_config(self, client_config: ClientConfig) -> None:
        """Read with this access from now on."""
        if client_config == self._client_config:
            return
        self._client_config = client_config
        _log.info("cluster %s has new credentials or another address; it is read anew", self._name)
        if self._current is None:
            self.duplicate_of = NO_NAME
            self._context.registry.set_uid(self._name, "", server_identity(client_config))
            self._current = self._start()
        else:
            self._start_replacement(self._current)

    def update_duplicate(self) -> None:
        """Serve it, or not, by what is registered now."""
        registry = self._context.registry
        rival = registry.rival_of(self._name)
        is_same = rival != NO_NAME and registry.is_same_authority(self._name, rival)
        duplicate = registry.duplicate_of(self._name) if rival == NO_NAME else NO_NAME
        if rival != NO_NAME and self.rival == NO_NAME:
            _log.warning("cluster %s says that it is %s; nothing of it is served", self._name, rival)
            self.stop(at_once=True)
        elif duplicate != NO_NAME and self._current is not None:
            self.stop()
        elif rival == NO_NAME and self.rival != NO_NAME and self._current is not None:
            self._current.stop()
            self._current = self._new_client(buffering=False)
        if self._current is None and duplicate == NO_NAME and not is_same:
            self._current = self._start()
        self.duplicate_of, self.rival = duplicate, rival

    def stop(self, *, at_once: bool = False) -> None:
        """Read and serve it no more; `at_once` without the grace of clusters that leave."""
        for client in (self._current, self._pending):
            if client is not None:
                client.stop()
        self._context.registry.set_pending(self._name, "", UNKNOWN_SERVER)
        if self._current is not None:
            self._context.sink.report(ClusterRemoved(self._name, at_once=at_once))
        self._current = self._pending = None

    def _start(self) -> "_ClusterClient":
        kinds = frozenset(resources_to_watch(readiness=self._name not in self._context.without_readiness))
        registry = self._context.registry
        believed, remembered = registry.believed_uid(self._name), registry.remembered_uid(self._name)
        if believed and remembered and believed != remembered:
            self._context.sink.report(ClusterRemoved(self._name, at_once=True))
        self._context.sink.report(ClusterAdded(self._name, kinds, self._client_config.title))
        return self._new_client(buffering=False)

    def _new_client(self, *, buffering: bool) -> "_ClusterClient":
        return _ClusterClient(self, self._name, self._client_config, self._context, buffering=buffering)

    def _start_replacement(self, current: "_ClusterClient") -> None:
        """Begin to read with the current access, and serve what `current` knows until that is done."""
        if self._pending is not None:
            self._stop_pending()
        if current.buffer.is_complete:
            self._pending = self._new_client(buffering=True)
        else:
            current.stop()
            self._context.registry.set_uid(self._name, "", server_identity(self._client_config))
            self._context.sink.report(ClusterIdentified(self._name, ""))
            self._current = self._new_client(buffering=False)

    def _stop_pending(self) -> None:
        if self._pending is not None:
            self._pending.stop()
            self._context.registry.set_pending(self._name, "", UNKNOWN_SERVER)
        self._pending = None

    def on_complete(self, client: "_ClusterClient") -> None:
        """A client has listed everything."""
        if client is self._pending and self._current is not None:
            self._current.stop()
            self._current, self._pending = client, None
            self._context.registry.set_pending(self._name, "", UNKNOWN_SERVER)
            self._context.registry.set_uid(self._name, client.uid, server_identity(client.client_config))
            again = client.buffer.flush()
            _log.info("cluster %s is served by its new client", self._name)
            if again:
                client.timers.call_later(again, partial(self._relist, client))
        self._context.registry.mark_complete(self._name)

    def _relist(self, client: "_ClusterClient") -> None:
        """List all once more, as the sink wanted before it believes what the first lists lacked."""
        if client is self._current and self._pending is None:
            self._start_replacement(client)

    def on_identified(self, client: "_ClusterClient", uid: str) -> None:
        """A client knows which cluster answers. Raises `SourceError` where another one has a better claim to be it."""
        registry, server = self._context.registry, server_identity(client.client_config)
        if client is self._pending:
            registry.set_pending(self._name, uid, server)
            rival = registry.rival_of(self._name, pending=True)
        else:
            registry.set_uid(self._name, uid, server)
            rival = registry.rival_of(self._name)
        if rival != NO_NAME:
            raise SourceError(
                f"it says that it is the cluster {bounded_text(rival)} (UID {uid} of kube-system) from another server, "
                f"so that nothing of it is served; give the UID as clusters.<name>.uid of the one that is right"
            )

    def on_cluster_replaced(self, client: "_ClusterClient") -> None:
        """Another cluster answers to a client than before."""
        if client is self._current and self._pending is None:
            self._start_replacement(client)
        elif client is self._pending:
            self._stop_pending()
            if self._current is not None and self._current.client_config != self._client_config:
                self._start_replacement(self._current)


def _start_order(name: str, context: SourceContext) -> StartOrder:
    if name == context.registry.own:
        return StartOrder.OWN
    if context.is_named:
        return StartOrder.NAMED
    return StartOrder.REMEMBERED if context.registry.remembered_uid(name) else StartOrder.OTHER


class _ClusterClient:
    """One client that lists and watches a cluster."""

    def __init__(
        self, cluster: ClusterReader, name: str, client_config: ClientConfig, context: SourceContext, *, buffering: bool
    ) -> None:
        self.client_config = client_config
        self.timers = Timers()
        self.uid = ""
        self._resources = resources_to_watch(readiness=name not in context.without_readiness)
        self.buffer = SyncBuffer(
            context.sink, name, self._resources, buffering=buffering, on_complete=self._on_complete
        )
        self._end_turn: Callable[[], None] = lambda: None
        self._limits = context.limits
        self._order = _start_order(name, context)
        self._cluster = cluster
        self._name = name
        self._believed = context.registry.believed_uid(name)
        self._draw = context.draw
        self._clock = asyncio.get_running_loop().time
        self._start_delay = (_SWAP_SPREAD if buffering else _START_SPREAD) * context.draw()
        self._task = context.group.create_task(self._run(), name=f"cluster {name}")

    def stop(self) -> None:
        """Stop to read; nothing more is said."""
        self.timers.close()
        self.buffer.close()
        self._task.cancel()

    async def _run(self) -> None:
        """Read for ever; a fault of the client costs this cluster a pause, not the source."""
        with self.timers:
            await asyncio.sleep(self._start_delay)
            while True:
                try:
                    await self._follow_all()
                except* Exception as group:  # noqa: BLE001 — the border between clusters
                    error = group.exceptions[0]
                    _log.exception("cluster %s stopped; it is begun anew", self._name)
                    for kind in self._resources:
                        self.buffer.report(ReadFailed(self._name, kind, _fault_reason(error)))
                await asyncio.sleep(5 + 25 * self._draw())

    async def _follow_all(self) -> None:
        self._end_turn = await self._limits.queue.wait_turn(self._order)
        connection = ApiConnection(self.client_config, self._on_credential)
        open_lease = partial(self._limits.budget.lease, self._name)
        identified = VerifiedConnection(connection, self._check_uid, open_lease)
        gate = RequestGate(clock=self._clock, draw=self._draw)
        try:
            async with asyncio.TaskGroup() as group:
                for resource in self._resources.values():
                    task = self._follow_kind(resource, identified, gate)
                    group.create_task(task, name=f"cluster {self._name}: {resource.title}")
        finally:
            self._end_turn()
            await connection.close()

    def _on_complete(self) -> None:
        self._end_turn()
        self._cluster.on_complete(self)

    async def _follow_kind(self, resource: Resource, connection: VerifiedConnection, gate: RequestGate) -> None:
        """Follow one kind for ever; a fault in this program costs that kind a pause, not the process."""
        while True:
            reflector = Reflector(resource, cluster=self._name, sink=self.buffer, draw=self._draw)
            try:
                open_lease = partial(self._limits.budget.lease, self._name)
                await Follower(reflector, resource, connection, gate, self._clock, open_lease).run()
            except Exception as error:  # noqa: BLE001 — a fault of one kind must not end the others
                _log.exception("cluster %s: %s stopped; it is begun anew", self._name, resource.title)
                self.buffer.report(ReadFailed(self._name, resource.kind, _fault_reason(error)))
            await asyncio.sleep(5 + 25 * self._draw())

    def _on_credential(self, credential: Credential) -> None:
        """Report a credential; one of an auth provider is renewed each minute, whatever its expiry."""
        stated = replace(credential, expires_at=math.inf) if self.client_config.auth_provider else credential
        is_renewable = self.client_config.has_rotating_credentials
        self.buffer.report(CredentialsObtained(self._name, credential_expiry(stated), is_renewable))

    def _check_uid(self, uid: str) -> None:
        """Which cluster answers. Raises `SourceError` where nothing of it may count."""
        server = bounded_text(self.client_config.server)
        if self._believed and uid != self._believed:
            raise SourceError(
                f"another cluster answers at {server} (kube-system {uid or 'does not show its UID'}) than "
                f"clusters.<name>.uid says ({self._believed}); correct one of the two"
            )
        if self.uid and not uid:
            raise SourceError(
                f"the server {server} does not show any more which cluster it is (kube-system was {self.uid}); "
                "grant the verb list on namespaces by a ClusterRole"
            )
        if uid and uid != self.uid:
            if self.uid or self.buffer.has_lists:
                self.timers.call_soon(partial(self._cluster.on_cluster_replaced, self))
                raise SourceError(
                    f"another cluster answers at {server} (kube-system {uid}, not {self.uid or 'known before'}); its "
                    "names are served once all are read: wait, or correct the kubeconfig"
                )
            self._cluster.on_identified(self, uid)
            self.uid = uid
            self.buffer.report(ClusterIdentified(self._name, uid))
        elif uid:
            self._cluster.on_identified(self, uid)


def _fault_reason(error: BaseException) -> str:
    return f"{describe_error(error)}; report this with the log"
