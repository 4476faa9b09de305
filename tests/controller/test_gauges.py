"""What the controller publishes of itself on the scoreboard."""

from meshdns.controller.cluster_summary import ClusterSummary, GatewaySummary
from meshdns.controller.gauges import ControllerMetrics, MeshCounts
from meshdns.instance import metric_pages
from meshdns.instance.metric_pages import MetricPage
from meshdns.instance.scoreboard import CONTROLLER, Scoreboard
from meshdns.mesh.inventory import InvalidationSet, Inventory
from meshdns.mesh.objects.declarations import Namespace
from meshdns.mesh.settings import MeshSettings, MeshZone
from tests.mesh.scene import entry, gateway, mesh, name_table, on_networks

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


def test_gateways_without_address_and_the_names_that_need_them_are_counted() -> None:
    """By what each lacks; every known cluster has all series, so that an alert ends with its cause."""
    board, inventory = Scoreboard.create(), Inventory(SETTINGS)
    metrics = ControllerMetrics(board, lambda: 0.0)
    clusters = {
        "east": (),
        "west": (
            gateway("gw.west.example"),
            entry("10.9.0.1", host="a.prod.global", name="a"),
            entry("10.9.0.2", "203.0.113.9", host="b.prod.global", name="b"),
        ),
    }
    table = name_table(mesh(clusters=on_networks(east="e", west="w")), clusters)
    counts = MeshCounts(SETTINGS)

    def published(summary: ClusterSummary) -> dict[tuple[str, ...], float]:
        for name, answer in table.refresh().items():
            counts.update_name(name, answer)
        metrics.publish(
            summaries={"east": ClusterSummary(), "west": summary},
            contact_ages={},
            credential_expiry={},
            mesh_counts=counts,
            inventory=inventory,
            controller_problems=(),
        )
        page = MetricPage(board.read_page(CONTROLLER))
        wanted = (
            metric_pages.GATEWAYS_KNOWN,
            metric_pages.GATEWAYS_WITHOUT_ADDRESS,
            metric_pages.NAMES_WITHOUT_GATEWAY,
        )
        return {(metric.name, *labels): value for metric in wanted for labels, (value,) in page.samples(metric)}

    known, lacking, names = "gateways_known", "gateways_without_address", "names_without_gateway"
    table.set_resolved_addresses("gw.west.example", ())
    dead = GatewaySummary("gw.west.example", 15443, "west", state="resolves to nothing")
    found = published(ClusterSummary(gateways=(dead, GatewaySummary("203.0.113.20")), objects_without_address=2))
    states = ("resolves to nothing", "resolves to nothing that is served", "look-ups fail", "no reply yet")
    expected: dict[tuple[str, ...], float] = {
        (known, "east"): 0,
        (names, "east"): 0,
        (known, "west"): 4,
        (names, "west"): 2,
        **{(lacking, "east", state): 0 for state in (*states, "object without address")},
        **{(lacking, "west", state): 0 for state in states[1:]},
        (lacking, "west", "resolves to nothing"): 1,
        (lacking, "west", "object without address"): 2,
    }
    assert found == expected
    table.set_resolved_addresses("gw.west.example", ("203.0.113.21",))
    ended = published(ClusterSummary(gateways=(GatewaySummary("gw.west.example"),)))
    assert {labels: value for labels, value in ended.items() if value} == {(known, "west"): 1}
