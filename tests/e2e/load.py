"""A paced load of DNS queries over UDP that notices every answer that is missing, wrong or slow.

It runs in a thread of its own, spreads its queries over many sockets (many clients), and ends by itself.
"""

import contextlib
import math
import secrets
import select
import socket
import struct
import threading
import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Self

PATIENCE = 5.0  # seconds after which a query counts as lost, whether or not an answer comes later
BOUTIQUE = {
    "frontend.default.global": ["203.0.113.20"],
    "adservice.default.global": ["10.20.0.31"],
    "cartservice.default.global": ["203.0.113.20"],
    "www.example.com": ["192.0.2.80"],
    "shippingservice.default.global": ["10.20.0.36"],
    "*.away.example": ["192.0.2.81"],
}
"""Known and forwarded names of an instance on Online Boutique; a sixth of the queries must reach the resolver."""

_TICK = 0.005  # seconds between bursts
_CATCH_UP = 100  # queries sent at once at most, after this process stood still
_HEADER = struct.Struct(">HHHHHH")
_TYPE_A = b"\0\x01\0\x01"
_SERVFAIL = 2


@dataclass(frozen=True)
class Outcome:
    """What became of the queries. `longest` and `late` (seconds, and count of answers over a second) tell of waits.

    Answers that are not the wanted ones are `wrong`; those of them that claim nothing (SERVFAIL) are `failed`, too.
    """

    sent: int
    answered: int
    lost: int
    wrong: int
    failed: int
    longest: float
    late: int
    examples: tuple[str, ...]

    @property
    def clean(self) -> bool:
        """Whether every query got its right answer; a load that asked nothing proves nothing."""
        return self.sent > 0 and self.answered == self.sent and not self.wrong


@dataclass
class _Asked:
    name: str
    expected: frozenset[str]
    at: float
    sent_at: float


class Load:
    """Asks for A records of `names`, in turn, at `rate` queries a second, until `end` or for `limit` seconds.

    `names` maps a name to the addresses its answer must hold, in any order; ``*.`` stands for a new label each time. A
    query without an answer is sent again every `resend_after` seconds, as stub resolvers do.
    """

    def __init__(
        self,
        server: tuple[str, int],
        names: Mapping[str, Collection[str]],
        *,
        rate: int = 2000,
        clients: int = 64,
        limit: float = 60.0,
        resend_after: float = math.inf,
    ) -> None:
        self._names = [(name, frozenset(addresses)) for name, addresses in names.items()]
        self._rate = rate
        self._limit = limit
        self._resend_after = resend_after
        self._stop = threading.Event()
        self._sockets = [_client(server) for _ in range(clients)]
        self._by_fd = {sock.fileno(): sock for sock in self._sockets}
        self._waiting: dict[tuple[int, int], _Asked] = {}
        self._sent = self._answered = self._wrong = self._failed = self._late = 0
        self._overdue: list[str] = []  # what was answered after `PATIENCE`
        self._longest = 0.0
        self._examples: list[str] = []
        self._thread = threading.Thread(target=self._run, name="load", daemon=True)

    @property
    def sent(self) -> int:
        """Queries sent so far."""
        return self._sent

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, at: TracebackType | None) -> None:
        self.end()

    def end(self) -> Outcome:
        """Send no more, wait for what is still to come, and tell."""
        self._stop.set()
        self._thread.join(self._limit + 2 * PATIENCE)
        lost = [*self._overdue, *(asked.name for asked in self._waiting.values())]
        examples = (*self._examples, *(f"{name}: no answer" for name in lost[:5]))
        return Outcome(
            self._sent, self._answered, len(lost), self._wrong, self._failed, self._longest, self._late, examples
        )

    def _run(self) -> None:
        began = time.monotonic()
        poll = select.epoll() if hasattr(select, "epoll") else select.poll()
        for fd in self._by_fd:
            poll.register(fd, select.POLLIN)
        while not self._stop.is_set() and (now := time.monotonic()) < began + self._limit:
            due = int((now - began) * self._rate) - self._sent
            for _ in range(min(due, _CATCH_UP)):
                self._ask()
            self._receive(poll, _TICK)
            self._resend()
        ended = time.monotonic() + PATIENCE
        while self._waiting and time.monotonic() < ended:
            self._receive(poll, _TICK)
            self._resend()
        for sock in self._sockets:
            sock.close()

    def _ask(self) -> None:
        name, expected = self._names[self._sent % len(self._names)]
        sock = self._sockets[secrets.randbelow(len(self._sockets))]
        asked = name.replace("*", secrets.token_hex(6), 1)
        ident = secrets.randbelow(1 << 16)
        while (sock.fileno(), ident) in self._waiting:
            ident = secrets.randbelow(1 << 16)
        self._waiting[sock.fileno(), ident] = _Asked(asked, expected, time.monotonic(), time.monotonic())
        self._sent += 1
        try:
            sock.send(message(asked, ident))
        except OSError:
            return  # nobody listens: it will be counted as lost

    def _resend(self) -> None:
        """Send again what has waited for long; what has waited for `PATIENCE` seconds is lost."""
        now = time.monotonic()
        for (fd, ident), asked in self._waiting.items():
            if now - asked.at < PATIENCE and now - asked.sent_at > self._resend_after:
                asked.sent_at = now
                with contextlib.suppress(OSError):
                    self._by_fd[fd].send(message(asked.name, ident))

    def _receive(self, poll: "select.epoll | select.poll", seconds: float) -> None:
        ready = poll.poll(seconds if isinstance(poll, select.epoll) else seconds * 1000)
        for fd, _ in ready:
            while True:
                try:
                    reply = self._by_fd[fd].recv(2048)
                except OSError:
                    break
                self._take(fd, reply)

    def _take(self, fd: int, reply: bytes) -> None:
        asked = self._waiting.pop((fd, int.from_bytes(reply[:2], "big")), None)
        if asked is None:
            return
        waited = time.monotonic() - asked.at
        self._longest = max(self._longest, waited)
        if waited > PATIENCE:
            self._overdue.append(asked.name)
            return
        self._answered += 1
        self._late += waited > 1
        rcode, addresses = read(reply)
        if rcode or frozenset(addresses) != asked.expected:
            self._wrong += 1
            self._failed += rcode == _SERVFAIL
            if len(self._examples) < 5:
                self._examples.append(f"{asked.name}: rcode {rcode}, {addresses}, wanted {sorted(asked.expected)}")


def message(name: str, ident: int, *, edns: bool = True, qtype: bytes = _TYPE_A) -> bytes:
    """A query with RD, and OPT of 1232 octets where `edns`."""
    labels = b"".join(bytes([len(label)]) + label.encode() for label in name.split(".")) + b"\0"
    opt = b"\0\0\x29\x04\xd0\0\0\0\0\0\0" if edns else b""
    return _HEADER.pack(ident, 0x0100, 1, 0, 0, int(edns)) + labels + qtype + opt


def read(reply: bytes) -> tuple[int, list[str]]:
    """The rcode of a reply and the IPv4 addresses of its answer section, in order."""
    _, flags, questions, answers, _, _ = _HEADER.unpack_from(reply)
    at = _HEADER.size
    for _ in range(questions):
        at = _skip(reply, at) + 4
    found = []
    for _ in range(answers):
        at = _skip(reply, at)
        size = int.from_bytes(reply[at + 8 : at + 10], "big")
        if reply[at : at + 4] == _TYPE_A:
            found.append(socket.inet_ntoa(reply[at + 10 : at + 14]))
        at += 10 + size
    return flags & 15, found


def _skip(reply: bytes, at: int) -> int:
    """The offset behind a name."""
    while reply[at]:
        if reply[at] & 0xC0:
            return at + 2
        at += reply[at] + 1
    return at + 1


def _client(server: tuple[str, int]) -> socket.socket:
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.connect(server)
    sock.setblocking(False)
    return sock
