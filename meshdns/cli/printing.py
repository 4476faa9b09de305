"""The one place that writes to the terminal: text for people is printable, text for programs is exact.

Names, reasons and replies are written by whoever may write an object or answer a query. An escape sequence in one of
them would move the cursor, change the title or answer for the user.
"""

from collections.abc import Iterable

import click

from meshdns.dns.presentation import escape_unprintable


def print_line(text: str, *, err: bool = False) -> None:
    """Print one line for people; a line feed in it is escaped, too."""
    click.echo(escape_unprintable(text), err=err)


def print_lines(text: str, *, err: bool = False) -> None:
    """Print text for people whose line feeds are meant."""
    click.echo("\n".join(map(escape_unprintable, text.split("\n"))), err=err)


def print_fields(fields: Iterable[tuple[str, str | None]]) -> None:
    """Print one line for people of texts, each in its colour, if it has one."""
    shown = ((escape_unprintable(text), colour) for text, colour in fields)
    click.echo("".join(click.style(text, fg=colour) if colour else text for text, colour in shown))


def print_document(text: str, *, nl: bool = True) -> None:
    """Print text for programs as it is: JSON, YAML, a master file, a script."""
    click.echo(text, nl=nl)
