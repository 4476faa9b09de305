"""Kubeconfigs: reading files and choosing contexts, and the checked access to one API server.

Rules for an access, which is one cluster and one user of a kubeconfig:
- A kubeconfig of the operator's own may name files (they are read here, so that new content is a new access) and
  credential plugins. One from a Secret may not: the author of the Secret could read this machine's files and run
  programs on it. What Istio refuses there is refused (pkg/kube sanitizeKubeConfig: exec, auth providers,
  certificate-authority, client-certificate, client-key, tokenFile), and insecure-skip-tls-verify too: it would give the
  token to anyone in between. A proxy-url is allowed, as Istio does: it learns no more than the server it leads to.
- A token file stays a path: its content is a token that rotates, not another access.
- A key that is not supported is refused if leaving it out would widen the rights: impersonation is not ignored.

Rules for files and contexts (kubectl's, k8s.io/client-go tools/clientcmd/loader.go):
- Of several files the first that names a cluster, user, context or the current context wins; files that do not exist
  are passed over as long as one does. Relative paths begin at the folder of the file that says them.
- These are the operator's own files: credential plugins (``exec``) and file references in them are allowed.
- A folder in place of a file holds one kubeconfig per file. Its cluster's name is that of the cluster of the current
  context, else of the first context, else of the first cluster, as in Istio's PILOT_MULTICLUSTER_KUBECONFIG_PATH.
"""

import base64
import binascii
import json
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from meshdns.config.regular_file import read_regular_file
from meshdns.mesh.objects.foreign import bounded_text, listed, shown
from meshdns.mesh.objects.raw import is_text, mapping_of, text_of
from meshdns.sources.documents import FILE_BUDGET, DocumentError, NodeBudget, parse_documents
from meshdns.sources.manifest_text import decode_text
from meshdns.sources.settings import KubeconfigSource, SourceError, source_errors

_URL_LIMIT: Final = 2048  # characters
_FILE_LIMIT: Final = 2**20  # bytes of a certificate, key or bundle of them
_INLINE_ADVICE: Final = "put its content into {key}-data in base64"
_FORBIDDEN_USER_KEYS: Final = {
    "exec": "use a service account's token: meshdns remote kubeconfig prints such a Secret",
    "auth-provider": "use a service account's token: meshdns remote kubeconfig prints such a Secret",
    "tokenFile": "put the token itself into token, or mount the kubeconfig and use a source of kind kubeconfig",
    "client-certificate": _INLINE_ADVICE,
    "client-key": _INLINE_ADVICE,
}
_FORBIDDEN_CLUSTER_KEYS: Final = {
    "certificate-authority": _INLINE_ADVICE,
    "insecure-skip-tls-verify": "give the server's certificate-authority-data",
}
_IMPERSONATION: Final = ("as", "as-uid", "as-groups", "as-user-extra")


@dataclass(frozen=True, slots=True)
class ExecPlugin:
    """A credential plugin (``exec`` of a kubeconfig's user); `folder` is that of the kubeconfig."""

    command: str
    arguments: tuple[str, ...] = ()
    environment: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    api_version: str = ""
    install_hint: str = ""
    folder: str = ""
    provide_cluster_info: bool = False


@dataclass(frozen=True, slots=True)
class ClientConfig:
    """The access to one API server as one user. Two that are equal need no new client."""

    title: str
    server: str
    server_name: str = ""
    insecure: bool = False
    proxy: str = ""
    ca_bundle: bytes = field(default=b"", repr=False)
    certificate: bytes = field(default=b"", repr=False)
    key: bytes = field(default=b"", repr=False)
    token: str = field(default="", repr=False)
    token_file: str = ""
    basic_auth: tuple[str, str] = field(default=("", ""), repr=False)
    plugin: ExecPlugin | None = None
    referenced_files: tuple[str, ...] = ()
    """The files whose content is part of it."""
    auth_provider: str = field(default="", repr=False)  # auth-provider of the user, as JSON

    @property
    def has_rotating_credentials(self) -> bool:
        """Whether its credentials are renewed from time to time."""
        return bool(self.token_file or self.plugin or self.auth_provider)


@dataclass(frozen=True, slots=True)
class KubeconfigEntry:
    """A cluster or user of a kubeconfig as it was written, and the folder that its relative paths begin at."""

    body: Mapping[str, Any]
    folder: Path


def build_client_config(title: str, cluster: KubeconfigEntry, user: KubeconfigEntry, *, trusted: bool) -> ClientConfig:
    """Return the access of a cluster and a user. Raises `SourceError`, which says what to do."""
    if not trusted:
        _reject_keys(title, cluster, _FORBIDDEN_CLUSTER_KEYS)
        _reject_keys(title, user, _FORBIDDEN_USER_KEYS)
    refused = [key for key in _IMPERSONATION if user.body.get(key)]
    if refused:
        raise SourceError(f"{title}: impersonation ({refused[0]}) is not supported; name the user who shall read")
    title = bounded_text(title)
    text = _EntryReader(title)
    token_file = text.text(user, "tokenFile")
    return ClientConfig(
        title=title,
        referenced_files=tuple(
            text.file_paths(cluster, "certificate-authority")
            + text.file_paths(user, "client-certificate", "client-key")
        ),
        server=_server(title, text.text(cluster, "server")),
        server_name=text.text(cluster, "tls-server-name"),
        insecure=cluster.body.get("insecure-skip-tls-verify") is True,
        proxy=_proxy(title, text.text(cluster, "proxy-url")),
        ca_bundle=text.data(cluster, "certificate-authority"),
        certificate=text.data(user, "client-certificate"),
        key=text.data(user, "client-key"),
        token="" if token_file else text.text(user, "token"),  # the file wins, as in client-go
        token_file=os.fspath(user.folder / Path(token_file).expanduser()) if token_file else "",
        basic_auth=(text.text(user, "username"), text.text(user, "password")),
        plugin=_plugin(title, user),
        auth_provider=json.dumps(user.body["auth-provider"]) if user.body.get("auth-provider") else "",
    )


def _reject_keys(title: str, entry: KubeconfigEntry, forbidden: Mapping[str, str]) -> None:
    for key, advice in forbidden.items():
        if entry.body.get(key):
            advised = advice.replace("{key}", key)
            raise SourceError(f"{title}: {key} is refused in a kubeconfig that comes out of a Secret; {advised}")


def _server(title: str, server: str) -> str:
    if not _is_url(server):
        raise SourceError(f"{title}: the server {shown(server)} is no https://host:port; correct it")
    return server.rstrip("/")


def _is_url(text: str) -> bool:
    """Whether `text` is an HTTP URL with a host, of bounded length."""
    try:
        parts = urlsplit(text)
        return (
            len(text) <= _URL_LIMIT and parts.scheme in ("https", "http") and bool(parts.hostname) and parts.port != 0
        )
    except ValueError:
        return False


def _proxy(title: str, proxy: str) -> str:
    if proxy and not _is_url(proxy):
        raise SourceError(f"{title}: the proxy-url {shown(proxy)} is not http:// or https://; use such a proxy")
    return proxy


class _EntryReader:
    """Reads the texts of a kubeconfig; `title` says whose."""

    def __init__(self, title: str) -> None:
        self._title = title

    def text(self, entry: KubeconfigEntry, key: str) -> str:
        value = entry.body.get(key) or ""
        if not is_text(value) or "\0" in value or "\n" in value:
            raise SourceError(f"{self._title}: {key} is not one line of text; correct it")
        return value

    def data(self, entry: KubeconfigEntry, key: str) -> bytes:
        """What ``<key>-data`` holds, else the file that ``<key>`` names."""
        written = entry.body.get(f"{key}-data")
        if written:
            try:
                decoded = base64.b64decode("".join(text_of(written).split()), validate=True)
            except (binascii.Error, ValueError):
                decoded = b""
            if not decoded:
                raise SourceError(f"{self._title}: {key}-data is not base64; correct it")
            return decoded
        return b"".join(self._read_file(Path(path), key) for path in self.file_paths(entry, key))

    def file_paths(self, entry: KubeconfigEntry, *keys: str) -> list[str]:
        """The files that are named for what is not written out."""
        paths = [self.text(entry, key) for key in keys if not entry.body.get(f"{key}-data")]
        return [os.fspath(entry.folder / Path(path).expanduser()) for path in paths if path]

    def _read_file(self, path: Path, key: str) -> bytes:
        try:
            return read_regular_file(path, max_size=_FILE_LIMIT)[0]
        except OSError as error:
            reason = error.strerror
            raise SourceError(f"{self._title}: {key} {path} cannot be read: {reason}; correct it") from None


def _plugin(title: str, user: KubeconfigEntry) -> ExecPlugin | None:
    written = user.body.get("exec")
    if not written:
        return None
    if not isinstance(written, dict) or not text_of(written.get("command")):
        raise SourceError(f"{title}: exec names no command; correct it")
    arguments = _list_of(written.get("args"))
    variables = [mapping_of(each) for each in _list_of(written.get("env"))]
    names = [text_of(each.get("name")) for each in variables]
    if not all(map(is_text, arguments)) or not all(names) or not all(is_text(v.get("value", "")) for v in variables):
        raise SourceError(f"{title}: args or env of exec hold what is no text; put it in quotes")
    return ExecPlugin(
        command=written["command"],
        arguments=tuple(map(text_of, arguments)),
        environment=tuple((name, text_of(each.get("value"))) for name, each in zip(names, variables, strict=True)),
        api_version=text_of(written.get("apiVersion")),
        install_hint=text_of(written.get("installHint")).strip(),
        folder=os.fspath(user.folder),
        provide_cluster_info=written.get("provideClusterInfo") is True,
    )


def _list_of(value: object) -> list[Any]:
    """The list; an empty one where it is none."""
    return value if isinstance(value, list) else []


_KUBECONFIG_LIMIT: Final = 8 * 2**20  # bytes: thousands of contexts


def default_paths(environ: Mapping[str, str], home: Path) -> tuple[Path, ...]:
    """Return the files that kubectl would read: those of ``KUBECONFIG``, else ``~/.kube/config``."""
    listed = tuple(Path(part).expanduser() for part in environ.get("KUBECONFIG", "").split(os.pathsep) if part)
    return listed or (home / ".kube" / "config",)


class Kubeconfig:
    """One kubeconfig, or several merged into one; `where` names it for people."""

    def __init__(self, where: str, files: Sequence[tuple[Path, dict[str, Any]]]) -> None:
        self._where = where
        self._files = files
        self._clusters = self._entries_by_name("clusters")
        self._users = self._entries_by_name("users")
        self._contexts = self._entries_by_name("contexts")

    def current_context(self) -> str:
        """The name of the current context. Raises `SourceError`."""
        for _, config in self._files:
            current = config.get("current-context")
            if isinstance(current, str) and current:
                return current
        raise SourceError(
            f"{self._where} has no current context; choose one with kubectl config use-context, or list contexts"
        )

    def context_config(self, name: str) -> ClientConfig:
        """The access that a context of the operator's own file means. Raises `SourceError`."""
        with source_errors(f"{self._where}, context {shown(name)}"):
            return self._client_config(name, f"kubeconfig {self._where}, context {name}", trusted=True)

    def _client_config(self, name: str, title: str, *, trusted: bool) -> ClientConfig:
        if name not in self._contexts:
            names = listed(sorted(self._contexts)) or "none"
            raise SourceError(f"{self._where} has no context {shown(name)}; choose one of: {names}")
        body = self._contexts[name].body
        cluster = self._clusters.get(text_of(body.get("cluster")))
        if cluster is None or not cluster.body.get("server"):
            raise SourceError(
                f"context {shown(name)} of {self._where} names no cluster with a server; correct it with kubectl config"
            )
        user = self._users.get(text_of(body.get("user")), KubeconfigEntry({}, Path()))
        return build_client_config(title, cluster, user, trusted=trusted)

    def single_cluster(self, *, trusted: bool) -> tuple[str, ClientConfig]:
        """The one cluster of a kubeconfig that stands for itself, and its name. Raises `SourceError`."""
        with source_errors(self._where):
            return self._single_cluster(trusted=trusted)

    def _single_cluster(self, *, trusted: bool) -> tuple[str, ClientConfig]:
        name = self._first_context()
        if name:
            cluster = text_of(self._contexts[name].body.get("cluster"))
            return cluster, self._client_config(name, self._where, trusted=trusted)
        for cluster, section in self._clusters.items():
            return cluster, build_client_config(self._where, section, KubeconfigEntry({}, Path()), trusted=trusted)
        raise SourceError(f"{self._where} names no cluster; write one with kubectl config")

    def _first_context(self) -> str:
        try:
            current = self.current_context()
        except SourceError:
            return next(iter(self._contexts), "")
        return current if current in self._contexts else next(iter(self._contexts), "")

    def _entries_by_name(self, section: str) -> dict[str, KubeconfigEntry]:
        """The entries of a section by name; each is ``{name, <singular>: {…}}``."""
        found: dict[str, KubeconfigEntry] = {}
        for path, config in self._files:
            items = config.get(section)
            for item in items if isinstance(items, list) else ():
                if isinstance(item, dict) and isinstance(item.get("name"), str):
                    body = item.get(section.removesuffix("s"))
                    found.setdefault(item["name"], KubeconfigEntry(body if isinstance(body, dict) else {}, path.parent))
        return found


def load_contexts(source: KubeconfigSource) -> dict[str, ClientConfig]:
    """Return the contexts of a source of files, by name and in its order. Raises `SourceError`."""
    merged = load_kubeconfig(source.paths)
    names = source.contexts or (merged.current_context(),)
    return {name: merged.context_config(name) for name in names}


def load_kubeconfig(paths: Iterable[Path]) -> Kubeconfig:
    """Read files and merge them into one kubeconfig. Raises `SourceError`."""
    wanted = tuple(paths)
    with source_errors(os.pathsep.join(map(os.fspath, wanted))):
        files = [(path, _read_kubeconfig(path)) for path in wanted if path.exists()]
        if not files:
            names = listed(map(os.fspath, wanted))
            advice = "name one that exists with --kubeconfig, in KUBECONFIG, or as path in the settings"
            raise SourceError(f"no kubeconfig at {names}; {advice}")
        return Kubeconfig(os.pathsep.join(map(os.fspath, wanted)), files)


def parse_kubeconfig(text: str, where: str, *, container: str, budget: NodeBudget = FILE_BUDGET) -> dict[str, Any]:
    """Parse the text of a kubeconfig; `where` and `container` name it in errors. Raises `SourceError`."""
    try:
        documents, _ = parse_documents(text, budget)
    except DocumentError as error:
        raise SourceError(f"{where}:{error.line}: {error.reason}; correct the {container}") from None
    value = documents[0].value if documents else None
    if not isinstance(value, dict):
        raise SourceError(f"{where} is no kubeconfig; write one with kubectl config")
    return value


def _read_kubeconfig(path: Path) -> dict[str, Any]:
    try:
        text = decode_text(read_regular_file(path, max_size=_KUBECONFIG_LIMIT)[0])
    except OSError as error:
        advice = "check who may read it" if isinstance(error, PermissionError) else "name the file of a kubeconfig"
        raise SourceError(f"{path} cannot be read: {error.strerror}; {advice}") from None
    except DocumentError as error:
        raise SourceError(f"{path}:{error.line}: {error.reason}; correct the file") from None
    return parse_kubeconfig(text, os.fspath(path), container="file")
