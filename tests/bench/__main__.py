"""The command ``python -m tests.bench``."""

import argparse
import contextlib
import sys
import traceback
from collections.abc import Iterable, Iterator, Sequence
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
from tests.rig.errors import ComponentUnavailable


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print, write; the exit status."""
    chosen = _parser().parse_args(arguments)
    if sys.platform != "linux":
        sys.stderr.write("The bench reads Linux's account of processor time: run it on Linux.\n")
        return 1
    before = machine()
    try:
        report, failed = _measure(chosen.only, chosen.peers, before, quick=chosen.quick)
    except ComponentUnavailable as absence:
        sys.stderr.write(f"{absence}\n")
        return 1
    sys.stdout.write(f"\n{report.text()}\n\n")
    for path in report.write(chosen.output):
        sys.stdout.write(f"written: {path}\n")
    for name in failed:
        sys.stderr.write(f"{name} was not measured: see above why, and run --only {name}\n")
    return 1 if failed else 0


def _measure(
    only: Sequence[str], peers: Sequence[str], before: dict[str, str], *, quick: bool
) -> tuple[Report, list[str]]:
    """What was measured, and the names of what could not be: one that fails does not cost the others' figures."""
    effort = QUICK if quick else FULL
    results: list[Result] = []
    moments: list[Moment] = []
    failed: list[str] = []
    cores = Cores.taken()
    with Fleet(cores) as fleet:
        bench = Bench(fleet, Generator(), effort, _say)
        for workload in WORKLOADS:
            if not only or workload.name in only:
                with _noting(workload.name, failed):
                    results.append(Result(workload, bench.measure(workload, peers)))
        for name, measure in MOMENTS.items():
            if not only or name in only:
                _say(name)
                with _noting(name, failed):
                    moments += measure(fleet, cores, effort.tries)
    measured = {subject.peer for result in results for subject in result.runs}
    versions = {PEERS[name].title: version(PEERS[name]) for name in PEERS if name in measured and name != "echo"}
    return Report(before, versions, results, moments), failed


@contextlib.contextmanager
def _noting(name: str, failed: list[str]) -> Iterator[None]:
    """Go on after a failure, with its traceback told and the name noted."""
    try:
        yield
    except ComponentUnavailable:
        raise
    except Exception:  # noqa: BLE001 — whatever it is, it is told, and the exit status is 1
        traceback.print_exc()
        failed.append(name)


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
