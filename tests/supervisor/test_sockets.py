"""Binding: what cannot be listened on is said with who or why, and nothing stays open."""

import errno
import os
import socket
import threading
from pathlib import Path

import pytest

from meshdns.supervisor.handover import StateDirError, lock_state_dir
from meshdns.supervisor.sockets import BindError, Sockets, _bind_error_text
from tests.file_states import STATES
from tests.rig.ports import free_port

LOOPBACK = "127.0.0.1"


@pytest.mark.slow
@pytest.mark.parametrize("kind", [socket.SOCK_DGRAM, socket.SOCK_STREAM], ids=["udp", "tcp"])
def test_port_in_use_names_the_holder(kind: socket.SocketKind) -> None:
    """The holder's name and pid, for either transport; a UDP holder with SO_REUSEPORT cannot hide."""
    with socket.socket(socket.AF_INET, kind) as holder:
        if kind is socket.SOCK_DGRAM:
            holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        holder.bind((LOOPBACK, free_port()))
        if kind is socket.SOCK_STREAM:
            holder.listen()
        with pytest.raises(BindError, match=rf"\(pid {os.getpid()}\) listens there; end it, or choose another"):
            Sockets.bind([(LOOPBACK, holder.getsockname()[1])], workers=1)


def test_port_that_is_let_go_within_a_moment_is_taken() -> None:
    """The children of a supervisor that was killed hold its port a moment longer: that is waited for."""
    holder = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    holder.bind((LOOPBACK, free_port()))
    port = holder.getsockname()[1]
    timer = threading.Timer(0.2, holder.close)
    timer.start()
    Sockets.bind([(LOOPBACK, port)], workers=1).close()
    timer.join()


def test_failure_leaves_nothing_open() -> None:
    """Where the second address cannot be had the first is free again."""
    port = free_port()
    with pytest.raises(BindError, match="this machine has no such address; choose one it has with --listen"):
        Sockets.bind([(LOOPBACK, port), ("192.0.2.1", port)], workers=1)
    Sockets.bind([(LOOPBACK, port)], workers=1).close()


def test_privileged_port_says_what_would_help() -> None:
    """Without the right to bind below 1024 the message offers both ways out."""
    said = _bind_error_text(LOOPBACK, 53, socket.SOCK_DGRAM, PermissionError(errno.EACCES, "Permission denied"))
    assert said == (
        "udp 127.0.0.1 port 53: not permitted; choose a port above 1023 with --listen, or grant CAP_NET_BIND_SERVICE"
    )


def test_each_worker_has_a_private_socket_on_loopback() -> None:
    """As many as workers, each on a port of its own."""
    sockets = Sockets.bind([(LOOPBACK, free_port())], workers=3)
    assert len({sockets.private_port(number) for number in range(3)}) == 3
    sockets.close()


def test_lock_admits_one_and_is_free_when_its_holder_is_gone(tmp_path: Path) -> None:
    """The second is told who holds it; a descriptor that is closed, as by the end of a process, frees it."""
    first = lock_state_dir(tmp_path / "state")
    with pytest.raises(StateDirError, match=rf"another meshdns \(pid {os.getpid()}\) uses it; end that one or choose"):
        lock_state_dir(tmp_path / "state")
    os.close(first)
    os.close(lock_state_dir(tmp_path / "state"))


@pytest.mark.parametrize("state", STATES)
def test_lock_is_a_file_or_refused(tmp_path: Path, state: str) -> None:
    """Nothing is waited for; whatever the file holds, it can be locked."""
    STATES[state](tmp_path / "lock")
    if state in ("missing", "empty", "huge"):
        os.close(lock_state_dir(tmp_path))
        return
    with pytest.raises(StateDirError, match=r"/lock: .*; remove it, or choose another folder with --state-dir"):
        lock_state_dir(tmp_path)


def test_full_disk_keeps_nobody_from_the_lock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The number in it is for people alone."""

    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "pwrite", full)
    os.close(lock_state_dir(tmp_path))


def test_lock_where_nothing_can_be_written_says_so(tmp_path: Path) -> None:
    """A file in the directory's place is an error that ends with what to do."""
    (tmp_path / "state").write_text("")
    with pytest.raises(StateDirError, match=r"cannot be used for state: .*; choose another with --state-dir"):
        lock_state_dir(tmp_path / "state")
