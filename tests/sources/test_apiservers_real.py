"""Real API servers with Istio's own CRDs: what they hold is listed, what changes is reported, what stops comes back."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from meshdns.mesh.objects.declarations import ObjectKind
from meshdns.sources import apiservers
from meshdns.sources.kube.resources import RESOURCES
from meshdns.sources.registry import ClusterRegistry
from meshdns.sources.settings import KubeconfigSource
from tests.rig.apiserver import ApiServer
from tests.sources.real_clusters import ENDS_CLIENTS
from tests.sources.recording_sink import RecordingSink

pytestmark = ENDS_CLIENTS

ISTIO = "networking.istio.io/v1"
ENTRIES = "/apis/networking.istio.io/v1/namespaces/default/serviceentries"


def entry(name: str) -> dict[str, Any]:
    """A ServiceEntry for <name>.global."""
    spec = {"hosts": [f"{name}.global"], "resolution": "DNS", "ports": [{"number": 80, "name": "http"}]}
    return {"apiVersion": ISTIO, "kind": "ServiceEntry", "metadata": {"name": name}, "spec": spec}


DISPENSABLE = {ObjectKind.GATEWAY, ObjectKind.ISTIO_GATEWAY, ObjectKind.NODE}

OTHERS: list[dict[str, Any]] = [
    {"apiVersion": ISTIO, "kind": "WorkloadEntry", "metadata": {"name": "vm"}, "spec": {"address": "10.128.0.7"}},
    {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "shop"}, "spec": {"ports": [{"port": 80}]}},
    {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "boutique"}},
    {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {"name": "shop-1", "labels": {"kubernetes.io/service-name": "shop"}},
        "addressType": "IPv4",
        "endpoints": [{"addresses": ["10.1.0.1"]}],
        "ports": [{"port": 80}],
    },
]


@asynccontextmanager
async def following(*paths: Path, contexts: tuple[str, ...] = ()) -> AsyncIterator[RecordingSink]:
    """The source at work on these kubeconfigs, without waits."""
    sink = RecordingSink()
    async with asyncio.TaskGroup() as group:
        source = KubeconfigSource(paths, contexts)
        task = group.create_task(
            apiservers.watch_api_servers(source=source, sink=sink, draw=lambda: 0.0, registry=ClusterRegistry()),
            name="kubeapi",
        )
        await sink.wait_until(lambda: sink.clusters)
        yield sink
        task.cancel()


async def synced(sink: RecordingSink, cluster: str) -> None:
    """Wait until every kind of the cluster was listed."""
    await sink.wait_until(lambda: sink.clusters[cluster].synced == set(RESOURCES), seconds=60)


def test_all_kinds_are_listed_and_watched(east: ApiServer, tmp_path: Path) -> None:
    """What is there before is listed, what comes, changes and goes later is reported, of every kind that names need."""
    east.apply(entry("before"))

    async def play() -> None:
        async with following(east.write_kubeconfig(tmp_path / "east")) as sink:
            await synced(sink, "east")
            known = sink.clusters["east"]
            assert known.hosts == ["before.global"]
            assert (ObjectKind.SERVICE, "default", "kubernetes") in known.declarations
            assert (ObjectKind.NAMESPACE, "", "kube-system") in known.declarations
            for manifest in OTHERS:
                key = (ObjectKind(manifest["kind"]), "" if manifest["kind"] == "Namespace" else "default")
                wanted = (*key, manifest["metadata"]["name"])
                await asyncio.to_thread(east.apply, manifest)
                await sink.wait_until(lambda wanted=wanted: wanted in known.declarations)  # type: ignore[misc]
            await asyncio.to_thread(east.apply, entry("later"))
            await sink.wait_until(lambda: known.hosts == ["before.global", "later.global"])
            await asyncio.to_thread(east.remove, entry("before"))
            await sink.wait_until(lambda: known.hosts == ["later.global"])
            assert known.failures == []

    asyncio.run(play())


def test_a_posted_service_entry_reaches_the_sink_at_once(east: ApiServer, tmp_path: Path) -> None:
    """Of thirty entries posted one after the other, half are reported within 100 ms of the POST's return."""

    async def play() -> list[float]:
        delays = []
        async with following(east.write_kubeconfig(tmp_path / "east")) as sink:
            await synced(sink, "east")
            clock = asyncio.get_running_loop().time
            for number in range(30):
                await asyncio.to_thread(east.post, ENTRIES, entry(f"e{number}"))
                posted = clock()
                host = f"e{number}.global"
                await sink.wait_until(lambda host=host: host in sink.hosts("east"))  # type: ignore[misc]
                delays.append(clock() - posted)
        return sorted(delays)

    assert asyncio.run(play())[15] < 0.1


def test_a_stopped_server_disturbs_no_other_and_recovers(east: ApiServer, west: ApiServer, tmp_path: Path) -> None:
    """While west is down its objects stay and east goes on; when it is back, its changes arrive again."""
    west.apply(entry("old"))
    paths = (east.write_kubeconfig(tmp_path / "east"), west.write_kubeconfig(tmp_path / "west"))

    async def play() -> None:
        async with following(*paths, contexts=("east", "west")) as sink:
            await synced(sink, "east")
            await synced(sink, "west")
            await asyncio.to_thread(west.stop)
            await sink.wait_until(lambda: sink.clusters["west"].failures)
            await asyncio.to_thread(east.apply, entry("meanwhile"))
            await sink.wait_until(lambda: sink.hosts("east") == ["meanwhile.global"])
            assert sink.hosts("west") == ["old.global"]
            assert sink.clusters["east"].failures == []
            await asyncio.to_thread(west.start)  # the loop's threads live, and the server with them, until the end
            await asyncio.to_thread(west.apply, entry("new"))
            await sink.wait_until(lambda: sink.hosts("west") == ["new.global", "old.global"], seconds=60)
        await asyncio.to_thread(west.stop)

    asyncio.run(play())


def test_a_missing_right_is_named_and_costs_its_kind_alone(east: ApiServer, tmp_path: Path) -> None:
    """A service account that may read Services only gets those, and reasons; what it can do without counts as read."""
    account = {"kind": "ServiceAccount", "name": "reader", "namespace": "default"}
    role = {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": {"name": "services"}}
    east.apply({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "reader"}})
    east.apply(role | {"rules": [{"apiGroups": [""], "resources": ["services"], "verbs": ["list", "watch"]}]})
    east.apply(
        role
        | {
            "kind": "ClusterRoleBinding",
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "services"},
            "subjects": [account],
        }
    )
    request = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}}
    token = east.post("/api/v1/namespaces/default/serviceaccounts/reader/token", request)["status"]["token"]
    config = east.write_kubeconfig(tmp_path / "east")
    config.write_text(config.read_text().replace("rig-admin", token))

    async def play() -> None:
        async with following(config) as sink:
            known = sink.clusters["east"]
            await sink.wait_until(
                lambda: len(known.failures) == len(RESOURCES) - 1 and ObjectKind.SERVICE in known.synced
            )
            assert known.synced == {ObjectKind.SERVICE, *DISPENSABLE}
            assert (
                'serviceentries.networking.istio.io is forbidden: User "system:serviceaccount:default:reader" cannot '
                'list resource "serviceentries" in API group "networking.istio.io" at the cluster scope; grant the '
                'verbs list and watch on serviceentries in API group "networking.istio.io" by a ClusterRole'
            ) in known.failures

    asyncio.run(play())
