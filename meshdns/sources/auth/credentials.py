"""Credentials for API servers: token files, credential plugins, and their expiry.

Rules:
- A token file is read again after a minute (as client-go does; the kubelet renews at 80 % of a token's life) and
  whenever the server does not accept what was read. A file that cannot be read, or is empty in that moment, costs
  nothing as long as the last token may still be good.
- A credential plugin runs again when its credential expires, or was not accepted, never more often than once a second.
- A token or certificate that is written in the kubeconfig does not rotate here: other content is another access.

Rules for credential plugins, programs that a kubeconfig names and that print an ExecCredential
(k8s.io/client-go plugin/pkg/client/auth/exec, and more where it says nothing):
- A plugin has 30 s and may print 1 MiB; then it is killed with all processes that it started. Its standard input is
  empty, and it is told that it is not interactive.
- A bare command is looked up in PATH; one with a slash begins at the kubeconfig's folder.
- Its standard error is shown only when it fails, and only the end of it.

Rules for the expiry:
- Only the credential itself is read, no server is asked. If it names several ends, the first one counts.
- A token is read if it is a JWT (RFC 7519 section 4.1.4), a certificate as far as its validity (RFC 5280 section
  4.1.2.5); what cannot be read has no known end.
"""

import asyncio
import base64
import binascii
import contextlib
import json
import math
import os
import signal
import ssl
from asyncio.subprocess import PIPE, Process, SubprocessStreamProtocol
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, Final

import msgspec

from meshdns.config.regular_file import read_regular_file
from meshdns.mesh.objects.foreign import bounded_text, words_of
from meshdns.sources.auth.kubeconfig import ClientConfig, ExecPlugin
from meshdns.sources.settings import SourceError, source_errors

PLUGIN_TIMEOUT: Final = 30.0
"""How long a plugin may take: it may ask a cloud, but not a person."""

PLUGIN_OUTPUT_LIMIT: Final = 2**20
"""Bytes that a plugin may print; credentials have some thousand."""

_CHUNK: Final = 2**14
_STDERR_SHOWN: Final = 300


@dataclass(frozen=True, slots=True)
class Credential:
    """A token, or a client certificate and its key. `expires_at` is a Unix time, infinite if unknown."""

    token: str = field(default="", repr=False)
    certificate: bytes = field(default=b"", repr=False)
    key: bytes = field(default=b"", repr=False)
    expires_at: float = float("inf")


async def run_plugin(
    plugin: ExecPlugin, client_config: ClientConfig, *, environment: Mapping[str, str], seconds: float
) -> Credential:
    """Run `plugin` for at most `seconds` and return its credential. Raises `SourceError`."""
    loop = asyncio.get_running_loop()
    try:  # as asyncio.create_subprocess_exec does, which hides the transport
        transport, protocol = await loop.subprocess_exec(
            partial(SubprocessStreamProtocol, limit=_CHUNK, loop=loop),
            _executable(plugin),
            *plugin.arguments,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=PIPE,
            stderr=PIPE,
            env={**environment, **dict(plugin.environment), "KUBERNETES_EXEC_INFO": _exec_info(plugin, client_config)},
            start_new_session=True,
        )
    except (OSError, ValueError) as error:
        hint = plugin.install_hint or "install it, or correct exec in the kubeconfig"
        raise SourceError(
            f"{client_config.title}: {plugin.command} cannot be run: {_run_reason(error)}; {hint}"
        ) from None
    process = Process(transport, protocol, loop)
    try:
        async with asyncio.timeout(seconds):
            printed, said = await asyncio.gather(_read_output(process.stdout), _read_output(process.stderr))
            status = await process.wait()
    except _OutputTooLargeError:
        raise SourceError(
            f"{client_config.title}: {plugin.command} printed more than {PLUGIN_OUTPUT_LIMIT} octets; run it by hand"
        ) from None
    except TimeoutError:
        raise SourceError(
            f"{client_config.title}: {plugin.command} gave no credentials in {seconds:g} s; "
            "run it by hand to see what it "
            "waits for"
        ) from None
    finally:
        _kill_process_group(transport)
        await process.wait()
    if status:
        told = bounded_text(said.decode("utf-8", "replace").strip()[-_STDERR_SHOWN:], _STDERR_SHOWN)
        words = f"failed with status {status}" + (f" ({told})" if told else "")
        raise SourceError(f"{client_config.title}: {plugin.command} {words}; run it by hand")
    try:
        return _parse_exec_credential(printed)
    except (ValueError, TypeError, KeyError, AttributeError, OverflowError, RecursionError) as error:
        raise SourceError(
            f"{client_config.title}: {plugin.command} gave no credentials ({words_of(error)}); run it by hand"
        ) from None


def _run_reason(error: OSError | ValueError) -> str:
    return error.strerror if isinstance(error, OSError) and error.strerror else words_of(error)


def _executable(plugin: ExecPlugin) -> str:
    return os.fspath(Path(plugin.folder, plugin.command)) if "/" in plugin.command else plugin.command


def _exec_info(plugin: ExecPlugin, client_config: ClientConfig) -> str:
    """KUBERNETES_EXEC_INFO, by which the plugin learns the version that is wanted and, if it asks so, the server."""
    cluster = {
        "server": client_config.server,
        "tls-server-name": client_config.server_name,
        "insecure-skip-tls-verify": client_config.insecure,
        "certificate-authority-data": base64.b64encode(client_config.ca_bundle).decode(),
        "proxy-url": client_config.proxy,
    }
    spec: dict[str, Any] = {"interactive": False}
    if plugin.provide_cluster_info:
        spec["cluster"] = {key: value for key, value in cluster.items() if value}
    return json.dumps({"apiVersion": plugin.api_version, "kind": "ExecCredential", "spec": spec})


class _OutputTooLargeError(Exception):
    """The plugin printed too much."""


async def _read_output(stream: asyncio.StreamReader | None) -> bytes:
    """All that is printed. Raises `_OutputTooLargeError`."""
    chunks: list[bytes] = []
    size = 0
    while stream is not None and (chunk := await stream.read(_CHUNK)):
        chunks.append(chunk)
        size += len(chunk)
        if size > PLUGIN_OUTPUT_LIMIT:
            raise _OutputTooLargeError
    return b"".join(chunks)


def _kill_process_group(transport: asyncio.SubprocessTransport) -> None:
    """Leave nothing behind of the plugin, whatever it started, and no pipe that one of these still holds."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(transport.get_pid(), signal.SIGKILL)
    transport.close()


def _parse_exec_credential(printed: bytes) -> Credential:
    """The credential in an ExecCredential. Raises many kinds of exceptions."""
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
    if not isinstance(certificate, str) or not isinstance(key, str):
        raise TypeError("certificate and key are not text")
    return Credential(token, certificate.encode(), key.encode(), moment.timestamp() if moment else float("inf"))


_JWT_PARTS: Final = 3
_DER_SEQUENCE: Final = 0x30
_DER_VERSION: Final = 0xA0
_DER_UTC_TIME: Final = 0x17  # two digits of the year
_PEM_END: Final = "-----END CERTIFICATE-----"


def credential_expiry(credential: Credential) -> float:
    """Return the Unix time at which a credential ends, infinite if it names none."""
    return min(credential.expires_at, _token_expiry(credential.token), _certificate_expiry(credential.certificate))


class _Claims(msgspec.Struct):
    exp: float = math.inf


def _token_expiry(token: str) -> float:
    parts = token.split(".")
    if len(parts) != _JWT_PARTS:
        return math.inf
    try:
        claims = base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4))
        return msgspec.json.decode(claims, type=_Claims).exp
    except (ValueError, binascii.Error, msgspec.MsgspecError):
        return math.inf


def _certificate_expiry(pem: bytes) -> float:
    """The end of the first certificate, which is the client's own."""
    text = pem.decode("ascii", "replace")
    begin = text.find("-----BEGIN CERTIFICATE-----")
    end = text.find(_PEM_END, begin)
    if begin < 0 or end < 0:
        return math.inf
    try:
        return _not_after(ssl.PEM_cert_to_DER_cert(text[begin : end + len(_PEM_END)]))
    except (ValueError, binascii.Error, IndexError):
        return math.inf


def _not_after(der: bytes) -> float:
    """The end of the validity: Certificate → TBSCertificate → its fourth field, behind an explicit version if any."""
    _, at, _ = _der_element(der, 0)
    _, at, _ = _der_element(der, at)
    tag, _, behind = _der_element(der, at)
    at = behind if tag == _DER_VERSION else at
    for _ in range(3):  # serial number, signature algorithm, issuer
        _, _, at = _der_element(der, at)
    tag, at, _ = _der_element(der, at)
    if tag != _DER_SEQUENCE:
        raise ValueError("no validity")
    _, _, at = _der_element(der, at)
    tag, at, behind = _der_element(der, at)
    text = der[at:behind].decode("ascii")
    if tag == _DER_UTC_TIME:
        text = ("19" if text >= "50" else "20") + text
    return datetime.strptime(text, "%Y%m%d%H%M%SZ").replace(tzinfo=UTC).timestamp()


def _der_element(der: bytes, at: int) -> tuple[int, int, int]:
    """Tag, begin and end of the content of the element at `at`. Raises `IndexError` where there is none."""
    tag, size, begin = der[at], der[at + 1], at + 2
    if size & 0x80:
        length = size & 0x7F
        size = int.from_bytes(der[begin : begin + length], "big")
        begin += length
    return tag, begin, begin + size


_TOKEN_FILE_INTERVAL: Final = 60.0  # seconds
_RENEW_BEFORE_EXPIRY: Final = 10.0  # seconds before its end at which a credential is renewed: a request takes its time
_MIN_RENEWAL_INTERVAL: Final = (
    1.0  # seconds: all kinds find an expired token at the same time; reading it once is enough
)
_TOKEN_LIMIT: Final = 2**16

AuthProviderToken = Callable[[ClientConfig], Awaitable[str]]
"""The token of an ``auth-provider``. Raises `SourceError`."""


class CredentialSource:
    """Source of the credential for `client_config`.

    `clock` measures ages, `wall_clock` is the Unix time of expiries; `on_credential` is called with each new one.
    """

    def __init__(
        self,
        client_config: ClientConfig,
        *,
        environment: Mapping[str, str],
        clock: Callable[[], float],
        wall_clock: Callable[[], float],
        auth_provider_token: AuthProviderToken,
        on_credential: Callable[[Credential], None] = lambda _credential: None,
    ) -> None:
        self._client_config = client_config
        self._environment = environment
        self._clock = clock
        self._wall = wall_clock
        self._auth_provider_token = auth_provider_token
        self._on_credential = on_credential
        self._lock = asyncio.Lock()
        self._current: Credential | None = None
        self._obtained_at = 0.0
        self._is_rejected = False

    async def credential(self) -> Credential:
        """Return the credential to use now. Raises `SourceError`."""
        async with self._lock:
            if self._current is None or self._is_due():
                with source_errors(f"{self._client_config.title}: its credential"):
                    self._current = await self._obtain()
                self._obtained_at = self._clock()
                self._is_rejected = False
                self._on_credential(self._current)
            return self._current

    def mark_rejected(self) -> None:
        """Get another credential because the server did not accept this one, unless that was just done."""
        self._is_rejected = True

    def _is_due(self) -> bool:
        held = self._current
        age = self._clock() - self._obtained_at
        if self._is_rejected:
            return age >= _MIN_RENEWAL_INTERVAL
        if self._client_config.token_file:
            return age >= _TOKEN_FILE_INTERVAL
        return (
            held is not None and held.expires_at - self._wall() <= _RENEW_BEFORE_EXPIRY and age >= _MIN_RENEWAL_INTERVAL
        )

    async def _obtain(self) -> Credential:
        client_config = self._client_config
        if client_config.plugin is not None:
            return await run_plugin(
                client_config.plugin, client_config, environment=self._environment, seconds=PLUGIN_TIMEOUT
            )
        if client_config.token_file:
            return await asyncio.to_thread(self._read_token)
        if client_config.auth_provider:
            return Credential(
                await self._auth_provider_token(client_config),
                client_config.certificate,
                client_config.key,
                self._wall() + _TOKEN_FILE_INTERVAL,
            )
        return Credential(client_config.token, client_config.certificate, client_config.key)

    def _read_token(self) -> Credential:
        client_config = self._client_config
        try:
            token = read_regular_file(Path(client_config.token_file), max_size=_TOKEN_LIMIT)[0].decode("ascii").strip()
            reason = "" if token and not any(char.isspace() for char in token) else "is empty or no token"
        except OSError as error:
            token, reason = "", f"cannot be read: {error.strerror}"
        except UnicodeDecodeError:
            token, reason = "", "is no token"
        if not reason:
            return Credential(token, client_config.certificate, client_config.key)
        if self._current is not None and not self._is_rejected:
            return self._current
        raise SourceError(f"{client_config.title}: the token file {client_config.token_file} {reason}; correct it")


def auth_provider_kubeconfig(client_config: ClientConfig) -> dict[str, Any]:
    """A kubeconfig that holds the ``auth-provider`` of `client_config` alone, for the library that runs it."""
    return {
        "current-context": "one",
        "contexts": [{"name": "one", "context": {"cluster": "one", "user": "one"}}],
        "clusters": [{"name": "one", "cluster": {"server": client_config.server}}],
        "users": [{"name": "one", "user": {"auth-provider": json.loads(client_config.auth_provider)}}],
    }
