"""The documents as the tests read them: pages, their blocks of code, their links."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

CHECKOUT: Final = Path(__file__).resolve().parents[2]

_FENCE: Final = re.compile(r" *```(\w*)$")
_INDENTED: Final = re.compile(r" {4,}\S")
_MARKER: Final = re.compile(r" *<!-- not run: (\S.*) -->$")
_LINK: Final = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")


class Block(NamedTuple):
    """A block of code. `kind` is what stands behind its fence, or ``sh`` for an indented one.

    `excuse` is why nothing runs it, from the comment before it: ``<!-- not run: needs a cluster -->``.
    """

    page: Path
    line: int
    kind: str
    text: str
    excuse: str

    @property
    def place(self) -> str:
        """For people: ``docs/faq.md:12``."""
        return f"{self.page.relative_to(CHECKOUT)}:{self.line}"


def pages() -> list[Path]:
    """All documents for people: those at the top, of docs, of the deployment, and of the situations."""
    found = [*CHECKOUT.glob("*.md"), CHECKOUT / "deploy" / "README.md"]
    return sorted({*found, *(CHECKOUT / "docs").rglob("*.md"), *(CHECKOUT / "zones").rglob("*.md")})


def blocks(page: Path) -> Iterator[Block]:
    """The blocks of a page in their order."""
    lines = page.read_text("utf-8").splitlines()
    at, said = 0, ""
    while at < len(lines):
        end, kind = at, ""
        if fence := _FENCE.match(lines[at]):
            kind = fence[1] or "text"
            end = next(i for i in range(at + 1, len(lines)) if _FENCE.match(lines[i]))
            text = lines[at + 1 : end]
        elif _INDENTED.match(lines[at]) and at and not lines[at - 1].strip():
            kind = "sh"
            end = next((i for i in range(at, len(lines)) if not _INDENTED.match(lines[i])), len(lines)) - 1
            text = lines[at : end + 1]
        if kind:
            excuse = _MARKER.match(said)
            yield Block(page, at + 1, kind, _flush(text), excuse[1] if excuse else "")
        said = lines[at] if lines[at].strip() and not kind else "" if kind else said
        at = end + 1


def links(page: Path) -> Iterator[str]:
    """The targets of links and images, those in code left out."""
    text = re.sub(r"^ *```.*?^ *```", "", page.read_text("utf-8"), flags=re.MULTILINE | re.DOTALL)
    yield from _LINK.findall(re.sub(r"`[^`\n]*`", "", text))


def anchors(page: Path) -> set[str]:
    """What a link to a heading of the page may end with."""
    headings = re.findall(r"^#+ (.*)$", page.read_text("utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def _flush(lines: list[str]) -> str:
    """The lines without the indentation that all of them have."""
    depth = min((len(line) - len(line.lstrip()) for line in lines if line.strip()), default=0)
    return "\n".join(line[depth:] for line in lines) + "\n"
