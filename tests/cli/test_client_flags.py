"""Flags of a server that a command which asks a server cannot heed: refused, not ignored."""

from pathlib import Path

import pytest

from tests.cli.admin_server import admin_socket
from tests.cli.command_runner import CommandRunner
from tests.cli.stopped_server import ZONES, publish, settings_of

COMMANDS = (
    ("get", "names"),
    ("explain", "frontend.default.global"),
    ("diff", "--server", "127.0.0.1:1"),
    ("tail",),
    ("reload",),
    ("cache", "flush"),
)
FLAGS = {
    "--cluster": "cluster2",
    "--network": "net-2",
    "--kubeconfig": "config",
    "--context": "east",
    "--listen": "127.0.0.1:5353",
    "--workers": "2",
    "--log-level": "debug",
}


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command[0])
def test_what_a_server_was_started_with_is_not_asked_of_it(
    meshdns: CommandRunner, state: Path, command: tuple[str, ...]
) -> None:
    """A running server and a stopped one's database have one place: each flag is refused with what to do instead."""
    settings = settings_of("online-boutique", state)
    with admin_socket(settings, publish(settings), {}):
        for flag, value in FLAGS.items():
            ended = meshdns(*command, "--state-dir", str(state), flag, value)
            assert (ended.status, ended.out) == (2, "")
            assert f"Error: {flag} " in ended.err
            assert "meshdns serve" in ended.err or f"meshdns zone {flag} {value} --config FILE" in ended.err


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command[0])
def test_help_shows_only_what_is_heeded(meshdns: CommandRunner, command: tuple[str, ...]) -> None:
    """The two that find the server are shown."""
    shown = meshdns(*command, "--help").out
    assert [flag for flag in (*FLAGS, "--config", "--state-dir") if f" {flag} " in shown] == ["--config", "--state-dir"]


def test_the_environment_of_a_server_is_no_question(
    meshdns: CommandRunner, state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a pod the variables that the server was started with are there for every command."""
    publish(settings_of("online-boutique", state))
    monkeypatch.setenv("MESHDNS_CLUSTER", "cluster2")
    monkeypatch.setenv("MESHDNS_LOG_LEVEL", "debug")
    assert meshdns("get", "names", "--state-dir", str(state)).status == 0


@pytest.mark.parametrize("flag", ["--cluster", "--network", "--kubeconfig", "--context"])
def test_zone_of_a_server_has_its_place(meshdns: CommandRunner, state: Path, flag: str) -> None:
    """``--running`` reads what was computed for the server's place; without it the place is heeded."""
    publish(settings_of("online-boutique", state))
    config = str(ZONES / "online-boutique" / "meshdns.yaml")
    arguments = ("zone", "--config", config, "--state-dir", str(state))
    ended = meshdns(*arguments, "--running", flag, FLAGS[flag])
    assert (ended.status, ended.out) == (2, "")
    assert f"{flag} " in ended.err
    assert meshdns(*arguments, "--cluster", "cluster2").out != meshdns(*arguments, "--running").out != ""
