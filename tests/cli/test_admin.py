"""The admin socket: what a running server says of itself, to whom, and that nobody's socket is taken away."""

import asyncio
import contextlib
import logging
import socket
import stat
import time
from functools import partial
from pathlib import Path

import pytest

from meshdns.config import Settings
from meshdns.config.translate import mesh_settings
from meshdns.controller.admin.api import LISTS, kind_of_list, read_totals
from meshdns.controller.admin.live import LiveQueries
from meshdns.controller.admin.reports import Reports
from meshdns.controller.admin.server import RunningServer, serve_admin
from meshdns.controller.gauges import MeshCounts
from meshdns.instance.connections import MAX_PER_CLIENT
from meshdns.instance.scoreboard import Scoreboard
from meshdns.namedb.database import NameDatabase
from meshdns.namedb.tables import read_tables
from tests.cli.admin_server import admin_socket, asked
from tests.cli.stopped_server import publish, settings_of
from tests.rig.waiting import eventually


@pytest.fixture
def settings(state: Path) -> Settings:
    """Online Boutique, seen from cluster1."""
    return settings_of("online-boutique", state)


def test_it_explains_a_name(settings: Settings) -> None:
    """``/explain`` is the whole explanation, with the reply as the authority gives it."""
    with admin_socket(settings, publish(settings)) as path:
        status, explanation = asked(path, "/explain?name=Frontend.default.global.&type=a")
    assert status == 200
    assert (explanation["apiVersion"], explanation["kind"]) == ("meshdns/v1", "Explanation")
    assert explanation["reply"]["records"] == [{"type": "A", "ttl": 30, "data": "203.0.113.20"}]


@pytest.mark.parametrize("word", LISTS)
def test_it_lists_every_kind(settings: Settings, word: str) -> None:
    """Each kind of list has its path and its versioned envelope."""
    with admin_socket(settings, publish(settings)) as path:
        status, listing = asked(path, f"/{word}")
    assert status == 200
    assert (listing["apiVersion"], listing["kind"]) == ("meshdns/v1", kind_of_list(word))


def test_it_tells_the_age_of_contacts(settings: Settings) -> None:
    """What only a running server knows, when each cluster was heard of, is in its list of clusters."""
    with admin_socket(settings, publish(settings), {"cluster1": 3.5}) as path:
        _, listing = asked(path, "/clusters")
    assert [item["lastContact"] for item in listing["items"]] == [3.5, None]


@pytest.mark.parametrize(
    ("target", "advice"),
    [
        ("/explain", "ask as /explain?name="),
        ("/explain?name=a..b", "ask as /explain?name="),
        ("/explain?name=frontend.default.global&type=BOGUS", "ask for A, AAAA"),
    ],
)
def test_a_bad_question_is_refused_with_advice(settings: Settings, target: str, advice: str) -> None:
    """What cannot be explained is 400 with what to ask instead."""
    with admin_socket(settings, publish(settings)) as path:
        status, refusal = asked(path, target)
    assert status == 400
    assert advice in refusal["error"]


@pytest.mark.parametrize(("method", "target", "status"), [("POST", "/names", 405), ("GET", "/nosuch", 404)])
def test_it_is_read_only(settings: Settings, method: str, target: str, status: int) -> None:
    """Nothing but GET of the known paths is served."""
    with admin_socket(settings, publish(settings)) as path:
        assert asked(path, target, method)[0] == status


def test_only_its_owner_and_group_may_ask(settings: Settings) -> None:
    """The socket's mode is 0660, and its directory is made where it is missing."""
    nested = settings.admin.model_copy(update={"socket": f"{settings.state_dir}/run/admin.sock"})
    settings = settings.model_copy(update={"admin": nested})
    with admin_socket(settings, publish(settings)) as path:
        assert stat.S_IMODE(path.stat().st_mode) == 0o660
        assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_a_left_over_socket_is_replaced_and_its_own_removed(settings: Settings) -> None:
    """A socket file of a server that was killed is no obstacle; one that ends leaves none behind."""
    view, path = publish(settings), Path(settings.admin.socket or "")
    with contextlib.closing(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)) as dead:
        dead.bind(str(path))
    with admin_socket(settings, view):
        assert asked(path, "/clusters")[0] == 200
    assert not path.exists()


def test_the_socket_of_a_running_server_is_left_alone(settings: Settings, caplog: pytest.LogCaptureFixture) -> None:
    """A second server on the same socket says so, ends its admin part alone, and the first is asked as before."""
    view = publish(settings)
    other = NameDatabase(view.parent / "second", writable=True)
    with admin_socket(settings, view) as path, caplog.at_level(logging.ERROR, "meshdns.controller"):
        inspection = Reports(settings, partial(read_tables, other))
        board = Scoreboard.create()
        running = RunningServer(
            contact_ages=dict,
            live_queries=LiveQueries(board, time.monotonic),
            commands={},
            mesh_counts=MeshCounts(mesh_settings(settings)),
            read_totals=lambda: read_totals(board, time.monotonic()),
        )
        asyncio.run(serve_admin(socket=path, listen=None, reports=inspection, running=running))
        assert asked(path, "/clusters")[0] == 200
    other.close()
    assert "another server answers there" in caplog.text
    assert "set admin.socket" in caplog.text


@pytest.mark.parametrize("sent", [b"", b"GET /names HTTP/1.1\r\nHost: x\r\nX: "], ids=["nothing", "part"])
def test_idle_connections_keep_nobody_out(settings: Settings, sent: bytes) -> None:
    """Of those that send no whole request a bounded number is open, and each new request is answered."""
    with admin_socket(settings, publish(settings)) as path, contextlib.ExitStack() as held:
        idle = []
        for _ in range(3 * MAX_PER_CLIENT):
            connection = held.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM))
            connection.connect(str(path))  # waits while the server's queue is full
            connection.sendall(sent)
            idle.append(connection)
        assert asked(path, "/clusters")[0] == 200
        eventually(lambda: _ended(idle) >= 2 * MAX_PER_CLIENT, what="the oldest ones have ended")
        assert _ended(idle[-MAX_PER_CLIENT + 8 :]) == 0


def test_connection_that_is_being_answered_does_not_give_way(settings: Settings) -> None:
    """A stream of live queries goes on, whoever else connects."""
    with admin_socket(settings, publish(settings)) as path, contextlib.ExitStack() as held:
        stream = held.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM))
        stream.connect(str(path))
        stream.sendall(b"GET /queries HTTP/1.1\r\nHost: x\r\nAccept: text/event-stream\r\n\r\n")
        assert stream.recv(12) == b"HTTP/1.1 200"
        idle = [
            held.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)) for _ in range(2 * MAX_PER_CLIENT)
        ]
        for connection in idle:
            connection.connect(str(path))
        eventually(lambda: _ended(idle) >= MAX_PER_CLIENT, what="idle ones have ended")
        stream.recv(65536)  # the rest of the head
        assert _ended([stream]) == 0


def _ended(connections: list[socket.socket]) -> int:
    """How many of them the server has closed."""
    count = 0
    for connection in connections:
        connection.setblocking(False)
        try:
            count += connection.recv(1) == b""
        except BlockingIOError:
            pass
        except ConnectionError:
            count += 1
    return count
