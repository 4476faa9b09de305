"""The names that exist: those with an answer of their own, and above them the empty non-terminals (RFC 4592 2.2.2)."""

from collections import Counter
from collections.abc import Iterator

from meshdns.dns import names
from meshdns.mesh.settings import Zone


class Tree:
    """Known names and how many of them are below each ancestor inside its zone."""

    def __init__(self) -> None:
        self.known: set[str] = set()
        self._below: Counter[str] = Counter()

    def __contains__(self, name: str) -> bool:
        return name in self.known or self._below[name] > 0

    def learn(self, name: str, zone: Zone) -> list[str]:
        """Add a name; returns the empty non-terminals that came into being."""
        self.known.add(name)
        born = []
        for parent in _ancestors(name, zone):
            self._below[parent] += 1
            if self._below[parent] == 1 and parent not in self.known:
                born.append(parent)
        return born

    def forget(self, name: str, zone: Zone) -> list[str]:
        """Remove a name; returns the empty non-terminals that ceased to be."""
        self.known.discard(name)
        gone = []
        for parent in _ancestors(name, zone):
            self._below[parent] -= 1
            if not self._below[parent]:
                del self._below[parent]
                if parent not in self.known:
                    gone.append(parent)
        return gone

    def is_ancestor(self, name: str) -> bool:
        """Whether known names are below `name`."""
        return self._below[name] > 0


def _ancestors(name: str, zone: Zone) -> Iterator[str]:
    """The names between `name` and the apex of its zone, both left out."""
    for parent in names.parents(name):
        if parent == zone.name:
            return
        yield parent
