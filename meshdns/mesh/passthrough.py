"""Passthrough: the hosts that the gateways of a cluster pass mesh TLS through for, by its Gateway resources.

An AUTO_PASSTHROUGH server takes mesh TLS and finds the service by the SNI; its ``hosts`` say for which services it does
(istio/api networking/v1alpha3/gateway.proto). The common one passes ``*.local``, so that a ``.global`` name needs a
server of its own.
"""

from collections.abc import Collection, Iterator
from typing import Final

import msgspec

from meshdns.mesh.gateways import GATEWAY_PORTS, gateway_port
from meshdns.mesh.inventory import ClusterObjects, Inventory
from meshdns.mesh.objects.declarations import IstioGateway
from meshdns.mesh.visibility import parse_service_host

_AUTOMATIC: Final = "AUTO_PASSTHROUGH"


class PassthroughRule(msgspec.Struct, frozen=True, rename="camel"):
    """One host pattern that a server passes mesh TLS through for, and nothing but that.

    `host` is ``*``, ``*.`` and a suffix, or a name; `namespace` that of the services it is limited to, empty for any;
    `port` is the one at the gateway's pods, `origin` the object that says so.
    """

    host: str
    namespace: str
    port: int
    origin: str


class Passthrough(msgspec.Struct, frozen=True, rename="camel"):
    """Rules by which the gateways of a cluster pass mesh TLS through."""

    rules: tuple[PassthroughRule, ...] = msgspec.field(default=(), name="openings")

    def allows(self, host: str, namespaces: set[str]) -> bool:
        """Whether mesh TLS for `host` gets through; its `namespaces` count where they are known."""
        return any(
            _matches(each.host, host) and (not each.namespace or not namespaces or each.namespace in namespaces)
            for each in self.rules
        )


def passthrough_of(cluster: ClusterObjects) -> Passthrough | None:
    """Return the passthrough rules of the gateways of `cluster`, or None if nothing is known of them.

    Nothing is known of a cluster without Istio Gateways and without TLS listeners on its labelled Gateways: they may
    not be read there.
    """
    rules = tuple(_rules(cluster))
    return Passthrough(rules) if rules or cluster.istio_gateways else None


def passes_tls(passthrough: Passthrough | None, inventory: Inventory, cluster: str, host: str) -> bool | None:
    """Whether the gateways of `cluster`, with this `passthrough`, pass mesh TLS through for `host`; None: unknown.

    The namespace of a host is known by the cluster's ServiceEntries, or by the name of a Service.
    """
    if passthrough is None:
        return None
    namespaces = {entry.namespace for entry in inventory.entries(host, cluster)}
    service = parse_service_host(host, inventory.settings.cluster(cluster).domain)
    if service is not None:
        namespaces.add(service[0])
    return passthrough.allows(host, namespaces)


def _rules(cluster: ClusterObjects) -> Iterator[PassthroughRule]:
    ports = _gateway_ports(cluster)
    labels = {dict(service.labels).get("istio") for service in cluster.gateway_services.values()}
    for _, gateway in sorted(cluster.istio_gateways.items()):
        if _may_select_gateway(gateway, labels):
            for server in gateway.servers:
                if server.tls == _AUTOMATIC and server.port in ports:
                    yield from (_server_rule(host, gateway, server.port) for host in server.hosts)
    for _, labelled in sorted(cluster.gateways.items()):
        port = gateway_port(labelled)
        for listener in labelled.listeners:
            # Istio takes a TLS listener on the gateway port of a network's Gateway for one, whatever its options say
            if listener.protocol == "TLS" and (listener.port == port or listener.tls == _AUTOMATIC):
                origin = f"Gateway {labelled.namespace}/{labelled.name}"
                yield PassthroughRule(listener.hostname or "*", "", listener.port, origin)


def _gateway_ports(cluster: ClusterObjects) -> set[int]:
    """The gateway ports, outside and at the gateway's pods: a server names the port of the pods."""
    ports = {GATEWAY_PORTS[0]}
    for service in cluster.gateway_services.values():
        number = gateway_port(service)
        ports.update(port.target or number for port in service.ports if port.number == number)
    return ports


def _may_select_gateway(gateway: IstioGateway, labels: Collection[str | None]) -> bool:
    """Whether its selector can mean gateway pods: by convention their label ``istio`` is one of their Services'."""
    wanted = dict(gateway.selector).get("istio")
    return wanted is None or None in labels or not labels or wanted in labels


def _server_rule(host: str, gateway: IstioGateway, port: int) -> PassthroughRule:
    """``host``, ``*/host``, ``./host`` (the Gateway's own namespace) or ``namespace/host``."""
    namespace, _, pattern = host.rpartition("/")
    namespace = {"*": "", ".": gateway.namespace}.get(namespace, namespace)
    return PassthroughRule(pattern, namespace, port, f"IstioGateway {gateway.namespace}/{gateway.name}")


def _matches(pattern: str, host: str) -> bool:
    return pattern in ("*", host) or (pattern.startswith("*.") and host.endswith(pattern[1:]))
