"""Kubernetes' own objects: Service, EndpointSlice, Namespace, Node, Pod, and the Gateway of the Gateway API."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

import msgspec

from meshdns.dns import names
from meshdns.mesh.objects.declarations import (
    AnyDeclaration,
    EndpointSlice,
    GatewayListener,
    KubernetesGateway,
    Namespace,
    Node,
    Pod,
    Port,
    Service,
    SliceEndpoint,
)
from meshdns.mesh.objects.foreign import shown
from meshdns.mesh.objects.labels import (
    CONTROL_PLANES,
    EXPORT_LABEL,
    EXPORT_TO_ANNOTATION,
    GATEWAY_PORT_LABEL,
    LISTENER_PROTOCOL_OPTION,
    NETWORK_LABEL,
    NODE_SELECTOR_ANNOTATION,
    SERVICE_NAME_LABEL,
)
from meshdns.mesh.objects.object_rules import problems_of_service
from meshdns.mesh.objects.raw import (
    MAX_ITEMS,
    RawObject,
    canonical_address,
    host_fault,
    label_pairs,
    mapping_of,
    normalize_host,
    port_number,
    text_of,
    texts_of,
)

MAX_SLICE_ENDPOINTS: Final = 1000
"""Endpoints of one EndpointSlice, as Kubernetes validates."""

_GATEWAY_LABELS: Final = frozenset({NETWORK_LABEL, GATEWAY_PORT_LABEL})
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
        labels=_select_labels(_SERVICE_LABELS, raw.labels),
        export_to=_comma_list(raw, EXPORT_TO_ANNOTATION, raw.annotations.get(EXPORT_TO_ANNOTATION, "")),
        node_selector=_node_selector(raw),
        publish_not_ready=raw.spec.get("publishNotReadyAddresses") is True,
        problems=problems_of_service(raw),
    )


def _comma_list(raw: RawObject, annotation: str, text: str) -> tuple[str, ...]:
    """The texts between commas in the value of an annotation."""
    found = tuple(filter(None, map(str.strip, text.split(","))))
    if len(found) > MAX_ITEMS:
        raw.add_bound_problem(f"metadata.annotations.{annotation}", len(found), MAX_ITEMS)
    return found[:MAX_ITEMS]


def _select_labels(kept: frozenset[str], labels: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    return tuple(sorted((key, value) for key, value in labels.items() if key in kept))


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
            raw.add_problem(f"spec.externalIPs[{index}]", f"{shown(item)} is no IP address", "write an address")


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
            raw.add_problem(f"spec.ports[{index}]", "has no port from 1 to 65535", "set port")


def _ingress(raw: RawObject) -> Iterator[str]:
    """Each ``status.loadBalancer.ingress`` item gives its ip, else its host name (as Istio reads them)."""
    balancer = mapping_of(raw.status.get("loadBalancer"))
    for index, item in enumerate(raw.list_at("ingress", balancer, "status.loadBalancer")):
        entry = mapping_of(item)
        address = canonical_address(entry.get("ip"))
        host = normalize_host(text_of(entry.get("hostname")))
        if address or (host and not names.invalid_reason(host)):
            yield address or host
        else:
            path = f"status.loadBalancer.ingress[{index}]"
            raw.add_problem(path, "has neither an IP address nor a host name", "look at the load balancer's controller")


def _node_selector(raw: RawObject) -> tuple[tuple[str, str], ...] | None:
    """Istio's annotation: a JSON object of node labels; only flat text pairs count."""
    value = raw.annotations.get(NODE_SELECTOR_ANNOTATION)
    if value is None:
        return None
    path = f"metadata.annotations.{NODE_SELECTOR_ANNOTATION}"
    try:
        return label_pairs(raw.first_pairs(msgspec.json.decode(value, type=dict[str, Any]), path))
    except (msgspec.DecodeError, RecursionError):
        raw.add_problem(path, "is no JSON object", "write a JSON object of labels, {} for every node")
        return None


def endpoint_slice(raw: RawObject) -> AnyDeclaration:
    """An EndpointSlice (discovery.k8s.io/v1)."""
    return EndpointSlice(
        namespace=raw.namespace,
        name=raw.name,
        created=raw.created,
        service=_label(raw, raw.labels.get(SERVICE_NAME_LABEL, ""), f"metadata.labels.{SERVICE_NAME_LABEL}"),
        endpoints=tuple(_slice_endpoints(raw)),
        ports=tuple(_slice_ports(raw)),
        problems=raw.problems,
    )


def _label(raw: RawObject, text: str, field: str) -> str:
    """A text that becomes a label of names; empty, with a problem, where it cannot."""
    fault = names.invalid_reason(text) or ("is more than one label" if "." in text else "")
    if text and fault:
        raw.add_problem(field, f"{shown(text)} {fault}", "use lower-case letters, digits and -")
    return "" if fault else text


def _slice_endpoints(raw: RawObject) -> Iterator[SliceEndpoint]:
    for index, item in enumerate(raw.list_at("endpoints", raw.root, "", most=MAX_SLICE_ENDPOINTS)):
        entry = mapping_of(item)
        addresses = entry.get("addresses")
        address = canonical_address(addresses[0]) if isinstance(addresses, list) and addresses else ""
        if address:
            ready = mapping_of(entry.get("conditions")).get("ready")
            # discovery.k8s.io/v1: an unset ready condition is unknown and should be read as true
            hostname = _label(raw, text_of(entry.get("hostname")), f"endpoints[{index}].hostname")
            yield SliceEndpoint(address, ready is not False, hostname)


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
        control_planes=_comma_list(raw, CONTROL_PLANES, planes),
        problems=raw.problems,
    )


def gateway(raw: RawObject) -> AnyDeclaration:
    """A Gateway (gateway.networking.k8s.io)."""
    return KubernetesGateway(
        namespace=raw.namespace,
        name=raw.name,
        created=raw.created,
        gateway_class=text_of(raw.spec.get("gatewayClassName")),
        spec_addresses=tuple(dict.fromkeys(_gateway_addresses(raw, raw.spec, "spec"))),
        status_addresses=tuple(dict.fromkeys(_gateway_addresses(raw, raw.status, "status"))),
        listeners=tuple(_listeners(raw)),
        labels=_select_labels(_GATEWAY_LABELS, raw.labels),
        problems=raw.problems,
    )


def _gateway_addresses(raw: RawObject, parent: Mapping[str, Any], path: str) -> Iterator[str]:
    """Addresses of the types IPAddress (the default) and Hostname; other types mean nothing outside their cloud."""
    for index, item in enumerate(raw.list_at("addresses", parent, path)):
        entry = mapping_of(item)
        if entry.get("type", "IPAddress") not in ("IPAddress", "Hostname"):
            continue
        value = entry.get("value")
        host = normalize_host(text_of(value))
        if address := canonical_address(value):
            yield address
        elif host and not names.invalid_reason(host):
            yield host
        elif value:  # Gateway API v1.2: an empty value asks the controller to choose one
            place = f"{path}.addresses[{index}].value"
            raw.add_problem(place, f"{shown(value)} is neither address nor host name", "look at the gateway's class")


def _listeners(raw: RawObject) -> Iterator[GatewayListener]:
    for index, item in enumerate(raw.list_at("listeners")):
        listener = mapping_of(item)
        number = port_number(listener.get("port"))
        if number:
            tls = mapping_of(listener.get("tls"))
            automatic = texts_of(tls.get("options")).get(LISTENER_PROTOCOL_OPTION) == "auto-passthrough"
            mode = "AUTO_PASSTHROUGH" if automatic else text_of(tls.get("mode"))
            hostname = normalize_host(text_of(listener.get("hostname")))
            fault = host_fault(hostname) if hostname else ""
            if fault:
                place = f"spec.listeners[{index}].hostname"
                raw.add_problem(place, f"{shown(hostname)} {fault}", "use a DNS name, or *. and a suffix")
            else:
                yield GatewayListener(number, text_of(listener.get("protocol")), hostname, mode)
        else:
            raw.add_problem(f"spec.listeners[{index}]", "has no port from 1 to 65535", "set port")


def node(raw: RawObject) -> AnyDeclaration:
    """A Node (core/v1)."""
    entries = map(mapping_of, raw.list_at("addresses", raw.status, "status"))
    external = (canonical_address(entry.get("address")) for entry in entries if entry.get("type") == "ExternalIP")
    return Node(
        namespace="",
        name=raw.name,
        created=raw.created,
        addresses=tuple(dict.fromkeys(filter(None, external))),
        labels=label_pairs(raw.first_pairs(raw.labels, "metadata.labels")),
        problems=raw.problems,
    )


def pod(raw: RawObject) -> AnyDeclaration:
    """A Pod (core/v1); one that ends, or has ended, is not ready."""
    items = raw.list_at("podIPs", raw.status, "status") or [{"ip": raw.status.get("podIP")}]
    conditions = map(mapping_of, raw.list_at("conditions", raw.status, "status"))
    ready = any(each.get("type") == "Ready" and each.get("status") == "True" for each in conditions)
    ends = "deletionTimestamp" in mapping_of(raw.root.get("metadata"))
    return Pod(
        namespace=raw.namespace,
        name=raw.name,
        created=raw.created,
        addresses=tuple(filter(None, (canonical_address(mapping_of(item).get("ip")) for item in items))),
        ready=ready and not ends,
        hostname=_label(raw, text_of(raw.spec.get("hostname")), "spec.hostname"),
        network=raw.labels.get(NETWORK_LABEL, ""),
        labels=label_pairs(raw.first_pairs(raw.labels, "metadata.labels")),
        problems=raw.problems,
    )
