"""A fault of this program that one thing brings about costs that thing: each border, with an exception thrown inside.

The exception is one that no code foresees; what is behind another border goes on, and the thing itself is tried again.
"""

import asyncio
import base64
import json
import threading
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

import msgspec
import pytest

from meshdns.mesh.objects import parse
from meshdns.mesh.objects.declarations import ObjectKind, UnreadableObject
from meshdns.mesh.objects.raw import RawObject
from meshdns.sources import cluster_reader, cluster_set, kubeconfig_files, remote_secrets
from meshdns.sources.auth.kubeconfig import ClientConfig, parse_kubeconfig
from meshdns.sources.cluster_reader import ClusterReader, SourceContext
from meshdns.sources.cluster_set import ClusterSet
from meshdns.sources.folder import files
from meshdns.sources.folder import source as folder_source
from meshdns.sources.kube.client import ApiConnection
from meshdns.sources.manifest_text import read_manifests
from meshdns.sources.read_limits import create_read_limits
from meshdns.sources.registry import ClusterRegistry
from meshdns.sources.settings import KubeconfigSource, ManifestsSource
from meshdns.sources.sink import SourceProblems
from tests.sources.fake_api_server import FastLoop
from tests.sources.real_clusters import running_sources
from tests.sources.recording_sink import RecordingSink

LONG = 2000.0  # seconds of the fast loop: 40 s by the wall


P = ParamSpec("P")
T = TypeVar("T")


class UnforeseenError(Exception):
    """Foreseen nowhere."""


def play(work: Callable[[], Awaitable[None]]) -> None:
    """Run on the fast loop."""

    async def run() -> None:
        await work()

    with asyncio.Runner(loop_factory=FastLoop) as runner:
        runner.run(run())


def failing(genuine: Callable[P, T], when: Callable[..., bool]) -> Callable[P, T]:
    """The function, but for arguments by which it raises."""

    def wrapped(*args: P.args, **kwargs: P.kwargs) -> T:
        if when(*args, **kwargs):
            raise UnforeseenError("boom")
        return genuine(*args, **kwargs)

    return wrapped


def entry(name: str) -> str:
    """A ServiceEntry for <name>.global."""
    return f"{{kind: ServiceEntry, metadata: {{name: {name}}}, spec: {{hosts: [{name}.global]}}}}\n"


def kubeconfig(*names: str) -> str:
    """A kubeconfig of contexts that nobody answers."""
    clusters = ", ".join(f"{{name: {name}, cluster: {{server: 'https://127.0.0.1:9'}}}}" for name in names)
    contexts = ", ".join(f"{{name: {name}, context: {{cluster: {name}}}}}" for name in names)
    return f"clusters: [{clusters}]\ncontexts: [{contexts}]\ncurrent-context: {names[0]}\n"


def test_an_object(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its reader: the object is unreadable, with a problem."""
    reader = parse._READERS[ObjectKind.NODE]
    monkeypatch.setitem(parse._READERS, ObjectKind.NODE, failing(reader, lambda raw: raw.name == "bad"))
    bad = parse.parse_object(ObjectKind.NODE, {"metadata": {"name": "bad"}})
    assert isinstance(bad, UnreadableObject)
    assert bad.problems[0].reason == "cannot be read: UnforeseenError (boom)"
    assert not isinstance(parse.parse_object(ObjectKind.NODE, {"metadata": {"name": "good"}}), UnreadableObject)


def test_a_file_of_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its documents: the file keeps what it gave, with a problem."""
    path = tmp_path / "a.yaml"
    path.write_text(entry("a"))
    good = files.read_file(path, files.FileContent())
    monkeypatch.setattr(files, "read_manifests", failing(read_manifests, lambda _: True))
    content = files.read_file(path, good)
    assert content.declarations == good.declarations
    assert [problem.reason for problem in content.problems] == [
        "cannot be read: UnforeseenError (boom); its last good content is served on"
    ]


def test_a_cluster_of_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its merging: the cluster has a failure, the others are read, and it is read once the fault is over."""
    for name in ("bad", "good"):
        (tmp_path / name).mkdir()
        (tmp_path / name / f"{name}.yaml").write_text(entry(name))
    faulty = [True]
    merge = failing(files.merge_files, lambda found: faulty[0] and "bad.yaml" in found)
    monkeypatch.setattr(folder_source, "merge_files", merge)

    async def work() -> None:
        sink = RecordingSink()
        async with asyncio.TaskGroup() as group:
            watch = folder_source.watch_folder(source=ManifestsSource(tmp_path), sink=sink)
            task = group.create_task(watch, name="manifests")
            await sink.wait_until(lambda: sink.hosts("good") and sink.clusters["bad"].failures, seconds=LONG)
            assert "cannot be read: UnforeseenError (boom); report this" in sink.clusters["bad"].failures[0]
            faulty[0] = False
            (tmp_path / "bad" / "b.yaml").write_text(entry("b"))
            await sink.wait_until(lambda: sink.hosts("bad") == ["b.global", "bad.global"], seconds=LONG)
            task.cancel()

    play(work)


def test_a_look_at_kubeconfigs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The look: a problem of the source, its clusters stay, and the next look follows."""
    path = tmp_path / "config"
    path.write_text(kubeconfig("west"))
    faulty = [False]
    stat = failing(kubeconfig_files._stat_paths, lambda _: faulty[0])
    monkeypatch.setattr(kubeconfig_files, "_stat_paths", stat)
    title = f"kubeconfig {path}"

    async def work() -> None:
        async with running_sources(KubeconfigSource((path,))) as sink:
            await sink.wait_until(lambda: "west" in sink.clusters, seconds=LONG)
            faulty[0] = True
            await sink.wait_until(lambda: sink.problems_by_source.get(title), seconds=LONG)
            assert "UnforeseenError (boom)" in sink.problems_by_source[title][0]
            assert list(sink.clusters) == ["west"]
            faulty[0] = False
            path.write_text(kubeconfig("west") + "# again\n")
            await sink.wait_until(lambda: sink.problems_by_source[title] == [], seconds=LONG)

    play(work)


def test_the_begin_of_a_cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its reader: a problem of the cluster, the others begin."""
    path = tmp_path / "config"
    path.write_text(kubeconfig("bad", "good"))
    reader = failing(ClusterReader, lambda name, *_: name == "bad")
    monkeypatch.setattr(cluster_set, "ClusterReader", reader)
    title = f"kubeconfig {path}"

    async def work() -> None:
        async with running_sources(KubeconfigSource((path,), ("bad", "good"))) as sink:
            await sink.wait_until(lambda: "good" in sink.clusters and sink.problems_by_source.get(title), seconds=LONG)
            assert "cluster bad: cannot be begun: UnforeseenError (boom)" in sink.problems_by_source[title][0]

    play(work)


def test_the_client_of_a_cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its connection: a failure of each kind, and it is tried again; the source and its other clusters go on."""
    path = tmp_path / "config"
    path.write_text(kubeconfig("bad", "good"))
    tries: list[str] = []

    def is_bad(client_config: ClientConfig, *_: object) -> bool:
        tries.append(client_config.title)
        return client_config.title.endswith("bad")

    monkeypatch.setattr(cluster_reader, "ApiConnection", failing(ApiConnection, is_bad))

    async def work() -> None:
        async with running_sources(KubeconfigSource((path,), ("bad", "good"))) as sink:
            await sink.wait_until(lambda: len([each for each in tries if each.endswith("bad")]) >= 2, seconds=LONG)
            await sink.wait_until(lambda: sink.clusters["good"].failures, seconds=LONG)
            assert set(sink.clusters["bad"].failures) == {"UnforeseenError (boom); report this with the log"}
            assert "UnforeseenError" not in sink.clusters["good"].failures[0]

    play(work)


def secret(**keys: str) -> msgspec.Raw:
    """A Secret."""
    data = {key: base64.b64encode(value.encode()).decode() for key, value in keys.items()}
    return msgspec.Raw(json.dumps({"metadata": {"name": "one"}, "data": data}).encode())


def test_a_key_of_a_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its kubeconfig: a problem of the Secret, the key stays as it was, the others are read."""
    read = remote_secrets.SecretKubeconfigs("istio-system", own="", max_clusters=10_000)
    guilty = failing(parse_kubeconfig, lambda text, *_, **__: "boom" in text)
    monkeypatch.setattr(remote_secrets, "parse_kubeconfig", guilty)
    read.apply_list([secret(bad=kubeconfig("boom"), good=kubeconfig("good"))])
    assert (set(read.client_configs), read.unreadable) == ({"good"}, {"bad"})
    assert "UnforeseenError (boom)" in read.problems[0].reason


def test_a_list_of_secrets() -> None:
    """The list: a problem of the source, and the next one follows after a wait."""
    tries = threading.Semaphore(0)

    def load() -> ClientConfig:
        tries.release()
        raise UnforeseenError("boom")

    async def work() -> None:
        sink = RecordingSink()
        async with asyncio.TaskGroup() as group:
            limits = create_read_limits("")
            context = SourceContext(sink, ClusterRegistry(), lambda: 0.0, group, limits)
            watch = remote_secrets.watch_remote_secrets(
                namespace="n",
                load_client_config=load,
                own="",
                cluster_set=ClusterSet("secrets", "", context),
                draw=lambda: 0.0,
                budget=limits.budget,
            )
            task = group.create_task(watch, name="secrets")
            await sink.wait_until(lambda: sink.problems_by_source.get("secrets"), seconds=LONG)
            assert "UnforeseenError (boom)" in sink.problems_by_source["secrets"][0]
            for _ in range(4):
                assert await asyncio.to_thread(tries.acquire, timeout=40)
            task.cancel()

    play(work)


def test_a_source_lists_a_bounded_number_of_problems() -> None:
    """All of them are written whenever one of them changes."""

    async def work() -> None:
        sink = RecordingSink()
        async with asyncio.TaskGroup() as group:
            context = SourceContext(sink, ClusterRegistry(), lambda: 0.0, group, create_read_limits(""))
            names: dict[str, Any] = {f"\n{at}": ClientConfig("t", "https://192.0.2.1") for at in range(1000)}
            ClusterSet("secrets", "", context).set_clusters(names, ())
            assert not sink.clusters
        (event,) = (event for event in sink.events if isinstance(event, SourceProblems))
        assert len(event.problems) == 201
        assert event.problems[-1].reason == "has more problems, not listed: 800"

    play(work)


def test_a_raw_object_of_anything() -> None:
    """Values that are no objects at all have no name, and nothing is raised."""
    values: tuple[object, ...] = (None, 7, "x", [], [[]], {"metadata": 7}, {"metadata": {"name": ["x"]}})
    for value in values:
        assert RawObject(ObjectKind.NODE, value, None).name == ""
        assert parse.parse_object(ObjectKind.NODE, value) is None
