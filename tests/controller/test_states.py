"""What may be said of clusters that were heard, lost, or never heard, in virtual time."""

import pytest

from meshdns.controller.states import STALE_AFTER, UNSYNCED_BLOCKS, ClusterStates
from meshdns.mesh.declarations import Kind

START = 1000.0
KINDS = frozenset({Kind.SERVICE, Kind.SERVICE_ENTRY})


def _states(*, own: str = "east", required: tuple[str, ...] = ()) -> ClusterStates:
    return ClusterStates(own=own, required=required, started=START)


def _join(found: ClusterStates, name: str) -> None:
    found.cluster(name).kinds = KINDS


def _listed(found: ClusterStates, name: str, *kinds: Kind, at: float = START) -> None:
    state = found.cluster(name)
    state.listed.update(kinds or KINDS)
    state.contacts.update(dict.fromkeys(kinds or KINDS, at))


def test_not_ready_until_the_own_cluster_has_listed_every_kind() -> None:
    """Other clusters and half a list do not make ready."""
    found = _states()
    _join(found, "east")
    _join(found, "west")
    _listed(found, "west")
    _listed(found, "east", Kind.SERVICE)
    assert not found.ready()
    _listed(found, "east", Kind.SERVICE_ENTRY)
    assert found.ready()


def test_without_an_own_cluster_any_makes_ready() -> None:
    """A laptop is in no cluster: the first that has synced is enough."""
    found = _states(own="")
    _join(found, "west")
    assert not found.ready()
    _listed(found, "west")
    assert found.ready()


def test_a_remembered_cluster_makes_ready_but_stale() -> None:
    """A cluster of an earlier view is served at once, as last known."""
    found = _states()
    found.cluster("east").remembered = True
    assert (found.ready(), found.complete(START), found.stale(START)) == (True, True, frozenset({"east"}))


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
    east.failures[Kind.SERVICE] = "connection refused"
    assert east.reason == "connection refused"
