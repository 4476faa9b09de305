"""Zones and clusters of the settings as authority, mesh and explanations take them."""

import ast
from pathlib import Path

import msgspec
import pytest

from meshdns.authority.zone import ServedZone
from meshdns.config import Settings, parse_settings
from meshdns.config.translate import (
    explained_forward_zones,
    explained_zones,
    mesh_settings,
    nameserver_name,
    served_zones,
)
from meshdns.dns.names import to_text, to_wire
from meshdns.mesh.explain.model import ExplainedZone, ForwardZone
from meshdns.mesh.settings import AnswerMode, MeshZone
from meshdns.mesh.zone_hashes import ZoneHashes

PACKAGE = Path(__file__).parents[2] / "meshdns"

SETTINGS = parse_settings(
    b"""
apiVersion: meshdns/v1
listen: ["127.0.0.1:1053"]
sources: [{kind: manifests, path: ./clusters}]
zones:
  - {name: global, ttl: 7, negativeTtl: 3, answer: vip, fallthrough: true, wildcards: dns}
  - {name: plain.example}
fallback: [{zone: cluster.local, upstream: [10.0.0.10]}]
forward: [{zone: ., to: [10.0.0.53]}, {zone: corp.example, to: [10.0.0.54]}]
""",
    "meshdns.yaml",
)


def test_a_zone_has_one_meaning_in_three_forms() -> None:
    """What answers it, who explains it, and what the mesh makes of it agree."""
    servers = ("127.0.0.1",)
    served = [msgspec.structs.replace(zone, hashes=ZoneHashes(), route="") for zone in served_zones(SETTINGS)]
    assert served == [
        ServedZone(to_wire("global"), 7, 3, fallthrough=True, closest_encloser=True, servers=servers),
        ServedZone(to_wire("plain.example"), servers=servers),
        ServedZone(to_wire("cluster.local"), fallback=True),
    ]
    assert mesh_settings(SETTINGS).zones == (
        MeshZone("global", AnswerMode.VIP, 7, 3, closest_encloser=True, fallthrough=True),
        MeshZone("plain.example"),
        MeshZone("cluster.local", fallback=True),
    )
    assert list(explained_zones(SETTINGS)) == [
        ExplainedZone("global", "vip", 7, 3, fallthrough=True, closest_encloser=True),
        ExplainedZone("plain.example"),
        ExplainedZone("cluster.local", fallback=True, upstream=("10.0.0.10:53",)),
    ]
    assert list(explained_forward_zones(SETTINGS)) == [
        ForwardZone(".", ("10.0.0.53:53",)),
        ForwardZone("corp.example", ("10.0.0.54:53",)),
    ]
    assert mesh_settings(SETTINGS).forward_zones == ("corp.example",)


def test_nothing_else_translates_them() -> None:
    """Outside of mesh, whose defaults they are, only `config.translate` makes these values.

    `authority.zone` has one of its own, which stands for a forward zone inside a zone.
    """
    translated = {"ServedZone", "MeshZone", "MeshSettings", "ClusterSettings", "ExplainedZone", "ForwardZone"}
    makers = {
        str(module.relative_to(PACKAGE))
        for module in PACKAGE.rglob("*.py")
        for node in ast.walk(ast.parse(module.read_text("utf-8")))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in translated
    }
    assert {maker for maker in makers if not maker.startswith("mesh/")} == {
        "authority/zone.py",
        "config/translate.py",
    }


@pytest.mark.parametrize(
    ("zones", "servers"),
    [
        ([{"name": "10.in-addr.arpa"}, {"name": "global"}], ["ns.global", "ns.global"]),
        (
            [{"name": "d.f.ip6.arpa"}, {"name": "a.example"}, {"name": "b.example"}],
            ["ns.a.example"] * 2 + ["ns.b.example"],
        ),
        (
            [{"name": "corp.example", "fallthrough": True}, {"name": "10.in-addr.arpa"}, {"name": "global"}],
            ["ns.corp.example", "ns.global", "ns.global"],
        ),
        ([{"name": "10.in-addr.arpa"}], ["ns.10.in-addr.arpa"]),
        (
            [{"name": "10.in-addr.arpa"}, {"name": "corp.example", "fallthrough": True}],
            ["ns.10.in-addr.arpa", "ns.corp.example"],
        ),
    ],
)
def test_a_reverse_zone_is_served_by_a_name_that_has_an_address(
    zones: list[dict[str, object]], servers: list[str]
) -> None:
    """That of the first zone with names of its own; where there is none its own, for it must lead somewhere."""
    settings = Settings.model_validate({"zones": zones})
    assert [nameserver_name(zone, settings) for zone in settings.zones] == servers
    names = [to_text(zone.server) if zone.server else f"ns.{to_text(zone.apex)}" for zone in served_zones(settings)]
    assert names == servers
