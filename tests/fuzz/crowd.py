"""Clients that only hold connections: ``python -m tests.fuzz.crowd PORT IDLE WRITERS``, in a process of its own.

It opens IDLE connections that say nothing and WRITERS that send an octet a second and never a whole query, from many
addresses of the loopback network, prints a line, holds them until a line comes in, and prints as JSON how many of each
the server had ended by then.
"""

import errno
import json
import resource
import select
import socket
import sys
from typing import Final

from meshdns.worker.tcp_server import MAX_PER_CLIENT

_SPARE: Final = 100  # descriptors for all else
_OCTETS: Final = b"\x02\x00" + bytes(510)  # the beginning of a message


def main() -> None:
    """Open, hold, tell."""
    port, idle, writers = map(int, sys.argv[1:])
    wanted = idle + writers + _SPARE
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (wanted if hard < 0 else min(wanted, hard), hard))
    connections = [_connect(port, number) for number in range(idle + writers)]
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    ended = _dribble(connections[idle:])
    gone = sum(map(_has_ended, connections[:idle]))
    sys.stdout.write(json.dumps({"idle": gone, "writers": ended}) + "\n")


def _connect(port: int, number: int) -> socket.socket:
    client = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    client.bind((f"127.1.{1 + number // (MAX_PER_CLIENT // 2)}.1", 0))
    client.connect(("127.0.0.1", port))
    return client


def _dribble(writers: list[socket.socket]) -> int:
    """Send an octet a second on each until a line comes in; how many the server has ended."""
    ended: set[socket.socket] = set()
    for octet in _OCTETS:
        for writer in writers:
            try:
                writer.send(bytes([octet]))
            except OSError:
                ended.add(writer)
        if select.select([sys.stdin], [], [], 1.0)[0]:
            break
    return len(ended)


def _has_ended(client: socket.socket) -> bool:
    try:
        return client.recv(1, socket.MSG_DONTWAIT) == b""
    except OSError as error:
        return error.errno != errno.EAGAIN


if __name__ == "__main__":
    main()
