"""Timers end with their owner."""

import asyncio

from meshdns.instance.timers import Timers


def test_callbacks_run_in_time_until_the_owner_ends() -> None:
    """What is due in the very turn in which the owner is closed does not run, nor what is added later."""
    called: list[str] = []
    failed: list[object] = []

    async def main() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _, context: failed.append(context))
        with Timers() as timers:
            timers.call_soon(lambda: called.append("soon"))
            timers.call_later(0, lambda: called.append("later"))
            timers.call_later(3600, lambda: called.append("never"))
            await asyncio.sleep(0.01)
            timers.call_soon(timers.close)
            timers.call_soon(lambda: called.append("due in the same turn"))
            timers.call_later(0, lambda: called.append("due"))
            await asyncio.sleep(0.01)
        timers.call_soon(lambda: called.append("added afterwards"))
        timers.call_later(0, lambda: called.append("added afterwards"))
        await asyncio.sleep(0.01)

    asyncio.run(main())
    assert called == ["soon", "later"]
    assert failed == []


def test_a_callback_may_schedule_the_next_one() -> None:
    """As a clock does."""
    called: list[int] = []

    async def main() -> None:
        timers = Timers()

        def tick() -> None:
            called.append(len(called))
            if len(called) == 3:
                timers.close()
            timers.call_soon(tick)

        tick()
        await asyncio.sleep(0.01)

    asyncio.run(main())
    assert called == [0, 1, 2]
