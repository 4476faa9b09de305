"""A controller whose view cannot grow: run as a process of its own, since the limit is the process's.

``python -m tests.controller.full_view DIRECTORY`` prints what is served and what is wrong, before and after.
"""

import asyncio
import resource
import sys
import time
from pathlib import Path

from meshdns.controller.controller import Controller, Process
from meshdns.controller.guard import Guard
from meshdns.controller.measures import Measures
from meshdns.controller.publishing import Publisher
from meshdns.controller.states import ClusterStates
from meshdns.dns import names
from meshdns.mesh.declarations import Endpoint, Kind, Resolution, ServiceEntry
from meshdns.mesh.settings import MeshSettings, Zone
from meshdns.scoreboard import Scoreboard
from meshdns.view.writer import Writer

LIMIT = 1 << 20  # octets of any file that this process writes


def entry(number: int) -> ServiceEntry:
    """A ServiceEntry with a name of its own."""
    host = f"service-{number}.default.global"
    return ServiceEntry(
        namespace="default",
        name=f"service-{number}",
        hosts=(host,),
        resolution=Resolution.STATIC,
        endpoints=(Endpoint("192.0.2.1"),),
        internal=True,
    )


async def main(directory: Path) -> None:
    """One name fits; ten thousand do not, and the one is still there."""
    measures = Measures(Scoreboard.create(), time.monotonic)  # larger than what is allowed from here on
    resource.setrlimit(resource.RLIMIT_FSIZE, (LIMIT, LIMIT))
    writer = Writer(directory / "view")
    controller = Controller(
        publisher=Publisher(MeshSettings(zones=(Zone("global"),)), writer),
        states=ClusterStates(own="", required=(), started=time.monotonic()),
        guard=Guard({}),
        state_dir=directory,
        process=Process(lambda _: None, time.time, lambda _: None, lambda: None, lambda: None, measures),
        loop=asyncio.get_running_loop(),
        clock=time.monotonic,
    )
    controller.joined("east", [Kind.SERVICE_ENTRY], source="test")
    controller.listed("east", Kind.SERVICE_ENTRY, [entry(0)])
    await asyncio.sleep(0)
    report(writer, controller)
    controller.listed("east", Kind.SERVICE_ENTRY, [entry(number) for number in range(10_000)])
    for _ in range(1000):  # turns of the loop; the change is committed in ten parts
        await asyncio.sleep(0)
    report(writer, controller)


def report(writer: Writer, controller: Controller) -> None:
    """Say whether the first name is served, and how many problems there are."""
    with writer.read() as txn:
        served = txn.get(b"rows", names.wire("service-0.default.global")) is not None
    kinds = [problem.kind.value for problem in controller.problems()]
    sys.stdout.write(f"served {served}, problems {kinds}\n")


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
