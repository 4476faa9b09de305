"""The endpoints of a ServiceEntry: written, selected, or real destinations; and how many of them are judged.

A user who may write ServiceEntries decides how many hosts, endpoints and ports there are. Work for one declaration is
bounded here; what is over a bound counts as unreadable, never as absent.
"""

import itertools
from collections.abc import Iterator
from typing import Final, NamedTuple, TypeVar

from meshdns.mesh.inventory import ClusterObjects
from meshdns.mesh.objects.declarations import Endpoint, Resolution, ServiceEntry, WorkloadEntry
from meshdns.mesh.objects.references import ADDRESSES_FIELD, ENDPOINTS_FIELD, FieldRef, ref_of

MAX_ENDPOINTS: Final = 256
"""Endpoints of one declaration that are judged, in the order in which they are written or named."""

MAX_CANDIDATES: Final = 4096
"""Candidates that one cluster may yield for one name in one step; an answer has 15 addresses of a family."""

_MAX_ENDPOINT_PORTS: Final = 8192  # ports of all judged endpoints of a declaration
_MIN_PORTS: Final = 16  # of a declaration, however many endpoints it has

_AnyPort = TypeVar("_AnyPort")


class ListedEndpoint(NamedTuple):
    """An endpoint with its field; `ready` is false for a workload whose health is checked and not known to be good."""

    field: FieldRef
    endpoint: Endpoint
    ready: bool = True


def all_endpoints(entry: ServiceEntry, cluster: ClusterObjects) -> Iterator[ListedEndpoint]:
    """The endpoints of an entry of `cluster`."""
    for index, endpoint in enumerate(entry.endpoints):
        yield ListedEndpoint(FieldRef(ENDPOINTS_FIELD, index), endpoint)
    if entry.selector:  # Istio: an empty selector selects nothing
        wanted = set(entry.selector)
        workloads = cluster.workload_entries.get(entry.namespace, {})
        for name in sorted(workloads):
            if wanted.issubset(workloads[name].labels):
                yield workload_endpoint(workloads[name])
        for _, pod in sorted(cluster.pods.get(entry.namespace, {}).items()):
            if pod.ready and wanted.issubset(pod.labels):
                for address in pod.addresses:
                    yield ListedEndpoint(FieldRef(selected=ref_of(pod)), Endpoint(address, network=pod.network))
    if entry.resolution is Resolution.NONE:
        for index, address in enumerate(entry.addresses):
            yield ListedEndpoint(FieldRef(ADDRESSES_FIELD, index), Endpoint(address, network=entry.network))


def workload_endpoint(workload: WorkloadEntry) -> ListedEndpoint:
    """A selected WorkloadEntry as an endpoint."""
    return ListedEndpoint(FieldRef(selected=ref_of(workload)), workload.endpoint, workload.ready)


def judged_endpoints(entry: ServiceEntry, cluster: ClusterObjects) -> list[ListedEndpoint]:
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
