"""Credentials that are revoked, rotated and edited, and clusters that are replaced, against real API servers."""

import asyncio
import base64
import json
import os
import signal
from pathlib import Path

from meshdns.mesh.objects.declarations import ObjectKind
from meshdns.sources.settings import KubeconfigSource
from meshdns.sources.sink import ClusterIdentified, ClusterRemoved, KindListed, SourceEvent
from tests.rig.apiserver import TOKEN, ApiServer
from tests.sources.real_clusters import (
    ENDS_CLIENTS,
    NAMESPACE,
    entry,
    grant_read_rights,
    kubeconfig,
    running_sources,
    token,
    wait_until_synced,
)
from tests.sources.recording_sink import RecordingSink
from tests.sources.tcp_proxy import TcpProxy

pytestmark = ENDS_CLIENTS

ACCOUNT = {
    "apiVersion": "v1",
    "kind": "ServiceAccount",
    "metadata": {"name": "meshdns-reader", "namespace": NAMESPACE},
}


def gaps(sink: RecordingSink, cluster: str) -> list[SourceEvent]:
    """What would have taken a cluster's names away."""
    gap = (ClusterRemoved(cluster), KindListed(cluster, ObjectKind.SERVICE_ENTRY, ()))
    return [event for event in sink.events if event in gap]


def test_a_revoked_token_is_named_and_the_next_projected_one_is_used(east: ApiServer, tmp_path: Path) -> None:
    """While it is refused the names stay; the kubelet's swap of the folder behind ``..data`` needs no new client."""
    east.apply(entry("shop"))
    (tmp_path / "token").symlink_to("..data/token")
    project(tmp_path, "one", grant_read_rights(east))
    (tmp_path / "config").write_text(kubeconfig(east, "east", {"tokenFile": "token"}))

    async def play() -> None:
        async with running_sources(KubeconfigSource((tmp_path / "config",))) as sink:
            await wait_until_synced(sink, "east")
            east.remove(ACCOUNT)
            os.kill(east.pid, signal.SIGKILL)
            east.stop()  # watches outlive their token, and a server remembers for 10 s which ones were good
            east.start()  # in this thread, with which the server would end
            failures = sink.clusters["east"].failures
            await sink.wait_until(lambda: any("renew the token or certificate" in reason for reason in failures))
            assert sink.hosts("east") == ["shop.global"]
            east.apply(ACCOUNT)
            east.apply(entry("cart"))
            project(tmp_path, "two", token(east))
            await sink.wait_until(lambda: sink.hosts("east") == ["cart.global", "shop.global"])
            assert gaps(sink, "east") == []
            assert sink.added("east") == 1

    asyncio.run(play())


def project(volume: Path, name: str, text: str) -> None:
    """Give a projected volume another token, as the kubelet does."""
    (volume / name).mkdir()
    (volume / name / "token").write_text(text)
    (volume / "..next").symlink_to(name)
    (volume / "..next").rename(volume / "..data")


def test_a_kubeconfig_that_is_edited_is_swapped_without_a_gap(east: ApiServer, tmp_path: Path) -> None:
    """To bad and the old client goes on, with a problem; to good and the new one takes over when it has read all."""
    east.apply(entry("shop"))
    config = tmp_path / "config"
    config.write_text(kubeconfig(east, "east", {"token": TOKEN}))
    title = f"kubeconfig {config}"

    async def play() -> None:
        async with running_sources(KubeconfigSource((config,))) as sink:
            await wait_until_synced(sink, "east")
            config.write_text(kubeconfig(east, "east", {"token": "wrong"}))
            await sink.wait_until(
                lambda: any("is not served yet" in each for each in sink.problems_by_source.get(title, []))
            )
            await asyncio.to_thread(east.apply, entry("cart"))
            await sink.wait_until(lambda: sink.hosts("east") == ["cart.global", "shop.global"])
            lists = sink.list_sizes("east", ObjectKind.SERVICE_ENTRY).count(2)
            config.write_text(kubeconfig(east, "east", {"token": await asyncio.to_thread(grant_read_rights, east)}))
            await sink.wait_until(lambda: sink.list_sizes("east", ObjectKind.SERVICE_ENTRY).count(2) == lists + 1)
            await sink.wait_until(lambda: sink.problems_by_source[title] == [])
            await asyncio.to_thread(east.apply, entry("till"))
            await sink.wait_until(lambda: len(sink.hosts("east")) == 3)
            assert gaps(sink, "east") == []

    asyncio.run(play())


def test_another_cluster_behind_the_same_kubeconfig_is_a_new_one(
    east: ApiServer, west: ApiServer, tmp_path: Path
) -> None:
    """Its names take the place of the old ones in one turn, once all of them were read; its identity is told before."""
    east.apply(entry("old"))
    west.apply(entry("new"))
    both = base64.b64encode(east.certificate.read_bytes() + west.certificate.read_bytes()).decode()

    async def play() -> None:
        async with TcpProxy((east.address, east.port)).running() as detour:
            made = json.loads(kubeconfig(east, "shop", {"token": TOKEN}, detour.url))
            made["clusters"][0]["cluster"]["certificate-authority-data"] = both
            (tmp_path / "config").write_text(json.dumps(made))
            async with running_sources(KubeconfigSource((tmp_path / "config",))) as sink:
                await wait_until_synced(sink, "shop")
                before = sink.clusters["shop"].uid
                assert before
                detour.switch_target((west.address, west.port))
                await sink.wait_until(lambda: sink.hosts("shop") == ["new.global"])
                assert sink.clusters["shop"].uid not in ("", before)
                assert any("another cluster answers at" in reason for reason in sink.clusters["shop"].failures)
                assert gaps(sink, "shop") == []
                swap = sink.events.index(ClusterIdentified("shop", sink.clusters["shop"].uid))
                lists = sink.events[swap + 1 : swap + 9]
                assert all(isinstance(event, KindListed) and event.cluster == "shop" for event in lists)

    asyncio.run(play())


def test_one_cluster_under_two_names_is_served_under_the_first(east: ApiServer, tmp_path: Path) -> None:
    """Of two contexts for one cluster the second is given up, with a problem that names both, and comes back alone."""
    east.apply(entry("shop"))
    for name in ("a", "b"):
        (tmp_path / name).write_text(kubeconfig(east, name, {"token": TOKEN}))
    title = f"kubeconfig {tmp_path}"

    async def play() -> None:
        async with running_sources(KubeconfigSource((tmp_path,))) as sink:
            await sink.wait_until(lambda: sink.problems_by_source.get(title))
            assert sink.problems_by_source[title] == [
                "cluster b: is the same cluster as a, by the UID of kube-system, and served as that; remove b or a"
            ]
            await sink.wait_until(lambda: list(sink.clusters) == ["a"] and sink.hosts("a") == ["shop.global"])
            (tmp_path / "a").unlink()
            await wait_until_synced(sink, "b")
            assert list(sink.clusters) == ["b"]
            assert sink.hosts("b") == ["shop.global"]
            await sink.wait_until(lambda: sink.problems_by_source[title] == [])

    asyncio.run(play())
