"""The candidates of a name, level by level, in the order in which levels may answer.

Exact names of levels 1 to 4, then the own cluster's wildcards (longest first), then exact names of levels 5 and 6, then
other clusters' wildcards. A wildcard owner name is asked in the same way, without the derived levels.
"""

from collections.abc import Iterator
from itertools import islice

import msgspec

from meshdns.dns import names
from meshdns.mesh.addresses import is_servable_vip
from meshdns.mesh.candidates import Candidate, EndpointRule, Level, Reach
from meshdns.mesh.declared_endpoint import DeclaredEndpoint
from meshdns.mesh.endpoint_list import MAX_CANDIDATES, judged_ports
from meshdns.mesh.entry_judge import EntryJudge, JudgedEntry
from meshdns.mesh.inventory import ServiceKey, creation_order
from meshdns.mesh.mesh_state import Dependency, MeshState
from meshdns.mesh.objects.declarations import Endpoint, Resolution, Service, ServiceEntry
from meshdns.mesh.objects.references import (
    ADDRESSES_FIELD,
    ENDPOINTS_FIELD,
    HOSTS_FIELD,
    RECORDS_FIELD,
    SELECTOR_FIELD,
    SETTINGS,
    FieldRef,
    ref_of,
)
from meshdns.mesh.reachability import Reachability
from meshdns.mesh.settings import AnswerMode, MeshZone
from meshdns.mesh.visibility import (
    can_give_derived_name,
    has_derived_names,
    parse_derived_pod,
    parse_derived_service,
    parse_service_host,
)

_SELF_LACKS = {
    True: "the host itself would have to be resolved; add an endpoint, or a forward zone for it",
    False: "no endpoints, and the host itself is for another cluster to resolve",
}
"""What an entry without endpoints lacks, by whether it is the own cluster's."""

_RESOLVING = (Resolution.DNS, Resolution.DNS_ROUND_ROBIN, Resolution.DYNAMIC_DNS, Resolution.NONE)


class CandidateSearch:
    """The steps of one name, each a list of candidates."""

    def __init__(
        self,
        state: MeshState,
        judge: EntryJudge,
        reachability: Reachability,
        dependencies: set[Dependency],
        zone: MeshZone,
    ) -> None:
        self._state = state
        self._judge = judge
        self._dependencies = dependencies
        self._inventory = state.inventory
        self._settings = state.inventory.settings
        self._reachability = reachability
        self._zone = zone
        self._own_cluster = state.topology.vantage

    def steps(self, name: str) -> list[list[Candidate]]:
        """All steps for `name`, which may be a wildcard owner name."""
        service = parse_derived_service(name, self._zone.services_domain)
        exact = [list(self._static(name)), list(self._own_entries(name, service))]
        if self._zone.fallback:
            return [
                *exact,
                list(self._own_service(service)),
                *self._remote_entries([name], service),
                *self._other_services(service),
            ]
        parents = () if self._zone.closest_encloser else names.parents(name.removeprefix("*."))
        wildcards = [host for host in (f"*.{parent}" for parent in parents) if self._is_declared(host)]
        own = [
            step for host in wildcards for step in (list(self._static(host)), list(self._own_entries(host, service)))
        ]
        if name.startswith("*."):
            return [*exact, *own, *self._remote_entries([name, *wildcards], service)]
        return [
            *exact,
            list(self._own_service(service)),
            *self._pods(name),
            *self._remote_entries([name], service),
            *own,
            *self._other_services(service),
            *self._remote_entries(wildcards, service),
        ]

    def own_name_steps(self, name: str, cluster: str) -> list[list[Candidate]]:
        """The steps of the zone's own name of the gateways of `cluster`: a static record may claim it, nothing else."""
        return [list(self._static(name)), list(self._reachability.gateway_name_candidates(cluster))]

    def _is_declared(self, host: str) -> bool:
        """Whether anybody declares this host in the zone."""
        known = host in self._inventory.entries_by_host or host in self._state.records
        return known and self._settings.zone_of(host) is self._zone

    # ------------------------------------------------------------------------------------------ declared names

    def _static(self, name: str) -> Iterator[Candidate]:
        for record in self._state.records.get(name, ()):
            if record.is_address:
                yield Candidate(
                    Level.STATIC,
                    "",
                    SETTINGS,
                    FieldRef(RECORDS_FIELD),
                    EndpointRule.STATIC,
                    record.value,
                    Reach.OWN,
                    ttl=record.ttl,
                )

    def _own_entries(self, host: str, service: ServiceKey | None) -> Iterator[Candidate]:
        """Level 2: the ServiceEntries of the own cluster, and of the one that governs it."""
        for cluster in sorted(self._inventory.entries_by_host.get(host, {})):
            if self._state.is_own(cluster):
                yield from islice(self._cluster_entries(host, cluster, Level.OWN_ENTRY, service), MAX_CANDIDATES)

    def _remote_entries(self, hosts: list[str], service: ServiceKey | None) -> Iterator[list[Candidate]]:
        """Level 4: for each host a step that all other clusters share."""
        for host in hosts:
            clusters = [
                name for name in sorted(self._inventory.entries_by_host.get(host, {})) if not self._state.is_own(name)
            ]
            yield [
                candidate
                for cluster in clusters
                for candidate in islice(
                    self._cluster_entries(host, cluster, Level.REMOTE_ENTRY, service), MAX_CANDIDATES
                )
            ]

    def _cluster_entries(
        self, host: str, cluster: str, level: Level, service: ServiceKey | None
    ) -> Iterator[Candidate]:
        """All ServiceEntries of one cluster for one host; where they contradict, the oldest wins."""
        entries = list(self._inventory.entries(host, cluster))
        ttl = next((entry.ttl for entry in entries if entry.ttl >= 0), -1)
        mode = next((AnswerMode(entry.answer) for entry in entries if entry.answer), self._zone.answer)
        for entry in entries:
            if mode is AnswerMode.VIP and level is Level.OWN_ENTRY:
                vips = list(self._vips(entry, host, cluster, ttl))
                yield from vips
                if any(each.address for each in vips):
                    continue
            yield from self._entry_candidates(
                entry, host, cluster, level, service, single_network=mode is AnswerMode.ENDPOINTS, ttl=ttl
            )

    def _entry_candidates(
        self,
        entry: ServiceEntry,
        host: str,
        cluster: str,
        level: Level,
        service: ServiceKey | None,
        *,
        single_network: bool,
        ttl: int,
    ) -> Iterator[Candidate]:
        judged = self._judge.judge(entry, cluster, level, single_network=single_network, ttl=ttl)
        yield from self._judged_candidates(judged, host, service)
        if entry.has_unread_endpoints:
            yield _unread_endpoints(entry, host, cluster, level)
        if judged.endpoints or entry.has_unread_endpoints:
            return
        if entry.selector is not None or entry.resolution not in _RESOLVING:
            yield _without_endpoints(entry, host, cluster, level)
        else:
            # the host itself is what would be resolved: it counts where L declares it, elsewhere for nothing
            own = level is Level.OWN_ENTRY
            forwarded = own and (
                self._zone.fallthrough
                or any(names.is_subdomain(self._zone.name, zone) for zone in self._settings.forward_zones)
            )
            yield Candidate(
                level,
                cluster,
                ref_of(entry),
                FieldRef(HOSTS_FIELD),
                EndpointRule.SELF_REFERENCE,
                pending=own and not forwarded,
                forwarded=forwarded,
                host=host,
                lack=_SELF_LACKS[own],
            )

    def _judged_candidates(
        self, judged: JudgedEntry, host: str, service: ServiceKey | None, *, without: ServiceKey | None = None
    ) -> Iterator[Candidate]:
        """What the endpoints of an entry are for one of its hosts; not those for the Service `without` itself."""
        self._dependencies |= judged.dependencies
        for declared, candidates in judged.endpoints:
            if without is not None:
                domain = self._inventory.ensure_cluster(declared.cluster).settings.domain
                if parse_service_host(declared.endpoint.address, domain) == without:
                    continue
            if candidates is None:
                for_host = msgspec.structs.replace(declared, host=host, service=service)
                yield from self._reachability.endpoint_candidates(for_host)
            else:
                yield from self._reachability.candidates_for_host(candidates, host)

    def _vips(self, entry: ServiceEntry, host: str, cluster: str, ttl: int) -> Iterator[Candidate]:
        """The virtual addresses of an entry; those that mean nothing have candidates without address."""
        allocated = [address for name, address in entry.status_addresses if name in ("", host)]
        for address in entry.addresses or allocated:
            served = is_servable_vip(address)
            yield Candidate(
                Level.OWN_ENTRY,
                cluster,
                ref_of(entry),
                FieldRef(ADDRESSES_FIELD),
                EndpointRule.VIP if served else EndpointRule.NEVER_SERVED,
                address if served else "",
                Reach.OWN,
                ttl=ttl,
                host=host,
            )

    # ------------------------------------------------------------------------------------------ derived names

    def _own_service(self, service: ServiceKey | None) -> Iterator[Candidate]:
        if service is not None and self._own_cluster:
            yield from islice(self._service_candidates(service, self._own_cluster), MAX_CANDIDATES)

    def _other_services(self, service: ServiceKey | None) -> Iterator[list[Candidate]]:
        """Levels 5 and 6."""
        if service is None:
            return
        declaring = self._inventory.clusters_by_service.get(service, ())
        for level in (Level.NEAR_SERVICE, Level.FAR_SERVICE):
            yield [
                found
                for name in declaring
                if self._state.cluster_levels[name] is level
                for found in islice(self._service_candidates(service, name), MAX_CANDIDATES)
            ]

    def _service_candidates(self, key: ServiceKey, cluster: str) -> Iterator[Candidate]:
        """A cluster's Service for ``<service>.<namespace>.<zone>``, or the ServiceEntry for its svc host."""
        known = self._inventory.clusters.get(cluster)
        if known is None or (key not in known.services and key not in known.entries_by_service):
            return
        level = self._state.cluster_levels[cluster]
        is_exported = self._exported_service(key, cluster) is not None
        found = False
        if not is_exported or not known.readiness(key).ready:
            for entry in sorted(known.entries_by_service.get(key, {}).values(), key=creation_order):
                if can_give_derived_name(entry, key, known.settings, self._settings, self._zone):
                    for candidate in self._svc_host_entry(entry, cluster, level, key, says_nothing=is_exported):
                        found = True
                        yield candidate
        if is_exported and not found:
            yield from self._reachability.service_candidates(
                level, cluster, key, single_network=self._zone.answer is AnswerMode.ENDPOINTS
            )

    def _svc_host_entry(
        self, entry: ServiceEntry, cluster: str, level: Level, key: ServiceKey, *, says_nothing: bool
    ) -> Iterator[Candidate]:
        """The endpoints of a ServiceEntry for a svc host.

        One without endpoints, or that names its own host again, yields nothing if the Service may speak
        (`says_nothing`), else the reason.
        """
        domain = self._inventory.ensure_cluster(cluster).settings.domain
        host = f"{key[1]}.{key[0]}.svc.{domain}"
        judged = self._judge.judge(entry, cluster, level, ttl=entry.ttl)
        found = False
        for candidate in self._judged_candidates(judged, host, key, without=key):
            found = True
            yield candidate
        if entry.has_unread_endpoints:
            yield _unread_endpoints(entry, host, cluster, level)
        elif not found and not says_nothing:
            yield _without_endpoints(entry, host, cluster, level)

    def _pods(self, name: str) -> Iterator[list[Candidate]]:
        """Pods of headless Services by their label: the own cluster's, then those on the own network."""
        pod = parse_derived_pod(name, self._zone.services_domain)
        if pod is None:
            return
        key, label = pod
        declaring = self._inventory.clusters_by_service.get(key, ())
        for level in (Level.OWN_SERVICE, Level.NEAR_SERVICE):
            yield [
                candidate
                for cluster in declaring
                if self._state.cluster_levels[cluster] is level
                for candidate in self._pod_candidates(cluster, level, key, label)
            ]

    def _pod_candidates(self, cluster: str, level: Level, key: ServiceKey, label: str) -> Iterator[Candidate]:
        service = self._exported_service(key, cluster)
        if service is None or not service.headless:
            return
        declared = DeclaredEndpoint(
            level, cluster, ref_of(service), FieldRef(label), key, Endpoint(""), ports=service.ports
        )
        reach = Reach.OWN if level is Level.OWN_SERVICE else Reach.DIRECT
        known = self._inventory.clusters[cluster]
        pods = len(known.readiness(key).addresses)  # each of which may have a name, and all these ports
        for point, ports in islice(known.pods_of(key).named(label), MAX_CANDIDATES):
            numbers = judged_ports(ports, pods)
            yield declared.pod_candidate(point.address, EndpointRule.PODS, reach, numbers, ready=point.ready)

    def _exported_service(self, key: ServiceKey, cluster: str) -> Service | None:
        known = self._inventory.clusters.get(cluster)
        service = known.services.get(key) if known is not None else None
        if known is None or service is None:
            return None
        return service if has_derived_names(service, known.settings, self._settings, self._zone) else None


def _unread_endpoints(entry: ServiceEntry, host: str, cluster: str, level: Level) -> Candidate:
    """The candidate for all endpoints of an entry that cannot be read: they are endpoints, none of them usable."""
    number = entry.unread_endpoints
    lack = f"{number} of its endpoints cannot be read" if number > 1 else "an endpoint cannot be read"
    field = FieldRef(ENDPOINTS_FIELD)
    return Candidate(level, cluster, ref_of(entry), field, EndpointRule.UNREADABLE, host=host, lack=lack)


def _without_endpoints(entry: ServiceEntry, host: str, cluster: str, level: Level) -> Candidate:
    """The candidate of an entry without a single endpoint that is judged: no address, and why."""
    field = ENDPOINTS_FIELD
    if entry.endpoints:
        lack = "its only endpoint is the host itself"
    elif entry.selector is not None:
        field, lack = SELECTOR_FIELD, "its workloadSelector selects nothing"
    elif entry.addresses or entry.status_addresses:
        lack = "it has no endpoints, only virtual addresses"
    else:
        lack = "it has no endpoints"
    return Candidate(level, cluster, ref_of(entry), FieldRef(field), EndpointRule.NO_ENDPOINTS, host=host, lack=lack)
