"""States of clusters: never synced, synced, stale or removed, and what answers may say by them.

Pure: time comes in as seconds of a clock that goes on while the machine is suspended. Rules:

- Only a cluster that has synced once asserts absence; the others block a denial for a while, or for ever where they are
  required. The own cluster always is.
- Stale is a cluster whose last successful contact, also of an earlier process, is older than 90 s. Its last known data
  are served on, for ever or for as long as its `maxStale` allows; then they are withheld, and it counts as one that has
  not synced.
- Time during which this process stood still counts for no timeout: clusters are awaited for as much longer.
- A removed cluster's data are served for a while longer: sources flap, and answers of before live on in caches.
- Ready: the own cluster (without one: any) and every required cluster has synced, and the others have too, or had 30 s
  since then. What an earlier process knew of the own cluster (without one: of any) is ready at once; time alone never.
"""

import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Final, NamedTuple

from meshdns.controller.mass_delete_guard import Alarm
from meshdns.mesh.objects.declarations import ObjectKind
from meshdns.mesh.objects.foreign import MAX_TEXT, bounded_text, listed
from meshdns.mesh.objects.problems import Problem

STALE_AFTER: Final = 90.0  # seconds without a successful contact
DENIAL_BLOCK_TIMEOUT: Final = 30.0  # seconds for which a cluster that has no data blocks denials
OPTIONAL_SYNC_TIMEOUT: Final = (
    30.0  # seconds that clusters which are not required have to sync before the instance is ready
)
FAILURE_PATIENCE: Final = 5.0
"""Seconds after which a cluster that cannot be read is not waited for: at boot all may fail until the network is up."""
STOOD_STILL: Final = 5.0  # seconds between two ticks from which on the process was suspended or stopped in between
MAX_REASON: Final = 2 * MAX_TEXT
"""Characters of a failure's reason: a foreign text of the greatest length, and what this program says about it."""
REMOVAL_GRACE_PERIOD: Final = 30.0
"""Seconds for which a removed cluster is served on: the usual TTL, after which no cache holds its names."""


class ClusterState:
    """One cluster as its source sees it."""

    def __init__(self, name: str, now: float) -> None:
        self.name = name
        self.source = ""
        self.uid = ""  # of the namespace kube-system of the cluster that is read, as far as known
        self.served_uid: str | None = None  # of the one whose declarations are served; None: not looked for yet
        self.credentials_expire_at = math.inf  # Unix time at which what it is read with ends, as far as that says so
        self.credentials_renewable = False  # whether another is got before
        self.kinds: frozenset[ObjectKind] = frozenset()
        self.can_relist = False  # whether its source can be asked for a second list
        self.listed_kinds: set[ObjectKind] = set()
        self.is_restored = False  # a name database that an earlier process wrote holds its declarations
        self.last_contacts: dict[ObjectKind, float] = {}
        self.restored_contact = -math.inf  # the oldest of those that an earlier process had
        self.failures: dict[ObjectKind, str] = {}  # by kind, the newest last
        self.alarms: tuple[Alarm, ...] = ()  # what the mass-delete guard keeps
        self.empty_since = now  # from when on it counts as one without data
        self.added_at = now  # when a source added it
        self.has_joined = False  # whether its names are computed (`meshdns.controller.joining`)
        self.is_withheld = False  # stale for longer than it may be
        self.removed_at: float | None = None

    @property
    def is_synced(self) -> bool:
        """Whether everything was listed once, by this process or an earlier one, and is served."""
        return (self.is_restored or self.is_fully_listed) and not self.is_withheld

    @property
    def is_fully_listed(self) -> bool:
        """Whether this process has listed everything."""
        return bool(self.kinds) and self.kinds <= self.listed_kinds

    @property
    def is_read(self) -> bool:
        """Whether everything was listed as far as it can be read: nothing of it is under way."""
        return bool(self.kinds) and self.kinds <= self.listed_kinds | self.failures.keys()

    def record_failure(self, kind: ObjectKind, reason: str) -> None:
        """Record that a kind could not be read; the newest failure is the one shown."""
        self.failures.pop(kind, None)
        self.failures[kind] = bounded_text(reason, MAX_REASON)

    def contact_age(self, now: float) -> float:
        """Age in seconds of the oldest contact of any kind; infinite if a kind was never contacted."""
        before = self.restored_contact
        return now - min((self.last_contacts.get(kind, before) for kind in self.kinds), default=before)

    def is_stale(self, now: float) -> bool:
        """Whether the oldest contact of any kind is too old."""
        return (self.is_synced or self.is_withheld) and self.contact_age(now) > STALE_AFTER

    def status(self, now: float) -> str:
        """The state in a word for people."""
        if self.removed_at is not None:
            return "removed"
        if not self.is_synced and not self.is_withheld:
            return "never synced"
        return "stale" if self.is_stale(now) else "synced"

    @property
    def reason(self) -> str:
        """Why the cluster is not as it should be: what is kept against its word, and the last failure that holds."""
        failure = next(reversed(self.failures.values()), "")
        withheld = ("its names are withheld, as its maxStale says",) if self.is_withheld else ()
        alarms = (f"{each.reason}; {each.advice}" for each in self.alarms)
        return "; ".join((*alarms, *withheld, *((failure,) if failure else ())))


def _listed_reasons(reasons: Sequence[str]) -> str:
    """Return the first reasons in one text, and how many more there are: hundreds of clusters may fail at once."""
    return listed(reasons, separator="; ", limit=2 * MAX_REASON)


class ServingState(NamedTuple):
    """Limits of answers: whether mesh names are answered or names may be denied, and which clusters are stale.

    `knows_clusters` says that the clusters of all sources are known.
    """

    ready: bool = False
    complete: bool = False
    stale: frozenset[str] = frozenset()
    knows_clusters: bool = False


class ClusterTracker:
    """All clusters, and what follows from them. `max_stale` is in seconds by cluster; without one it is for ever."""

    def __init__(
        self, *, own: str, required: Collection[str], started: float, max_stale: Mapping[str, float] | None = None
    ) -> None:
        self._own = own
        self._required = frozenset(required) | ({own} if own else frozenset())
        self._started = started
        self._waiting_since = started  # as `started`, later by the time for which the process stood still
        self._ticked_at = started
        self._max_stale = max_stale or {}
        self._required_synced_since: float | None = None  # when the clusters that must be there were
        self._expected_sources: int | None = None
        self._listed_sources: set[str] = set()
        self._source_faults: dict[str, str] = {}  # by source what is wrong with it, for people
        self.clusters: dict[str, ClusterState] = {}

    def state_of(self, name: str) -> ClusterState:
        """Return the state of a cluster; it is made at the first call."""
        if name not in self.clusters:
            self.clusters[name] = ClusterState(name, self._waiting_since)
        return self.clusters[name]

    def has_been_read(self, name: str) -> bool:
        """Whether the ServiceEntries of a cluster were read before, and are not withheld now."""
        state = self.clusters.get(name)
        if state is None or state.is_withheld:
            return False
        return state.is_restored or ObjectKind.SERVICE_ENTRY in state.listed_kinds

    def restore(self, name: str, now: float, *, contact_age: float | None) -> None:
        """A name database or snapshot holds a cluster; its last contact is so many seconds old, if that is known."""
        state = self.state_of(name)
        state.is_restored = True
        if contact_age is not None:
            state.restored_contact = now - contact_age

    def record_tick(self, now: float) -> None:
        """Record that the process runs; called about once a second."""
        gap, self._ticked_at = now - self._ticked_at, now
        if gap <= STOOD_STILL:
            return
        self._waiting_since += gap
        if self._required_synced_since is not None:
            self._required_synced_since += gap
        for state in self.clusters.values():
            state.empty_since += gap
            state.added_at += gap

    def exceeds_max_stale(self, state: ClusterState, now: float) -> bool:
        """Whether a cluster is stale for longer than it may be; what an earlier process knew is as old as this one."""
        longest = self._max_stale.get(state.name)
        age = min(state.contact_age(now), now - self._started)
        return longest is not None and state.is_stale(now) and age > longest

    # ------------------------------------------------------------------------------------------ answers

    def serving_state(self, now: float) -> ServingState:
        """All that follows for answers."""
        return ServingState(
            self.may_answer(), self.may_deny(now), self.stale_clusters(now), knows_clusters=self.knows_clusters(now)
        )

    def may_answer(self) -> bool:
        """Whether names of the mesh are answered: the own cluster has synced; without one, any has."""
        if self._own:
            return self._own in self.clusters and self._has_ever_synced(self._own)
        return any(self._has_ever_synced(name) for name in self.clusters)

    @property
    def has_read_own_cluster(self) -> bool:
        """Whether this process has read what its place in the mesh follows from: all of the own cluster."""
        return not self._own or (self._own in self.clusters and self.clusters[self._own].is_fully_listed)

    def may_deny(self, now: float) -> bool:
        """Whether an unknown name may be denied."""
        if any(name not in self.clusters for name in self._required):
            return False
        waiting = [state for state in self.clusters.values() if not state.is_synced and state.removed_at is None]
        return not any(
            state.name in self._required or now - state.empty_since <= DENIAL_BLOCK_TIMEOUT for state in waiting
        )

    def awaits_first_lists(self, now: float) -> bool:
        """Whether the first lists are under way: of a cluster, or of the clusters of a source; 30 s at most."""
        if now - self._waiting_since > DENIAL_BLOCK_TIMEOUT:
            return False
        if (self._own and not self.may_answer()) or self._awaits_sources():  # without the own one nothing is answered
            return True
        return any(self._is_awaited(each, now) for each in self.clusters.values())

    @staticmethod
    def _is_awaited(state: ClusterState, now: float) -> bool:
        if state.is_synced or state.removed_at is not None:
            return False
        return not state.is_read or now - state.added_at <= FAILURE_PATIENCE

    def _awaits_sources(self) -> bool:
        """Whether a source has neither named its clusters nor said what is wrong with it."""
        known = len(self._listed_sources | self._source_faults.keys())
        return self._expected_sources is not None and known < self._expected_sources

    def stale_clusters(self, now: float) -> frozenset[str]:
        """The clusters whose last contact is too old."""
        return frozenset(state.name for state in self.clusters.values() if state.is_stale(now))

    # ------------------------------------------------------------------------------------------ readiness

    def not_ready_reason(self, now: float) -> str:
        """Why the instance is not ready yet, for people; empty where it is."""
        if self._has_restored_data():
            return ""
        core = list(self._required_reasons())
        if core:
            core += self._source_faults.values()
            self._required_synced_since = None
            return _listed_reasons(core)
        self._required_synced_since = now if self._required_synced_since is None else self._required_synced_since
        others = [self._sync_reason(state) for state in self.clusters.values() if not self._has_ever_synced(state.name)]
        if self._awaits_sources():
            others.append("a source has not named its clusters; wait")
        return _listed_reasons(others) if now - self._required_synced_since < OPTIONAL_SYNC_TIMEOUT else ""

    def _has_restored_data(self) -> bool:
        """Whether the last name database or a snapshot answers for the mesh."""
        states = self.clusters.values() if not self._own else filter(None, [self.clusters.get(self._own)])
        return any(state.is_restored for state in states)

    def _required_reasons(self) -> Iterator[str]:
        """What is missing of the clusters that must be there."""
        for name in sorted(self._required):
            if name not in self.clusters or not self._has_ever_synced(name):
                yield self._sync_reason(self.clusters.get(name) or ClusterState(name, self._started))
        if not self._required and not self.may_answer():
            yield from (self._sync_reason(state) for state in self.clusters.values())
            if not self.clusters:
                yield "no cluster is known yet; see what the sources say with meshdns get problems"

    def _has_ever_synced(self, name: str) -> bool:
        """Whether a cluster has synced once: data that are withheld count, they were there."""
        state = self.clusters[name]
        return state.is_restored or state.is_fully_listed

    def _sync_reason(self, state: ClusterState) -> str:
        if not state.kinds:
            named = self.named_clusters()
            if named is None:
                return f"cluster {state.name} is in no source yet; look for it in the sources' settings"
            known = f"which have {listed(sorted(named))}" if named else "which have no cluster"
            return f"cluster {state.name} is in none of the sources, {known}; correct the name, or add its source"
        return f"cluster {state.name} has not synced: {state.reason or 'its lists are under way; wait'}"

    # ------------------------------------------------------------------------------------------ metrics

    def contact_ages(self, now: float) -> dict[str, float]:
        """Return the seconds since the oldest contact of any kind with each cluster, where each kind had one.

        It is what makes a cluster stale: a kind that is not read any more leaves the others' contacts young.
        """
        ages = {name: state.contact_age(now) for name, state in self.clusters.items()}
        return {name: age for name, age in ages.items() if math.isfinite(age)}

    def credential_expiry(self) -> dict[str, tuple[float, bool]]:
        """The Unix time at which each cluster's credentials end, where they say so, and whether others are got."""
        states = self.clusters.values()
        return {
            state.name: (state.credentials_expire_at, state.credentials_renewable)
            for state in states
            if math.isfinite(state.credentials_expire_at)
        }

    # ------------------------------------------------------------------------------------------ unclaimed clusters

    def expect_sources(self, sources: int) -> None:
        """Expect `SourceListed` from so many sources."""
        self._expected_sources = sources

    def record_source_listed(self, source: str) -> None:
        """A source has named all clusters that it has."""
        self._listed_sources.add(source)

    def record_source_problems(self, source: str, problems: Sequence[Problem]) -> None:
        """All problems that a source has now: what is waited for may wait for their end."""
        self._source_faults.pop(source, None)
        if problems:
            texts = (f"{each.object} {each.name}: {each.reason}; {each.next_step}" for each in problems)
            self._source_faults[source] = listed(texts, 1, "; ")

    def knows_clusters(self, now: float) -> bool:
        """Whether every source has named its clusters; one that cannot is waited for as long as a silent cluster."""
        if self._expected_sources is not None and len(self._listed_sources) >= self._expected_sources:
            return True
        return now - self._started > DENIAL_BLOCK_TIMEOUT

    def named_clusters(self) -> frozenset[str] | None:
        """Return the clusters that the sources have, or None while one of them has not named its clusters."""
        if self._expected_sources is None or len(self._listed_sources) < self._expected_sources:
            return None
        return frozenset(s.name for s in self.clusters.values() if s.kinds and s.removed_at is None)

    def unclaimed_clusters(self, now: float) -> list[str]:
        """Clusters that only an earlier process knew: every source has named its clusters, and none of them these.

        Where a new cluster is still being read the old ones wait for it, 30 s at most: it may be one of them renamed.
        """
        if self._expected_sources is None or len(self._listed_sources) < self._expected_sources:
            return []
        named = [state for state in self.clusters.values() if state.kinds]
        if not named or (
            now - self._waiting_since <= DENIAL_BLOCK_TIMEOUT and not all(state.is_synced for state in named)
        ):
            return []
        return [state.name for state in self.clusters.values() if not state.kinds and state.removed_at is None]
