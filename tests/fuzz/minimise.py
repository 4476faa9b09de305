"""The fewest inputs that walk all the ways any of them walks: ``python -m tests.fuzz.minimise TARGET FOLDER…``.

What the folders hold is taken together with the corpus and the seeds, small inputs first, and the corpus of the target
is written anew. A way is a step from line to line inside meshdns, and about how often one input takes it.
"""

import hashlib
import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from types import FrameType
from typing import Any, Final

import meshdns
from tests.fuzz.targets import CORPUS, Target, targets

_PACKAGE: Final = str(Path(meshdns.__file__).parent)
_LARGE: Final = 4096  # octets; a corpus that is kept in a repository holds none that are larger

Way = tuple[str, int, int, int]


class Walk:
    """Which ways one call takes."""

    def __init__(self) -> None:
        self._steps: Counter[tuple[str, int, int]] = Counter()

    def ways(self) -> set[Way]:
        """Steps with the number of binary digits of how often they were taken."""
        return {(*step, count.bit_length()) for step, count in self._steps.items()}

    def trace(self, frame: FrameType, _event: str, _arg: object) -> Any:
        """For `sys.settrace`."""
        file = frame.f_code.co_filename
        if not file.startswith(_PACKAGE):
            return None
        last = frame.f_lineno

        def step(frame: FrameType, event: str, arg: object) -> Any:
            nonlocal last
            if event == "line":
                self._steps[file, last, frame.f_lineno] += 1
                last = frame.f_lineno
            return step

        return step


def ways(target: Target, data: bytes) -> set[Way]:
    """What one input walks."""
    walk = Walk()
    before = sys.gettrace()
    sys.settrace(walk.trace)
    try:
        target.run(data)
    finally:
        sys.settrace(before)
    return walk.ways()


def kept(target: Target, inputs: Iterable[bytes]) -> list[bytes]:
    """Those that add a way, the smallest first."""
    known: set[Way] = set()
    found = []
    for data in sorted(set(inputs), key=lambda each: (len(each), each)):
        new = ways(target, data) - known if len(data) <= _LARGE else set()
        if new:
            known |= new
            found.append(data)
    return found


def main(arguments: Sequence[str] | None = None) -> None:
    """Write the corpus of one target anew."""
    name, *folders = sys.argv[1:] if arguments is None else arguments
    target, corpus = targets()[name], CORPUS / name
    corpus.mkdir(parents=True, exist_ok=True)
    files = [file for folder in (corpus, *map(Path, folders)) for file in folder.iterdir()]
    inputs = [*(file.read_bytes() for file in files), *target.seeds()]
    chosen = {hashlib.sha256(data).hexdigest()[:16]: data for data in kept(target, inputs)}
    for file in corpus.iterdir():
        if file.name not in chosen:
            file.unlink()
    for file_name, data in chosen.items():
        (corpus / file_name).write_bytes(data)
    sys.stdout.write(f"{name}: {len(chosen)} of {len(inputs)} inputs kept, {sum(map(len, chosen.values()))} octets\n")


if __name__ == "__main__":
    main()
