"""The wheel of this checkout, as an installer builds it."""

import fcntl
import subprocess
import sys
from pathlib import Path
from typing import Final

CHECKOUT: Final = Path(__file__).resolve().parents[2]


def built_once(folder: Path) -> Path:
    """The wheel in `folder`, built if it is not there, for all who want it. Raises `CalledProcessError`."""
    with (folder / "wheel.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        wheels = folder / "wheels"
        if not wheels.exists():
            command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation"]
            made = folder / "wheels-unfinished"
            subprocess.run([*command, "--wheel-dir", str(made), str(CHECKOUT)], check=True, capture_output=True)
            made.rename(wheels)
    (wheel,) = wheels.glob("meshdns-*.whl")
    return wheel
