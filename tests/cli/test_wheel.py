"""The installed program works outside a checkout: the wheel carries the demo's clusters."""

import os
import signal
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.rig.dig import NoReply, dig
from tests.rig.ports import free_port
from tests.rig.waiting import eventually

ROOT = Path(__file__).parents[2]


@pytest.fixture
def installed(wheel: Path, tmp_path: Path) -> Path:
    """A folder with the wheel's content and nothing of the checkout."""
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path / "site")
    return tmp_path / "site"


@pytest.mark.slow
def test_wheel_is_typed_and_carries_the_sample(wheel: Path) -> None:
    """The marker of PEP 561 and every file of the demo's situation are in it."""
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    assert "meshdns/py.typed" in names
    sample = ROOT / "zones" / "online-boutique"
    files = {
        f"meshdns/zones/online-boutique/{path.relative_to(sample)}" for path in sample.rglob("*") if path.is_file()
    }
    assert files <= names


@pytest.mark.rig
def test_demo_runs_outside_a_checkout_and_ends_on_interrupt(installed: Path, tmp_path: Path) -> None:
    """``meshdns demo`` from the wheel answers, says what to ask, and ends with status 0 on Ctrl-C."""
    port = free_port()
    demo = subprocess.Popen(
        [
            sys.executable,
            "-m",
            "meshdns",
            "demo",
            "--listen",
            f"127.0.0.1:{port}",
            "--http",
            f"127.0.0.1:{free_port()}",
            "--page",
            f"127.0.0.1:{free_port()}",
        ],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(installed)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )

    def answered() -> bool:
        try:
            return dig("frontend.default.global", port=port, opts=("+time=1",)).rdata == ("203.0.113.20",)
        except NoReply:
            return False

    try:
        eventually(answered, what="the demo answers", within=60)
        demo.send_signal(signal.SIGINT)
        said, _ = demo.communicate(timeout=30)
    finally:
        demo.kill()
    assert demo.returncode == 0
    assert f"dig @127.0.0.1 -p {port} frontend.default.global" in said
    assert str(installed / "meshdns" / "zones") in said
