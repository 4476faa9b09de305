"""The catalog: every owner name known to the mesh and its answer, kept up to date change by change.

Rules:
- The outcome depends on the declarations alone, never on the order in which they arrived.
- A change recomputes the names that rest on it and no others; what a name read is recorded while it is computed.
- Nothing here does I/O or looks at a clock. `refresh` is where the work is done; everything before it only marks.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator

from meshdns.dns import names
from meshdns.mesh.answer import Answer, choose
from meshdns.mesh.declarations import AnyDeclaration, Key
from meshdns.mesh.inventory import Cluster, Inventory, ServiceKey, Touched
from meshdns.mesh.levels import Levels
from meshdns.mesh.settings import MeshSettings, Zone
from meshdns.mesh.sight import Read, Sight
from meshdns.mesh.topology import Topology, survey
from meshdns.mesh.visibility import derived_service, exported, speaks_for


class Catalog:
    """Names and answers of a mesh from one vantage."""

    def __init__(self, settings: MeshSettings) -> None:
        self.inventory = Inventory(settings)
        self.topology: Topology = survey(self.inventory)
        self._settings = settings
        self._pending = Touched()
        self._dirty: set[str] = {record.name for record in settings.records if settings.zone_of(record.name)}
        self._known: set[str] = set()
        self._below: Counter[str] = Counter()  # ancestors inside the zones → how many known names are below
        self._rests: dict[str, frozenset[Read]] = {}
        self._dependents: defaultdict[Read, set[str]] = defaultdict(set)

    # ------------------------------------------------------------------------------------------ changes

    def upsert(self, cluster: str, declaration: AnyDeclaration) -> bool:
        """Add or replace a declaration; False where nothing changed."""
        self.join_cluster(cluster)
        return self.inventory.upsert(cluster, declaration, self._pending)

    def remove(self, cluster: str, key: Key) -> bool:
        """Forget a declaration; False where it was not known."""
        return self.inventory.remove(cluster, key, self._pending)

    def remove_cluster(self, cluster: str) -> None:
        """Forget a cluster."""
        self.inventory.remove_cluster(cluster, self._pending)

    def join_cluster(self, cluster: str) -> None:
        """Make room for a cluster of which nothing is known yet."""
        if cluster not in self.inventory.clusters:
            self.inventory.cluster(cluster)
            self._pending.topology = True

    # ------------------------------------------------------------------------------------------ results

    def refresh(self) -> dict[str, Answer | None]:
        """The answers that may differ since the last call; None for owner names that no longer exist.

        Empty non-terminals come as answers without addresses (RFC 4592 section 2.2.2).
        """
        touched, self._pending = self._pending, Touched()
        dirty = self._dirty | self._names_touched(touched)
        self._dirty = set()
        if touched.topology:
            dirty |= self._resurvey()
        if touched.everything:
            dirty |= self._known | set(self._universe())
        changed: dict[str, Answer | None] = {}
        for name in dirty:
            self._recompute(name, changed)
        return changed

    def known(self, name: str) -> bool:
        """Whether `name` has an answer of its own or is an empty non-terminal."""
        return name in self._known or self._below[name] > 0

    # ------------------------------------------------------------------------------------------ what is dirty

    def _names_touched(self, touched: Touched) -> set[str]:
        for name, namespace in touched.workloads:
            cluster = self.inventory.clusters.get(name)
            for entry in cluster.selecting.get(namespace, {}).values() if cluster is not None else ():
                self.inventory.touch_entry(name, entry, touched)
        dirty: set[str] = set()
        for host in touched.hosts:
            dirty.add(host)
            if host.startswith("*."):
                dirty.update(name for name in self._known if name.endswith(host[1:]))
        for name, service in touched.services:
            dirty.update(self._names_of_service(service))
            dirty |= self._dependents.get(("service", name, *service), set())
        return dirty

    def _names_of_service(self, service: ServiceKey) -> Iterator[str]:
        for zone in self._settings.zones:
            yield f"{service[1]}.{service[0]}.{zone.name}"

    def _resurvey(self) -> set[str]:
        """Take the topology anew; the names that rest on what changed in it."""
        before, self.topology = self.topology, survey(self.inventory)
        if (before.networks, before.vantage_network) != (self.topology.networks, self.topology.vantage_network):
            return self._known | set(self._universe())
        dirty: set[str] = set()
        moved = before.changed_gateways(self.topology)
        for cluster in moved:
            dirty |= self._dependents.get(("gateways", cluster), set())
            dirty |= self._dependents.get(("network", self.topology.networks.get(cluster, "")), set())
        for address in before.changed_owners(self.topology):
            dirty |= self._dependents.get(("address", address), set())
        return dirty

    def _universe(self) -> Iterator[str]:
        """Every name that some declaration or record could make known."""
        yield from (record.name for record in self._settings.records)
        yield from self.inventory.hosts
        for cluster in self.inventory.clusters.values():
            for service in (*cluster.services, *cluster.service_hosts):
                yield from self._names_of_service(service)

    # ------------------------------------------------------------------------------------------ one name

    def _recompute(self, name: str, changed: dict[str, Answer | None]) -> None:
        zone = self._settings.zone_of(name)
        if zone is None:
            return
        if not self._declared(name, zone):
            self._rest(name, frozenset())
            if name in self._known:
                self._forget(name, changed)
            return
        reads: set[Read] = set()
        levels = Levels(
            self.inventory, Sight(self.inventory, self.topology, reads), zone, self._settings.vantage_cluster
        )
        answer = choose(levels.steps(name), ttl=zone.ttl)
        self._rest(name, frozenset(reads))
        changed[name] = answer
        if name not in self._known:
            self._learn(name, zone, changed)

    def _declared(self, name: str, zone: Zone) -> bool:
        """Whether any level declares exactly this owner name."""
        if name in self.inventory.hosts or any(record.name == name for record in self._settings.records):
            return True
        service = derived_service(name, zone.name)
        return service is not None and any(
            self._derives(cluster, service, zone) for cluster in self.inventory.clusters.values()
        )

    def _derives(self, cluster: Cluster, service: ServiceKey, zone: Zone) -> bool:
        """Whether a cluster's Service, or a ServiceEntry for its svc host, gives it a derived name."""
        known = cluster.services.get(service)
        if known is not None and exported(known, cluster.settings, self._settings, zone):
            return True
        entries = cluster.service_hosts.get(service, {}).values()
        return any(speaks_for(entry, service, cluster.settings, self._settings, zone) for entry in entries)

    def _rest(self, name: str, reads: frozenset[Read]) -> None:
        """Note what a name rests on now."""
        before = self._rests.pop(name, frozenset())
        for read in before - reads:
            dependents = self._dependents[read]
            dependents.discard(name)
            if not dependents:
                del self._dependents[read]
        for read in reads - before:
            self._dependents[read].add(name)
        if reads:
            self._rests[name] = reads

    def _learn(self, name: str, zone: Zone, changed: dict[str, Answer | None]) -> None:
        self._known.add(name)
        for parent in _ancestors(name, zone):
            self._below[parent] += 1
            if self._below[parent] == 1 and parent not in self._known:
                changed[parent] = _EMPTY

    def _forget(self, name: str, changed: dict[str, Answer | None]) -> None:
        zone = self._settings.zone_of(name)
        self._known.discard(name)
        changed[name] = _EMPTY if self._below[name] else None
        for parent in _ancestors(name, zone) if zone is not None else ():
            self._below[parent] -= 1
            if not self._below[parent]:
                del self._below[parent]
                if parent not in self._known:
                    changed[parent] = None


_EMPTY = choose((), ttl=0)


def _ancestors(name: str, zone: Zone) -> Iterable[str]:
    """The names between `name` and the apex of its zone, both left out."""
    for parent in names.parents(name):
        if parent == zone.name:
            return
        yield parent
