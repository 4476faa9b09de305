"""A publisher that goes on with the name database of an earlier process."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from meshdns.controller.publisher import Publisher
from meshdns.mesh.objects.declarations import ObjectKind, UnreadableObject
from meshdns.mesh.objects.problems import Problem, ProblemKind
from meshdns.namedb.tables import ProblemTable
from meshdns.namedb.writer import Writer
from tests.mesh.scene import mesh

BROKEN = Problem(ProblemKind.MALFORMED, "Namespace", "", "shop", "metadata.labels", "is no object")


@pytest.fixture
def writer(tmp_path: Path) -> Iterator[Writer]:
    """An empty name database."""
    made = Writer(tmp_path / "namedb")
    yield made
    made.close()


def test_the_problems_of_an_object_without_a_namespace_outlive_a_restart(writer: Writer) -> None:
    """They are the object's own; only derived problems are found anew by each process."""
    publisher = Publisher(mesh(), writer)
    unreadable = UnreadableObject(namespace="", name="shop", object_kind=ObjectKind.NAMESPACE, problems=(BROKEN,))
    publisher.upsert("east", unreadable)
    publisher.publish(ready=True, complete=True, stale=())
    later = Publisher(mesh(), writer)
    later.restore()
    later.upsert("east", unreadable)
    later.publish(ready=True, complete=True, stale=())
    with writer.read() as txn:
        assert list(ProblemTable(txn).items()) == [("east", BROKEN)]
    assert later.mesh_counts.problems["east", "malformed"] == 1
