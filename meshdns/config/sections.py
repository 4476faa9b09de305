"""Sections of the settings file: special names, rate limits, CHAOS, metrics, the query log, and sources.

The sections of zones, clusters and upstreams are in `meshdns.config.model`.
"""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator
from pydantic.alias_generators import to_camel

from meshdns.config.values import AlwaysTrue, Bool, BoolOrAuto, FilePath, Identifier, NamespaceName


def _without_empty_keys(written: Any) -> Any:
    """Return a mapping, or the mappings of a list, without keys that have nothing behind them.

    Items of a list are told apart by a key of theirs before their section sees them.
    """
    if isinstance(written, list):
        return [_without_empty_keys(item) if isinstance(item, dict) else item for item in written]
    if not isinstance(written, dict):
        return written
    return {
        key: _without_empty_keys(value) if isinstance(value, list) else value
        for key, value in written.items()
        if value is not None
    }


class SettingsModel(BaseModel):
    """Base of all sections: frozen, without unknown keys, in camel case in the file.

    A key with nothing behind it (null) counts as not written, and so does all of a section.
    """

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        alias_generator=to_camel,
        validate_by_name=True,
        validate_by_alias=True,
        serialize_by_alias=True,
        defer_build=True,  # built at first use: commands that read no settings start without it
    )

    @model_validator(mode="before")
    @classmethod
    def _without_nulls(cls, written: Any) -> Any:
        if written is None:
            return {}
        return _without_empty_keys(written)


class SpecialNamesSection(SettingsModel):
    """Which special names are answered here instead of being forwarded. A name in a configured zone never is one.

    With auto the names are forwarded while every upstream of the route that they would take is private, link-local or
    loopback: such servers may well have a zone for them. With any other upstream, or none, they are answered here. A
    resolv.conf counts as it is at the moment.
    """

    localhost: AlwaysTrue = Field(
        default=True,
        description="localhost and below: 127.0.0.1 and ::1 (RFC 6761 6.3). Never forwarded; false is an error. "
        "Default: true.",
    )
    invalid: AlwaysTrue = Field(
        default=True,
        description="invalid: does not exist (RFC 6761 6.4). Never forwarded; false is an error. Default: true.",
    )
    test: BoolOrAuto = Field(
        default="auto",
        description="test: does not exist (RFC 6761 6.2); false forwards it. Default: auto; a forward zone test wins.",
    )
    alt: Bool = Field(default=True, description="alt: does not exist in DNS (RFC 9476). Default: true.")
    onion: AlwaysTrue = Field(
        default=True,
        description="onion: does not exist in DNS (RFC 7686). Never forwarded; false is an error. Default: true.",
    )
    local: Bool = Field(
        default=False,
        description="local, of multicast DNS: does not exist (RFC 6762). Default: false: Active Directory is often "
        "below it. cluster.local and others that are configured always win.",
    )
    home_arpa: BoolOrAuto = Field(
        default="auto",
        description="home.arpa: does not exist (RFC 8375); false forwards it. Default: auto; a forward zone home.arpa "
        "wins.",
    )
    internal: BoolOrAuto = Field(
        default="auto",
        description="internal, the top-level domain for private use: does not exist; false forwards it. Default: auto, "
        "which leaves metadata.google.internal and the like to a cloud's own resolver; a forward zone internal wins.",
    )
    resolver_arpa: Bool = Field(
        default=True,
        description="resolver.arpa: no data, as another resolver's encryption is not ours (RFC 9462 6.4). "
        "Default: true.",
    )
    reverse: BoolOrAuto = Field(
        default="auto",
        description="Reverse zones of private and reserved addresses: do not exist (RFC 6303, RFC 7793). auto may "
        "forward those of 10/8, 172.16/12, 192.168/16, 169.254/16, 100.64/10 and fd00::/8, and answers the others "
        "here; false forwards all. Default: auto; a forward zone such as 10.in-addr.arpa wins.",
    )


class RateLimitSection(SettingsModel):
    """How many replies strangers may draw over UDP, where their address may be a victim's (response rate limiting).

    It comes in once allowQuery admits more than private addresses. Counted are replies to a /24 or /56, answers,
    denials and errors apart, by each worker. A client that sends back our cookie, or asks over TCP, is not limited.
    """

    per_second: Annotated[int, Field(strict=True, ge=0, le=1_000_000)] = Field(
        default=200, description="Replies a second, at most 1000000; 0 is no limit. Default: 200, as NSD."
    )
    slip: Annotated[int, Field(strict=True, ge=0, le=10)] = Field(
        default=2,
        description="Every how many replies over the limit one is told to ask over TCP, 0 to 10; the others are "
        "dropped. 0 drops all. Default: 2, as BIND and NSD: an honest client in the block gets through.",
    )
    private: Bool = Field(
        default=False,
        description="Whether private addresses are limited too; loopback never is. Default: false: nobody outside can "
        "be hit by what is sent to them. It costs them the quickest way to an answer.",
    )


class ChaosSection(SettingsModel):
    """What is told of this server in class CHAOS."""

    identity: Bool = Field(
        default=True,
        description="id.server and hostname.bind: the host's name, as NSID (RFC 4892). Default: true: tells which of "
        "many instances answered; false refuses.",
    )
    version: Bool = Field(
        default=False,
        description="version.server and version.bind: name and version. Default: false, refused: an attacker's first "
        "question.",
    )


Share = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
"""A share from 0 to 1."""


class MetricsSection(SettingsModel):
    """What /metrics tells."""

    coredns_names: Bool = Field(
        default=False,
        description="Whether what means the same as in CoreDNS is told under its names (coredns_…), too, so that its "
        "dashboards work unchanged. Default: false: alerts without a job selector would take this server for CoreDNS.",
    )


class QueryLogSection(SettingsModel):
    """Which queries are logged, on standard output. More than 2,000 a second of a worker are counted and left out."""

    sample: Share = Field(
        default=0.0, description="The share of queries to log, 0 to 1: 0.01 is one in a hundred. Default: 0, none."
    )
    classes: tuple[Literal["success", "denial", "error", "all"], ...] = Field(
        default=("all",),
        description="The kinds to log: success, denial (NXDOMAIN and NODATA), error, or all. Default: [all].",
    )
    format: Literal["coredns", "json"] = Field(
        default="coredns",
        description="coredns: the line of CoreDNS's plugin log, which its log parsers read; json: an object a line. "
        "Default: coredns.",
    )


class ManifestsSection(SettingsModel):
    """A folder with one folder of Kubernetes manifests per cluster."""

    kind: Literal["manifests"] = "manifests"
    path: FilePath = Field(
        description="The folder; <path>/<cluster>/**/*.yaml: files at any depth, also .yml and .json, in any "
        "case. Relative to the settings file."
    )


class InClusterSection(SettingsModel):
    """The cluster this process runs in, through its service account."""

    kind: Literal["inCluster"] = "inCluster"
    cluster: Identifier = Field(
        default="Kubernetes", description="The cluster's name. Default: Kubernetes, Istio's own default."
    )


class KubeconfigSection(SettingsModel):
    """Contexts of a kubeconfig; each context is a cluster of that name."""

    kind: Literal["kubeconfig"] = "kubeconfig"
    path: FilePath | None = Field(
        default=None,
        description="The file, or several joined by colons as in KUBECONFIG, or a folder of kubeconfigs, each for the "
        "cluster of its current context. Relative to the settings file. Default: KUBECONFIG, else ~/.kube/config.",
    )
    contexts: tuple[Identifier, ...] = Field(
        default=(), description="The contexts to read. Default: the current context."
    )


class RemoteSecretsSection(SettingsModel):
    """Kubeconfigs in Secrets labelled istio/multiCluster=true, as istiod reads them."""

    kind: Literal["remoteSecrets"] = "remoteSecrets"
    namespace: NamespaceName | None = Field(default=None, description="Their namespace. Default: that of this pod.")
    path: FilePath | None = Field(
        default=None,
        description="The kubeconfig to read the Secrets with. Relative to the settings file. Default: none, this pod's "
        "service account.",
    )
    context: Identifier | None = Field(
        default=None, description="The context of that kubeconfig. Default: the current context."
    )
    max_clusters: Annotated[int, Field(strict=True, ge=1, le=1000)] = Field(
        default=100,
        description="How many clusters are read, at most 1000: those that were read before, then those of the oldest "
        "Secrets. Default: 100: each takes 1 MiB, and the chart's limit of memory has room for so many.",
    )


SourceSection = Annotated[
    ManifestsSection | InClusterSection | KubeconfigSection | RemoteSecretsSection, Field(discriminator="kind")
]
