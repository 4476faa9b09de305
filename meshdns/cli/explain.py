"""``meshdns explain``: why a name is answered the way it is."""

from typing import Any

import click

from meshdns.cli.asking import AskingError, ask, give_up, settings_for_asking
from meshdns.cli.options import settings_flags
from meshdns.dns import names
from meshdns.dns.presentation import type_number


@click.command("explain")
@click.argument("name")
@click.argument("rtype", metavar="[TYPE]", default="A")
@click.option("-o", "--output", "form", type=click.Choice(["text", "json", "yaml"]), default="text", show_default=True)
@settings_flags
def command(name: str, rtype: str, form: str, **flags: Any) -> None:
    """Say why NAME is answered the way it is.

    Which declarations speak for it, what became of each of their endpoints, and what the others lost to.

    The running server is asked; if there is none, the view that the last one left behind is read.

    Exit codes: 0 explained, 2 wrong usage, 65 wrong settings, 69 nobody to ask.

    Examples:

      meshdns explain frontend.default.global

      meshdns explain frontend.default.global AAAA

      meshdns explain cartservice.default.global -o json --config meshdns.yaml
    """
    wanted, kind = name.lower().removesuffix("."), rtype.upper()
    if fault := names.fault(wanted.removeprefix("*.")):
        raise click.UsageError(f"NAME {name!r} {fault}; write it as in frontend.default.global")
    if type_number(kind) < 0:
        raise click.UsageError(f"TYPE {rtype!r} is unknown; write A, AAAA, SRV or TYPE65, for example")
    settings = settings_for_asking(flags)
    from meshdns.cli.printing import machine  # noqa: PLC0415 — after wrong usage and settings had their chance
    from meshdns.mesh.explanation import Explanation  # noqa: PLC0415 — as above
    from meshdns.mesh.narration import narrate  # noqa: PLC0415 — as above

    query = {"name": wanted, "type": kind}
    try:
        explanation = ask(settings, "explain", query, Explanation, lambda view: view.explain(wanted, kind))
    except AskingError as error:
        give_up(error)
    click.echo(narrate(explanation) if form == "text" else machine(explanation, form))
