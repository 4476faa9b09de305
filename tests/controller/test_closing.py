"""The end of a controller at a reload: its name database is closed, and nothing of it is due any more."""

import asyncio
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from meshdns.controller.controller import Controller
from meshdns.mesh.objects.declarations import ObjectKind
from meshdns.namedb.writer import Writer
from meshdns.sources.sink import ClusterAdded, KindListed
from tests.controller.scene import controller_metrics, make_controller, run_turns
from tests.mesh.scene import entry

KINDS = frozenset({ObjectKind.SERVICE_ENTRY})
LISTED = KindListed("east", ObjectKind.SERVICE_ENTRY, (entry("192.0.2.7"),))
HAPPENINGS: dict[str, Callable[[Controller], object]] = {
    "a tick": lambda _: None,
    "a commit": lambda controller: controller.report(
        KindListed("east", ObjectKind.SERVICE_ENTRY, (entry("192.0.2.7"),))
    ),
    "a change of a gateway": lambda controller: controller.on_health_change("203.0.113.7", 15443, healthy=False),
    "a look-up": lambda controller: controller.on_resolved("gw.example", ("203.0.113.7",)),
}


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("happening", HAPPENINGS)
def test_nothing_meets_a_closed_name_database(
    happening: str, when: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """It happens in the turn before the controller ends, or while its tasks are cancelled; then the loop runs on."""
    monkeypatch.setattr("meshdns.controller.controller.TICK_INTERVAL", 0.0)
    failed: list[Any] = []

    async def main() -> None:
        writer = Writer(tmp_path / "namedb")
        asyncio.get_running_loop().set_exception_handler(lambda _, context: failed.append(context))
        controller = make_controller(writer, tmp_path, controller_metrics(), on_commit=commits.append)
        controller.start()
        controller.report(ClusterAdded("east", KINDS, "test"))
        await run_turns(3)
        if when == "before":
            HAPPENINGS[happening](controller)
        await controller.close()
        if when == "after":
            HAPPENINGS[happening](controller)
        writer.close()
        commits.clear()
        await run_turns(5)

    commits: list[bool] = []
    asyncio.run(main())
    assert failed == []
    assert commits == []
    assert [each for each in caplog.records if each.levelno >= logging.ERROR] == []
