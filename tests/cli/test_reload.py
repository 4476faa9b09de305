"""``meshdns reload`` says what came of it, on its output and in its exit status."""

from collections.abc import Awaitable, Callable, Mapping
from http import HTTPStatus
from pathlib import Path
from typing import Any

import pytest

from meshdns.controller.supervisor_link import CommandRefusedError
from tests.cli.admin_server import admin_socket, asked
from tests.cli.command_runner import CommandResult, CommandRunner
from tests.cli.stopped_server import publish, settings_of

FAULT = "settings generation 3 stays in force:\nm.yaml:2:1: listen: is empty; list at least one"


async def _in_force() -> Mapping[str, Any]:
    return {"generation": 4, "waitingKeys": ()}


async def _partly_in_force() -> Mapping[str, Any]:
    return {"generation": 4, "waitingKeys": ("listen", "stateDir")}


async def _refused() -> Mapping[str, Any]:
    raise CommandRefusedError(HTTPStatus.CONFLICT, FAULT)


async def _silent() -> Mapping[str, Any]:
    raise CommandRefusedError(HTTPStatus.GATEWAY_TIMEOUT, "the supervisor did not reply")


def _old() -> None:
    """As version 0.1 replies: at once, and without an outcome."""


OUTCOMES = {
    "in force": (_in_force, CommandResult(0, "in force as generation 4\n", "")),
    "partly in force": (
        _partly_in_force,
        CommandResult(0, "in force as generation 4\n", "a change of listen, stateDir takes effect with a restart\n"),
    ),
    "refused": (_refused, CommandResult(65, "", FAULT + "\n")),
    "no outcome": (_silent, CommandResult(1, "", "the supervisor did not reply\n")),
    "an older server": (
        _old,
        CommandResult(0, "asked the server to reread its settings; its log says whether they are in force\n", ""),
    ),
}


@pytest.mark.parametrize(("order", "expected"), OUTCOMES.values(), ids=OUTCOMES)
def test_the_outcome_of_a_reload_is_told(
    meshdns: CommandRunner,
    state: Path,
    order: Callable[[], Awaitable[Mapping[str, Any]] | None],
    expected: CommandResult,
) -> None:
    """Its reply keeps what version 0.1 said."""
    settings = settings_of("online-boutique", state)
    with admin_socket(settings, publish(settings), orders={"/reload": order}) as path:
        assert meshdns("reload", "--state-dir", str(state)) == expected
        status, reply = asked(path, "/reload", "POST")
        assert (status == 200) == ("done" in reply) == (expected.status == 0)


def test_settings_that_are_wrong_here_are_sent_to_nobody(meshdns: CommandRunner, tmp_path: Path) -> None:
    """The fault is told, and that nothing changes."""
    file = tmp_path / "m.yaml"
    file.write_text("apiVersion: meshdns/v1\nforward: [{zone: ., to: [0.0.0.0]}]\n")
    ended = meshdns("reload", "--config", str(file))
    assert ended.status == 65
    first, last = ended.err.splitlines()
    assert first.startswith(f"{file}:2:26: forward[0].to[0]: '0.0.0.0' is the address of no server")
    assert last == "the running server was not asked, and keeps its settings"


def test_a_reload_without_a_server_is_69(meshdns: CommandRunner, state: Path) -> None:
    """Nobody could be asked."""
    assert meshdns("reload", "--state-dir", str(state)).status == 69
