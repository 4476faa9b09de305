"""The typed tables: what is put in is found again under the same identity, and keys on disk stay what they were."""

from collections.abc import Iterator
from pathlib import Path

import lmdb
import pytest

from meshdns.mesh.objects.declarations import ObjectKey, ObjectKind
from meshdns.mesh.objects.problems import Problem, ProblemKind, with_time
from meshdns.namedb.database import MAP_SIZE
from meshdns.namedb.tables import (
    ProblemTable,
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
    with writer.read() as txn:
        problems = ProblemTable(txn)
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
    with writer.read() as txn:
        problems = ProblemTable(txn)
        assert problems.of_object("east", CART) == [BROKEN, LOST]
        assert problems.dated(key) == [with_time(BROKEN, 0.0), with_time(LOST, 7.5)]
        assert list(decode_problems(problems.encoded())) == [
            ("east", with_time(BROKEN, 0.0)),
            ("east", with_time(LOST, 7.5)),
        ]
        assert problems.dated(object_problems_key("west", CART)) == []


def test_no_problems_are_no_entry(writer: Writer) -> None:
    """An empty list takes the entry away."""
    put_problems(writer)
    commit = Commit()
    commit.problems = {object_problems_key("east", CART): []}
    writer.apply(commit)
    with writer.read() as txn:
        assert object_problems_key("east", CART) not in dict(ProblemTable(txn).encoded())


def test_kinds_of_a_later_version_can_be_counted(tmp_path: Path) -> None:
    """After a rollback a kind that this version does not know is still a kind; the problem itself is left out."""
    Writer(tmp_path / "namedb").close()
    key = object_problems_key("east", CART)
    with lmdb.open(str(tmp_path / "namedb"), map_size=MAP_SIZE, max_dbs=8) as env, env.begin(write=True) as raw:
        raw.put(key, b'[{"kind":"haunted","object":"Service","ghosts":7}]', db=env.open_db(b"problems", txn=raw))
    later = Writer(tmp_path / "namedb")
    with later.read() as txn:
        assert list(ProblemTable(txn).kinds()) == [(key, ("haunted",))]
        assert list(ProblemTable(txn).items()) == []
        assert list(decode_problems(ProblemTable(txn).encoded())) == []
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
