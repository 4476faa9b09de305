"""``raising.py FOLDER ARGUMENTS…``: the command meshdns, each point of which raises while FOLDER has its file.

What the supervisor's tasks and callbacks call is made to raise; its children are other programs and know nothing of it.
"""

import asyncio
import functools
import signal
import sys
from pathlib import Path
from typing import Any

from meshdns.cli.main import main
from meshdns.instance.heartbeats import HeartbeatJudge
from meshdns.supervisor import supervisor
from meshdns.supervisor.child import LOST_STATUS
from meshdns.supervisor.cookie_secrets import CookieSecrets
from meshdns.supervisor.health_checks import HealthChecker, InstanceReadiness
from meshdns.supervisor.querylog import QueryLog
from meshdns.supervisor.reloading import Reloader
from meshdns.supervisor.settings_files import SettingsFiles
from meshdns.supervisor.supervisor import Supervisor
from meshdns.supervisor.usage import ProcessUsage

POINTS: dict[str, tuple[Any, str]] = {
    "query-log": (QueryLog, "_collect"),
    "watch": (HeartbeatJudge, "silent"),
    "cookies": (CookieSecrets, "is_due"),
    "health": (HealthChecker, "unresponsive_workers"),
    "metrics": (ProcessUsage, "measure"),
    "worker-settings": (supervisor, "worker_settings"),
    "controller-settings": (Supervisor, "_controller_config"),
    "worker-message": (InstanceReadiness, "on_worker_serving"),
    "controller-message": (Supervisor, "_on_controller_message"),
    "worker-exit": (Supervisor, "_on_worker_exit"),
    "controller-exit": (Supervisor, "_on_controller_exit"),
    "database-check": (Supervisor, "_check_database"),
    "start": (asyncio, "create_subprocess_exec"),
    "reload": (Reloader, "reload"),
    "files-at-start": (SettingsFiles, "read_for"),
}
"""What raises, by the name of the file."""

LOST = "lost"
"""The file while which the exit statuses of workers are lost."""


def _make_raising(owner: Any, name: str, flag: Path) -> None:
    found = getattr(owner, name)

    @functools.wraps(found)
    def raising(*arguments: Any, **keywords: Any) -> Any:
        if flag.exists():
            raise RuntimeError(f"{flag.name} raises")
        return found(*arguments, **keywords)

    setattr(owner, name, raising)


def _lose_exit_statuses(flag: Path) -> None:
    """Have the supervisor be told that a worker's exit status was lost, while there is a file."""
    told = Supervisor._on_worker_exit
    Supervisor._on_worker_exit = lambda self, code: told(self, LOST_STATUS if flag.exists() else code)  # type: ignore[method-assign]


if __name__ == "__main__":
    folder = Path(sys.argv.pop(1))
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # as some programs start others
    _lose_exit_statuses(folder / LOST)
    for point, (owner, name) in POINTS.items():
        _make_raising(owner, name, folder / point)
    main()
