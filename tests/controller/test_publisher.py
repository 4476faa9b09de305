"""A publisher that goes on with the name database of an earlier process."""

from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from meshdns.controller.publisher import Publisher
from meshdns.mesh.lookup_plan import MAX_HOSTS_PER_OWNER
from meshdns.mesh.objects.declarations import AnyDeclaration, ObjectKind, UnreadableObject, key_of
from meshdns.mesh.objects.problems import Problem, ProblemKind
from meshdns.mesh.settings import ClusterSettings, MeshSettings
from meshdns.namedb.database import NameDatabaseError
from meshdns.namedb.tables import decode_problems
from meshdns.namedb.writer import Commit, Writer
from tests.mesh.scene import entry, mesh, on_networks

BROKEN = Problem(ProblemKind.MALFORMED, "Namespace", "", "shop", "metadata.labels", "is no object")
FAILED = Problem(ProblemKind.UNREADABLE, "kubeconfig", "", "fleet", "", "no reply for 5 s", "look")
NOW = 1_800_000_000.0
NETWORKS = mesh(clusters=on_networks(east="net-e", west="net-w"))


@pytest.fixture
def writer(tmp_path: Path) -> Iterator[Writer]:
    """An empty name database."""
    made = Writer(tmp_path / "namedb")
    yield made
    made.close()


def test_the_problems_of_an_object_without_a_namespace_outlive_a_restart(writer: Writer) -> None:
    """They are the object's own; only derived problems are found anew by each process."""
    publisher = Publisher(mesh(), writer)
    unreadable = UnreadableObject(namespace="", name="shop", object_kind=ObjectKind.NAMESPACE, problems=(BROKEN,))
    publisher.upsert("east", unreadable)
    publisher.publish(ready=True, complete=True, stale=(), now=NOW)
    later = Publisher(mesh(), writer)
    later.restore(NOW)
    later.upsert("east", unreadable)
    later.publish(ready=True, complete=True, stale=(), now=NOW)
    with writer.read() as tables:
        assert list(tables.problems.items()) == [("east", BROKEN)]
    assert later.mesh_counts.problems["east", "malformed"] == 1


# ------------------------------------------------------------------------------------------ since when


def stored_times(writer: Writer) -> dict[tuple[str, str], float]:
    """When each problem of an object began, by the name of its object and its kind."""
    with writer.read() as tables:
        stored = list(tables.problems.encoded())
    found = (problem for _, problem in decode_problems(stored) if problem.object != "Cluster")
    return {(problem.name, problem.kind.value): problem.since for problem in found}


def publisher_at(writer: Writer, now: float, settings: MeshSettings = NETWORKS) -> Publisher:
    """A process that begins now."""
    made = Publisher(settings, writer)
    made.restore(now)
    return made


def publish_all(publisher: Publisher, now: float) -> None:
    """Commit until nothing is left."""
    publisher.publish(ready=True, complete=True, stale=(), now=now)
    while publisher.has_pending_names:
        publisher.publish(ready=True, complete=True, stale=(), now=now)


HTTP = [{"name": "http", "number": 80, "protocol": "HTTP"}]


def never_served(name: str, port: int = 80) -> AnyDeclaration:
    """An entry with a problem of its own; another port is another version of it."""
    return entry({"address": "127.0.0.1", "ports": {"http": port}}, name=name, host=f"{name}.prod.global", ports=HTTP)


def without_gateway(name: str, port: int = 80) -> AnyDeclaration:
    """An entry of west that has a problem as seen from east."""
    return entry({"address": "10.40.0.1", "ports": {"http": port}}, name=name, host=f"{name}.prod.global", ports=HTTP)


LOOPBACK, UNCARRIED = ("a", "never served"), ("b", "no gateway")


@pytest.fixture
def troubled(writer: Writer) -> Publisher:
    """A mesh with a problem of an object and one that shows when a name is judged."""
    made = publisher_at(writer, NOW)
    made.upsert("west", never_served("a"))
    made.upsert("west", without_gateway("b"))
    publish_all(made, NOW)
    assert stored_times(writer) == {LOOPBACK: NOW, UNCARRIED: NOW}
    return made


def test_changes_do_not_begin_a_problem(troubled: Publisher, writer: Writer) -> None:
    """Neither changes of other objects nor those of the object itself, as long as its problem stays."""
    troubled.upsert("west", never_served("c"))
    troubled.upsert("west", never_served("a", port=81))
    troubled.upsert("west", without_gateway("b", port=81))
    publish_all(troubled, NOW + 5)
    assert stored_times(writer) == {LOOPBACK: NOW, UNCARRIED: NOW, ("c", "never served"): NOW + 5}


def test_an_object_that_is_written_anew_in_one_commit_keeps_its_problem(troubled: Publisher, writer: Writer) -> None:
    """Removed and there again: nobody saw it gone."""
    troubled.remove("west", key_of(never_served("a")))
    troubled.upsert("west", never_served("a"))
    publish_all(troubled, NOW + 5)
    assert stored_times(writer)[LOOPBACK] == NOW


def test_a_commit_that_failed_loses_no_time(
    troubled: Publisher, writer: Writer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The object changes once more before the name database takes commits again."""
    full = "the disk is full"

    def fail(_: Commit) -> int:
        raise NameDatabaseError(full)

    with monkeypatch.context() as patch:
        patch.setattr(writer, "apply", fail)
        troubled.upsert("west", never_served("c"))
        with pytest.raises(NameDatabaseError, match=full):
            publish_all(troubled, NOW + 5)
    troubled.upsert("west", never_served("a", port=81))
    troubled.upsert("west", never_served("c", port=81))
    publish_all(troubled, NOW + 9)
    assert stored_times(writer) == {LOOPBACK: NOW, UNCARRIED: NOW, ("c", "never served"): NOW + 5}


def test_a_problem_that_was_gone_begins_again(troubled: Publisher, writer: Writer) -> None:
    """Each object was well for a while."""
    for name in "ab":
        troubled.upsert("west", entry("203.0.113.7", name=name, host=f"{name}.prod.global"))
    publish_all(troubled, NOW + 5)
    assert stored_times(writer) == {}
    troubled.upsert("west", never_served("a"))
    troubled.upsert("west", without_gateway("b"))
    publish_all(troubled, NOW + 9)
    assert stored_times(writer) == {LOOPBACK: NOW + 9, UNCARRIED: NOW + 9}


def test_times_outlive_a_restart(troubled: Publisher, writer: Writer) -> None:
    """They are read back, and a later change of the object goes on from there."""
    assert troubled.date_own_problems([FAILED], NOW)[0].since == NOW
    publish_all(troubled, NOW)
    later = publisher_at(writer, NOW + 60)
    publish_all(later, NOW + 60)
    assert stored_times(writer) == {LOOPBACK: NOW, UNCARRIED: NOW}
    later.upsert("west", never_served("a", port=81))
    publish_all(later, NOW + 61)
    assert stored_times(writer) == {LOOPBACK: NOW, UNCARRIED: NOW}
    again = msgspec.structs.replace(FAILED, reason="no reply for 65 s")
    assert [each.since for each in later.date_own_problems([again], NOW + 62)] == [NOW]


def test_a_problem_that_ended_while_nobody_looked_is_removed_at_a_restart(troubled: Publisher, writer: Writer) -> None:
    """The new settings name a gateway of west."""
    del troubled
    west = ClusterSettings(network="net-w", gateways=("203.0.113.20",))
    later = publisher_at(writer, NOW + 60, mesh(clusters={**on_networks(east="net-e"), "west": west}))
    assert stored_times(writer) == {LOOPBACK: NOW, UNCARRIED: NOW}
    publish_all(later, NOW + 60)
    assert stored_times(writer) == {LOOPBACK: NOW}


def test_a_restart_while_names_are_judged_loses_no_time(
    troubled: Publisher, writer: Writer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A large mesh takes several commits: what the next process has not judged yet stays as it was."""
    del troubled
    monkeypatch.setattr("meshdns.controller.publisher.NAMES_PER_COMMIT", 1)
    interrupted = publisher_at(writer, NOW + 60)
    interrupted.publish(ready=True, complete=True, stale=(), now=NOW + 60)
    assert interrupted.has_pending_names
    assert stored_times(writer) == {LOOPBACK: NOW, UNCARRIED: NOW}
    publish_all(publisher_at(writer, NOW + 90), NOW + 90)
    assert stored_times(writer) == {LOOPBACK: NOW, UNCARRIED: NOW}


def test_problems_that_were_stored_without_a_time_begin_at_the_upgrade(troubled: Publisher, writer: Writer) -> None:
    """The first version stored problems alone."""
    del troubled
    with writer.read() as tables:
        keys = [key for key, _ in tables.problems.encoded()]
        problems = [problem for _, problem in tables.problems.items()]
    commit = Commit()
    commit.problems = {key: [problem] for key, problem in zip(keys, problems, strict=True)}
    writer.apply(commit)
    assert stored_times(writer) == {LOOPBACK: 0, UNCARRIED: 0}
    publish_all(publisher_at(writer, NOW + 60), NOW + 61)
    assert stored_times(writer) == {LOOPBACK: NOW + 60, UNCARRIED: NOW + 60}


def test_times_in_the_future_become_those_of_the_restart(troubled: Publisher, writer: Writer) -> None:
    """The clock was wrong and has been set back."""
    troubled.date_own_problems([FAILED], NOW)
    publish_all(troubled, NOW)
    later = publisher_at(writer, NOW - 1000)
    publish_all(later, NOW - 999)
    assert stored_times(writer) == {LOOPBACK: NOW - 1000, UNCARRIED: NOW - 1000}
    assert [each.since for each in later.date_own_problems([FAILED], NOW - 999)] == [NOW - 1000]


# ------------------------------------------------------------------------------------------ host names


def with_hosts(name: str, count: int) -> AnyDeclaration:
    """An entry whose endpoints are host names."""
    return entry(
        *(f"{name}{number}.example" for number in range(count)),
        name=name,
        host=f"{name}.prod.global",
        resolution="DNS",
    )


def test_namespace_with_too_many_host_names_keeps_what_is_known(writer: Writer) -> None:
    """The excess is a problem that names the bound and ends with it; what was resolved before is served on."""
    publisher = publisher_at(writer, NOW)
    publisher.upsert("west", with_hosts("z", 200))
    publish_all(publisher, NOW)
    publisher.set_resolved_addresses("z7.example", ("203.0.113.7",))
    publish_all(publisher, NOW)
    for name in "abc":
        publisher.upsert("west", with_hosts(name, 200))
    publish_all(publisher, NOW + 1)
    hosts = publisher.lookup_plan.hosts
    assert len(hosts) == MAX_HOSTS_PER_OWNER
    assert {f"z{number}.example" for number in range(200)} <= hosts.keys()
    assert stored_times(writer)["prod", "unreadable"] == NOW + 1
    with writer.read() as tables:
        assert tables.resolved_hosts() == {"z7.example": ("203.0.113.7",)}
    for name in "bc":
        publisher.remove("west", key_of(with_hosts(name, 1)))
    publish_all(publisher, NOW + 2)
    assert len(publisher.lookup_plan.hosts) == 400
    assert ("prod", "unreadable") not in stored_times(writer)
