"""One maximum in a process of its own: ``python -m tests.maxima.child NAME COPIES``; prints a `Measured` as JSON."""

import sys
import tempfile
import time
from pathlib import Path

import msgspec

from tests.maxima.objects import MAXIMA, scenery
from tests.maxima.passage import Passage


class Measured(msgspec.Struct, frozen=True):
    """What one maximum took, in seconds of processor time.

    Memory is in MiB: the peak of the process, and before there was any object.
    """

    reading: float
    publishing: float
    longest_turn: float
    showing: float
    peak: float
    before: float
    names: int
    candidates: int
    most_in_a_turn: int
    bytes_read: int
    problems: int
    shown: dict[str, int]


def measure(name: str, copies: int) -> Measured:
    """Take `copies` of a maximum the whole way."""
    with tempfile.TemporaryDirectory(prefix="meshdns-maxima-") as directory:
        passage = Passage(Path(directory))
        for cluster, kind, obj in scenery():
            passage.read(cluster, kind, obj)
        passage.publish()
        passage.turns.clear()
        before = _peak()
        reading, size = 0.0, 0
        for number in range(copies):
            for cluster, kind, obj in MAXIMA[name](number):
                encoded = msgspec.json.encode(obj)  # as it comes: of a watch event one object is decoded at a time
                del obj
                size += len(encoded)
                began = time.process_time()
                passage.read(cluster, kind, msgspec.json.decode(encoded))
                reading += time.process_time() - began
        began = time.process_time()
        passage.publish()
        published = time.process_time()
        shown = passage.show()
        measured = Measured(
            reading=reading,
            publishing=published - began,
            longest_turn=max(seconds for seconds, _ in passage.turns),
            showing=time.process_time() - published,
            peak=_peak(),
            before=before,
            names=len(passage.known_names()),
            candidates=sum(work for _, work in passage.turns),
            most_in_a_turn=max(work for _, work in passage.turns),
            bytes_read=size,
            problems=len(passage.problems()),
            shown=shown,
        )
        passage.close()
    return measured


def _peak() -> float:
    """Of this program alone: the system's other figure begins with what its parent had."""
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split(maxsplit=1)[0]) / 1024


if __name__ == "__main__":
    sys.stdout.buffer.write(msgspec.json.encode(measure(sys.argv[1], int(sys.argv[2]))))
