"""Clusters that wait: whatever arrives in whatever order, the answers are those of a mesh that got all at once."""

from collections import Counter
from collections.abc import Iterable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from meshdns.mesh.answer import Answer
from meshdns.mesh.candidates import EndpointRule
from meshdns.mesh.name_table import NameTable
from meshdns.mesh.objects.declarations import AnyDeclaration, key_of
from meshdns.mesh.settings import MeshSettings
from tests.mesh.scene import endpoint_slice, entry, gateway, mesh, name_table, service, system_namespace
from tests.mesh.test_name_table import CLUSTERS, SETTINGS, Step, after, apply, at_once, steps

pytestmark = pytest.mark.long

LIMIT = 3  # names of one turn


def take(made: NameTable, served: dict[str, Answer], judged: Counter[str] | None = None) -> None:
    """Take all answers, in turns, as the controller does."""
    while True:
        for name, answer in made.refresh(LIMIT).items():
            served.pop(name, None)
            if answer is not None:
                served[name] = answer
                if judged is not None and answer.candidates:
                    judged[name] += 1
        if not made.has_pending_names:
            return


def refreshed(made: NameTable, name: str) -> Answer:
    """The answer of a name that the next refresh judges."""
    answer = made.refresh()[name]
    assert answer is not None
    return answer


@pytest.mark.slow
@settings(max_examples=max(settings().max_examples // 3, 1))  # beside test_name_table.py, which tries the rest
@given(SETTINGS, steps(leaving=3), st.data())
def test_waiting_does_not_change_the_outcome(seen_from: MeshSettings, changes: list[Step], data: st.DataObject) -> None:
    """Clusters begin and end to wait between any two changes, and answers are taken then, too."""
    made, served = NameTable(seen_from), dict[str, Answer]()
    for step in changes:
        if data.draw(st.booleans()):
            made.set_waiting_clusters(data.draw(st.frozensets(st.sampled_from(CLUSTERS))))
        apply(made, step)
        if data.draw(st.booleans()):
            take(made, served)
    made.set_waiting_clusters(frozenset())
    take(made, served)
    assert served == at_once(seen_from, after(changes))


def test_pod_addresses_of_a_cluster_that_waits_are_kept() -> None:
    """Before its network is known it only looks far away."""
    made = name_table(
        mesh(vantage_cluster="east"), {"east": [system_namespace("net-1"), service("a", "None", namespace="p")]}
    )
    made.refresh()
    made.set_waiting_clusters({"west"})
    near = [system_namespace("net-1"), service("a", "None", namespace="p")]
    for each in (*near, endpoint_slice("10.40.1.1", service_name="a", namespace="p")):
        made.upsert("west", each)
    made.upsert("east", service("b", namespace="p"))
    made.refresh()
    assert made.drop_pod_addresses("west") == []
    made.set_waiting_clusters(frozenset())
    assert (
        made.refresh()["a.p.global"]
        == at_once(
            mesh(vantage_cluster="east"),
            {
                name: {key_of(each): each for each in made.inventory.clusters[name].declarations.values()}
                for name in ("east", "west")
            },
        )["a.p.global"]
    )
    assert not made.needs_pod_addresses()


def test_names_that_a_cluster_declared_before_it_waits_are_judged_after_it() -> None:
    """Its network changes while it waits, and the topology with it, for another cluster's sake."""
    seen_from = mesh(vantage_cluster="east")
    west = [gateway("203.0.113.7"), service("a", namespace="p")]
    west.append(endpoint_slice("10.40.1.1", service_name="a", namespace="p"))
    made = name_table(seen_from, {"east": [system_namespace("net-1")], "west": [system_namespace("net-2"), *west]})
    assert refreshed(made, "a.p.global").ipv4 == ("203.0.113.7",)
    made.set_waiting_clusters({"west"})
    made.upsert("west", system_namespace("net-1"))
    made.upsert("east", gateway("203.0.113.8"))
    made.refresh()
    made.set_waiting_clusters(frozenset())
    assert refreshed(made, "a.p.global").ipv4 == ("10.40.1.1",)


def test_a_cluster_that_moves_touches_names_that_name_its_gateways() -> None:
    """A private address counts as a gateway on the gateway's own network, or by its port."""
    seen_from = mesh(vantage_cluster="east")
    east = [system_namespace("net-1"), entry({"address": "10.9.9.9", "ports": {"http": 80}}, host="x.global")]
    made = name_table(seen_from, {"east": east, "west": [system_namespace("net-2"), gateway("10.9.9.9")]})
    before = refreshed(made, "x.global")
    made.upsert("west", system_namespace("net-1"))
    after = refreshed(made, "x.global")
    assert before.candidates[0].rule is EndpointRule.PRIVATE_DIRECT
    assert after.candidates[0].rule is EndpointRule.REMOTE_GATEWAY_AS_WRITTEN


def test_a_cluster_that_moves_has_its_names_judged_again() -> None:
    """On the own network its pods are reached by their addresses."""
    west = [gateway("203.0.113.7"), service("a", namespace="p")]
    west.append(endpoint_slice("10.40.1.1", service_name="a", namespace="p"))
    made = name_table(
        mesh(vantage_cluster="east"),
        {"east": [system_namespace("net-1")], "west": [system_namespace("net-2"), *west]},
    )
    assert refreshed(made, "a.p.global").ipv4 == ("203.0.113.7",)
    made.upsert("west", system_namespace("net-1"))
    assert refreshed(made, "a.p.global").ipv4 == ("10.40.1.1",)
    made.remove_cluster("west")
    assert made.refresh()["a.p.global"] is None
    assert made.inventory.clusters_by_service == {}


def test_a_slice_that_loses_its_addresses_is_judged_for_no_derived_name() -> None:
    """From another network only its readiness counts."""
    made = name_table(
        mesh(vantage_cluster="east"),
        {
            "east": [system_namespace("net-1")],
            "west": [
                gateway("203.0.113.7"),
                service("a", namespace="p"),
                endpoint_slice("10.40.1.1", service_name="a", namespace="p"),
            ],
        },
    )
    assert "a.p.global" in made.refresh()
    for part in made.drop_pod_addresses("west"):
        assert made.upsert("west", part)
    assert made.refresh() == {}


# ------------------------------------------------------------------------------------------ counts


def objects(number: int) -> Iterable[AnyDeclaration]:
    """A cluster with a Service that all have, one of its own, and entries of its own and for a host of two."""
    yield system_namespace(f"net-{number}")
    yield gateway(f"203.0.113.{number}")
    for name in ("shared", f"own{number}"):
        yield service(name, f"10.96.{number}.7", namespace="p")
        yield endpoint_slice(f"10.40.{number}.1", service_name=name, namespace="p")
    yield entry(f"10.40.{number}.2", host=f"e{number}.global", name="own", namespace="p")
    yield entry(f"10.40.{number}.3", host=f"pair{number // 2}.global", name="pair", namespace="p")


@settings(max_examples=max(settings().max_examples // 4, 1))
@given(st.integers(2, 6), st.randoms(use_true_random=False), st.integers(1, 9))
def test_each_name_is_judged_once_at_a_start(clusters: int, shuffler: Any, batch: int) -> None:
    """Names of the own cluster are judged when it is listed, and again with the others only where these touch them."""
    declared = {f"c{number}": list(objects(number)) for number in range(clusters)}
    arrivals = [(name, each) for name, found in declared.items() for each in found]
    shuffler.shuffle(arrivals)
    made, served, judged = NameTable(mesh(vantage_cluster="c0")), dict[str, Answer](), Counter[str]()
    made.set_waiting_clusters(declared.keys())
    is_own_listed = shuffler.randrange(len(arrivals))
    for number, (name, each) in enumerate(arrivals):
        made.upsert(name, each)
        if number == is_own_listed:
            for own in declared["c0"]:
                made.upsert("c0", own)
            made.set_waiting_clusters(declared.keys() - {"c0"})
            take(made, served, judged)
        if number % batch == 0:
            take(made, served, judged)
    made.set_waiting_clusters(frozenset())
    take(made, served, judged)
    left = {name: {key_of(each): each for each in found} for name, found in declared.items()}
    assert served == at_once(mesh(vantage_cluster="c0"), left)
    assert judged == {
        name: 2 if name in ("shared.p.global", "pair0.global") else 1
        for name, answer in served.items()
        if answer.candidates
    }


def test_a_cluster_that_joins_later_is_judged_by_its_own_names() -> None:
    """Its network is another one than before, and no concern of the names of others."""
    made = name_table(mesh(vantage_cluster="c0"), {f"c{number}": objects(number) for number in range(6)})
    made.refresh()
    made.add_cluster("c6")
    assert made.refresh().keys() == {"c6.gateways.global"}
    for each in objects(6):
        made.upsert("c6", each)
    assert made.refresh().keys() - {"c6.gateways.global"} == {
        "shared.p.global",
        "own6.p.global",
        "e6.global",
        "pair3.global",
    }
