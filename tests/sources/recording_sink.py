"""A Sink that keeps what a controller would know, and lets a test wait for it."""

import asyncio
import math
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field

from meshdns.mesh.objects.declarations import AnyDeclaration, ObjectKey, ObjectKind, ServiceEntry, key_of
from meshdns.mesh.objects.problems import Problem


@dataclass
class RecordedCluster:
    """What was reported of one cluster."""

    source: str
    kinds: tuple[ObjectKind, ...]
    can_relist: bool = True
    declarations: dict[ObjectKey, AnyDeclaration] = field(default_factory=dict)
    synced: set[ObjectKind] = field(default_factory=set)
    uid: str = ""
    until: tuple[float, bool] = (math.inf, False)
    contacts: int = 0
    failures: list[str] = field(default_factory=list)

    @property
    def hosts(self) -> list[str]:
        """The hosts of all ServiceEntries, sorted."""
        return sorted(
            host for value in self.declarations.values() if isinstance(value, ServiceEntry) for host in value.hosts
        )

    @property
    def reasons(self) -> list[str]:
        """The problems of all declarations, as a person reads them."""
        return [f"{p.where} {p.reason}" for value in self.declarations.values() for p in value.problems]


class RecordingSink:
    """Implements `meshdns.sources.sink.Sink` and checks its contract."""

    def __init__(self) -> None:
        self.clusters: dict[str, RecordedCluster] = {}
        self.calls: list[str] = []
        self.problems_by_source: dict[str, list[str]] = {}
        self.relist_after = 0.0
        self._called = asyncio.Event()

    def _record_call(self, call: str) -> None:
        self.calls.append(call)
        self._called.set()

    def cluster_added(
        self, cluster: str, kinds: Collection[ObjectKind], *, source: str, can_relist: bool = True
    ) -> None:
        """Once per cluster."""
        assert cluster not in self.clusters
        self.clusters[cluster] = RecordedCluster(source, tuple(kinds), can_relist)
        self._record_call(f"joined {cluster}")

    def source_listed(self, source: str) -> None:
        """Noted."""
        self._record_call(f"named {source}")

    def kind_listed(self, cluster: str, kind: ObjectKind, declarations: Sequence[AnyDeclaration]) -> float:
        """Replaces a kind; what it lacks is believed after `relist_after` seconds."""
        known = self.clusters[cluster]
        assert kind in known.kinds
        known.declarations = {key: value for key, value in known.declarations.items() if key[0] is not kind}
        known.declarations.update((key_of(value), value) for value in declarations)
        known.synced.add(kind)
        self._record_call(f"listed {cluster} {kind.value} {len(declarations)}")
        return self.relist_after

    def object_changed(self, cluster: str, declaration: AnyDeclaration) -> None:
        """Only after the first list of its kind."""
        key = key_of(declaration)
        known = self.clusters[cluster]
        assert key[0] in known.synced
        known.declarations[key] = declaration
        self._record_call(f"changed {cluster} {key[1]}/{key[2]}")

    def object_removed(self, cluster: str, kind: ObjectKind, namespace: str, name: str) -> None:
        """Harmless for an unknown object."""
        known = self.clusters[cluster]
        assert kind in known.synced
        known.declarations.pop((kind, namespace, name), None)
        self._record_call(f"removed {cluster} {namespace}/{name}")

    def contact_made(self, cluster: str, kind: ObjectKind) -> None:
        """Counted."""
        self.clusters[cluster].contacts += 1
        self._record_call(f"contact {cluster} {kind.value}")

    def read_failed(self, cluster: str, kind: ObjectKind, reason: str) -> None:
        """Kept in order."""
        self.clusters[cluster].failures.append(reason)
        self._record_call(f"failed {cluster} {kind.value}: {reason}")

    def cluster_identified(self, cluster: str, uid: str) -> None:
        """Kept."""
        self.clusters[cluster].uid = uid
        self._record_call(f"identified {cluster} {uid}")

    def credentials_obtained(self, cluster: str, expires_at: float, *, renewable: bool) -> None:
        """Kept."""
        self.clusters[cluster].until = (expires_at, renewable)

    def source_problems(self, source: str, problems: Sequence[Problem]) -> None:
        """Kept by source, as a person reads them."""
        self.problems_by_source[source] = [f"{p.object} {p.name}: {p.reason}; {p.advice}" for p in problems]
        self._record_call(f"troubled {source}: {self.problems_by_source[source]}")

    def cluster_removed(self, cluster: str) -> None:
        """Forgets the cluster."""
        del self.clusters[cluster]
        self._record_call(f"left {cluster}")

    def hosts(self, cluster: str) -> list[str]:
        """The hosts a cluster declares; none where it is not known."""
        return self.clusters[cluster].hosts if cluster in self.clusters else []

    async def wait_until(self, condition: Callable[[], object], *, seconds: float = 60.0) -> None:
        """Wait until `condition` holds after some report."""
        try:
            async with asyncio.timeout(seconds):
                while not condition():
                    self._called.clear()
                    await self._called.wait()
        except TimeoutError:
            raise AssertionError("\n".join(["the wait ended; reports so far:", *self.calls[-40:]])) from None
