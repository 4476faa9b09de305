"""Connected UDP sockets towards one upstream, and which reply on them is awaited by whom.

Rules:
- A reply is taken only on the socket its query left by: connected, so that the kernel has checked address and port
  (RFC 5452 9.1), and by an id unique among those awaited there.
- Up to `POOL` sockets are open at a time; below that every query gets a new one, then one is picked at random. After
  `USES` queries a socket is retired: it sends no more and is closed once nothing is awaited on it. A fresh socket per
  query would cost 12 µs instead of 4.7 and be no harder to guess than one of so many, each so short-lived.
- ICMP errors are hints, never the end of a wait. Path MTU claims of others are ignored (RFC 9715 3.1).
"""

import contextlib
import socket
import sys
from functools import partial
from typing import Final, Protocol

from meshdns.forwarding.addresses import Address
from meshdns.forwarding.policy import Attempt
from meshdns.upstream.entropy import Entropy
from meshdns.upstream.readiness import Readiness

POOL: Final = 256
USES: Final = 16
MAX_DATAGRAM: Final = 4096  # octets; we announce 1232, and what is cut here is refused as malformed
_BATCH: Final = 32  # datagrams per wake-up and socket: more would starve everybody else
_RECEIVE_BUFFER: Final = 1 << 18  # octets; one socket carries few queries at a time
_PMTUDISC_OMIT: Final = 5  # Linux: IP_PMTUDISC_OMIT and IPV6_PMTUDISC_OMIT
_MTU_DISCOVER: Final = {socket.AF_INET: (socket.IPPROTO_IP, 10), socket.AF_INET6: (socket.IPPROTO_IPV6, 23)}


class Listener(Protocol):
    """Who hears what comes on the sockets."""

    def heard(self, attempt: Attempt, ident: int, message: bytes) -> None:
        """A datagram with the id of `attempt` came."""

    def stray(self, attempts: tuple[Attempt, ...]) -> None:
        """A datagram came that has no awaited id; `attempts` are awaited on its socket."""

    def unreachable(self, attempts: tuple[Attempt, ...]) -> None:
        """An ICMP error came on the socket of `attempts`."""


class _Port:
    """One connected socket and the attempts awaited on it by id."""

    __slots__ = ("awaited", "retired", "sock", "uses")

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.awaited: dict[int, Attempt] = {}
        self.uses = 0
        self.retired = False


class Pool:
    """The sockets towards one upstream; see the rules above."""

    def __init__(self, readiness: Readiness, address: Address, entropy: Entropy, listener: Listener) -> None:
        self._readiness = readiness
        self._address = address
        self._entropy = entropy
        self._listener = listener
        self._ports: list[_Port] = []
        self._retired: set[_Port] = set()
        self._places: dict[Attempt, tuple[_Port, int]] = {}
        self._busy = False

    def __len__(self) -> int:
        """How many sockets are open."""
        return len(self._ports) + len(self._retired)

    def send(self, attempt: Attempt) -> None:
        """Send the question of `attempt` and await the reply until `forget`; OSError where it cannot be sent."""
        self._busy = True
        port = self._pick()
        ident = self._entropy.u16()
        while ident in port.awaited:
            ident = self._entropy.u16()
        message = attempt.message(ident)
        try:
            port.sock.send(message)
        except ConnectionRefusedError:  # an ICMP error for an earlier query on this socket, reported now
            port.sock.send(message)
        port.awaited[ident] = attempt
        self._places[attempt] = (port, ident)
        port.uses += 1
        if port.uses >= USES and len(self._retired) < POOL:
            self._retire(port)

    def forget(self, attempt: Attempt) -> None:
        """Await no reply to `attempt` any longer."""
        port, ident = self._places.pop(attempt, (None, 0))
        if port is not None:
            del port.awaited[ident]
            if port.retired and not port.awaited:
                self._retired.discard(port)
                self._shut(port)

    def rest(self) -> None:
        """Close all sockets if none was used since the last call; to be called every few seconds."""
        if not self._busy:
            for port in list(self._ports):
                self._retire(port)
        self._busy = False

    def close(self) -> None:
        """Close all sockets at once."""
        for port in (*self._ports, *self._retired):
            self._shut(port)
        self._ports.clear()
        self._retired.clear()
        self._places.clear()

    # ------------------------------------------------------------------------------------------ sockets

    def _pick(self) -> _Port:
        if len(self._ports) < POOL:
            try:
                return self._open()
            except OSError:
                if not self._ports:
                    raise
        return self._ports[self._entropy.below(len(self._ports))]

    def _open(self) -> _Port:
        family = socket.AF_INET6 if ":" in self._address.host else socket.AF_INET
        sock = socket.socket(family, socket.SOCK_DGRAM)
        try:
            sock.setblocking(False)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE_BUFFER)
            if sys.platform == "linux":
                with contextlib.suppress(OSError):  # kernels before 3.15 know no OMIT
                    sock.setsockopt(*_MTU_DISCOVER[family], _PMTUDISC_OMIT)
            sock.connect((self._address.host, self._address.port))
            port = _Port(sock)
            self._readiness.add(sock.fileno(), partial(self._readable, port))
        except OSError:
            sock.close()
            raise
        self._ports.append(port)
        return port

    def _retire(self, port: _Port) -> None:
        self._ports.remove(port)
        port.retired = True
        if port.awaited:
            self._retired.add(port)
        else:
            self._shut(port)

    def _shut(self, port: _Port) -> None:
        self._readiness.remove(port.sock.fileno())
        port.sock.close()

    def _readable(self, port: _Port) -> None:
        for _ in range(_BATCH):
            try:
                message = port.sock.recv(MAX_DATAGRAM)
            except BlockingIOError:
                return
            except OSError:
                if port.sock.fileno() >= 0:
                    self._listener.unreachable(tuple(port.awaited.values()))
                return
            ident = message[0] << 8 | message[1] if len(message) > 1 else -1
            attempt = port.awaited.get(ident)
            if attempt is None:
                self._listener.stray(tuple(port.awaited.values()))
            else:
                self._listener.heard(attempt, ident, message)
                if not port.awaited:
                    return  # most often there is no more; what else came brings the next wake-up
