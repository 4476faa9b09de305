"""When another cluster or namespace begins to declare what was somebody's, and when that ends."""

from collections.abc import Iterator

import pytest

from meshdns.mesh.claims import MAX_CLAIMS, Claim, ClaimIndex, ClusterObject
from meshdns.mesh.name_table import NameTable
from meshdns.mesh.objects.declarations import AnyDeclaration, key_of
from tests.mesh.scene import entry, mesh, on_networks, service

HOST = "login.prod.global"


class Mesh:
    """Declarations and the claims between them."""

    def __init__(self, **settings: object) -> None:
        self.table = NameTable(mesh(clusters=on_networks(east="net-e", west="net-w"), **settings))
        self.index = ClaimIndex(self.table.inventory)

    def declare(self, cluster: str, declaration: AnyDeclaration) -> list[Claim]:
        """Add an object; the claims that begin by it."""
        found = self.index.find_new(cluster, declaration)
        self.table.upsert(cluster, declaration)
        self.index.update(cluster, key_of(declaration))
        self.index.add(found)
        return found

    def remove(self, cluster: str, declaration: AnyDeclaration) -> None:
        """Remove an object."""
        self.table.remove(cluster, key_of(declaration))
        self.index.update(cluster, key_of(declaration))

    @property
    def shown(self) -> list[tuple[str, str, str]]:
        """The cluster of each problem, its object, and whose name it is."""
        return [
            (cluster, f"{problem.namespace}/{problem.name}", problem.cause)
            for cluster, problem in self.index.problems()
        ]


OWN = entry("10.0.0.1", host=HOST, name="login", namespace="prod")


@pytest.mark.parametrize(
    ("cluster", "claimant", "between_clusters"),
    [
        ("east", entry("10.9.9.9", host=HOST, name="mine", namespace="evil"), False),
        ("west", entry("10.9.9.9", host=HOST, name="login", namespace="prod"), True),
        ("west", entry("10.9.9.9", host=HOST, name="mine", namespace="evil"), True),
    ],
    ids=["namespace", "cluster", "both"],
)
def test_claim_begins_and_ends(cluster: str, claimant: AnyDeclaration, *, between_clusters: bool) -> None:
    """It names both, is there once, and ends with either of them."""
    scene = Mesh()
    assert not scene.declare("east", OWN)
    (claim,) = scene.declare(cluster, claimant)
    assert (claim.name, claim.is_between_clusters) == (HOST, between_clusters)
    assert "ServiceEntry prod/login of cluster east" in str(claim)
    assert f"ServiceEntry {claimant.namespace}/{claimant.name} of cluster {cluster}" in str(claim)
    assert not scene.declare(cluster, claimant)
    assert scene.shown == [(cluster, f"{claimant.namespace}/{claimant.name}", "ServiceEntry east/prod/login")]
    scene.remove("east", OWN)
    assert not scene.shown
    scene.declare("east", OWN)
    (again,) = scene.index.find_new("east", entry(host=HOST, name="other", namespace="third"))
    assert again.holder[0] == "east"
    scene.remove(cluster, claimant)
    assert not scene.shown


def test_name_in_a_changed_entry_is_a_claim() -> None:
    """An entry that was there for another host claims the one that is added to it."""
    scene = Mesh()
    scene.declare("east", OWN)
    harmless = entry("10.9.9.9", host="mine.evil.global", name="mine", namespace="evil")
    assert not scene.declare("east", harmless)
    both = entry("10.9.9.9", hosts=["mine.evil.global", HOST], name="mine", namespace="evil")
    assert [claim.name for claim in scene.declare("east", both)] == [HOST]
    assert scene.declare("east", harmless) == []
    assert not scene.shown


@pytest.mark.parametrize(
    "declaration",
    [
        entry("10.0.0.2", host=HOST, name="second", namespace="prod"),
        entry("10.0.0.2", host="other.prod.global", name="other", namespace="evil"),
        entry("10.0.0.2", host="login.example.com", name="outside", namespace="evil"),
        entry("10.0.0.2", host=HOST, name="hidden", namespace="evil", exportTo=["."]),
        service("login", namespace="prod"),
    ],
    ids=["own namespace", "own host", "outside the zones", "not exported", "service"],
)
def test_no_claim(declaration: AnyDeclaration) -> None:
    """What takes nothing from anybody, or is not served, begins none."""
    scene = Mesh()
    scene.declare("east", OWN)
    assert not scene.declare("east", declaration)


@pytest.mark.parametrize(
    ("host", "namespace"),
    [("login.prod.global", "evil"), ("login.prod.svc.cluster.local", "evil")],
    ids=["name", "service host"],
)
def test_name_of_a_service_is_claimed(host: str, namespace: str) -> None:
    """The derived name of a Service is somebody's as well, whatever the host is written as."""
    scene = Mesh()
    scene.declare("east", service("login", namespace="prod"))
    (claim,) = scene.declare("east", entry("10.9.9.9", host=host, name="mine", namespace=namespace))
    assert claim.name == HOST
    assert scene.shown == [("east", "evil/mine", "Service east/prod/login")]
    scene.remove("east", service("login", namespace="prod"))
    assert not scene.shown


def test_claim_of_what_a_service_host_declares() -> None:
    """A holder by its svc host is found as well."""
    scene = Mesh()
    scene.declare("east", entry("10.0.0.1", host="login.prod.svc.cluster.local", name="login", namespace="prod"))
    (claim,) = scene.declare("east", entry("10.9.9.9", host=HOST, name="mine", namespace="evil"))
    assert claim.holder == ("east", key_of(entry(name="login", namespace="prod")))


def test_shown_claims_of_a_namespace_are_bounded() -> None:
    """All are found, so that they can be counted; a bounded number is shown, and other namespaces keep theirs."""
    scene = Mesh()
    hosts = [f"h{number}.prod.global" for number in range(2 * MAX_CLAIMS)]
    for number, host in enumerate(hosts):
        scene.declare("east", entry("10.0.0.1", host=host, name=f"own{number}"))
    assert len(scene.declare("west", entry("10.9.9.9", hosts=hosts, name="greedy", namespace="evil"))) == len(hosts)
    assert len(scene.shown) == MAX_CLAIMS
    scene.declare("west", entry("10.9.9.9", host=hosts[0], name="another", namespace="third"))
    assert len(scene.shown) == MAX_CLAIMS + 1


def test_stored_claims_are_shown_again() -> None:
    """A later process shows those that are still there, and no others."""
    scene = Mesh()
    scene.declare("east", OWN)
    scene.declare("west", entry("10.9.9.9", host=HOST, name="mine", namespace="evil"))
    stored = list(scene.index.problems())
    later = ClaimIndex(scene.table.inventory)
    later.restore([*stored, ("west", stored[0][1]), ("gone", stored[0][1])])
    assert list(later.problems()) == stored
    scene.table.remove("east", key_of(OWN))
    empty = ClaimIndex(scene.table.inventory)
    empty.restore(stored)
    assert not list(empty.problems())


def test_claim_looks_at_a_bounded_number_of_objects(monkeypatch: pytest.MonkeyPatch) -> None:
    """However many entries declare a name, the work of the next one is the same."""
    scene = Mesh()
    for number in range(1000):
        scene.table.upsert("east", entry("10.0.0.1", host=HOST, name=f"own{number}"))
    looked = 0
    every = ClaimIndex._all_declaring

    def counting(index: ClaimIndex, name: str) -> Iterator[ClusterObject]:
        nonlocal looked
        for each in every(index, name):
            looked += 1
            yield each

    monkeypatch.setattr(ClaimIndex, "_all_declaring", counting)
    assert len(scene.index.find_new("west", entry("10.9.9.9", host=HOST, name="mine", namespace="evil"))) == 1
    assert looked <= 300


def test_second_entry_of_a_claimant_begins_no_claim() -> None:
    """The namespace declares the name already."""
    scene = Mesh()
    scene.declare("east", OWN)
    assert scene.declare("west", entry("10.9.9.9", host=HOST, name="mine", namespace="evil"))
    assert not scene.declare("west", entry("10.9.9.9", host=HOST, name="two", namespace="evil"))
