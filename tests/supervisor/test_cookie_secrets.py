"""The secret of DNS cookies in the state directory."""

import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from meshdns.supervisor.cookie_secrets import LIFETIME, CookieSecrets, load_or_create
from tests.file_states import STATES

NOW = 1_800_000_000.0


def _file(folder: Path) -> Path:
    (path,) = folder.iterdir()
    return path


def test_a_secret_outlasts_its_process(tmp_path: Path) -> None:
    """Whoever starts next has the same, and nobody else can read it."""
    first = load_or_create(tmp_path, now=NOW)
    assert (len(first.current), first.previous) == (16, b"")
    assert load_or_create(tmp_path, now=NOW + LIFETIME - 1) == first
    assert stat.S_IMODE(_file(tmp_path).stat().st_mode) == 0o600


def test_a_secret_is_replaced_once_a_day_and_stays_good(tmp_path: Path) -> None:
    """As the one before."""
    first = load_or_create(tmp_path, now=NOW)
    second = load_or_create(tmp_path, now=NOW + LIFETIME)
    assert second.previous == first.current != second.current
    assert load_or_create(tmp_path, now=NOW + LIFETIME) == second
    third = load_or_create(tmp_path, now=NOW + 9 * LIFETIME)
    assert third.previous == second.current


@pytest.mark.parametrize("make", [os.mkfifo, Path.mkdir], ids=["a FIFO", "a folder"])
def test_a_secret_that_is_no_file_is_replaced(tmp_path: Path, make: Callable[[Path], object]) -> None:
    """Nobody waits for who writes into a FIFO."""
    load_or_create(tmp_path, now=NOW)
    path = _file(tmp_path)
    path.unlink()
    make(path)
    assert len(load_or_create(tmp_path, now=NOW).current) == 16


def test_a_secret_in_a_file_that_is_too_large_is_replaced(tmp_path: Path) -> None:
    """No more than its bound is ever read."""
    first = load_or_create(tmp_path, now=NOW)
    path = _file(tmp_path)
    path.write_bytes(path.read_bytes() + b" " * 5000)
    assert load_or_create(tmp_path, now=NOW).current != first.current


@pytest.mark.parametrize(("step", "due"), [(-200.0, False), (-301.0, True), (0.0, False), (LIFETIME, True)])
def test_when_another_is_due(step: float, *, due: bool) -> None:
    """A clock that was set back far enough to make cookies of the future counts, too."""
    assert CookieSecrets(bytes(16), b"", NOW).is_due(NOW + step) is due


@pytest.mark.parametrize(
    "damage", [b"", b"{}", b"[1]", b'{"current":"AAAA","previous":"","made":1800000000.0}', b"\xff" * 9000]
)
def test_a_damaged_file_is_replaced(tmp_path: Path, damage: bytes) -> None:
    """Cookies are a convenience: nothing stops for them."""
    load_or_create(tmp_path, now=NOW)
    _file(tmp_path).write_bytes(damage)
    fresh = load_or_create(tmp_path, now=NOW)
    assert len(fresh.current) == 16
    assert load_or_create(tmp_path, now=NOW) == fresh


def test_a_file_that_others_could_read_is_replaced(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Who has read it could make cookies."""
    first = load_or_create(tmp_path, now=NOW)
    _file(tmp_path).chmod(0o640)
    fresh = load_or_create(tmp_path, now=NOW)
    assert first.current not in (fresh.current, fresh.previous)
    assert "could be read by others" in caplog.text


def test_without_a_place_for_it_a_secret_lasts_as_long_as_the_process(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """And the operator hears why."""
    assert len(load_or_create(tmp_path / "absent", now=NOW).current) == 16
    assert "will not outlast this process" in caplog.text


@pytest.mark.parametrize("state", STATES)
def test_file_that_is_none_is_replaced_or_done_without(tmp_path: Path, state: str) -> None:
    """There are secrets in any case, and nothing is waited for."""
    STATES[state](tmp_path / "cookie-secrets.json")
    first = load_or_create(tmp_path, now=1000.0)
    assert len(first.current) == 16
    second = load_or_create(tmp_path, now=1001.0)
    assert (first == second) is (state != "a folder")
