"""Once everything was read, the collector has next to nothing left to walk, so it cannot delay probes and admin."""

import gc
from collections.abc import Iterator

import pytest

from meshdns.controller import __main__
from meshdns.mesh.name_table import NameTable
from meshdns.mesh.objects.declarations import Endpoint, Resolution, ServiceEntry
from meshdns.mesh.settings import MeshSettings, MeshZone

ENTRIES = 2000


def entry(number: int) -> ServiceEntry:
    """A ServiceEntry with a name of its own."""
    return ServiceEntry(
        namespace="default",
        name=f"service-{number}",
        hosts=(f"service-{number}.default.global",),
        resolution=Resolution.STATIC,
        endpoints=(Endpoint("192.0.2.1"),),
        internal=True,
    )


@pytest.fixture
def catalog() -> Iterator[NameTable]:
    """A mesh that was read and judged."""
    catalog = NameTable(MeshSettings(zones=(MeshZone("global"),)))
    for number in range(ENTRIES):
        catalog.upsert("east", entry(number))
    while catalog.has_pending_names:
        catalog.refresh(ENTRIES)
    catalog.refresh()
    yield catalog
    gc.unfreeze()


def test_what_was_read_is_not_walked_again(catalog: NameTable) -> None:
    """A full collection after the sync is as short as that of a controller that has read nothing."""
    __main__._release_memory()
    assert catalog.inventory.clusters
    assert len(gc.get_objects()) < ENTRIES / 10
    assert gc.get_freeze_count() > ENTRIES
