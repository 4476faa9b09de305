"""``meshdns check``: what is wrong with settings and manifests, before they are served."""

import sys
from collections.abc import Iterator
from pathlib import Path

import click

from meshdns.cli.options import refuse
from meshdns.config import Settings, SettingsError, read
from meshdns.config.model import Manifests
from meshdns.controller import offline
from meshdns.controller.publishing import problems_of
from meshdns.controller.settings import mesh_settings
from meshdns.mesh.problems import Problem, ProblemKind

_NORMAL = frozenset({ProblemKind.OUTSIDE_ZONES, ProblemKind.NOT_PUBLIC})
"""Kinds that are counted but alarm nobody: most clusters declare hosts that are not for a mesh DNS."""


@click.command("check")
@click.argument("paths", nargs=-1, metavar="[SETTINGS.yaml | CLUSTERS/]...")
@click.option("--all", "everything", is_flag=True, help="List hosts outside the zones and not public ones, too.")
def command(paths: tuple[str, ...], everything: bool) -> None:  # noqa: FBT001 — a flag of the command line
    """Check settings files and folders of clusters (<folder>/<cluster>/*.yaml).

    Exit codes: 0 clean, 1 problems found, 65 wrong settings.

    Examples:
      meshdns check meshdns.yaml

      meshdns check ./clusters

      meshdns check --all zones/online-boutique/meshdns.yaml
    """
    found = 0
    quiet = 0
    for path in paths or ("meshdns.yaml",):
        for where, problem in _problems(Path(path)):
            if problem.kind in _NORMAL and not everything:
                quiet += 1
                continue
            found += 1
            click.echo(f"{problem.where or where}: {_line(problem)}")
    if quiet:
        click.echo(f"{quiet} hosts are outside the zones or not public (normal; list them with --all)", err=True)
    click.echo(f"{found} problems" if found != 1 else "1 problem", err=True)
    sys.exit(1 if found else 0)


def _problems(path: Path) -> Iterator[tuple[str, Problem]]:
    """Problems of a settings file with the folders it names, or of a folder under default settings."""
    if path.is_dir():
        settings, folders = Settings(), [path]
    else:
        try:
            settings = read(path, str(Path.home()))
        except SettingsError as error:
            refuse(error)
        folders = [Path(source.path) for source in settings.sources if isinstance(source, Manifests)]
    mesh = mesh_settings(settings)
    for folder in offline.read_folders(folders):
        yield from ((str(path), problem) for problem in folder.problems)
        for cluster, declaration in offline.declarations([folder]):
            for problem in problems_of(cluster, declaration, mesh):
                yield cluster, problem


def _line(problem: Problem) -> str:
    named = "/".join(filter(None, (problem.namespace, problem.name)))
    advice = f"; {problem.advice}" if problem.advice else ""
    return f"{problem.object} {named}: {problem.field}: {problem.reason}{advice}"
