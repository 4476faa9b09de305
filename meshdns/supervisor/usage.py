"""What the whole tree of processes uses: processor time and memory, under the names that dashboards know."""

import os
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple


class Usage(NamedTuple):
    """Of the supervisor and its children. `processor` is in seconds and never falls; `resident` in octets."""

    processor: float
    resident: int
    started: float

    @classmethod
    def of(cls, children: Iterable[int], *, started: float) -> "Usage":
        """What they use now; `started` is in seconds since 1970. Zeros where the system has no /proc."""
        spent = os.times()
        processor = spent.user + spent.system + spent.children_user + spent.children_system
        resident = _resident(os.getpid())
        for child in children:
            processor += _processor(child)
            resident += _resident(child)
        return cls(processor, resident, started)


def _processor(process: int) -> float:
    """Seconds that a living process has spent."""
    try:
        fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _resident(process: int) -> int:
    """Octets of memory of a living process; what several share is counted for each."""
    try:
        return int(Path(f"/proc/{process}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        return 0
