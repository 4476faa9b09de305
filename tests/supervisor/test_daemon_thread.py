"""Work that hangs holds up nobody."""

import asyncio
import subprocess
import sys
import threading

import pytest

from meshdns.supervisor.daemon_thread import DaemonThread

DEADLINE = 60.0


def test_work_gives_its_result_or_raises() -> None:
    """As if it were called."""

    async def main() -> None:
        thread: DaemonThread[int] = DaemonThread("t")
        assert await thread.call(lambda: 7, patience=DEADLINE) == 7
        with pytest.raises(ZeroDivisionError):
            await thread.call(lambda: 1 // 0, patience=DEADLINE)
        assert await thread.call(lambda: 8, patience=DEADLINE) == 8

    asyncio.run(main())


def _threads() -> int:
    return sum(thread.name == "hanging" for thread in threading.enumerate())


def test_work_that_hangs_is_not_waited_for() -> None:
    """Nor joined by another thread; once it returns, the next call is made."""

    async def main() -> None:
        thread: DaemonThread[None] = DaemonThread("hanging")
        released = threading.Event()
        for _ in range(3):
            with pytest.raises(TimeoutError):
                await thread.call(released.wait, patience=0.01)  # type: ignore[arg-type]
            assert _threads() == 1
        released.set()
        async with asyncio.timeout(DEADLINE):
            while _threads():  # noqa: ASYNC110 — what is waited for has no event
                await asyncio.sleep(0.01)
        await thread.call(lambda: None, patience=DEADLINE)

    asyncio.run(main())


def test_a_process_ends_while_work_hangs() -> None:
    """Its end waits for no thread."""
    program = """
import asyncio, threading
from meshdns.supervisor.daemon_thread import DaemonThread
async def main():
    try:
        await DaemonThread("t").call(threading.Event().wait, patience=0.01)
    except TimeoutError:
        print("ended")
asyncio.run(main())
"""
    done = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True, timeout=DEADLINE)
    assert done.stdout == "ended\n"
