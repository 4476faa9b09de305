"""The explanation of a name as a value, and what must be known to make one.

It is versioned (`API_VERSION`): keys are added, never renamed or given another meaning within a version. `rename` makes
them camel case, as in Kubernetes objects.
"""

import enum
from collections.abc import Iterable, Sequence
from typing import Final, Protocol

import msgspec

from meshdns.dns.names import longest_zone
from meshdns.dns.presentation import PresentationReply
from meshdns.mesh.answer import Answer
from meshdns.mesh.objects.declarations import AnyDeclaration
from meshdns.mesh.objects.problems import Problem
from meshdns.mesh.objects.references import ObjectRef
from meshdns.mesh.passthrough import Passthrough, PassthroughRule

API_VERSION: Final = "meshdns/v1"
"""Version of everything that the tools print for machines."""


class ExplainedZone(msgspec.Struct, frozen=True, rename="camel"):
    """A zone's part in an answer. TTLs in seconds; `upstream` names who is asked first (fallback), empty = nobody."""

    name: str
    answer: str = "gateway"
    ttl: int = 30
    negative_ttl: int = 5
    fallthrough: bool = False
    closest_encloser: bool = False  # wildcards: dns (RFC 4592 4.3.3) instead of Istio's rule
    order: tuple[str, ...] = ()
    fallback: bool = False
    upstream: tuple[str, ...] = ()


class ForwardZone(msgspec.Struct, frozen=True, rename="camel"):
    """The upstreams of a forward zone; the root is ``.``."""

    zone: str
    servers: tuple[str, ...]

    @property
    def name(self) -> str:
        """The zone without trailing dot; empty for the root."""
        return self.zone.removesuffix(".")


class Vantage(msgspec.Struct, frozen=True, rename="camel"):
    """The vantage of the server, and its settings about names."""

    cluster: str
    network: str
    zones: tuple[ExplainedZone, ...] = ()
    forward: tuple[ForwardZone, ...] = ()

    def zone_of(self, name: str) -> ExplainedZone | None:
        """The longest zone that a name is in; None also where a longer forward zone takes it."""
        zone, forward = longest_zone(name, self.zones), longest_zone(name, self.forward)
        return None if zone is not None and forward is not None and len(forward.name) > len(zone.name) else zone

    def forward_zone_of(self, name: str) -> ForwardZone | None:
        """Where a name is forwarded to: the longest zone of ``forward``."""
        return longest_zone(name, self.forward)


class MatchKind(enum.Enum):
    """The ways in which a name was found."""

    EXACT = "exact"
    WILDCARD = "wildcard"
    EMPTY_NON_TERMINAL = "empty non-terminal"  # RFC 4592 2.2.2: nothing by itself, but names below it
    APEX = "apex"
    ZONE = "of the zone itself"  # ns.<zone>
    SYNTHESIZED = "made of another name"  # SRV, <cluster>.<host>
    NONE = "none"
    OUTSIDE = "outside the zones"


class Match(msgspec.Struct, frozen=True, rename="camel"):
    """The owner name that speaks for the name; `less_specific` are wildcards that exist but were beaten."""

    kind: MatchKind
    owner: str = ""
    more_specific: tuple[str, ...] = ()  # owner names that would have been taken first, had they existed
    less_specific: tuple[str, ...] = ()


class EndpointResult(enum.Enum):
    """The results of endpoints."""

    CHOSEN = "chosen"
    LOST = "lost"
    NO_ADDRESS = "yields nothing"
    PENDING = "still to come"
    FORWARDED = "forwarded"


class GatewayState(msgspec.Struct, frozen=True, rename="camel"):
    """An address or host name of a cluster's gateways.

    `healthy` is None where no probe has said so. `network` is set where it stands in the cluster and leads into a
    network that no cluster is on.
    """

    cluster: str
    address: str
    port: int = 0
    origin: str = ""
    healthy: bool | None = None
    network: str = ""


class ExplainedPassthrough(msgspec.Struct, frozen=True, rename="camel"):
    """Passthrough of the gateways of a cluster: mesh TLS that they pass through, for the hosts of `rules` alone.

    `passes` says whether the name is among them; both are None where nothing is known. Of many rules the first are
    there, and `more` is the number of the others.
    """

    cluster: str
    passes: bool | None = None
    rules: tuple[PassthroughRule, ...] | None = msgspec.field(default=None, name="openings")
    more: int = 0


class ExplainedEndpoint(msgspec.Struct, frozen=True, rename="camel"):
    """One endpoint of a declaration: what is written, the row that judged it, what it became, and why."""

    field: str
    written: str
    rule: str
    result: EndpointResult = msgspec.field(name="fate")
    address: str = ""
    reason: str = ""
    reach: str = ""
    ready: bool = True
    gateway: GatewayState | None = None
    host: str = ""


class ExplainedDeclaration(msgspec.Struct, frozen=True, rename="camel"):
    """One declaration that speaks for the name; `host` is the one of its hosts that does."""

    level: int
    source: str
    cluster: str
    kind: str
    namespace: str
    name: str
    host: str
    created: str
    endpoints: tuple[ExplainedEndpoint, ...]
    problems: tuple[Problem, ...] = ()


class Refusal(msgspec.Struct, frozen=True, rename="camel"):
    """A declaration that names the host but does not count, and why."""

    cluster: str
    problem: Problem


class GatewayProblem(msgspec.Struct, frozen=True, rename="camel"):
    """A problem of an object that is, or should be, a gateway of a cluster."""

    cluster: str
    problem: Problem


class Explanation(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Everything about one name and type. `reply` is None where the question is forwarded."""

    api_version: str = API_VERSION
    kind: str = "Explanation"
    name: str
    type: str
    vantage: Vantage
    zone: ExplainedZone | None
    match: Match
    forwarding: ForwardZone | None = None
    declarations: tuple[ExplainedDeclaration, ...] = ()
    gateways: tuple[GatewayState, ...] = ()
    passthrough: tuple[ExplainedPassthrough, ...] = msgspec.field(default=(), name="carriage")
    gateway_problems: tuple[GatewayProblem, ...] = ()
    refusals: tuple[Refusal, ...] = ()
    nearest: tuple[str, ...] = ()
    reason: str = ""
    level: int = 0
    reply: PresentationReply | None = None


class ExplainContext(Protocol):
    """The context of a name, read consistently."""

    def answer(self, owner: str) -> Answer | None:
        """The answer of exactly this owner name; None where it does not exist."""

    def declaration(self, cluster: str, ref: ObjectRef) -> AnyDeclaration | None:
        """A declaration by its identity."""

    def problems(self, cluster: str, ref: ObjectRef) -> Sequence[Problem]:
        """All that is wrong with a declaration: by itself, and in what the mesh makes of it."""

    def gateways(self, cluster: str) -> Sequence[GatewayState]:
        """The gateways of a cluster."""

    def passthrough(self, cluster: str) -> Passthrough | None:
        """What the gateways of a cluster pass through; None where that is not known."""

    def gateway_problems(self, cluster: str) -> Sequence[Problem]:
        """What is wrong with the objects that are, or should be, gateways of a cluster."""

    def refusals(self, name: str) -> Iterable[Refusal]:
        """The declarations that name this host but do not count."""
