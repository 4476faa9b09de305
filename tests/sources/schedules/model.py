"""What may be served of one cluster, told by its history alone. Imports nothing of what it judges.

Rules, for each object of each kind, at a moment `now`:

- After `QUIET` seconds without any fault what is served is what is there, and the cluster is called synced.
- Otherwise a value (or its absence) must have been true at some moment since the end of the last such quiet time, or
  since the cluster was first read; while the cluster is called synced and nothing is held, at most `LAG` seconds ago.
- Nothing goes back to a value that was true before the one served last, unless the server itself went back.
- Objects that vanished at once, more than 10 and more than 30 %, without a word of the server, are served for `HOLD`.
- A cluster of which every kind was heard within 90 s is not stale; one of which a kind got no reply for longer is.
"""

from collections import defaultdict
from dataclasses import dataclass, field

QUIET = 290.0
"""Longest way back: 60 s patience for a right, 60 s that a server asks for, 60 s of hold and a list, twice 30 s."""

LAG = 160.0  # 90 s until staleness, 60 s of a slow list, and some
HOLD = 60.0
STALE = 90.0
EPSILON = 3.0
SETTLE = 8.0  # seconds that a slow server may take to say what happened

Objects = dict[str, str]


@dataclass
class KindHistory:
    """The history of one kind: for each name its values with the time from which they held; None is absence."""

    values: dict[str, list[tuple[float, str | None]]] = field(default_factory=lambda: defaultdict(list))

    def record(self, now: float, name: str, value: str | None) -> None:
        """From now on `name` has this value."""
        self.values[name].append((now, value))

    def values_between(self, name: str, begin: float, end: float) -> set[str | None]:
        """All values of a name at moments between two."""
        held: set[str | None] = {None}
        for since, value in self.values.get(name, ()):
            if since <= begin:
                held = {value}
            elif since <= end:
                held.add(value)
        return held


@dataclass
class ServedState:
    """What is served of a cluster at a moment, by kind, and what is said of it."""

    served: dict[str, Objects]
    synced: set[str]
    status: str
    holding: bool


class Model:
    """Judges what is seen; `faults` of the server are noted as they begin and end."""

    def __init__(self, kinds: tuple[str, ...], now: float) -> None:
        self.truth = {kind: KindHistory() for kind in kinds}
        self.delivered = dict.fromkeys(kinds, now - 1e9)  # when something that tells of it was last read
        self.replied = dict.fromkeys(kinds, now)  # when it last gave anything
        self.first = dict.fromkeys(kinds, 1e18)  # when a kind was first read
        self._faulty = 0
        self._calm_since = now
        self._sure = -1e18  # up to when what was served is known to be true
        self._back_at = -1e18  # when the server last went back in its own history
        self._last: dict[tuple[str, str], tuple[float, str | None]] = {}
        self._vanished: list[tuple[float, str, Objects]] = []

    # ------------------------------------------------------------------------------------------ what happens

    def begin_fault(self, now: float) -> None:
        """A fault begins."""
        if not self._faulty and now - self._calm_since >= QUIET:
            self._sure = now
        self._faulty += 1

    def end_fault(self, now: float) -> None:
        """A fault ends."""
        self._faulty -= 1
        self._calm_since = now

    def momentary_fault(self, now: float) -> None:
        """Something went wrong at this moment only."""
        self.begin_fault(now)
        self.end_fault(now)

    def went_back(self, now: float) -> None:
        """The server forgot its latest history."""
        self._back_at = now
        self.momentary_fault(now)

    def vanished(self, now: float, kind: str, before: Objects, after: Objects) -> None:
        """Objects are gone without an event."""
        lost = {name: value for name, value in before.items() if name not in after}
        if len(lost) > 10 and len(lost) > 0.3 * len(before) and now >= self._calm_since + QUIET and not self._faulty:
            self._vanished.append((now, kind, lost))

    # ------------------------------------------------------------------------------------------ judgement

    def judge(self, now: float, seen: ServedState) -> list[str]:
        """What is wrong with what is seen; nothing, if all is well."""
        calm = not self._faulty and now - self._calm_since >= QUIET
        wrong = [*self._judge_held(now, seen), *self._judge_status(now, seen, calm=calm)]
        for kind, served in seen.served.items():
            if kind in seen.synced:
                self.first[kind] = min(self.first[kind], now)
                names = served.keys() | self.truth[kind].values.keys()
                wrong += [fault for name in names for fault in self._judge_one(now, seen, kind, name, calm=calm)]
        return wrong

    def _judge_one(self, now: float, seen: ServedState, kind: str, name: str, *, calm: bool) -> list[str]:
        value = seen.served[kind].get(name)
        truth = self.truth[kind]
        begin = max(self._sure - SETTLE, -1e18)
        if calm:
            begin = now - SETTLE
        elif seen.status == "synced" and not seen.holding:
            begin = max(begin, now - LAG)
        allowed = truth.values_between(name, begin, now)
        if value not in allowed and not (seen.holding and value in truth.values_between(name, -1e18, now)):
            return [f"{kind} {name} is {value}, and may be {allowed}"]
        return self._judge_order(now, kind, name, value)

    def _judge_order(self, now: float, kind: str, name: str, value: str | None) -> list[str]:
        """Values are numbered as they are made, so an older one is a step back in time."""
        before = self._last.get((kind, name))
        self._last[kind, name] = (now, value)
        if before is None or before[1] is None or value is None or before[0] <= self._back_at + QUIET:
            return []
        if int(value) < int(before[1]):
            return [f"{kind} {name} went back from {before[1]} to {value}"]
        return []

    def _judge_held(self, now: float, seen: ServedState) -> list[str]:
        self._vanished = [each for each in self._vanished if now < each[0] + HOLD]
        return [
            f"{kind} {name} vanished {now - begun:.1f} s after the server lost it and was not held"
            for begun, kind, lost in self._vanished
            for name in lost
            if name not in seen.served[kind]
        ]

    def _judge_status(self, now: float, seen: ServedState, *, calm: bool) -> list[str]:
        wrong = []
        if calm and (seen.status != "synced" or seen.holding):
            wrong.append(f"all is calm, and the status is {seen.status}, holding {seen.holding}")
        told = now - min(self.delivered.values()) <= STALE - EPSILON
        if seen.status == "stale" and told and now > self._back_at + QUIET:  # what it said of another history is none
            wrong.append("called stale, though heard of in time")
        if seen.status == "synced" and now - min(self.replied.values()) > STALE + EPSILON:
            wrong.append("called synced, though not heard of for long")
        return wrong
