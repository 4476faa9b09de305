"""Summaries of clusters in the name database: source, status, network and gateways, for people."""

import msgspec

from meshdns.mesh.passthrough import Passthrough


class ClusterSummary(msgspec.Struct, frozen=True):
    """Summary of a cluster as stored; `gateways` is None if they were not recorded.

    `since` is when the status began, in seconds of the wall clock since 1970; 0 if it was not recorded. `passthrough`
    is what the gateways pass through, None where that is not known. `objects_without_address` counts the objects that
    should be gateways and have no address.
    """

    source: str = ""
    status: str = ""
    since: float = 0.0
    network: str = ""
    reason: str = ""
    gateways: tuple["GatewaySummary", ...] | None = None
    passthrough: Passthrough | None = msgspec.field(default=None, name="passage")
    objects_without_address: int = 0

    @property
    def gateways_without_address(self) -> int:
        """How many of its gateways lack an address: host names that have none, and objects."""
        return sum(bool(each.state) for each in self.gateways or ()) + self.objects_without_address


class GatewaySummary(msgspec.Struct, frozen=True):
    """A gateway as the name database holds it: `owner` is the cluster whose object `origin` it is.

    `healthy` is None where gateways are not probed; a host name is healthy while one of its addresses is. `network` is
    set where it leads from its cluster into a network that no cluster is on. `state` is the `HostStatus` of a host name
    in text, empty for what has an address.
    """

    address: str
    port: int = 0
    owner: str = ""
    origin: str = ""
    healthy: bool | None = None
    network: str = ""
    state: str = ""
