"""Gateway objects: the Services and Gateways that lead into a network, where they are reached, and what they lack.

Rules (as Istio extracts them, pilot/pkg/serviceregistry/kube/controller/network.go, where nothing else is said):
- An object that does not offer the gateway port is no gateway, whatever its labels say.
- A Service is reached at each address or host name of its load balancer, at its external IPs and, of type NodePort, at
  the ExternalIP addresses of the nodes that its annotation selects, at the node port.
- A Gateway of the Gateway API is reached at its status addresses, one of class ``istio-remote`` at its spec addresses.
- Addresses that mean nothing to anybody else (unspecified, loopback, link-local, multicast) and the Service host names
  that Istio writes into the status of a Gateway without a load balancer are no addresses.
"""

from collections.abc import Iterator
from typing import Final

from meshdns.mesh.addresses import Scope, parsed, scope
from meshdns.mesh.declarations import KubernetesGateway, Service
from meshdns.mesh.inventory import Cluster
from meshdns.mesh.labels import GATEWAY_PORT_LABEL, NETWORK_LABEL, NODE_SELECTOR_ANNOTATION
from meshdns.mesh.problems import Problem, ProblemKind

GATEWAY_PORTS: Final = (15443, 15008)  # mesh TLS passthrough, then HBONE
REMOTE_CLASS: Final = "istio-remote"  # a Gateway that stands for one elsewhere; its address is written by hand

GatewayObject = Service | KubernetesGateway


def objects_of(cluster: Cluster) -> list[GatewayObject]:
    """All objects of `cluster` whose labels say that they are gateways."""
    return [*cluster.gateway_services.values(), *cluster.gateways.values()]


def labelled(cluster: Cluster, network: str) -> list[GatewayObject]:
    """The objects of `cluster` that are labelled as gateways of `network`."""
    return [each for each in objects_of(cluster) if network_of(each) == network]


def conventional(cluster: Cluster, label: str) -> list[GatewayObject]:
    """The Services of `cluster` labelled ``istio=<label>`` that offer the gateway port."""
    services = cluster.gateway_services.values()
    return [each for each in services if dict(each.labels).get("istio") == label and gateway_port(each)]


def network_of(found: GatewayObject) -> str:
    """The network that an object is labelled to lead into; empty without that label."""
    return dict(found.labels).get(NETWORK_LABEL, "")


def stands_for_another(found: GatewayObject) -> bool:
    """Whether it is a Gateway written for one elsewhere, so that any cluster may hold it."""
    return isinstance(found, KubernetesGateway) and found.gateway_class == REMOTE_CLASS


def origin_of(found: GatewayObject) -> str:
    """The object as people name it."""
    return f"{_kind(found)} {found.namespace}/{found.name}"


def gateway_port(found: GatewayObject) -> int:
    """The gateway port that an object offers (label ``networking.istio.io/gatewayPort``, 15443, 15008), else 0."""
    if isinstance(found, Service):
        offered = {port.number for port in found.ports if port.protocol != "UDP"}
    else:
        offered = {listener.port for listener in found.listeners if listener.protocol != "UDP"}
    return next((port for port in _wanted(found) if port in offered), 0)


def _wanted(found: GatewayObject) -> tuple[int, ...]:
    label = dict(found.labels).get(GATEWAY_PORT_LABEL, "")
    return (int(label),) if label.isascii() and label.isdigit() and len(label) <= 5 else GATEWAY_PORTS


# ---------------------------------------------------------------------------------------------- where it is


def places(found: GatewayObject, cluster: Cluster) -> list[tuple[str, int]]:
    """Where an object of `cluster` is reached: addresses and host names, each with its port."""
    if not gateway_port(found):
        return []
    return [place for place in _written(found, cluster) if _is_real(place[0], cluster)]


def _written(found: GatewayObject, cluster: Cluster) -> Iterator[tuple[str, int]]:
    port = gateway_port(found)
    if isinstance(found, KubernetesGateway):
        for address in found.requested if stands_for_another(found) else found.assigned:
            yield address, port
        return
    for address in (*found.ingress, *found.external_ips):
        yield address, port
    node_port = next(each.node_port for each in found.ports if each.number == port and each.protocol != "UDP")
    if found.type == "NodePort" and found.node_selector is not None and node_port:
        for address in _node_addresses(cluster, set(found.node_selector)):
            yield address, node_port


def _node_addresses(cluster: Cluster, selector: set[tuple[str, str]]) -> Iterator[str]:
    for node in cluster.nodes.values():
        if selector.issubset(node.labels):
            yield from node.addresses


def _is_real(text: str, cluster: Cluster) -> bool:
    if parsed(text) is not None:
        return scope(text) is not Scope.NEVER
    return not text.endswith(f".svc.{cluster.settings.domain}")


def awaited(found: GatewayObject) -> bool:
    """Whether an object without an address may get one without being changed."""
    if not gateway_port(found):
        return False
    if isinstance(found, KubernetesGateway):
        return not stands_for_another(found)
    return found.type == "LoadBalancer" or (found.type == "NodePort" and found.node_selector is not None)


# -------------------------------------------------------------------------------------------- what it lacks


def fault(found: GatewayObject, cluster: Cluster) -> Problem | None:
    """Why an object that should be a gateway of `cluster` leads nowhere; None where it does lead somewhere."""
    if places(found, cluster):
        return None
    if not gateway_port(found):
        wanted = " or ".join(map(str, _wanted(found)))
        field = "spec.ports" if isinstance(found, Service) else "spec.listeners"
        advice = f"add the port, or name the port that takes mesh TLS in the label {GATEWAY_PORT_LABEL}"
        return _problem(found, field, f"does not offer the gateway port {wanted}", advice)
    unreal = [address for address, _ in _written(found, cluster)]
    if unreal:
        reason = f"has no address that means anything outside the cluster, only {', '.join(unreal)[:120]}"
    else:
        reason = "has no address yet" if awaited(found) else "has no address and will get none"
    field, advice = _remedy(found)
    return _problem(found, field, reason, f"{advice}, or set clusters.{cluster.name}.gateways")


def misplaced(found: GatewayObject, cluster: Cluster, network: str) -> Problem | None:
    """The problem of an object that is labelled for another network than that of `cluster`, which is `network`."""
    label = network_of(found)
    if not label or label == network or stands_for_another(found):
        return None
    reason = f"is labelled for network {label}, but cluster {cluster.name} is not on it: the label does not count"
    return _problem(found, f"metadata.labels.{NETWORK_LABEL}", reason, _joining(label, cluster))


def stray(found: GatewayObject, cluster: Cluster) -> Problem | None:
    """The problem of an object of `cluster` that is labelled for a network that nobody has heard of otherwise."""
    label = network_of(found)
    if not label or stands_for_another(found):
        return None
    reason = f"is labelled for network {label}, which no cluster is on: only endpoints of that network are led there"
    advice = f"{_joining(label, cluster)}; or, where that network has no cluster, name it under networks"
    return _problem(found, f"metadata.labels.{NETWORK_LABEL}", reason, advice)


def _joining(network: str, cluster: Cluster) -> str:
    """What puts `cluster` on a network."""
    return f"label the system namespace {NETWORK_LABEL}={network}, or set clusters.{cluster.name}.network"


def _remedy(found: GatewayObject) -> tuple[str, str]:
    """The field that would hold the address, and what to do so that it does."""
    if isinstance(found, KubernetesGateway):
        if stands_for_another(found):
            return "spec.addresses", "write the address of the gateway it stands for"
        return "status.addresses", "look at the conditions in its status"
    if found.type == "LoadBalancer":
        return "status.loadBalancer.ingress", "look at its events for what the load balancer waits for"
    if found.type == "NodePort" and found.node_selector is None:
        return f"metadata.annotations.{NODE_SELECTOR_ANNOTATION}", 'annotate it with a selector of nodes ("{}": all)'
    if found.type == "NodePort":
        advice = "see that it selects nodes with an ExternalIP and that nodes may be listed"
        return f"metadata.annotations.{NODE_SELECTOR_ANNOTATION}", advice
    return "spec.type", "make it a LoadBalancer"


def _problem(found: GatewayObject, field: str, reason: str, advice: str) -> Problem:
    return Problem(ProblemKind.NO_GATEWAY, _kind(found), found.namespace, found.name, field, reason, advice)


def _kind(found: GatewayObject) -> str:
    return "Service" if isinstance(found, Service) else "Gateway"
