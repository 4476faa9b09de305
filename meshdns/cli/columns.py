"""The columns of each list, and what an item is called."""

from collections.abc import Callable
from typing import Any, Final, NamedTuple

from meshdns.cli.printing import UNKNOWN, age, duration, joined
from meshdns.controller.listing import (
    AnyItem,
    ClusterItem,
    GatewayItem,
    ProblemItem,
    ServiceItem,
)


class Column(NamedTuple):
    """One column: its header, its cell by item and the time in seconds since the epoch; `wide` ones need -o wide."""

    header: str
    cell: Callable[[Any, float], str]
    wide: bool = False


def identity(item: AnyItem) -> str:
    """What an item is called after its noun: enough to tell it from the others of its list."""
    match item:
        case ServiceItem():
            return f"{item.cluster}/{item.namespace}/{item.name}"
        case GatewayItem():
            return f"{item.cluster}/{item.address}"
        case ProblemItem():
            return f"{item.cluster}/{_object(item)}/{item.field}"
        case _:
            return item.name


def selected(item: AnyItem, name: str) -> bool:
    """Whether NAME on the command line means this item: its identity, any end of it, or its cluster."""
    wanted = name.lower().removesuffix(".")
    known = identity(item).lower()
    if isinstance(item, ProblemItem):
        known = f"{item.cluster}/{item.namespace}/{item.name}".lower()
    cluster = item.cluster if isinstance(item, GatewayItem | ProblemItem) else ""
    return known == wanted or known.endswith("/" + wanted) or cluster.lower() == wanted


def noun(what: str) -> str:
    """The singular of a list's word."""
    return what.removesuffix("s")


def _object(item: ProblemItem) -> str:
    return f"{item.object}/" + "/".join(filter(None, (item.namespace, item.name)))


def _health(item: GatewayItem) -> str:
    return {True: "healthy", False: "unhealthy", None: "not probed"}[item.healthy]


def _ready(item: ServiceItem) -> str:
    return f"{item.ready}/{item.endpoints}" if item.ready >= 0 else UNKNOWN


def _yes(truth: bool) -> str:  # noqa: FBT001 — a cell
    return "yes" if truth else "no"


def _contact(item: ClusterItem) -> str:
    return duration(item.last_contact) if item.last_contact is not None else ""


COLUMNS: Final[dict[str, tuple[Column, ...]]] = {
    "names": (
        Column("NAME", lambda item, _: item.name),
        Column("ADDRESSES", lambda item, _: joined(item.addresses)),
        Column("TTL", lambda item, _: str(item.ttl) if item.addresses else ""),
        Column("LEVEL", lambda item, _: str(item.level) if item.level else ""),
        Column("CLUSTERS", lambda item, _: joined(item.clusters)),
        Column("OUTCOME", lambda item, _: item.outcome, wide=True),
        Column("DECLARED-BY", lambda item, _: joined(item.origins), wide=True),
    ),
    "services": (
        Column("CLUSTER", lambda item, _: item.cluster),
        Column("NAMESPACE", lambda item, _: item.namespace),
        Column("NAME", lambda item, _: item.name),
        Column("TYPE", lambda item, _: item.type),
        Column("CLUSTER-IP", lambda item, _: joined(item.cluster_ips)),
        Column("EXTERNAL-IP", lambda item, _: joined(item.external)),
        Column("PORT(S)", lambda item, _: joined(item.ports)),
        Column("READY", lambda item, _: _ready(item)),
        Column("AGE", lambda item, now: age(item.created, now)),
        Column("NAMES", lambda item, _: joined(item.names), wide=True),
    ),
    "clusters": (
        Column("NAME", lambda item, _: item.name),
        Column("SOURCE", lambda item, _: item.source),
        Column("STATUS", lambda item, _: item.status),
        Column("SINCE", lambda item, now: age(item.since, now) if item.since else ""),
        Column("NETWORK", lambda item, _: item.network),
        Column("OBJECTS", lambda item, _: str(item.objects)),
        Column("NAMES", lambda item, _: str(item.names)),
        Column("GATEWAYS", lambda item, _: str(item.gateways) if item.gateways >= 0 else ""),
        Column("LAST-CONTACT", lambda item, _: _contact(item)),
        Column("REASON", lambda item, _: item.reason),
        Column("OWN", lambda item, _: _yes(item.own), wide=True),
    ),
    "gateways": (
        Column("CLUSTER", lambda item, _: item.cluster),
        Column("ADDRESS", lambda item, _: item.address),
        Column("PORT", lambda item, _: str(item.port) if item.port else ""),
        Column("NETWORK", lambda item, _: item.network),
        Column("HEALTH", lambda item, _: _health(item)),
        Column("DECLARED-BY", lambda item, _: item.origin, wide=True),
    ),
    "networks": (
        Column("NAME", lambda item, _: item.name),
        Column("CLUSTERS", lambda item, _: joined(item.clusters)),
        Column("GATEWAYS", lambda item, _: joined(item.gateways)),
        Column("CIDRS", lambda item, _: joined(item.cidrs)),
        Column("OWN", lambda item, _: _yes(item.own), wide=True),
    ),
    "problems": (
        Column("CLUSTER", lambda item, _: item.cluster),
        Column("OBJECT", lambda item, _: _object(item)),
        Column("FIELD", lambda item, _: item.field),
        Column("REASON", lambda item, _: item.reason),
        Column("ADVICE", lambda item, _: item.advice),
        Column("KIND", lambda item, _: item.kind, wide=True),
        Column("WHERE", lambda item, _: item.where, wide=True),
    ),
}
"""The columns by the word that asks for the list."""
