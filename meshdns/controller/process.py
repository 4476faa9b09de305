"""The control process: reads the clusters, decides what every name means, writes it down.

It is exec'd by the supervisor, reads its settings as one JSON line from standard input and ends when that pipe closes.
A worker never waits for it: whatever happens here, the view that was committed last is served on.
"""

import asyncio
import contextlib
import ctypes
import gc
import logging
import secrets
import sys
import time
import zlib
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import msgspec

from meshdns.config.model import Settings, Source
from meshdns.controller.admin import serve_admin
from meshdns.controller.controller import Background, Controller, Process
from meshdns.controller.inspection import Inspection
from meshdns.controller.probing import Probes
from meshdns.controller.publishing import Publisher
from meshdns.controller.resolving import HostNames
from meshdns.controller.settings import ControllerSettings, mesh_settings, source_settings
from meshdns.controller.states import ClusterStates
from meshdns.lifeline import bond, die_with_parent, say
from meshdns.scoreboard import Scoreboard
from meshdns.sources import manifests
from meshdns.sources.settings import AnySource, ManifestsSource, SourceError
from meshdns.upstream.configured import routes
from meshdns.view.environment import ViewError
from meshdns.view.place import UNREADABLE
from meshdns.view.writer import Writer

_log = logging.getLogger("meshdns.controller")


async def _run() -> None:
    loop = asyncio.get_running_loop()
    control, stop = await bond()
    line = await control.readline()
    if not line:
        return
    handed = msgspec.json.decode(line, type=ControllerSettings)
    settings = Settings.model_validate_json(handed.settings)
    logging.basicConfig(level=settings.log_level.upper(), format="%(levelname)s %(name)s %(message)s")
    try:
        writer = Writer(Path(handed.view))
        controller = _controller(handed, settings, writer, loop, stop)
        controller.start()
    except (ViewError, msgspec.DecodeError, zlib.error) as error:
        _log.error("the view cannot be taken over, and is rebuilt: %s", error)
        sys.exit(UNREADABLE)
    say({"view": handed.view})
    gc.collect()
    gc.freeze()  # a full collection over what stays would delay heartbeats and commits
    ends = (asyncio.ensure_future(_ended(control)), asyncio.ensure_future(stop.wait()))
    works = [(f"source {source.kind}", _read(source, controller)) for source in settings.sources]
    works += _background(settings, controller, loop)
    works.append(("admin", _admin(settings, controller, writer)))
    tasks = [asyncio.ensure_future(_lasting(work, name)) for name, work in works]
    await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
    for task in (*ends, *tasks):
        task.cancel()
    await asyncio.gather(*ends, *tasks, return_exceptions=True)
    await controller.close()
    writer.close()


def _controller(
    handed: ControllerSettings,
    settings: Settings,
    writer: Writer,
    loop: asyncio.AbstractEventLoop,
    stop: asyncio.Event,
) -> Controller:
    mesh = mesh_settings(settings)
    board = Scoreboard(handed.scoreboard)
    return Controller(
        publisher=Publisher(mesh, writer),
        states=ClusterStates(
            own=mesh.vantage_cluster,
            required=[name for name, cluster in mesh.clusters.items() if cluster.required],
            started=time.monotonic(),
        ),
        state_dir=Path(handed.state_dir),
        process=Process(
            ready=lambda ready: say({"ready": ready}),
            beat=board.beat_controller,
            restart=stop.set,
            settle=_settle,
        ),
        loop=loop,
        clock=time.monotonic,
    )


def _background(
    settings: Settings, controller: Controller, loop: asyncio.AbstractEventLoop
) -> list[tuple[str, Coroutine[Any, Any, None]]]:
    """Resolving host names and probing gateways."""
    host_names = HostNames(
        routes=routes(settings), resolved=controller.resolved, loop=loop, clock=time.monotonic, draw=_draw
    )
    probes = Probes(settings=settings.probe, changed=controller.probed, loop=loop, clock=time.monotonic, draw=_draw)
    controller.attend(Background(host_names, probes))
    return [("host names", host_names.run()), ("probes", probes.run())]


async def _admin(settings: Settings, controller: Controller, writer: Writer) -> None:
    if settings.admin.socket:
        inspection = Inspection(settings, writer.read, unwritten=controller.problems)
        await serve_admin(socket=Path(settings.admin.socket), inspection=inspection, contacts=controller.contacts)


async def _lasting(work: Coroutine[Any, Any, None], name: str) -> None:
    """Await long-lived work; what ends it early is logged, and everything else goes on."""
    try:
        await work
    except Exception:  # noqa: BLE001 — the border between independent works
        _log.exception("%s ended; the names are served on without it until the next restart", name)


async def _read(source: Source, controller: Controller) -> None:
    """Run one source for as long as the process lives; what it cannot do does not end the others."""
    settings = source_settings(source)
    if settings is None:
        _log.error("source %s is not read by this version; name its clusters in a kubeconfig", source.kind)
        return
    try:
        await _run_source(settings, controller)
    except SourceError as error:
        _log.error("%s", error)
    except Exception:  # noqa: BLE001 — one source's fault must not end the others, nor go unsaid
        _log.exception("source %s ended unforeseen; its clusters grow stale until a restart", source.kind)


async def _run_source(settings: AnySource, controller: Controller) -> None:
    if isinstance(settings, ManifestsSource):
        if not settings.path.is_dir():
            controller.hold()
        await manifests.run(source=settings, sink=controller)
    else:
        from meshdns.sources import kubeapi  # noqa: PLC0415 — a folder of manifests needs no Kubernetes client

        await kubeapi.run(source=settings, sink=controller, draw=_draw)


def _settle() -> None:
    """Give back what reading everything took: lists are large, what is kept of them is not."""
    gc.collect()
    gc.freeze()  # a full collection over what stays would delay heartbeats and commits
    if sys.platform == "linux":
        with contextlib.suppress(AttributeError, OSError):  # musl has no malloc_trim
            ctypes.CDLL(None).malloc_trim(0)


def _draw() -> float:
    """A number from 0 to 1, for jitter."""
    return secrets.randbelow(1 << 30) / (1 << 30)


async def _ended(control: asyncio.StreamReader) -> None:
    """Return when the supervisor is gone."""
    while await control.readline():
        pass


def main() -> None:
    """Run the controller until it is told to end or its supervisor is gone."""
    die_with_parent()
    asyncio.run(_run())


if __name__ == "__main__":
    main()
