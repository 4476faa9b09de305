"""When the name database says which settings its names were computed for."""

from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from meshdns.controller.cluster_state import DENIAL_BLOCK_TIMEOUT, ClusterTracker
from meshdns.controller.publisher import NAMES_PER_COMMIT, Publisher
from meshdns.mesh.zone_hashes import UNKNOWN_HASH, SettingsHashes, ZoneHashes
from meshdns.namedb.writer import Writer
from tests.mesh.scene import entry, mesh

NOW = 1_800_000_000.0
OLD = SettingsHashes(
    {"global": ZoneHashes("old", "r"), "gone.example": ZoneHashes("g", "r"), "corp": ZoneHashes(upstream="corp")}, "s"
)
NEW = SettingsHashes({"global": ZoneHashes("new", "r", "."), "fresh.example": ZoneHashes("f", "r")}, "s")
OTHER_SOURCES = msgspec.structs.replace(NEW, sources="t")


@pytest.fixture
def writer(tmp_path: Path) -> Iterator[Writer]:
    """A name database that was built for the old settings, with more names than fit into a commit."""
    made = Writer(tmp_path / "namedb")
    old = publisher(made, OLD)
    for number in range(NAMES_PER_COMMIT + 10):
        old.upsert("east", entry({"address": "192.0.2.1"}, name=f"a{number}", host=f"a{number}.prod.global"))
    assert stored(made) is None
    while publish(old):
        assert stored(made) is None
    assert stored(made) == OLD.zones
    yield made
    made.close()


def publisher(writer: Writer, hashes: SettingsHashes) -> Publisher:
    """A process that begins with these settings."""
    made = Publisher(msgspec.structs.replace(mesh(), hashes=hashes), writer)
    made.restore(NOW)
    return made


def publish(made: Publisher, *, knows_clusters: bool = True) -> bool:
    """Commit once; return whether names are left."""
    made.publish(ready=True, complete=True, stale=(), now=NOW, knows_clusters=knows_clusters)
    return made.has_pending_names


def stored(writer: Writer) -> dict[str, ZoneHashes] | None:
    """The hashes in the name database."""
    with writer.read() as tables:
        return tables.state.zones


def test_old_hashes_end_with_the_first_part_and_new_ones_begin_with_the_last(writer: Writer) -> None:
    """In between names are partly of the one and partly of the other; what was no zone is still known to be none."""
    later = publisher(writer, NEW)
    assert publish(later)
    assert stored(writer) == {
        "global": ZoneHashes(UNKNOWN_HASH, "r"),
        "gone.example": ZoneHashes(UNKNOWN_HASH, UNKNOWN_HASH),
        "corp": ZoneHashes(upstream="corp"),
    }
    while publish(later):
        pass
    assert stored(writer) == NEW.zones


def test_a_restart_with_the_same_settings_keeps_the_hashes(writer: Writer) -> None:
    """Names may be denied all the time."""
    later = publisher(writer, OLD)
    while publish(later, knows_clusters=False):
        assert stored(writer) == OLD.zones
    assert stored(writer) == OLD.zones


def test_other_sources_wait_for_their_clusters(writer: Writer) -> None:
    """A cluster that nobody has named yet may have any name; a new zone alone waits for nothing."""
    later = publisher(writer, OTHER_SOURCES)
    while publish(later, knows_clusters=False):
        pass
    assert (stored(writer) or {})["global"].names == UNKNOWN_HASH
    publish(later)
    assert stored(writer) == NEW.zones


def test_a_new_zone_waits_for_no_source(writer: Writer) -> None:
    """The clusters are those that were known before."""
    later = publisher(writer, NEW)
    while publish(later, knows_clusters=False):
        pass
    assert stored(writer) == NEW.zones


def test_a_commit_after_a_failed_one_is_written_whether_or_not_anything_changed(writer: Writer) -> None:
    """It shows that the database can be written again."""
    later = publisher(writer, OLD)
    while publish(later):
        pass
    serials = []
    for must_write in (False, True, False):
        if must_write:
            later.require_write()
        publish(later)
        with writer.read() as tables:
            serials.append(tables.serial)
    assert serials == [serials[0], serials[0] + 1, serials[0] + 1]


def test_all_clusters_are_known_once_every_source_has_named_its_own() -> None:
    """Or once a source was waited for as long as a silent cluster."""
    tracker = ClusterTracker(own="", required=(), started=0.0)
    assert not tracker.serving_state(0.0).knows_clusters
    tracker.expect_sources(2)
    tracker.record_source_listed("one")
    assert not tracker.serving_state(DENIAL_BLOCK_TIMEOUT).knows_clusters
    assert tracker.serving_state(DENIAL_BLOCK_TIMEOUT + 0.1).knows_clusters
    tracker.record_source_listed("two")
    assert tracker.serving_state(1.0).knows_clusters
