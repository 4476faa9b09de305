"""``meshdns cache``: what the running server keeps of other servers' answers."""

from typing import Any

import click

from meshdns.cli.client import AdminClientError, client_settings, exit_with, post
from meshdns.cli.options import client_flags
from meshdns.cli.printing import print_line


@click.group("cache")
def command() -> None:
    """What the running server keeps of other servers' answers.

    Examples:

      meshdns cache flush

      meshdns cache flush --config meshdns.yaml

      meshdns cache flush --state-dir /var/lib/meshdns
    """


@command.command("flush")
@client_flags
def flush(**flags: Any) -> None:
    """Have all workers forget what upstream servers answered; mesh names are not cached.

    Exit codes: 0 done, 2 wrong usage, 65 wrong settings, 69 nobody to ask.

    Examples:

      meshdns cache flush

      meshdns cache flush --config meshdns.yaml
    """
    try:
        post(client_settings(flags), "/cache/flush", object)
    except AdminClientError as error:
        exit_with(error)
    print_line("flushed: within a fifth of a second all workers ask anew")
