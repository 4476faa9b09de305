"""The reference of all commands, from the commands themselves.

``python -m meshdns.cli.reference > docs/cli.md`` writes it.
"""

import sys
from collections.abc import Iterator
from typing import Final

import click

from meshdns.cli.exit_codes import MEANINGS
from meshdns.cli.main import root

_WIDTH: Final = 110

_HEAD: Final = """\
# Commands

What `--help` says of each command. `meshdns completion` prints a script that completes all of them in bash, zsh or
fish.

## Exit codes

| code | meaning |
|---|---|
"""


def reference() -> str:
    """The text of ``docs/cli.md``."""
    codes = "".join(f"| {code} | {meaning} |\n" for code, meaning in MEANINGS.items())
    return _HEAD + codes + "".join(f"\n## {name}\n\n```text\n{text}\n```\n" for name, text in _helps())


def _helps() -> Iterator[tuple[str, str]]:
    """Each command that can be run, with its help."""
    settings = {**root.context_settings, "terminal_width": _WIDTH, "max_content_width": _WIDTH}
    above = click.Context(root, info_name="meshdns", **settings)
    for name in root.list_commands(above):
        command = root.get_command(above, name)
        if isinstance(command, click.Group):
            group = click.Context(command, above, info_name=name)
            for inner in command.list_commands(group):
                yield f"meshdns {name} {inner}", _help(command.get_command(group, inner), group, inner)
        else:
            yield f"meshdns {name}", _help(command, above, name)


def _help(command: click.Command | None, above: click.Context, name: str) -> str:
    if command is None:
        return ""
    return command.get_help(click.Context(command, above, info_name=name))


if __name__ == "__main__":
    sys.stdout.write(reference())
