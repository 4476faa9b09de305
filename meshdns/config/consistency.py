"""Checks of the settings as a whole, once each value is right by itself."""

from collections import Counter
from collections.abc import Callable, Container, Hashable, Iterator, Sequence
from typing import TypeVar

from meshdns.config.document import KeyPath
from meshdns.config.model import Settings
from meshdns.config.sections import InClusterSection, KubeconfigSection, SourceSection
from meshdns.config.values import is_path, split_host_port
from meshdns.dns.names import parents
from meshdns.forwarding.upstreams import Address, is_listening_on, parse_upstream
from meshdns.mesh.answer import MAX_PER_FAMILY
from meshdns.mesh.settings import is_reverse_zone

Conflict = tuple[KeyPath, str]
"""Where, and what is wrong with it."""

T = TypeVar("T")


def conflicts(settings: Settings) -> Iterator[Conflict]:
    """Everything in `settings` that contradicts something else in it."""
    yield from _duplicates("zones", settings.zones, lambda zone: zone.name, "name")
    yield from _duplicates("forward", settings.forward, lambda forward: forward.zone, "zone")
    yield from _duplicates("fallback", settings.fallback, lambda fallback: fallback.zone, "zone")
    yield from _zones_in_two_sections(settings)
    yield from _forwarding_loops(settings)
    yield from _records_outside_zones(settings)
    yield from _surplus_records(settings)
    yield from _records_in_reverse_zones(settings)
    yield from _unknown_zones(settings)
    yield from _duplicate_clusters(settings)
    yield from _duplicate_labels(settings)


def _duplicates(section: str, items: Sequence[T], key: Callable[[T], Hashable], field: str) -> Iterator[Conflict]:
    seen: set[Hashable] = set()
    for index, item in enumerate(items):
        if key(item) in seen:
            yield (section, index, field), f"{key(item)!r} occurs twice; join the two"
        seen.add(key(item))


def _zones_in_two_sections(settings: Settings) -> Iterator[Conflict]:
    """The longest match decides, so a zone may lie inside any other; of two equal ones neither is longer.

    A forward zone with the name of a zone with ``fallthrough`` says where the misses of that zone go.
    """
    fallthrough = {zone.name for zone in settings.zones if zone.fallthrough}
    known = {zone.name: "zones" for zone in settings.zones}
    for index, item in enumerate(settings.fallback):
        if item.zone in known:
            yield ("fallback", index, "zone"), f"{item.zone!r} is in zones, too; remove one of the two"
        known.setdefault(item.zone, "fallback")
    for index, forward in enumerate(settings.forward):
        section = known.get(forward.zone)
        if section is not None and forward.zone not in fallthrough:
            advice = ", or give the zone fallthrough: true" if section == "zones" else ""
            yield ("forward", index, "zone"), f"{forward.zone!r} is in {section}, too; remove one of the two{advice}"


def _in_zones(name: str, zones: Container[str]) -> Iterator[str]:
    """The zones that a name is in, the longest first."""
    return (each for each in (name, *parents(name)) if each in zones)


def _forwarding_loops(settings: Settings) -> Iterator[Conflict]:
    """Forwarding to oneself is a loop. In files such servers are passed over: the host's resolver may well be us."""
    listeners = [Address(*split_host_port(text)) for text in settings.listen]
    lists = [("forward", index, "to", item.to) for index, item in enumerate(settings.forward)]
    lists += [("fallback", index, "upstream", item.upstream) for index, item in enumerate(settings.fallback)]
    for section, index, field, items in lists:
        for place, item in enumerate(items):
            if not is_path(item) and any(is_listening_on(listener, parse_upstream(item)) for listener in listeners):
                message = f"{item!r} is listened on by this server, which would ask itself; name another server"
                yield (section, index, field, place), message


def _records_outside_zones(settings: Settings) -> Iterator[Conflict]:
    zones = {zone.name for zone in settings.zones}
    others = {each.zone: "forward" for each in settings.forward} | {each.zone: "fallback" for each in settings.fallback}
    for index, record in enumerate(settings.records):
        inner = next(_in_zones(record.name, zones | others.keys()), None)
        if inner not in zones:
            message = f"{record.name!r} is in none of the zones; add its zone to zones"
            if inner is not None and any(_in_zones(record.name, zones)):
                message = f"{record.name!r} lies in the {others[inner]} zone {inner!r}; remove one of the two"
            yield ("records", index, "name"), message


def _surplus_records(settings: Settings) -> Iterator[Conflict]:
    """An answer has no more addresses of a family: further ones would never be served."""
    seen: Counter[tuple[str, str]] = Counter()
    for index, record in enumerate(settings.records):
        if record.type not in ("A", "AAAA"):
            continue
        seen[record.name, record.type] += 1
        if seen[record.name, record.type] > MAX_PER_FAMILY:
            message = f"{record.name!r} has more than {MAX_PER_FAMILY} {record.type} records; remove this one"
            yield ("records", index, "value"), message


def _records_in_reverse_zones(settings: Settings) -> Iterator[Conflict]:
    """Only PTR records live in a reverse zone."""
    known = {zone.name for zone in settings.zones}
    for index, record in enumerate(settings.records):
        zone = next(_in_zones(record.name, known), None)
        if zone is not None and is_reverse_zone(zone) and record.type != "PTR":
            message = f"{zone!r} is a reverse zone, which holds PTR records alone; name the host in another zone"
            yield ("records", index, "type"), message


def _unknown_zones(settings: Settings) -> Iterator[Conflict]:
    known = {zone.name for zone in settings.zones}
    for name, cluster in settings.clusters.items():
        for index, zone in enumerate(cluster.zones or ()):
            if zone not in known:
                yield (
                    ("clusters", name, "zones", index),
                    f"{zone!r} is not configured; add it to zones, or remove it here",
                )


def _clusters_named_by(source: SourceSection) -> Iterator[tuple[KeyPath, str]]:
    """The clusters that a source names by itself, with the place of each name inside the source."""
    if isinstance(source, InClusterSection):
        yield ("cluster",), source.cluster
    if isinstance(source, KubeconfigSection):
        for index, context in enumerate(source.contexts):
            yield ("contexts", index), context


def _duplicate_clusters(settings: Settings) -> Iterator[Conflict]:
    seen: set[str] = set()
    for index, source in enumerate(settings.sources):
        for place, name in _clusters_named_by(source):
            if name in seen:
                yield ("sources", index, *place), f"the cluster {name!r} has another source already; remove one of them"
            seen.add(name)


def _duplicate_labels(settings: Settings) -> Iterator[Conflict]:
    seen: dict[str, str] = {}
    for name, cluster in settings.clusters.items():
        label = cluster.dns_name or name.lower()
        if label in seen:
            place = ("clusters", name, "dnsName") if cluster.dns_name else ("clusters", name)
            yield place, f"{label!r} is also the label of the cluster {seen[label]!r}; set another dnsName"
        seen.setdefault(label, name)
