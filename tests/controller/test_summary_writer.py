"""What people are shown of clusters is written where it changed, in the turn after, and never before names are."""

import asyncio
from pathlib import Path

import msgspec
import pytest

from meshdns.controller.cluster_summary import ClusterSummary
from meshdns.controller.controller import Controller
from meshdns.dns import names
from meshdns.mesh.objects.declarations import ObjectKind
from meshdns.namedb.writer import Writer
from meshdns.sources.sink import ClusterAdded, ContactMade, KindListed, ObjectChanged, ReadFailed
from tests.controller.scene import controller_metrics, make_controller, run_turns
from tests.mesh.scene import gateway, service

KINDS = frozenset({ObjectKind.SERVICE})


@pytest.fixture
def writer(tmp_path: Path) -> Writer:
    """An empty name database."""
    return Writer(tmp_path / "view")


def stored_summary(writer: Writer) -> ClusterSummary | None:
    """What the name database holds of the cluster east."""
    with writer.read() as tables:
        found = tables.clusters.get("east")
    return msgspec.json.decode(found, type=ClusterSummary) if found is not None else None


def served(writer: Writer, name: str) -> bool:
    """Whether the name database holds a row of that name."""
    with writer.read() as tables:
        return tables.row(names.to_wire(name)) is not None


def test_a_list_is_served_in_its_turn_and_told_of_in_the_next(writer: Writer, tmp_path: Path) -> None:
    """Names do not wait for the description, and it is not lost."""

    async def run() -> None:
        controller = make_controller(writer, tmp_path, controller_metrics())
        controller.report(ClusterAdded("east", KINDS, "test"))
        controller.report(KindListed("east", ObjectKind.SERVICE, (service("cart", namespace="shop"),)))
        await run_turns(1)
        assert served(writer, "cart.shop.global")
        assert stored_summary(writer) is None
        await run_turns(1)
        told = stored_summary(writer)
        assert told is not None
        assert (told.status, told.source) == ("synced", "test")

    asyncio.run(run())


def test_what_a_changed_object_makes_of_the_gateways_is_told(writer: Writer, tmp_path: Path) -> None:
    """A gateway that comes by an event is shown two turns later; nothing but the topology says so."""

    async def run() -> None:
        controller = make_controller(writer, tmp_path, controller_metrics())
        controller.report(ClusterAdded("east", KINDS, "test"))
        controller.report(KindListed("east", ObjectKind.SERVICE, ()))
        await run_turns(3)
        controller.report(ObjectChanged("east", gateway("203.0.113.10")))
        await run_turns(2)
        told = stored_summary(writer)
        assert told is not None
        assert [each.address for each in told.gateways or ()] == ["203.0.113.10"]

    asyncio.run(run())


def test_a_failure_is_told_with_the_next_change(writer: Writer, tmp_path: Path) -> None:
    """And it is told no more once the cluster was heard of again."""

    async def run() -> None:
        controller = make_controller(writer, tmp_path, controller_metrics())
        controller.report(ClusterAdded("east", KINDS, "test"))
        controller.report(KindListed("east", ObjectKind.SERVICE, ()))
        await run_turns(3)
        controller.report(ReadFailed("east", ObjectKind.SERVICE, "no answer"))
        assert await reason_after(controller, "cart-1") == "no answer"
        controller.report(ContactMade("east", ObjectKind.SERVICE))
        assert await reason_after(controller, "cart-2") == ""

    async def reason_after(controller: Controller, changed: str) -> str:
        controller.report(ObjectChanged("east", service(changed, namespace="shop")))
        await run_turns(2)
        told = stored_summary(writer)
        return told.reason if told is not None else "nothing is told"

    asyncio.run(run())
