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
    MANAGED_LABEL,
    NETWORK_LABEL,
    NODE_SELECTOR_ANNOTATION,
    SERVICE_NAME_LABEL,
)
from meshdns.mesh.objects.object_rules import problems_of_service
from meshdns.mesh.objects.own_keys import export_of
from meshdns.mesh.objects.raw import (
    MAX_ITEMS,
    MAX_PORT_DIGITS,
    RawObject,
    canonical_address,
    host_fault,
    label_pairs,
    mapping_of,
    normalize_host,
    port_advice,
    port_number,
    text_of,
    texts_of,
)

MAX_SLICE_ENDPOINTS: Final = 1000
"""Endpoints of one EndpointSlice, as Kubernetes validates."""

_GATEWAY_LABELS: Final = frozenset({NETWORK_LABEL, GATEWAY_PORT_LABEL})
_SERVICE_LABELS: Final = frozenset({NETWORK_LABEL, GATEWAY_PORT_LABEL, "istio"})
_KEPT_LABELS: Final = _SERVICE_LABELS | {MANAGED_LABEL}
_SERVICE_TYPES: Final = ("ClusterIP", "NodePort", "LoadBalancer", "ExternalName")
_PROTOCOLS: Final = ("TCP", "UDP", "SCTP")
_HEADLESS: Final = "None"  # in spec.clusterIP


def service(raw: RawObject) -> AnyDeclaration:
    """A Service (core/v1)."""
    cluster_ip = text_of(raw.spec.get("clusterIP"))
    kind = raw.word_at("type", raw.spec, "spec", _SERVICE_TYPES)
    return Service(
        namespace=raw.namespace,
        name=raw.name,
        created=raw.created,
        type=kind or _SERVICE_TYPES[0],
        cluster_ips=tuple(_cluster_ips(raw)),
        headless=cluster_ip == _HEADLESS,
        ports=tuple(_service_ports(raw)),
        ingress=tuple(dict.fromkeys(_ingress(raw))),
        external_ips=tuple(_external_ips(raw)),
        labels=_service_labels(raw, has_type=kind is not None and not raw.has_unread_spec),
        export_to=_comma_list(raw, EXPORT_TO_ANNOTATION, raw.annotations.get(EXPORT_TO_ANNOTATION, "")),
        node_selector=_node_selector(raw),
        publish_not_ready=_publishes_not_ready(raw),
        selector=raw.selector_at("selector", raw.spec, "spec") or (),
        problems=problems_of_service(raw),
    )


def _publishes_not_ready(raw: RawObject) -> bool:
    field = "publishNotReadyAddresses"
    value = raw.spec.get(field)
    if value is not None and not isinstance(value, bool):
        reason = f"{shown(value)} is neither true nor false; read as false"
        raw.add_problem(f"spec.{field}", reason, "write true or false without quotes")
    return value is True


def _service_labels(raw: RawObject, *, has_type: bool) -> tuple[tuple[str, str], ...]:
    """The labels that are kept; a Service is hidden if what decides whether it has derived names cannot be read."""
    labels = _gateway_labels(raw, _KEPT_LABELS)
    exported = export_of(raw)
    is_unread = any(map(raw.label_pairs.is_unread, _SERVICE_LABELS))
    if is_unread or raw.annotation_pairs.is_unread(EXPORT_TO_ANNOTATION) or not has_type:
        exported = False
    return labels if exported is None else tuple(sorted((*labels, (EXPORT_LABEL, "true" if exported else "false"))))


def _comma_list(raw: RawObject, annotation: str, text: str) -> tuple[str, ...]:
    """The texts between commas in the value of an annotation."""
    found = tuple(filter(None, map(str.strip, text.split(","))))
    if len(found) > MAX_ITEMS:
        raw.add_bound_problem(f"metadata.annotations.{annotation}", len(found), MAX_ITEMS)
    return found[:MAX_ITEMS]


def _gateway_labels(raw: RawObject, kept: frozenset[str]) -> tuple[tuple[str, str], ...]:
    """The labels that are kept of an object; a problem where its gateway port is none."""
    port = raw.labels.get(GATEWAY_PORT_LABEL, "")
    if port and not (port.isascii() and port.isdigit() and len(port) <= MAX_PORT_DIGITS and port_number(int(port))):
        reason = f"{shown(port)} is no port, so that the gateway port is the usual one"
        raw.add_problem(f"metadata.labels.{GATEWAY_PORT_LABEL}", reason, "write a number from 1 to 65535, in quotes")
        kept -= {GATEWAY_PORT_LABEL}
    return tuple(sorted((key, value) for key, value in raw.labels.items() if key in kept))


def _cluster_ips(raw: RawObject) -> Iterator[str]:
    """``clusterIPs`` where the API server filled it in (dual stack), else ``clusterIP``."""
    items = [(f"spec.clusterIPs[{index}]", item) for index, item in enumerate(raw.list_at("clusterIPs"))]
    for field, item in items or [("spec.clusterIP", raw.spec.get("clusterIP"))]:
        address = canonical_address(item)
        if address:
            yield address
        elif item not in (None, "", _HEADLESS) or (item is None and items):
            raw.add_problem(
                field, f"{shown(item)} is no IP address", "write an address, or None for a headless Service"
            )


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
        path = f"spec.ports[{index}]"
        if number:
            name, protocol = raw.text_at("name", port, path), raw.word_at("protocol", port, path, _PROTOCOLS)
            if name is not None and protocol is not None:
                yield Port(
                    name, number, protocol, port_number(port.get("targetPort")), port_number(port.get("nodePort"))
                )
        else:
            raw.add_problem(path, "has no port from 1 to 65535", port_advice(port.get("port"), "set port"))


def _ingress(raw: RawObject) -> Iterator[str]:
    """Each ``status.loadBalancer.ingress`` item gives its ip, else its host name (as Istio reads them)."""
    balancer = mapping_of(raw.status.get("loadBalancer"))
    for index, item in enumerate(raw.list_at("ingress", balancer, "status.loadBalancer")):
        entry = mapping_of(item)
        address = canonical_address(entry.get("ip"))
        host = normalize_host(text_of(entry.get("hostname")))
        if address or (host and not names.host_fault(host)):
            yield address or host
        else:
            path = f"status.loadBalancer.ingress[{index}]"
            raw.add_problem(path, "has neither an IP address nor a host name", "look at the load balancer's controller")


def _node_selector(raw: RawObject) -> tuple[tuple[str, str], ...] | None:
    """Istio's annotation: a JSON object of node labels. None also where it cannot be read: it then selects no node."""
    value = raw.annotations.get(NODE_SELECTOR_ANNOTATION)
    if value is None:
        return None
    try:
        pairs = msgspec.json.decode(value, type=dict[str, Any])
    except (msgspec.DecodeError, RecursionError):
        path = f"metadata.annotations.{NODE_SELECTOR_ANNOTATION}"
        raw.add_problem(path, "is no JSON object", "write a JSON object of labels, {} for every node")
        return None
    return raw.selector_at(NODE_SELECTOR_ANNOTATION, {NODE_SELECTOR_ANNOTATION: pairs}, "metadata.annotations")


def endpoint_slice(raw: RawObject) -> AnyDeclaration:
    """An EndpointSlice (discovery.k8s.io/v1)."""
    endpoints = list(_slice_endpoints(raw))
    return EndpointSlice(
        namespace=raw.namespace,
        name=raw.name,
        created=raw.created,
        service=_label(raw, raw.labels.get(SERVICE_NAME_LABEL, ""), f"metadata.labels.{SERVICE_NAME_LABEL}"),
        endpoints=tuple(endpoint for endpoint, _ in endpoints),
        ports=tuple(_slice_ports(raw)),
        nameless=tuple(endpoint.address for endpoint, has_name in endpoints if not has_name),
        problems=raw.problems,
    )


def _label(raw: RawObject, text: str, field: str) -> str:
    """A text that becomes a label of names; empty, with a problem, where it cannot."""
    fault = names.invalid_reason(text) or ("is more than one label" if "." in text else "")
    if text and fault:
        raw.add_problem(field, f"{shown(text)} {fault}", "use lower-case letters, digits and -")
    return "" if fault else text


def _slice_endpoints(raw: RawObject) -> Iterator[tuple[SliceEndpoint, bool]]:
    """The endpoints, each with whether its host name can be read; without one it has the name of its address."""
    names_hosts = raw.root.get("addressType") == "FQDN"
    for index, item in enumerate(raw.list_at("endpoints", raw.root, "", most=MAX_SLICE_ENDPOINTS)):
        entry = mapping_of(item)
        path = f"endpoints[{index}]"
        addresses = entry.get("addresses")
        address = canonical_address(addresses[0]) if isinstance(addresses, list) and addresses else ""
        if address:
            written = raw.text_at("hostname", entry, path)
            hostname = _label(raw, written or "", f"{path}.hostname")
            yield SliceEndpoint(address, _is_ready(raw, entry, path), hostname), bool(hostname) or written == ""
        elif not names_hosts:
            raw.add_problem(f"{path}.addresses", "has no IP address", "write a list whose first item is the address")


def _is_ready(raw: RawObject, entry: Mapping[str, Any], path: str) -> bool:
    """Whether an endpoint is ready; one whose readiness cannot be read is not.

    discovery.k8s.io/v1: an unset condition is unknown, and should be read as true.
    """
    conditions = entry.get("conditions")
    place = f"{path}.conditions"
    if conditions is None:
        return True
    if not isinstance(conditions, Mapping):
        raw.add_problem(place, "is not a mapping, so that the endpoint is not ready", "write ready: true below it")
        return False
    ready = conditions.get("ready")
    if ready is not None and not isinstance(ready, bool):
        reason = f"{shown(ready)} is neither true nor false, so that the endpoint is not ready"
        raw.add_problem(f"{place}.ready", reason, "write true or false without quotes")
        return False
    return ready is not False


def _slice_ports(raw: RawObject) -> Iterator[Port]:
    for index, item in enumerate(raw.list_at("ports", raw.root, "")):
        port = mapping_of(item)
        number = port_number(port.get("port"))
        if number:
            path = f"ports[{index}]"
            name, protocol = raw.text_at("name", port, path), raw.word_at("protocol", port, path, _PROTOCOLS)
            if name is not None and protocol is not None:
                yield Port(name, number, protocol)


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
        labels=_gateway_labels(raw, _GATEWAY_LABELS),
        problems=raw.problems,
    )


def _gateway_addresses(raw: RawObject, parent: Mapping[str, Any], path: str) -> Iterator[str]:
    """Addresses of the types IPAddress (the default) and Hostname; other types mean nothing outside their cloud."""
    for index, item in enumerate(raw.list_at("addresses", parent, path)):
        entry = mapping_of(item)
        if (entry.get("type") or "IPAddress") not in ("IPAddress", "Hostname"):
            continue
        value = entry.get("value")
        host = normalize_host(text_of(value))
        if address := canonical_address(value):
            yield address
        elif host and not names.host_fault(host):
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
            advice = port_advice(listener.get("port"), "set port")
            raw.add_problem(f"spec.listeners[{index}]", "has no port from 1 to 65535", advice)


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
    ready = any(
        each.get("type") == "Ready" and raw.text_at("status", each, f"status.conditions[{index}]") == "True"
        for index, each in enumerate(conditions)
    )
    ends = mapping_of(raw.root.get("metadata")).get("deletionTimestamp") is not None
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
