"""One name, object or stored item that cannot be worked out costs only itself."""

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from meshdns.authority.row_format import RowStatus
from meshdns.config import Settings
from meshdns.controller import publisher as publisher_module
from meshdns.controller.admin.reports import Reports
from meshdns.controller.publisher import Publisher
from meshdns.controller.retry_delay import RetryDelay
from meshdns.controller.row_encoder import PENDING_ROW
from meshdns.dns import names
from meshdns.mesh import name_table as name_table_module
from meshdns.mesh.candidate_search import CandidateSearch
from meshdns.mesh.candidates import Candidate
from meshdns.mesh.inventory import Inventory
from meshdns.mesh.objects.declarations import ObjectKind, Service, SliceEndpoint, UnreadableObject
from meshdns.mesh.objects.problems import ProblemKind
from meshdns.mesh.settings import MeshSettings, MeshZone
from meshdns.namedb.database import NameDatabaseError
from meshdns.namedb.writer import Commit, Writer
from tests.controller.scene import controller_metrics, make_controller
from tests.mesh.scene import endpoint_slice, entry, mesh, parse_declaration, service

NOW = 1_800_000_000.0
GOOD, BAD = "good.prod.global", "bad.prod.global"
BROKEN = "nobody foresaw this"


@pytest.fixture
def writer(tmp_path: Path) -> Iterator[Writer]:
    """An empty name database."""
    made = Writer(tmp_path / "namedb")
    yield made
    made.close()


def publish(publisher: Publisher, now: float = NOW) -> None:
    """One commit."""
    publisher.publish(ready=True, complete=True, stale=(), now=now)


def row(writer: Writer, name: str) -> bytes | None:
    """The row of a name."""
    with writer.read() as tables:
        return tables.row(names.to_wire(name))


def problems(writer: Writer) -> list[tuple[str, ProblemKind]]:
    """The stored problems, by the name of their object."""
    with writer.read() as tables:
        return [(problem.name, problem.kind) for _, problem in tables.problems.items()]


def break_name(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """Have the search for the candidates of a name raise."""
    search = CandidateSearch.steps

    def steps(self: CandidateSearch, asked: str) -> list[list[Candidate]]:
        if asked == name:
            raise RuntimeError(BROKEN)
        return search(self, asked)

    monkeypatch.setattr(CandidateSearch, "steps", steps)


def entries(address: str = "203.0.113.7") -> list[Any]:
    """A declaration for each of the two names."""
    return [entry(address, host=host, name=host.partition(".")[0]) for host in (GOOD, BAD)]


@pytest.mark.parametrize("part", ["compute", "encode", "diagnose"])
def test_a_name_that_raises_keeps_its_last_row(writer: Writer, monkeypatch: pytest.MonkeyPatch, part: str) -> None:
    """The other name changes, a problem names the one that did not, and it is tried again by itself."""
    made = Publisher(mesh(), writer)
    for each in entries():
        made.upsert("east", each)
    publish(made)
    before = row(writer, BAD)
    with monkeypatch.context() as broken:
        if part == "compute":
            break_name(broken, BAD)
        else:
            _break_function(broken, "encode_answer" if part == "encode" else "check_answer")
        for each in entries("203.0.113.8"):
            made.upsert("east", each)
        publish(made)
        assert row(writer, BAD) == before != row(writer, GOOD)
        assert problems(writer) == [(BAD, ProblemKind.NOT_COMPUTED)]
        publish(made, NOW + 0.5)
        assert made.failure_count == 1
        publish(made, NOW + 1)
        assert made.failure_count == 2
    publish(made, NOW + 60)
    assert row(writer, BAD) == row(writer, GOOD)
    assert problems(writer) == []


def _break_function(monkeypatch: pytest.MonkeyPatch, function: str) -> None:
    """Have a function of the publisher raise for what is said of the bad name."""
    intact: Callable[..., Any] = getattr(publisher_module, function)

    def call(*arguments: Any) -> Any:
        answer = arguments[0] if function == "encode_answer" else arguments[1]
        if any(candidate.host == BAD for candidate in answer.candidates):
            raise UnicodeEncodeError("ascii", "é", 0, 1, BROKEN)
        return intact(*arguments)

    monkeypatch.setattr(publisher_module, function, call)


def test_a_name_that_never_had_a_row_is_servfail(writer: Writer, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is not denied: that it exists is known. An empty non-terminal above it exists too."""
    with monkeypatch.context() as broken:
        break_name(broken, BAD)
        made = Publisher(mesh(), writer)
        for each in entries():
            made.upsert("east", each)
        publish(made)
        assert row(writer, BAD) == PENDING_ROW
        assert PENDING_ROW[0] & 3 == RowStatus.PENDING
        assert row(writer, "prod.global") is not None
    publish(made, NOW + 60)
    assert row(writer, BAD) == row(writer, GOOD)


def test_a_name_that_raises_after_a_restart_keeps_its_row(writer: Writer, monkeypatch: pytest.MonkeyPatch) -> None:
    """What an earlier process committed is not taken for a name that is gone."""
    first = Publisher(mesh(), writer)
    for each in entries():
        first.upsert("east", each)
    publish(first)
    before = row(writer, BAD)
    break_name(monkeypatch, BAD)
    later = Publisher(mesh(), writer)
    later.restore(NOW)
    publish(later)
    assert row(writer, BAD) == before is not None


def test_a_name_that_is_gone_ends_its_problem(writer: Writer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its row goes with it."""
    break_name(monkeypatch, BAD)
    made = Publisher(mesh(), writer)
    for each in entries():
        made.upsert("east", each)
    publish(made)
    made.remove("east", (ObjectKind.SERVICE_ENTRY, "prod", "bad"))
    publish(made)
    assert (row(writer, BAD), problems(writer)) == (None, [])


@pytest.mark.parametrize("name", ["café", "x" * 300, "a.b", "UPPER", "-x"])
def test_a_service_of_another_cluster_stops_no_commit(writer: Writer, name: str) -> None:
    """Its name is judged when it is read, also where it is not exported."""
    made = Publisher(mesh(), writer)
    bad = service(name, annotations={"networking.istio.io/exportTo": "."})
    made.upsert("west", bad)
    made.upsert("east", entries()[0])
    publish(made)
    assert row(writer, GOOD) is not None
    assert [kind for _, kind in problems(writer)] == [ProblemKind.MALFORMED]


def test_stored_declarations_of_an_earlier_version_stop_no_commit(writer: Writer) -> None:
    """It judged no names: a Service and a pod that nobody can ask for are left out, name by name."""
    odd = Service(namespace="prod", name="café", cluster_ips=("10.96.0.1",))
    quiet = msgspec.structs.replace(odd, name="x" * 300, export_to=(".",))
    pods = endpoint_slice("10.40.0.1", service_name="db")
    pods = msgspec.structs.replace(pods, endpoints=(SliceEndpoint("10.40.0.1", ready=True, hostname="é" * 70),))
    made = Publisher(mesh(), writer)
    for each in (odd, quiet, service("db", "None"), pods, *entries()):
        made.upsert("east", each)
    publish(made)
    assert row(writer, GOOD) is not None
    assert row(writer, "db.prod.global") is not None
    reports = Reports(Settings.model_validate({"zones": [{"name": "global"}]}), writer.read)
    listed = [item.name for item in reports.listing("services").items]  # type: ignore[union-attr]
    assert listed == ["café", "db", "x" * 300]


def test_one_bad_item_is_left_out_of_a_list(writer: Writer, monkeypatch: pytest.MonkeyPatch) -> None:
    """The others are shown, whatever is wrong with it."""
    made = Publisher(mesh(), writer)
    for name in ("a", "b", "c"):
        made.upsert("east", service(name))
    publish(made)
    reports = Reports(Settings.model_validate({"zones": [{"name": "global"}]}), writer.read)
    show = Reports._service

    def fail(self: Reports, cluster: str, each: Service, *more: Any) -> Any:
        if each.name == "b":
            raise ValueError(BROKEN)
        return show(self, cluster, each, *more)

    monkeypatch.setattr(Reports, "_service", fail)
    assert [item.name for item in reports.listing("services").items] == ["a", "c"]  # type: ignore[union-attr]


def test_an_object_that_cannot_be_taken_in_costs_itself(writer: Writer, monkeypatch: pytest.MonkeyPatch) -> None:
    """It becomes an object that says why; the source goes on."""
    upsert = Inventory.upsert

    def fail(self: Inventory, cluster: str, declaration: Any, invalidated: Any) -> bool:
        if isinstance(declaration, Service) and declaration.name == "b":
            raise RuntimeError(BROKEN)
        return upsert(self, cluster, declaration, invalidated)

    monkeypatch.setattr(Inventory, "upsert", fail)
    made = Publisher(mesh(), writer)
    for name in ("a", "b", "c"):
        made.upsert("east", service(name))
    publish(made)
    assert problems(writer) == [("b", ProblemKind.NOT_COMPUTED)]
    assert row(writer, "c.prod.global") is not None


def test_a_kept_object_that_cannot_be_taken_in_stops_no_start(writer: Writer, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is kept by an earlier process, which could; the other one's name is answered."""
    first = Publisher(mesh(), writer)
    for each in entries():
        first.upsert("east", each)
    publish(first)
    upsert = Inventory.upsert

    def broken(self: Inventory, cluster: str, declaration: Any, invalidated: Any) -> bool:
        if declaration.name == "bad" and not isinstance(declaration, UnreadableObject):
            raise RuntimeError(BROKEN)
        return upsert(self, cluster, declaration, invalidated)

    monkeypatch.setattr(Inventory, "upsert", broken)
    second = Publisher(mesh(), writer)
    second.restore(NOW)
    publish(second)
    assert row(writer, GOOD) is not None
    assert row(writer, BAD) is None


def test_a_topology_that_cannot_be_built_stops_no_commit(writer: Writer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Names are judged by the one before, and it is built again by itself."""
    made = Publisher(mesh(), writer)
    made.upsert("east", entries()[0])
    publish(made)
    with monkeypatch.context() as broken:
        broken.setattr(name_table_module, "build_topology", lambda *_: 1 // 0)
        made.upsert("west", entries()[1])
        publish(made)
        assert row(writer, BAD) is not None
        assert problems(writer) == [("gateways", ProblemKind.NOT_COMPUTED)]
    publish(made, NOW + 60)
    assert problems(writer) == []
    assert "west" in made.name_table.topology.networks


def test_what_no_database_can_hold_is_left_out(writer: Writer) -> None:
    """A cluster of a name that is longer than a key may be: one commit fails, and the next holds all else."""
    made = Publisher(mesh(), writer)
    made.upsert("east", entries()[0])
    made._commit.clusters["x" * 600] = b"{}"
    with pytest.raises(NameDatabaseError, match="1 item was left out"):
        publish(made)
    publish(made)
    assert row(writer, GOOD) is not None
    assert len(made.unstorable) == 1


@pytest.mark.parametrize("part", ["apply", "publish"])
def test_a_commit_that_fails_is_tried_again_and_loses_nothing(
    writer: Writer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, part: str
) -> None:
    """Whatever raises in it; in between nothing is tried, and the reason is a problem."""
    asyncio.run(_fail_and_recover(writer, tmp_path, monkeypatch, part))


async def _fail_and_recover(writer: Writer, directory: Path, monkeypatch: pytest.MonkeyPatch, part: str) -> None:
    controller = make_controller(writer, directory, controller_metrics())
    tries = []

    def fail(*_: Commit, **_state: object) -> int:
        tries.append(1)
        raise RuntimeError(BROKEN)

    now = 1000.0
    monkeypatch.setattr(controller, "_clock", lambda: now)
    with monkeypatch.context() as broken:
        broken.setattr(writer if part == "apply" else controller._publisher, part, fail)
        controller._publisher.upsert("east", entries()[0])
        for _ in range(5):
            controller._commit()
        assert len(tries) == 1
        assert [problem.kind for problem in controller.problems()] == [ProblemKind.DATABASE]
        now += 1
        controller._commit()
        controller._commit()
        assert len(tries) == 2
    now += 2
    controller._commit()
    assert row(writer, GOOD) is not None
    assert not controller.problems()


def test_the_delay_doubles_up_to_its_bound() -> None:
    """A success ends it, and a clock that is set back does not keep it."""
    delay = RetryDelay(4.0)
    waits = []
    now = 100.0
    for _ in range(4):
        delay.note_failure(now)
        waits.append(next(wait for wait in range(10) if delay.is_due(now + wait)))
        now += waits[-1]
    assert waits == [1, 2, 4, 4]
    assert delay.is_due(50.0)
    delay.note_success()
    assert delay.is_due(now)


def test_names_of_objects_are_judged_where_they_are_read() -> None:
    """What only identifies an object is read; what no text can hold is known by a digest."""
    for kind in (ObjectKind.SERVICE_ENTRY, ObjectKind.NODE, ObjectKind.GATEWAY, ObjectKind.WORKLOAD_ENTRY):
        raw = {"metadata": {"name": "Über/ " + "x" * 400, "namespace": "A b"}, "spec": {"address": "20.0.0.1"}}
        found = parse_declaration(kind, raw)
        assert parse_declaration(kind, raw).name == found.name
        assert len(found.name) < 100
        assert not {" ", "/"}.intersection(found.name + found.namespace)
        assert "metadata.name" in [problem.field for problem in found.problems]


def test_host_names_of_pods_and_labels_of_slices_are_judged() -> None:
    """The endpoint stays; the name that it cannot have is a problem."""
    made = endpoint_slice("10.40.0.1", hostname="é")
    assert [problem.field for problem in made.problems] == ["endpoints[0].hostname"]
    assert made.endpoints == (SliceEndpoint("10.40.0.1", ready=True),)  # type: ignore[union-attr]
    named = endpoint_slice("10.40.0.1", service_name="a.b")
    assert [problem.field for problem in named.problems] == ["metadata.labels.kubernetes.io/service-name"]
    assert named.service == ""  # type: ignore[union-attr]


WILDCARD = "*.wild.global"


def has_wildcards(writer: Writer) -> bool:
    """Whether workers look for wildcards before they deny a name."""
    with writer.read() as tables:
        return tables.state.wildcards


@pytest.mark.parametrize("is_known", [False, True], ids=["never computed", "of an earlier process"])
def test_names_below_a_wildcard_that_raises_are_not_denied(
    writer: Writer, monkeypatch: pytest.MonkeyPatch, *, is_known: bool
) -> None:
    """Its last row, or SERVFAIL, answers for them; once it is gone nothing looks for it."""
    made = Publisher(mesh(), writer)
    made.upsert("east", entry(host=WILDCARD, name="wild"))
    if is_known:
        publish(made)
        made = Publisher(mesh(), writer)
        made.restore(NOW)
    break_name(monkeypatch, WILDCARD)
    publish(made)
    assert (row(writer, WILDCARD) == PENDING_ROW) is not is_known
    assert has_wildcards(writer)
    made.remove("east", (ObjectKind.SERVICE_ENTRY, "prod", "wild"))
    publish(made)
    assert (row(writer, WILDCARD), has_wildcards(writer)) == (None, False)


def test_no_part_of_a_restart_denies_what_a_wildcard_covers(writer: Writer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Names are judged anew in parts and in any order; until it is its turn a wildcard holds as it was committed."""
    monkeypatch.setattr(publisher_module, "NAMES_PER_COMMIT", 1)
    made = Publisher(mesh(), writer)
    hosts = (WILDCARD, *(f"n{number}.prod.global" for number in range(20)))
    for number, host in enumerate(hosts):
        made.upsert("east", entry(host=host, name=f"e{number}"))
    assert len([*publish_parts(made)]) > 1
    later = Publisher(mesh(), writer)
    later.restore(NOW)
    for _ in publish_parts(later):
        assert has_wildcards(writer)
    last = Publisher(mesh(), writer)
    last.restore(NOW)
    last.remove("east", (ObjectKind.SERVICE_ENTRY, "prod", "e0"))
    assert len([*publish_parts(last)]) > 1
    assert not has_wildcards(writer)


def publish_parts(publisher: Publisher) -> Iterator[None]:
    """Commit all parts of a change, and yield after each."""
    publish(publisher)
    yield
    while publisher.has_pending_names:
        publish(publisher)
        yield


def test_a_name_that_nobody_can_ask_for_ends_its_problem(writer: Writer) -> None:
    """Each of its labels is good, and together they are too long: the problem goes with the Service."""
    zone = ".".join("d" * 60 for _ in range(3))
    made = Publisher(MeshSettings(zones=(MeshZone(zone),)), writer)
    made.upsert("east", service("s" * 60, namespace="n" * 60))
    publish(made)
    assert [kind for _, kind in problems(writer)] == [ProblemKind.NOT_COMPUTED]
    made.remove("east", (ObjectKind.SERVICE, "n" * 60, "s" * 60))
    publish(made)
    assert problems(writer) == []
    assert not made.name_table.has_failed
