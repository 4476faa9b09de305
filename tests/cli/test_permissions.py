"""Users who may not read the state directory, or not connect to the admin socket: a clear line, never a traceback."""

import json
import os
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.admin_server import admin_socket
from tests.cli.stopped_server import ZONES, publish, settings_of

READS = (
    ("get", "names"),
    ("explain", "frontend.default.global"),
    ("diff", "--server", "127.0.0.1:1"),
)
ORDERS = (("tail",), ("reload",), ("cache", "flush"))
ZONE = ("zone", "--running", "--config", str(ZONES / "online-boutique" / "meshdns.yaml"))


def ran(state: Path, *commands: tuple[str, ...]) -> dict[str, tuple[int, str]]:
    """By command, its exit code and what is said to another user, or to one without any right."""
    environ = {key: value for key, value in os.environ.items() if not key.startswith("MESHDNS_")}
    ended = subprocess.run(
        [sys.executable, "-m", "tests.cli.as_stranger"],
        input=json.dumps([[*command, "--state-dir", str(state)] for command in commands]),
        capture_output=True,
        text=True,
        check=True,
        timeout=200,
        env=environ,
    )
    found: dict[str, tuple[int, str]] = {}
    for command, (status, said, exception) in zip(commands, json.loads(ended.stdout), strict=True):
        assert exception == f"SystemExit({status})"
        found[command[0]] = status, said
    return found


def forbid(path: Path) -> None:
    """Take all rights of a path from its owner's own processes, too, unless it is root, and from all others."""
    path.chmod(0o700 if os.geteuid() == 0 else 0)


@pytest.fixture
def stopped(state: Path) -> Iterator[Path]:
    """The state directory of a stopped server, readable by all; what a test forbids is allowed again behind it."""
    database = publish(settings_of("online-boutique", state))
    for path in (state, database):
        path.chmod(0o755)
    yield state
    for path in (state, database, *database.iterdir()):
        path.chmod(0o700)


@pytest.mark.slow
@pytest.mark.parametrize("part", ["state directory", "database", "file"])
def test_what_may_not_be_read_is_named(stopped: Path, part: str) -> None:
    """With what to do, and the code for nobody to ask; a database that may not be read is not called damaged."""
    (database,) = stopped.glob("namedb-*")
    forbidden = {"state directory": stopped, "database": database, "file": database / "data.mdb"}[part]
    forbid(forbidden)
    for status, said in ran(stopped, *READS, ZONE, *(ORDERS if part == "state directory" else ())).values():
        assert (status, "damaged" in said) == (69, False)
        assert f"{forbidden}" in said
        assert "Permission denied; run this as the user that the server runs as, with sudo" in said


@pytest.mark.slow
def test_a_socket_that_may_not_be_connected_to_is_named(state: Path) -> None:
    """The server runs: nothing else is read instead, and the group that may ask is named."""
    settings = settings_of("online-boutique", state)
    with admin_socket(settings, publish(settings)) as socket:
        state.chmod(0o755)
        assert stat.S_IMODE(socket.stat().st_mode) == 0o660
        if os.geteuid() != 0:
            socket.chmod(0)
        for status, said in ran(state, *READS, *ORDERS).values():
            assert status == 69
            assert said.startswith(f"{socket}: Permission denied; run this as the user that the server runs as")
            assert "group of its admin socket" in said
