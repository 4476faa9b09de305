"""What a soak found, for people: printed, and recorded in ``docs/soak.md`` under a heading of its own."""

import datetime as dt
import os
import platform
import sys
from dataclasses import dataclass
from pathlib import Path

PAGE = Path(__file__).parents[2] / "docs" / "soak.md"
_HEAD = """# Soak

What the last long runs found. Each section is written by the program it names; a run replaces its own section.
"""


@dataclass(frozen=True)
class Table:
    """Figures under a title."""

    title: str
    rows: list[tuple[str, str]]

    def text(self) -> str:
        """As Markdown."""
        return "\n".join(["| | |", "|---|---|", *(f"| {name} | {figure} |" for name, figure in self.rows)])


def say(text: str) -> None:
    """Print a line at once."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def record(command: str, table: Table) -> None:
    """Print a table, and write it into the page in place of the last one of its title."""
    say(table.text())
    today = dt.datetime.now(dt.UTC).date().isoformat()
    machine = f"{os.cpu_count()} cores, {platform.system()} {platform.release().split('-')[0]}"
    how = f"`{command}` on {today}; {machine}, Python {platform.python_version()}."
    section = f"## {table.title}\n\n{how}\n\n{table.text()}\n"
    page = PAGE.read_text() if PAGE.exists() else _HEAD
    head, *sections = page.split("\n## ")
    kept = [f"## {each.rstrip()}\n" for each in sections if each.partition("\n")[0] != table.title]
    PAGE.parent.mkdir(exist_ok=True)
    PAGE.write_text("\n".join([head.rstrip() + "\n", *kept, section]))
