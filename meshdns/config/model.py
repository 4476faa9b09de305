"""The shape of ``meshdns.yaml``: every key, its unit, its default and why it is what it is.

The descriptions are the settings reference. Keys are written in camel case in the file (``negativeTtl``). All
values are frozen and canonical; relations between keys are judged in `meshdns.config.consistency`.
"""

from typing import Annotated, Final, Literal

from pydantic import BeforeValidator, Field, PlainSerializer, ValidationInfo, field_validator

from meshdns.config import values
from meshdns.config.sections import (
    ChaosSection,
    MetricsSection,
    QueryLogSection,
    RateLimitSection,
    SettingsModel,
    SourceSection,
    SpecialNamesSection,
)
from meshdns.config.values import (
    Bool,
    Cidr,
    ClientMatch,
    ClusterUid,
    DnsLabel,
    Domain,
    Duration,
    FilePath,
    GatewayHost,
    Identifier,
    Interval,
    LogLevel,
    LoopbackAddress,
    NamespaceName,
    NamespaceOrAll,
    OwnerName,
    ProbeThreshold,
    SocketAddress,
    SocketPath,
    Ttl,
    UpstreamOrFile,
    ZoneOrRoot,
    read_duration,
    write_duration,
)

SETTINGS_API_VERSION: Final = "meshdns/v1"


class VantageSection(SettingsModel):
    """Where this server stands. ClusterIPs and pod addresses mean something only from the right place."""

    cluster: Identifier | None = Field(
        default=None,
        description="The cluster this server stands in. Default: that of the inCluster source, else none: "
        "a laptop or a VM is in no cluster.",
    )
    network: Identifier | None = Field(
        default=None, description="The network this server stands on. Default: that of its cluster."
    )


def _read_max_stale(value: object) -> object:
    return None if value in (None, "never") else read_duration(value)


def _write_max_stale(value: float | None) -> str:
    return "never" if value is None else write_duration(value)


MaxStale = Annotated[float | None, BeforeValidator(_read_max_stale), PlainSerializer(_write_max_stale)]


class ClusterSection(SettingsModel):
    """What is known about a cluster, whatever its source."""

    network: Identifier | None = Field(
        default=None,
        description="Its network. Default: the label topology.istio.io/network of its system namespace, else "
        "defaultNetwork, else a network of its own.",
    )
    domain: Domain = Field(
        default="cluster.local", description="Its Kubernetes cluster domain. Default: cluster.local."
    )
    gateways: tuple[GatewayHost, ...] | None = Field(
        default=None,
        description="Addresses or host names of its gateways, perhaps with a port (203.0.113.7:15443, "
        "[2001:db8::1]:15443). Default: discovered from its Services; [] means that it has none.",
    )
    zones: tuple[Domain, ...] | None = Field(default=None, description="The zones it may speak for. Default: all.")
    namespaces: tuple[NamespaceOrAll, ...] = Field(
        default=("*",), description='The namespaces of it that may speak. Default: ["*"], all.'
    )
    hosts: Literal["any", "ownNamespace"] = Field(
        default="any",
        description="ownNamespace refuses a ServiceEntry that claims <svc>.<other namespace>.<zone>. Default: any, "
        "because Admiral writes all of them in one namespace.",
    )
    required: Bool = Field(
        default=False,
        description="Whether names stay unknown (SERVFAIL) until it has been read once, however long that takes. "
        "Default: false, 30 seconds: one dead cluster must not take the others' names along.",
    )
    discover: Literal["none", "labelled", "all"] = Field(
        default="all",
        description="Which of its Services get derived names; labelled: meshdns.io/export=true. Default: all.",
    )
    readiness: Bool = Field(
        default=True, description="Whether EndpointSlices are watched. Default: true; false counts everything as ready."
    )
    max_stale: MaxStale = Field(
        default=None,
        description="How long its last known names are served after contact was lost. Default: never to stop: an old "
        "address is better than none.",
    )
    mass_delete_hold: Annotated[Duration, Field(ge=0, le=3600)] = Field(
        default=60.0,
        description="How long objects are served on that a list suddenly lacks, more than 10 and more than 30 % of a "
        "kind, before a second list is believed that lacks them too. Default: 60s; 0s believes every list.",
    )
    uid: ClusterUid | None = Field(
        default=None,
        description="The UID of its namespace kube-system. A server with another is not read, and of several that say "
        "they are this cluster this one is believed. Default: whatever its server says.",
    )
    config_cluster: Identifier | None = Field(
        default=None,
        description="The cluster whose control plane governs it. Default: what its system namespace says, else none.",
    )
    dns_name: DnsLabel | None = Field(
        default=None,
        description="Its label in <cluster>.<host> and <cluster>.gateways.<zone>. Default: its name, where that is a "
        "DNS label.",
    )


class NetworkSection(SettingsModel):
    """What is known about a network."""

    cidrs: tuple[Cidr, ...] = Field(default=(), description="The prefixes of its addresses. Default: none.")


class ZoneSection(SettingsModel):
    """A zone that is answered from the mesh. Names outside all zones never are."""

    name: Domain = Field(
        description="The zone's apex. The longest match decides about a name, over zones, forward and fallback: a zone "
        "may lie inside another, or inside a forward zone. One below in-addr.arpa or ip6.arpa is a reverse zone: it "
        "holds PTR records, of gateway addresses and of records, and nothing else; its NS is that of the first zone "
        "that is none."
    )
    answer: Literal["gateway", "vip", "endpoints"] = Field(
        default="gateway",
        description="gateway: what can be reached from here; vip: the own cluster's virtual addresses first, for "
        "clients behind a sidecar; endpoints: all networks are one. Default: gateway.",
    )
    fallthrough: Bool = Field(
        default=False,
        description="Whether unknown names are forwarded, and the apex and the names above declared ones if nobody "
        "declares them: to the forward zone of the same name, else to the longest one around the zone. Default: false: "
        ".global is a public top-level domain, and misses would leak internal names.",
    )
    ttl: Ttl = Field(
        default=30, description="TTL in seconds, 0 to 86400. Default: 30: caches in front cap there; our failover."
    )
    negative_ttl: Ttl = Field(
        default=5,
        description="TTL of negative answers in seconds (SOA MINIMUM). Default: 5: a new service is seen at once.",
    )
    wildcards: Literal["istio", "dns"] = Field(
        default="istio",
        description="istio: a wildcard covers any number of labels whatever else exists; dns: RFC 4592's closest "
        "encloser. Default: istio.",
    )
    export_to: Literal["public", "ignore"] = Field(
        default="public", description="public: serve only what is exported to all; ignore: serve all. Default: public."
    )
    order: tuple[Identifier, ...] = Field(
        default=(),
        description="Clusters in order of preference, the first healthy one answers. Default: none, all are merged.",
    )
    failover: Literal["level", "any"] = Field(
        default="level",
        description="any: an unhealthy declared name may fall over to a derived one. Default: level: the derived name "
        "may be another team's service.",
    )


class RecordSection(SettingsModel):
    """A static record: it answers before everything the clusters say."""

    name: OwnerName = Field(description="Owner name, in one of the zones; may begin with *.")
    type: Literal["A", "AAAA", "TXT", "SRV", "PTR"] = Field(
        description="A, AAAA, TXT, SRV or PTR; in a reverse zone PTR alone."
    )
    value: str = Field(description="In presentation format: an address, a text, 'priority weight port target', a name.")
    ttl: Ttl | None = Field(default=None, description="TTL in seconds, 0 to 86400. Default: the zone's.")

    @field_validator("value")
    @classmethod
    def _canonical(cls, value: str, known: ValidationInfo) -> str:
        """The value in its type's canonical form; where the type is unknown, that is what is reported."""
        kind = known.data.get("type")
        return values.read_record_value(kind, value) if kind else value


def _read_fallback_servers(value: object) -> object:
    return () if value == "none" else value


class FallbackSection(SettingsModel):
    """A zone of Kubernetes names that the upstream answers first, and the mesh where the upstream says NXDOMAIN."""

    zone: Domain = Field(description="The cluster domain, such as cluster.local.")
    upstream: Annotated[tuple[UpstreamOrFile, ...], BeforeValidator(_read_fallback_servers)] = Field(
        description="Who is asked first; none where the asker is CoreDNS that falls through to us, which would loop."
    )
    ca: FilePath | None = Field(default=None, description="As under forward.")
    random_case: Bool = Field(default=False, description="As under forward.")


class ForwardSection(SettingsModel):
    """Where names are forwarded to; the longest zone wins."""

    zone: ZoneOrRoot = Field(
        description="The zone; . is everything else. One inside a zone of the mesh takes its names from there; one "
        "with the name of a zone that has fallthrough takes the misses of that zone."
    )
    to: tuple[UpstreamOrFile, ...] = Field(
        min_length=1,
        description="Servers as address or address:port (link-local ones with their interface: fe80::1%eth0), or files "
        "in the form of resolv.conf(5). Over TLS (RFC 7858) tls://address:port#name: the port is "
        "853 where none is written, and the certificate must be for the name, or "
        "for the address where no name is written. Such a server is never asked in clear.",
    )
    ca: FilePath | None = Field(
        default=None,
        description="File of the PEM certificates that may vouch for its tls:// servers; read again when it changes. "
        "While it was never read, those servers are not asked. Relative to the settings file. Default: those the "
        "system trusts.",
    )
    random_case: Bool = Field(
        default=False,
        description="Whether names are sent in letters of random case, which a forged reply must guess too (dns0x20). "
        "Default: false, as unbound: id and port are random already, and a server that does not keep the letters is "
        "then asked over TCP each time.",
    )
    private_addresses: Literal["allow", "refuse"] = Field(
        default="allow",
        description="refuse: an answer that holds a private, loopback, link-local or other reserved address (RFC 6890, "
        "also inside IPv6 and in hints of HTTPS records) becomes one without records, with EDE 15 (Blocked), as "
        "protection against DNS rebinding; for zones of your own that have such addresses write a forward entry of "
        "their own. Default: allow: names of private networks are what many forward zones are for.",
    )


class ProbeSection(SettingsModel):
    """How gateways are probed."""

    type: Literal["tcp", "tls", "http", "none"] = Field(
        default="tcp",
        description="tcp: connect; tls: handshake; http: GET; none: every gateway counts as healthy. Default: tcp.",
    )
    interval: Interval = Field(
        default=10.0, description="Time between two probes of a gateway, 100ms to 1h. Default: 10s."
    )
    down: ProbeThreshold = Field(
        default=3, description="Failures in a row that make it unhealthy, 1 to 100. Default: 3."
    )
    up: ProbeThreshold = Field(
        default=2, description="Successes in a row that make it healthy again, 1 to 100. Default: 2."
    )


class HttpSection(SettingsModel):
    """The port of /health, /ready and /metrics."""

    listen: SocketAddress = Field(
        default="127.0.0.1:9153", description="Default: 127.0.0.1:9153, CoreDNS's metrics port."
    )
    health: SocketAddress | None = Field(
        default=None,
        description="An address of their own for /health and /ready, which listen does not answer then. For pods on "
        "the network of their node, where the kubelet asks 127.0.0.1. Default: none, listen answers all three.",
    )
    allow: tuple[ClientMatch, ...] = Field(
        default=("any",),
        description="Who may read /metrics: CIDRs, private (loopback and private addresses) or any; [] is nobody. "
        "Others get 403; /health and /ready are for all. Default: any: who reaches listen.",
    )


class AdminSection(SettingsModel):
    """How the other commands reach a running server."""

    socket: SocketPath | None = Field(
        default=None,
        description="Path of a Unix socket. Default: /run/meshdns/admin.sock for root, else admin.sock in the state "
        "directory.",
    )
    listen: LoopbackAddress | None = Field(
        default=None,
        description="A loopback address and port that tells the same over HTTP, and takes no orders. Default: none.",
    )


class Settings(SettingsModel):
    """All settings of a server; `Settings()` is what serves without a file."""

    api_version: Literal["meshdns/v1"] = Field(
        default=SETTINGS_API_VERSION, description="Version of this file's form. Default: meshdns/v1, the only one."
    )
    listen: tuple[SocketAddress, ...] = Field(
        default=("127.0.0.1:1053",),
        min_length=1,
        description="Addresses that are answered on, UDP and TCP. Default: 127.0.0.1:1053: needs no privilege and "
        "disturbs nobody.",
    )
    vantage: VantageSection = Field(default_factory=VantageSection, description="Where this server stands.")
    sources: tuple[SourceSection, ...] = Field(
        default=(),
        description="Where declarations come from. Default: in a pod its own cluster and the remote secrets of its "
        "namespace, else ./clusters, else the current context.",
    )
    clusters: dict[Identifier, ClusterSection] = Field(
        default_factory=dict, description="What is known about clusters, by name."
    )
    networks: dict[Identifier, NetworkSection] = Field(
        default_factory=dict, description="What is known about networks, by name."
    )
    default_network: Identifier | None = Field(
        default=None, description="One flat network for all clusters without a network label. Default: none."
    )
    system_namespace: NamespaceName = Field(
        default="istio-system", description="Istio's system namespace. Default: istio-system."
    )
    zones: tuple[ZoneSection, ...] = Field(
        default_factory=lambda: (ZoneSection(name="global"),), description="The zones of the mesh. Default: global."
    )
    records: tuple[RecordSection, ...] = Field(
        default=(), description="Static records, of one name at most 15 of type A and 15 of type AAAA. Default: none."
    )
    fallback: tuple[FallbackSection, ...] = Field(
        default=(), description="Kubernetes zones answered after their upstream. Default: none."
    )
    forward: tuple[ForwardSection, ...] = Field(
        default_factory=lambda: (ForwardSection(zone=".", to=("/etc/resolv.conf",)),),
        description="Where everything else is asked. Default: the servers of /etc/resolv.conf.",
    )
    allow_query: tuple[ClientMatch, ...] = Field(
        default=("private",),
        description="Who may ask: CIDRs, private (loopback and private addresses) or any. Default: private: an open "
        "resolver is a weapon.",
    )
    rate_limit: RateLimitSection = Field(
        default_factory=RateLimitSection, description="How many replies strangers may draw over UDP."
    )
    allow_debug: tuple[ClientMatch, ...] | None = Field(
        default=None,
        description="Who may ask _explain.<name> and _status.<zone>, which tell the mesh's inside, and hears in "
        "extended errors which cluster's object is not served and why, of those who may ask at all. "
        "Default: this machine, 127.0.0.0/8 and ::1; none if one of the listen addresses is a loopback address, for a "
        "cache on this machine asks there for all of its clients. If there is none, write [127.0.0.0/8, '::1/128'].",
    )
    special_names: SpecialNamesSection = Field(
        default_factory=SpecialNamesSection, description="Which special names are answered here."
    )
    chaos: ChaosSection = Field(default_factory=ChaosSection, description="What is told of this server in class CHAOS.")
    probe: ProbeSection = Field(default_factory=ProbeSection, description="How gateways are probed.")
    http: HttpSection = Field(default_factory=HttpSection, description="The port of /health, /ready and /metrics.")
    metrics: MetricsSection = Field(default_factory=MetricsSection, description="What /metrics tells.")
    query_log: QueryLogSection = Field(default_factory=QueryLogSection, description="Which queries are logged.")
    admin: AdminSection = Field(
        default_factory=AdminSection, description="How the other commands reach a running server."
    )
    workers: Annotated[int, Field(strict=True, ge=1, le=256)] | None = Field(
        default=None,
        description="Processes that answer, 1 to 256. Each has a cache of upstream answers of its own, joins equal "
        "questions and remembers failures by itself, so upstreams are asked as often as there are workers. Default: 1: "
        "it fills one core, and more help only where one core is not enough.",
    )
    state_dir: FilePath | None = Field(
        default=None,
        description="Directory of the name database and its snapshot. Default: /var/lib/meshdns for root, else "
        "$XDG_STATE_HOME/meshdns or ~/.local/state/meshdns.",
    )
    log_level: LogLevel = Field(default="info", description="debug, info, warning or error. Default: info.")
    log_format: Literal["auto", "text", "json"] = Field(
        default="auto",
        description="text: for people; json: an object a line; auto: text on a terminal, else json. Default: auto.",
    )
    lameduck: Duration = Field(
        default=5.0,
        description="How long queries are still answered after SIGTERM while /ready says no. Default: 5s, as CoreDNS's "
        "manifests do.",
    )
