"""Budget of octets for everything that is being read of all clusters at a time.

Rules:
- What has arrived of a list counts until the list is complete or given up: its octets, for each object the least that
  is made of it, and something for each page, so that a list of empty pages ends too. So does a line of a watch until it
  ends, and the body of any other reply.
- Where more does not fit, one cluster gives way: the one that asks, which then has an error, or another, whose lists
  are given up at once and whose room the first one waits for. It is never the own cluster where it can be another; else
  one that exceeded the budget by itself or reads one list for more than half a minute; else the one that holds most. So
  a cluster may hold everything, but while others need room no more than its share.
- A list that is given up is an error of its cluster like any other: nothing that was known is removed.
"""

import asyncio
import contextlib
import os
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from meshdns.sources.settings import SourceError

ITEM_COST: Final = 512
"""Octets that an object of a list counts beside its own: the least that a declaration takes."""
PAGE_COST: Final = 16 * 1024
"""Octets that a page of a list counts at least."""

_LONG: Final = 30.0  # seconds
_SMALLEST: Final = 16 * 2**20
_LARGEST: Final = 512 * 2**20  # three times 100,000 ServiceEntries
_MIB: Final = 2**20


class BudgetExceededError(SourceError):
    """What is being read does not fit; `alone` says that it would not even if no other cluster were read."""

    def __init__(self, message: str, *, alone: bool) -> None:
        super().__init__(message)
        self.alone = alone


class ListBudget:
    """The budget of one process; `own` is the own cluster. `clock` gives seconds."""

    def __init__(self, octets: int, *, own: str = "", clock: Callable[[], float]) -> None:
        self.octets = octets
        self.used = 0
        self._own = own
        self._clock = clock
        self._held: defaultdict[str, int] = defaultdict(int)
        self._leases: defaultdict[str, set[Lease]] = defaultdict(set)
        self._offenders: set[str] = set()
        self._freed = asyncio.Event()

    def lease(self, cluster: str) -> "Lease":
        """Open a lease for something of this cluster that is to be read; it holds nothing yet."""
        return Lease(self, cluster, self._clock())

    def record_complete_list(self, cluster: str) -> None:
        """A list of the cluster fitted: it is like any other again."""
        self._offenders.discard(cluster)

    def change(self, lease: "Lease", octets: int) -> None:
        """Count so many octets more, or less, for a lease."""
        self.used += octets
        lease.octets += octets
        self._held[lease.cluster] += octets
        if lease.octets:
            self._leases[lease.cluster].add(lease)
            return
        self._leases[lease.cluster].discard(lease)
        if not self._leases[lease.cluster]:
            del self._leases[lease.cluster]
            del self._held[lease.cluster]

    def give_back(self, lease: "Lease", octets: int) -> None:
        """The lease needs so many octets no more."""
        if octets:
            self.change(lease, -octets)
            self._freed.set()
            self._freed = asyncio.Event()

    async def make_room(self, lease: "Lease", octets: int) -> None:
        """Have another cluster give way, and wait until it has. Raises `BudgetExceededError` where this one must."""
        cluster = lease.cluster
        if self._held.get(cluster, 0) + octets > self.octets:
            self._offenders.add(cluster)
            raise BudgetExceededError(
                f"it sends more than {self.octets // _MIB} MiB, the budget for all lists that are being read; "
                "look at what fills it, or raise the memory limit of meshdns, of which the budget is a quarter",
                alone=True,
            )
        victim = max({*self._held, cluster}, key=lambda each: self._rank(each, octets if each == cluster else 0))
        if victim == cluster:
            raise self.refusal(cluster)
        freed = self._freed
        for each in tuple(self._leases[victim]):
            each.revoke()
        await freed.wait()

    def refusal(self, cluster: str) -> BudgetExceededError:
        """The error of a cluster that has to give way to others."""
        if self._reads_long(cluster):
            self._offenders.add(cluster)
        return BudgetExceededError(
            f"its lists gave way to those of other clusters, which share {self.octets // _MIB} MiB; wait, or raise the "
            "memory limit of meshdns, of which the budget is a quarter",
            alone=False,
        )

    def _rank(self, cluster: str, more: int) -> tuple[bool, bool, int]:
        """How soon a cluster gives way; the greatest does."""
        is_offender = cluster in self._offenders or self._reads_long(cluster)
        return cluster != self._own, is_offender, self._held.get(cluster, 0) + more

    def _reads_long(self, cluster: str) -> bool:
        return any(self._clock() - lease.opened_at > _LONG for lease in self._leases.get(cluster, ()))


class Lease:
    """What one list, line or body holds of the budget."""

    def __init__(self, budget: ListBudget, cluster: str, opened_at: float) -> None:
        self.cluster = cluster
        self.opened_at = opened_at
        self.octets = 0
        self.is_revoked = False
        self._budget = budget
        self._interrupt: Callable[[], None] | None = None

    async def take(self, octets: int) -> None:
        """Hold so many octets more, once there is room. Raises `BudgetExceededError`."""
        while self._budget.used + octets > self._budget.octets and not self.is_revoked:
            await self._budget.make_room(self, octets)
        if self.is_revoked:
            raise self.refusal()
        self._budget.change(self, octets)

    async def resize(self, octets: int) -> None:
        """Hold so many octets in all. Raises `BudgetExceededError`."""
        if octets > self.octets:
            await self.take(octets - self.octets)
        else:
            self._budget.give_back(self, self.octets - octets)

    def release(self) -> None:
        """Hold nothing any more."""
        self._budget.give_back(self, self.octets)

    def complete(self) -> None:
        """The list is complete and belongs to others now."""
        self._budget.record_complete_list(self.cluster)
        self.release()

    def revoke(self) -> None:
        """End whatever is read under this lease."""
        self.is_revoked = True
        if self._interrupt is not None:
            self._interrupt()

    def refusal(self) -> BudgetExceededError:
        """Why it was revoked."""
        return self._budget.refusal(self.cluster)

    @contextmanager
    def interruptible(self, interrupt: Callable[[], None]) -> Iterator[None]:
        """Call `interrupt` where the lease is revoked meanwhile. Raises `BudgetExceededError` where it is already."""
        if self.is_revoked:
            raise self.refusal()
        self._interrupt = interrupt
        try:
            yield
        finally:
            self._interrupt = None


async def read_body(chunks: AsyncIterator[bytes], lease: Lease, limit: int) -> bytearray | None:
    """Return a whole body, which `lease` holds while it arrives; None if it is longer than `limit` bytes.

    Raises `BudgetExceededError`, and what the chunks raise.
    """
    body = bytearray()
    try:
        async for chunk in chunks:
            await lease.take(len(chunk))
            body += chunk
            if len(body) > limit:
                return None
    finally:
        lease.release()
    return body


def default_octets(root: Path = Path("/")) -> int:
    """A quarter of the memory that this process may use, from 16 to 512 MiB.

    A list takes up to twice its octets while it is read, and the processes of an instance half of the chart's limit.
    """
    limit = min(_memory_limits(root), default=0)
    return max(_SMALLEST, min(_LARGEST, limit // 4)) if limit else _LARGEST


def _memory_limits(root: Path) -> Iterator[int]:
    """The limits of this process's control groups (v2, or v1 in a container), and the machine's memory."""
    with contextlib.suppress(ValueError, OSError):
        yield os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    group = Path()
    with contextlib.suppress(OSError, UnicodeDecodeError):
        for line in (root / "proc/self/cgroup").read_text().splitlines():
            if line.startswith("0::/"):
                group = Path(line.removeprefix("0::/"))
    base = root / "sys/fs/cgroup"
    files = [base / place / "memory.max" for place in (group, *group.parents)]
    for file in (*files, base / "memory/memory.limit_in_bytes"):
        with contextlib.suppress(OSError, ValueError):
            yield int(file.read_text(encoding="ascii"))
