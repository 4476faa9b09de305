"""What the settings must fulfil together, once each value is right by itself."""

from collections.abc import Callable, Hashable, Iterator, Sequence
from typing import TypeVar

from meshdns.config.model import Settings
from meshdns.config.sources import InCluster, Kubeconfig, Source
from meshdns.config.values import host_port, is_path
from meshdns.dns.names import within
from meshdns.forwarding.addresses import Address, reaches, upstream

Path = tuple[str | int, ...]
Conflict = tuple[Path, str]
"""Where, and what is wrong with it."""

T = TypeVar("T")


def conflicts(settings: Settings) -> Iterator[Conflict]:
    """Everything in `settings` that contradicts something else in it."""
    yield from _repeated("zones", settings.zones, lambda zone: zone.name, "name")
    yield from _nested_zones(settings)
    yield from _repeated("forward", settings.forward, lambda forward: forward.zone, "zone")
    yield from _repeated("fallback", settings.fallback, lambda fallback: fallback.zone, "zone")
    yield from _claimed(settings)
    yield from _own_addresses(settings)
    yield from _homeless_records(settings)
    yield from _unknown_zones(settings)
    yield from _repeated_clusters(settings)
    yield from _repeated_labels(settings)


def _repeated(section: str, items: Sequence[T], key: Callable[[T], Hashable], field: str) -> Iterator[Conflict]:
    seen: set[Hashable] = set()
    for index, item in enumerate(items):
        if key(item) in seen:
            yield (section, index, field), f"{key(item)!r} occurs twice; join the two"
        seen.add(key(item))


def _nested_zones(settings: Settings) -> Iterator[Conflict]:
    """A zone inside another would need a delegation, which an answer out of one view does not have."""
    for index, zone in enumerate(settings.zones):
        for other in settings.zones:
            if zone.name != other.name and within(zone.name, other.name):
                yield ("zones", index, "name"), f"{zone.name!r} lies inside the zone {other.name!r}; remove one of them"


def _claimed(settings: Settings) -> Iterator[Conflict]:
    """A name is answered from the mesh, or after an upstream, or forwarded: never two of them."""
    claims = [("forward", index, item.zone) for index, item in enumerate(settings.forward)]
    claims += [("fallback", index, item.zone) for index, item in enumerate(settings.fallback)]
    for section, index, name in claims:
        for zone in settings.zones:
            if within(name, zone.name):
                message = f"{name!r} lies inside the zone {zone.name!r}, which the mesh answers; remove one of them"
                yield (section, index, "zone"), message


def _own_addresses(settings: Settings) -> Iterator[Conflict]:
    """Forwarding to oneself is a loop. In files such servers are passed over: the host's resolver may well be us."""
    listeners = [Address(*host_port(text)) for text in settings.listen]
    lists = [("forward", index, "to", item.to) for index, item in enumerate(settings.forward)]
    lists += [("fallback", index, "upstream", item.upstream) for index, item in enumerate(settings.fallback)]
    for section, index, field, items in lists:
        for place, item in enumerate(items):
            if not is_path(item) and any(reaches(listener, upstream(item)) for listener in listeners):
                message = f"{item!r} is listened on by this server, which would ask itself; name another server"
                yield (section, index, field, place), message


def _homeless_records(settings: Settings) -> Iterator[Conflict]:
    for index, record in enumerate(settings.records):
        if not any(within(record.name, zone.name) for zone in settings.zones):
            yield ("records", index, "name"), f"{record.name!r} is in none of the zones; add its zone to zones"


def _unknown_zones(settings: Settings) -> Iterator[Conflict]:
    known = {zone.name for zone in settings.zones}
    for name, cluster in settings.clusters.items():
        for index, zone in enumerate(cluster.zones or ()):
            if zone not in known:
                yield (
                    ("clusters", name, "zones", index),
                    f"{zone!r} is not configured; add it to zones, or remove it here",
                )


def _named(source: Source) -> Iterator[tuple[Path, str]]:
    """The clusters that a source names by itself, with the place of each name inside the source."""
    if isinstance(source, InCluster):
        yield ("cluster",), source.cluster
    if isinstance(source, Kubeconfig):
        for index, context in enumerate(source.contexts):
            yield ("contexts", index), context


def _repeated_clusters(settings: Settings) -> Iterator[Conflict]:
    seen: set[str] = set()
    for index, source in enumerate(settings.sources):
        for place, name in _named(source):
            if name in seen:
                yield ("sources", index, *place), f"the cluster {name!r} has another source already; remove one of them"
            seen.add(name)


def _repeated_labels(settings: Settings) -> Iterator[Conflict]:
    seen: dict[str, str] = {}
    for name, cluster in settings.clusters.items():
        label = cluster.dns_name or name.lower()
        if label in seen:
            place = ("clusters", name, "dnsName") if cluster.dns_name else ("clusters", name)
            yield place, f"{label!r} is also the label of the cluster {seen[label]!r}; set another dnsName"
        seen.setdefault(label, name)
