"""Istio's objects: ServiceEntry, WorkloadEntry and Gateway."""

import ipaddress
import itertools
import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from meshdns.dns import names
from meshdns.mesh.objects.address_text import address_fault
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
from meshdns.mesh.objects.foreign import MAX_SHOWN, bounded_text, shown
from meshdns.mesh.objects.labels import HEALTH_CHECKS_ANNOTATION, NETWORK_LABEL
from meshdns.mesh.objects.object_rules import problems_of_gateway, problems_of_service_entry
from meshdns.mesh.objects.own_keys import answer_mode_of, export_of, ttl_of
from meshdns.mesh.objects.raw import (
    MAX_ITEMS,
    RawObject,
    TextPairs,
    canonical_address,
    host_fault,
    is_text,
    mapping_of,
    normalize_host,
    port_advice,
    port_number,
    text_of,
)

_LOCATIONS: Final = ("MESH_EXTERNAL", "MESH_INTERNAL")
_GO_TRUE: Final = frozenset({"1", "t", "T", "true", "TRUE", "True"})
_GO_FALSE: Final = frozenset({"", "0", "f", "F", "false", "FALSE", "False"})
"""The booleans of Go (strconv.ParseBool), by which istiod reads an annotation; what is none of them is false there."""
_RESOLUTIONS: Final = tuple(each.value for each in Resolution)
_TLS_MODES: Final = ("PASSTHROUGH", "SIMPLE", "MUTUAL", "AUTO_PASSTHROUGH", "ISTIO_MUTUAL", "OPTIONAL_MUTUAL")
"""The enums of istio/api networking/v1alpha3, in the order of their numbers; the first is the default of each."""
_PROTOCOLS: Final = (
    *("TCP", "HTTP", "HTTPS", "HTTP2", "GRPC", "GRPC-WEB", "TLS", "UDP", "SCTP", "HTTP_PROXY", "MONGO", "MYSQL"),
    *("REDIS", "THRIFT", "DUBBO", "HBONE", "DOUBLEHBONE"),
)
"""Protocols of ports in any case (istio/istio pkg/config/protocol), and SCTP, which SRV can say; TCP is the default."""
MAX_GATEWAY_SERVERS: Final = 1024
MAX_GATEWAY_HOSTS: Final = 4096
"""Servers of one Gateway, and hosts of all of them; the CRD has no bound."""

_PORT_NAME: Final = re.compile(r"[a-zA-Z0-9](?:[-a-zA-Z0-9]{0,61}[a-zA-Z0-9])?")  # by the CRD
_MAX_ENDPOINT_PORTS: Final = 128  # of one endpoint, by the CRD
_ENTRY_FIELDS: Final = frozenset(
    {
        *("hosts", "addresses", "ports", "location", "resolution", "endpoints", "workloadSelector", "exportTo"),
        "subjectAltNames",
    }
)
_WORKLOAD_FIELDS: Final = frozenset({"address", "ports", "labels", "network", "locality", "weight", "serviceAccount"})
_FIELD_LIKENESS: Final = 0.8
_MAX_FIELDS: Final = 64  # of a spec that are looked at for mistyped ones
_NO_NAMESPACE: Final = "~"  # Istio's word for an export to no namespace
_EXPORT_WORDS: Final = frozenset({"*", ".", _NO_NAMESPACE})


def service_entry(raw: RawObject) -> AnyDeclaration:
    """A ServiceEntry (networking.istio.io)."""
    items = raw.list_at("endpoints")  # first: that it has more than are read must be among its problems
    _check_field_names(raw, _ENTRY_FIELDS)
    written_resolution = raw.word_at("resolution", raw.spec, "spec", _RESOLUTIONS, numbered=True)
    resolution = Resolution(written_resolution) if written_resolution is not None else Resolution.NONE
    network = _own_network(raw)
    hosts: dict[str, int] = {}
    for index, host in _hosts(raw):
        hosts.setdefault(host, index)
    endpoints = dict(_endpoints(raw, items, network))
    unread_endpoints = _written_items(raw.spec.get("endpoints")) - len(endpoints)
    addresses = tuple(dict.fromkeys(_spec_addresses(raw, resolution)))
    if resolution is Resolution.NONE:  # its addresses are destinations
        if written_resolution is None or network is None:
            addresses = ()  # whether they are, or where, cannot be told
        unread_endpoints += _unread_destinations(raw, addresses) + (written_resolution is None)
    return ServiceEntry(
        namespace=raw.namespace,
        name=raw.name,
        created=raw.created,
        hosts=tuple(hosts),
        addresses=addresses,
        status_addresses=tuple(_status_addresses(raw)),
        ports=tuple(_istio_ports(raw)),
        internal=raw.word_at("location", raw.spec, "spec", _LOCATIONS, numbered=True) == "MESH_INTERNAL",
        resolution=resolution,
        endpoints=tuple(endpoints.values()),
        selector=_workload_selector(raw),
        export_to=tuple(_export_to(raw)),
        network=network or "",
        answer=answer_mode_of(raw),
        ttl=ttl_of(raw),
        host_places=raw.item_places("spec.hosts", tuple(hosts.values())),
        endpoint_places=raw.item_places("spec.endpoints", tuple(endpoints)),
        unread_endpoints=unread_endpoints,
        hidden=export_of(raw) is False,
        problems=problems_of_service_entry(raw, resolution),
    )


def _check_field_names(raw: RawObject, known: frozenset[str]) -> None:
    """Note the fields that are unknown and much like one that is missing; a cluster drops them in silence."""
    for key in itertools.islice(raw.spec, _MAX_FIELDS):
        meant = "" if key in known or not is_text(key) else raw.hint(key, known, _FIELD_LIKENESS)
        if meant and meant not in raw.spec:
            reason = f"is no field of a {raw.kind.value}, so that it does nothing"
            raw.add_problem(f"spec.{bounded_text(key, MAX_SHOWN)}", reason, f"write {meant}")


def _own_network(raw: RawObject) -> str | None:
    """The network that the object's own label names; None where the label cannot be read."""
    return None if raw.label_pairs.is_unread(NETWORK_LABEL) else raw.labels.get(NETWORK_LABEL, "")


def _workload_selector(raw: RawObject) -> tuple[tuple[str, str], ...] | None:
    """The labels of ``workloadSelector``: None without one, empty, which selects nothing, if it cannot be read."""
    if raw.spec.get("workloadSelector") is None:
        return None
    selector = raw.mapping_at("workloadSelector", raw.spec)
    return raw.selector_at("labels", selector, "spec.workloadSelector") or ()


def _hosts(raw: RawObject) -> Iterator[tuple[int, str]]:
    """The hosts that can be served, each with its index in the list."""
    items = raw.list_at("hosts")
    is_unread = raw.has_unread_spec or not isinstance(raw.spec.get("hosts"), list | None)
    if not items and not is_unread:  # else that is the problem
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


def _unread_destinations(raw: RawObject, addresses: tuple[str, ...]) -> int:
    """How many addresses of an entry without resolution are not among `addresses` and are no networks."""
    value = raw.spec.get("addresses")
    if value is None or not isinstance(value, list):
        return _written_items(value)
    return sum(canonical_address(item) not in addresses and not _is_network(item) for item in value)


def _is_network(item: object) -> bool:
    """Whether it is a CIDR of more than one address."""
    try:
        return isinstance(item, str) and ipaddress.ip_network(item.strip(), strict=False).num_addresses > 1
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
        path = f"spec.ports[{index}]"
        if number:
            protocol = raw.word_at("protocol", port, path, _PROTOCOLS, folded=True)
            name = raw.text_at("name", port, path)
            if protocol is not None and name is not None:
                yield Port(name, number, protocol, port_number(port.get("targetPort")))
        else:
            raw.add_problem(path, "has no number from 1 to 65535", port_advice(port.get("number"), "set number"))


def _written_items(value: object) -> int:
    """How many items a list was meant to have; what is no list counts as one that cannot be read."""
    if value is None:
        return 0
    return len(value) if isinstance(value, list) else 1


def _endpoints(raw: RawObject, items: list[Any], network: str | None) -> Iterator[tuple[int, Endpoint]]:
    """The endpoints that can be understood, each with its index in the list."""
    for index, item in enumerate(items):
        path = f"spec.endpoints[{index}]"
        if not isinstance(item, Mapping):
            raw.add_problem(path, "is not a mapping", "write address, ports and network below it")
            continue
        endpoint = _endpoint(raw, item, path, raw.texts_at("labels", item, path), network)
        if endpoint is not None:
            yield index, endpoint


def _endpoint(
    raw: RawObject, item: Mapping[str, Any], path: str, labels: TextPairs, own_network: str | None
) -> Endpoint | None:
    """One endpoint with its labels; `own_network` is the object's own label, used where the endpoint names none.

    An endpoint whose network cannot be read is unreadable: elsewhere its address may mean something else.
    """
    network = raw.text_at("network", item, path)
    if network == "":
        unread = labels.is_unread(NETWORK_LABEL)
        network = None if unread else labels.texts.get(NETWORK_LABEL, "") or own_network
    ports = tuple(_endpoint_ports(raw, item, path))
    value = item.get("address")
    if value is not None and not isinstance(value, str):
        raw.add_problem(f"{path}.address", f"is {type(value).__name__}, not text", "quote the address")
        return None
    if network is None:
        return None
    value = (value or "").strip()
    if value.startswith("unix:") and is_text(value):
        if (fault := _socket_fault(value, has_ports=bool(ports))) is not None:
            raw.add_problem(f"{path}.address", *fault)
        return Endpoint(value, ports, network)
    known = canonical_address(value)
    address = known or normalize_host(value)
    if not address and not network:
        raw.add_problem(f"{path}.address", "is empty and no network is set", "set address, or network for its gateways")
        return None
    if address and not known and (fault := address_fault(value)) is not None:
        raw.add_problem(f"{path}.address", *fault)
        return None
    return Endpoint(address, ports, network)


def _socket_fault(address: str, *, has_ports: bool) -> tuple[str, str] | None:
    """What Istio refuses of an address of a Unix socket, and advice; it is in no DNS answer in any case."""
    path = address.removeprefix("unix://")
    if path == address or not path.startswith(("/", "@")) or path.endswith("/"):
        return (
            f"{shown(address)} names no Unix socket, so that Istio refuses it",
            "write unix:///<path> or unix://@<name>",
        )
    if has_ports:
        return "is a Unix socket and has ports, which Istio refuses", "remove the ports"
    return None


def _endpoint_ports(raw: RawObject, item: Mapping[str, Any], path: str) -> Iterator[tuple[str, int]]:
    for name, value in raw.mapping_at("ports", item, path, most=_MAX_ENDPOINT_PORTS).items():
        number = port_number(value)
        if number and is_text(name):
            yield name, number
            if _PORT_NAME.fullmatch(name) is None:
                reason = f"{shown(name)} is no name of a port, so that Istio refuses it"
                raw.add_problem(f"{path}.ports", reason, "use at most 63 letters, digits and -")
        else:
            advice = port_advice(value, "set its number")
            raw.add_problem(f"{path}.ports", f"{shown(name)} has no port from 1 to 65535", advice)


def _export_to(raw: RawObject) -> Iterator[str]:
    """``spec.exportTo``; what cannot be read exports to nobody, for a mistake must not publish a host.

    What no namespace can be called exports to nobody either, and is kept as it is.
    """
    value = raw.spec.get("exportTo")
    listed = raw.list_at("exportTo") if isinstance(value, list) else [] if value is None else [value]
    for index, item in enumerate(listed):
        field = f"spec.exportTo[{index}]" if isinstance(value, list) else "spec.exportTo"
        if isinstance(value, list) and is_text(item):
            if item not in _EXPORT_WORDS and (names.invalid_reason(item) or "." in item):
                raw.add_problem(field, f"{shown(item)} is no namespace", 'write a namespace, ".", "~", or "*" for all')
            yield item
        else:
            raw.add_problem(
                field, "is not understood; read as exported to nobody", 'write a list of texts, "*" for all'
            )
            yield _NO_NAMESPACE


def workload_entry(raw: RawObject) -> AnyDeclaration:
    """A WorkloadEntry (networking.istio.io); without a usable address it is `UnreadableObject`."""
    _check_field_names(raw, _WORKLOAD_FIELDS)
    labels = raw.texts_at("labels", raw.spec, "spec")
    endpoint = _endpoint(raw, raw.spec, "spec", labels, _own_network(raw))
    if endpoint is None:
        return UnreadableObject(
            object_kind=raw.kind, namespace=raw.namespace, name=raw.name, created=raw.created, problems=raw.problems
        )
    return WorkloadEntry(
        namespace=raw.namespace,
        name=raw.name,
        created=raw.created,
        endpoint=endpoint,
        labels=_workload_labels(raw, labels),
        ready=_is_workload_ready(raw),
        problems=raw.problems,
    )


def _is_workload_ready(raw: RawObject) -> bool:
    """Whether a workload is ready: one whose health is checked only once it is known to be healthy.

    istiod leaves it out until its condition ``Healthy`` is ``True`` (istio.io/docs, "Virtual Machine Architecture").
    """
    if not raw.annotation_pairs.is_unread(HEALTH_CHECKS_ANNOTATION):
        enabled = raw.annotations.get(HEALTH_CHECKS_ANNOTATION, "")
        if enabled not in _GO_TRUE:
            if enabled not in _GO_FALSE:
                reason = f"{shown(enabled)} is no boolean of Go, so that health is not checked"
                raw.add_problem(f"metadata.annotations.{HEALTH_CHECKS_ANNOTATION}", reason, 'write "true" or "false"')
            return True
    conditions = map(mapping_of, raw.list_at("conditions", raw.status, "status"))
    return any(each.get("type") == "Healthy" and each.get("status") == "True" for each in conditions)


def _workload_labels(raw: RawObject, written: TextPairs) -> tuple[tuple[str, str], ...]:
    """The labels of the object, and over them those of its spec; one that cannot be read there is none of either."""
    own = raw.first_pairs(raw.labels, "metadata.labels")
    if written.unread is None:
        return ()
    kept = {key: value for key, value in own.items() if key not in written.unread}
    return tuple(sorted({**kept, **raw.first_pairs(written.texts, "spec.labels")}.items()))


def istio_gateway(raw: RawObject) -> AnyDeclaration:
    """A Gateway (networking.istio.io); one whose selector cannot be read selects no gateway."""
    selector = raw.selector_at("selector", raw.spec, "spec")
    return IstioGateway(
        namespace=raw.namespace,
        name=raw.name,
        created=raw.created,
        selector=selector or (),
        servers=tuple(_gateway_servers(raw)) if selector is not None else (),
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
            tls = mapping_of(server.get("tls"))
            mode = raw.word_at("mode", tls, f"{path}.tls", _TLS_MODES, numbered=True) if tls.get("mode") else ""
            yield GatewayServer(number, hosts, mode or "")
        else:
            advice = port_advice(mapping_of(server.get("port")).get("number"), "set number")
            raw.add_problem(f"{path}.port", "has no number from 1 to 65535", advice)


def _server_hosts(raw: RawObject, items: list[Any], path: str) -> Iterator[str]:
    """``host`` or ``namespace/host``, where the host may be ``*`` or begin with ``*.``."""
    for index, item in enumerate(items):
        namespace, slash, written = text_of(item).rpartition("/")
        host = normalize_host(written)
        if host != "*" and (fault := host_fault(host)):
            raw.add_problem(f"{path}.hosts[{index}]", f"{shown(item)} {fault}", "use a DNS name, *. and a suffix, or *")
        else:
            yield f"{namespace}{slash}{host}"
