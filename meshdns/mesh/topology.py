"""Topology: networks, their gateways and the vantage.

A topology is a value computed from an inventory; the `NameTable` computes the next one when something it rests on
changed, and compares the two.
"""

from collections.abc import Callable, Collection, Container, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Final

import msgspec

from meshdns.mesh.addresses import IpAddress, parse_address
from meshdns.mesh.gateways import (
    GATEWAY_PORTS,
    GatewayObject,
    addresses_of,
    by_istio_label,
    by_network_label,
    gateway_objects,
    is_remote,
    may_get_address,
    network_label,
    no_address_problem,
    origin_of,
    unknown_network_problem,
    unresolved_problem,
    wrong_network_problem,
)
from meshdns.mesh.host_states import HostState, HostStatus, host_state
from meshdns.mesh.inventory import ClusterObjects, Inventory
from meshdns.mesh.objects.foreign import listed
from meshdns.mesh.objects.problems import Problem, ProblemKind, cluster_cause
from meshdns.mesh.passthrough import MAX_RULES, Passthrough, passthrough_of
from meshdns.mesh.settings import MeshSettings

MAX_GATEWAYS: Final = 256
"""Addresses of the gateways of one cluster or network that count, the first in order."""

HeldObject = tuple[ClusterObjects, GatewayObject]
"""A gateway object with the cluster that holds it."""

EAST_WEST: Final = "eastwestgateway"
INGRESS: Final = "ingressgateway"


class Gateway(msgspec.Struct, frozen=True):
    """One address (or host name) of a gateway, and the port to dial: the gateway port, or a node port.

    `owner` is the cluster whose object holds it (or that a Gateway of class istio-remote stands for), `origin` that
    object. `network` is set where it leads into a network that no cluster is on; then it is no gateway of `owner`.
    """

    address: str
    port: int
    owner: str
    origin: str
    network: str = ""


class GatewaySet(msgspec.Struct, frozen=True):
    """The gateways of one cluster. `pending` says that a gateway object exists that has no address yet.

    `without_address` names the objects that have none, of the kinds that had a say.
    """

    members: tuple[Gateway, ...] = ()
    pending: bool = False
    without_address: tuple[str, ...] = ()

    def lack(self, place: str) -> str:
        """Return why a `place`, a cluster or network in words, is not reached by the objects of this set."""
        if not self.without_address:
            return f"{place} has no gateway"
        return f"{listed(self.without_address, 1)} of {place} has no address{' yet' if self.pending else ''}"


class Topology(msgspec.Struct, frozen=True):
    """Everything that names rest on besides their own declarations."""

    vantage: str
    vantage_network: str
    networks: dict[str, str]  # cluster → network
    gateways: dict[str, GatewaySet]  # cluster → its gateways
    network_gateways: dict[str, GatewaySet]  # network → the gateways that lead into it
    passthrough: dict[str, Passthrough | None]  # cluster → what its gateways pass through; None where that is not known
    gateways_by_address: dict[str, tuple[Gateway, ...]]  # gateway address or host name → the gateways that have it
    prefixes: dict[str, tuple[tuple[int, int, int], ...]]  # network → (version, network as integer, mask)
    gateway_hosts: dict[str, HostState]  # host name of a gateway → what its look-ups brought
    outside_gateways: dict[str, tuple[Gateway, ...]]  # cluster → gateways it holds for networks without clusters

    def gateways_of_network(self, network: str) -> GatewaySet:
        """All gateways that lead into a network."""
        return self.network_gateways.get(network, GatewaySet())

    def all_gateways(self) -> Iterator[Gateway]:
        """The gateways of all clusters, and those that lead into networks."""
        for gateways in (*self.gateways.values(), *self.network_gateways.values()):
            yield from gateways.members

    def state_of(self, gateway: Gateway) -> HostState:
        """Return whether a gateway has an address, which is looked up where its object holds a host name."""
        return self.gateway_hosts.get(gateway.address) or HostState(HostStatus.USABLE, (gateway.address,))

    def gateways_in_cluster(self, cluster: str) -> tuple[Gateway, ...]:
        """The gateways of a cluster, and those that it holds for networks without clusters."""
        return (*self.gateways.get(cluster, GatewaySet()).members, *self.outside_gateways.get(cluster, ()))

    def addresses_of_clusters(self, clusters: Collection[str]) -> set[str]:
        """The addresses and host names of the gateways of these clusters."""
        return {each.address for name in clusters for each in self.gateways.get(name, GatewaySet()).members}

    def is_in_network(self, address: IpAddress, network: str) -> bool:
        """Whether the settings say that `address` belongs to `network`."""
        return any(
            address.version == version and int(address) & mask == base
            for version, base, mask in self.prefixes.get(network, ())
        )

    def is_in_any_network(self, address: IpAddress | None) -> bool:
        """Whether the settings name `address` as one of some network, which makes it private; no host name is."""
        if address is None or not self.prefixes:
            return False
        return any(self.is_in_network(address, network) for network in self.prefixes)

    def changed_networks(self, other: "Topology") -> set[str]:
        """The clusters that are on another network."""
        return _changed_keys(self.networks, other.networks)

    def changed_gateways(self, other: "Topology") -> set[str]:
        """The clusters whose gateways differ between two topologies."""
        return _changed_keys(self.gateways, other.gateways)

    def changed_network_gateways(self, other: "Topology") -> set[str]:
        """The networks into which other gateways lead."""
        return _changed_keys(self.network_gateways, other.network_gateways)

    def changed_passthrough(self, other: "Topology") -> set[str]:
        """The clusters whose gateways pass other hosts through."""
        return _changed_keys(self.passthrough, other.passthrough)

    def changed_gateway_addresses(self, other: "Topology") -> set[str]:
        """The addresses and host names that became, ceased to be, or moved as gateways."""
        return _changed_keys(self.gateways_by_address, other.gateways_by_address)


def _unknown_host(host: str) -> HostState:
    return host_state(host, {}, frozenset())


def _changed_keys(one: Mapping[str, object], other: Mapping[str, object]) -> set[str]:
    """The keys whose values differ, or that only one has."""
    return {name for name in one.keys() | other.keys() if one.get(name) != other.get(name)}


def build_topology(inventory: Inventory, find_host: Callable[[str], HostState] = _unknown_host) -> Topology:
    """The topology that follows from an inventory, its settings, and what the host names of gateways resolve to."""
    settings = inventory.settings
    networks = {name: _cluster_network(cluster, settings) for name, cluster in inventory.clusters.items()}
    labelled = _labelled_objects(inventory)
    gateways = {
        name: _cluster_gateways(cluster, networks, labelled.get(networks[name], ()))
        for name, cluster in inventory.clusters.items()
    }
    owners: dict[str, list[Gateway]] = {}
    for each in gateways.values():
        for gateway in each.members:
            owners.setdefault(gateway.address, []).append(gateway)
    vantage = settings.vantage_cluster
    network_gateways = _network_gateways(networks, gateways, labelled)
    leading = (each for found in (*gateways.values(), *network_gateways.values()) for each in found.members)
    hosts = dict.fromkeys(each.address for each in leading if parse_address(each.address) is None)
    return Topology(
        vantage=vantage,
        vantage_network=settings.vantage_network or networks.get(vantage, ""),
        networks=networks,
        gateways=gateways,
        network_gateways=network_gateways,
        passthrough={name: passthrough_of(cluster) for name, cluster in inventory.clusters.items()},
        gateways_by_address={address: tuple(sorted(set(found), key=_sort_key)) for address, found in owners.items()},
        prefixes={
            name: tuple((p.version, int(p.network_address), int(p.netmask)) for p in prefixes)
            for name, prefixes in settings.networks.items()
        },
        gateway_hosts={host: find_host(host) for host in hosts},
        outside_gateways=_outside_gateways(network_gateways),
    )


def _labelled_objects(inventory: Inventory) -> dict[str, list[HeldObject]]:
    """By network the objects labelled as its gateways, each with the cluster that holds it, in order of clusters."""
    labelled: dict[str, list[HeldObject]] = {}
    for _, cluster in sorted(inventory.clusters.items()):
        for each in gateway_objects(cluster):
            if network_label(each):
                labelled.setdefault(network_label(each), []).append((cluster, each))
    return labelled


def _outside_gateways(network_gateways: Mapping[str, GatewaySet]) -> dict[str, tuple[Gateway, ...]]:
    """By cluster the gateways that it holds for networks without clusters."""
    found: dict[str, list[Gateway]] = {}
    for gateways in network_gateways.values():
        for each in gateways.members:
            if each.network:
                found.setdefault(each.owner, []).append(each)
    return {owner: tuple(its) for owner, its in found.items()}


def _cluster_network(cluster: ClusterObjects, settings: MeshSettings) -> str:
    """A cluster's network: its setting, its system namespace's label, the default, else one of its own."""
    namespace = cluster.namespace(settings.system_namespace)
    label = namespace.network if namespace is not None else ""
    return cluster.settings.network or label or settings.default_network or f"only {cluster.name}"


def _cluster_gateways(
    cluster: ClusterObjects, networks: Mapping[str, str], labelled: Sequence[HeldObject]
) -> GatewaySet:
    """The first kind of gateway that yields an address (docs/semantics.md, which objects are a cluster's gateways).

    `labelled` are the objects of all clusters that are labelled as gateways of its network.
    """
    if cluster.settings.gateways is not None:
        return GatewaySet(tuple(_configured_gateway(text, cluster.name) for text in cluster.settings.gateways))
    pending = False
    waiting: dict[str, None] = {}
    for objects in _gateway_kinds(cluster, networks, labelled):
        held = list(objects)
        found = _without_duplicates(
            gateway for holder, each in held for gateway in _gateways_of_object(each, holder, cluster.name)
        )
        without = [each for holder, each in held if not addresses_of(each, holder)]
        waiting.update((origin_of(each), None) for each in without)
        pending = pending or any(may_get_address(each) for each in without)
        if found:
            return GatewaySet(found, pending, tuple(waiting))
    return GatewaySet((), pending, tuple(waiting))


def _gateway_kinds(
    cluster: ClusterObjects, networks: Mapping[str, str], labelled: Sequence[HeldObject]
) -> Iterator[Iterable[HeldObject]]:
    """The kinds of gateway of a cluster, in the order in which they are tried; each is looked for when it is."""
    network = networks[cluster.name]
    yield ((cluster, each) for each in by_network_label(cluster, network))
    others = [(holder, each) for holder, each in labelled if holder is not cluster]
    yield ((holder, each) for holder, each in others if networks[holder.name] == network)
    yield ((holder, each) for holder, each in others if is_remote(each))
    for label in (EAST_WEST, INGRESS):
        yield ((cluster, each) for each in by_istio_label(cluster, label))


def _network_gateways(
    networks: Mapping[str, str], gateways: Mapping[str, GatewaySet], labelled: Mapping[str, Sequence[HeldObject]]
) -> dict[str, GatewaySet]:
    """The gateways that lead into each network: those of its clusters, else every object labelled with it.

    A network without clusters, of VMs alone, is known only by the gateways that lead into it; they stand in clusters of
    other networks, or are written there (class istio-remote) for gateways elsewhere.
    """
    members: dict[str, dict[Gateway, None]] = {}
    waiting: dict[str, dict[str, None]] = {}
    pending: set[str] = set()
    for name in sorted(networks):
        members.setdefault(networks[name], {}).update(dict.fromkeys(gateways[name].members))
        waiting.setdefault(networks[name], {}).update(dict.fromkeys(gateways[name].without_address))
        if gateways[name].pending:
            pending.add(networks[name])
    leading = {
        network: GatewaySet(tuple(its), network in pending, tuple(waiting[network])) for network, its in members.items()
    }
    for network, objects in labelled.items():
        if network not in members:
            places = ((each, holder.name, place) for holder, each in objects for place in addresses_of(each, holder))
            outside = _without_duplicates(
                Gateway(*place, owner, origin_of(each), network) for each, owner, place in places
            )
            without = [each for holder, each in objects if not addresses_of(each, holder)]
            awaited = any(may_get_address(each) for each in without)
            leading[network] = GatewaySet(outside, awaited, tuple(dict.fromkeys(map(origin_of, without))))
    return leading


def _configured_gateway(text: str, owner: str) -> Gateway:
    """A gateway as the settings write it: ``address``, ``address:port``, ``[address]:port`` or the same with a name."""
    host, colon, port = text.rpartition(":")
    origin = f"clusters.{owner}.gateways"
    if parse_address(text) is not None or not colon:
        return Gateway(text, GATEWAY_PORTS[0], owner, origin)
    return Gateway(host.removeprefix("[").removesuffix("]"), int(port), owner, origin)


def _gateways_of_object(gateway: GatewayObject, holder: ClusterObjects, cluster: str) -> Iterator[Gateway]:
    """The gateways of `cluster` that an object of `holder` is; one that stands for another belongs to `cluster`."""
    owner = cluster if is_remote(gateway) else holder.name
    for address, port in addresses_of(gateway, holder):
        yield Gateway(address, port, owner, origin_of(gateway))


def _without_duplicates(gateways: Iterable[Gateway]) -> tuple[Gateway, ...]:
    """Each place once, in order, no more than `MAX_GATEWAYS`.

    Istio makes a Service for a Gateway, and both hold the same addresses.
    """
    first: dict[tuple[str, int, str], Gateway] = {}
    for gateway in sorted(set(gateways), key=_sort_key):
        first.setdefault((gateway.address, gateway.port, gateway.owner), gateway)
    return tuple(islice(first.values(), MAX_GATEWAYS))


def topology_problems(inventory: Inventory, topology: Topology) -> Iterator[tuple[str, Problem]]:
    """What is wrong with gateway objects, each with its cluster; those that the settings overrule are not looked at.

    The fallbacks are judged as long as nothing before them yielded an address.
    """
    taken = set(topology.networks.values())
    meant = {
        name for name in topology.network_gateways if name in topology.prefixes or name == topology.vantage_network
    }
    for name, cluster in inventory.clusters.items():
        if cluster.settings.gateways is None:
            for problem in _cluster_problems(cluster, topology, taken, meant):
                yield name, problem
        for problem in _bound_problems(name, topology):
            yield name, problem
        for problem in _unresolved_problems(cluster, topology):
            yield name, problem
        of_cluster = cluster_gateway_problem(name, topology)
        members = topology.gateways.get(name, GatewaySet()).members
        if of_cluster is not None and any(topology.state_of(each).status.is_dead for each in members):
            yield name, of_cluster


def cluster_gateway_problem(cluster: str, topology: Topology) -> Problem | None:
    """Return the problem of a cluster whose gateways lack addresses, once for all names that lead there.

    None while nothing is known to be wrong: each gateway has an address, or the look-up of one still has no reply.
    """
    gateways = topology.gateways.get(cluster, GatewaySet())
    states = [topology.state_of(each) for each in gateways.members]
    dead = dict.fromkeys(state.lack for state in states if state.status.is_dead)
    advice = f"give each gateway an address that resolves, or set clusters.{cluster}.gateways"
    kind = ProblemKind.NO_GATEWAY
    if any(state.addresses for state in states):
        if not dead:
            return None
        kind, reason = ProblemKind.UNRESOLVED, f"some of its gateways have no address: {listed(dead)}"
    elif not states and not gateways.without_address:
        reason = "has no gateway, and names of it are reached through one alone"
        advice = f"{advice}, or clusters.{cluster}.discover: none where its Services are not for here"
    else:
        lacks = (*dead, *gateways.without_address)
        if not lacks:
            return None
        reason = f"none of its gateways has an address: {listed(lacks)}"
    return Problem(kind, "Cluster", "", cluster, "gateways", reason, advice, cause=cluster_cause(cluster))


def _unresolved_problems(cluster: ClusterObjects, topology: Topology) -> Iterator[Problem]:
    """The problem of each gateway object of a cluster that holds a host name without address."""
    for each in gateway_objects(cluster):
        for text, _ in addresses_of(each, cluster):
            state = topology.gateway_hosts.get(text)
            if state is not None and state.status.is_dead:
                yield unresolved_problem(each, cluster, state.lack)


def _bound_problems(cluster: str, topology: Topology) -> Iterator[Problem]:
    """What of the gateways of a cluster does not count, for there is more of it than the bounds allow."""
    passthrough = topology.passthrough.get(cluster)
    for field, found, most, what in (
        ("gateways", len(topology.gateways.get(cluster, GatewaySet()).members), MAX_GATEWAYS, "gateway addresses"),
        ("passthrough", len(passthrough.rules) if passthrough is not None else 0, MAX_RULES, "hosts of Gateways"),
    ):
        if found >= most:
            reason = f"has {most} {what}, the most that count: of further ones nothing is known"
            cause = cluster_cause(cluster)
            yield Problem(ProblemKind.OVER_BOUND, "Cluster", "", cluster, field, reason, "name fewer", cause=cause)


def _cluster_problems(
    cluster: ClusterObjects, topology: Topology, taken: Container[str], meant: Container[str]
) -> Iterator[Problem]:
    """What is wrong with the gateway objects of a cluster; networks are `taken` by clusters, or `meant` without any."""
    network = topology.networks.get(cluster.name, "")
    outside = [each for each in gateway_objects(cluster) if network_label(each) and network_label(each) not in taken]
    for each in gateway_objects(cluster):
        if network_label(each) in taken:
            problem = wrong_network_problem(each, cluster, network)
        else:
            problem = unknown_network_problem(each, cluster) if network_label(each) not in meant else None
        if problem:
            yield problem
    for each in (
        *_checked_objects(cluster, network, topology.gateways.get(cluster.name, GatewaySet()).members),
        *outside,
    ):
        if problem := no_address_problem(each, cluster):
            yield problem


def _checked_objects(cluster: ClusterObjects, network: str, gateways: tuple[Gateway, ...]) -> Iterator[GatewayObject]:
    """The objects that had a say in `gateways`, each once."""
    yield from by_network_label(cluster, network)
    used = {gateway.origin for gateway in gateways if gateway.owner == cluster.name}
    fallbacks = [
        [each for each in by_istio_label(cluster, label) if network_label(each) != network]
        for label in (EAST_WEST, INGRESS)
    ]
    while fallbacks and (not gateways or used.intersection(origin_of(each) for kind in fallbacks for each in kind)):
        yield from fallbacks.pop(0)


def _sort_key(gateway: Gateway) -> tuple[bool, int, str, str, int, str]:
    """Addresses in numeric order, host names after them, so that the result does not depend on arrival."""
    address = parse_address(gateway.address)
    return (
        address is None,
        int(address) if address else 0,
        gateway.address,
        gateway.owner,
        gateway.port,
        gateway.origin,
    )
