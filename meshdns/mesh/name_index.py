"""Indexes over the names of a mesh: which names rest on what, and which names exist."""

from collections import Counter
from collections.abc import Iterator
from collections.abc import Set as AbstractSet

from meshdns.dns import names
from meshdns.mesh.mesh_state import Dependency
from meshdns.mesh.settings import MeshZone


class DependencyIndex:
    """Index from dependencies to the names that rest on them, and back.

    It is recorded while a name is computed, and looked up when something changes.
    """

    def __init__(self) -> None:
        self._dependents: dict[
            Dependency, tuple[Dependency, set[str]]
        ] = {}  # with the one copy of the key that names refer to
        self._dependencies: dict[str, tuple[Dependency, ...]] = {}
        self.hosts_to_resolve: set[str] = set()
        """The host names that some answer needs resolved."""
        self.hosts_to_resolve_version = 0  # another one wherever `hosts_to_resolve` or `host_askers` changed
        self.host_askers: dict[str, set[tuple[str, str]]] = {}
        """The clusters and namespaces whose declarations hold each host name; none holds some names of gateways."""

    def record(self, name: str, dependencies: AbstractSet[Dependency]) -> None:
        """Record everything that `name` rests on now."""
        before = set(self._dependencies.get(name, ()))
        if before == dependencies:
            return
        self._dependencies.pop(name, None)
        for read in before - dependencies:
            owners = self._dependents[read][1]
            owners.discard(name)
            if not owners:
                del self._dependents[read]
                self._note_host(read, wanted=False)
        for read in dependencies - before:
            if read not in self._dependents:
                self._dependents[read] = (read, set())
                self._note_host(read, wanted=True)
            self._dependents[read][1].add(name)
        if dependencies:
            self._dependencies[name] = tuple(self._dependents[read][0] for read in dependencies)

    def _note_host(self, dependency: Dependency, *, wanted: bool) -> None:
        """Note that a dependency is the first or was the last of its kind, if it is about a host name."""
        if dependency[0] == "resolved":
            (self.hosts_to_resolve.add if wanted else self.hosts_to_resolve.discard)(dependency[1])
        elif dependency[0] == "asker":
            host, asker = dependency[1], (dependency[2], dependency[3])
            askers = self.host_askers.setdefault(host, set())
            (askers.add if wanted else askers.discard)(asker)
            if not askers:
                del self.host_askers[host]
        else:
            return
        self.hosts_to_resolve_version += 1

    def dependents_of(self, *dependency: str) -> AbstractSet[str]:
        """Return the names that rest on one dependency."""
        found = self._dependents.get(dependency)
        return found[1] if found is not None else frozenset()

    def dependencies_of(self, name: str) -> tuple[Dependency, ...]:
        """Return everything that `name` rests on."""
        return self._dependencies.get(name, ())

    def dependents_below(self, parents: AbstractSet[str]) -> Iterator[str]:
        """Return the names that rest on another name that is below one of `parents`."""
        for read, owners in self._dependents.values():
            if read[0] == "name" and not parents.isdisjoint(names.parents(read[1])):
                yield from owners


class NameTree:
    """Names that exist: names with an answer of their own, and the empty non-terminals above them (RFC 4592 2.2.2).

    It counts the names below each ancestor inside its zone.
    """

    def __init__(self) -> None:
        self.names: set[str] = set()
        self._descendants: Counter[str] = Counter()

    def __contains__(self, name: str) -> bool:
        return name in self.names or self._descendants[name] > 0

    def add(self, name: str, zone: MeshZone) -> list[str]:
        """Add a name. Return the empty non-terminals that now exist."""
        self.names.add(name)
        added = []
        for parent in _ancestors(name, zone):
            self._descendants[parent] += 1
            if self._descendants[parent] == 1 and parent not in self.names:
                added.append(parent)
        return added

    def remove(self, name: str, zone: MeshZone) -> list[str]:
        """Remove a name. Return the empty non-terminals that no longer exist."""
        self.names.discard(name)
        removed = []
        for parent in _ancestors(name, zone):
            self._descendants[parent] -= 1
            if not self._descendants[parent]:
                del self._descendants[parent]
                if parent not in self.names:
                    removed.append(parent)
        return removed

    def is_ancestor(self, name: str) -> bool:
        """Whether known names are below `name`."""
        return self._descendants[name] > 0


def _ancestors(name: str, zone: MeshZone) -> Iterator[str]:
    """The names between `name` and the apex of its zone, both left out; none if it is the apex."""
    for parent in names.parents(name) if name != zone.name else ():
        if parent == zone.name:
            return
        yield parent
