"""Gateway objects: the Services and Gateways that lead into a network, their addresses, and their problems.

Rules (as Istio extracts them, pilot/pkg/serviceregistry/kube/controller/network.go, where nothing else is said):
- An object that does not offer the gateway port is no gateway, whatever its labels say.
- A Service is reached at each address or host name of its load balancer, at its external IPs and, of type NodePort, at
  the ExternalIP addresses of the nodes (the only ones a `Node` keeps) that its annotation selects, at the node port.
- A Gateway of the Gateway API is reached at its status addresses, one of class ``istio-remote`` at its spec addresses.
- Addresses that mean nothing outside a machine or its link (unspecified, loopback, link-local, multicast) and the
  Service host names that Istio writes into the status of a Gateway without a load balancer are no addresses.
"""

from collections.abc import Iterator
from typing import Final

from meshdns.mesh.addresses import Scope, parse_address, scope_of
from meshdns.mesh.inventory import ClusterObjects
from meshdns.mesh.objects.declarations import KubernetesGateway, Service
from meshdns.mesh.objects.foreign import MAX_SHOWN, bounded_text, listed
from meshdns.mesh.objects.labels import GATEWAY_PORT_LABEL, NETWORK_LABEL, NODE_SELECTOR_ANNOTATION
from meshdns.mesh.objects.problems import UNRESOLVED_ADVICE, Problem, ProblemKind, cluster_cause

GATEWAY_PORTS: Final = (15443, 15008)  # mesh TLS passthrough, then HBONE
REMOTE_CLASS: Final = "istio-remote"  # a Gateway that stands for one elsewhere; its address is written by hand

_NOT_TCP: Final = frozenset({"UDP", "SCTP"})  # mesh TLS runs over TCP

GatewayObject = Service | KubernetesGateway


def gateway_objects(cluster: ClusterObjects) -> list[GatewayObject]:
    """All objects of `cluster` whose labels say that they are gateways."""
    return [*cluster.gateway_services.values(), *cluster.gateways.values()]


def by_network_label(cluster: ClusterObjects, network: str) -> list[GatewayObject]:
    """The objects of `cluster` that are labelled as gateways of `network`."""
    return [each for each in gateway_objects(cluster) if network_label(each) == network]


def by_istio_label(cluster: ClusterObjects, label: str) -> list[GatewayObject]:
    """The Services of `cluster` labelled ``istio=<label>`` that offer the gateway port."""
    services = cluster.gateway_services.values()
    return [each for each in services if dict(each.labels).get("istio") == label and gateway_port(each)]


def network_label(gateway: GatewayObject) -> str:
    """The network that an object is labelled to lead into; empty without that label."""
    return dict(gateway.labels).get(NETWORK_LABEL, "")


def is_remote(gateway: GatewayObject) -> bool:
    """Whether it is a Gateway written for one elsewhere, so that any cluster may hold it."""
    return isinstance(gateway, KubernetesGateway) and gateway.gateway_class == REMOTE_CLASS


def origin_of(gateway: GatewayObject) -> str:
    """The object's name in texts for people: ``Service istio-system/eastwest``."""
    return f"{_kind(gateway)} {gateway.namespace}/{gateway.name}"


def gateway_port(gateway: GatewayObject) -> int:
    """The gateway port that an object offers (label ``networking.istio.io/gatewayPort``, 15443, 15008), else 0."""
    if isinstance(gateway, Service):
        offered = {port.number for port in gateway.ports if port.protocol not in _NOT_TCP}
    else:
        offered = {listener.port for listener in gateway.listeners if listener.protocol not in _NOT_TCP}
    return next((port for port in _accepted_ports(gateway) if port in offered), 0)


def _accepted_ports(gateway: GatewayObject) -> tuple[int, ...]:
    label = dict(gateway.labels).get(GATEWAY_PORT_LABEL, "")
    return (int(label),) if label.isascii() and label.isdigit() and len(label) <= 5 else GATEWAY_PORTS


# --------------------------------------------------------------------------------------------- addresses


def addresses_of(gateway: GatewayObject, cluster: ClusterObjects) -> list[tuple[str, int]]:
    """The addresses and host names of an object of `cluster`, each with its port."""
    if not gateway_port(gateway):
        return []
    return [place for place in _object_addresses(gateway, cluster) if _is_usable_address(place[0], cluster)]


def _object_addresses(gateway: GatewayObject, cluster: ClusterObjects) -> Iterator[tuple[str, int]]:
    port = gateway_port(gateway)
    if isinstance(gateway, KubernetesGateway):
        for address in gateway.spec_addresses if is_remote(gateway) else gateway.status_addresses:
            yield address, port
        return
    for address in (*gateway.ingress, *gateway.external_ips):
        yield address, port
    node_port = next(each.node_port for each in gateway.ports if each.number == port and each.protocol not in _NOT_TCP)
    if gateway.node_port_selector is not None and node_port:
        for address in _node_addresses(cluster, set(gateway.node_port_selector)):
            yield address, node_port


def _node_addresses(cluster: ClusterObjects, selector: set[tuple[str, str]]) -> Iterator[str]:
    for node in cluster.nodes.values():
        if selector.issubset(node.labels):
            yield from node.addresses


def _is_usable_address(text: str, cluster: ClusterObjects) -> bool:
    if parse_address(text) is not None:
        return scope_of(text) is not Scope.NEVER_SERVED
    return not text.endswith(f".svc.{cluster.settings.domain}")


def may_get_address(gateway: GatewayObject) -> bool:
    """Whether an object without an address may get one without being changed."""
    if not gateway_port(gateway):
        return False
    if isinstance(gateway, KubernetesGateway):
        return not is_remote(gateway)
    return gateway.type == "LoadBalancer" or gateway.node_port_selector is not None


# -------------------------------------------------------------------------------------------- problems


def no_address_problem(gateway: GatewayObject, cluster: ClusterObjects) -> Problem | None:
    """The problem of an object that should be a gateway of `cluster` and has no address; None if it has one."""
    if addresses_of(gateway, cluster):
        return None
    if not gateway_port(gateway):
        wanted = " or ".join(map(str, _accepted_ports(gateway)))
        field = "spec.ports" if isinstance(gateway, Service) else "spec.listeners"
        advice = f"add the port, or name the port that takes mesh TLS in the label {GATEWAY_PORT_LABEL}"
        return _problem(gateway, cluster, field, f"does not offer the gateway port {wanted}", advice)
    unreal = [address for address, _ in _object_addresses(gateway, cluster)]
    if unreal:
        reason = f"has no address that means anything outside the cluster, only {listed(unreal)}"
    else:
        reason = "has no address yet" if may_get_address(gateway) else "has no address and will get none"
    field, advice = _address_advice(gateway)
    return _problem(gateway, cluster, field, reason, f"{advice}, or set clusters.{cluster.name}.gateways")


def unresolved_problem(gateway: GatewayObject, cluster: ClusterObjects, lack: str) -> Problem:
    """Return the problem of a gateway object of `cluster` that holds a host name without address."""
    field, _ = _address_advice(gateway)
    return Problem(
        ProblemKind.UNRESOLVED,
        _kind(gateway),
        gateway.namespace,
        gateway.name,
        field,
        lack,
        UNRESOLVED_ADVICE,
        cause=cluster_cause(cluster.name),
    )


def wrong_network_problem(gateway: GatewayObject, cluster: ClusterObjects, network: str) -> Problem | None:
    """The problem of an object that is labelled for another network than that of `cluster`, which is `network`."""
    label = network_label(gateway)
    if not label or label == network or is_remote(gateway):
        return None
    label = bounded_text(label, MAX_SHOWN)
    reason = f"is labelled for network {label}, but cluster {cluster.name} is not on it: the label does not count"
    advice = _join_network_advice(label, cluster)
    return _problem(gateway, cluster, f"metadata.labels.{NETWORK_LABEL}", reason, advice)


def unknown_network_problem(gateway: GatewayObject, cluster: ClusterObjects) -> Problem | None:
    """The problem of an object of `cluster` that is labelled for a network that no cluster is on."""
    label = network_label(gateway)
    if not label or is_remote(gateway):
        return None
    label = bounded_text(label, MAX_SHOWN)
    reason = f"is labelled for network {label}, which no cluster is on: only endpoints of that network are led there"
    advice = f"{_join_network_advice(label, cluster)}; or, where that network has no cluster, name it under networks"
    return _problem(gateway, cluster, f"metadata.labels.{NETWORK_LABEL}", reason, advice)


def _join_network_advice(network: str, cluster: ClusterObjects) -> str:
    """Advice that puts `cluster` on a network."""
    return f"label the system namespace {NETWORK_LABEL}={network}, or set clusters.{cluster.name}.network"


def _address_advice(gateway: GatewayObject) -> tuple[str, str]:
    """The field that should hold the address, and the advice to fill it."""
    if isinstance(gateway, KubernetesGateway):
        if is_remote(gateway):
            return "spec.addresses", "write the address of the gateway it stands for"
        return "status.addresses", "look at the conditions in its status"
    if gateway.type == "LoadBalancer":
        return "status.loadBalancer.ingress", "look at its events for what the load balancer waits for"
    if gateway.node_port_selector is not None:
        advice = "see that it selects nodes with an ExternalIP and that nodes may be listed"
        return f"metadata.annotations.{NODE_SELECTOR_ANNOTATION}", advice
    if gateway.type == "NodePort":
        return f"metadata.annotations.{NODE_SELECTOR_ANNOTATION}", 'annotate it with a selector of nodes ("{}": all)'
    return "spec.type", "make it a LoadBalancer"


def _problem(gateway: GatewayObject, cluster: ClusterObjects, field: str, reason: str, advice: str) -> Problem:
    return Problem(
        ProblemKind.NO_GATEWAY,
        _kind(gateway),
        gateway.namespace,
        gateway.name,
        field,
        reason,
        advice,
        cause=cluster_cause(cluster.name),
    )


def _kind(gateway: GatewayObject) -> str:
    return "Service" if isinstance(gateway, Service) else "Gateway"
