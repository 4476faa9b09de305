"""Client of one API server: the only module that imports ``kubernetes``.

Rules:
- The library sends requests. Replies are taken as raw bytes: its typed models lose a whole list for one malformed
  object, and its watch reconnects without end or pause. Credentials are got elsewhere
  (`meshdns.sources.auth.credentials`): it reads files once and leaves keys behind in the temporary folder.
- One client per cluster. A new certificate means a new client; the old one is closed when its last request is over, so
  that watches which still live are not cut. A new token goes with the next request.
- A dead peer is found within 25 s by TCP keepalive, and by the user timeout where there is one.
- ``~/.netrc`` is not read: aiohttp would refuse every request whose host is found there beside its bearer token. The
  proxy variables of the environment are honoured, as kubectl does.
- No redirect is followed, neither of an API server nor of an identity provider: it would have this process send
  requests to wherever the server likes. Cookies are not kept.
- Clients that trust the same certificates and show the same one share their TLS context: with the authorities of the
  system it takes half a MiB.
"""

import asyncio
import os
import socket
import ssl
import tempfile
import time
import urllib.request
import weakref
from asyncio import sslproto
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from typing import Any, Final
from urllib.parse import urlsplit

import aiohttp
from kubernetes.aio import client, config
from kubernetes.aio.config import kube_config, openid

from meshdns import __version__
from meshdns.instance.clocks import boot_time
from meshdns.mesh.objects.foreign import bounded_text, shown
from meshdns.sources.auth.credentials import Credential, CredentialSource, auth_provider_kubeconfig
from meshdns.sources.auth.kubeconfig import ClientConfig
from meshdns.sources.settings import SourceError

_READ_BUFFER: Final = 2**16  # bounds what one wake-up of a watch takes at once
_TIMEOUT: Final = aiohttp.ClientTimeout(total=None, sock_connect=5)  # the follower has the other deadlines
_PROVIDER_TIMEOUT: Final = 30.0
_OBJECT_LIMIT: Final = 8 * 2**20  # bytes of one object: etcd stores 1.5 MiB by default
_PROVIDER_ERRORS: Final = (OSError, ValueError, TypeError, KeyError, AttributeError, config.ConfigException)
_REQUEST_ERRORS: Final = (aiohttp.ClientError, OSError, ValueError, client.ApiException)

_load_from_dict: Final[Any] = config.load_kube_config_from_dict  # carries no types
_kube_config: Final[Any] = kube_config
_Requestor: Final[Any] = openid.OpenIDRequestor

sslproto.SSLProtocol.max_size = _READ_BUFFER  # asyncio's 256 KiB for each connection are 2 MiB for each cluster


class _OpenIdRequestor(_Requestor):  # type: ignore[misc]
    """Asks an identity provider for a token, and no other server that it may name."""

    async def _get(self, session: aiohttp.ClientSession, *args: Any, **options: Any) -> Any:
        return await super()._get(session, *args, allow_redirects=False, **options)

    async def _post(self, session: aiohttp.ClientSession, *args: Any, **options: Any) -> Any:
        return await super()._post(session, *args, allow_redirects=False, **options)


_kube_config.OpenIDRequestor = _OpenIdRequestor


async def auth_provider_token(client_config: ClientConfig) -> str:
    """The token that the ``auth-provider`` of an access gives. Raises `SourceError`."""
    configuration = client.Configuration()
    try:
        async with asyncio.timeout(_PROVIDER_TIMEOUT):
            await _load_from_dict(auth_provider_kubeconfig(client_config), client_configuration=configuration)
    except (TimeoutError, *_PROVIDER_ERRORS) as error:
        said = str(error) or "no answer in time"
        raise SourceError(f"{client_config.title}: auth-provider: {said}; use an exec plugin instead") from None
    words = str(configuration.api_key.get("BearerToken", "")).split()
    if not words:
        raise SourceError(f"{client_config.title}: auth-provider gave no token; use an exec plugin instead")
    return words[-1]


def _environment_proxy(url: str) -> str | None:
    """What HTTPS_PROXY, HTTP_PROXY and NO_PROXY say about a URL."""
    parts = urlsplit(url)
    if urllib.request.proxy_bypass_environment(parts.hostname or ""):  # type: ignore[attr-defined]
        return None
    return urllib.request.getproxies_environment().get(parts.scheme)


# ----------------------------------------------------------------------------------------------- connection


class ApiConnection:
    """The connection to the API server of `client_config`: its client, and older ones with requests under way.

    `on_credential` is told of each credential that is got. Implements `meshdns.sources.kube.follower.Connection`.
    """

    def __init__(
        self, client_config: ClientConfig, on_credential: Callable[[Credential], None] = lambda _credential: None
    ) -> None:
        self._client_config = client_config
        self._credentials = CredentialSource(
            client_config,
            environment=os.environ,
            clock=boot_time,
            wall_clock=time.time,
            auth_provider_token=auth_provider_token,
            on_credential=on_credential,
        )
        self._client: _Client | None = None

    @asynccontextmanager
    async def get(self, path: str, query: Mapping[str, str]) -> AsyncIterator["ApiReply"]:
        """Send a GET; the reply's header is there on entry. Raises `SourceError`."""
        async with self._send("GET", path, query) as reply:
            yield reply

    async def post(self, path: str, body: object) -> tuple[int, bytes]:
        """Send a POST of JSON; status and body of the reply. Raises `SourceError`."""
        async with self._send("POST", path, {}, body) as reply:
            return reply.status, await self._body(reply)

    async def fetch(self, path: str) -> tuple[int, bytes]:
        """Send a GET; status and body of the reply. Raises `SourceError`."""
        async with self._send("GET", path, {}) as reply:
            return reply.status, await self._body(reply)

    async def _body(self, reply: "ApiReply") -> bytes:
        body = bytearray()
        async for chunk in reply.chunks():
            body += chunk
            if len(body) > _OBJECT_LIMIT:
                server = bounded_text(self._client_config.server)
                raise SourceError(f"{server} sends more than {_OBJECT_LIMIT} octets; check that it is an API server")
        return bytes(body)

    async def refresh(self) -> None:
        """Renew the credentials, unless that was just done. Raises `SourceError`."""
        self._credentials.mark_rejected()
        await self._credentials.credential()

    async def close(self) -> None:
        """Close whatever is idle; called when no request is under way."""
        if self._client is not None:
            self._client.is_retired = True
            await self._client.close_if_unused()

    @asynccontextmanager
    async def _send(
        self, method: str, path: str, query: Mapping[str, str], body: object = None
    ) -> AsyncIterator["ApiReply"]:
        credential = await self._credentials.credential()
        one = await self._client_for(credential)
        one.open_requests += 1
        try:
            async with one.send(method, path, query, credential.token, body) as reply:
                yield reply
        finally:
            one.open_requests -= 1
            await one.close_if_unused()

    async def _client_for(self, credential: Credential) -> "_Client":
        """The client that shows this certificate; made where the current one shows another."""
        old = self._client
        if old is not None and old.certificate_and_key == (credential.certificate, credential.key):
            return old
        new = self._client = _Client(self._client_config, credential)
        if old is not None:
            old.is_retired = True
            await old.close_if_unused()
        return new


class ApiReply:
    """An HTTP reply whose body is still to be read."""

    def __init__(self, response: aiohttp.ClientResponse, server: str) -> None:
        self._response = response
        self._server = server

    @property
    def status(self) -> int:
        """The HTTP status."""
        return self._response.status

    @property
    def retry_after(self) -> str:
        """The header of that name; empty without one."""
        return self._response.headers.get("Retry-After", "")

    async def chunks(self) -> AsyncIterator[bytes]:
        """The body as it arrives, whatever is there at once. Raises `SourceError`."""
        try:
            while chunk := await self._response.content.readany():
                yield chunk
        except _REQUEST_ERRORS as error:
            raise _connection_error(self._server, error) from None


class _Session:
    """A session of aiohttp as the library uses it, which follows no redirect."""

    def __init__(self, connector: aiohttp.TCPConnector) -> None:
        self._session = aiohttp.ClientSession(
            connector=connector,
            connector_owner=False,
            cookie_jar=aiohttp.DummyCookieJar(),
            read_bufsize=_READ_BUFFER,
            trust_env=False,
        )

    async def request(self, **arguments: Any) -> aiohttp.ClientResponse:
        return await self._session.request(**arguments, allow_redirects=False)

    async def close(self) -> None:
        await self._session.close()


_ContextKey = tuple[bytes, bytes, bytes, bool]

_shared_contexts: Final[weakref.WeakValueDictionary[_ContextKey, ssl.SSLContext]] = weakref.WeakValueDictionary()


class _Client:
    """One certificate (or none) with its pool of connections."""

    def __init__(self, client_config: ClientConfig, credential: Credential) -> None:
        self.open_requests = 0
        self.is_retired = False
        self.certificate_and_key = (credential.certificate, credential.key)
        self._server = client_config.server
        self._basic = aiohttp.BasicAuth(*client_config.basic_auth).encode() if client_config.basic_auth[0] else ""
        try:
            self._api = _create_api_client(client_config, credential)
        except (OSError, ValueError) as error:
            raise SourceError(f"{self._server}: the certificates cannot be used: {error}; correct them") from None
        rest = self._api.rest_client
        shared = (client_config.ca_bundle, credential.certificate, credential.key, client_config.insecure)
        rest.ssl_context = _shared_contexts.setdefault(shared, rest.ssl_context)
        self._connector = aiohttp.TCPConnector(limit=0, ssl=rest.ssl_context, socket_factory=_create_socket)
        rest.pool_manager = _Session(self._connector)

    @asynccontextmanager
    async def send(
        self, method: str, path: str, query: Mapping[str, str], token: str, body: object
    ) -> AsyncIterator[ApiReply]:
        response = await self._request(method, path, query, token, body)
        try:
            if 300 <= response.status < 400:
                raise _redirect_error(self._server, response)
            yield ApiReply(response, self._server)
        finally:
            _abort(response)

    async def _request(
        self, method: str, path: str, query: Mapping[str, str], token: str, body: object
    ) -> aiohttp.ClientResponse:
        headers = {"Accept": "application/json"}
        if token or self._basic:
            headers["Authorization"] = f"Bearer {token}" if token else self._basic
        if body is not None:
            headers["Content-Type"] = "application/json"
        try:
            request = await self._api.param_serialize(
                method, path, query_params=list(query.items()), header_params=headers, body=body
            )
            reply = await self._api.call_api(*request, _request_timeout=_TIMEOUT)
        except _REQUEST_ERRORS as error:
            raise _connection_error(self._server, error) from None
        response: aiohttp.ClientResponse = reply.response
        return response

    async def close_if_unused(self) -> None:
        if self.is_retired and not self.open_requests:
            await self._connector.close(abort_ssl=True)  # without TLS's parting words, as in `_abort`
            await self._api.close()


def _create_api_client(client_config: ClientConfig, credential: Credential) -> Any:
    """The library's client. Raises `OSError` or `ValueError` for certificates that are none."""
    configuration = client.Configuration(
        host=client_config.server,
        ca_cert_data=client_config.ca_bundle.decode("ascii", "ignore") or None,  # bundles have comments in any script
        verify_ssl=not client_config.insecure,
        tls_server_name=client_config.server_name or None,
        proxy=client_config.proxy or _environment_proxy(client_config.server),
    )
    if not credential.certificate:
        return _with_user_agent(client.ApiClient(configuration))
    with _temporary_file(credential.certificate + b"\n" + credential.key) as path:
        configuration.cert_file = path
        return _with_user_agent(client.ApiClient(configuration))


@contextmanager
def _temporary_file(content: bytes) -> Iterator[str]:
    """A file for the length of the block, on no disk where that can be: ssl takes certificates from files only."""
    if hasattr(os, "memfd_create"):
        with os.fdopen(os.memfd_create("certificate"), "wb") as memory:
            memory.write(content)
            memory.flush()
            yield f"/proc/self/fd/{memory.fileno()}"
    else:
        with tempfile.NamedTemporaryFile(prefix="meshdns-") as file:
            file.write(content)
            file.flush()
            yield file.name


def _with_user_agent(api: Any) -> Any:
    api.user_agent = f"meshdns/{__version__}"
    return api


def _abort(response: aiohttp.ClientResponse) -> None:
    """End a reply that may not be over; one that was read to its end has given its connection back already.

    The connection is aborted without TLS close_notify: the peer does not need it, and a watch is full of what is not
    read any more.
    """
    if response.connection is not None and response.connection.transport is not None:
        response.connection.transport.abort()
    response.close()


def _redirect_error(server: str, response: aiohttp.ClientResponse) -> SourceError:
    target = shown(response.headers.get("Location", ""))
    return SourceError(
        f"{server} redirects to {target} (HTTP status {response.status}), which is not followed; "
        "give the address of the API server itself"
    )


def _connection_error(server: str, error: Exception) -> SourceError:
    what = bounded_text(str(error)) or type(error).__name__
    if isinstance(error, aiohttp.ClientSSLError):
        return SourceError(f"{server}: {what}; check certificate-authority and the clock")
    return SourceError(f"{server} cannot be read: {what}; check that the API server is up and reachable from here")


def _create_socket(address: aiohttp.AddrInfoType) -> socket.socket:
    """A socket that notices a dead peer: probes after 10 s, then every 5 s, given up after 25 s."""
    sock = socket.socket(family=address[0], type=address[1], proto=address[2])
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    idle = "TCP_KEEPIDLE" if hasattr(socket, "TCP_KEEPIDLE") else "TCP_KEEPALIVE"  # macOS has its own name
    options = {idle: 10, "TCP_KEEPINTVL": 5, "TCP_KEEPCNT": 3, "TCP_USER_TIMEOUT": 25_000}
    for option, value in options.items():
        if hasattr(socket, option):
            sock.setsockopt(socket.IPPROTO_TCP, getattr(socket, option), value)
    return sock
