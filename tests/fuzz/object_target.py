"""Objects of every kind the whole way: reading, name table, name database, every list, explanation and zone output."""

import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import msgspec

from meshdns.config import Settings
from meshdns.mesh.objects.declarations import ObjectKind, key_of
from meshdns.mesh.objects.problems import ProblemKind
from tests.maxima.objects import OTHER, OWN, scenery
from tests.maxima.passage import Passage

_LONGEST_LIST: Final = 4_000_000  # octets of a list; what is longer was made of the fuzzed object
_KINDS: Final = tuple(ObjectKind)
_FAR: Final = 126  # added to the number of a kind: an object of the other cluster
_SETTINGS: Final = {
    "zones": [{"name": "global"}, {"name": "2.0.192.in-addr.arpa"}],
    "vantage": {"cluster": OWN},
    "clusters": {OTHER: {"network": "net-west"}},
    "sources": [],
}


class Objects:
    """Structured objects, as JSON in which the first octet says the kind and the cluster."""

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="meshdns-fuzz-objects-")
        self._passage = Passage(Path(self._folder.name), Settings.model_validate(_SETTINGS))
        for cluster, kind, obj in scenery():
            self._passage.read(cluster, kind, obj)
        self._passage.publish()
        self._known = frozenset(self._passage.known_names())
        self._problems = len(self._passage.problems())

    def run(self, data: bytes) -> None:
        """An object is read or refused by itself: nothing raises, everything is shown, and it goes without a trace."""
        if not data:
            return
        try:
            obj = msgspec.json.decode(data[1:])
        except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
            return
        self.take(_KINDS[data[0] % len(_KINDS)], obj, OTHER if data[0] >= _FAR else OWN)

    def take(self, kind: ObjectKind, obj: object, cluster: str = OWN) -> None:
        """Take one object the whole way and away again."""
        passage = self._passage
        declaration = passage.read(cluster, kind, obj)
        if declaration is None:
            return
        passage.publish()
        assert not passage.publisher.failure_count, passage.problems()
        assert not passage.publisher.unstorable
        for problem in passage.problems():
            assert problem["kind"] != ProblemKind.NOT_COMPUTED.value, problem
            assert problem["reason"]
            assert problem["advice"]
        known = passage.known_names()
        assert max(passage.show(known[:3]).values()) < _LONGEST_LIST
        passage.publisher.remove(cluster, key_of(declaration))
        passage.publish()
        assert frozenset(passage.known_names()) == self._known
        assert len(passage.problems()) == self._problems


def seeds() -> Iterator[bytes]:
    """An object of each kind in both clusters, and with each of its fields empty."""
    for number, kind in enumerate(_KINDS):
        for head in (number, number + _FAR):
            yield bytes([head]) + msgspec.json.encode(_SMALL[kind])
        for path in fields_of(_SMALL[kind]):
            yield bytes([number]) + msgspec.json.encode(replaced(_SMALL[kind], path, lambda _: None))


_META: Final = {
    "name": "a",
    "namespace": "p",
    "labels": {"topology.istio.io/network": "net-west", "istio": "eastwestgateway"},
}
_SMALL: Final[Mapping[ObjectKind, Mapping[str, Any]]] = {
    ObjectKind.SERVICE_ENTRY: {
        "metadata": {**_META, "annotations": {"meshdns.io/ttl": "5", "meshdns.io/answer": "vip"}},
        "spec": {
            "hosts": ["a.p.global", "*.p.global", "b.a.svc.cluster.local"],
            "addresses": ["240.0.0.1", "10.0.0.0/8"],
            "ports": [{"number": 80, "name": "http", "protocol": "HTTP", "targetPort": 8080}],
            "location": "MESH_INTERNAL",
            "resolution": "DNS",
            "endpoints": [
                {"address": "10.1.1.1", "ports": {"http": 81}, "network": "net-west"},
                {"address": "a.p.svc.cluster.local"},
                {"address": "x.p.global"},
                {"address": "lb.example.com"},
                {"address": "unix:///x"},
                {"network": "net-west"},
            ],
            "workloadSelector": {"labels": {"app": "a"}},
            "exportTo": ["*"],
        },
        "status": {"addresses": [{"value": "240.240.0.1", "host": "a.p.global"}]},
    },
    ObjectKind.WORKLOAD_ENTRY: {"metadata": _META, "spec": {"address": "10.1.1.1", "labels": {"app": "a"}}},
    ObjectKind.SERVICE: {
        "metadata": {**_META, "annotations": {"networking.istio.io/exportTo": "*"}},
        "spec": {
            "type": "LoadBalancer",
            "clusterIP": "10.96.0.1",
            "ports": [{"port": 15443, "nodePort": 31000, "protocol": "TCP", "name": "tls"}],
            "externalIPs": ["192.0.2.1"],
        },
        "status": {"loadBalancer": {"ingress": [{"ip": "192.0.2.2"}, {"hostname": "lb.example.com"}]}},
    },
    ObjectKind.ENDPOINT_SLICE: {
        "metadata": {"name": "a-x", "namespace": "p", "labels": {"kubernetes.io/service-name": "a"}},
        "endpoints": [{"addresses": ["10.2.2.2"], "conditions": {"ready": True}, "hostname": "a-0"}],
        "ports": [{"port": 80, "name": "http"}],
    },
    ObjectKind.NAMESPACE: {
        "metadata": {"name": "tenant", "uid": "u", "annotations": {"topology.istio.io/controlPlaneClusters": "west"}}
    },
    ObjectKind.GATEWAY: {
        "metadata": _META,
        "spec": {
            "gatewayClassName": "istio-remote",
            "addresses": [{"type": "IPAddress", "value": "192.0.2.3"}, {"type": "Hostname", "value": "gw.example.com"}],
            "listeners": [
                {"name": "t", "port": 15443, "protocol": "TLS", "hostname": "*.global", "tls": {"mode": "Passthrough"}}
            ],
        },
        "status": {"addresses": [{"value": "192.0.2.4"}]},
    },
    ObjectKind.ISTIO_GATEWAY: {
        "metadata": _META,
        "spec": {
            "selector": {"istio": "eastwestgateway"},
            "servers": [
                {
                    "port": {"number": 15443},
                    "tls": {"mode": "AUTO_PASSTHROUGH"},
                    "hosts": ["*.local", "p/a.p.global", "./*"],
                }
            ],
        },
    },
    ObjectKind.NODE: {"metadata": _META, "status": {"addresses": [{"type": "ExternalIP", "address": "192.0.2.5"}]}},
    ObjectKind.POD: {
        "metadata": {**_META, "labels": {"app": "a"}},
        "spec": {"hostname": "h"},
        "status": {"podIPs": [{"ip": "10.3.3.3"}], "conditions": [{"type": "Ready", "status": "True"}]},
    },
}
"""An object of each kind in which every field that is read is set."""


def fields_of(value: object, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """The paths of all fields and items of an object."""
    items: Iterator[tuple[str | int, object]]
    match value:
        case dict():
            items = iter(value.items())
        case list():
            items = iter(enumerate(value))
        case _:
            return
    for key, inner in items:
        yield (*path, key)
        yield from fields_of(inner, (*path, key))


def small_objects() -> Mapping[ObjectKind, Mapping[str, Any]]:
    """An object of each kind in which every field that is read is set."""
    return _SMALL


Replace = Callable[[object], object]


def replaced(value: Any, path: tuple[str | int, ...], change: Replace) -> Any:
    """A copy of an object in which `change` made another value of the one at `path`."""
    if not path:
        return change(value)
    copy: Any = dict(value) if isinstance(value, dict) else list(value)
    copy[path[0]] = replaced(copy[path[0]], path[1:], change)
    return copy
