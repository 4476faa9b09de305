"""Zones, forward zones and fallback zones inside each other at random: who answers for a name is the longest match.

The oracle compares labels; it knows nothing of tables, rows or levels.
"""

from typing import Final

import dns.message
from hypothesis import given, settings
from hypothesis import strategies as st

from meshdns.authority.authority import Authority, Verdict
from meshdns.authority.row_format import RowStatus, encode_row
from meshdns.authority.state import NamedbState
from meshdns.authority.zone import ServedZone
from meshdns.dns import names
from meshdns.dns.query import parse_query
from meshdns.mesh.candidates import Level
from meshdns.mesh.settings import ClusterSettings, MeshSettings, MeshZone
from tests.authority.test_authority import MemoryRowReader
from tests.mesh.scene import endpoint_slice, entry, gateway, name_table, service

LABELS: Final = ("a", "b", "global")
suffixes = st.lists(st.sampled_from(LABELS), min_size=1, max_size=4).map(".".join)
nestings = st.dictionaries(suffixes, st.sampled_from(["zone", "fallthrough", "forward", "fallback"]), max_size=6)


def is_within(name: str, zone: str) -> bool:
    """Whether the labels of `zone` end those of `name`."""
    ours, theirs = name.split("."), zone.split(".")
    return ours[len(ours) - len(theirs) :] == theirs and len(ours) >= len(theirs)


def holder(name: str, nesting: dict[str, str]) -> str:
    """The longest zone, of whatever section, that a name is in; empty for the root."""
    return max((zone for zone in nesting if is_within(name, zone)), key=lambda zone: zone.count("."), default="")


@settings(max_examples=40)
@given(nestings, st.lists(suffixes, min_size=1, max_size=8))
def test_the_longest_match_answers(nesting: dict[str, str], asked: list[str]) -> None:
    """A reply with the SOA of that zone, or the verdict that its servers are asked; the settings of the mesh agree."""
    zones = [
        ServedZone(names.to_wire(zone), fallthrough=kind == "fallthrough", fallback=kind == "fallback")
        for zone, kind in nesting.items()
        if kind != "forward"
    ]
    forward = [zone for zone, kind in nesting.items() if kind == "forward"]
    authority = Authority(zones, map(names.to_wire, ["", *forward]))
    mesh = MeshSettings(
        tuple(MeshZone(zone) for zone, kind in nesting.items() if kind != "forward"), forward_zones=tuple(forward)
    )
    empty = encode_row(RowStatus.DECLARED, {}, ttl=0)
    for name in asked:
        rows = MemoryRowReader({names.to_wire(name): empty}, NamedbState(ready=True, complete=True))
        query = parse_query(dns.message.make_query(name, "MX").to_wire())
        assert query is not None
        reply, expected = authority.respond(query, rows, tcp=False), holder(name, nesting)
        kind = nesting.get(expected, "forward")
        found = mesh.zone_of(name)
        assert (found.name if found is not None else "") == (expected if kind != "forward" else ""), name
        if isinstance(reply, Verdict):
            assert reply is (Verdict.FALLBACK if kind == "fallback" else Verdict.FORWARD), name
            assert kind != "zone", name
            assert kind != "fallthrough", name
        else:
            (soa,) = dns.message.from_wire(reply[0]).authority
            assert soa.name.to_text(omit_final_dot=True) == expected, name


@settings(max_examples=20)
@given(
    st.dictionaries(suffixes, st.sampled_from(["zone", "forward"]), min_size=1, max_size=5),
    st.lists(suffixes, max_size=4, unique=True),
    st.lists(suffixes, max_size=3, unique=True),
    st.sets(suffixes, max_size=2),
)
def test_no_name_leaks_into_a_zone_inside(
    nesting: dict[str, str], hosts: list[str], wildcards: list[str], listed: set[str]
) -> None:
    """Every answered name is in a zone of the mesh; what one cluster may not say there stands nowhere else.

    Cluster west may speak for the zones in `listed` alone: for none that lies inside them.
    """
    mesh = MeshSettings(
        tuple(MeshZone(zone) for zone, kind in nesting.items() if kind == "zone"),
        vantage_cluster="east",
        forward_zones=tuple(zone for zone, kind in nesting.items() if kind == "forward"),
        clusters={"west": ClusterSettings(zones=tuple(sorted(listed)))},
    )
    written = [*hosts, *(f"*.{suffix}" for suffix in wildcards)]
    pods = [service(ip="None"), endpoint_slice("10.40.0.1")]
    clusters = {
        "east": [gateway("198.51.100.9"), service("a", namespace="b"), *pods],
        "west": [*(entry("203.0.113.7", host=host, name=f"e{at}") for at, host in enumerate(written))],
    }
    answers = name_table(mesh, clusters).refresh()
    ours = {zone for zone, kind in nesting.items() if kind == "zone"}
    for name, answer in answers.items():
        zone = holder(name.removeprefix("*."), nesting)
        assert zone in ours, name
        assert answer is not None
        for candidate in answer.candidates:
            if candidate.cluster == "west" and candidate.level is not Level.ZONE:  # <cluster>.gateways.<zone>
                assert zone in listed, name
                assert candidate.host in written, name
                assert holder(candidate.host.removeprefix("*."), nesting) == zone, name
    for host in written:
        admitted = holder(host.removeprefix("*."), nesting) in ours & listed
        told = answers.get(host)
        west = [each for each in told.candidates if each.cluster == "west"] if told is not None else []
        assert bool(west) == admitted, host


def test_own_namespace_is_judged_in_the_zone_that_has_the_name() -> None:
    """``eu`` is a namespace in the outer zone, and no part of ``<service>.<namespace>`` in the inner one."""
    zones = (MeshZone("global"), MeshZone("eu.global"))
    for mine, hosts in (("eu", ["a.eu.global", "a.b.eu.global"]), ("b", ["a.b.eu.global", "a.b.global"])):
        settings_ = MeshSettings(zones, "east", clusters={"west": ClusterSettings(own_namespace_hosts=True)})
        entries = [entry("203.0.113.7", host=host, name=f"e{at}", namespace=mine) for at, host in enumerate(hosts)]
        answers = name_table(settings_, {"east": [], "west": entries}).refresh()
        known = {host for host in hosts if (found := answers.get(host)) is not None and found.ipv4}
        assert known == ({"a.eu.global"} if mine == "eu" else set(hosts)), mine


def test_an_endpoint_in_a_zone_inside_is_not_covered_by_an_outer_wildcard() -> None:
    """What a name leads to is looked up in the zone that has it."""
    declared = [
        entry("203.0.113.7", host="*.global", name="wild"),
        entry("x.eu.global", host="cart.global", name="cart", resolution="DNS"),
        entry("x.us.global", host="shop.global", name="shop", resolution="DNS"),
    ]
    mesh = MeshSettings((MeshZone("global"), MeshZone("eu.global")), vantage_cluster="east")
    answers = name_table(mesh, {"east": declared}).refresh()
    found = {name: answers[name] for name in ("cart.global", "shop.global")}
    chosen = {
        name: [str(answer.candidates[at].origin) for at in answer.chosen] for name, answer in found.items() if answer
    }
    assert chosen == {
        "cart.global": ["ServiceEntry prod/wild"],  # its own endpoint is none, so that the wildcard covers it
        "shop.global": ["ServiceEntry prod/shop"],
    }


def test_a_host_that_is_the_apex_makes_no_name_above_it_exist() -> None:
    """The names above the apex are in no zone, or in the outer one."""
    mesh = MeshSettings((MeshZone("mesh.corp.example"),), vantage_cluster="east")
    answers = name_table(mesh, {"east": [entry("203.0.113.7", host="mesh.corp.example")]}).refresh()
    assert {name for name in answers if not name.endswith("gateways.mesh.corp.example")} == {"mesh.corp.example"}
