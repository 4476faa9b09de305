"""How many names and problems there are, kept up to date commit by commit instead of being counted for each scrape."""

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Final

import msgspec

from meshdns.mesh.answer import Answer
from meshdns.mesh.settings import MeshSettings

_OUTSIDE: Final = ""


class _Kind(msgspec.Struct, frozen=True):
    """As much of a problem as is counted."""

    kind: str


_Problems = tuple[tuple[str, str], ...]


class Census:
    """`names` counts by zone and cluster, `problems` by cluster and kind."""

    def __init__(self, settings: MeshSettings) -> None:
        self.names: Counter[tuple[str, str]] = Counter()
        self.problems: Counter[tuple[str, str]] = Counter()
        self._settings = settings
        self._clusters: dict[str, tuple[str, ...]] = {}  # by name, those that its answer rests on
        self._shared: dict[tuple[str, ...], tuple[str, ...]] = {}  # few sets of clusters serve many names
        self._kept: dict[bytes, _Problems] = {}

    def note(self, name: str, answer: Answer | None) -> None:
        """A name has this answer from now on; None where it exists no more."""
        zone = self._zone(name)
        for cluster in self._clusters.pop(name, ()):
            self.names[zone, cluster] -= 1
        if answer is None or not (answer.considered or answer.records):
            return
        clusters = self._shared.setdefault(answer.clusters, answer.clusters)
        self._clusters[name] = clusters
        for cluster in clusters:
            self.names[zone, cluster] += 1

    def note_problems(self, changes: Mapping[bytes, bytes | None] | Iterable[tuple[bytes, bytes]]) -> None:
        """What the view holds of problems changed, by their keys in it."""
        for key, value in dict(changes).items():
            for each in self._kept.pop(key, ()):
                self.problems[each] -= 1
            if value is not None:
                cluster = key.partition(b"\0")[0].decode()
                found = tuple((cluster, each.kind) for each in msgspec.json.decode(value, type=list[_Kind]))
                self._kept[key] = found
                for each in found:
                    self.problems[each] += 1

    def _zone(self, name: str) -> str:
        zone = self._settings.zone_of(name.removeprefix("*."))
        return f"{zone.name}." if zone is not None else _OUTSIDE
