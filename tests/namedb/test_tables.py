"""The typed tables: what is put in is found again under the same identity, and keys on disk stay what they were."""

from collections.abc import Iterator
from pathlib import Path

import lmdb
import pytest

from meshdns.authority.state import NamedbState
from meshdns.mesh.objects.declarations import Namespace, ObjectKey, ObjectKind, Service
from meshdns.mesh.objects.problems import Problem, ProblemKind, with_time
from meshdns.namedb.database import MAP_SIZE
from meshdns.namedb.tables import (
    decode_declaration,
    decode_problems,
    derived_problem_key,
    is_derived,
    object_problems_key,
    problem_cluster,
)
from meshdns.namedb.writer import Commit, Writer

CART = (ObjectKind.SERVICE, "shop", "cart")
SHOP = (ObjectKind.NAMESPACE, "", "shop")
LONG = (ObjectKind.SERVICE, "n" * 253, "s" * 253)
BROKEN = Problem(ProblemKind.MALFORMED, "Service", "shop", "cart", "spec.ports", "no ports")
LOST = Problem(ProblemKind.NO_GATEWAY, "ServiceEntry", "prod", "reviews", "spec.endpoints[0]", "none", "do")


@pytest.fixture
def writer(tmp_path: Path) -> Iterator[Writer]:
    """The writer of an empty name database."""
    made = Writer(tmp_path / "namedb")
    yield made
    made.close()


def put_problems(writer: Writer) -> None:
    """Problems of objects in two clusters, and derived ones."""
    commit = Commit()
    commit.problems = {
        object_problems_key("east", CART): [BROKEN, LOST],
        object_problems_key("west", CART): [BROKEN],
        object_problems_key("east", SHOP): [BROKEN],
        derived_problem_key("east", LOST): [LOST],
        derived_problem_key("eastern", BROKEN): [BROKEN],
    }
    writer.apply(commit)


def test_problems_are_found_by_their_object(writer: Writer) -> None:
    """Each object has its own, in order; those derived for a cluster are apart from them and from other clusters'."""
    put_problems(writer)
    with writer.read() as tables:
        problems = tables.problems
        assert problems.of_object("east", CART) == [BROKEN, LOST]
        assert problems.of_object("west", CART) == [BROKEN]
        assert problems.of_object("south", CART) == []
        assert list(problems.derived("east")) == [LOST]
        assert list(problems.derived("west")) == []
        assert sorted((cluster, problem.field) for cluster, problem in problems.items()) == [
            ("east", "spec.endpoints[0]"),
            ("east", "spec.endpoints[0]"),
            ("east", "spec.ports"),
            ("east", "spec.ports"),
            ("eastern", "spec.ports"),
            ("west", "spec.ports"),
        ]


def test_problems_are_stored_with_or_without_the_time_at_which_they_began(writer: Writer) -> None:
    """Only those who want the time see it."""
    commit, key = Commit(), object_problems_key("east", CART)
    commit.problems = {key: [BROKEN, with_time(LOST, 7.5)]}
    writer.apply(commit)
    with writer.read() as tables:
        problems = tables.problems
        assert problems.of_object("east", CART) == [BROKEN, LOST]
        assert problems.dated(key) == [with_time(BROKEN, 0.0), with_time(LOST, 7.5)]
        assert list(decode_problems(problems.encoded())) == [
            ("east", with_time(BROKEN, 0.0)),
            ("east", with_time(LOST, 7.5)),
        ]
        assert problems.dated(object_problems_key("west", CART)) == []


def test_declarations_are_found_by_their_object(writer: Writer) -> None:
    """They come back as they were put in, by identity, by kind and counted by cluster; removed, they are gone."""
    commit = Commit()
    cart, namespace = Service(namespace="shop", name="cart"), Namespace(namespace="", name="shop")
    large = Service(namespace=LONG[1], name=LONG[2])
    for cluster, declaration in (("east", cart), ("east", namespace), ("west", cart), ("west", large)):
        commit.put_declaration(cluster, declaration)
    writer.apply(commit)
    with writer.read() as tables:
        stored = tables.declarations
        assert (stored.get("east", CART), stored.get("east", SHOP)) == (cart, namespace)
        assert (stored.get("west", LONG), stored.get("east", LONG)) == (large, None)
        services = [(cluster, decode_declaration(value)) for cluster, value in stored.encoded((ObjectKind.SERVICE,))]
        assert services == [("east", cart), ("west", large), ("west", cart)]
        assert len(list(stored.encoded())) == 4
        assert stored.count_by_cluster() == {"east": 2, "west": 2}
    commit = Commit()
    commit.remove_declaration("east", CART)
    writer.apply(commit)
    with writer.read() as tables:
        assert tables.declarations.get("east", CART) is None
        assert tables.declarations.get("west", CART) == cart


def test_values_by_owner_and_by_cluster_are_found(writer: Writer) -> None:
    """Rows, provenance and unserved reasons do not mix; nor do the summaries of clusters."""
    commit = Commit()
    owner = b"\x04cart\x04shop\x06global\0"
    commit.rows, commit.provenance, commit.unserved_reasons = {owner: b"1"}, {owner: b"2"}, {owner: b"3"}
    commit.clusters = {"east": b"4", "west": b"5"}
    writer.apply(commit)
    with writer.read() as tables:
        found = [each.get(owner) for each in (tables.rows, tables.provenance, tables.unserved_reasons)]
        assert [tables.row(owner), *found] == [b"1", b"1", b"2", b"3"]
        assert (list(tables.rows.owners()), list(tables.rows.items())) == ([owner], [(owner, b"1")])
        assert (tables.clusters.get("east"), tables.clusters.get("north")) == (b"4", None)
        assert list(tables.clusters.items()) == [("east", b"4"), ("west", b"5")]


def test_the_state_and_resolved_hosts_stay_until_they_are_set_anew(writer: Writer) -> None:
    """An empty database has the state of one that is not ready; a commit changes what it sets."""
    with writer.read() as tables:
        assert (tables.state, tables.resolved_hosts()) == (NamedbState(), {})
        serial = tables.serial
    ready, hosts = NamedbState(ready=True, clusters=("east",)), {"lb.example.com": ("203.0.113.1",)}
    for state, resolved in ((ready, None), (None, hosts)):
        commit = Commit()
        commit.state, commit.resolved_hosts = state, resolved
        assert commit
        writer.apply(commit)
    with writer.read() as tables:
        assert (tables.state, tables.resolved_hosts()) == (ready, hosts)
        assert tables.serial == serial + 2
    commit.resolved_hosts = {}
    assert commit
    writer.apply(commit)
    with writer.read() as tables:
        assert tables.resolved_hosts() == {}
    assert not Commit()


def test_no_problems_are_no_entry(writer: Writer) -> None:
    """An empty list takes the entry away."""
    put_problems(writer)
    commit = Commit()
    commit.problems = {object_problems_key("east", CART): []}
    writer.apply(commit)
    with writer.read() as tables:
        assert object_problems_key("east", CART) not in dict(tables.problems.encoded())


def test_kinds_of_a_later_version_can_be_counted(tmp_path: Path) -> None:
    """After a rollback a kind that this version does not know is still a kind; the problem itself is left out."""
    Writer(tmp_path / "namedb").close()
    key = object_problems_key("east", CART)
    with lmdb.open(str(tmp_path / "namedb"), map_size=MAP_SIZE, max_dbs=8) as env, env.begin(write=True) as raw:
        raw.put(key, b'[{"kind":"haunted","object":"Service","ghosts":7}]', db=env.open_db(b"problems", txn=raw))
    later = Writer(tmp_path / "namedb")
    with later.read() as tables:
        assert list(tables.problems.kinds()) == [(key, ("haunted",))]
        assert list(tables.problems.items()) == []
        assert list(decode_problems(tables.problems.encoded())) == []
    later.close()


@pytest.mark.parametrize("cluster", ["east", ""])
def test_keys_say_whether_a_problem_is_derived(cluster: str) -> None:
    """An object without a namespace has an empty part in its key too, but not the one after the cluster."""
    assert is_derived(derived_problem_key(cluster, LOST))
    for key in (CART, SHOP, LONG):
        assert not is_derived(object_problems_key(cluster, key))
    assert problem_cluster(derived_problem_key(cluster, LOST)) == cluster
    assert problem_cluster(object_problems_key(cluster, LONG)) == cluster


@pytest.mark.parametrize(
    ("key", "stored"),
    [
        (CART, b"east\0Service\0shop\0cart"),
        (SHOP, b"east\0Namespace\0\0shop"),
        (
            LONG,
            b"east\0Service\0"
            + b"n" * 253
            + b"\0"
            + b"s" * 201
            + bytes.fromhex("23d266da81be4d0e43d78d2e9e1756ff9a4f26a256cd7d6796a1a52193a31e75"),
        ),
    ],
    ids=["object", "object of a cluster", "long names"],
)
def test_keys_of_objects_stay_what_they_were(key: ObjectKey, stored: bytes) -> None:
    """The name database of an earlier version is adopted at an upgrade."""
    assert object_problems_key("east", key) == stored


def test_keys_of_derived_problems_stay_what_they_were() -> None:
    """The name database of an earlier version is adopted at an upgrade."""
    assert derived_problem_key("east", LOST) == b"east\0\0" + bytes.fromhex("e3923810651501379d756ffda078e5d2")
