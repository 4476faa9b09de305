"""What a server's process tree costs, by the kernel's own account (Linux, /proc)."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

_PROC = Path("/proc")


@dataclass(frozen=True)
class Usage:
    """Seconds on a core, by role, and seconds of readiness without one (the run queue)."""

    cpu: Mapping[str, float] = field(default_factory=dict)
    queued: float = 0.0

    @property
    def total(self) -> float:
        """Seconds on a core of the whole tree."""
        return sum(self.cpu.values())

    def since(self, before: "Usage") -> "Usage":
        """What was added since an earlier look; a role that was not there then counts from zero."""
        added = {role: seconds - before.cpu.get(role, 0.0) for role, seconds in self.cpu.items()}
        return Usage(added, self.queued - before.queued)


def usage(root: int) -> Usage:
    """What the tree below a process has used so far; threads that ended are not in it."""
    cpu: dict[str, float] = {}
    queued = 0.0
    for pid in tree(root):
        role = _role(pid, root)
        for task in (_PROC / str(pid) / "task").glob("*/schedstat"):
            try:
                on_core, waiting, _ = map(int, task.read_text().split())
            except (OSError, ValueError):  # it ended meanwhile
                continue
            cpu[role] = cpu.get(role, 0.0) + on_core / 1e9
            queued += waiting / 1e9
    return Usage(cpu, queued)


def memory(root: int) -> float:
    """MiB of memory of the tree, pages shared with others counted by their share (PSS)."""
    total = 0
    for pid in tree(root):
        try:
            lines = (_PROC / str(pid) / "smaps_rollup").read_text().splitlines()
        except OSError:
            continue
        total += sum(int(line.split()[1]) for line in lines if line.startswith("Pss:"))
    return total / 1024


def tree(root: int) -> list[int]:
    """A process and all its descendants."""
    found = [root]
    for pid in found:
        for children in (_PROC / str(pid) / "task").glob("*/children"):
            try:
                found += map(int, children.read_text().split())
            except OSError:
                continue
    return found


def _role(pid: int, root: int) -> str:
    """The package of meshdns that a process runs (worker, controller); ``server`` for the root and all others."""
    if pid == root:
        return "server"
    try:
        words = (_PROC / str(pid) / "cmdline").read_bytes().split(b"\0")
    except OSError:
        return "server"
    module = words[words.index(b"-m") + 1].decode() if b"-m" in words[:-1] else ""
    return module.split(".")[1] if module.startswith("meshdns.") else "server"
