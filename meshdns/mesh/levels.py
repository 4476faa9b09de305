"""The candidates of a name, level by level, in the order in which levels may answer.

Exact names of levels 1 to 4, then the own cluster's wildcards (longest first), then exact names of levels 5 and 6, then
other clusters' wildcards. A wildcard owner name is asked in the same way, without the derived levels.
"""

from collections.abc import Iterator

from meshdns.dns import names
from meshdns.mesh.candidates import Candidate, Level, Reach, Rule
from meshdns.mesh.declarations import Endpoint, Resolution, ServiceEntry
from meshdns.mesh.inventory import Inventory, ServiceKey, age
from meshdns.mesh.settings import AnswerMode, Zone
from meshdns.mesh.sight import Claim, Sight
from meshdns.mesh.visibility import derived_service, exported, service_host, speaks_for

_DNS = (Resolution.DNS, Resolution.DNS_ROUND_ROBIN, Resolution.DYNAMIC_DNS)


class Levels:
    """The steps of one name, each a list of candidates."""

    def __init__(self, inventory: Inventory, sight: Sight, zone: Zone, vantage: str) -> None:
        self._inventory = inventory
        self._sight = sight
        self._zone = zone
        self._own = vantage

    def steps(self, name: str) -> list[list[Candidate]]:
        """All steps for `name`, which may be a wildcard owner name."""
        service = derived_service(name, self._zone.name)
        steps = [list(self._static(name)), list(self._entries(name, self._own, Level.OWN_ENTRY, service))]
        wildcards = [f"*.{parent}" for parent in names.parents(name.removeprefix("*."))]
        wildcards = [host for host in wildcards if self._in_zone(host)]
        own = [step for host in wildcards for step in self._own_wildcard(host, service)]
        if name.startswith("*."):
            return [*steps, *own, *self._remote([name, *wildcards], service)]
        return [
            *steps,
            list(self._own_service(service)),
            *self._remote([name], service),
            *own,
            *self._other_services(service),
            *self._remote(wildcards, service),
        ]

    def _own_wildcard(self, host: str, service: ServiceKey | None) -> Iterator[list[Candidate]]:
        """Levels 1 and 2 of a wildcard host."""
        yield list(self._static(host))
        yield list(self._entries(host, self._own, Level.OWN_ENTRY, service))

    def _in_zone(self, host: str) -> bool:
        return self._inventory.settings.zone_of(host) is self._zone

    def _static(self, name: str) -> Iterator[Candidate]:
        for record in self._inventory.settings.records:
            if record.name == name:
                yield Candidate(
                    Level.STATIC, "", "settings", "records", Rule.STATIC, record.address, Reach.OWN, ttl=record.ttl
                )

    def _remote(self, hosts: list[str], service: ServiceKey | None) -> Iterator[list[Candidate]]:
        """Level 4: for each host a step that all other clusters share."""
        for host in hosts:
            clusters = sorted(self._inventory.hosts.get(host, {}).keys() - {self._own})
            yield [c for cluster in clusters for c in self._entries(host, cluster, Level.REMOTE_ENTRY, service)]

    def _entries(self, host: str, cluster: str, level: Level, service: ServiceKey | None) -> Iterator[Candidate]:
        entries = list(self._inventory.entries(host, cluster))
        ttl = next((entry.ttl for entry in entries if entry.ttl >= 0), -1)
        mode = next((AnswerMode(entry.answer) for entry in entries if entry.answer), self._zone.answer)
        for entry in entries:
            if mode is AnswerMode.VIP and cluster == self._own:
                vips = list(self._vips(entry, host, level, ttl))
                if vips:
                    yield from vips
                    continue
            yield from self._entry(entry, host, cluster, level, service, flat=mode is AnswerMode.ENDPOINTS, ttl=ttl)

    def _entry(
        self,
        entry: ServiceEntry,
        host: str,
        cluster: str,
        level: Level,
        service: ServiceKey | None,
        *,
        flat: bool,
        ttl: int,
    ) -> Iterator[Candidate]:
        origin = f"ServiceEntry {entry.namespace}/{entry.name}"
        found = list(self._endpoints(entry, cluster))
        for field, endpoint in found:
            claim = Claim(level, cluster, origin, field, host, service, endpoint, entry.internal, flat, ttl)
            yield from self._sight.endpoint(claim)
        if not found and entry.selector is None and entry.resolution in (*_DNS, Resolution.NONE):
            # the host itself is what would be resolved: it counts where L declares it, elsewhere for nothing
            yield Candidate(level, cluster, origin, "spec.hosts", Rule.ITSELF, pending=cluster == self._own)

    def _endpoints(self, entry: ServiceEntry, cluster: str) -> Iterator[tuple[str, Endpoint]]:
        """The endpoints of an entry with their fields: written, selected, or real destinations of NONE."""
        for index, endpoint in enumerate(entry.endpoints):
            yield f"spec.endpoints[{index}]", endpoint
        if entry.selector is not None:
            wanted = set(entry.selector)
            workloads = self._inventory.cluster(cluster).workloads.get(entry.namespace, {})
            for name in sorted(workloads):
                if wanted and wanted <= set(workloads[name].labels):  # Istio: an empty selector selects nothing
                    yield f"WorkloadEntry {entry.namespace}/{name}", workloads[name].endpoint
        if entry.resolution is Resolution.NONE:
            for index, address in enumerate(entry.addresses):
                yield f"spec.addresses[{index}]", Endpoint(address, network=entry.network)

    def _vips(self, entry: ServiceEntry, host: str, level: Level, ttl: int) -> Iterator[Candidate]:
        allocated = [address for name, address in entry.allocated if name in ("", host)]
        for address in entry.addresses or allocated:
            origin = f"ServiceEntry {entry.namespace}/{entry.name}"
            yield Candidate(level, self._own, origin, "spec.addresses", Rule.VIP, address, Reach.OWN, ttl=ttl)

    # ------------------------------------------------------------------------------------------ derived names

    def _own_service(self, service: ServiceKey | None) -> Iterator[Candidate]:
        if service is not None and self._own:
            yield from self._derived(service, self._own)

    def _other_services(self, service: ServiceKey | None) -> Iterator[list[Candidate]]:
        """Levels 5 and 6."""
        if service is None:
            return
        others = [name for name in sorted(self._inventory.clusters) if name != self._own]
        for level in (Level.NEAR_SERVICE, Level.FAR_SERVICE):
            yield [
                c
                for cluster in others
                if self._sight.level_of(cluster) is level
                for c in self._derived(service, cluster)
            ]

    def _derived(self, key: ServiceKey, cluster: str) -> Iterator[Candidate]:
        """A cluster's Service for ``<service>.<namespace>.<zone>``, or the ServiceEntry for its svc host."""
        known = self._inventory.clusters.get(cluster)
        if known is None:
            return
        level = self._sight.level_of(cluster)
        service = known.services.get(key)
        is_exported = service is not None and exported(service, known.settings, self._inventory.settings, self._zone)
        if is_exported and (known.readiness(key).ready or key not in known.service_hosts):
            yield from self._sight.service(level, cluster, key, flat=self._zone.answer is AnswerMode.ENDPOINTS)
            return
        for entry in sorted(known.service_hosts.get(key, {}).values(), key=age):
            if speaks_for(entry, key, known.settings, self._inventory.settings, self._zone):
                host = f"{key[1]}.{key[0]}.svc.{known.settings.domain}"
                yield from self._own_entry(entry, host, cluster, level, key)

    def _own_entry(
        self, entry: ServiceEntry, host: str, cluster: str, level: Level, key: ServiceKey
    ) -> Iterator[Candidate]:
        """The endpoints of a ServiceEntry for a svc host; one that names its own host again says nothing."""
        origin = f"ServiceEntry {entry.namespace}/{entry.name}"
        for field, endpoint in self._endpoints(entry, cluster):
            if service_host(endpoint.address, self._inventory.cluster(cluster).settings.domain) != key:
                claim = Claim(level, cluster, origin, field, host, key, endpoint, entry.internal, ttl=entry.ttl)
                yield from self._sight.endpoint(claim)
