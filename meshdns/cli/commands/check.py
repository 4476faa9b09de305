"""``meshdns check``: problems of settings and manifests before they are served, and the number of watches."""

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import click

from meshdns.cli import exit_codes
from meshdns.cli.checked_names import unknown_in_settings
from meshdns.cli.checked_sources import problems_of_kubeconfigs
from meshdns.cli.options import exit_with_settings_error
from meshdns.cli.printing import print_line
from meshdns.config import Overrides, SettingsError, place_of, read_settings_file
from meshdns.config.model import Settings, VantageSection
from meshdns.config.named_files import named_files
from meshdns.config.sections import InClusterSection, KubeconfigSection, ManifestsSection, RemoteSecretsSection
from meshdns.config.translate import mesh_settings
from meshdns.controller import offline
from meshdns.mesh.diagnostics import ClusterProblem
from meshdns.mesh.objects.foreign import counted
from meshdns.mesh.objects.problems import Problem, Severity
from meshdns.sources.folder.source import FolderContents
from meshdns.sources.kube.resources import resources_to_watch
from meshdns.upstream.file_forms import own_addresses, read_named_file


@click.command("check")
@click.argument("paths", nargs=-1, metavar="[SETTINGS.yaml | CLUSTERS/]...")
@click.option("--nodes", type=click.IntRange(1), metavar="N", help="Say how many watches so many instances open.")
@click.option("--all", "everything", is_flag=True, help="List hosts outside the zones and not public ones, too.")
def command(paths: tuple[str, ...], nodes: int | None, everything: bool) -> None:  # noqa: FBT001 — a flag
    """Check settings files and folders of clusters (<folder>/<cluster>/**/*.yaml).

    Kubeconfigs that settings name are read, and no API server is asked. Files that settings name for upstream servers
    are looked at, too. What is wrong with these is said on standard error and is no problem that counts: the server may
    run on another machine.

    Exit codes: 0 clean, 2 wrong usage, 65 wrong settings, 79 problems found.

    Examples:

      meshdns check meshdns.yaml

      meshdns check ./clusters

      meshdns check --all zones/online-boutique/meshdns.yaml

      meshdns check --nodes 500 meshdns.yaml
    """
    found = 0
    quiet = 0
    if "" in paths:
        raise click.UsageError("'' is no path; name a settings file or a folder of clusters")
    for path in paths or ("meshdns.yaml",):
        for line in _file_warnings(Path(path)):
            print_line(line, err=True)
        for line in _watch_lines(Path(path), nodes) if nodes else ():
            print_line(line)
        for cluster, problem in sorted(_problems(Path(path)), key=_sort_key):
            if problem.severity is Severity.EXPECTED and not everything:
                quiet += 1
                continue
            found += 1
            print_line(f"{problem.where or cluster}: {_line(problem)}")
    if quiet:
        what = f"{counted(quiet, 'is', 'are')} outside the zones, not public or skipped"
        print_line(f"{what} (normal; list them with --all)", err=True)
    print_line(counted(found, "problem"), err=True)
    sys.exit(exit_codes.PROBLEMS_FOUND if found else 0)


def _watch_lines(path: Path, nodes: int) -> Iterator[str]:
    """Return the number of watches of `nodes` instances at each API server."""
    for server, count in watch_counts(_settings(path)):
        yield f"{path}: {server}: {counted(count, 'watch', 'watches')} x {counted(nodes, 'node')} = {count * nodes}"


def _settings(path: Path) -> Settings:
    """The settings in a file, or the default ones for a folder; ends the program where they are wrong."""
    if path.is_dir():
        return Settings()
    try:
        return read_settings_file(path, str(Path.home()))
    except SettingsError as error:
        exit_with_settings_error(error)


def _file_warnings(path: Path) -> Iterator[str]:
    """Return what is wrong here with the files that a settings file names; the server may see others."""
    settings = _settings(path)
    default = settings.forward == Settings().forward
    for use, key in named_files(settings):
        reading = read_named_file(use, own_addresses(settings))
        if reading.text is None and not (default and key[0] == "forward"):
            place = place_of(key, Overrides(config=str(path)), {})
            yield f"{place}: {use.path}: {reading.reason}"


def _problems(path: Path) -> list[ClusterProblem]:
    """Problems of a settings file with the folders it names, or of a folder under default settings."""
    settings = _settings(path)
    folders = (
        [path]
        if path.is_dir()
        else [Path(each.path) for each in settings.sources if isinstance(each, ManifestsSection)]
    )
    read = offline.read_folders(folders)
    if path.is_dir():
        settings = _from_the_only_cluster(settings, read)
    return [
        *unknown_in_settings(path, settings, read),
        *problems_of_kubeconfigs(path, settings),
        *offline.problems(read, mesh_settings(settings)),
    ]


def _from_the_only_cluster(settings: Settings, read: Sequence[FolderContents]) -> Settings:
    """The settings as seen from the cluster of a folder that holds one: nobody says that its names are for others."""
    clusters = [cluster for folder in read for cluster in folder.clusters]
    vantage = VantageSection(cluster=clusters[0]) if len(clusters) == 1 else settings.vantage
    return settings.model_copy(update={"vantage": vantage})


def _sort_key(found: ClusterProblem) -> tuple[str, int]:
    """Return file and line: problems are shown in their order."""
    cluster, problem = found
    file, _, line = problem.where.rpartition(":")
    return (file, int(line)) if line.isdigit() else (problem.where or cluster, 0)


def _line(problem: Problem) -> str:
    named = "/".join(filter(None, (problem.namespace, problem.name)))
    field = f"{problem.field}: " if problem.field else ""
    return f"{problem.object} {named}: {field}{problem.reason}; {problem.next_step}"


def watch_counts(settings: Settings) -> Iterator[tuple[str, int]]:
    """Return API servers, for people, with the number of watches that one instance opens at each.

    In a DaemonSet the instance of each node opens them all.
    """
    for source in settings.sources:
        match source:
            case InClusterSection():
                yield f"cluster {source.cluster}", _watch_count(settings, source.cluster)
            case KubeconfigSection():
                for name in source.contexts:
                    yield f"cluster {name}", _watch_count(settings, name)
                if not source.contexts:
                    yield f"each cluster of {source.path or 'the kubeconfig'}", _watch_count(settings, "")
            case RemoteSecretsSection():
                namespace = source.namespace or "the pod's namespace"
                yield f"the cluster with the remote secrets of {namespace}, in addition", 1
                yield f"each cluster of the remote secrets of {namespace}", _watch_count(settings, "")


def _watch_count(settings: Settings, cluster: str) -> int:
    known = settings.clusters.get(cluster)
    return len(resources_to_watch(readiness=known is None or known.readiness))
