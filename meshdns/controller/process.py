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
from typing import Any, Final

import msgspec

from meshdns import logs
from meshdns.config.model import Settings
from meshdns.controller.admin import Running, serve_admin
from meshdns.controller.controller import Background, Controller, Process
from meshdns.controller.guard import Guard
from meshdns.controller.inspection import Inspection
from meshdns.controller.livequeries import LiveQueries
from meshdns.controller.measures import Measures
from meshdns.controller.probing import Probes
from meshdns.controller.publishing import Publisher
from meshdns.controller.resolving import HostNames
from meshdns.controller.settings import (
    ControllerSettings,
    mass_delete_holds,
    max_stale,
    mesh_settings,
    source_settings,
    vantage_cluster,
)
from meshdns.controller.states import ClusterStates
from meshdns.controller.totals import read_totals
from meshdns.lifeline import bond, die_with_parent, say
from meshdns.mesh.addresses import parsed, scope
from meshdns.scheduling import give_way
from meshdns.scoreboard import Scoreboard
from meshdns.sources import manifests
from meshdns.sources.problems import fault
from meshdns.sources.registrations import Registrations
from meshdns.sources.settings import ManifestsSource, SourceError
from meshdns.upstream.configured import routes
from meshdns.view.environment import ViewError
from meshdns.view.place import UNREADABLE
from meshdns.view.writer import Writer

_COLLECT: Final = (200, 5, 100)
"""Thresholds of the collector: often and little, for a change waits for as long as it walks. What a change replaces is
freed without it and taken off its count, so that several times the first threshold of objects wait for each walk."""

_log = logging.getLogger("meshdns.controller")


async def _run() -> None:
    loop = asyncio.get_running_loop()
    control, stop = await bond()
    line = await control.readline()
    if not line:
        return
    handed = msgspec.json.decode(line, type=ControllerSettings)
    settings = Settings.model_validate_json(handed.settings)
    logs.set_up(settings.log_level, settings.log_format, process="controller")
    try:
        writer = Writer(Path(handed.view))
        controller = _controller(handed, settings, writer, loop, stop)
        controller.start()
    except (ViewError, msgspec.DecodeError, zlib.error) as error:
        _log.error("the view cannot be taken over, and is rebuilt: %s", error)
        sys.exit(UNREADABLE)
    say({"view": handed.view})
    gc.set_threshold(*_COLLECT)
    gc.collect()
    gc.freeze()  # a full collection over what stays would delay heartbeats and commits
    ends = (asyncio.ensure_future(_ended(control)), asyncio.ensure_future(stop.wait()))
    registrations = Registrations(vantage_cluster(settings))
    works = [
        (f"source {settings.sources[rank].kind}", _read(rank, settings, controller, registrations))
        for rank in range(len(settings.sources))
    ]
    works += _background(settings, controller, loop)
    works.append(("admin", _admin(settings, controller, writer, Scoreboard(handed.scoreboard))))
    controller.expect(len(settings.sources))
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
            max_stale=max_stale(settings),
        ),
        guard=Guard(mass_delete_holds(settings)),
        state_dir=Path(handed.state_dir),
        process=Process(
            waits=lambda reason: say({"ready": not reason, "waits": reason}),
            wall=time.time,
            beat=board.beat_controller,
            measures=Measures(board, time.monotonic),
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


async def _admin(settings: Settings, controller: Controller, writer: Writer, board: Scoreboard) -> None:
    if settings.admin.socket:
        inspection = Inspection(settings, writer.read, unwritten=controller.problems)
        running = Running(
            contacts=controller.contacts,
            live=LiveQueries(board, time.monotonic),
            orders={"/reload": lambda: say({"reload": True}), "/cache/flush": board.flush_cache},
            census=controller.census,
            totals=lambda: read_totals(board, time.monotonic()),
        )
        socket = Path(settings.admin.socket)
        await serve_admin(socket=socket, listen=settings.admin.listen, inspection=inspection, running=running)


async def _lasting(work: Coroutine[Any, Any, None], name: str) -> None:
    """Await long-lived work; what ends it early is logged, and everything else goes on."""
    try:
        await work
    except Exception:  # noqa: BLE001 — the border between independent works
        _log.exception("%s ended; the names are served on without it until the next restart", name)


async def _read(rank: int, settings: Settings, controller: Controller, registrations: Registrations) -> None:
    """Run one source for as long as the process lives; what it cannot do does not end the others."""
    source = settings.sources[rank]
    try:
        await _run_source(rank, settings, controller, registrations)
    except SourceError as error:
        controller.troubled(f"source {source.kind}", [fault("source", source.kind, str(error))])
    except Exception:  # noqa: BLE001 — one source's fault must not end the others, nor go unsaid
        _log.exception("source %s ended unforeseen; its clusters grow stale until a restart", source.kind)


async def _run_source(rank: int, settings: Settings, controller: Controller, registrations: Registrations) -> None:
    told = source_settings(settings.sources[rank], own=vantage_cluster(settings))
    if isinstance(told, ManifestsSource):
        await manifests.run(source=told, sink=controller)
    else:
        from meshdns.sources import apiservers  # noqa: PLC0415 — a folder of manifests needs no Kubernetes client

        unready = [name for name, cluster in settings.clusters.items() if not cluster.readiness]
        await apiservers.run(
            source=told,
            sink=controller,
            draw=_draw,
            registrations=registrations,
            rank=rank,
            unready=frozenset(unready),
        )


def _settle() -> None:
    """Give back what reading everything took: lists are large, what is kept of them is not."""
    for remembered in (parsed, scope):
        remembered.cache_clear()  # all addresses of the mesh, which changes need few of
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
    give_way()
    asyncio.run(_run())


if __name__ == "__main__":
    main()
