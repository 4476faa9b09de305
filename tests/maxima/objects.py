"""Objects of each kind at the maximum that a CRD or Kubernetes' validation allows, or etcd (1.5 MB).

Each is made anew by its number, so that several of them say nothing about the same names.
"""

from collections.abc import Callable, Iterator
from typing import Any, Final

from meshdns.mesh.objects.declarations import ObjectKind

Object = tuple[str, ObjectKind, dict[str, Any]]
"""Cluster, kind, and the object as an API server returns it."""

OWN, OTHER = "east", "west"
NETWORK: Final = "topology.istio.io/network"


def scenery() -> Iterator[Object]:
    """What is around the objects: a cluster on another network with a gateway that passes everything through."""
    for cluster in (OWN, OTHER):
        yield network(cluster)
    yield OTHER, ObjectKind.SERVICE, gateway_service("eastwest", {"ports": [{"port": 15443}]}, ["198.51.100.1"])


def network(cluster: str) -> Object:
    """What says that a cluster is on a network of its own."""
    metadata = {"name": "istio-system", "labels": {NETWORK: f"net-{cluster}"}}
    return cluster, ObjectKind.NAMESPACE, {"metadata": metadata}


def gateway_service(name: str, spec: dict[str, Any], ingress: list[str]) -> dict[str, Any]:
    """A Service that is a gateway, with the addresses of its load balancer."""
    metadata = {"name": name, "namespace": "istio-system", "labels": {"istio": "eastwestgateway"}}
    status = {"loadBalancer": {"ingress": [{"ip": address} for address in ingress]}}
    return {"metadata": metadata, "spec": {"type": "LoadBalancer", "clusterIP": "10.96.0.9", **spec}, "status": status}


def _address(number: int, first: int = 20) -> str:
    return f"{first}.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}"


def service_entry(name: str, **spec: Any) -> dict[str, Any]:
    """A ServiceEntry of one HTTP port, where `spec` says nothing else."""
    usual = {"location": "MESH_INTERNAL", "resolution": "STATIC", "ports": [{"number": 80, "name": "http"}]}
    return {"metadata": {"name": name, "namespace": "prod"}, "spec": {**usual, **spec}}


def hosts_by_endpoints(number: int) -> Iterator[Object]:
    """256 hosts × 4096 endpoints, of the other network's private addresses: each through the gateway."""
    hosts = [f"h{index}.n{number}.global" for index in range(256)]
    endpoints = [{"address": _address(index, 10)} for index in range(4096)]
    yield OTHER, ObjectKind.SERVICE_ENTRY, service_entry(f"wide{number}", hosts=hosts, endpoints=endpoints)


def own_ports(number: int) -> Iterator[Object]:
    """256 hosts × 4096 endpoints, each of which has port numbers of its own."""
    ports = [{"number": 1000 + index, "name": f"p{index}"} for index in range(256)]
    endpoints = [
        {"address": _address(index), "ports": {f"p{port}": 1 + (index * 8 + port) % 65535 for port in range(8)}}
        for index in range(4096)
    ]
    hosts = [f"h{index}.p{number}.global" for index in range(256)]
    yield OWN, ObjectKind.SERVICE_ENTRY, service_entry(f"ported{number}", hosts=hosts, endpoints=endpoints, ports=ports)


def many_hosts(number: int) -> Iterator[Object]:
    """5,000 hosts × 50 endpoints × 20 ports, as a file can hold them."""
    ports = [{"number": 1000 + index, "name": f"p{index}"} for index in range(20)]
    endpoints = [
        {"address": _address(index), "ports": {f"p{port}": 2000 + index * 20 + port for port in range(20)}}
        for index in range(50)
    ]
    hosts = [f"h{index}.m{number}.global" for index in range(5000)]
    yield OWN, ObjectKind.SERVICE_ENTRY, service_entry(f"many{number}", hosts=hosts, endpoints=endpoints, ports=ports)


def names_of_names(number: int) -> Iterator[Object]:
    """256 hosts, whose endpoints are these hosts."""
    hosts = [f"h{index}.c{number}.global" for index in range(256)]
    endpoints = [{"address": host} for host in hosts]
    yield (
        OWN,
        ObjectKind.SERVICE_ENTRY,
        service_entry(f"circle{number}", hosts=hosts, endpoints=endpoints, resolution="DNS"),
    )


def host_names(number: int) -> Iterator[Object]:
    """256 hosts × 4096 endpoints that are host names of 200 characters."""
    hosts = [f"h{index}.d{number}.global" for index in range(256)]
    endpoints = [{"address": f"{index}.{'x' * 60}.{'y' * 60}.{'z' * 60}.example"} for index in range(4096)]
    yield (
        OWN,
        ObjectKind.SERVICE_ENTRY,
        service_entry(f"dns{number}", hosts=hosts, endpoints=endpoints, resolution="DNS"),
    )


def malformed(number: int) -> Iterator[Object]:
    """Nothing of it can be read: 4096 endpoints, 256 hosts and 256 ports, each wrong, with texts of 256 characters."""
    wrong = "é" * 256
    spec = {
        "hosts": [f"{index}{wrong}" for index in range(256)],
        "endpoints": [{"address": wrong, "ports": {wrong: -1}} for _ in range(2000)],
        "ports": [{"name": wrong} for _ in range(256)],
        "addresses": [wrong for _ in range(256)],
        "exportTo": [wrong for _ in range(256)],
    }
    yield OWN, ObjectKind.SERVICE_ENTRY, service_entry(f"wrong{number}", **spec)


def gateway_hosts(number: int) -> Iterator[Object]:
    """A Gateway with 40,000 hosts, and 256 names behind it."""
    server = {
        "port": {"number": 15443, "protocol": "TLS"},
        "tls": {"mode": "AUTO_PASSTHROUGH"},
        "hosts": [f"*/h{index}.g{number}.global" for index in range(40_000)],
    }
    spec = {"selector": {"istio": "eastwestgateway"}, "servers": [server]}
    metadata = {"name": f"cross{number}", "namespace": "istio-system"}
    yield OTHER, ObjectKind.ISTIO_GATEWAY, {"metadata": metadata, "spec": spec}
    hosts = [f"h{index}.g{number}.global" for index in range(256)]
    yield (
        OTHER,
        ObjectKind.SERVICE_ENTRY,
        service_entry(f"behind{number}", hosts=hosts, endpoints=[{"address": "10.0.0.7"}]),
    )


def service_ports(number: int) -> Iterator[Object]:
    """A Service that is a gateway, with 10,000 ports, 10,000 external IPs and 10,000 addresses of its balancer."""
    ports = [{"port": 15443}, *({"port": index + 1, "name": f"p{index}"} for index in range(10_000))]
    external = [_address(index, 30) for index in range(10_000)]
    ingress = [_address(index, 31) for index in range(10_000)]
    found = gateway_service(f"gateway{number}", {"ports": ports, "externalIPs": external}, ingress)
    yield OTHER, ObjectKind.SERVICE, found
    hosts = [f"h{index}.s{number}.global" for index in range(256)]
    yield (
        OTHER,
        ObjectKind.SERVICE_ENTRY,
        service_entry(f"far{number}", hosts=hosts, endpoints=[{"address": "10.0.0.7"}]),
    )


def slice_endpoints(number: int) -> Iterator[Object]:
    """A headless Service with 5 EndpointSlices of 1000 endpoints, each with a host name, and 100 ports."""
    name = f"pods{number}"
    spec = {"clusterIP": "None", "ports": [{"port": 80, "name": "http"}]}
    yield OWN, ObjectKind.SERVICE, {"metadata": {"name": name, "namespace": "prod"}, "spec": spec}
    for part in range(5):
        endpoints = [
            {"addresses": [_address(part * 1000 + index, 40)], "hostname": f"pod-{part}-{index}"}
            for index in range(1000)
        ]
        labels = {"kubernetes.io/service-name": name}
        metadata = {"name": f"{name}-{part}", "namespace": "prod", "labels": labels}
        ports = [{"port": 1 + index, "name": f"p{index}"} for index in range(100)]
        yield OWN, ObjectKind.ENDPOINT_SLICE, {"metadata": metadata, "endpoints": endpoints, "ports": ports}


def workload_labels(number: int) -> Iterator[Object]:
    """20 WorkloadEntries with 250 kB of labels each, selected by an entry of 256 hosts."""
    labels = {f"label-{index}": "v" * 63 for index in range(3000)}
    for each in range(20):
        spec = {"address": _address(each, 50), "labels": {"app": f"w{number}", **labels}}
        metadata = {"name": f"vm{number}-{each}", "namespace": "prod", "labels": labels}
        yield OWN, ObjectKind.WORKLOAD_ENTRY, {"metadata": metadata, "spec": spec}
    yield OWN, ObjectKind.SERVICE_ENTRY, _selecting(number)


def _selecting(number: int) -> dict[str, Any]:
    hosts = [f"h{index}.w{number}.global" for index in range(256)]
    return service_entry(f"select{number}", hosts=hosts, workloadSelector={"labels": {"app": f"w{number}"}})


def many_workloads(number: int) -> Iterator[Object]:
    """2,000 WorkloadEntries, selected by an entry of 256 hosts."""
    for each in range(2000):
        spec = {"address": _address(each, 51), "labels": {"app": f"w{number}"}}
        yield (
            OWN,
            ObjectKind.WORKLOAD_ENTRY,
            {"metadata": {"name": f"v{number}-{each}", "namespace": "prod"}, "spec": spec},
        )
    yield OWN, ObjectKind.SERVICE_ENTRY, _selecting(number)


def same_host(number: int) -> Iterator[Object]:
    """300 ServiceEntries of 256 endpoints for one host."""
    for each in range(300):
        endpoints = [{"address": _address(each * 256 + index)} for index in range(256)]
        name, hosts = f"same{number}-{each}", [f"one.o{number}.global"]
        yield OTHER, ObjectKind.SERVICE_ENTRY, service_entry(name, hosts=hosts, endpoints=endpoints)


def node(number: int) -> Iterator[Object]:
    """A Node with 10,000 labels and 10,000 addresses."""
    labels = {f"label-{index}": "v" * 63 for index in range(10_000)}
    addresses = [{"type": "ExternalIP", "address": _address(index, 60)} for index in range(10_000)]
    metadata = {"name": f"node{number}", "labels": labels}
    yield OTHER, ObjectKind.NODE, {"metadata": metadata, "status": {"addresses": addresses}}


def namespace(number: int) -> Iterator[Object]:
    """A Namespace with an annotation of 256 kB."""
    annotations = {"topology.istio.io/controlPlaneClusters": ",".join(f"c{index}" for index in range(40_000))}
    yield OTHER, ObjectKind.NAMESPACE, {"metadata": {"name": f"tenant{number}", "annotations": annotations}}


def kubernetes_gateway(number: int) -> Iterator[Object]:
    """A Gateway of the Gateway API with 64 listeners and 16 addresses, and 256 names behind it."""
    listeners = [
        {"name": f"l{index}", "port": 15443, "protocol": "TLS", "hostname": f"*.l{index}.k{number}.global"}
        for index in range(64)
    ]
    addresses = [{"type": "IPAddress", "value": _address(index, 70)} for index in range(16)]
    metadata = {"name": f"gw{number}", "namespace": "istio-system", "labels": {NETWORK: f"net-{OTHER}"}}
    spec = {"gatewayClassName": "istio", "listeners": listeners}
    yield OTHER, ObjectKind.GATEWAY, {"metadata": metadata, "spec": spec, "status": {"addresses": addresses}}
    hosts = [f"h{index}.k{number}.global" for index in range(256)]
    yield (
        OTHER,
        ObjectKind.SERVICE_ENTRY,
        service_entry(f"gated{number}", hosts=hosts, endpoints=[{"address": "10.0.0.7"}]),
    )


def pod(number: int) -> Iterator[Object]:
    """A Pod with 10,000 labels and 10,000 addresses, selected by an entry of 256 hosts."""
    labels = {"app": f"w{number}", **{f"label-{index}": "v" * 63 for index in range(10_000)}}
    status = {
        "podIPs": [{"ip": _address(index, 80)} for index in range(10_000)],
        "conditions": [{"type": "Ready", "status": "True"}],
    }
    yield (
        OWN,
        ObjectKind.POD,
        {"metadata": {"name": f"pod{number}", "namespace": "prod", "labels": labels}, "status": status},
    )
    yield OWN, ObjectKind.SERVICE_ENTRY, _selecting(number)


MAXIMA: Final[dict[str, Callable[[int], Iterator[Object]]]] = {
    "ServiceEntry: 256 hosts × 4096 endpoints": hosts_by_endpoints,
    "ServiceEntry: 4096 endpoints with port numbers of their own": own_ports,
    "ServiceEntry: 5,000 hosts × 50 endpoints × 20 ports": many_hosts,
    "ServiceEntry: 256 hosts that lead to each other": names_of_names,
    "ServiceEntry: 4096 endpoints that are long host names": host_names,
    "ServiceEntry: everything malformed": malformed,
    "ServiceEntry: 300 of them for one host": same_host,
    "Istio Gateway: 40,000 hosts": gateway_hosts,
    "Gateway API Gateway: 64 listeners, 16 addresses": kubernetes_gateway,
    "Service: 10,000 ports, external IPs and balancer addresses": service_ports,
    "EndpointSlice: 5 of 1000 endpoints with host names": slice_endpoints,
    "WorkloadEntry: 20 with 250 kB of labels": workload_labels,
    "WorkloadEntry: 2,000 selected": many_workloads,
    "Pod: 10,000 labels and addresses": pod,
    "Node: 10,000 labels and addresses": node,
    "Namespace: an annotation of 256 kB": namespace,
}
"""The maxima by what they are."""
