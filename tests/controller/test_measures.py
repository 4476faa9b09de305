"""What the controller publishes of itself on the scoreboard."""

from meshdns import meters
from meshdns.controller.census import Census
from meshdns.controller.measures import Measures
from meshdns.mesh.declarations import Namespace
from meshdns.mesh.inventory import Inventory, Touched
from meshdns.mesh.settings import MeshSettings, Zone
from meshdns.meters import Ledger
from meshdns.scoreboard import CONTROLLER, Scoreboard

SETTINGS = MeshSettings(zones=(Zone("global"),))


def test_the_objects_of_one_cluster_are_counted_at_a_time_and_of_each_again_after_a_while() -> None:
    """Large meshes are counted in parts, so that no change waits for all of it; a cluster that left is not told."""
    now = 0.0
    board, inventory = Scoreboard.create(), Inventory(SETTINGS)
    measures = Measures(board, lambda: now)
    told = []
    for second in range(14):
        now = float(second)
        if second == 0:
            for cluster in ("east", "west"):
                inventory.upsert(cluster, Namespace(namespace="", name="shop"), Touched())
        if second == 5:
            inventory.upsert("east", Namespace(namespace="", name="cart"), Touched())
        if second == 13:
            inventory.remove_cluster("west", Touched())
        measures.publish(
            described={}, contacts={}, credentials={}, census=Census(SETTINGS), inventory=inventory, own=()
        )
        samples = Ledger(board.published(CONTROLLER)).samples(meters.OBJECTS)
        told.append({labels: value for labels, (value,) in samples})
    east, west = ("east", "Namespace"), ("west", "Namespace")
    assert told[:2] == [{east: 1}, {east: 1, west: 1}]
    assert told[9:11] == [{east: 1, west: 1}, {east: 2, west: 1}]
    assert told[13] == {east: 2}
