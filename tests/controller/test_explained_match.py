"""How explain says that a name is found, against what the authority answers: two orders of cases, one outcome."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from meshdns.config import Settings
from meshdns.config.translate import mesh_settings
from meshdns.controller.admin.reports import Reports
from meshdns.controller.publisher import Publisher
from meshdns.mesh.explain.model import EndpointResult, MatchKind
from meshdns.namedb.writer import Writer
from tests.mesh.scene import entry

ENTRIES = {
    "*.global": "203.0.113.1",
    "*.shop.global": "203.0.113.2",
    "api.shop.global": "203.0.113.3",
    "a.b.shop.global": "203.0.113.4",
    "*.b.shop.global": "203.0.113.5",
    "db.x.corp.global": "203.0.113.6",
    "ns.deep.ns.global": "203.0.113.7",
}
NESTED_ENTRIES = {
    **ENTRIES,
    "*.eu.global": "203.0.113.8",
    "api.eu.global": "203.0.113.9",
    "old.legacy.global": "203.0.113.10",
    "*.gone.legacy.global": "203.0.113.11",
    "sso.corp.example": "203.0.113.12",
    "api.b.corp.example": "203.0.113.13",
    "*.wild.corp.example": "203.0.113.14",
    "a.mesh.away.example": "203.0.113.15",
    "dead.b.corp.example": "",
}
"""Hosts of zones inside zones; the one without an address has an endpoint that is no address."""
NESTED: dict[str, Any] = {
    "zones": [
        {"name": "global"},
        {"name": "eu.global"},
        {"name": "x.corp.global"},
        {"name": "corp.example", "fallthrough": True},
        {"name": "in.gap.corp.example"},
        {"name": "mesh.away.example"},
    ],
    "forward": [
        {"zone": zone, "to": ["192.0.2.53"]}
        for zone in (".", "legacy.global", "old.deep.eu.global", "corp.example", "away.example")
    ],
    "vantage": {"cluster": "east"},
}
TYPES = ("A", "MX", "NS")
WITHOUT_DATA = (MatchKind.APEX, MatchKind.ZONE, MatchKind.EMPTY_NON_TERMINAL)


def prefixed(names: Iterator[str]) -> Iterator[str]:
    """Names, and those that a label or two more make of them."""
    for name in names:
        yield name
        for label in ("x", "ns", "east", "_tcp", "_http._tcp", "x.y", "corp", "shop"):
            yield f"{label}.{name}"


def questions(entries: Mapping[str, str] = ENTRIES) -> list[str]:
    """Every owner name, its ancestors, and names below both."""
    owners = [owner.removeprefix("*.") for owner in entries]
    above = [owner.split(".", number)[number] for owner in owners for number in range(owner.count(".") + 1)]
    return sorted(set(prefixed(iter([*owners, *above]))))


@pytest.mark.parametrize("wildcards", ["istio", "dns"])
@pytest.mark.parametrize("nested", [False, True])
@pytest.mark.parametrize("without", [(), ("*.global",), ("*.global", "*.shop.global")])
def test_what_is_explained_is_what_is_answered(
    tmp_path: Path, wildcards: str, *, nested: bool, without: tuple[str, ...]
) -> None:
    """A name that is matched exactly or by a wildcard has that owner's address, and the others have none."""
    zones = [{"name": "global", "wildcards": wildcards}, *([{"name": "x.corp.global"}] if nested else [])]
    settings = Settings.model_validate({"zones": zones, "vantage": {"cluster": "east"}})
    addresses = {host: address for host, address in ENTRIES.items() if host not in without}
    writer = Writer(tmp_path)
    publisher = Publisher(mesh_settings(settings), writer)
    for number, (host, address) in enumerate(addresses.items()):
        publisher.upsert("east", entry(address, host=host, name=f"e{number}"))
    publisher.publish(ready=True, complete=True, stale=(), now=0.0)
    reports = Reports(settings, writer.read)
    for name in questions():
        explanation = reports.explain(name, "A")
        match, reply = explanation.match, explanation.reply
        assert reply is not None
        served = [record.data for record in reply.records]
        if match.kind in (MatchKind.EXACT, MatchKind.WILDCARD):
            assert served == [addresses[match.owner]], name
        elif match.kind is MatchKind.SYNTHESIZED:
            assert reply.rcode == "NOERROR", name
            assert not served or served == [addresses[match.owner]], name
        else:
            assert served == (["127.0.0.1"] if name in ("ns.global", "ns.x.corp.global")[: len(zones)] else []), name
            assert reply.rcode == ("NOERROR" if match.kind in WITHOUT_DATA else "NXDOMAIN"), name
        chosen = [
            endpoint.address
            for declaration in explanation.declarations
            for endpoint in declaration.endpoints
            if endpoint.result is EndpointResult.CHOSEN
        ]
        assert chosen == served or match.kind is MatchKind.ZONE or match.kind is MatchKind.SYNTHESIZED, name
    writer.close()


def zone_by_suffix(name: str) -> str:
    """The longest zone or forward zone of the settings that a name is in, with the section; the root's at least."""
    known = [(each["name"], "zones") for each in NESTED["zones"]]
    known += [(each["zone"], "forward") for each in NESTED["forward"] if each["zone"] not in dict(known)]
    inside = [(len(zone), f"{section} {zone}") for zone, section in known if f".{name}".endswith(f".{zone}")]
    return max(inside, default=(0, "forward ."))[1]


@pytest.mark.parametrize("wildcards", ["istio", "dns"])
@pytest.mark.parametrize("rtype", TYPES)
def test_zones_inside_zones_are_explained_as_they_are_answered(tmp_path: Path, wildcards: str, rtype: str) -> None:
    """The zone, the match and the forward zone that are named are those that answer; a host elsewhere is no owner."""
    zones = [{**each, "wildcards": wildcards} for each in NESTED["zones"]]
    settings = Settings.model_validate({**NESTED, "zones": zones})
    writer = Writer(tmp_path)
    publisher = Publisher(mesh_settings(settings), writer)
    for number, (host, address) in enumerate(NESTED_ENTRIES.items()):
        publisher.upsert("east", entry(address or "unix:///run/x", host=host, name=f"e{number}"))
    publisher.publish(ready=True, complete=True, stale=(), now=0.0)
    reports = Reports(settings, writer.read)
    kinds = set()
    for name in questions(NESTED_ENTRIES):
        explanation = reports.explain(name, rtype)
        match, reply, holder = explanation.match, explanation.reply, zone_by_suffix(name)
        kinds.add(match.kind)
        assert (explanation.zone.name if explanation.zone else "") == holder.partition("zones ")[2], name
        if explanation.forwarding is not None:
            assert reply is None, name
            assert explanation.reason, name
            expected = holder.removeprefix("zones ").removeprefix("forward ")
            assert explanation.forwarding.zone == expected, name
            assert "declared, but" not in explanation.reason, name
        if holder.startswith("forward"):
            assert match.kind is MatchKind.OUTSIDE, name
            assert reply is None, name
            assert not explanation.declarations, name
        elif reply is None:
            assert holder == "zones corp.example", name
            assert match.kind in (*WITHOUT_DATA, MatchKind.NONE), name
        elif match.kind in (MatchKind.EXACT, MatchKind.WILDCARD) and rtype == "A":
            address = NESTED_ENTRIES[match.owner]
            assert [record.data for record in reply.records] == ([address] if address else []), name
            assert zone_by_suffix(match.owner) == holder, name
            assert reply.rcode == "NOERROR", name
        assert explanation.reason or (reply is not None and reply.records), name
        if reply is not None and match.kind in (MatchKind.APEX, MatchKind.ZONE, MatchKind.NONE):
            assert "it is declared" not in explanation.reason, name
    assert {*MatchKind} - kinds <= {MatchKind.SYNTHESIZED}
    writer.close()
