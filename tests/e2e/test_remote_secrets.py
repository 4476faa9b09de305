"""Remote secrets in one cluster bring the names of others, against real API servers."""

import asyncio
import json
from pathlib import Path

from meshdns.sources.settings import KubeconfigSource, RemoteSecretsSource
from meshdns.sources.sink import ClusterRemoved, SourceListed
from tests.e2e.instance import Instance
from tests.rig.apiserver import TOKEN, ApiServer
from tests.rig.waiting import eventually
from tests.sources.real_clusters import (
    ENDS_CLIENTS,
    NAMESPACE,
    entry,
    grant_read_rights,
    kubeconfig,
    remote_secret,
    running_sources,
    wait_until_synced,
)
from tests.sources.recording_sink import RecordingSink

pytestmark = ENDS_CLIENTS

TITLE = f"remote secrets of namespace {NAMESPACE}"
DEAD = {"clusters": [{"name": "x", "cluster": {"server": "https://127.0.0.1:9"}}]}


def secrets_of(server: ApiServer, folder: Path, own: str = "") -> RemoteSecretsSource:
    """The remote secrets in `server`."""
    server.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}})
    return RemoteSecretsSource(NAMESPACE, KubeconfigSource((server.write_kubeconfig(folder / "config"),)), own)


def said(sink: RecordingSink, words: str) -> bool:
    """Whether a problem of the source says so."""
    return any(words in each for each in sink.problems_by_source.get(TITLE, []))


def test_a_secret_brings_its_clusters_and_takes_them_along(east: ApiServer, west: ApiServer, tmp_path: Path) -> None:
    """Two keys are two clusters; a key that is removed takes its cluster, a Secret that is deleted the rest."""
    west.apply(entry("shop"))
    source = secrets_of(east, tmp_path)
    good = kubeconfig(west, "west", {"token": TOKEN})

    async def play() -> None:
        async with running_sources(source) as sink:
            await sink.wait_until(lambda: SourceListed(TITLE) in sink.events)
            await asyncio.to_thread(east.apply, remote_secret("both", west=good, dead=json.dumps(DEAD)))
            await wait_until_synced(sink, "west")
            assert sink.hosts("west") == ["shop.global"]
            assert sink.clusters["west"].source == f"Secret {NAMESPACE}/both, key west"
            assert set(sink.clusters) == {"west", "dead"}
            east_secret = remote_secret("both", west=good)
            await asyncio.to_thread(east.put, f"/api/v1/namespaces/{NAMESPACE}/secrets/both", east_secret)
            await sink.wait_until(lambda: set(sink.clusters) == {"west"})
            await asyncio.to_thread(east.remove, east_secret)
            await sink.wait_until(lambda: not sink.clusters)
            assert sink.added("west") == 1

    asyncio.run(play())


def test_one_bad_key_harms_only_itself(east: ApiServer, west: ApiServer, tmp_path: Path) -> None:
    """What is refused is named with the Secret and the key, the other key is read, and so is the mended one."""
    source = secrets_of(east, tmp_path)
    good = kubeconfig(west, "west", {"token": TOKEN})
    hostile = kubeconfig(west, "north", {"exec": {"command": "touch", "args": [str(tmp_path / "pwned")]}})
    east.apply(remote_secret("mixed", west=good, north=hostile, south="[" * 100_000))

    async def play() -> None:
        async with running_sources(source) as sink:
            await wait_until_synced(sink, "west")
            await sink.wait_until(lambda: len(sink.problems_by_source.get(TITLE, [])) == 2)
            assert said(sink, f"Secret mixed: Secret {NAMESPACE}/mixed, key north: exec is refused in a kubeconfig")
            assert said(sink, f"Secret {NAMESPACE}/mixed, key south:1: nested more than 64 deep; correct the Secret")
            assert set(sink.clusters) == {"west"}

    asyncio.run(play())
    assert not (tmp_path / "pwned").exists()


def test_the_first_registration_of_a_name_wins_and_the_own_cluster_is_passed_over(
    east: ApiServer, west: ApiServer, tmp_path: Path
) -> None:
    """A second Secret for west is a problem that names both, and takes over when the first one goes."""
    source = secrets_of(east, tmp_path, own="home")
    home = kubeconfig(east, "home", {"token": TOKEN})
    east.apply(remote_secret("first", west=kubeconfig(west, "west", {"token": TOKEN}), home=home))

    async def play() -> None:
        async with running_sources(source) as sink:
            await wait_until_synced(sink, "west")
            other = remote_secret("another", west=json.dumps(DEAD))
            await asyncio.to_thread(east.apply, other)
            await sink.wait_until(
                lambda: said(sink, "Secret another: names the cluster west, which is read by the Secret")
            )
            assert sink.clusters["west"].source.endswith("first, key west")
            assert set(sink.clusters) == {"west"}
            await asyncio.to_thread(east.remove, remote_secret("first"))
            await sink.wait_until(lambda: said(sink, "its new kubeconfig is not served yet"))
            assert sink.problems_by_source[TITLE][0].startswith("cluster west: ")

    asyncio.run(play())


def test_the_own_cluster_is_known_by_its_uid_whatever_its_name(east: ApiServer, tmp_path: Path) -> None:
    """Every cluster of a mesh may hold the same Secrets: the own one under another name is no problem."""
    source = secrets_of(east, tmp_path, own="east")
    east.apply(remote_secret("all", cluster1=kubeconfig(east, "cluster1", {"token": TOKEN})))
    own = KubeconfigSource((tmp_path / "config",))

    async def play() -> None:
        async with running_sources(source, own, own="east") as sink:
            await wait_until_synced(sink, "east")
            await sink.wait_until(lambda: ClusterRemoved("cluster1") in sink.events)
            assert set(sink.clusters) == {"east"}
            assert sink.problems_by_source.get(TITLE, []) == []

    asyncio.run(play())


def test_names_are_served_while_a_secret_is_rotated(east: ApiServer, west: ApiServer, tmp_path: Path) -> None:
    """A running server answers at every moment: with the first token, a wrong one, and another good one."""
    secrets_of(east, tmp_path)
    spec = {**entry("shop")["spec"], "location": "MESH_INTERNAL", "endpoints": [{"address": "192.0.2.7"}]}
    west.apply({**entry("shop"), "spec": {**spec, "resolution": "STATIC"}})
    first, second = grant_read_rights(west), TOKEN
    east.apply(remote_secret("west", west=kubeconfig(west, "west", {"token": first})))
    settings = {
        "sources": [{"kind": "remoteSecrets", "namespace": NAMESPACE, "path": str(tmp_path / "config")}],
        "clusters": {"west": {"gateways": ["203.0.113.7"]}},
    }
    with Instance(settings) as instance:
        eventually(lambda: instance.addresses("shop.global") == ["192.0.2.7"], what="west is read")
        for token, words in (("wrong", "is not served yet"), (second, "is served by its new client")):
            east.apply(remote_secret("west", west=kubeconfig(west, "west", {"token": token})))
            eventually(lambda words=words: served(instance) and words in instance.log(), what=words, within=20)  # type: ignore[misc]
        assert served(instance)


def served(instance: Instance) -> bool:
    """True; fails where the name is not answered."""
    assert instance.addresses("shop.global") == ["192.0.2.7"]
    return True
