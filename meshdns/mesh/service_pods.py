"""The pods of a Service by the labels of their names, and by their addresses, as its EndpointSlices tell.

A pod's label is its host name, else its address with dashes in place of dots and colons, as CoreDNS writes it
(coredns: plugin/kubernetes/kubernetes.go, endpointHostname).
"""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from meshdns.mesh.objects.declarations import EndpointSlice, Port, SliceEndpoint

NamedPod = tuple[SliceEndpoint, tuple[Port, ...]]
"""An endpoint, and the ports of its slice."""


def pod_label(point: SliceEndpoint, part: EndpointSlice) -> str:
    """Return the label in names of a pod in a slice; empty for one whose host name cannot be read."""
    if point.address in part.nameless:
        return ""
    return point.hostname or point.address.replace(".", "-").replace(":", "-")


class ServedPod(NamedTuple):
    """A pod by its address: its label, and the ports of its slices."""

    label: str
    ports: tuple[Port, ...]


class ServicePods:
    """The pods of one Service; `slices` come in the order of their names."""

    __slots__ = ("_by_address", "_by_label")

    def __init__(self, slices: Iterable[EndpointSlice]) -> None:
        self._by_label: dict[str, list[NamedPod]] = {}
        self._by_address: dict[str, ServedPod] = {}
        pods = [(point, pod_label(point, part), part.ports) for part in slices for point in part.endpoints]
        ready = {point.address for point, _, _ in pods if point.ready}
        for point, label, ports in pods:
            if label:
                self._by_label.setdefault(label, []).append((point, ports))
            if point.ready or point.address not in ready:
                known = self._by_address.get(point.address)
                served = ServedPod(label, ports)
                if known is not None:  # in several slices while it moves between them
                    served = ServedPod(known.label, tuple(dict.fromkeys((*known.ports, *ports))))
                self._by_address[point.address] = served

    @property
    def labels(self) -> Iterable[str]:
        """The labels of all pods."""
        return self._by_label.keys()

    def named(self, label: str) -> Sequence[NamedPod]:
        """The endpoints with a label, in the order of the slices."""
        return self._by_label.get(label, ())

    def at(self, address: str) -> ServedPod:
        """The pod that has an address."""
        return self._by_address[address]
