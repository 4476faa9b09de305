"""States that a file may be in instead of being well, for each that is read from disk."""

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final


def _loop(path: Path) -> None:
    path.symlink_to(path.name)


def _huge(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(10 << 30)  # sparse


STATES: Final[Mapping[str, Callable[[Path], object]]] = {
    "missing": lambda _path: None,
    "unreadable": _loop,  # for root, too
    "empty": Path.touch,
    "huge": _huge,
    "a folder": lambda path: (path / "in it").mkdir(parents=True),
    "a FIFO": os.mkfifo,
}
"""Makers of each state, for a path where nothing is."""
