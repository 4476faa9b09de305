"""Work that may hang in a file system, in a thread that holds up neither the event loop nor the end of the process."""

import asyncio
import concurrent.futures
import contextlib
import threading
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class DaemonThread(Generic[T]):
    """Runs one function at a time; while one hangs, calls fail at once instead of adding threads."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._running: asyncio.Future[T] | None = None

    async def call(self, work: Callable[[], T], *, patience: float) -> T:
        """Return what `work` returns, or raise what it raises.

        Raises TimeoutError after `patience` seconds, and at once while an earlier `work` still hangs.
        """
        if self._running is not None and not self._running.done():
            raise TimeoutError
        loop = asyncio.get_running_loop()
        result: asyncio.Future[T] = loop.create_future()
        result.add_done_callback(_retrieve)
        self._running = result

        def run() -> None:
            done: concurrent.futures.Future[T] = concurrent.futures.Future()
            try:
                done.set_result(work())
            except BaseException as error:  # noqa: BLE001 — it is raised where the result is awaited
                done.set_exception(error)
            with contextlib.suppress(RuntimeError):  # the loop is closed
                loop.call_soon_threadsafe(_copy, done, result)

        try:
            threading.Thread(target=run, name=self._name, daemon=True).start()
        except BaseException:
            result.cancel()  # none runs
            raise
        return await asyncio.wait_for(asyncio.shield(result), patience)


def _copy(done: "concurrent.futures.Future[T]", result: "asyncio.Future[T]") -> None:
    if result.done():
        return
    error = done.exception()
    if error is None:
        result.set_result(done.result())
    else:
        result.set_exception(error)


def _retrieve(result: "asyncio.Future[T]") -> None:
    """Mark an exception as seen: who awaited it may have lost patience."""
    if not result.cancelled():
        result.exception()
