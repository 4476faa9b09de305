"""What stands around a name in a view, as its explanation needs it: answers, declarations, gateways, problems."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final

import msgspec

from meshdns.controller.cluster_summary import ClusterSummary
from meshdns.controller.publisher import decode_declaration, object_key
from meshdns.dns import names
from meshdns.mesh.answer import Answer, decode_answer
from meshdns.mesh.explain.model import GatewayState, Refusal
from meshdns.mesh.objects.declarations import AnyDeclaration, KubernetesGateway, ObjectKind, Service, ServiceEntry
from meshdns.mesh.objects.problems import EXPECTED_KINDS, Problem
from meshdns.mesh.objects.references import ObjectRef, problem_ref
from meshdns.mesh.passthrough import Passthrough
from meshdns.mesh.settings import MeshSettings
from meshdns.mesh.unserved_reasons import unserved_hosts
from meshdns.mesh.visibility import has_gateway_label
from meshdns.namedb.database import Transaction

_GATEWAY_KINDS: Final = (ObjectKind.SERVICE, ObjectKind.GATEWAY)


class ExplainSources:
    """The surroundings of a name, inside one transaction (`meshdns.mesh.explain.model.ExplainContext`)."""

    def __init__(self, txn: Transaction, settings: MeshSettings) -> None:
        self._txn = txn
        self._settings = settings
        self._answers: dict[str, Answer | None] = {}
        self._problems: dict[str, defaultdict[ObjectRef, list[Problem]]] = {}
        self.clusters = decode_summaries(txn.items(b"clusters"))

    def answer(self, owner: str) -> Answer | None:
        """The answer of exactly this owner name; None where it does not exist."""
        if owner not in self._answers:
            found = self._txn.get(b"reasons", names.to_wire(owner))
            self._answers[owner] = decode_answer(found) if found is not None else None
        return self._answers[owner]

    def declaration(self, cluster: str, ref: ObjectRef) -> AnyDeclaration | None:
        """A declaration by its identity."""
        found = self._stored_value(b"declarations", cluster, ref)
        return decode_declaration(found) if found is not None else None

    def problems(self, cluster: str, ref: ObjectRef) -> Sequence[Problem]:
        """All that is wrong with a declaration: by itself, and in what the mesh makes of it."""
        found = self._stored_value(b"problems", cluster, ref)
        own = msgspec.json.decode(found, type=list[Problem]) if found is not None else []
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
        found = self._problems.get(cluster)
        if found is None:
            found = self._problems[cluster] = defaultdict(list)
            beginning = cluster.encode() + b"\0\0"
            for key, value in self._txn.items(b"problems", beginning):
                if not key.startswith(beginning):
                    break
                for problem in msgspec.json.decode(value, type=list[Problem]):
                    found[problem_ref(problem)].append(problem)
        return found

    def _stored_value(self, database: bytes, cluster: str, ref: ObjectRef) -> bytes | None:
        """What a database holds of an object; nothing of what is no object, as the settings are."""
        if ref.kind is None:
            return None
        return self._txn.get(database, object_key(cluster, (ref.kind, ref.namespace, ref.name)))

    def gateways(self, cluster: str) -> Sequence[GatewayState]:
        """The gateways of a cluster, and those in it that lead elsewhere."""
        described = self.clusters.get(cluster, ClusterSummary())
        return [
            GatewayState(cluster, each.address, each.port, each.origin, each.healthy, each.network)
            for each in described.gateways or ()
        ]

    def passthrough(self, cluster: str) -> Passthrough | None:
        """What the gateways of a cluster pass through; None where that is not known."""
        return self.clusters.get(cluster, ClusterSummary()).passage

    def refusals(self, name: str) -> Iterator[Refusal]:
        """The declarations that name this host but do not count."""
        for cluster, problem in decode_problems(self._txn.items(b"problems")):
            if problem.kind not in EXPECTED_KINDS:
                continue
            declared = self.declaration(cluster, problem_ref(problem))
            if not isinstance(declared, ServiceEntry | Service):
                continue
            for host, _ in unserved_hosts(declared, [problem], cluster, self._settings):
                if host == name or (host.startswith("*.") and name.endswith(host[1:])):
                    yield Refusal(cluster, problem)


def _may_be_gateway(declaration: AnyDeclaration | None) -> bool:
    """Whether an object is, or should be, a gateway."""
    return isinstance(declaration, KubernetesGateway) or (
        isinstance(declaration, Service) and has_gateway_label(declaration)
    )


def decode_summaries(items: Iterable[tuple[bytes, bytes]]) -> dict[str, ClusterSummary]:
    """What the view holds of each cluster for people."""
    return {key.decode(): msgspec.json.decode(value, type=ClusterSummary) for key, value in items}


def decode_problems(items: Iterable[tuple[bytes, bytes]]) -> Iterator[tuple[str, Problem]]:
    """The problems with their clusters."""
    for key, value in items:
        cluster = key.partition(b"\0")[0].decode()
        for problem in msgspec.json.decode(value, type=list[Problem]):
            yield cluster, problem
