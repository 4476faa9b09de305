"""Lines of the pipes between the supervisor and its children: bounded in memory, and never trusted.

Rules:
- A line is JSON of one type. What is too long, no JSON, or of another type is that line's fault alone: it is dropped
  and reported, and the next line is read.
- No more than `limit` bytes and one chunk are held of any line, also of one that never ends.
- A line that a dying process left unfinished is dropped without a report.
"""

import asyncio
from collections.abc import Callable, Iterator
from typing import Final, TypeVar

import msgspec

from meshdns.mesh.objects.foreign import bounded_text

MAX_MESSAGE: Final = 1 << 16  # bytes of a line from a child
MAX_SETTINGS: Final = 1 << 24  # bytes of a line to a child; settings with thousands of clusters are far below
MAX_MESSAGE_TEXT: Final = 4000
"""Characters of a text in a message of a child: escaped as JSON, six bytes each, it fits into a line."""

_CHUNK: Final = 1 << 16  # bytes read at once
_FAULT_PAUSE: Final = 0.01  # seconds after a chunk with a fault: junk without end must not take the whole CPU

T = TypeVar("T")


class WorkerMessage(msgspec.Struct, frozen=True, omit_defaults=True):
    """A worker serves the settings of a generation; `ready` says whether its name database can answer.

    `outdated` are zones whose names were computed for other settings.
    """

    serving: int
    ready: bool = False
    outdated: tuple[str, ...] = ()


class ControllerMessage(msgspec.Struct, frozen=True, omit_defaults=True):
    """What the controller reports: any of an order to reload, the name database it writes, and its readiness.

    `order` is the number of an order that expects an outcome, `reload_replied` that of one whose outcome was passed on.
    """

    reload: bool = False
    order: int = 0
    reload_replied: int = msgspec.field(default=0, name="reloadReplied")
    view: str | None = None
    ready: bool | None = None
    waits: str = ""


class LineSplitter:
    """Cuts what a pipe brings into lines; a line of more than `limit` bytes is reported as None, once it begins to."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._pending = bytearray()
        self._skipping = False

    @property
    def held_bytes(self) -> int:
        """How many bytes of an unfinished line are held."""
        return len(self._pending)

    @property
    def is_skipping(self) -> bool:
        """Whether the rest of a line that is too long is being dropped."""
        return self._skipping

    def feed(self, chunk: bytes) -> Iterator[bytes | None]:
        """Yield the lines that end in the next bytes, without their newline; blank ones are left out."""
        *ended, rest = chunk.split(b"\n")
        for part in ended:
            if not self._append(part):
                yield None
            elif self._pending.strip():
                yield bytes(self._pending)
            self._pending.clear()
            self._skipping = False
        if not self._append(rest):
            yield None

    def _append(self, part: bytes) -> bool:
        """Add bytes to the line; return False if it becomes too long by them."""
        if self._skipping:
            return True
        self._skipping = len(self._pending) + len(part) > self._limit
        if self._skipping:
            self._pending.clear()
        else:
            self._pending += part
        return not self._skipping


class MessageReader:
    """Reads the lines of one pipe; `on_fault` is called with the reason for each line that is dropped."""

    def __init__(self, stream: asyncio.StreamReader, limit: int, on_fault: Callable[[str], None]) -> None:
        self._stream = stream
        self._limit = limit
        self._splitter = LineSplitter(limit)
        self._lines: Iterator[bytes | None] = iter(())
        self._report_fault = on_fault
        self._had_fault = False  # since the last chunk

    async def readline(self) -> bytes:
        """Return the next line without its newline, never an empty one; empty once the pipe is closed."""
        while True:
            for line in self._lines:
                if line is not None:
                    return line
                self._on_fault(f"a line is longer than {self._limit} bytes")
            if self._had_fault or self._splitter.is_skipping:
                self._had_fault = False
                await asyncio.sleep(_FAULT_PAUSE)
            chunk = await self._stream.read(_CHUNK)
            if not chunk:
                return b""
            self._lines = self._splitter.feed(chunk)

    async def receive(self, decode: Callable[[bytes], T]) -> T | None:
        """Return the next message that `decode` takes; None once the pipe is closed."""
        while line := await self.readline():
            try:
                return decode(line)
            except Exception as error:  # noqa: BLE001 — whatever a line does to its decoder, the next one is read
                self._on_fault(bounded_text(f"a line is no message: {error}"))
        return None

    def _on_fault(self, reason: str) -> None:
        self._had_fault = True
        self._report_fault(reason)


def encode_message(message: msgspec.Struct) -> bytes:
    """Return a child's message as a line of at most `MAX_MESSAGE` bytes, newline included: long texts are cut."""
    fields = msgspec.structs.asdict(message).items()
    texts = {name: bounded_text(value, MAX_MESSAGE_TEXT) for name, value in fields if isinstance(value, str)}
    return msgspec.json.encode(msgspec.structs.replace(message, **texts)) + b"\n"
