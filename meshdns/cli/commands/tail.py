"""``meshdns tail``: live queries."""

import contextlib
import re
from typing import Any, Final

import click
import msgspec

from meshdns.cli.client import AdminClientError, client_settings, exit_with, stream_events
from meshdns.cli.options import client_flags
from meshdns.cli.printing import print_document, print_fields, print_line
from meshdns.dns.codes import RCODE_NAMES
from meshdns.dns.presentation import type_number
from meshdns.mesh.objects.foreign import counted, shown

_ADDRESS_BEGINNING: Final = re.compile(r"[0-9A-Fa-f:.]*", re.ASCII)
_COLOURS = {"success": "green", "denial": "yellow", "error": "red"}


@click.command("tail")
@click.argument("name", required=False, default="")
@click.option("--rcode", default="", metavar="RCODE", help="Only replies of this RCODE: NXDOMAIN, SERVFAIL …")
@click.option("--type", "rtype", default="", metavar="TYPE", help="Only questions of this type: A, AAAA, SRV …")
@click.option("--client", default="", metavar="ADDRESS", help="Only askers whose address begins so: 10.8. …")
@click.option("-n", "--lines", type=click.IntRange(min=1), metavar="N", help="End after so many.")
@click.option("-o", "--output", "form", type=click.Choice(["text", "json"]), default="text", show_default=True)
@client_flags
def command(name: str, rcode: str, rtype: str, client: str, lines: int | None, form: str, **flags: Any) -> None:
    """Show live queries of the running server; with NAME only those for it and for names below it.

    At most some 2,000 a second of each worker are shown; how many were left out is said on standard error.

    Exit codes: 0 good, 2 wrong usage, 65 wrong settings, 69 nobody to ask.

    Examples:

      meshdns tail

      meshdns tail default.global --rcode NXDOMAIN

      meshdns tail --client 10.8. --type AAAA -o json
    """
    if rtype and type_number(rtype.upper()) < 0:
        raise click.UsageError(f"TYPE {shown(rtype)} is unknown; write A, AAAA, SRV or TYPE65, for example")
    if rcode and rcode.upper() not in RCODE_NAMES:
        raise click.UsageError(f"RCODE {shown(rcode)} is unknown; write one of {', '.join(RCODE_NAMES[:6])} or RCODE12")
    if not _ADDRESS_BEGINNING.fullmatch(client):
        raise click.UsageError(f"ADDRESS {shown(client)} begins no address; write one as in 10.8. or fd00:")
    settings = client_settings(flags)
    query = {"name": name, "rcode": rcode, "type": rtype, "client": client}
    left = lines if lines is not None else -1
    try:
        with contextlib.suppress(KeyboardInterrupt):
            for kind, octets in stream_events(settings, "queries", query):
                if kind == "missed":
                    missed = counted(msgspec.json.decode(octets)["missed"], "query was", "queries were")
                    print_line(f"{missed} too many to be shown", err=True)
                    continue
                if form == "json":
                    print_document(octets.decode())
                else:
                    print_fields(_fields(msgspec.json.decode(octets)))
                left -= 1
                if not left:
                    break
    except AdminClientError as error:
        exit_with(error)


def _fields(shown: dict[str, Any]) -> list[tuple[str, str | None]]:
    """One query for people, in parts with their colours."""
    took = f"{shown['ms']:.2f}ms"
    error = f" EDE {shown['ede']}" if "ede" in shown else ""
    return [
        (f"{shown['ts'][11:23]}  {shown['client']:15}  {shown['proto']}  ", None),
        (f"{shown['rcode']:8}", _COLOURS.get(shown["class"])),
        (f"  {shown['type']:5} {shown['name']}  {shown['source']} {took}{error}", None),
    ]
