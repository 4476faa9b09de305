"""What a name gives rise to beside its addresses: pods, parts by cluster, ports, pointers; and names of other kinds."""

from collections.abc import Iterable, Mapping
from ipaddress import ip_network

import pytest

from meshdns.mesh.answer import AnswerKind, AnswerPart
from meshdns.mesh.objects.declarations import AnyDeclaration, EndpointSlice, ObjectKind
from meshdns.mesh.service_ports import ServicePort
from meshdns.mesh.settings import AnswerMode, ClusterSettings, MeshSettings, MeshZone, StaticRecord
from tests.mesh.scene import (
    answer_for,
    answers,
    endpoint_slice,
    entry,
    gateway,
    mesh,
    name_table,
    on_networks,
    parse_declaration,
    service,
    static,
    system_namespace,
)

NETWORKS = on_networks(east="net-e", near="net-e", west="net-w", far="net-f")
HOST = "reviews.prod.global"
HTTP = [{"name": "http", "port": 80}]
PORTS = [{"name": "http", "number": 80, "protocol": "HTTP"}, {"name": "dns", "number": 53, "protocol": "UDP"}]
WEST_GATEWAY = gateway("203.0.113.20")
HEADLESS = service(ip="None", ports=HTTP)


def seen(clusters: Mapping[str, Iterable[AnyDeclaration]], name: str = HOST, **more: object) -> str:
    """What a name means from east."""
    return answer_for(mesh(**{"clusters": NETWORKS, **more}), {"east": (), **clusters}, name)


# ---------------------------------------------------------------------------------------------------- pods


PODS: dict[str, tuple[Mapping[str, Iterable[AnyDeclaration]], str]] = {
    "the own cluster's": ({"east": (HEADLESS, endpoint_slice("10.40.0.1", hostname="db-0"))}, "10.40.0.1"),
    "a cluster's on the own network": ({"near": (HEADLESS, endpoint_slice("10.40.0.1", hostname="db-0"))}, "10.40.0.1"),
    "the own before those on the network": (
        {
            "east": (HEADLESS, endpoint_slice("10.40.0.1", hostname="db-0")),
            "near": (HEADLESS, endpoint_slice("10.42.0.1", hostname="db-0")),
        },
        "10.40.0.1",
    ),
    "another network's never": (
        {"west": (HEADLESS, endpoint_slice("10.41.0.1", hostname="db-0"), WEST_GATEWAY)},
        "absent",
    ),
    "not of a Service with a ClusterIP": (
        {"east": (service(), endpoint_slice("10.40.0.1", hostname="db-0"))},
        "absent",
    ),
    "another host name": ({"east": (HEADLESS, endpoint_slice("10.40.0.1", hostname="db-1"))}, "absent"),
    "one that is not ready, where no other is": (
        {"east": (HEADLESS, endpoint_slice("10.40.0.1", hostname="db-0", ready=False))},
        "10.40.0.1",
    ),
}


@pytest.mark.parametrize("name", PODS)
def test_pods_of_headless_services_have_names(name: str) -> None:
    """``<hostname>.<service>.<namespace>.<zone>``, in the own cluster and on the own network."""
    clusters, expected = PODS[name]
    assert seen(clusters, f"db-0.{HOST}") == expected


# --------------------------------------------------------------------------------------- parts and ports


def test_what_is_reached_in_each_cluster_is_kept_apart() -> None:
    """Ready or not, chosen or not: ``<cluster>.<host>``."""
    clusters = {
        "east": (service(ports=HTTP), endpoint_slice("10.40.0.1")),
        "west": (service(ports=HTTP), endpoint_slice("10.41.0.1", ready=False), WEST_GATEWAY),
        "far": (entry("198.51.100.4"),),
    }
    found = answers(mesh(clusters=NETWORKS), clusters)[HOST]
    assert [(part.cluster, part.ipv4) for part in found.parts] == [
        ("east", ("10.96.0.7",)),
        ("far", ("198.51.100.4",)),
        ("west", ("203.0.113.20",)),
    ]


SRV: dict[str, tuple[Mapping[str, Iterable[AnyDeclaration]], tuple[ServicePort, ...]]] = {
    "an endpoint's own port": (
        {"east": (entry({"address": "10.1.1.1", "ports": {"http": 8080}}, ports=PORTS),)},
        (ServicePort("dns", "udp", ((53, ""),)), ServicePort("http", "tcp", ((8080, ""),))),
    ),
    "through a gateway: its port, and no UDP": (
        {"west": (entry("10.1.1.1", ports=PORTS), WEST_GATEWAY)},
        (ServicePort("http", "tcp", ((15443, ""),)),),
    ),
    "a ClusterIP: the Service's": (
        {"east": (service(ports=[{"name": "http", "port": 80, "targetPort": 8080}]),)},
        (ServicePort("http", "tcp", ((80, ""),)),),
    ),
    "pods: those of their slice": (
        {
            "east": (
                service(ip="None", ports=HTTP),
                parse_declaration(
                    ObjectKind.ENDPOINT_SLICE,
                    {
                        "metadata": {
                            "name": "reviews-1",
                            "namespace": "prod",
                            "labels": {"kubernetes.io/service-name": "reviews"},
                        },
                        "endpoints": [{"addresses": ["10.40.0.1"]}],
                        "ports": [{"name": "http", "port": 8080}],
                    },
                ),
            )
        },
        (ServicePort("http", "tcp", ((8080, ""),), ((8080, "10-40-0-1"),)),),
    ),
}


@pytest.mark.parametrize("name", SRV)
def test_named_ports_are_the_true_ones(name: str) -> None:
    """The number that a client has to dial at the addresses of the answer."""
    clusters, expected = SRV[name]
    assert answers(mesh(clusters=NETWORKS), {"east": (), **clusters})[HOST].services == expected


def test_where_ports_differ_each_cluster_has_its_own_target() -> None:
    """One gateway on 15443, one on a port of its own: a part for each, by port."""
    moved = gateway(
        "203.0.113.30",
        labels={"istio": "eastwestgateway", "networking.istio.io/gatewayPort": "8443"},
        ports=(8443,),
    )
    remote = entry("10.1.1.1", ports=PORTS)
    found = answers(mesh(clusters=NETWORKS), {"east": (), "west": (remote, WEST_GATEWAY), "far": (remote, moved)})[HOST]
    assert found.services == (ServicePort("http", "tcp", ((8443, "far"), (15443, "west"))),)
    assert AnswerPart("west", 15443, ("203.0.113.20",), ()) in found.parts
    assert AnswerPart("far", 8443, ("203.0.113.30",), ()) in found.parts


# ------------------------------------------------------------------------------------------------- pointers


REVERSE = (MeshZone("global"), MeshZone("113.0.203.in-addr.arpa"))


def test_gateway_addresses_have_pointers_in_reverse_zones_that_are_configured() -> None:
    """One name for an address, the same from everywhere; nothing for other addresses."""
    clusters = {"west": (WEST_GATEWAY, gateway("198.51.100.5", name="other"))}
    found = answers(mesh(zones=REVERSE), clusters)
    pointer = found["20.113.0.203.in-addr.arpa"].records
    assert pointer == (StaticRecord("20.113.0.203.in-addr.arpa", "PTR", "west.gateways.global", 30),)
    assert [name for name, answer in found.items() if answer.records] == ["20.113.0.203.in-addr.arpa"]


def test_without_a_reverse_zone_there_are_no_pointers() -> None:
    """A reverse zone that is not configured is not ours."""
    found = answers(mesh(), {"west": (WEST_GATEWAY,)})
    assert [name for name, answer in found.items() if answer.records] == []


def test_pointers_follow_their_gateways() -> None:
    """A gateway that moves takes its pointer along."""
    made = name_table(mesh(zones=REVERSE), {"west": (WEST_GATEWAY,)})
    made.refresh()
    made.upsert("west", gateway("203.0.113.21"))
    changed = made.refresh()
    assert changed["20.113.0.203.in-addr.arpa"] is None
    assert changed["21.113.0.203.in-addr.arpa"] is not None


# ------------------------------------------------------------------------------------- fallback and forward


KUBERNETES = (MeshZone("global"), MeshZone("cluster.local", fallback=True))
SVC = "reviews.prod.svc.cluster.local"

FALLBACK: dict[str, tuple[Mapping[str, Iterable[AnyDeclaration]], str]] = {
    "a Service of another cluster": ({"west": (service(), endpoint_slice("10.41.0.1"), WEST_GATEWAY)}, "203.0.113.20"),
    "the own Service": ({"east": (service(), endpoint_slice("10.40.0.1"))}, "10.96.0.7"),
    "a ServiceEntry for the svc host": ({"east": (entry("10.9.9.9", host=SVC),)}, "10.9.9.9"),
    "a ServiceEntry of another cluster": ({"west": (entry("198.51.100.4", host=SVC),)}, "198.51.100.4"),
    "no wildcards": ({"east": (entry("198.51.100.4", host="*.prod.svc.cluster.local"),)}, "absent"),
}


@pytest.mark.parametrize("name", FALLBACK)
def test_a_kubernetes_zone_has_the_exact_names_of_services(name: str) -> None:
    """Levels 2 to 6 for ``<service>.<namespace>.svc.<zone>``."""
    clusters, expected = FALLBACK[name]
    assert seen(clusters, SVC, zones=KUBERNETES) == expected


def test_a_host_that_stands_for_itself_is_forwarded_where_a_forward_zone_takes_it() -> None:
    """A zone other than the root, around its zone; else it is awaited, since it would be asked of ourselves."""
    own = {"east": (entry(resolution="DNS"),), "west": (entry("198.51.100.4"),)}
    inner = {"zones": (MeshZone("prod.global"),)}
    for settings, outcome in (
        (mesh(forward_zones=("global",), **inner), AnswerKind.FORWARD),
        (mesh(forward_zones=("test.global",), **inner), AnswerKind.PENDING),
        (mesh(forward_zones=("test.global",)), AnswerKind.PENDING),
        (mesh(zones=(MeshZone("global", fallthrough=True),)), AnswerKind.FORWARD),
    ):
        assert answers(settings, own)[HOST].outcome is outcome
    assert HOST not in answers(mesh(forward_zones=("prod.global",)), own)


# ------------------------------------------------------------------------------------- shared control planes


def announced(*governors: str) -> AnyDeclaration:
    """The system namespace of a cluster that others' control planes govern."""
    annotations = {"topology.istio.io/controlPlaneClusters": ",".join(governors)}
    return parse_declaration(ObjectKind.NAMESPACE, {"metadata": {"name": "istio-system", "annotations": annotations}})


REMOTE_UP = (service(), endpoint_slice("10.41.0.1"), WEST_GATEWAY)
GOVERNED = ClusterSettings(network="net-w", config_cluster="primary")
LOCAL = entry(SVC, host="cart.global")
BESIDE = entry("198.51.100.2", host="cart.global", name="beside")

SHARED: dict[str, tuple[MeshSettings, Mapping[str, Iterable[AnyDeclaration]], str]] = {
    "a cluster.local endpoint means every cluster that is governed": (
        mesh(clusters={**NETWORKS, "west": GOVERNED}),
        {"east": (), "primary": (LOCAL,), "west": REMOTE_UP},
        "203.0.113.20",
    ),
    "as its system namespace announces": (
        mesh(clusters=NETWORKS),
        {"east": (), "primary": (LOCAL,), "west": (*REMOTE_UP, announced("primary"))},
        "203.0.113.20",
    ),
    "two announced names say nothing": (
        mesh(clusters=NETWORKS),
        {"east": (), "primary": (LOCAL,), "west": (*REMOTE_UP, announced("primary", "second"))},
        "NODATA",
    ),
    "its ServiceEntries are the own ones": (
        mesh(clusters={"east": ClusterSettings(config_cluster="primary")}),
        {"east": (), "primary": (BESIDE,), "near": (entry("198.51.100.3", host="cart.global"),)},
        "198.51.100.2",
    ),
    "a cluster that governs nobody here has its own level": (
        mesh(),
        {"east": (), "primary": (BESIDE,), "near": (entry("198.51.100.3", host="cart.global"),)},
        "198.51.100.2 198.51.100.3",
    ),
}


@pytest.mark.parametrize("name", SHARED)
def test_shared_control_planes(name: str) -> None:
    """A config cluster's ServiceEntries are those of the clusters that it governs."""
    settings, clusters, expected = SHARED[name]
    assert answer_for(settings, clusters, "cart.global") == expected


# ------------------------------------------------------------------------------------------------- sealing


def test_pod_addresses_of_other_networks_are_let_go() -> None:
    """Once a cluster on another network has been listed, one bit of readiness is all that stays."""
    made = name_table(mesh(clusters=NETWORKS), {"east": (), "near": REMOTE_UP, "west": REMOTE_UP})
    made.refresh()
    assert made.drop_pod_addresses("near") == []
    (part,) = made.drop_pod_addresses("west")
    assert made.drop_pod_addresses("west") == []
    kept = made.stored_form("west", part)
    assert isinstance(kept, EndpointSlice)
    assert [(point.address, point.ready) for point in kept.endpoints] == [("", True)]
    made.upsert("west", part)
    assert HOST not in made.refresh(), "its answer never had these addresses"
    assert not made.needs_pod_addresses()


def test_a_cluster_that_comes_onto_the_own_network_is_missed() -> None:
    """Its addresses are needed and were let go."""
    settings = mesh(clusters=on_networks(east="net-e"))
    made = name_table(settings, {"east": (), "west": (*REMOTE_UP, system_namespace("net-w"))})
    made.refresh()
    assert made.drop_pod_addresses("west")
    made.upsert("west", system_namespace("net-e"))
    made.refresh()
    assert made.needs_pod_addresses()


def test_where_all_networks_are_one_nothing_is_let_go() -> None:
    """``answer: endpoints`` serves them."""
    made = name_table(mesh(zones=(MeshZone("global", answer=AnswerMode.ENDPOINTS),)), {"east": (), "west": REMOTE_UP})
    made.refresh()
    assert made.drop_pod_addresses("west") == []


# ------------------------------------------------------------------------------------------------ the rest


def test_the_closest_encloser_keeps_a_wildcard_from_names_that_exist() -> None:
    """With ``wildcards: dns`` (RFC 4592 4.3.3) a declared name without an address is not filled by a wildcard."""
    clusters = {"east": (entry("127.0.0.1"), entry("198.51.100.9", host="*.prod.global", name="all"))}
    assert seen(clusters) == "198.51.100.9"
    assert seen(clusters, zones=(MeshZone("global", closest_encloser=True),)) == "NODATA"


def test_static_records_of_other_types_stand_beside_addresses() -> None:
    """They are no level: what else is known of the name is answered too."""
    text = StaticRecord(HOST, "TXT", '"hello"', 60)
    found = answers(mesh(records=(text, static("a.prod.global", "192.0.2.1"))), {"east": (entry("198.51.100.2"),)})
    assert (found[HOST].records, found[HOST].ipv4) == ((text,), ("198.51.100.2",))
    assert found["a.prod.global"].ipv4 == ("192.0.2.1",)


def test_the_longest_zone_of_a_host_has_the_say() -> None:
    """A zone inside another has its own mode and TTL."""
    zones = (MeshZone("global"), MeshZone("prod.global", ttl=7))
    assert answers(mesh(zones=zones), {"east": (entry("198.51.100.2"),)})[HOST].ttl == 7


def test_a_private_address_in_no_network_of_the_settings_stays_private() -> None:
    """``networks`` adds to what is private and takes nothing away."""
    networks = {"vm-net": (ip_network("203.0.113.0/24"),)}
    clusters = {"west": (entry("203.0.113.99"), gateway("198.51.100.9"))}
    assert seen(clusters, networks=networks) == "198.51.100.9"
    assert seen({"west": (entry("10.1.1.1"), gateway("198.51.100.9"))}, networks=networks) == "198.51.100.9"
