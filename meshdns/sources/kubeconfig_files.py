"""Kubeconfig files, folders of them and the pod's service account, watched.

Rules:
- A look stats the files each second, in a thread; why no kernel notifications: see `meshdns.sources.folder.source`. A
  change counts once two looks 100 ms apart agree, so that a file is not read while it is being written.
- Certificates that a kubeconfig names are looked at too: their content is part of the access.
- What cannot be read removes nothing: the clusters it named are read as before, and the reason is a problem. It is
  tried again with each look.
- A folder's file that is deleted takes its cluster along; of merged files that are gone, so is nothing. What was a file
  once and is a folder now, or the other way round, is something that cannot be read. A folder without files is a
  problem, and has no clusters.
- Whatever a file or a context makes this program do costs that one; whatever a look does, the next one follows.
"""

import asyncio
import logging
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from meshdns.config.regular_file import read_regular_file
from meshdns.mesh.objects.foreign import describe_error, shown
from meshdns.mesh.objects.problems import Problem, ProblemKind
from meshdns.sources.auth.kubeconfig import ClientConfig, load_kubeconfig
from meshdns.sources.cluster_set import ClusterSet
from meshdns.sources.settings import KubeconfigSource, SourceError, problem_from_message, source_errors

_POLL_INTERVAL: Final = 1.0  # seconds between looks
_SETTLE_TIME: Final = 0.1  # seconds between the two looks that must agree
_AUTHORITY_LIMIT: Final = 2**20  # bytes
_SERVICE_ACCOUNT_POLL_INTERVAL: Final = 10.0  # seconds; the authority of a cluster changes once in years
SERVICE_ACCOUNT_DIR: Final = Path("/var/run/secrets/kubernetes.io/serviceaccount")
"""Where a pod finds its token, and the authority and namespace that go with it."""

_log = logging.getLogger(__name__)

StampsByPath = dict[Path, tuple[int, ...]]
"""By path device, inode, size and times (ns): any rewrite, swap or chmod changes them. What is not there has none."""


@dataclass(slots=True)
class FoundContexts:
    """Result of a poll: client configs by cluster, problems, and the clusters that could not be read this time."""

    client_configs: dict[str, ClientConfig] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    warnings: list[Problem] = field(default_factory=list)
    """Problems in spite of which everything was read."""
    unreadable: set[str] = field(default_factory=set)


async def watch_kubeconfigs(source: KubeconfigSource, cluster_set: ClusterSet) -> None:
    """Keep `cluster_set` in step with the files until cancelled."""
    files = _KubeconfigPoller(source)
    while True:
        try:
            found = await files.poll()
        except Exception as error:  # noqa: BLE001 — one look must not end the source
            _log.exception("kubeconfigs cannot be looked at")
            reason = f"cannot be looked at: {describe_error(error)}; report this with the log"
            problem = problem_from_message("kubeconfig", _join_paths(source.paths), reason)
            cluster_set.set_clusters({}, [problem], retained=cluster_set.names, is_whole_source=False)
            found = None
        if found is not None:
            cluster_set.set_clusters(
                found.client_configs,
                [*found.problems, *found.warnings],
                retained=found.unreadable,
                is_whole_source=not found.problems,
            )
        await asyncio.sleep(_POLL_INTERVAL)


def kubeconfig_problems(source: KubeconfigSource) -> list[Problem]:
    """What is wrong with the files of a source now, for tools."""
    try:
        found = _KubeconfigPoller(source).read_all()
    except Exception as error:  # noqa: BLE001 — as in the watch: what is in the files costs these alone
        reason = f"cannot be looked at: {describe_error(error)}; report this with the log"
        return [problem_from_message("kubeconfig", _join_paths(source.paths), reason)]
    return [*found.problems, *found.warnings]


async def watch_service_account(cluster: str, environment: Mapping[str, str], cluster_set: ClusterSet) -> None:
    """Keep `cluster_set` in step with the pod's service account until cancelled."""
    while True:
        try:
            with source_errors(f"the service account at {SERVICE_ACCOUNT_DIR}"):
                client_config = await asyncio.to_thread(service_account_config, environment, SERVICE_ACCOUNT_DIR)
            cluster_set.set_clusters({cluster: client_config}, ())
        except SourceError as error:
            cluster_set.set_clusters(
                {}, [problem_from_message("cluster", cluster, error.message)], retained=[cluster], is_whole_source=False
            )
        await asyncio.sleep(_SERVICE_ACCOUNT_POLL_INTERVAL)


def service_account_config(environment: Mapping[str, str], folder: Path) -> ClientConfig:
    """The access of a pod to its own cluster. Raises `SourceError` outside of a pod."""
    host, port = environment.get("KUBERNETES_SERVICE_HOST"), environment.get("KUBERNETES_SERVICE_PORT")
    if not host or not port:
        raise SourceError(
            "no service account here (KUBERNETES_SERVICE_HOST is not set); run in a pod, or name a kubeconfig"
        )
    try:
        authority = read_regular_file(folder / "ca.crt", max_size=_AUTHORITY_LIMIT)[0]
        (folder / "token").stat()
    except OSError as error:
        reason = f"{error.filename}: {error.strerror}"
        raise SourceError(f"no service account here ({reason}); mount its token, or name a kubeconfig") from None
    server = f"https://[{host}]:{port}" if ":" in host else f"https://{host}:{port}"
    token = os.fspath(folder / "token")
    return ClientConfig("the pod's own cluster", server, ca_bundle=authority, token_file=token)


class _KubeconfigPoller:
    """What was found in the files of a source so far."""

    def __init__(self, source: KubeconfigSource) -> None:
        self._source = source
        self._stamps: StampsByPath | None = None
        self._folders: set[Path] = set()
        self._plain_files: set[Path] = set()
        self._merged_clusters: set[str] = set()  # the clusters that the merged files last named
        self._cluster_by_file: dict[Path, str] = {}  # by file of a folder the cluster that it last named
        self._certificates: set[Path] = set()
        self._is_clean = False

    async def poll(self) -> FoundContexts | None:
        """What the files say now; None where that is what they said before."""
        stamps = await asyncio.to_thread(self._stat_files)
        if stamps == self._stamps and self._is_clean:
            return None
        await asyncio.sleep(_SETTLE_TIME)
        if await asyncio.to_thread(self._stat_files) != stamps:
            return None
        found = await asyncio.to_thread(self.read_all)
        self._stamps = stamps
        self._is_clean = not found.problems
        named = {
            Path(file) for client_config in found.client_configs.values() for file in client_config.referenced_files
        }
        if named - self._certificates:
            self._stamps = None  # their stamps are not in this look
        self._certificates = named
        return found

    def _stat_files(self) -> StampsByPath:
        paths = {file for path in self._source.paths for file in _expand(path)}
        return dict(_stat_paths(paths | self._certificates))

    def read_all(self) -> FoundContexts:
        """Read all files as they are now."""
        found = FoundContexts()
        self._folders |= {path for path in self._source.paths if _is_folder(path) and path not in self._plain_files}
        self._plain_files |= {path for path in self._source.paths if _is_plain_file(path) and path not in self._folders}
        files = [path for path in self._source.paths if path not in self._folders]
        if files:
            self._read_merged(files, found)
        for folder in sorted(self._folders):
            self._read_folder(folder, found)
        return found

    def _read_merged(self, files: list[Path], found: FoundContexts) -> None:
        where = _join_paths(files)
        try:
            merged = load_kubeconfig(files)
            names = self._source.contexts or (merged.current_context(),)
        except SourceError as error:
            found.problems.append(problem_from_message("kubeconfig", where, error.message))
            found.unreadable |= self._merged_clusters
            return
        self._merged_clusters = set(names)
        for name in names:
            try:
                found.client_configs[name] = merged.context_config(name)
            except SourceError as error:
                found.problems.append(problem_from_message("kubeconfig", where, error.message))
                found.unreadable.add(name)

    def _read_folder(self, folder: Path, found: FoundContexts) -> None:
        """Read a folder's files; one that is deleted takes its cluster along, a folder that is gone does not."""
        try:
            files = _list_files(folder)
        except OSError as error:
            reason = f"cannot be read: {error.strerror}; make it a readable folder of kubeconfigs"
            found.problems.append(problem_from_message("kubeconfig", os.fspath(folder), reason))
            found.unreadable |= {name for path, name in self._cluster_by_file.items() if path.parent == folder}
            return
        self._cluster_by_file = {
            path: name for path, name in self._cluster_by_file.items() if path.parent != folder or path in files
        }
        if not files:
            advice = "put kubeconfigs into it, each for one cluster, or remove the source"
            where = os.fspath(folder)
            found.warnings.append(
                Problem(ProblemKind.EMPTY, "kubeconfig", "", where, "", "the folder holds no kubeconfig", advice)
            )
        for path in files:
            self._read_file(path, found)

    def _read_file(self, path: Path, found: FoundContexts) -> None:
        try:
            name, client_config = load_kubeconfig([path]).single_cluster(trusted=True)
        except SourceError as error:
            found.problems.append(problem_from_message("kubeconfig", os.fspath(path), error.message))
            found.unreadable |= {self._cluster_by_file[path]} if path in self._cluster_by_file else set()
            return
        if name in found.client_configs:
            reason = f"names the cluster {shown(name)}, as another file that is read does; rename one of the two"
            found.problems.append(problem_from_message("kubeconfig", os.fspath(path), reason))
            return
        self._cluster_by_file[path] = name
        found.client_configs[name] = client_config


def _expand(path: Path) -> list[Path]:
    """A file itself, the files of a folder."""
    try:
        return _list_files(path) if path.is_dir() else [path]
    except OSError:
        return []


def _is_folder(path: Path) -> bool:
    try:
        return path.is_dir()
    except OSError:
        return False


def _is_plain_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:
        return False


def _join_paths(paths: Iterable[Path]) -> str:
    return os.pathsep.join(map(os.fspath, paths))


def _list_files(folder: Path) -> list[Path]:
    """The files of a folder without hidden ones (``..data`` of a mounted Secret, editors'). Raises `OSError`."""
    return sorted(each for each in folder.iterdir() if not each.name.startswith(".") and not each.is_dir())


def _stat_paths(paths: Iterable[Path]) -> Iterable[tuple[Path, tuple[int, ...]]]:
    for path in paths:
        try:
            stat = path.stat()
        except OSError:
            continue
        yield path, (stat.st_dev, stat.st_ino, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns)
