"""What one kubeconfig or cluster does costs that one; a source that is started again finds its names free."""

import asyncio
import os
from pathlib import Path

import pytest

from meshdns.mesh.objects.declarations import ObjectKind
from meshdns.sources import apiservers
from meshdns.sources.auth.credentials import CredentialSource
from meshdns.sources.auth.kubeconfig import ClientConfig, load_kubeconfig
from meshdns.sources.registry import ClusterRegistry, is_cluster_name
from meshdns.sources.settings import KubeconfigSource, SourceError, source_errors
from meshdns.sources.sink import ReadFailed
from tests.sources.alias_bomb import alias_bomb
from tests.sources.fake_api_server import FastLoop
from tests.sources.real_clusters import running_sources
from tests.sources.recording_sink import RecordingSink

LONG = 2000.0  # seconds of the fast loop: 40 s by the wall
GOOD = "clusters: [{name: good, cluster: {server: 'https://127.0.0.1:9'}}]\n"

HOSTILE: dict[str, str | bytes] = {
    "proxy": GOOD.replace("good", "bad").replace("9'", "9', proxy-url: 'http://[x'"),
    "surrogates": '# \\ud8zz\\udczz\n"',
    "bomb": alias_bomb(9),
    "bytes": b"\xff\xfe",
    "name": GOOD.replace("good", "x" * 300),
    "unprintable": GOOD.replace("good", '"\\e[31mred"'),
    "types": "clusters: 7\nusers: {a: 1}\ncontexts: [1, [2], {name: [3]}]\ncurrent-context: [4]\n",
}


def test_each_file_of_a_folder_stands_alone(tmp_path: Path) -> None:
    """Hostile files, a FIFO, links to nowhere and to themselves: each a problem, and the good one is read."""
    for name, content in HOSTILE.items():
        (tmp_path / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    (tmp_path / "good").write_text(GOOD)
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "nowhere").symlink_to("absent")
    os.mkfifo(tmp_path / "pipe")
    title = f"kubeconfig {tmp_path}"

    async def work() -> None:
        async with running_sources(KubeconfigSource((tmp_path,))) as sink:
            await sink.wait_until(lambda: "good" in sink.clusters and sink.problems_by_source.get(title), seconds=LONG)
            assert list(sink.clusters) == ["good"]
            assert len(sink.problems_by_source[title]) == len(HOSTILE) + 3
            assert max(map(len, sink.problems_by_source[title])) < 1000

    with asyncio.Runner(loop_factory=FastLoop) as runner:
        runner.run(work())


def test_a_source_that_is_started_again_finds_its_names_free(tmp_path: Path) -> None:
    """The same registry serves the next start: the cluster is added again, without a conflict."""
    (tmp_path / "config").write_text(GOOD + "contexts: [{name: good, context: {cluster: good}}]\ncurrent-context: good")
    registry = ClusterRegistry()

    async def run_once() -> RecordingSink:
        sink = RecordingSink()
        async with asyncio.TaskGroup() as group:
            source = apiservers.watch_api_servers(
                source=KubeconfigSource((tmp_path / "config",)), sink=sink, draw=lambda: 0.5, registry=registry
            )
            task = group.create_task(source, name="source")
            await sink.wait_until(lambda: sink.clusters, seconds=LONG)
            task.cancel()
        return sink

    with asyncio.Runner(loop_factory=FastLoop) as runner:
        for _ in range(2):
            sink = runner.run(run_once())
            assert list(sink.clusters) == ["good"]
            assert not any(sink.problems_by_source.values())


@pytest.mark.parametrize("change", ["a folder", "a FIFO", "nothing"])
def test_a_file_that_becomes_something_else_takes_nothing_along(tmp_path: Path, change: str) -> None:
    """The clusters of merged files stay, with a problem, until it is a file again."""
    path = tmp_path / "config"
    text = GOOD + "contexts: [{name: good, context: {cluster: good}}]\ncurrent-context: good\n"
    path.write_text(text)
    title = f"kubeconfig {path}"

    async def work() -> None:
        async with running_sources(KubeconfigSource((path,))) as sink:
            await sink.wait_until(lambda: "good" in sink.clusters, seconds=LONG)
            path.unlink()
            if change == "a folder":
                path.mkdir()
            elif change == "a FIFO":
                os.mkfifo(path)
            await sink.wait_until(lambda: sink.problems_by_source.get(title), seconds=LONG)
            assert list(sink.clusters) == ["good"]
            if change == "a folder":
                path.rmdir()
            else:
                path.unlink(missing_ok=True)
            path.write_text(text + "# again\n")
            await sink.wait_until(lambda: sink.problems_by_source.get(title) == [], seconds=LONG)
            assert sink.added("good") == 1

    with asyncio.Runner(loop_factory=FastLoop) as runner:
        runner.run(work())


@pytest.mark.parametrize(
    ("name", "usable"),
    [
        ("arn:aws:eks:eu-1:1234:cluster/a b", True),
        ("kind-größe", True),
        ("x" * 253, True),
        ("ö" * 127, False),
        ("x" * 254, False),
        ("", False),
        ("a\0b", False),
        ("a\nb", False),
        ("\ud800", False),
        ("\x1b[31m", False),
    ],
)
def test_a_cluster_name_can_be_stored_and_printed(name: str, usable: bool) -> None:  # noqa: FBT001
    """At most 253 bytes, one line, no escape sequences."""
    assert is_cluster_name(name) is usable


def test_every_exception_of_a_foreign_value_is_a_source_error() -> None:
    """Its text is bounded, and names the type."""
    with pytest.raises(SourceError) as caught, source_errors("the key a"):
        raise RecursionError("x" * 10_000)
    assert caught.value.message.startswith("the key a cannot be read: RecursionError (xxx")
    assert len(caught.value.message) < 600
    with pytest.raises(SourceError, match=r"^own; words$"), source_errors("the key a"):
        raise SourceError("own; words")


def test_messages_are_bounded_and_keep_their_advice() -> None:
    """The reason is cut, and what to do is said."""
    assert SourceError("x" * 70_000 + "; correct it").message.endswith("x…; correct it")
    assert len(SourceError("x; y" * 70_000).message) < 700
    assert len(ReadFailed("east", ObjectKind.NODE, "x" * 70_000 + "; wait").reason) < 500


@pytest.mark.parametrize("content", ["[]", "7", "{}", '{"status": []}', '{"status": {"token": [1]}}', "[" * 100_000])
def test_a_plugin_that_prints_anything_is_a_source_error(tmp_path: Path, content: str) -> None:
    """Whatever it prints, the credential has an error that can be shown."""
    (tmp_path / "printed").write_text(content)
    (tmp_path / "config").write_text(
        "clusters: [{name: c, cluster: {server: 'https://127.0.0.1:9'}}]\n"
        "users: [{name: u, user: {exec: {command: cat, args: [printed.txt]}}}]\n"
        "contexts: [{name: c, context: {cluster: c, user: u}}]\n".replace("printed.txt", str(tmp_path / "printed"))
    )

    async def no_token(_: ClientConfig) -> str:
        raise AssertionError

    async def work() -> None:
        config = load_kubeconfig([tmp_path / "config"]).context_config("c")
        source = CredentialSource(
            config,
            environment={"PATH": os.environ["PATH"]},
            clock=asyncio.get_running_loop().time,
            wall_clock=lambda: 0.0,
            auth_provider_token=no_token,
        )
        with pytest.raises(SourceError, match="cat gave no credentials"):
            await source.credential()

    asyncio.run(work())
