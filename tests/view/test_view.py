"""The view: one writer here, one reader in a process of its own."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from meshdns.authority.state import ViewState, encode
from meshdns.dns import names
from meshdns.view.environment import ViewError
from meshdns.view.reader import split_names
from meshdns.view.writer import MAX_RING_KEYS, RING, Commit, Writer, ring_entry

A, B, C = (names.wire(f"{letter}.global") for letter in "abc")
ALL = "all"


class Process:
    """A reading process."""

    def __init__(self, path: Path) -> None:
        self._process = subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name("reading.py")), str(path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=Path(__file__).parents[2],
            env={"PYTHONPATH": str(Path(__file__).parents[2])},
        )

    def look(self, *owners: bytes) -> dict[str, Any]:
        """One look; `forget` is the list of names to forget, `ALL`, or None where nothing was committed."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(["look", *(owner.hex() for owner in owners)]) + "\n")
        self._process.stdin.flush()
        found: dict[str, Any] = json.loads(self._process.stdout.readline())
        told = found["forget"]
        assert len(told) <= 1
        found["forget"] = None if not told else ALL if told[0] is None else {bytes.fromhex(each) for each in told[0]}
        for values in ("rows", "refusals"):
            found[values] = [None if value is None else bytes.fromhex(value) for value in found[values]]
        return found

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.communicate(timeout=30)


@pytest.fixture
def writer(tmp_path: Path) -> Iterator[Writer]:
    """The writer of a fresh view, with a state and nothing else."""
    made = Writer(tmp_path / "view")
    made.apply(committing(state=ViewState(ready=True)))
    yield made
    made.close()


@pytest.fixture
def reader(writer: Writer, tmp_path: Path) -> Iterator[Process]:
    """A reader that has looked once."""
    with Process(tmp_path / "view") as made:
        assert made.look()["forget"] == ALL
        yield made


def committing(state: ViewState | None = None, **rows: bytes | None) -> Commit:
    """A commit of rows by the letter of their name."""
    commit = Commit()
    commit.rows = {names.wire(f"{letter}.global"): value for letter, value in rows.items()}
    if state is not None:
        commit.meta[b"state"] = encode(state)
    return commit


def test_a_reader_sees_what_was_committed(writer: Writer, reader: Process) -> None:
    """Rows and state of one commit arrive together."""
    assert writer.apply(committing(ViewState(ready=True, complete=True, clusters=("east",)), a=b"1", b=b"2")) == 2
    found = reader.look(A, B, C)
    assert (found["rows"], found["state"]) == ([b"1", b"2", None], [True, True, ["east"]])


def test_the_ring_tells_exactly_what_changed(writer: Writer, reader: Process) -> None:
    """Changed, new and removed names are told; those that stayed are not."""
    writer.apply(committing(a=b"1", b=b"2"))
    assert reader.look()["forget"] == {A, B}
    writer.apply(committing(a=b"1", b=b"3", c=b"4"))
    assert reader.look()["forget"] == {B, C}
    writer.apply(committing(a=None))
    found = reader.look(A, B, C)
    assert (found["forget"], found["rows"]) == ({A}, [None, b"3", b"4"])


def test_several_commits_are_told_together(writer: Writer, reader: Process) -> None:
    """A reader that slept through commits hears of all of them."""
    writer.apply(committing(a=b"1"))
    writer.apply(committing(b=b"2"))
    assert reader.look()["forget"] == {A, B}


def test_without_a_commit_nothing_is_told(reader: Process) -> None:
    """Looking again costs nothing."""
    assert reader.look()["forget"] is None


def test_unchanged_values_change_nothing(writer: Writer, reader: Process) -> None:
    """A commit of what is there already counts no row and is not in the ring."""
    writer.apply(committing(a=b"1"))
    reader.look()
    assert writer.apply(committing(a=b"1", b=None)) == 0
    assert reader.look()["forget"] in (None, set())


def test_other_databases_forget_nothing(writer: Writer, reader: Process) -> None:
    """Reasons, refusals, declarations, problems and cluster states are no part of a reply."""
    commit = Commit()
    commit.reasons = {A: b"why"}
    commit.refusals = {B: b"why not"}
    commit.declarations = {b"east\0x": b"{}"}
    commit.problems = {b"east\0x": b"[]"}
    commit.clusters = {b"east": b"{}"}
    assert writer.apply(commit) == 0
    assert reader.look()["forget"] in (None, set())
    assert writer.stored(b"reasons") == [(A, b"why")]


def test_a_new_state_forgets_everything(writer: Writer, reader: Process) -> None:
    """Every answer depends on the state."""
    writer.apply(committing(ViewState(ready=True, complete=True), a=b"1"))
    assert reader.look()["forget"] == ALL
    writer.apply(committing(ViewState(ready=True, complete=True), b=b"2"))
    assert reader.look()["forget"] == {B}


def test_falling_behind_forgets_everything(writer: Writer, reader: Process) -> None:
    """The ring holds the last commits only; who slept longer starts anew, who did not hears every name."""
    for number in range(RING - 1):
        writer.apply(committing(a=b"%d" % number))
    assert reader.look()["forget"] == {A}
    for number in range(RING + 5):
        writer.apply(committing(b=b"%d" % number))
    found = reader.look(B)
    assert (found["forget"], found["rows"]) == (ALL, [b"%d" % (RING + 4)])


def test_the_ring_does_not_grow(writer: Writer) -> None:
    """Old commits leave it."""
    for number in range(2 * RING):
        writer.apply(committing(a=b"%d" % number))
    assert len(writer.stored(b"ring")) <= RING + 1


def test_a_large_commit_forgets_everything(writer: Writer, reader: Process) -> None:
    """Beyond so many names a commit says "all" instead of each."""
    commit = Commit()
    commit.rows = {names.wire(f"n{number}.global"): b"1" for number in range(MAX_RING_KEYS + 1)}
    writer.apply(commit)
    assert reader.look()["forget"] == ALL
    writer.apply(committing(a=b"1"))
    assert reader.look()["forget"] == {A}


def test_a_failing_commit_leaves_nothing(writer: Writer, reader: Process) -> None:
    """A commit is written as a whole or not at all, and the writer goes on afterwards."""
    writer.apply(committing(a=b"1"))
    reader.look()
    bad = committing(ViewState(ready=False), a=b"2", b=b"3")
    bad.problems = {b"x" * 600: b"a key longer than LMDB takes"}
    with pytest.raises(ViewError):
        writer.apply(bad)
    found = reader.look(A, B)
    assert (found["forget"], found["rows"], found["state"][0]) == (None, [b"1", None], True)
    assert writer.apply(committing(b=b"4")) == 1
    assert reader.look(B)["rows"] == [b"4"]


def test_the_serial_grows_with_every_change(writer: Writer, reader: Process) -> None:
    """The serial of a look is what the SOA carries: a change means a larger one."""
    before = reader.look()["serial"]
    writer.apply(committing(a=b"1"))
    assert reader.look()["serial"] > before


def test_a_later_writer_goes_on(writer: Writer, reader: Process, tmp_path: Path) -> None:
    """A restarted controller finds what the earlier one wrote, and readers follow it without opening again."""
    writer.apply(committing(a=b"1"))
    reader.look()
    writer.close()
    again = Writer(tmp_path / "view")
    assert again.stored(b"rows") == [(A, b"1")]
    again.apply(committing(b=b"2"))
    found = reader.look(A, B)
    assert (found["forget"], found["rows"]) == ({B}, [b"1", b"2"])
    again.close()


def test_a_new_reader_sees_the_last_commit_at_once(writer: Writer, tmp_path: Path) -> None:
    """A restarted worker serves at once, and begins with nothing kept."""
    writer.apply(committing(a=b"1"))
    with Process(tmp_path / "view") as late:
        found = late.look(A)
    assert (found["forget"], found["rows"], found["state"][0]) == (ALL, [b"1"], True)


LABEL = st.binary(min_size=1, max_size=20)
NAME = st.lists(LABEL, max_size=5).map(
    lambda labels: b"".join(bytes((len(label),)) + label for label in labels) + b"\0"
)


@given(st.lists(NAME, max_size=20))
@settings(max_examples=100, deadline=None)
def test_names_joined_in_the_ring_come_apart_again(owners: list[bytes]) -> None:
    """Wire names carry their own lengths, whatever octets they hold."""
    assert split_names(ring_entry(owners)) == owners
