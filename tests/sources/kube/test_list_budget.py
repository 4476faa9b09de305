"""Who gives way when the lists of several clusters do not fit together, in virtual time."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from meshdns.sources.kube.list_budget import BudgetExceededError, Lease, ListBudget, default_octets
from tests.sources.virtual_time_loop import VirtualTimeLoop

MIB = 2**20


class Scene:
    """A budget of 100 octets; `given_up` are the clusters whose lists were interrupted."""

    def __init__(self, own: str = "") -> None:
        self.budget = ListBudget(100, own=own, clock=asyncio.get_running_loop().time)
        self.given_up: list[str] = []
        self._open: list[object] = []

    async def read(self, cluster: str, octets: int) -> Lease:
        """A list of that cluster takes so much, and gives it back as soon as it is interrupted."""
        lease = self.budget.lease(cluster)
        stack = lease.interruptible(lambda: self._interrupt(lease))
        stack.__enter__()
        self._open.append(stack)
        await lease.take(octets)
        return lease

    def _interrupt(self, lease: Lease) -> None:
        asyncio.get_running_loop().call_soon(self._give_up, lease)

    def _give_up(self, lease: Lease) -> None:
        self.given_up.append(lease.cluster)
        lease.release()


def play(steps: Callable[[Scene], Awaitable[None]], own: str = "") -> None:
    """Run them."""

    async def work() -> None:
        await steps(Scene(own))

    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        runner.run(work())


def test_a_list_that_does_not_fit_alone_is_refused() -> None:
    """It holds what it took before, and gives it back."""

    async def steps(scene: Scene) -> None:
        lease = await scene.read("a", 90)
        with pytest.raises(BudgetExceededError, match="the budget for all lists") as refused:
            await lease.take(11)
        assert refused.value.alone
        assert scene.budget.used == 90
        lease.release()
        assert scene.budget.used == 0

    play(steps)


def test_the_one_that_holds_most_gives_way_to_others() -> None:
    """It is interrupted at once, and the other waits for no more than that."""

    async def steps(scene: Scene) -> None:
        await scene.read("large", 80)
        small = await scene.read("small", 10)
        await small.take(20)
        assert (scene.given_up, scene.budget.used) == (["large"], 30)

    play(steps)


def test_the_one_that_holds_most_is_refused_itself() -> None:
    """Others are not disturbed by it."""

    async def steps(scene: Scene) -> None:
        await scene.read("small", 30)
        large = await scene.read("large", 70)
        with pytest.raises(BudgetExceededError, match="gave way to those of other clusters") as refused:
            await large.take(1)
        assert not refused.value.alone
        assert scene.given_up == []

    play(steps)


def test_the_own_cluster_gives_way_to_nobody() -> None:
    """However much it holds."""

    async def steps(scene: Scene) -> None:
        own = await scene.read("own", 80)
        await scene.read("other", 20)
        await own.take(10)
        assert scene.given_up == ["other"]
        with pytest.raises(BudgetExceededError):
            await scene.read("other", 20)

    play(steps, own="own")


def test_one_that_reads_for_long_gives_way_before_one_that_reads_more() -> None:
    """A trickle cannot hold what others need."""

    async def steps(scene: Scene) -> None:
        await scene.read("slow", 40)
        await asyncio.sleep(31)
        quick = await scene.read("quick", 60)
        await quick.take(30)
        assert (scene.given_up, scene.budget.used) == (["slow"], 90)

    play(steps)


def test_one_that_exceeded_the_budget_gives_way_until_a_list_of_it_fits() -> None:
    """Endless lists, begun again and again, cost the others nothing but the first time."""

    async def steps(scene: Scene) -> None:
        lease = await scene.read("endless", 90)
        with pytest.raises(BudgetExceededError):
            await lease.take(20)
        lease.release()
        again = await scene.read("endless", 30)
        good = await scene.read("good", 70)
        await good.take(10)
        assert scene.given_up == ["endless"]
        assert again.is_revoked
        good.release()
        last = await scene.read("endless", 30)
        last.complete()
        await scene.read("endless", 30)
        more = await scene.read("good", 70)
        with pytest.raises(BudgetExceededError):
            await more.take(10)

    play(steps)


def test_a_lease_that_was_revoked_takes_nothing_more() -> None:
    """Nor does anything begin under it."""

    async def steps(scene: Scene) -> None:
        lease = scene.budget.lease("a")
        lease.revoke()
        with pytest.raises(BudgetExceededError):
            await lease.take(1)
        with pytest.raises(BudgetExceededError), lease.interruptible(lambda: None):
            raise AssertionError

    play(steps)


LIMITS: dict[str, tuple[dict[str, str], int]] = {
    "the chart's": ({"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/memory.max": f"{384 * MIB}\n"}, 96 * MIB),
    "of a group above": (
        {
            "proc/self/cgroup": "0::/a/b\n",
            "sys/fs/cgroup/a/memory.max": "67108864",
            "sys/fs/cgroup/a/b/memory.max": "max",
        },
        16 * MIB,
    ),
    "of control groups version 1": ({"sys/fs/cgroup/memory/memory.limit_in_bytes": f"{400 * MIB}"}, 100 * MIB),
    "a small one": ({"sys/fs/cgroup/memory.max": "1000000"}, 16 * MIB),
}


@pytest.mark.parametrize("case", LIMITS)
def test_the_budget_is_a_quarter_of_the_memory(tmp_path: Path, case: str) -> None:
    """The smallest limit counts; without any the machine's memory does."""
    files, octets = LIMITS[case]
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    assert default_octets(tmp_path) == octets
    assert 16 * MIB <= default_octets(tmp_path / "none") <= 512 * MIB
