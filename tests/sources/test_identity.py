"""Which cluster is believed to be which: servers that are swapped, and servers that say they are another."""

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

from aiohttp import web

from meshdns.controller.cluster_state import ClusterTracker
from meshdns.controller.ingest import Ingest
from meshdns.controller.mass_delete_guard import MassDeleteGuard
from meshdns.mesh.objects.declarations import ServiceEntry
from meshdns.sources import apiservers
from meshdns.sources.apiservers import ApiServerSource
from meshdns.sources.kube.resources import RESOURCES
from meshdns.sources.registry import ClusterRegistry
from meshdns.sources.settings import KubeconfigSource, RemoteSecretsSource
from meshdns.sources.sink import ClusterRemoved, KindListed, SourceEvent
from tests.controller.test_ingest import FakeStore
from tests.sources.fake_api_server import ENTRIES, FakeApiServer, FastLoop
from tests.sources.recording_sink import RecordingSink

LONG = 2000.0  # seconds of the fast loop: 40 s by the wall
NAMESPACES = "/api/v1/namespaces"
SECRETS = "/api/v1/namespaces/meshdns/secrets"


def entry(name: str) -> dict[str, Any]:
    """A ServiceEntry for <name>.global."""
    return {
        "metadata": {"name": name, "namespace": "shop", "resourceVersion": "5"},
        "spec": {"hosts": [f"{name}.global"]},
    }


def become(api: FakeApiServer, uid: str, *names: str) -> None:
    """Have a server be the cluster with that UID and these ServiceEntries from now on."""
    api.objects[NAMESPACES] = [{"metadata": {"name": "kube-system", "uid": uid, "resourceVersion": "5"}}]
    api.objects[ENTRIES] = [entry(name) for name in names]


def remote_secret(name: str, created: str, **servers: FakeApiServer) -> dict[str, Any]:
    """A remote secret with a kubeconfig for each of these servers."""
    data = {}
    for cluster, api in servers.items():
        config = {
            "clusters": [{"name": cluster, "cluster": {"server": f"http://127.0.0.1:{api.port}"}}],
            "users": [{"name": cluster, "user": {"token": "good"}}],
            "contexts": [{"name": cluster, "context": {"cluster": cluster, "user": cluster}}],
            "current-context": cluster,
        }
        data[cluster] = base64.b64encode(json.dumps(config).encode()).decode()
    return {"metadata": {"name": name, "creationTimestamp": created}, "data": data}


class GuardedSink(RecordingSink):
    """A sink with an intake behind it; `mixed` are the moments at which names of two clusters were served together."""

    def __init__(self) -> None:
        super().__init__()
        self.store = FakeStore()
        self.mixed: list[set[str]] = []
        self._loop = asyncio.get_running_loop()
        tracker = ClusterTracker(own="", required=(), started=self._loop.time())
        self._ingest = Ingest(self.store, tracker, MassDeleteGuard({}))

    def report(self, event: SourceEvent) -> float:
        """Record it, and apply it as a controller does."""
        super().report(event)
        again = self._ingest.apply(event, self._loop.time()).relist_after
        if isinstance(event, KindListed) and len(self.served) > 1:
            self.mixed.append(self.served)
        return again

    @property
    def served(self) -> set[str]:
        """The first letters of what is served."""
        return {value.name[0] for value in self.store.clusters["west"].values() if isinstance(value, ServiceEntry)}


class SinkWithPast(RecordingSink):
    """A sink that knows west from an earlier process; the first it hears is that this goes at once."""

    def report(self, event: SourceEvent) -> float:
        """Record it, but for that first event."""
        if self.events:
            return super().report(event)
        assert event == ClusterRemoved("west", at_once=True)
        self.events.append(event)
        return 0.0


Steps = Callable[["Scene"], Awaitable[None]]


class Scene:
    """Three servers, a sink, and the sources that the test starts."""

    def __init__(self, folder: Path, group: asyncio.TaskGroup) -> None:
        self.home, self.right, self.rogue = FakeApiServer(), FakeApiServer(), FakeApiServer()
        self.sink = RecordingSink()
        self._folder = folder
        self._group = group
        self._tasks: list[asyncio.Task[None]] = []

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[None]:
        """The servers at work; the sources end with them."""
        async with AsyncExitStack() as stack:
            for api in (self.home, self.right, self.rogue):
                await api.start()
                stack.push_async_callback(api.stop)
            yield
            for task in self._tasks:
                task.cancel()

    def config(self, name: str, api: FakeApiServer) -> KubeconfigSource:
        """A source of one cluster of that name."""
        return KubeconfigSource((api.kubeconfig(self._folder / name, name),))

    def secrets(self) -> RemoteSecretsSource:
        """A source of the remote secrets of the server `home`."""
        return RemoteSecretsSource("meshdns", self.config("home", self.home))

    def start(
        self,
        *sources: ApiServerSource,
        believed: Mapping[str, str] | None = None,
        remembered: Mapping[str, str] | None = None,
    ) -> None:
        """Run these sources, ranked as they come."""
        registry = ClusterRegistry(believed=believed, remembered=remembered)
        for rank, source in enumerate(sources):
            work = apiservers.watch_api_servers(
                source=source, sink=self.sink, draw=lambda: 0.0, registry=registry, rank=rank
            )
            self._tasks.append(self._group.create_task(work, name="source"))

    async def synced(self, cluster: str) -> None:
        """Wait until all of a cluster is listed."""
        await self.sink.wait_until(
            lambda: cluster in self.sink.clusters and self.sink.clusters[cluster].synced == set(RESOURCES), seconds=LONG
        )

    async def problem(self, *words: str) -> None:
        """Wait until a problem of any source has these words."""
        await self.sink.wait_until(lambda: any(all(w in text for w in words) for text in self.problems), seconds=LONG)

    @property
    def problems(self) -> list[str]:
        """The problems of all sources."""
        return [text for texts in self.sink.problems_by_source.values() for text in texts]

    @property
    def listed(self) -> set[str]:
        """The clusters of which a list was ever reported."""
        return {event.cluster for event in self.sink.events if isinstance(event, KindListed)}


def play(folder: Path, steps: Steps) -> None:
    """Run a test's steps."""

    async def work() -> None:
        async with asyncio.TaskGroup() as group:
            scene = Scene(folder, group)
            async with scene.listening():
                await steps(scene)

    with asyncio.Runner(loop_factory=FastLoop) as runner:
        runner.run(work())


# ---------------------------------------------------------------------------------------------- swapped servers


async def watched(api: FakeApiServer) -> None:
    """Wait until all kinds are watched."""
    while len(api.watches) < len(RESOURCES):
        api.opened.clear()
        await asyncio.wait_for(api.opened.wait(), LONG)


async def swap(scene: Scene, uid: str, *names: str) -> None:
    """Let another cluster answer, and end all watches as its start does."""
    await watched(scene.right)
    become(scene.right, uid, *names)
    for path in list(scene.right.watches):
        scene.right.abort_watches(path)


def test_a_swapped_cluster_and_its_return_are_served_at_once_and_never_side_by_side(tmp_path: Path) -> None:
    """A hundred names give way to fifty and come back, without a minute in which the guard keeps the other's."""

    async def steps(scene: Scene) -> None:
        sink = scene.sink = GuardedSink()
        become(scene.right, "uid-a", *(f"a{n}" for n in range(100)))
        scene.start(scene.config("west", scene.right))
        await scene.synced("west")
        for uid, letter, count in (("uid-b", "b", 50), ("uid-a", "a", 100)):
            await swap(scene, uid, *(f"{letter}{n}" for n in range(count)))
            await sink.wait_until(lambda letter=letter: sink.served == {letter}, seconds=LONG)  # type: ignore[misc]
        assert sink.mixed == []

    play(tmp_path, steps)


def test_a_list_during_which_the_cluster_was_swapped_does_not_count(tmp_path: Path) -> None:
    """The one that answered at its beginning is not the one that answers at its end."""

    async def steps(scene: Scene) -> None:
        async def swapped(_: web.Request) -> web.StreamResponse:
            await asyncio.sleep(5)
            become(scene.right, "uid-b", "b")
            return web.json_response({"metadata": {"resourceVersion": "5"}, "items": [entry("b")]})

        become(scene.right, "uid-a", "a")
        scene.right.scripted_replies[ENTRIES].append(swapped)
        scene.start(scene.config("west", scene.right))
        await scene.sink.wait_until(lambda: scene.sink.hosts("west") == ["b.global"], seconds=LONG)
        assert scene.sink.clusters["west"].uid == "uid-b"

    play(tmp_path, steps)


def test_a_server_that_hides_its_identity_later_is_not_read_on(tmp_path: Path) -> None:
    """Its lists do not count while the namespaces are forbidden; what it said before stays."""

    async def steps(scene: Scene) -> None:
        async def forbidden(_: web.Request) -> web.StreamResponse:
            return web.json_response({"message": "namespaces is forbidden"}, status=403)

        become(scene.right, "uid-a", "a")
        scene.start(scene.config("west", scene.right))
        await scene.synced("west")
        await watched(scene.right)
        scene.right.scripted_replies[NAMESPACES] = [forbidden] * 1000
        become(scene.right, "uid-b", "b")
        for path in list(scene.right.watches):
            scene.right.abort_watches(path)
        west = scene.sink.clusters["west"]
        before = len(scene.right.requests)
        await scene.sink.wait_until(
            lambda: len([text for text in west.failures if "does not show any more which cluster" in text]) > 8,
            seconds=LONG,
        )
        assert {path.partition("?")[0] for path in scene.right.requests[before:]} == {NAMESPACES}
        assert west.hosts == ["a.global"]

    play(tmp_path, steps)


def test_an_identity_that_shows_late_has_all_read_anew(tmp_path: Path) -> None:
    """What was read before it was known may be another cluster's."""

    async def steps(scene: Scene) -> None:
        scene.right.objects[ENTRIES] = [entry("a")]
        scene.start(scene.config("west", scene.right))
        await scene.synced("west")
        await swap(scene, "uid-b", "b")
        await scene.sink.wait_until(lambda: scene.sink.hosts("west") == ["b.global"], seconds=LONG)
        assert scene.sink.clusters["west"].uid == "uid-b"

    play(tmp_path, steps)


# ---------------------------------------------------------------------------------------------- one UID, two servers


def test_a_secret_cannot_replace_a_cluster_of_the_settings(tmp_path: Path) -> None:
    """Though its source stands first; both have a problem, and nothing of the rogue is ever listed."""

    async def steps(scene: Scene) -> None:
        become(scene.right, "uid-a", "a")
        become(scene.rogue, "uid-a", "evil")
        scene.home.objects[SECRETS] = [remote_secret("s", "2020", rogue=scene.rogue)]
        scene.start(scene.secrets(), scene.config("right", scene.right))
        await scene.problem("cluster rogue", "same UID of kube-system as right", "nothing of this one is served")
        await scene.problem("cluster right", "same UID of kube-system as rogue", "this one is served")
        await scene.synced("right")
        await scene.sink.wait_until(lambda: len(scene.sink.clusters["rogue"].failures) > 8, seconds=LONG)
        assert scene.sink.hosts("right") == ["a.global"]
        assert scene.sink.hosts("rogue") == []

    play(tmp_path, steps)


def test_of_two_clusters_of_secrets_the_one_that_is_read_longer_is_kept(tmp_path: Path) -> None:
    """An older Secret does not help the other, nor a name that comes first."""

    async def steps(scene: Scene) -> None:
        become(scene.right, "uid-a", "a")
        become(scene.rogue, "uid-a", "evil")
        secrets = scene.home.objects[SECRETS] = [remote_secret("s", "2021", west=scene.right)]
        scene.start(scene.secrets())
        await scene.synced("west")
        secrets.append(remote_secret("r", "2020", a=scene.rogue))
        scene.home.abort_watches(SECRETS)
        await scene.problem("cluster a", "nothing of this one is served")
        await scene.problem("cluster west", "this one is served")
        assert scene.listed == {"west"}
        assert ClusterRemoved("west") not in scene.sink.events

    play(tmp_path, steps)


def test_of_two_clusters_of_secrets_the_one_that_an_earlier_process_served_is_kept(tmp_path: Path) -> None:
    """After a restart the rogue may be the quicker one."""

    async def steps(scene: Scene) -> None:
        become(scene.right, "uid-a", "a")
        become(scene.rogue, "uid-a", "evil")
        scene.home.objects[SECRETS] = [remote_secret("s", "2020", a=scene.rogue, west=scene.right)]
        scene.start(scene.secrets(), remembered={"west": "uid-a"})
        await scene.synced("west")
        await scene.problem("cluster a", "nothing of this one is served")
        assert scene.listed == {"west"}

    play(tmp_path, steps)


def test_the_settings_say_which_one_is_believed(tmp_path: Path) -> None:
    """It is served though it comes last, the other has the problem, and what was known of that goes at once."""

    async def steps(scene: Scene) -> None:
        become(scene.right, "uid-a", "a")
        become(scene.rogue, "uid-a", "evil")
        scene.home.objects[SECRETS] = [remote_secret("s", "2020", west=scene.right)]
        scene.start(scene.config("rogue", scene.rogue), scene.secrets(), believed={"west": "uid-a"})
        await scene.synced("west")
        await scene.problem("cluster rogue", "nothing of this one is served")
        assert scene.sink.hosts("west") == ["a.global"]
        assert scene.sink.hosts("rogue") == []
        assert not any(text.startswith("cluster west") for text in scene.problems)

    play(tmp_path, steps)


def test_a_server_with_another_uid_than_the_settings_give_is_not_read(tmp_path: Path) -> None:
    """What an earlier process knew of that one goes; once the right one answers it is read."""

    async def steps(scene: Scene) -> None:
        become(scene.right, "uid-b", "b")
        scene.sink = SinkWithPast()
        scene.start(scene.config("west", scene.right), believed={"west": "uid-a"}, remembered={"west": "uid-b"})
        await scene.sink.wait_until(lambda: "west" in scene.sink.clusters, seconds=LONG)
        west = scene.sink.clusters["west"]
        await scene.sink.wait_until(lambda: len(west.failures) > 8, seconds=LONG)
        assert "(kube-system uid-b) than clusters.<name>.uid says (uid-a)" in west.failures[0]
        assert scene.listed == set()
        become(scene.right, "uid-a", "a")
        await scene.sink.wait_until(lambda: scene.sink.hosts("west") == ["a.global"], seconds=LONG)

    play(tmp_path, steps)


def test_a_new_access_that_leads_to_another_cluster_takes_nothing_away(tmp_path: Path) -> None:
    """Both have the problem; the last known names stay, and the problem ends with the access."""

    async def steps(scene: Scene) -> None:
        become(scene.right, "uid-a", "a")
        become(scene.rogue, "uid-b", "b")
        become(scene.home, "uid-a", "evil")
        config = scene.config("west", scene.rogue)
        scene.start(scene.config("right", scene.right), config)
        await scene.synced("right")
        await scene.synced("west")
        scene.home.kubeconfig(config.paths[0], "west")
        await scene.problem(
            "cluster west", "its new kubeconfig is not served yet: it says that it is the cluster right"
        )
        await scene.problem("cluster right", "same UID of kube-system as west")
        assert scene.sink.hosts("west") == ["b.global"]
        scene.rogue.kubeconfig(config.paths[0], "west")
        await scene.sink.wait_until(lambda: not scene.problems, seconds=LONG)
        assert scene.sink.hosts("west") == ["b.global"]
        assert ClusterRemoved("west") not in scene.sink.events

    play(tmp_path, steps)


def test_a_rogue_that_becomes_itself_is_read(tmp_path: Path) -> None:
    """It is asked again who it is, and the conflict ends by itself."""

    async def steps(scene: Scene) -> None:
        become(scene.right, "uid-a", "a")
        become(scene.rogue, "uid-a", "evil")
        scene.start(scene.config("right", scene.right), scene.config("rogue", scene.rogue))
        await scene.synced("right")
        await scene.problem("cluster rogue", "nothing of this one is served")
        become(scene.rogue, "uid-b", "b")
        await scene.synced("rogue")
        await scene.sink.wait_until(lambda: not scene.problems, seconds=LONG)
        assert scene.sink.hosts("rogue") == ["b.global"]

    play(tmp_path, steps)


def test_a_cluster_that_turns_out_to_be_a_rogue_goes_at_once(tmp_path: Path) -> None:
    """The one of the settings came up later: what was served of the Secret's goes without grace."""

    async def steps(scene: Scene) -> None:
        become(scene.right, "uid-a", "a")
        become(scene.rogue, "uid-a", "evil")
        scene.home.objects[SECRETS] = [remote_secret("s", "2020", rogue=scene.rogue)]
        right = scene.config("right", scene.right)
        await scene.right.stop()
        scene.start(scene.secrets(), right)
        await scene.synced("rogue")
        await scene.right.start()
        await scene.synced("right")
        assert ClusterRemoved("rogue", at_once=True) in scene.sink.events
        assert scene.sink.hosts("rogue") == []

    play(tmp_path, steps)


def test_one_server_under_two_names_is_no_conflict(tmp_path: Path) -> None:
    """It is served under the first, with the problem of the second alone, as ever."""

    async def steps(scene: Scene) -> None:
        become(scene.right, "uid-a", "a")
        scene.start(scene.config("first", scene.right), scene.config("second", scene.right))
        await scene.synced("first")
        await scene.problem("cluster second", "is the same cluster as first")
        await scene.sink.wait_until(lambda: set(scene.sink.clusters) == {"first"}, seconds=LONG)
        assert len(scene.problems) == 1

    play(tmp_path, steps)
