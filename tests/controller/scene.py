"""A controller on a view, with nothing around it."""

import asyncio
import time
from collections.abc import Callable
from pathlib import Path

from meshdns.controller.controller import Controller, Process
from meshdns.controller.guard import Guard
from meshdns.controller.measures import Measures
from meshdns.controller.publishing import Publisher
from meshdns.controller.states import ClusterStates
from meshdns.mesh.settings import MeshSettings, Zone
from meshdns.scoreboard import Scoreboard
from meshdns.view.writer import Writer


def measures() -> Measures:
    """On a scoreboard of their own."""
    return Measures(Scoreboard.create(), time.monotonic)


def on_view(
    writer: Writer,
    directory: Path,
    kept: Measures,
    *,
    own: str = "east",
    restart: Callable[[], None] = lambda: None,
) -> Controller:
    """A controller in the cluster `own`, of zone ``global``, on the running loop; `restart` is what begins it anew."""
    return Controller(
        publisher=Publisher(MeshSettings(zones=(Zone("global"),), vantage_cluster=own), writer),
        states=ClusterStates(own=own, required=(), started=time.monotonic()),
        guard=Guard({}),
        state_dir=directory,
        process=Process(lambda _: None, time.time, lambda _: None, restart, lambda: None, kept),
        loop=asyncio.get_running_loop(),
        clock=time.monotonic,
    )


async def turns(number: int) -> None:
    """So many turns of the loop."""
    for _ in range(number):
        await asyncio.sleep(0)
