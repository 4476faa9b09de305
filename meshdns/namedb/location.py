"""The directory of the name database: one per layout and boot of the machine, so that an old one is never used.

A damaged name database is never repaired or replaced in place, which would crash readers that still map it: a marker is
put beside it and the next one gets the next number. Markers of this boot stay, so that no number is used twice while a
process may still have the old file open.
"""

import contextlib
import os
import shutil
from pathlib import Path
from typing import Final

from meshdns.namedb.database import LAYOUT_VERSION

EXIT_DATABASE_DAMAGED: Final = 74
"""Exit status (EX_IOERR of sysexits.h) of a process that detected damage of its name database."""

_DAMAGED_SUFFIX: Final = ".damaged"

_PREFIXES: Final = ("namedb-", "view-")
"""Prefixes of database directories: of this version, and of the first one, whose database is adopted at an upgrade."""


def current_database(state_dir: Path) -> Path:
    """Return the directory of the name database, which may not exist yet: the first that is not marked damaged."""
    number = 0
    while _damage_marker(database := _directory(state_dir, number)).exists():
        number += 1
    return database


def quarantine(database: Path) -> None:
    """Mark a name database as damaged, so that `current_database` names another one."""
    with contextlib.suppress(OSError):
        _damage_marker(database).touch()


def remove_obsolete_databases(state_dir: Path) -> None:
    """Remove databases that no process will open again: of other boots and layouts, and damaged ones."""
    current = current_database(state_dir)
    for found in (path for prefix in _PREFIXES for path in state_dir.glob(f"{prefix}*")):
        if found == current or (found.suffix == _DAMAGED_SUFFIX and _layout_and_boot() in found.name):
            continue
        if found.is_dir() and not found.is_symlink():
            shutil.rmtree(found, ignore_errors=True)
        else:
            with contextlib.suppress(OSError):
                found.unlink()


def is_present(database: Path) -> bool:
    """Return whether there is anything at the path of the name database but an empty directory."""
    return os.path.lexists(database / "data.mdb") or (os.path.lexists(database) and not database.is_dir())


def _damage_marker(database: Path) -> Path:
    return database.with_name(database.name + _DAMAGED_SUFFIX)


def _directory(state_dir: Path, number: int) -> Path:
    """Return the directory with a number: as the first version named it if it exists, else as this one does."""
    new, old = (state_dir / f"{prefix}{_layout_and_boot()}-{number}" for prefix in _PREFIXES)
    return old if old.exists() or _damage_marker(old).exists() else new


def _layout_and_boot() -> str:
    return f"{LAYOUT_VERSION}-{_boot_id()}"


def _boot_id() -> str:
    """Return an id of this boot of the machine: LMDB's file is not synced and does not survive a crash of it."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text("ascii").strip()[:8]
    except OSError:
        return "0"  # no such thing here (macOS): the name database is checked before use all the same
