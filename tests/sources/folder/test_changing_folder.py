"""A folder whose files vanish, return and become other things, in any order, against a model of what is served.

The model knows of each file what the last reading gave, and what is in its place now. What is gone takes its objects
along; what is there and cannot be read keeps them.
"""

import asyncio
import os
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from meshdns.sources.folder.source import FolderPoller
from meshdns.sources.sink import ClusterRemoved, ObjectRemoved
from tests.sources.alias_bomb import alias_bomb
from tests.sources.fake_api_server import FastLoop
from tests.sources.recording_sink import RecordingSink

CLUSTERS = ("east", "west")
FILES = ("a.yaml", "b.json", "sub/c.yml", "sub/sub/D.YAML")
HOSTS = ("one", "two", "three")
POLLS = 2
"""Looks after a change: each sees what two looks agree on; what a first one left undone, the second one does."""

BROKEN = ("spec: [", "\xff", "", "error: no such resource", '# \\ud8zz\\udczz\n"', alias_bomb(9))


@dataclass
class File:
    """What is in the place of a file, and the hosts that the last good reading gave."""

    served: frozenset[str] = frozenset()


@dataclass
class Folder:
    """A cluster's folder: its files, and whether it can be looked into."""

    files: dict[str, File] = field(default_factory=dict)
    is_cut: bool = False


def host_name(file: str, host: str) -> str:
    """A host of its own for each file."""
    return f"{file.replace('/', '-').lower()}.{host}.global"


def manifest(file: str, host: str) -> str:
    """A document of a file that declares that host."""
    name = host_name(file, host)
    return f"{{kind: ServiceEntry, metadata: {{name: {name}}}, spec: {{hosts: [{name}]}}}}\n"


def clear(path: Path) -> None:
    """Remove whatever is there."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    elif path.is_symlink() or path.exists():
        path.unlink()


def make_fifo(path: Path) -> None:
    """What waits for a writer."""
    os.mkfifo(path)


UNREADABLE: tuple[Callable[[Path], None], ...] = (
    make_fifo,
    lambda path: path.mkdir(),
    lambda path: path.symlink_to(path.name),
    lambda path: path.symlink_to("/dev/zero"),
    lambda path: path.symlink_to(".."),
)


class ChangingFolder(RuleBasedStateMachine):
    """The source at work on a folder of its own."""

    def __init__(self) -> None:
        super().__init__()
        self._root = Path(tempfile.mkdtemp(prefix="meshdns-folder-"))
        self._folder = self._root / "clusters"
        self._folder.mkdir()
        self._runner = asyncio.Runner(loop_factory=FastLoop)
        self._sink = RecordingSink()
        self._poller = FolderPoller(self._folder, self._sink)
        self._model: dict[str, Folder] = {}
        self._generation = 0

    def teardown(self) -> None:
        """Leave nothing behind."""
        self._runner.close()
        shutil.rmtree(self._root)

    @initialize()
    def begin(self) -> None:
        """Start with one cluster of one file."""
        self.make_cluster("west")
        self.write("west", "a.yaml", ["one"])

    @rule(cluster=st.sampled_from(CLUSTERS))
    def make_cluster(self, cluster: str) -> None:
        """A folder comes, or comes back empty in place of a link that led nowhere."""
        if cluster in self._model and not self._model[cluster].is_cut:
            return
        clear(self._folder / cluster)
        clear(self._root / f".{cluster}")
        (self._folder / cluster).mkdir()
        self._model[cluster] = Folder()
        self._poll()

    @rule(cluster=st.sampled_from(CLUSTERS))
    def remove_cluster(self, cluster: str) -> None:
        """A folder goes, whatever is in its place."""
        clear(self._folder / cluster)
        clear(self._root / f".{cluster}")
        self._model.pop(cluster, None)
        self._poll()

    @rule(cluster=st.sampled_from(CLUSTERS))
    def cut_cluster(self, cluster: str) -> None:
        """A mounted volume is not there for a moment: its link leads nowhere."""
        if cluster not in self._model or self._model[cluster].is_cut:
            return
        (self._folder / cluster).rename(self._root / f".{cluster}")
        (self._folder / cluster).symlink_to("nowhere")
        self._model[cluster].is_cut = True
        self._poll_without_removals()

    @rule(cluster=st.sampled_from(CLUSTERS))
    def join_cluster(self, cluster: str) -> None:
        """The volume is back."""
        if cluster in self._model and self._model[cluster].is_cut:
            (self._folder / cluster).unlink()
            (self._root / f".{cluster}").rename(self._folder / cluster)
            self._model[cluster].is_cut = False
            self._poll_without_removals()

    @rule(
        cluster=st.sampled_from(CLUSTERS),
        file=st.sampled_from(FILES),
        hosts=st.lists(st.sampled_from(HOSTS), min_size=1, max_size=3, unique=True),
    )
    def write(self, cluster: str, file: str, hosts: list[str]) -> None:
        """Good content, whatever was in its place."""
        path = self._place(cluster, file)
        if path is None:
            return
        documents = [manifest(file, host) for host in hosts]
        path.write_text("---\n".join([*documents, ""]) + self._padding())
        self._model[cluster].files[file] = File(frozenset(host_name(file, host) for host in hosts))
        self._poll()

    @rule(cluster=st.sampled_from(CLUSTERS), file=st.sampled_from(FILES), text=st.sampled_from(BROKEN))
    def break_file(self, cluster: str, file: str, text: str) -> None:
        """Content that cannot be parsed."""
        path = self._place(cluster, file)
        if path is None:
            return
        path.write_bytes(text.encode("latin-1"))
        self._keep(cluster, file)

    @rule(cluster=st.sampled_from(CLUSTERS), file=st.sampled_from(FILES), become=st.sampled_from(UNREADABLE))
    def replace_file(self, cluster: str, file: str, become: Callable[[Path], None]) -> None:
        """Something that is no file."""
        path = self._place(cluster, file)
        if path is None:
            return
        become(path)
        self._keep(cluster, file)

    @rule(cluster=st.sampled_from(CLUSTERS), file=st.sampled_from(FILES))
    def dangle_file(self, cluster: str, file: str) -> None:
        """A link that leads nowhere: of a file that was there it keeps what it gave, of another it is nothing."""
        path = self._place(cluster, file)
        if path is None:
            return
        path.symlink_to("nowhere")
        if file in self._model[cluster].files:
            self._keep(cluster, file)
        else:
            self._poll()

    @rule(
        cluster=st.sampled_from(CLUSTERS),
        file=st.sampled_from(FILES),
        host=st.sampled_from(HOSTS),
        broken=st.sampled_from(("[", "a: {", '"')),
    )
    def break_document(self, cluster: str, file: str, host: str, broken: str) -> None:
        """One good document between two that are broken: it is served beside all that they may hold."""
        path = self._place(cluster, file)
        if path is None:
            return
        path.write_text(f"{broken}\n{self._padding()}---\n{manifest(file, host)}---\n{broken}\n")
        known = self._model[cluster].files.setdefault(file, File())
        known.served |= {host_name(file, host)}
        self._poll_without_removals()

    @rule(cluster=st.sampled_from(CLUSTERS), become=st.sampled_from(UNREADABLE[2:4]))
    def shut_folder(self, cluster: str, become: Callable[[Path], None]) -> None:
        """A folder in the cluster cannot be entered for some looks: its files keep what they gave."""
        path = self._folder / cluster / "sub"
        if cluster not in self._model or self._model[cluster].is_cut or not path.is_dir():
            return
        path.rename(self._root / ".sub")
        become(path)
        self._poll_without_removals()
        path.unlink()
        (self._root / ".sub").rename(path)
        self._poll_without_removals()

    @rule(cluster=st.sampled_from(CLUSTERS))
    def remove_folder(self, cluster: str) -> None:
        """A folder in the cluster goes with its files."""
        if cluster in self._model and not self._model[cluster].is_cut:
            clear(self._folder / cluster / "sub")
            files = self._model[cluster].files
            self._model[cluster].files = {name: file for name, file in files.items() if not name.startswith("sub/")}
            self._poll()

    @rule(cluster=st.sampled_from(CLUSTERS), file=st.sampled_from(FILES))
    def remove_file(self, cluster: str, file: str) -> None:
        """A file goes."""
        if self._place(cluster, file) is not None:
            self._model[cluster].files.pop(file, None)
            self._poll()

    @rule()
    def unmount(self) -> None:
        """The whole folder is away for some looks: nothing is removed."""
        self._folder.rename(self._root / "away")
        self._poll_without_removals()
        (self._root / "away").rename(self._folder)
        self._poll_without_removals()

    @invariant()
    def check(self) -> None:
        """Exactly the clusters of the model are there, and each serves exactly what the model says."""
        assert set(self._sink.clusters) == set(self._model)
        for name, folder in self._model.items():
            expected = sorted(host for file in folder.files.values() for host in file.served)
            assert self._sink.hosts(name) == expected

    def _place(self, cluster: str, file: str) -> Path | None:
        """The path of a file after whatever was there is gone; None where its cluster cannot be written into."""
        folder = self._model.get(cluster)
        if folder is None or folder.is_cut:
            return None
        path = self._folder / cluster / file
        path.parent.mkdir(parents=True, exist_ok=True)
        clear(path)
        return path

    def _keep(self, cluster: str, file: str) -> None:
        self._model[cluster].files.setdefault(file, File())
        self._poll_without_removals()

    def _padding(self) -> str:
        """A comment that gives each content a size of its own: clocks of file systems are coarse."""
        self._generation += 1
        return "#" * self._generation + "\n"

    def _poll(self) -> None:
        async def look() -> None:
            for _ in range(POLLS):
                await self._poller.poll()

        self._runner.run(look())

    def _poll_without_removals(self) -> None:
        """Look, and see that nothing is removed, not even for a moment."""
        before = len(self._sink.events)
        self._poll()
        removed = [event for event in self._sink.events[before:] if isinstance(event, ObjectRemoved | ClusterRemoved)]
        assert not [event for event in removed if isinstance(event, ClusterRemoved) or event.key[1]]  # files are none


@pytest.mark.slow
def test_a_folder_in_any_state_serves_what_its_files_last_gave() -> None:
    """Whatever becomes of its files, in whatever order."""
    run_state_machine_as_test(ChangingFolder, settings=settings(stateful_step_count=20))
