"""One query over one short-lived TCP connection (RFC 7766), each in a task."""

import asyncio
from functools import partial
from typing import Final, Protocol

from meshdns.forwarding.policy import LATE_REPLY_WINDOW, Attempt
from meshdns.forwarding.upstreams import Address
from meshdns.upstream.entropy import Entropy
from meshdns.upstream.local_errors import is_local_error

MAX_TCP_EXCHANGES: Final = 256  # TCP exchanges at a time; beyond, an upstream that sends TC counts as failed


class OnTcpResult(Protocol):
    """Takes the result of an exchange: its id, and the message or None; `is_local` if a local limit is the reason."""

    def __call__(self, attempt: Attempt, ident: int, message: bytes | None, *, is_local: bool = False) -> None:
        """Handle the result."""


class TcpExchanges:
    """The open exchanges over TCP. `on_result` is called with the result of each."""

    def __init__(self, loop: asyncio.AbstractEventLoop, entropy: Entropy, on_result: OnTcpResult) -> None:
        self._loop = loop
        self._entropy = entropy
        self._on_result = on_result
        self._tasks: dict[Attempt, asyncio.Task[bytes | None]] = {}

    def __len__(self) -> int:
        return len(self._tasks)

    def send(self, address: Address, attempt: Attempt) -> bool:
        """Start an exchange; return False if too many are open."""
        if len(self._tasks) >= MAX_TCP_EXCHANGES:
            return False
        ident = self._entropy.u16()
        message = attempt.message(ident)
        task = self._loop.create_task(
            _exchange(address, message, seconds=LATE_REPLY_WINDOW), name=f"upstream tcp {address}"
        )
        self._tasks[attempt] = task
        task.add_done_callback(partial(self._on_done, attempt, ident))
        return True

    def cancel(self, attempt: Attempt) -> bool:
        """Cancel an exchange without a result; return whether it was one over TCP."""
        task = self._tasks.get(attempt)
        if task is not None:
            task.cancel()
        return task is not None

    async def close(self) -> None:
        """Wait until all canceled exchanges have ended."""
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)

    def _on_done(self, attempt: Attempt, ident: int, task: asyncio.Task[bytes | None]) -> None:
        del self._tasks[attempt]
        if task.cancelled():
            return
        error = task.exception()
        if error is None:
            self._on_result(attempt, ident, task.result())
            return
        if isinstance(error, OSError | EOFError):  # TimeoutError is an OSError, IncompleteReadError an EOFError
            is_local = isinstance(error, OSError) and is_local_error(error)
            self._on_result(attempt, ident, None, is_local=is_local)
            return
        context = {"message": "a TCP exchange failed unforeseen", "exception": error, "task": task}
        self._loop.call_exception_handler(context)
        self._on_result(attempt, ident, None)


async def query_over_tcp(address: Address, message: bytes, *, seconds: float) -> bytes | None:
    """Send `message` and return the first message received, or None if none was in `seconds`, for any reason."""
    try:
        return await _exchange(address, message, seconds=seconds)
    except (OSError, EOFError):
        return None


async def _exchange(address: Address, message: bytes, *, seconds: float) -> bytes:
    """Send `message` and return the first message received; raises OSError or EOFError.

    Length and body leave in one write (RFC 7766 section 8); a reply is at most 65,535 octets by its length field.
    """
    async with asyncio.timeout(seconds):
        reader, writer = await asyncio.open_connection(address.host, address.port)
        try:
            writer.write(len(message).to_bytes(2, "big") + message)
            length = int.from_bytes(await reader.readexactly(2), "big")
            return await reader.readexactly(length)
        finally:
            writer.transport.abort()
