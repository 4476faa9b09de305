"""What came of ``python -m tests.fuzz``, as ``docs/fuzzing.md``."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.fuzz.flood import Outcome, Siege

PATH: Final = Path(__file__).parents[2] / "docs" / "fuzzing.md"

_MAX_GROWTH: Final = 32
"""MiB that a target may grow by in the second half of its run: libFuzzer keeps new inputs, a leak has no end."""

_HEAD: Final = """\
# Hostile octets

Written by `{command}`; the rules of each target are in `tests/fuzz/targets.py`, and `make test` replays the corpus.
"""


@dataclass(frozen=True)
class Guided:
    """One run of a target; `edges` are libFuzzer's, -1 where only the corpus was replayed.

    `halfway` and `at_end` are the highest resident memory (MiB) up to then, the kept inputs included.
    """

    target: str
    executions: int
    seconds: float
    edges: int
    corpus: int
    octets: int
    crashes: int
    halfway: int
    at_end: int


@dataclass(frozen=True)
class Cost:
    """One search for the most expensive message; seconds of processor time."""

    name: str
    longest: int
    tried: int
    worst: float
    most: float


@dataclass(frozen=True)
class Attack:
    """What was done to a running instance: messages a second it takes, floods and sieges by what they were.

    `flushed` is its memory (MiB of PSS) after the flood over UDP, once its caches were emptied.
    """

    capacity: float
    floods: Mapping[str, Outcome]
    flushed: float
    sieges: Mapping[str, Siege]


@dataclass(frozen=True)
class Report:
    """All parts; an empty one was left out."""

    command: str
    machine: Mapping[str, str]
    guided: Sequence[Guided]
    costs: Sequence[Cost]
    attack: Attack

    def faults(self) -> list[str]:
        """What must not be: crashes, messages over their bound, canaries without answer or with a wrong one."""
        found = [f"{run.target}: {run.crashes} crashes" for run in self.guided if run.crashes]
        found += [
            f"{run.target}: memory grew from {run.halfway} to {run.at_end} MiB in the second half"
            for run in self.guided
            if run.at_end - run.halfway > _MAX_GROWTH
        ]
        found += [f"{cost.name}: {_ms(cost.worst)}" for cost in self.costs if cost.worst > cost.most]
        outcomes: list[tuple[str, Outcome | Siege]] = [*self.attack.floods.items(), *self.attack.sieges.items()]
        for name, outcome in outcomes:
            if outcome.unanswered or outcome.wrong:
                found.append(f"{name}: {outcome.unanswered} canaries unanswered, {outcome.wrong} wrong")
        for name, flood in self.attack.floods.items():
            if flood.restarts or len(flood.lines) >= 10:
                found.append(f"{name}: {flood.restarts} restarts, {len(flood.lines)} lines")
        return found

    def markdown(self) -> str:
        """The document."""
        parts = [_HEAD.format(command=self.command)]
        parts.append("\n".join(f"- {key}: {value}" for key, value in self.machine.items()) + "\n")
        parts.append(
            _table(
                "Coverage-guided fuzzing",
                (
                    "target",
                    "executions",
                    "seconds",
                    "edges",
                    "kept inputs",
                    "octets",
                    "crashes",
                    "MiB halfway",
                    "at the end",
                ),
                [
                    (
                        run.target,
                        f"{run.executions:,}",
                        f"{run.seconds:.0f}",
                        run.edges,
                        run.corpus,
                        run.octets,
                        run.crashes,
                        run.halfway,
                        run.at_end,
                    )
                    for run in self.guided
                ],
            )
        )
        parts.append(
            _table(
                "The most expensive message that was found",
                ("message", "octets at most", "tried", "worst", "bound"),
                [(c.name, c.longest, f"{c.tried:,}", _ms(c.worst), _ms(c.most)) for c in self.costs],
            )
        )
        parts.append(f"Capacity for mutated messages over UDP: {self.attack.capacity:,.0f} a second, one worker.\n")
        parts.append(
            _table(
                "Mutated messages to a running instance, a canary every 100 ms",
                (
                    *("transport", "sent", "per second", "taken", "canaries", "unanswered", "wrong", "over 50 ms"),
                    *("longest", "restarts", "MiB before", "MiB after", "log lines"),
                ),
                [_flooded(name, outcome) for name, outcome in self.attack.floods.items()],
            )
        )
        parts.append(
            "What is there after the flood over UDP is what its questions left in the caches, and the allocator's room "
            f"around it: {self.attack.flushed:.1f} MiB once `meshdns cache flush` had emptied them.\n"
        )
        parts.append(
            _table(
                "Held connections, a canary every 100 ms",
                (
                    *("connections", "open at most", "gave way", "refused", "ended", "canaries", "unanswered", "wrong"),
                    *("over 50 ms", "longest", "MiB before", "MiB at most", "MiB after", "log lines"),
                ),
                [_besieged(name, outcome) for name, outcome in self.attack.sieges.items()],
            )
        )
        return "\n".join(parts)


def _flooded(name: str, outcome: Outcome) -> tuple[object, ...]:
    return (
        *(name, f"{outcome.sent:,}", f"{outcome.sent / outcome.seconds:,.0f}", f"{outcome.received:,}"),
        *(outcome.canaries, outcome.unanswered, outcome.wrong, outcome.late, _ms(outcome.longest), outcome.restarts),
        *(f"{outcome.memory_before:.1f}", f"{outcome.memory_after:.1f}", len(outcome.lines)),
    )


def _besieged(name: str, outcome: Siege) -> tuple[object, ...]:
    return (
        *(name, outcome.open, outcome.cut, outcome.refused, outcome.ended_idle + outcome.ended_writers),
        *(outcome.canaries, outcome.unanswered, outcome.wrong, outcome.late, _ms(outcome.longest)),
        *(f"{outcome.memory_before:.1f}", f"{outcome.memory_during:.1f}", f"{outcome.memory_after:.1f}"),
        len(outcome.lines),
    )


def _ms(seconds: float) -> str:
    return f"{seconds * 1000:.2f} ms"


def _table(title: str, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    lines = [f"## {title}", "", f"| {' | '.join(columns)} |", f"|{'---|' * len(columns)}"]
    return "\n".join([*lines, *(f"| {' | '.join(map(str, row))} |" for row in rows), ""])
