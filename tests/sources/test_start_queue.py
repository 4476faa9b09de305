"""Who is read first, and how many at a time, in virtual time."""

import asyncio
from collections.abc import Awaitable, Callable

from meshdns.sources.start_queue import OWN_LEAD, TURN_LENGTH, TURNS, StartOrder, StartQueue
from tests.sources.virtual_time_loop import VirtualTimeLoop


class Scene:
    """Clusters that wait; `begun` are those that have had their turn, in order, with the time of it."""

    def __init__(self) -> None:
        self.queue = StartQueue()
        self.begun: list[tuple[str, float]] = []
        self.ends: dict[str, Callable[[], None]] = {}
        self.tasks: list[asyncio.Task[None]] = []

    def wait(self, name: str, order: StartOrder) -> None:
        """One more waits."""
        self.tasks.append(asyncio.get_running_loop().create_task(self._wait(name, order), name=name))

    async def _wait(self, name: str, order: StartOrder) -> None:
        self.ends[name] = await self.queue.wait_turn(order)
        self.begun.append((name, asyncio.get_running_loop().time()))

    @property
    def names(self) -> list[str]:
        """Those that have begun."""
        return [name for name, _ in self.begun]


def play(steps: Callable[[Scene], Awaitable[None]]) -> None:
    """Run them."""

    async def work() -> None:
        scene = Scene()
        await steps(scene)
        await asyncio.gather(*scene.tasks, return_exceptions=True)

    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        runner.run(work())


def test_nobody_begins_before_the_own_cluster_is_read() -> None:
    """With its end the first of the others begin, however many there are."""

    async def steps(scene: Scene) -> None:
        scene.queue.begin_own()
        for number in range(1500):
            scene.wait(f"o{number}", StartOrder.OTHER)
        scene.wait("own", StartOrder.OWN)
        await asyncio.sleep(1)
        assert scene.names == ["own"]
        scene.ends["own"]()
        await asyncio.sleep(0.1)
        assert scene.names == ["own", *(f"o{number}" for number in range(TURNS))]
        for task in scene.tasks:
            task.cancel()

    play(steps)


def test_an_own_cluster_that_does_not_answer_is_not_waited_for_longer() -> None:
    """The others' names are better than none."""

    async def steps(scene: Scene) -> None:
        scene.queue.begin_own()
        scene.wait("other", StartOrder.OTHER)
        await asyncio.sleep(OWN_LEAD + 1)
        assert scene.begun == [("other", OWN_LEAD)]

    play(steps)


def test_turns_are_given_by_order_and_end_by_themselves() -> None:
    """What the settings name comes first, then what was known before; silent clusters hold no turn for long."""

    async def steps(scene: Scene) -> None:
        for number in range(2 * TURNS):
            scene.wait(f"silent{number}", StartOrder.OTHER)
        await asyncio.sleep(1)
        assert len(scene.begun) == TURNS
        scene.wait("remembered", StartOrder.REMEMBERED)
        scene.wait("named", StartOrder.NAMED)
        await asyncio.sleep(0.1)
        scene.ends["silent0"]()
        scene.ends["silent0"]()
        await asyncio.sleep(0.1)
        assert scene.names[TURNS:] == ["named"]
        await asyncio.sleep(TURN_LENGTH)
        assert scene.names[TURNS + 1 :][:2] == ["remembered", f"silent{TURNS}"]
        await asyncio.sleep(2 * TURN_LENGTH)
        assert len(scene.begun) == 2 * TURNS + 2

    play(steps)


def test_a_cluster_that_leaves_the_queue_takes_no_turn_along() -> None:
    """Whether it waits, or has just been admitted."""

    async def steps(scene: Scene) -> None:
        scene.queue.begin_own()
        for number in range(TURNS + 1):
            scene.wait(f"o{number}", StartOrder.OTHER)
        await asyncio.sleep(0.1)
        scene.queue.end_own()
        for task in scene.tasks:
            task.cancel()
        await asyncio.sleep(0)
        for number in range(TURNS):
            scene.wait(f"n{number}", StartOrder.OTHER)
        await asyncio.sleep(0.1)
        assert scene.names == [f"n{number}" for number in range(TURNS)]

    play(steps)
