"""The values of files that settings name: read again when the file is another, kept when it cannot be read."""

import asyncio
import os
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from meshdns.config.model import Settings
from meshdns.config.named_files import FileForm, FileUse
from meshdns.config.regular_file import FileIdentity
from meshdns.mesh.objects.problems import ProblemKind
from meshdns.supervisor import settings_files
from meshdns.supervisor.settings_files import MAX_TOTAL, FileState, SettingsFiles, check_file, within_budget
from meshdns.upstream.file_forms import FileReading

FIRST, SECOND = "nameserver 192.0.2.1\n", "nameserver 192.0.2.2\n"
LONG_AGO = time.time_ns() - 3_600_000_000_000


def _settings(*paths: Path) -> Settings:
    return Settings.model_validate({"forward": [{"zone": ".", "to": [str(path) for path in paths]}]})


class _Watched:
    """Files of settings, and how often their values or problems changed."""

    def __init__(self, *paths: Path, read_timeout: float = 60.0) -> None:
        self.settings = _settings(*paths)
        self.changes = 0
        self.files = SettingsFiles(self.settings, on_change=self._count, interval=0.01, read_timeout=read_timeout)

    def _count(self) -> None:
        self.changes += 1

    async def start(self) -> None:
        """Read all files for the first time."""
        self.files.adopt(self.settings, await self.files.read_for(self.settings))

    def text(self, path: Path) -> str | None:
        """The value of a file."""
        return self.files.texts.get(FileForm.RESOLV_CONF, {}).get(str(path))

    def reasons(self) -> list[str]:
        """What is wrong."""
        return [problem.reason for problem in self.files.problems()]


def _unlink_and(path: Path, make: Callable[[Path], object]) -> None:
    path.unlink()
    make(path)


BREAKS: Mapping[str, Callable[[Path], object]] = {
    "missing": Path.unlink,
    "empty": lambda path: path.write_text(""),
    "no server": lambda path: path.write_text("nameserver 0.0.0.0\n"),
    "huge": lambda path: os.truncate(path, 10 << 30),
    "a folder": lambda path: _unlink_and(path, Path.mkdir),
    "a FIFO": lambda path: _unlink_and(path, os.mkfifo),
    "a device": lambda path: _unlink_and(path, lambda path: path.symlink_to("/dev/zero")),
    "a link to itself": lambda path: _unlink_and(path, lambda path: path.symlink_to(path.name)),
}


@pytest.mark.parametrize("broken", BREAKS)
def test_a_file_that_breaks_leaves_its_last_value(tmp_path: Path, broken: str) -> None:
    """It is a problem until it reads well again, and another file is none of its business."""
    path, other = tmp_path / "a", tmp_path / "b"
    path.write_text(FIRST)
    other.write_text(SECOND)

    async def main() -> None:
        watched = _Watched(path, other)
        await watched.start()
        assert (watched.text(path), watched.reasons()) == (FIRST, [])
        BREAKS[broken](path)
        assert await watched.files.refresh()
        assert not await watched.files.refresh()  # said once
        assert (watched.text(path), watched.text(other)) == (FIRST, SECOND)
        (problem,) = watched.files.problems()
        assert (problem.kind, problem.name) == (ProblemKind.UNREADABLE, str(path))
        assert "the last good value stays in force" in problem.reason
        assert watched.files.failed_reads == 2
        if path.is_dir():
            path.rmdir()
        path.unlink(missing_ok=True)
        path.write_text(SECOND)
        assert await watched.files.refresh()
        assert (watched.text(path), watched.reasons()) == (SECOND, [])

    asyncio.run(main())


def test_a_file_that_never_read_well_has_no_value(tmp_path: Path) -> None:
    """It is a problem; once it is there its value is."""
    path = tmp_path / "a"

    async def main() -> None:
        watched = _Watched(path)
        await watched.start()
        assert watched.text(path) is None
        assert watched.reasons() == ["No such file or directory; nothing is known instead of it"]
        path.write_text(FIRST)
        assert await watched.files.refresh()
        assert (watched.text(path), watched.reasons()) == (FIRST, [])

    asyncio.run(main())


def test_a_mounted_secret_that_is_swapped_is_another_file(tmp_path: Path) -> None:
    """Kubernetes swaps the link ``..data``; the link of the file itself stays as it is."""
    for name, text in (("one", FIRST), ("two", SECOND)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "resolv.conf").write_text(text)
        os.utime(tmp_path / name / "resolv.conf", ns=(LONG_AGO, LONG_AGO))
    (tmp_path / "..data").symlink_to("one")
    path = tmp_path / "resolv.conf"
    path.symlink_to("..data/resolv.conf")

    async def main() -> None:
        watched = _Watched(path)
        await watched.start()
        assert watched.text(path) == FIRST
        (tmp_path / "..new").symlink_to("two")
        (tmp_path / "..new").rename(tmp_path / "..data")
        assert await watched.files.refresh()
        assert watched.text(path) == SECOND

    asyncio.run(main())


def _counted(monkeypatch: pytest.MonkeyPatch, identity: FileIdentity) -> list[str]:
    read: list[str] = []

    def reading(use: FileUse, _own: object) -> FileReading:
        read.append(use.path)
        return FileReading(FIRST, "", identity)

    monkeypatch.setattr(settings_files, "read_named_file", reading)
    return read


@pytest.mark.parametrize(("age", "readings"), [(3600, 1), (0, 2)], ids=["old", "just written"])
def test_a_file_is_read_again_if_it_may_have_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, age: int, readings: int
) -> None:
    """One that was written just before it was read may be written again without another time stamp."""
    path = tmp_path / "a"
    path.write_text(FIRST)
    identity = FileIdentity.of(path.stat())
    now = max(identity.modified, identity.changed)
    monkeypatch.setattr(time, "time_ns", lambda: now + age * 1_000_000_000)
    read = _counted(monkeypatch, identity)
    use = FileUse(FileForm.RESOLV_CONF, str(path))
    state = check_file(use, FileState(), [])
    check_file(use, state, [])
    assert len(read) == readings


def test_a_file_system_that_hangs_costs_its_files_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The last value stays; another file is read; once it answers all is well."""
    hung, other = tmp_path / "a", tmp_path / "b"
    hung.write_text(FIRST)
    other.write_text(FIRST)
    released = threading.Event()
    released.set()

    def check(use: FileUse, known: FileState, own: list[object]) -> FileState:
        if use.path == str(hung):
            released.wait()
        return check_file(use, known, own)  # type: ignore[arg-type]

    monkeypatch.setattr(settings_files, "check_file", check)

    async def main() -> None:
        watched = _Watched(hung, other, read_timeout=2.0)
        await watched.start()
        released.clear()
        other.write_text(SECOND)
        assert await watched.files.refresh()
        assert (watched.text(hung), watched.text(other)) == (FIRST, SECOND)
        (reason,) = watched.reasons()
        assert reason.startswith("its file system did not answer for 2 s")
        released.set()
        async with asyncio.timeout(60):
            while watched.reasons():
                await watched.files.refresh()
        assert watched.text(hung) == FIRST

    asyncio.run(main())


def test_values_are_handed_on_whenever_they_change(tmp_path: Path) -> None:
    """Whatever the one they are handed to does with it."""
    path = tmp_path / "a"
    path.write_text(FIRST)

    async def main() -> None:
        watched = _Watched(path)
        await watched.start()
        heard = 0

        def take() -> None:
            nonlocal heard
            heard += 1
            raise RuntimeError("a fault of who takes it")

        watched.files._on_change = take
        task = asyncio.create_task(watched.files.run(), name="files")
        async with asyncio.timeout(60):
            for text in (SECOND, FIRST):
                path.write_text(text)
                before = heard
                while heard == before:  # noqa: ASYNC110 — what is waited for has no event
                    await asyncio.sleep(0.01)
        assert not task.done()
        task.cancel()

    asyncio.run(main())


def test_settings_that_come_in_force_meanwhile_keep_their_files(tmp_path: Path) -> None:
    """A look that began before is about other files."""
    old, new = tmp_path / "a", tmp_path / "b"
    old.write_text(FIRST)
    new.write_text(SECOND)

    async def main() -> None:
        watched = _Watched(old)
        await watched.start()
        fresh = _settings(new)
        states = await watched.files.read_for(fresh)
        looking = asyncio.create_task(watched.files.refresh(), name="look")
        await asyncio.sleep(0)
        watched.files.adopt(fresh, states)
        old.write_text(SECOND)
        assert not await looking
        assert (watched.text(old), watched.text(new)) == (None, SECOND)

    asyncio.run(main())


def test_only_files_that_are_new_can_refuse_settings(tmp_path: Path) -> None:
    """One that was named before may be away for a moment; that is no reason to refuse what else is new."""
    named, new = tmp_path / "a", tmp_path / "b"
    named.write_text(FIRST)

    async def main() -> None:
        watched = _Watched(named)
        await watched.start()
        named.unlink()
        for settings, expected in ((_settings(named), []), (_settings(named, new), [("forward", 0, "to", 1)])):
            states = await watched.files.read_for(settings)
            assert [each.key for each in watched.files.unreadable(settings, states)] == expected
        never = _Watched(named)
        await never.start()
        states = await never.files.read_for(never.settings)
        assert never.files.unreadable(never.settings, states) == []

    asyncio.run(main())


def test_values_have_a_budget() -> None:
    """They go through a pipe as one line; what is over it counts as unreadable and leaves the last value."""
    uses = [FileUse(FileForm.AUTHORITIES, f"/{number}") for number in range(3)]
    known = {use: FileState("old") for use in uses}
    states = {use: FileState("x" * (MAX_TOTAL // 2)) for use in uses}
    kept = within_budget(states, known)
    assert [len(kept[use].text or "") for use in uses] == [MAX_TOTAL // 2, MAX_TOTAL // 2, 0]
    assert "hold more than 8 MiB; name smaller ones" in kept[uses[2]].reason
    states[uses[1]] = FileState("x" * (MAX_TOTAL // 2 + 1))
    assert [len(state.text or "") for state in within_budget(states, known).values()] == [MAX_TOTAL // 2, 3, 3]


def test_looks_that_come_together_are_not_taken_for_hanging_ones(tmp_path: Path) -> None:
    """A reload may come while the files are looked at."""
    path = tmp_path / "a"
    path.write_text(FIRST)

    async def main() -> None:
        watched = _Watched(path)
        for states in await asyncio.gather(*(watched.files.read_for(watched.settings) for _ in range(5))):
            assert [state[:2] for state in states.values()] == [(FIRST, "")]

    asyncio.run(main())


def test_without_a_thread_the_last_value_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No memory, too many threads: that costs one look."""
    path = tmp_path / "a"
    path.write_text(FIRST)

    def fail(_thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    async def main() -> None:
        watched = _Watched(path)
        await watched.start()
        with monkeypatch.context() as patch:
            patch.setattr(threading.Thread, "start", fail)
            for _ in range(2):
                await watched.files.refresh()
                assert watched.text(path) == FIRST
                assert watched.reasons()[0].startswith("cannot be read (RuntimeError)")
        assert await watched.files.refresh()
        assert (watched.text(path), watched.reasons()) == (FIRST, [])

    asyncio.run(main())
