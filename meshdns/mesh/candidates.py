"""Candidates: the addresses that declarations yield as seen from the vantage, and the rule that gave each."""

import enum
from collections.abc import Iterable
from typing import Final

import msgspec

from meshdns.mesh.objects.references import FieldRef, ObjectRef


class Level(enum.IntEnum):
    """The levels of precedence: the first level that yields an address answers (docs/semantics.md)."""

    STATIC = 1
    OWN_ENTRY = 2
    OWN_SERVICE = 3
    REMOTE_ENTRY = 4
    NEAR_SERVICE = 5
    FAR_SERVICE = 6
    ZONE = 7  # a name of the zone itself: no declaration competes with it


class Reach(enum.IntEnum):
    """Ways to reach an address; the nearest group of a level answers alone."""

    OWN = 0  # runs in the own cluster
    DIRECT = 1  # own network, public, or resolved
    GATEWAY = 2  # through a gateway


class EndpointRule(enum.Enum):
    """The row that judged an endpoint; the value is what explain prints."""

    STATIC = "static record of the settings"
    UNIX = "unix socket: not in DNS"
    HAIRPIN = "the own gateway: the Service behind it"
    OWN_GATEWAY = "the own gateway: its address"
    REMOTE_GATEWAY_AS_WRITTEN = "a gateway of another cluster, as its own cluster writes it"
    REMOTE_GATEWAYS = "a gateway of another cluster: that cluster's gateways"
    NETWORK_GATEWAYS = "another network: its gateways"
    NETWORK_PUBLIC = "another network without gateways: the public address"
    NETWORK_UNREACHABLE = "another network without gateways: nothing"
    NETWORK_OWN = "the own network: the address"
    SERVICE = "a Service of the declaring cluster"
    HOST_NAME = "a host name: what it resolves to"
    PRIVATE_DIRECT = "a private address that is reached from here"
    PRIVATE_GATEWAY = "a private address of another network: the cluster's gateways"
    PRIVATE_UNREACHABLE = "a private address of another network, and nothing may carry it"
    PUBLIC = "a public address"
    NEVER_SERVED = "loopback, link-local, unspecified or multicast: never served"
    VIP = "a VIP of the own cluster (answer: vip)"
    CLUSTER_IP = "the own Service's ClusterIP"
    PODS = "endpoints of the Service on the own network"
    CLUSTER_GATEWAYS = "a Service of another network: its cluster's gateways"
    LOAD_BALANCER = "a Service of another network: its own load balancer"
    NOT_READY = "the Service has no ready endpoint"
    SELF_REFERENCE = "the host itself is what would be resolved"
    NO_ENDPOINTS = "no endpoints"
    UNREADABLE = "an endpoint that cannot be read"
    FOREIGN_DOMAIN = "a Service under another cluster domain than its cluster's"
    GATEWAY_NAME = "a gateway of the cluster"
    NO_GATEWAY = "the cluster has no gateway"


class NamedPort(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A port by its name in the declaration, and its number at the candidate: the true port (SRV, RFC 2782)."""

    name: str
    protocol: str  # tcp, udp or sctp
    number: int


class Candidate(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One address that a declaration yields, or, with an empty `address`, why it yields none.

    `cluster`, `origin` and `field` are its provenance: the object that declares it, and which part of that object.
    `host` is the one of the declaration's hosts that speaks for the name, empty where it declares none; `via_cluster`
    is the cluster whose gateway carries it; `ready` is false for what counts only if nothing anywhere is ready;
    `healthy` is what the probe of the gateway says; `pending` says that an address is still to come; `forwarded` that a
    forward zone of the settings takes the name itself. `gateway` is the gateway as its object writes it, an address or
    a host name, and `passes_tls` says whether it is known to pass the name's TLS. `lack` says why it yields no address,
    or what it waits for, where the rule alone does not; `dead_host` is the host name whose look-ups bring no address.
    `pod_label` is the label of a headless Service's pod below the Service's derived name.

    It is written as an array: fields are added at the end and never change places.
    """

    level: Level
    cluster: str
    origin: ObjectRef
    field: FieldRef
    rule: EndpointRule
    address: str = ""
    reach: Reach = Reach.DIRECT
    via_cluster: str = ""
    port: int = 0
    ready: bool = True
    healthy: bool = True
    pending: bool = False
    forwarded: bool = False
    is_pod: bool = False  # an endpoint address: TTL at most `answer.POD_TTL`
    ttl: int = -1
    ports: tuple[NamedPort, ...] = ()
    host: str = ""
    gateway: str = ""
    passes_tls: bool | None = None
    lack: str = ""
    dead_host: str = ""
    pod_label: str = ""

    @property
    def target_cluster(self) -> str:
        """The cluster in which the service is reached through this candidate."""
        return self.via_cluster or self.cluster

    @property
    def reason(self) -> str:
        """Why it yields no address, or what it waits for."""
        return self.lack or self.rule.value


GATEWAY_RULES: Final = frozenset(
    {
        EndpointRule.REMOTE_GATEWAYS,
        EndpointRule.NETWORK_GATEWAYS,
        EndpointRule.PRIVATE_GATEWAY,
        EndpointRule.CLUSTER_GATEWAYS,
        EndpointRule.SERVICE,
    }
)
"""The rows by which all gateways of a cluster or network take the place of an endpoint."""


def clusters_without_gateway(candidates: Iterable[Candidate]) -> set[str]:
    """Return the clusters through whose gateways candidates lead, none of which has an address."""
    lacking: set[str] = set()
    reached: set[str] = set()
    for each in candidates:
        if each.via_cluster and each.rule in GATEWAY_RULES:
            (reached if each.address else lacking).add(each.via_cluster)
    return lacking - reached
