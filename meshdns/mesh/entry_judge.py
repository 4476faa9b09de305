"""Judgement of the endpoints of ServiceEntries: once for a declaration, not once for each of its hosts.

Most endpoints mean the same for every host of their declaration. Those that do not (a Service that the host names, a
name in our zones) are judged for each name. A judgement holds for one state of the mesh.
"""

from typing import NamedTuple

from meshdns.mesh.candidates import Candidate, Level
from meshdns.mesh.declared_endpoint import DeclaredEndpoint
from meshdns.mesh.endpoint_list import judged_endpoints, judged_ports
from meshdns.mesh.mesh_state import Dependency, MeshState
from meshdns.mesh.objects.declarations import ServiceEntry
from meshdns.mesh.objects.references import ref_of
from meshdns.mesh.reachability import Reachability


class JudgedEndpoint(NamedTuple):
    """An endpoint, and its candidates without host; None where they depend on the name."""

    declared: DeclaredEndpoint
    candidates: tuple[Candidate, ...] | None


class JudgedEntry(NamedTuple):
    """The endpoints of a declaration, and what their judgement read."""

    endpoints: tuple[JudgedEndpoint, ...]
    dependencies: frozenset[Dependency]


class EntryJudge:
    """Judges the endpoints of ServiceEntries in one state of the mesh; `calls` counts judged endpoints."""

    def __init__(self, state: MeshState) -> None:
        self._state = state
        self._judged: dict[tuple[Level, str, str, str, bool, int], JudgedEntry] = {}
        self.calls = 0

    def judge(
        self, entry: ServiceEntry, cluster: str, level: Level, *, single_network: bool = False, ttl: int
    ) -> JudgedEntry:
        """Return the judged endpoints of an entry of `cluster`, as a declaration of `level`."""
        key = (level, cluster, entry.namespace, entry.name, single_network, ttl)
        known = self._judged.get(key)
        if known is None:
            known = self._judged[key] = self._judge(entry, cluster, level, single_network=single_network, ttl=ttl)
        return known

    def _judge(self, entry: ServiceEntry, cluster: str, level: Level, *, single_network: bool, ttl: int) -> JudgedEntry:
        origin = ref_of(entry)
        dependencies: set[Dependency] = set()
        found = judged_endpoints(entry, self._state.inventory.ensure_cluster(cluster))
        ports = judged_ports(entry.ports, len(found))
        judged = []
        for field, endpoint, ready in found:
            declared = DeclaredEndpoint(
                level, cluster, origin, field, None, endpoint, entry.internal, single_network, ttl, ports, ready=ready
            )
            reachability = Reachability(None, self._state, dependencies, lambda _: None)
            candidates = tuple(reachability.endpoint_candidates(declared))
            self.calls += 1
            judged.append(JudgedEndpoint(declared, None if reachability.needs_name else candidates))
        return JudgedEntry(tuple(judged), frozenset(dependencies))
