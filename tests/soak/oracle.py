"""What names may be answered with, told by the changes alone. Imports nothing of what it judges.

Rules: an answer must be a value (or the absence) that held at some moment since the cluster was last well for `WELL`
seconds, and at most `FRESH` seconds ago while it is well. No name goes back to a value before the one answered last.
A change whose reply never came may have happened or not.
"""

import threading
from collections import defaultdict

WELL = 75.0  # seconds: twice 30 s until a CRD is looked for again, and a start of the server
FRESH = 3.0


class Oracle:
    """The values of all names over time; values are whole numbers that only grow, None is absence."""

    def __init__(self, now: float) -> None:
        self._lock = threading.Lock()
        self._values: dict[str, list[tuple[float, int | None]]] = defaultdict(list)
        self._answered: dict[str, int] = {}
        self._faulty: dict[str, int] = defaultdict(int)
        self._calm_since: dict[str, float] = defaultdict(lambda: now)
        self._sure: dict[str, float] = defaultdict(lambda: now)

    def record(self, name: str, value: int | None, now: float) -> None:
        """From now on the name may have this value."""
        with self._lock:
            self._values[name].append((now, value))

    def begin_fault(self, cluster: str, now: float) -> None:
        """Something is wrong with a cluster from now on."""
        with self._lock:
            if not self._faulty[cluster] and now - self._calm_since[cluster] >= WELL:
                self._sure[cluster] = now
            self._faulty[cluster] += 1

    def end_fault(self, cluster: str, now: float) -> None:
        """It is mended."""
        with self._lock:
            self._faulty[cluster] -= 1
            self._calm_since[cluster] = now

    def check(self, cluster: str, name: str, value: int | None, asked: float, now: float) -> str:
        """What is wrong with an answer that was asked for and came at these times; empty if nothing is."""
        with self._lock:
            calm = not self._faulty[cluster] and now - self._calm_since[cluster] >= WELL
            begin = asked - FRESH if calm else min(self._sure[cluster], asked) - FRESH
            allowed = self._within(name, begin, now)
            before = self._answered.get(name)
            if value is not None:
                self._answered[name] = value
        if value not in allowed:
            return f"{name} is {value}, may be {sorted(map(str, allowed))}{' (calm)' if calm else ''}"
        if value is not None and before is not None and value < before:
            return f"{name} went back from {before} to {value}"
        return ""

    def _within(self, name: str, begin: float, end: float) -> set[int | None]:
        held: set[int | None] = {None}
        for since, value in self._values.get(name, ()):
            if since <= begin:
                held = {value}
            elif since <= end:
                held.add(value)
        return held
