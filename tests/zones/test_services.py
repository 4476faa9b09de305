"""SRV in the situations, which master files do not show: as a worker answers it, from each vantage."""

import functools
from pathlib import Path

import dns.message
import dns.rcode
import pytest

from meshdns.authority.authority import Authority, Verdict
from meshdns.authority.state import NamedbState
from meshdns.config.sections import ManifestsSection
from meshdns.config.translate import mesh_settings, served_zones
from meshdns.controller import offline
from meshdns.controller.row_encoder import RowEncoder
from meshdns.dns import names
from meshdns.dns.query import parse_query
from meshdns.mesh.name_table import NameTable
from tests.authority.test_authority import MemoryRowReader
from tests.zones.test_golden import SITUATIONS, settings_of


@functools.cache
def server(situation: str, vantage: str) -> tuple[Authority, MemoryRowReader]:
    """The authority of a situation from one vantage, with its rows."""
    settings = settings_of(SITUATIONS / situation / f"{vantage}.zone")
    mesh = mesh_settings(settings)
    table = NameTable(mesh)
    paths = [Path(source.path) for source in settings.sources if isinstance(source, ManifestsSection)]
    for folder in offline.read_folders(paths):
        for cluster, declarations in folder.clusters.items():
            table.add_cluster(cluster)
            for declaration in declarations:
                table.upsert(cluster, declaration)
    encoder = RowEncoder(mesh)
    answers = {name: answer for name, answer in table.refresh().items() if answer is not None}
    rows = {names.to_wire(name): encoder.row(answer, {}) for name, answer in answers.items()}
    wildcards = any(name.startswith("*.") for name in answers)
    state = NamedbState(ready=True, complete=True, wildcards=wildcards, zones=mesh.hashes.zones)
    return Authority(tuple(served_zones(settings))), MemoryRowReader(rows, state)


def ask(situation: str, vantage: str, name: str, rtype: str) -> str:
    """The values of an answer in order, else its response code or NODATA."""
    authority, rows = server(situation, vantage)
    query = parse_query(dns.message.make_query(name, rtype).to_wire())
    assert query is not None
    reply = authority.respond(query, rows, tcp=True)
    assert not isinstance(reply, Verdict)
    found = dns.message.from_wire(reply[0])
    if found.rcode():
        return dns.rcode.to_text(found.rcode())
    return ", ".join(sorted(item.to_text() for rrset in found.answer for item in rrset)) or "NODATA"


WORKER = "worker.data.global"
CASES: dict[tuple[str, str, str, str], str] = {
    ("srv-wildcard", "*", "_https._tcp.web.shop.global", "SRV"): "0 1 443 web.shop.global.",
    ("srv-wildcard", "*", "_admin._tcp.web.shop.global", "SRV"): "NODATA",
    ("srv-wildcard", "*", "p9001.east.web.shop.global", "A"): "203.0.113.50, 203.0.113.51",
    ("srv-wildcard", "*", "_https._tcp.ledger.pay.global", "SRV"): (
        "0 1 8443 p8443.east.ledger.pay.global., 0 1 9443 p9443.east.ledger.pay.global."
    ),
    ("srv-wildcard", "*", "p8443.east.ledger.pay.global", "A"): "203.0.113.60",
    ("headless", "east", f"_grpc._tcp.{WORKER}", "SRV"): (
        f"0 1 7000 10-32-1-7.{WORKER}, 0 1 7000 2001-db8-32--7.{WORKER}".replace("global", "global.")
    ),
    ("headless", "west", f"_gossip._udp.{WORKER}", "SRV"): (
        f"0 1 7946 10-32-1-7.{WORKER}, 0 1 7946 2001-db8-32--7.{WORKER}".replace("global", "global.")
    ),
    ("headless", "north", f"_grpc._tcp.{WORKER}", "SRV"): f"0 1 15443 {WORKER}.",
    ("headless", "north", f"_gossip._udp.{WORKER}", "SRV"): "NXDOMAIN",
    ("headless", "outside", f"_grpc._tcp.{WORKER}", "SRV"): f"0 1 15443 {WORKER}.",
    ("headless", "east", "_http._tcp.db.data.global", "SRV"): (
        "0 1 5432 db-0.db.data.global., 0 1 5432 db-1.db.data.global."
    ),
}


@pytest.mark.parametrize("case", CASES, ids=" ".join)
def test_srv_of_a_situation(case: tuple[str, str, str, str]) -> None:
    """As its README says, from every vantage where it says nothing else."""
    situation, vantage, name, rtype = case
    for view in ("east", "west", "outside") if vantage == "*" else (vantage,):
        assert ask(situation, view, name, rtype) == CASES[case], view
