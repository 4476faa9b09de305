"""Both UDP transports answer alike: the batched one and the portable one, over real sockets."""

import select
import socket
from collections.abc import Callable, Iterator

import pytest

from meshdns.worker.settings import ANY_CLIENT
from meshdns.worker.udp_batch import BatchSocket, is_available
from meshdns.worker.udp_portable import DatagramSocket
from tests.e2e.load import message, read
from tests.worker.responder_fixture import ResponderFixture, bound_udp_socket

ADDRESSES = {
    "one.global": ["203.0.113.1"],
    "several.global": ["203.0.113.1", "203.0.113.2", "203.0.113.3"],
}
Transport = type[BatchSocket] | type[DatagramSocket]
TRANSPORTS: list[Transport] = [DatagramSocket, *([BatchSocket] if is_available() else [])]


class _Server:
    """A transport on a socket, turned by hand, and clients that ask it."""

    def __init__(self, transport: Transport, host: str = "127.0.0.1", *, allow: tuple[str, ...] = ANY_CLIENT) -> None:
        self.bench = ResponderFixture(ADDRESSES, allow=allow)
        self.socket = bound_udp_socket(host)
        self.address = self.socket.getsockname()
        self._soon: list[Callable[[], None]] = []
        counters = self.bench.responder.counters
        if transport is BatchSocket:
            self.transport: BatchSocket | DatagramSocket = BatchSocket(self.socket, counters, self._soon.append)
        else:
            self.transport = DatagramSocket(self.socket, counters)

    def client(self) -> socket.socket:
        """A connected socket with patience."""
        client = socket.socket(self.socket.family, socket.SOCK_DGRAM)
        client.settimeout(5)
        client.connect(self.address)
        return client

    def turn(self) -> int:
        """One wake-up with one exchange; returns how many messages came."""
        select.select([self.socket], [], [], 5)
        self.bench.responder.begin_read()
        try:
            return self.transport.serve_batch(self.bench.responder)
        finally:
            self.bench.responder.end_read()

    def answer(self) -> None:
        """The upstream answers all that wait, in one turn."""
        self.bench.upstream.answer()
        assert len(self._soon) <= 1
        for flush in self._soon:
            flush()
        self._soon.clear()

    def ask(self, data: bytes) -> bytes:
        """The reply to one message."""
        with self.client() as client:
            client.send(data)
            self.turn()
            return client.recv(2048)


@pytest.fixture(params=TRANSPORTS, ids=lambda transport: transport.__name__)
def server(request: pytest.FixtureRequest) -> Iterator[_Server]:
    """A server on 127.0.0.1."""
    found = _Server(request.param)
    yield found
    found.socket.close()


def test_known_name_is_answered_twice_alike(server: _Server) -> None:
    """From the name database first, from the ready replies then; the id is the query's."""
    first, second = (server.ask(message("one.global", ident)) for ident in (0x1234, 0xFEDC))
    assert (first[:2], second[:2]) == (b"\x12\x34", b"\xfe\xdc")
    assert first[2:] == second[2:]
    assert read(first) == (0, ["203.0.113.1"])
    counters = server.bench.responder.counters
    assert (counters.queries, counters.answered, counters.reply_cache_hits) == (2, 1, 1)


def test_rotation_goes_by_the_low_octet_of_the_id(server: _Server) -> None:
    """Ready or not, the same id gives the same order, and each address stands first for some."""
    fresh = [read(server.ask(message("several.global", ident, edns=bool(ident % 2))))[1] for ident in range(6)]
    ready = [read(server.ask(message("several.global", ident, edns=bool(ident % 2))))[1] for ident in range(6)]
    assert fresh == ready
    assert {found[0] for found in ready} == set(ADDRESSES["several.global"])
    assert server.bench.responder.counters.reply_cache_hits == 10


def test_change_is_seen_at_the_next_wake_up(server: _Server) -> None:
    """The ready reply of a changed name is dropped, that of another stays."""
    server.ask(message("one.global", 1))
    server.ask(message("several.global", 1))
    server.bench.namedb.change("one.global", "203.0.113.9")
    assert read(server.ask(message("one.global", 2))) == (0, ["203.0.113.9"])
    server.ask(message("several.global", 2))
    assert server.bench.responder.counters.reply_cache_hits == 1


def test_batch_is_answered_at_once_but_for_what_is_no_query(server: _Server) -> None:
    """Among junk and responses the queries are answered, each to its asker."""
    junk = [b"", b"\0", b"x" * 11, message("one.global", 1)[:2] + b"\x80\0" + message("one.global", 1)[4:]]
    clients = [server.client() for _ in range(20)]
    for number, client in enumerate(clients):
        client.send(junk[number % 4])
        client.send(message("one.global", number))
    came = 0
    while came < 40:
        came += server.turn()
    for number, client in enumerate(clients):
        reply = client.recv(2048)
        assert (reply[:2], read(reply)) == (number.to_bytes(2, "big"), (0, ["203.0.113.1"]))
        client.close()
    assert server.bench.responder.counters.dropped == 20


def test_wake_up_is_bounded(server: _Server) -> None:
    """One exchange takes at most 64 messages, whatever waits; nothing is lost between two."""
    with server.client() as client:
        for number in range(100):
            client.send(message("one.global", number))
        assert [server.turn(), server.turn()] == [64, 36]
        assert {client.recv(512)[1] for _ in range(100)} == set(range(100))


def test_forwarded_reply_comes_later(server: _Server) -> None:
    """A name that is not ours is answered once the upstream has, to whoever asked."""
    with server.client() as first, server.client() as second:
        first.send(message("a.example", 1))
        second.send(message("b.example", 2))
        while len(server.bench.upstream.waiting) < 2:
            server.turn()
        server.answer()
        assert (first.recv(512)[:2], second.recv(512)[:2]) == (b"\0\1", b"\0\2")


def test_forwarded_reply_to_nobody_harms_nobody(server: _Server) -> None:
    """The asker's port is closed when the answer comes: the next one is served."""
    with server.client() as client:
        client.send(message("a.example", 1))
        server.turn()
    server.answer()
    assert read(server.ask(message("one.global", 2))) == (0, ["203.0.113.1"])


def test_many_forwarded_replies_leave_in_one_turn(server: _Server) -> None:
    """More than a batch of them, each to its own question; the next batch finds nothing of theirs left behind."""
    with server.client() as client:
        for number in range(150):
            client.send(message(f"n{number}.example", number))
        while len(server.bench.upstream.waiting) < 150:
            server.turn()
        server.answer()
        replies = [client.recv(512) for _ in range(150)]
        queries = [message(f"n{number}.example", number) for number in range(150)]
        assert {reply[:2]: reply[12:] for reply in replies} == {query[:2]: query[12:] for query in queries}
        with server.client() as next_one:
            next_one.send(message("next.example", 7))
            server.turn()
            server.answer()
            assert next_one.recv(512)[:2] == b"\0\7"
        assert select.select([client], [], [], 0) == ([], [], [])  # nothing was sent twice
    assert read(server.ask(message("one.global", 2))) == (0, ["203.0.113.1"])


@pytest.mark.skipif(not is_available(), reason="the portable transport replies from an address that the system picks")
@pytest.mark.parametrize(("host", "asked"), [("0.0.0.0", "127.0.0.5"), ("::", "::1")])  # noqa: S104 — all of a test
def test_forwarded_reply_leaves_from_the_address_that_was_asked(host: str, asked: str) -> None:
    """RFC 2181 section 4.1, on a wildcard bind; a connected client takes no other."""
    server = _Server(BatchSocket, host)
    server.address = (asked, *server.address[1:])
    with server.client() as client:
        client.send(message("a.example", 7))
        server.turn()
        server.answer()
        assert client.recv(512)[:2] == b"\0\7"
    server.socket.close()


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_strangers_are_refused(transport: Transport) -> None:
    """Who is not in allowQuery gets REFUSED, for a name that is ready as well."""
    server = _Server(transport, allow=("192.0.2.0/24",))
    assert [read(server.ask(message("one.global", 1)))[0] for _ in range(2)] == [5, 5]
    assert server.bench.responder.counters.refused == 2
    server.socket.close()


@pytest.mark.parametrize("transport", TRANSPORTS)
@pytest.mark.parametrize("host", ["::1", "::"])
def test_ipv6(transport: Transport, host: str) -> None:
    """The same over IPv6, bound to one address and to all."""
    server = _Server(transport, host)
    server.address = ("::1", server.address[1], 0, 0)
    assert read(server.ask(message("one.global", 1))) == (0, ["203.0.113.1"])
    server.socket.close()


def test_largest_datagram_is_survived(server: _Server) -> None:
    """A message of 60,000 octets is no query that we answer, and disturbs nobody."""
    with server.client() as client:
        client.send(message("one.global", 1) + bytes(60_000))
        server.turn()
    assert read(server.ask(message("one.global", 2))) == (0, ["203.0.113.1"])
