"""``meshdns diff``: where the server in use answers otherwise, or what manifests would change (`manifest_diff`)."""

import asyncio
import sys
from collections.abc import Iterator, Sequence
from ipaddress import ip_address
from typing import Any, Final

import click

from meshdns.cli import exit_codes
from meshdns.cli.client import AdminClientError, client_settings, exit_with, fetch
from meshdns.cli.options import client_flags
from meshdns.cli.output import format_table, format_value, join_cell
from meshdns.cli.printing import print_document, print_line
from meshdns.controller.admin.api import LISTS, NameItem
from meshdns.dns import names
from meshdns.dns.codes import TYPE_A, TYPE_AAAA
from meshdns.forwarding.upstreams import Address, parse_address
from meshdns.mesh.answer import AnswerKind
from meshdns.mesh.objects.foreign import counted
from meshdns.stubdomains.observed import PENDING_ANSWER, Difference, DifferenceList, compare_answers
from meshdns.upstream.lookup import look_up

_CONCURRENCY: Final = 32  # questions under way; a resolver's limit for one client is rarely lower
_VERSIONS: Final = {TYPE_A: 4, TYPE_AAAA: 6}


@click.command("diff")
@click.option("--server", metavar="IP[:PORT]", help="The server in use, as clients ask it.")
@click.option("--with", "applied", multiple=True, metavar="FILE", help="Manifest that would be applied; repeatable.")
@click.option("--without", "deleted", multiple=True, metavar="FILE", help="Manifest that would be deleted; repeatable.")
@click.option("--in", "into", metavar="CLUSTER", help="The cluster of these manifests, if there are several.")
@click.option("--vantage", "vantages", multiple=True, metavar="CLUSTER", help="A cluster, or outside; repeatable.")
@click.option("--zone", default="global", show_default=True, help="The zone whose names are compared.")
@click.option(
    "-o", "--output", "form", type=click.Choice(["table", "json", "yaml"]), default="table", show_default=True
)
@client_flags
def command(
    server: str | None,
    applied: tuple[str, ...],
    deleted: tuple[str, ...],
    into: str | None,
    vantages: tuple[str, ...],
    zone: str,
    form: str,
    **flags: Any,
) -> None:
    """List the names of a zone whose A and AAAA answers differ from those of the server in use.

    With manifests (--with, --without) instead of a server: list the answers of all zones, and the problems, that would
    change if they were applied or deleted, as seen from each cluster and from outside. FILE is a file, a folder of
    files, or - for standard input. Nothing is sent to any server. The mesh is that of the folders of manifests in the
    settings; where a source is an API server, the name database in the state directory.

    With a server: names and answers are the running server's; if there is none, those of the name database that the
    last one left behind. Answers that only a sidecar can have given are named as such. Wildcards and names that are
    forwarded are left out.

    Exit codes: 0 no difference, 1 differences, 2 wrong usage, 65 wrong settings or manifests, 69 nobody to ask.

    Examples:

      meshdns diff --server 10.96.0.10

      meshdns diff --server 10.96.0.10 --zone global -o json

      meshdns diff --server 127.0.0.1:5353 --config meshdns.yaml

      meshdns diff --with entry.yaml --in cluster1 --config zones/online-boutique/meshdns.yaml
    """
    if applied or deleted:
        if server is not None:
            raise click.UsageError("--server and --with or --without are two different questions; leave one out")
        from meshdns.cli import manifest_diff  # noqa: PLC0415 — a server is compared without it

        manifest_diff.run(applied, deleted, into, vantages, form, client_settings(flags))
    if server is None or into is not None or vantages:
        raise click.UsageError("name what to compare with: --server IP[:PORT], or --with FILE (and --in, --vantage)")
    try:
        address = parse_address(server)
    except ValueError as error:
        raise click.UsageError(f"--server: {error}") from None
    settings = client_settings(flags)
    try:
        listed = fetch(settings, "names", {}, LISTS["names"], lambda reports: reports.listing("names"))
    except AdminClientError as error:
        exit_with(error)
    known = [item for item in listed.items if _is_comparable(item, zone.lower().removesuffix("."))]
    if not known:
        print_line(f"no names of {zone} to compare; list all with: meshdns get names", err=True)
        sys.exit(exit_codes.FAILED)
    found = asyncio.run(_differences(address, known))
    _print(DifferenceList(server=str(address), asked=len(known), items=tuple(found)), form)
    sys.exit(1 if found else 0)


def _is_comparable(item: NameItem, zone: str) -> bool:
    return (
        names.is_subdomain(item.name, zone)
        and not item.name.startswith("*.")
        and item.outcome != AnswerKind.FORWARD.value
    )


async def _differences(server: Address, known: Sequence[NameItem]) -> list[Difference]:
    """The differences in the order of the names, A before AAAA; so many are asked at once."""
    questions = iter([(number, item, qtype) for number, item in enumerate(known) for qtype in _VERSIONS])
    found: dict[tuple[int, int], Difference] = {}

    async def work(left: Iterator[tuple[int, NameItem, int]]) -> None:
        for number, item, qtype in left:
            difference = compare_answers(
                item.name, qtype, _expected_addresses(item, qtype), await look_up(server, item.name, qtype)
            )
            if difference is not None:
                found[number, qtype] = difference

    async with asyncio.TaskGroup() as group:
        for worker in range(_CONCURRENCY):
            group.create_task(work(questions), name=f"compare {worker}")
    return [found[place] for place in sorted(found)]


def _expected_addresses(item: NameItem, qtype: int) -> list[str]:
    if item.outcome == AnswerKind.PENDING.value:
        return [PENDING_ANSWER]
    return [text for text in item.addresses if ip_address(text).version == _VERSIONS[qtype]]


def _print(differences: DifferenceList, form: str) -> None:
    if form != "table":
        print_document(format_value(differences, form))
    elif differences.items:
        headers = ("NAME", "TYPE", "SERVER", "MESHDNS", "NOTE")
        rows = [
            (each.name, each.type, join_cell(each.server), join_cell(each.meshdns), each.note)
            for each in differences.items
        ]
        for line in format_table(headers, rows, with_headers=True):
            print_line(line)
    count = len({each.name for each in differences.items})
    names_differ = f"{counted(differences.asked, 'name')} {'differs' if count == 1 else 'differ'}"
    print_line(f"{count} of {names_differ} from {differences.server}", err=True)
