"""What all workers have counted so far, in the few numbers that rates and latencies are drawn from.

Read from the pages that workers publish for metrics; whoever wants rates subtracts two of these values.
"""

from collections import Counter

import msgspec

from meshdns import meters
from meshdns.mesh.explanation import API_VERSION
from meshdns.meters import Ledger
from meshdns.scoreboard import MAX_WORKERS, Scoreboard


class Totals(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Counters since the instance began, over all workers.

    `time` is monotonic seconds. `responses` counts by RCODE, `sources` by what wrote them. `bounds` are upper bounds of
    durations in seconds; `durations` counts replies for each of them, and behind them those that took longer.
    """

    api_version: str = API_VERSION
    kind: str = "Totals"
    time: float
    responses: dict[str, int]
    sources: dict[str, int]
    bounds: tuple[float, ...] = meters.SECONDS
    durations: tuple[int, ...]


def read_totals(board: Scoreboard, now: float) -> Totals:
    """The totals as the workers last published them; `now` is in seconds of the monotonic clock."""
    ledger = Ledger()
    for worker in range(MAX_WORKERS):
        ledger.merge(board.published(worker))
    responses: Counter[str] = Counter()
    sources: Counter[str] = Counter()
    for (_zone, rcode, plugin), sums in ledger.samples(meters.RESPONSES):
        responses[rcode] += int(sums[0])
        sources[plugin] += int(sums[0])
    durations = [0] * (len(meters.SECONDS) + 1)
    for _, sums in ledger.samples(meters.DURATION):
        durations = [a + int(b) for a, b in zip(durations, sums[:-1], strict=True)]
    return Totals(time=now, responses=dict(responses), sources=dict(sources), durations=tuple(durations))
