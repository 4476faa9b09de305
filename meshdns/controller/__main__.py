"""The control process: reads the clusters, decides what every name means, writes it down.

It is exec'd by the supervisor, reads its settings as one JSON line from standard input and ends when that pipe closes.
A worker never waits for it: whatever happens here, the name database that was committed last is served on.
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
from typing import Any, Final, NamedTuple

import msgspec

from meshdns.config.model import Settings
from meshdns.config.translate import mesh_settings, vantage_cluster
from meshdns.controller.admin.api import read_totals
from meshdns.controller.admin.live import LiveQueries
from meshdns.controller.admin.reports import Reports
from meshdns.controller.admin.server import RunningServer, serve_admin
from meshdns.controller.cluster_state import ClusterTracker
from meshdns.controller.controller import Background, Controller, ProcessHooks
from meshdns.controller.gateway_prober import GatewayProber
from meshdns.controller.gauges import ControllerMetrics
from meshdns.controller.hostname_resolver import HostnameResolver
from meshdns.controller.mass_delete_guard import MassDeleteGuard
from meshdns.controller.publisher import Publisher
from meshdns.controller.source_runner import SourceRunner
from meshdns.controller.source_settings import (
    ControllerSettings,
    believed_uids,
    mass_delete_holds,
    max_stale,
    source_settings,
)
from meshdns.controller.supervisor_link import FilesMessage, SupervisorLink
from meshdns.instance import logs
from meshdns.instance.clocks import boot_time, current_moment
from meshdns.instance.pipe import ControllerMessage
from meshdns.instance.process import die_with_parent, lower_priority, open_supervisor_channel, send_to_supervisor
from meshdns.instance.scoreboard import Scoreboard
from meshdns.mesh.addresses import parse_address, scope_of
from meshdns.namedb.database import NameDatabaseError
from meshdns.namedb.location import EXIT_DATABASE_DAMAGED
from meshdns.namedb.writer import Writer
from meshdns.sources.folder import source as manifests
from meshdns.sources.read_limits import ReadLimits, create_read_limits
from meshdns.sources.registry import ClusterRegistry
from meshdns.sources.settings import ManifestsSource
from meshdns.sources.sink import Sink
from meshdns.upstream.routes import build_routes

_GC_THRESHOLDS: Final = (200, 5, 100)
"""Thresholds of the collector: often and little, for a change waits for as long as it walks. What a change replaces is
freed without it and taken off its count, so that several times the first threshold of objects wait for each walk."""

_log = logging.getLogger("meshdns.controller")


async def _run() -> None:
    loop = asyncio.get_running_loop()
    control, stop = await open_supervisor_channel()
    received = await control.receive(_decode_settings)
    if received is None:
        return
    message, settings = received
    logs.configure_logging(settings.log_level, settings.log_format, process="controller")
    try:
        writer = Writer(Path(message.namedb))
        controller = _create_controller(message, settings, writer, loop, stop)
        controller.expect_sources(len(settings.sources))
        controller.start()
    except (NameDatabaseError, msgspec.DecodeError, zlib.error) as error:
        _log.error("the name database cannot be taken over, and is rebuilt: %s", error)
        sys.exit(EXIT_DATABASE_DAMAGED)
    send_to_supervisor(ControllerMessage(view=message.namedb))
    gc.set_threshold(*_GC_THRESHOLDS)
    gc.collect()
    gc.freeze()  # a full collection over what stays would delay heartbeats and commits
    link = SupervisorLink(send_to_supervisor)
    ends = (asyncio.create_task(link.follow(control), name="end"), asyncio.create_task(stop.wait(), name="stop"))
    own = vantage_cluster(settings)
    registry = ClusterRegistry(own, believed=believed_uids(settings), remembered=controller.served_identities())
    shared = _SharedBySources(registry, create_read_limits(own))
    works = [
        (f"source {settings.sources[rank].kind}", _run_source(rank, settings, controller, shared))
        for rank in range(len(settings.sources))
    ]
    works += _create_background(settings, message.files, controller, loop, link)
    works.append(("admin", _run_admin(settings, controller, writer, Scoreboard(message.scoreboard), link)))
    tasks = [asyncio.create_task(_run_isolated(work, name), name=name) for name, work in works]
    await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
    for task in (*ends, *tasks):
        task.cancel()
    await asyncio.gather(*ends, *tasks, return_exceptions=True)
    await controller.close()
    writer.close()


def _decode_settings(line: bytes) -> tuple[ControllerSettings, Settings]:
    message = msgspec.json.decode(line, type=ControllerSettings)
    return message, Settings.model_validate_json(message.settings)


def _create_controller(
    process_settings: ControllerSettings,
    settings: Settings,
    writer: Writer,
    loop: asyncio.AbstractEventLoop,
    stop: asyncio.Event,
) -> Controller:
    mesh = mesh_settings(settings)
    board = Scoreboard(process_settings.scoreboard)
    publisher = Publisher(mesh, writer)
    if board.has_commit_failed():
        publisher.require_write()
    return Controller(
        publisher=publisher,
        tracker=ClusterTracker(
            own=mesh.vantage_cluster,
            required=[name for name, cluster in mesh.clusters.items() if cluster.required],
            started=boot_time(),
            max_stale=max_stale(settings),
        ),
        guard=MassDeleteGuard(mass_delete_holds(settings)),
        state_dir=Path(process_settings.state_dir),
        hooks=ProcessHooks(
            report_not_ready=lambda reason: send_to_supervisor(ControllerMessage(ready=not reason, waits=reason)),
            wall_clock=time.time,
            moment=current_moment,
            write_heartbeat=lambda: board.record_controller_heartbeat(time.monotonic()),
            metrics=ControllerMetrics(board, time.monotonic),
            request_restart=stop.set,
            release_memory=_release_memory,
            record_commit_failed=lambda failed: board.record_commit(failed=failed),
        ),
        loop=loop,
        clock=boot_time,
    )


def _create_background(
    settings: Settings,
    files: FilesMessage,
    controller: Controller,
    loop: asyncio.AbstractEventLoop,
    link: SupervisorLink,
) -> list[tuple[str, Coroutine[Any, Any, None]]]:
    """Resolving host names and probing gateways."""
    resolver = HostnameResolver(
        routes=build_routes(settings, files.texts),
        on_resolved=controller.on_resolved,
        on_failing=controller.on_failing,
        loop=loop,
        clock=boot_time,
        random=_random_fraction,
    )
    prober = GatewayProber(
        settings=settings.probe,
        on_health_change=controller.on_health_change,
        loop=loop,
        clock=time.monotonic,
        random=_random_fraction,
    )

    def take_files(message: FilesMessage) -> None:
        controller.set_instance_problems(message.problems)
        resolver.set_routes(build_routes(settings, message.texts))

    controller.set_instance_problems(files.problems)
    link.on_files = take_files
    controller.start_background(Background(resolver, prober))
    return [("host names", resolver.run()), ("probes", prober.run())]


async def _run_admin(
    settings: Settings, controller: Controller, writer: Writer, board: Scoreboard, link: SupervisorLink
) -> None:
    if settings.admin.socket:
        reports = Reports(settings, writer.read, controller_problems=controller.problems)
        running = RunningServer(
            contact_ages=controller.contact_ages,
            live_queries=LiveQueries(board, time.monotonic),
            commands={
                "/reload": link.request_reload,
                "/cache/flush": board.request_cache_flush,
            },
            mesh_counts=controller.mesh_counts,
            read_totals=lambda: read_totals(board, time.monotonic()),
        )
        socket = Path(settings.admin.socket)
        await serve_admin(socket=socket, listen=settings.admin.listen, reports=reports, running=running)


async def _run_isolated(work: Coroutine[Any, Any, None], name: str) -> None:
    """Await long-lived work; what ends it early is logged, and everything else goes on."""
    try:
        await work
    except Exception:  # noqa: BLE001 — the border between independent works
        _log.exception("%s ended; the names are served on without it until the next restart", name)


class _SharedBySources(NamedTuple):
    """What all sources of API servers share."""

    registry: ClusterRegistry
    limits: ReadLimits


async def _run_source(rank: int, settings: Settings, controller: Controller, shared: _SharedBySources) -> None:
    """Run one source for as long as the process lives; what it cannot do does not end the others."""
    section = settings.sources[rank]

    async def start(sink: Sink) -> None:
        source = source_settings(section, own_cluster=vantage_cluster(settings))
        if isinstance(source, ManifestsSource):
            await manifests.watch_folder(source=source, sink=sink)
            return
        from meshdns.sources import apiservers  # noqa: PLC0415 — a folder of manifests needs no Kubernetes client

        unready = [name for name, cluster in settings.clusters.items() if not cluster.readiness]
        await apiservers.watch_api_servers(
            source=source,
            sink=sink,
            draw=_random_fraction,
            registry=shared.registry,
            limits=shared.limits,
            rank=rank,
            without_readiness=frozenset(unready),
        )

    runner = SourceRunner(
        f"source {rank + 1} ({section.kind})",
        controller,
        draw=_random_fraction,
        on_end=lambda: controller.record_source_end(section.kind),
    )
    await runner.run(start)


def _release_memory() -> None:
    """Give back what reading everything took: lists are large, what is kept of them is not."""
    for remembered in (parse_address, scope_of):
        remembered.cache_clear()  # all addresses of the mesh, which changes need few of
    gc.collect()
    gc.freeze()  # a full collection over what stays would delay heartbeats and commits
    if sys.platform == "linux":
        with contextlib.suppress(AttributeError, OSError):  # musl has no malloc_trim
            ctypes.CDLL(None).malloc_trim(0)


def _random_fraction() -> float:
    """A number from 0 to 1, for jitter."""
    return secrets.randbelow(1 << 30) / (1 << 30)


def main() -> None:
    """Run the controller until it is told to end or its supervisor is gone."""
    die_with_parent()
    lower_priority()
    asyncio.run(_run())


if __name__ == "__main__":
    main()
