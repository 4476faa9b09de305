"""The directory of the name database: one per layout and boot of the machine, so that no old one is taken for new.

A name database that turns out to be damaged is never repaired or replaced in place, which readers that still map it
would not survive: a mark is set beside it and the next one gets the next number. Marks of this boot stay, so that no
number is used twice while somebody may still have the old file open.
"""

import contextlib
import os
import shutil
from pathlib import Path
from typing import Final

from meshdns.namedb.database import LAYOUT_VERSION

EXIT_DATABASE_DAMAGED: Final = 74
"""Exit status (EX_IOERR of sysexits.h) of a process that found its name database damaged and lived to say so."""

_DAMAGED_SUFFIX: Final = ".damaged"

_PREFIXES: Final = ("namedb-", "view-")
"""Prefixes of database directories: of this version, and of the first one, whose database is adopted at an upgrade."""


def current_database(state_dir: Path) -> Path:
    """The directory of the name database, whether or not it exists yet: the first that is not marked damaged."""
    number = 0
    while _damage_marker(database := _directory(state_dir, number)).exists():
        number += 1
    return database


def quarantine(database: Path) -> None:
    """Mark a name database as damaged, so that `current_database` names another one."""
    with contextlib.suppress(OSError):
        _damage_marker(database).touch()


def remove_obsolete_databases(state_dir: Path) -> None:
    """Remove databases that nobody will open again: of other boots and layouts, and damaged ones."""
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
    """Whether there is anything where the name database would be, but an empty directory."""
    return os.path.lexists(database / "data.mdb") or (os.path.lexists(database) and not database.is_dir())


def _damage_marker(database: Path) -> Path:
    return database.with_name(database.name + _DAMAGED_SUFFIX)


def _directory(state_dir: Path, number: int) -> Path:
    """The directory with a number: as the first version named it where it exists, else as this one names it."""
    new, old = (state_dir / f"{prefix}{_layout_and_boot()}-{number}" for prefix in _PREFIXES)
    return old if old.exists() or _damage_marker(old).exists() else new


def _layout_and_boot() -> str:
    return f"{LAYOUT_VERSION}-{_boot_id()}"


def _boot_id() -> str:
    """What tells this boot of the machine from another: LMDB's file is not synced and does not outlive it."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text("ascii").strip()[:8]
    except OSError:
        return "0"  # no such thing here (macOS): the name database is checked before use all the same
