"""Clusters and networks that the settings name and nothing brings: when a running server says so, and when no more."""

import asyncio
import logging
from pathlib import Path

import pytest

from meshdns.controller.cluster_state import ClusterTracker
from meshdns.controller.settings_names import UnknownNames
from meshdns.mesh.name_table import NameTable
from meshdns.mesh.objects.declarations import ObjectKind
from meshdns.mesh.settings import MeshSettings, MeshZone
from meshdns.namedb.writer import Writer
from meshdns.sources.sink import ClusterAdded, SourceListed
from tests.controller.scene import controller_metrics, make_controller, run_turns
from tests.mesh.scene import mesh, system_namespace

KINDS = frozenset({ObjectKind.SERVICE_ENTRY, ObjectKind.NAMESPACE})


class Scene:
    """A server of the settings `settings`, and what it says of names."""

    def __init__(self, settings: MeshSettings) -> None:
        self.tracker = ClusterTracker(own=settings.vantage_cluster, required=(), started=0.0)
        self.name_table = NameTable(settings)
        self.names = UnknownNames()
        self.changes = 0

    def add(self, cluster: str, *, read: bool = True) -> None:
        """A source names a cluster, and lists it if it is `read`."""
        state = self.tracker.state_of(cluster)
        state.kinds, state.removed_at = KINDS, None
        self.name_table.add_cluster(cluster)
        if read:
            state.listed_kinds.update(KINDS)

    def fields(self) -> list[str]:
        """The keys that are named now."""
        self.name_table.refresh()
        self.names.update(self.tracker, self.name_table, self.changes)
        return [each.field for each in self.names.problems]


def test_nothing_is_said_before_all_sources_have_named_their_clusters() -> None:
    """The cluster may be one of a source that is slow."""
    scene = Scene(mesh(vantage_cluster="eats"))
    scene.tracker.expect_sources(2)
    scene.add("east")
    scene.tracker.record_source_listed("source 1")
    assert scene.fields() == []
    scene.tracker.record_source_listed("source 2")
    assert scene.fields() == ["vantage.cluster"]


def test_a_name_that_comes_ends_the_problem(caplog: pytest.LogCaptureFixture) -> None:
    """It is said once in the log, and once that it ended; a cluster that leaves begins it again."""
    scene = Scene(mesh(zones=(MeshZone("global", order=("west",)),)))
    scene.tracker.expect_sources(1)
    scene.add("east")
    scene.tracker.record_source_listed("source 1")
    with caplog.at_level(logging.INFO, "meshdns.controller"):
        for _ in range(2):
            assert scene.fields() == ["zones[0].order[0]"]
            scene.changes += 1
        scene.add("west")
        assert scene.fields() == []
    reason = "zones[0].order[0]: no source brings a cluster 'west'"
    assert [record.getMessage().partition("; ")[0] for record in caplog.records] == [
        reason,
        "zones[0].order[0]: it is known now",
    ]
    scene.tracker.state_of("west").removed_at = 7.0
    assert scene.fields() == ["zones[0].order[0]"]


def test_a_network_is_missed_once_all_clusters_were_read() -> None:
    """Its label may be among what is still to be read, and may come later."""
    scene = Scene(mesh(vantage_network="net-w"))
    scene.tracker.expect_sources(1)
    scene.tracker.record_source_listed("source 1")
    scene.add("east")
    scene.add("west", read=False)
    assert scene.fields() == []
    scene.add("west")
    assert scene.fields() == ["vantage.network"]
    scene.name_table.upsert("west", system_namespace("net-w"))
    scene.changes += 1
    assert scene.fields() == []


def test_a_server_shows_it_among_its_problems(tmp_path: Path) -> None:
    """Beside those of sources; ``get problems`` and the gauges read the same list."""

    async def main() -> None:
        controller = make_controller(writer, tmp_path, controller_metrics(), own_cluster="eats")
        controller.expect_sources(1)
        controller.report(ClusterAdded("east", KINDS, source="test"))
        controller.report(SourceListed("test"))
        await run_turns(5)
        controller._on_tick()
        assert [(each.object, each.field) for each in controller.problems()] == [("Settings", "vantage.cluster")]
        await controller.close()

    writer = Writer(tmp_path / "namedb")
    asyncio.run(main())
    writer.close()
