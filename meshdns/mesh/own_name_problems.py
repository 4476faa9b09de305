"""Problems of declarations that claim, or would have, the zone's own name of the gateways of a cluster.

They show where the name is judged: which of these names exist depends on the clusters that are read. What claims the
other names of a zone is refused by itself (`meshdns.mesh.visibility`).
"""

from collections.abc import Iterator

from meshdns.mesh.answer import Answer
from meshdns.mesh.candidates import Level
from meshdns.mesh.inventory import ClusterObjects, Inventory
from meshdns.mesh.objects.declarations import ObjectKind, Service, ServiceEntry
from meshdns.mesh.objects.problems import Problem, ProblemKind
from meshdns.mesh.settings import MeshZone
from meshdns.mesh.visibility import can_give_derived_name, has_derived_names, parse_derived_service, parse_service_host

_HOST_ADVICE = "declare another host; only a static record may have this name"
_SERVICE_ADVICE = 'rename the Service or its namespace, or label it meshdns.io/export: "false"'


def own_name_problems(name: str, answer: Answer, inventory: Inventory) -> Iterator[tuple[str, Problem]]:
    """Return the problems of what claims `name`, if that is a name of the zone itself, each with its cluster."""
    zone = inventory.settings.zone_of(name)
    owner = next((each.cluster for each in answer.candidates if each.level is Level.ZONE), None)
    if owner is None or zone is None:
        return
    reason = f"{name} belongs to the zone itself, as the name of the gateways of cluster {owner}"
    for cluster in sorted(inventory.entries_by_host.get(name, {})):
        for entry in inventory.entries(name, cluster):
            field, where = entry.host_field(entry.hosts.index(name)) if name in entry.hosts else ("spec.hosts", "")
            yield cluster, _entry_problem(entry, field, where, reason)
    service = parse_derived_service(name, zone.services_domain)
    if service is not None:
        for _, objects in sorted(inventory.clusters.items()):
            yield from _derived_problems(
                objects, service, zone, inventory, f"would have {name}, which {reason[len(name) + 1 :]}"
            )


def _derived_problems(
    cluster: ClusterObjects, key: tuple[str, str], zone: MeshZone, inventory: Inventory, reason: str
) -> Iterator[tuple[str, Problem]]:
    """What would give the name as a derived one."""
    known = cluster.services.get(key)
    if known is not None and has_derived_names(known, cluster.settings, inventory.settings, zone):
        yield cluster.name, _service_problem(known, reason)
    for entry in cluster.entries_by_service.get(key, {}).values():
        if can_give_derived_name(entry, key, cluster.settings, inventory.settings, zone):
            hosts = [
                at for at, host in enumerate(entry.hosts) if parse_service_host(host, cluster.settings.domain) == key
            ]
            yield cluster.name, _entry_problem(entry, *entry.host_field(hosts[0]), reason)


def _entry_problem(entry: ServiceEntry, field: str, where: str, reason: str) -> Problem:
    kind = ObjectKind.SERVICE_ENTRY.value
    return Problem(ProblemKind.RESERVED_NAME, kind, entry.namespace, entry.name, field, reason, _HOST_ADVICE, where)


def _service_problem(service: Service, reason: str) -> Problem:
    kind = ObjectKind.SERVICE.value
    identity = (kind, service.namespace, service.name, "metadata.name")
    return Problem(ProblemKind.RESERVED_NAME, *identity, reason, _SERVICE_ADVICE, service.where)
