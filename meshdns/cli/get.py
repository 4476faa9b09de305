"""``meshdns get``: what the server knows, in lists."""

import sys
import time
from typing import Any, Final

import click

from meshdns.cli import exits
from meshdns.cli.asking import AskingError, ask, give_up, settings_for_asking
from meshdns.cli.columns import COLUMNS, identity, noun, selected
from meshdns.cli.options import settings_flags
from meshdns.cli.printing import machine, table
from meshdns.controller.listing import LISTS, AnyItem, Listing, ProblemItem

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
@settings_flags
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

    The running server is asked; if there is none, the view that the last one left behind is read.

    Exit codes: 0 found, 1 nothing found, 2 wrong usage, 65 wrong settings, 69 nobody to ask.

    Examples:

      meshdns get clusters

      meshdns get names frontend.default.global -o wide

      meshdns get problems --all -o json
    """
    settings = settings_for_asking(flags)
    try:
        found = ask(settings, what, {}, LISTS[what], lambda view: view.listing(what))
    except AskingError as error:
        give_up(error)
    items = [item for item in found.items if name is None or selected(item, name)]
    quiet = sum(isinstance(item, ProblemItem) and item.normal for item in items) if not everything else 0
    if quiet:
        items = [item for item in items if not (isinstance(item, ProblemItem) and item.normal)]
    _print(what, items, found.kind, form, headers=not no_headers)
    if quiet:
        click.echo(f"{quiet} hosts are outside the zones or not public (normal; list them with --all)", err=True)
    if not items and not quiet:
        click.echo(_nothing(what, name), err=True)
        sys.exit(exits.FAILED if name is not None or what != "problems" else 0)


def _print(what: str, items: list[AnyItem], kind: str, form: str, *, headers: bool) -> None:
    if form in ("json", "yaml"):
        click.echo(machine(Listing(kind=kind, items=tuple(items)), form))
    elif form == "name":
        for item in items:
            click.echo(f"{noun(what)}/{identity(item)}")
    elif items:
        columns = [column for column in COLUMNS[what] if form == "wide" or not column.wide]
        now = time.time()
        rows = ([column.cell(item, now) for column in columns] for item in items)
        for line in table([column.header for column in columns], rows, with_headers=headers):
            click.echo(line)


def _nothing(what: str, name: str | None) -> str:
    if name is not None:
        return f"no {noun(what)} {name!r}; list all with: meshdns get {what}"
    if what == "problems":
        return "no problems found"
    return f"no {what} found; see what the sources say with: meshdns get clusters, and meshdns get problems"
