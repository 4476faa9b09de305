"""Which names rest on what: noted while a name is computed, asked when something changes."""

from collections.abc import Iterator
from collections.abc import Set as AbstractSet

from meshdns.mesh.world import Read


class Dependents:
    """The index from what was read to the names that read it, in both directions."""

    def __init__(self) -> None:
        self._names: dict[Read, tuple[Read, set[str]]] = {}  # with the one copy of the key that names refer to
        self._reads: dict[str, tuple[Read, ...]] = {}
        self.hosts: set[str] = set()
        """The host names that some answer needs resolved."""
        self.hosts_version = 0  # another one wherever `hosts` changed

    def rest(self, name: str, reads: AbstractSet[Read]) -> None:
        """Note all that `name` rests on now."""
        before = set(self._reads.get(name, ()))
        if before == reads:
            return
        self._reads.pop(name, None)
        for read in before - reads:
            names = self._names[read][1]
            names.discard(name)
            if not names:
                del self._names[read]
                if read[0] == "resolved":
                    self.hosts.discard(read[1])
                    self.hosts_version += 1
        for read in reads - before:
            self._names.setdefault(read, (read, set()))[1].add(name)
            if read[0] == "resolved" and read[1] not in self.hosts:
                self.hosts.add(read[1])
                self.hosts_version += 1
        if reads:
            self._reads[name] = tuple(self._names[read][0] for read in reads)

    def of(self, *read: str) -> AbstractSet[str]:
        """The names that rest on one thing."""
        found = self._names.get(read)
        return found[1] if found is not None else frozenset()

    def of_names_below(self, suffix: str) -> Iterator[str]:
        """The names that rest on another name that ends with `suffix`."""
        for read, names in self._names.values():
            if read[0] == "name" and read[1].endswith(suffix):
                yield from names
