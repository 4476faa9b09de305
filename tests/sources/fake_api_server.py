"""An API server that does what real ones can't be made to do, and a loop whose time runs fast."""

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import yaml
from aiohttp import web

from meshdns.mesh.objects.declarations import ObjectKind
from meshdns.sources.kube.resources import RESOURCES
from tests.simulators.stalled_clock_loop import StalledClockLoop

ENTRIES = RESOURCES[ObjectKind.SERVICE_ENTRY].path("v1")

RequestHandler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class FakeApiServer:
    """Lists `objects`; watches stay open and carry what is sent; `scripted_replies` come first, each once."""

    def __init__(self) -> None:
        self.objects: dict[str, list[dict[str, Any]]] = defaultdict(list)
        self.scripted_replies: dict[str, list[RequestHandler]] = defaultdict(list)
        self.requests: list[str] = []
        self.token = "good"  # noqa: S105 - the secret of a server that holds none
        self.watches: dict[str, list[web.StreamResponse]] = defaultdict(list)
        self.opened = asyncio.Event()  # whenever a watch is
        self.port = 0
        self._runner: web.AppRunner | None = None

    async def start(self) -> None:
        """Listen on a free port of the loopback (or on that of the last start)."""
        app = web.Application()
        app.router.add_get("/{path:.*}", self._answer)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1, handler_cancellation=True)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", self.port)
        await site.start()
        self.port = self._runner.addresses[0][1]

    async def stop(self) -> None:
        """Cut all connections and stop to listen."""
        if self._runner is not None:
            await self._runner.cleanup()
        self._runner = None
        self.watches.clear()

    def kubeconfig(self, path: Path, name: str = "west", token: str = "good") -> Path:  # noqa: S107 - as above
        """Write a kubeconfig with one context of that name."""
        config = {
            "current-context": name,
            "clusters": [{"name": name, "cluster": {"server": f"http://127.0.0.1:{self.port}"}}],
            "users": [{"name": name, "user": {"token": token}}],
            "contexts": [{"name": name, "context": {"cluster": name, "user": name}}],
        }
        path.write_text(yaml.safe_dump(config))
        return path

    async def send(self, path: str, text: bytes) -> None:
        """Send bytes on every open watch of a resource."""
        for watch in self.watches[path]:
            await watch.write(text)

    def abort_watches(self, path: str) -> None:
        """Drop the connections of a resource's watches without a goodbye."""
        for watch in self.watches.pop(path):
            transport = watch._req.transport if watch._req else None
            assert transport is not None
            transport.abort()

    async def end_watches(self, path: str) -> None:
        """End a resource's watches in good order, and close their connections."""
        for watch in self.watches.pop(path):
            transport = watch._req.transport if watch._req else None
            assert transport is not None
            await watch.write_eof()
            transport.close()

    def queries_of(self, path: str, *words: str) -> list[str]:
        """The query strings that a resource was asked with and that hold all `words`."""
        parts = [request.split("?") for request in self.requests]
        return [query for asked, query in parts if asked == path and all(word in query for word in words)]

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        self.requests.append(f"{request.path}?{request.query_string}")
        if request.headers.get("Authorization") != f"Bearer {self.token}":
            return web.json_response({"kind": "Status", "code": 401, "message": "Unauthorized"}, status=401)
        if self.scripted_replies[request.path]:
            return await self.scripted_replies[request.path].pop(0)(request)
        if "watch" in request.query:
            return await self._watch(request)
        return web.json_response({"metadata": {"resourceVersion": "5"}, "items": self.objects[request.path]})

    async def _watch(self, request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        self.watches[request.path].append(response)
        self.opened.set()
        await asyncio.Event().wait()
        return response


class FastLoop(StalledClockLoop):
    """A loop whose seconds last a fiftieth, so that minutes of silence fit into a test with real sockets.

    Its clock stands still while there is something to do: a busy machine makes no request time out.
    """

    def __init__(self) -> None:
        super().__init__(speed=50.0)
