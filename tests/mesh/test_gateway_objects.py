"""Every way in which a gateway can be given: node ports, Gateway API, ports, what is pending, and what is wrong."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec
import pytest

from meshdns.mesh.inventory import InvalidationSet, Inventory
from meshdns.mesh.objects.declarations import AnyDeclaration, ObjectKind
from meshdns.mesh.passthrough import passes_tls
from meshdns.mesh.settings import ClusterSettings
from meshdns.mesh.topology import Topology, build_topology, topology_problems
from tests.mesh.scene import answer_for, entry, gateway, mesh, on_networks, parse_declaration, service, system_namespace

NETWORK = {"topology.istio.io/network": "net-c"}
ELSEWHERE = {"topology.istio.io/network": "net-x"}
NOBODYS = {"topology.istio.io/network": "net-nobody"}
MANAGED = "gateway.istio.io/managed"
WAYPOINT = {**NETWORK, MANAGED: "istio.io-mesh-controller"}

PORT = "networking.istio.io/gatewayPort"
EVERY_NODE = {"traffic.istio.io/nodeSelector": "{}"}
EDGE = {"traffic.istio.io/nodeSelector": '{"edge": "yes"}'}
NETWORKS = on_networks(c="net-c", same="net-c", other="net-o")
MESH_PORTS = ({"port": 15443, "nodePort": 31443}, {"port": 80, "nodePort": 30080})

Clusters = Mapping[str, Iterable[AnyDeclaration]]


def api_gateway(
    *assigned: str,
    requested: Iterable[str] = (),
    of_class: str = "istio-east-west",
    labels: Mapping[str, str] = NETWORK,
    ports: Iterable[int] = (15443,),
    name: str = "api",
    **listener: Any,
) -> AnyDeclaration:
    """A Gateway of the Gateway API, labelled for network net-c where nothing else is said."""
    listeners = [{"port": port, "protocol": "TLS", **listener} for port in ports]
    spec = {"gatewayClassName": of_class, "listeners": listeners, "addresses": typed(requested)}
    metadata = {"name": name, "namespace": "istio-system", "labels": labels}
    return parse_declaration(
        ObjectKind.GATEWAY, {"metadata": metadata, "spec": spec, "status": {"addresses": typed(assigned)}}
    )


def typed(addresses: Iterable[str]) -> list[dict[str, str]]:
    """Addresses as the Gateway API writes them."""
    return [{"type": "IPAddress" if ":" in a or a[-1].isdigit() else "Hostname", "value": a} for a in addresses]


def node(name: str, *addresses: str, **labels: str) -> AnyDeclaration:
    """A Node with these external addresses, and an internal one."""
    items = [{"type": "ExternalIP", "address": text} for text in addresses]
    status = {"addresses": [{"type": "InternalIP", "address": "10.0.0.1"}, *items]}
    return parse_declaration(ObjectKind.NODE, {"metadata": {"name": name, "labels": labels}, "status": status})


def node_port(annotations: Mapping[str, str] | None = None, **more: Any) -> AnyDeclaration:
    """A gateway's Service of type NodePort: 15443 at 31443."""
    labels = {"istio": "eastwestgateway"}
    spec = {"type": "NodePort", "ports": list(MESH_PORTS), **more}
    return service("nodeport", namespace="istio-system", labels=labels, annotations=annotations, **spec)


def at_ports(port: Mapping[str, Any], labels: Mapping[str, str] = NETWORK) -> AnyDeclaration:
    """A gateway's Service of type LoadBalancer with one port, written out."""
    return service("gateway", namespace="istio-system", labels=labels, ingress=["198.51.100.9"], ports=[port])


NODES = (
    node("n1", "203.0.113.1", "2001:db8::1", edge="yes", zone="a"),
    node("n2", "203.0.113.2"),
    node("n3", edge="yes"),
)


def known(clusters: Clusters, **own: Any) -> Inventory:
    """An inventory of these clusters; `own` are settings of cluster c."""
    settings = {**NETWORKS, "c": ClusterSettings(**{"network": "net-c", **own})}
    inventory = Inventory(mesh(clusters=settings))
    for name, declarations in clusters.items():
        inventory.ensure_cluster(name)
        for declaration in declarations:
            inventory.upsert(name, declaration, InvalidationSet())
    return inventory


def shown(topology: Topology, cluster: str = "c") -> str:
    """The gateways of a cluster: ``address:port`` each, or ``pending`` or ``none``."""
    found = topology.gateways[cluster]
    listed = " ".join(f"{each.address}:{each.port}" for each in found.members)
    return listed or ("pending" if found.pending else "none")


# ------------------------------------------------------------------------------------------------ where they are


@dataclass(frozen=True)
class Case:
    """What the clusters hold, and the gateways of cluster c."""

    clusters: Clusters
    gateways: str


LABELLED = gateway("198.51.100.2", name="labelled", labels=NETWORK)
WAYPOINT_GATEWAY = api_gateway("10.96.0.9", of_class="istio-waypoint", ports=(15008,), protocol="HBONE")
EAST_WEST = gateway("198.51.100.3", name="eastwest")

TABLE: dict[str, Case] = {
    "NodePort: the external addresses of every node, at the node port": Case(
        {"c": (node_port(EVERY_NODE), *NODES)}, "203.0.113.1:31443 203.0.113.2:31443 2001:db8::1:31443"
    ),
    "NodePort: the nodes that the annotation selects": Case(
        {"c": (node_port(EDGE), *NODES)}, "203.0.113.1:31443 2001:db8::1:31443"
    ),
    "NodePort: nodes of another cluster are none": Case({"c": (node_port(EVERY_NODE),), "same": NODES}, "pending"),
    "NodePort without the annotation has no address and waits for none": Case({"c": (node_port(), *NODES)}, "none"),
    "NodePort with an annotation that is no object": Case(
        {"c": (node_port({"traffic.istio.io/nodeSelector": "all"}), *NODES)}, "none"
    ),
    "NodePort whose port is not allocated yet": Case(
        {"c": (node_port(EVERY_NODE, ports=[{"port": 15443}]), *NODES)}, "pending"
    ),
    "NodePort: external IPs are dialled at the gateway port": Case(
        {"c": (node_port(externalIPs=["198.51.100.8"]), *NODES)}, "198.51.100.8:15443"
    ),
    "LoadBalancer with the annotation: its nodes are not asked": Case(
        {"c": (node_port(EVERY_NODE, type="LoadBalancer", externalIPs=["198.51.100.9"]), *NODES)}, "198.51.100.9:15443"
    ),
    "Gateway API: every status address": Case(
        {"c": (api_gateway("203.0.113.9", "gw.example.com", "2001:db8::9"),)},
        "203.0.113.9:15443 2001:db8::9:15443 gw.example.com:15443",
    ),
    "Gateway API: what its spec asks for is not what it has": Case(
        {"c": (api_gateway(requested=["203.0.113.9"]),)}, "pending"
    ),
    "Gateway API: an unspecified address is none": Case({"c": (api_gateway("0.0.0.0", "::"),)}, "pending"),  # noqa: S104 - what Istio writes
    "Gateway API: a Service's host name is none": Case(
        {"c": (api_gateway("api-istio.istio-system.svc.cluster.local"),)}, "pending"
    ),
    "Gateway API: the real addresses among them": Case(
        {"c": (api_gateway("127.0.0.1", "203.0.113.9", "fe80::1"),)}, "203.0.113.9:15443"
    ),
    "Gateway API: class istio-remote by its spec": Case(
        {"c": (api_gateway("203.0.113.8", requested=["203.0.113.9", "gw.example.com"], of_class="istio-remote"),)},
        "203.0.113.9:15443 gw.example.com:15443",
    ),
    "Gateway API: class istio-remote without address waits for none": Case(
        {"c": (api_gateway("203.0.113.8", of_class="istio-remote"),)}, "none"
    ),
    "Gateway API: without the label of the network it is no gateway": Case(
        {"c": (api_gateway("203.0.113.9", labels={"istio": "eastwestgateway"}),)}, "none"
    ),
    "Gateway API: labelled for another network": Case({"c": (api_gateway("203.0.113.9", labels=ELSEWHERE),)}, "none"),
    "Gateway API: without a listener on the gateway port": Case(
        {"c": (api_gateway("203.0.113.9", ports=(80, 443)),)}, "none"
    ),
    "Gateway API: HBONE alone": Case(
        {"c": (api_gateway("203.0.113.9", ports=(80, 15008), protocol="HBONE"),)}, "203.0.113.9:15008"
    ),
    "Gateway API: a UDP listener does not offer it": Case({"c": (api_gateway("203.0.113.9", protocol="UDP"),)}, "none"),
    "Gateway API: the port by label": Case(
        {"c": (api_gateway("203.0.113.9", ports=(443, 15443), labels={**NETWORK, PORT: "443"}),)}, "203.0.113.9:443"
    ),
    "a UDP port of a Service does not offer it": Case({"c": (at_ports({"port": 15443, "protocol": "UDP"}),)}, "none"),
    "a labelled Service and a labelled Gateway count alike": Case(
        {"c": (LABELLED, api_gateway("203.0.113.9"), EAST_WEST)}, "198.51.100.2:15443 203.0.113.9:15443"
    ),
    "a Gateway and the Service made for it are one place": Case(
        {"c": (api_gateway("198.51.100.2"), LABELLED)}, "198.51.100.2:15443"
    ),
    "a Gateway in another cluster of the network, before the fallbacks": Case(
        {"c": (EAST_WEST,), "same": (api_gateway("203.0.113.9"),)}, "203.0.113.9:15443"
    ),
    "a labelled Gateway in a cluster of another network is not ours": Case(
        {"c": (EAST_WEST,), "other": (api_gateway("203.0.113.9"),)}, "198.51.100.3:15443"
    ),
    "istio-remote in a cluster of another network stands for ours": Case(
        {"c": (EAST_WEST,), "other": (api_gateway(requested=["203.0.113.9"], of_class="istio-remote"),)},
        "203.0.113.9:15443",
    ),
    "what the network's own clusters hold comes before istio-remote": Case(
        {
            "c": (),
            "same": (LABELLED,),
            "other": (api_gateway(requested=["203.0.113.9"], of_class="istio-remote"),),
        },
        "198.51.100.2:15443",
    ),
    "one that waits yields to the next kind": Case({"c": (api_gateway(), EAST_WEST)}, "198.51.100.3:15443"),
    "a load balancer's loopback address is none": Case({"c": (gateway("127.0.0.1"),)}, "pending"),
}


@pytest.mark.parametrize("name", TABLE)
def test_gateways_of_a_cluster(name: str) -> None:
    """The first kind that yields an address, all its addresses, each with the port to dial."""
    case = TABLE[name]
    assert shown(build_topology(known(case.clusters))) == case.gateways


@pytest.mark.parametrize("name", TABLE)
def test_the_order_of_arrival_changes_nothing(name: str) -> None:
    """Clusters and objects in the opposite order give the same topology."""
    clusters = TABLE[name].clusters
    backwards = {key: tuple(reversed(tuple(clusters[key]))) for key in reversed(list(clusters))}
    assert build_topology(known(backwards)) == build_topology(known(clusters))


EXPLICIT: dict[str, str] = {
    "203.0.113.7": "203.0.113.7 15443",
    "203.0.113.7:443": "203.0.113.7 443",
    "2001:db8::7": "2001:db8::7 15443",
    "[2001:db8::7]:443": "2001:db8::7 443",
    "gw.example.com": "gw.example.com 15443",
    "gw.example.com:15008": "gw.example.com 15008",
}


@pytest.mark.parametrize("text", EXPLICIT)
def test_the_setting_names_an_address_and_perhaps_a_port(text: str) -> None:
    """Without one it is 15443; what the cluster holds is not asked."""
    found = build_topology(known({"c": (LABELLED,)}, gateways=(text,))).gateways["c"].members
    assert [f"{each.address} {each.port}" for each in found] == [EXPLICIT[text]]


def test_one_gateway_serves_every_cluster_of_its_network() -> None:
    """All clusters of net-c have it, and it belongs to the one that holds it."""
    topology = build_topology(known({"c": (), "same": (LABELLED,), "other": ()}))
    assert (shown(topology, "c"), shown(topology, "same"), shown(topology, "other")) == (
        "198.51.100.2:15443",
        "198.51.100.2:15443",
        "none",
    )
    assert [each.owner for each in topology.gateways_by_address["198.51.100.2"]] == ["same"]


def test_istio_remote_belongs_to_the_cluster_it_stands_for() -> None:
    """Its holder is elsewhere: an endpoint with that address is not the holder's own gateway."""
    remote = api_gateway(requested=["203.0.113.9"], of_class="istio-remote")
    topology = build_topology(known({"c": (), "other": (remote,)}))
    assert [(each.owner, each.origin) for each in topology.gateways_by_address["203.0.113.9"]] == [
        ("c", "Gateway istio-system/api")
    ]


# ------------------------------------------------------------------------------------------------ what is wrong

NO_ADDRESS_YET = "has no address yet"
WRONG: dict[str, tuple[Clusters, list[str]]] = {
    "nothing": ({"c": (LABELLED, EAST_WEST, service(), *NODES)}, []),
    "a load balancer without address": (
        {"c": (gateway(),)},
        ["c Service istio-system/gateway status.loadBalancer.ingress has no address yet"],
    ),
    "one of two labelled ones waits": (
        {"c": (LABELLED, api_gateway())},
        ["c Gateway istio-system/api status.addresses has no address yet"],
    ),
    "it waits, and a fallback serves meanwhile": (
        {"c": (gateway(name="labelled", labels=NETWORK), EAST_WEST)},
        ["c Service istio-system/labelled status.loadBalancer.ingress has no address yet"],
    ),
    "a fallback that waits matters to nobody": ({"c": (LABELLED, gateway())}, []),
    "nor where another cluster's gateway serves": ({"c": (gateway(),), "same": (LABELLED,)}, []),
    "a ClusterIP Service": (
        {"c": (gateway(type="ClusterIP"),)},
        ["c Service istio-system/gateway spec.type has no address and will get none"],
    ),
    "the Service and Gateway of a waypoint": (
        {"c": (gateway(type="ClusterIP", labels=WAYPOINT), WAYPOINT_GATEWAY)},
        [],
    ),
    "a waypoint that is to be reached from outside": (
        {"c": (gateway(type="LoadBalancer", labels=WAYPOINT),)},
        ["c Service istio-system/gateway status.loadBalancer.ingress has no address yet"],
    ),
    "a Service that another controller made": (
        {"c": (gateway(type="ClusterIP", labels={**WAYPOINT, MANAGED: "istio.io-gateway-controller"}),)},
        ["c Service istio-system/gateway spec.type has no address and will get none"],
    ),
    "NodePort without annotation": (
        {"c": (node_port(), *NODES)},
        [
            (
                "c Service istio-system/nodeport metadata.annotations.traffic.istio.io/nodeSelector"
                " has no address and will get none"
            )
        ],
    ),
    "NodePort that selects no node with an address": (
        {"c": (node_port(EDGE), NODES[1], NODES[2])},
        ["c Service istio-system/nodeport metadata.annotations.traffic.istio.io/nodeSelector has no address yet"],
    ),
    "a labelled Service without the gateway port": (
        {"c": (gateway("198.51.100.9", labels=NETWORK, ports=(80, 443)),)},
        ["c Service istio-system/gateway spec.ports does not offer the gateway port 15443 or 15008"],
    ),
    "a port by label that is not offered": (
        {"c": (gateway("198.51.100.9", labels={**NETWORK, PORT: "444"}),)},
        ["c Service istio-system/gateway spec.ports does not offer the gateway port 444"],
    ),
    "a labelled Gateway without the gateway port": (
        {"c": (api_gateway("203.0.113.9", ports=(443,)),)},
        ["c Gateway istio-system/api spec.listeners does not offer the gateway port 15443 or 15008"],
    ),
    "an ordinary ingress gateway is in order": (
        {"c": (gateway("198.51.100.9", labels={"istio": "ingressgateway"}, ports=(80, 443)),)},
        [],
    ),
    "addresses that mean nothing elsewhere": (
        {"c": (api_gateway("::", "api-istio.istio-system.svc.cluster.local"),)},
        [
            (
                "c Gateway istio-system/api status.addresses has no address that means anything outside the cluster,"
                " only ::, api-istio.istio-system.svc.cluster.local"
            )
        ],
    ),
    "istio-remote without address": (
        {"c": (api_gateway(of_class="istio-remote"),)},
        ["c Gateway istio-system/api spec.addresses has no address and will get none"],
    ),
    "a label that names another network": (
        {
            "c": (LABELLED, gateway("198.51.100.9", name="astray", labels=ELSEWHERE)),
            "x": (system_namespace("net-x"), EAST_WEST),
        },
        [
            (
                "c Service istio-system/astray metadata.labels.topology.istio.io/network"
                " is labelled for network net-x, but cluster c is not on it: the label does not count"
            )
        ],
    ),
    "a label that names a network which nobody is on": (
        {"c": (LABELLED, gateway("198.51.100.9", name="astray", labels=NOBODYS))},
        [
            (
                "c Service istio-system/astray metadata.labels.topology.istio.io/network"
                " is labelled for network net-nobody, which no cluster is on:"
                " only endpoints of that network are led there"
            )
        ],
    ),
    "a gateway without address into a network which nobody is on": (
        {"c": (LABELLED, api_gateway(labels=NOBODYS, of_class="istio-remote"))},
        ["c Gateway istio-system/api spec.addresses has no address and will get none"],
    ),
    "istio-remote is labelled for another network on purpose": (
        {"c": (LABELLED, api_gateway(requested=["203.0.113.9"], labels=ELSEWHERE, of_class="istio-remote"))},
        [],
    ),
}


def test_a_waypoint_leads_nobody_into_its_cluster() -> None:
    """Neither the ClusterIP of its Service nor the address that its Gateway is given is one of a gateway."""
    inventory = known({"c": (gateway(type="ClusterIP", labels=WAYPOINT), WAYPOINT_GATEWAY)})
    assert inventory.clusters["c"].gateway_services == {}
    assert inventory.clusters["c"].gateways == {}


def problems(inventory: Inventory) -> list[str]:
    """The problems of a topology for people, without their advice."""
    found = topology_problems(inventory, build_topology(inventory))
    return [f"{cluster} {p.object} {p.namespace}/{p.name} {p.field} {p.reason}" for cluster, p in found]


@pytest.mark.parametrize("name", WRONG)
def test_a_gateway_object_that_leads_nowhere_is_a_problem(name: str) -> None:
    """Its object, the field that lacks something, and what."""
    clusters, expected = WRONG[name]
    assert problems(known(clusters)) == expected


def test_every_problem_says_what_to_do() -> None:
    """The advice is never empty."""
    for clusters, _ in WRONG.values():
        inventory = known(clusters)
        assert all(problem.advice for _, problem in topology_problems(inventory, build_topology(inventory)))


def test_where_the_setting_overrules_the_objects_nothing_is_wrong_with_them() -> None:
    """They are not looked at."""
    assert problems(known({"c": (gateway(),)}, gateways=())) == []


# ------------------------------------------------------------------------------------------------ what a change touches


def touches(inventory: Inventory, declaration: AnyDeclaration) -> bool:
    """Whether a change of cluster c has the topology taken anew."""
    touched = InvalidationSet()
    assert inventory.upsert("c", declaration, touched)
    return touched.topology_changed


def test_nodes_touch_the_topology_only_where_a_gateway_rests_on_them() -> None:
    """Without a NodePort gateway with the annotation they may change as they like."""
    moved = node("n1", "203.0.113.77")
    assert not touches(known({"c": (node_port(), *NODES)}), moved)
    assert touches(known({"c": (node_port(EDGE), *NODES)}), moved)


def test_a_node_that_goes_takes_its_addresses_along() -> None:
    """The next survey is without it."""
    inventory = known({"c": (node_port(EVERY_NODE), *NODES)})
    touched = InvalidationSet()
    inventory.remove("c", (ObjectKind.NODE, "", "n1"), touched)
    assert touched.topology_changed
    assert shown(build_topology(inventory)) == "203.0.113.2:31443"


def test_only_gateways_labelled_for_a_network_touch_the_topology() -> None:
    """Those that lead into a cluster from outside the mesh do not; one that loses its label does."""
    assert touches(known({}), api_gateway())
    assert not touches(known({}), api_gateway(labels={}))
    inventory = known({"c": (api_gateway("203.0.113.9"),)})
    assert touches(inventory, api_gateway("203.0.113.9", labels={}))
    assert shown(build_topology(inventory)) == "none"


def test_a_pod_touches_the_workloads_of_its_namespace() -> None:
    """It is indexed there until it goes."""
    inventory, touched = known({}), InvalidationSet()
    inventory.upsert(
        "c", parse_declaration(ObjectKind.POD, {"metadata": {"name": "db-0", "namespace": "prod"}}), touched
    )
    assert list(inventory.clusters["c"].pods["prod"]) == ["db-0"]
    inventory.remove("c", (ObjectKind.POD, "prod", "db-0"), touched)
    assert touched.workloads == {("c", "prod")}
    assert not inventory.clusters["c"].pods


# ---------------------------------------------------------------------------------------------- what they pass through


def istio_gateway(
    *hosts: str, port: int = 15443, mode: str = "AUTO_PASSTHROUGH", selector: str = "eastwestgateway"
) -> AnyDeclaration:
    """An Istio Gateway with one server."""
    servers = [{"port": {"number": port}, "hosts": list(hosts), "tls": {"mode": mode}}]
    metadata = {"name": "cross-network", "namespace": "istio-system"}
    return parse_declaration(
        ObjectKind.ISTIO_GATEWAY, {"metadata": metadata, "spec": {"selector": {"istio": selector}, "servers": servers}}
    )


AUTOMATIC = {"mode": "Passthrough", "options": {"gateway.istio.io/listener-protocol": "auto-passthrough"}}
TARGETED = at_ports({"port": 443, "targetPort": 8443}, labels={**NETWORK, PORT: "443"})
REVIEWS = entry("10.0.0.7")

PASSED: dict[str, tuple[tuple[AnyDeclaration, ...], bool | None]] = {
    "nothing is read": ((EAST_WEST,), None),
    "its suffix": ((istio_gateway("*.global"),), True),
    "another suffix only": ((istio_gateway("*.local"),), False),
    "one of several": ((istio_gateway("*.local", "reviews.prod.global"),), True),
    "all": ((istio_gateway("*"),), True),
    "any namespace": ((istio_gateway("*/*.global"),), True),
    "its own namespace": ((istio_gateway("prod/*.global"), REVIEWS), True),
    "another namespace": ((istio_gateway("other/*.global"), REVIEWS), False),
    "the Gateway's own namespace, which is another": ((istio_gateway("./*.global"), REVIEWS), False),
    "a namespace, where the host's is not known": ((istio_gateway("other/*.global"),), True),
    "TLS that ends there": ((istio_gateway("*.global", mode="ISTIO_MUTUAL"),), False),
    "passthrough that needs a route": ((istio_gateway("*.global", mode="PASSTHROUGH"),), False),
    "another port": ((istio_gateway("*.global", port=443),), False),
    "the port of the gateway's pods": ((TARGETED, istio_gateway("*.global", port=8443)), True),
    "a selector for other pods": ((EAST_WEST, istio_gateway("*.global", selector="ingressgateway")), False),
    "a selector for pods of a Service without that label": (
        (LABELLED, istio_gateway("*.global", selector="ingressgateway")),
        True,
    ),
    "a listener for all hosts": ((api_gateway(),), True),
    "a listener for others": ((api_gateway(hostname="*.local"),), False),
    "a listener that says so on another port": ((api_gateway(ports=(15008, 8443), tls=AUTOMATIC),), True),
    "a listener that is no TLS": ((api_gateway(ports=(15008,), protocol="HBONE"),), None),
}


def passed(clusters: Mapping[str, Iterable[AnyDeclaration]], host: str) -> bool | None:
    """Whether the gateways of cluster c pass a host through."""
    inventory = known(clusters)
    return passes_tls(build_topology(inventory).passthrough.get("c"), inventory, "c", host)


@pytest.mark.parametrize("name", PASSED)
def test_whether_a_gateway_passes_a_host_through(name: str) -> None:
    """For reviews.prod.global in cluster c."""
    declarations, expected = PASSED[name]
    assert passed({"c": declarations}, "reviews.prod.global") is expected


def test_a_service_host_is_in_the_namespace_that_it_names() -> None:
    """No ServiceEntry has to declare it."""
    clusters = {"c": (istio_gateway("prod/*.local"),)}
    assert passed(clusters, "reviews.prod.svc.cluster.local")
    assert not passed(clusters, "reviews.test.svc.cluster.local")


def test_nothing_is_known_of_a_cluster_that_is_not_there() -> None:
    """It is no refusal."""
    assert passed({}, "reviews.prod.global") is None


REMOTE = api_gateway(requested=["203.0.113.9"], labels=NOBODYS, of_class="istio-remote")
VM = entry({"address": "10.9.0.1", "network": "net-nobody"})

LED: dict[str, tuple[Clusters, str]] = {
    # the VM is of a network that no cluster is on, seen from cluster east
    "nothing leads there": ({"west": (VM,)}, "NODATA"),
    "a gateway written for one elsewhere": ({"west": (VM, REMOTE)}, "203.0.113.9"),
    "in a third cluster": ({"west": (VM,), "c": (REMOTE,)}, "203.0.113.9"),
    "in the own cluster": ({"west": (VM,), "east": (REMOTE,)}, "203.0.113.9"),
    "a labelled Service of a cluster on another network": (
        {"west": (VM,), "c": (gateway("203.0.113.8", labels=NOBODYS),)},
        "203.0.113.8",
    ),
    "all of them": (
        {"west": (VM, REMOTE), "c": (gateway("203.0.113.8", labels=NOBODYS),)},
        "203.0.113.8 203.0.113.9",
    ),
    "one that has no address yet": ({"west": (VM,), "c": (gateway(labels=NOBODYS),)}, "PENDING"),
    "one without the gateway port": (
        {"west": (VM,), "c": (gateway("203.0.113.8", labels=NOBODYS, ports=(443,)),)},
        "NODATA",
    ),
    "a cluster that is on it has the say": (
        {"west": (VM, REMOTE), "x": (system_namespace("net-nobody"), gateway("203.0.113.7", labels=NOBODYS))},
        "203.0.113.7",
    ),
    "a cluster that is on it and has no gateway of its own": (
        {"west": (VM, REMOTE), "x": (system_namespace("net-nobody"),)},
        "203.0.113.9",
    ),
}


@pytest.mark.parametrize("name", LED)
def test_a_network_without_clusters_is_known_by_the_gateways_into_it(name: str) -> None:
    """All objects that are labelled with it, whichever cluster holds them, until a cluster is on it."""
    clusters, expected = LED[name]
    settings = mesh(clusters=on_networks(east="net-e", west="net-w", c="net-c"))
    assert answer_for(settings, {"east": (), **clusters}) == expected


def test_a_network_that_the_settings_name_needs_no_cluster() -> None:
    """A labelled Service that leads there is no mistake."""
    inventory = known({"c": (LABELLED, gateway("198.51.100.9", name="led", labels=NOBODYS))})
    inventory.settings = msgspec.structs.replace(inventory.settings, networks={"net-nobody": ()})
    assert problems(inventory) == []


def test_a_gateway_into_another_network_is_shown_with_its_holder() -> None:
    """It is none of the holder's own gateways, and stands beside them."""
    topology = build_topology(known({"c": (LABELLED, REMOTE)}))
    assert [(each.address, each.network) for each in topology.gateways_in_cluster("c")] == [
        ("198.51.100.2", ""),
        ("203.0.113.9", "net-nobody"),
    ]
    assert [each.address for each in topology.gateways["c"].members] == ["198.51.100.2"]
