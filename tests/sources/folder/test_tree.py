"""The files below a cluster's folder: at any depth, behind any links, without end to none."""

import os
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

import pytest

from meshdns.sources.folder import tree
from meshdns.sources.folder.tree import FolderLook, look_at


def make(root: Path, *names: str) -> None:
    """Make files."""
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text("x")


def readable(look: FolderLook) -> set[str]:
    """The names of the files that have a stamp."""
    return {name for name, stamp in look.stamps.items() if not isinstance(stamp, str)}


def unreadable(look: FolderLook) -> dict[str, str]:
    """Why the other files cannot be read."""
    return {name: stamp for name, stamp in look.stamps.items() if isinstance(stamp, str)}


def faults(look: FolderLook) -> list[tuple[str, str]]:
    """What cannot be looked into, and why."""
    return [(fault.name, fault.reason) for fault in look.faults]


def test_files_of_all_depths_are_found_by_their_suffix(tmp_path: Path) -> None:
    """In upper or lower case, compressed or not; other files are counted and the first ones named."""
    make(tmp_path, "a.yaml", "B.YML", "c/d/e/F.Json", "c/g.yaml.gz", "c/h.JSON.ZST")
    make(tmp_path, ".git/i.yaml", ".j.yaml", "k.yaml~", "c/.l.yaml.swp", "..data/m.yaml")
    make(tmp_path, *(f"c/{number}.txt" for number in range(7)), "README")
    look = look_at(tmp_path)
    assert readable(look) == {"a.yaml", "B.YML", "c/d/e/F.Json", "c/g.yaml.gz", "c/h.JSON.ZST"}
    assert (look.strangers, look.stranger_count) == (("README", "c/0.txt", "c/1.txt", "c/2.txt", "c/3.txt"), 8)
    assert look.faults == ()


def test_links_are_followed_but_not_in_circles(tmp_path: Path) -> None:
    """A folder that lies outside is read, one inside of itself is not, and two links to one folder are two folders."""
    root = tmp_path / "east"
    make(tmp_path, "out/a.yaml", "east/in/b.yaml")
    (root / "out").symlink_to(tmp_path / "out")
    (root / "again").symlink_to("in")
    (root / "in" / "up").symlink_to("..")
    (root / "self").symlink_to("self")
    (root / "gone").symlink_to("nowhere")
    (tmp_path / "out" / "back").symlink_to(root)
    look = look_at(root)
    assert readable(look) == {"out/a.yaml", "in/b.yaml", "again/b.yaml"}
    assert faults(look) == [
        ("again/up", "cannot be looked into: is a link to a folder that it lies in"),
        ("in/up", "cannot be looked into: is a link to a folder that it lies in"),
        ("out/back", "cannot be looked into: is a link to a folder that it lies in"),
        ("self", "cannot be looked into: Too many levels of symbolic links"),
    ]
    assert look.stranger_count == 0


def test_links_that_double_end_at_a_bound(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each of 30 folders leads to the next one by two names: a thousand million paths."""
    monkeypatch.setattr(tree, "MAX_FOLDERS", 100)
    for number in range(30):
        make(tmp_path, f".{number}/f.yaml")
        for name in ("a", "b"):
            (tmp_path / f".{number}" / name).symlink_to(f"../.{number + 1}")
    look = look_at(tmp_path / ".0")
    assert len(look.stamps) == 100
    assert ("", "holds more than 100 folders; the others are not read") in faults(look)


def test_depth_has_a_bound(tmp_path: Path) -> None:
    """A folder below it is a fault that names the bound."""
    deep = "/".join(["d"] * tree.MAX_DEPTH)
    make(tmp_path, f"{deep}/a.yaml", f"{deep}/d/b.yaml")
    look = look_at(tmp_path)
    assert readable(look) == {f"{deep}/a.yaml"}
    assert faults(look) == [(f"{deep}/d", "cannot be looked into: is nested more than 16 deep")]


def test_files_over_the_bound_are_not_read_and_those_known_stay(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of what is there a bound removes nothing; what is not there any more is gone."""
    monkeypatch.setattr(tree, "MAX_FILES", 3)
    make(tmp_path, *(f"{name}.yaml" for name in "abcdef"), "g/h.yaml")
    known = {"e.yaml", "g/h.yaml", "gone.yaml"}
    look = look_at(tmp_path, known)
    assert len(readable(look) - known) in (2, 3)
    assert {"e.yaml", "g/h.yaml"} <= readable(look)
    assert "gone.yaml" not in look.stamps
    assert faults(look) == [("", "holds more than 3 files; the others are not read")]


def shut_by_file(path: Path) -> str:
    """A file in place of a folder."""
    path.write_text("x")
    return "its folder is no folder any more"


def shut_by_fifo(path: Path) -> str:
    """Something that is no file either."""
    os.mkfifo(path)
    return "its folder is no folder any more"


def shut_by_dangling_link(path: Path) -> str:
    """A volume that is not mounted now."""
    path.symlink_to("nowhere")
    return "its folder is no folder any more"


def shut_by_circle(path: Path) -> str:
    """A link to itself."""
    path.symlink_to(path.name)
    return "Too many levels of symbolic links"


def shut_by_ancestor(path: Path) -> str:
    """A link to the folder that it lies in."""
    path.symlink_to("..")
    return "is a link to a folder that it lies in"


@pytest.mark.parametrize(
    "shut",
    [shut_by_file, shut_by_fifo, shut_by_dangling_link, shut_by_circle, shut_by_ancestor],
    ids=lambda f: f.__name__,
)
def test_what_is_known_below_a_folder_that_cannot_be_entered_is_unreadable(tmp_path: Path, shut: object) -> None:
    """At any depth; a folder that is gone takes its files along, and of one that is new nothing is known."""
    make(tmp_path, "sub/a.yaml", "b.yaml")
    known: Collection[str] = {"sub/a.yaml", "sub/c/d.yaml", "subs/e.yaml", "b.yaml"}
    assert readable(look_at(tmp_path, known)) == {"sub/a.yaml", "b.yaml"}
    (tmp_path / "sub" / "a.yaml").unlink()
    (tmp_path / "sub").rmdir()
    assert set(look_at(tmp_path, known).stamps) == {"b.yaml"}
    assert callable(shut)
    reason = shut(tmp_path / "sub")
    look = look_at(tmp_path, known)
    assert readable(look) == {"b.yaml"}
    assert unreadable(look) == {"sub/a.yaml": reason, "sub/c/d.yaml": reason}
    assert unreadable(look_at(tmp_path)) == {}


def test_a_file_whose_link_leads_nowhere_is_there_if_it_was_known(tmp_path: Path) -> None:
    """Of another it is nothing; a link in a circle is a file that cannot be read."""
    (tmp_path / "a.yaml").symlink_to("nowhere")
    (tmp_path / "b.yaml").symlink_to("b.yaml")
    assert unreadable(look_at(tmp_path)) == {"b.yaml": "Too many levels of symbolic links"}
    assert unreadable(look_at(tmp_path, {"a.yaml"}))["a.yaml"] == "No such file or directory"


def test_a_link_to_what_the_cluster_lies_in_is_not_followed(tmp_path: Path) -> None:
    """It leads to the folders of all clusters; so does one that knows the folder by another name."""
    make(tmp_path, "volume/east/a.yaml", "volume/west/b.yaml", "clusters/north/c.yaml")
    (tmp_path / "clusters" / "east").symlink_to("../volume/east")
    (tmp_path / "volume" / "east" / "up").symlink_to("..")
    (tmp_path / "volume" / "east" / "all").symlink_to(tmp_path / "clusters")
    look = look_at(tmp_path / "clusters" / "east")
    assert readable(look) == {"a.yaml"}
    assert [name for name, _ in faults(look)] == ["all", "up"]


def test_a_look_scans_each_folder_once_and_opens_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is done four times a second: beside a stat of each file there is work for folders alone."""
    calls: list[str] = []

    def counted(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any) -> Any:
            calls.append(name)
            return function(*arguments)

        return call

    monkeypatch.setattr(os, "scandir", counted("scan", os.scandir))
    monkeypatch.setattr(os, "open", counted("open", os.open))
    monkeypatch.setattr(Path, "stat", counted("stat", Path.stat))
    make(tmp_path, "a.yaml", "b.yaml")
    calls.clear()
    look_at(tmp_path)
    assert calls == ["scan"]
    make(tmp_path, "sub/c.yaml")
    calls.clear()
    look_at(tmp_path)
    first = list(calls)
    make(tmp_path, *(f"{folder}{number}.yaml" for number in range(10) for folder in ("", "sub/")))
    calls.clear()
    look_at(tmp_path)
    assert calls == first
    assert calls.count("scan") == 2
