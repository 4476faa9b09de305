"""Each target of an SRV answer resolves to exactly the addresses that listen on its port, as a client asks.

The oracle is who listens where, as it was written; it knows nothing of levels, rows or synthesized names.
"""

from collections.abc import Iterable, Mapping
from typing import Any, Final

import dns.message
import dns.rcode
import dns.rdatatype
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from meshdns.authority.authority import Authority, Verdict
from meshdns.authority.state import NamedbState
from meshdns.authority.zone import ServedZone
from meshdns.controller.row_encoder import RowEncoder
from meshdns.dns import names
from meshdns.dns.query import parse_query
from meshdns.mesh.objects.declarations import AnyDeclaration, ObjectKind
from meshdns.mesh.settings import MeshSettings, MeshZone
from tests.authority.test_authority import MemoryRowReader
from tests.mesh.scene import gateway, name_table, on_networks, parse_declaration

NETWORKS: Final = on_networks(east="net-e", near="net-e", west="net-w", far="net-f")
GATEWAYS: Final = {"west": ("203.0.113.20", 15443), "far": ("203.0.113.30", 8443)}
Question = tuple[str, str]


class Server:
    """The mesh zone ``global`` and the fallback zone ``cluster.local``, as a worker answers for them."""

    def __init__(
        self, clusters: Mapping[str, Iterable[AnyDeclaration]], *, vantage: str = "east", closest: bool = False
    ) -> None:
        zones = (MeshZone("global", closest_encloser=closest), MeshZone("cluster.local", fallback=True))
        mesh = MeshSettings(zones=zones, vantage_cluster=vantage, clusters=NETWORKS)
        encoder = RowEncoder(mesh)
        found = name_table(mesh, clusters).refresh()
        rows = {names.to_wire(name): encoder.row(each, {}) for name, each in found.items() if each is not None}
        wildcards = any(name.startswith("*.") for name in found)
        self._rows = MemoryRowReader(rows, NamedbState(ready=True, complete=True, wildcards=wildcards))
        self._authority = Authority(
            [
                ServedZone(names.to_wire("global"), closest_encloser=closest),
                ServedZone(names.to_wire("cluster.local"), fallback=True),
            ]
        )

    def ask(self, name: str, rtype: str, *, tcp: bool = True) -> dns.message.Message | None:
        """The reply; None where the upstream's denial stands."""
        query = parse_query(dns.message.make_query(name, rtype).to_wire())
        assert query is not None
        reply = self._authority.respond(query, self._rows, tcp=tcp)
        if reply is Verdict.FALLBACK:
            reply = self._authority.answer_after_denial(query, self._rows, tcp=tcp) or Verdict.FORWARD
        return None if isinstance(reply, Verdict) else dns.message.from_wire(reply[0])

    def rcode(self, name: str, rtype: str) -> str:
        """The response code, and whether there is data."""
        reply = self.ask(name, rtype)
        if reply is None:
            return "DENIED"
        return dns.rcode.to_text(reply.rcode()) if reply.rcode() or reply.answer else "NODATA"

    def addresses(self, name: str) -> set[str]:
        """A and AAAA together."""
        replies = (self.ask(name, rtype) for rtype in ("A", "AAAA"))
        return {item.address for reply in replies if reply is not None for rrset in reply.answer for item in rrset}

    def services(self, name: str, *, tcp: bool = True) -> list[tuple[int, str]]:
        """Port and target of each SRV record."""
        reply = self.ask(name, "SRV", tcp=tcp)
        found = reply.answer if reply is not None else []
        return sorted((item.port, item.target.to_text()) for rrset in found for item in rrset)


def parse(kind: ObjectKind, name: str, spec: Mapping[str, Any], **more: Any) -> AnyDeclaration:
    """An object of namespace shop."""
    labels = more.pop("labels", {})
    return parse_declaration(
        kind, {"metadata": {"name": name, "namespace": "shop", "labels": labels}, "spec": spec, **more}
    )


def cluster_gateway(cluster: str) -> AnyDeclaration:
    """The gateway of a cluster on another network."""
    address, port = GATEWAYS[cluster]
    labels = {"istio": "eastwestgateway", "networking.istio.io/gatewayPort": str(port)}
    return gateway(address, labels=labels, ports=(port,))


# -------------------------------------------------------------------------------------------------------- property


HOSTS: Final = ("api.shop.global", "db.shop.global", "*.shop.global", "*.api.shop.global", "api.shop.svc.cluster.local")
ASKED: Final = (*HOSTS[:2], "other.shop.global", "x.api.shop.global", HOSTS[4], "db.shop.svc.cluster.local")
PORT_NAMES: Final = ("http", "dns", "admin")
CLUSTERS: Final = ("east", "near", "west", "far")

ports = st.lists(
    st.tuples(st.sampled_from(PORT_NAMES), st.sampled_from((80, 8080, 53)), st.sampled_from(("TCP", "UDP", "SCTP"))),
    min_size=1,
    max_size=3,
    unique_by=lambda port: port[0],
)
entries = st.tuples(
    st.sampled_from(CLUSTERS),
    st.lists(st.sampled_from(HOSTS), min_size=1, max_size=2, unique=True),
    ports,
    st.lists(
        st.tuples(
            st.sampled_from((1, 2, 3)),  # of the cluster's addresses
            st.sampled_from(("public", "private", "six")),
            st.dictionaries(st.sampled_from(PORT_NAMES), st.sampled_from((81, 8080)), max_size=1),
        ),
        min_size=1,
        max_size=3,
    ),
)
pods = st.tuples(
    st.sampled_from(("", "", "a", "b")),  # host name
    st.booleans(),  # ready
    st.booleans(),  # IPv6
)
slices = st.lists(st.tuples(ports, st.lists(pods, max_size=3)), max_size=3)
meshes = st.fixed_dictionaries(
    {
        "entries": st.lists(entries, max_size=4),
        "services": st.dictionaries(st.tuples(st.sampled_from(CLUSTERS), st.sampled_from(("api", "db"))), slices),
        "claimed": st.booleans(),
        "vantage": st.sampled_from(("east", "near", "west", "")),
        "closest": st.booleans(),
    }
)

Listening = dict[str, dict[str, set[tuple[str, str, int]]]]
"""By owner name and address: port name, protocol and number of what listens there."""


def address_of(cluster: str, number: int, kind: str) -> str:
    """An address of a cluster's own."""
    place = CLUSTERS.index(cluster)
    return {
        "public": f"198.51.100.{10 * place + number}",
        "private": f"10.{place}.0.{number}",
        "six": f"2001:db8:{place + 1}::{number}",
    }[kind]


def build(drawn: Mapping[str, Any]) -> tuple[dict[str, list[AnyDeclaration]], Listening]:
    """The clusters, and who listens where."""
    clusters: dict[str, list[AnyDeclaration]] = {name: [] for name in CLUSTERS}
    listening: Listening = {}

    def listen(owners: Iterable[str], address: str, found: Iterable[tuple[str, str, int]], cluster: str) -> None:
        for owner in owners:
            by_address = listening.setdefault(owner, {})
            by_address.setdefault(address, set()).update(found)
            if cluster in GATEWAYS:
                through, number = GATEWAYS[cluster]
                by_address.setdefault(through, set()).update(
                    (name, "tcp", number) for name, protocol, _ in found if protocol == "tcp"
                )

    for cluster in GATEWAYS:
        clusters[cluster].append(cluster_gateway(cluster))
    for index, (cluster, hosts, its_ports, points) in enumerate(drawn["entries"]):
        endpoints = []
        for number, kind, own in points:
            address = address_of(cluster, number, kind)
            endpoints.append({"address": address, "ports": own})
            found = [(name, protocol.lower(), own.get(name, at)) for name, at, protocol in its_ports]
            listen([*hosts, *_derived(hosts)], address, found, cluster)
        spec = {
            "hosts": hosts,
            "location": "MESH_INTERNAL",
            "resolution": "STATIC",
            "endpoints": endpoints,
            "ports": [{"name": name, "number": at, "protocol": protocol} for name, at, protocol in its_ports],
        }
        clusters[cluster].append(parse(ObjectKind.SERVICE_ENTRY, f"entry{index}", spec))
    for (cluster, name), parts in drawn["services"].items():
        service_ports = [{"name": each, "port": 80} for each in PORT_NAMES]
        clusters[cluster].append(parse(ObjectKind.SERVICE, name, {"clusterIP": "None", "ports": service_ports}))
        owners = (f"{name}.shop.global", f"{name}.shop.svc.cluster.local")
        if cluster in GATEWAYS:
            listen(owners, "192.0.2.99", [(each, "tcp", 80) for each in PORT_NAMES], cluster)
        place = CLUSTERS.index(cluster)
        for index, (its_ports, points) in enumerate(parts):
            endpoints = []
            for number, (hostname, ready, is_six) in enumerate(points):
                last = 10 * index + number + (100 if name == "db" else 1)
                address = f"2001:db8:4{place}::{last:x}" if is_six else f"10.40.{place}.{last}"
                point = {"addresses": [address], "conditions": {"ready": ready}}
                endpoints.append({**point, "hostname": hostname} if hostname else point)
                found = [(each, protocol.lower(), at) for each, at, protocol in its_ports]
                listen(owners, address, found, "")
            clusters[cluster].append(
                parse(
                    ObjectKind.ENDPOINT_SLICE,
                    f"{name}-{index}",
                    {},
                    labels={"kubernetes.io/service-name": name},
                    endpoints=endpoints,
                    ports=[{"name": each, "port": at, "protocol": protocol} for each, at, protocol in its_ports],
                )
            )
    if drawn["claimed"]:
        claim = {"hosts": ["a.db.shop.global"], "resolution": "STATIC", "endpoints": [{"address": "192.0.2.66"}]}
        clusters["east"].append(parse(ObjectKind.SERVICE_ENTRY, "claim", claim))
    return clusters, listening


def _derived(hosts: Iterable[str]) -> list[str]:
    """The names that a ServiceEntry for the host of a Service gives to it."""
    return [host.replace("svc.cluster.local", "global") for host in hosts if host.endswith("svc.cluster.local")]


def sources_of(name: str, listening: Listening) -> list[str]:
    """The owner names that may answer for a name: its own, and wildcards."""
    return [owner for owner in listening if owner == name or (owner.startswith("*.") and name.endswith(owner[1:]))]


@settings(max_examples=settings().max_examples // 4)
@given(meshes)
def test_each_target_resolves_to_the_addresses_that_listen_on_its_port(drawn: Mapping[str, Any]) -> None:
    """None resolves to any other address, and all that listen are reached where there is an answer that names all."""
    clusters, listening = build(drawn)
    server = Server(clusters, vantage=drawn["vantage"], closest=drawn["closest"])
    declared = {host for _, hosts, _, _ in drawn["entries"] for host in hosts}
    derived = {each for _, hosts, _, _ in drawn["entries"] for each in _derived(hosts)}
    derived |= {f"{name}.shop.{zone}" for _, name in drawn["services"] for zone in ("global", "svc.cluster.local")}
    for name in ASKED:
        served = server.addresses(name)
        sources = sources_of(name, listening)
        written: dict[str, set[tuple[str, str, int]]] = {}
        for address, found in (each for source in sources for each in listening[source].items()):
            written.setdefault(address, set()).update(found)
        for port, protocol in sorted({each[:2] for found in written.values() for each in found}):
            reached: set[tuple[str, int]] = set()
            records = server.services(f"_{port}._{protocol}.{name}")
            for number, target in records:
                there = server.addresses(target)
                assert there, (name, port, target)
                listens = {each for each in served if (port, protocol, number) in written.get(each, ())}
                assert there <= listens, (name, port, protocol, number, target)
                assert target.split(".")[0] != f"p{number}" or not _is_covered(name, drawn)
                reached |= {(each, number) for each in there}
            everywhere = {
                (each, number)
                for each in served
                for port_name, transport, number in written.get(each, ())
                if (port_name, transport) == (port, protocol)
            }
            if len(sources) > 1 or (name in declared and name in derived):
                continue  # which of them the answer is made of, the oracle does not know
            shared = {number for _, number in everywhere if {(each, number) for each in served} <= everywhere}
            assert {(each, number) for each in served for number in shared} <= reached, (name, port, protocol)


def _is_covered(name: str, drawn: Mapping[str, Any]) -> bool:
    """Whether a wildcard covers what would be made up below a name, by Istio's rule."""
    written = {host for _, hosts, _, _ in drawn["entries"] for host in hosts if host.startswith("*.")}
    return not drawn["closest"] and any(f"x.{name}".endswith(host[1:]) for host in written)


# ----------------------------------------------------------------------------------------------------------- tables


ODD_PORTS: Final = parse(
    ObjectKind.SERVICE_ENTRY,
    "odd",
    {
        "hosts": ["odd.shop.global"],
        "location": "MESH_INTERNAL",
        "resolution": "STATIC",
        "endpoints": [{"address": "10.0.0.7"}],
        "ports": [
            {"name": "HTTPS", "number": 8443, "protocol": "HTTPS"},
            {"name": "grpc-web_1", "number": 7001, "protocol": "GRPC"},
            {"name": "dns-u", "number": 53, "protocol": "UDP"},
            {"name": "sip", "number": 5060, "protocol": "SCTP"},
            {"number": 99, "protocol": "TCP"},
        ],
    },
)
PODS: Final = parse(
    ObjectKind.ENDPOINT_SLICE,
    "db-1",
    {},
    labels={"kubernetes.io/service-name": "db"},
    endpoints=[{"addresses": ["10.40.0.1"], "hostname": "db-0"}, {"addresses": ["10.40.0.2"]}],
    ports=[{"name": "sql", "port": 5432, "protocol": "TCP"}, {"name": "gossip", "port": 7946, "protocol": "UDP"}],
)
HEADLESS: Final = parse(
    ObjectKind.SERVICE,
    "db",
    {
        "clusterIP": "None",
        "ports": [
            {"name": "sql", "port": 5432},
            {"name": "gossip", "port": 7946, "protocol": "UDP"},
        ],
    },
)
WILD: Final = parse(
    ObjectKind.SERVICE_ENTRY,
    "wild",
    {
        "hosts": ["*.wild.global"],
        "location": "MESH_INTERNAL",
        "resolution": "STATIC",
        "endpoints": [
            {"address": "198.51.100.1", "ports": {"http": 80, "admin": 9001}},
            {"address": "198.51.100.2", "ports": {"http": 80, "admin": 9002}},
        ],
        "ports": [
            {"name": "http", "number": 80, "protocol": "HTTP"},
            {"name": "admin", "number": 9000, "protocol": "TCP"},
        ],
    },
)
DEEP: Final = parse(
    ObjectKind.SERVICE_ENTRY,
    "deep",
    {"hosts": ["a.deep.wild.global"], "resolution": "STATIC", "endpoints": [{"address": "198.51.100.9"}]},
)
DECLARED: Final = {"east": [ODD_PORTS, HEADLESS, PODS, WILD, DEEP], "near": [], "west": []}
FROM_WEST: Final = {**DECLARED, "east": [*DECLARED["east"], gateway("203.0.113.10")]}

SERVICES: dict[Question, list[tuple[int, str]] | str] = {
    ("east", "_https._tcp.odd.shop.global"): [(8443, "odd.shop.global.")],
    ("east", "_HTTPS._TCP.Odd.Shop.Global"): [(8443, "Odd.Shop.Global.")],
    ("east", "_grpc-web_1._tcp.odd.shop.global"): [(7001, "odd.shop.global.")],
    ("east", "_dns-u._udp.odd.shop.global"): [(53, "odd.shop.global.")],
    ("east", "_dns-u._tcp.odd.shop.global"): "NXDOMAIN",
    ("east", "_sip._sctp.odd.shop.global"): [(5060, "odd.shop.global.")],
    ("east", "_sip._tcp.odd.shop.global"): "NXDOMAIN",
    ("east", "_sctp.odd.shop.global"): "NODATA",
    ("east", "_tcp.odd.shop.global"): "NODATA",
    ("east", "odd.shop.global"): "NODATA",
    ("east", "_._tcp.odd.shop.global"): "NXDOMAIN",
    ("east", "https._tcp.odd.shop.global"): "NXDOMAIN",
    ("west", "_https._tcp.odd.shop.global"): [(15443, "odd.shop.global.")],
    ("west", "_dns-u._udp.odd.shop.global"): "NXDOMAIN",
    ("west", "_sip._sctp.odd.shop.global"): "NXDOMAIN",
    ("east", "_sql._tcp.db.shop.global"): [
        (5432, "10-40-0-2.db.shop.global."),
        (5432, "db-0.db.shop.global."),
    ],
    ("east", "_SQL._tcp.DB.shop.global"): [
        (5432, "10-40-0-2.DB.shop.global."),
        (5432, "db-0.DB.shop.global."),
    ],
    ("near", "_gossip._udp.db.shop.global"): [
        (7946, "10-40-0-2.db.shop.global."),
        (7946, "db-0.db.shop.global."),
    ],
    ("west", "_sql._tcp.db.shop.global"): [(15443, "db.shop.global.")],
    ("west", "_gossip._udp.db.shop.global"): "NXDOMAIN",
    ("east", "_sql._tcp.db-0.db.shop.global"): [(5432, "db-0.db.shop.global.")],
    ("east", "_http._tcp.x.wild.global"): [(80, "x.wild.global.")],
    ("east", "_http._tcp.a.b.wild.global"): [(80, "a.b.wild.global.")],
    ("east", "_admin._tcp.x.wild.global"): "NODATA",
    ("east", "_http._tcp.deep.wild.global"): [(80, "deep.wild.global.")],
    ("east", "_none._tcp.x.wild.global"): "NXDOMAIN",
    ("east", "_tcp.x.wild.global"): "NODATA",
    ("east", "_http._tcp.wild.global"): "NXDOMAIN",
    ("east", "_sql._tcp.db.shop.svc.cluster.local"): [(5432, "db.shop.svc.cluster.local.")],
    ("west", "_sql._tcp.db.shop.svc.cluster.local"): [(15443, "db.shop.svc.cluster.local.")],
    ("west", "_SQL._TCP.db.shop.svc.Cluster.local"): [(15443, "db.shop.svc.Cluster.local.")],
    ("west", "_tcp.db.shop.svc.cluster.local"): "NODATA",
    ("west", "_none._tcp.db.shop.svc.cluster.local"): "DENIED",
    ("west", "_sql._tcp.none.shop.svc.cluster.local"): "DENIED",
    ("west", "_sql._tcp.svc.cluster.local"): "DENIED",
}


def server_from(vantage: str) -> Server:
    """The declarations of the table from one cluster."""
    return Server(FROM_WEST if vantage == "west" else DECLARED, vantage=vantage)


@pytest.mark.parametrize("tcp", [True, False], ids=["tcp", "udp"])
@pytest.mark.parametrize("question", SERVICES, ids=" ".join)
def test_srv_from_each_vantage(question: Question, *, tcp: bool) -> None:
    """Letter case is the client's, the port is the true one, and no further name is made up."""
    vantage, name = question
    server, expected = server_from(vantage), SERVICES[question]
    if isinstance(expected, str):
        assert server.rcode(name, "SRV") == expected
    else:
        assert server.services(name, tcp=tcp) == expected


@pytest.mark.parametrize("rtype", ["A", "AAAA", "TXT", "NS", "SOA", "ANY", "HTTPS", "TYPE65280"])
def test_names_of_services_have_no_other_type(rtype: str) -> None:
    """NODATA with the SOA of the zone: the name is known."""
    for question, expected in SERVICES.items():
        vantage, name = question
        if not isinstance(expected, str):
            reply = server_from(vantage).ask(name, rtype)
            assert reply is not None
            assert (reply.rcode(), reply.answer) == (dns.rcode.NOERROR, []), question
            assert [rrset.rdtype for rrset in reply.authority] == [dns.rdatatype.SOA], question


def test_no_names_by_cluster_are_made_up_under_a_wildcard() -> None:
    """What looks like one is what the wildcard covers, and the wildcard's own label makes none."""
    everything = {"198.51.100.1", "198.51.100.2"}
    for name in ("p9001.east.x.wild.global", "east.x.wild.global", "east.*.wild.global"):
        assert server_from("east").addresses(name) == everything
    closest = Server(DECLARED, closest=True)
    for name in ("p9001.east.*.wild.global", "east.*.wild.global"):
        assert closest.rcode(name, "A") == "NXDOMAIN"


def test_targets_of_headless_services_are_pods() -> None:
    """Each has its own address, for five seconds."""
    server = server_from("east")
    assert server.addresses("db-0.db.shop.global") == {"10.40.0.1"}
    assert server.addresses("10-40-0-2.db.shop.global") == {"10.40.0.2"}
    assert server.rcode("10-40-0-1.db.shop.global", "A") == "NXDOMAIN"
    reply = server.ask("10-40-0-2.db.shop.global", "A")
    assert reply is not None
    assert [rrset.ttl for rrset in reply.answer] == [5]
    assert server_from("west").rcode("10-40-0-2.db.shop.global", "A") == "NXDOMAIN"
