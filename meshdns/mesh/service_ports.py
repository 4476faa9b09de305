"""The named ports of an answer, and the targets of their SRV records (RFC 2782).

Rules:
- Every target has exactly the addresses of the answer that listen on the port. Where all addresses do, it is the name
  itself, else ``p<port>.<cluster>.<name>``.
- A target that cannot be named, or whose name would hold an address where another port has that number, is left out. A
  port without a target is still known: its SRV is NODATA, and `unserved_ports` tells of it.
- A headless Service names its pods one by one (Kubernetes DNS specification 2.4), where each pod's name has nothing but
  addresses that listen on the port, and there are no more than `MAX_POD_TARGETS` of them.
"""

import functools
from collections.abc import Callable, Iterable, Iterator
from operator import itemgetter
from typing import Final

import msgspec

from meshdns.mesh.candidates import Candidate, NamedPort

_CACHE_SIZE: Final = 1 << 10  # names behind one gateway have addresses and ports in common: they are worked out once
_MAX_CACHED: Final = 128  # addresses and ports of what is kept there: whoever declares them decides how many there are
_FEW: Final = 4  # of what has more: the hosts of one declaration are judged one after another

MAX_POD_TARGETS: Final = 512
"""Targets of all ports of a headless Service that name pods: the row of a name has room for them."""

Served = tuple[tuple[str, str, tuple[NamedPort, ...]], ...]
"""The candidates that an answer chose, each as the cluster in which it is reached, its address and its ports."""

Listening = tuple[tuple[tuple[str, int], tuple[str, ...]], ...]
"""The addresses that listen on a number in a cluster, whatever the name of the port."""


class ServicePort(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A named port and its targets as ``(number, cluster)``; an empty cluster means the name itself.

    `pods` are ``(number, label)`` of the pods that are named one by one in place of `targets`; a reader of version 0.1
    does not know them.
    """

    name: str
    protocol: str
    targets: tuple[tuple[int, str], ...]
    pods: tuple[tuple[int, str], ...] = ()


def served_ports(chosen: Iterable[Candidate]) -> Served:
    """Return what the named ports of an answer follow from."""
    return tuple((candidate.target_cluster, candidate.address, candidate.ports) for candidate in chosen)


def find_services(served: Served, can_name_cluster: Callable[[str], bool]) -> tuple[ServicePort, ...]:
    """Return the named ports; `can_name_cluster` says whether ``p<port>.<cluster>.<name>`` can exist."""
    found, _ = _find(served)
    clusters = {cluster for service in found for _, cluster in service.targets if cluster}
    if all(map(can_name_cluster, clusters)):
        return found
    return tuple(
        ServicePort(
            service.name,
            service.protocol,
            tuple(target for target in service.targets if not target[1] or can_name_cluster(target[1])),
        )
        for service in found
    )


def addresses_by_port(served: Served, services: Iterable[ServicePort]) -> Iterator[tuple[str, int, tuple[str, ...]]]:
    """Return the addresses of each target ``p<port>.<cluster>.<name>`` with its cluster and number."""
    wanted = {(cluster, number) for service in services for number, cluster in service.targets if cluster}
    if wanted:
        _, listening = _find(served)
        yield from ((*place, addresses) for place, addresses in listening if place in wanted)


def with_pods(
    services: tuple[ServicePort, ...],
    chosen: Iterable[Candidate],
    group: Iterable[Candidate],
    can_name_pod: Callable[[str], bool],
) -> tuple[ServicePort, ...]:
    """Return the services with the pods of a headless Service as targets, if the answer is nothing but its pods.

    `group` holds all candidates that the names of pods may have, also those that the cap of a family left out of the
    answer; `can_name_pod` says whether a pod's name is its own.
    """
    labels = dict.fromkeys(candidate.pod_label for candidate in chosen)
    if not services or not labels or not all(label and can_name_pod(label) for label in labels):
        return services
    numbers: dict[tuple[str, str], dict[str, set[int]]] = {}  # by service and pod
    addresses: dict[str, set[str]] = {}
    listening: dict[tuple[str, str, str, int], set[str]] = {}
    for each in group:
        if each.pod_label in labels:
            addresses.setdefault(each.pod_label, set()).add(each.address)
            for port in each.ports:
                numbers.setdefault((port.name, port.protocol), {}).setdefault(each.pod_label, set()).add(port.number)
                place = (port.name, port.protocol, each.pod_label, port.number)
                listening.setdefault(place, set()).add(each.address)
    named = []
    for service in services:
        key = (service.name, service.protocol)
        pods = [(number, label) for label, found in numbers[key].items() for number in sorted(found)]
        alike = all(listening[*key, label, number] == addresses[label] for number, label in pods)
        named.append(msgspec.structs.replace(service, pods=tuple(sorted(pods))) if alike else service)
    count = sum(len(service.pods) for service in named)
    return tuple(named) if count <= MAX_POD_TARGETS else services


def unserved_ports(services: Iterable[ServicePort], candidate: Candidate) -> Iterator[NamedPort]:
    """Return the ports of a chosen candidate that no SRV record of the answer holds."""
    by_name = {(service.name, service.protocol): service for service in services}
    for port in candidate.ports:
        service = by_name.get((port.name, port.protocol))
        if service is None or service.pods:
            continue
        if not {(port.number, ""), (port.number, candidate.target_cluster)}.intersection(service.targets):
            yield port


def _find(served: Served) -> tuple[tuple[ServicePort, ...], Listening]:
    few = sum(1 + len(ports) for _, _, ports in served) <= _MAX_CACHED
    return (_find_all if few else _find_all_of_many)(served)


@functools.lru_cache(maxsize=_CACHE_SIZE)
def _find_all(served: Served) -> tuple[tuple[ServicePort, ...], Listening]:
    """The named ports of what was chosen with all their targets, and who listens where."""
    every = {address for _, address, _ in served}
    places: dict[tuple[str, str], dict[int, dict[str, dict[str, None]]]] = {}
    listening: dict[tuple[str, int], dict[str, None]] = {}
    for cluster, address, ports in served:
        for port in ports:
            listening.setdefault((cluster, port.number), {})[address] = None
            if port.name:
                numbers = places.setdefault((port.name, port.protocol), {})
                numbers.setdefault(port.number, {}).setdefault(cluster, {})[address] = None
    services = []
    for (name, protocol), numbers in sorted(places.items(), key=itemgetter(0)):
        targets: list[tuple[int, str]] = []
        for number, clusters in sorted(numbers.items()):
            if set().union(*clusters.values()) == every:
                targets.append((number, ""))
            else:
                alike = (each for each in sorted(clusters) if clusters[each].keys() == listening[each, number].keys())
                targets += ((number, cluster) for cluster in alike)
        services.append(ServicePort(name, protocol, tuple(targets)))
    return tuple(services), tuple((place, tuple(found)) for place, found in sorted(listening.items()))


_find_all_of_many = functools.lru_cache(maxsize=_FEW)(_find_all.__wrapped__)
