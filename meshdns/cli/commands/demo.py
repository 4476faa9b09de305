"""``meshdns demo``: the main job on an embedded folder of clusters."""

import sys
import tempfile
from pathlib import Path
from typing import Final

import click
from pydantic import ValidationError

from meshdns.cli.commands.serve import run
from meshdns.cli.options import exit_with_settings_error
from meshdns.cli.printing import print_line, print_lines
from meshdns.config import Overrides, Settings, SettingsError, SettingsReader, apply_overrides, read_settings_file
from meshdns.config.model import AdminSection, HttpSection
from meshdns.instance import logs

_EXAMPLE: Final = "online-boutique"
_CLUSTERS: Final = ("cluster1", "cluster2")
"""Those of the example."""

_NAMES: Final = (
    ("frontend.default.global", "runs in cluster2: the address of its gateway"),
    ("checkoutservice.default.global", "runs here, in cluster1: the Service's own address"),
    ("frontend.default.global AAAA", "the name exists, the type does not: NODATA with SOA"),
    ("nosuch.default.global", "nobody declares it: NXDOMAIN with SOA"),
)


@click.command("demo")
@click.option("--listen", type=str, default="127.0.0.1:1053", show_default=True, metavar="ADDRESS:PORT")
@click.option("--http", type=str, default="127.0.0.1:9153", show_default=True, metavar="ADDRESS:PORT")
@click.option("--page", type=str, default="127.0.0.1:8053", show_default=True, metavar="ADDRESS:PORT")
@click.option(
    "--cluster", type=click.Choice(_CLUSTERS), default=_CLUSTERS[0], show_default=True, help="The cluster to stand in."
)
def command(listen: str, http: str, page: str, cluster: str) -> None:
    """Serve Online Boutique, spread over two clusters, without a Kubernetes in sight. Ctrl-C ends it.

    Exit codes: 0 ended, 1 an address is taken, 2 wrong usage, 65 wrong settings.

    Examples:

      meshdns demo

      meshdns demo --cluster cluster2

      meshdns demo --listen 127.0.0.1:5353 --page 127.0.0.1:8080
    """
    logs.configure_logging("warning", "text", process="supervisor")
    with tempfile.TemporaryDirectory(prefix="meshdns-demo-") as state:
        settings = _settings(listen, http, page, cluster, state)
        status = run(
            settings,
            SettingsReader(lambda: settings),
            on_serving=lambda: _print_introduction(listen, page, cluster, state),
        )
    print_lines("\nended")
    sys.exit(status)


def example_folder(name: str) -> Path:
    """The folder of an embedded situation: in the installed package, or in the checkout it runs from."""
    package = Path(__file__).parents[2]
    return next(
        (folder for root in (package, package.parent) if (folder := root / "zones" / name).is_dir()),
        package / "zones" / name,
    )


def _settings(listen: str, http: str, page: str, cluster: str, state: str) -> Settings:
    try:
        settings = read_settings_file(example_folder(_EXAMPLE) / "meshdns.yaml", state)
        admin = AdminSection(socket=str(Path(state, "admin.sock")), listen=page)
        settings = settings.model_copy(update={"http": HttpSection(listen=http), "admin": admin, "lameduck": 0.0})
        return apply_overrides(settings, Overrides(listen=(listen,), cluster=cluster, state_dir=state, workers=1))
    except ValidationError as error:
        raise click.UsageError(error.errors()[0]["msg"].removeprefix("Value error, ")) from None
    except SettingsError as error:
        exit_with_settings_error(error)


def _print_introduction(listen: str, page: str, cluster: str, state: str) -> None:
    host, _, port = listen.rpartition(":")
    print_lines(f"meshdns answers on {listen} (udp and tcp), as seen from {cluster}. Try in another terminal:\n")
    for name, meaning in _NAMES:
        print_line(f"  dig @{host.strip('[]')} -p {port} {name:<32} # {meaning}")
    print_line(f"  meshdns explain --state-dir {state} frontend.default.global")
    print_lines(f"\nThe clusters are manifests in {example_folder(_EXAMPLE) / 'clusters'}.")
    print_line(f"The page about all of it: http://{page}")
    print_line("Ctrl-C ends it.")
