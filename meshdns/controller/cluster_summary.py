"""Summaries of clusters in the name database: source, status, network and gateways, for people."""

import msgspec

from meshdns.mesh.passthrough import Passthrough


class ClusterSummary(msgspec.Struct, frozen=True):
    """Summary of a cluster as stored; `gateways` is None if they were not recorded.

    `since` is when the status began, in seconds of the wall clock since 1970; 0 if it was not recorded. `passthrough`
    is what the gateways pass through, None where that is not known.
    """

    source: str = ""
    status: str = ""
    since: float = 0.0
    network: str = ""
    reason: str = ""
    gateways: tuple["GatewaySummary", ...] | None = None
    passthrough: Passthrough | None = msgspec.field(default=None, name="passage")


class GatewaySummary(msgspec.Struct, frozen=True):
    """A gateway as the name database holds it: `owner` is the cluster whose object `origin` it is.

    `healthy` is None where gateways are not probed; a host name is healthy while one of its addresses is. `network` is
    set where it leads from its cluster into a network that no cluster is on.
    """

    address: str
    port: int = 0
    owner: str = ""
    origin: str = ""
    healthy: bool | None = None
    network: str = ""
