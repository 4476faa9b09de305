"""A controller whose view cannot grow: run as a process of its own, since the limit is the process's.

``python -m tests.controller.full_namedb DIRECTORY`` prints what is served and what is wrong: before,
while it is full, and after there is room again.
"""

import asyncio
import resource
import sys
import time
from pathlib import Path

from meshdns.controller.controller import Controller
from meshdns.dns import names
from meshdns.mesh.objects.declarations import Endpoint, ObjectKind, Resolution, ServiceEntry, key_of
from meshdns.namedb.writer import Writer
from meshdns.sources.sink import ClusterAdded, KindListed, ObjectChanged, ObjectRemoved
from tests.controller.scene import controller_metrics, make_controller, run_turns

DEADLINE = 60  # seconds
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
    kept = controller_metrics()  # larger than what is allowed from here on
    resource.setrlimit(resource.RLIMIT_FSIZE, (LIMIT, resource.RLIM_INFINITY))
    writer = Writer(directory / "view")
    outcomes: list[bool] = []
    controller = make_controller(writer, directory, kept, own_cluster="", on_commit=outcomes.append)
    controller.report(ClusterAdded("east", frozenset({ObjectKind.SERVICE_ENTRY}), "test"))
    controller.report(KindListed("east", ObjectKind.SERVICE_ENTRY, (entry(0),)))
    await run_turns(1)
    report(writer, controller, outcomes)
    controller.report(KindListed("east", ObjectKind.SERVICE_ENTRY, tuple(map(entry, range(10_000)))))
    await run_turns(1000)  # the change is committed in ten parts
    report(writer, controller, outcomes)
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    deadline = time.monotonic() + DEADLINE
    while outcomes[-1] and time.monotonic() < deadline:  # the next try follows after a delay
        await asyncio.sleep(0.1)
        controller.report(ObjectChanged("east", entry(10_000)))
        controller.report(ObjectRemoved("east", key_of(entry(10_000))))
        await run_turns(1000)
    report(writer, controller, outcomes)


def report(writer: Writer, controller: Controller, outcomes: list[bool]) -> None:
    """Say whether the first name is served, whether the last commit failed, and how many problems there are."""
    with writer.read() as tables:
        served = tables.row(names.to_wire("service-0.default.global")) is not None
    kinds = [problem.kind.value for problem in controller.problems()]
    sys.stdout.write(f"served {served}, failed {outcomes[-1]}, problems {kinds}\n")


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
