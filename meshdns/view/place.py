"""Where the view is: one directory per layout and boot of the machine, so that an old one is never mistaken for new.

A view that turns out to be damaged is never repaired or replaced in place, which readers that still map it would not
survive: it is left behind and the next one gets the next number.
"""

import contextlib
import shutil
from pathlib import Path
from typing import Final

from meshdns.view.environment import LAYOUT

_DAMAGED: Final = "damaged"


def current_view(state_dir: Path) -> Path:
    """The directory of the view in a state directory, whether or not it exists yet: the first not marked damaged."""
    number = 0
    while (view := state_dir / f"{_prefix()}-{number}") and (view / _DAMAGED).exists():
        number += 1
    return view


def set_aside(view: Path) -> None:
    """Mark a view as damaged, so that `current_view` names another one."""
    with contextlib.suppress(OSError):
        view.mkdir(mode=0o700, parents=True, exist_ok=True)
        (view / _DAMAGED).touch()


def sweep(state_dir: Path) -> None:
    """Remove views that nobody will open again: of other boots and layouts, and damaged ones."""
    current = current_view(state_dir)
    for view in state_dir.glob("view-*"):
        if view != current:
            shutil.rmtree(view, ignore_errors=True)


def exists(view: Path) -> bool:
    """Whether a view was ever written there."""
    return (view / "data.mdb").exists()


def _prefix() -> str:
    return f"view-{LAYOUT}-{_boot()}"


def _boot() -> str:
    """What tells this boot of the machine from another: LMDB's file is not synced and does not outlive it."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text("ascii").strip()[:8]
    except OSError:
        return "0"  # no such thing here (macOS): the view is checked before use all the same
