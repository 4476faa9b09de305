"""The name table: every owner name known to the mesh and its answer, kept up to date change by change.

Rules:
- The outcome depends on the declarations alone, never on the order in which they arrived.
- A change recomputes the names that rest on it and no others; what a name read is recorded while it is computed.
- Nothing here does I/O or looks at a clock. `refresh` is where the work is done; everything before it only marks.
- What a cluster that waits touches is judged once, when its wait ends; until then it changes no other cluster's names.
- A name that cannot be computed costs only itself: it exists, its last answer stays, and `take_failures` tells of it.
"""

import math
from collections.abc import Iterator
from collections.abc import Set as AbstractSet
from typing import Final

import msgspec

from meshdns.dns import names
from meshdns.mesh.answer import Answer, AnswerKind, choose_answer
from meshdns.mesh.candidate_search import CandidateSearch
from meshdns.mesh.candidates import Level
from meshdns.mesh.entry_judge import EntryJudge
from meshdns.mesh.fair_timers import Owner, Owners
from meshdns.mesh.host_states import host_state
from meshdns.mesh.inventory import ClusterObjects, InvalidationSet, Inventory, ServiceKey
from meshdns.mesh.lookup_plan import gateway_owners
from meshdns.mesh.made_names import MadeNames
from meshdns.mesh.mesh_state import Dependency, MeshState, config_cluster_of, find_config_clusters
from meshdns.mesh.name_index import DependencyIndex, NameTree
from meshdns.mesh.objects.declarations import AnyDeclaration, EndpointSlice, ObjectKey, without_addresses
from meshdns.mesh.objects.foreign import describe_error
from meshdns.mesh.own_names import gateway_names
from meshdns.mesh.pod_names import PodNames
from meshdns.mesh.reachability import Reachability
from meshdns.mesh.reverse_zones import Pointer, ptr_targets
from meshdns.mesh.settings import AnswerMode, MeshSettings, MeshZone, StaticRecord
from meshdns.mesh.topology import Gateway, Topology, build_topology
from meshdns.mesh.visibility import can_give_derived_name, has_derived_names, parse_derived_pod, parse_derived_service
from meshdns.mesh.waiting_clusters import WaitingClusters

MAX_DEPTH: Final = 8
"""Names in our zones that lead to other names in our zones."""

MAX_LOOKUPS: Final = 64
"""Other names in our zones that one name may lead to, over all its endpoints."""

MAX_CHAIN_CANDIDATES: Final = 1024
"""Candidates of those names together, and names that they ask for; what is beyond is not looked up (PENDING)."""

_EMPTY: Final = Answer(AnswerKind.NODATA)
_OVER_BOUND: Final = Answer(AnswerKind.PENDING)
_PORTS_PER_CANDIDATE: Final = 16  # so many ports cost about as much as a candidate


class _NameChain:
    """Chain of names: the answers of the names that one name leads to, and how many candidates they took."""

    __slots__ = ("answers", "candidates")

    def __init__(self, name: str) -> None:
        self.answers: dict[str, Answer | None] = {name: None}
        self.candidates = 0

    @property
    def is_over_bound(self) -> bool:
        return len(self.answers) > MAX_LOOKUPS or self.candidates > MAX_CHAIN_CANDIDATES


class NameTable:
    """Names and answers of a mesh from one vantage."""

    def __init__(self, settings: MeshSettings) -> None:
        self.inventory = Inventory(settings)
        self.topology: Topology = build_topology(self.inventory)
        self._settings = settings
        self._records: dict[str, list[StaticRecord]] = {}
        for record in settings.records:
            self._records.setdefault(record.name, []).append(record)
        self._invalidated = InvalidationSet()
        self._waiting = WaitingClusters(self.inventory)
        self._dirty: set[str] = set(self._records)
        self._pending_names: set[str] = set()
        self._name_tree = NameTree()
        self._dependencies = DependencyIndex()
        self._pod_names = PodNames(settings)
        self._resolved: dict[str, tuple[str, ...]] = {}
        self._failing: set[str] = set()  # host names whose look-ups failed before any reply came
        self._unhealthy: set[tuple[str, int]] = set()
        self._config_clusters: dict[str, str] = {}
        self._gateway_names: dict[str, str] = {}  # names of the zones themselves, each with its cluster
        self._ptr_targets: dict[str, Pointer] = {}
        self._without_pod_addresses: set[str] = set()
        self._failed: set[str] = set()
        self._failures: dict[str, str] = {}
        self.topology_failure = ""
        """Why the topology could not be rebuilt, so that the one before is in force; empty where it could."""
        self.judged_candidates = 0
        """The work so far: candidates of names, with those that were looked at on the way to them."""
        self._state = self._current_state()
        self._judge = EntryJudge(self._state)

    def _current_state(self) -> MeshState:
        """The state as it is now."""
        return MeshState(
            self.inventory,
            self.topology,
            self._resolved,
            self._unhealthy,
            self._config_clusters,
            self._records,
            self._failing,
        )

    # ------------------------------------------------------------------------------------------ changes

    def upsert(self, cluster: str, declaration: AnyDeclaration) -> bool:
        """Add or replace a declaration; False where nothing changed."""
        self.add_cluster(cluster)
        stored = self.stored_form(cluster, declaration)
        if stored is not declaration and self.inventory.declares(cluster, declaration):
            return self._drop_addresses(cluster, stored)
        return self.inventory.upsert(cluster, stored, self._target(cluster))

    def _drop_addresses(self, cluster: str, stored: AnyDeclaration) -> bool:
        """Keep a slice without its addresses: only an endpoint that names the Service may have meant these."""
        touched = InvalidationSet()
        changed = self.inventory.upsert(cluster, stored, touched)
        for name, service in touched.services:
            self._dirty |= self._dependencies.dependents_of("service", name, *service)
        return changed

    def _target(self, cluster: str) -> InvalidationSet:
        """Where what `cluster` touches is noted."""
        return self._waiting.target(cluster, self._invalidated)

    def set_waiting_clusters(self, clusters: AbstractSet[str]) -> None:
        """Have the names of these clusters wait, and those of no others: see the rules above."""
        self._waiting.replace(clusters, self._invalidated)

    def own_clusters(self) -> tuple[str, ...]:
        """The own cluster and the one that governs it, as far as there are any."""
        own = self.inventory.clusters.get(self._settings.vantage_cluster)
        return (own.name, config_cluster_of(own, self.inventory)) if own is not None else ()

    def stored_form(self, cluster: str, declaration: AnyDeclaration) -> AnyDeclaration:
        """Return what is kept of a declaration; slices of a cluster without pod addresses keep only readiness."""
        if cluster in self._without_pod_addresses and isinstance(declaration, EndpointSlice):
            return without_addresses(declaration)
        return declaration

    def drop_pod_addresses(self, cluster: str) -> list[EndpointSlice]:
        """Stop keeping pod addresses of a cluster on another network; return the slices that must be put in again.

        Called when the cluster has been listed, so that its network is known. Where all networks are one
        (``answer: endpoints``) nothing is dropped; a ServiceEntry that alone says so by annotation gets gateways for
        ``cluster.local`` endpoints of such a cluster.
        """
        single_network = any(zone.answer is AnswerMode.ENDPOINTS for zone in self._settings.zones)
        if (
            single_network
            or cluster in self._waiting
            or cluster in self._without_pod_addresses
            or self._state.cluster_levels.get(cluster) is not Level.FAR_SERVICE
        ):
            return []
        self._without_pod_addresses.add(cluster)
        known = self.inventory.clusters[cluster].declarations.values()
        return [declaration for declaration in known if isinstance(declaration, EndpointSlice)]

    def needs_pod_addresses(self) -> bool:
        """Whether a cluster whose pod addresses were dropped is now on the own network, so that they are needed."""
        return any(
            self._state.cluster_levels.get(cluster) is not Level.FAR_SERVICE for cluster in self._without_pod_addresses
        )

    def remove(self, cluster: str, key: ObjectKey) -> bool:
        """Forget a declaration; False where it was not known."""
        return self.inventory.remove(cluster, key, self._target(cluster))

    def remove_cluster(self, cluster: str) -> None:
        """Forget a cluster."""
        self._without_pod_addresses.discard(cluster)
        self.inventory.remove_cluster(cluster, self._target(cluster))

    def add_cluster(self, cluster: str) -> None:
        """Add a cluster without declarations."""
        if cluster not in self.inventory.clusters:
            self.inventory.ensure_cluster(cluster)
            self._target(cluster).topology_changed = True

    def set_resolved_addresses(self, host: str, addresses: tuple[str, ...]) -> None:
        """Note what a host name resolves to; empty where it exists no more."""
        if self._resolved.get(host) != addresses:
            self._resolved[host] = addresses
            self._invalidate_host(host)

    def set_failing(self, host: str, *, failing: bool) -> None:
        """Note whether the look-ups of a host name fail; what it resolved to before is kept all the same."""
        if (host in self._failing) is not failing:
            (self._failing.add if failing else self._failing.discard)(host)
            if host not in self._resolved:
                self._invalidate_host(host)

    def _invalidate_host(self, host: str) -> None:
        self._invalidated.topology_changed = self._invalidated.topology_changed or host in self.topology.gateway_hosts
        self._dirty |= self._dependencies.dependents_of("resolved", host)

    def set_health(self, address: str, port: int, *, healthy: bool) -> None:
        """Note whether a gateway answers its probe; what was never probed counts as healthy."""
        if ((address, port) in self._unhealthy) is healthy:
            (self._unhealthy.discard if healthy else self._unhealthy.add)((address, port))
            self._dirty |= self._dependencies.dependents_of("health", address)

    # ------------------------------------------------------------------------------------------ results

    def refresh(self, limit: int | None = None, most_candidates: int | None = None) -> dict[str, Answer | None]:
        """The answers that may differ since the last call; None for owner names that no longer exist.

        Empty non-terminals come as answers without addresses (RFC 4592 section 2.2.2). With `limit` about so many names
        are judged, and no more once they had `most_candidates`; the others wait for the next call
        (`has_pending_names`): memory and time of one turn stay bounded. What changed since the last call comes first,
        as far as it is no more than `limit`.
        """
        touched, self._invalidated = self._invalidated, InvalidationSet()
        dirty, self._dirty = self._dirty, set()
        try:
            dirty |= self._invalidated_names(touched)
            if touched.topology_changed:
                dirty |= self._rebuild_topology()
            for name in list(dirty):
                dirty |= self._dependencies.dependents_of("name", name)
        except BaseException:
            touched.merge(self._invalidated)
            self._invalidated, self._dirty = touched, self._dirty | dirty
            raise
        changed: dict[str, Answer | None] = {}
        self._state = self._current_state()
        self._judge = EntryJudge(self._state)
        batch = self._take_batch(dirty, limit)
        end = math.inf if most_candidates is None else self.judged_candidates + most_candidates
        for done, name in enumerate(batch):
            if self.judged_candidates >= end:
                self._pending_names.update(batch[done:])
                break
            self._recompute_guarded(name, changed)
        return changed

    def _recompute_guarded(self, name: str, changed: dict[str, Answer | None]) -> None:
        self.judged_candidates += 1
        try:
            self._recompute(name, changed)
        except Exception as error:  # noqa: BLE001 — whatever it is costs this name alone
            self._failed.add(name)
            self._failures[name] = describe_error(error)
            zone = self._settings.zone_of(name)
            if zone is not None and name not in self._name_tree.names:
                changed.update(dict.fromkeys(self._name_tree.add(name, zone), _EMPTY))
        else:
            self._failed.discard(name)

    def take_failures(self) -> dict[str, str]:
        """Return and forget why names could not be computed since the last call."""
        taken, self._failures = self._failures, {}
        return taken

    def mark_failed(self, name: str) -> None:
        """Count a name as failed whose answer could not be used."""
        self._failed.add(name)

    def retry_failed(self) -> None:
        """Have the names that could not be computed, and the topology, computed again with the next `refresh`."""
        self._dirty |= self._failed
        self._invalidated.topology_changed = self._invalidated.topology_changed or bool(self.topology_failure)

    @property
    def has_failed(self) -> bool:
        """Whether there is anything to retry."""
        return bool(self._failed or self.topology_failure)

    def _take_batch(self, dirty: set[str], limit: int | None) -> list[str]:
        """Some of the names that are due; those of a small change first, so that it does not wait for a large one.

        A set that is all taken is left behind: taking on from it would be slow.
        """
        if limit is None or len(self._pending_names) + len(dirty) <= limit:
            taken, self._pending_names = [*dirty, *(self._pending_names - dirty)], set()
            return taken
        first = dirty if len(dirty) < limit else set[str]()
        self._pending_names |= dirty
        self._pending_names -= first
        most = min(limit - len(first), len(self._pending_names))
        return [*first, *(self._pending_names.pop() for _ in range(most))]

    @property
    def has_pending_names(self) -> bool:
        """Whether names are left to be judged."""
        return bool(self._pending_names)

    def is_declared(self, name: str) -> bool:
        """Whether `name` has an answer of its own, as of the last `refresh`."""
        return name in self._name_tree.names

    @property
    def hosts_to_resolve(self) -> AbstractSet[str]:
        """The host names that answers rest on and those of all gateways, to be resolved in the background."""
        return self._dependencies.hosts_to_resolve | self.topology.gateway_hosts.keys()

    def unresolved_hosts(self, name: str) -> tuple[str, ...]:
        """The host names that the answer of `name` rests on and that were not resolved yet."""
        read = self._dependencies.dependencies_of(name)
        return tuple(sorted(each[1] for each in read if each[0] == "resolved" and each[1] not in self._resolved))

    @property
    def hosts_to_resolve_version(self) -> int:
        """A number that differs after each change of `hosts_to_resolve`, but for those of the topology."""
        return self._dependencies.hosts_to_resolve_version

    def host_owners(self) -> dict[str, Owners]:
        """The host names to be resolved with their owners: gateways, which come first, and namespaces."""
        askers, gateways = self._dependencies.host_askers, gateway_owners(self.topology)
        return {
            host: (*gateways.get(host, ()), *(Owner(*asker) for asker in sorted(askers.get(host, ()))))
            for host in self.hosts_to_resolve
        }

    def probe_targets(self) -> dict[tuple[str, int], Owners]:
        """The addresses and ports of all gateways with their owners; host names by what they resolve to."""
        found: dict[tuple[str, int], dict[Owner, None]] = {}
        for gateway in self.topology.all_gateways():
            for text in self._resolved.get(gateway.address, (gateway.address,)):
                found.setdefault((text, gateway.port), {})[Owner(gateway.owner, gateway.origin)] = None
        return {target: tuple(owners) for target, owners in found.items()}

    def is_healthy(self, gateway: Gateway) -> bool | None:
        """Whether a gateway counts as healthy: one known by a host name while any of its addresses does.

        None for a host name without an address, which cannot be probed.
        """
        addresses = self.topology.state_of(gateway).addresses
        return any((address, gateway.port) not in self._unhealthy for address in addresses) if addresses else None

    # ------------------------------------------------------------------------------------------ what is dirty

    def _invalidated_names(self, invalidated: InvalidationSet) -> set[str]:
        for name, namespace in invalidated.workloads:
            cluster = self.inventory.clusters.get(name)
            for entry in cluster.selecting_entries.get(namespace, {}).values() if cluster is not None else ():
                self.inventory.invalidate_entry(name, entry, invalidated)
        dirty: set[str] = set()
        dirty.update(invalidated.hosts)
        covering = {host[2:] for host in invalidated.hosts if host.startswith("*.")}
        if covering:
            above = {*covering, *(each.partition(".")[2] for each in covering)}
            dirty.update(above & self._name_tree.names)  # for the names that they make (`MadeNames`)
            dirty.update(name for name in self._name_tree.names if not covering.isdisjoint(names.parents(name)))
            dirty.update(self._dependencies.dependents_below(covering))
        for service in {service for _, service in invalidated.services}:
            dirty.update(self._pod_names.names_of_service(service, self._declaring_clusters(service)))
        for name, service in invalidated.services:
            dirty |= self._dependencies.dependents_of("service", name, *service)
        return dirty

    def _declaring_clusters(self, service: ServiceKey) -> Iterator[ClusterObjects]:
        """The clusters that have a Service, or a ServiceEntry for its svc host."""
        return (self.inventory.clusters[name] for name in self.inventory.clusters_by_service.get(service, ()))

    def _rebuild_topology(self) -> set[str]:
        """Rebuild the topology; return the names that rest on what changed in it."""
        before = self.topology
        try:
            self.topology = build_topology(self.inventory, lambda host: host_state(host, self._resolved, self._failing))
        except Exception as error:  # noqa: BLE001 — whatever it is: names are still judged, by the topology before
            self.topology_failure = describe_error(error)
            return set()
        self.topology_failure = ""
        governed, self._config_clusters = self._config_clusters, find_config_clusters(self.inventory)
        own, pointers = self._gateway_names, self._ptr_targets
        self._gateway_names = gateway_names(self._waiting.read_clusters(own.values()), self._settings)
        self._ptr_targets = ptr_targets(self.topology, self._resolved, self._gateway_names, self._settings)
        dirty = {name for name, _ in pointers.items() ^ self._ptr_targets.items()}
        dirty.update(name for name, _ in own.items() ^ self._gateway_names.items())
        moved = before.changed_networks(self.topology)
        if (before.vantage_network, governed) != (self.topology.vantage_network, self._config_clusters):
            dirty |= self._name_tree.names | self._records.keys() | self._ptr_targets.keys()
            dirty |= self._gateway_names.keys()
            moved = set(self.inventory.clusters)
        touched = InvalidationSet()
        for cluster in moved:
            if cluster not in self._waiting:
                self.inventory.invalidate_cluster(cluster, touched)
        dirty |= self._invalidated_names(touched)
        for address in before.addresses_of_clusters(moved) | self.topology.addresses_of_clusters(moved):
            dirty |= self._dependencies.dependents_of("address", address)
        for cluster in before.changed_gateways(self.topology):
            dirty |= self._dependencies.dependents_of("gateways", cluster)
        for network in before.changed_network_gateways(self.topology):
            dirty |= self._dependencies.dependents_of("network", network)
        for cluster in before.changed_passthrough(self.topology):
            dirty |= self._dependencies.dependents_of("passthrough", cluster)
        for address in before.changed_gateway_addresses(self.topology):
            dirty |= self._dependencies.dependents_of("address", address)
        return dirty

    # ------------------------------------------------------------------------------------------ one name

    def _recompute(self, name: str, changed: dict[str, Answer | None]) -> None:
        zone = self._settings.zone_of(name)
        if zone is None:
            return
        reads: set[Dependency] = set()
        chain = _NameChain(name)
        answer = self._compute_answer(name, zone, reads, chain, depth=0) if self._has_declaration(name, zone) else None
        self._dependencies.record(name, reads)
        if answer is not None:
            changed[name] = answer
            if name not in self._name_tree.names:
                self._pod_names.track(name, zone, exists=True)
                changed.update(dict.fromkeys(self._name_tree.add(name, zone), _EMPTY))
        elif name in self._name_tree.names:
            self._pod_names.track(name, zone, exists=False)
            changed.update(dict.fromkeys(self._name_tree.remove(name, zone), None))
            changed[name] = _EMPTY if self._name_tree.is_ancestor(name) else None

    def _compute_answer(
        self, name: str, zone: MeshZone, dependencies: set[Dependency], chain: _NameChain, depth: int
    ) -> Answer:
        reachability = Reachability(
            name, self._state, dependencies, lambda host: self._lookup(host, dependencies, chain, depth + 1)
        )
        made_names = MadeNames(name, zone, self._state, dependencies)
        policy = made_names.selection_policy()
        before = self._judge.calls
        search = CandidateSearch(self._state, self._judge, reachability, dependencies, zone)
        owner = self._gateway_names.get(name, "")
        answer = choose_answer(search.own_name_steps(name, owner) if owner else search.steps(name), policy)
        if owner:  # no further names are made of it, and no wildcard covers it
            answer = msgspec.structs.replace(answer, level=answer.level or Level.ZONE, parts=(), services=())
        found = len(answer.candidates)
        ports = sum(len(candidate.ports) for candidate in answer.candidates)
        chain.candidates += found if depth else 0
        self.judged_candidates += found + ports // _PORTS_PER_CANDIDATE + self._judge.calls - before
        others = [record for record in self._records.get(name, ()) if not record.is_address]
        if others and answer.level is None:
            answer = msgspec.structs.replace(answer, level=Level.STATIC)
        if not others and name in self._ptr_targets:
            pointer = self._ptr_targets[name]
            others = [StaticRecord(name, "PTR", pointer.target, zone.ttl)]
            answer = msgspec.structs.replace(answer, clusters=(pointer.cluster,))
        return msgspec.structs.replace(answer, records=tuple(others)) if others else answer

    def _lookup(self, host: str, dependencies: set[Dependency], chain: _NameChain, depth: int) -> Answer | None:
        """The answer of another name in our zones, exact or by the longest wildcard that covers it.

        Each name is computed once for the name that leads there, a circle ends where it began, and the chain has a
        bound: a user who may write ServiceEntries cannot make this take long.
        """
        zone = self._settings.zone_of(host)
        if zone is None or depth > MAX_DEPTH:
            return None
        seen = chain.answers
        chain.candidates += depth > 1
        if host not in seen:
            if chain.is_over_bound:
                return _OVER_BOUND
            seen[host] = None
            inside = (parent for parent in names.parents(host) if names.is_subdomain(parent, zone.name))
            covering = (host, *(f"*.{parent}" for parent in inside))
            name = next((name for name in covering if self._has_declaration(name, zone)), None)
            seen[host] = self._compute_answer(name, zone, dependencies, chain, depth) if name is not None else None
        return seen[host]

    def _has_declaration(self, name: str, zone: MeshZone) -> bool:
        """Whether any level declares exactly this owner name."""
        if name in self.inventory.entries_by_host or name in self._records or name in self._ptr_targets:
            return True
        if name in self._gateway_names:
            return True
        service = parse_derived_service(name, zone.services_domain)
        if service is not None:
            return any(self._has_derived_name(each, service, zone) for each in self._declaring_clusters(service))
        pod = parse_derived_pod(name, zone.services_domain) if not zone.fallback else None
        return pod is not None and any(self._has_pod(each, *pod, zone) for each in self._declaring_clusters(pod[0]))

    def _has_derived_name(self, cluster: ClusterObjects, service: ServiceKey, zone: MeshZone) -> bool:
        """Whether a cluster's Service, or a ServiceEntry for its svc host, gives it a derived name."""
        known = cluster.services.get(service)
        if known is not None and has_derived_names(known, cluster.settings, self._settings, zone):
            return True
        entries = cluster.entries_by_service.get(service, {}).values()
        return any(can_give_derived_name(entry, service, cluster.settings, self._settings, zone) for entry in entries)

    def _has_pod(self, cluster: ClusterObjects, service: ServiceKey, label: str, zone: MeshZone) -> bool:
        """Whether a headless Service of a cluster that is reached by address has a pod of that label."""
        known = cluster.services.get(service)
        if known is None or not known.headless or self._state.cluster_levels[cluster.name] is Level.FAR_SERVICE:
            return False
        if not has_derived_names(known, cluster.settings, self._settings, zone):
            return False
        return bool(cluster.pods_of(service).named(label))
