"""What is said of names that somebody declares and of which nothing is served."""

from typing import Any

import pytest

from meshdns.mesh.objects.declarations import AnyDeclaration, ServiceEntry
from meshdns.mesh.settings import ClusterSettings, MeshSettings, MeshZone
from meshdns.mesh.unserved_reasons import MAX_TEXT, extended_error, host_reason, unreachable_reason, unserved_hosts
from meshdns.mesh.visibility import host_problems
from tests.mesh.scene import answers, entry, mesh

HIDDEN: dict[str, Any] = {"exportTo": ["."]}


def _reasons(cluster: str, declaration: AnyDeclaration, settings: MeshSettings) -> list[tuple[str, bytes]]:
    """The refused hosts of a declaration and what is kept of them."""
    assert isinstance(declaration, ServiceEntry)
    found = unserved_hosts(declaration, host_problems(declaration, cluster, settings), cluster, settings)
    return [(host, host_reason(cluster, host, problem)) for host, problem in found]


@pytest.mark.parametrize(
    ("own", "spec", "code", "why"),
    [
        (ClusterSettings(), HIDDEN, 18, "it is not exported to all"),
        (ClusterSettings(zones=("mesh",)), {}, 18, "the cluster may not speak for global"),
        (ClusterSettings(namespaces=("shop",)), {}, 18, "namespace prod may not speak"),
        (
            ClusterSettings(own_namespace_hosts=True),
            {"host": "reviews.shop.global"},
            18,
            "it belongs to another namespace",
        ),
    ],
    ids=["exportTo", "zones", "namespaces", "hosts"],
)
def test_a_refused_host_says_why(own: ClusterSettings, spec: dict[str, Any], code: int, why: str) -> None:
    """Whatever keeps a host from being served is a code, the cluster, the reason and what to do next."""
    settings = MeshSettings(zones=(MeshZone("global"),), clusters={"west": own})
    ((_, kept),) = _reasons("west", entry("203.0.113.7", **spec), settings)
    assert extended_error(kept, show_cluster=True) == (
        code,
        f"known in cluster west, but {why}; see meshdns explain".encode(),
    )


def test_what_is_no_service_of_a_fallback_zone_is_refused_for_another_reason() -> None:
    """Nobody forbids it: EDE 0."""
    settings = MeshSettings(zones=(MeshZone("cluster.local", fallback=True),))
    ((_, kept),) = _reasons("west", entry("203.0.113.7", host="db.cluster.local"), settings)
    assert extended_error(kept, show_cluster=True) == (
        0,
        b"known in cluster west, but it names no Service; see meshdns explain",
    )


def test_a_host_that_is_served_is_not_refused() -> None:
    """Neither one exported to all nor a wildcard over a whole zone, which is only warned of."""
    settings = MeshSettings(zones=(MeshZone("global"),))
    assert _reasons("west", entry("203.0.113.7", hosts=["reviews.prod.global", "*.global"]), settings) == []


def test_those_who_may_not_look_inside_learn_of_no_cluster() -> None:
    """The fact alone, without the names of clusters and namespaces."""
    ((_, kept),) = _reasons("west", entry("203.0.113.7", **HIDDEN), mesh())
    assert extended_error(kept, show_cluster=False) == (18, b"this name is not exported to here; see meshdns explain")


def test_a_private_address_that_nothing_may_carry_is_told() -> None:
    """The rule that yields no address is the one that explanations name."""
    external = entry("10.1.2.3", location="MESH_EXTERNAL")
    kept = unreachable_reason(answers(mesh(), {"east": [], "west": [external]})["reviews.prod.global"])
    assert kept is not None
    assert extended_error(kept, show_cluster=True) == (
        0,
        b"known in cluster west: a private address of another network, and nothing may carry it; see meshdns explain",
    )
    assert extended_error(kept, show_cluster=False) == (
        0,
        b"this name is declared, but cannot be reached from here; see meshdns explain",
    )


def test_an_answer_with_an_address_is_not_told() -> None:
    """What is served has no reason."""
    clusters = {"east": [], "west": [entry("203.0.113.7")]}
    assert unreachable_reason(answers(mesh(), clusters)["reviews.prod.global"]) is None


def test_what_a_name_waits_for_is_told() -> None:
    """EDE 22 names the host name whose look-up has no reply, and strangers learn that there is no address yet."""
    kept = unreachable_reason(answers(mesh(), {"east": [], "west": [entry("one.example.com")]})["reviews.prod.global"])
    assert kept is not None
    assert extended_error(kept, show_cluster=True) == (
        22,
        b"known in cluster west: no reply yet for one.example.com; see meshdns explain",
    )
    assert extended_error(kept, show_cluster=False) == (
        22,
        b"no address is known yet for this name; see meshdns explain",
    )


def test_a_long_reason_loses_its_end_and_not_the_advice() -> None:
    """A sentence is short enough for a small reply, in whole characters."""
    ((_, kept),) = _reasons("ü" * 100, entry("203.0.113.7", **HIDDEN), mesh())
    _, text = extended_error(kept, show_cluster=True)
    assert len(text) <= MAX_TEXT
    assert text.decode().endswith("ü; see meshdns explain")


def test_an_empty_non_terminal_is_not_declared() -> None:
    """A name that exists because of one below it is refused to nobody."""
    assert unreachable_reason(answers(mesh(), {"east": [entry("203.0.113.7")]})["prod.global"]) is None
