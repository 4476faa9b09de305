"""Ports of 127.0.0.1 for programs that are told where to listen."""

import secrets
import socket

LOOPBACK = "127.0.0.1"

# Below the ranges from which Linux (32768) and macOS (49152) take the source ports of outgoing connections, so that
# none of these takes the port between the choice and the program's start, or while a program is stopped for a moment.
_LOWEST, _HIGHEST = 15_000, 32_000
_ATTEMPTS = 200


def free_port() -> int:
    """A port that is free for both UDP and TCP, chosen at random; raises `OSError` if none is found."""
    for _ in range(_ATTEMPTS):
        port = _LOWEST + secrets.randbelow(_HIGHEST - _LOWEST)
        if _free(port, socket.SOCK_DGRAM) and _free(port, socket.SOCK_STREAM):
            return port
    raise OSError(f"no free port among {_ATTEMPTS} of {LOOPBACK}: end servers that were left behind")


def _free(port: int, kind: socket.SocketKind) -> bool:
    with socket.socket(socket.AF_INET, kind) as probe:
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
    return True
