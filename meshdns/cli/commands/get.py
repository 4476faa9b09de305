"""``meshdns get``: lists of names, services, clusters, gateways, networks and problems, and their columns."""

import sys
import time
from collections.abc import Callable
from typing import Any, Final, NamedTuple

import click

from meshdns.cli import exit_codes
from meshdns.cli.client import AdminClientError, client_settings, exit_with, fetch
from meshdns.cli.options import client_flags
from meshdns.cli.output import UNKNOWN, format_age, format_duration, format_table, format_value, join_cell
from meshdns.cli.printing import print_document, print_line
from meshdns.controller.admin.api import LISTS, AnyItem, ClusterItem, GatewayItem, Listing, ProblemItem, ServiceItem
from meshdns.mesh.objects.foreign import counted


class Column(NamedTuple):
    """One column: its header, its cell by item and the time in seconds since the epoch; `wide` ones need -o wide."""

    header: str
    cell: Callable[[Any, float], str]
    wide: bool = False


def identity(item: AnyItem) -> str:
    """Return the name of an item in texts, unique in its list."""
    match item:
        case ServiceItem():
            return f"{item.cluster}/{item.namespace}/{item.name}"
        case GatewayItem():
            return f"{item.cluster}/{item.address}"
        case ProblemItem():
            return f"{item.cluster}/{_object(item)}/{item.field}"
        case _:
            return item.name


def is_selected(item: AnyItem, name: str) -> bool:
    """Whether NAME on the command line means this item: its identity, any end of it, or its cluster."""
    wanted = name.lower().removesuffix(".")
    known = identity(item).lower()
    if isinstance(item, ProblemItem):
        known = f"{item.cluster}/{item.namespace}/{item.name}".lower()
    cluster = item.cluster if isinstance(item, GatewayItem | ProblemItem) else ""
    return known == wanted or known.endswith("/" + wanted) or cluster.lower() == wanted


def singular(what: str) -> str:
    """The singular of a list's word."""
    return what.removesuffix("s")


def _object(item: ProblemItem) -> str:
    return f"{item.object}/" + "/".join(filter(None, (item.namespace, item.name)))


def _gateways(item: ClusterItem) -> str:
    """The number of gateways; and how many of them, and of further objects, have no address."""
    if item.gateways < 0:
        return ""
    lacking = item.gateways_without_address
    return f"{item.gateways} ({lacking} without address)" if lacking else str(item.gateways)


def _gateway_lack(item: ClusterItem) -> str:
    if not item.names_without_gateway:
        return ""
    return f"no gateway has an address; names that need one: {item.names_without_gateway}"


def _health(item: GatewayItem) -> str:
    if item.state:
        return f"no address: {item.state}"
    return {True: "healthy", False: "unhealthy", None: "not probed"}[item.healthy]


def _ready(item: ServiceItem) -> str:
    return f"{item.ready}/{item.endpoints}" if item.ready >= 0 else UNKNOWN


def _yes_no(truth: bool) -> str:  # noqa: FBT001 — a cell
    return "yes" if truth else "no"


def _contact(item: ClusterItem) -> str:
    return format_duration(item.last_contact) if item.last_contact is not None else ""


COLUMNS: Final[dict[str, tuple[Column, ...]]] = {
    "names": (
        Column("NAME", lambda item, _: item.name),
        Column("ADDRESSES", lambda item, _: join_cell(item.addresses)),
        Column("TTL", lambda item, _: str(item.ttl) if item.addresses else ""),
        Column("LEVEL", lambda item, _: str(item.level) if item.level else ""),
        Column("CLUSTERS", lambda item, _: join_cell(item.clusters)),
        Column("REASON", lambda item, _: item.reason),
        Column("OUTCOME", lambda item, _: item.outcome, wide=True),
        Column("DECLARED-BY", lambda item, _: join_cell(item.origins), wide=True),
    ),
    "services": (
        Column("CLUSTER", lambda item, _: item.cluster),
        Column("NAMESPACE", lambda item, _: item.namespace),
        Column("NAME", lambda item, _: item.name),
        Column("TYPE", lambda item, _: item.type),
        Column("CLUSTER-IP", lambda item, _: join_cell(item.cluster_ips)),
        Column("EXTERNAL-IP", lambda item, _: join_cell(item.external)),
        Column("PORT(S)", lambda item, _: join_cell(item.ports)),
        Column("READY", lambda item, _: _ready(item)),
        Column("AGE", lambda item, now: format_age(item.created, now)),
        Column("NAMES", lambda item, _: join_cell(item.names), wide=True),
    ),
    "clusters": (
        Column("NAME", lambda item, _: item.name),
        Column("SOURCE", lambda item, _: item.source),
        Column("STATUS", lambda item, _: item.status),
        Column("SINCE", lambda item, now: format_age(item.since, now) if item.since else ""),
        Column("NETWORK", lambda item, _: item.network),
        Column("OBJECTS", lambda item, _: str(item.objects)),
        Column("NAMES", lambda item, _: str(item.names)),
        Column("GATEWAYS", lambda item, _: _gateways(item)),
        Column("LAST-CONTACT", lambda item, _: _contact(item)),
        Column("REASON", lambda item, _: item.reason or _gateway_lack(item)),
        Column("OWN", lambda item, _: _yes_no(item.own), wide=True),
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
        Column("CLUSTERS", lambda item, _: join_cell(item.clusters)),
        Column("GATEWAYS", lambda item, _: join_cell(item.gateways)),
        Column("CIDRS", lambda item, _: join_cell(item.cidrs)),
        Column("OWN", lambda item, _: _yes_no(item.own), wide=True),
    ),
    "problems": (
        Column("CLUSTER", lambda item, _: item.cluster),
        Column("SEVERITY", lambda item, _: item.severity),
        Column("SINCE", lambda item, now: format_age(item.since, now) if item.since else ""),
        Column("OBJECT", lambda item, _: _object(item)),
        Column("FIELD", lambda item, _: item.field),
        Column("REASON", lambda item, _: item.reason),
        Column("ADVICE", lambda item, _: item.advice),
        Column("KIND", lambda item, _: item.kind, wide=True),
        Column("CAUSE", lambda item, _: item.cause, wide=True),
        Column("WHERE", lambda item, _: item.where, wide=True),
    ),
}
"""The columns by the word of the list on the command line."""


_WORDS: Final = tuple(COLUMNS)


@click.command("get")
@click.argument("what", type=click.Choice(_WORDS), metavar=f"{'|'.join(_WORDS)}")
@click.argument("name", required=False)
@click.option(
    "-o",
    "--output",
    "form",
    type=click.Choice(["table", "wide", "json", "yaml", "name"]),
    default="table",
    show_default=True,
)
@click.option("--no-headers", is_flag=True, help="Leave the line of headers out.")
@click.option("--all", "everything", is_flag=True, help="List problems that are normal, too: hosts outside the zones.")
@click.option("-A", "--all-namespaces", is_flag=True, hidden=True, help="As kubectl; all namespaces are always listed.")
@client_flags
def command(
    what: str,
    name: str | None,
    form: str,
    *,
    no_headers: bool,
    everything: bool,
    all_namespaces: bool,  # noqa: ARG001 — accepted, as kubectl's users type it
    **flags: Any,
) -> None:
    """List names, services, clusters, gateways, networks or problems; with NAME only those of that name.

    The running server is asked; if there is none, the name database that the last one left behind is read.

    Exit codes: 0 found, 1 nothing found, 2 wrong usage, 65 wrong settings, 69 nobody to ask.

    Examples:

      meshdns get clusters

      meshdns get names frontend.default.global -o wide

      meshdns get problems --all -o json
    """
    settings = client_settings(flags)
    try:
        found = fetch(settings, what, {}, LISTS[what], lambda reports: reports.listing(what))
    except AdminClientError as error:
        exit_with(error)
    items = [item for item in found.items if name is None or is_selected(item, name)]
    quiet = sum(isinstance(item, ProblemItem) and item.normal for item in items) if not everything else 0
    if quiet:
        items = [item for item in items if not (isinstance(item, ProblemItem) and item.normal)]
    _print(what, items, found.kind, form, headers=not no_headers)
    if quiet:
        print_line(
            f"{counted(quiet, 'host is', 'hosts are')} outside the zones or not public (normal; list them with --all)",
            err=True,
        )
    if not items and not quiet:
        print_line(_nothing_found_text(what, name), err=True)
        sys.exit(exit_codes.FAILED if name is not None or what != "problems" else 0)


def _print(what: str, items: list[AnyItem], kind: str, form: str, *, headers: bool) -> None:
    if form in ("json", "yaml"):
        print_document(format_value(Listing(kind=kind, items=tuple(items)), form))
    elif form == "name":
        for item in items:
            print_line(f"{singular(what)}/{identity(item)}")
    elif items:
        columns = [column for column in COLUMNS[what] if form == "wide" or not column.wide]
        now = time.time()
        rows = ([column.cell(item, now) for column in columns] for item in items)
        for line in format_table([column.header for column in columns], rows, with_headers=headers):
            print_line(line)


def _nothing_found_text(what: str, name: str | None) -> str:
    if name is not None:
        return f"no {singular(what)} {name!r}; list all with: meshdns get {what}"
    if what == "problems":
        return "no problems found"
    return f"no {what} found; see what the sources say with: meshdns get clusters, and meshdns get problems"
