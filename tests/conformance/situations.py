"""The situations under zones/ as running servers: meshdns as their settings say, NSD with what meshdns prints."""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import dns.name
import dns.zone
import yaml

from tests.conformance.authorities import MinimalNsd, printed_zone
from tests.conformance.zone_questions import Scene
from tests.e2e.instance import Instance
from tests.rig.waiting import eventually

FOLDER: Final = Path(__file__).parents[2] / "zones"


def views() -> list[tuple[str, str]]:
    """Every situation with each vantage or settings file that it has a master file for.

    But for those with ``fallthrough``: their master files hold a part of the zone.
    """
    found = sorted((golden.parent.name, golden.stem) for golden in FOLDER.glob("*/*.zone"))
    return [each for each in found if not any(zone.get("fallthrough") for zone in settings_of(*each).get("zones", ()))]


def settings_of(situation: str, view: str) -> dict[str, Any]:
    """The settings, with the folder of clusters where it is and the vantage that the master file's name says.

    Without forward zones, which no master file can express.
    """
    own = FOLDER / situation / f"{view}.yaml"
    file = own if own.exists() else FOLDER / situation / "meshdns.yaml"
    found: dict[str, Any] = yaml.safe_load(file.read_text("utf-8"))
    found.pop("forward", None)
    found["sources"] = [{"kind": "manifests", "path": str(FOLDER / situation / "clusters")}]
    if file != own:
        found["vantage"] = {} if view == "outside" else {"cluster": view}
    return found


def _wait_for_clusters(ours: Instance, zone: str) -> None:
    """Wait until every cluster is read: till then unknown names are SERVFAIL, those under a wildcard included."""
    eventually(
        lambda: ours.ask(f"nosuch.nosuch.{zone}").status != "SERVFAIL",
        what=f"the clusters are read for {zone}",
        within=60,
    )


@contextlib.contextmanager
def scene(situation: str, view: str) -> Iterator[Scene]:
    """Both servers for one situation from one vantage."""
    settings = settings_of(situation, view)
    zones = settings.get("zones") or [{"name": "global"}]
    with Instance(settings) as ours:
        for zone in zones:
            _wait_for_clusters(ours, zone["name"])
        printed = {zone["name"]: printed_zone(ours, zone["name"]) for zone in zones}
        with MinimalNsd(printed) as golden:
            running = Scene(
                ours,
                golden,
                {name: dns.zone.from_text(text, f"{name}.", relativize=False) for name, text in printed.items()},
                clusters=frozenset(path.name.encode() for path in (FOLDER / situation / "clusters").iterdir()),
                declared=frozenset(_declared(situation, list(printed))),
                fallback=tuple(dns.name.from_text(each["zone"]) for each in settings.get("fallback", [])),
                istio=any(zone.get("wildcards", "istio") == "istio" for zone in zones),
            )
            try:
                eventually(running.settled, what="what is printed is answered", within=60)
                yield running
            finally:
                running.close()


def _declared(situation: str, zones: list[str]) -> Iterator[dns.name.Name]:
    """The names that the manifests of a situation speak of: hosts of ServiceEntries, Services in each zone."""
    for file in sorted((FOLDER / situation / "clusters").glob("*/*.yaml")):
        with contextlib.suppress(yaml.YAMLError):  # one situation is about such files
            for document in yaml.safe_load_all(file.read_text("utf-8")):
                for item in (document or {}).get("items", [document or {}]):
                    yield from _names(item, zones)


def _names(item: dict[str, Any], zones: list[str]) -> Iterator[dns.name.Name]:
    metadata = item.get("metadata") or {}
    hosts = (item.get("spec") or {}).get("hosts") if isinstance(item.get("spec"), dict) else None
    texts = [host for host in hosts if isinstance(host, str)] if isinstance(hosts, list) else []
    if item.get("kind") == "Service":
        texts += [f"{metadata.get('name')}.{metadata.get('namespace', 'default')}.{zone}" for zone in zones]
    for text in texts:
        with contextlib.suppress(dns.name.LabelTooLong, dns.name.NameTooLong, dns.name.EmptyLabel, UnicodeError):
            yield dns.name.from_text(text.lower())
