"""A name that was somebody's and is claimed by another: a number, a line in the log, and a problem with its time."""

import asyncio
import logging
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from meshdns.controller.claim_log import MAX_LINES, ClaimLog
from meshdns.controller.cluster_state import ClusterTracker
from meshdns.controller.controller import Controller
from meshdns.controller.gauges import ControllerMetrics
from meshdns.instance.metric_pages import NAMES_CLAIMED, MetricPage
from meshdns.instance.scoreboard import CONTROLLER, Scoreboard
from meshdns.mesh.claims import Claim
from meshdns.mesh.objects.declarations import AnyDeclaration, ObjectKind, key_of
from meshdns.namedb.tables import decode_problems
from meshdns.namedb.writer import Writer
from meshdns.sources.sink import ClusterAdded, KindListed, ObjectChanged
from tests.controller.scene import make_controller, run_turns
from tests.mesh.scene import entry

HOST = "login.prod.global"
OWN = entry("203.0.113.1", host=HOST, name="login", namespace="prod")
CLAIM = entry("203.0.113.9", host=HOST, name="mine", namespace="evil")
OTHER = entry("203.0.113.2", host="shop.prod.global", name="shop", namespace="prod")
KINDS = frozenset({ObjectKind.SERVICE_ENTRY})


@pytest.fixture
def writer(tmp_path: Path) -> Iterator[Writer]:
    """An empty name database."""
    made = Writer(tmp_path / "namedb")
    yield made
    made.close()


class Instance:
    """A controller of clusters east and west."""

    def __init__(self, writer: Writer, folder: Path) -> None:
        self.board = Scoreboard.create()
        self.writer = writer
        self.controller: Controller = make_controller(writer, folder, ControllerMetrics(self.board, time.monotonic))
        self.controller.start()
        for cluster in ("east", "west"):
            self.controller.report(ClusterAdded(cluster=cluster, source="test", kinds=KINDS))

    async def list_entries(self, cluster: str, *entries: AnyDeclaration) -> None:
        """The list of a cluster comes."""
        self.controller.report(KindListed(cluster=cluster, kind=ObjectKind.SERVICE_ENTRY, declarations=entries))
        await run_turns(3)

    async def change(self, cluster: str, declaration: AnyDeclaration) -> None:
        """An object is added or changed."""
        self.controller.report(ObjectChanged(cluster=cluster, declaration=declaration))
        await run_turns(3)

    def counted(self) -> dict[tuple[str, ...], float]:
        """The metric by its labels, as it is scraped next."""
        self.controller._on_tick()
        page = MetricPage(self.board.read_page(CONTROLLER))
        return {labels: values[0] for labels, values in page.samples(NAMES_CLAIMED)}

    def problems(self) -> dict[str, float]:
        """When each conflict began, by its object."""
        with self.writer.read() as tables:
            found = list(decode_problems(list(tables.problems.encoded())))
        return {
            f"{problem.namespace}/{problem.name}": problem.since for _, problem in found if "began" in problem.reason
        }


def test_claim_that_begins_is_told_once(writer: Writer, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """It is counted by cluster and by who claims, logged with both claimants, and shown since when it began."""

    async def main() -> None:
        running = Instance(writer, tmp_path)
        await running.list_entries("east", OWN)
        await running.list_entries("west", OTHER)
        zero = {(cluster, by): 0.0 for cluster in ("east", "west") for by in ("namespace", "cluster")}
        assert running.counted() == zero
        began = time.time()
        with caplog.at_level(logging.WARNING, "meshdns.controller"):
            await running.change("west", CLAIM)
            await running.change("west", CLAIM)
        assert running.counted() == {**zero, ("west", "cluster"): 1.0}
        (line,) = [record.getMessage() for record in caplog.records if HOST in record.getMessage()]
        assert "prod/login of cluster east" in line
        assert "evil/mine of cluster west" in line
        assert began <= running.problems()["evil/mine"] <= time.time()
        await running.change("east", entry("203.0.113.9", host=HOST, name="mine", namespace="third"))
        assert running.counted()["east", "namespace"] == 1.0

    asyncio.run(main())


def test_names_that_are_there_at_the_first_list_are_no_claims(writer: Writer, tmp_path: Path) -> None:
    """All that was declared before arrives together, in any order."""

    async def main() -> None:
        running = Instance(writer, tmp_path)
        await running.list_entries("east", OWN)
        await running.list_entries("west", CLAIM, OTHER)
        assert not any(running.counted().values())
        assert not running.problems()
        await running.list_entries("west", CLAIM, OTHER, entry("203.0.113.9", host=HOST, name="two", namespace="third"))
        assert running.counted()["west", "cluster"] == 1.0  # by a later list, what is new in it

    asyncio.run(main())


def test_claim_outlives_a_restart(writer: Writer, tmp_path: Path) -> None:
    """A later controller shows it with its time, counts what began meanwhile, and ends it with its object."""

    async def main() -> None:
        running = Instance(writer, tmp_path)
        await running.list_entries("east", OWN)
        await running.list_entries("west", OTHER)
        await running.change("west", CLAIM)
        since = running.problems()["evil/mine"]
        later = Instance(writer, tmp_path)
        await later.list_entries("east", OWN)
        await later.list_entries("west", CLAIM, OTHER, entry("203.0.113.9", host=HOST, name="two", namespace="third"))
        later.counted()
        assert later.problems()["evil/mine"] == since
        assert later.counted()["west", "cluster"] == 1.0
        await later.list_entries("west", OTHER)
        assert later.problems() == {}

    asyncio.run(main())


def test_log_of_many_claims_is_short(caplog: pytest.LogCaptureFixture) -> None:
    """Some have a line each, the others a number, and none of them a second line."""
    at = ("east", key_of(OWN)), ("west", key_of(CLAIM))
    claims = [Claim(f"h{number}.prod.global", at[1], at[0]) for number in range(300)]
    log = ClaimLog()
    with caplog.at_level(logging.WARNING, "meshdns.controller"):
        log.write(claims)
        log.write(claims)
    assert len(caplog.records) == MAX_LINES + 1
    assert f"{300 - MAX_LINES} more" in caplog.records[-1].getMessage()


def test_withheld_names_that_return_are_no_claims() -> None:
    """A cluster whose data were withheld puts them back as they were."""
    tracker = ClusterTracker(own="east", required=(), started=0.0)
    assert not tracker.has_been_read("west")
    state = tracker.state_of("west")
    assert not tracker.has_been_read("west")
    state.listed_kinds.add(ObjectKind.SERVICE_ENTRY)
    assert tracker.has_been_read("west")
    state.is_withheld = True
    assert not tracker.has_been_read("west")
