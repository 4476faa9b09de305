"""Several lying upstreams in a thread of their own, for tests that start real programs meanwhile."""

import asyncio
import threading
from collections.abc import Coroutine, Iterable
from types import TracebackType
from typing import Any, Final, Self

from tests.simulators.upstream import Upstream

_TRIES: Final = 20  # for a port that is free for UDP as well as for TCP
_PATIENCE: Final = 60.0  # seconds to start or stop them all


class LyingServers:
    """One `Upstream` for each zone, running inside the ``with`` block."""

    def __init__(self, zones: Iterable[str]) -> None:
        self._zones = tuple(zones)
        self._upstreams: dict[str, Upstream] = {}
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="liars", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        self._run(self._start())
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, at: TracebackType | None) -> None:
        self._run(self._stop())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(_PATIENCE)
        self._loop.close()

    def __getitem__(self, zone: str) -> Upstream:
        return self._upstreams[zone]

    @property
    def routes(self) -> dict[str, int]:
        """Ports by zone."""
        return {zone: upstream.port for zone, upstream in self._upstreams.items()}

    def query_count(self, zone: str) -> int:
        """Queries that came to the upstream of a zone so far, over UDP and TCP."""
        return len(self[zone].wires)

    def _run(self, work: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(_PATIENCE)

    async def _start(self) -> None:
        for zone in self._zones:
            self._upstreams[zone] = await _started()

    async def _stop(self) -> None:
        for upstream in self._upstreams.values():
            await upstream.stop()


async def _started() -> Upstream:
    """An upstream; another may take the port it has for TCP before it has it for UDP."""
    for _ in range(_TRIES):
        upstream = Upstream()
        try:
            await upstream.start()
        except OSError:
            await upstream.stop()
            continue
        return upstream
    raise OSError("no free ports for the upstreams: end servers that were left behind")
