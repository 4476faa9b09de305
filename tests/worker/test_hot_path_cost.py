"""What one more known name costs in a batch, counted in operations of the interpreter: time would tell of the machine.

The counts are what they are in the commit that set them, with room for another version's bytecode. Whoever makes the
hot path dearer finds out here; whoever makes it cheaper lowers the bound.
"""

import socket
import sys
from types import FrameType
from typing import Any

import pytest

from meshdns.worker.scoreboard_counters import WorkerCounters
from meshdns.worker.udp_batch import BATCH_SIZE, BatchSocket, is_available
from tests.bench.queries import query
from tests.worker.responder_fixture import ResponderFixture, bound_udp_socket

pytestmark = pytest.mark.skipif(not is_available(), reason="batches of messages are Linux's")

MOST_OPERATIONS = 90
FEW, MANY = BATCH_SIZE // 2, BATCH_SIZE


class Tracer:
    """Counts bytecode operations and calls of Python functions while it is set."""

    def __init__(self) -> None:
        self.operations = 0
        self.calls = 0

    def __call__(self, frame: FrameType, event: str, _argument: Any) -> "Tracer":
        """The interface of `sys.settrace`."""
        frame.f_trace_opcodes = True
        self.operations += event == "opcode"
        self.calls += event == "call"
        return self


def cost(server: socket.socket, batches: BatchSocket, bench: ResponderFixture, count: int) -> Tracer:
    """What a batch of so many known questions costs."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.connect(server.getsockname())
        for number in range(count):
            client.send(number.to_bytes(2, "big") + query("cart.shop.global")[2:])
        tracer = Tracer()
        bench.responder.begin_read()
        sys.settrace(tracer)
        try:
            came = batches.serve_batch(bench.responder)
        finally:
            sys.settrace(None)
            bench.responder.end_read()
        assert came == count
        client.settimeout(10)
        for _ in range(count):
            assert client.recv(2048).endswith(socket.inet_aton("203.0.113.7"))
    return tracer


def test_one_more_known_name_costs_no_call_and_few_operations() -> None:
    """All that is done for a message stands in one loop, and the loop does not grow."""
    bench = ResponderFixture({"cart.shop.global": ["203.0.113.7"]})
    with bound_udp_socket() as server:
        batches = BatchSocket(server, WorkerCounters(), lambda flush: flush())
        cost(server, batches, bench, FEW)  # the reply is made ready, the asker admitted
        few, many = (cost(server, batches, bench, count) for count in (FEW, MANY))
    assert many.calls == few.calls
    assert (many.operations - few.operations) / (MANY - FEW) <= MOST_OPERATIONS
