"""Limits of the connections to a listener: which are admitted, and which give way when it is full.

Rules:
- A connection is idle until its request is complete. When the listener is full, or one client has all the connections
  that one client may have, the oldest idle connection gives way to a new one; if none is idle, the new one ends.
- So connections that send nothing, or never end their request, cannot keep a client out whose request comes at once.
  `BACKLOG` is at most half of each limit: at least one round of the event loop lies between the moment in which a
  connection is accepted and the one in which it may have to give way, and in that its request is read.
- No I/O and no clock here.
"""

from collections import Counter
from ipaddress import IPv6Address, ip_address
from typing import Final, Generic, NamedTuple, TypeVar

MAX_CONNECTIONS: Final = 64
MAX_PER_CLIENT: Final = 32
"""Not fewer: behind address translation, and on loopback, many clients share one address with the kubelet."""
BACKLOG: Final = 16
"""The most connections that are accepted in one round of the event loop, which takes it for the length of the queue."""
ACCEPT_QUEUE: Final = 128
"""Connections that the kernel keeps until they are accepted. With a full queue a client waits a second, or fails."""

C = TypeVar("C")


class ConnectionLimits(NamedTuple):
    """The most connections at once: all, and of one client."""

    total: int = MAX_CONNECTIONS
    per_client: int = MAX_PER_CLIENT


class ConnectionTable(Generic[C]):
    """The open connections of a listener, oldest first, with their clients."""

    def __init__(self, limits: ConnectionLimits) -> None:
        self._limits = limits
        self._clients: dict[C, str] = {}
        self._idle: dict[C, None] = {}
        self._counts: Counter[str] = Counter()

    def __len__(self) -> int:
        """How many connections are open."""
        return len(self._clients)

    def add(self, connection: C, client: str) -> C | None:
        """Add an idle connection. Return the one that has to end for it, which may be itself, or None."""
        self._clients[connection] = client
        self._idle[connection] = None
        self._counts[client] += 1
        if self._counts[client] > self._limits.per_client:
            victim = next(each for each in self._idle if self._clients[each] == client)
        elif len(self._clients) > self._limits.total:
            victim = next(iter(self._idle))
        else:
            return None
        self.remove(victim)
        return victim

    def set_idle(self, connection: C, *, idle: bool) -> None:
        """Note that a request of the connection is complete, or that it waits for another one."""
        if connection not in self._clients:
            return
        if idle:
            self._idle[connection] = None
        else:
            self._idle.pop(connection, None)

    def remove(self, connection: C) -> None:
        """Forget a connection that has ended; nothing happens if it is not known."""
        client = self._clients.pop(connection, None)
        if client is None:
            return
        self._idle.pop(connection, None)
        self._counts[client] -= 1
        if not self._counts[client]:
            del self._counts[client]


def client_key(address: str) -> str:
    """Return what connections of one client have in common: an IPv4 address, the /64 of an IPv6 one, else the text."""
    try:
        parsed = ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if not isinstance(parsed, IPv6Address):
        return address
    mapped = parsed.ipv4_mapped
    return str(mapped) if mapped is not None else parsed.packed[:8].hex()
