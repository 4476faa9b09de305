"""Sockets that a service manager holds: queries wait in them while meshdns is restarted."""

import os
import signal
import socket
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from tests.e2e.boutique import ZONE
from tests.e2e.instance import Instance, wait_until_ready
from tests.e2e.load import message, read
from tests.rig.component import ComponentFailed
from tests.rig.ports import free_port
from tests.rig.waiting import eventually

NAME, ADDRESS = "frontend.default.global", "203.0.113.20"
SETTINGS = {"sources": [{"kind": "manifests", "path": str(ZONE)}], "vantage": {"cluster": "cluster1"}, "forward": []}
WAITING = 200  # queries


class Activated(Instance):
    """An instance whose sockets are handed to it."""

    def __init__(self) -> None:
        super().__init__(SETTINGS)
        self.held: tuple[socket.socket, ...] = ()

    def command(self) -> Sequence[str]:
        """The installed command, as systemd would start it."""
        descriptors = ",".join(str(sock.fileno()) for sock in self.held)
        return [sys.executable, str(Path(__file__).with_name("activated.py")), descriptors, *super().command()]

    def hold(self, *kinds: socket.SocketKind, port: int = 0) -> None:
        """Bind sockets of these kinds at its port, or at another."""
        made = [socket.socket(socket.AF_INET, kind) for kind in kinds]
        for sock in made:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1 if sock.type == socket.SOCK_STREAM else 0)
            sock.bind((self.address, port or self.port))
            if sock.type == socket.SOCK_STREAM:
                sock.listen()
        self.held += tuple(made)
        self.passed = tuple(sock.fileno() for sock in self.held)


@pytest.fixture
def instance() -> Iterator[Activated]:
    """One that is not started yet."""
    made = Activated()
    yield made
    for sock in made.held:
        sock.close()


def test_what_comes_during_a_restart_is_answered_by_the_next_program(instance: Activated) -> None:
    """Over UDP it waits in the socket, over TCP in the listener's queue; both were there before the program."""
    instance.hold(socket.SOCK_DGRAM, socket.SOCK_STREAM)
    with instance:
        wait_until_ready(instance)
        assert not any(os.get_blocking(sock.fileno()) for sock in instance.held)  # which all who hold one share
        instance.stop()
        with (
            socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client,
            socket.create_connection((instance.address, instance.port), timeout=30) as stream,
        ):
            client.connect((instance.address, instance.port))
            client.settimeout(30)
            for number in range(WAITING):
                client.send(message(NAME, number))
            query = message(NAME, WAITING)
            stream.sendall(len(query).to_bytes(2, "big") + query)
            instance.start()
            replies = [client.recv(4096) for _ in range(WAITING)]
            assert {int.from_bytes(reply[:2], "big") for reply in replies} == set(range(WAITING))
            assert {read(reply)[1][0] for reply in replies} == {ADDRESS}
            with stream.makefile("rb") as octets:
                assert read(octets.read(int.from_bytes(octets.read(2), "big"))) == (0, [ADDRESS])


def test_what_is_not_handed_over_is_bound(instance: Activated) -> None:
    """A socket unit with UDP alone."""
    instance.hold(socket.SOCK_DGRAM)
    with instance:
        wait_until_ready(instance)
        assert instance.addresses(NAME) == [ADDRESS]
        assert instance.ask(NAME, opts=["+tcp"]).rdata == (ADDRESS,)


def test_a_socket_that_nobody_asked_for_ends_the_start(instance: Activated) -> None:
    """The message names it and what to do."""
    instance.hold(socket.SOCK_DGRAM, socket.SOCK_STREAM)
    port = free_port()
    instance.hold(socket.SOCK_DGRAM, port=port)
    said = f"udp 127.0.0.1 port {port}: the service manager holds a socket there"
    with pytest.raises(ComponentFailed, match=said), instance:
        pass


def test_it_is_handed_on_to_a_replacement(instance: Activated) -> None:
    """SIGUSR2 replaces the program; the sockets stay the service manager's."""
    instance.hold(socket.SOCK_DGRAM, socket.SOCK_STREAM)
    with instance:
        wait_until_ready(instance)
        before = set(instance.workers)
        instance.kill(instance.pid, signal.SIGUSR2)
        eventually(lambda: not before & set(instance.workers) and instance.workers, what="it is replaced", within=60)
        eventually(lambda: instance.addresses(NAME) == [ADDRESS], what="it answers", within=60)
