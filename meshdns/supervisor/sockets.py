"""Listening sockets, bound by the supervisor or passed by a service manager, and inherited by every worker.

Rules:
- UDP: one shared socket per address, so that a worker that crashes strands nothing. TCP: one shared listener.
- Another program on the port is detected by binding without SO_REUSEPORT, which would share the port silently.
- Queries wait in the sockets of a service manager (sd_listen_fds(3), a socket unit of systemd) while the program is
  restarted, and are answered by the next one.
"""

import errno
import ipaddress
import logging
import os
import socket
import sys
import time
from collections.abc import Iterable, Iterator, MutableMapping, Sequence
from pathlib import Path
from typing import Final

RECEIVE_BUFFER: Final = 4 << 20
"""Bytes requested; the default holds some 256 queries, less than a burst while a worker restarts."""

_BACKLOG: Final = 1024
_SO_RCVBUFFORCE: Final = 33 if sys.platform == "linux" else socket.SO_RCVBUF  # asm-generic/socket.h; CAP_NET_ADMIN
_BIND_RETRY_FOR: Final = 1.0
"""Seconds for which a port in use is tried again: the children of a supervisor that was killed exit a moment later."""

_BIND_RETRY_INTERVAL: Final = 0.02
_log = logging.getLogger("meshdns.supervisor")


class BindError(Exception):
    """An address cannot be listened on; the message says why and what to do. `in_use`: another program does."""

    def __init__(self, message: str, *, in_use: bool = False) -> None:
        super().__init__(message)
        self.in_use = in_use


class Sockets:
    """The bound sockets of all listen addresses, and one private UDP socket for the health checks of each worker."""

    def __init__(self, udp: list[socket.socket], tcp: list[socket.socket], private: list[socket.socket]) -> None:
        self.udp = udp
        self.tcp = tcp
        self.private = private

    @classmethod
    def bind(
        cls, addresses: Sequence[tuple[str, int]], *, workers: int, activated: Sequence[socket.socket] = ()
    ) -> "Sockets":
        """Bind each address that no socket of a service manager (`activated`) has; `BindError` leaves none open."""
        sockets = cls([], [], [])
        held = {_socket_key(sock): sock for sock in activated}
        try:
            for host, port in addresses:
                for kind, into in ((socket.SOCK_DGRAM, sockets.udp), (socket.SOCK_STREAM, sockets.tcp)):
                    known = held.pop((kind, ipaddress.ip_address(host), port), None)
                    into.append(known or _bind_with_retry(host, port, kind))
            _reject_unlisted(held.values())
            sockets.private += [_bind("127.0.0.1", 0, socket.SOCK_DGRAM) for _ in range(workers)]
        except BindError:
            for sock in held.values():
                sock.close()
            sockets.close()
            raise
        return sockets

    @classmethod
    def from_descriptors(cls, udp: Sequence[int], tcp: Sequence[int], *, workers: int) -> "Sockets":
        """Take over descriptors of sockets that are bound already."""
        private = [_bind("127.0.0.1", 0, socket.SOCK_DGRAM) for _ in range(workers)]
        return cls([socket.socket(fileno=fd) for fd in udp], [socket.socket(fileno=fd) for fd in tcp], private)

    def private_port(self, worker: int) -> int:
        """Return the port of the private socket of a worker."""
        return int(self.private[worker].getsockname()[1])

    def close(self) -> None:
        """Close them all."""
        for sock in (*self.udp, *self.tcp, *self.private):
            sock.close()


def _socket_key(sock: socket.socket) -> tuple[int, object, int]:
    """Return kind, address and port of a bound socket; for other families a key that equals no listen address."""
    if sock.family not in (socket.AF_INET, socket.AF_INET6):
        return sock.type, sock.getsockname(), -1
    host, port, *_ = sock.getsockname()
    return sock.type, ipaddress.ip_address(host), port


def _reject_unlisted(surplus: Iterable[socket.socket]) -> None:
    """Raise `BindError` for a socket that was handed over and is not listened on: its queries would get no answer."""
    for sock in surplus:
        where = _address_text(*_socket_key(sock))
        raise BindError(f"{where}: the service manager holds a socket there, and listen does not name it; add it there")


def _bind_with_retry(host: str, port: int, kind: socket.SocketKind) -> socket.socket:
    ended = time.monotonic() + _BIND_RETRY_FOR
    while True:
        try:
            return _bind(host, port, kind)
        except BindError as error:
            if not error.in_use or time.monotonic() > ended:
                raise
        time.sleep(_BIND_RETRY_INTERVAL)


def _bind(host: str, port: int, kind: socket.SocketKind) -> socket.socket:
    address = ipaddress.ip_address(host)
    sock = socket.socket(socket.AF_INET6 if address.version == 6 else socket.AF_INET, kind)
    try:
        if address.version == 6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        if kind is socket.SOCK_STREAM:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # over connections in TIME_WAIT, not listeners
        else:
            _set_receive_buffer(sock, host, port)
        sock.bind((host, port))
        if kind is socket.SOCK_STREAM:
            sock.listen(_BACKLOG)
    except OSError as error:
        sock.close()
        raise BindError(_bind_error_text(host, port, kind, error), in_use=error.errno == errno.EADDRINUSE) from None
    sock.setblocking(False)
    return sock


def _set_receive_buffer(sock: socket.socket, host: str, port: int) -> None:
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


def _address_text(kind: int, host: object, port: int) -> str:
    return f"{'udp' if kind == socket.SOCK_DGRAM else 'tcp'} {host} port {port}"


def _bind_error_text(host: str, port: int, kind: socket.SocketKind, error: OSError) -> str:
    where = _address_text(kind, host, port)
    if error.errno == errno.EADDRINUSE:
        who = port_owner(port, kind) or "another program"
        return f"{where}: {who} listens there; end it, or choose another address with --listen"
    if error.errno == errno.EACCES:
        return f"{where}: not permitted; choose a port above 1023 with --listen, or grant CAP_NET_BIND_SERVICE"
    if error.errno == errno.EADDRNOTAVAIL:
        return f"{where}: this machine has no such address; choose one it has with --listen"
    return f"{where}: {error.strerror}; choose another address with --listen"


_FIRST_DESCRIPTOR: Final = 3  # SD_LISTEN_FDS_START
_PROCESS, _NUMBER, _NAMES = "LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"


def activated_sockets(environ: MutableMapping[str, str]) -> list[socket.socket]:
    """Return the sockets that were passed to this process, once; none if they are for another process."""
    process, number, _ = (environ.pop(name, "") for name in (_PROCESS, _NUMBER, _NAMES))
    if process != str(os.getpid()) or not number.isdecimal():
        return []
    taken = [
        socket.socket(fileno=descriptor) for descriptor in range(_FIRST_DESCRIPTOR, _FIRST_DESCRIPTOR + int(number))
    ]
    for sock in taken:
        sock.set_inheritable(False)
        sock.setblocking(False)
    return taken


def port_owner(port: int, kind: socket.SocketKind) -> str:
    """Return ``name (pid)`` of a process with a socket bound to `port`; empty if unknown.

    It is read from the kernel's socket tables and the descriptors of processes, on Linux alone.
    """
    inodes = set(_socket_inodes(port, "udp" if kind is socket.SOCK_DGRAM else "tcp"))
    for process in Path("/proc").glob("[0-9]*") if inodes else ():
        try:
            if any(str(link.readlink()) in inodes for link in (process / "fd").iterdir()):
                return f"{(process / 'comm').read_text().strip()} (pid {process.name})"
        except OSError:
            continue  # it ended, or belongs to another user
    return ""


def _socket_inodes(port: int, protocol: str) -> Iterator[str]:
    """The sockets bound to `port`, as links in a process's descriptors name them."""
    for table in (protocol, protocol + "6"):
        try:
            lines = (Path("/proc/net") / table).read_text("ascii").splitlines()[1:]
        except OSError:
            continue
        for line in lines:
            fields = line.split()
            listening = protocol == "udp" or fields[3] == "0A"
            if listening and int(fields[1].rpartition(":")[2], 16) == port:
                yield f"socket:[{fields[9]}]"
