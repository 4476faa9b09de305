"""Sources of an explanation in a database: answers, declarations, gateways and problems around a name."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final

import msgspec

from meshdns.controller.admin.each_alone import each_alone
from meshdns.controller.cluster_summary import ClusterSummary
from meshdns.dns import names
from meshdns.mesh.answer import Answer, decode_answer
from meshdns.mesh.explain.model import GatewayState, Refusal
from meshdns.mesh.objects.declarations import AnyDeclaration, KubernetesGateway, ObjectKind, Service, ServiceEntry
from meshdns.mesh.objects.problems import Problem
from meshdns.mesh.objects.references import ObjectRef, problem_ref
from meshdns.mesh.passthrough import Passthrough
from meshdns.mesh.settings import MeshSettings
from meshdns.mesh.unserved_reasons import UNSERVED_KINDS, unserved_hosts
from meshdns.mesh.visibility import is_gateway
from meshdns.namedb.tables import Tables

_GATEWAY_KINDS: Final = (ObjectKind.SERVICE, ObjectKind.GATEWAY)


class ExplainSources:
    """Sources of an explanation, read in one transaction (`meshdns.mesh.explain.model.ExplainContext`)."""

    def __init__(self, tables: Tables, settings: MeshSettings) -> None:
        self._tables = tables
        self._settings = settings
        self._answers: dict[str, Answer | None] = {}
        self._derived_by_cluster: dict[str, defaultdict[ObjectRef, list[Problem]]] = {}
        self.clusters = decode_summaries(tables.clusters.items())

    def answer(self, owner: str) -> Answer | None:
        """The answer of exactly this owner name; None where it does not exist."""
        if owner not in self._answers:
            found = self._tables.provenance.get(names.to_wire(owner))
            self._answers[owner] = decode_answer(found) if found is not None else None
        return self._answers[owner]

    def declaration(self, cluster: str, ref: ObjectRef) -> AnyDeclaration | None:
        """A declaration by its identity."""
        if ref.kind is None:
            return None
        return self._tables.declarations.get(cluster, (ref.kind, ref.namespace, ref.name))

    def problems(self, cluster: str, ref: ObjectRef) -> Sequence[Problem]:
        """All that is wrong with a declaration: by itself, and in what the mesh makes of it."""
        own = (
            self._tables.problems.of_object(cluster, (ref.kind, ref.namespace, ref.name))
            if ref.kind is not None
            else ()
        )
        return [*own, *self._derived_problems(cluster).get(ref, ())]

    def gateway_problems(self, cluster: str) -> Sequence[Problem]:
        """What is wrong with the objects that are, or should be, gateways of a cluster."""
        return [
            problem
            for ref, problems in self._derived_problems(cluster).items()
            if ref.kind in _GATEWAY_KINDS and _may_be_gateway(self.declaration(cluster, ref))
            for problem in problems
        ]

    def _derived_problems(self, cluster: str) -> Mapping[ObjectRef, Sequence[Problem]]:
        """The problems of a cluster's objects that show in what the mesh makes of them, by object."""
        found = self._derived_by_cluster.get(cluster)
        if found is None:
            found = self._derived_by_cluster[cluster] = defaultdict(list)
            for problem in self._tables.problems.derived(cluster):
                found[problem_ref(problem)].append(problem)
        return found

    def gateways(self, cluster: str) -> Sequence[GatewayState]:
        """The gateways of a cluster, and those in it that lead elsewhere."""
        described = self.clusters.get(cluster, ClusterSummary())
        return [
            GatewayState(cluster, each.address, each.port, each.origin, each.healthy, each.network)
            for each in described.gateways or ()
        ]

    def passthrough(self, cluster: str) -> Passthrough | None:
        """What the gateways of a cluster pass through; None where that is not known."""
        return self.clusters.get(cluster, ClusterSummary()).passthrough

    def refusals(self, name: str) -> Iterator[Refusal]:
        """The declarations that name this host but do not count."""
        for cluster, problem in self._tables.problems.items():
            if problem.kind not in UNSERVED_KINDS:
                continue
            declared = self.declaration(cluster, problem_ref(problem))
            if not isinstance(declared, ServiceEntry | Service):
                continue
            for host, _ in unserved_hosts(declared, [problem], cluster, self._settings):
                if host == name or (host.startswith("*.") and name.endswith(host[1:])):
                    yield Refusal(cluster, problem)


def _may_be_gateway(declaration: AnyDeclaration | None) -> bool:
    """Whether an object is, or should be, a gateway."""
    return isinstance(declaration, KubernetesGateway) or (isinstance(declaration, Service) and is_gateway(declaration))


def decode_summaries(items: Iterable[tuple[str, bytes]]) -> dict[str, ClusterSummary]:
    """The summary of each cluster, from what the name database holds."""
    return dict(
        each_alone(lambda item: (item[0], msgspec.json.decode(item[1], type=ClusterSummary)), items, what="a cluster")
    )
