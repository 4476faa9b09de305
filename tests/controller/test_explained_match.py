"""How explain says that a name is found, against what the authority answers: two orders of cases, one outcome."""

from collections.abc import Iterator
from pathlib import Path

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
WITHOUT_DATA = (MatchKind.APEX, MatchKind.ZONE, MatchKind.EMPTY_NON_TERMINAL)


def prefixed(names: Iterator[str]) -> Iterator[str]:
    """Names, and those that a label or two more make of them."""
    for name in names:
        yield name
        for label in ("x", "ns", "east", "_tcp", "_http._tcp", "x.y", "corp", "shop"):
            yield f"{label}.{name}"


def questions() -> list[str]:
    """Every owner name, its ancestors, and names below both."""
    owners = [owner.removeprefix("*.") for owner in ENTRIES]
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
