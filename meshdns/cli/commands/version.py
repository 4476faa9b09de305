"""``meshdns version``."""

import platform

import click

import meshdns
from meshdns.cli.printing import print_line


@click.command("version")
def command() -> None:
    """Print the version of meshdns and of the Python it runs on."""
    print_line(f"meshdns {meshdns.__version__} (Python {platform.python_version()}, {platform.system()})")
