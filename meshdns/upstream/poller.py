"""Which of many sockets have something to read: one more epoll for all of them, where there is one.

Towards upstreams there are hundreds of sockets, each open for a few queries. The loop would make a handle for each that
is readable; here it hears once that some are, which costs half.
"""

import select
from asyncio import AbstractEventLoop
from collections.abc import Callable
from typing import Final, Protocol

_MAX_EVENTS: Final = 64  # sockets looked at before it is somebody else's turn; the others wait for the next


class SocketPoller(Protocol):
    """Calls back, on the loop's thread, for each socket that has something to read."""

    def add(self, fd: int, on_readable: Callable[[], None]) -> None:
        """Call `on_readable` whenever there is something, or an error, until `remove`; OSError where that cannot be."""

    def remove(self, fd: int) -> None:
        """Call no more; to be called before the socket is closed."""

    def close(self) -> None:
        """Give back what it takes."""


def create_poller(loop: AbstractEventLoop) -> SocketPoller:
    """The best one for this machine."""
    return EpollPoller(loop) if hasattr(select, "epoll") else LoopPoller(loop)


class LoopPoller:
    """The loop itself: the portable one."""

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
            readable = self._callbacks.get(fd)  # what another one did may have closed it
            if readable is not None:
                readable()
