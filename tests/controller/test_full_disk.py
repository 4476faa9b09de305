"""What is said while the name database cannot be written: why, and what is served meanwhile."""

import asyncio
import logging
from pathlib import Path

import pytest

from meshdns.controller import controller as controller_module
from meshdns.controller.publisher import Publisher
from meshdns.mesh.objects.declarations import ObjectKind
from meshdns.namedb.database import NameDatabaseError
from meshdns.namedb.writer import Writer
from meshdns.sources.sink import ClusterAdded, KindListed, SourceListed
from tests.controller.scene import controller_metrics, make_controller, run_turns

FULL = "the name database cannot be written (No space left on device)"
KINDS = frozenset({ObjectKind.SERVICE_ENTRY})


def refuse(*_: object, **__: object) -> None:
    """A commit on a full disk."""
    raise NameDatabaseError(FULL)


async def read_east(writer: Writer, folder: Path, *, served_before: bool, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What an instance that reads its own cluster reports that it waits for, from when the disk is full."""
    reported: list[str] = []
    controller = make_controller(writer, folder, controller_metrics(), on_not_ready=reported.append)
    controller.expect_sources(1)
    if served_before:
        await add_east(controller)
    monkeypatch.setattr(Publisher, "publish", refuse)
    reported.clear()
    await add_east(controller)
    controller._on_tick()
    monkeypatch.undo()
    await controller.close()
    return reported


async def add_east(controller: controller_module.Controller) -> None:
    """A source names the cluster and lists it, empty."""
    controller.report(ClusterAdded("east", KINDS, source="test"))
    controller.report(KindListed("east", ObjectKind.SERVICE_ENTRY, ()))
    controller.report(SourceListed("test"))
    await run_turns(5)


@pytest.mark.parametrize(
    ("served_before", "waits", "said"),
    [
        (False, [f"{FULL}; free space"], "nothing was committed yet, so no name of the mesh is answered"),
        (True, [], "what was committed last is served on"),
    ],
    ids=["from the start", "later"],
)
def test_a_full_disk_is_named_as_what_is_waited_for(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    *,
    served_before: bool,
    waits: list[str],
    said: str,
) -> None:
    """Not a source, which has done its work; and nothing is said to be served that is not there."""
    writer = Writer(tmp_path / "namedb")
    with caplog.at_level(logging.ERROR, "meshdns.controller"):
        reported = asyncio.run(read_east(writer, tmp_path, served_before=served_before, monkeypatch=monkeypatch))
    writer.close()
    assert [each[: len(waits[0])] if waits else each for each in reported] == waits
    assert [record.getMessage() for record in caplog.records] == [f"{FULL}; {said}"]
