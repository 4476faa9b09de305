"""When an instance is ready, in the order in which its parts come."""

from meshdns.supervisor.readiness import Readiness

UNSYNCED = "the controller has not begun yet"


def test_ready_needs_every_worker_and_a_view() -> None:
    """Reasons are listed one by one until none is left."""
    found = Readiness(["worker 0", "worker 1"])
    assert [reason.partition(";")[0] for reason in found.reasons()] == [
        "worker 0 does not serve yet",
        "worker 1 does not serve yet",
        UNSYNCED,
    ]
    found.worker_serves("worker 1", ready=False)
    found.controller_says(ready=True, waits="")
    assert (found.serving, found.ready, found.reasons()) == (False, False, ["worker 0 does not serve yet"])
    found.worker_serves("worker 0", ready=False)
    assert (found.serving, found.ready, found.reasons()) == (True, True, [])


def test_workers_alone_do_not_make_ready() -> None:
    """Serving without a view that answers for the mesh is not ready."""
    found = Readiness(["worker 0"])
    found.worker_serves("worker 0", ready=False)
    assert (found.ready, [reason.partition(";")[0] for reason in found.reasons()]) == (False, [UNSYNCED])


def test_last_view_makes_ready() -> None:
    """A worker that serves the view of an earlier life is enough, without the controller."""
    found = Readiness(["worker 0"])
    found.worker_serves("worker 0", ready=True)
    assert found.ready


def test_ready_is_latched_until_the_end() -> None:
    """A later worker without a view changes nothing; the end does."""
    found = Readiness(["worker 0"])
    found.worker_serves("worker 0", ready=True)
    found.worker_serves("worker 0", ready=False)
    found.controller_says(ready=False, waits="x")
    assert found.ready
    found.end()
    assert (found.ready, found.reasons()) == (False, ["ending"])


def test_what_the_controller_waits_for_is_the_reason() -> None:
    """A missing right is read where a rollout is watched."""
    found = Readiness(["worker 0"])
    found.worker_serves("worker 0", ready=False)
    found.controller_says(ready=False, waits="cluster east has not synced: grant the verbs list and watch")
    assert found.reasons() == ["cluster east has not synced: grant the verbs list and watch"]


def test_a_view_that_was_begun_in_this_life_is_judged_by_the_controller() -> None:
    """What a worker says later, when the own cluster alone has synced, does not stand for the required ones."""
    found = Readiness(["worker 0"])
    found.worker_serves("worker 0", ready=False)
    found.controller_says(ready=False, waits="cluster west has not synced")
    found.worker_serves("worker 0", ready=True)
    assert not found.ready
