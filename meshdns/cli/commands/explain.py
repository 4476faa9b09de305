"""``meshdns explain``: why a name is answered the way it is."""

from typing import Any

import click

from meshdns.cli.client import AdminClientError, client_settings, exit_with, fetch
from meshdns.cli.options import client_flags
from meshdns.cli.printing import print_document, print_lines
from meshdns.dns import names
from meshdns.dns.presentation import type_number
from meshdns.mesh.objects.foreign import shown


@click.command("explain")
@click.argument("name")
@click.argument("rtype", metavar="[TYPE]", default="A")
@click.option("-o", "--output", "form", type=click.Choice(["text", "json", "yaml"]), default="text", show_default=True)
@client_flags
def command(name: str, rtype: str, form: str, **flags: Any) -> None:
    """Say why NAME is answered the way it is.

    Which declarations speak for it, what became of each of their endpoints, and what the others lost to.

    The running server is asked; if there is none, the name database that the last one left behind is read.

    Exit codes: 0 explained, 2 wrong usage, 65 wrong settings, 69 nobody to ask.

    Examples:

      meshdns explain frontend.default.global

      meshdns explain frontend.default.global AAAA

      meshdns explain cartservice.default.global -o json --config meshdns.yaml
    """
    wanted, kind = name.lower().removesuffix("."), rtype.upper()
    if fault := names.invalid_reason(wanted.removeprefix("*.")):
        raise click.UsageError(f"NAME {shown(name)} {fault}; write it as in frontend.default.global")
    if type_number(kind) < 0:
        raise click.UsageError(f"TYPE {shown(rtype)} is unknown; write A, AAAA, SRV or TYPE65, for example")
    settings = client_settings(flags)
    from meshdns.cli.output import format_value  # noqa: PLC0415 — after wrong usage and settings had their chance
    from meshdns.mesh.explain.model import Explanation  # noqa: PLC0415 — as above
    from meshdns.mesh.explain.text import render_text  # noqa: PLC0415 — as above

    query = {"name": wanted, "type": kind}
    try:
        explanation = fetch(settings, "explain", query, Explanation, lambda reports: reports.explain(wanted, kind))
    except AdminClientError as error:
        exit_with(error)
    if form == "text":
        print_lines(render_text(explanation))
    else:
        print_document(format_value(explanation, form))
