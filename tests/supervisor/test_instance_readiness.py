"""When an instance is ready, in the order in which its parts come."""

from meshdns.supervisor.health_checks import InstanceReadiness

UNSYNCED = "the controller has not begun yet"


def test_ready_needs_every_worker_and_a_view() -> None:
    """Reasons are listed one by one until none is left."""
    found = InstanceReadiness(["worker 0", "worker 1"])
    assert [reason.partition(";")[0] for reason in found.not_ready_reasons()] == [
        "worker 0 does not serve yet",
        "worker 1 does not serve yet",
        UNSYNCED,
    ]
    found.on_worker_serving("worker 1", database_ready=False)
    found.on_controller_report(ready=True, not_ready_reason="")
    assert (found.is_serving, found.is_ready, found.not_ready_reasons()) == (
        False,
        False,
        ["worker 0 does not serve yet"],
    )
    found.on_worker_serving("worker 0", database_ready=False)
    assert (found.is_serving, found.is_ready, found.not_ready_reasons()) == (True, True, [])


def test_workers_alone_do_not_make_ready() -> None:
    """Serving without a name database that answers for the mesh is not ready."""
    found = InstanceReadiness(["worker 0"])
    found.on_worker_serving("worker 0", database_ready=False)
    assert (found.is_ready, [reason.partition(";")[0] for reason in found.not_ready_reasons()]) == (False, [UNSYNCED])


def test_last_view_makes_ready() -> None:
    """A worker that serves the name database of an earlier life is enough, without the controller."""
    found = InstanceReadiness(["worker 0"])
    found.on_worker_serving("worker 0", database_ready=True)
    assert found.is_ready


def test_ready_is_latched_until_the_end() -> None:
    """A later worker without a name database changes nothing; the end does."""
    found = InstanceReadiness(["worker 0"])
    found.on_worker_serving("worker 0", database_ready=True)
    found.on_worker_serving("worker 0", database_ready=False)
    found.on_controller_report(ready=False, not_ready_reason="x")
    assert found.is_ready
    found.mark_ending()
    assert (found.is_ready, found.not_ready_reasons()) == (False, ["ending"])


def test_what_the_controller_waits_for_is_the_reason() -> None:
    """A missing right is read where a rollout is watched."""
    found = InstanceReadiness(["worker 0"])
    found.on_worker_serving("worker 0", database_ready=False)
    found.on_controller_report(
        ready=False, not_ready_reason="cluster east has not synced: grant the verbs list and watch"
    )
    assert found.not_ready_reasons() == ["cluster east has not synced: grant the verbs list and watch"]


def test_a_view_that_was_begun_in_this_life_is_judged_by_the_controller() -> None:
    """What a worker says later, when the own cluster alone has synced, does not stand for the required ones."""
    found = InstanceReadiness(["worker 0"])
    found.on_worker_serving("worker 0", database_ready=False)
    found.on_controller_report(ready=False, not_ready_reason="cluster west has not synced")
    found.on_worker_serving("worker 0", database_ready=True)
    assert not found.is_ready


def test_other_settings_interrupt_readiness_until_their_names_are_there() -> None:
    """Each worker serves them, and the names of each zone were computed for them; the zones are named."""
    found = InstanceReadiness(["worker 0", "worker 1"])
    for name in ("worker 0", "worker 1"):
        found.on_worker_serving(name, database_ready=True, generation=1)
    assert found.not_ready_reasons() == []
    found.expect_settings(2)
    assert (found.is_ready, found.not_ready_reasons()) == (
        False,
        [f"worker {number} does not serve settings generation 2 yet" for number in (0, 1)],
    )
    zones = tuple(f"{letter}.example" for letter in "abcdefg")
    first = ", ".join(zones[:5])
    found.on_worker_serving("worker 0", database_ready=True, generation=2, outdated_zones=zones)
    found.on_worker_serving("worker 1", database_ready=True, generation=2, outdated_zones=("h.example",))
    assert (found.is_ready, found.not_ready_reasons()) == (
        False,
        [f"names are not computed yet for the settings in force, of {first} and 3 more"],
    )
    found.on_worker_serving("worker 0", database_ready=True, generation=2)
    assert not found.is_ready
    found.on_worker_serving("worker 1", database_ready=True, generation=2)
    assert (found.is_ready, found.not_ready_reasons()) == (True, [])


def test_a_last_database_for_other_settings_does_not_make_ready() -> None:
    """A restart with other settings waits for the controller."""
    found = InstanceReadiness(["worker 0"])
    found.on_worker_serving("worker 0", database_ready=True, generation=1, outdated_zones=("global",))
    assert not found.is_ready
    found.on_worker_serving("worker 0", database_ready=True, generation=1)
    assert found.not_ready_reasons() == []
