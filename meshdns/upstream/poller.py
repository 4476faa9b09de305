"""Poller for many sockets: one more epoll for all of them, if the system has epoll.

Towards upstreams there are hundreds of sockets, each open for a few queries. The loop would make a handle for each that
is readable; with the poller it makes one for all of them, which costs half.
"""

import select
from asyncio import AbstractEventLoop
from collections.abc import Callable
from typing import Final, Protocol

_MAX_EVENTS: Final = 64  # sockets read in one turn of the loop; the others wait for the next


class SocketPoller(Protocol):
    """Calls the callback of each socket that is readable, on the loop's thread."""

    def add(self, fd: int, on_readable: Callable[[], None]) -> None:
        """Call `on_readable` for each datagram or error until `remove`; OSError if the socket cannot be added."""

    def remove(self, fd: int) -> None:
        """Remove a socket; to be called before it is closed."""

    def close(self) -> None:
        """Close the poller."""


def create_poller(loop: AbstractEventLoop) -> SocketPoller:
    """Return the best poller for this machine."""
    return EpollPoller(loop) if hasattr(select, "epoll") else LoopPoller(loop)


class LoopPoller:
    """The portable poller: the loop itself."""

    def __init__(self, loop: AbstractEventLoop) -> None:
        self._loop = loop

    def add(self, fd: int, on_readable: Callable[[], None]) -> None:
        """See `SocketPoller`."""
        self._loop.add_reader(fd, on_readable)

    def remove(self, fd: int) -> None:
        """See `SocketPoller`."""
        self._loop.remove_reader(fd)

    def close(self) -> None:
        """See `SocketPoller`."""


class EpollPoller:
    """An epoll of its own, open while there are sockets."""

    def __init__(self, loop: AbstractEventLoop) -> None:
        self._loop = loop
        self._epoll: select.epoll | None = None
        self._callbacks: dict[int, Callable[[], None]] = {}

    def add(self, fd: int, on_readable: Callable[[], None]) -> None:
        """See `SocketPoller`."""
        if self._epoll is None:
            self._epoll = select.epoll()
            self._loop.add_reader(self._epoll.fileno(), self._poll)
        self._epoll.register(fd, select.EPOLLIN)
        self._callbacks[fd] = on_readable

    def remove(self, fd: int) -> None:
        """See `SocketPoller`."""
        if self._callbacks.pop(fd, None) is not None and self._epoll is not None:
            self._epoll.unregister(fd)

    def close(self) -> None:
        """See `SocketPoller`."""
        if self._epoll is not None:
            self._loop.remove_reader(self._epoll.fileno())
            self._epoll.close()
            self._epoll = None
            self._callbacks.clear()

    def _poll(self) -> None:
        if self._epoll is None:
            return
        for fd, _ in self._epoll.poll(0, _MAX_EVENTS):
            readable = self._callbacks.get(fd)  # the callback of another one may have closed it
            if readable is not None:
                readable()
