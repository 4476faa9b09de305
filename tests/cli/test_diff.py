"""``meshdns diff``: names of a zone against another server, and whose answers those look like."""

from pathlib import Path

import pytest

from meshdns.dns.codes import TYPE_A, TYPE_AAAA
from meshdns.dns.presentation import PresentationRecord
from meshdns.stubdomains.observed import NO_REPLY, PENDING_ANSWER, ObservedReply, Soa, compare_answers
from tests.cli.command_runner import CommandRunner
from tests.cli.stopped_server import publish, settings_of
from tests.cli.test_explain import flags
from tests.rig.ports import free_port

SOA = Soa("global", "ns.global", "hostmaster.global", 5)
PUBLIC = PresentationRecord("A", 30, "203.0.113.20")


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (["203.0.113.20"], ObservedReply("NOERROR", records=(PUBLIC,))),
        (
            ["203.0.113.20", "203.0.113.9"],
            ObservedReply("NOERROR", records=(PresentationRecord("A", 5, "203.0.113.9"), PUBLIC)),
        ),
        ([], ObservedReply("NOERROR", soa=SOA)),
        ([PENDING_ANSWER], ObservedReply("SERVFAIL")),
    ],
)
def test_the_same_answer_is_no_difference(ours: list[str], theirs: ObservedReply) -> None:
    """Order and TTL do not matter, and no address is one answer, too."""
    assert compare_answers("a.global", TYPE_A, ours, theirs) is None


@pytest.mark.parametrize(
    ("theirs", "shown", "note"),
    [
        (ObservedReply("NOERROR", records=(PresentationRecord("A", 30, "203.0.113.9"),)), "203.0.113.9", ""),
        (
            ObservedReply("NOERROR", records=(PresentationRecord("A", 30, "240.240.0.9"),)),
            "240.240.0.9",
            "a VIP that Istio allocated",
        ),
        (
            ObservedReply("NOERROR", records=(PresentationRecord("A", 300, "240.0.10.2"),)),
            "240.0.10.2",
            "a VIP of class E",
        ),
        (ObservedReply("NOERROR", authoritative=True), "no data", "captured by a sidecar's DNS proxy"),
        (ObservedReply("NOERROR", authoritative=True, soa=SOA), "no data", ""),
        (ObservedReply("NXDOMAIN", authoritative=True), "NXDOMAIN", "denied as istiocoredns does"),
        (ObservedReply("NXDOMAIN"), "NXDOMAIN", ""),
        (ObservedReply("REFUSED"), "REFUSED", ""),
        (NO_REPLY, "no reply", ""),
    ],
)
def test_a_difference_says_whose_answer_it_looks_like(theirs: ObservedReply, shown: str, note: str) -> None:
    """VIPs by their prefix, proxies by how they deny; of all else nothing is said."""
    found = compare_answers("a.global", TYPE_A, ["203.0.113.20"], theirs)
    assert found is not None
    assert (found.server, found.meshdns) == ((shown,), ("203.0.113.20",))
    assert found.note.startswith(note) if note else not found.note


def test_vips_of_ipv6_are_known() -> None:
    """Istio allocates 2001:2::/48 beside 240.240.0.0/16."""
    theirs = ObservedReply("NOERROR", records=(PresentationRecord("AAAA", 30, "2001:2::f0f0:1"),))
    found = compare_answers("a.global", TYPE_AAAA, [], theirs)
    assert found is not None
    assert found.meshdns == ("no data",)
    assert found.note.startswith("a VIP that Istio allocated")


def test_a_server_that_is_silent_differs_in_every_name(meshdns: CommandRunner, settings_flags: tuple[str, ...]) -> None:
    """The table has a row for each name and type, and the status is 1."""
    ended = meshdns("diff", "--server", f"127.0.0.1:{free_port()}", *settings_flags)
    assert ended.status == 1
    lines = ended.out.splitlines()
    assert lines[0].split() == ["NAME", "TYPE", "SERVER", "MESHDNS", "NOTE"]
    assert ["frontend.default.global", "A", "no", "reply", "203.0.113.20", "<none>"] in [line.split() for line in lines]
    assert "12 of 12 names differ" in ended.err


@pytest.fixture
def settings_flags(state: Path) -> tuple[str, ...]:
    """The flags that lead to the name database that a stopped server for Online Boutique left behind."""
    publish(settings_of("online-boutique", state))
    return flags(state)


def test_a_zone_without_names_says_where_to_look(meshdns: CommandRunner, settings_flags: tuple[str, ...]) -> None:
    """1, with the list of all names."""
    ended = meshdns("diff", "--server", "127.0.0.1", "--zone", "mesh.internal", *settings_flags)
    assert ended.status == 1
    assert ended.err.endswith("no names of mesh.internal to compare; list all with: meshdns get names\n")


def test_a_server_that_is_no_address_is_2(meshdns: CommandRunner) -> None:
    """Wrong usage, with how an address is written."""
    ended = meshdns("diff", "--server", "kube-dns")
    assert ended.status == 2
    assert "write an address and perhaps a port: 10.0.0.53" in ended.err
