"""Completion in shells, and help that shows how."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from meshdns.cli import main as command_line
from tests.cli.command_runner import CommandRunner

PROGRAM = Path(sys.executable).with_name("meshdns")


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_each_shell_gets_its_script(meshdns: CommandRunner, shell: str) -> None:
    """The script asks the installed command by its name."""
    ended = meshdns("completion", shell)
    assert ended.status == 0
    assert f"_MESHDNS_COMPLETE={shell}_complete" in ended.out


def test_bash_takes_the_script(meshdns: CommandRunner) -> None:
    """Bash finds nothing wrong with it."""
    script = meshdns("completion", "bash").out
    assert subprocess.run(["bash", "-n"], input=script, text=True, check=False).returncode == 0


@pytest.mark.slow
@pytest.mark.parametrize(
    ("words", "expected"),
    [("meshdns ta", "tail"), ("meshdns get cl", "clusters"), ("meshdns tail --rc", "--rcode")],
)
def test_words_are_completed(words: str, expected: str) -> None:
    """Commands, choices and flags."""
    environment = {**os.environ, "COMP_WORDS": words, "_MESHDNS_COMPLETE": "bash_complete"}
    environment["COMP_CWORD"] = str(len(words.split()) - 1)
    ended = subprocess.run([PROGRAM], env=environment, capture_output=True, text=True, check=False)
    assert f"plain,{expected}" in ended.stdout.splitlines()


@pytest.mark.parametrize("name", [name for name in command_line._COMMANDS if name != "version"])
def test_help_has_examples(meshdns: CommandRunner, name: str) -> None:
    """Each command shows how it is used."""
    shown = meshdns(name, "--help").out
    assert shown.count(f"meshdns {name}") >= 3


@pytest.mark.parametrize("arguments", [("cache", "flush"), ("reload",), ("tail",)])
def test_without_a_server_they_say_what_to_do(meshdns: CommandRunner, arguments: tuple[str, ...], state: Path) -> None:
    """Nobody to ask is 69, and the message ends with what to do."""
    ended = meshdns(*arguments, "--state-dir", str(state))
    assert ended.status == 69
    assert "start meshdns serve" in ended.err
