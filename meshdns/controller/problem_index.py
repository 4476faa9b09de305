"""The problems of the mesh: when each was first seen, and which of them show where names or gateways are judged.

Rules:
- A problem that shows only when names or gateways are judged is there once, however many names show it, and disappears
  with the last of them.
- Of one object as many problems are listed as `MAX_PROBLEMS` says; another one stands for the rest. When a listed one
  disappears, one of the rest takes its place.
- A problem begins when it is first seen and ends when nothing shows it. Changed numbers in its reason, changes of other
  objects and a new controller do not make it begin again (`meshdns.mesh.objects.problems.identity_of`).
- The wall clock is an argument. A beginning that lies in its future, because the clock was set back, becomes now.
- The problems of an object itself need no index: they come and go with the object, and their beginnings are read back
  from the name database.
"""

import itertools
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from meshdns.mesh.diagnostics import ClusterProblem, check_declaration, limit_per_object
from meshdns.mesh.objects.declarations import AnyDeclaration, Service, ServiceEntry
from meshdns.mesh.objects.problems import (
    MAX_PROBLEMS,
    DatedProblem,
    Problem,
    ProblemIdentity,
    Severity,
    first_problems,
    identity_of,
    unlisted_problem,
    with_time,
)
from meshdns.mesh.settings import MeshSettings
from meshdns.mesh.visibility import host_problems, service_problems

GATEWAYS_OWNER: Final = b""
"""What stands for the gateways where an owner name shows problems; no owner name is empty."""

LOOKUPS_OWNER: Final = b"\xc0lookups"
"""What stands for the plan of look-ups; no label of an owner name is that long."""

CLAIMS_OWNER: Final = b"\xc0claims"
"""What stands for the claims that began."""

RESTORED_LIFETIME: Final = 600.0
"""Seconds for which the beginnings of an earlier controller's own problems are kept.

Sources report at different times after a start: a list that fails may take minutes to fail again.
"""


_Changes = dict[ClusterProblem, float | None]
_ObjectId = tuple[str, str, str, str]
"""Cluster, kind, namespace and name."""


def _object_of(each: ClusterProblem) -> _ObjectId:
    cluster, problem = each
    return cluster, problem.object, problem.namespace, problem.name


class _ObjectProblems:
    """The derived problems of one object; of the `rest`, which are not listed, the times are kept."""

    __slots__ = ("listed", "rest", "standing_for_rest")

    def __init__(self) -> None:
        self.listed: set[ClusterProblem] = set()
        self.rest: dict[ClusterProblem, float] = {}
        self.standing_for_rest: ClusterProblem | None = None


class ProblemIndex:
    """Index of problems by what shows them: an owner name in wire format, or the gateways."""

    def __init__(self) -> None:
        self._problems_by_owner: dict[bytes, frozenset[ClusterProblem]] = {}
        self._owner_counts: dict[ClusterProblem, int] = {}  # how many owners show it
        self._first_seen: dict[ProblemIdentity, float] = {}
        self._holder_counts: dict[ProblemIdentity, int] = {}  # how many problems have this identity, restored ones too
        self._restored: list[ProblemIdentity] = []
        self._objects: dict[_ObjectId, _ObjectProblems] = {}

    def update(
        self, owner: bytes, problems: Iterable[ClusterProblem], now: float
    ) -> dict[ClusterProblem, float | None]:
        """Take over what `owner` shows at the Unix time `now`.

        Return the problems that are to be listed by that, with the times at which they were first seen, and those that
        are to be listed no more, with None.
        """
        after = frozenset(limit_per_object(problems))
        before = self._problems_by_owner.pop(owner, frozenset())
        if after:
            self._problems_by_owner[owner] = after
        changes: dict[ClusterProblem, float | None] = {}
        touched: set[_ObjectId] = set()
        for each in after - before:  # first: what only changed its numbers keeps its time
            self._owner_counts[each] = self._owner_counts.get(each, 0) + 1
            if self._owner_counts[each] == 1:
                self._add(each, self._hold(identity_of(*each), now, now), changes, touched)
        for each in before - after:
            self._owner_counts[each] -= 1
            if not self._owner_counts[each]:
                del self._owner_counts[each]
                self._release(identity_of(*each))
                self._remove(each, changes, touched)
        for object_id in touched:
            self._update_rest(object_id, now, changes)
        return changes

    def _add(self, each: ClusterProblem, since: float, changes: _Changes, touched: set[_ObjectId]) -> None:
        of_object = self._objects.setdefault(_object_of(each), _ObjectProblems())
        touched.add(_object_of(each))
        if len(of_object.listed) < MAX_PROBLEMS:
            of_object.listed.add(each)
            changes[each] = since
        else:
            of_object.rest[each] = since

    def _remove(self, each: ClusterProblem, changes: _Changes, touched: set[_ObjectId]) -> None:
        of_object = self._objects[_object_of(each)]
        touched.add(_object_of(each))
        if of_object.rest.pop(each, None) is not None:
            return
        of_object.listed.remove(each)
        changes[each] = None

    def _update_rest(self, object_id: _ObjectId, now: float, changes: _Changes) -> None:
        """List what has room now, and change the problem that stands for the rest."""
        of_object = self._objects[object_id]
        while of_object.rest and len(of_object.listed) < MAX_PROBLEMS:
            promoted = next(iter(of_object.rest))
            changes[promoted] = of_object.rest.pop(promoted)
            of_object.listed.add(promoted)
        before, after = of_object.standing_for_rest, None
        if of_object.rest:
            _, urgent = min(of_object.rest, key=lambda each: tuple(Severity).index(each[1].severity))
            after = (object_id[0], unlisted_problem(urgent.kind, urgent, len(of_object.rest)))
        if after != before:
            if after is not None:  # first: it keeps its time
                changes[after] = self._hold(identity_of(*after), now, now)
            if before is not None:
                self._release(identity_of(*before))
                changes[before] = None
            of_object.standing_for_rest = after
        if not of_object.listed:
            del self._objects[object_id]

    def restore(self, cluster: str, problem: DatedProblem, now: float) -> None:
        """Remember when an earlier controller first saw a problem, until `forget_restored`."""
        identity = identity_of(cluster, problem)
        self._hold(identity, problem.since, now)
        self._restored.append(identity)

    def forget_restored(self) -> None:
        """Forget the restored problems that nothing shows, now that everything was judged."""
        for identity in self._restored:
            self._release(identity)
        self._restored.clear()

    def _hold(self, identity: ProblemIdentity, since: float, now: float) -> float:
        """Return when a problem was first seen, which is `since` if it is not known."""
        first = self._first_seen[identity] = clamp_start(self._first_seen.get(identity, since), now)
        self._holder_counts[identity] = self._holder_counts.get(identity, 0) + 1
        return first

    def _release(self, identity: ProblemIdentity) -> None:
        self._holder_counts[identity] -= 1
        if not self._holder_counts[identity]:
            del self._holder_counts[identity], self._first_seen[identity]


class OwnProblemTimes:
    """Times at which problems of the controller itself were first seen: of sources, their lists and the database."""

    def __init__(self) -> None:
        self._first_seen: dict[ProblemIdentity, float] = {}
        self._restored: dict[ProblemIdentity, float] = {}  # those that did not show again yet
        self._restored_at = 0.0

    def restore(self, problems: Iterable[DatedProblem], now: float) -> None:
        """Remember what `problems_to_store` returned to an earlier controller."""
        self._restored = {identity_of("", problem): clamp_start(problem.since, now) for problem in problems}
        self._restored_at = now

    def add_times(self, problems: Sequence[Problem], now: float) -> list[DatedProblem]:
        """Return the problems that there are at the Unix time `now`, which are all, with their times."""
        if now - self._restored_at > RESTORED_LIFETIME:
            self._restored.clear()
        before, self._first_seen = self._first_seen, {}
        dated = []
        for problem in problems:
            identity = identity_of("", problem)
            since = clamp_start(before.get(identity, self._restored.pop(identity, now)), now)
            self._first_seen.setdefault(identity, since)
            dated.append(with_time(problem, self._first_seen[identity]))
        return dated

    def problems_to_store(self) -> list[DatedProblem]:
        """Return what is to be stored. It differs from before only where a problem began or ended."""
        return [
            DatedProblem(kind, kind_of_object, namespace, name, field, reason, since=since)
            for (_, kind, kind_of_object, namespace, name, field, reason), since in sorted(
                (self._restored | self._first_seen).items(), key=lambda item: (item[1], item[0][1].value, item[0][2:])
            )
        ]


def date_problems(problems: Iterable[Problem], before: Iterable[DatedProblem], now: float) -> list[DatedProblem]:
    """Return the problems of an object with their times; `before` are those it had."""
    known = {identity_of("", problem): problem.since for problem in before}
    return [with_time(problem, clamp_start(known.get(identity_of("", problem), now), now)) for problem in problems]


def clamp_start(since: float, now: float) -> float:
    """Return `since`, or `now` where it is not known (0) or lies in the future."""
    return min(since or now, now)


def problems_of(cluster: str, declaration: AnyDeclaration, settings: MeshSettings) -> Iterator[Problem]:
    """What is wrong with a declaration: by itself, and under these settings; bounded in number."""
    yield from declaration.problems
    found = itertools.chain(check_declaration(declaration), settings_problems(cluster, declaration, settings))
    yield from first_problems(found, max(MAX_PROBLEMS - len(declaration.problems), 0))


def settings_problems(cluster: str, declaration: AnyDeclaration, settings: MeshSettings) -> Iterator[Problem]:
    """Why names that a declaration asks for are not served under these settings."""
    match declaration:
        case ServiceEntry():
            yield from host_problems(declaration, cluster, settings)
        case Service():
            yield from service_problems(declaration, cluster, settings)
