"""Commands in this process: their exit status and what they print."""

from typing import NamedTuple

import pytest

from meshdns.cli.main import main


class CommandResult(NamedTuple):
    """What a command left behind."""

    status: int
    out: str
    err: str


class CommandRunner:
    """Runs commands and keeps what they print apart."""

    def __init__(self, capture: pytest.CaptureFixture[str]) -> None:
        self._capture = capture

    def __call__(self, *arguments: str) -> CommandResult:
        """Run ``meshdns`` with these arguments."""
        with pytest.raises(SystemExit) as ended:
            main(arguments)
        out, err = self._capture.readouterr()
        code = ended.value.code
        return CommandResult(code if isinstance(code, int) else 0, out, err)


def set_no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """Remove all settings from the environment, and print to a wide terminal."""
    for variable in ("CONFIG", "KUBECONFIG", "CONTEXT", "CLUSTER", "NETWORK", "LISTEN", "WORKERS", "STATE_DIR"):
        monkeypatch.delenv(f"MESHDNS_{variable}", raising=False)
    monkeypatch.setenv("COLUMNS", "200")
