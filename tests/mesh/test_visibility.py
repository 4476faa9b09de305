"""Who may speak for a name: exports, zones, namespaces, and what is discovered."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import pytest

from meshdns.mesh.objects.declarations import AnyDeclaration
from meshdns.mesh.settings import ClusterSettings, DiscoveryMode, MeshZone
from tests.mesh.scene import answer_for, endpoint_slice, entry, gateway, mesh, service

HOST = "reviews.prod.global"
UP = (service(), endpoint_slice("10.40.0.1"))
WEST_UP = (service(ip="10.96.1.7"), endpoint_slice("10.41.0.1"))
REMOTE = entry("198.51.100.4")


@dataclass(frozen=True)
class Case:
    """A mesh seen from east, and what ``reviews.prod.global`` (or another name) means there."""

    clusters: Mapping[str, Iterable[AnyDeclaration]]
    meaning: str
    settings: Mapping[str, Any] | None = None
    name: str = HOST


VISIBLE: dict[str, Case] = {
    # -------------------------------------------------------------------------------- visibility
    "not exported to all: lower levels answer": Case(
        {"east": (entry("198.51.100.2", exportTo=["."]), *UP)}, "10.96.0.7"
    ),
    "not exported to all, and nothing below": Case({"east": (entry("198.51.100.2", exportTo=["."]),)}, "absent"),
    "exported to all by a star": Case({"east": (entry("198.51.100.2", exportTo=["*"]),)}, "198.51.100.2"),
    "exported to a namespace and to all": Case(
        {"east": (entry("198.51.100.2", exportTo=["test", "*"]),)}, "198.51.100.2"
    ),
    "exportTo ignored by the zone": Case(
        {"east": (entry("198.51.100.2", exportTo=["."]),)},
        "198.51.100.2",
        {"zones": (MeshZone("global", public_only=False),)},
    ),
    "a malformed exportTo publishes nothing": Case({"east": (entry("198.51.100.2", exportTo="."),)}, "absent"),
    "a Service that is not exported": Case(
        {"east": (service(annotations={"networking.istio.io/exportTo": "."}),)}, "absent"
    ),
    "a Service exported to all": Case(
        {"east": (service(annotations={"networking.istio.io/exportTo": "., *"}),)}, "10.96.0.7"
    ),
    "outside the zones": Case(
        {"east": (entry("198.51.100.2", host="login.example.com"),)}, "absent", name="login.example.com"
    ),
    "a bare star": Case({"east": (entry("198.51.100.2", host="*"),)}, "absent", name="*"),
    "beside the zone": Case({"east": (entry("198.51.100.2", host="a.xglobal"),)}, "absent", name="a.xglobal"),
    "a cluster that may not speak for the zone": Case(
        {"west": (REMOTE, *WEST_UP)}, "absent", {"clusters": {"west": ClusterSettings(zones=("other",))}}
    ),
    "a namespace that may not speak": Case(
        {"west": (REMOTE, *WEST_UP)}, "absent", {"clusters": {"west": ClusterSettings(namespaces=("test",))}}
    ),
    "a namespace that may": Case(
        {"west": (REMOTE,)}, "198.51.100.4", {"clusters": {"west": ClusterSettings(namespaces=("prod",))}}
    ),
    "ownNamespace: its own host": Case(
        {"west": (REMOTE,)}, "198.51.100.4", {"clusters": {"west": ClusterSettings(own_namespace_hosts=True)}}
    ),
    "ownNamespace: the host of another": Case(
        {"west": (entry("198.51.100.4", namespace="test"),)},
        "absent",
        {"clusters": {"west": ClusterSettings(own_namespace_hosts=True)}},
    ),
    "ownNamespace: the svc host of another": Case(
        {"west": (entry("198.51.100.4", namespace="test", host="reviews.prod.svc.cluster.local"),)},
        "absent",
        {"clusters": {"west": ClusterSettings(own_namespace_hosts=True)}},
    ),
    "ownNamespace: a wildcard over the whole zone": Case(
        {"west": (entry("198.51.100.4", host="*.global"),)},
        "absent",
        {"clusters": {"west": ClusterSettings(own_namespace_hosts=True)}},
        name="*.global",
    ),
    "any: the host of another namespace": Case({"west": (entry("198.51.100.4", namespace="test"),)}, "198.51.100.4"),
    # -------------------------------------------------------------------------------- what is discovered
    "discover none": Case(
        {"west": WEST_UP}, "absent", {"clusters": {"west": ClusterSettings(discover=DiscoveryMode.NONE)}}
    ),
    "discover none: no svc hosts either": Case(
        {"west": (entry("198.51.100.4", host="reviews.prod.svc.cluster.local"),)},
        "absent",
        {"clusters": {"west": ClusterSettings(discover=DiscoveryMode.NONE)}},
    ),
    "discover none: ServiceEntries still": Case(
        {"west": (REMOTE,)}, "198.51.100.4", {"clusters": {"west": ClusterSettings(discover=DiscoveryMode.NONE)}}
    ),
    "discover labelled: unlabelled": Case(
        {"west": WEST_UP}, "absent", {"clusters": {"west": ClusterSettings(discover=DiscoveryMode.LABELLED)}}
    ),
    "discover labelled: labelled": Case(
        {"east": (service(labels={"meshdns.io/export": "true"}),)},
        "10.96.0.7",
        {"clusters": {"east": ClusterSettings(discover=DiscoveryMode.LABELLED)}},
    ),
    "labelled false": Case({"east": (service(labels={"meshdns.io/export": "false"}),)}, "absent"),
    "an ExternalName": Case({"east": (service(type="ExternalName", ip="", externalName="a.example"),)}, "absent"),
    "the API server": Case(
        {"east": (service("kubernetes", namespace="default"),)}, "absent", name="kubernetes.default.global"
    ),
    "kube-system": Case(
        {"east": (service("kube-dns", namespace="kube-system"),)}, "absent", name="kube-dns.kube-system.global"
    ),
    "a svc host in kube-system": Case(
        {"east": (entry("10.9.9.9", host="vm.kube-system.svc.cluster.local"),)}, "absent", name="vm.kube-system.global"
    ),
    "the system namespace": Case(
        {"east": (service("istiod", namespace="istio-system"),)}, "absent", name="istiod.istio-system.global"
    ),
    "a gateway outside the system namespace": Case(
        {"east": (gateway("203.0.113.10", name="gw", namespace="ingress"),)}, "absent", name="gw.ingress.global"
    ),
    "a gateway by network label": Case(
        {"east": (service("gw", namespace="ingress", labels={"topology.istio.io/network": "net-e"}),)},
        "absent",
        name="gw.ingress.global",
    ),
}


@pytest.mark.parametrize("name", VISIBLE)
def test_who_may_speak(name: str) -> None:
    """What may not speak for a name leaves it to the lower levels, or absent."""
    case = VISIBLE[name]
    assert answer_for(mesh(**(case.settings or {})), {"east": [], **case.clusters}, case.name) == case.meaning
