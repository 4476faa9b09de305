"""What the tests of the command line share."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.admin_server import short_folder
from tests.cli.command_runner import CommandRunner


@pytest.fixture
def meshdns(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> CommandRunner:
    """The command, in an environment that sets nothing."""
    for variable in ("CONFIG", "KUBECONFIG", "CONTEXT", "CLUSTER", "NETWORK", "LISTEN", "WORKERS", "STATE_DIR"):
        monkeypatch.delenv(f"MESHDNS_{variable}", raising=False)
    monkeypatch.setenv("COLUMNS", "200")
    return CommandRunner(capsys)


@pytest.fixture
def state() -> Iterator[Path]:
    """A state directory."""
    with short_folder() as folder:
        yield folder
