"""Where the view is: one directory per layout and boot of the machine, so that an old one is never mistaken for new.

A view that turns out to be damaged is never repaired or replaced in place, which readers that still map it would not
survive: a mark is set beside it and the next one gets the next number. Marks of this boot stay, so that no number is
used twice while somebody may still have the old file open.
"""

import contextlib
import os
import shutil
from pathlib import Path
from typing import Final

from meshdns.view.environment import LAYOUT

UNREADABLE: Final = 74
"""Exit status (EX_IOERR of sysexits.h) of a process that found its view damaged and lived to say so."""

_DAMAGED: Final = ".damaged"


def current_view(state_dir: Path) -> Path:
    """The directory of the view in a state directory, whether or not it exists yet: the first not marked damaged."""
    number = 0
    while _mark(view := state_dir / f"{_prefix()}-{number}").exists():
        number += 1
    return view


def set_aside(view: Path) -> None:
    """Mark a view as damaged, so that `current_view` names another one."""
    with contextlib.suppress(OSError):
        _mark(view).touch()


def sweep(state_dir: Path) -> None:
    """Remove views that nobody will open again: of other boots and layouts, and damaged ones."""
    current = current_view(state_dir)
    for found in state_dir.glob("view-*"):
        if found == current or (found.suffix == _DAMAGED and found.name.startswith(_prefix())):
            continue
        if found.is_dir() and not found.is_symlink():
            shutil.rmtree(found, ignore_errors=True)
        else:
            with contextlib.suppress(OSError):
                found.unlink()


def exists(view: Path) -> bool:
    """Whether there is anything where the view would be, but an empty directory."""
    return os.path.lexists(view / "data.mdb") or (os.path.lexists(view) and not view.is_dir())


def _mark(view: Path) -> Path:
    return view.with_name(view.name + _DAMAGED)


def _prefix() -> str:
    return f"view-{LAYOUT}-{_boot()}"


def _boot() -> str:
    """What tells this boot of the machine from another: LMDB's file is not synced and does not outlive it."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text("ascii").strip()[:8]
    except OSError:
        return "0"  # no such thing here (macOS): the view is checked before use all the same
