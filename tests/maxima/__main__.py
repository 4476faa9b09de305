"""The command ``python -m tests.maxima``: every maximum alone and three times, as the tables of ``docs/maxima.md``."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import msgspec
import yaml

from tests.bench.machine import machine
from tests.maxima.child import Measured
from tests.maxima.objects import MAXIMA
from tests.maxima.under_load import RATE, WORKERS, Served, serve

ROOT: Final = Path(__file__).parents[2]
PAGE: Final = ROOT / "docs" / "maxima.md"
COPIES: Final = (1, 3)
_TIMEOUT: Final = 600  # seconds
_VALUES: Final = ROOT / "deploy" / "chart" / "values.yaml"

_INTRODUCTION: Final = """# Objects at their maximum

Whoever may write one object decides how large it is: up to what the CRD and Kubernetes' validation allow, or the 1.5 MB
that etcd takes. Each row is such objects, alone and three times, read, judged, committed and shown in a process of its
own, as the controller does it. `make maxima` writes this page. `tests/maxima` holds the bounds in `make test`.

Seconds are of processor time. A *turn* is what is done at once: between two turns other changes are applied and the
heartbeat is written. *Memory* is the peak of the process; {before:.0f} MiB of it are there before any object.
The limit of a whole pod in the chart is {limit} MiB. What is over a bound is a
[problem](runbooks.md#problem-over-bound).

| objects | × | kB | names | read s | commit s | longest turn s | lists and explanations s | memory MiB |
|---|---|---|---|---|---|---|---|---|
"""

_UNDER_LOAD: Final = """
## Under load

A running instance with {workers} workers is given the same objects as files, and they are taken away again. Meanwhile
it is asked for known and forwarded names, {rate} queries a second; a sixth of the names is forwarded and never asked
before. *Unanswered* is what has no answer after 5 s. *Small change* is the longest time until a change of another
object was served, in a folder of another source and in another cluster of the same folder: some 0.3 s of it are how
often folders are looked at, and in the same folder the large file is read first. Seconds are by the wall. Memory is
the peak in MiB of the controller, of the larger worker, and of all processes added, where shared pages count once for
each.

| objects | × | queries | unanswered | wrong | longest s | small change s | same folder s | controller | worker | all |
|---|---|---|---|---|---|---|---|---|---|---|
"""


def memory_limit() -> int:
    """The memory limit of the chart, in MiB."""
    limit = str(yaml.safe_load(_VALUES.read_text())["resources"]["limits"]["memory"])
    return int(limit.removesuffix("Mi"))


def measured(name: str, copies: int) -> Measured:
    """What a maximum takes in a process of its own."""
    words = [sys.executable, "-m", "tests.maxima.child", name, str(copies)]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, timeout=_TIMEOUT, check=False)
    if done.returncode:
        raise RuntimeError(done.stderr.decode()[-2000:])
    return msgspec.json.decode(done.stdout, type=Measured)


def _rows() -> Iterator[tuple[str, int, Measured]]:
    for name in MAXIMA:
        for copies in COPIES:
            yield name, copies, measured(name, copies)


def _line(name: str, copies: int, found: Measured) -> str:
    seconds = (found.reading, found.publishing, found.longest_turn, found.showing)
    cells = (
        name,
        copies,
        found.bytes_read // 1000,
        found.names,
        *(f"{each:.2f}" for each in seconds),
        f"{found.peak:.0f}",
    )
    return "| " + " | ".join(map(str, cells)) + " |\n"


def _served_line(name: str, copies: int, found: Served) -> str:
    seconds = (found.longest, found.deaf, found.deaf_in_folder)
    cells = (
        name,
        copies,
        found.sent,
        found.unanswered,
        found.wrong,
        *(f"{each:.2f}" for each in seconds),
        *(f"{each:.0f}" for each in (found.controller, found.worker, found.together)),
    )
    return "| " + " | ".join(map(str, cells)) + " |\n"


def _serve_all() -> Iterator[tuple[str, str]]:
    """Each line of the second table, and what is wrong with it."""
    for name in MAXIMA:
        for copies in COPIES:
            found = serve(name, copies)
            faults = {
                "queries unanswered": found.unanswered,
                "queries answered wrongly": found.wrong,
                "processes restarted": found.restarts,
                "over the memory limit": found.controller >= memory_limit(),
            }
            faulty = ", ".join(fault for fault, count in faults.items() if count)
            yield _served_line(name, copies, found), f"{name} × {copies}: {faulty}\n" if faulty else ""


def _machine_text() -> str:
    found = machine()
    return f"{found['processor']}, {found['cores']} cores, {found['python']}, load before {found['load before']}"


def main() -> int:
    """Measure everything, write the page; 1 where something took too much memory, or queries got no right answer."""
    before, lines, served, faults = 0.0, [], [], []
    for name, copies, found in _rows():
        lines.append(_line(name, copies, found))
        sys.stdout.write(lines[-1])
        before = max(before, found.before)
        if found.peak >= memory_limit():
            faults.append(f"{name} × {copies}: over the memory limit\n")
    for line, fault in _serve_all():
        sys.stdout.write(line)
        sys.stdout.flush()
        served.append(line)
        faults.append(fault)
    PAGE.write_text(
        _INTRODUCTION.format(before=before, limit=memory_limit())
        + "".join(lines)
        + _UNDER_LOAD.format(rate=RATE, workers=WORKERS)
        + "".join(served)
        + f"\nMeasured on {_machine_text()}.\n"
    )
    sys.stdout.write("".join(faults))
    return int(any(faults))


if __name__ == "__main__":
    sys.exit(main())
