"""What may be said of clusters that were heard, lost, or never heard, in virtual time."""

import pytest

from meshdns.controller.cluster_state import DENIAL_BLOCK_TIMEOUT, OPTIONAL_SYNC_TIMEOUT, STALE_AFTER, ClusterTracker
from meshdns.mesh.objects.declarations import ObjectKind
from meshdns.mesh.objects.problems import Problem, ProblemKind

START = 1000.0
KINDS = frozenset({ObjectKind.SERVICE, ObjectKind.SERVICE_ENTRY})


def _states(
    *, own: str = "east", required: tuple[str, ...] = (), max_stale: dict[str, float] | None = None
) -> ClusterTracker:
    return ClusterTracker(own=own, required=required, started=START, max_stale=max_stale)


def _join(found: ClusterTracker, name: str) -> None:
    found.state_of(name).kinds = KINDS


def _listed(found: ClusterTracker, name: str, *kinds: ObjectKind, at: float = START) -> None:
    state = found.state_of(name)
    state.listed_kinds.update(kinds or KINDS)
    state.last_contacts.update(dict.fromkeys(kinds or KINDS, at))


def test_nothing_is_answered_until_the_own_cluster_has_listed_every_kind() -> None:
    """Other clusters and half a list are not enough."""
    found = _states()
    _join(found, "east")
    _join(found, "west")
    _listed(found, "west")
    _listed(found, "east", ObjectKind.SERVICE)
    assert not found.may_answer()
    _listed(found, "east", ObjectKind.SERVICE_ENTRY)
    assert found.may_answer()


def test_without_an_own_cluster_any_is_enough() -> None:
    """A laptop is in no cluster: the first that has synced is enough."""
    found = _states(own="")
    _join(found, "west")
    assert not found.may_answer()
    _listed(found, "west")
    assert found.may_answer()


def test_a_remembered_cluster_answers_but_stale() -> None:
    """A cluster of an earlier view is served at once, as last known."""
    found = _states()
    found.state_of("east").is_restored = True
    assert (found.may_answer(), found.may_deny(START), found.stale_clusters(START)) == (True, True, frozenset({"east"}))


def test_unsynced_cluster_blocks_denials_for_a_while() -> None:
    """A cluster that is not required blocks denials until its time is over, one that has synced does not."""
    found = _states()
    _join(found, "east")
    _listed(found, "east")
    _join(found, "west")
    assert not found.may_deny(START + DENIAL_BLOCK_TIMEOUT)
    assert found.may_deny(START + DENIAL_BLOCK_TIMEOUT + 0.1)


@pytest.mark.parametrize("joined", [True, False], ids=["joined", "never heard of"])
def test_required_cluster_blocks_denials_for_ever(*, joined: bool) -> None:
    """Time does not make up for a required cluster, whether its source knows it or not."""
    found = _states(required=("west",))
    _join(found, "east")
    _listed(found, "east")
    if joined:
        _join(found, "west")
    assert not found.may_deny(START + 1e6)
    _join(found, "west")
    _listed(found, "west")
    assert found.may_deny(START)


def test_own_cluster_is_always_required() -> None:
    """Nothing is denied for the own cluster before it has synced."""
    found = _states()
    _join(found, "east")
    assert not found.may_deny(START + 1e6)


def test_stale_when_the_oldest_contact_is_too_old() -> None:
    """One kind that was not heard of for too long makes its cluster stale, a contact makes it fresh."""
    found = _states()
    _join(found, "east")
    _listed(found, "east")
    found.state_of("east").last_contacts[ObjectKind.SERVICE] = START + 50
    assert found.stale_clusters(START + STALE_AFTER) == frozenset()
    assert found.stale_clusters(START + STALE_AFTER + 0.1) == {"east"}
    found.state_of("east").last_contacts[ObjectKind.SERVICE_ENTRY] = START + STALE_AFTER
    assert found.stale_clusters(START + STALE_AFTER + 0.1) == frozenset()


def test_words_for_people() -> None:
    """Never synced, synced, stale; and the last failure that still holds."""
    found = _states()
    _join(found, "east")
    east = found.state_of("east")
    assert east.status(START) == "never synced"
    _listed(found, "east")
    assert (east.status(START), east.status(START + 91), east.reason) == ("synced", "stale", "")
    for kind, reason in (
        (ObjectKind.SERVICE_ENTRY, "connection refused"),
        (ObjectKind.SERVICE, "the credentials are not accepted"),
        (ObjectKind.SERVICE_ENTRY, "the credentials have expired"),
    ):
        east.record_failure(kind, reason)
        assert east.reason == reason
    del east.failures[ObjectKind.SERVICE_ENTRY]
    assert east.reason == "the credentials are not accepted"


def test_ready_needs_the_own_and_every_required_cluster() -> None:
    """However long they take; the reason names each with what is wrong with it."""
    found = _states(required=("west", "north"))
    _join(found, "east")
    _join(found, "west")
    found.state_of("west").record_failure(ObjectKind.SERVICE, "services is forbidden; grant it")
    late = START + 1e6
    assert found.not_ready_reason(late) == (
        "cluster east has not synced: its lists are under way; wait; "
        "cluster north is in no source yet; look for it in the sources' settings; "
        "cluster west has not synced: services is forbidden; grant it"
    )
    for name in ("north", "west", "east"):
        assert found.not_ready_reason(late)
        _join(found, name)
        _listed(found, name)
    assert found.not_ready_reason(late) == ""


def test_other_clusters_have_half_a_minute_from_then_on() -> None:
    """The time begins when the own cluster has synced, not when the process began."""
    found = _states()
    _join(found, "east")
    _join(found, "west")
    assert found.not_ready_reason(START + 500)
    _listed(found, "east")
    assert "cluster west" in found.not_ready_reason(START + 600)
    assert "cluster west" in found.not_ready_reason(START + 600 + OPTIONAL_SYNC_TIMEOUT - 0.1)
    assert found.not_ready_reason(START + 600 + OPTIONAL_SYNC_TIMEOUT) == ""


def test_other_clusters_that_sync_are_waited_for_no_longer() -> None:
    """Ready is as soon as all are there."""
    found = _states()
    for name in ("east", "west"):
        _join(found, name)
        _listed(found, name)
    assert found.not_ready_reason(START) == ""


def test_without_an_own_cluster_one_must_have_synced() -> None:
    """Time does not make up for it, nor does the lack of any cluster."""
    found = _states(own="")
    assert "no cluster is known yet" in found.not_ready_reason(START + 1e6)
    _join(found, "east")
    assert "cluster east has not synced" in found.not_ready_reason(START + 1e6)
    _listed(found, "east")
    assert found.not_ready_reason(START) == ""


@pytest.mark.parametrize("own", ["east", ""])
def test_the_last_view_makes_ready_whatever_else_is_required(own: str) -> None:
    """A reboot with all API servers down serves the last data."""
    found = _states(own=own, required=("west",))
    found.state_of("east").is_restored = True
    assert found.not_ready_reason(START) == ""


def test_ghosts_go_when_every_source_has_named_its_clusters() -> None:
    """Not before, and not for a source that cannot be read; then at once."""
    found = _states()
    found.expect_sources(2)
    for name in ("east", "old"):
        found.state_of(name).is_restored = True
    _join(found, "east")
    found.record_source_listed("kubeconfig")
    found.record_source_listed("kubeconfig")
    assert found.unclaimed_clusters(START + 1e6) == []
    found.record_source_listed("secrets")
    assert found.unclaimed_clusters(START) == ["old"]


def test_ghosts_wait_a_while_for_a_new_cluster() -> None:
    """A cluster under a new name is not denied while it is read; one that cannot be read delays nothing for ever."""
    found = _states()
    found.expect_sources(1)
    found.state_of("old").is_restored = True
    _join(found, "east")
    found.record_source_listed("kubeconfig")
    assert found.unclaimed_clusters(START + DENIAL_BLOCK_TIMEOUT) == []
    assert found.unclaimed_clusters(START + DENIAL_BLOCK_TIMEOUT + 0.1) == ["old"]
    _listed(found, "east")
    assert found.unclaimed_clusters(START) == ["old"]


def test_a_source_that_names_nothing_makes_no_ghosts() -> None:
    """An empty folder is more often a mount that is late than the end of a mesh."""
    found = _states()
    found.expect_sources(1)
    found.state_of("east").is_restored = True
    found.record_source_listed("manifests")
    assert found.unclaimed_clusters(START + 1e6) == []


@pytest.mark.parametrize("required", [True, False], ids=["required", "optional"])
def test_reason_not_to_be_ready_is_short_however_many_clusters_fail(*, required: bool) -> None:
    """The first five are named, and how many more there are; a foreign text without end is cut."""
    names = [f"cluster-{number:03}" for number in range(400)]
    found = _states(own="", required=tuple(names) if required else ("east",))
    for name in names:
        _join(found, name)
        found.state_of(name).record_failure(ObjectKind.SERVICE, f"https://{'x' * 70_000}: refused; check it")
    _join(found, "east")
    _listed(found, "east")
    reason = found.not_ready_reason(START)
    assert reason.startswith("cluster cluster-000 has not synced: https://xxx")
    assert [name in reason for name in names[:6]] == [True] * 5 + [False]
    assert reason.endswith(" and 395 more")
    assert len(reason) < 4000
    assert len(found.state_of(names[0]).reason) <= 400


def test_a_cluster_that_no_source_has_is_named_with_those_that_they_have() -> None:
    """Once every source has named its clusters there is nothing to wait for."""
    found = ClusterTracker(own="north", required=(), started=START)
    found.expect_sources(1)
    assert found.not_ready_reason(START).startswith("cluster north is in no source yet; ")
    _join(found, "east")
    found.record_source_listed("source 1")
    reason = "cluster north is in none of the sources, which have east; correct the name, or add its source"
    assert found.not_ready_reason(START) == reason


# ---------------------------------------------------------------------------------------------- kept contacts


def test_restored_cluster_is_stale_only_once_its_last_contact_is_too_old() -> None:
    """What an earlier process heard counts, for each kind that this one has not heard yet."""
    found = _states()
    found.restore("east", START, contact_age=60)
    assert found.stale_clusters(START + 30) == frozenset()
    assert found.stale_clusters(START + 31) == {"east"}
    _join(found, "east")
    assert found.contact_ages(START) == {"east": 60}
    found.state_of("east").last_contacts[ObjectKind.SERVICE] = START
    assert found.stale_clusters(START + 31) == {"east"}
    found.state_of("east").last_contacts[ObjectKind.SERVICE_ENTRY] = START
    assert (found.stale_clusters(START + 31), found.contact_ages(START + 31)) == (frozenset(), {"east": 31})


def test_restored_cluster_without_a_known_contact_is_stale() -> None:
    """As one from the database of a version that kept none."""
    found = _states()
    found.restore("east", START, contact_age=None)
    assert found.stale_clusters(START) == {"east"}
    assert found.contact_ages(START) == {}


def test_the_age_that_is_shown_is_the_one_that_makes_a_cluster_stale() -> None:
    """A kind that is not read any more counts, however young the contacts of the others are."""
    found = _states()
    _join(found, "east")
    kinds = found.state_of("east").kinds
    found.state_of("east").listed_kinds.update(kinds)
    found.state_of("east").last_contacts.update(dict.fromkeys(kinds, START))
    found.state_of("east").last_contacts[ObjectKind.SERVICE] = START + 100
    assert found.stale_clusters(START + 100) == {"east"}
    assert found.contact_ages(START + 100) == {"east": 100}


# ---------------------------------------------------------------------------------------------- standing still


def _run(found: ClusterTracker, begin: float, end: float) -> None:
    """Tick once a second."""
    while begin < end:
        begin += 1
        found.record_tick(begin)


def test_denials_are_blocked_for_longer_by_the_time_that_the_process_stood_still() -> None:
    """Suspended right after its start it must not deny what it had no time to read."""
    found = _states()
    _join(found, "east")
    _listed(found, "east")
    _join(found, "west")
    _run(found, START, START + 10)
    _run(found, START + 3610, START + 3630)
    assert not found.may_deny(START + 3630)
    assert found.may_deny(START + 3600 + DENIAL_BLOCK_TIMEOUT + 2)


def test_optional_clusters_are_awaited_for_longer_by_the_time_that_the_process_stood_still() -> None:
    """Readiness is not the result of an hour in suspend."""
    found = _states()
    _join(found, "east")
    _listed(found, "east")
    _join(found, "west")
    assert found.not_ready_reason(START)
    _run(found, START, START + 10)
    _run(found, START + 3610, START + 3630)
    assert found.not_ready_reason(START + 3630)
    assert not found.not_ready_reason(START + 3600 + OPTIONAL_SYNC_TIMEOUT + 2)


def test_data_grow_old_while_the_process_stands_still() -> None:
    """A cluster that nobody could hear of for an hour is stale."""
    found = _states()
    _join(found, "east")
    _listed(found, "east")
    _run(found, START, START + 10)
    found.record_tick(START + 3610)
    assert found.stale_clusters(START + 3610) == {"east"}


def test_what_is_waited_for_may_wait_for_a_source() -> None:
    """The problems of sources are part of the reason until the clusters that must be there are, and no longer."""
    found = _states()
    problem = Problem(ProblemKind.UNREADABLE, "source", "", "source 1 (kubeconfig)", "", "it ended", "report this")
    found.record_source_problems("source 1 (kubeconfig)", [problem] * 3)
    reason = found.not_ready_reason(START)
    assert reason.endswith("source source 1 (kubeconfig): it ended; report this and 2 more")
    found.record_source_problems("source 1 (kubeconfig)", [])
    assert "it ended" not in found.not_ready_reason(START)
