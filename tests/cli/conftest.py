"""What the tests of the command line share."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.admin_server import short_folder
from tests.cli.command_runner import CommandRunner, set_no_settings


@pytest.fixture
def meshdns(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> CommandRunner:
    """The command, in an environment that sets nothing."""
    set_no_settings(monkeypatch)
    return CommandRunner(capsys)


@pytest.fixture
def state() -> Iterator[Path]:
    """A state directory."""
    with short_folder() as folder:
        yield folder
