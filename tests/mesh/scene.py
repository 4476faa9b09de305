"""Small meshes for tests: objects as an API server returns them, read at the border, and what a name then means."""

from collections.abc import Iterable, Mapping
from typing import Any

from meshdns.mesh.answer import Answer, AnswerKind
from meshdns.mesh.name_table import NameTable
from meshdns.mesh.objects.declarations import AnyDeclaration, ObjectKind
from meshdns.mesh.objects.parse import parse_object
from meshdns.mesh.settings import ClusterSettings, MeshSettings, MeshZone, StaticRecord

Clusters = Mapping[str, Iterable[AnyDeclaration]]


def parse_declaration(kind: ObjectKind, raw: Mapping[str, Any]) -> AnyDeclaration:
    """The declaration read from an object."""
    found = parse_object(kind, raw)
    assert found is not None
    return found


def entry(
    *endpoints: str | Mapping[str, Any],
    host: str = "reviews.prod.global",
    name: str = "reviews",
    namespace: str = "prod",
    created: str = "2026-03-02T09:00:00Z",
    labels: Mapping[str, str] | None = None,
    annotations: Mapping[str, str] | None = None,
    **spec: Any,
) -> AnyDeclaration:
    """A ServiceEntry inside the mesh for `host`; an endpoint is an address or a whole mapping."""
    metadata = {"name": name, "namespace": namespace, "creationTimestamp": created}
    items = [{"address": point} if isinstance(point, str) else dict(point) for point in endpoints]
    usual = {"hosts": [host], "location": "MESH_INTERNAL", "resolution": "STATIC", "endpoints": items}
    raw = {"metadata": {**metadata, "labels": labels, "annotations": annotations}, "spec": {**usual, **spec}}
    return parse_declaration(ObjectKind.SERVICE_ENTRY, raw)


def service(
    name: str = "reviews",
    ip: str = "10.96.0.7",
    *,
    namespace: str = "prod",
    labels: Mapping[str, str] | None = None,
    annotations: Mapping[str, str] | None = None,
    ingress: Iterable[str] = (),
    **spec: Any,
) -> AnyDeclaration:
    """A Service; the ClusterIP ``None`` makes it headless."""
    metadata = {"name": name, "namespace": namespace, "labels": labels, "annotations": annotations}
    status = {"loadBalancer": {"ingress": [address(text) for text in ingress]}}
    usual = {"type": "LoadBalancer" if ingress else "ClusterIP", "clusterIP": ip, "ports": [{"port": 80}]}
    return parse_declaration(ObjectKind.SERVICE, {"metadata": metadata, "spec": {**usual, **spec}, "status": status})


def address(text: str) -> dict[str, str]:
    """An item of ``status.loadBalancer.ingress``."""
    return {"ip": text} if ":" in text or text.replace(".", "").isdigit() else {"hostname": text}


def endpoint_slice(
    *addresses: str,
    service_name: str = "reviews",
    namespace: str = "prod",
    ready: bool = True,
    suffix: str = "x7k2p",
    hostname: str = "",
) -> AnyDeclaration:
    """An EndpointSlice of the Service `service_name`."""
    metadata = {
        "name": f"{service_name}-{suffix}",
        "namespace": namespace,
        "labels": {"kubernetes.io/service-name": service_name},
    }
    items = [{"addresses": [text], "conditions": {"ready": ready}, "hostname": hostname} for text in addresses]
    return parse_declaration(ObjectKind.ENDPOINT_SLICE, {"metadata": metadata, "endpoints": items})


def gateway(
    *ingress: str,
    name: str = "gateway",
    namespace: str = "istio-system",
    labels: Mapping[str, str] | None = None,
    ports: Iterable[int] = (15443,),
    **spec: Any,
) -> AnyDeclaration:
    """A gateway's Service of type LoadBalancer, labelled ``istio=eastwestgateway`` where nothing else is said."""
    usual = {"istio": "eastwestgateway"} if labels is None else labels
    found = [{"port": port} for port in ports]
    more = {"type": "LoadBalancer", "ports": found, **spec}
    return service(name, "10.96.0.99", namespace=namespace, labels=usual, ingress=ingress, **more)


def passthrough_gateway(*hosts: str, port: int = 15443, selector: str = "eastwestgateway") -> AnyDeclaration:
    """An Istio Gateway that passes mesh TLS through for `hosts`."""
    server = {"port": {"number": port, "protocol": "TLS"}, "tls": {"mode": "AUTO_PASSTHROUGH"}, "hosts": list(hosts)}
    spec = {"selector": {"istio": selector}, "servers": [server]}
    return parse_declaration(
        ObjectKind.ISTIO_GATEWAY, {"metadata": {"name": "cross-network", "namespace": "istio-system"}, "spec": spec}
    )


def remote_gateway(network: str, address: str, port: int = 15443) -> AnyDeclaration:
    """A Gateway of class istio-remote that leads into `network`."""
    spec = {
        "gatewayClassName": "istio-remote",
        "addresses": [{"type": "IPAddress", "value": address}],
        "listeners": [{"name": "mesh", "port": port, "protocol": "TLS"}],
    }
    labels = {"topology.istio.io/network": network}
    return parse_declaration(
        ObjectKind.GATEWAY,
        {"metadata": {"name": "remote", "namespace": "istio-system", "labels": labels}, "spec": spec},
    )


def workload_entry(
    name: str, address: str, *, app: str, namespace: str = "prod", network: str = "", healthy: bool = True
) -> AnyDeclaration:
    """A WorkloadEntry with the label ``app``; one that is not healthy is checked, and was not found healthy yet."""
    spec = {"address": address, "labels": {"app": app}, "network": network}
    annotations = {} if healthy else {"proxy.istio.io/health-checks-enabled": "true"}
    metadata = {"name": name, "namespace": namespace, "annotations": annotations}
    return parse_declaration(ObjectKind.WORKLOAD_ENTRY, {"metadata": metadata, "spec": spec})


def system_namespace(network: str) -> AnyDeclaration:
    """The system namespace with its network label."""
    labels = {"topology.istio.io/network": network}
    return parse_declaration(ObjectKind.NAMESPACE, {"metadata": {"name": "istio-system", "labels": labels}})


def mesh(**more: Any) -> MeshSettings:
    """Settings with the zone ``global`` and, where nothing else is said, the vantage in cluster east."""
    return MeshSettings(**{"zones": (MeshZone("global"),), "vantage_cluster": "east", **more})


def on_networks(**networks: str) -> dict[str, ClusterSettings]:
    """Settings of clusters that say nothing but their network."""
    return {name: ClusterSettings(network=network) for name, network in networks.items()}


def name_table(settings: MeshSettings, clusters: Clusters) -> NameTable:
    """A name table of these clusters, not refreshed yet."""
    made = NameTable(settings)
    for name, declarations in clusters.items():
        made.add_cluster(name)
        for declaration in declarations:
            made.upsert(name, declaration)
    return made


def answers(settings: MeshSettings, clusters: Clusters) -> dict[str, Answer]:
    """Every name and its answer, empty non-terminals included."""
    return {name: answer for name, answer in name_table(settings, clusters).refresh().items() if answer is not None}


def answer_text(answer: Answer | None) -> str:
    """An answer for people: its addresses, ``NODATA``, ``PENDING_ANSWER``, or ``absent``."""
    if answer is None:
        return "absent"
    if answer.outcome is AnswerKind.ADDRESSES:
        return " ".join((*answer.ipv4, *answer.ipv6))
    return "PENDING" if answer.outcome is AnswerKind.PENDING else "NODATA"


def answer_for(settings: MeshSettings, clusters: Clusters, name: str = "reviews.prod.global") -> str:
    """What a name means in a mesh."""
    return answer_text(answers(settings, clusters).get(name))


def static(name: str, value: str, ttl: int = 30) -> StaticRecord:
    """A static A record."""
    return StaticRecord(name, "A", value, ttl)
