"""Dropping of datagrams that waited in the socket while the process was stalled; later ones are not dropped.

The kernel records when each datagram was received, without a control message for each, once the time of the last one
was read (Linux, SIOCGSTAMPNS; some 30 ns a message). If it cannot, all waiting datagrams count as too old.
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
    """Make the kernel record when each datagram is received; do nothing if it cannot."""
    _received_at(sock)


def drop_stale(sock: socket.socket, *, older_than: float, now: float) -> int:
    """Drop datagrams older than `older_than` seconds at `now`, in seconds since 1970; return how many.

    It ends at the first one that is younger, which stays.
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
    """Return when the datagram that was read or peeked at last was received; -inf if the kernel cannot tell."""
    place = bytearray(_timespec.size)
    try:
        fcntl.ioctl(sock, _SIOCGSTAMPNS, place)
    except OSError:
        return -math.inf
    seconds: int
    nanoseconds: int
    seconds, nanoseconds = _timespec.unpack(place)
    return seconds + nanoseconds / 1e9
