"""Claims: a ServiceEntry begins to declare a name that another cluster or namespace declared already.

It is an attack as often as an accident, so it is told when it begins, and shown for as long as both declare the name.

Rules:
- A claimant is a cluster and a namespace. One that declares a name already begins no claim of it.
- Only what is served counts: hosts in the configured zones that their declaration may speak for.
- A name is held by ServiceEntries for it and by Services that have it as a derived name. Services begin no claims: of
  one name in one namespace they are the same Service in all clusters.
- Nothing is a claim that is there when a cluster is first read: all that was declared before arrives together then.
- Of each claimant `MAX_CLAIMS` claims are shown; all are counted.
"""

import itertools
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple

from meshdns.mesh.inventory import Inventory, ServiceKey
from meshdns.mesh.objects.declarations import AnyDeclaration, ObjectKey, ObjectKind, ServiceEntry, key_of
from meshdns.mesh.objects.foreign import MAX_SHOWN, bounded_text
from meshdns.mesh.objects.problems import Problem, ProblemKind, object_cause
from meshdns.mesh.objects.references import HOSTS_FIELD, ObjectRef
from meshdns.mesh.visibility import (
    can_give_derived_name,
    has_derived_names,
    parse_derived_service,
    parse_service_host,
    served_hosts,
)

MAX_CLAIMS: Final = 100
_MAX_DECLARING: Final = 256
"""Objects that declare one name of which it is looked who holds it."""

ClusterObject = tuple[str, ObjectKey]
"""An object with its cluster."""


class Claim(NamedTuple):
    """A name that `claimant` began to declare while `holder` declared it."""

    name: str
    claimant: ClusterObject
    holder: ClusterObject

    @property
    def is_between_clusters(self) -> bool:
        """Whether another cluster claims the name, and not another namespace of its cluster."""
        return self.claimant[0] != self.holder[0]

    def __str__(self) -> str:
        """Text for a log line."""
        return f"{bounded_text(self.name)}, of {_text(self.holder)}, is now declared by {_text(self.claimant)}, too"


class ClaimIndex:
    """Claims that have begun and have not ended."""

    def __init__(self, inventory: Inventory) -> None:
        self._inventory = inventory
        self._claims: dict[Claim, None] = {}
        self._by_object: dict[ClusterObject, dict[Claim, None]] = {}
        self._counts: Counter[tuple[str, str]] = Counter()
        self.version = 0  # another one whenever the claims changed

    def find_new(self, cluster: str, declaration: AnyDeclaration) -> list[Claim]:
        """Return the claims that begin if `declaration` replaces what the inventory has of its object."""
        if not isinstance(declaration, ServiceEntry):
            return []
        before = self._find((cluster, key_of(declaration)))
        known = set(self._names(cluster, before)) if isinstance(before, ServiceEntry) else set()
        claimant = (cluster, key_of(declaration))
        return [
            Claim(name, claimant, holder)
            for name in dict.fromkeys(self._names(cluster, declaration))
            if name not in known and (holder := self._holder(name, claimant)) is not None
        ]

    def add(self, claims: Iterable[Claim]) -> None:
        """Show claims from now on, as far as their claimants have not too many."""
        for claim in claims:
            claimant = _claimant_key(claim)
            if claim not in self._claims and self._counts[claimant] < MAX_CLAIMS:
                self._claims[claim] = None
                self._counts[claimant] += 1
                for each in (claim.claimant, claim.holder):
                    self._by_object.setdefault(each, {})[claim] = None
                self.version += 1

    def update(self, cluster: str, key: ObjectKey) -> None:
        """End the claims that a changed or removed object no longer makes or no longer suffers."""
        claims = list(self._by_object.get((cluster, key), ()))
        if claims:
            declaration = self._find((cluster, key))
            names = set(self._names(cluster, declaration)) if isinstance(declaration, ServiceEntry) else set()
            for claim in claims:
                if claim.name not in names and (cluster, key) not in self._services(claim.name):
                    self._end(claim)

    def restore(self, problems: Iterable[tuple[str, Problem]]) -> None:
        """Show the claims again that an earlier process stored as problems, as far as they are still there."""
        stored = {(cluster, problem.namespace, problem.name, problem.reason) for cluster, problem in problems}
        for cluster, namespace, name in sorted({each[:3] for each in stored}):
            declaration = self._find((cluster, (ObjectKind.SERVICE_ENTRY, namespace, name)))
            if isinstance(declaration, ServiceEntry):
                claimant = (cluster, key_of(declaration))
                for host in self._names(cluster, declaration):
                    found = [Claim(host, claimant, holder) for holder in self._holders(host, claimant)]
                    self.add(each for each in found if (cluster, namespace, name, _reason(each)) in stored)

    def problems(self) -> Iterator[tuple[str, Problem]]:
        """Return a problem for each two objects between which there is a claim, with the cluster of the claimant."""
        for claim in {(each.claimant, each.holder): each for each in self._claims}.values():
            cluster, (kind, namespace, name) = claim.claimant
            holder_cluster, holder = claim.holder
            declaration = self._find(claim.claimant)
            yield (
                cluster,
                Problem(
                    ProblemKind.CONFLICT,
                    kind.value,
                    namespace,
                    name,
                    HOSTS_FIELD,
                    _reason(claim),
                    "find out who made it; narrow clusters.<name>.namespaces or hosts, or remove one of the two",
                    declaration.where if declaration is not None else "",
                    object_cause(holder_cluster, holder[0].value, *holder[1:]),
                ),
            )

    def _end(self, claim: Claim) -> None:
        del self._claims[claim]
        claimant = _claimant_key(claim)
        self._counts[claimant] -= 1
        if not self._counts[claimant]:
            del self._counts[claimant]
        for each in (claim.claimant, claim.holder):
            self._by_object[each].pop(claim, None)
            if not self._by_object[each]:
                del self._by_object[each]
        self.version += 1

    # ------------------------------------------------------------------------------------------ who declares what

    def _find(self, at: ClusterObject) -> AnyDeclaration | None:
        cluster = self._inventory.clusters.get(at[0])
        return cluster.declarations.get(at[1]) if cluster is not None else None

    def _names(self, cluster: str, entry: ServiceEntry) -> Iterator[str]:
        """The names that a ServiceEntry declares: its hosts in the zones, and derived names of its svc hosts."""
        settings = self._inventory.settings
        own = settings.cluster(cluster)
        yield from served_hosts(entry, cluster, settings)
        for host in entry.hosts:
            service = parse_service_host(host, own.domain)
            for zone in settings.zones if service is not None else ():
                if service is not None and can_give_derived_name(entry, service, own, settings, zone):
                    yield f"{service[1]}.{service[0]}.{zone.services_domain}"

    def _holder(self, name: str, claimant: ClusterObject) -> ClusterObject | None:
        """The first other that declares a name; None if the claimant declares it already, or nobody does."""
        who = (claimant[0], claimant[1][1])
        found = list(self._declaring(name))
        if any((cluster, key[1]) == who and (cluster, key) != claimant for cluster, key in found):
            return None
        return next(self._holders(name, claimant), None)

    def _holders(self, name: str, claimant: ClusterObject) -> Iterator[ClusterObject]:
        """All that declare a name in other clusters or namespaces than the claimant's."""
        who = (claimant[0], claimant[1][1])
        return (each for each in self._declaring(name) if (each[0], each[1][1]) != who)

    def _declaring(self, name: str) -> Iterator[ClusterObject]:
        """All that declare a name, within `_MAX_DECLARING`."""
        return itertools.islice(self._all_declaring(name), _MAX_DECLARING)

    def _all_declaring(self, name: str) -> Iterator[ClusterObject]:
        for cluster, entries in sorted(self._inventory.entries_by_host.get(name, {}).items()):
            yield from ((cluster, key) for key in entries)
        service = self._service_of(name)
        if service is None:
            return
        yield from self._services(name)
        for cluster, objects in sorted(self._inventory.clusters.items()):
            for key, entry in objects.entries_by_service.get(service, {}).items():
                if name in self._names(cluster, entry):
                    yield cluster, key

    def _services(self, name: str) -> list[ClusterObject]:
        """The Services whose derived name it is."""
        zone, service = self._inventory.settings.zone_of(name), self._service_of(name)
        if zone is None or service is None:
            return []
        return [
            (cluster_name, key_of(known))
            for cluster_name, cluster in sorted(self._inventory.clusters.items())
            if (known := cluster.services.get(service)) is not None
            and has_derived_names(known, cluster.settings, self._inventory.settings, zone)
        ]

    def _service_of(self, name: str) -> ServiceKey | None:
        zone = self._inventory.settings.zone_of(name)
        return parse_derived_service(name, zone.services_domain) if zone is not None else None


def is_claim(problem: Problem) -> bool:
    """Whether a problem is one of `ClaimIndex.problems`."""
    return problem.kind is ProblemKind.CONFLICT and problem.field == HOSTS_FIELD and problem.object == "ServiceEntry"


def _claimant_key(claim: Claim) -> tuple[str, str]:
    return claim.claimant[0], claim.claimant[1][1]


def _reason(claim: Claim) -> str:
    return f"began to declare what {_text(claim.holder)} declared already"


def _text(at: ClusterObject) -> str:
    return f"{bounded_text(str(ObjectRef(*at[1])), MAX_SHOWN)} of cluster {bounded_text(at[0], MAX_SHOWN)}"
