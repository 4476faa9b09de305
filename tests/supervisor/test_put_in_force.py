"""New settings come in force only if every message that they make can be made."""

import time
from pathlib import Path

import pytest

from meshdns.config import Settings, SettingsReader
from meshdns.config.named_files import FileForm, FileUse
from meshdns.supervisor.child import Child
from meshdns.supervisor.settings_files import FileState
from meshdns.supervisor.supervisor import Supervisor
from tests.rig.ports import free_port


def _settings(state: Path, **more: object) -> Settings:
    own = {"listen": [f"127.0.0.1:{free_port()}"], "stateDir": str(state), "workers": 1}
    return Settings.model_validate({**own, **more})


def test_settings_that_make_no_message_leave_the_old_ones(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Values of files and the generation stay with them."""
    old = _settings(tmp_path, forward=[{"zone": ".", "to": ["/old.conf"]}])
    supervisor = Supervisor(old, reader=SettingsReader(lambda: old), on_serving=lambda: None)
    use = FileUse(FileForm.RESOLV_CONF, "/old.conf")
    supervisor._files.adopt(old, {use: FileState("nameserver 192.0.2.1\n")})
    before = supervisor._worker_config(0)
    fresh = old.model_copy(update={"forward": Settings().forward, "lameduck": 7.0})

    def fail(*_: object, **__: object) -> None:
        raise ValueError("no message can be made")

    with monkeypatch.context() as patch:
        patch.setattr("meshdns.supervisor.supervisor.worker_settings", fail)
        with pytest.raises(ValueError, match="no message can be made"):
            supervisor._put_in_force(fresh, {})
    assert supervisor._worker_config(0) == before
    assert supervisor._put_in_force(fresh, {}) == 2
    assert supervisor._worker_config(0) != before
    supervisor._sockets.close()


def test_settings_are_no_heartbeat_of_the_worker_that_gets_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However often they change, a worker that hangs is found; a new process has the whole time to begin."""
    settings = _settings(tmp_path)
    supervisor = Supervisor(settings, reader=SettingsReader(lambda: settings), on_serving=lambda: None)
    now = time.monotonic()
    for is_configured, silent in ((True, True), (False, False)):
        monkeypatch.setattr(Child, "is_configured", is_configured)
        supervisor._board.record_worker_heartbeat(0, now - 100)
        supervisor._put_in_force(settings, {})
        assert (supervisor._board.worker_heartbeat_age(0, now) > 50) is silent
    supervisor._sockets.close()
