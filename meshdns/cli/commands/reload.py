"""``meshdns reload``: have the running server reread its settings."""

from typing import Any, Final

import click
import msgspec

from meshdns.cli.client import AdminClientError, client_settings, exit_with, post
from meshdns.cli.options import client_flags
from meshdns.cli.printing import print_line

_NOT_ASKED: Final = "the running server was not asked, and keeps its settings"


class _Reply(msgspec.Struct, frozen=True, rename="camel"):
    """The reply of the server; one of version 0.1 says nothing of the outcome."""

    generation: int = 0
    waiting_keys: tuple[str, ...] = ()


@click.command("reload")
@client_flags
def command(**flags: Any) -> None:
    """Have the running server reread its settings, as SIGHUP does, and say what came of it.

    Where they are wrong the old ones stay in force: each fault is named with file, line and column, as by meshdns
    check. Keys that take effect only with a restart are named on standard error; all others are in force.

    Exit codes: 0 in force, 1 no outcome in time, 2 wrong usage, 65 wrong settings: the old ones stay, 69 nobody to ask.

    Examples:

      meshdns reload

      meshdns reload --config meshdns.yaml

      meshdns check meshdns.yaml && meshdns reload --config meshdns.yaml
    """
    try:
        reply = post(client_settings(flags, otherwise=_NOT_ASKED), "/reload", _Reply)
    except AdminClientError as error:
        exit_with(error)
    if not reply.generation:
        print_line("asked the server to reread its settings; its log says whether they are in force")
        return
    print_line(f"in force as generation {reply.generation}")
    if reply.waiting_keys:
        print_line(f"a change of {', '.join(reply.waiting_keys)} takes effect with a restart", err=True)
