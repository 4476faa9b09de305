"""Ports of 127.0.0.1 for programs that are told where to listen.

Where several workers run the tests, each has a slice of its own, and so have the programs that it starts: no port is
taken by another worker between the choice and the start of the program.
"""

import os
import secrets
import socket

LOOPBACK = "127.0.0.1"

# Below the ranges from which Linux (32768) and macOS (49152) take the source ports of outgoing connections, so that
# none of these takes the port between the choice and the program's start, or while a program is stopped for a moment.
_LOWEST, _HIGHEST = 15_000, 32_000
_ATTEMPTS = 200

_given: set[int] = set()  # by this process: a program takes several, and listens on none of them yet


def free_port() -> int:
    """A port that is free for both UDP and TCP, chosen at random; raises `OSError` if none is found."""
    ports = _slice(os.environ.get("PYTEST_XDIST_WORKER", "gw0"), os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    for _ in range(_ATTEMPTS):
        port = secrets.choice(ports)
        if len(_given) > len(ports) // 2:
            _given.clear()
        if port not in _given and _free(port, socket.SOCK_DGRAM) and _free(port, socket.SOCK_STREAM):
            _given.add(port)
            return port
    raise OSError(f"no free port among {_ATTEMPTS} of {LOOPBACK}: end servers that were left behind")


def _slice(worker: str, workers: str) -> range:
    """The ports of the worker of that name, which ends with its number, of so many."""
    width = (_HIGHEST - _LOWEST) // int(workers)
    # A worker that stands in for one that crashed has a higher number.
    start = _LOWEST + int(worker.removeprefix("gw")) % int(workers) * width
    return range(start, start + width)


def _free(port: int, kind: socket.SocketKind) -> bool:
    with socket.socket(socket.AF_INET, kind) as probe:
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
    return True
