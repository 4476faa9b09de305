"""Sockets that a service manager holds, as systemd does for a socket unit (sd_listen_fds(3)).

Queries wait in them while the program is restarted, and are answered by the next one.
"""

import os
import socket
from collections.abc import MutableMapping
from typing import Final

_FIRST: Final = 3  # SD_LISTEN_FDS_START
_PROCESS, _NUMBER, _NAMES = "LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"


def handed(environ: MutableMapping[str, str]) -> list[socket.socket]:
    """The sockets that were passed to this process, which are taken once; none where they are for another process."""
    process, number, _ = (environ.pop(name, "") for name in (_PROCESS, _NUMBER, _NAMES))
    if process != str(os.getpid()) or not number.isdecimal():
        return []
    taken = [socket.socket(fileno=descriptor) for descriptor in range(_FIRST, _FIRST + int(number))]
    for sock in taken:
        sock.set_inheritable(False)
        sock.setblocking(False)
    return taken
