"""Plays one random schedule: a simulated API server with changes and faults against followers, intake and guard.

The seed is all that a schedule consists of: `play(seed)` again shows what went wrong.
"""

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from itertools import count

from meshdns.controller.cluster_state import ClusterTracker
from meshdns.controller.ingest import Ingest
from meshdns.controller.mass_delete_guard import MassDeleteGuard
from meshdns.mesh.objects.declarations import AnyDeclaration, Namespace, ObjectKey, ObjectKind, ServiceEntry, key_of
from meshdns.sources.kube.follower import Follower
from meshdns.sources.kube.list_budget import ListBudget
from meshdns.sources.kube.reflector import Reflector
from meshdns.sources.kube.request_gate import SPACING, RequestGate
from meshdns.sources.kube.resources import RESOURCES
from meshdns.sources.sink import ClusterAdded, SourceEvent
from tests.sources.schedules.model import QUIET, Model, ServedState
from tests.sources.schedules.simulated_server import FAILING, KINDS, LASTING, SimulatedApiServer
from tests.sources.virtual_time_loop import VirtualTimeLoop

CLUSTER = "west"
_KINDS = (ObjectKind.SERVICE_ENTRY, ObjectKind.NAMESPACE)
_LONG = 120.0  # seconds of failure from which on the number of requests is judged
_MASK = 2**64 - 1


@dataclass
class ScheduleResult:
    """What came of a schedule."""

    seed: int
    wrong: list[str] = field(default_factory=list)
    hot: list[str] = field(default_factory=list)
    leaked: list[str] = field(default_factory=list)
    checks: int = 0
    requests: int = 0
    faults: int = 0
    changes: int = 0
    seconds: float = 0.0


class Dice:
    """Repeatable numbers (Steele, Lea and Flood's SplitMix64)."""

    def __init__(self, seed: int) -> None:
        self._state = seed * 0x9E3779B97F4A7C15 & _MASK

    def below(self, limit: int) -> int:
        """A whole number from 0, below `limit`."""
        self._state = (self._state + 0x9E3779B97F4A7C15) & _MASK
        mixed = self._state
        mixed = (mixed ^ mixed >> 30) * 0xBF58476D1CE4E5B9 & _MASK
        mixed = (mixed ^ mixed >> 27) * 0x94D049BB133111EB & _MASK
        return (mixed ^ mixed >> 31) % limit

    def fraction(self) -> float:
        """A number from 0, below 1."""
        return self.below(1 << 30) / (1 << 30)


class InMemoryDeclarations:
    """Implements `meshdns.controller.ingest.DeclarationStore`: what is served, and nothing behind it."""

    def __init__(self) -> None:
        self.declared: dict[ObjectKey, AnyDeclaration] = {}

    def upsert(self, _: str, declaration: AnyDeclaration) -> None:
        """Add or replace."""
        self.declared[key_of(declaration)] = declaration

    def remove(self, _: str, key: ObjectKey) -> None:
        """Forget."""
        self.declared.pop(key, None)

    def keys(self, _: str, kind: ObjectKind) -> set[ObjectKey]:
        """By kind."""
        return {key for key in self.declared if key[0] is kind}

    def declarations_of(self, _: str) -> list[AnyDeclaration]:
        """All."""
        return list(self.declared.values())

    def remove_cluster(self, _: str) -> None:
        """Forget all."""
        self.declared.clear()


class IngestSink:
    """Implements `meshdns.sources.sink.Sink` on an intake."""

    def __init__(self, loop: VirtualTimeLoop) -> None:
        self.store = InMemoryDeclarations()
        self._loop = loop
        self.tracker = ClusterTracker(own=CLUSTER, required=(), started=loop.time())
        self.ingest = Ingest(self.store, self.tracker, MassDeleteGuard({}))
        self.report(ClusterAdded(CLUSTER, frozenset(_KINDS), "schedule"))

    def report(self, event: SourceEvent) -> float:
        """Apply it."""
        return self.ingest.apply(event, self._loop.time()).relist_after

    def seen(self) -> ServedState:
        """What is served now."""
        self.ingest.on_tick(self._loop.time())
        state = self.tracker.state_of(CLUSTER)
        served: dict[str, dict[str, str]] = {kind: {} for kind in KINDS}
        for declaration in self.store.declared.values():
            match declaration:
                case ServiceEntry():
                    served["ServiceEntry"][declaration.name] = declaration.hosts[0].partition(".")[0]
                case Namespace():
                    served["Namespace"][declaration.name] = declaration.uid
        synced = {kind.value for kind in state.listed_kinds}
        return ServedState(served, synced, state.status(self._loop.time()), bool(state.alarms))


class Schedule:
    """One schedule at work."""

    def __init__(self, seed: int, loop: VirtualTimeLoop) -> None:
        self._dice = Dice(seed)
        self._loop = loop
        self._begun = loop.time()
        self._model = Model(KINDS, self._begun)
        self._server = SimulatedApiServer(self._model, loop.time, self._dice.below)
        self._sink = IngestSink(loop)
        self._gate = RequestGate(clock=loop.time, draw=self._dice.fraction)
        self._open_lease = partial(ListBudget(2**30, clock=loop.time).lease, CLUSTER)
        self._values = count()
        self.outcome = ScheduleResult(seed)

    async def play(self) -> ScheduleResult:
        """All of it; the followers are cancelled at its end."""
        for _ in range(self._dice.below(40)):
            self._change()
        before = asyncio.all_tasks()
        tasks = [self._follow(kind) for kind in _KINDS]
        for move in self._moves():
            await asyncio.sleep(move)
            self._check()
        for task in tasks:
            task.cancel()
        ended = await asyncio.gather(*tasks, return_exceptions=True)
        self._count(ended, before)
        return self.outcome

    def _follow(self, kind: ObjectKind) -> "asyncio.Task[None]":
        resource = RESOURCES[kind]
        reflector = Reflector(resource, cluster=CLUSTER, sink=self._sink, draw=self._dice.fraction)
        return asyncio.create_task(
            Follower(reflector, resource, self._server, self._gate, self._loop.time, self._open_lease).run(),
            name="follower",
        )

    def _moves(self) -> Iterator[float]:
        """Do something, and say how long to wait before the next look."""
        yield 1 + self._dice.below(30)
        if self._dice.below(2):
            yield QUIET + 10
        for _ in range(2 + self._dice.below(6)):
            yield from self._trouble()
            for _ in range(self._dice.below(5)):
                self._change()
                yield 0.05 + self._dice.below(20)
            if self._dice.below(3) == 0:
                yield QUIET + 10
        yield QUIET + 10
        self._change()
        yield 10.0

    def _trouble(self) -> Iterator[float]:
        self.outcome.faults += 1
        lasting = LASTING[self._dice.below(len(LASTING))]
        match self._dice.below(9):
            case 0:
                self._server.compact(self._dice.below(3))
            case 1:
                self._server.cut()
            case 2:
                self._server.close()
            case 3:
                share = self._dice.below(4)
                self._server.lose(lambda _: self._dice.below(4) < share)
                yield 30.0
                yield 29.0
            case 4:
                yield from self._crd()
            case _:
                yield from self._last(lasting)

    def _crd(self) -> Iterator[float]:
        """The CRD changes its versions, or goes and comes back."""
        if self._dice.below(2):
            self._server.serve()
            yield 1 + self._dice.below(120)
        self._server.serve(*(("v1",), ("v1beta1",), ("v1", "v1beta1"), ("v1alpha3",))[self._dice.below(4)])
        yield 1 + self._dice.below(60)

    def _last(self, fault: str) -> Iterator[float]:
        length = (5, 40, 130, 300, 900)[self._dice.below(5)] * (0.5 + self._dice.fraction())
        begun, asked = self._loop.time(), len(self._server.requests)
        self._server.begin(fault)
        for _ in range(3):
            if self._dice.below(2):
                self._change()
            yield length / 3
        length = self._loop.time() - begun
        requests = len(self._server.requests) - asked
        if fault in FAILING and length >= _LONG and requests > length / SPACING:
            self.outcome.hot.append(f"{requests} requests in {length:.0f} s of {fault}")
        self._server.end()
        if self._dice.below(4) == 0:
            self._server.compact(self._dice.below(3))

    def _change(self) -> None:
        self.outcome.changes += 1
        kind = KINDS[self._dice.below(len(KINDS))]
        store = self._server.stores[kind]
        if not store.versions:
            return
        name = f"n{self._dice.below(40)}"
        if name in store.objects and self._dice.below(3) == 0:
            self._server.delete(kind, name)
        else:
            self._server.put(kind, name, str(next(self._values)))

    def _check(self) -> None:
        self.outcome.checks += 1
        now = self._loop.time()
        faults = self._model.judge(now, self._sink.seen())
        self.outcome.wrong += [f"at {now - self._begun:.1f} s: {fault}" for fault in faults]

    def _count(self, ended: list[BaseException | None], before: "set[asyncio.Task[None]]") -> None:
        outcome = self.outcome
        outcome.seconds = self._loop.time() - self._begun
        outcome.requests = len(self._server.requests)
        if outcome.requests > outcome.seconds + 10:
            outcome.hot.append(f"{outcome.requests} requests in {outcome.seconds:.0f} s")
        outcome.wrong += [f"ended with {each!r}" for each in ended if not isinstance(each, asyncio.CancelledError)]
        outcome.leaked += [task.get_name() for task in asyncio.all_tasks() - before if not task.done()]
        outcome.leaked += [f"{self._server.streams} streams"] if self._server.streams else []


def play(seeds: range) -> Iterator[ScheduleResult]:
    """The outcomes of schedules, one after the other."""
    for seed in seeds:
        loop = VirtualTimeLoop()
        with asyncio.Runner(loop_factory=lambda loop=loop: loop) as runner:  # type: ignore[misc]
            yield runner.run(Schedule(seed, loop).play())
