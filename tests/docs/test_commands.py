"""Every command that a document shows is run as it stands, or says why not, or is played by a test of its own.

Commands run in the checkout, beside the demo: its ports take the place of the documented ones, and its state directory
is in the environment. In ``console`` blocks the lines below a command are its output; ``…`` is any text.
"""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.docs.pages import CHECKOUT, Block, blocks, pages
from tests.rig.dig import NoReply, dig
from tests.rig.ports import LOOPBACK, free_port
from tests.rig.waiting import eventually

pytestmark = pytest.mark.rig

PLAYED = {
    "docs/cli.md": "tests/cli/test_cli_reference.py",
    "docs/conformance.md": "tests/conformance/test_document.py",
    "docs/debugging.md": "tests/e2e/test_operators_path.py",
    "docs/stub-domains.md": "tests/cli/test_stub_domain.py",
}
"""Pages that a program writes out of what it ran, and the test that holds them against it."""

PROGRAMS = ("curl ", "dig ", "meshdns ", ".venv/bin/python ")
"""What may be run here: nothing that could reach a cluster or change the machine."""

GOOD = {"meshdns get": (0, 1), "meshdns diff --without": (1,)}
"""Statuses other than 0 alone: of an empty list, of a difference."""


class Step(NamedTuple):
    """A command with the output that is shown; None where none is."""

    command: str
    output: str | None


class Demo(NamedTuple):
    """A running ``meshdns demo``: what stands for the documented ports and the name, and the environment."""

    instead: Mapping[str, str]
    environment: Mapping[str, str]


def shown() -> list[Block]:
    """All blocks with commands, but for pages that are played."""
    found = [block for page in pages() for block in blocks(page) if block.kind in ("console", "sh")]
    return [block for block in found if str(block.page.relative_to(CHECKOUT)) not in PLAYED]


def steps(block: Block) -> Iterator[Step]:
    """The commands of a block."""
    text = block.text.replace("\\\n", "")
    if block.kind == "sh":
        yield from (Step(line, None) for line in text.splitlines() if line.strip())
        return
    for part in re.split(r"^\$ ", text, flags=re.MULTILINE)[1:]:
        command, _, output = part.partition("\n")
        yield Step(command, output if output.strip() else None)


def harmless(block: Block) -> bool:
    """Whether all commands of a block may be run here."""
    return all(step.command.startswith(PROGRAMS) for step in steps(block))


SHOWN = [block for block in shown() if not block.excuse]
RUN = [block for block in SHOWN if harmless(block)]


def test_what_is_not_run_says_why() -> None:
    """Commands of other programs carry a comment in the line before them."""
    silent = [block.place for block in SHOWN if block not in RUN]
    assert not silent, "put <!-- not run: the reason --> before these blocks"


@pytest.fixture(scope="module")
def demo() -> Iterator[Demo]:
    """The demo, on ports of its own."""
    port, http, page = free_port(), free_port(), free_port()
    listen = ["--listen", f"{LOOPBACK}:{port}", "--http", f"{LOOPBACK}:{http}", "--page", f"{LOOPBACK}:{page}"]
    program = Path(sys.executable).with_name("meshdns")
    with subprocess.Popen([str(program), "demo", *listen], stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            state = next(found[1] for line in process.stdout if (found := re.search(r"--state-dir (\S+)", line)))
            eventually(lambda: _answers(port), what="the demo answers")
            yield Demo(
                {
                    "-p 1053": f"-p {port}",
                    "1053": str(port),
                    "9153": str(http),
                    "8053": str(page),
                    "<name>": "frontend.default.global",
                    ".venv/bin/": f"{program.parent}/",
                },
                {**os.environ, "MESHDNS_STATE_DIR": state, "PATH": f"{program.parent}:{os.environ['PATH']}"},
            )
        finally:
            process.send_signal(signal.SIGINT)


@pytest.mark.parametrize("block", RUN, ids=lambda block: block.place)
def test_commands_do_what_is_shown(block: Block, demo: Demo) -> None:
    """They end well, and say what the document says."""
    for step in steps(block):
        command = step.command
        for documented, here in demo.instead.items():
            command = command.replace(documented, here)
        shell = ["sh", "-c", command]
        done = subprocess.run(shell, cwd=CHECKOUT, env=demo.environment, capture_output=True, text=True, check=False)
        good = next((statuses for start, statuses in GOOD.items() if command.startswith(start)), (0,))
        assert done.returncode in good, (step.command, done.stdout, done.stderr)
        if step.output is not None:
            assert re.fullmatch(_pattern(step.output), _squeezed(done.stdout), re.DOTALL), (step.command, done.stdout)


def test_enough_is_run() -> None:
    """Most of what the README and the runbooks show is run, not excused."""
    assert len(RUN) >= 3
    assert {str(block.page.relative_to(CHECKOUT)) for block in RUN} >= {"README.md", "docs/runbooks.md"}


def test_whoever_plays_a_page_is_there() -> None:
    """Pages that are left out here have a test that names them."""
    for page, test in PLAYED.items():
        assert Path(page).name in (CHECKOUT / test).read_text("utf-8"), page


def _pattern(output: str) -> str:
    return re.escape(_squeezed(output)).replace("…", ".*")


def _squeezed(text: str) -> str:
    """With one space between words and none at the ends of lines, as columns differ."""
    return "\n".join(" ".join(line.split()) for line in text.strip().splitlines())


def _answers(port: int) -> bool:
    try:
        return bool(dig("frontend.default.global", port=port).answer)
    except NoReply:
        return False
