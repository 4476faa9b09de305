"""The problems of the mesh as the view keeps them: each once, however many names show it.

Problems of an object itself are kept under the object's key. Those that show only when names or gateways are judged are
kept under ``<cluster> 0 0 <digest>``, which differs from every object's key, and disappear with the last name that
shows them.
"""

import hashlib
from collections.abc import Iterable, Iterator
from typing import Final

import msgspec

from meshdns.mesh.cautions import cautions
from meshdns.mesh.consequences import Found, bounded
from meshdns.mesh.declarations import AnyDeclaration, Service, ServiceEntry
from meshdns.mesh.problems import Problem
from meshdns.mesh.settings import MeshSettings
from meshdns.mesh.visibility import host_problems, service_problems

GATEWAYS: Final = b""
"""What stands for the gateways where an owner name shows problems; no owner name is empty."""


class Findings:
    """Which problems are shown by what: by an owner name in wire format, or by the gateways."""

    def __init__(self) -> None:
        self._by_owner: dict[bytes, frozenset[Found]] = {}
        self._owners: dict[Found, int] = {}  # how many owners show it

    def note(self, owner: bytes, found: Iterable[Found]) -> dict[bytes, bytes | None]:
        """Take over what `owner` shows now; what is to be changed in the view."""
        after = frozenset(bounded(found))
        before = self._by_owner.pop(owner, frozenset())
        if after:
            self._by_owner[owner] = after
        changes: dict[bytes, bytes | None] = {}
        for each in after - before:
            self._owners[each] = self._owners.get(each, 0) + 1
            if self._owners[each] == 1:
                changes[_key(each)] = msgspec.json.encode([each[1]])
        for each in before - after:
            self._owners[each] -= 1
            if not self._owners[each]:
                del self._owners[each]
                changes[_key(each)] = None
        return changes


def problems_of(cluster: str, declaration: AnyDeclaration, settings: MeshSettings) -> Iterator[Problem]:
    """What is wrong with a declaration: by itself, and under these settings."""
    yield from declaration.problems
    yield from cautions(declaration)
    yield from judged(cluster, declaration, settings)


def judged(cluster: str, declaration: AnyDeclaration, settings: MeshSettings) -> Iterator[Problem]:
    """Why names that a declaration asks for are not served under these settings."""
    match declaration:
        case ServiceEntry():
            yield from host_problems(declaration, cluster, settings)
        case Service():
            yield from service_problems(declaration, cluster, settings)


def _key(found: Found) -> bytes:
    cluster, problem = found
    return cluster.encode() + b"\0\0" + hashlib.blake2b(msgspec.json.encode(problem), digest_size=16).digest()
