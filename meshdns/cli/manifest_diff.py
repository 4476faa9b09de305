"""``meshdns diff --with``: the answers and problems that manifests would change before they are applied."""

import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final, NoReturn

import click

from meshdns.cli import exit_codes
from meshdns.cli.client import is_intact
from meshdns.cli.output import format_table, format_value, join_cell
from meshdns.cli.printing import print_document, print_line
from meshdns.config import Settings
from meshdns.config.sections import ManifestsSection
from meshdns.config.translate import mesh_settings
from meshdns.controller import offline
from meshdns.controller.what_if import DENIED, FORWARDED, OUTSIDE, Change, ManifestDifference, Mesh, compare
from meshdns.mesh.objects.declarations import AnyDeclaration, key_of
from meshdns.mesh.objects.foreign import describe_error, listed
from meshdns.namedb.database import NameDatabase, NameDatabaseError
from meshdns.namedb.location import current_database, is_present
from meshdns.namedb.tables import decode_declaration, read_tables
from meshdns.sources.folder.files import FILE_LIMIT, FileContent, merge_files, parse_content, read_file

_STANDARD_INPUT: Final = "-"
_SUFFIXES: Final = (".yaml", ".yml", ".json")
_NOTHING_TO_READ: Final = (
    "name the settings with --config: folders of manifests (sources), or the state directory of a server"
)


def run(
    applied: Sequence[str],
    deleted: Sequence[str],
    into: str | None,
    vantages: Sequence[str],
    form: str,
    settings: Settings,
) -> NoReturn:
    """Compare, print, and end the program: 1 if anything changes, else 0."""
    made, removed = _read_all(applied), _read_all(deleted)
    mesh, text = _read_mesh(settings)
    print_line(text, err=True)
    cluster = _cluster_of_change(into, sorted(mesh.clusters))
    change = Change(cluster, made, {key_of(each) for each in removed}, _now())
    known = (*sorted(mesh.clusters), OUTSIDE)
    for vantage in vantages:
        if vantage not in known:
            raise click.UsageError(f"--vantage {vantage}: there is no such cluster; there are: {', '.join(known)}")
    found = compare(mesh, change, mesh_settings(settings), vantages or known)
    _print(found, form)
    sys.exit(exit_codes.FAILED if found.answers or found.problems else 0)


def _now() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())


def _cluster_of_change(into: str | None, known: Sequence[str]) -> str:
    if into is None and len(known) == 1:
        return known[0]
    if into is None:
        raise click.UsageError(f"name the cluster of the manifests with --in; there are: {', '.join(known) or 'none'}")
    if into not in known:
        raise click.UsageError(f"--in {into}: there is no such cluster; there are: {', '.join(known) or 'none'}")
    return into


# ---------------------------------------------------------------------------------------------- manifests


def _read_all(names: Sequence[str]) -> list[AnyDeclaration]:
    """The declarations of manifests; ends the program where one cannot be read, or holds nothing that is read."""
    files: dict[str, FileContent] = {}
    for rank, name in enumerate(names):
        for path in _files(name):
            content = _read(name, path)
            for problem in content.problems:
                print_line(f"{problem.where}: {problem.reason}; {problem.next_step}", err=True)
            if content.problems:
                sys.exit(exit_codes.WRONG_SETTINGS)
            files[f"{rank:06d} {path}"] = content
    if names and not any(content.declarations for content in files.values()):
        print_line(f"{listed(names)}: no object of a kind that meshdns reads; name others", err=True)
        sys.exit(exit_codes.WRONG_SETTINGS)
    return list(merge_files(files).values())


def _files(name: str) -> Iterator[Path]:
    """The files that an argument means: itself, or all manifests in a folder and below it."""
    path = Path(name)
    if name == _STANDARD_INPUT or not path.is_dir():
        yield path
        return
    for found in sorted(path.rglob("*")):
        hidden = any(part.startswith(".") for part in found.relative_to(path).parts)
        if found.suffix.lower() in _SUFFIXES and found.is_file() and not hidden:
            yield found


def _read(name: str, path: Path) -> FileContent:
    if name == _STANDARD_INPUT:
        content = sys.stdin.buffer.read(FILE_LIMIT + 1)
        if len(content) > FILE_LIMIT:
            raise click.UsageError(f"standard input has more than {FILE_LIMIT >> 20} MiB; name fewer objects")
        return parse_content(Path("standard input"), content)
    try:
        return read_file(path, FileContent())
    except OSError as error:
        raise click.UsageError(f"{path}: cannot be read: {error.strerror or error}; name a manifest") from None


# --------------------------------------------------------------------------------------------------- mesh


def _read_mesh(settings: Settings) -> tuple[Mesh, str]:
    """The mesh as it is, and where it was read; ends the program where it is nowhere."""
    denials = {zone.name: FORWARDED if zone.fallthrough else DENIED for zone in settings.zones}
    denials |= {fallback.zone: FORWARDED for fallback in settings.fallback}
    folders = [Path(each.path) for each in settings.sources if isinstance(each, ManifestsSection)]
    if folders and len(folders) == len(settings.sources):
        clusters: dict[str, tuple[AnyDeclaration, ...]] = {}
        for folder in offline.read_folders(folders):
            for problem in folder.problems:
                print_line(f"{problem.where}: {problem.reason}; {problem.next_step}", err=True)
            for cluster, found in folder.clusters.items():
                clusters[cluster] = (*clusters.get(cluster, ()), *found)
        return Mesh(clusters, {}, denials), f"compared with the manifests in {listed(map(str, folders))}"
    return _read_database(Path(settings.state_dir or "."), denials)


def _read_database(state_dir: Path, denials: dict[str, str]) -> tuple[Mesh, str]:
    try:
        path = current_database(state_dir)
        if not is_present(path):
            _exit_unreachable(f"{state_dir} holds no name database; {_NOTHING_TO_READ}")
        if not is_intact(path):
            _exit_unreachable(f"the name database {path} cannot be read or is damaged; {_NOTHING_TO_READ}")
        database = NameDatabase(path, writable=False)
    except (NameDatabaseError, OSError) as error:
        _exit_unreachable(f"{describe_error(error)}; {_NOTHING_TO_READ}")
    with read_tables(database) as tables:
        stored, resolved = list(tables.declarations.encoded()), tables.resolved_hosts()
        known = [cluster for cluster, _ in tables.clusters.items()]
    database.close()
    clusters: dict[str, list[AnyDeclaration]] = {cluster: [] for cluster in known}
    for cluster, value in stored:
        clusters.setdefault(cluster, []).append(decode_declaration(value))
    text = (
        f"compared with the name database {path}, as its server wrote it last; pod addresses of clusters on other "
        "networks are not in it"
    )
    return Mesh(clusters, resolved, denials), text


def _exit_unreachable(message: str) -> NoReturn:
    print_line(message, err=True)
    sys.exit(exit_codes.UNREACHABLE)


# ------------------------------------------------------------------------------------------------- output


def _print(found: ManifestDifference, form: str) -> None:
    if form != "table":
        print_document(format_value(found, form))
    else:
        for line in _tables(found):
            print_line(line)
    changed = len({(each.vantage, each.name) for each in found.answers})
    new = sum(each.new for each in found.problems)
    seen_from = f"{len(found.vantages)} vantages" if len(found.vantages) != 1 else found.vantages[0]
    print_line(
        f"{changed} answers change, seen from {seen_from}; {new} problems begin, {len(found.problems) - new} end",
        err=True,
    )


def _tables(found: ManifestDifference) -> Iterator[str]:
    if found.answers:
        headers = ("VANTAGE", "NAME", "TYPE", "BEFORE", "AFTER", "LEVEL", "DECLARED-BY", "REASON")
        rows = [
            (
                *(each.vantage, each.name, each.type, join_cell(each.before), join_cell(each.after)),
                *(str(each.level or ""), join_cell(each.declared_by), each.reason),
            )
            for each in found.answers
        ]
        yield from format_table(headers, rows, with_headers=True)
    if found.problems:
        if found.answers:
            yield ""
        headers = ("PROBLEM", "VANTAGES", "CLUSTER", "SEVERITY", "OBJECT", "FIELD", "REASON", "ADVICE")
        rows = [
            (
                *("new" if each.new else "ended", join_cell(each.vantages), each.cluster, each.severity),
                *("/".join(filter(None, (each.object, each.namespace, each.name))), each.field),
                *(each.reason, each.advice),
            )
            for each in found.problems
        ]
        yield from format_table(headers, rows, with_headers=True)
