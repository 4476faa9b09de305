"""Whose host names are looked up, and how many of them."""

import pytest

from meshdns.mesh.fair_timers import NOBODY, Owner, Owners
from meshdns.mesh.lookup_plan import MAX_HOSTS_PER_OWNER, plan_lookups
from meshdns.mesh.name_table import NameTable
from meshdns.mesh.objects.declarations import key_of
from tests.mesh.scene import entry, gateway, mesh, on_networks, service

GREEDY = Owner("west", "greedy")
HONEST = Owner("west", "honest")
WANTED: dict[str, Owners] = {f"h{number:05}.example": (GREEDY,) for number in range(3 * MAX_HOSTS_PER_OWNER)}


def test_host_names_belong_to_namespaces_and_gateways() -> None:
    """An endpoint's and a load balancer's to the namespace of their object; a gateway's to its object, and urgent."""
    table = NameTable(mesh(clusters=on_networks(east="net-e", west="net-w", far="net-f")))
    table.upsert("east", entry("shared.example", "own.example", namespace="shop", resolution="DNS"))
    table.upsert("far", entry("shared.example", namespace="other", resolution="DNS"))
    table.upsert("far", service("cart", namespace="pay", ingress=["lb.example"]))
    table.upsert("west", service("web", namespace="prod"))
    table.upsert("west", gateway("gw.example"))
    table.refresh()
    assert table.host_owners() == {
        "shared.example": (Owner("east", "shop"), Owner("far", "other")),
        "own.example": (Owner("east", "shop"),),
        "lb.example": (Owner("far", "pay"),),
        "gw.example": (Owner("west", "Service istio-system/gateway", urgent=True),),
    }
    version = table.hosts_to_resolve_version
    table.remove("far", key_of(entry(namespace="other")))
    table.refresh()
    assert table.host_owners()["shared.example"] == (Owner("east", "shop"),)
    assert table.hosts_to_resolve_version != version


def test_probed_addresses_belong_to_the_objects_that_hold_them() -> None:
    """What a host name resolves to belongs to the gateway that has the name."""
    table = NameTable(mesh(clusters=on_networks(east="net-e", west="net-w")))
    table.upsert("west", service("web", namespace="prod"))
    table.upsert("west", gateway("gw.example", "203.0.113.7"))
    table.set_resolved_addresses("gw.example", ("203.0.113.8",))
    table.refresh()
    owner = Owner("west", "Service istio-system/gateway")
    assert table.probe_targets() == {("203.0.113.7", 15443): (owner,), ("203.0.113.8", 15443): (owner,)}


def test_namespace_has_a_bound_and_others_keep_theirs() -> None:
    """What is over it is left out and named; a host that another namespace holds too is looked up for that one."""
    wanted = {**WANTED, "zz.example": (GREEDY, HONEST), "zzz.example": (HONEST,)}
    plan = plan_lookups(wanted, ())
    assert len(plan.hosts) == MAX_HOSTS_PER_OWNER + 2
    assert plan.hosts["zz.example"] == plan.hosts["zzz.example"] == (HONEST,)
    assert plan.excess == {GREEDY: 3 * MAX_HOSTS_PER_OWNER + 1}
    ((cluster, problem),) = plan.problems()
    assert (cluster, problem.name) == ("west", "greedy")
    assert f"{3 * MAX_HOSTS_PER_OWNER + 1} host names; {MAX_HOSTS_PER_OWNER}" in problem.reason


@pytest.mark.parametrize("count", [1, MAX_HOSTS_PER_OWNER])
def test_nothing_is_left_out_below_the_bound(count: int) -> None:
    """All are looked up, and there is no problem."""
    wanted = dict(list(WANTED.items())[:count])
    plan = plan_lookups(wanted, ())
    assert plan.hosts == wanted
    assert not list(plan.problems())


def test_chosen_host_names_stay() -> None:
    """New ones that come first in the alphabet push none of them out."""
    first = plan_lookups(WANTED, ())
    more = {**{f"a{number}.example": (GREEDY,) for number in range(100)}, **WANTED}
    assert plan_lookups(more, first.hosts).hosts == first.hosts


def test_host_name_without_an_owner_is_bounded_too() -> None:
    """It counts as one of nobody."""
    plan = plan_lookups(dict.fromkeys(WANTED, ()), ())
    assert len(plan.hosts) == MAX_HOSTS_PER_OWNER
    assert set(plan.excess) == set(NOBODY)
