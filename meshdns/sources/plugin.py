"""Runs credential plugins: programs that a kubeconfig names and that print an ExecCredential.

Rules (k8s.io/client-go plugin/pkg/client/auth/exec, and where it says nothing):
- A plugin has 30 s and may print 1 MiB; then it is killed with all that it started. Its standard input is empty, and
  it is told that nobody could answer a question.
- A bare command is looked up in PATH; one with a slash begins at the kubeconfig's folder.
- What it prints on standard error is shown only when it fails, and only the end of it.
"""

import asyncio
import base64
import contextlib
import json
import os
import signal
from asyncio.subprocess import PIPE, Process, SubprocessStreamProtocol
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, Final

from meshdns.sources.access import Access, Plugin
from meshdns.sources.settings import SourceError

SECONDS: Final = 30.0
"""How long a plugin may take: it may ask a cloud, but not a person."""

OUTPUT: Final = 2**20
"""Octets that a plugin may print; credentials are some thousand."""

_CHUNK: Final = 2**14
_SHOWN: Final = 300


@dataclass(frozen=True, slots=True)
class Credential:
    """What the server is shown. `expires` is a Unix time, infinite where nothing was said."""

    token: str = field(default="", repr=False)
    certificate: bytes = field(default=b"", repr=False)
    key: bytes = field(default=b"", repr=False)
    expires: float = float("inf")


async def credential(plugin: Plugin, access: Access, *, environment: Mapping[str, str], seconds: float) -> Credential:
    """What `plugin` gives within `seconds`. Raises `SourceError`."""
    loop = asyncio.get_running_loop()
    try:  # as asyncio.create_subprocess_exec does, which hides the transport
        transport, protocol = await loop.subprocess_exec(
            partial(SubprocessStreamProtocol, limit=_CHUNK, loop=loop),
            _program(plugin),
            *plugin.arguments,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=PIPE,
            stderr=PIPE,
            env={**environment, **dict(plugin.environment), "KUBERNETES_EXEC_INFO": _question(plugin, access)},
            start_new_session=True,
        )
    except (OSError, ValueError) as error:
        hint = plugin.hint or "install it, or correct exec in the kubeconfig"
        raise SourceError(f"{access.title}: {plugin.command} cannot be run: {error}; {hint}") from None
    process = Process(transport, protocol, loop)
    try:
        async with asyncio.timeout(seconds):
            printed, said = await asyncio.gather(_output(process.stdout), _output(process.stderr))
            status = await process.wait()
    except _FloodError:
        raise SourceError(
            f"{access.title}: {plugin.command} printed more than {OUTPUT} octets; run it by hand"
        ) from None
    except TimeoutError:
        raise SourceError(
            f"{access.title}: {plugin.command} gave no credentials in {seconds:g} s; run it by hand to see what it "
            "waits for"
        ) from None
    finally:
        _end(transport)
        await process.wait()
    if status:
        told = said.decode("utf-8", "replace").strip()[-_SHOWN:]
        words = f"failed with status {status}" + (f" ({told})" if told else "")
        raise SourceError(f"{access.title}: {plugin.command} {words}; run it by hand")
    try:
        return _read(printed)
    except (ValueError, TypeError, KeyError) as error:
        raise SourceError(f"{access.title}: {plugin.command} gave no credentials ({error}); run it by hand") from None


def _program(plugin: Plugin) -> str:
    return str(Path(plugin.folder, plugin.command)) if "/" in plugin.command else plugin.command


def _question(plugin: Plugin, access: Access) -> str:
    """KUBERNETES_EXEC_INFO, by which the plugin learns the version that is wanted and, if it asks so, the server."""
    cluster = {
        "server": access.server,
        "tls-server-name": access.server_name,
        "insecure-skip-tls-verify": access.insecure,
        "certificate-authority-data": base64.b64encode(access.authority).decode(),
        "proxy-url": access.proxy,
    }
    spec: dict[str, Any] = {"interactive": False}
    if plugin.wants_cluster:
        spec["cluster"] = {key: value for key, value in cluster.items() if value}
    return json.dumps({"apiVersion": plugin.version, "kind": "ExecCredential", "spec": spec})


class _FloodError(Exception):
    """The plugin printed too much."""


async def _output(stream: asyncio.StreamReader | None) -> bytes:
    """All that is printed. Raises `_FloodError`."""
    chunks: list[bytes] = []
    size = 0
    while stream is not None and (chunk := await stream.read(_CHUNK)):
        chunks.append(chunk)
        size += len(chunk)
        if size > OUTPUT:
            raise _FloodError
    return b"".join(chunks)


def _end(transport: asyncio.SubprocessTransport) -> None:
    """Leave nothing behind of the plugin, whatever it started, and no pipe that one of these still holds."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(transport.get_pid(), signal.SIGKILL)
    transport.close()


def _read(printed: bytes) -> Credential:
    """The credential in an ExecCredential. Raises `ValueError`, `TypeError` or `KeyError`."""
    status = json.loads(printed)["status"]
    token, certificate = status.get("token") or "", status.get("clientCertificateData") or ""
    key, expires = status.get("clientKeyData") or "", status.get("expirationTimestamp")
    if not token and not (certificate and key):
        raise ValueError("neither a token nor a certificate with its key")
    if not isinstance(token, str) or "\n" in token:
        raise ValueError("the token is not one line of text")
    moment = datetime.fromisoformat(expires) if expires else None
    if moment is not None and moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return Credential(
        token, str(certificate).encode(), str(key).encode(), moment.timestamp() if moment else float("inf")
    )
