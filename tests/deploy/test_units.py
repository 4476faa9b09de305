"""The systemd unit is valid, confined, and no narrower than what the program does."""

import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

from meshdns.config.load import read_settings_file
from tests.deploy.places import CHECKOUT, DEPLOY
from tests.e2e.instance import on_boutique, wait_until_ready
from tests.rig.packages import program
from tests.rig.unbound import Unbound
from tests.rig.waiting import eventually

pytestmark = pytest.mark.rig

UNIT: Final = DEPLOY / "systemd" / "meshdns.service"
SOCKETS: Final = DEPLOY / "systemd" / "meshdns.socket"
EXPOSURE: Final = 15  # tenths; systemd calls up to 2.5 "OK", and an unconfined service has 96
_EXECUTABLE: Final = re.compile(r"\b(?:mmap|mprotect|pkey_mprotect)\([^)\n]*PROT_EXEC")


@pytest.fixture
def installed(tmp_path: Path) -> Path:
    """The unit with the program where it is on this machine."""
    unit = tmp_path / "meshdns.service"
    unit.write_text(
        UNIT.read_text().replace("/opt/meshdns/bin/meshdns", str(Path(sys.executable).with_name("meshdns")))
    )
    return unit


def test_systemd_takes_the_unit(installed: Path) -> None:
    """``systemd-analyze verify`` knows every setting and finds every program."""
    done = _analyze("verify", str(installed))
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


def test_sockets_are_those_of_the_settings(tmp_path: Path, installed: Path) -> None:
    """The socket unit holds over UDP and TCP what the example settings listen on, and systemd takes it."""
    unit = tmp_path / SOCKETS.name
    unit.write_text(SOCKETS.read_text())
    done = _analyze("verify", str(unit), str(installed))
    assert (done.returncode, done.stdout + done.stderr) == (0, "")
    listen = list(read_settings_file(DEPLOY / "systemd" / "meshdns.yaml", "/").listen)
    for word in ("ListenDatagram", "ListenStream"):
        assert re.findall(rf"^{word}=(.+)$", unit.read_text(), re.MULTILINE) == listen


def test_unit_is_confined(installed: Path) -> None:
    """``systemd-analyze security`` sees an exposure of at most 1.5."""
    done = _analyze("security", "--offline=true", f"--threshold={EXPOSURE}", "--no-pager", str(installed))
    assert done.returncode == 0, done.stdout


def test_unit_allows_what_the_program_does(clusters: Path, resolver: Unbound, tmp_path: Path) -> None:
    """Start, answers and end need no system call outside the unit's filter, and no memory to write and execute."""
    trace = tmp_path / "trace"
    with on_boutique(clusters, resolver) as instance:
        instance.stop()
        tracer = [program("strace"), "--follow-forks", "-qq", f"--output={trace}", "--", *instance.command()]
        with subprocess.Popen(tracer, stderr=subprocess.DEVNULL) as traced:
            try:
                wait_until_ready(instance)
                assert instance.addresses("frontend.default.global") == ["203.0.113.20"]
                assert instance.addresses("www.example.com") == ["192.0.2.80"]
                (serving,) = Path(f"/proc/{traced.pid}/task/{traced.pid}/children").read_text().split()
                os.kill(int(serving), signal.SIGTERM)
                eventually(lambda: traced.poll() is not None, what="it ends", within=60)
            finally:
                traced.kill()
    text = trace.read_text(errors="replace")
    used = set(re.findall(r"^\d+ +(\w+)\(", text, re.MULTILINE))
    assert {"execve", "recvmmsg", "sendmmsg", "epoll_wait"} <= used
    assert used <= _allowed(), sorted(used - _allowed())
    writable = [call for call in _EXECUTABLE.findall(text) if "PROT_WRITE" in call]
    assert not writable


def test_example_of_a_vm_is_right() -> None:
    """The example settings are valid, and stand on a network and in no cluster."""
    settings = read_settings_file(DEPLOY / "systemd" / "meshdns.yaml", "/")
    assert (settings.vantage.network, settings.vantage.cluster) == ("vm-net", None)
    assert settings.listen == ("127.0.0.1:1053",)


def test_reload_is_the_signal_that_rereads() -> None:
    """ExecReload sends SIGHUP, which the server reads its settings at."""
    assert "ExecReload=/bin/kill -HUP $MAINPID" in UNIT.read_text()
    assert "add_signal_handler(signal.SIGHUP" in (CHECKOUT / "meshdns" / "supervisor" / "supervisor.py").read_text()


def _analyze(*words: str) -> subprocess.CompletedProcess[str]:
    command = [program("systemd-analyze"), *words]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)


def _allowed() -> set[str]:
    """The system calls of the unit's filter, groups written out: those allowed less those taken back."""
    allowed: set[str] = set()
    for line in re.findall(r"^SystemCallFilter=(.+)$", UNIT.read_text(), re.MULTILINE):
        calls = {call for group in line.lstrip("~").split() for call in _members(group)}
        allowed = allowed - calls if line.startswith("~") else allowed | calls
    return allowed


def _members(group: str) -> set[str]:
    if not group.startswith("@"):
        return {group}
    lines = _analyze("syscall-filter", group, "--no-pager").stdout.splitlines()[1:]
    words = [line.strip() for line in lines if line.strip() and not line.strip().startswith("#")]
    return {call for word in words for call in _members(word)}
