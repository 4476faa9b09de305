"""``meshdns completion``: completion of commands and flags in shells."""

import click
from click.shell_completion import get_completion_class

from meshdns.cli.printing import print_document


@click.command("completion")
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def command(shell: str) -> None:
    """Print the script that completes meshdns in a shell.

    Exit codes: 0 printed, 2 wrong usage.

    Examples:

      meshdns completion bash > /etc/bash_completion.d/meshdns

      meshdns completion zsh > "${fpath[1]}/_meshdns"

      meshdns completion fish > ~/.config/fish/completions/meshdns.fish
    """
    from meshdns.cli.main import root  # noqa: PLC0415 — which loads this module when it is called

    kind = get_completion_class(shell)
    assert kind is not None  # noqa: S101 — the three are click's own
    print_document(kind(root, {}, "meshdns", "_MESHDNS_COMPLETE").source())
