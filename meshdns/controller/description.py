"""What the view holds of each cluster for people: where it is read, how it is, its network and its gateways."""

import msgspec


class ClusterDescription(msgspec.Struct, frozen=True):
    """What the view holds of a cluster; `gateways` is None where nobody wrote them down."""

    source: str = ""
    status: str = ""
    network: str = ""
    reason: str = ""
    gateways: tuple["GatewayDescription", ...] | None = None


class GatewayDescription(msgspec.Struct, frozen=True):
    """A gateway as the view holds it: `owner` is the cluster whose object `origin` it is."""

    address: str
    port: int = 0
    owner: str = ""
    origin: str = ""
    healthy: bool | None = None
