"""Processor time and memory of the whole tree of processes, under the names that dashboards know."""

import os
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple


class ProcessUsage(NamedTuple):
    """Usage of the supervisor and its children together. `cpu_seconds` never falls."""

    cpu_seconds: float
    resident_bytes: int
    start_time: float

    @classmethod
    def measure(cls, child_pids: Iterable[int], *, start_time: float) -> "ProcessUsage":
        """Measure the present usage; `start_time` is in seconds since 1970. Zeros if the system has no /proc."""
        spent = os.times()
        processor = spent.user + spent.system + spent.children_user + spent.children_system
        resident = _resident_bytes_of(os.getpid())
        for child in child_pids:
            processor += _cpu_seconds_of(child)
            resident += _resident_bytes_of(child)
        return cls(processor, resident, start_time)


def _cpu_seconds_of(pid: int) -> float:
    """Return the CPU seconds of a running process."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _resident_bytes_of(pid: int) -> int:
    """Return the bytes of memory of a running process; shared memory is counted for each."""
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        return 0
