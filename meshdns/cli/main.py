"""The command ``meshdns``. Each command is loaded when it is called, so that ``--help`` stays fast."""

import importlib
from collections.abc import Sequence
from typing import Final

import click

from meshdns.dns.presentation import escape_unprintable

_COMMANDS: Final = {
    "cache": "Forget what upstream servers answered.",
    "check": "Check settings files and folders of clusters.",
    "completion": "Print a script that completes meshdns in bash, zsh or fish.",
    "demo": "Serve an example mesh of two clusters.",
    "diff": "List what another server answers otherwise, or what manifests would change.",
    "explain": "Say why a name is answered the way it is.",
    "get": "List names, services, clusters, gateways, networks or problems.",
    "reload": "Have the running server reread its settings.",
    "remote": "Print the rights and kubeconfigs that other clusters are read with.",
    "serve": "Answer DNS queries for the mesh and forward all others.",
    "stub-domain": "Send a zone from the DNS in front to meshdns: print, diff, check.",
    "tail": "Show live queries of the running server.",
    "version": "Print the version of meshdns and of the Python it runs on.",
    "zone": "Print a zone in the format of a master file.",
}


class _Commands(click.Group):
    """A group whose commands live in modules of their own name."""

    def invoke(self, ctx: click.Context) -> object:
        """Run a command; what it refuses is printable, whatever it quotes."""
        try:
            return super().invoke(ctx)
        except click.ClickException as refusal:
            # declared final, since nobody but click makes one
            vars(refusal)["message"] = "\n".join(map(escape_unprintable, refusal.message.split("\n")))
            raise

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 — click's signature
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 — as above
        if cmd_name not in _COMMANDS:
            return None
        command = importlib.import_module(f"meshdns.cli.commands.{cmd_name.replace('-', '_')}").command
        return command if isinstance(command, click.Command) else None

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002 — as above
        """List the commands without loading them."""
        with formatter.section("Commands"):
            formatter.write_dl(list(_COMMANDS.items()))


@click.command(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
def root() -> None:
    """Mesh-aware DNS for Istio meshes that span clusters.

    Exit codes: 0 good, 1 nothing found or a failure while running, 2 wrong usage, 65 wrong settings, 69 nobody to ask,
    79 problems found by check.
    """


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line."""
    root.main(args=None if arguments is None else list(arguments), prog_name="meshdns")
