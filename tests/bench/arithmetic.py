"""From runs to figures: medians over the rounds, ratios within them."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from tests.bench.processes import Usage

SATURATED = 0.95
"""Share of the time in which a server had work for its core; below it, the generator may be what is slow."""


@dataclass(frozen=True)
class Load:
    """What the generator counted; latencies in microseconds, times in seconds.

    `own_cpu` and `own_queued` are what the generator itself spent on a core and waiting for one.
    """

    sent: int
    received: int
    lost: int
    wrong: int
    late: int
    refused: int
    seconds: float
    p50: float
    p99: float
    longest: float
    lag_p99: float
    own_cpu: float
    own_queued: float


@dataclass(frozen=True)
class Run:
    """One server under one load, once; `memory` in MiB, `changes` made meanwhile."""

    load: Load
    usage: Usage
    memory: float
    changes: int = 0

    @property
    def cost(self) -> float:
        """Processor time of the whole tree per answered query, in microseconds."""
        return per_query(self.usage.total, self.load.received)

    @property
    def rate(self) -> float:
        """Answered queries a second."""
        return self.load.received / self.load.seconds

    @property
    def busy(self) -> float:
        """Share of the time in which the server was on its core or waited for it; its threads do so side by side."""
        return min((self.usage.total + self.usage.queued) / self.load.seconds, 1.0)


@dataclass(frozen=True)
class Figures:
    """The medians of a server's runs. `ratio` is the cost beside the reference's in the same rounds (1 = equal).

    `low` and `high` are the ratio's extremes over the rounds. `roles` are microseconds per query by kind of process.
    """

    cost: float
    ratio: float
    low: float
    high: float
    roles: dict[str, float]
    rate: float
    lost: float
    wrong: int
    p50: float
    p99: float
    busy: float
    generator: float
    memory: float
    changes: float


def figures(runs: Sequence[Run], reference: Sequence[Run]) -> Figures:
    """Figures of runs, beside the reference's runs of the same rounds."""
    ratios = [run.cost / other.cost if other.cost else 0.0 for run, other in zip(runs, reference, strict=True)]
    roles = {role for run in runs for role in run.usage.cpu}
    return Figures(
        cost=median(run.cost for run in runs),
        ratio=median(ratios),
        low=min(ratios),
        high=max(ratios),
        roles={
            role: median(per_query(run.usage.cpu.get(role, 0.0), run.load.received) for run in runs)
            for role in sorted(roles)
        },
        rate=median(run.rate for run in runs),
        lost=share(sum(run.load.lost for run in runs), sum(run.load.sent for run in runs)),
        wrong=sum(run.load.wrong for run in runs),
        p50=median(run.load.p50 for run in runs),
        p99=median(run.load.p99 for run in runs),
        busy=median(run.busy for run in runs),
        generator=median(share(run.load.own_cpu + run.load.own_queued, run.load.seconds) for run in runs),
        memory=median(run.memory for run in runs),
        changes=median(run.changes / run.load.seconds for run in runs),
    )


def per_query(seconds: float, queries: int) -> float:
    """Microseconds per query; 0 where there was none."""
    return seconds * 1e6 / queries if queries else 0.0


def share(part: float, whole: float) -> float:
    """Part of a whole, 0 to 1; 0 of nothing."""
    return part / whole if whole else 0.0
