"""What is denied between a change of the zones and the commit of what they hold: nothing that the new settings have.

Workers serve the zones of the settings in force from the name database of those before. Each pair of settings is tried.
"""

from functools import cache
from itertools import permutations
from typing import Any

import pytest

from meshdns.authority.authority import Authority, Verdict
from meshdns.config import Settings
from meshdns.config.translate import mesh_settings, served_zones
from meshdns.config.zone_hashes import forward_zones
from meshdns.controller.publisher import Publisher
from meshdns.dns import names
from meshdns.dns.codes import TYPE_A
from meshdns.dns.presentation import build_query
from meshdns.dns.query import Query, parse_query
from meshdns.namedb.writer import Writer
from tests.mesh.scene import entry

HOSTS = (
    "a.global",
    "a.eu.global",
    "a.b.eu.global",
    "a.legacy.global",
    "*.wild.legacy.global",
    "a.in.eu.global",
    "*.wild.eu.global",
    "a.deep.x.global",
)
EVERYWHERE = "*.global"
GLOBAL, EU, IN_EU = {"name": "global"}, {"name": "eu.global"}, {"name": "in.eu.global"}
ROOT, LEGACY = {"zone": ".", "to": ["192.0.2.53"]}, {"zone": "legacy.global", "to": ["192.0.2.54"]}
EU_FORWARD = {"zone": "eu.global", "to": ["192.0.2.55"]}
SETTINGS: dict[str, dict[str, Any]] = {
    "alone": {"zones": [GLOBAL]},
    "a zone inside": {"zones": [GLOBAL, EU]},
    "two zones inside": {"zones": [GLOBAL, EU, IN_EU]},
    "a zone far inside": {"zones": [GLOBAL, IN_EU, {"name": "deep.x.global"}]},
    "a forward zone inside": {"zones": [GLOBAL], "forward": [ROOT, LEGACY]},
    "a forward zone in place of a zone": {"zones": [GLOBAL], "forward": [ROOT, EU_FORWARD]},
    "a zone in a forward zone": {"zones": [GLOBAL, IN_EU], "forward": [ROOT, EU_FORWARD]},
    "fallthrough": {"zones": [{**GLOBAL, "fallthrough": True}]},
    "fallthrough inside": {"zones": [GLOBAL, {**EU, "fallthrough": True}], "forward": [ROOT, LEGACY]},
    "fallthrough to another server": {"zones": [GLOBAL, {**EU, "fallthrough": True}], "forward": [ROOT, EU_FORWARD]},
    "fallthrough around": {"zones": [{**GLOBAL, "fallthrough": True}, EU], "forward": [ROOT, LEGACY]},
    "the inner zone alone": {"zones": [EU]},
}
PAIRS = list(permutations(SETTINGS, 2))


@cache
def settings(case: str) -> Settings:
    """The settings of a case."""
    return Settings.model_validate({"vantage": {"cluster": "east"}, "forward": [ROOT], **SETTINGS[case]})


@cache
def authority(case: str) -> Authority:
    """The authority of a worker with these settings."""
    found = settings(case)
    return Authority(list(served_zones(found)), map(names.to_wire, forward_zones(found)))


@pytest.fixture(scope="module")
def databases(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Writer]:
    """A name database for each case, with the wildcard over everything in half of them."""
    found = {}
    for case in SETTINGS:
        for wildcard in (False, True):
            writer = Writer(tmp_path_factory.mktemp("database"))
            publisher = Publisher(mesh_settings(settings(case)), writer)
            for number, host in enumerate((*HOSTS, *([EVERYWHERE] if wildcard else []))):
                publisher.upsert("east", entry(f"203.0.113.{number + 1}", host=host, name=f"e{number}"))
            publisher.publish(ready=True, complete=True, stale=(), now=0.0)
            found[f"{case} {wildcard}"] = writer
    return found


@cache
def questions() -> dict[str, Query]:
    """Hosts, the names above them, and unknown names below all of these, each with its query."""
    known = {host.removeprefix("*.") for host in HOSTS}
    above = {host.split(".", number)[number] for host in known for number in range(host.count(".") + 1)}
    asked = (name for each in sorted(above) for name in (each, f"no.{each}"))
    return {name: query for name in asked if (query := parse_query(build_query(name, TYPE_A))) is not None}


def said(case: str, database: Writer) -> dict[str, str]:
    """What a worker with the settings of a case says with a database: data, a denial, SERVFAIL or forwarded."""
    found = {}
    with database.read() as rows:
        for name, query in questions().items():
            reply = authority(case).respond(query, rows, tcp=False)
            if isinstance(reply, Verdict):
                found[name] = reply.name
                continue
            rcode, has_answer = reply[0][3] & 0x0F, any(reply[0][6:8])
            found[name] = "DATA" if has_answer else {0: "NODATA", 2: "SERVFAIL", 3: "NXDOMAIN"}[rcode]
    return found


@pytest.mark.parametrize("wildcard", [False, True])
@pytest.mark.parametrize(("before", "after"), PAIRS, ids=[f"{one} - {other}" for one, other in PAIRS])
def test_no_change_of_zones_denies_what_the_new_settings_have(
    databases: dict[str, Writer], before: str, after: str, *, wildcard: bool
) -> None:
    """A denial is one by the new settings; what is answered or forwarded was so before, or is from now on."""
    last = said(before, databases[f"{before} {wildcard}"])
    between = said(after, databases[f"{before} {wildcard}"])
    to_be = said(after, databases[f"{after} {wildcard}"])
    for name, told in between.items():
        seen = f"{name}: {last[name]}, {told}, {to_be[name]}"
        if told in ("NXDOMAIN", "NODATA"):
            assert to_be[name] == told, seen
        elif told == "FALL_THROUGH":  # as FORWARD, and what the upstream denies is said to exist
            assert {told, "FORWARD"} & {last[name], to_be[name]}, seen
        elif told != "SERVFAIL":
            assert told in (last[name], to_be[name]), seen
    assert "SERVFAIL" not in to_be.values()
