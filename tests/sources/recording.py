"""A Sink that keeps what a controller would know, and lets a test wait for it."""

import asyncio
import math
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field

from meshdns.mesh.declarations import AnyDeclaration, Key, Kind, ServiceEntry, key_of
from meshdns.mesh.problems import Problem


@dataclass
class Known:
    """What was reported of one cluster."""

    source: str
    kinds: tuple[Kind, ...]
    relists: bool = True
    declared: dict[Key, AnyDeclaration] = field(default_factory=dict)
    synced: set[Kind] = field(default_factory=set)
    uid: str = ""
    until: tuple[float, bool] = (math.inf, False)
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
        self.troubles: dict[str, list[str]] = {}
        self.doubt = 0.0
        self._stirred = asyncio.Event()

    def _note(self, call: str) -> None:
        self.calls.append(call)
        self._stirred.set()

    def joined(self, cluster: str, kinds: Collection[Kind], *, source: str, relists: bool = True) -> None:
        """Once per cluster."""
        assert cluster not in self.clusters
        self.clusters[cluster] = Known(source, tuple(kinds), relists)
        self._note(f"joined {cluster}")

    def named(self, source: str) -> None:
        """Noted."""
        self._note(f"named {source}")

    def listed(self, cluster: str, kind: Kind, declarations: Sequence[AnyDeclaration]) -> float:
        """Replaces a kind; what it lacks is believed after `doubt` seconds."""
        known = self.clusters[cluster]
        assert kind in known.kinds
        known.declared = {key: value for key, value in known.declared.items() if key[0] is not kind}
        known.declared.update((key_of(value), value) for value in declarations)
        known.synced.add(kind)
        self._note(f"listed {cluster} {kind.value} {len(declarations)}")
        return self.doubt

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

    def identified(self, cluster: str, uid: str) -> None:
        """Kept."""
        self.clusters[cluster].uid = uid
        self._note(f"identified {cluster} {uid}")

    def authenticated(self, cluster: str, until: float, *, renewed: bool) -> None:
        """Kept."""
        self.clusters[cluster].until = (until, renewed)

    def troubled(self, source: str, problems: Sequence[Problem]) -> None:
        """Kept by source, as a person reads them."""
        self.troubles[source] = [f"{p.object} {p.name}: {p.reason}; {p.advice}" for p in problems]
        self._note(f"troubled {source}: {self.troubles[source]}")

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
