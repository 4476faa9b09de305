"""Pod addresses of other clusters: kept where they are reached directly, in whatever order clusters are read."""

import asyncio
from collections.abc import Sequence
from pathlib import Path

import pytest

from meshdns.authority.row import Row
from meshdns.dns import names
from meshdns.mesh.objects.declarations import AnyDeclaration, ObjectKind
from meshdns.mesh.objects.parse import parse_object
from meshdns.namedb.writer import Writer
from meshdns.sources.sink import ClusterAdded, KindListed
from tests.controller.scene import controller_metrics, make_controller, run_turns

KINDS = frozenset({ObjectKind.NAMESPACE, ObjectKind.SERVICE, ObjectKind.ENDPOINT_SLICE})
NAME = names.to_wire("cart.shop.global")


def cluster(network: str) -> dict[ObjectKind, list[AnyDeclaration]]:
    """A cluster on a network with the Service cart and one ready pod."""
    label = {"topology.istio.io/network": network}
    port = {"name": "http", "port": 80}
    part = {
        "metadata": {"name": "cart-1", "namespace": "shop", "labels": {"kubernetes.io/service-name": "cart"}},
        "addressType": "IPv4",
        "ports": [port],
        "endpoints": [{"addresses": ["10.2.0.7"], "conditions": {"ready": True}}],
    }
    objects = {
        ObjectKind.NAMESPACE: {"metadata": {"name": "istio-system", "labels": label}},
        ObjectKind.SERVICE: {"metadata": {"name": "cart", "namespace": "shop"}, "spec": {"ports": [port]}},
        ObjectKind.ENDPOINT_SLICE: part,
    }
    found = {kind: parse_object(kind, manifest) for kind, manifest in objects.items()}
    return {kind: [declaration] for kind, declaration in found.items() if declaration is not None}


@pytest.fixture
def writer(tmp_path: Path) -> Writer:
    """An empty name database."""
    return Writer(tmp_path / "view")


async def serve(writer: Writer, tmp_path: Path, order: Sequence[str], *, far: bool) -> list[str]:
    """Read the clusters in this order, west being far away or not; what was asked of the process."""
    asked: list[str] = []
    controller = make_controller(writer, tmp_path, controller_metrics(), restart=lambda: asked.append("restart"))
    for name in order:
        controller.report(ClusterAdded(name, KINDS, "test"))
    for name in order:
        for kind, declarations in cluster("there" if far and name == "west" else "here").items():
            listed = declarations if kind is ObjectKind.NAMESPACE or name == "west" else []
            controller.report(KindListed(name, kind, tuple(listed)))
        await run_turns(5)  # a commit, and what it seals
    return asked


@pytest.mark.parametrize("order", [("east", "west"), ("west", "east")], ids=["own first", "own last"])
def test_a_neighbour_is_answered_with_its_pods(writer: Writer, tmp_path: Path, order: Sequence[str]) -> None:
    """A cluster that is read before the own one is not taken for far away, nor is anything read twice."""
    assert asyncio.run(serve(writer, tmp_path, order, far=False)) == []
    with writer.read() as tables:
        row = tables.row(NAME)
    assert row is not None
    assert not Row(row).is_empty_nonterminal


@pytest.mark.parametrize("order", [("east", "west"), ("west", "east")], ids=["own first", "own last"])
def test_pods_of_another_network_are_let_go(writer: Writer, tmp_path: Path, order: Sequence[str]) -> None:
    """Their addresses mean nothing from here, so that none is kept in the name database's declarations."""
    asyncio.run(serve(writer, tmp_path, order, far=True))
    with writer.read() as tables:
        kept = b"".join(value for _, value in tables.declarations.encoded())
    assert b"10.2.0.7" not in kept
