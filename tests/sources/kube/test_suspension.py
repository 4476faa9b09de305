"""A watch over a suspension: its silence proves nothing, and is checked at once."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from functools import partial

import pytest

from meshdns.instance.clocks import SuspensionWatch
from meshdns.sources.kube import follower
from meshdns.sources.kube.follower import Follower
from meshdns.sources.kube.list_budget import ListBudget
from meshdns.sources.kube.reflector import PROBE_AFTER, Reflector
from meshdns.sources.kube.request_gate import RequestGate
from meshdns.sources.kube.resources import resources_to_watch
from meshdns.sources.sink import ClusterAdded
from tests.sources.recording_sink import RecordingSink
from tests.sources.virtual_time_loop import VirtualTimeLoop

_PAGE = b'{"metadata": {"resourceVersion": "5"}, "items": []}'


class _Reply:
    """A reply; `body` is None for a watch on which nothing ever comes."""

    status = 200
    retry_after = ""

    def __init__(self, body: bytes | None) -> None:
        self._body = body

    async def chunks(self) -> AsyncIterator[bytes]:
        """The body."""
        if self._body is None:
            await asyncio.sleep(1e6)
        yield self._body or b""


class _Server:
    """Implements `meshdns.sources.kube.follower.Connection`; `probes` are the times of lists of one item."""

    def __init__(self) -> None:
        self.probes: list[float] = []

    @asynccontextmanager
    async def get(self, _path: str, query: Mapping[str, str]) -> AsyncIterator[_Reply]:
        """Answer a list, or open a watch."""
        if query.get("limit") == "1":
            self.probes.append(asyncio.get_running_loop().time())
        yield _Reply(None if "watch" in query else _PAGE)

    async def refresh(self) -> None:
        """No credentials."""


def test_silent_watch_is_probed_soon_after_a_suspension(monkeypatch: pytest.MonkeyPatch) -> None:
    """Within the time after which a suspension is noticed, and not a minute after the last contact."""
    server = _Server()
    suspended = [0.0]

    async def main() -> None:
        time = asyncio.get_running_loop().time
        watch = partial(SuspensionWatch, boot=lambda: time() + suspended[0], running=time)
        monkeypatch.setattr(follower, "SuspensionWatch", watch)
        resource = next(iter(resources_to_watch(readiness=True).values()))
        sink = RecordingSink()
        sink.report(ClusterAdded("east", frozenset({resource.kind}), "test"))
        reflector = Reflector(resource, cluster="east", sink=sink, draw=lambda: 0.5)
        gate = RequestGate(clock=time, draw=lambda: 0.5)
        open_lease = partial(ListBudget(2**30, clock=time).lease, "east")
        reading = Follower(reflector, resource, server, gate, time, open_lease).run()
        task = asyncio.create_task(reading, name="follower")
        await asyncio.sleep(20)
        assert server.probes == []
        suspended[0] = 3600.0
        await asyncio.sleep(16)
        assert len(server.probes) == 1
        await asyncio.sleep(PROBE_AFTER - 20)
        assert len(server.probes) == 1
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        runner.run(main())
