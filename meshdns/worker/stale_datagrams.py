"""How long datagrams have waited: what came while the process stood still is dropped, what came after is not.

The kernel notes when each datagram came, without a control message for each, once it was asked for the time of the
last one (Linux, SIOCGSTAMPNS; some 30 ns a message). Where it cannot tell, all that waits counts as too old.
"""

import fcntl
import math
import socket
import struct
from typing import Final

_SIOCGSTAMPNS: Final = 0x8907  # linux/sockios.h: seconds and nanoseconds since 1970 of the last datagram read
_MAX_DATAGRAMS: Final = 1 << 16  # more than a receive buffer holds
_timespec = struct.Struct("@qq")


def enable_receive_timestamps(sock: socket.socket) -> None:
    """Have the kernel note from now on when a datagram comes; does nothing where it cannot."""
    _received_at(sock)


def drop_stale(sock: socket.socket, *, older_than: float, now: float) -> int:
    """Drop what has waited for longer than `older_than` seconds at `now`, in seconds since 1970; how many that were.

    It ends at the first one that is fresh, which stays.
    """
    for dropped in range(_MAX_DATAGRAMS):
        try:
            sock.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT)
            if now - _received_at(sock) <= older_than:
                return dropped
            sock.recv(1, socket.MSG_DONTWAIT)
        except OSError:
            return dropped
    return _MAX_DATAGRAMS


def _received_at(sock: socket.socket) -> float:
    """When the datagram came that was read or looked at last; long ago where the kernel cannot tell."""
    place = bytearray(_timespec.size)
    try:
        fcntl.ioctl(sock, _SIOCGSTAMPNS, place)
    except OSError:
        return -math.inf
    seconds: int
    nanoseconds: int
    seconds, nanoseconds = _timespec.unpack(place)
    return seconds + nanoseconds / 1e9
