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

from meshdns.worker import udp_batch
from meshdns.worker.responder import Responder
from meshdns.worker.scoreboard_counters import WorkerCounters
from meshdns.worker.udp_batch import BATCH_SIZE, BatchSocket
from tests.bench.queries import query
from tests.worker.responder_fixture import ResponderFixture, bound_udp_socket

NAMES: Final = 10_000
_ROUNDS: Final = 400
_BATCHES: Final = NAMES // BATCH_SIZE

_ACCESS: Final = (
    (
        "for i, (size, port, host) in enumerate(zip(sizes, ports, self._sources(count), strict=True)):",
        "for i, (size, port) in enumerate(zip(sizes, ports, strict=True)):",
    ),
    ("if found is not None and port and host in admitted:", "if found is not None and port:"),
)
_COUNTING: Final = (
    ("series_id, variants = found\n", "_, variants = found\n"),
    ("hits_by_series[series_id] += 1\n", "\n"),
    ("hits += 1\n", "\n"),
    ("responder.counters.queries += count\n", "\n"),
    ("responder.counters.reply_cache_hits += hits\n", "\n"),
)
_SAMPLING: Final = (
    ("asked = self._copies(count) if responder.sampler.is_enabled else []\n", "\n"),
    ("if asked:\n", "if False:\n"),
)
PARTS: Final = {
    "access list": _ACCESS,
    "counting": _COUNTING,
    "sampling": _SAMPLING,
    "all three": (*_ACCESS, *_COUNTING, *_SAMPLING),
}

Answer = Callable[[BatchSocket, int, Responder], list[int]]


def without(cuts: tuple[tuple[str, str], ...]) -> Answer:
    """`BatchSocket._answer` with each first text replaced by its second; KeyError for a text that is not there once."""
    source = textwrap.dedent(inspect.getsource(BatchSocket._answer))
    for line, instead in cuts:
        if source.count(line) != 1:
            raise KeyError(f"{line.strip()!r} is not in BatchSocket._answer once: bring {__file__} up to date")
        source = source.replace(line, instead)
    scope = dict(vars(udp_batch))
    exec(compile(source, udp_batch.__file__, "exec"), scope)  # noqa: S102 — our own source, less some lines
    made: Answer = scope["_answer"]
    return made


def main() -> int:
    """Measure and print; the exit status."""
    answers = {"nothing": without(()), **{part: without(cuts) for part, cuts in PARTS.items()}}
    bench = ResponderFixture({f"n{number}.shop.global": ["203.0.113.7"] for number in range(NAMES)})
    with bound_udp_socket() as server, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.connect(server.getsockname())
        batches = BatchSocket(server, WorkerCounters(), lambda flush: flush())
        bench.responder.begin_read()
        for number in range(NAMES):
            client.send(query(f"n{number}.shop.global"))
            batches.serve_batch(bench.responder)  # each is made ready, the asker admitted
        costs = _measure(answers, batches, bench.responder)
        bench.responder.end_read()
    whole = statistics.median(costs["nothing"])
    sys.stdout.write(f"a known name, without the kernel: {whole / 1000:.3f} µs\n")
    for part in PARTS:
        cost = statistics.median(a - b for a, b in zip(costs["nothing"], costs[part], strict=True))
        sys.stdout.write(f"{part:<12} {cost / 1000:.3f} µs\n")
    return 0


def _measure(answers: dict[str, Answer], batches: BatchSocket, answerer: Responder) -> dict[str, list[float]]:
    """Nanoseconds a query of each variant, by turns."""
    loads = [_load(batches, start) for start in range(0, _BATCHES * BATCH_SIZE, BATCH_SIZE)]
    costs: dict[str, list[float]] = {name: [] for name in answers}
    for round_number in range(_ROUNDS):
        octets, sizes = loads[round_number % len(loads)]
        for name, answer in answers.items():
            spent = []
            for _ in range(5):
                batches._slots[:] = octets
                batches._sizes[:] = sizes
                began = process_time_ns()
                silent = answer(batches, BATCH_SIZE, answerer)
                spent.append(process_time_ns() - began)
                if silent:
                    raise RuntimeError("a known name was not answered")
            costs[name].append(min(spent) / BATCH_SIZE)
    return costs


def _load(batches: BatchSocket, start: int) -> tuple[bytes, memoryview]:
    """The memory of a batch of queries that have just come."""
    queries = [query(f"n{start + number}.shop.global") for number in range(BATCH_SIZE)]
    octets = b"".join(each.ljust(udp_batch.SLOT_SIZE, b"\0") for each in queries)
    sizes = memoryview(bytearray(b"".join(len(each).to_bytes(4, sys.byteorder) for each in queries))).cast("I")
    batches._ports[:] = memoryview(bytearray(b"\1\1" * BATCH_SIZE)).cast("H")
    batches._hosts[:] = memoryview(bytearray(socket.inet_aton("127.0.0.1") * BATCH_SIZE)).cast("I")
    return octets, sizes


if __name__ == "__main__":
    sys.exit(main())
