"""What commands print: nothing foreign reaches a terminal as it is, and everything reaches a program as it is."""

import ast
import json
from pathlib import Path

import click
import pytest

from meshdns.cli.client import AdminClientError, exit_with
from meshdns.cli.printing import print_document, print_fields, print_line, print_lines
from tests.cli.command_runner import CommandRunner

CLI = Path(__file__).parents[2] / "meshdns" / "cli"
HOSTILE = "a\x1b]0;title\x07\x1b[2J\r\x9b31m\u202e\x00b"


@pytest.mark.parametrize("err", [False, True], ids=["output", "errors"])
def test_text_for_people_is_printable(capsys: pytest.CaptureFixture[str], *, err: bool) -> None:
    """Escape sequences, C1 controls and changes of direction are shown as what they are; line feeds only if meant."""
    print_line(f"{HOSTILE}\nnext", err=err)
    print_lines(f"{HOSTILE}\nnext", err=err)
    printed = capsys.readouterr()[err].splitlines()
    assert all(line.isprintable() for line in printed)
    assert [line.endswith("next") for line in printed] == [True, False, True]


def test_colours_are_ours_alone(capsys: pytest.CaptureFixture[str]) -> None:
    """What is coloured is escaped first."""
    print_fields([(HOSTILE, "red"), (HOSTILE, None)])
    printed = capsys.readouterr().out.removesuffix("\n")
    assert click.unstyle(printed).isprintable()
    assert click.unstyle(printed).count("title") == 2


def test_text_for_programs_is_exact(capsys: pytest.CaptureFixture[str]) -> None:
    """JSON is what was encoded, to the byte."""
    text = json.dumps({"name": HOSTILE}, ensure_ascii=False)
    print_document(text)
    print_document(text, nl=False)
    assert capsys.readouterr().out == f"{text}\n{text}"


def test_refusal_of_a_server_is_printable(capsys: pytest.CaptureFixture[str]) -> None:
    """Whoever answers on the admin socket may say anything."""
    with pytest.raises(SystemExit):
        exit_with(AdminClientError(f"refused: {HOSTILE}"))
    assert capsys.readouterr().err.removesuffix("\n").isprintable()


@pytest.mark.parametrize(
    "arguments",
    [("zone", HOSTILE), ("explain", HOSTILE), ("get", HOSTILE), (HOSTILE,)],
    ids=["zone", "explain", "get", "command"],
)
def test_wrong_usage_is_printable(meshdns: CommandRunner, arguments: tuple[str, ...]) -> None:
    """What a script passed on from elsewhere is quoted, not obeyed."""
    done = meshdns(*arguments)
    assert done.status in (2, 65)
    assert all(line.isprintable() for line in done.err.splitlines())


def test_refusal_that_quotes_an_argument_is_printable(meshdns: CommandRunner, tmp_path: Path) -> None:
    """Also where the message holds it as it came."""
    file = tmp_path / "meshdns.yaml"
    file.write_text(f"apiVersion: meshdns/v1\nsources: [{{kind: manifests, path: {tmp_path}}}]\n")
    done = meshdns("zone", HOSTILE, "--config", str(file))
    assert "none of the zones" in done.err
    assert all(line.isprintable() for line in done.err.splitlines())


def test_one_module_writes_to_the_terminal() -> None:
    """Commands print through `meshdns.cli.printing`; the generator of the reference prints what the project wrote."""
    found = {
        f"{path.relative_to(CLI)}:{node.lineno}"
        for path in CLI.rglob("*.py")
        if path.name not in ("printing.py", "reference.py")
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if (isinstance(node, ast.Attribute) and node.attr in ("echo", "secho", "stdout", "stderr", "print_exception"))
        or (isinstance(node, ast.Name) and node.id == "print")
    }
    assert not found
