"""Clusters that send without end, and Secrets that name clusters without end: both cost themselves alone."""

import asyncio
import base64
import gzip
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from meshdns.mesh.objects.declarations import ObjectKind
from meshdns.sources import apiservers, remote_secrets
from meshdns.sources.apiservers import ApiServerSource
from meshdns.sources.auth import kubeconfig
from meshdns.sources.kube.resources import RESOURCES
from meshdns.sources.read_limits import ReadLimits, create_read_limits
from meshdns.sources.registry import ClusterRegistry
from meshdns.sources.settings import KubeconfigSource, RemoteSecretsSource
from meshdns.sources.sink import KindListed
from tests.sources.fake_api_server import ENTRIES, FakeApiServer, FastLoop, RequestHandler
from tests.sources.recording_sink import RecordingSink

LONG = 2000.0  # seconds of the fast loop: 40 s by the wall
SECRETS = "/api/v1/namespaces/meshdns/secrets"
BUDGET = 2**20
OVER = "it sends more than 1 MiB, the budget for all lists that are being read"
ENTRY: dict[str, Any] = {
    "metadata": {"name": "a", "namespace": "shop", "resourceVersion": "5"},
    "spec": {"hosts": ["a.global"]},
}


async def stream(request: web.Request, begin: bytes, again: bytes) -> web.StreamResponse:
    """A body that never ends."""
    response = web.StreamResponse()
    await response.prepare(request)
    await response.write(begin)
    while True:
        await response.write(again * (2**16 // len(again)))


async def endless_body(request: web.Request) -> web.StreamResponse:
    """One object after the other."""
    return await stream(request, b'{"metadata":{"resourceVersion":"5"},"items":[', json.dumps(ENTRY).encode() + b",")


async def huge_object(request: web.Request) -> web.StreamResponse:
    """One object without end."""
    return await stream(request, b'{"metadata":{"resourceVersion":"5"},"items":[{"metadata":{"name":"', b"a")


async def compressed(_: web.Request) -> web.StreamResponse:
    """Ten MiB in ten KiB."""
    body = gzip.compress(b'{"metadata":{"resourceVersion":"5"},"items":["' + b"a" * (10 * 2**20) + b'"]}')
    return web.Response(body=body, headers={"Content-Encoding": "gzip"})


def endless_pages(**page: Any) -> RequestHandler:
    """A list whose pages have others behind them, for ever."""
    tokens = count()

    async def answer(_: web.Request) -> web.StreamResponse:
        metadata = {"resourceVersion": "5", "continue": f"t{next(tokens)}"}
        return web.json_response({"metadata": metadata, "items": [], **page})

    return answer


ENDLESS: dict[str, RequestHandler] = {
    "a body": endless_body,
    "an object": huge_object,
    "a compressed body": compressed,
    "pages": endless_pages(items=[ENTRY] * 500),
    "empty pages": endless_pages(),
}


async def endless_line(request: web.Request) -> web.StreamResponse:
    """A watch whose first line does not end."""
    return await stream(request, b'{"type":"ADDED","object":{"metadata":{"name":"', b"a")


class Scene:
    """Two servers, west and east, and the limits that all their readers share."""

    def __init__(self, folder: Path, group: asyncio.TaskGroup) -> None:
        self.west, self.east = FakeApiServer(), FakeApiServer()
        self.sink = RecordingSink()
        self.limits: ReadLimits = create_read_limits("", BUDGET)
        self._folder = folder
        self._group = group
        self._tasks: list[asyncio.Task[None]] = []

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[None]:
        """Both at work; the sources end with them."""
        for api in (self.west, self.east):
            api.objects[ENTRIES] = [ENTRY]
            await api.start()
        try:
            yield
        finally:
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)  # their connections end before the servers
            for api in (self.west, self.east):
                await api.stop()

    def config(self, name: str, api: FakeApiServer) -> KubeconfigSource:
        """A source of one cluster of that name."""
        return KubeconfigSource((api.kubeconfig(self._folder / name, name),))

    def start(self, *sources: ApiServerSource, own: str = "") -> None:
        """Run these sources."""
        registry = ClusterRegistry(own)
        for rank, source in enumerate(sources):
            work = apiservers.watch_api_servers(
                source=source, sink=self.sink, draw=lambda: 0.0, registry=registry, limits=self.limits, rank=rank
            )
            self._tasks.append(self._group.create_task(work, name="source"))

    async def synced(self, cluster: str) -> None:
        """Wait until all of a cluster is listed."""
        await self.sink.wait_until(
            lambda: cluster in self.sink.clusters and self.sink.clusters[cluster].synced == set(RESOURCES), seconds=LONG
        )

    async def failed(self, cluster: str, words: str) -> None:
        """Wait until a failure of the cluster begins with these words."""
        await self.sink.wait_until(
            lambda: any(text.startswith(words) for text in self.sink.clusters[cluster].failures), seconds=LONG
        )

    async def look_again(self) -> None:
        """Have the Secrets listed once more."""
        while not self.east.watches[SECRETS]:
            self.east.opened.clear()
            await asyncio.wait_for(self.east.opened.wait(), LONG)
        self.east.abort_watches(SECRETS)

    @property
    def problems(self) -> list[str]:
        """The problems of all sources."""
        return [text for texts in self.sink.problems_by_source.values() for text in texts]


def play(folder: Path, steps: Callable[[Scene], Awaitable[None]]) -> None:
    """Run a test's steps."""

    async def work() -> None:
        async with asyncio.TaskGroup() as group:
            scene = Scene(folder, group)
            async with scene.listening():
                await steps(scene)

    with asyncio.Runner(loop_factory=FastLoop) as runner:
        runner.run(work())


@pytest.mark.parametrize("kind", ENDLESS)
def test_an_endless_list_is_an_error_of_its_kind_alone(tmp_path: Path, kind: str) -> None:
    """The other kinds and the other cluster are read, the memory is given back, and it is not begun again at once."""

    async def steps(scene: Scene) -> None:
        scene.west.scripted_replies[ENTRIES] = [ENDLESS[kind]] * 1000
        scene.start(scene.config("west", scene.west), scene.config("east", scene.east))
        await scene.synced("east")
        await scene.sink.wait_until(lambda: "west" in scene.sink.clusters, seconds=LONG)
        await scene.failed("west", OVER)
        west = scene.sink.clusters["west"]
        others = set(RESOURCES) - {ObjectKind.SERVICE_ENTRY}
        await scene.sink.wait_until(lambda: west.synced == others, seconds=LONG)
        assert scene.limits.budget.used == 0
        lists = len(scene.west.queries_of(ENTRIES, "resourceVersion=0"))
        await asyncio.sleep(40)
        assert len(scene.west.queries_of(ENTRIES, "resourceVersion=0")) == lists
        scene.west.scripted_replies.clear()
        await scene.synced("west")

    play(tmp_path, steps)


def test_objects_count_by_what_is_made_of_them(tmp_path: Path) -> None:
    """A list of small objects takes more than its octets."""

    async def steps(scene: Scene) -> None:
        scene.west.objects[ENTRIES] = [ENTRY] * 1900
        assert len(json.dumps(scene.west.objects[ENTRIES])) < BUDGET // 4
        scene.start(scene.config("west", scene.west))
        await scene.sink.wait_until(lambda: "west" in scene.sink.clusters, seconds=LONG)
        await scene.failed("west", OVER)

    play(tmp_path, steps)


def test_an_endless_list_removes_nothing(tmp_path: Path) -> None:
    """What was known before is served on."""

    async def steps(scene: Scene) -> None:
        scene.start(scene.config("west", scene.west))
        await scene.synced("west")
        scene.west.scripted_replies[ENTRIES] = [endless_body] * 1000
        while not scene.west.watches[ENTRIES]:
            scene.west.opened.clear()
            await asyncio.wait_for(scene.west.opened.wait(), LONG)
        await scene.west.send(ENTRIES, b'{"type":"ERROR","object":{"code":410}}\n')
        await scene.failed("west", OVER)
        assert scene.sink.hosts("west") == ["a.global"]

    play(tmp_path, steps)


def test_a_line_of_a_watch_without_end_is_counted(tmp_path: Path) -> None:
    """Long before it is longer than any event."""

    async def steps(scene: Scene) -> None:
        async def first_the_list(request: web.Request) -> web.StreamResponse:
            return web.json_response({"metadata": {"resourceVersion": "5"}, "items": [ENTRY]})

        scene.west.scripted_replies[ENTRIES] = [first_the_list, endless_line]
        scene.start(scene.config("west", scene.west))
        await scene.synced("west")
        await scene.failed("west", OVER)
        assert scene.limits.budget.used == 0
        assert scene.sink.hosts("west") == ["a.global"]

    play(tmp_path, steps)


def test_a_list_that_is_held_for_long_gives_way_to_another_cluster(tmp_path: Path) -> None:
    """Nine tenths of the budget in a body that does not go on: another list interrupts it."""

    async def steps(scene: Scene) -> None:
        held = asyncio.Event()

        async def hold(request: web.Request) -> web.StreamResponse:
            response = web.StreamResponse()
            await response.prepare(request)
            await response.write(b'{"metadata":{"resourceVersion":"5"},"items":["' + b"a" * (BUDGET * 9 // 10))
            held.set()
            await asyncio.Event().wait()
            raise AssertionError

        scene.west.scripted_replies[ENTRIES] = [hold]
        entries = [{**ENTRY, "metadata": {**ENTRY["metadata"], "name": f"e{n}"}} for n in range(600)]
        scene.east.objects[ENTRIES] = entries
        scene.start(scene.config("west", scene.west))
        await asyncio.wait_for(held.wait(), LONG)
        while scene.limits.budget.used < BUDGET * 8 // 10:  # noqa: ASYNC110 — nothing tells of what has arrived
            await asyncio.sleep(0.1)
        scene.start(scene.config("east", scene.east))
        await scene.synced("east")
        await scene.failed("west", "its lists gave way to those of other clusters")
        await scene.synced("west")

    play(tmp_path, steps)


# ---------------------------------------------------------------------------------------------- Secrets


def secret(name: str, created: str, *clusters: str, url: str = "http://127.0.0.1:9") -> dict[str, Any]:
    """A remote secret that names these clusters."""
    text = json.dumps({"clusters": [{"name": "c", "cluster": {"server": url}}]})
    data = {cluster: base64.b64encode(text.encode()).decode() for cluster in clusters}
    return {"metadata": {"name": name, "creationTimestamp": created}, "data": data}


def test_a_secret_with_1500_clusters_costs_no_more_than_the_bound(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So many are parsed and read, the own one before all others; the rest is a problem that names the bound."""
    parsed: list[str] = []
    parse = kubeconfig.parse_kubeconfig

    def counting(text: str, where: str, **options: Any) -> dict[str, Any]:
        parsed.append(where)
        return parse(text, where, **options)

    monkeypatch.setattr(remote_secrets, "parse_kubeconfig", counting)

    async def steps(scene: Scene) -> None:
        secrets = RemoteSecretsSource("meshdns", scene.config("home", scene.east), "own", max_clusters=20)
        url = f"http://127.0.0.1:{scene.west.port}"
        held = [secret("many", "2021", *(f"c{number:04}" for number in range(1500)), url=url)]
        scene.east.objects[SECRETS] = held
        scene.start(secrets, scene.config("own", scene.east), own="own")
        await scene.synced("own")
        assert [event.cluster for event in scene.sink.events if isinstance(event, KindListed)] == ["own"] * len(
            RESOURCES
        )
        await scene.sink.wait_until(lambda: len(scene.sink.clusters) == 21, seconds=LONG)
        kept = {f"c{number:04}" for number in range(20)}
        assert set(scene.sink.clusters) == {"own", *kept}
        assert any(
            "name more clusters than the 20 that are read; not read: c0020, c0021, c0022, c0023, c0024 and 1475 more"
            in text
            for text in scene.problems
        )
        assert len(parsed) == 20
        held.insert(0, secret("older", "2020", "a0", "a1"))
        await scene.look_again()
        await scene.sink.wait_until(
            lambda: any("not read: a0, a1, c0020" in text for text in scene.problems), seconds=LONG
        )
        assert set(scene.sink.clusters) == {"own", *kept}
        assert len(parsed) == 20
        del held[1]
        await scene.look_again()
        await scene.sink.wait_until(lambda: set(scene.sink.clusters) == {"own", "a0", "a1"}, seconds=LONG)

    play(tmp_path, steps)


def test_a_key_that_is_no_size_of_a_kubeconfig_is_not_parsed(tmp_path: Path) -> None:
    """It is a problem that names the bound."""

    async def steps(scene: Scene) -> None:
        scene.east.objects[SECRETS] = [
            {"metadata": {"name": "s", "creationTimestamp": "1"}, "data": {"big": "QUFB" * (256 * 256 + 1)}}
        ]
        scene.start(RemoteSecretsSource("meshdns", scene.config("home", scene.east), ""))
        await scene.sink.wait_until(
            lambda: any("longer than 262144 octets" in text for text in scene.problems), seconds=LONG
        )

    play(tmp_path, steps)


def test_a_folder_of_kubeconfigs_is_bounded_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever names clusters has a bound."""
    monkeypatch.setattr(apiservers, "DEFAULT_MAX_CLUSTERS", 2)

    async def steps(scene: Scene) -> None:
        folder = tmp_path / "configs"
        folder.mkdir()
        for name in ("a", "b", "c"):
            scene.west.kubeconfig(folder / name, name)
        scene.start(KubeconfigSource((folder,)))
        await scene.sink.wait_until(
            lambda: any("than the 2 that are read; not read: c" in p for p in scene.problems), seconds=LONG
        )
        assert set(scene.sink.clusters) == {"a", "b"}

    play(tmp_path, steps)
