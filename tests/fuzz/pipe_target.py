"""The pipes between supervisor and children: what each side reads from the other, whatever that writes.

The first octet of an input says which side reads (bit 0), how long a line may be (bit 1), and into what pieces the rest
is cut (the others).
"""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec

from meshdns.controller.__main__ import _decode_settings
from meshdns.instance.pipe import (
    MAX_MESSAGE,
    ControllerMessage,
    LineSplitter,
    MessageReader,
    WorkerMessage,
    encode_message,
)
from meshdns.worker.settings import decode as decode_worker_settings
from tests.sources.virtual_time_loop import VirtualTimeLoop
from tests.supervisor.junk_child import JUNK

_SHORT: Final = 200  # octets of a line, where lines are to be too long soon
_MESSAGES: Final = Path(__file__).parents[1] / "formats/0.1/messages.json"
_FAULT_TEXT: Final = 200  # characters

_Decoder = Callable[[bytes], Any]


def _decoder(message: type[msgspec.Struct]) -> _Decoder:
    return lambda line: msgspec.json.decode(line, type=message)


class Pipes:
    """Both directions."""

    def __init__(self) -> None:
        recorded = msgspec.json.decode(_MESSAGES.read_bytes(), type=dict[str, msgspec.Raw])
        self._loop = VirtualTimeLoop()
        self._from_child = (
            (_decoder(WorkerMessage), b'{"serving":1,"ready":true}'),
            (_decoder(ControllerMessage), b'{"ready":false,"waits":"x"}'),
        )
        self._from_supervisor = (
            (decode_worker_settings, bytes(recorded["worker"]).replace(b"\n", b"")),
            (_decode_settings, bytes(recorded["controller"]).replace(b"\n", b"")),
        )

    def run(self, data: bytes) -> None:
        """Each line is a message, a fault or blank; a good one behind them is received, and little is held."""
        if not data:
            return
        step = (data[0] >> 2) * 16 + 1
        limit = _SHORT if data[0] & 2 else MAX_MESSAGE
        pieces = [data[at : at + step] for at in range(1, len(data), step)]
        _check_lines(pieces, data[1:], limit)
        for decode, good in self._from_supervisor if data[0] & 1 else self._from_child:
            room = max(limit, len(good))
            received, faults = self._loop.run_until_complete(_receive([*pieces, b"\n" + good + b"\n"], room, decode))
            assert received
            assert received[-1] == decode(good)
            assert all(0 < len(fault) <= _FAULT_TEXT and fault.isprintable() for fault in faults)
            lines = [line for line in data[1:].split(b"\n") if line.strip() or len(line) > room]
            assert len(received) + len(faults) == len(lines) + 1
            for message in received:
                if isinstance(message, WorkerMessage | ControllerMessage):
                    _check_encoding(message)


def _check_lines(pieces: Sequence[bytes], whole: bytes, limit: int) -> None:
    """Lines do not depend on the pieces, and no more than one is held."""
    splitter = LineSplitter(limit)
    found: list[bytes | None] = []
    for piece in pieces:
        found += splitter.feed(piece)
        assert splitter.held_bytes <= limit
    *ended, rest = whole.split(b"\n")
    expected = [line if len(line) <= limit else None for line in ended if line.strip() or len(line) > limit]
    assert found == expected + [None] * (len(rest) > limit)


def _check_encoding(message: WorkerMessage | ControllerMessage) -> None:
    """A message is one line, and is read as the same but for texts that are cut."""
    line = encode_message(message)
    assert len(line) <= MAX_MESSAGE
    assert line.find(b"\n") == len(line) - 1
    again = msgspec.json.decode(line, type=type(message))
    assert encode_message(again) == line


async def _receive(pieces: Sequence[bytes], limit: int, decode: _Decoder) -> tuple[list[Any], list[str]]:
    stream = asyncio.StreamReader()
    for piece in pieces:
        stream.feed_data(piece)
    stream.feed_eof()
    faults: list[str] = []
    reader = MessageReader(stream, limit, faults.append)
    received = []
    while (message := await reader.receive(decode)) is not None:
        received.append(message)
    return received, faults


def pipe_seeds() -> Iterator[bytes]:
    """Messages of all kinds, whole and wrong, and what `tests.supervisor.junk_child` writes."""
    recorded = msgspec.json.decode(_MESSAGES.read_bytes(), type=dict[str, msgspec.Raw])
    lines = [
        b'{"serving":1}\n{"serving":2,"ready":true}\n',
        b'{"serving":1,"ready":1}\n',
        b'{"serving":99999999999999999999}\n',
        b'{"reload":true}\n{"view":"/state/namedb"}\n',
        b'{"ready":true,"waits":""}\n{"ready":false,"waits":"cluster east has not synced: \\u0000\\ud83d\\ude00"}\n',
        b'{"ready":null,"waits":null}\n',
        b'{"view":7}\n\n \n{"reload":"yes"}\n',
        b'{"serving":1}',
        b'\xef\xbb\xbf{"serving":1}\n',
        b'{"serving":1,"serving":2}\n',
        *(junk[:3000] for junk in JUNK.values()),
    ]
    for number, line in enumerate(lines):
        for first in (0, 2, 4 * number):
            yield bytes([first % 256 & 0xFE]) + line
    for name in ("worker", "controller"):
        settings = bytes(recorded[name]).replace(b"\n", b"")
        yield b"\x01" + settings + b"\n"
        yield b"\xfd" + settings[:-1] + b"\n" + settings + b"\n"
        yield b"\x03" + settings.replace(b":1,", b':"1",') + b"\n"
