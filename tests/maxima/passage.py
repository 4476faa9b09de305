"""The whole way of objects: reading, name table, name database, explanations, every list and the zone output."""

import json
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

import msgspec

from meshdns.cli.commands.zone import master_file, without_provenance
from meshdns.config import Settings
from meshdns.config.translate import mesh_settings
from meshdns.controller.admin.api import LISTS
from meshdns.controller.admin.reports import Reports
from meshdns.controller.admin.search import NameSelection
from meshdns.controller.cluster_summary import ClusterSummary
from meshdns.controller.publisher import Publisher
from meshdns.dns import names
from meshdns.mesh.answer import decode_answer
from meshdns.mesh.explain.text import render_text
from meshdns.mesh.objects.declarations import AnyDeclaration, ObjectKind
from meshdns.mesh.objects.parse import parse_object
from meshdns.namedb.writer import Writer
from tests.maxima.objects import OWN

NOW: Final = 1_800_000_000.0
_SETTINGS: Final = {"zones": [{"name": "global"}], "vantage": {"cluster": OWN}}


class Passage:
    """A mesh on a name database of its own. `turns` holds what each commit took: seconds and candidates."""

    def __init__(self, directory: Path, settings: Settings | None = None) -> None:
        self.settings = settings or Settings.model_validate(_SETTINGS)
        self._writer = Writer(directory / "namedb")
        self.publisher = Publisher(mesh_settings(self.settings), self._writer)
        self.reports = Reports(self.settings, self._writer.read)
        self.turns: list[tuple[float, int]] = []

    def read(self, cluster: str, kind: ObjectKind, obj: object) -> AnyDeclaration | None:
        """Read an object and take it in."""
        declaration = parse_object(kind, obj)
        if declaration is not None:
            self.publisher.upsert(cluster, declaration)
        return declaration

    def publish(self, now: float = NOW) -> None:
        """Commit until nothing is left, each part in a turn of its own."""
        self._turn(now)
        while self.publisher.has_pending_names:
            self._turn(now)
        for name in self.publisher.name_table.inventory.clusters:
            found, passthrough = self.publisher.gateway_summaries(name), self.publisher.passthrough(name)
            summary = ClusterSummary("test", "synced", gateways=found, passthrough=passthrough)
            self.publisher.set_summary(name, summary)
        self._turn(now)

    def _turn(self, now: float) -> None:
        table = self.publisher.name_table
        began, before = time.process_time(), table.judged_candidates
        self.publisher.publish(ready=True, complete=True, stale=(), now=now)
        self.turns.append((time.process_time() - began, table.judged_candidates - before))

    def show(self, asked: Iterable[str] = ()) -> dict[str, int]:
        """Make every list, and explanations of the names `asked` (default: first and last); their sizes in octets."""
        sizes = {}
        for word in LISTS:
            sizes[word] = len(msgspec.json.encode(self.reports.listing(word)))
        known = self.known_names()
        self.reports.search(NameSelection("h", limit=10))
        sizes["explanation"] = max(
            (self._explain(name) for name in (*asked, *known[:1], *known[-1:], "unknown.global")), default=0
        )
        sizes["zone output"] = self._zone_output()
        return sizes

    def known_names(self) -> list[str]:
        """All owner names with a row."""
        with self._writer.read() as tables:
            return [names.to_text(owner) for owner in tables.rows.owners()]

    def problems(self) -> list[dict[str, Any]]:
        """The list of problems as people see it."""
        found: list[dict[str, Any]] = json.loads(msgspec.json.encode(self.reports.listing("problems")))["items"]
        return found

    def row(self, name: str) -> bytes | None:
        """The row of a name."""
        with self._writer.read() as tables:
            return tables.row(names.to_wire(name))

    def _explain(self, name: str) -> int:
        explanation = self.reports.explain(name, "A")
        return len(render_text(explanation)) + len(msgspec.json.encode(explanation))

    def _zone_output(self) -> int:
        with self._writer.read() as tables:
            answers = {
                names.to_text(owner): without_provenance(decode_answer(value))
                for owner, value in tables.provenance.items()
            }
        return sum(
            len(line)
            for zone in self.settings.zones
            for line in master_file(zone, self.settings, answers, serial=1, addresses=("192.0.2.1",))
        )

    def close(self) -> None:
        """Close the name database."""
        self._writer.close()
