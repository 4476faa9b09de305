"""Lines between processes: what is no message costs only itself, and nothing grows with what the other side writes."""

import asyncio
import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshdns.instance.pipe import (
    MAX_MESSAGE,
    ControllerMessage,
    LineSplitter,
    MessageReader,
    WorkerMessage,
    encode_message,
)
from tests.sources.virtual_time_loop import VirtualTimeLoop

LIMIT = 20


def _lines(octets: bytes, limit: int) -> list[bytes | None]:
    """What `LineSplitter` is to find, told another way: from the whole text at once."""
    *whole, rest = octets.split(b"\n")
    found: list[bytes | None] = [
        None if len(line) > limit else line for line in whole if line.strip() or len(line) > limit
    ]
    return [*found, None] if len(rest) > limit else found


@given(st.lists(st.binary(max_size=3 * LIMIT) | st.sampled_from([b"\n", b"\n\n", b"x" * LIMIT, b" "]), max_size=12))
def test_lines_do_not_depend_on_the_pieces_in_which_they_come(pieces: list[bytes]) -> None:
    """A line that is too long is told once, and no more than the limit is held at any time."""
    splitter = LineSplitter(LIMIT)
    found: list[bytes | None] = []
    for piece in pieces:
        found += splitter.feed(piece)
        assert splitter.held_bytes <= LIMIT
    assert found == _lines(b"".join(pieces), LIMIT)


def _received(octets: bytes, limit: int = MAX_MESSAGE) -> tuple[list[WorkerMessage], list[str]]:
    """The messages and the faults in what a pipe brings."""
    messages: list[WorkerMessage] = []
    faults: list[str] = []

    async def read() -> None:
        stream = asyncio.StreamReader()
        stream.feed_data(octets)
        stream.feed_eof()
        reader = MessageReader(stream, limit, faults.append)
        while (message := await reader.receive(lambda line: msgspec.json.decode(line, type=WorkerMessage))) is not None:
            messages.append(message)

    asyncio.run(read())
    return messages, faults


@pytest.mark.parametrize(
    "junk",
    [
        b"7",
        b"null",
        b"[]",
        b"{}",
        b'{"serving": "1"}',
        b'{"serving": 1, "ready": "yes"}',
        b'{"serving": 1e400}',
        b"\0" * 50,
        b"[" * 50_000,
        b'{"serving": 1',
        b"\xff\xfe",
        b'{"serving": ' + b"9" * 5000 + b"}",
        b"x" * 70_000,
    ],
    ids=lambda junk: repr(junk[:16]),
)
def test_line_that_is_no_message_is_dropped(junk: bytes) -> None:
    """The messages around it are taken; the fault is one short line."""
    messages, faults = _received(b'{"serving": 1}\n' + junk + b'\n{"serving": 2, "ready": true, "later": [1]}\n')
    assert messages == [WorkerMessage(1), WorkerMessage(2, ready=True)]
    assert len(faults) == 1
    assert len(faults[0]) <= 200


@given(st.text(), st.integers(0, 30), st.none() | st.booleans(), st.none() | st.text())
def test_no_message_is_longer_than_a_line(text: str, exponent: int, ready: bool | None, view: str | None) -> None:  # noqa: FBT001 — an example
    """Whatever the controller reports fits, on one line, and is what the supervisor takes."""
    text *= 2 ** min(exponent, 20 - len(text).bit_length() if text else 0) if len(text) < 1 << 19 else 1
    line = encode_message(ControllerMessage(ready=ready, waits=text, view=view))
    assert len(line) <= MAX_MESSAGE
    assert line.count(b"\n") == 1
    taken = msgspec.json.decode(line, type=ControllerMessage)
    assert (taken.ready, taken.reload, taken.view is None) == (ready, False, view is None)


@pytest.mark.parametrize("character", ["x", "\0", "é", "\U0001f600", '"', "\\", "\x7f", "\ud800"])
def test_longest_text_of_any_character_fits(character: str) -> None:
    """Also one that needs most bytes of JSON, or cannot be encoded at all."""
    line = encode_message(ControllerMessage(ready=False, waits=character * 100_000, view=character * 100_000))
    assert len(line) <= MAX_MESSAGE
    assert msgspec.json.decode(line, type=ControllerMessage).ready is False


def test_messages_are_those_of_earlier_versions() -> None:
    """A supervisor of the version before reads keys by their presence: what is not said is not there."""
    assert json.loads(encode_message(WorkerMessage(3, ready=True))) == {"serving": 3, "ready": True}
    assert json.loads(encode_message(ControllerMessage(reload=True))) == {"reload": True}
    assert json.loads(encode_message(ControllerMessage(reload=True, order=3))) == {"reload": True, "order": 3}
    assert json.loads(encode_message(ControllerMessage(reload_replied=3))) == {"reloadReplied": 3}
    assert json.loads(encode_message(ControllerMessage(view="/state/namedb"))) == {"view": "/state/namedb"}
    waiting = ControllerMessage(ready=False, waits="cluster east has not synced")
    assert json.loads(encode_message(waiting)) == {"ready": False, "waits": "cluster east has not synced"}


@pytest.mark.parametrize("chunk", [b"x" * (1 << 16), b"7\n" * (1 << 15)], ids=["without end", "faults"])
def test_junk_without_end_is_read_slowly(chunk: bytes) -> None:
    """Who writes it fast takes no CPU from the others: there is a pause after each chunk."""

    async def read() -> float:
        loop = asyncio.get_running_loop()
        stream = asyncio.StreamReader()
        stream.feed_data(chunk * 20)
        stream.feed_eof()
        began = loop.time()
        reader = MessageReader(stream, 1000, lambda _: None)
        assert await reader.receive(lambda line: msgspec.json.decode(line, type=WorkerMessage)) is None
        return loop.time() - began

    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        assert runner.run(read()) >= 19 * 0.01
