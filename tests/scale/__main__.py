"""``python -m tests.scale``: a mesh of 50,000 ServiceEntries and 10,000 Services; writes docs/scale.md."""

import argparse
import os
import sys
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.scale.changes import one_by_one, stream
from tests.scale.mesh import Size, mesh
from tests.scale.page import Figures, write
from tests.scale.reading import CALM, Start, started

_STARTS = 2
_TRIES = 200
_RATE, _SECONDS = 100.0, 60.0


def main() -> int:
    """Run; 0 where no change and no query was lost."""
    parser = argparse.ArgumentParser(prog="python -m tests.scale", description=__doc__)
    parser.add_argument("--part", type=int, default=1, metavar="N", help="one Nth of the objects, for a quick look")
    asked = parser.parse_args()
    full = Size()
    size = Size(full.entries // asked.part, full.services // asked.part)
    starts: list[Start] = []
    loads: list[float] = []
    with TemporaryDirectory() as name, mesh(size) as members:
        folder = Path(name)
        for number in range(_STARTS):
            loads.append(os.getloadavg()[0])
            with ExitStack() as running:
                instance, start = running.enter_context(started(members, folder))
                starts.append(start)
                sys.stdout.write(f"{start}\n")
                sys.stdout.flush()
                if number == _STARTS - 1:
                    entry, service = one_by_one(instance, members, _TRIES)
                    changed = stream(instance, members, size, rate=_RATE, seconds=_SECONDS)
    figures = Figures(size, starts, loads, entry, service, changed)
    text = write(figures, " ".join(["python -m tests.scale", *sys.argv[1:]]), CALM)
    sys.stdout.write(text)
    return 1 if figures.lost else 0


if __name__ == "__main__":
    sys.exit(main())
