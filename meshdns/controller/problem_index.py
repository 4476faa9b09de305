"""The problems of the mesh that show only when names or gateways are judged: each once, however many names show it.

A problem disappears with the last name that shows it. The problems of an object itself need no index: they come and go
with the object.
"""

from collections.abc import Iterable, Iterator
from typing import Final

from meshdns.mesh.diagnostics import ClusterProblem, check_declaration, limit_per_object
from meshdns.mesh.objects.declarations import AnyDeclaration, Service, ServiceEntry
from meshdns.mesh.objects.problems import Problem
from meshdns.mesh.settings import MeshSettings
from meshdns.mesh.visibility import host_problems, service_problems

GATEWAYS_OWNER: Final = b""
"""What stands for the gateways where an owner name shows problems; no owner name is empty."""


class ProblemIndex:
    """Which problems are shown by what: by an owner name in wire format, or by the gateways."""

    def __init__(self) -> None:
        self._problems_by_owner: dict[bytes, frozenset[ClusterProblem]] = {}
        self._owner_counts: dict[ClusterProblem, int] = {}  # how many owners show it

    def update(self, owner: bytes, problems: Iterable[ClusterProblem]) -> dict[ClusterProblem, bool]:
        """Take over what `owner` shows now; returns the problems that are new (True) or gone (False) by that."""
        after = frozenset(limit_per_object(problems))
        before = self._problems_by_owner.pop(owner, frozenset())
        if after:
            self._problems_by_owner[owner] = after
        changes: dict[ClusterProblem, bool] = {}
        for each in after - before:
            self._owner_counts[each] = self._owner_counts.get(each, 0) + 1
            if self._owner_counts[each] == 1:
                changes[each] = True
        for each in before - after:
            self._owner_counts[each] -= 1
            if not self._owner_counts[each]:
                del self._owner_counts[each]
                changes[each] = False
        return changes


def problems_of(cluster: str, declaration: AnyDeclaration, settings: MeshSettings) -> Iterator[Problem]:
    """What is wrong with a declaration: by itself, and under these settings."""
    yield from declaration.problems
    yield from check_declaration(declaration)
    yield from settings_problems(cluster, declaration, settings)


def settings_problems(cluster: str, declaration: AnyDeclaration, settings: MeshSettings) -> Iterator[Problem]:
    """Why names that a declaration asks for are not served under these settings."""
    match declaration:
        case ServiceEntry():
            yield from host_problems(declaration, cluster, settings)
        case Service():
            yield from service_problems(declaration, cluster, settings)
