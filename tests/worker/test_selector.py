"""The selector that has served sockets answered, and the loop around it."""

import asyncio
import selectors
import socket
from collections.abc import Iterator

import pytest

from meshdns.worker.selector import ServingSelector
from meshdns.worker.udp_batch import is_available

pytestmark = pytest.mark.skipif(not is_available(), reason="the loop has this selector on Linux alone")


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    """Two connected sockets."""
    one, other = socket.socketpair()
    with one, other:
        yield one, other


@pytest.fixture
def selector() -> Iterator[ServingSelector]:
    """One without any files."""
    made = ServingSelector()
    yield made
    made.close()


def test_served_sockets_are_answered_and_not_told_of(
    selector: ServingSelector, pair: tuple[socket.socket, socket.socket]
) -> None:
    """As long as their answers ask for nothing, the loop does not run."""
    one, other = pair
    answered: list[bytes] = []

    def answer() -> bool:
        answered.append(one.recv(1))
        if len(answered) < 3:
            other.send(b"x")
        return len(answered) == 3

    selector.serve(one.fileno(), answer)
    other.send(b"x")
    assert selector.select(None) == []
    assert len(answered) == 3


def test_a_registered_file_is_told_of_beside_served_ones(
    selector: ServingSelector, pair: tuple[socket.socket, socket.socket]
) -> None:
    """However much there is to answer."""
    one, other = pair
    answered = 0

    def answer() -> bool:
        nonlocal answered
        answered += 1
        return False

    selector.serve(one.fileno(), answer)  # nobody reads: it is always ready
    other.send(b"x")
    one.send(b"y")
    key = selector.register(other.fileno(), selectors.EVENT_READ, "mine")
    assert selector.select(None) == [(key, selectors.EVENT_READ)]
    assert answered == 1
    assert (selector.get_key(other.fileno()), list(selector.get_map())) == (key, [other.fileno()])
    selector.unregister(other.fileno())
    assert selector.select(0) == []
    assert answered == 2


def test_a_dismissed_socket_is_not_answered(
    selector: ServingSelector, pair: tuple[socket.socket, socket.socket]
) -> None:
    """Twice dismissed does no harm."""
    one, other = pair
    selector.serve(one.fileno(), lambda: pytest.fail("it was dismissed"))
    other.send(b"x")
    selector.stop_serving(one.fileno())
    selector.stop_serving(one.fileno())
    assert selector.select(0) == []


def test_timers_and_other_files_of_the_loop_have_their_turn(pair: tuple[socket.socket, socket.socket]) -> None:
    """While a served socket always has something to read."""
    selector = ServingSelector()
    one, other = pair
    heard: list[str] = []

    async def play() -> None:
        loop = asyncio.get_running_loop()
        done = asyncio.Event()
        selector.serve(one.fileno(), lambda: False)
        other.send(b"x")
        loop.call_later(0.01, heard.append, "a timer")
        loop.call_soon(heard.append, "a call")
        reader, writer = socket.socketpair()
        with reader, writer:
            loop.add_reader(reader.fileno(), done.set)
            loop.call_later(0.02, writer.send, b"x")
            async with asyncio.timeout(60):
                await done.wait()
            loop.remove_reader(reader.fileno())
        selector.stop_serving(one.fileno())

    with asyncio.Runner(loop_factory=lambda: asyncio.SelectorEventLoop(selector)) as runner:
        runner.run(play())
    assert heard == ["a call", "a timer"]
