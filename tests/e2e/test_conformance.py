"""The wire behaviour of the checklist, put to meshdns and to NSD with the same zone, as meshdns prints it."""

import platform
import re
import subprocess
from collections.abc import Iterator

import pytest

from meshdns import __version__
from tests.conformance.authorities import checklist_instance, golden_nsd
from tests.conformance.cases import CASES, DIFFERENCES, SILENT, Dig, Raw, differing
from tests.e2e import boutique
from tests.e2e.instance import Instance, on_boutique, wait_until_ready
from tests.rig.nsd import Nsd
from tests.rig.packages import program
from tests.rig.unbound import Unbound

pytestmark = pytest.mark.rig


@pytest.fixture(scope="module")
def mesh(resolver: Unbound) -> Iterator[Instance]:
    """An instance on Online Boutique and the records above, with the wildcards of RFC 4592."""
    with checklist_instance(resolver) as instance:
        yield instance


@pytest.fixture(scope="module")
def golden(mesh: Instance) -> Iterator[Nsd]:
    """NSD with the zone as meshdns prints it."""
    with golden_nsd(mesh) as nsd:
        yield nsd


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.row)
def test_meshdns_answers_as_nsd_does(case: Raw | Dig, mesh: Instance, golden: Nsd) -> None:
    """The RCODE is the checklist's, and what differs from NSD's reply is listed."""
    ours, theirs = case.put(mesh), case.put(golden)
    assert ours.rcode == case.rcode
    assert ours is SILENT or ("ra" in ours.flags) is (ours.rcode != "NOTIMP")
    found = differing(ours, theirs)
    listed, reason = DIFFERENCES.get(case.row, ("", ""))
    assert sorted(found) == sorted(listed.split()), f"{found}; {reason}"


def test_every_listed_difference_belongs_to_a_case() -> None:
    """A case that is renamed takes its reasons along."""
    rows = [case.row for case in CASES]
    assert len(set(rows)) == len(rows)
    assert DIFFERENCES.keys() <= set(rows)


@pytest.mark.parametrize(
    ("words", "found"),
    [
        ("+cookie=0102030405060708 reviews.prod.global A", r"; COOKIE: 0102030405060708f0000000[0-9a-f]{24} \(good\)"),
        ("+cookie=0102030405060708 www.example.com A", r"; COOKIE: 0102030405060708f0000000[0-9a-f]{24} \(good\)"),
        ("CH TXT id.server", rf'^id\.server\.\s+0\s+CH\s+TXT\s+"{re.escape(platform.node()[:64])}"$'),
        ("+norec . NS", r"status: NOERROR.*\n;; flags: qr ra; QUERY: 1, ANSWER: 0, AUTHORITY: 0"),
        ("a.localhost AAAA", r"^a\.localhost\.\s+300\s+IN\s+AAAA\s+::1$"),
        (
            "-x 203.0.113.9 +norec",
            r"^113\.0\.203\.in-addr\.arpa\.\s+300\s+IN\s+SOA\s+113\.0\.203\.in-addr\.arpa\. nobody",
        ),
    ],
    ids=["cookie", "cookie with a forwarded answer", "identity", "root", "localhost", "reverse"],
)
def test_what_an_instance_answers_by_itself(words: str, found: str, mesh: Instance) -> None:
    """Rows 17, 48, 86 and 90, and CoreDNS's health check, as dig shows them."""
    assert re.search(found, _dug(mesh, words), re.MULTILINE)


def test_settings_switch_what_an_instance_answers_by_itself(resolver: Unbound) -> None:
    """The version is told, the identity is not, the resolver is asked for test and has another SOA (rows 17, 87)."""
    switches = {"chaos": {"version": True, "identity": False}, "specialNames": {"test": False}}
    with on_boutique(boutique.ZONE, resolver, **switches) as instance:
        wait_until_ready(instance)
        assert f'"meshdns {__version__}"' in _dug(instance, "CH TXT version.bind")
        assert "status: REFUSED" in _dug(instance, "CH TXT id.server")
        assert "SOA\tlocalhost." in _dug(instance, "x.test A")


def _dug(instance: Instance, words: str) -> str:
    """What dig prints."""
    command = [program("dig"), "-r", f"@{instance.address}", "-p", str(instance.port), "+tries=1", *words.split()]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=30).stdout
