"""The command ``python -m tests.bench``."""

import argparse
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from tests.bench.cores import Cores
from tests.bench.fleet import Fleet
from tests.bench.machine import machine
from tests.bench.moment import Moment
from tests.bench.moments import MOMENTS
from tests.bench.peers import PEERS, version
from tests.bench.programs import Generator
from tests.bench.report import Report, Result
from tests.bench.rounds import FULL, QUICK, Bench
from tests.bench.workloads import WORKLOADS
from tests.rig.absence import ComponentUnavailable


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print, write; the exit status."""
    chosen = _parser().parse_args(arguments)
    if sys.platform != "linux":
        sys.stderr.write("The bench reads Linux's account of processor time: run it on Linux.\n")
        return 1
    before = machine()
    try:
        report = _measure(chosen.only, chosen.peers, before, quick=chosen.quick)
    except ComponentUnavailable as absence:
        sys.stderr.write(f"{absence}\n")
        return 1
    sys.stdout.write(f"\n{report.text()}\n\n")
    for path in report.write(chosen.output):
        sys.stdout.write(f"written: {path}\n")
    return 0


def _measure(only: Sequence[str], peers: Sequence[str], before: dict[str, str], *, quick: bool) -> Report:
    effort = QUICK if quick else FULL
    moments: list[Moment] = []
    cores = Cores.taken()
    with Fleet(cores) as fleet:
        bench = Bench(fleet, Generator(), effort, _say)
        wanted = [workload for workload in WORKLOADS if not only or workload.name in only]
        results = [Result(workload, bench.measure(workload, peers)) for workload in wanted]
        for name, measure in MOMENTS.items():
            if not only or name in only:
                _say(name)
                moments += measure(fleet, cores, effort.tries)
    measured = {subject.peer for result in results for subject in result.runs}
    versions = {PEERS[name].title: version(PEERS[name]) for name in PEERS if name in measured and name != "echo"}
    return Report(before, versions, results, moments)


def _say(line: str) -> None:
    sys.stderr.write(f"{line}\n")


def _parser() -> argparse.ArgumentParser:
    names = [*(workload.name for workload in WORKLOADS), *MOMENTS]
    parser = argparse.ArgumentParser(
        prog="python -m tests.bench", description="Measure meshdns beside other servers, all in the same run."
    )
    parser.add_argument("--only", type=_names(names), default=[], metavar="NAME,…", help=f"of {', '.join(names)}")
    parser.add_argument("--peers", type=_names(PEERS), default=[], metavar="NAME,…", help=f"of {', '.join(PEERS)}")
    parser.add_argument("--quick", action="store_true", help="two short rounds: to see that it works")
    parser.add_argument(
        "--output", type=Path, default=Path("bench-results"), metavar="DIR", help="for JSON and Markdown"
    )
    return parser


class _names:  # noqa: N801 - argparse shows the name of a type in its messages
    """Reads a comma-separated choice of names."""

    def __init__(self, known: Iterable[str]) -> None:
        self._known = tuple(known)

    def __call__(self, text: str) -> list[str]:
        chosen = text.split(",")
        unknown = [name for name in chosen if name not in self._known]
        if unknown:
            raise argparse.ArgumentTypeError(f"{', '.join(unknown)}: choose of {', '.join(self._known)}")
        return chosen


if __name__ == "__main__":
    sys.exit(main())
