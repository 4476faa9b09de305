"""A Sink that keeps what a controller would know, and lets a test wait for it."""

import asyncio
import math
from collections.abc import Callable
from dataclasses import dataclass, field

from meshdns.mesh.objects.declarations import AnyDeclaration, ObjectKey, ObjectKind, ServiceEntry, key_of
from meshdns.sources.sink import (
    ClusterAdded,
    ClusterIdentified,
    ClusterRemoved,
    ContactMade,
    CredentialsObtained,
    KindListed,
    ObjectChanged,
    ObjectRemoved,
    ReadFailed,
    SourceEvent,
    SourceListed,
    SourceProblems,
)

ClusterEvent = (
    KindListed | ObjectChanged | ObjectRemoved | ContactMade | ReadFailed | ClusterIdentified | CredentialsObtained
)


@dataclass
class RecordedCluster:
    """What was reported of one cluster."""

    source: str
    kinds: frozenset[ObjectKind]
    can_relist: bool = True
    declarations: dict[ObjectKey, AnyDeclaration] = field(default_factory=dict)
    synced: set[ObjectKind] = field(default_factory=set)
    uid: str = ""
    until: tuple[float, bool] = (math.inf, False)
    contacts: int = 0
    failures: list[str] = field(default_factory=list)

    def apply(self, event: ClusterEvent) -> None:
        """Check that an event may come now, and keep what it says."""
        match event:
            case KindListed(kind=kind, declarations=declarations):
                assert kind in self.kinds
                self.declarations = {key: value for key, value in self.declarations.items() if key[0] is not kind}
                self.declarations.update((key_of(value), value) for value in declarations)
                self.synced.add(kind)
            case ObjectChanged(declaration=declaration):
                key = key_of(declaration)
                assert key[0] in self.synced
                self.declarations[key] = declaration
            case ObjectRemoved(key=key):
                assert key[0] in self.synced
                self.declarations.pop(key, None)
            case ContactMade():
                self.contacts += 1
            case ReadFailed(reason=reason):
                self.failures.append(reason)
            case ClusterIdentified(uid=uid):
                self.uid = uid
            case CredentialsObtained(expires_at=expires_at, renewable=renewable):
                self.until = (expires_at, renewable)

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
        self.events: list[SourceEvent] = []
        self.problems_by_source: dict[str, list[str]] = {}
        self.relist_after = 0.0
        self._reported = asyncio.Event()

    def report(self, event: SourceEvent) -> float:
        """Check, apply and keep an event; what a list lacks is believed after `relist_after` seconds."""
        match event:
            case ClusterAdded():
                assert event.cluster not in self.clusters
                self.clusters[event.cluster] = RecordedCluster(event.source, event.kinds, event.can_relist)
            case ClusterRemoved():
                del self.clusters[event.cluster]
            case SourceProblems():
                self.problems_by_source[event.source] = [
                    f"{p.object} {p.name}: {p.reason}; {p.advice}" for p in event.problems
                ]
            case SourceListed():
                pass
            case _:
                self.clusters[event.cluster].apply(event)
        self.events.append(event)
        self._reported.set()
        return self.relist_after if isinstance(event, KindListed) else 0.0

    def added(self, cluster: str) -> int:
        """How often a cluster was added."""
        return len([event for event in self.events if isinstance(event, ClusterAdded) and event.cluster == cluster])

    def list_sizes(self, cluster: str, kind: ObjectKind) -> list[int]:
        """How many objects each list of a kind had."""
        lists = [event for event in self.events if isinstance(event, KindListed)]
        return [len(event.declarations) for event in lists if (event.cluster, event.kind) == (cluster, kind)]

    def hosts(self, cluster: str) -> list[str]:
        """The hosts a cluster declares; none where it is not known."""
        return self.clusters[cluster].hosts if cluster in self.clusters else []

    async def wait_until(self, condition: Callable[[], object], *, seconds: float = 20.0) -> None:
        """Wait until `condition` holds after some report."""
        try:
            async with asyncio.timeout(seconds):
                while not condition():
                    self._reported.clear()
                    await self._reported.wait()
        except TimeoutError:
            raise AssertionError(
                "\n".join(["the wait ended; events so far:", *map(_abridged, self.events[-40:])])
            ) from None


def _abridged(event: SourceEvent) -> str:
    """An event for a failure message; a list by its length alone."""
    if isinstance(event, KindListed):
        return f"KindListed({event.cluster}, {event.kind.value}, {len(event.declarations)} declarations)"
    return str(event)
