"""One mesh in which every kind of field gives a candidate, and its answers as version 0.1 encoded them."""

from pathlib import Path
from typing import Final

import msgspec

from meshdns.mesh.name_table import NameTable
from meshdns.mesh.objects.declarations import AnyDeclaration, ObjectKind
from meshdns.mesh.settings import MeshZone
from tests.mesh.scene import (
    endpoint_slice,
    entry,
    gateway,
    mesh,
    name_table,
    on_networks,
    parse_declaration,
    service,
    static,
    workload_entry,
)

RECORDED: Final = Path(__file__).parent / "answers-0.1.json"
"""By name the octets that version 0.1 wrote for `answer_scene`, as Base64."""

VIPS: Final = ["240.0.0.1", "240.0.0.2"]


def pod(name: str, address: str, **labels: str) -> AnyDeclaration:
    """A ready Pod."""
    metadata = {"name": name, "namespace": "prod", "labels": labels}
    status = {"podIPs": [{"ip": address}], "conditions": [{"type": "Ready", "status": "True"}]}
    return parse_declaration(ObjectKind.POD, {"metadata": metadata, "status": status})


def answer_scene() -> NameTable:
    """The mesh: static records, endpoints, selected workloads and pods, real addresses, VIPs, Services, pod names."""
    vip = {"meshdns.io/answer": "vip"}
    selector = {"labels": {"app": "db"}}
    east = (
        entry(*(f"203.0.113.{number}" for number in range(1, 18)), host="many.prod.global", name="many"),
        entry(host="db.prod.global", name="db", workloadSelector=selector),
        workload_entry("vm", "10.40.0.9", app="db"),
        pod("db-0", "10.40.0.8", app="db"),
        entry(host="*.prod.global", name="all", resolution="NONE", addresses=["203.0.113.90", "203.0.113.91"]),
        entry("198.51.100.1", host="vip.prod.global", name="vip", annotations=vip, addresses=VIPS),
        entry(host="self.prod.global", name="self", resolution="DNS"),
        entry("vm.corp.example", "127.0.0.1", host="wait.prod.global", name="wait", resolution="DNS"),
        service("down", "10.96.0.5"),
        endpoint_slice("10.40.0.5", service_name="down", ready=False),
        service("reviews", "None"),
        endpoint_slice("10.40.0.7", hostname="reviews-0"),
    )
    west = (
        entry("10.41.0.1", "198.51.100.4", host="many.prod.global", name="many"),
        entry("10.41.0.2", "10.41.0.3", host="far.prod.global", name="far"),
        gateway("203.0.113.120", "203.0.113.121"),
        gateway("203.0.113.120", name="again", labels={"istio": "ingressgateway"}),
    )
    north = (entry("203.0.113.5", host="both.prod.global", name="both"),)
    south = (entry("203.0.113.5", "203.0.113.6", host="both.prod.global", name="both"),)
    settings = mesh(
        zones=(MeshZone("global", order=("north",)),),
        clusters=on_networks(east="e", west="w", north="n", south="s"),
        records=(static("fixed.prod.global", "192.0.2.1", 60),),
    )
    made = name_table(settings, {"east": east, "west": west, "north": north, "south": south})
    made.set_health("203.0.113.120", 15443, healthy=False)
    return made


def recorded_answers() -> dict[str, bytes]:
    """What version 0.1 wrote, by name."""
    return msgspec.json.decode(RECORDED.read_bytes(), type=dict[str, bytes])
