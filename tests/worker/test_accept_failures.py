"""A worker whose descriptors are used up, on real sockets."""

import asyncio
import logging
import socket
from typing import Any

import pytest

from meshdns.worker.accept_failures import BURST_GAP, AcceptFailures
from meshdns.worker.tcp_server import TcpConnections
from tests.simulators.no_descriptors import no_descriptors
from tests.simulators.stalled_clock_loop import StalledClockLoop
from tests.worker.responder_fixture import ResponderFixture, wait_until


def test_connections_that_cannot_be_accepted_are_one_line_of_the_log(caplog: pytest.LogCaptureFixture) -> None:
    """Each failure is counted; the idlest connection gives way, so that clients get in one by one meanwhile."""
    caplog.set_level(logging.WARNING)
    others: list[dict[str, Any]] = []

    async def main() -> None:
        loop = asyncio.get_running_loop()
        bench = ResponderFixture({})
        connections = TcpConnections(bench.responder, loop=loop)
        counters = bench.responder.counters
        failures = AcceptFailures(counters, connections.evict_idlest, loop.time)

        def on_exception(_: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
            if not failures.handle(context):
                others.append(context)

        loop.set_exception_handler(on_exception)
        listener = socket.create_server(("127.0.0.1", 0))
        server = await loop.create_server(connections.make_protocol, sock=listener, backlog=32)
        listener.listen(512)
        clients = [socket.socket() for _ in range(6)]
        for client in clients[:2]:
            client.connect(listener.getsockname())
        await wait_until(lambda: len(connections) == 2)
        with no_descriptors():
            for client in clients[2:]:
                client.connect(listener.getsockname())
            await wait_until(lambda: counters.accepts_failed >= 32 and counters.connections_aborted >= 3)
        assert counters.connections_aborted < counters.accepts_failed
        server.close()
        connections.close()
        for client in clients:
            client.close()
        await wait_until(lambda: not len(connections))

    with asyncio.Runner(loop_factory=lambda: StalledClockLoop(speed=20.0)) as runner:
        runner.run(main())
    assert others == []
    lines = [record.getMessage() for record in caplog.records]
    assert lines == ["no TCP connection can be accepted: Too many open files; raise the limit of open files"]


def test_each_burst_is_logged_once_and_other_faults_are_not_hidden(caplog: pytest.LogCaptureFixture) -> None:
    """A minute without a failure ends a burst; what is no failed accept is left to the handler of faults."""
    caplog.set_level(logging.WARNING)
    times = iter((0.0, 0.1, 1.0, 30.0, 61.0, 61.0 + BURST_GAP + 1))
    bench = ResponderFixture({})
    failures = AcceptFailures(bench.responder.counters, lambda: False, lambda: next(times))
    full = {"exception": OSError(24, "Too many open files"), "socket": None}
    assert all(failures.handle(full) for _ in range(6))
    assert (len(caplog.records), bench.responder.counters.accepts_failed) == (2, 6)
    for other in ({"exception": OSError(24, "x")}, {"socket": None}, {"exception": OSError(9, "x"), "socket": None}):
        assert not failures.handle(other)
