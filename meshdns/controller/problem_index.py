"""The problems of the mesh as the view keeps them: each once, however many names show it.

Problems of an object itself are kept under the object's key. Those that show only when names or gateways are judged are
kept under ``<cluster> 0 0 <digest>``, which differs from every object's key, and disappear with the last name that
shows them.
"""

import hashlib
from collections.abc import Iterable, Iterator
from typing import Final

import msgspec

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

    def update(self, owner: bytes, problems: Iterable[ClusterProblem]) -> dict[bytes, bytes | None]:
        """Take over what `owner` shows now; what is to be changed in the view."""
        after = frozenset(limit_per_object(problems))
        before = self._problems_by_owner.pop(owner, frozenset())
        if after:
            self._problems_by_owner[owner] = after
        changes: dict[bytes, bytes | None] = {}
        for each in after - before:
            self._owner_counts[each] = self._owner_counts.get(each, 0) + 1
            if self._owner_counts[each] == 1:
                changes[_problem_key(each)] = msgspec.json.encode([each[1]])
        for each in before - after:
            self._owner_counts[each] -= 1
            if not self._owner_counts[each]:
                del self._owner_counts[each]
                changes[_problem_key(each)] = None
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


def _problem_key(found: ClusterProblem) -> bytes:
    cluster, problem = found
    return cluster.encode() + b"\0\0" + hashlib.blake2b(msgspec.json.encode(problem), digest_size=16).digest()
