"""A process whose file descriptors are used up."""

import os
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def _highest() -> int:
    return max(int(entry.name) for entry in Path("/proc/self/fd").iterdir())


@contextmanager
def no_descriptors() -> Iterator[None]:
    """Let no file or socket be opened inside; those that are open stay."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    taken: list[int] = []
    resource.setrlimit(resource.RLIMIT_NOFILE, (_highest() + 1, hard))
    try:
        while True:
            try:
                taken.append(os.dup(0))
            except OSError:
                break
        yield
    finally:
        for descriptor in taken:
            os.close(descriptor)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
