"""The command ``python -m tests.bench.profiling``: a flame graph of a worker under load, Python and C frames alike."""

import argparse
import contextlib
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from tests.bench.cores import Cores
from tests.bench.fleet import Fleet
from tests.bench.programs import Generator
from tests.bench.rounds import Bench, Effort
from tests.bench.workloads import WORKLOADS
from tests.e2e.instance import Instance

_SAMPLES = 500  # a second
_PROFILED = tuple(workload for workload in WORKLOADS if not workload.subjects[0].changes)


def main(arguments: Sequence[str] | None = None) -> int:
    """Load a worker, sample it, write the picture; the exit status."""
    chosen = _parser().parse_args(arguments)
    workload = next(each for each in _PROFILED if each.name == chosen.workload)
    chosen.output.mkdir(parents=True, exist_ok=True)
    with Fleet(Cores.taken()) as fleet:
        instance = fleet.peer(workload.subjects[0].peer, workload.population)
        if not isinstance(instance, Instance):
            sys.stderr.write(f"{workload.name} is not answered by meshdns alone: choose another workload\n")
            return 2
        for form, name in (("flamegraph", "svg"), ("raw", "txt")):
            picture = chosen.output / f"profile-{workload.name}.{name}"
            with _sampling(instance.children()["worker"][0], picture, form, chosen.seconds):
                effort = Effort(rounds=1, seconds=chosen.seconds, warm_up=1.0, tries=1)
                Bench(fleet, Generator(), effort, lambda _: None).measure(workload, [workload.subjects[0].peer])
            sys.stdout.write(f"written: {picture}\n")
    return 0


@contextlib.contextmanager
def _sampling(pid: int, picture: Path, form: str, seconds: float) -> Iterator[None]:
    command = [str(Path(sys.executable).with_name("py-spy")), "record", "--native", "--pid", str(pid)]
    command += [
        "--rate",
        str(_SAMPLES),
        "--duration",
        str(int(seconds) + 2),
        "--format",
        form,
        "--output",
        str(picture),
    ]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as sampler:
        yield
        sampler.wait(timeout=seconds + 60)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.profiling", description=__doc__)
    names = [workload.name for workload in _PROFILED]
    parser.add_argument("workload", nargs="?", choices=names, default="known")
    parser.add_argument("--seconds", type=float, default=8.0)
    parser.add_argument("--output", type=Path, default=Path("bench-results"), metavar="DIR")
    return parser


if __name__ == "__main__":
    sys.exit(main())
