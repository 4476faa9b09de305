"""What the controller publishes of itself on the scoreboard."""

from meshdns.controller.gauges import ControllerMetrics, MeshCounts
from meshdns.instance import metric_pages
from meshdns.instance.metric_pages import MetricPage
from meshdns.instance.scoreboard import CONTROLLER, Scoreboard
from meshdns.mesh.inventory import InvalidationSet, Inventory
from meshdns.mesh.objects.declarations import Namespace
from meshdns.mesh.settings import MeshSettings, MeshZone

SETTINGS = MeshSettings(zones=(MeshZone("global"),))


def test_the_objects_of_one_cluster_are_counted_at_a_time_and_of_each_again_after_a_while() -> None:
    """Large meshes are counted in parts, so that no change waits for all of it; a cluster that left is not told."""
    now = 0.0
    board, inventory = Scoreboard.create(), Inventory(SETTINGS)
    measures = ControllerMetrics(board, lambda: now)
    told = []
    for second in range(14):
        now = float(second)
        if second == 0:
            for cluster in ("east", "west"):
                inventory.upsert(cluster, Namespace(namespace="", name="shop"), InvalidationSet())
        if second == 5:
            inventory.upsert("east", Namespace(namespace="", name="cart"), InvalidationSet())
        if second == 13:
            inventory.remove_cluster("west", InvalidationSet())
        measures.publish(
            summaries={},
            contact_ages={},
            credential_expiry={},
            mesh_counts=MeshCounts(SETTINGS),
            inventory=inventory,
            controller_problems=(),
        )
        samples = MetricPage(board.read_page(CONTROLLER)).samples(metric_pages.OBJECTS)
        told.append({labels: value for labels, (value,) in samples})
    east, west = ("east", "Namespace"), ("west", "Namespace")
    assert told[:2] == [{east: 1}, {east: 1, west: 1}]
    assert told[9:11] == [{east: 1, west: 1}, {east: 2, west: 1}]
    assert told[13] == {east: 2}
