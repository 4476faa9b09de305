"""What a service manager hands over, as the environment tells of it; with real sockets in ``tests/e2e``."""

import os

import pytest

from meshdns.supervisor.sockets import activated_sockets


@pytest.mark.parametrize(
    "environ",
    [
        {"LISTEN_PID": str(os.getpid() + 1), "LISTEN_FDS": "2", "LISTEN_FDNAMES": "meshdns.socket:meshdns.socket"},
        {"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": ""},
        {"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": "two"},
        {"LISTEN_FDS": "1"},
        {},
    ],
    ids=["of another process", "empty", "no number", "without a process", "none"],
)
def test_what_is_for_nobody_here_is_left_alone(environ: dict[str, str]) -> None:
    """And no child hears of it (sd_listen_fds(3): the variables are for one process)."""
    assert activated_sockets(environ) == []
    assert environ == {}
