"""Connected UDP sockets towards one upstream, with the attempts that are awaited on each.

Rules:
- A reply is taken only on the socket its query left by: connected, so that the kernel has checked address and port
  (RFC 5452 9.1), and by an id unique among those awaited there.
- Up to `MAX_SOCKETS` sockets are open at a time; below that every query gets a new one, then one is picked at random.
  After `MAX_USES` queries, or `MAX_AGE` seconds after it was opened, a socket is retired: it sends no more and is
  closed once nothing is awaited on it. So below `MAX_SOCKETS` / `MAX_AGE` queries a second nearly every query has a
  port of its own, and at any rate a port that an attacker has found is of use for `MAX_AGE` at most. A fresh socket
  per query would cost 12 µs instead of 4.7 and be no harder to guess than one of so many, each so short-lived.
- Retired sockets are bounded: over `MAX_RETIRED` the oldest is closed, and the replies to its queries are lost. All
  questions that may wait for a silent upstream have less of them.
- ICMP errors are hints, never the end of a wait. Path MTU claims of others are ignored (RFC 9715 3.1).
"""

import contextlib
import socket
import sys
from functools import partial
from typing import Final, Protocol

from meshdns.forwarding.policy import Attempt
from meshdns.forwarding.upstreams import Address
from meshdns.upstream.entropy import Entropy
from meshdns.upstream.poller import SocketPoller

MAX_SOCKETS: Final = 256
MAX_USES: Final = 16
MAX_AGE: Final = 2.0  # seconds that a socket sends
MAX_RETIRED: Final = 768  # sockets that only receive
MAX_DATAGRAM: Final = 4096  # bytes; we announce 1232, and a longer datagram is cut and refused as malformed
_BATCH: Final = 32  # datagrams per wake-up and socket: more would starve all others
_RECEIVE_BUFFER: Final = 1 << 18  # bytes; one socket carries few queries at a time
_PMTUDISC_OMIT: Final = 5  # Linux: IP_PMTUDISC_OMIT and IPV6_PMTUDISC_OMIT
_MTU_DISCOVER: Final = {socket.AF_INET: (socket.IPPROTO_IP, 10), socket.AF_INET6: (socket.IPPROTO_IPV6, 23)}


class SocketListener(Protocol):
    """Callbacks for datagrams and errors on the sockets."""

    def on_reply(self, attempt: Attempt, ident: int, message: bytes) -> None:
        """Handle a datagram with the id of `attempt`."""

    def on_unexpected(self, attempts: tuple[Attempt, ...]) -> None:
        """Handle a datagram without an awaited id; `attempts` are awaited on its socket."""

    def on_icmp_error(self, attempts: tuple[Attempt, ...]) -> None:
        """Handle an ICMP error on the socket of `attempts`."""


class _Socket:
    """One connected socket and the attempts awaited on it by id."""

    __slots__ = ("awaited", "opened_at", "sock", "uses")

    def __init__(self, sock: socket.socket, now: float) -> None:
        self.sock = sock
        self.opened_at = now
        self.awaited: dict[int, Attempt] = {}
        self.uses = 0


class UdpPool:
    """The sockets towards one upstream; see the rules above."""

    def __init__(self, poller: SocketPoller, address: Address, entropy: Entropy, listener: SocketListener) -> None:
        self._poller = poller
        self._address = address
        self._entropy = entropy
        self._listener = listener
        self._sockets: list[_Socket] = []  # those that send, the oldest first
        self._retired: dict[_Socket, None] = {}  # the oldest first
        self._awaited: dict[Attempt, tuple[_Socket, int]] = {}
        self._is_used = False

    def __len__(self) -> int:
        """How many sockets are open."""
        return len(self._sockets) + len(self._retired)

    def send(self, attempt: Attempt) -> None:
        """Send the question of `attempt` and await the reply until `cancel`; OSError if it cannot be sent.

        The time is that at which `attempt` is sent.
        """
        self._is_used = True
        sock = self._pick(attempt.sent_at)
        ident = self._entropy.u16()
        while ident in sock.awaited:
            ident = self._entropy.u16()
        message = attempt.message(ident)
        try:
            sock.sock.send(message)
        except ConnectionRefusedError:  # an ICMP error for an earlier query on this socket, reported now
            sock.sock.send(message)
        sock.awaited[ident] = attempt
        self._awaited[attempt] = (sock, ident)
        sock.uses += 1
        if sock.uses >= MAX_USES:
            self._retire(sock)

    def cancel(self, attempt: Attempt) -> None:
        """Await no reply to `attempt` any longer."""
        sock, ident = self._awaited.pop(attempt, (None, 0))
        if sock is not None:
            del sock.awaited[ident]
            if sock in self._retired and not sock.awaited:
                del self._retired[sock]
                self._close_socket(sock)

    def close_idle(self) -> None:
        """Close all sockets if none was used since the last call; to be called every few seconds."""
        if not self._is_used:
            for sock in list(self._sockets):
                self._retire(sock)
        self._is_used = False

    def close(self) -> None:
        """Close all sockets at once."""
        for sock in (*self._sockets, *self._retired):
            self._close_socket(sock)
        self._sockets.clear()
        self._retired.clear()
        self._awaited.clear()

    # ------------------------------------------------------------------------------------------ sockets

    def _pick(self, now: float) -> _Socket:
        while self._sockets and now - self._sockets[0].opened_at > MAX_AGE:
            self._retire(self._sockets[0])
        if len(self._sockets) < MAX_SOCKETS:
            try:
                return self._open(now)
            except OSError:
                if not self._sockets:
                    raise
        return self._sockets[self._entropy.randbelow(len(self._sockets))]

    def _open(self, now: float) -> _Socket:
        family = socket.AF_INET6 if ":" in self._address.host else socket.AF_INET
        sock = socket.socket(family, socket.SOCK_DGRAM)
        try:
            sock.setblocking(False)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE_BUFFER)
            if sys.platform == "linux":
                with contextlib.suppress(OSError):  # kernels before 3.15 know no OMIT
                    sock.setsockopt(*_MTU_DISCOVER[family], _PMTUDISC_OMIT)
            sock.connect((self._address.host, self._address.port))
            opened = _Socket(sock, now)
            self._poller.add(sock.fileno(), partial(self._on_readable, opened))
        except OSError:
            sock.close()
            raise
        self._sockets.append(opened)
        return opened

    def _retire(self, sock: _Socket) -> None:
        self._sockets.remove(sock)
        if not sock.awaited:
            self._close_socket(sock)
            return
        self._retired[sock] = None
        if len(self._retired) > MAX_RETIRED:
            oldest = next(iter(self._retired))
            del self._retired[oldest]
            self._close_socket(oldest)

    def _close_socket(self, sock: _Socket) -> None:
        self._poller.remove(sock.sock.fileno())
        sock.sock.close()

    def _on_readable(self, sock: _Socket) -> None:
        for _ in range(_BATCH):
            try:
                message = sock.sock.recv(MAX_DATAGRAM)
            except BlockingIOError:
                return
            except OSError:
                if sock.sock.fileno() >= 0:
                    self._listener.on_icmp_error(tuple(sock.awaited.values()))
                return
            ident = message[0] << 8 | message[1] if len(message) > 1 else -1
            attempt = sock.awaited.get(ident)
            if attempt is None:
                self._listener.on_unexpected(tuple(sock.awaited.values()))
            else:
                self._listener.on_reply(attempt, ident, message)
                if not sock.awaited:
                    return  # most often there is no more; else the next wake-up follows
