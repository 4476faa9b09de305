"""A name database as a stopped server leaves it behind, for the tools to read."""

from collections.abc import Callable, Collection, Iterable
from pathlib import Path

import msgspec

from meshdns.config import Settings, read_settings_file
from meshdns.config.sections import ManifestsSection
from meshdns.config.translate import mesh_settings
from meshdns.controller import offline
from meshdns.controller.cluster_summary import ClusterSummary
from meshdns.controller.publisher import Publisher
from meshdns.mesh.objects.declarations import AnyDeclaration
from meshdns.namedb.location import current_database
from meshdns.namedb.writer import Writer

ZONES = Path(__file__).parents[2] / "zones"
NOW = 1_800_000_000.0
"""The time at which it published, in Unix time."""

Change = Callable[[Publisher], None]


def settings_of(situation: str, state: Path) -> Settings:
    """The settings of a folder of `zones`, with a state directory of their own."""
    settings = read_settings_file(ZONES / situation / "meshdns.yaml", "/")
    admin = settings.admin.model_copy(update={"socket": str(state / "admin.sock")})
    return settings.model_copy(update={"state_dir": str(state), "admin": admin})


def publish(
    settings: Settings,
    *,
    more: Iterable[tuple[str, AnyDeclaration]] = (),
    ready: bool = True,
    complete: bool = True,
    stale: Collection[str] = (),
    gateways: bool = False,
    change: Change = lambda _: None,
) -> Path:
    """Write the name database of these settings, with `more` declarations by cluster; returns its directory.

    With `gateways` the descriptions of the clusters have theirs, as a controller writes them down.
    """
    view = current_database(Path(settings.state_dir or ""))
    writer = Writer(view)
    publisher = Publisher(mesh_settings(settings), writer)
    folders = offline.read_folders(Path(s.path) for s in settings.sources if isinstance(s, ManifestsSection))
    for cluster, declaration in (*offline.declarations(folders), *more):
        publisher.upsert(cluster, declaration)
    change(publisher)
    publisher.publish(ready=ready, complete=complete, stale=stale, now=NOW)
    for name, network in publisher.name_table.topology.networks.items():
        description = ClusterSummary("manifests", "synced", network=network)
        if gateways:
            description = msgspec.structs.replace(
                description,
                gateways=publisher.gateway_summaries(name),
                passthrough=publisher.passthrough(name),
                objects_without_address=publisher.objects_without_address(name),
            )
        publisher.set_summary(name, description)
    publisher.publish(ready=ready, complete=complete, stale=stale, now=NOW)
    writer.close()
    return view
