"""The sockets that queries come to, bound once by the supervisor and inherited by every worker.

UDP: one shared socket per address, so that a worker that dies strands nothing; TCP: one shared listener. Another
program on the port is found out by binding without SO_REUSEPORT, which would share it silently.
"""

import errno
import ipaddress
import logging
import socket
import sys
import time
from collections.abc import Iterable, Sequence
from typing import Final

from meshdns.supervisor.holders import holder

RECEIVE_BUFFER: Final = 4 << 20
"""Octets asked for; the default holds some 256 queries, less than a burst while a worker restarts."""

_BACKLOG: Final = 1024
_SO_RCVBUFFORCE: Final = 33 if sys.platform == "linux" else socket.SO_RCVBUF  # asm-generic/socket.h; CAP_NET_ADMIN
_PREDECESSOR: Final = 1.0
"""Seconds for which a port in use is tried again: the children of a supervisor that was killed die a moment later."""

_AGAIN: Final = 0.02
_log = logging.getLogger("meshdns.supervisor")


class BindError(Exception):
    """An address cannot be listened on; the message says why and what to do. `in_use`: somebody else does."""

    def __init__(self, message: str, *, in_use: bool = False) -> None:
        super().__init__(message)
        self.in_use = in_use


class Sockets:
    """The bound sockets of all listen addresses, and one private UDP socket for each worker."""

    def __init__(self, udp: list[socket.socket], tcp: list[socket.socket], private: list[socket.socket]) -> None:
        self.udp = udp
        self.tcp = tcp
        self.private = private

    @classmethod
    def bind(
        cls, addresses: Sequence[tuple[str, int]], *, workers: int, handed: Sequence[socket.socket] = ()
    ) -> "Sockets":
        """Bind all that are not `handed` over bound by a service manager; raises `BindError` with none left open."""
        sockets = cls([], [], [])
        held = {_key(sock): sock for sock in handed}
        try:
            for host, port in addresses:
                for kind, into in ((socket.SOCK_DGRAM, sockets.udp), (socket.SOCK_STREAM, sockets.tcp)):
                    known = held.pop((kind, ipaddress.ip_address(host), port), None)
                    into.append(known or _bind_patiently(host, port, kind))
            _refuse(held.values())
            sockets.private += [_bind("127.0.0.1", 0, socket.SOCK_DGRAM) for _ in range(workers)]
        except BindError:
            for sock in held.values():
                sock.close()
            sockets.close()
            raise
        return sockets

    @classmethod
    def adopt(cls, udp: Sequence[int], tcp: Sequence[int], *, workers: int) -> "Sockets":
        """Take over descriptors of sockets that are bound already."""
        private = [_bind("127.0.0.1", 0, socket.SOCK_DGRAM) for _ in range(workers)]
        return cls([socket.socket(fileno=fd) for fd in udp], [socket.socket(fileno=fd) for fd in tcp], private)

    def private_port(self, worker: int) -> int:
        """Where worker `worker` alone can be asked."""
        return int(self.private[worker].getsockname()[1])

    def close(self) -> None:
        """Close them all."""
        for sock in (*self.udp, *self.tcp, *self.private):
            sock.close()


def _key(sock: socket.socket) -> tuple[int, object, int]:
    """Kind, address and port of a bound socket; of one that has no such address what is in no settings."""
    if sock.family not in (socket.AF_INET, socket.AF_INET6):
        return sock.type, sock.getsockname(), -1
    host, port, *_ = sock.getsockname()
    return sock.type, ipaddress.ip_address(host), port


def _refuse(surplus: Iterable[socket.socket]) -> None:
    """Raise `BindError` for a socket that was handed over and is not listened on: its queries would get no answer."""
    for sock in surplus:
        where = _where(*_key(sock))
        raise BindError(f"{where}: the service manager holds a socket there, and listen does not name it; add it there")


def _bind_patiently(host: str, port: int, kind: socket.SocketKind) -> socket.socket:
    ended = time.monotonic() + _PREDECESSOR
    while True:
        try:
            return _bind(host, port, kind)
        except BindError as error:
            if not error.in_use or time.monotonic() > ended:
                raise
        time.sleep(_AGAIN)


def _bind(host: str, port: int, kind: socket.SocketKind) -> socket.socket:
    address = ipaddress.ip_address(host)
    sock = socket.socket(socket.AF_INET6 if address.version == 6 else socket.AF_INET, kind)
    try:
        if address.version == 6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        if kind is socket.SOCK_STREAM:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # over connections in TIME_WAIT, not listeners
        else:
            _ask_for_buffer(sock, host, port)
        sock.bind((host, port))
        if kind is socket.SOCK_STREAM:
            sock.listen(_BACKLOG)
    except OSError as error:
        sock.close()
        raise BindError(_explain(host, port, kind, error), in_use=error.errno == errno.EADDRINUSE) from None
    sock.setblocking(False)
    return sock


def _ask_for_buffer(sock: socket.socket, host: str, port: int) -> None:
    try:
        sock.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, RECEIVE_BUFFER)  # beyond the limit, where that is granted
    except OSError:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER)
    got = sock.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF)
    if got < RECEIVE_BUFFER:
        _log.info(
            "receive buffer of %s:%d is %d KiB; raise net.core.rmem_max to %d for more",
            host,
            port,
            got >> 10,
            RECEIVE_BUFFER,
        )


def _where(kind: int, host: object, port: int) -> str:
    return f"{'udp' if kind == socket.SOCK_DGRAM else 'tcp'} {host} port {port}"


def _explain(host: str, port: int, kind: socket.SocketKind, error: OSError) -> str:
    where = _where(kind, host, port)
    if error.errno == errno.EADDRINUSE:
        who = holder(port, kind) or "another program"
        return f"{where}: {who} listens there; end it, or choose another address with --listen"
    if error.errno == errno.EACCES:
        return f"{where}: not permitted; choose a port above 1023 with --listen, or grant CAP_NET_BIND_SERVICE"
    if error.errno == errno.EADDRNOTAVAIL:
        return f"{where}: this machine has no such address; choose one it has with --listen"
    return f"{where}: {error.strerror}; choose another address with --listen"
