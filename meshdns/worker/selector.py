"""Selector of the event loop that serves UDP sockets by itself, because a turn of the loop costs several answers.

asyncio asks its selector which files are ready, makes a handle for each and runs them in a turn of the loop. For
sockets that are *served* here the selector calls a callback and goes on waiting; the loop takes a turn only if there is
something for it to do. Linux alone, by a second epoll around that of asyncio.
"""

import select
import selectors
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from _typeshed import FileDescriptorLike

_NO_TIMEOUT: Final = -1.0

ReadyFiles = list[tuple[selectors.SelectorKey, int]]


class ServingSelector(selectors.BaseSelector):
    """`selectors.EpollSelector` that also calls the callbacks of served sockets while it waits."""

    def __init__(self) -> None:
        self._asyncio_selector = selectors.EpollSelector()
        self._outer_epoll = select.epoll()
        self._outer_epoll.register(self._asyncio_selector.fileno(), select.EPOLLIN)
        self._callbacks: dict[int, Callable[[], bool]] = {}

    def serve(self, fd: int, on_readable: Callable[[], bool]) -> None:
        """Call `on_readable` whenever `fd` is readable; it returns whether the loop has something to do now.

        It must not raise: an exception would end the loop.
        """
        self._outer_epoll.register(fd, select.EPOLLIN)
        self._callbacks[fd] = on_readable

    def stop_serving(self, fd: int) -> None:
        """Stop serving a file; to be called before the file is closed."""
        if self._callbacks.pop(fd, None) is not None:
            self._outer_epoll.unregister(fd)

    def select(self, timeout: float | None = None) -> ReadyFiles:
        """Return the ready registered files, within `timeout` seconds; meanwhile serve the served ones."""
        until = None if timeout is None else time.monotonic() + timeout
        wait = _NO_TIMEOUT if timeout is None else max(timeout, 0.0)
        served = self._callbacks
        while True:
            others = wanted = False
            for fd, _ in self._outer_epoll.poll(wait):
                answer = served.get(fd)
                if answer is None:
                    others = True
                elif answer():
                    wanted = True
            if others:
                return self._asyncio_selector.select(0)
            if until is not None:
                wait = until - time.monotonic()
            if wanted or (until is not None and wait <= 0):
                return []

    def close(self) -> None:
        """Close both epolls."""
        self._outer_epoll.close()
        self._asyncio_selector.close()

    # ------------------------------------------------------------------------------------------ as asyncio's own

    def register(self, fileobj: "FileDescriptorLike", events: int, data: object = None) -> selectors.SelectorKey:
        """See `selectors.BaseSelector`."""
        return self._asyncio_selector.register(fileobj, events, data)

    def unregister(self, fileobj: "FileDescriptorLike") -> selectors.SelectorKey:
        """See `selectors.BaseSelector`."""
        return self._asyncio_selector.unregister(fileobj)

    def modify(self, fileobj: "FileDescriptorLike", events: int, data: object = None) -> selectors.SelectorKey:
        """See `selectors.BaseSelector`."""
        return self._asyncio_selector.modify(fileobj, events, data)

    def get_key(self, fileobj: "FileDescriptorLike") -> selectors.SelectorKey:
        """See `selectors.BaseSelector`."""
        return self._asyncio_selector.get_key(fileobj)

    def get_map(self) -> "Mapping[FileDescriptorLike, selectors.SelectorKey]":
        """See `selectors.BaseSelector`."""
        return self._asyncio_selector.get_map()
