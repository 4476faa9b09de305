"""An instance at a glance: clusters, gateways and zones with their health, names and problems by their number.

Small however large the mesh is: the numbers are those that the controller keeps up to date commit by commit.
"""

from collections.abc import Iterator
from typing import Final, NamedTuple

import msgspec

from meshdns.controller.census import Census
from meshdns.controller.listing import GatewayItem, NetworkItem
from meshdns.mesh.explanation import API_VERSION
from meshdns.mesh.problems import NORMAL

_NORMAL: Final = frozenset(kind.value for kind in NORMAL)


class ZoneGlance(msgspec.Struct, frozen=True):
    """A zone: whether its names are answered, and whether what is unknown is denied; `serial` is that of its SOA."""

    name: str
    serial: int
    ready: bool
    complete: bool


class ClusterGlance(msgspec.Struct, frozen=True, rename="camel"):
    """A cluster as ``ClusterItem`` tells of it, without what would have to be counted."""

    name: str
    source: str
    status: str
    since: str
    network: str
    own: bool
    last_contact: float | None
    reason: str


class NameCount(msgspec.Struct, frozen=True):
    """How many owner names of a zone have an answer that rests on a cluster."""

    zone: str
    cluster: str
    count: int


class ProblemCount(msgspec.Struct, frozen=True):
    """How many problems of one kind a cluster has; `normal` ones alarm nobody."""

    cluster: str
    kind: str
    count: int
    normal: bool


class Overview(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """An instance at a glance. `cluster` and `network` are where it stands, empty where it is in none."""

    api_version: str = API_VERSION
    kind: str = "Overview"
    cluster: str
    network: str
    zones: tuple[ZoneGlance, ...]
    clusters: tuple[ClusterGlance, ...]
    networks: tuple[NetworkItem, ...]
    gateways: tuple[GatewayItem, ...]
    names: tuple[NameCount, ...]
    problems: tuple[ProblemCount, ...]


class Counts(NamedTuple):
    """What the controller has counted."""

    names: tuple[NameCount, ...] = ()
    problems: tuple[ProblemCount, ...] = ()


def counts(census: Census) -> Counts:
    """The numbers of a census that are not zero, in the order of their labels."""
    return Counts(tuple(_names(census)), tuple(_problems(census)))


def _names(census: Census) -> Iterator[NameCount]:
    for (zone, cluster), count in sorted(census.names.items()):
        if count > 0:
            yield NameCount(zone.removesuffix("."), cluster, count)


def _problems(census: Census) -> Iterator[ProblemCount]:
    for (cluster, kind), count in sorted(census.problems.items()):
        if count > 0:
            yield ProblemCount(cluster, kind, count, kind in _NORMAL)
