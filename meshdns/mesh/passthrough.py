"""Passthrough: the hosts that the gateways of a cluster pass mesh TLS through for, by its Gateway resources.

An AUTO_PASSTHROUGH server takes mesh TLS and finds the service by the SNI; its ``hosts`` say for which services it does
(istio/api networking/v1alpha3/gateway.proto). The common one passes ``*.local``, so that a ``.global`` name needs a
server of its own.
"""

import functools
from collections.abc import Collection, Iterator
from collections.abc import Set as AbstractSet
from itertools import islice
from typing import Final

import msgspec

from meshdns.dns import names
from meshdns.mesh.gateways import GATEWAY_PORTS, gateway_port
from meshdns.mesh.inventory import ClusterObjects, Inventory
from meshdns.mesh.objects.declarations import IstioGateway
from meshdns.mesh.visibility import parse_service_host

MAX_RULES: Final = 16_384
"""Rules of one cluster, of all its Gateways together."""

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


class Passthrough(msgspec.Struct, frozen=True, rename="camel", dict=True):
    """Rules by which the gateways of a cluster pass mesh TLS through.

    Where they are not `complete`, nothing is known of a host that none of them is for.
    """

    rules: tuple[PassthroughRule, ...] = msgspec.field(default=(), name="openings")
    complete: bool = True

    def allows(self, host: str, namespaces: AbstractSet[str]) -> bool:
        """Whether mesh TLS for `host` gets through; its `namespaces` count where they are known."""
        return any(
            not namespaces or "" in limits or not limits.isdisjoint(namespaces)
            for pattern in ("*", host, *(f"*.{parent}" for parent in names.parents(host)))
            if (limits := self._limits.get(pattern)) is not None
        )

    @functools.cached_property
    def _limits(self) -> dict[str, set[str]]:
        """By host pattern, the namespaces that it is limited to; an empty one means any."""
        found: dict[str, set[str]] = {}
        for rule in self.rules:
            found.setdefault(rule.host, set()).add(rule.namespace)
        return found


def passthrough_of(cluster: ClusterObjects) -> Passthrough | None:
    """Return the passthrough rules of the gateways of `cluster`, or None if nothing is known of them.

    Nothing is known of a cluster without Istio Gateways and without TLS listeners on its labelled Gateways: they may
    not be read there.
    """
    rules = tuple(islice(_rules(cluster), MAX_RULES + 1))
    if not rules and not cluster.istio_gateways:
        return None
    unread = any(gateway.has_unread_hosts for gateway in cluster.istio_gateways.values())
    return Passthrough(rules[:MAX_RULES], complete=len(rules) <= MAX_RULES and not unread)


def passes_tls(passthrough: Passthrough | None, inventory: Inventory, cluster: str, host: str) -> bool | None:
    """Whether the gateways of `cluster`, with this `passthrough`, pass mesh TLS through for `host`; None: unknown.

    The namespace of a host is known by the cluster's ServiceEntries, or by the name of a Service.
    """
    if passthrough is None:
        return None
    namespaces = {entry.namespace for entry in inventory.entries_by_host.get(host, {}).get(cluster, {}).values()}
    service = parse_service_host(host, inventory.settings.cluster(cluster).domain)
    if service is not None:
        namespaces.add(service[0])
    return passthrough.allows(host, namespaces) or (False if passthrough.complete else None)


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
