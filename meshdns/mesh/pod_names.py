"""Names of pods that exist, and those that may: they are looked at again when the slices of their Service change."""

from collections.abc import Iterable, Iterator

from meshdns.mesh.inventory import ClusterObjects, ServiceKey
from meshdns.mesh.settings import MeshSettings, MeshZone
from meshdns.mesh.visibility import parse_derived_pod


class PodNames:
    """The names of pods that have an answer, by their Service."""

    def __init__(self, settings: MeshSettings) -> None:
        self._settings = settings
        self._names: dict[ServiceKey, set[str]] = {}

    def track(self, name: str, zone: MeshZone, *, exists: bool) -> None:
        """Note that a name exists now, or exists no more; it need not be a pod's."""
        pod = parse_derived_pod(name, zone.services_domain)
        if pod is None:
            return
        if exists:
            self._names.setdefault(pod[0], set()).add(name)
        else:
            self._names.get(pod[0], set()).discard(name)

    def names_of_service(self, service: ServiceKey, declaring: Iterable[ClusterObjects]) -> Iterator[str]:
        """Return the derived names of a Service that `declaring` clusters have: its own, its pods' now and before."""
        yield from self._names.get(service, ())
        labels = {
            label
            for cluster in declaring
            if (known := cluster.services.get(service)) is not None and known.headless
            for label in cluster.pods_of(service).labels
        }
        for zone in self._settings.zones:
            if not zone.is_reverse:
                derived = f"{service[1]}.{service[0]}.{zone.services_domain}"
                yield derived
                if not zone.fallback:
                    yield from (f"{label}.{derived}" for label in labels)
