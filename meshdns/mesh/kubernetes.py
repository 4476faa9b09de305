"""Kubernetes' own objects: Service, EndpointSlice and Namespace."""

from collections.abc import Iterator
from typing import Final

import msgspec

from meshdns.dns import names
from meshdns.mesh.declarations import AnyDeclaration, EndpointSlice, Namespace, Port, Service, SliceEndpoint
from meshdns.mesh.labels import (
    CONTROL_PLANES,
    EXPORT_LABEL,
    EXPORT_TO_ANNOTATION,
    GATEWAY_PORT_LABEL,
    NETWORK_LABEL,
    NODE_SELECTOR_ANNOTATION,
    SERVICE_NAME_LABEL,
)
from meshdns.mesh.raw import RawObject, canonical_address, label_pairs, mapping_of, normal_host, port_number, text_of

_SERVICE_LABELS: Final = frozenset({NETWORK_LABEL, GATEWAY_PORT_LABEL, EXPORT_LABEL, "istio"})


def service(raw: RawObject) -> AnyDeclaration:
    """A Service (core/v1)."""
    cluster_ip = text_of(raw.spec.get("clusterIP"))
    return Service(
        namespace=raw.namespace,
        name=raw.name,
        created=raw.created,
        type=text_of(raw.spec.get("type")) or "ClusterIP",
        cluster_ips=tuple(_cluster_ips(raw, cluster_ip)),
        headless=cluster_ip == "None",
        ports=tuple(_service_ports(raw)),
        ingress=tuple(dict.fromkeys(_ingress(raw))),
        external_ips=tuple(_external_ips(raw)),
        labels=tuple(sorted((k, v) for k, v in raw.labels.items() if k in _SERVICE_LABELS)),
        export_to=tuple(filter(None, map(str.strip, raw.annotations.get(EXPORT_TO_ANNOTATION, "").split(",")))),
        node_selector=_node_selector(raw),
        publish_not_ready=raw.spec.get("publishNotReadyAddresses") is True,
        problems=raw.problems,
    )


def _cluster_ips(raw: RawObject, first: str) -> Iterator[str]:
    """``clusterIPs`` where the API server filled it in (dual stack), else ``clusterIP``."""
    items = raw.list_at("clusterIPs") or [first]
    yield from filter(None, map(canonical_address, items))


def _external_ips(raw: RawObject) -> Iterator[str]:
    for index, item in enumerate(raw.list_at("externalIPs")):
        address = canonical_address(item)
        if address:
            yield address
        else:
            raw.report(f"spec.externalIPs[{index}]", f"{str(item)[:80]!r} is no IP address", "write an address")


def _service_ports(raw: RawObject) -> Iterator[Port]:
    for index, item in enumerate(raw.list_at("ports")):
        port = mapping_of(item)
        number = port_number(port.get("port"))
        if number:
            yield Port(
                text_of(port.get("name")),
                number,
                text_of(port.get("protocol")) or "TCP",
                port_number(port.get("targetPort")),
                port_number(port.get("nodePort")),
            )
        else:
            raw.report(f"spec.ports[{index}]", "has no port from 1 to 65535", "set port")


def _ingress(raw: RawObject) -> Iterator[str]:
    """Each ``status.loadBalancer.ingress`` item gives its ip, else its host name (as Istio reads them)."""
    balancer = mapping_of(raw.status.get("loadBalancer"))
    for index, item in enumerate(raw.list_at("ingress", balancer, "status.loadBalancer")):
        entry = mapping_of(item)
        address = canonical_address(entry.get("ip"))
        host = normal_host(text_of(entry.get("hostname")))
        if address or (host and not names.fault(host)):
            yield address or host
        else:
            path = f"status.loadBalancer.ingress[{index}]"
            raw.report(path, "has neither an IP address nor a host name", "look at the load balancer's controller")


def _node_selector(raw: RawObject) -> tuple[tuple[str, str], ...] | None:
    """Istio's annotation: a JSON object of node labels; only flat text pairs count."""
    value = raw.annotations.get(NODE_SELECTOR_ANNOTATION)
    if value is None:
        return None
    try:
        return label_pairs(msgspec.json.decode(value))
    except msgspec.DecodeError:
        path = f"metadata.annotations.{NODE_SELECTOR_ANNOTATION}"
        raw.report(path, "is no JSON object", "write a JSON object of labels, {} for every node")
        return None


def endpoint_slice(raw: RawObject) -> AnyDeclaration:
    """An EndpointSlice (discovery.k8s.io/v1)."""
    return EndpointSlice(
        namespace=raw.namespace,
        name=raw.name,
        created=raw.created,
        service=raw.labels.get(SERVICE_NAME_LABEL, ""),
        endpoints=tuple(_slice_endpoints(raw)),
        ports=tuple(_slice_ports(raw)),
        problems=raw.problems,
    )


def _slice_endpoints(raw: RawObject) -> Iterator[SliceEndpoint]:
    for item in raw.list_at("endpoints", raw.root, ""):
        entry = mapping_of(item)
        addresses = entry.get("addresses")
        address = canonical_address(addresses[0]) if isinstance(addresses, list) and addresses else ""
        if address:
            ready = mapping_of(entry.get("conditions")).get("ready")
            # discovery.k8s.io/v1: an unset ready condition is unknown and should be read as true
            yield SliceEndpoint(address, ready is not False, text_of(entry.get("hostname")))


def _slice_ports(raw: RawObject) -> Iterator[Port]:
    for item in raw.list_at("ports", raw.root, ""):
        port = mapping_of(item)
        number = port_number(port.get("port"))
        if number:
            yield Port(text_of(port.get("name")), number, text_of(port.get("protocol")) or "TCP")


def namespace(raw: RawObject) -> AnyDeclaration:
    """A Namespace (core/v1)."""
    planes = raw.annotations.get(CONTROL_PLANES) or raw.labels.get(CONTROL_PLANES, "")
    return Namespace(
        namespace="",
        name=raw.name,
        created=raw.created,
        uid=raw.uid,
        network=raw.labels.get(NETWORK_LABEL, ""),
        control_planes=tuple(filter(None, map(str.strip, planes.split(",")))),
        problems=raw.problems,
    )
