"""Which core runs what."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Self


@dataclass(frozen=True)
class Cores:
    """Numbers of the servers' core and of everything else's; a machine with one core has them share it."""

    server: int
    rest: int

    @classmethod
    def taken(cls) -> Self:
        """The first two cores this thread may use; the thread itself, and what it starts, moves to the second."""
        allowed = sorted(os.sched_getaffinity(0))
        cores = cls(allowed[0], allowed[min(1, len(allowed) - 1)])
        os.sched_setaffinity(0, {cores.rest})
        return cores

    @contextmanager
    def serving(self) -> Iterator[None]:
        """Let what is started inside run on the servers' core alone.

        It does so from its very start, because servers size themselves by the cores they find then.
        """
        os.sched_setaffinity(0, {self.server})
        try:
            yield
        finally:
            os.sched_setaffinity(0, {self.rest})

    @contextmanager
    def both(self) -> Iterator[None]:
        """Let what is started inside run on either core."""
        os.sched_setaffinity(0, {self.server, self.rest})
        try:
            yield
        finally:
            os.sched_setaffinity(0, {self.rest})
