"""The command ``python -m tests.maxima``: every maximum alone and three times, as the table ``docs/maxima.md``."""

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


def _machine_text() -> str:
    found = machine()
    return f"{found['processor']}, {found['cores']} cores, {found['python']}, load before {found['load before']}"


def main() -> int:
    """Measure everything, write the page; 1 where something took more memory than the chart's limit."""
    lines, before, over = [], 0.0, []
    for name, copies, found in _rows():
        lines.append(_line(name, copies, found))
        sys.stdout.write(lines[-1])
        before = max(before, found.before)
        if found.peak >= memory_limit():
            over.append(f"{name} × {copies}")
    text = (
        _INTRODUCTION.format(before=before, limit=memory_limit())
        + "".join(lines)
        + f"\nMeasured on {_machine_text()}.\n"
    )
    PAGE.write_text(text)
    sys.stdout.write("".join(f"over the memory limit: {each}\n" for each in over))
    return int(bool(over))


if __name__ == "__main__":
    sys.exit(main())
