"""Kubeconfigs are watched: what they name is read, and what cannot be read takes nothing away."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

from meshdns.sources.settings import KubeconfigSource
from meshdns.sources.sink import ClusterRemoved, SourceListed
from tests.sources.fake_api_server import FakeApiServer, FastLoop
from tests.sources.real_clusters import running_sources
from tests.sources.recording_sink import RecordingSink

LONG = 2000.0  # seconds of the fast loop: 40 s by the wall
Steps = Callable[[RecordingSink], Awaitable[None]]


def config(name: str) -> str:
    """A kubeconfig for a cluster of that name, which nobody answers for."""
    return f"clusters: [{{name: {name}, cluster: {{server: 'https://127.0.0.1:9'}}}}]\n"


def play(source: KubeconfigSource, steps: Steps) -> None:
    """The steps against the source at work."""

    async def work() -> None:
        async with running_sources(source) as sink:
            await steps(sink)

    with asyncio.Runner(loop_factory=FastLoop) as runner:
        runner.run(work())


def test_a_folders_files_are_clusters_that_come_and_go(tmp_path: Path) -> None:
    """One that is broken meanwhile stays what it was, with its reason; hidden files are not read."""
    (tmp_path / "one").write_text(config("east"))
    (tmp_path / ".two").write_text(config("hidden"))
    title = f"kubeconfig {tmp_path}"

    async def steps(sink: RecordingSink) -> None:
        await sink.wait_until(lambda: set(sink.clusters) == {"east"}, seconds=LONG)
        (tmp_path / "two").write_text(config("west"))
        await sink.wait_until(lambda: set(sink.clusters) == {"east", "west"}, seconds=LONG)
        (tmp_path / "two").write_text("clusters: [")
        await sink.wait_until(lambda: sink.problems_by_source.get(title), seconds=LONG)
        assert sink.problems_by_source[title][0].endswith("; correct the file")
        (tmp_path / "one").unlink()
        await sink.wait_until(lambda: set(sink.clusters) == {"west"}, seconds=LONG)
        (tmp_path / "two").unlink()
        await sink.wait_until(lambda: not sink.clusters, seconds=LONG)
        assert sink.added("west") == 1

    play(KubeconfigSource((tmp_path,)), steps)


def test_a_folder_without_files_is_a_problem_and_complete(tmp_path: Path) -> None:
    """What an earlier process knew of its clusters is gone with them; the first file ends the problem."""
    title = f"kubeconfig {tmp_path}"

    async def steps(sink: RecordingSink) -> None:
        await sink.wait_until(lambda: SourceListed(title) in sink.events, seconds=LONG)
        advice = "put kubeconfigs into it, each for one cluster, or remove the source"
        said = f"kubeconfig {tmp_path}: the folder holds no kubeconfig; {advice}"
        assert sink.problems_by_source[title] == [said]
        (tmp_path / "one").write_text(config("east"))
        await sink.wait_until(lambda: set(sink.clusters) == {"east"}, seconds=LONG)
        assert sink.problems_by_source[title] == []

    play(KubeconfigSource((tmp_path,)), steps)


def test_a_folder_that_is_gone_takes_nothing_along(tmp_path: Path) -> None:
    """A volume that is not mounted in this moment is a problem, and no removal."""
    folder = tmp_path / "configs"
    folder.mkdir()
    (folder / "one").write_text(config("east"))

    async def steps(sink: RecordingSink) -> None:
        await sink.wait_until(lambda: sink.clusters, seconds=LONG)
        folder.rename(tmp_path / "away")
        await sink.wait_until(lambda: sink.problems_by_source.get(f"kubeconfig {folder}"), seconds=LONG)
        assert "make it a readable folder of kubeconfigs" in sink.problems_by_source[f"kubeconfig {folder}"][0]
        (tmp_path / "away").rename(folder)
        await sink.wait_until(lambda: sink.problems_by_source[f"kubeconfig {folder}"] == [], seconds=LONG)
        assert ClusterRemoved("east") not in sink.events

    play(KubeconfigSource((folder,)), steps)


def test_a_context_that_is_not_there_any_more_is_read_on(tmp_path: Path) -> None:
    """It is still named in the settings: the reason says which contexts there are."""
    api = FakeApiServer()
    api.port = 9  # discard: nobody answers
    path = api.kubeconfig(tmp_path / "config", "west")

    async def steps(sink: RecordingSink) -> None:
        await sink.wait_until(lambda: set(sink.clusters) == {"west"}, seconds=LONG)
        api.kubeconfig(path, "north")
        await sink.wait_until(lambda: sink.problems_by_source.get(f"kubeconfig {path}"), seconds=LONG)
        assert "has no context 'west'; choose one of: north" in sink.problems_by_source[f"kubeconfig {path}"][0]
        assert set(sink.clusters) == {"west"}

    play(KubeconfigSource((path,), ("west",)), steps)


def test_another_current_context_is_another_cluster(tmp_path: Path) -> None:
    """The old one leaves, the new one joins."""
    api = FakeApiServer()
    api.port = 9
    path = api.kubeconfig(tmp_path / "config", "west")

    async def steps(sink: RecordingSink) -> None:
        await sink.wait_until(lambda: set(sink.clusters) == {"west"}, seconds=LONG)
        api.kubeconfig(path, "north")
        await sink.wait_until(lambda: set(sink.clusters) == {"north"}, seconds=LONG)

    play(KubeconfigSource((path,)), steps)
