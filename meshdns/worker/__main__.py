"""The worker process, which answers queries on inherited sockets: ``python -m meshdns.worker``.

It is exec'd by the supervisor, reads its settings as JSON lines from standard input (one line a generation) and exits
when that pipe closes, so that no worker outlives its supervisor. Its messages to the supervisor are JSON lines on
standard output. It imports neither kubernetes nor aiohttp nor pydantic, and does no DNS work outside bounded wake-ups.
"""

import asyncio
import gc
import logging
from typing import Final

from meshdns.instance import logs
from meshdns.instance.pipe import MessageReader
from meshdns.instance.process import die_with_parent, open_supervisor_channel, send_to_supervisor, use_short_time_slices
from meshdns.worker.selector import ServingSelector
from meshdns.worker.settings import decode
from meshdns.worker.udp_batch import is_available
from meshdns.worker.worker import Worker

GC_THRESHOLDS: Final = (20_000, 20, 50)
"""Some 2 ms each: forwarding makes many objects that exist for one exchange, hardly any of them in a cycle."""

_log = logging.getLogger("meshdns.worker")


async def _run(selector: ServingSelector | None) -> None:
    loop = asyncio.get_running_loop()
    control, stop = await open_supervisor_channel()
    settings = await control.receive(decode)
    if settings is None:
        return
    logs.configure_logging(settings.log_level, settings.log_format, process=f"worker {settings.number}")
    worker = Worker(settings, loop, selector, send=send_to_supervisor)
    await worker.serve()
    gc.collect()
    gc.freeze()  # the objects so far stay; collections on the hot path would only walk them
    gc.set_threshold(*GC_THRESHOLDS)
    worker.report()
    listening = asyncio.create_task(_apply_settings(control, worker), name="orders")
    stopping = asyncio.create_task(stop.wait(), name="stop")
    await asyncio.wait((listening, stopping), return_when=asyncio.FIRST_COMPLETED)
    listening.cancel()
    stopping.cancel()
    await worker.close()


async def _apply_settings(control: MessageReader, worker: Worker) -> None:
    """Apply settings from the supervisor until its pipe closes; those that cannot be applied are logged."""
    while (settings := await control.receive(decode)) is not None:
        try:
            worker.reconfigure(settings)
        except Exception:  # noqa: BLE001 — a fault in applying settings must not end the answers
            _log.exception("settings generation %d cannot be applied; report this with the log", settings.generation)
        else:
            worker.report()


def main() -> None:
    """Run a worker until SIGTERM or until its supervisor is gone."""
    die_with_parent()
    use_short_time_slices()
    selector = ServingSelector() if is_available() else None
    with asyncio.Runner(loop_factory=lambda: asyncio.SelectorEventLoop(selector)) as runner:
        runner.run(_run(selector))


if __name__ == "__main__":
    main()
