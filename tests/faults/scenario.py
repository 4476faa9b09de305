"""The waves played: faults begun and ended in the main thread, and what became of each.

The instance stands in cluster east, which has no fault; each wave's faults are in north, south and west.
"""

import os
import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from tests.e2e.instance import Instance, wait_until_ready
from tests.faults import network
from tests.faults.catalogue import WAVES, Fault
from tests.faults.cluster import CANARY, FRESH, Cluster
from tests.faults.watching import Canary, Changes, Look, Operator
from tests.rig.kubernetes import Refused
from tests.rig.waiting import eventually

_SPARED: Final = 4.0  # seconds per request that a failing API server is asked at most
_BURST: Final = 4  # requests more: a fault is known after two failures, and each end is rounded
_AFTER: Final = 3  # the edition of what is changed when a fault is over
_BEFORE: Final = 3.0  # seconds of peace before a wave
_PAUSE: Final = 0.05  # seconds between two looks whether a fault is recovered from
_RECOVERY: Final = 150.0  # seconds for which anybody waits for the end of what a fault brought


@dataclass
class Course:
    """What became of one fault; times are monotonic, `began` and `ended` also on the clock for people."""

    fault: Fault
    cluster: Cluster
    before: Look | None = None
    began: float = 0.0
    ended: float = 0.0
    begun_at: datetime = field(default_factory=lambda: datetime.now(UTC))
    ended_at: datetime = field(default_factory=lambda: datetime.now(UTC))
    over: bool = False
    looks: list[Look] = field(default_factory=list)
    heard: list[tuple[float, str | None]] = field(default_factory=list)
    requests: int = 0
    refused: int = 0  # of these
    changed: float | None = None  # seconds after the end until a change made then was answered
    recovered: float | None = None  # seconds after the end until nothing showed of the fault
    wrong: list[str] = field(default_factory=list)

    @property
    def noticed(self) -> Look | None:
        """The first look that shows that anything is wrong."""
        return next((look for look in self.looks if not look.well), None)

    @property
    def stale(self) -> Look | None:
        """The first look at a stale cluster."""
        return next((look for look in self.looks if look.status == "stale"), None)

    @property
    def allowed_requests(self) -> float:
        """How often the server may have been asked while it failed."""
        return (self.ended - self.began) / _SPARED + _BURST


@dataclass(frozen=True)
class Outcome:
    """All courses, how the other clusters fared, and the machine's load meanwhile."""

    courses: Sequence[Course]
    canary: Canary
    changes: Changes
    load: float
    seconds: float

    @property
    def wrong(self) -> list[str]:
        """Everything that must not have been."""
        found = [f"{course.fault.name}: {each}" for course in self.courses for each in course.wrong]
        return found + [each for wrong in self.canary.wrong.values() for each in wrong]


def play(only: str = "") -> Outcome:
    """Play all waves, or one fault."""
    waves = [tuple(fault for fault in wave if only in ("", fault.name)) for wave in WAVES]
    begun = time.monotonic()
    with TemporaryDirectory() as folder, ExitStack() as stack:
        clusters = [Cluster(name, rank + 1, Path(folder)) for rank, name in enumerate(("east", *_TROUBLED))]
        network.own([cluster.outside for cluster in clusters])
        for cluster in clusters:
            _prepare(stack.enter_context(cluster), waves)
        connections = stack.enter_context(network.Connections().counting())
        instance = stack.enter_context(_instance(clusters))
        wait_until_ready(instance)
        for cluster in clusters:
            eventually(lambda cluster=cluster: _answered(instance, cluster, CANARY, 0), what="all is served", within=60)  # type: ignore[misc]
        canary, operator = Canary(instance, clusters), Operator(instance, clusters)
        changes = Changes(instance, clusters[0], FRESH)
        canary.allowed = {cluster.name: frozenset({cluster.address(CANARY)}) for cluster in clusters}
        for watching in (canary.asking(), operator.looking(), changes.changing()):
            stack.enter_context(watching)
        courses = [
            course
            for wave in waves
            if wave
            for course in _Wave(wave, clusters[1:], instance, canary, operator, connections).play()
        ]
        return Outcome(courses, canary, changes, os.getloadavg()[2], time.monotonic() - begun)


_TROUBLED: Final = ("north", "south", "west")


def _prepare(cluster: Cluster, waves: Sequence[tuple[Fault, ...]]) -> None:
    """Fill a cluster; the last of the troubled ones has a past to go back to, and a second cluster behind it."""
    names = {fault.name for wave in waves for fault in wave}
    if cluster.name == _TROUBLED[-1]:
        cluster.admit_for_ever()
        if "replace" in names:
            cluster.prepare_another()
        if "snapshot" in names:
            cluster.keep()
    cluster.fill()


def _instance(clusters: Sequence[Cluster]) -> Instance:
    source = {
        "kind": "kubeconfig",
        "path": ":".join(str(cluster.kubeconfig) for cluster in clusters),
        "contexts": [cluster.name for cluster in clusters],
    }
    return Instance(
        {"sources": [source], "vantage": {"cluster": clusters[0].name}, "admin": {"socket": "./admin.sock"}}
    )


def _answered(instance: Instance, cluster: Cluster, number: int, edition: int) -> bool:
    return instance.addresses(cluster.host(number)) == [cluster.address(number, edition)]


class _Wave:
    """Faults side by side, one for each troubled cluster; the place in the wave says which."""

    def __init__(
        self,
        faults: Sequence[Fault],
        clusters: Sequence[Cluster],
        instance: Instance,
        canary: Canary,
        operator: Operator,
        connections: network.Connections,
    ) -> None:
        self._courses = [Course(fault, clusters[_place(fault)]) for fault in faults]
        self._instance = instance
        self._canary = canary
        self._operator = operator
        self._connections = connections

    def play(self) -> list[Course]:
        """Begin all, end each when it is time, and wait until all is well again."""
        for course in self._courses:
            self._begin_well(course)
        for course in self._courses:
            self._canary.allowed[course.cluster.name] = course.fault.allowed(course.cluster)
            say(f"{course.cluster.name}: {course.fault.title}")
            course.began, course.begun_at = time.monotonic(), datetime.now(UTC)
            course.fault.begins(course.cluster)
        for course in sorted(self._courses, key=lambda each: each.fault.lasts):
            self._end(course)
        for course in self._courses:
            self._await_recovery(course)
        for course in self._courses:
            self._conclude(course)
        return self._courses

    def _begin_well(self, course: Course) -> None:
        """Wait until nothing is wrong with a cluster, and all of its objects are served."""
        cluster = course.cluster
        cluster.fill()
        course.fault.prepared(cluster)
        eventually(lambda: _answered(self._instance, cluster, CANARY, 0), what=f"{cluster.name} is served", within=60)
        self._canary.allowed[cluster.name] = frozenset({cluster.address(CANARY)})
        since = time.monotonic() + _BEFORE
        last = eventually(lambda: self._operator.since(cluster, since), what="a look", within=30)[-1]
        course.before = last
        if not last.well:
            course.wrong.append(f"before it began: {last.status}, {last.reason}, {last.ede}")

    def _end(self, course: Course) -> None:
        """Let the fault go on for as long as it is to, end it, and change an object."""
        fault, cluster = course.fault, course.cluster
        while time.monotonic() < course.began + fault.lasts:
            self._look_around()
        course.ended, course.ended_at = time.monotonic(), datetime.now(UTC)
        try:
            fault.ends(cluster)
            cluster.change(FRESH, _AFTER)
        except (Refused, OSError) as error:
            course.wrong.append(f"the end failed: {error}")
        if fault.lasts:
            self._count(course)
            course.ended = time.monotonic()
        course.over = True
        say(f"{cluster.name}: the fault is over")

    def _count(self, course: Course) -> None:
        """How often the API server was asked: what its audit log has, or connections where it could not answer."""
        answered = course.cluster.requests(course.begun_at, course.ended_at)
        tried = self._connections.between(course.cluster.outside, course.began, course.ended)
        course.requests = max(len(answered), tried)
        course.refused = sum(not each.startswith("2") for each in answered) if answered else tried

    def _look_around(self) -> None:
        """Note what is well by now of the faults that are over."""
        for each in self._courses:
            if each.over:
                self._note(each)
        time.sleep(_PAUSE)

    def _await_recovery(self, course: Course) -> None:
        try:
            eventually(lambda: self._recovered(course), what="it is well again", within=_RECOVERY)
        except TimeoutError as error:
            course.wrong.append(str(error))

    def _recovered(self, course: Course) -> bool:
        """Note, for all of the wave, what is well by now; whether `course` is."""
        self._look_around()
        return course.recovered is not None

    def _note(self, course: Course) -> None:
        cluster, now = course.cluster, time.monotonic()
        if course.changed is None and _answered(self._instance, cluster, FRESH, _AFTER):
            course.changed = now - course.ended
        looks = self._operator.since(cluster, course.ended)
        if course.recovered is not None or course.changed is None or not looks:
            return
        heard = self._canary.heard[cluster.name][-1][1]
        if looks[-1].well and heard == course.fault.final(cluster):
            course.recovered = now - course.ended

    def _conclude(self, course: Course) -> None:
        fault, cluster = course.fault, course.cluster
        course.looks = self._operator.since(cluster, course.began)
        course.heard = [each for each in self._canary.heard[cluster.name] if each[0] >= course.began]
        self._canary.allowed[cluster.name] = fault.allowed(cluster)
        if course.recovered is not None and course.recovered > fault.settles:
            course.wrong.append(f"well only {course.recovered:.0f} s after its end")
        asked = course.requests if fault.fails else course.refused
        if fault.lasts and asked > course.allowed_requests:
            course.wrong.append(f"{asked} requests in {course.ended - course.began:.0f} s")
        if fault.stays and course.heard and course.heard[0][0] - course.began < fault.stays:
            course.wrong.append(f"its names changed after {course.heard[0][0] - course.began:.0f} s")
        late = [look for look in course.looks if look.at < course.ended and look.status == "stale"]
        if any(not look.ede.startswith("3 ") for look in late[1:]):
            course.wrong.append("a stale answer without EDE 3")
        if fault.lasts > 95 and not late:
            course.wrong.append("it did not become stale")


def _place(fault: Fault) -> int:
    return next(wave.index(fault) for wave in WAVES if fault in wave)


def say(text: str) -> None:
    """Print a line at once."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()
