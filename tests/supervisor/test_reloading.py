"""New settings come in force as a whole, or the old ones stay and somebody is told why."""

import asyncio
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from meshdns.config import Settings, SettingsError, SettingsReader
from meshdns.supervisor import reloading
from meshdns.supervisor.reloading import MAX_ORDERS, Instance, Outcome, Reloader
from meshdns.supervisor.settings_files import SettingsFiles, States

OLD = Settings.model_validate({"listen": ["127.0.0.1:1053"], "forward": [{"zone": ".", "to": ["192.0.2.1"]}]})
NEW = OLD.model_copy(update={"lameduck": 1.0})


class _Scene:
    """An instance with `OLD` in force, and what is told of its reloads."""

    def __init__(self, read: Callable[[], Settings]) -> None:
        self.settings, self.generation = OLD, 1
        self.told: list[tuple[Outcome, tuple[int, ...]]] = []
        self.fault: Exception | None = None
        self.files = SettingsFiles(OLD, on_change=lambda: None)
        instance = Instance(lambda: self.settings, lambda: self.generation, self._put_in_force, self._report)
        reader = SettingsReader(read, lambda path: f"m.yaml:{len(path)}:1: {path[0]}")
        self.reloader = Reloader(reader, self.files, instance, fixed=("listen", "state_dir"))

    def _put_in_force(self, fresh: Settings, states: States) -> int:
        if self.fault is not None:
            raise self.fault
        self.files.adopt(fresh, states)
        self.settings, self.generation = fresh, self.generation + 1
        return self.generation

    async def _report(self, outcome: Outcome, orders: tuple[int, ...]) -> None:
        self.told.append((outcome, orders))


def _reload(read: Callable[[], Settings], fault: Exception | None = None) -> tuple[_Scene, Outcome]:
    async def main() -> tuple[_Scene, Outcome]:
        scene = _Scene(read)
        scene.fault = fault
        return scene, await scene.reloader.reload()

    return asyncio.run(main())


def _raising(error: BaseException) -> Callable[[], Settings]:
    def read() -> Settings:
        raise error

    return read


def test_settings_that_are_right_come_in_force() -> None:
    """As the next generation."""
    scene, outcome = _reload(lambda: NEW)
    assert outcome == Outcome(2)
    assert (scene.settings, scene.reloader.failures) == (NEW, 0)


REFUSALS = {
    "wrong settings": (_raising(SettingsError(["m.yaml:2:3: a", "m.yaml:4:5: b"])), ("m.yaml:2:3: a", "m.yaml:4:5: b")),
    "an unforeseen fault": (
        _raising(RecursionError("deep")),
        ("they cannot be read (RecursionError (deep)); the log says where it failed",),
    ),
    "no memory": (_raising(MemoryError()), ("they cannot be read (MemoryError); the log says where it failed",)),
}


@pytest.mark.parametrize(("read", "lines"), REFUSALS.values(), ids=REFUSALS)
def test_whatever_is_wrong_leaves_the_old_settings(read: Callable[[], Settings], lines: tuple[str, ...]) -> None:
    """It is counted, and told with its place."""
    scene, outcome = _reload(read)
    assert outcome == Outcome(1, lines)
    assert (scene.settings, scene.reloader.failures) == (OLD, 1)


def test_settings_that_cannot_be_put_in_force_are_refused() -> None:
    """Whatever a child's message makes of them."""
    scene, outcome = _reload(lambda: NEW, ValueError("no message can be made"))
    assert outcome.refusals == (
        "they cannot be put in force (ValueError (no message can be made)); the log says where it failed",
    )
    assert (scene.settings, scene.generation, scene.reloader.failures) == (OLD, 1, 1)


def test_settings_on_a_file_system_that_hangs_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """The loop goes on meanwhile."""
    monkeypatch.setattr(reloading, "READ_TIMEOUT", 0.05)
    released = threading.Event()
    try:
        _, outcome = _reload(lambda: NEW if released.wait() else OLD)
    finally:
        released.set()
    assert outcome.refusals == ("the settings were not read within 0.05 s; look at the file system they are on",)


def test_one_rereading_waits_for_the_other() -> None:
    """A replacement rereads the settings, too: neither takes the other for a file system that hangs."""

    async def main() -> None:
        begun, released = threading.Event(), threading.Event()

        def read() -> Settings:
            begun.set()
            released.wait()
            return NEW

        scene = _Scene(read)
        replacement = asyncio.create_task(scene.reloader.reread(), name="replacement")
        await asyncio.to_thread(begun.wait, 60)
        reload = asyncio.create_task(scene.reloader.reload(), name="reload")
        for _ in range(10):
            await asyncio.sleep(0)
        released.set()
        assert await replacement == NEW
        assert await reload == Outcome(2)
        assert scene.reloader.failures == 0

    asyncio.run(main())


def test_keys_that_wait_for_a_restart_are_named() -> None:
    """All others are in force."""
    scene, outcome = _reload(lambda: NEW.model_copy(update={"listen": ("127.0.0.1:1054",), "state_dir": "/x"}))
    assert outcome == Outcome(2, waiting_keys=("listen", "stateDir"))
    assert scene.settings == NEW


def test_what_contradicts_a_key_that_waits_is_refused() -> None:
    """The server still listens on what would be its upstream."""
    changed = {"listen": ["127.0.0.1:1054"], "forward": [{"zone": ".", "to": ["127.0.0.1:1053"]}]}
    scene, outcome = _reload(lambda: Settings.model_validate(changed))
    (line,) = outcome.refusals
    assert line.startswith("m.yaml:4:1: forward: '127.0.0.1:1053' is listened on by this server")
    assert scene.settings == OLD


def test_a_new_file_that_cannot_be_read_refuses_the_settings(tmp_path: Path) -> None:
    """With the place of the key that names it."""
    forward = [{"zone": ".", "to": ["tls://192.0.2.1"], "ca": str(tmp_path / "ca.pem")}]
    scene, outcome = _reload(lambda: Settings.model_validate({"forward": forward}))
    (line,) = outcome.refusals
    assert line.startswith(f"m.yaml:3:1: forward: {tmp_path}/ca.pem: No such file or directory; name a readable file")
    assert scene.settings == OLD


def test_a_refusal_is_bounded() -> None:
    """A settings file may hold as many faults as it has lines."""
    _, outcome = _reload(_raising(SettingsError(["x" * 10_000] * 1000)))
    assert len(outcome.refusals) == 21
    assert outcome.refusals[-1] == "and 980 more"
    assert max(map(len, outcome.refusals)) == 500


def test_orders_that_come_together_share_a_reload() -> None:
    """Each is told; those over the bound are heard, too, but get no reply of their own."""

    async def main() -> None:
        reads = 0

        def read() -> Settings:
            nonlocal reads
            reads += 1
            return NEW

        scene = _Scene(read)
        for order in range(1, 1000):
            scene.reloader.request(order)
        scene.reloader.request()
        task = asyncio.create_task(scene.reloader.run(), name="reload")
        async with asyncio.timeout(60):
            while not scene.told:  # noqa: ASYNC110 — what is waited for has no event
                await asyncio.sleep(0.01)
        assert [orders for _, orders in scene.told] == [tuple(range(1, MAX_ORDERS + 1))]
        assert reads == 1
        task.cancel()

    asyncio.run(main())


def test_a_report_that_fails_costs_no_later_reload() -> None:
    """The next request is heard."""

    async def main() -> None:
        scene = _Scene(lambda: NEW)
        told = asyncio.Event()

        async def report(_outcome: Outcome, _orders: tuple[int, ...]) -> None:
            told.set()
            raise BrokenPipeError

        scene.reloader._instance = scene.reloader._instance._replace(report=report)
        task = asyncio.create_task(scene.reloader.run(), name="reload")
        for _ in range(2):
            scene.reloader.request()
            await asyncio.wait_for(told.wait(), 60)
            told.clear()
        assert scene.generation == 3
        assert not task.done()
        task.cancel()

    asyncio.run(main())
