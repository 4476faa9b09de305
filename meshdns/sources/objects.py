"""Single objects of an API server, for tools: read once, no watch."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final

import msgspec

from meshdns.sources.access import Access
from meshdns.sources.kubeapi import ApiConnection
from meshdns.sources.payload import decode_status
from meshdns.sources.settings import SourceError

_SECONDS: Final = 30.0


@asynccontextmanager
async def connected(access: Access) -> AsyncIterator[ApiConnection]:
    """A connection for a few requests, which have 30 s in all. Raises `SourceError` where they take longer."""
    connection = ApiConnection(access)
    try:
        async with asyncio.timeout(_SECONDS):
            yield connection
    except TimeoutError:
        raise SourceError(f"{access.server} did not answer in time; check that it is reachable from here") from None
    finally:
        await connection.close()


async def read_objects(access: Access, paths: Sequence[str]) -> list[dict[str, Any] | None]:
    """The objects at these paths of the API, in order; None for one that does not exist. Raises `SourceError`."""
    async with connected(access) as connection:
        return [_object(path, *(await connection.read(path))) for path in paths]


def _object(path: str, status: int, reply: bytes) -> dict[str, Any] | None:
    if status == 404:
        return None
    if status >= 300:
        said = decode_status(status, reply).message or f"HTTP status {status}"
        raise SourceError(f"{path} cannot be read: {said}; use a context that may read it")
    try:
        return msgspec.json.decode(reply, type=dict[str, Any])
    except msgspec.MsgspecError:
        raise SourceError(f"{path} is no object; check that the server is a Kubernetes API") from None
