"""``meshdns diff``: where the server in use answers otherwise."""

import asyncio
import sys
from collections.abc import Iterator, Sequence
from ipaddress import ip_address
from typing import Any, Final

import click

from meshdns.cli import exits
from meshdns.cli.asking import AskingError, ask, give_up, settings_for_asking
from meshdns.cli.options import settings_flags
from meshdns.cli.printing import joined, machine, table
from meshdns.controller.listing import LISTS, NameItem
from meshdns.dns import names
from meshdns.dns.codes import TYPE_A, TYPE_AAAA
from meshdns.forwarding.addresses import Address, parse
from meshdns.mesh.answer import Outcome
from meshdns.stubdomains.comparison import PENDING, Difference, Differences, compare
from meshdns.upstream.lookup import look_up

_AT_ONCE: Final = 32  # questions under way; a resolver's limit for one client is rarely lower
_VERSIONS: Final = {TYPE_A: 4, TYPE_AAAA: 6}


@click.command("diff")
@click.option("--server", required=True, metavar="IP[:PORT]", help="The server in use, as clients ask it.")
@click.option("--zone", default="global", show_default=True, help="The zone whose names are compared.")
@click.option(
    "-o", "--output", "form", type=click.Choice(["table", "json", "yaml"]), default="table", show_default=True
)
@settings_flags
def command(server: str, zone: str, form: str, **flags: Any) -> None:
    """List the names of a zone whose A and AAAA answers differ from those of the server in use.

    Names and answers are the running server's; if there is none, those of the view that the last one left behind.
    Answers that only a sidecar can have given are named as such. Wildcards and names that are forwarded are left out.

    Exit codes: 0 no difference, 1 differences, 2 wrong usage, 65 wrong settings, 69 nobody to ask.

    Examples:

      meshdns diff --server 10.96.0.10

      meshdns diff --server 10.96.0.10 --zone global -o json

      meshdns diff --server 127.0.0.1:5353 --config meshdns.yaml
    """
    try:
        address = parse(server)
    except ValueError as error:
        raise click.UsageError(f"--server: {error}") from None
    settings = settings_for_asking(flags)
    try:
        listed = ask(settings, "names", {}, LISTS["names"], lambda view: view.listing("names"))
    except AskingError as error:
        give_up(error)
    known = [item for item in listed.items if _comparable(item, zone.lower().removesuffix("."))]
    if not known:
        click.echo(f"no names of {zone} to compare; list all with: meshdns get names", err=True)
        sys.exit(exits.FAILED)
    found = asyncio.run(_differences(address, known))
    _print(Differences(server=str(address), asked=len(known), items=tuple(found)), form)
    sys.exit(1 if found else 0)


def _comparable(item: NameItem, zone: str) -> bool:
    return names.within(item.name, zone) and not item.name.startswith("*.") and item.outcome != Outcome.FORWARD.value


async def _differences(server: Address, known: Sequence[NameItem]) -> list[Difference]:
    """The differences in the order of the names, A before AAAA; so many are asked at once."""
    questions = iter([(number, item, qtype) for number, item in enumerate(known) for qtype in _VERSIONS])
    found: dict[tuple[int, int], Difference] = {}

    async def work(left: Iterator[tuple[int, NameItem, int]]) -> None:
        for number, item, qtype in left:
            difference = compare(item.name, qtype, _ours(item, qtype), await look_up(server, item.name, qtype))
            if difference is not None:
                found[number, qtype] = difference

    async with asyncio.TaskGroup() as group:
        for worker in range(_AT_ONCE):
            group.create_task(work(questions), name=f"compare {worker}")
    return [found[place] for place in sorted(found)]


def _ours(item: NameItem, qtype: int) -> list[str]:
    if item.outcome == Outcome.PENDING.value:
        return [PENDING]
    return [text for text in item.addresses if ip_address(text).version == _VERSIONS[qtype]]


def _print(differences: Differences, form: str) -> None:
    if form != "table":
        click.echo(machine(differences, form))
    elif differences.items:
        headers = ("NAME", "TYPE", "SERVER", "MESHDNS", "NOTE")
        rows = [
            (each.name, each.type, joined(each.server), joined(each.meshdns), each.note) for each in differences.items
        ]
        for line in table(headers, rows, with_headers=True):
            click.echo(line)
    count = len({each.name for each in differences.items})
    click.echo(f"{count} of {differences.asked} names differ from {differences.server}", err=True)
