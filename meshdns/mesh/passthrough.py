"""Which hosts the gateways of a cluster pass through, as far as its Gateway resources say.

An AUTO_PASSTHROUGH server takes mesh TLS and finds the service by the SNI; its ``hosts`` say for which services it does
(istio/api networking/v1alpha3/gateway.proto). The common one passes ``*.local``, so that a ``.global`` name needs a
server of its own.
"""

from collections.abc import Iterator
from typing import Final

from meshdns.mesh.declarations import IstioGateway
from meshdns.mesh.gateways import GATEWAY_PORTS, gateway_port
from meshdns.mesh.inventory import Cluster, Inventory
from meshdns.mesh.visibility import service_host

_AUTOMATIC: Final = "AUTO_PASSTHROUGH"

Pattern = tuple[str, str]
"""Namespace (empty: any) and host, ``*`` or ``*.`` and a suffix for many, that a server passes through."""


def passes(inventory: Inventory, cluster: str, host: str) -> bool | None:
    """Whether the gateways of `cluster` pass mesh TLS through for `host`; None where nothing is known about it.

    Nothing is known of a cluster without Istio Gateways and without TLS listeners on its labelled Gateways: they may
    not be read there. The namespace of a pattern counts where that of the host is known: by the cluster's
    ServiceEntries, or by the name of a Service.
    """
    known = inventory.clusters.get(cluster)
    if known is None:
        return None
    patterns = list(_patterns(known))
    if not patterns and not known.istio_gateways:
        return None
    namespaces = {entry.namespace for entry in inventory.entries(host, cluster)}
    service = service_host(host, known.settings.domain)
    if service is not None:
        namespaces.add(service[0])
    return any(
        _covers(pattern, host) and (not namespace or not namespaces or namespace in namespaces)
        for namespace, pattern in patterns
    )


def _patterns(cluster: Cluster) -> Iterator[Pattern]:
    ports = _ports(cluster)
    for gateway in cluster.istio_gateways.values():
        if _meant(gateway, cluster):
            for server in gateway.servers:
                if server.tls == _AUTOMATIC and server.port in ports:
                    yield from (_pattern(host, gateway.namespace) for host in server.hosts)
    for labelled in cluster.gateways.values():
        port = gateway_port(labelled)
        for listener in labelled.listeners:
            # Istio takes a TLS listener on the gateway port of a network's Gateway for one, whatever its options say
            if listener.protocol == "TLS" and (listener.port == port or listener.tls == _AUTOMATIC):
                yield "", listener.hostname or "*"


def _ports(cluster: Cluster) -> set[int]:
    """The gateway ports, outside and at the gateway's pods: a server names the port of the pods."""
    ports = {GATEWAY_PORTS[0]}
    for service in cluster.gateway_services.values():
        number = gateway_port(service)
        ports.update(port.target or number for port in service.ports if port.number == number)
    return ports


def _meant(gateway: IstioGateway, cluster: Cluster) -> bool:
    """Whether its selector can mean gateway pods: their label ``istio`` is that of their Service by convention."""
    wanted = dict(gateway.selector).get("istio")
    labels = {dict(service.labels).get("istio") for service in cluster.gateway_services.values()}
    return wanted is None or None in labels or not labels or wanted in labels


def _pattern(host: str, own_namespace: str) -> Pattern:
    """``host``, ``*/host``, ``./host`` (the Gateway's own namespace) or ``namespace/host``."""
    namespace, _, pattern = host.rpartition("/")
    return {"*": "", ".": own_namespace}.get(namespace, namespace), pattern


def _covers(pattern: str, host: str) -> bool:
    return pattern in ("*", host) or (pattern.startswith("*.") and host.endswith(pattern[1:]))
