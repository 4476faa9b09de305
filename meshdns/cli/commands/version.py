"""``meshdns version``."""

import platform

import click

import meshdns


@click.command("version")
def command() -> None:
    """Print the version of meshdns and of the Python it runs on."""
    click.echo(f"meshdns {meshdns.__version__} (Python {platform.python_version()}, {platform.system()})")
