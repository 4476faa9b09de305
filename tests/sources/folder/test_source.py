"""A folder of clusters is served as it is now, within a second of a change, whatever its files go through."""

import asyncio
import os
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from meshdns.mesh.objects.declarations import ObjectKind, ServiceEntry, UnreadableObject
from meshdns.sources.folder import source
from meshdns.sources.folder.files import FILE_LIMIT
from meshdns.sources.settings import ManifestsSource
from meshdns.sources.sink import ObjectChanged, ObjectRemoved
from tests.sources.alias_bomb import alias_bomb
from tests.sources.recording_sink import RecordingSink

ENTRY = """apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {{name: {name}}}
spec:
  hosts: [{name}.global]
"""


def entry(name: str) -> str:
    """A ServiceEntry of that name for <name>.global."""
    return ENTRY.format(name=name)


@asynccontextmanager
async def watching(path: Path) -> AsyncIterator[RecordingSink]:
    """The source at work on a folder."""
    sink = RecordingSink()
    async with asyncio.TaskGroup() as group:
        task = group.create_task(source.watch_folder(source=ManifestsSource(path), sink=sink), name="manifests")
        yield sink
        task.cancel()


def watch(path: Path, steps: Callable[[RecordingSink], Awaitable[None]]) -> None:
    """Play `steps` against the source at work on a folder."""

    async def play() -> None:
        async with watching(path) as sink:
            await steps(sink)

    asyncio.run(play())


@pytest.fixture
def clusters(tmp_path: Path) -> Path:
    """A folder with one cluster, west, that declares a.global."""
    (tmp_path / "west").mkdir()
    (tmp_path / "west" / "a.yaml").write_text(entry("a"))
    return tmp_path


def test_a_cluster_joins_with_all_kinds_and_lists_each(clusters: Path) -> None:
    """Every kind is listed, also those of which the folder has none, so that the cluster counts as synced."""

    async def steps(sink: RecordingSink) -> None:
        await sink.wait_until(lambda: "west" in sink.clusters and sink.clusters["west"].synced == set(ObjectKind))
        assert sink.clusters["west"].kinds == set(ObjectKind)
        assert sink.clusters["west"].source == f"manifests {clusters}"
        assert sink.hosts("west") == ["a.global"]
        await sink.wait_until(lambda: sink.clusters["west"].contacts)

    watch(clusters, steps)


def add_nested(west: Path) -> None:
    """A file in a folder of its own."""
    (west / "new" / "er").mkdir(parents=True)
    (west / "new" / "er" / "b.YAML").write_text(entry("b"))


def move_down(west: Path) -> None:
    """The file into a folder."""
    (west / "sub").mkdir()
    (west / "a.yaml").rename(west / "sub" / "a.yaml")


CHANGES: dict[str, tuple[Callable[[Path], object], list[str]]] = {
    "rewritten": (lambda west: (west / "a.yaml").write_text(entry("z")), ["z.global"]),
    "added": (lambda west: (west / "b.yml").write_text(entry("b")), ["a.global", "b.global"]),
    "appended": (
        lambda west: (west / "a.yaml").write_text(entry("a") + "---\n" + entry("c")),
        ["a.global", "c.global"],
    ),
    "removed": (lambda west: (west / "a.yaml").unlink(), []),
    "added in a folder of its own": (add_nested, ["a.global", "b.global"]),
    "moved into a folder": (move_down, ["a.global"]),
    "moved in by rename": (
        lambda west: ((west / ".a.swp").write_text(entry("r")), (west / ".a.swp").rename(west / "a.yaml")),
        ["r.global"],
    ),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_change_is_reported(clusters: Path, change: str) -> None:
    """A file that is changed, added, removed or renamed into place shows."""
    act, hosts = CHANGES[change]

    async def steps(sink: RecordingSink) -> None:
        await sink.wait_until(lambda: sink.hosts("west") == ["a.global"])
        act(clusters / "west")
        await sink.wait_until(lambda: sink.hosts("west") == hosts)

    watch(clusters, steps)


@pytest.mark.alone
@pytest.mark.slow
def test_a_change_is_reported_within_a_second(clusters: Path) -> None:
    """Of five changes the quickest shows in less than half a second, the others as the machine allows."""

    async def steps(sink: RecordingSink) -> None:
        await sink.wait_until(lambda: sink.hosts("west") == ["a.global"])
        delays = []
        for name in "bcdef":
            begun = time.monotonic()
            (clusters / "west" / "a.yaml").write_text(entry(name))
            await sink.wait_until(lambda name=name: sink.hosts("west") == [f"{name}.global"])  # type: ignore[misc]
            delays.append(time.monotonic() - begun)
        assert min(delays) < 0.5

    watch(clusters, steps)


@pytest.mark.slow
@pytest.mark.alone  # a file that is absent for longer than the settle time is a removed one
def test_an_editor_that_renames_away_first_removes_nothing(clusters: Path) -> None:
    """Moving the file to a backup and writing it anew is one change, never a removal."""

    async def steps(sink: RecordingSink) -> None:
        path = clusters / "west" / "a.yaml"
        await sink.wait_until(lambda: sink.hosts("west") == ["a.global"])
        for round_number in range(20):
            path.rename(clusters / "west" / "a.yaml~")
            await asyncio.sleep(0.01)
            path.write_text(entry("a") + f"# {round_number}\n")
            await asyncio.sleep(0.06)
        path.write_text(entry("b"))
        await sink.wait_until(lambda: sink.hosts("west") == ["b.global"])
        removed = ObjectRemoved("west", (ObjectKind.SERVICE_ENTRY, "default", "a"))
        assert [event for event in sink.events if isinstance(event, ObjectRemoved)] == [removed]

    watch(clusters, steps)


BROKEN = {
    "a syntax error": (b"kind: ServiceEntry\nspec: {hosts: [a\n", "a.yaml:2 did not find expected ',' or ']'"),
    "a duplicate key": (b"kind: X\nkind: Y\n", "a.yaml:2 the key 'kind' occurs twice, first on line 1"),
    "no UTF-8": (b"a: b\n\xff", "a.yaml:2 is not UTF-8: invalid start byte 0xFF, which is 'ÿ' in Latin-1"),
    "an empty file": (b"", "a.yaml:1 is empty"),
}


@pytest.mark.slow
@pytest.mark.parametrize("fault", BROKEN)
def test_a_broken_file_keeps_its_last_good_content(clusters: Path, fault: str) -> None:
    """The file's objects stay, the fault is a problem with file and line, other files go on, and repair clears it."""
    text, reason = BROKEN[fault]

    async def steps(sink: RecordingSink) -> None:
        await sink.wait_until(lambda: sink.hosts("west") == ["a.global"])
        west = sink.clusters["west"]
        (clusters / "west" / "a.yaml").write_bytes(text)
        await sink.wait_until(lambda: west.reasons)
        assert west.reasons == [f"{clusters}/west/{reason}; its last good content is served on"]
        assert (ObjectKind.SERVICE_ENTRY, "", "a.yaml") in west.declarations
        (clusters / "west" / "b.yaml").write_text(entry("b"))
        await sink.wait_until(lambda: west.hosts == ["a.global", "b.global"])
        (clusters / "west" / "a.yaml").write_text(entry("c"))
        await sink.wait_until(lambda: west.hosts == ["b.global", "c.global"])
        assert west.reasons == []

    watch(clusters, steps)


def test_a_file_that_cannot_be_read_is_tried_again(clusters: Path) -> None:
    """A folder in place of a file is a problem, and once it is a file it is read."""

    async def steps(sink: RecordingSink) -> None:
        await sink.wait_until(lambda: sink.hosts("west") == ["a.global"])
        path = clusters / "west" / "b.yaml"
        path.mkdir()
        await sink.wait_until(lambda: sink.clusters["west"].reasons)
        assert sink.clusters["west"].reasons == [f"{path} cannot be read: Is a directory"]
        path.rmdir()
        path.write_text(entry("b"))
        await sink.wait_until(lambda: sink.hosts("west") == ["a.global", "b.global"])
        assert sink.clusters["west"].reasons == []

    watch(clusters, steps)


def test_a_file_that_was_never_read_takes_its_problem_along(clusters: Path) -> None:
    """Though nothing of it was taken over that a look could miss."""

    async def steps(sink: RecordingSink) -> None:
        await sink.wait_until(lambda: sink.hosts("west") == ["a.global"])
        os.mkfifo(clusters / "west" / "b.yaml")
        await sink.wait_until(lambda: any(isinstance(event, ObjectChanged) for event in sink.events))
        (clusters / "west" / "b.yaml").unlink()
        await sink.wait_until(lambda: any(isinstance(event, ObjectRemoved) for event in sink.events))

    watch(clusters, steps)


def test_links_that_lead_nowhere_harm_nobody(clusters: Path) -> None:
    """A link that leads to itself is a problem of its file; one that dangles or lies beside the clusters is nothing."""
    (clusters / "west" / "loop.yaml").symlink_to("loop.yaml")
    (clusters / "west" / "gone.yaml").symlink_to("nowhere")
    (clusters / "loop").symlink_to("loop")

    async def steps(sink: RecordingSink) -> None:
        await sink.wait_until(lambda: sink.hosts("west") == ["a.global"])
        where = clusters / "west" / "loop.yaml"
        assert sink.clusters["west"].reasons == [f"{where} cannot be read: Too many levels of symbolic links"]
        assert sorted(sink.clusters) == ["west"]

    watch(clusters, steps)


def to_fifo(path: Path) -> None:
    """In place of a file: whoever opens it waits for a writer."""
    path.unlink()
    os.mkfifo(path)


def to_folder(path: Path) -> None:
    """In place of a file."""
    path.unlink()
    path.mkdir()


def to_link(target: str) -> Callable[[Path], None]:
    """A link in place of a file."""

    def change(path: Path) -> None:
        path.unlink()
        path.symlink_to(target)

    return change


def to_text(text: str) -> Callable[[Path], None]:
    """Other content of a file."""

    def change(path: Path) -> None:
        path.write_text(text)

    return change


UNREADABLE: dict[str, tuple[Callable[[Path], None], str]] = {
    "a FIFO": (to_fifo, "is a FIFO and no file"),
    "a folder": (to_folder, "Is a directory"),
    "a link to nowhere": (to_link("nowhere"), "No such file or directory"),
    "a link to itself": (to_link("a.yaml"), "Too many levels of symbolic links"),
    "a device without end": (to_link("/dev/zero"), "is a device and no file"),
    "a huge file": (lambda path: os.truncate(path, FILE_LIMIT + 1), f"is larger than {FILE_LIMIT >> 20} MiB"),
    "surrogates that are none": (
        to_text('# "\\ud8zz\\udczz"\n['),
        "did not find expected node content",
    ),
    "a bomb of aliases": (
        to_text(alias_bomb(9)),
        "its aliases stand for more than 100000 values; write fewer aliases",
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("change", UNREADABLE)
def test_a_file_that_cannot_be_read_for_a_moment_removes_nothing(clusters: Path, change: str) -> None:
    """What it gave stays with a problem, other files go on, and its return is seen."""
    become, reason = UNREADABLE[change]

    async def steps(sink: RecordingSink) -> None:
        path = clusters / "west" / "a.yaml"
        await sink.wait_until(lambda: sink.hosts("west") == ["a.global"])
        become(path)
        await sink.wait_until(lambda: sink.clusters["west"].reasons)
        assert reason in sink.clusters["west"].reasons[0]
        (clusters / "west" / "b.yaml").write_text(entry("b"))
        await sink.wait_until(lambda: sink.hosts("west") == ["a.global", "b.global"])
        path.rmdir() if path.is_dir() else path.unlink()
        path.write_text(entry("c"))
        await sink.wait_until(lambda: sink.hosts("west") == ["b.global", "c.global"])
        assert sink.clusters["west"].reasons == []

    watch(clusters, steps)


def test_a_cluster_whose_link_leads_nowhere_stays(clusters: Path) -> None:
    """A volume that is not mounted in this moment: its clusters fail, and none is removed."""
    (clusters / "west").rename(clusters / ".west")
    (clusters / "west").symlink_to(".west")

    async def steps(sink: RecordingSink) -> None:
        await sink.wait_until(lambda: sink.hosts("west") == ["a.global"])
        west = sink.clusters["west"]
        (clusters / ".west").rename(clusters / ".away")
        await sink.wait_until(lambda: west.failures)
        assert west.failures[0] == f"{clusters}/west cannot be read: the link leads nowhere; check who may read it"
        contacts = west.contacts
        (clusters / ".away").rename(clusters / ".west")
        await sink.wait_until(lambda: west.contacts > contacts)
        assert sink.hosts("west") == ["a.global"]

    watch(clusters, steps)


def test_names_that_are_no_text_harm_nobody(clusters: Path) -> None:
    """File systems take any bytes: such a folder is no cluster, and a problem of such a file can be written down."""
    (clusters / os.fsdecode(b"\xffeast")).mkdir()
    (clusters / "west" / os.fsdecode(b"\xff.yaml")).write_text("[")

    async def steps(sink: RecordingSink) -> None:
        await sink.wait_until(lambda: sink.hosts("west") == ["a.global"])
        assert list(sink.clusters) == ["west"]
        assert (ObjectKind.SERVICE_ENTRY, "", "\\udcff.yaml") in sink.clusters["west"].declarations
        (problem,) = sink.clusters["west"].reasons
        assert problem.encode()

    watch(clusters, steps)


def test_a_folder_that_cannot_be_read_is_a_problem_of_its_source(tmp_path: Path) -> None:
    """And no problem any more once it can be."""
    title = f"manifests {tmp_path / 'later'}"

    async def steps(sink: RecordingSink) -> None:
        await sink.wait_until(lambda: sink.problems_by_source.get(title))
        assert sink.problems_by_source[title] == [
            "file later: cannot be read: No such file or directory; make it a readable folder of cluster folders"
        ]
        (tmp_path / "later" / "west").mkdir(parents=True)
        await sink.wait_until(lambda: sink.problems_by_source[title] == [])

    watch(tmp_path / "later", steps)


def mount(volume: Path, generation: str, files: dict[str, str]) -> None:
    """Publish files as the kubelet does for a ConfigMap: a new folder, then ``..data`` swapped by rename."""
    folder = volume / f"..{generation}"
    folder.mkdir(parents=True)
    for name, text in files.items():
        (folder / name).write_text(text)
    (volume / "..data_tmp").symlink_to(folder.name)
    (volume / "..data_tmp").rename(volume / "..data")
    for name in files:
        if not (volume / name).is_symlink():
            (volume / name).symlink_to(f"..data/{name}")


def test_a_config_map_swap_is_seen(tmp_path: Path) -> None:
    """The swap of ``..data`` changes every file at once; a file that is no longer in it goes with its link."""
    mount(tmp_path / "west", "1", {"a.yaml": entry("a"), "b.yaml": entry("b")})

    async def steps(sink: RecordingSink) -> None:
        await sink.wait_until(lambda: sink.hosts("west") == ["a.global", "b.global"])
        mount(tmp_path / "west", "2", {"a.yaml": entry("z")})
        await sink.wait_until(lambda: sink.hosts("west") == ["b.global", "z.global"])
        assert "No such file or directory; its last good content is served on" in sink.clusters["west"].reasons[0]
        (tmp_path / "west" / "b.yaml").unlink()
        await sink.wait_until(lambda: sink.hosts("west") == ["z.global"])

    watch(tmp_path, steps)


def test_a_folder_in_a_cluster_that_is_not_mounted_removes_nothing(clusters: Path) -> None:
    """Its files keep what they gave, with a problem each, until it is back; one that is deleted takes them along."""
    sub = clusters / "west" / "sub"
    (clusters / ".volume").mkdir()
    (clusters / ".volume" / "b.yaml").write_text(entry("b"))
    sub.symlink_to("../.volume")

    async def steps(sink: RecordingSink) -> None:
        await sink.wait_until(lambda: sink.hosts("west") == ["a.global", "b.global"])
        west = sink.clusters["west"]
        (clusters / ".volume").rename(clusters / ".away")
        await sink.wait_until(lambda: west.reasons)
        reason = "its folder is no folder any more; its last good content is served on"
        assert west.reasons == [f"{sub}/b.yaml cannot be read: {reason}"]
        (clusters / "west" / "a.yaml").write_text(entry("z"))
        await sink.wait_until(lambda: west.hosts == ["b.global", "z.global"])
        (clusters / ".away").rename(clusters / ".volume")
        await sink.wait_until(lambda: not west.reasons)
        assert not [
            event
            for event in sink.events
            if isinstance(event, ObjectRemoved) and event.key[2] not in ("a", "sub/b.yaml")
        ]
        sub.unlink()
        await sink.wait_until(lambda: west.hosts == ["z.global"])

    watch(clusters, steps)


def test_a_cluster_without_objects_has_synced_and_a_problem(clusters: Path) -> None:
    """It goes with the first object, and is back with the last one; other kinds and broken files are no objects."""
    (clusters / "east").mkdir()
    (clusters / "east" / "notes.txt").write_text("none")

    async def steps(sink: RecordingSink) -> None:
        await sink.wait_until(lambda: "east" in sink.clusters and sink.clusters["east"].synced == set(ObjectKind))
        east, where = sink.clusters["east"], clusters / "east"
        stranger = f"{where} a file is not read, for its name does not end in .yaml, .yml or .json: notes.txt"
        assert east.reasons == [
            f"{where} holds no object that is read, and no file whose name ends in .yaml, .yml or .json",
            stranger,
        ]
        (where / "a.yaml").write_text("kind: ConfigMap\nmetadata: {name: x}\n")
        await sink.wait_until(lambda: east.reasons[:1] == [f"{where} holds no object that is read, in one file"])
        (where / "a.yaml").write_text(entry("b"))
        await sink.wait_until(lambda: east.reasons == [stranger])
        assert east.hosts == ["b.global"]
        (where / "notes.txt").unlink()
        await sink.wait_until(lambda: east.reasons == [])
        (where / "a.yaml").unlink()
        await sink.wait_until(lambda: east.reasons)
        assert east.hosts == []

    watch(clusters, steps)


def test_one_cluster_in_two_folders_is_a_problem_of_the_source(clusters: Path) -> None:
    """By the UID of kube-system; both are read, and it goes with one of them."""
    for name in ("east", "west"):
        (clusters / name).mkdir(exist_ok=True)
        text = "apiVersion: v1\nkind: Namespace\nmetadata: {name: kube-system, uid: 0e5e}\n"
        (clusters / name / "ns.yaml").write_text(text)
    title = f"manifests {clusters}"

    async def steps(sink: RecordingSink) -> None:
        await sink.wait_until(lambda: sink.problems_by_source.get(title))
        advice = "remove the folders that are too many, or export each from its own cluster"
        assert sink.problems_by_source[title] == [
            f"cluster {name}: is the same cluster as {other}, by the UID of kube-system; "
            f"each is read as a cluster of its own; {advice}"
            for name, other in (("east", "west"), ("west", "east"))
        ]
        assert set(sink.clusters) == {"east", "west"}
        (clusters / "east" / "ns.yaml").unlink()
        await sink.wait_until(lambda: sink.problems_by_source[title] == [])

    watch(clusters, steps)


def test_what_lies_beside_cluster_folders_is_a_problem_of_the_source(tmp_path: Path) -> None:
    """Manifests in no cluster's folder, a folder that cannot be a cluster, and that there is none at all."""
    (tmp_path / "a.YAML").write_text(entry("a"))
    (tmp_path / "b\nc").mkdir()
    (tmp_path / "README.md").write_text("words")
    title = f"manifests {tmp_path}"

    async def steps(sink: RecordingSink) -> None:
        await sink.wait_until(lambda: sink.problems_by_source.get(title))
        first, second, third = sink.problems_by_source[title]
        assert first == f"file a.YAML: is in no cluster's folder; move it to {tmp_path}/<cluster>/"
        assert second.startswith("file b c: is not read: its name cannot be that of a cluster")
        assert third.startswith(f"file {tmp_path.name}: holds no folder of a cluster; ")
        (tmp_path / "west").mkdir()
        (tmp_path / "a.YAML").rename(tmp_path / "west" / "a.YAML")
        (tmp_path / "b\nc").rmdir()
        await sink.wait_until(lambda: sink.problems_by_source[title] == [])
        await sink.wait_until(lambda: sink.hosts("west") == ["a.global"])

    watch(tmp_path, steps)


def test_what_one_look_sees_beside_the_clusters_is_not_told(clusters: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that is moved into its cluster in this moment is no problem."""
    sink = RecordingSink()
    poller = source.FolderPoller(clusters, sink)
    asyncio.run(poller.poll())
    stray = clusters / "stray.yaml"
    stray.write_text(entry("b"))
    scan = source._scan_folder

    def scan_once(path: Path, known: Mapping[str, Collection[str]]) -> source._RootLook:
        found = scan(path, known)
        stray.unlink(missing_ok=True)
        return found

    monkeypatch.setattr(source, "_scan_folder", scan_once)
    asyncio.run(poller.poll())
    assert not any(sink.problems_by_source.values())
    stray.write_text(entry("b"))
    monkeypatch.setattr(source, "_scan_folder", scan)
    asyncio.run(poller.poll())
    assert any(sink.problems_by_source.values())


def test_cluster_folders_come_and_go(clusters: Path) -> None:
    """A new subfolder is a cluster that joins, a removed one leaves; hidden ones are none."""

    async def steps(sink: RecordingSink) -> None:
        await sink.wait_until(lambda: sink.hosts("west") == ["a.global"])
        (clusters / ".git").mkdir()
        (clusters / "east").mkdir()
        (clusters / "east" / "e.json").write_text('{"kind": "ServiceEntryList", "items": []}')
        await sink.wait_until(lambda: "east" in sink.clusters and sink.clusters["east"].synced == set(ObjectKind))
        (clusters / "west" / "a.yaml").unlink()
        (clusters / "west").rmdir()
        await sink.wait_until(lambda: "west" not in sink.clusters)
        assert sorted(sink.clusters) == ["east"]

    watch(clusters, steps)


def test_a_folder_that_is_taken_away_keeps_its_clusters(clusters: Path) -> None:
    """An unmounted folder is a failure of every cluster, not their end; its return is a contact."""

    async def steps(sink: RecordingSink) -> None:
        await sink.wait_until(lambda: sink.hosts("west") == ["a.global"])
        west = sink.clusters["west"]
        away = clusters.rename(clusters.with_name("away"))  # noqa: ASYNC240 - the change that is watched
        await sink.wait_until(lambda: len(west.failures) == len(ObjectKind))
        assert west.failures[0].startswith(f"{clusters} cannot be read: No such file or directory; ")
        contacts = west.contacts
        away.rename(clusters)
        await sink.wait_until(lambda: west.contacts > contacts)
        assert west.hosts == ["a.global"]

    watch(clusters, steps)


def test_a_folder_that_does_not_exist_yet_is_waited_for(tmp_path: Path) -> None:
    """The source starts without its folder and serves it when it appears."""

    async def steps(sink: RecordingSink) -> None:
        (tmp_path / "later" / "west").mkdir(parents=True)
        await sink.wait_until(lambda: "west" in sink.clusters)

    watch(tmp_path / "later", steps)


def test_the_last_file_in_name_order_wins(clusters: Path) -> None:
    """Two files that declare one object: the later name counts and says so, with both places."""
    (clusters / "west" / "b.yaml").write_text("# a comment\n" + entry("a").replace("a.global", "b.global"))
    folder = source.load_folder(clusters)
    (winner,) = folder.clusters["west"]
    assert isinstance(winner, ServiceEntry)
    assert winner.hosts == ("b.global",)
    (problem,) = winner.problems
    assert problem.where == f"{clusters}/west/b.yaml:2"
    assert problem.reason == f"is declared twice; {clusters}/west/a.yaml:1 does not count, this one comes after it"


MIXED = """apiVersion: v1
kind: List
items:
- {apiVersion: v1, kind: ConfigMap, metadata: {name: c}}
- {apiVersion: serving.knative.dev/v1, kind: Service, metadata: {name: knative}}
- {apiVersion: v1, kind: Service, metadata: {name: s, namespace: shop}}
- {apiVersion: v1, kind: Namespace, metadata: {name: shop}}
- {apiVersion: v1, kind: Service, metadata: {}}
- 7
---
# nothing here
---
just text
---
apiVersion: networking.istio.io/v1alpha3
kind: ServiceEntry
metadata: {name: e}
spec:
  hosts:
  - good.global
  - bad..global
"""


def test_a_file_of_many_objects_gives_those_that_are_read(tmp_path: Path) -> None:
    """Lists are unfolded, other kinds and groups passed over, bad items named with their line, the rest served."""
    (tmp_path / "west").mkdir()
    (tmp_path / "west" / "all.yaml").write_text(MIXED)
    declared = source.load_folder(tmp_path).clusters["west"]
    assert [(value.namespace, value.name) for value in declared] == [
        ("shop", "s"),
        ("", "shop"),
        ("default", "e"),
        ("", "all.yaml"),
    ]
    whole = declared[-1]
    assert isinstance(whole, UnreadableObject)
    assert [(problem.where.rpartition(":")[2], problem.reason) for problem in whole.problems] == [
        ("8", "a Service has no name"),
        ("9", "an item is no object"),
        ("13", "is no Kubernetes object"),
    ]
    assert [problem.where for problem in declared[2].problems] == [f"{tmp_path}/west/all.yaml:21"]


def test_tools_learn_what_is_wrong_with_a_folder(tmp_path: Path) -> None:
    """A missing folder, and manifests beside the cluster folders, are problems that say what to do."""
    assert [p.advice for p in source.load_folder(tmp_path / "none").problems] == ["name a folder of cluster folders"]
    (tmp_path / "stray.yaml").write_text(entry("a"))
    assert [(problem.where, problem.reason) for problem in source.load_folder(tmp_path).problems] == [
        (f"{tmp_path}/stray.yaml", "is in no cluster's folder"),
        (f"{tmp_path}", "holds no folder of a cluster"),
    ]
