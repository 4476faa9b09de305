"""The name database: one writer here, one reader in a process of its own."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import lmdb
import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshdns.authority.state import NamedbState
from meshdns.dns import names
from meshdns.mesh.objects.declarations import ObjectKind, Service
from meshdns.mesh.objects.problems import Problem, ProblemKind
from meshdns.namedb.database import MAP_SIZE, NameDatabaseError
from meshdns.namedb.reader import decode_changed_names
from meshdns.namedb.tables import ProblemKey, object_problems_key
from meshdns.namedb.writer import INVALIDATION_RING_SIZE, MAX_CHANGED_NAMES, Commit, Writer, encode_changed_names

A, B, C = (names.to_wire(f"{letter}.global") for letter in "abc")
ALL = "all"
CART = (ObjectKind.SERVICE, "shop", "cart")
BROKEN = Problem(ProblemKind.MALFORMED, "Service", "shop", "cart", "spec.ports", "no ports")


class ReaderProcess:
    """A reading process."""

    def __init__(self, path: Path) -> None:
        self._process = subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name("reader_process.py")), str(path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=Path(__file__).parents[2],
            env={"PYTHONPATH": str(Path(__file__).parents[2])},
        )

    def read(self, *owners: bytes) -> dict[str, Any]:
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
    made.apply(committing(state=NamedbState(ready=True)))
    yield made
    made.close()


@pytest.fixture
def reader(writer: Writer, tmp_path: Path) -> Iterator[ReaderProcess]:
    """A reader that has looked once."""
    with ReaderProcess(tmp_path / "view") as made:
        assert made.read()["forget"] == ALL
        yield made


def committing(state: NamedbState | None = None, **rows: bytes | None) -> Commit:
    """A commit of rows by the letter of their name."""
    commit = Commit()
    commit.rows = {names.to_wire(f"{letter}.global"): value for letter, value in rows.items()}
    if state is not None:
        commit.state = state
    return commit


def test_a_reader_sees_what_was_committed(writer: Writer, reader: ReaderProcess) -> None:
    """Rows and state of one commit arrive together."""
    assert writer.apply(committing(NamedbState(ready=True, complete=True, clusters=("east",)), a=b"1", b=b"2")) == 2
    found = reader.read(A, B, C)
    assert (found["rows"], found["state"]) == ([b"1", b"2", None], [True, True, ["east"]])


def test_the_ring_tells_exactly_what_changed(writer: Writer, reader: ReaderProcess) -> None:
    """Changed, new and removed names are told; those that stayed are not."""
    writer.apply(committing(a=b"1", b=b"2"))
    assert reader.read()["forget"] == {A, B}
    writer.apply(committing(a=b"1", b=b"3", c=b"4"))
    assert reader.read()["forget"] == {B, C}
    writer.apply(committing(a=None))
    found = reader.read(A, B, C)
    assert (found["forget"], found["rows"]) == ({A}, [None, b"3", b"4"])


def test_several_commits_are_told_together(writer: Writer, reader: ReaderProcess) -> None:
    """A reader that slept through commits hears of all of them."""
    writer.apply(committing(a=b"1"))
    writer.apply(committing(b=b"2"))
    assert reader.read()["forget"] == {A, B}


def test_without_a_commit_nothing_is_told(reader: ReaderProcess) -> None:
    """Looking again costs nothing."""
    assert reader.read()["forget"] is None


def test_unchanged_values_change_nothing(writer: Writer, reader: ReaderProcess) -> None:
    """A commit of what is there already counts no row and is not in the ring."""
    writer.apply(committing(a=b"1"))
    reader.read()
    assert writer.apply(committing(a=b"1", b=None)) == 0
    assert reader.read()["forget"] in (None, set())


def test_other_databases_forget_nothing(writer: Writer, reader: ReaderProcess) -> None:
    """Reasons, declarations, problems and cluster states are no part of a reply."""
    commit = Commit()
    commit.provenance = {A: b"why"}
    commit.put_declaration("east", Service(namespace="shop", name="cart"))
    commit.problems = {object_problems_key("east", CART): [BROKEN]}
    commit.clusters = {"east": b"{}"}
    assert writer.apply(commit) == 0
    assert reader.read()["forget"] in (None, set())
    with writer.read() as tables:
        assert list(tables.provenance.items()) == [(A, b"why")]


def test_a_new_state_forgets_everything(writer: Writer, reader: ReaderProcess) -> None:
    """Every answer depends on the state."""
    writer.apply(committing(NamedbState(ready=True, complete=True), a=b"1"))
    assert reader.read()["forget"] == ALL
    writer.apply(committing(NamedbState(ready=True, complete=True), b=b"2"))
    assert reader.read()["forget"] == {B}


def test_falling_behind_forgets_everything(writer: Writer, reader: ReaderProcess) -> None:
    """The ring holds the last commits only; who slept longer starts anew, who did not hears every name."""
    for number in range(INVALIDATION_RING_SIZE - 1):
        writer.apply(committing(a=b"%d" % number))
    assert reader.read()["forget"] == {A}
    for number in range(INVALIDATION_RING_SIZE + 5):
        writer.apply(committing(b=b"%d" % number))
    found = reader.read(B)
    assert (found["forget"], found["rows"]) == (ALL, [b"%d" % (INVALIDATION_RING_SIZE + 4)])


def test_the_ring_does_not_grow(writer: Writer, tmp_path: Path) -> None:
    """Old commits leave it."""
    for number in range(2 * INVALIDATION_RING_SIZE):
        writer.apply(committing(a=b"%d" % number))
    writer.close()
    with lmdb.open(str(tmp_path / "view"), map_size=MAP_SIZE, max_dbs=8, readonly=True) as env:
        ring = env.open_db(b"ring", create=False)
        with env.begin() as txn:
            assert txn.stat(ring)["entries"] <= INVALIDATION_RING_SIZE + 1


def test_a_large_commit_forgets_everything(writer: Writer, reader: ReaderProcess) -> None:
    """Beyond so many names a commit says "all" instead of each."""
    commit = Commit()
    commit.rows = {names.to_wire(f"n{number}.global"): b"1" for number in range(MAX_CHANGED_NAMES + 1)}
    writer.apply(commit)
    assert reader.read()["forget"] == ALL
    writer.apply(committing(a=b"1"))
    assert reader.read()["forget"] == {A}


def test_a_failing_commit_leaves_nothing(writer: Writer, reader: ReaderProcess) -> None:
    """A commit is written as a whole or not at all, and the writer goes on afterwards."""
    writer.apply(committing(a=b"1"))
    reader.read()
    bad = committing(NamedbState(ready=False), a=b"2", b=b"3")
    bad.problems = {ProblemKey(b"x" * 600): [BROKEN]}  # a key longer than LMDB takes
    with pytest.raises(NameDatabaseError):
        writer.apply(bad)
    found = reader.read(A, B)
    assert (found["forget"], found["rows"], found["state"][0]) == (None, [b"1", None], True)
    assert writer.apply(committing(b=b"4")) == 1
    assert reader.read(B)["rows"] == [b"4"]


def test_the_serial_grows_with_every_change(writer: Writer, reader: ReaderProcess) -> None:
    """The serial of a look is what the SOA carries: a change means a larger one."""
    before = reader.read()["serial"]
    writer.apply(committing(a=b"1"))
    assert reader.read()["serial"] > before


def test_a_later_writer_goes_on(writer: Writer, reader: ReaderProcess, tmp_path: Path) -> None:
    """A restarted controller finds what the earlier one wrote, and readers follow it without opening again."""
    writer.apply(committing(a=b"1"))
    reader.read()
    writer.close()
    again = Writer(tmp_path / "view")
    with again.read() as tables:
        assert list(tables.rows.items()) == [(A, b"1")]
    again.apply(committing(b=b"2"))
    found = reader.read(A, B)
    assert (found["forget"], found["rows"]) == ({B}, [b"1", b"2"])
    again.close()


def test_a_new_reader_sees_the_last_commit_at_once(writer: Writer, tmp_path: Path) -> None:
    """A restarted worker serves at once, and begins with nothing kept."""
    writer.apply(committing(a=b"1"))
    with ReaderProcess(tmp_path / "view") as late:
        found = late.read(A)
    assert (found["forget"], found["rows"], found["state"][0]) == (ALL, [b"1"], True)


LABEL = st.binary(min_size=1, max_size=20)
NAME = st.lists(LABEL, max_size=5).map(
    lambda labels: b"".join(bytes((len(label),)) + label for label in labels) + b"\0"
)


@given(st.lists(NAME, max_size=20))
def test_names_joined_in_the_ring_come_apart_again(owners: list[bytes]) -> None:
    """Wire names carry their own lengths, whatever octets they hold."""
    assert decode_changed_names(encode_changed_names(owners)) == owners


def test_a_changed_reason_is_part_of_the_reply(writer: Writer, reader: ReaderProcess) -> None:
    """A worker drops its cached reply of a name that has a reason from now on, though the row is the same."""
    writer.apply(committing(a=b"1", b=b"2"))
    reader.read()
    commit = Commit()
    commit.unserved_reasons = {B: b"why not"}
    assert writer.apply(commit) == 0
    assert reader.read()["forget"] == {B}
