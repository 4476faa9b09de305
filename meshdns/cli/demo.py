"""``meshdns demo``: the main job on an embedded folder of clusters."""

import logging
import sys
import tempfile
from pathlib import Path
from typing import Final

import click

from meshdns.cli.options import refuse, with_upstreams
from meshdns.cli.serve import run
from meshdns.config import Overrides, Settings, SettingsError, overlay, read
from meshdns.config.model import Http

_SITUATION: Final = "online-boutique"
_NAMES: Final = (
    ("frontend.default.global", "runs in cluster2: the address of its gateway"),
    ("checkoutservice.default.global", "runs here, in cluster1: the Service's own address"),
    ("frontend.default.global AAAA", "the name exists, the type does not: NODATA with SOA"),
    ("nosuch.default.global", "nobody declares it: NXDOMAIN with SOA"),
)


@click.command("demo")
@click.option("--listen", type=str, default="127.0.0.1:1053", show_default=True, metavar="ADDRESS:PORT")
@click.option("--http", type=str, default="127.0.0.1:9153", show_default=True, metavar="ADDRESS:PORT")
@click.option("--cluster", type=str, default="cluster1", show_default=True, help="Stand in cluster1 or cluster2.")
def command(listen: str, http: str, cluster: str) -> None:
    """Serve Online Boutique, spread over two clusters, without a Kubernetes in sight. Ctrl-C ends it."""
    logging.basicConfig(level="WARNING", format="%(levelname)s %(name)s %(message)s")
    with tempfile.TemporaryDirectory(prefix="meshdns-demo-") as state:
        settings = _settings(listen, http, cluster, state)
        status = run(settings, reread=lambda: settings, serving=lambda: _introduce(listen, cluster))
    click.echo("\nended")
    sys.exit(status)


def situation(name: str) -> Path:
    """The folder of an embedded situation: in the installed package, or in the checkout it runs from."""
    package = Path(__file__).parent.parent
    return next(
        (folder for root in (package, package.parent) if (folder := root / "zones" / name).is_dir()),
        package / "zones" / name,
    )


def _settings(listen: str, http: str, cluster: str, state: str) -> Settings:
    try:
        settings = read(situation(_SITUATION) / "meshdns.yaml", state)
        settings = settings.model_copy(update={"http": Http(listen=http), "lameduck": 0.0})
        return with_upstreams(
            overlay(settings, Overrides(listen=(listen,), cluster=cluster, state_dir=state, workers=1))
        )
    except SettingsError as error:
        refuse(error)


def _introduce(listen: str, cluster: str) -> None:
    host, _, port = listen.rpartition(":")
    click.echo(f"meshdns answers on {listen} (udp and tcp), as seen from {cluster}. Try in another terminal:\n")
    for name, meaning in _NAMES:
        click.echo(f"  dig @{host.strip('[]')} -p {port} {name:<32} # {meaning}")
    click.echo(f"\nThe clusters are manifests in {situation(_SITUATION) / 'clusters'}.")
    click.echo("Ctrl-C ends it.")
