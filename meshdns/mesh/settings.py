"""Settings of the mesh as the core needs them. Names are normal (lower-case, no trailing dot)."""

import enum
from ipaddress import IPv4Network, IPv6Network
from typing import Final

import msgspec

from meshdns.dns import names
from meshdns.dns.names import is_subdomain, longest_zone
from meshdns.mesh.zone_hashes import SettingsHashes

Prefix = IPv4Network | IPv6Network

_REVERSE: Final = ("in-addr.arpa", "ip6.arpa")


def is_reverse_zone(zone: str) -> bool:
    """Return whether a zone holds PTR names (RFC 1035 section 3.5, RFC 3596 section 2.5)."""
    return any(names.is_subdomain(zone, suffix) for suffix in _REVERSE)


class AnswerMode(enum.Enum):
    """Mode of the addresses that a ServiceEntry's host is answered with."""

    GATEWAY = "gateway"  # what can be reached from here: the endpoint table
    VIP = "vip"  # the own cluster's VIPs first: for clients behind a sidecar
    ENDPOINTS = "endpoints"  # all networks are one


class DiscoveryMode(enum.Enum):
    """Mode of discovery: the Services that get derived names."""

    NONE = "none"
    LABELLED = "labelled"
    ALL = "all"


class MeshZone(msgspec.Struct, frozen=True):
    """A zone that is answered from the mesh. TTLs in seconds."""

    name: str
    answer: AnswerMode = AnswerMode.GATEWAY
    ttl: int = 30
    negative_ttl: int = 5
    public_only: bool = True  # exportTo: only hosts exported to all are served
    order: tuple[str, ...] = ()
    cross_levels: bool = False  # failover: any — health may cross from declared to derived names
    closest_encloser: bool = False  # wildcards: dns — a wildcard covers no name that exists (RFC 4592 4.3.3)
    fallback: bool = False  # a Kubernetes zone: upstream answers first, then the mesh, exact names of Services only
    fallthrough: bool = False  # another server's zone: what is unknown here is asked there

    @property
    def is_reverse(self) -> bool:
        """Whether it holds PTR names, and nothing else but SOA and NS."""
        return is_reverse_zone(self.name)

    @property
    def has_own_names(self) -> bool:
        """Whether the names of `meshdns.mesh.own_names` are made in it."""
        return not (self.fallback or self.fallthrough or self.is_reverse)

    @property
    def services_domain(self) -> str:
        """The name under which ``<service>.<namespace>`` are derived."""
        return f"svc.{self.name}" if self.fallback else self.name


class ClusterSettings(msgspec.Struct, frozen=True):
    """Settings of one cluster, whatever its source. ``gateways`` None = discover them, empty = it has none."""

    network: str = ""
    domain: str = "cluster.local"
    gateways: tuple[str, ...] | None = None
    zones: tuple[str, ...] | None = None
    namespaces: tuple[str, ...] = ("*",)
    own_namespace_hosts: bool = False
    required: bool = False
    config_cluster: str = ""  # whose control plane governs it; empty = what its system namespace says
    dns_name: str = ""  # its label in <cluster>.<host>; empty = its name, where that is a label
    discover: DiscoveryMode = DiscoveryMode.ALL
    readiness: bool = True


class StaticRecord(msgspec.Struct, frozen=True):
    """A record from the settings, its value in presentation format; of type A or AAAA it is level 1."""

    name: str
    type: str
    value: str
    ttl: int

    @property
    def is_address(self) -> bool:
        """Whether it takes part in the levels."""
        return self.type in ("A", "AAAA")


class MeshSettings(msgspec.Struct, frozen=True):
    """The whole mesh as seen by the operator of this instance."""

    zones: tuple[MeshZone, ...]
    vantage_cluster: str = ""
    vantage_network: str = ""
    clusters: dict[str, ClusterSettings] = {}
    networks: dict[str, tuple[Prefix, ...]] = {}
    default_network: str = ""
    records: tuple[StaticRecord, ...] = ()
    system_namespace: str = "istio-system"
    probes_gateways: bool = True  # gateways are probed; else nothing is known of their health
    forward_zones: tuple[str, ...] = ()  # zones other than the root that the settings forward by themselves
    hashes: SettingsHashes = SettingsHashes()  # of all that names are computed for

    def cluster(self, name: str) -> ClusterSettings:
        """The settings of a cluster; the defaults where it has none."""
        return self.clusters.get(name) or ClusterSettings()

    def cluster_label(self, cluster: str) -> str:
        """The label of a cluster in names: ``dnsName``, else its name where that is a label; empty if it has none."""
        label = self.cluster(cluster).dns_name or cluster.lower()
        return label if "." not in label and not names.invalid_reason(label) else ""

    def zone_of(self, host: str) -> MeshZone | None:
        """The longest zone that `host` is in; None also where a longer forward zone takes it."""
        zone = longest_zone(host, self.zones)
        if zone is None or not self.forward_zones:
            return zone
        return None if self.inner_forward_zone_of(host, zone) else zone

    def inner_forward_zone_of(self, host: str, zone: MeshZone) -> str:
        """The forward zone inside `zone` that takes `host`, which is in `zone`; empty where none does."""
        inner = (each for each in self.forward_zones if len(each) > len(zone.name) and is_subdomain(host, each))
        return max(inner, key=len, default="")
