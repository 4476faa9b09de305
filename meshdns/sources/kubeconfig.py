"""Which contexts of which kubeconfig files are meant; all that can be wrong with them is said here.

Rules (kubectl's, k8s.io/client-go tools/clientcmd/loader.go):
- Of several files the first that names a cluster, user, context or the current context wins; files that do not exist
  are passed over as long as one does.
- These are the operator's own files: credential plugins (``exec``) and file references in them are allowed.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from meshdns.sources.documents import DocumentError, parse
from meshdns.sources.settings import KubeconfigSource, SourceError


@dataclass(frozen=True, slots=True)
class Context:
    """A context that can be used; `plugin` is the command of its credential plugin, empty without one."""

    name: str
    plugin: str


def default_paths(environ: Mapping[str, str], home: Path) -> tuple[Path, ...]:
    """The files that kubectl would read: those of ``KUBECONFIG``, else ``~/.kube/config``."""
    listed = tuple(Path(part).expanduser() for part in environ.get("KUBECONFIG", "").split(os.pathsep) if part)
    return listed or (home / ".kube" / "config",)


def contexts(source: KubeconfigSource) -> tuple[Context, ...]:
    """The contexts that a source means, in its order. Raises `SourceError`."""
    files = _read_all(source.paths)
    where = os.pathsep.join(map(str, source.paths))
    known = _named(files, "contexts")
    names = source.contexts or (_current(files, where),)
    return tuple(_context(name, known, files, where) for name in names)


def _read_all(paths: tuple[Path, ...]) -> list[tuple[Path, dict[str, Any]]]:
    files = [(path, _read(path)) for path in paths if path.exists()]
    if not files:
        listed = ", ".join(map(str, paths))
        raise SourceError(f"no kubeconfig at {listed}; set KUBECONFIG, or path in the settings, to one that exists")
    return files


def _read(path: Path) -> dict[str, Any]:
    try:
        documents, _ = parse(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise SourceError(f"{path} cannot be read: {error.strerror}; check who may read it") from None
    except UnicodeDecodeError:
        raise SourceError(f"{path} is not UTF-8; correct the file") from None
    except DocumentError as error:
        raise SourceError(f"{path}:{error.line}: {error.reason}; correct the file") from None
    value = documents[0].value if documents else {}
    if not isinstance(value, dict):
        raise SourceError(f"{path} is no kubeconfig; write one with kubectl config")
    return value


def _named(files: list[tuple[Path, dict[str, Any]]], section: str) -> dict[str, dict[str, Any]]:
    """The entries of a section by name; each is ``{name, <singular>: {…}}``."""
    found: dict[str, dict[str, Any]] = {}
    for _, config in files:
        for item in config.get(section) or ():
            if isinstance(item, dict) and isinstance(item.get("name"), str):
                body = item.get(section.removesuffix("s"))
                found.setdefault(item["name"], body if isinstance(body, dict) else {})
    return found


def _current(files: list[tuple[Path, dict[str, Any]]], where: str) -> str:
    for _, config in files:
        current = config.get("current-context")
        if isinstance(current, str) and current:
            return current
    raise SourceError(f"{where} has no current context; choose one with kubectl config use-context, or list contexts")


def _context(
    name: str, known: dict[str, dict[str, Any]], files: list[tuple[Path, dict[str, Any]]], where: str
) -> Context:
    if name not in known:
        names = ", ".join(sorted(known)) or "none"
        raise SourceError(f"{where} has no context {name!r}; choose one of: {names}")
    body = known[name]
    if not _named(files, "clusters").get(str(body.get("cluster")), {}).get("server"):
        raise SourceError(f"context {name!r} of {where} names no cluster with a server; correct it with kubectl config")
    user = _named(files, "users").get(str(body.get("user")), {})
    plugin = user.get("exec")
    return Context(name, str(plugin.get("command", "")) if isinstance(plugin, dict) else "")
