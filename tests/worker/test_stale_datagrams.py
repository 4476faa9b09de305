"""What waited in a socket while the process stood still is dropped, what is fresh is not; as Linux does it."""

import socket
import time
from collections.abc import Iterator

import pytest

from meshdns.worker.stale_datagrams import drop_stale, enable_receive_timestamps
from tests.rig.waiting import eventually
from tests.worker.responder_fixture import bound_udp_socket


@pytest.fixture
def server() -> Iterator[socket.socket]:
    """A bound socket that notes arrivals."""
    with bound_udp_socket() as sock:
        enable_receive_timestamps(sock)
        # The kernel begins to do so a moment later, where it did for nobody else: until then it notes when one is read.
        eventually(lambda: _noted(sock), what="arrivals are noted")
        yield sock


def _send(server: socket.socket, count: int) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        for number in range(count):
            client.sendto(bytes([number]), server.getsockname())


def _noted(server: socket.socket) -> bool:
    _send(server, 1)
    sent = time.time()
    eventually(lambda: time.time() > sent, what="what is noted from now on is later than that")
    noted = drop_stale(server, older_than=0.0, now=sent) == 1
    _waiting(server)
    return noted


def _waiting(server: socket.socket) -> list[int]:
    found = []
    while True:
        try:
            found.append(server.recv(10)[0])
        except BlockingIOError:
            return found


def test_old_datagrams_are_dropped(server: socket.socket) -> None:
    """Seen from three seconds later all that waits is too old."""
    _send(server, 10)
    assert drop_stale(server, older_than=2.0, now=time.time() + 3) == 10
    assert _waiting(server) == []


def test_fresh_datagrams_stay(server: socket.socket) -> None:
    """What came a moment ago is left to be answered, the first of it as well."""
    _send(server, 10)
    assert drop_stale(server, older_than=2.0, now=time.time()) == 0
    assert _waiting(server) == list(range(10))


def test_the_first_fresh_datagram_ends_it(server: socket.socket) -> None:
    """The line is drawn between two datagrams, whichever came together in a burst."""
    _send(server, 5)
    between = time.time()
    _send(server, 3)
    assert drop_stale(server, older_than=2.0, now=between + 2.0) == 5
    assert _waiting(server) == [0, 1, 2]


def test_nothing_waits(server: socket.socket) -> None:
    """An empty socket costs nothing and does not block."""
    assert drop_stale(server, older_than=2.0, now=time.time() + 3) == 0
