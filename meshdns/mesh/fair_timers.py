"""Timer queue that is fair to owners: what is due is taken by turns, so that nobody's items wait for another's.

Rules:
- An item belongs to its owners: a cluster and a namespace (or an object) in it. What is due is taken from the clusters
  by turns, and within a cluster from its owners by turns. An item of several owners is taken with the first that has
  its turn.
- Items of owners that are `urgent`, such as host names of gateways, are taken before all others.
- No owner, no cluster and not even all urgent items together may have all that runs at once (`Shares`): if what one
  names is silent, and each item takes as long as it may, places are left to the others.
- No clock here: times are seconds of any clock that never goes back.
"""

from collections import Counter, OrderedDict
from collections.abc import Callable, Hashable, Iterator
from typing import Final, Generic, NamedTuple, TypeAlias, TypeVar

from meshdns.mesh.timer_queue import TimerQueue

T = TypeVar("T", bound=Hashable)


class Owner(NamedTuple):
    """Whose an item is; `namespace` may name an object instead."""

    cluster: str = ""
    namespace: str = ""
    urgent: bool = False


Owners: TypeAlias = tuple[Owner, ...]

NOBODY: Final[Owners] = (Owner(),)


class Shares(NamedTuple):
    """The most items that run at once: of one owner, of one cluster, and of all urgent ones."""

    owner: int
    cluster: int
    urgent: int


class FairTimers(Generic[T]):
    """Items by due time, taken by turns. `owners_of` returns the owners of an item; none counts as one of nobody."""

    def __init__(self, owners_of: Callable[[T], Owners], shares: Shares) -> None:
        self._owners_of = owners_of
        self._shares = shares
        self._timers: TimerQueue[T] = TimerQueue()
        self._due: dict[T, Owners] = {}
        self._turns = {True: _Turns[T](), False: _Turns[T]()}  # by urgency
        self._running: dict[T, Owner] = {}
        self._running_counts: Counter[Owner | str | bool] = Counter()  # by owner, cluster, and urgency

    def __len__(self) -> int:
        """How many items are waiting, due or not."""
        return len(self._timers) + len(self._due)

    def schedule(self, item: T, due: float) -> None:
        """Schedule `item` at `due`; an earlier due time of it is void, and it runs no more."""
        self.finish(item)
        self._forget_due(item)
        self._timers.schedule(item, due)

    def cancel(self, item: T) -> None:
        """Remove `item`; nothing happens if it is not scheduled. One that runs keeps its place until `finish`."""
        self._timers.cancel(item)
        self._forget_due(item)

    def finish(self, item: T) -> None:
        """Note that an item that was taken runs no more."""
        owner = self._running.pop(item, None)
        if owner is not None:
            for key in (owner, owner.cluster, owner.urgent):
                self._running_counts[key] -= 1
                if not self._running_counts[key]:
                    del self._running_counts[key]

    def update_owners(self, item: T) -> None:
        """Note that `owners_of` returns other owners of an item."""
        if item in self._due:
            self._forget_due(item)
            self._add_due(item)

    @property
    def next_due(self) -> float | None:
        """The due time of the next item that may be taken, or None."""
        if next(self._takeable(), None) is not None:
            return float("-inf")
        return self._timers.next_due

    def pop_due(self, now: float, *, limit: int) -> list[T]:
        """Remove and return what has fallen due, by turns, at most `limit` items. They run until `finish`."""
        for item in self._timers.pop_due(now, limit=len(self._timers)):
            self._add_due(item)
        taken: list[T] = []
        while len(taken) < limit and (found := next(self._takeable(), None)) is not None:
            item, owner = found
            self._turns[owner.urgent].end_turn(owner)
            self._forget_due(item)
            self._running[item] = owner
            self._running_counts.update((owner, owner.cluster, owner.urgent))
            taken.append(item)
        return taken

    def _takeable(self) -> Iterator[tuple[T, Owner]]:
        """The first item of each owner that may run one, in the order of turns."""
        running, shares = self._running_counts, self._shares
        for urgent, turns in self._turns.items():
            if urgent and running[urgent] >= shares.urgent:
                continue
            for cluster, owners in turns.by_cluster.items():
                if running[cluster] >= shares.cluster:
                    continue
                for owner, items in owners.items():
                    if running[owner] < shares.owner:
                        yield next(iter(items)), owner

    def _add_due(self, item: T) -> None:
        owners = self._due[item] = self._owners_of(item) or NOBODY
        for owner in owners:
            self._turns[owner.urgent].add(owner, item)

    def _forget_due(self, item: T) -> None:
        for owner in self._due.pop(item, ()):
            self._turns[owner.urgent].remove(owner, item)


class _Turns(Generic[T]):
    """Items by cluster and owner; whose turn is next comes first."""

    def __init__(self) -> None:
        self.by_cluster: OrderedDict[str, OrderedDict[Owner, dict[T, None]]] = OrderedDict()

    def add(self, owner: Owner, item: T) -> None:
        """Add an item behind the others of its owner; a new owner and a new cluster have the last turn."""
        self.by_cluster.setdefault(owner.cluster, OrderedDict()).setdefault(owner, {})[item] = None

    def remove(self, owner: Owner, item: T) -> None:
        """Remove an item."""
        owners = self.by_cluster[owner.cluster]
        del owners[owner][item]
        if not owners[owner]:
            del owners[owner]
            if not owners:
                del self.by_cluster[owner.cluster]

    def end_turn(self, owner: Owner) -> None:
        """Give an owner, and its cluster, the last turn."""
        self.by_cluster[owner.cluster].move_to_end(owner)
        self.by_cluster.move_to_end(owner.cluster)
