"""Refusals in the name database: they come and go with what is refused, and touch nothing else."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from meshdns.controller.problem_index import settings_problems
from meshdns.controller.publisher import Publisher
from meshdns.controller.unserved_names import UnservedNames
from meshdns.dns import names
from meshdns.mesh.objects.declarations import AnyDeclaration, key_of
from meshdns.mesh.objects.problems import MAX_PROBLEMS
from meshdns.mesh.settings import MeshSettings
from meshdns.mesh.unserved_reasons import extended_error
from meshdns.namedb.writer import Writer
from tests.mesh.scene import entry, mesh, service

REVIEWS = names.to_wire("reviews.prod.global")
FORBIDDEN = b"known in cluster west, but it is not exported to all; see meshdns explain"
SERVED = entry("203.0.113.7")
HIDDEN = entry("203.0.113.7", exportTo=["."])
PRIVATE = entry("10.1.2.3", location="MESH_EXTERNAL")
GATEWAYS = names.to_wire("gateways.global")
NOW = 1_800_000_000.0
OTHER = entry("203.0.113.9", host="cart.prod.global", name="cart", exportTo=["."])


@pytest.fixture
def writer(tmp_path: Path) -> Iterator[Writer]:
    """An empty name database."""
    made = Writer(tmp_path / "view")
    yield made
    made.close()


@pytest.fixture
def publisher(writer: Writer) -> Publisher:
    """Writes that name database as seen from cluster east."""
    return Publisher(mesh(), writer)


def stored_reasons(publisher: Publisher, writer: Writer) -> dict[str, bytes]:
    """What the name database says of refused names once all that is known has been committed.

    Those of gateways, of which the clusters here have none, are left out.
    """
    publisher.publish(ready=True, complete=True, stale=(), now=NOW)
    with writer.read() as tables:
        return {
            names.to_text(owner): extended_error(value, show_cluster=True)[1]
            for owner, value in tables.unserved_reasons.items()
            if GATEWAYS not in owner
        }


def test_a_refusal_comes_with_its_declaration_and_goes_with_it(publisher: Publisher, writer: Writer) -> None:
    """A ServiceEntry that is exported to nobody else is told, until it is removed."""
    publisher.upsert("west", HIDDEN)
    assert stored_reasons(publisher, writer) == {"reviews.prod.global": FORBIDDEN}
    publisher.remove("west", key_of(HIDDEN))
    assert stored_reasons(publisher, writer) == {}


def test_every_refused_host_is_told_though_few_problems_are_listed(publisher: Publisher, writer: Writer) -> None:
    """The bound on the problems of an object is none on what clients are told."""
    hosts = [f"h{number}.prod.global" for number in range(2 * MAX_PROBLEMS)]
    publisher.upsert("west", entry("10.0.0.1", hosts=hosts, exportTo=["."]))
    assert stored_reasons(publisher, writer).keys() == set(hosts)


def test_a_refusal_goes_when_the_host_is_exported(publisher: Publisher, writer: Writer) -> None:
    """What is served is not refused; hidden again, it is."""
    publisher.upsert("west", HIDDEN)
    stored_reasons(publisher, writer)
    publisher.upsert("west", SERVED)
    assert stored_reasons(publisher, writer) == {}
    publisher.upsert("west", HIDDEN)
    assert stored_reasons(publisher, writer) == {"reviews.prod.global": FORBIDDEN}


def test_a_refusal_goes_with_its_cluster(publisher: Publisher, writer: Writer) -> None:
    """With a cluster go all its refusals."""
    publisher.upsert("west", HIDDEN)
    stored_reasons(publisher, writer)
    publisher.remove_cluster("west")
    assert stored_reasons(publisher, writer) == {}


def test_a_service_may_be_refused(publisher: Publisher, writer: Writer) -> None:
    """By its annotation: the name that it would have is told like a host of a ServiceEntry."""
    hidden = service(annotations={"networking.istio.io/exportTo": "."})
    publisher.upsert("west", hidden)
    said = b"known in cluster west, but is not exported to all, so it has no derived names; see meshdns explain"
    assert stored_reasons(publisher, writer) == {"reviews.prod.global": said}
    publisher.upsert("west", service(ingress=["203.0.113.7"]))
    assert stored_reasons(publisher, writer) == {}


def test_a_name_that_another_cluster_serves_is_not_refused(publisher: Publisher, writer: Writer) -> None:
    """Whichever of the two was first; when the one who serves it is gone, the refusal is there."""
    publisher.upsert("west", HIDDEN)
    publisher.upsert("north", SERVED)
    assert stored_reasons(publisher, writer) == {}
    publisher.upsert("south", HIDDEN)
    assert stored_reasons(publisher, writer) == {}
    publisher.remove("north", key_of(SERVED))
    assert stored_reasons(publisher, writer) == {"reviews.prod.global": FORBIDDEN.replace(b"west", b"south")}


def test_of_several_refusals_the_first_is_told(publisher: Publisher, writer: Writer) -> None:
    """By the name of the cluster, whatever came first; the next one follows it."""
    publisher.upsert("west", HIDDEN)
    stored_reasons(publisher, writer)
    publisher.upsert("north", HIDDEN)
    assert stored_reasons(publisher, writer) == {"reviews.prod.global": FORBIDDEN.replace(b"west", b"north")}
    publisher.remove("north", key_of(HIDDEN))
    assert stored_reasons(publisher, writer) == {"reviews.prod.global": FORBIDDEN}


def test_a_name_that_cannot_be_reached_is_told_until_it_can(publisher: Publisher, writer: Writer) -> None:
    """A private address that nothing may carry out of its network."""
    publisher.name_table.add_cluster("east")
    publisher.upsert("west", PRIVATE)
    assert list(stored_reasons(publisher, writer)) == ["reviews.prod.global"]
    publisher.upsert("west", SERVED)
    assert stored_reasons(publisher, writer) == {}


def test_an_empty_non_terminal_may_be_refused(publisher: Publisher, writer: Writer) -> None:
    """A name that exists only because of one below it is told like one that does not exist."""
    publisher.upsert("west", HIDDEN)
    publisher.upsert("west", entry("203.0.113.8", host="v1.reviews.prod.global", name="v1"))
    assert stored_reasons(publisher, writer) == {"reviews.prod.global": FORBIDDEN}


def test_hosts_outside_the_zones_are_no_matter_of_ours(publisher: Publisher, writer: Writer) -> None:
    """They are never denied here."""
    publisher.upsert("west", entry("203.0.113.7", host="login.example.com"))
    assert stored_reasons(publisher, writer) == {}


def test_one_change_writes_nothing_of_other_hosts() -> None:
    """What is to be committed after a change is its own hosts' alone, and nothing where its names are served."""
    settings, refused = mesh(), UnservedNames(mesh())
    for declaration in (HIDDEN, OTHER):
        _declare(refused, "west", declaration, settings)
    refused.update_pending(lambda _: False)
    assert len(refused.take_changes()) == 2
    refused.remove_declaration("west", key_of(OTHER))
    refused.update_pending(lambda _: False)
    assert refused.take_changes() == {names.to_wire("cart.prod.global"): None}
    _declare(refused, "west", SERVED, settings)
    refused.update_pending(lambda _: True)
    assert refused.take_changes() == {}


def test_refusals_are_bounded() -> None:
    """Beyond the bound a host is refused without a reason, until there is room and it is judged anew."""
    settings, refused = mesh(), UnservedNames(mesh(), limit=1)
    _declare(refused, "west", HIDDEN, settings)
    refused.update_pending(lambda _: False)
    _declare(refused, "west", OTHER, settings)
    refused.update_pending(lambda _: False)
    assert list(refused.take_changes()) == [REVIEWS]
    refused.remove_declaration("west", key_of(HIDDEN))
    refused.update_pending(lambda _: False)
    _declare(refused, "west", OTHER, settings)
    refused.update_pending(lambda _: False)
    assert list(refused.take_changes()) == [REVIEWS, names.to_wire("cart.prod.global")]


def test_a_later_process_takes_over_what_is_still_true(publisher: Publisher, writer: Writer) -> None:
    """It keeps the refusals of what it finds in the name database, and drops those whose reason it cannot find."""
    publisher.upsert("west", HIDDEN)
    publisher.upsert("west", OTHER)
    stored_reasons(publisher, writer)
    with writer.read() as tables:
        before = dict(tables.unserved_reasons.items())
    later = Publisher(mesh(), writer)
    later.restore(NOW)
    assert set(stored_reasons(later, writer)) == {"reviews.prod.global", "cart.prod.global"}
    with writer.read() as tables:
        assert dict(tables.unserved_reasons.items()) == before
    everything = Publisher(MeshSettings(zones=mesh().zones[:0], vantage_cluster="east"), writer)
    everything.restore(NOW)
    assert stored_reasons(everything, writer) == {}


def _declare(refused: UnservedNames, cluster: str, declaration: AnyDeclaration, settings: MeshSettings) -> None:
    refused.update_declaration(cluster, declaration, settings_problems(cluster, declaration, settings))


def test_each_host_of_an_object_has_its_refusal(publisher: Publisher, writer: Writer) -> None:
    """Not only those whose problems are listed; and a restart tells of the same ones."""
    hosts = [f"h{number}.prod.global" for number in range(120)]
    publisher.upsert("west", entry("203.0.113.7", hosts=hosts, exportTo=["."]))
    found = stored_reasons(publisher, writer)
    assert found.keys() == set(hosts)
    later = Publisher(mesh(), writer)
    later.restore(NOW)
    assert stored_reasons(later, writer) == found
