"""Values of the admin API: the lists of ``meshdns get``, the overview and the totals of an instance.

Rules:
- They are versioned (`API_VERSION`): keys are added, never renamed or given another meaning within a version.
- This module is light on purpose: the command line reads these values without loading the rest of this package.
"""

from collections import Counter
from typing import Any, Final, Generic, NamedTuple, TypeVar

import msgspec

from meshdns.instance import metric_pages
from meshdns.instance.metric_pages import MetricPage
from meshdns.instance.scoreboard import MAX_WORKERS, Scoreboard
from meshdns.mesh.explain.model import API_VERSION

Item = TypeVar("Item")


class NameItem(msgspec.Struct, frozen=True, rename="camel"):
    """An owner name and its answer.

    `level` is 0 where nothing answers; `ttl` is in seconds; `origins` are the objects of that level. `reason` says why
    a name has no address, or what it waits for, after the cluster; `clusters` and `origins` then declare it.
    """

    name: str
    outcome: str
    addresses: tuple[str, ...] = ()
    ttl: int = 0
    level: int = 0
    source: str = ""
    clusters: tuple[str, ...] = ()
    origins: tuple[str, ...] = ()
    reason: str = ""


class ServiceItem(msgspec.Struct, frozen=True, rename="camel"):
    """A Service as a cluster declares it, and the names that are derived from it.

    `ready` counts endpoints that are ready, of `endpoints`; both are -1 where no EndpointSlice is read. `created` is
    RFC 3339 in UTC.
    """

    cluster: str
    namespace: str
    name: str
    type: str
    cluster_ips: tuple[str, ...] = ()
    external: tuple[str, ...] = ()
    ports: tuple[str, ...] = ()
    ready: int = -1
    endpoints: int = -1
    names: tuple[str, ...] = ()
    created: str = ""


class ClusterItem(msgspec.Struct, frozen=True, rename="camel"):
    """A cluster as its source sees it.

    `since` is when the status began, RFC 3339 in UTC, empty if it was not recorded; `objects` counts its declarations,
    `names` the declared names whose answer rests on it; `gateways` is -1 if they were not recorded;
    `gateways_without_address` counts those host names among them, and further objects, that have none;
    `names_without_gateway` counts the names that lead through its gateways while none of these has an address;
    `last_contact` is in seconds before now, of the kind of objects whose contact is oldest, as for `status`; None
    where no server is running, or a kind was never heard of.
    """

    name: str
    source: str = ""
    status: str = ""
    since: str = ""
    network: str = ""
    own: bool = False
    objects: int = 0
    names: int = 0
    gateways: int = -1
    last_contact: float | None = None
    reason: str = ""
    gateways_without_address: int = 0
    names_without_gateway: int = 0


class GatewayItem(msgspec.Struct, frozen=True, rename="camel"):
    """One address or host name of a cluster's gateways; `healthy` is None where no probe has said so.

    `network` is the one it leads into; `state` says why a host name has no address, empty for what has one.
    """

    cluster: str
    network: str
    address: str
    port: int = 0
    healthy: bool | None = None
    origin: str = ""
    state: str = ""


class NetworkItem(msgspec.Struct, frozen=True, rename="camel"):
    """A network: the clusters on it, the gateways that lead to it, its prefixes by the settings."""

    name: str
    clusters: tuple[str, ...] = ()
    gateways: tuple[str, ...] = ()
    cidrs: tuple[str, ...] = ()
    own: bool = False


class ProblemItem(msgspec.Struct, frozen=True, rename="camel"):
    """A problem of an object; `normal` ones need no action. `where` is ``file:line`` for manifests.

    `severity` is ``error``, ``warning`` or ``expected``. `since` is when the problem was first seen, RFC 3339 in UTC,
    empty where that is not known. `cause` is what has to change: problems of one kind and one cause end together.
    """

    cluster: str
    kind: str
    object: str
    namespace: str
    name: str
    field: str
    reason: str
    advice: str
    where: str = ""
    normal: bool = False
    severity: str = ""
    since: str = ""
    cause: str = ""


class ZoneItem(msgspec.Struct, frozen=True, rename="camel"):
    """A zone and the state of what is served in it. TTLs in seconds; `serial` is that of its SOA."""

    name: str
    serial: int
    names: int
    ttl: int
    negative_ttl: int
    ready: bool
    complete: bool


class Listing(msgspec.Struct, Generic[Item], frozen=True, rename="camel", kw_only=True):
    """A list of items of one kind."""

    api_version: str = API_VERSION
    kind: str
    items: tuple[Item, ...]


AnyItem = NameItem | ServiceItem | ClusterItem | GatewayItem | NetworkItem | ProblemItem | ZoneItem

LISTS: Final[dict[str, type[Listing[Any]]]] = {
    "names": Listing[NameItem],
    "services": Listing[ServiceItem],
    "clusters": Listing[ClusterItem],
    "gateways": Listing[GatewayItem],
    "networks": Listing[NetworkItem],
    "problems": Listing[ProblemItem],
    "zone": Listing[ZoneItem],
}
"""The lists by the word that asks for them, which is also the path on the admin socket."""


def kind_of_list(word: str) -> str:
    """Return the ``kind`` of a list: ``NameList`` for ``names``."""
    return word.removesuffix("s").capitalize() + "List"


class ZoneOverview(msgspec.Struct, frozen=True):
    """A zone: `ready` if names are answered, `complete` if unknown names are denied; `serial` is that of its SOA."""

    name: str
    serial: int
    ready: bool
    complete: bool


class ClusterOverview(msgspec.Struct, frozen=True, rename="camel"):
    """A cluster as in `ClusterItem`, without the numbers that would have to be counted."""

    name: str
    source: str
    status: str
    since: str
    network: str
    own: bool
    last_contact: float | None
    reason: str


class NameCount(msgspec.Struct, frozen=True):
    """Number of owner names of a zone whose answer rests on a cluster."""

    zone: str
    cluster: str
    count: int


class ProblemCount(msgspec.Struct, frozen=True):
    """Number of problems of one kind in a cluster; `normal` ones need no action."""

    cluster: str
    kind: str
    count: int
    normal: bool


class Overview(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """An instance at a glance: clusters, gateways and zones with their health, and the numbers of names and problems.

    It is small however large the mesh is: the controller keeps the numbers up to date with each commit. `cluster` and
    `network` are the instance's own, empty if it is in none.
    """

    api_version: str = API_VERSION
    kind: str = "Overview"
    cluster: str
    network: str
    zones: tuple[ZoneOverview, ...]
    clusters: tuple[ClusterOverview, ...]
    networks: tuple[NetworkItem, ...]
    gateways: tuple[GatewayItem, ...]
    names: tuple[NameCount, ...]
    problems: tuple[ProblemCount, ...]


class OverviewCounts(NamedTuple):
    """The numbers that the controller keeps for the overview."""

    names: tuple[NameCount, ...] = ()
    problems: tuple[ProblemCount, ...] = ()


class Totals(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Counters since the instance started, over all workers, for rates and latencies: subtract two of these values.

    `time` is monotonic seconds. `responses` counts by RCODE, `sources` by what wrote them. `bounds` are upper bounds of
    durations in seconds; `durations` counts replies for each of them, and behind them those that took longer.
    """

    api_version: str = API_VERSION
    kind: str = "Totals"
    time: float
    responses: dict[str, int]
    sources: dict[str, int]
    bounds: tuple[float, ...] = metric_pages.DURATION_BUCKETS
    durations: tuple[int, ...]


def read_totals(board: Scoreboard, now: float) -> Totals:
    """Return the totals as the workers last published them; `now` is in seconds of the monotonic clock."""
    page = MetricPage()
    for worker in range(MAX_WORKERS):
        page.merge(board.read_page(worker))
    responses: Counter[str] = Counter()
    sources: Counter[str] = Counter()
    for (_zone, rcode, plugin), sums in page.samples(metric_pages.RESPONSES):
        responses[rcode] += int(sums[0])
        sources[plugin] += int(sums[0])
    durations = [0] * (len(metric_pages.DURATION_BUCKETS) + 1)
    for _, sums in page.samples(metric_pages.REQUEST_DURATION):
        durations = [a + int(b) for a, b in zip(durations, sums[:-1], strict=True)]
    return Totals(time=now, responses=dict(responses), sources=dict(sources), durations=tuple(durations))
