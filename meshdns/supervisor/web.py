"""The one HTTP port: ``/health``, ``/ready`` and ``/metrics``, served by the supervisor even if its children are down.

A request is a line and headers of at most 8 KiB within 5 seconds; the reply ends the connection. Only GET and HEAD are
supported, nothing can be changed, and at most 64 connections are open at once.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Mapping
from http import HTTPStatus
from typing import Final

import msgspec

_MAX_REQUEST: Final = 8192
_REQUEST_TIMEOUT: Final = 5.0  # seconds
_MAX_CONNECTIONS: Final = 64


class HttpReply(msgspec.Struct, frozen=True):
    """The reply of a path."""

    status: HTTPStatus
    body: bytes
    content_type: str = "text/plain; charset=utf-8"


HttpResource = Callable[[str], Awaitable[HttpReply]]
"""Makes the reply of a path; its argument is the request's Accept header."""


class HttpServer:
    """A listening HTTP port."""

    def __init__(self, resources: Mapping[str, HttpResource]) -> None:
        self._resources = dict(resources)
        self._server: asyncio.Server | None = None
        self._open_connections = 0

    async def listen(self, host: str, port: int) -> None:
        """Start to serve; raises OSError if the port cannot be bound."""
        self._server = await asyncio.start_server(self._serve, host, port, limit=_MAX_REQUEST)

    def close(self) -> None:
        """Stop listening."""
        if self._server is not None:
            self._server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._open_connections += 1
        try:
            with contextlib.suppress(TimeoutError, OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
                if self._open_connections <= _MAX_CONNECTIONS:
                    async with asyncio.timeout(_REQUEST_TIMEOUT):
                        reply, has_body = await self._reply_to(await reader.readuntil(b"\r\n\r\n"))
                        writer.write(_response_head(reply) + (reply.body if has_body else b""))
                        await writer.drain()
        finally:
            self._open_connections -= 1
            writer.close()

    async def _reply_to(self, request: bytes) -> tuple[HttpReply, bool]:
        line, *headers = request.decode("latin-1").split("\r\n")
        method, path, *_ = [*line.split(" "), "", ""]
        if method not in ("GET", "HEAD"):
            return HttpReply(HTTPStatus.METHOD_NOT_ALLOWED, b"only GET and HEAD\n"), True
        resource = self._resources.get(path.partition("?")[0])
        if resource is None:
            known = ", ".join(self._resources)
            return HttpReply(HTTPStatus.NOT_FOUND, f"there are {known}\n".encode()), True
        accept = next((h.partition(":")[2].strip() for h in headers if h.lower().startswith("accept:")), "")
        return await resource(accept), method == "GET"


def _response_head(reply: HttpReply) -> bytes:
    lines = (
        f"HTTP/1.1 {reply.status.value} {reply.status.phrase}",
        f"Content-Type: {reply.content_type}",
        f"Content-Length: {len(reply.body)}",
        "Cache-Control: no-store",
        "X-Content-Type-Options: nosniff",
        "Connection: close",
    )
    return "\r\n".join(lines).encode() + b"\r\n\r\n"
