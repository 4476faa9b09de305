"""What people are shown of clusters is written where it changed, in the turn after, and never before names are."""

import asyncio
from pathlib import Path

import msgspec
import pytest

from meshdns.controller.controller import Controller
from meshdns.controller.description import ClusterDescription
from meshdns.dns import names
from meshdns.mesh.declarations import Kind
from meshdns.view.writer import Writer
from tests.controller.scene import measures, on_view, turns
from tests.mesh.scene import gateway, service

KINDS = (Kind.SERVICE,)


@pytest.fixture
def writer(tmp_path: Path) -> Writer:
    """An empty view."""
    return Writer(tmp_path / "view")


def shown(writer: Writer) -> ClusterDescription | None:
    """What the view holds of the cluster east."""
    with writer.read() as txn:
        found = txn.get(b"clusters", b"east")
    return msgspec.json.decode(found, type=ClusterDescription) if found is not None else None


def served(writer: Writer, name: str) -> bool:
    """Whether the view holds a row of that name."""
    with writer.read() as txn:
        return txn.get(b"rows", names.wire(name)) is not None


def test_a_list_is_served_in_its_turn_and_told_of_in_the_next(writer: Writer, tmp_path: Path) -> None:
    """Names do not wait for the description, and it is not lost."""

    async def run() -> None:
        controller = on_view(writer, tmp_path, measures())
        controller.joined("east", KINDS, source="test")
        controller.listed("east", Kind.SERVICE, [service("cart", namespace="shop")])
        await turns(1)
        assert served(writer, "cart.shop.global")
        assert shown(writer) is None
        await turns(1)
        told = shown(writer)
        assert told is not None
        assert (told.status, told.source) == ("synced", "test")

    asyncio.run(run())


def test_what_a_changed_object_makes_of_the_gateways_is_told(writer: Writer, tmp_path: Path) -> None:
    """A gateway that comes by an event is shown two turns later; nothing but the topology says so."""

    async def run() -> None:
        controller = on_view(writer, tmp_path, measures())
        controller.joined("east", KINDS, source="test")
        controller.listed("east", Kind.SERVICE, [])
        await turns(3)
        controller.changed("east", gateway("203.0.113.10"))
        await turns(2)
        told = shown(writer)
        assert told is not None
        assert [each.address for each in told.gateways or ()] == ["203.0.113.10"]

    asyncio.run(run())


def test_a_failure_is_told_with_the_next_change(writer: Writer, tmp_path: Path) -> None:
    """And it is told no more once the cluster was heard of again."""

    async def run() -> None:
        controller = on_view(writer, tmp_path, measures())
        controller.joined("east", KINDS, source="test")
        controller.listed("east", Kind.SERVICE, [])
        await turns(3)
        controller.failed("east", Kind.SERVICE, "no answer")
        assert await reason_after(controller, "cart-1") == "no answer"
        controller.contact("east", Kind.SERVICE)
        assert await reason_after(controller, "cart-2") == ""

    async def reason_after(controller: Controller, changed: str) -> str:
        controller.changed("east", service(changed, namespace="shop"))
        await turns(2)
        told = shown(writer)
        return told.reason if told is not None else "nothing is told"

    asyncio.run(run())
