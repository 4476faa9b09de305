"""The command ``meshdns``. Each command is loaded when it is called, so that ``--help`` stays fast."""

import importlib
from collections.abc import Sequence
from typing import Final

import click

_COMMANDS: Final = ("check", "demo", "serve", "version", "zone")


class _Commands(click.Group):
    """A group whose commands live in modules of their own name."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 — click's signature
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 — as above
        if cmd_name not in _COMMANDS:
            return None
        command = importlib.import_module(f"meshdns.cli.{cmd_name}").command
        return command if isinstance(command, click.Command) else None


@click.command(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
def _meshdns() -> None:
    """Mesh-aware DNS for Istio meshes that span clusters.

    Exit codes: 0 good, 1 problems found or a failure while running, 2 wrong usage, 65 wrong settings.
    """


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line."""
    _meshdns.main(args=None if arguments is None else list(arguments), prog_name="meshdns")
