"""Istio's objects: ServiceEntry, WorkloadEntry and Gateway."""

import ipaddress
from collections.abc import Iterator, Mapping
from typing import Any, Final

from meshdns.dns import names
from meshdns.mesh.objects.declarations import (
    AnyDeclaration,
    Endpoint,
    GatewayServer,
    IstioGateway,
    Port,
    Resolution,
    ServiceEntry,
    UnreadableObject,
    WorkloadEntry,
)
from meshdns.mesh.objects.foreign import shown
from meshdns.mesh.objects.labels import ANSWER_ANNOTATION, NETWORK_LABEL, TTL_ANNOTATION
from meshdns.mesh.objects.object_rules import problems_of_gateway, problems_of_service_entry
from meshdns.mesh.objects.raw import (
    MAX_ITEMS,
    RawObject,
    canonical_address,
    host_fault,
    is_text,
    label_pairs,
    mapping_of,
    normalize_host,
    port_number,
    text_of,
    texts_of,
)

_RESOLUTIONS: Final = {each.value: each for each in Resolution}
MAX_GATEWAY_SERVERS: Final = 1024
MAX_GATEWAY_HOSTS: Final = 4096
"""Servers of one Gateway, and hosts of all of them; the CRD has no bound."""

_ANSWER_MODES: Final = ("gateway", "vip", "endpoints")
_MAX_TTL: Final = 86400
_MAX_ENDPOINT_PORTS: Final = 128  # of one endpoint, by the CRD
_NO_NAMESPACE: Final = "~"  # Istio's word for an export to no namespace


def service_entry(raw: RawObject) -> AnyDeclaration:
    """A ServiceEntry (networking.istio.io)."""
    items = raw.list_at("endpoints")  # first: that it has more than are read must be among its problems
    resolution = _resolution(raw)
    selector = raw.mapping_at("workloadSelector", raw.spec) if raw.spec.get("workloadSelector") is not None else None
    hosts: dict[str, int] = {}
    for index, host in _hosts(raw):
        hosts.setdefault(host, index)
    endpoints = dict(_endpoints(raw, items))
    return ServiceEntry(
        namespace=raw.namespace,
        name=raw.name,
        created=raw.created,
        hosts=tuple(hosts),
        addresses=tuple(dict.fromkeys(_spec_addresses(raw, resolution))),
        status_addresses=tuple(_status_addresses(raw)),
        ports=tuple(_istio_ports(raw)),
        internal=raw.spec.get("location") in ("MESH_INTERNAL", 1),
        resolution=resolution,
        endpoints=tuple(endpoints.values()),
        selector=(
            label_pairs(raw.first_pairs(mapping_of(selector.get("labels")), "spec.workloadSelector.labels"))
            if selector is not None
            else None
        ),
        export_to=tuple(_export_to(raw)),
        network=raw.labels.get(NETWORK_LABEL, ""),
        answer=_answer_mode(raw),
        ttl=_ttl(raw),
        host_places=raw.item_places("spec.hosts", tuple(hosts.values())),
        endpoint_places=raw.item_places("spec.endpoints", tuple(endpoints)),
        problems=problems_of_service_entry(raw, resolution),
    )


def _resolution(raw: RawObject) -> Resolution:
    value = raw.spec.get("resolution", "NONE")
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < len(Resolution):
        return list(Resolution)[value]
    resolution = _RESOLUTIONS.get(text_of(value))  # an enum's own error makes text of any value
    if resolution is None:
        raw.add_problem(
            "spec.resolution", f"{shown(value)} is unknown; read as STATIC", "use NONE, STATIC, DNS or DYNAMIC_DNS"
        )
    return resolution or Resolution.STATIC


def _hosts(raw: RawObject) -> Iterator[tuple[int, str]]:
    """The hosts that can be served, each with its index in the list."""
    items = raw.list_at("hosts")
    if not items:
        raw.add_problem("spec.hosts", "names no host", "list at least one host name")
    for index, item in enumerate(items):
        host = normalize_host(item) if isinstance(item, str) else ""
        fault = host_fault(host) if isinstance(item, str) else f"is {type(item).__name__}, not text"
        if fault:
            raw.add_problem(f"spec.hosts[{index}]", f"{shown(item)} {fault}", "use a DNS name, or *. and a suffix")
        else:
            yield index, host


def _spec_addresses(raw: RawObject, resolution: Resolution) -> Iterator[str]:
    for index, item in enumerate(raw.list_at("addresses")):
        address = canonical_address(item)
        if address:
            yield address
        elif not _is_network(item):
            raw.add_problem(f"spec.addresses[{index}]", f"{shown(item)} is no IP address", "write an address or a CIDR")
        elif resolution in (Resolution.DNS, Resolution.DNS_ROUND_ROBIN, Resolution.DYNAMIC_DNS):
            raw.add_problem(
                f"spec.addresses[{index}]", "is a CIDR, which needs resolution NONE or STATIC", "write addresses"
            )


def _is_network(item: object) -> bool:
    try:
        return isinstance(item, str) and bool(ipaddress.ip_network(item.strip(), strict=False))
    except ValueError:
        return False


def _status_addresses(raw: RawObject) -> Iterator[tuple[str, str]]:
    """``status.addresses[]`` as Istio's allocator writes them: ``{value, host}``."""
    for item in raw.list_at("addresses", raw.status, "status", most=2 * MAX_ITEMS):  # of each host one per family
        entry = mapping_of(item)
        address = canonical_address(entry.get("value"))
        if address:
            yield normalize_host(text_of(entry.get("host"))), address


def _istio_ports(raw: RawObject) -> Iterator[Port]:
    for index, item in enumerate(raw.list_at("ports")):
        port = mapping_of(item)
        number = port_number(port.get("number"))
        if number:
            protocol = text_of(port.get("protocol")).upper() or "TCP"
            yield Port(text_of(port.get("name")), number, protocol, port_number(port.get("targetPort")))
        else:
            raw.add_problem(f"spec.ports[{index}]", "has no number from 1 to 65535", "set number")


def _endpoints(raw: RawObject, items: list[Any]) -> Iterator[tuple[int, Endpoint]]:
    """The endpoints that can be understood, each with its index in the list."""
    for index, item in enumerate(items):
        path = f"spec.endpoints[{index}]"
        if not isinstance(item, Mapping):
            raw.add_problem(path, "is not a mapping", "write address, ports and network below it")
            continue
        endpoint = _endpoint(raw, item, path, raw.labels.get(NETWORK_LABEL, ""))
        if endpoint is not None:
            yield index, endpoint


def _endpoint(raw: RawObject, item: Mapping[str, Any], path: str, network: str) -> Endpoint | None:
    """One endpoint; `network` is the object's own label, used where the endpoint names none."""
    network = text_of(item.get("network")) or texts_of(item.get("labels")).get(NETWORK_LABEL, "") or network
    ports = tuple(_endpoint_ports(raw, item, path))
    value = item.get("address", "")
    if not isinstance(value, str):
        raw.add_problem(f"{path}.address", f"is {type(value).__name__}, not text", "quote the address")
        return None
    value = value.strip()
    if value.startswith("unix:") and is_text(value):
        return Endpoint(value, ports, network)
    known = canonical_address(value)
    address = known or normalize_host(value)
    if not address and not network:
        raw.add_problem(f"{path}.address", "is empty and no network is set", "set address, or network for its gateways")
        return None
    if address and not known and (wrong := names.invalid_reason(address)):
        raw.add_problem(f"{path}.address", f"{shown(value)} {wrong}", "use an IP address or a DNS name")
        return None
    return Endpoint(address, ports, network)


def _endpoint_ports(raw: RawObject, item: Mapping[str, Any], path: str) -> Iterator[tuple[str, int]]:
    for name, value in raw.mapping_at("ports", item, path, most=_MAX_ENDPOINT_PORTS).items():
        number = port_number(value)
        if number and is_text(name):
            yield name, number
        else:
            raw.add_problem(f"{path}.ports", f"{shown(name)} has no port from 1 to 65535", "set its number")


def _export_to(raw: RawObject) -> Iterator[str]:
    """``spec.exportTo``; what cannot be read exports to nobody, for a mistake must not publish a host."""
    value = raw.spec.get("exportTo")
    listed = raw.list_at("exportTo") if isinstance(value, list) else [] if value is None else [value]
    for index, item in enumerate(listed):
        if isinstance(value, list) and is_text(item):
            yield item
        else:
            field = f"spec.exportTo[{index}]" if isinstance(value, list) else "spec.exportTo"
            raw.add_problem(
                field, "is not understood; read as exported to nobody", 'write a list of texts, "*" for all'
            )
            yield _NO_NAMESPACE


def _answer_mode(raw: RawObject) -> str:
    value = raw.annotations.get(ANSWER_ANNOTATION, "")
    if value and value not in _ANSWER_MODES:
        raw.add_problem(
            f"metadata.annotations.{ANSWER_ANNOTATION}", f"{shown(value)} is unknown", "use gateway, vip or endpoints"
        )
        return ""
    return value


def _ttl(raw: RawObject) -> int:
    value = raw.annotations.get(TTL_ANNOTATION)
    if value is None:
        return -1
    if value.isascii() and value.isdigit() and len(value) <= 5 and int(value) <= _MAX_TTL:
        return int(value)
    raw.add_problem(
        f"metadata.annotations.{TTL_ANNOTATION}", f"{shown(value)} is no TTL", f"use seconds, 0 to {_MAX_TTL}"
    )
    return -1


def workload_entry(raw: RawObject) -> AnyDeclaration:
    """A WorkloadEntry (networking.istio.io); without a usable address it is `UnreadableObject`."""
    endpoint = _endpoint(raw, raw.spec, "spec", raw.labels.get(NETWORK_LABEL, ""))
    if endpoint is None:
        return UnreadableObject(
            object_kind=raw.kind, namespace=raw.namespace, name=raw.name, created=raw.created, problems=raw.problems
        )
    labels = {
        **texts_of(raw.first_pairs(raw.labels, "metadata.labels")),
        **texts_of(raw.first_pairs(mapping_of(raw.spec.get("labels")), "spec.labels")),
    }
    return WorkloadEntry(
        namespace=raw.namespace,
        name=raw.name,
        created=raw.created,
        endpoint=endpoint,
        labels=tuple(sorted(labels.items())),
        problems=raw.problems,
    )


def istio_gateway(raw: RawObject) -> AnyDeclaration:
    """A Gateway (networking.istio.io)."""
    return IstioGateway(
        namespace=raw.namespace,
        name=raw.name,
        created=raw.created,
        selector=label_pairs(raw.first_pairs(mapping_of(raw.spec.get("selector")), "spec.selector")),
        servers=tuple(_gateway_servers(raw)),
        problems=problems_of_gateway(raw),
    )


def _gateway_servers(raw: RawObject) -> Iterator[GatewayServer]:
    """The servers that can be read, with `MAX_GATEWAY_HOSTS` hosts in all."""
    servers = raw.list_at("servers", most=MAX_GATEWAY_SERVERS)
    total = sum(len(hosts) for item in servers if isinstance(hosts := mapping_of(item).get("hosts"), list))
    if total > MAX_GATEWAY_HOSTS:
        raw.add_bound_problem("spec.servers", total, MAX_GATEWAY_HOSTS, "hosts")
    left = MAX_GATEWAY_HOSTS
    for index, item in enumerate(servers):
        server = mapping_of(item)
        path = f"spec.servers[{index}]"
        number = port_number(mapping_of(server.get("port")).get("number"))
        if number:
            written = raw.list_at("hosts", server, path, most=MAX_GATEWAY_HOSTS)[:left]
            left -= len(written)
            hosts = tuple(_server_hosts(raw, written, path))
            yield GatewayServer(number, hosts, text_of(mapping_of(server.get("tls")).get("mode")))
        else:
            raw.add_problem(f"{path}.port", "has no number from 1 to 65535", "set number")


def _server_hosts(raw: RawObject, items: list[Any], path: str) -> Iterator[str]:
    """``host`` or ``namespace/host``, where the host may be ``*`` or begin with ``*.``."""
    for index, item in enumerate(items):
        namespace, slash, written = text_of(item).rpartition("/")
        host = normalize_host(written)
        if host != "*" and (fault := host_fault(host)):
            raw.add_problem(f"{path}.hosts[{index}]", f"{shown(item)} {fault}", "use a DNS name, *. and a suffix, or *")
        else:
            yield f"{namespace}{slash}{host}"
