"""A Sink that keeps what a controller would know, and lets a test wait for it."""

import asyncio
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field

from meshdns.mesh.declarations import AnyDeclaration, Key, Kind, ServiceEntry, key_of


@dataclass
class Known:
    """What was reported of one cluster."""

    source: str
    kinds: tuple[Kind, ...]
    declared: dict[Key, AnyDeclaration] = field(default_factory=dict)
    synced: set[Kind] = field(default_factory=set)
    contacts: int = 0
    failures: list[str] = field(default_factory=list)

    @property
    def hosts(self) -> list[str]:
        """The hosts of all ServiceEntries, sorted."""
        return sorted(
            host for value in self.declared.values() if isinstance(value, ServiceEntry) for host in value.hosts
        )

    @property
    def reasons(self) -> list[str]:
        """The problems of all declarations, as a person reads them."""
        return [f"{p.where} {p.reason}" for value in self.declared.values() for p in value.problems]


class RecordingSink:
    """Implements `meshdns.sources.port.Sink` and checks its contract."""

    def __init__(self) -> None:
        self.clusters: dict[str, Known] = {}
        self.calls: list[str] = []
        self._stirred = asyncio.Event()

    def _note(self, call: str) -> None:
        self.calls.append(call)
        self._stirred.set()

    def joined(self, cluster: str, kinds: Collection[Kind], *, source: str) -> None:
        """Once per cluster."""
        assert cluster not in self.clusters
        self.clusters[cluster] = Known(source, tuple(kinds))
        self._note(f"joined {cluster}")

    def listed(self, cluster: str, kind: Kind, declarations: Sequence[AnyDeclaration]) -> None:
        """Replaces a kind."""
        known = self.clusters[cluster]
        assert kind in known.kinds
        known.declared = {key: value for key, value in known.declared.items() if key[0] is not kind}
        known.declared.update((key_of(value), value) for value in declarations)
        known.synced.add(kind)
        self._note(f"listed {cluster} {kind.value} {len(declarations)}")

    def changed(self, cluster: str, declaration: AnyDeclaration) -> None:
        """Only after the first list of its kind."""
        key = key_of(declaration)
        known = self.clusters[cluster]
        assert key[0] in known.synced
        known.declared[key] = declaration
        self._note(f"changed {cluster} {key[1]}/{key[2]}")

    def removed(self, cluster: str, kind: Kind, namespace: str, name: str) -> None:
        """Harmless for an unknown object."""
        known = self.clusters[cluster]
        assert kind in known.synced
        known.declared.pop((kind, namespace, name), None)
        self._note(f"removed {cluster} {namespace}/{name}")

    def contact(self, cluster: str, kind: Kind) -> None:
        """Counted."""
        self.clusters[cluster].contacts += 1
        self._note(f"contact {cluster} {kind.value}")

    def failed(self, cluster: str, kind: Kind, reason: str) -> None:
        """Kept in order."""
        self.clusters[cluster].failures.append(reason)
        self._note(f"failed {cluster} {kind.value}: {reason}")

    def left(self, cluster: str) -> None:
        """Forgets the cluster."""
        del self.clusters[cluster]
        self._note(f"left {cluster}")

    def hosts(self, cluster: str) -> list[str]:
        """The hosts a cluster declares; none where it is not known."""
        return self.clusters[cluster].hosts if cluster in self.clusters else []

    async def until(self, condition: Callable[[], object], *, seconds: float = 20.0) -> None:
        """Wait until `condition` holds after some report."""
        try:
            async with asyncio.timeout(seconds):
                while not condition():
                    self._stirred.clear()
                    await self._stirred.wait()
        except TimeoutError:
            raise AssertionError("\n".join(["the wait ended; reports so far:", *self.calls[-40:]])) from None
