"""Last contacts as two processes in a row have them."""

import asyncio
import time
from pathlib import Path

import msgspec
import pytest

from meshdns.controller import kept_contacts
from meshdns.controller.cluster_state import STALE_AFTER
from meshdns.controller.kept_contacts import decode_contacts, encode_contacts
from meshdns.instance import clocks
from meshdns.instance.clocks import Moment, boot_time
from meshdns.mesh.objects.declarations import ObjectKind
from meshdns.mesh.objects.parse import parse_object
from meshdns.namedb.writer import Writer
from meshdns.sources.sink import ClusterAdded, KindListed
from tests.controller.scene import controller_metrics, make_controller, run_turns

KINDS = frozenset({ObjectKind.SERVICE_ENTRY})
ENTRY = {
    "apiVersion": "networking.istio.io/v1",
    "kind": "ServiceEntry",
    "metadata": {"name": "one", "namespace": "default"},
    "spec": {
        "hosts": ["one.global"],
        "location": "MESH_INTERNAL",
        "resolution": "STATIC",
        "ports": [{"number": 80, "name": "http", "protocol": "HTTP"}],
        "endpoints": [{"address": "203.0.113.1"}],
    },
}


def _state(folder: Path) -> tuple[tuple[int, ...], bool]:
    """Which clusters are stale in the database, and whether it answers."""
    writer = Writer(folder / "namedb")
    with writer.read() as tables:
        found = tables.state
    writer.close()
    return found.stale, found.ready


async def _read_once(folder: Path) -> None:
    """A controller that reads a cluster, and ends without a goodbye."""
    writer = Writer(folder / "namedb")
    controller = make_controller(writer, folder, controller_metrics())
    controller.start()
    controller.report(ClusterAdded("east", KINDS, source="test"))
    declaration = parse_object(ObjectKind.SERVICE_ENTRY, ENTRY)
    assert declaration is not None
    controller.report(KindListed("east", ObjectKind.SERVICE_ENTRY, (declaration,)))
    await run_turns(5)
    controller._contacts_kept_at = -kept_contacts.KEEP_INTERVAL
    controller._on_tick()
    await run_turns(5)
    writer.close()


async def _start(folder: Path) -> None:
    """A controller that reads nothing."""
    writer = Writer(folder / "namedb")
    controller = make_controller(writer, folder, controller_metrics())
    controller.start()
    await run_turns(5)
    writer.close()


@pytest.mark.parametrize(("away", "stale"), [(0.0, ()), (STALE_AFTER - 5, ()), (STALE_AFTER + 5, (0,))])
def test_restart_makes_a_cluster_stale_only_by_its_length(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, away: float, stale: tuple[int, ...]
) -> None:
    """The next process marks nothing stale that was heard of within 90 s, before it has read anything."""
    asyncio.run(_read_once(tmp_path))
    assert _state(tmp_path) == ((), True)
    later = Moment(clocks.boot_id(), boot_time() + away, time.time() + away)
    monkeypatch.setattr("tests.controller.scene.current_moment", lambda: later)
    asyncio.run(_start(tmp_path))
    assert _state(tmp_path) == (stale, True)


def test_kept_ages_grow_with_time() -> None:
    """By the boot clock within one boot, by the wall clock from one to the next."""
    kept = encode_contacts({"east": 1.5, "west": 60.0}, Moment("one", 100.0, 5000.0))
    assert decode_contacts(kept, Moment("one", 110.0, 9999.0)) == {"east": 11.5, "west": 70.0}
    assert decode_contacts(kept, Moment("two", 3.0, 5020.0)) == {"east": 21.5, "west": 80.0}


@pytest.mark.parametrize("junk", [None, b"", b"[]", b"\xff", b'{"written_at": 1}', b'{"ages": {}}'])
def test_contacts_that_cannot_be_read_are_none(junk: bytes | None) -> None:
    """A later version may keep others; an earlier one kept none."""
    assert decode_contacts(junk, Moment("one", 100.0, 5000.0)) == {}


def test_contacts_with_more_keys_are_read() -> None:
    """A version that was rolled back may have written some."""
    kept = msgspec.json.decode(encode_contacts({"east": 1.0}, Moment("one", 100.0, 5000.0)))
    assert decode_contacts(msgspec.json.encode({**kept, "more": 1}), Moment("one", 100.0, 0.0)) == {"east": 1.0}
