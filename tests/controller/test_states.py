"""What may be said of clusters that were heard, lost, or never heard, in virtual time."""

import pytest

from meshdns.controller.states import OTHERS_WAIT, STALE_AFTER, UNSYNCED_BLOCKS, ClusterStates
from meshdns.mesh.declarations import Kind

START = 1000.0
KINDS = frozenset({Kind.SERVICE, Kind.SERVICE_ENTRY})


def _states(
    *, own: str = "east", required: tuple[str, ...] = (), max_stale: dict[str, float] | None = None
) -> ClusterStates:
    return ClusterStates(own=own, required=required, started=START, max_stale=max_stale)


def _join(found: ClusterStates, name: str) -> None:
    found.cluster(name).kinds = KINDS


def _listed(found: ClusterStates, name: str, *kinds: Kind, at: float = START) -> None:
    state = found.cluster(name)
    state.listed.update(kinds or KINDS)
    state.contacts.update(dict.fromkeys(kinds or KINDS, at))


def test_nothing_is_answered_until_the_own_cluster_has_listed_every_kind() -> None:
    """Other clusters and half a list are not enough."""
    found = _states()
    _join(found, "east")
    _join(found, "west")
    _listed(found, "west")
    _listed(found, "east", Kind.SERVICE)
    assert not found.answers()
    _listed(found, "east", Kind.SERVICE_ENTRY)
    assert found.answers()


def test_without_an_own_cluster_any_is_enough() -> None:
    """A laptop is in no cluster: the first that has synced is enough."""
    found = _states(own="")
    _join(found, "west")
    assert not found.answers()
    _listed(found, "west")
    assert found.answers()


def test_a_remembered_cluster_answers_but_stale() -> None:
    """A cluster of an earlier view is served at once, as last known."""
    found = _states()
    found.cluster("east").remembered = True
    assert (found.answers(), found.complete(START), found.stale(START)) == (True, True, frozenset({"east"}))


def test_unsynced_cluster_blocks_denials_for_a_while() -> None:
    """A cluster that is not required blocks denials until its time is over, one that has synced does not."""
    found = _states()
    _join(found, "east")
    _listed(found, "east")
    _join(found, "west")
    assert not found.complete(START + UNSYNCED_BLOCKS)
    assert found.complete(START + UNSYNCED_BLOCKS + 0.1)


@pytest.mark.parametrize("joined", [True, False], ids=["joined", "never heard of"])
def test_required_cluster_blocks_denials_for_ever(*, joined: bool) -> None:
    """Time does not make up for a required cluster, whether its source knows it or not."""
    found = _states(required=("west",))
    _join(found, "east")
    _listed(found, "east")
    if joined:
        _join(found, "west")
    assert not found.complete(START + 1e6)
    _join(found, "west")
    _listed(found, "west")
    assert found.complete(START)


def test_own_cluster_is_always_required() -> None:
    """Nothing is denied for the own cluster before it has synced."""
    found = _states()
    _join(found, "east")
    assert not found.complete(START + 1e6)


def test_stale_when_the_oldest_contact_is_too_old() -> None:
    """One kind that was not heard of for too long makes its cluster stale, a contact makes it fresh."""
    found = _states()
    _join(found, "east")
    _listed(found, "east")
    found.cluster("east").contacts[Kind.SERVICE] = START + 50
    assert found.stale(START + STALE_AFTER) == frozenset()
    assert found.stale(START + STALE_AFTER + 0.1) == {"east"}
    found.cluster("east").contacts[Kind.SERVICE_ENTRY] = START + STALE_AFTER
    assert found.stale(START + STALE_AFTER + 0.1) == frozenset()


def test_words_for_people() -> None:
    """Never synced, synced, stale; and the last failure that still holds."""
    found = _states()
    _join(found, "east")
    east = found.cluster("east")
    assert east.status(START) == "never synced"
    _listed(found, "east")
    assert (east.status(START), east.status(START + 91), east.reason) == ("synced", "stale", "")
    for kind, reason in (
        (Kind.SERVICE_ENTRY, "connection refused"),
        (Kind.SERVICE, "the credentials are not accepted"),
        (Kind.SERVICE_ENTRY, "the credentials have expired"),
    ):
        east.failed(kind, reason)
        assert east.reason == reason
    del east.failures[Kind.SERVICE_ENTRY]
    assert east.reason == "the credentials are not accepted"


def test_ready_needs_the_own_and_every_required_cluster() -> None:
    """However long they take; the reason names each with what is wrong with it."""
    found = _states(required=("west", "north"))
    _join(found, "east")
    _join(found, "west")
    found.cluster("west").failed(Kind.SERVICE, "services is forbidden; grant it")
    late = START + 1e6
    assert found.waits_for(late) == (
        "cluster east has not synced: its lists are under way; wait; "
        "cluster north is in no source yet; look for it in the sources' settings; "
        "cluster west has not synced: services is forbidden; grant it"
    )
    for name in ("north", "west", "east"):
        assert found.waits_for(late)
        _join(found, name)
        _listed(found, name)
    assert found.waits_for(late) == ""


def test_other_clusters_have_half_a_minute_from_then_on() -> None:
    """The time begins when the own cluster has synced, not when the process began."""
    found = _states()
    _join(found, "east")
    _join(found, "west")
    assert found.waits_for(START + 500)
    _listed(found, "east")
    assert "cluster west" in found.waits_for(START + 600)
    assert "cluster west" in found.waits_for(START + 600 + OTHERS_WAIT - 0.1)
    assert found.waits_for(START + 600 + OTHERS_WAIT) == ""


def test_other_clusters_that_sync_are_waited_for_no_longer() -> None:
    """Ready is as soon as all are there."""
    found = _states()
    for name in ("east", "west"):
        _join(found, name)
        _listed(found, name)
    assert found.waits_for(START) == ""


def test_without_an_own_cluster_one_must_have_synced() -> None:
    """Time does not make up for it, nor does the lack of any cluster."""
    found = _states(own="")
    assert "no cluster is known yet" in found.waits_for(START + 1e6)
    _join(found, "east")
    assert "cluster east has not synced" in found.waits_for(START + 1e6)
    _listed(found, "east")
    assert found.waits_for(START) == ""


@pytest.mark.parametrize("own", ["east", ""])
def test_the_last_view_makes_ready_whatever_else_is_required(own: str) -> None:
    """A reboot with all API servers down serves the last data."""
    found = _states(own=own, required=("west",))
    found.cluster("east").remembered = True
    assert found.waits_for(START) == ""


def test_ghosts_go_when_every_source_has_named_its_clusters() -> None:
    """Not before, and not for a source that cannot be read; then at once."""
    found = _states()
    found.expect(2)
    for name in ("east", "old"):
        found.cluster(name).remembered = True
    _join(found, "east")
    found.named("kubeconfig")
    found.named("kubeconfig")
    assert found.ghosts(START + 1e6) == []
    found.named("secrets")
    assert found.ghosts(START) == ["old"]


def test_ghosts_wait_a_while_for_a_new_cluster() -> None:
    """A cluster under a new name is not denied while it is read; one that cannot be read delays nothing for ever."""
    found = _states()
    found.expect(1)
    found.cluster("old").remembered = True
    _join(found, "east")
    found.named("kubeconfig")
    assert (found.ghosts(START + UNSYNCED_BLOCKS), found.ghosts(START + UNSYNCED_BLOCKS + 0.1)) == ([], ["old"])
    _listed(found, "east")
    assert found.ghosts(START) == ["old"]


def test_a_source_that_names_nothing_makes_no_ghosts() -> None:
    """An empty folder is more often a mount that is late than the end of a mesh."""
    found = _states()
    found.expect(1)
    found.cluster("east").remembered = True
    found.named("manifests")
    assert found.ghosts(START + 1e6) == []
