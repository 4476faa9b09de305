"""``meshdns reload``: have the running server reread its settings."""

from typing import Any

import click

from meshdns.cli.client import AdminClientError, client_settings, exit_with, post
from meshdns.cli.options import settings_flags
from meshdns.cli.printing import print_line


@click.command("reload")
@settings_flags
def command(**flags: Any) -> None:
    """Have the running server reread its settings, as SIGHUP does.

    Where they are wrong the old ones stay in force: the server's log says what is wrong, and so does meshdns check.

    Exit codes: 0 done, 2 wrong usage, 65 wrong settings, 69 nobody to ask.

    Examples:

      meshdns reload

      meshdns reload --config meshdns.yaml

      meshdns check meshdns.yaml && meshdns reload --config meshdns.yaml
    """
    try:
        post(client_settings(flags), "/reload")
    except AdminClientError as error:
        exit_with(error)
    print_line("asked the server to reread its settings; its log says whether they are in force")
