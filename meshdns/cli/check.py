"""``meshdns check``: what is wrong with settings and manifests, before they are served."""

import sys
from collections.abc import Iterator
from pathlib import Path

import click

from meshdns.cli import exits
from meshdns.cli.options import refuse
from meshdns.config import Settings, SettingsError, read
from meshdns.config.sources import Manifests
from meshdns.controller import offline
from meshdns.controller.settings import mesh_settings
from meshdns.controller.watches import watches
from meshdns.dns.presentation import printable
from meshdns.mesh.consequences import Found
from meshdns.mesh.problems import NORMAL, Problem


@click.command("check")
@click.argument("paths", nargs=-1, metavar="[SETTINGS.yaml | CLUSTERS/]...")
@click.option("--nodes", type=click.IntRange(1), metavar="N", help="Say how many watches so many instances open.")
@click.option("--all", "everything", is_flag=True, help="List hosts outside the zones and not public ones, too.")
def command(paths: tuple[str, ...], nodes: int | None, everything: bool) -> None:  # noqa: FBT001 — a flag
    """Check settings files and folders of clusters (<folder>/<cluster>/*.yaml).

    Exit codes: 0 clean, 2 wrong usage, 65 wrong settings, 79 problems found.

    Examples:

      meshdns check meshdns.yaml

      meshdns check ./clusters

      meshdns check --all zones/online-boutique/meshdns.yaml

      meshdns check --nodes 500 meshdns.yaml
    """
    found = 0
    quiet = 0
    for path in paths or ("meshdns.yaml",):
        for line in _watches(Path(path), nodes) if nodes else ():
            click.echo(line)
        for cluster, problem in sorted(_problems(Path(path)), key=_place):
            if problem.kind in NORMAL and not everything:
                quiet += 1
                continue
            found += 1
            click.echo(printable(f"{problem.where or cluster}: {_line(problem)}"))
    if quiet:
        click.echo(f"{quiet} are outside the zones or not public (normal; list them with --all)", err=True)
    click.echo(f"{found} problems" if found != 1 else "1 problem", err=True)
    sys.exit(exits.FINDINGS if found else 0)


def _watches(path: Path, nodes: int) -> Iterator[str]:
    """What each API server bears of `nodes` instances."""
    for server, count in watches(_settings(path)):
        yield f"{path}: {server}: {count} watches x {nodes} nodes = {count * nodes}"


def _settings(path: Path) -> Settings:
    """The settings in a file, or the default ones for a folder; ends the program where they are wrong."""
    if path.is_dir():
        return Settings()
    try:
        return read(path, str(Path.home()))
    except SettingsError as error:
        refuse(error)


def _problems(path: Path) -> list[Found]:
    """Problems of a settings file with the folders it names, or of a folder under default settings."""
    settings = _settings(path)
    folders = [path] if path.is_dir() else [Path(each.path) for each in settings.sources if isinstance(each, Manifests)]
    return offline.problems(offline.read_folders(folders), mesh_settings(settings))


def _place(found: Found) -> tuple[str, int]:
    """File and line, in which order problems are read best."""
    cluster, problem = found
    file, _, line = problem.where.rpartition(":")
    return (file, int(line)) if line.isdigit() else (problem.where or cluster, 0)


def _line(problem: Problem) -> str:
    named = "/".join(filter(None, (problem.namespace, problem.name)))
    advice = f"; {problem.advice}" if problem.advice else ""
    field = f"{problem.field}: " if problem.field else ""
    return f"{problem.object} {named}: {field}{problem.reason}{advice}"
