"""All the random schedules of `tests.sources.schedules`, on every core."""

import multiprocessing
import os
import time
from dataclasses import dataclass, field

from tests.soak.report import Table, say
from tests.sources.schedules.simulation import play

_CHUNK = 250


@dataclass
class Sum:
    """What came of many schedules."""

    schedules: int = 0
    hours: float = 0.0
    faults: int = 0
    changes: int = 0
    requests: int = 0
    looks: int = 0
    wrong: int = 0
    hot: int = 0
    leaked: int = 0
    examples: list[str] = field(default_factory=list)  # of what was bad, one a schedule

    def add(self, other: "Sum") -> None:
        """Take over the figures of some more."""
        for name in ("schedules", "hours", "faults", "changes", "requests", "looks", "wrong", "hot", "leaked"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.examples += other.examples


def run(count: int) -> tuple[Table, bool]:
    """Play schedules 0 to `count`; the table to record, and whether all is well."""
    begun, total = time.monotonic(), Sum()
    chunks = [range(first, min(first + _CHUNK, count)) for first in range(0, count, _CHUNK)]
    with multiprocessing.get_context("spawn").Pool(os.cpu_count()) as pool:
        for part in pool.imap_unordered(_play, chunks):
            total.add(part)
            for example in part.examples:
                say(example)
            say(f"{total.schedules} of {count} schedules, {total.wrong + total.hot + total.leaked} bad")
    rows = [
        ("schedules", f"{total.schedules:,}"),
        ("virtual time", f"{total.hours:,.0f} h"),
        ("faults, changes, requests", f"{total.faults:,}, {total.changes:,}, {total.requests:,}"),
        ("looks at all that is served", f"{total.looks:,}"),
        ("wrong answers", str(total.wrong)),
        ("hot loops", str(total.hot)),
        ("leaked tasks", str(total.leaked)),
        ("took", f"{time.monotonic() - begun:,.0f} s"),
    ]
    return Table("Random schedules in virtual time", rows), not (total.wrong or total.hot or total.leaked)


def _play(seeds: range) -> Sum:
    total = Sum()
    for outcome in play(seeds):
        bad = [*outcome.wrong, *outcome.hot, *outcome.leaked]
        one = Sum(
            1,
            outcome.seconds / 3600,
            outcome.faults,
            outcome.changes,
            outcome.requests,
            outcome.checks,
            len(outcome.wrong),
            len(outcome.hot),
            len(outcome.leaked),
            [f"schedule {outcome.seed}: {bad[0]}"] if bad else [],
        )
        total.add(one)
    return total
