"""From a raw Kubernetes object to a slim declaration.

Rules:
- Never raises, whatever the object holds: old clusters accept objects that today's validation refuses (DESIGN 5.2).
- Each host and each endpoint is judged alone: the good ones are kept, the bad ones become problems.
- An object that cannot even be named gives ``None``; one that can be named but not used gives `Unreadable`.
- Unknown fields are ignored, as Kubernetes clients do.
"""

import ipaddress
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

import msgspec

from meshdns.dns import names
from meshdns.mesh.declarations import (
    AnyDeclaration,
    Endpoint,
    EndpointSlice,
    Kind,
    Namespace,
    Port,
    Resolution,
    Service,
    ServiceEntry,
    SliceEndpoint,
    Unreadable,
    WorkloadEntry,
)
from meshdns.mesh.problems import Problem, ProblemKind

ANSWER_ANNOTATION: Final = "meshdns.io/answer"
TTL_ANNOTATION: Final = "meshdns.io/ttl"
EXPORT_LABEL: Final = "meshdns.io/export"
NETWORK_LABEL: Final = "topology.istio.io/network"
GATEWAY_PORT_LABEL: Final = "networking.istio.io/gatewayPort"
EXPORT_TO_ANNOTATION: Final = "networking.istio.io/exportTo"
NODE_SELECTOR_ANNOTATION: Final = "traffic.istio.io/nodeSelector"
CONTROL_PLANES: Final = "topology.istio.io/controlPlaneClusters"
SERVICE_NAME_LABEL: Final = "kubernetes.io/service-name"

_SERVICE_LABELS: Final = frozenset({NETWORK_LABEL, GATEWAY_PORT_LABEL, EXPORT_LABEL, "istio"})
_ANSWERS: Final = ("gateway", "vip", "endpoints")
_MAX_TTL: Final = 86400
_NAMESPACED_DEFAULT: Final = "default"

Where = Callable[[str], str]


def read(kind: Kind, obj: object, *, where: Where | None = None) -> AnyDeclaration | None:
    """Read one object of a known kind; see the rules above.

    `where` gives ``file:line`` for a field path and is left out for objects from an API server.
    """
    raw = _Object(kind, obj, where)
    if not raw.name:
        return None
    try:
        return _READERS[kind](raw)
    except (TypeError, ValueError, AttributeError, KeyError, OverflowError, RecursionError) as error:
        raw.report("spec", f"cannot be read: {error}", "compare it with the CRD's schema")
        return Unreadable(of=kind, namespace=raw.namespace, name=raw.name, created=raw.created, problems=raw.problems)


class _Object:
    """A raw object with typed, tolerant access; collects problems as it is read."""

    def __init__(self, kind: Kind, obj: object, where: Where | None) -> None:
        self.kind = kind
        self._where = where
        self._problems: list[Problem] = []
        root = obj if isinstance(obj, Mapping) else {}
        metadata = _mapping(root.get("metadata"))
        self.root: Mapping[str, Any] = root
        self.name = _text(metadata.get("name"))
        self.namespace = "" if kind is Kind.NAMESPACE else _text(metadata.get("namespace")) or _NAMESPACED_DEFAULT
        self.created = _text(metadata.get("creationTimestamp"))
        self.uid = _text(metadata.get("uid"))
        self.labels = _texts(metadata.get("labels"))
        self.annotations = _texts(metadata.get("annotations"))
        self.spec = _mapping(root.get("spec"))
        self.status = _mapping(root.get("status"))
        if "spec" in root and not isinstance(root["spec"], Mapping):
            self.report("spec", "is not a mapping", "write the fields of the object below it")

    @property
    def problems(self) -> tuple[Problem, ...]:
        return tuple(self._problems)

    def report(self, field: str, reason: str, advice: str, kind: ProblemKind = ProblemKind.MALFORMED) -> None:
        where = self._where(field) if self._where else ""
        self._problems.append(
            Problem(kind, self.kind.value, self.namespace, self.name, field, reason, advice, where),
        )

    def list_at(self, field: str, parent: Mapping[str, Any] | None = None, path: str = "") -> list[Any]:
        """The list at `field` of the spec (or of `parent`, whose place is `path`); a problem where it is none."""
        value = (self.spec if parent is None else parent).get(field)
        if value is None:
            return []
        if isinstance(value, list):
            return value
        self.report(f"{path or 'spec'}.{field}", "is not a list", "write each item on a line of its own after a dash")
        return []


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _texts(value: object) -> dict[str, str]:
    return {k: v for k, v in _mapping(value).items() if isinstance(k, str) and isinstance(v, str)}


def _number(value: object) -> int:
    """A port number, 1 to 65535; 0 where it is none."""
    if isinstance(value, int) and not isinstance(value, bool) and 0 < value < 65536:
        return value
    return 0


def canonical_address(value: object) -> str:
    """An IP address in canonical text (RFC 5952); ``/32`` and ``/128`` count as single; empty where it is none."""
    if not isinstance(value, str):
        return ""
    single = value.strip()
    try:
        if "/" in single:
            network = ipaddress.ip_network(single, strict=False)
            return str(network.network_address) if network.prefixlen == network.max_prefixlen else ""
        return str(ipaddress.ip_address(single)) if "%" not in single else ""
    except ValueError:
        return ""


def normal_host(value: str) -> str:
    """A host name as it is compared: lower-case, without trailing dot."""
    return value.strip().lower().removesuffix(".")


def host_fault(host: str) -> str:
    """Why a normal host name cannot be served; empty where it can (a leading ``*.`` is a wildcard)."""
    if host == "*":
        return "is a bare wildcard"
    if canonical_address(host):
        return "is an IP address"
    return names.fault(host.removeprefix("*."))


# ------------------------------------------------------------------------------------------------ Istio


def _service_entry(raw: _Object) -> AnyDeclaration:
    resolution = _resolution(raw)
    selector = raw.spec.get("workloadSelector")
    return ServiceEntry(
        namespace=raw.namespace,
        name=raw.name,
        created=raw.created,
        hosts=tuple(dict.fromkeys(_hosts(raw))),
        addresses=tuple(dict.fromkeys(_addresses(raw, resolution))),
        allocated=tuple(_allocated(raw)),
        ports=tuple(_istio_ports(raw)),
        internal=raw.spec.get("location") in ("MESH_INTERNAL", 1),
        resolution=resolution,
        endpoints=tuple(_endpoints(raw)),
        selector=_label_pairs(_mapping(selector).get("labels")) if selector is not None else None,
        export_to=tuple(item for item in raw.list_at("exportTo") if isinstance(item, str)),
        network=raw.labels.get(NETWORK_LABEL, ""),
        answer=_answer(raw),
        ttl=_ttl(raw),
        problems=raw.problems,
    )


def _resolution(raw: _Object) -> Resolution:
    value = raw.spec.get("resolution", "NONE")
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < len(Resolution):
        return list(Resolution)[value]
    try:
        return Resolution(value)
    except ValueError:
        raw.report("spec.resolution", f"{value!r} is unknown; read as STATIC", "use NONE, STATIC, DNS or DYNAMIC_DNS")
        return Resolution.STATIC


def _hosts(raw: _Object) -> Iterator[str]:
    items = raw.list_at("hosts")
    if not items:
        raw.report("spec.hosts", "names no host", "list at least one host name")
    for index, item in enumerate(items):
        host = normal_host(item) if isinstance(item, str) else ""
        fault = host_fault(host) if isinstance(item, str) else f"is {type(item).__name__}, not text"
        if fault:
            raw.report(f"spec.hosts[{index}]", f"{str(item)[:80]!r} {fault}", "use a DNS name, or *. and a suffix")
        else:
            yield host


def _addresses(raw: _Object, resolution: Resolution) -> Iterator[str]:
    for index, item in enumerate(raw.list_at("addresses")):
        address = canonical_address(item)
        if address:
            yield address
        elif not _is_network(item):
            raw.report(f"spec.addresses[{index}]", f"{str(item)[:80]!r} is no IP address", "write an address or a CIDR")
        elif resolution in (Resolution.DNS, Resolution.DNS_ROUND_ROBIN, Resolution.DYNAMIC_DNS):
            raw.report(
                f"spec.addresses[{index}]", "is a CIDR, which needs resolution NONE or STATIC", "write addresses"
            )


def _is_network(item: object) -> bool:
    try:
        return isinstance(item, str) and bool(ipaddress.ip_network(item.strip(), strict=False))
    except ValueError:
        return False


def _allocated(raw: _Object) -> Iterator[tuple[str, str]]:
    """``status.addresses[]`` as Istio's allocator writes them: ``{value, host}``."""
    for item in raw.list_at("addresses", raw.status, "status"):
        entry = _mapping(item)
        address = canonical_address(entry.get("value"))
        if address:
            yield normal_host(_text(entry.get("host"))), address


def _istio_ports(raw: _Object) -> Iterator[Port]:
    for index, item in enumerate(raw.list_at("ports")):
        port = _mapping(item)
        number = _number(port.get("number"))
        if number:
            protocol = _text(port.get("protocol")).upper() or "TCP"
            yield Port(_text(port.get("name")), number, protocol, _number(port.get("targetPort")))
        else:
            raw.report(f"spec.ports[{index}]", "has no number from 1 to 65535", "set number")


def _endpoints(raw: _Object) -> Iterator[Endpoint]:
    for index, item in enumerate(raw.list_at("endpoints")):
        path = f"spec.endpoints[{index}]"
        if not isinstance(item, Mapping):
            raw.report(path, "is not a mapping", "write address, ports and network below it")
            continue
        endpoint = _endpoint(raw, item, path, raw.labels.get(NETWORK_LABEL, ""))
        if endpoint is not None:
            yield endpoint


def _endpoint(raw: _Object, item: Mapping[str, Any], path: str, network: str) -> Endpoint | None:
    """One endpoint; `network` is the object's own label, used where the endpoint names none."""
    network = _text(item.get("network")) or _texts(item.get("labels")).get(NETWORK_LABEL, "") or network
    ports = tuple((k, _number(v)) for k, v in _mapping(item.get("ports")).items() if isinstance(k, str) and _number(v))
    value = item.get("address", "")
    if not isinstance(value, str):
        raw.report(f"{path}.address", f"is {type(value).__name__}, not text", "quote the address")
        return None
    value = value.strip()
    if value.startswith("unix:"):
        return Endpoint(value, ports, network)
    address = canonical_address(value) or normal_host(value)
    if not address and not network:
        raw.report(f"{path}.address", "is empty and no network is set", "set address, or network for its gateways")
        return None
    if address and not canonical_address(address) and names.fault(address):
        raw.report(f"{path}.address", f"{value[:80]!r} {names.fault(address)}", "use an IP address or a DNS name")
        return None
    return Endpoint(address, ports, network)


def _label_pairs(value: object) -> tuple[tuple[str, str], ...]:
    return tuple(sorted(_texts(value).items()))


def _answer(raw: _Object) -> str:
    value = raw.annotations.get(ANSWER_ANNOTATION, "")
    if value and value not in _ANSWERS:
        raw.report(
            f"metadata.annotations.{ANSWER_ANNOTATION}", f"{value!r} is unknown", "use gateway, vip or endpoints"
        )
        return ""
    return value


def _ttl(raw: _Object) -> int:
    value = raw.annotations.get(TTL_ANNOTATION)
    if value is None:
        return -1
    if value.isascii() and value.isdigit() and len(value) <= 5 and int(value) <= _MAX_TTL:
        return int(value)
    raw.report(f"metadata.annotations.{TTL_ANNOTATION}", f"{value!r} is no TTL", f"use seconds, 0 to {_MAX_TTL}")
    return -1


def _workload_entry(raw: _Object) -> AnyDeclaration:
    endpoint = _endpoint(raw, raw.spec, "spec", raw.labels.get(NETWORK_LABEL, ""))
    if endpoint is None:
        return Unreadable(
            of=raw.kind, namespace=raw.namespace, name=raw.name, created=raw.created, problems=raw.problems
        )
    labels = {**raw.labels, **_texts(raw.spec.get("labels"))}
    return WorkloadEntry(
        namespace=raw.namespace,
        name=raw.name,
        created=raw.created,
        endpoint=endpoint,
        labels=tuple(sorted(labels.items())),
        problems=raw.problems,
    )


# ------------------------------------------------------------------------------------------------ Kubernetes


def _service(raw: _Object) -> AnyDeclaration:
    cluster_ip = _text(raw.spec.get("clusterIP"))
    return Service(
        namespace=raw.namespace,
        name=raw.name,
        created=raw.created,
        type=_text(raw.spec.get("type")) or "ClusterIP",
        cluster_ips=tuple(_cluster_ips(raw, cluster_ip)),
        headless=cluster_ip == "None",
        ports=tuple(_service_ports(raw)),
        ingress=tuple(dict.fromkeys(_ingress(raw))),
        external_ips=tuple(filter(None, map(canonical_address, raw.list_at("externalIPs")))),
        labels=tuple(sorted((k, v) for k, v in raw.labels.items() if k in _SERVICE_LABELS)),
        export_to=tuple(filter(None, map(str.strip, raw.annotations.get(EXPORT_TO_ANNOTATION, "").split(",")))),
        node_selector=_node_selector(raw),
        publish_not_ready=raw.spec.get("publishNotReadyAddresses") is True,
        problems=raw.problems,
    )


def _cluster_ips(raw: _Object, first: str) -> Iterator[str]:
    """``clusterIPs`` where the API server filled it in (dual stack), else ``clusterIP``."""
    items = raw.list_at("clusterIPs") or [first]
    yield from filter(None, map(canonical_address, items))


def _service_ports(raw: _Object) -> Iterator[Port]:
    for item in raw.list_at("ports"):
        port = _mapping(item)
        number = _number(port.get("port"))
        if number:
            yield Port(
                _text(port.get("name")),
                number,
                _text(port.get("protocol")) or "TCP",
                _number(port.get("targetPort")),
                _number(port.get("nodePort")),
            )


def _ingress(raw: _Object) -> Iterator[str]:
    """Each ``status.loadBalancer.ingress`` item gives its ip, else its host name (as Istio reads them)."""
    balancer = _mapping(raw.status.get("loadBalancer"))
    for index, item in enumerate(raw.list_at("ingress", balancer, "status.loadBalancer")):
        entry = _mapping(item)
        address = canonical_address(entry.get("ip"))
        host = normal_host(_text(entry.get("hostname")))
        if address or (host and not names.fault(host)):
            yield address or host
        else:
            path = f"status.loadBalancer.ingress[{index}]"
            raw.report(path, "has neither an IP address nor a host name", "look at the load balancer's controller")


def _node_selector(raw: _Object) -> tuple[tuple[str, str], ...] | None:
    """Istio's annotation: a JSON object of node labels; only flat text pairs count."""
    value = raw.annotations.get(NODE_SELECTOR_ANNOTATION)
    if value is None:
        return None
    try:
        return _label_pairs(msgspec.json.decode(value))
    except msgspec.DecodeError:
        path = f"metadata.annotations.{NODE_SELECTOR_ANNOTATION}"
        raw.report(path, "is no JSON object", "write a JSON object of labels, {} for every node")
        return None


def _endpoint_slice(raw: _Object) -> AnyDeclaration:
    return EndpointSlice(
        namespace=raw.namespace,
        name=raw.name,
        created=raw.created,
        service=raw.labels.get(SERVICE_NAME_LABEL, ""),
        endpoints=tuple(_slice_endpoints(raw)),
        ports=tuple(_slice_ports(raw)),
        problems=raw.problems,
    )


def _slice_endpoints(raw: _Object) -> Iterator[SliceEndpoint]:
    for item in raw.list_at("endpoints", raw.root, "endpoints"):
        entry = _mapping(item)
        addresses = entry.get("addresses")
        address = canonical_address(addresses[0]) if isinstance(addresses, list) and addresses else ""
        if address:
            ready = _mapping(entry.get("conditions")).get("ready")
            # discovery.k8s.io/v1: an unset ready condition is unknown and should be read as true
            yield SliceEndpoint(address, ready is not False, _text(entry.get("hostname")))


def _slice_ports(raw: _Object) -> Iterator[Port]:
    for item in raw.list_at("ports", raw.root, "ports"):
        port = _mapping(item)
        number = _number(port.get("port"))
        if number:
            yield Port(_text(port.get("name")), number, _text(port.get("protocol")) or "TCP")


def _namespace(raw: _Object) -> AnyDeclaration:
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


_READERS: Final[dict[Kind, Callable[[_Object], AnyDeclaration]]] = {
    Kind.SERVICE_ENTRY: _service_entry,
    Kind.WORKLOAD_ENTRY: _workload_entry,
    Kind.SERVICE: _service,
    Kind.ENDPOINT_SLICE: _endpoint_slice,
    Kind.NAMESPACE: _namespace,
}
