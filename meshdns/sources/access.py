"""What it takes to reach one API server: one cluster and one user of a kubeconfig, checked.

Rules:
- A kubeconfig of the operator's own may name files (they are read here, so that a new content is a new access) and
  credential plugins. One that came out of a Secret may not: whoever writes the Secret would read this machine's files
  and run programs on it. What Istio refuses there is refused (pkg/kube sanitizeKubeConfig: exec, auth providers,
  certificate-authority, client-certificate, client-key, tokenFile), and insecure-skip-tls-verify too: it would give the
  token to anyone in between. A proxy-url is allowed, as Istio does: it learns no more than the server it leads to.
- A token file stays a path: its content is a token that rotates, not another access.
- What is not understood is refused where it would widen what is read: impersonation is not left out silently.
"""

import base64
import binascii
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from meshdns.sources.settings import SourceError

_FILE_LIMIT: Final = 2**20  # octets of a certificate, key or bundle of them
_RENAME: Final = "put its content into {key}-data in base64"
_UNTRUSTED_USER: Final = {
    "exec": "use a service account's token: meshdns remote kubeconfig prints such a Secret",
    "auth-provider": "use a service account's token: meshdns remote kubeconfig prints such a Secret",
    "tokenFile": "put the token itself into token, or mount the kubeconfig and use a source of kind kubeconfig",
    "client-certificate": _RENAME,
    "client-key": _RENAME,
}
_UNTRUSTED_CLUSTER: Final = {
    "certificate-authority": _RENAME,
    "insecure-skip-tls-verify": "give the server's certificate-authority-data",
}
_IMPERSONATION: Final = ("as", "as-uid", "as-groups", "as-user-extra")


@dataclass(frozen=True, slots=True)
class Plugin:
    """A credential plugin (``exec`` of a kubeconfig's user); `folder` is that of the kubeconfig."""

    command: str
    arguments: tuple[str, ...] = ()
    environment: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    version: str = ""
    hint: str = ""
    folder: str = ""
    wants_cluster: bool = False


@dataclass(frozen=True, slots=True)
class Access:
    """One API server and who asks it. Two that are equal need no new client."""

    title: str
    server: str
    server_name: str = ""
    insecure: bool = False
    proxy: str = ""
    authority: bytes = field(default=b"", repr=False)
    certificate: bytes = field(default=b"", repr=False)
    key: bytes = field(default=b"", repr=False)
    token: str = field(default="", repr=False)
    token_file: str = ""
    basic: tuple[str, str] = field(default=("", ""), repr=False)
    plugin: Plugin | None = None
    files: tuple[str, ...] = ()
    """The files whose content is part of it."""
    provider: str = field(default="", repr=False)  # auth-provider of the user, as JSON

    @property
    def renewed(self) -> bool:
        """Whether what it shows is got anew now and then."""
        return bool(self.token_file or self.plugin or self.provider)


@dataclass(frozen=True, slots=True)
class Section:
    """A cluster or user of a kubeconfig as it was written, and the folder that its relative paths begin at."""

    body: Mapping[str, Any]
    folder: Path


def access(title: str, cluster: Section, user: Section, *, trusted: bool) -> Access:
    """The access that a cluster and a user make. Raises `SourceError`, which says what to do."""
    if not trusted:
        _refuse(title, cluster, _UNTRUSTED_CLUSTER)
        _refuse(title, user, _UNTRUSTED_USER)
    refused = [key for key in _IMPERSONATION if user.body.get(key)]
    if refused:
        raise SourceError(f"{title}: impersonation ({refused[0]}) is not supported; name the user who shall read")
    text = _Text(title)
    token_file = text.of(user, "tokenFile")
    return Access(
        title=title,
        files=tuple(
            text.files(cluster, "certificate-authority") + text.files(user, "client-certificate", "client-key")
        ),
        server=_server(title, text.of(cluster, "server")),
        server_name=text.of(cluster, "tls-server-name"),
        insecure=cluster.body.get("insecure-skip-tls-verify") is True,
        proxy=_proxy(title, text.of(cluster, "proxy-url")),
        authority=text.content(cluster, "certificate-authority"),
        certificate=text.content(user, "client-certificate"),
        key=text.content(user, "client-key"),
        token="" if token_file else text.of(user, "token"),  # the file wins, as in client-go
        token_file=str(user.folder / Path(token_file).expanduser()) if token_file else "",
        basic=(text.of(user, "username"), text.of(user, "password")),
        plugin=_plugin(title, user),
        provider=json.dumps(user.body["auth-provider"]) if user.body.get("auth-provider") else "",
    )


def _refuse(title: str, section: Section, refused: Mapping[str, str]) -> None:
    for key, advice in refused.items():
        if section.body.get(key):
            advised = advice.format(key=key)
            raise SourceError(f"{title}: {key} is refused in a kubeconfig that comes out of a Secret; {advised}")


def _server(title: str, server: str) -> str:
    try:
        parts = urlsplit(server)
        usable = parts.scheme in ("https", "http") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        usable = False
    if not usable:
        raise SourceError(f"{title}: the server {server[:200]!r} is no https://host:port; correct it")
    return server.rstrip("/")


def _proxy(title: str, proxy: str) -> str:
    if proxy and urlsplit(proxy).scheme not in ("http", "https"):
        raise SourceError(f"{title}: the proxy-url {proxy[:200]!r} is not http:// or https://; use such a proxy")
    return proxy


class _Text:
    """Reads the texts of a kubeconfig; `title` says whose."""

    def __init__(self, title: str) -> None:
        self._title = title

    def of(self, section: Section, key: str) -> str:
        value = section.body.get(key) or ""
        if not isinstance(value, str) or "\0" in value or "\n" in value:
            raise SourceError(f"{self._title}: {key} is not one line of text; correct it")
        return value

    def content(self, section: Section, key: str) -> bytes:
        """What ``<key>-data`` holds, else the file that ``<key>`` names."""
        written = section.body.get(f"{key}-data")
        if written:
            try:
                return base64.b64decode("".join(str(written).split()), validate=True)
            except (binascii.Error, ValueError):
                raise SourceError(f"{self._title}: {key}-data is not base64; correct it") from None
        return b"".join(self._file(Path(path), key) for path in self.files(section, key))

    def files(self, section: Section, *keys: str) -> list[str]:
        """The files that are named for what is not written out."""
        paths = [self.of(section, key) for key in keys if not section.body.get(f"{key}-data")]
        return [str(section.folder / Path(path).expanduser()) for path in paths if path]

    def _file(self, path: Path, key: str) -> bytes:
        try:
            with path.open("rb") as file:
                return file.read(_FILE_LIMIT)
        except OSError as error:
            reason = error.strerror or str(error)
            raise SourceError(f"{self._title}: {key} {path} cannot be read: {reason}; correct it") from None


def _plugin(title: str, user: Section) -> Plugin | None:
    written = user.body.get("exec")
    if not written:
        return None
    if not isinstance(written, dict) or not isinstance(written.get("command"), str) or not written["command"]:
        raise SourceError(f"{title}: exec names no command; correct it")
    arguments = written.get("args") or ()
    variables = written.get("env") or ()
    return Plugin(
        command=written["command"],
        arguments=tuple(str(each) for each in arguments),
        environment=tuple((str(v.get("name")), str(v.get("value", ""))) for v in variables if isinstance(v, dict)),
        version=str(written.get("apiVersion", "")),
        hint=str(written.get("installHint") or "").strip(),
        folder=str(user.folder),
        wants_cluster=written.get("provideClusterInfo") is True,
    )
