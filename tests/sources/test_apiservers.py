"""The edge to API servers, against one that misbehaves on demand."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiohttp import web

from meshdns.mesh.objects.declarations import ObjectKind
from meshdns.sources import apiservers
from meshdns.sources.apiservers import ApiServerSource
from meshdns.sources.kube.resources import RESOURCES
from meshdns.sources.registry import ClusterRegistry
from meshdns.sources.settings import InClusterSource, KubeconfigSource
from meshdns.sources.sink import KindListed, ObjectChanged, SourceEvent
from tests.sources.fake_api_server import ENTRIES, FakeApiServer, FastLoop, RequestHandler
from tests.sources.recording_sink import RecordingSink

LONG = 2000.0  # seconds of the fast loop: 40 s by the wall


def entry(name: str, version: str = "6") -> dict[str, object]:
    """A raw ServiceEntry."""
    metadata = {"name": name, "namespace": "shop", "resourceVersion": version}
    return {"metadata": metadata, "spec": {"hosts": [f"{name}.global"]}}


def added(name: str, version: str = "6") -> bytes:
    """An ADDED event."""
    return json.dumps({"type": "ADDED", "object": entry(name, version)}).encode() + b"\n"


def reply(text: str, status: int = 200, headers: dict[str, str] | None = None) -> RequestHandler:
    """An answer that was made up beforehand."""

    async def answer(_: web.Request) -> web.StreamResponse:
        return web.Response(text=text, status=status, headers=headers)

    return answer


async def never(_: web.Request) -> web.StreamResponse:
    """Accept the request and stay silent."""
    await asyncio.Event().wait()
    raise AssertionError


@asynccontextmanager
async def following(source: KubeconfigSource, sink: RecordingSink) -> AsyncIterator[None]:
    """The source at work."""
    async with asyncio.TaskGroup() as group:
        task = group.create_task(
            apiservers.watch_api_servers(source=source, sink=sink, draw=lambda: 0.5, registry=ClusterRegistry()),
            name="kubeapi",
        )
        await sink.wait_until(lambda: sink.clusters, seconds=LONG)
        yield
        task.cancel()


Steps = Callable[[FakeApiServer, RecordingSink], Awaitable[None]]


def follow(tmp_path: Path, steps: Steps, prepare: Callable[[FakeApiServer], None] = lambda _: None) -> None:
    """Play `steps` against a fake API server, called west, at work."""

    async def play() -> None:
        api, sink = FakeApiServer(), RecordingSink()
        api.objects[ENTRIES] = [entry("a")]
        prepare(api)
        await api.start()
        try:
            async with following(KubeconfigSource((api.kubeconfig(tmp_path / "config"),)), sink):
                await steps(api, sink)
        finally:
            await api.stop()

    with asyncio.Runner(loop_factory=FastLoop) as runner:
        runner.run(play())


async def watching(api: FakeApiServer, sink: RecordingSink) -> None:
    """Wait until all kinds are listed and ServiceEntries are watched."""
    await sink.wait_until(lambda: sink.clusters["west"].synced == set(RESOURCES) and api.watches[ENTRIES], seconds=LONG)


def test_every_kind_is_listed_and_watched(tmp_path: Path) -> None:
    """Every kind is asked for as client-go asks, and the cluster bears the context's name."""

    async def steps(api: FakeApiServer, sink: RecordingSink) -> None:
        await watching(api, sink)
        assert sink.clusters["west"].source == f"kubeconfig {tmp_path / 'config'}, context west"
        assert sink.hosts("west") == ["a.global"]
        assert sorted({request.partition("?")[0] for request in api.requests}) == [
            "/api/v1/namespaces",
            "/api/v1/nodes",
            "/api/v1/services",
            "/apis/discovery.k8s.io/v1/endpointslices",
            "/apis/gateway.networking.k8s.io/v1/gateways",
            "/apis/networking.istio.io/v1/gateways",
            ENTRIES,
            "/apis/networking.istio.io/v1/workloadentries",
        ]
        assert api.queries_of(ENTRIES) == [
            "limit=500&resourceVersion=0",
            "watch=true&allowWatchBookmarks=true&resourceVersion=5&timeoutSeconds=265",
        ]

    follow(tmp_path, steps)


def test_pages_are_followed_by_their_token(tmp_path: Path) -> None:
    """A list of three pages is reported once, whole."""
    pages = [
        {"metadata": {"resourceVersion": "5", "continue": "t 1"}, "items": [entry("a")]},
        {"metadata": {"resourceVersion": "5", "continue": "t2"}, "items": [entry("b"), {"metadata": 7}, None, "x"]},
        {"metadata": {"resourceVersion": "5"}, "items": [entry(f"c{n}") for n in range(3000)]},
    ]

    async def steps(api: FakeApiServer, sink: RecordingSink) -> None:
        await watching(api, sink)
        assert api.queries_of(ENTRIES)[1:3] == ["limit=500&continue=t 1", "limit=500&continue=t2"]
        assert len(sink.hosts("west")) == 3002
        assert sink.list_sizes("west", ObjectKind.SERVICE_ENTRY) == [3002]

    follow(tmp_path, steps, lambda api: api.scripted_replies[ENTRIES].extend(reply(json.dumps(page)) for page in pages))


def test_events_arrive_however_their_bytes_are_cut(tmp_path: Path) -> None:
    """Lines that come in pieces, or several at once, are reported one by one."""

    async def steps(api: FakeApiServer, sink: RecordingSink) -> None:
        await watching(api, sink)
        text = added("b") + added("c")
        for piece in (text[:1], text[1:70], text[70:200], text[200:]):
            await api.send(ENTRIES, piece)
            await asyncio.sleep(1)
        await sink.wait_until(lambda: sink.hosts("west") == ["a.global", "b.global", "c.global"], seconds=LONG)

    follow(tmp_path, steps)


def test_a_cut_watch_is_resumed_where_it_was(tmp_path: Path) -> None:
    """A connection that is reset in the middle of a line costs no list."""

    async def steps(api: FakeApiServer, sink: RecordingSink) -> None:
        await watching(api, sink)
        api.objects[ENTRIES].append(entry("b", "17"))
        await api.send(ENTRIES, added("b", "17") + added("c")[:40])
        await sink.wait_until(lambda: sink.hosts("west") == ["a.global", "b.global"], seconds=LONG)
        api.abort_watches(ENTRIES)
        while not api.queries_of(ENTRIES, "resourceVersion=17"):  # nothing is reported when a watch is opened again
            api.opened.clear()
            await asyncio.wait_for(api.opened.wait(), LONG)  # a watch of any kind
        assert len(api.queries_of(ENTRIES, "limit=500")) == 1
        assert len(api.queries_of(ENTRIES, "resourceVersion=17")) == 1
        assert "cannot be read" in sink.clusters["west"].failures[0]

    follow(tmp_path, steps)


MISBEHAVIOUR = {
    "no JSON": (reply("<html>captive portal</html>"), "the reply is no list: "),
    "another JSON": (reply('{"kind":"Status"}'), "the reply is no list: "),
    "a list without version": (reply('{"metadata":{"resourceVersion":""},"items":[]}'), "the list has no resource ver"),
    "bad gateway": (
        reply("<html>", 502),
        "the API server refuses serviceentries.networking.istio.io (HTTP status 502)",
    ),
    "throttled": (
        reply('{"message":"later"}', 429, {"Retry-After": "3"}),
        "the API server asks for patience (later); look at its load",
    ),
    "forbidden": (
        reply('{"kind":"Status","message":"x is forbidden"}', 403),
        "x is forbidden; grant the verbs list and",
    ),
    "silence": (never, "the API server did not answer in time; check that it is well"),
}


@pytest.mark.parametrize("fault", MISBEHAVIOUR)
def test_a_misbehaving_list_is_reported_and_tried_again(tmp_path: Path, fault: str) -> None:
    """The reason says what to do, the other kinds go on meanwhile, and the kind recovers by itself."""
    answer, reason = MISBEHAVIOUR[fault]

    async def steps(api: FakeApiServer, sink: RecordingSink) -> None:
        west = sink.clusters["west"]
        others = set(RESOURCES) - {ObjectKind.SERVICE_ENTRY}
        await sink.wait_until(lambda: west.synced >= others and west.failures, seconds=LONG)
        assert west.failures[0].startswith(reason)
        assert sink.events.count(KindListed("west", ObjectKind.SERVICE, ())) == 1
        await sink.wait_until(lambda: west.hosts == ["a.global"], seconds=LONG)

    follow(tmp_path, steps, lambda api: api.scripted_replies[ENTRIES].append(answer))


def test_silence_is_broken_by_a_list_of_one(tmp_path: Path) -> None:
    """After 60 s without a line one item is listed; the watch stays and still carries events."""

    async def steps(api: FakeApiServer, sink: RecordingSink) -> None:
        await watching(api, sink)
        await sink.wait_until(
            lambda: api.queries_of(ENTRIES, "limit=1")[1:2] == [] and "limit=1" in api.queries_of(ENTRIES), seconds=LONG
        )
        await api.send(ENTRIES, added("b"))
        await sink.wait_until(lambda: "b.global" in sink.hosts("west"), seconds=LONG)
        assert len(api.queries_of(ENTRIES, "watch=true")) == 1

    follow(tmp_path, steps)


def test_a_silent_server_that_answers_no_probe_is_watched_anew(tmp_path: Path) -> None:
    """A probe without answer ends the watch; the next one begins at the last version."""

    async def steps(api: FakeApiServer, sink: RecordingSink) -> None:
        await watching(api, sink)
        api.scripted_replies[ENTRIES].append(never)
        await sink.wait_until(
            lambda: len(api.queries_of(ENTRIES, "watch=true", "resourceVersion=5")) == 2, seconds=LONG
        )
        assert any("did not answer in time" in reason for reason in sink.clusters["west"].failures)

    follow(tmp_path, steps)


def test_a_token_that_is_replaced_in_the_kubeconfig_is_used(tmp_path: Path) -> None:
    """Once the server refuses the old one, a new client with the new one lists and watches all again."""

    async def steps(api: FakeApiServer, sink: RecordingSink) -> None:
        await watching(api, sink)
        api.token = "new"  # noqa: S105 - see FakeApi
        api.kubeconfig(tmp_path / "config", token="new")  # noqa: S106 - see FakeApi
        api.objects[ENTRIES] = [entry("b")]
        await api.send(ENTRIES, b'{"type":"ERROR","object":{"code":410}}\n')
        await sink.wait_until(lambda: sink.hosts("west") == ["b.global"], seconds=LONG)
        services = "/api/v1/services"
        await sink.wait_until(lambda: len(api.watches[services]) == 2, seconds=LONG)
        del api.watches[services][0]  # that of the old client
        await api.send(services, b'{"type":"ADDED","object":{"metadata":{"name":"s","namespace":"shop"}}}\n')
        await sink.wait_until(
            lambda: (ObjectKind.SERVICE, "shop", "s") in sink.clusters["west"].declarations, seconds=LONG
        )

    follow(tmp_path, steps)


def test_a_server_that_goes_away_keeps_its_objects_and_comes_back(tmp_path: Path) -> None:
    """Last known objects stay while the server is down; after its return changes arrive again."""

    async def steps(api: FakeApiServer, sink: RecordingSink) -> None:
        await watching(api, sink)
        await api.stop()
        await sink.wait_until(lambda: len(sink.clusters["west"].failures) > len(RESOURCES), seconds=LONG)
        assert sink.hosts("west") == ["a.global"]
        await api.start()
        await sink.wait_until(lambda: api.watches[ENTRIES], seconds=LONG)
        await api.send(ENTRIES, added("b"))
        await sink.wait_until(lambda: "b.global" in sink.hosts("west"), seconds=LONG)

    follow(tmp_path, steps)


def test_one_failing_cluster_does_not_disturb_another(tmp_path: Path) -> None:
    """Of two contexts one cannot be reached: the other is listed and watched."""

    async def play() -> None:
        api, sink = FakeApiServer(), RecordingSink()
        api.objects[ENTRIES] = [entry("a")]
        await api.start()
        dead = FakeApiServer()
        await dead.start()
        await dead.stop()
        paths = (api.kubeconfig(tmp_path / "a", "west"), dead.kubeconfig(tmp_path / "b", "east"))
        try:
            async with following(KubeconfigSource(paths, ("east", "west")), sink):
                await sink.wait_until(lambda: sink.clusters["east"].failures, seconds=LONG)
                await watching(api, sink)
                assert sink.hosts("west") == ["a.global"]
                assert sink.clusters["west"].failures == []
                assert "check that the API server is up and reachable" in sink.clusters["east"].failures[0]
        finally:
            await api.stop()

    with asyncio.Runner(loop_factory=FastLoop) as runner:
        runner.run(play())


class FaultySink(RecordingSink):
    """Breaks its promise not to raise, once."""

    def __init__(self) -> None:
        super().__init__()
        self.broken = False

    def report(self, event: SourceEvent) -> float:
        """Raise at the first change."""
        if isinstance(event, ObjectChanged) and not self.broken:
            self.broken = True
            raise RuntimeError("unforeseen")
        return super().report(event)


def test_an_unforeseen_fault_costs_its_kind_a_pause(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The fault is logged and reported, the kind begins anew with a list, the others never notice."""

    async def play() -> None:
        api, sink = FakeApiServer(), FaultySink()
        await api.start()
        try:
            async with following(KubeconfigSource((api.kubeconfig(tmp_path / "config"),)), sink):
                await watching(api, sink)
                await api.send(ENTRIES, added("b"))
                empty_list = KindListed("west", ObjectKind.SERVICE_ENTRY, ())
                await sink.wait_until(lambda: sink.events.count(empty_list) == 2, seconds=LONG)
                assert sink.events.count(KindListed("west", ObjectKind.SERVICE, ())) == 1
                assert "report this with the log" in sink.clusters["west"].failures[0]
        finally:
            await api.stop()

    with asyncio.Runner(loop_factory=FastLoop) as runner:
        runner.run(play())
    assert "serviceentries.networking.istio.io stopped" in caplog.text


def test_a_credential_plugin_that_gives_nothing_is_named(tmp_path: Path) -> None:
    """A plugin of the operator's own file is run; when it fails, the reason says which and what to do."""
    config = tmp_path / "config"

    async def play() -> None:
        sink = RecordingSink()
        async with following(KubeconfigSource((config,)), sink):
            await sink.wait_until(lambda: sink.clusters["west"].failures, seconds=LONG)
            assert sink.clusters["west"].failures[0] == (
                f"kubeconfig {config}, context west: false failed with status 1; run it by hand"
            )

    plugin = {"exec": {"apiVersion": "client.authentication.k8s.io/v1", "command": "false"}}
    api = FakeApiServer()
    api.port = 9  # discard: nobody asks before the plugin has run
    api.kubeconfig(config)
    text = json.dumps(plugin)
    config.write_text(config.read_text().replace("token: good", text[1:-1]))
    with asyncio.Runner(loop_factory=FastLoop) as runner:
        runner.run(play())


UNUSABLE: dict[str, tuple[ApiServerSource, str, str]] = {
    "outside of a pod": (InClusterSource("home"), "the pod's own cluster", "no service account here ("),
    "without kubeconfig": (KubeconfigSource((Path("/none"),)), "kubeconfig /none", "no kubeconfig at /none"),
}


@pytest.mark.parametrize("case", UNUSABLE)
def test_a_source_that_cannot_be_used_says_so(case: str) -> None:
    """The reason is a problem of the source, and it is tried again: a file may be mounted later."""
    source, title, reason = UNUSABLE[case]

    async def play() -> None:
        sink = RecordingSink()
        async with asyncio.TaskGroup() as group:
            work = apiservers.watch_api_servers(
                source=source, sink=sink, draw=lambda: 0.5, registry=ClusterRegistry(), environment={}
            )
            task = group.create_task(work, name="source")
            await sink.wait_until(lambda: sink.problems_by_source.get(title), seconds=LONG)
            task.cancel()
        assert reason in sink.problems_by_source[title][0]
        assert sink.clusters == {}

    with asyncio.Runner(loop_factory=FastLoop) as runner:
        runner.run(play())
