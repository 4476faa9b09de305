"""The command ``python -m tests.bench.ablation``: what counting, access list and sampling cost a known name.

The function that answers a batch is compiled once as it is and once for each part without the lines of that part; all
of them answer the same batch by turns, without a kernel around them. What a part costs is the median difference.
"""

import inspect
import socket
import statistics
import sys
import textwrap
from collections.abc import Callable
from time import process_time_ns
from typing import Final

from meshdns.worker import mmsg
from meshdns.worker.answering import Answerer
from meshdns.worker.counters import Counters
from meshdns.worker.mmsg import BATCH, BatchSocket
from tests.bench.queries import query
from tests.worker.scene import Bench, bound

NAMES: Final = 10_000
_ROUNDS: Final = 400
_BATCHES: Final = NAMES // BATCH

_ACCESS: Final = (
    (
        "for i, (size, port, host) in enumerate(zip(sizes, ports, self._sources(count), strict=True)):",
        "for i, (size, port) in enumerate(zip(sizes, ports, strict=True)):",
    ),
    ("if found is not None and port and host in admitted:", "if found is not None and port:"),
)
_COUNTING: Final = (
    ("case, variants = found\n", "_, variants = found\n"),
    ("cases[case] += 1\n", "\n"),
    ("hits += 1\n", "\n"),
    ("answerer.counters.queries += count\n", "\n"),
    ("answerer.counters.ready += hits\n", "\n"),
)
_SAMPLING: Final = (
    ("asked = self._copies(count) if answerer.sampler.on else []\n", "\n"),
    ("if asked:\n", "if False:\n"),
)
PARTS: Final = {
    "access list": _ACCESS,
    "counting": _COUNTING,
    "sampling": _SAMPLING,
    "all three": (*_ACCESS, *_COUNTING, *_SAMPLING),
}

Answer = Callable[[BatchSocket, int, Answerer], list[int]]


def without(cuts: tuple[tuple[str, str], ...]) -> Answer:
    """`BatchSocket._answer` with each first text replaced by its second; KeyError for a text that is not there once."""
    source = textwrap.dedent(inspect.getsource(BatchSocket._answer))
    for line, instead in cuts:
        if source.count(line) != 1:
            raise KeyError(f"{line.strip()!r} is not in BatchSocket._answer once: bring {__file__} up to date")
        source = source.replace(line, instead)
    scope = dict(vars(mmsg))
    exec(compile(source, mmsg.__file__, "exec"), scope)  # noqa: S102 — our own source, less some lines
    made: Answer = scope["_answer"]
    return made


def main() -> int:
    """Measure and print; the exit status."""
    answers = {"nothing": without(()), **{part: without(cuts) for part, cuts in PARTS.items()}}
    bench = Bench({f"n{number}.shop.global": ["203.0.113.7"] for number in range(NAMES)})
    with bound() as server, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.connect(server.getsockname())
        batches = BatchSocket(server, Counters(), lambda flush: flush())
        bench.answerer.begin()
        for number in range(NAMES):
            client.send(query(f"n{number}.shop.global"))
            batches.exchange(bench.answerer)  # each is made ready, the asker admitted
        costs = _measure(answers, batches, bench.answerer)
        bench.answerer.end()
    whole = statistics.median(costs["nothing"])
    sys.stdout.write(f"a known name, without the kernel: {whole / 1000:.3f} µs\n")
    for part in PARTS:
        cost = statistics.median(a - b for a, b in zip(costs["nothing"], costs[part], strict=True))
        sys.stdout.write(f"{part:<12} {cost / 1000:.3f} µs\n")
    return 0


def _measure(answers: dict[str, Answer], batches: BatchSocket, answerer: Answerer) -> dict[str, list[float]]:
    """Nanoseconds a query of each variant, by turns."""
    loads = [_load(batches, start) for start in range(0, _BATCHES * BATCH, BATCH)]
    costs: dict[str, list[float]] = {name: [] for name in answers}
    for round_number in range(_ROUNDS):
        octets, sizes = loads[round_number % len(loads)]
        for name, answer in answers.items():
            spent = []
            for _ in range(5):
                batches._octets[:] = octets
                batches._sizes[:] = sizes
                began = process_time_ns()
                silent = answer(batches, BATCH, answerer)
                spent.append(process_time_ns() - began)
                if silent:
                    raise RuntimeError("a known name was not answered")
            costs[name].append(min(spent) / BATCH)
    return costs


def _load(batches: BatchSocket, start: int) -> tuple[bytes, memoryview]:
    """The memory of a batch of queries that have just come."""
    queries = [query(f"n{start + number}.shop.global") for number in range(BATCH)]
    octets = b"".join(each.ljust(mmsg.SLOT, b"\0") for each in queries)
    sizes = memoryview(bytearray(b"".join(len(each).to_bytes(4, sys.byteorder) for each in queries))).cast("I")
    batches._ports[:] = memoryview(bytearray(b"\1\1" * BATCH)).cast("H")
    batches._hosts[:] = memoryview(bytearray(socket.inet_aton("127.0.0.1") * BATCH)).cast("I")
    return octets, sizes


if __name__ == "__main__":
    sys.exit(main())
