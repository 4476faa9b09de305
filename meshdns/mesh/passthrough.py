"""Which hosts the gateways of a cluster pass through, as far as its Gateway resources say.

An AUTO_PASSTHROUGH server takes mesh TLS and finds the service by the SNI; its ``hosts`` say for which services it does
(istio/api networking/v1alpha3/gateway.proto). The common one passes ``*.local``, so that a ``.global`` name needs a
server of its own.
"""

from collections.abc import Collection, Iterator
from typing import Final

import msgspec

from meshdns.mesh.declarations import IstioGateway
from meshdns.mesh.gateways import GATEWAY_PORTS, gateway_port
from meshdns.mesh.inventory import Cluster, Inventory
from meshdns.mesh.visibility import service_host

_AUTOMATIC: Final = "AUTO_PASSTHROUGH"


class Opening(msgspec.Struct, frozen=True, rename="camel"):
    """One host pattern that a server passes mesh TLS through for, and nothing but that.

    `host` is ``*``, ``*.`` and a suffix, or a name; `namespace` that of the services it is limited to, empty for any;
    `port` is the one at the gateway's pods, `origin` the object that says so.
    """

    host: str
    namespace: str
    port: int
    origin: str


class Passage(msgspec.Struct, frozen=True, rename="camel"):
    """What the gateways of a cluster pass through."""

    openings: tuple[Opening, ...] = ()

    def passes(self, host: str, namespaces: set[str]) -> bool:
        """Whether mesh TLS for `host` gets through; its `namespaces` count where they are known."""
        return any(
            _covers(each.host, host) and (not each.namespace or not namespaces or each.namespace in namespaces)
            for each in self.openings
        )


def passage(cluster: Cluster) -> Passage | None:
    """What the gateways of `cluster` pass through; None where nothing is known about it.

    Nothing is known of a cluster without Istio Gateways and without TLS listeners on its labelled Gateways: they may
    not be read there.
    """
    openings = tuple(_openings(cluster))
    return Passage(openings) if openings or cluster.istio_gateways else None


def passes(known: Passage | None, inventory: Inventory, cluster: str, host: str) -> bool | None:
    """Whether the gateways of `cluster`, of which this is `known`, pass mesh TLS through for `host`; None: unknown.

    The namespace of a host is known by the cluster's ServiceEntries, or by the name of a Service.
    """
    if known is None:
        return None
    namespaces = {entry.namespace for entry in inventory.entries(host, cluster)}
    service = service_host(host, inventory.settings.cluster(cluster).domain)
    if service is not None:
        namespaces.add(service[0])
    return known.passes(host, namespaces)


def _openings(cluster: Cluster) -> Iterator[Opening]:
    ports = _ports(cluster)
    labels = {dict(service.labels).get("istio") for service in cluster.gateway_services.values()}
    for _, gateway in sorted(cluster.istio_gateways.items()):
        if _meant(gateway, labels):
            for server in gateway.servers:
                if server.tls == _AUTOMATIC and server.port in ports:
                    yield from (_opening(host, gateway, server.port) for host in server.hosts)
    for _, labelled in sorted(cluster.gateways.items()):
        port = gateway_port(labelled)
        for listener in labelled.listeners:
            # Istio takes a TLS listener on the gateway port of a network's Gateway for one, whatever its options say
            if listener.protocol == "TLS" and (listener.port == port or listener.tls == _AUTOMATIC):
                origin = f"Gateway {labelled.namespace}/{labelled.name}"
                yield Opening(listener.hostname or "*", "", listener.port, origin)


def _ports(cluster: Cluster) -> set[int]:
    """The gateway ports, outside and at the gateway's pods: a server names the port of the pods."""
    ports = {GATEWAY_PORTS[0]}
    for service in cluster.gateway_services.values():
        number = gateway_port(service)
        ports.update(port.target or number for port in service.ports if port.number == number)
    return ports


def _meant(gateway: IstioGateway, labels: Collection[str | None]) -> bool:
    """Whether its selector can mean gateway pods: by convention their label ``istio`` is one of their Services'."""
    wanted = dict(gateway.selector).get("istio")
    return wanted is None or None in labels or not labels or wanted in labels


def _opening(host: str, gateway: IstioGateway, port: int) -> Opening:
    """``host``, ``*/host``, ``./host`` (the Gateway's own namespace) or ``namespace/host``."""
    namespace, _, pattern = host.rpartition("/")
    namespace = {"*": "", ".": gateway.namespace}.get(namespace, namespace)
    return Opening(pattern, namespace, port, f"IstioGateway {gateway.namespace}/{gateway.name}")


def _covers(pattern: str, host: str) -> bool:
    return pattern in ("*", host) or (pattern.startswith("*.") and host.endswith(pattern[1:]))
