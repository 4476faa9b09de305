"""Which contexts of which kubeconfig files are meant; all that can be wrong with them is said here.

Rules (kubectl's, k8s.io/client-go tools/clientcmd/loader.go):
- Of several files the first that names a cluster, user, context or the current context wins; files that do not exist
  are passed over as long as one does. Relative paths begin at the folder of the file that says them.
- These are the operator's own files: credential plugins (``exec``) and file references in them are allowed.
- A folder in place of a file holds one kubeconfig per file. Its cluster's name is that of the cluster of the current
  context, else of the first context, else of the first cluster, as in Istio's PILOT_MULTICLUSTER_KUBECONFIG_PATH.
"""

import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from meshdns.sources.access import Access, Section, access
from meshdns.sources.documents import DocumentError, parse
from meshdns.sources.settings import KubeconfigSource, SourceError

_LIMIT: Final = 8 * 2**20  # octets: thousands of contexts


def default_paths(environ: Mapping[str, str], home: Path) -> tuple[Path, ...]:
    """The files that kubectl would read: those of ``KUBECONFIG``, else ``~/.kube/config``."""
    listed = tuple(Path(part).expanduser() for part in environ.get("KUBECONFIG", "").split(os.pathsep) if part)
    return listed or (home / ".kube" / "config",)


class Kubeconfig:
    """One kubeconfig, or several merged into one; `where` names it for people."""

    def __init__(self, where: str, files: Sequence[tuple[Path, dict[str, Any]]]) -> None:
        self._where = where
        self._files = files
        self._clusters = self._named("clusters")
        self._users = self._named("users")
        self._contexts = self._named("contexts")

    def current(self) -> str:
        """The name of the current context. Raises `SourceError`."""
        for _, config in self._files:
            current = config.get("current-context")
            if isinstance(current, str) and current:
                return current
        raise SourceError(
            f"{self._where} has no current context; choose one with kubectl config use-context, or list contexts"
        )

    def context(self, name: str) -> Access:
        """The access that a context of the operator's own file means. Raises `SourceError`."""
        return self._access(name, f"kubeconfig {self._where}, context {name}", trusted=True)

    def _access(self, name: str, title: str, *, trusted: bool) -> Access:
        if name not in self._contexts:
            names = ", ".join(sorted(self._contexts)) or "none"
            raise SourceError(f"{self._where} has no context {name!r}; choose one of: {names}")
        body = self._contexts[name].body
        cluster = self._clusters.get(str(body.get("cluster")))
        if cluster is None or not cluster.body.get("server"):
            raise SourceError(
                f"context {name!r} of {self._where} names no cluster with a server; correct it with kubectl config"
            )
        user = self._users.get(str(body.get("user")), Section({}, Path()))
        return access(title, cluster, user, trusted=trusted)

    def only(self, *, trusted: bool) -> tuple[str, Access]:
        """The one cluster of a kubeconfig that stands for itself, and its name. Raises `SourceError`."""
        name = self._first_context()
        if name:
            cluster = str(self._contexts[name].body.get("cluster"))
            return cluster, self._access(name, self._where, trusted=trusted)
        for cluster, section in self._clusters.items():
            return cluster, access(self._where, section, Section({}, Path()), trusted=trusted)
        raise SourceError(f"{self._where} names no cluster; write one with kubectl config")

    def _first_context(self) -> str:
        try:
            current = self.current()
        except SourceError:
            return next(iter(self._contexts), "")
        return current if current in self._contexts else next(iter(self._contexts), "")

    def _named(self, section: str) -> dict[str, Section]:
        """The entries of a section by name; each is ``{name, <singular>: {…}}``."""
        found: dict[str, Section] = {}
        for path, config in self._files:
            items = config.get(section)
            for item in items if isinstance(items, list) else ():
                if isinstance(item, dict) and isinstance(item.get("name"), str):
                    body = item.get(section.removesuffix("s"))
                    found.setdefault(item["name"], Section(body if isinstance(body, dict) else {}, path.parent))
        return found


def contexts(source: KubeconfigSource) -> dict[str, Access]:
    """The contexts that a source of files means, by name and in its order. Raises `SourceError`."""
    merged = read_files(source.paths)
    names = source.contexts or (merged.current(),)
    return {name: merged.context(name) for name in names}


def read_files(paths: Iterable[Path]) -> Kubeconfig:
    """The files as one kubeconfig. Raises `SourceError`."""
    listed = tuple(paths)
    files = [(path, _read(path)) for path in listed if path.exists()]
    if not files:
        names = ", ".join(map(str, listed))
        raise SourceError(f"no kubeconfig at {names}; set KUBECONFIG, or path in the settings, to one that exists")
    return Kubeconfig(os.pathsep.join(map(str, listed)), files)


def read_text(text: str, where: str, *, kept_in: str) -> dict[str, Any]:
    """The kubeconfig that a text is; `where` names it for people, `kept_in` says what it is. Raises `SourceError`."""
    try:
        documents, _ = parse(text)
    except DocumentError as error:
        raise SourceError(f"{where}:{error.line}: {error.reason}; correct the {kept_in}") from None
    value = documents[0].value if documents else None
    if not isinstance(value, dict):
        raise SourceError(f"{where} is no kubeconfig; write one with kubectl config")
    return value


def _read(path: Path) -> dict[str, Any]:
    try:
        with path.open("rb") as file:
            octets = file.read(_LIMIT + 1)
        text = octets.decode("utf-8")
    except OSError as error:
        raise SourceError(f"{path} cannot be read: {error.strerror}; check who may read it") from None
    except UnicodeDecodeError:
        raise SourceError(f"{path} is not UTF-8; correct the file") from None
    if len(octets) > _LIMIT:
        raise SourceError(f"{path} is larger than 8 MiB; name a kubeconfig")
    return read_text(text, str(path), kept_in="file")
