"""A controller on a name database, with nothing around it."""

import asyncio
import time
from collections.abc import Callable
from pathlib import Path

from meshdns.controller.cluster_state import ClusterTracker
from meshdns.controller.controller import Controller, ProcessHooks
from meshdns.controller.gauges import ControllerMetrics
from meshdns.controller.mass_delete_guard import MassDeleteGuard
from meshdns.controller.publisher import Publisher
from meshdns.instance.clocks import current_moment
from meshdns.instance.scoreboard import Scoreboard
from meshdns.mesh.settings import MeshSettings, MeshZone
from meshdns.namedb.writer import Writer


def controller_metrics() -> ControllerMetrics:
    """On a scoreboard of their own."""
    return ControllerMetrics(Scoreboard.create(), time.monotonic)


def make_controller(
    writer: Writer,
    directory: Path,
    metrics: ControllerMetrics,
    *,
    own_cluster: str = "east",
    restart: Callable[[], None] = lambda: None,
    on_commit: Callable[[bool], None] = lambda _: None,
    on_not_ready: Callable[[str], None] = lambda _: None,
) -> Controller:
    """A controller in the cluster `own_cluster`, of zone ``global``, on the running loop; `restart` restarts it.

    `on_commit` is called after each commit with whether it failed, `on_not_ready` with what the instance waits for.
    """
    return Controller(
        publisher=Publisher(MeshSettings(zones=(MeshZone("global"),), vantage_cluster=own_cluster), writer),
        tracker=ClusterTracker(own=own_cluster, required=(), started=time.monotonic()),
        guard=MassDeleteGuard({}),
        state_dir=directory,
        hooks=ProcessHooks(
            on_not_ready, time.time, current_moment, lambda: None, restart, lambda: None, metrics, on_commit
        ),
        loop=asyncio.get_running_loop(),
        clock=time.monotonic,
    )


async def run_turns(number: int) -> None:
    """So many turns of the loop."""
    for _ in range(number):
        await asyncio.sleep(0)
