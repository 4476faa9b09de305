"""What the controller process begins with."""

import asyncio
from pathlib import Path

import pytest

from meshdns.config.model import Settings
from meshdns.controller.__main__ import _create_controller
from meshdns.controller.source_settings import ControllerSettings
from meshdns.instance.scoreboard import Scoreboard
from meshdns.namedb.writer import Writer


@pytest.mark.parametrize("failed", [False, True])
def test_a_process_after_a_failed_commit_writes_its_first(tmp_path: Path, *, failed: bool) -> None:
    """Its predecessor could not: workers deny nothing until this one can."""
    board = Scoreboard.create()
    board.record_commit(failed=failed)
    message = ControllerSettings(1, "", str(tmp_path / "namedb"), str(tmp_path), board.descriptor)
    writer = Writer(tmp_path / "namedb")

    async def start() -> None:
        controller = _create_controller(message, Settings(), writer, asyncio.get_running_loop(), asyncio.Event())
        assert controller._publisher._must_write is failed
        controller.start()
        assert controller._publisher._must_write is False
        assert not board.has_commit_failed()
        await controller.close()

    asyncio.run(start())
    writer.close()
