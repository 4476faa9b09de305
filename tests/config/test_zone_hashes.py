"""Which changes of the settings keep unknown names of a zone from being denied, and which do not."""

from typing import Any

import pytest

from meshdns.config.model import Settings
from meshdns.config.translate import mesh_settings, served_zones
from meshdns.mesh.zone_hashes import ZoneHashes

BASE: dict[str, Any] = {
    "vantage": {"cluster": "east"},
    "sources": [{"kind": "manifests", "path": "/clusters"}],
    "zones": [{"name": "global"}, {"name": "mesh.example"}],
    "records": [{"name": "a.global", "type": "A", "value": "192.0.2.1"}],
    "forward": [{"zone": ".", "to": ["192.0.2.53"]}],
}


def hashes(**changed: Any) -> dict[str, ZoneHashes]:
    """The hashes of the basic settings with some sections changed."""
    return mesh_settings(Settings.model_validate({**BASE, **changed})).hashes.zones


MEANINGFUL: dict[str, dict[str, Any]] = {
    "vantage": {"vantage": {"cluster": "west"}},
    "network of the vantage": {"vantage": {"cluster": "east", "network": "n"}},
    "default network": {"defaultNetwork": "n"},
    "networks": {"networks": {"n": {"cidrs": ["10.0.0.0/8"]}}},
    "a source": {"sources": [*BASE["sources"], {"kind": "manifests", "path": "/more"}]},
    "another source": {"sources": [{"kind": "manifests", "path": "/more"}]},
    "discovery of a cluster": {"clusters": {"east": {"discover": "none"}}},
    "a required cluster": {"clusters": {"west": {"required": True}}},
    "the system namespace": {"systemNamespace": "mesh"},
}


@pytest.mark.parametrize("case", MEANINGFUL)
def test_what_names_mean_is_in_the_hash_of_every_zone(case: str) -> None:
    """Where names come from, and what they mean from here."""
    before, after = hashes(), hashes(**MEANINGFUL[case])
    assert {name for name in before if before[name].names != after[name].names} == set(before)
    assert {name for name in before if before[name].records != after[name].records} == set()


MEANINGLESS: dict[str, dict[str, Any]] = {
    "the log": {"logLevel": "debug", "logFormat": "json", "queryLog": {"sample": 1.0}},
    "a limit": {"rateLimit": {"perSecond": 5}, "allowQuery": ["any"]},
    "TTLs": {"zones": [{"name": "global", "negativeTtl": 60}, {"name": "mesh.example", "ttl": 5}]},
    "probes": {"probe": {"type": "none"}},
    "an upstream": {"forward": [{"zone": ".", "to": ["192.0.2.54"]}]},
    "a cluster with defaults": {"clusters": {"west": {}}},
    "how long a cluster is kept": {"clusters": {"west": {"maxStale": "1h", "massDeleteHold": "5s"}}},
    "special names": {"specialNames": {"test": False}},
    "the order of zones": {"zones": [{"name": "mesh.example"}, {"name": "global"}]},
}


@pytest.mark.parametrize("case", MEANINGLESS)
def test_a_change_that_no_name_rests_on_changes_no_hash(case: str) -> None:
    """Or each of them would keep names from being denied for a while. A record's hash has its TTL."""
    before, after = hashes(), hashes(**MEANINGLESS[case])
    assert {name: each.names for name, each in after.items()} == {name: each.names for name, each in before.items()}
    if case != "TTLs":
        assert after == before


def test_a_zone_is_for_itself() -> None:
    """A new zone, and options of one, change no hash of another."""
    before = hashes()
    after = hashes(zones=[{"name": "global", "exportTo": "ignore"}, *BASE["zones"][1:], {"name": "new.example"}])
    assert after["mesh.example"] == before["mesh.example"]
    assert after["global"].names != before["global"].names


def test_records_have_a_hash_of_their_own() -> None:
    """A new record, or another value of one, is in the record hash of its zone alone."""
    before = hashes()
    for value in ("192.0.2.1", "192.0.2.2"):
        name = "b.global" if value == "192.0.2.1" else "a.global"
        after = hashes(records=[{"name": name, "type": "A", "value": value}])
        assert after["global"].records != before["global"].records
        assert (after["global"].names, after["mesh.example"]) == (before["global"].names, before["mesh.example"])


def test_where_unknown_names_are_sent_is_known() -> None:
    """To the longest forward zone, of a zone with fallthrough; a forward zone has no hashes."""
    after = hashes(
        zones=[{"name": "a.corp.example", "fallthrough": True}, {"name": "global"}],
        forward=[{"zone": ".", "to": ["192.0.2.53"]}, {"zone": "corp.example", "to": ["192.0.2.54"]}],
        fallback=[{"zone": "cluster.local", "upstream": ["192.0.2.55"]}],
    )
    assert {name: each.upstream for name, each in after.items()} == {
        "a.corp.example": "corp.example",
        "global": "",
        "corp.example": "corp.example",
        "cluster.local": "cluster.local",
    }
    assert after["corp.example"] == ZoneHashes(upstream="corp.example")


def test_workers_know_the_hashes_and_where_the_zone_would_be_forwarded() -> None:
    """Those of the mesh, with the types of static records."""
    (zone, other) = served_zones(Settings.model_validate(BASE))
    assert (zone.hashes, other.hashes) == (hashes()["global"], hashes()["mesh.example"])
    assert (zone.route, zone.records, other.records) == (".", ((b"\x01a\x06global\0", 1),), ())


def test_a_zone_inside_another_takes_names_from_it() -> None:
    """And gives them back when it goes; so does a forward zone."""
    before = hashes(zones=[{"name": "global"}])
    nested = hashes(zones=[{"name": "global"}, {"name": "eu.global"}])
    forward = hashes(zones=[{"name": "global"}], forward=[{"zone": "eu.global", "to": ["192.0.2.54"]}])
    assert len({found["global"].names for found in (before, nested, forward)}) == 2
    assert before["global"].names != nested["global"].names == forward["global"].names
