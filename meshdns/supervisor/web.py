"""The one HTTP port: ``/health``, ``/ready`` and ``/metrics``, served by the supervisor, whoever else is dead.

A request is a line and headers of at most 8 KiB within 5 seconds; the reply ends the connection. Nothing else is
understood, nothing can be changed, and at most 64 connections are open at once.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Mapping
from http import HTTPStatus
from typing import Final

import msgspec

_MAX_REQUEST: Final = 8192
_PATIENCE: Final = 5.0  # seconds
_MAX_OPEN: Final = 64


class Page(msgspec.Struct, frozen=True):
    """What a path answers."""

    status: HTTPStatus
    body: bytes
    content_type: str = "text/plain; charset=utf-8"


Answering = Callable[[str], Awaitable[Page]]
"""Makes the page of a path; its argument is the request's Accept header."""


class Web:
    """A listening HTTP port."""

    def __init__(self, pages: Mapping[str, Answering]) -> None:
        self._pages = dict(pages)
        self._server: asyncio.Server | None = None
        self._open = 0

    async def listen(self, host: str, port: int) -> None:
        """Begin to answer; raises OSError where the port cannot be had."""
        self._server = await asyncio.start_server(self._serve, host, port, limit=_MAX_REQUEST)

    def close(self) -> None:
        """Stop listening."""
        if self._server is not None:
            self._server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._open += 1
        try:
            with contextlib.suppress(TimeoutError, OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
                if self._open <= _MAX_OPEN:
                    async with asyncio.timeout(_PATIENCE):
                        page, body = await self._page(await reader.readuntil(b"\r\n\r\n"))
                        writer.write(_head(page) + (page.body if body else b""))
                        await writer.drain()
        finally:
            self._open -= 1
            writer.close()

    async def _page(self, request: bytes) -> tuple[Page, bool]:
        line, *headers = request.decode("latin-1").split("\r\n")
        method, path, *_ = [*line.split(" "), "", ""]
        if method not in ("GET", "HEAD"):
            return Page(HTTPStatus.METHOD_NOT_ALLOWED, b"only GET and HEAD\n"), True
        answering = self._pages.get(path.partition("?")[0])
        if answering is None:
            known = ", ".join(self._pages)
            return Page(HTTPStatus.NOT_FOUND, f"there are {known}\n".encode()), True
        accept = next((h.partition(":")[2].strip() for h in headers if h.lower().startswith("accept:")), "")
        return await answering(accept), method == "GET"


def _head(page: Page) -> bytes:
    lines = (
        f"HTTP/1.1 {page.status.value} {page.status.phrase}",
        f"Content-Type: {page.content_type}",
        f"Content-Length: {len(page.body)}",
        "Cache-Control: no-store",
        "X-Content-Type-Options: nosniff",
        "Connection: close",
    )
    return "\r\n".join(lines).encode() + b"\r\n\r\n"
