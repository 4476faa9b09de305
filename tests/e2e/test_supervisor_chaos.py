"""Whatever is done to the supervisor, queries are answered: its tasks raise, each pipe brings junk, everything dies."""

import os
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from http import HTTPStatus
from pathlib import Path

import pytest

from tests.e2e import boutique, raising
from tests.e2e.instance import Instance, wait_until_ready
from tests.e2e.load import BOUTIQUE, Load
from tests.rig.unbound import Unbound
from tests.rig.waiting import eventually
from tests.supervisor.junk_child import JUNK

RATE = 500  # queries a second
RESEND_AFTER = 1.0  # seconds; what a killed worker had received is asked again


class RaisingInstance(Instance):
    """An instance whose supervisor raises at what the files in its folder ``raise`` name (`tests.e2e.raising`)."""

    def command(self) -> Sequence[str]:
        """The program that raises, with the arguments of the installed one."""
        (self.folder / "raise").mkdir(exist_ok=True)
        return [sys.executable, raising.__file__, str(self.folder / "raise"), *super().command()[1:]]

    def failures(self, task: str) -> float:
        """How often a task or callback raised."""
        counted = self.metric("meshdns_supervisor_task_failures_total", task=task)
        return counted if counted > 0 else 0.0

    def raise_until(self, point: str, provoke: Callable[[], object], condition: Callable[[], object]) -> None:
        """Let a point raise until a condition holds."""
        flag = self.folder / "raise" / point
        flag.touch()
        try:
            provoke()
            eventually(condition, what=f"{point} raises")
        finally:
            flag.unlink()


@pytest.fixture(scope="module")
def instance(resolver: Unbound) -> Iterator[RaisingInstance]:
    """An instance with two workers, which survives all tests."""
    settings = {
        "sources": [{"kind": "manifests", "path": str(boutique.ZONE)}],
        "vantage": {"cluster": "cluster1"},
        "forward": [{"zone": ".", "to": [f"{resolver.address}:{resolver.port}"]}],
        "workers": 2,
    }
    with RaisingInstance(settings) as instance:
        wait_until_ready(instance)
        yield instance


@pytest.fixture
def load(instance: RaisingInstance) -> Iterator[Load]:
    """Queries for known and forwarded names as long as the test runs: each is answered, and rightly."""
    with Load(instance.server, BOUTIQUE, rate=RATE, limit=300, resend_after=RESEND_AFTER) as load:
        yield load
        outcome = load.end()
    assert outcome.clean, outcome


def _kill_worker(instance: Instance) -> None:
    instance.kill(instance.workers[0])


def _all_back(instance: Instance) -> None:
    eventually(lambda: len(instance.workers) == 2 and instance.controller, what="all processes are there")


def test_answers_go_on_while_each_task_raises(instance: RaisingInstance, load: Load) -> None:
    """Each failure is counted under its task; when it is over everything is as before."""

    def failing(*tasks: str) -> Callable[[], bool]:
        return lambda: sum(map(instance.failures, tasks)) > 0

    def status(path: str, wanted: HTTPStatus) -> Callable[[], bool]:
        return lambda: instance.page(path)[0] == wanted

    def reload() -> None:
        instance.kill(instance.pid, signal.SIGHUP)

    def nothing() -> None:
        return

    both = ("worker 0", "worker 1")
    for point in ("query-log", "watch", "cookies"):
        instance.raise_until(point, nothing, failing(point.replace("-", " ")))
    for path in ("/health", "/metrics"):
        instance.raise_until(path[1:], nothing, status(path, HTTPStatus.INTERNAL_SERVER_ERROR))
        assert instance.page(path)[0] == HTTPStatus.OK
    instance.raise_until("reload", reload, failing("reload"))
    instance.raise_until("worker-message", reload, failing(*(f"message of {name}" for name in both)))
    instance.raise_until("worker-exit", lambda: _kill_worker(instance), failing(*(f"exit of {name}" for name in both)))
    _all_back(instance)
    instance.raise_until(
        "worker-settings", lambda: _kill_worker(instance), failing(*(f"settings of {name}" for name in both))
    )
    _all_back(instance)
    for kind in ("exit", "settings", "message"):
        instance.raise_until(
            f"controller-{kind}", lambda: instance.kill(instance.controller), failing(f"{kind} of controller")
        )
        _all_back(instance)
    instance.raise_until("start", lambda: _kill_worker(instance), failing(*both))
    _all_back(instance)
    sent = load.sent
    eventually(lambda: load.sent > sent + RATE, what="the load goes on")
    assert instance.page("/health") == instance.page("/ready") == (HTTPStatus.OK, "OK\n")
    assert not list((instance.folder / "raise").iterdir())


def test_answers_go_on_while_every_pipe_brings_junk(instance: RaisingInstance, load: Load) -> None:
    """No process ends, and each still takes what it is told."""
    before = instance.children()
    for pid in (*instance.workers, instance.controller):
        for descriptor in (0, 1):
            with Path(f"/proc/{pid}/fd/{descriptor}").open("wb", buffering=0) as pipe:
                for junk in JUNK.values():
                    rest = memoryview(junk)
                    while rest:
                        rest = rest[pipe.write(rest) :]
    for process in ("worker 0", "worker 1", "controller"):
        eventually(
            lambda process=process: instance.metric("meshdns_child_message_faults_total", process=process) >= 5000,  # type: ignore[misc]
            what=f"junk of {process} is counted",
        )
    instance.change(zones=[{"name": "global", "ttl": 77}])
    instance.kill(instance.pid, signal.SIGHUP)
    answer = ("frontend.default.global. 77 IN A 203.0.113.20",)
    eventually(lambda: instance.ask("frontend.default.global").answer == answer, what="the workers take settings")
    eventually(lambda: instance.controller not in (0, *before["controller"]), what="the controller is replaced")
    assert instance.children()["worker"] == before["worker"]
    assert load.sent


def test_answers_go_on_while_everything_dies(instance: RaisingInstance, load: Load) -> None:
    """Workers in turn, the controller, all at once."""
    for _ in range(2):
        for pid in (instance.workers[0], instance.controller):
            os.kill(pid, signal.SIGKILL)
            eventually(lambda pid=pid: pid not in (*instance.workers, instance.controller), what="it is gone")  # type: ignore[misc]
            _all_back(instance)
    for pid in (*instance.workers, instance.controller):
        os.kill(pid, signal.SIGKILL)
    _all_back(instance)
    sent = load.sent
    eventually(lambda: load.sent > sent + RATE, what="the load goes on")
    assert "ended with SIGKILL" in instance.log()
    assert "a status that was lost" not in instance.log()  # though SIGCHLD was ignored at start


def test_lost_exit_status_of_a_worker_hides_no_damaged_database(instance: RaisingInstance) -> None:
    """It is checked, and set aside: here by the worker's end alone, for the controller stands still.

    Until the controller begins anew names of the mesh are SERVFAIL; nothing is lost or answered falsely.
    """
    damaged = instance.view
    (instance.folder / "raise" / raising.LOST).touch()
    controller = instance.controller
    with Load(instance.server, BOUTIQUE, rate=RATE, limit=120, resend_after=RESEND_AFTER) as load:
        with instance.standing(controller):
            os.truncate(damaged / "data.mdb", 3 * 4096)
            instance.kill(instance.workers[0])
            eventually(lambda: instance.view != damaged, what="the database is set aside")
        (instance.folder / "raise" / raising.LOST).unlink()
        eventually(lambda: instance.controller not in (0, controller), what="the controller begins anew")
        eventually(lambda: instance.addresses("frontend.default.global") == ["203.0.113.20"], what="names are answered")
        outcome = load.end()
    assert (outcome.lost, outcome.wrong - outcome.failed) == (0, 0), outcome


def test_what_cannot_be_checked_at_start_delays_no_answer(instance: RaisingInstance) -> None:
    """At start: names are forwarded, and those of the mesh are answered once the controller has read them."""
    instance.stop()
    raised = [instance.folder / "raise" / point for point in ("database-check", "files-at-start")]
    for flag in raised:
        flag.touch()
    instance.start()
    for flag in raised:
        flag.unlink()
    assert [instance.failures(task) for task in ("database check", "settings files")] == [1, 1]
    wait_until_ready(instance)
    with Load(instance.server, BOUTIQUE, rate=RATE, limit=60) as load:
        eventually(lambda: load.sent > RATE, what="the load runs")
        assert load.end().clean
