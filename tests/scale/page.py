"""docs/scale.md: the figures beside what they are to be."""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import median
from typing import Final, NamedTuple

from tests.bench.machine import machine
from tests.scale.changes import Delays
from tests.scale.mesh import Size
from tests.scale.reading import Start

PAGE: Final = Path(__file__).parents[2] / "docs" / "scale.md"
_HEAD: Final = """\
# A large mesh

{size}; `meshdns serve` with one worker stands in one of the clusters and reads all five without an earlier database.
Written by `{command}`. The servers, meshdns, the load and CoreDNS share {cores} cores ({processor}); load average when
the servers were filled and meshdns started: {loads}.

"""
_LEGEND: Final = """
- *Served* is when a sample of the names of every cluster is answered as it is to be: ServiceEntries, and Services of
  the other clusters by their gateways.
- While the controller reads, and once more when it is at rest, 1,000 queries a second ask for a static record, which a
  worker answers whatever the mesh is doing. An answer's time holds all that the worker, the load generator and the rest
  of the machine did to it; *run queue* is what the kernel says the worker was ready to run and had no core.
- The controller's memory is that of {calm:g} s after. PSS and RSS count pages of the name database of its file;
  *its own* is what no other process shares.
- A change is timed from the return of the request to the first right answer. CoreDNS reads one of the clusters, with
  its `kubernetes` plugin, and is asked by turns with meshdns.
"""


class Figures(NamedTuple):
    """All that was measured."""

    size: Size
    starts: Sequence[Start]
    loads: Sequence[float]
    entry: Delays
    service: Delays
    stream: Delays

    @property
    def lost(self) -> int:
        """Changes and queries that were never answered."""
        return self.stream.lost + sum(start.during.load.lost + start.idle.load.lost for start in self.starts)


def write(figures: Figures, command: str, calm: float) -> str:
    """Write the page; its text."""
    head = _HEAD.format(
        size=figures.size.text,
        command=command,
        cores=os.cpu_count(),
        processor=machine()["processor"],
        loads=", ".join(f"{load:.1f}" for load in figures.loads),
    )
    rows = [f"| {' | '.join(row)} |" for row in _rows(figures)]
    text = head + "\n".join(["| | measured | aim |", "|---|---|---|", *rows]) + "\n" + _LEGEND.format(calm=calm)
    PAGE.write_text(text)
    return text


def _rows(figures: Figures) -> Iterator[tuple[str, str, str]]:
    starts = figures.starts
    yield "start → a static record is answered", _each([start.answering for start in starts], "s"), ""
    yield "start → all served", _each([start.served for start in starts], "s"), "< 20 s"
    yield "the controller's time on a core for that", _each([start.spent for start in starts], "s"), ""
    for name, title in (("Rss", "RSS"), ("Pss", "PSS"), ("Private_Dirty", "its own")):
        aim = "≤ 300 MiB" if name == "Pss" else ""
        yield f"controller's memory, {title}", _each([start.controller[name] for start in starts], "MiB"), aim
    yield "worker's memory, RSS", _each([start.worker for start in starts], "MiB"), ""
    for title, seen in (("while it reads", [s.during for s in starts]), ("at rest", [s.idle for s in starts])):
        yield f"longest answer of 20,000, {title}", _each([each.load.longest / 1e3 for each in seen], "ms"), ""
        yield f"p99 of these, {title}", _each([each.load.p99 / 1e3 for each in seen], "ms"), ""
        yield f"worker in the run queue, {title}", _each([each.queued for each in seen], "ms/s"), ""
    yield from _changes(figures)


def _changes(figures: Figures) -> Iterator[tuple[str, str, str]]:
    tries = len(figures.entry.seconds)
    yield f"ServiceEntry posted → answered ({tries}), p50", f"{figures.entry.percentile(50):.2f} ms", "≤ 1 ms"
    yield "p99", f"{figures.entry.percentile(99):.2f} ms", "≤ 5 ms"
    yield f"CoreDNS: Service posted → answered ({tries}), p50", f"{figures.service.percentile(50):.2f} ms", ""
    yield "p99", f"{figures.service.percentile(99):.2f} ms", ""
    count, stream = len(figures.stream.seconds), figures.stream
    yield f"{count / stream.took:.0f} changes/s for {stream.took:.0f} s: p50", f"{stream.percentile(50):.2f} ms", ""
    yield "p99", f"{stream.percentile(99):.2f} ms", "≤ 50 ms"
    yield "longest", f"{stream.longest:.1f} ms", ""
    yield f"lost, of {count:,}", str(stream.lost), "0"


def _each(values: Sequence[float], unit: str) -> str:
    """The median, and all of them where there are several."""
    told = f"{median(values):.1f} {unit}"
    return told if len(values) == 1 else f"{told} ({', '.join(f'{value:.1f}' for value in values)})"
