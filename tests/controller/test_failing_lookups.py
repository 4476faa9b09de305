"""Look-ups that fail from the beginning, as the controller hands them on to the mesh."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from meshdns.mesh.objects.problems import ProblemKind
from meshdns.namedb.writer import Writer
from tests.controller.scene import controller_metrics, make_controller, run_turns
from tests.mesh.scene import entry, gateway


@pytest.fixture
def writer(tmp_path: Path) -> Iterator[Writer]:
    """An empty name database."""
    made = Writer(tmp_path / "view")
    yield made
    made.close()


def problems(writer: Writer) -> set[tuple[ProblemKind, str, str]]:
    """What the name database lists: kind, object and reason."""
    with writer.read() as tables:
        return {(each.kind, each.object, each.reason) for _, each in tables.problems.items()}


def test_a_gateway_whose_look_ups_fail_is_a_problem_until_they_do_not(writer: Writer, tmp_path: Path) -> None:
    """Of its object and of its cluster, since a name needs it; both end with the first reply."""

    async def body() -> None:
        controller = make_controller(writer, tmp_path, controller_metrics())
        for each in (gateway("gw.example"), entry("10.9.0.1")):
            controller._publisher.upsert("west", each)
        controller._publisher.name_table.add_cluster("east")
        controller._commit()
        assert problems(writer) == set()
        controller.on_failing("gw.example", True)
        await run_turns(3)
        assert problems(writer) == {
            (ProblemKind.UNRESOLVED, "Service", "look-ups of gw.example fail"),
            (ProblemKind.NO_GATEWAY, "Cluster", "none of its gateways has an address: look-ups of gw.example fail"),
        }
        controller.on_failing("gw.example", False)
        controller.on_resolved("gw.example", ("203.0.113.7",))
        await run_turns(3)
        assert problems(writer) == set()

    asyncio.run(body())
