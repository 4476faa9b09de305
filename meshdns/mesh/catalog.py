"""The catalog: every owner name known to the mesh and its answer, kept up to date change by change.

Rules:
- The outcome depends on the declarations alone, never on the order in which they arrived.
- A change recomputes the names that rest on it and no others; what a name read is recorded while it is computed.
- Nothing here does I/O or looks at a clock. `refresh` is where the work is done; everything before it only marks.
"""

from collections.abc import Iterator
from collections.abc import Set as AbstractSet
from typing import Final

import msgspec

from meshdns.dns import names
from meshdns.mesh.answer import Answer, Outcome, Policy, choose
from meshdns.mesh.candidates import Level
from meshdns.mesh.declarations import AnyDeclaration, EndpointSlice, Key, readiness_alone
from meshdns.mesh.dependents import Dependents
from meshdns.mesh.inventory import Cluster, Inventory, ServiceKey, Touched
from meshdns.mesh.levels import Levels
from meshdns.mesh.reverse import reverse_names
from meshdns.mesh.settings import AnswerMode, MeshSettings, StaticRecord, Zone
from meshdns.mesh.sight import Sight
from meshdns.mesh.topology import Gateway, Topology, survey
from meshdns.mesh.tree import Tree
from meshdns.mesh.visibility import derived_pod, derived_service, exported, speaks_for
from meshdns.mesh.world import Read, World, governors

MAX_DEPTH: Final = 8
"""Names in our zones that lead to other names in our zones."""

_EMPTY: Final = Answer(Outcome.NODATA)


class Catalog:
    """Names and answers of a mesh from one vantage."""

    def __init__(self, settings: MeshSettings) -> None:
        self.inventory = Inventory(settings)
        self.topology: Topology = survey(self.inventory)
        self._settings = settings
        self._records: dict[str, list[StaticRecord]] = {}
        for record in settings.records:
            self._records.setdefault(record.name, []).append(record)
        self._pending = Touched()
        self._dirty: set[str] = set(self._records)
        self._due: set[str] = set()
        self._tree = Tree()
        self._dependents = Dependents()
        self._pods: dict[ServiceKey, set[str]] = {}
        self._resolved: dict[str, tuple[str, ...]] = {}
        self._unhealthy: set[tuple[str, int]] = set()
        self._governors: dict[str, str] = {}
        self._pointers: dict[str, str] = {}
        self._sealed: set[str] = set()
        self._world = self._look()

    def _look(self) -> World:
        """The state as it is now."""
        return World(self.inventory, self.topology, self._resolved, self._unhealthy, self._governors, self._records)

    # ------------------------------------------------------------------------------------------ changes

    def upsert(self, cluster: str, declaration: AnyDeclaration) -> bool:
        """Add or replace a declaration; False where nothing changed."""
        self.join_cluster(cluster)
        return self.inventory.upsert(cluster, self.kept(cluster, declaration), self._pending)

    def kept(self, cluster: str, declaration: AnyDeclaration) -> AnyDeclaration:
        """What is kept of a declaration: of a sealed cluster's EndpointSlices their readiness alone."""
        if cluster in self._sealed and isinstance(declaration, EndpointSlice):
            return readiness_alone(declaration)
        return declaration

    def seal(self, cluster: str) -> list[EndpointSlice]:
        """Keep no more pod addresses of a cluster on another network; returns the slices that must be put in again.

        Called when the cluster has been listed, so that its network is known. Where all networks are one
        (``answer: endpoints``) nothing is sealed; a ServiceEntry that alone says so by annotation gets gateways for
        ``cluster.local`` endpoints of such a cluster.
        """
        flat = any(zone.answer is AnswerMode.ENDPOINTS for zone in self._settings.zones)
        if flat or cluster in self._sealed or self._world.levels.get(cluster) is not Level.FAR_SERVICE:
            return []
        self._sealed.add(cluster)
        known = self.inventory.clusters[cluster].declarations.values()
        return [declaration for declaration in known if isinstance(declaration, EndpointSlice)]

    def misses_addresses(self) -> bool:
        """Whether a sealed cluster has come onto the own network: its addresses are needed and not there."""
        return any(self._world.levels.get(cluster) is not Level.FAR_SERVICE for cluster in self._sealed)

    def remove(self, cluster: str, key: Key) -> bool:
        """Forget a declaration; False where it was not known."""
        return self.inventory.remove(cluster, key, self._pending)

    def remove_cluster(self, cluster: str) -> None:
        """Forget a cluster."""
        self._sealed.discard(cluster)
        self.inventory.remove_cluster(cluster, self._pending)

    def join_cluster(self, cluster: str) -> None:
        """Make room for a cluster of which nothing is known yet."""
        if cluster not in self.inventory.clusters:
            self.inventory.cluster(cluster)
            self._pending.topology = True

    def set_resolved(self, host: str, addresses: tuple[str, ...]) -> None:
        """Note what a host name resolves to; empty where it exists no more."""
        if self._resolved.get(host) != addresses:
            self._resolved[host] = addresses
            self._pending.topology = self._pending.topology or host in self.topology.owners
            self._dirty |= self._dependents.of("resolved", host)

    def set_health(self, address: str, port: int, *, healthy: bool) -> None:
        """Note whether a gateway answers its probe; what was never probed counts as healthy."""
        if ((address, port) in self._unhealthy) is healthy:
            (self._unhealthy.discard if healthy else self._unhealthy.add)((address, port))
            self._dirty |= self._dependents.of("health", address)

    # ------------------------------------------------------------------------------------------ results

    def refresh(self, most: int | None = None) -> dict[str, Answer | None]:
        """The answers that may differ since the last call; None for owner names that no longer exist.

        Empty non-terminals come as answers without addresses (RFC 4592 section 2.2.2). With `most` about so many names
        are judged, and the others wait for the next call (`busy`): memory and time of one turn stay bounded. What
        changed since the last call comes first, as far as it is no more than `most`.
        """
        touched, self._pending = self._pending, Touched()
        dirty, self._dirty = self._dirty | self._names_touched(touched), set()
        if touched.topology:
            dirty |= self._resurvey()
        for name in list(dirty):
            dirty |= self._dependents.of("name", name)
        changed: dict[str, Answer | None] = {}
        self._world = self._look()
        for name in self._take(dirty, most):
            self._recompute(name, changed)
        return changed

    def _take(self, dirty: set[str], most: int | None) -> set[str]:
        """Some of the names that are due; those of a small change first, so that it does not wait for a large one.

        A set that is all taken is left behind: taking on from it would be slow.
        """
        if most is None or len(self._due) + len(dirty) <= most:
            taken, self._due = self._due | dirty, set()
            return taken
        first = dirty if len(dirty) < most else set[str]()
        self._due |= dirty
        self._due -= first
        return first | {self._due.pop() for _ in range(min(most - len(first), len(self._due)))}

    @property
    def busy(self) -> bool:
        """Whether names are left to be judged."""
        return bool(self._due)

    def known(self, name: str) -> bool:
        """Whether `name` has an answer of its own or is an empty non-terminal."""
        return name in self._tree

    def declares(self, name: str) -> bool:
        """Whether `name` has an answer of its own, as of the last `refresh`."""
        return name in self._tree.known

    @property
    def unresolved_hosts(self) -> AbstractSet[str]:
        """The host names that answers rest on, to be resolved in the background."""
        return self._dependents.hosts

    @property
    def unresolved_version(self) -> int:
        """Another number wherever `unresolved_hosts` changed."""
        return self._dependents.hosts_version

    def gateway_addresses(self) -> set[tuple[str, int]]:
        """The addresses and ports of all gateways, to be probed; host names by what they resolve to."""
        found = set()
        for gateways in (*self.topology.gateways.values(), *self.topology.leading.values()):
            for gateway in gateways.found:
                for text in self._resolved.get(gateway.address, (gateway.address,)):
                    found.add((text, gateway.port))
        return found

    def healthy(self, gateway: Gateway) -> bool:
        """Whether a gateway counts as healthy: one known by a host name while any of its addresses does."""
        addresses = self._resolved.get(gateway.address, ()) or (gateway.address,)
        return any((address, gateway.port) not in self._unhealthy for address in addresses)

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
                dirty.update(name for name in self._tree.known if name.endswith(host[1:]))
                dirty.update(self._dependents.of_names_below(host[1:]))
        for name, service in touched.services:
            dirty.update(self._names_of_service(service))
            dirty |= self._dependents.of("service", name, *service)
        return dirty

    def _names_of_service(self, service: ServiceKey) -> Iterator[str]:
        """The derived names of a Service: its own, and those of its pods now and before."""
        yield from self._pods.get(service, ())
        hostnames = {
            point.hostname
            for cluster in self.inventory.clusters.values()
            if (known := cluster.services.get(service)) is not None and known.headless
            for part in cluster.slices.get(service, {}).values()
            for point in part.endpoints
            if point.hostname
        }
        for zone in self._settings.zones:
            derived = f"{service[1]}.{service[0]}.{zone.services_at}"
            yield derived
            yield from (f"{hostname}.{derived}" for hostname in hostnames)

    def _resurvey(self) -> set[str]:
        """Take the topology anew; the names that rest on what changed in it."""
        before, self.topology = self.topology, survey(self.inventory)
        governed, self._governors = self._governors, governors(self.inventory)
        pointers, self._pointers = self._pointers, reverse_names(self.topology, self._resolved, self._settings)
        if (before.networks, before.vantage_network, governed) != (
            self.topology.networks,
            self.topology.vantage_network,
            self._governors,
        ):
            return self._tree.known | set(self._universe())
        dirty = {name for name, _ in pointers.items() ^ self._pointers.items()}
        for cluster in before.changed_gateways(self.topology):
            dirty |= self._dependents.of("gateways", cluster)
        for network in before.changed_leading(self.topology):
            dirty |= self._dependents.of("network", network)
        for cluster in before.changed_passages(self.topology):
            dirty |= self._dependents.of("passage", cluster)
        for address in before.changed_owners(self.topology):
            dirty |= self._dependents.of("address", address)
        return dirty

    def _universe(self) -> Iterator[str]:
        """Every name that some declaration or record could make known."""
        yield from self._records
        yield from self._pointers
        yield from self.inventory.hosts
        for cluster in self.inventory.clusters.values():
            for service in (*cluster.services, *cluster.service_hosts):
                yield from self._names_of_service(service)

    # ------------------------------------------------------------------------------------------ one name

    def _recompute(self, name: str, changed: dict[str, Answer | None]) -> None:
        zone = self._settings.zone_of(name)
        if zone is None:
            return
        reads: set[Read] = set()
        seen: dict[str, Answer | None] = {name: None}
        answer = self._answer(name, zone, reads, seen, depth=0) if self._declared(name, zone) else None
        self._dependents.rest(name, reads)
        if answer is not None:
            changed[name] = answer
            if name not in self._tree.known:
                self._note_pod(name, zone, known=True)
                changed.update(dict.fromkeys(self._tree.learn(name, zone), _EMPTY))
        elif name in self._tree.known:
            self._note_pod(name, zone, known=False)
            changed.update(dict.fromkeys(self._tree.forget(name, zone), None))
            changed[name] = _EMPTY if self._tree.is_ancestor(name) else None

    def _answer(self, name: str, zone: Zone, reads: set[Read], seen: dict[str, Answer | None], depth: int) -> Answer:
        sight = Sight(name, self._world, reads, lambda host: self._lookup(host, reads, seen, depth + 1))
        policy = Policy(zone.ttl, zone.order, zone.cross_levels)
        answer = choose(Levels(self._world, sight, zone).steps(name), policy)
        others = [record for record in self._records.get(name, ()) if not record.is_address]
        if others and answer.level is None:
            answer = msgspec.structs.replace(answer, level=Level.STATIC)
        if not others and name in self._pointers:
            others = [StaticRecord(name, "PTR", self._pointers[name], zone.ttl)]
        return msgspec.structs.replace(answer, records=tuple(others)) if others else answer

    def _lookup(self, host: str, reads: set[Read], seen: dict[str, Answer | None], depth: int) -> Answer | None:
        """The answer of another name in our zones, exact or by the longest wildcard that covers it.

        Each name is computed once for the name that leads there, and a circle ends where it began (`seen`): whoever may
        write ServiceEntries cannot make this take long.
        """
        zone = self._settings.zone_of(host)
        if zone is None or depth > MAX_DEPTH:
            return None
        if host not in seen:
            seen[host] = None
            covering = (host, *(f"*.{parent}" for parent in names.parents(host)))
            name = next((name for name in covering if self._declared(name, zone)), None)
            seen[host] = self._answer(name, zone, reads, seen, depth) if name is not None else None
        return seen[host]

    def _declared(self, name: str, zone: Zone) -> bool:
        """Whether any level declares exactly this owner name."""
        if name in self.inventory.hosts or name in self._records or name in self._pointers:
            return True
        clusters = self.inventory.clusters.values()
        service = derived_service(name, zone.services_at)
        if service is not None:
            return any(self._derives(cluster, service, zone) for cluster in clusters)
        pod = derived_pod(name, zone.services_at)
        return pod is not None and any(self._has_pod(cluster, *pod, zone) for cluster in clusters)

    def _derives(self, cluster: Cluster, service: ServiceKey, zone: Zone) -> bool:
        """Whether a cluster's Service, or a ServiceEntry for its svc host, gives it a derived name."""
        known = cluster.services.get(service)
        if known is not None and exported(known, cluster.settings, self._settings, zone):
            return True
        entries = cluster.service_hosts.get(service, {}).values()
        return any(speaks_for(entry, service, cluster.settings, self._settings, zone) for entry in entries)

    def _has_pod(self, cluster: Cluster, service: ServiceKey, hostname: str, zone: Zone) -> bool:
        """Whether a headless Service of a cluster that is reached by address has a pod of that host name."""
        known = cluster.services.get(service)
        if known is None or not known.headless or self._world.levels[cluster.name] is Level.FAR_SERVICE:
            return False
        if not exported(known, cluster.settings, self._settings, zone):
            return False
        slices = cluster.slices.get(service, {}).values()
        return any(point.hostname == hostname for part in slices for point in part.endpoints)

    def _note_pod(self, name: str, zone: Zone, *, known: bool) -> None:
        """Keep the pod names of each Service, which must be looked at again when its slices change."""
        pod = derived_pod(name, zone.services_at)
        if pod is None:
            return
        if known:
            self._pods.setdefault(pod[0], set()).add(name)
        else:
            self._pods.get(pod[0], set()).discard(name)
