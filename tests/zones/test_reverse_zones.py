"""The situation of reverse zones, as a worker answers it: rows and zones as they are made for one."""

import functools
from pathlib import Path

import dns.flags
import dns.message
import dns.rcode
import dns.reversename
import pytest

from meshdns.authority.authority import Authority, Verdict
from meshdns.authority.state import NamedbState
from meshdns.config.model import Settings
from meshdns.config.sections import ManifestsSection
from meshdns.config.translate import mesh_settings, served_zones
from meshdns.controller import offline
from meshdns.controller.row_encoder import RowEncoder
from meshdns.dns import names
from meshdns.dns.query import parse_query
from meshdns.mesh.name_table import NameTable
from tests.authority.test_authority import MemoryRowReader, lines
from tests.zones.test_golden import SITUATIONS, settings_of

VANTAGES = ("east", "west", "outside")
TYPES = ("A", "AAAA", "TXT", "SRV", "PTR", "NS", "SOA", "MX", "CNAME", "HTTPS", "DS", "ANY")
WAYS = [(tcp, edns) for tcp in (False, True) for edns in (-1, 0)]
SIX = dns.reversename.from_address("2001:db8:10::10").to_text()


@functools.cache
def server(vantage: str) -> tuple[Authority, MemoryRowReader]:
    """The authority of the situation from one vantage, with its rows."""
    settings: Settings = settings_of(SITUATIONS / "reverse-zones" / f"{vantage}.zone")
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
    state = NamedbState(
        ready=True,
        complete=True,
        clusters=tuple(encoder.cluster_ids),
        stale=(encoder.cluster_id("west"),),
        zones=mesh.hashes.zones,
    )
    return Authority(tuple(served_zones(settings))), MemoryRowReader(rows, state)


def ask(name: str, rtype: str, *, vantage: str = "east", tcp: bool = False, edns: int = -1) -> dns.message.Message:
    """The reply as a client reads it."""
    authority, rows = server(vantage)
    query = parse_query(dns.message.make_query(name, rtype, use_edns=edns, id=1).to_wire())
    assert query is not None
    reply = authority.respond(query, rows, tcp=tcp)
    assert not isinstance(reply, Verdict)
    return dns.message.from_wire(reply[0])


def outcome(name: str, rtype: str, *, vantage: str = "east", tcp: bool = False, edns: int = -1) -> list[str] | str:
    """The values that are answered, sorted; NODATA, or the RCODE."""
    reply = ask(name, rtype, vantage=vantage, tcp=tcp, edns=edns)
    assert reply.flags & dns.flags.AA
    if reply.rcode():
        return dns.rcode.to_text(reply.rcode())
    return sorted(line.split(None, 4)[4] for line in lines(reply.answer)) or "NODATA"


DATA: dict[str, dict[str, list[str]]] = {
    "10.113.0.203.in-addr.arpa.": {"PTR": ["east.gateways.global."]},
    "20.113.0.203.IN-ADDR.arpa.": {"PTR": ["west.gateways.global."]},
    "30.113.0.203.in-addr.arpa.": {"PTR": ["north.gateways.global."]},
    "20.0.7.10.in-addr.arpa.": {"PTR": ["west.gateways.global."]},
    "5.0.0.10.in-addr.arpa.": {"PTR": ["db.global."]},
    SIX: {"PTR": ["east.gateways.global."]},
    SIX.upper(): {"PTR": ["east.gateways.global."]},
    "east.gateways.global.": {"A": ["203.0.113.10"], "AAAA": ["2001:db8:10::10"]},
    "West.Gateways.GLOBAL.": {"A": ["10.7.0.20", "203.0.113.20"]},
    "north.gateways.global.": {"A": ["203.0.113.30"]},
    "lab.gateways.global.": {"TXT": ['"moved"']},
    "gateways.global.": {},
    "ns.global.": {"A": ["127.0.0.1"]},
    "default.global.": {},
    "7.10.in-addr.arpa.": {},
}
"""All that these names have; anything else of them is NODATA."""


@pytest.mark.parametrize("vantage", VANTAGES)
@pytest.mark.parametrize("name", DATA)
def test_a_name_has_what_the_table_says_and_nothing_else(name: str, vantage: str) -> None:
    """Whatever the type, the letters, the transport and the vantage; of any type one RRset is enough."""
    for rtype in TYPES:
        for tcp, edns in WAYS:
            found = outcome(name, rtype, vantage=vantage, tcp=tcp, edns=edns)
            if rtype == "ANY":
                assert found in DATA[name].values() or (not DATA[name] and found == "NODATA"), (rtype, tcp, edns)
            else:
                assert found == DATA[name].get(rtype, "NODATA"), (rtype, tcp, edns)


ABSENT = (
    "adservice.default.10.in-addr.arpa.",
    "default.10.in-addr.arpa.",
    "cart.10.in-addr.arpa.",
    "ns.10.in-addr.arpa.",
    "ns.113.0.203.in-addr.arpa.",
    "99.113.0.203.in-addr.arpa.",
    "east.gateways.10.in-addr.arpa.",
    "east.east.gateways.global.",
    "p15443.west.west.gateways.global.",
    "_tls._tcp.east.gateways.global.",
    "prod.north.gateways.global.",
    "nosuch.gateways.global.",
    "_tcp.global.",
    "east.lab.gateways.global.",
)


@pytest.mark.parametrize("vantage", VANTAGES)
@pytest.mark.parametrize("name", ABSENT)
def test_nothing_else_is_made_of_them(name: str, vantage: str) -> None:
    """No derived names, hosts or servers in reverse zones, and no names by cluster or service of gateways."""
    assert {outcome(name, rtype, vantage=vantage) for rtype in ("A", "PTR", "SRV", "TXT", "ANY")} == {"NXDOMAIN"}


@pytest.mark.parametrize("zone", ["113.0.203.in-addr.arpa.", "10.in-addr.arpa.", "8.b.d.0.1.0.0.2.ip6.arpa."])
def test_the_server_of_a_reverse_zone_has_an_address(zone: str) -> None:
    """NS and SOA name the server of the first zone that is no reverse zone; the apex has nothing else."""
    assert outcome(zone, "NS") == ["ns.global."]
    (soa,) = lines(ask(zone.upper(), "SOA").answer)
    assert soa.split()[4:6] == ["ns.global.", f"hostmaster.{zone.upper()}"]
    assert {str(outcome(zone, rtype)) for rtype in ("A", "AAAA", "PTR", "TXT", "MX")} == {"NODATA"}
    (authority,) = lines(ask(f"nosuch.{zone}", "PTR").authority)
    assert authority.split()[3:5] == ["SOA", "ns.global."]


@pytest.mark.parametrize(("name", "rtype"), [("west.gateways.global.", "A"), ("20.113.0.203.in-addr.arpa.", "PTR")])
def test_names_of_gateways_are_stale_with_their_cluster(name: str, rtype: str) -> None:
    """EDE 3, as for every answer that rests on a cluster out of contact; others have none."""
    assert [int(error.code) for error in ask(name, rtype, edns=0).extended_errors()] == [3]
    assert ask(name.replace("west", "east").replace("20.", "10."), rtype, edns=0).extended_errors() == []
