"""The endpoints of a ServiceEntry: written, selected, or real destinations; and how many of them are judged.

A user who may write ServiceEntries decides how many hosts, endpoints and ports there are. Work for one declaration is
bounded here; what is over a bound counts as unreadable, never as absent.
"""

import itertools
from collections.abc import Iterator
from typing import Final, TypeVar

from meshdns.mesh.inventory import ClusterObjects
from meshdns.mesh.objects.declarations import Endpoint, Resolution, ServiceEntry
from meshdns.mesh.objects.references import ADDRESSES_FIELD, ENDPOINTS_FIELD, FieldRef, ref_of

MAX_ENDPOINTS: Final = 256
"""Endpoints of one declaration that are judged, in the order in which they are written or named."""

MAX_CANDIDATES: Final = 4096
"""Candidates that one cluster may yield for one name in one step; an answer has 15 addresses of a family."""

_MAX_ENDPOINT_PORTS: Final = 8192  # ports of all judged endpoints of a declaration
_MIN_PORTS: Final = 16  # of a declaration, however many endpoints it has

_AnyPort = TypeVar("_AnyPort")


def all_endpoints(entry: ServiceEntry, cluster: ClusterObjects) -> Iterator[tuple[FieldRef, Endpoint]]:
    """The endpoints of an entry of `cluster` with their fields."""
    for index, endpoint in enumerate(entry.endpoints):
        yield FieldRef(ENDPOINTS_FIELD, index), endpoint
    if entry.selector:  # Istio: an empty selector selects nothing
        wanted = set(entry.selector)
        workloads = cluster.workload_entries.get(entry.namespace, {})
        for name in sorted(workloads):
            if wanted.issubset(workloads[name].labels):
                yield FieldRef(selected=ref_of(workloads[name])), workloads[name].endpoint
        for _, pod in sorted(cluster.pods.get(entry.namespace, {}).items()):
            if pod.ready and wanted.issubset(pod.labels):
                for address in pod.addresses:
                    yield FieldRef(selected=ref_of(pod)), Endpoint(address, network=pod.network)
    if entry.resolution is Resolution.NONE:
        for index, address in enumerate(entry.addresses):
            yield FieldRef(ADDRESSES_FIELD, index), Endpoint(address, network=entry.network)


def judged_endpoints(entry: ServiceEntry, cluster: ClusterObjects) -> list[tuple[FieldRef, Endpoint]]:
    """The endpoints that are judged."""
    return list(itertools.islice(all_endpoints(entry, cluster), MAX_ENDPOINTS))


def has_more_endpoints(entry: ServiceEntry, cluster: ClusterObjects) -> bool:
    """Whether an entry of `cluster` has endpoints that are not judged."""
    return next(itertools.islice(all_endpoints(entry, cluster), MAX_ENDPOINTS, None), None) is not None


def most_ports(endpoints: int) -> int:
    """How many ports of a declaration with so many endpoints are told apart."""
    return max(_MIN_PORTS, _MAX_ENDPOINT_PORTS // max(endpoints, 1))


def judged_ports(ports: tuple[_AnyPort, ...], endpoints: int) -> tuple[_AnyPort, ...]:
    """The first of `ports`, as many as are told apart at so many endpoints."""
    most = most_ports(endpoints)
    return ports if len(ports) <= most else ports[:most]
