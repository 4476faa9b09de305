"""API servers as a source, and the only door to ``kubernetes``.

Rules:
- Each cluster has a connection and, per kind, a task of its own; nothing that one of them meets reaches another. A
  fault that nobody foresaw is logged and reported as failed, and its kind begins anew after a wait.
- Pods are not listed here (`resources` says why); a workloadSelector over pods works for a folder of manifests.
- The library loads credentials and sends requests. Replies are taken as raw bytes: its typed models lose a whole list
  for one malformed object, and its watch reconnects without end or pause.
- New credentials mean a new client; the old one is closed when its last request is over, so that watches which still
  live are not cut.
- A dead peer is found within 25 s by TCP keepalive, and by the user timeout where there is one.
- ``~/.netrc`` is not read: aiohttp would refuse every request whose host is found there beside its bearer token. The
  proxy variables of the environment are honoured, as kubectl does.
"""

import asyncio
import logging
import os
import socket
import urllib.request
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any, Final
from urllib.parse import urlsplit

import aiohttp
import yaml
from kubernetes.aio import client, config

from meshdns import __version__
from meshdns.sources import kubeconfig
from meshdns.sources.following import Follower
from meshdns.sources.port import Sink
from meshdns.sources.reflector import Reflector
from meshdns.sources.resources import RESOURCES, Resource
from meshdns.sources.settings import InClusterSource, KubeconfigSource, SourceError

_LOAD_SECONDS: Final = 30.0  # a credential plugin may ask a cloud
_REFRESH_SECONDS: Final = 1.0  # all kinds find an expired token at the same time; reading it once is enough
_READ_BUFFER: Final = 2**16  # bounds what one wake-up of a watch takes at once
_TIMEOUT: Final = aiohttp.ClientTimeout(total=None, sock_connect=5)  # the follower has the other deadlines
_LOAD_FAULTS: Final = (OSError, ValueError, TypeError, KeyError, AttributeError, config.ConfigException, yaml.YAMLError)
_REQUEST_FAULTS: Final = (aiohttp.ClientError, OSError, ValueError, config.ConfigException, client.ApiException)

_load_kube_config: Final[Any] = config.load_kube_config  # both carry no types
_load_incluster_config: Final[Any] = config.load_incluster_config

log = logging.getLogger(__name__)

Load = Callable[[], Awaitable[Any]]
"""Gives a `client.Configuration` with fresh credentials. Raises `SourceError`."""


async def run(*, source: KubeconfigSource | InClusterSource, sink: Sink, draw: Callable[[], float]) -> None:
    """Report the clusters of `source` to `sink` until cancelled; `draw` gives numbers from 0 to 1 for jitter.

    Raises `SourceError` at once where the source names no usable cluster.
    """
    clusters = _clusters(source)
    async with asyncio.TaskGroup() as group:
        for cluster, title, load in clusters:
            sink.joined(cluster, tuple(RESOURCES), source=title)
            group.create_task(_follow_cluster(cluster, load, sink, draw), name=f"cluster {cluster}")


def _clusters(source: KubeconfigSource | InClusterSource) -> list[tuple[str, str, Load]]:
    if isinstance(source, InClusterSource):
        return [(source.cluster, "the pod's own cluster", _load_in_cluster)]
    where = os.pathsep.join(map(str, source.paths))
    return [
        (context.name, f"kubeconfig {where}, context {context.name}", _context_loader(where, context))
        for context in kubeconfig.contexts(source)
    ]


async def _follow_cluster(cluster: str, load: Load, sink: Sink, draw: Callable[[], float]) -> None:
    connection = ApiConnection(load)
    try:
        async with asyncio.TaskGroup() as group:
            for resource in RESOURCES.values():
                task = _follow_kind(cluster, resource, connection, sink, draw)
                group.create_task(task, name=f"cluster {cluster}: {resource.title}")
    finally:
        await connection.close()


async def _follow_kind(
    cluster: str, resource: Resource, connection: "ApiConnection", sink: Sink, draw: Callable[[], float]
) -> None:
    """Follow one kind for ever; a fault in this program costs that kind a pause, not the process."""
    clock = asyncio.get_running_loop().time
    while True:
        reflector = Reflector(resource, cluster=cluster, sink=sink, draw=draw)
        try:
            await Follower(reflector, resource, connection, clock).run()
        except Exception as error:
            log.exception("cluster %s: %s stopped; it is begun anew", cluster, resource.title)
            sink.failed(cluster, resource.kind, f"{type(error).__name__}: {error}; report this with the log")
        await asyncio.sleep(5 + 25 * draw())


# ---------------------------------------------------------------------------------------------- credentials


def _context_loader(where: str, context: kubeconfig.Context) -> Load:
    async def load() -> Any:
        configuration = client.Configuration()
        try:
            async with asyncio.timeout(_LOAD_SECONDS):
                await _load_kube_config(where, context.name, configuration, persist_config=False)
        except TimeoutError:
            advice = f"run {context.plugin or 'kubectl'} by hand to see what it waits for"
            raise SourceError(
                f"context {context.name!r} gave no credentials in {_LOAD_SECONDS:.0f} s; {advice}"
            ) from None
        except _LOAD_FAULTS as error:
            raise SourceError(f"context {context.name!r} cannot be used: {error}; correct it in {where}") from None
        if context.plugin and not configuration.api_key and not configuration.cert_file:
            # the library logs what a plugin did wrong, and goes on without credentials
            raise SourceError(f"{context.plugin} gave no credentials for context {context.name!r}; run it by hand")
        return configuration

    return load


async def _load_in_cluster() -> Any:
    configuration = client.Configuration()
    try:
        _load_incluster_config(configuration)
    except _LOAD_FAULTS as error:
        raise SourceError(f"no service account here ({error}); run in a pod, or name a kubeconfig") from None
    return configuration


def _environment_proxy(url: str) -> str | None:
    """What HTTPS_PROXY, HTTP_PROXY and NO_PROXY say about a URL."""
    parts = urlsplit(url)
    if urllib.request.proxy_bypass_environment(parts.hostname or ""):  # type: ignore[attr-defined]
        return None
    return urllib.request.getproxies_environment().get(parts.scheme)


# ----------------------------------------------------------------------------------------------- connection


class ApiConnection:
    """The way to one API server: the current client, and those that still have requests under way."""

    def __init__(self, load: Load) -> None:
        self._load = load
        self._client: _Client | None = None
        self._loading = asyncio.Lock()
        self._loaded = 0.0

    @asynccontextmanager
    async def get(self, path: str, query: Mapping[str, str]) -> AsyncIterator["ApiReply"]:
        """Send a GET; the reply's header is there on entry. Raises `SourceError`."""
        one = await self._current()
        one.uses += 1
        try:
            async with one.get(path, query) as reply:
                yield reply
        finally:
            one.uses -= 1
            await one.close_if_over()

    async def refresh(self) -> None:
        """Load the credentials anew, unless another kind just did. Raises `SourceError`."""
        async with self._loading:
            now = asyncio.get_running_loop().time()
            if self._client is None or now - self._loaded >= _REFRESH_SECONDS:
                await self._replace()

    async def close(self) -> None:
        """Close whatever is idle; called when no request is under way."""
        if self._client is not None:
            self._client.retired = True
            await self._client.close_if_over()

    async def _current(self) -> "_Client":
        async with self._loading:
            return self._client or await self._replace()

    async def _replace(self) -> "_Client":
        configuration = await self._load()
        self._loaded = asyncio.get_running_loop().time()
        old, self._client = self._client, _Client(configuration)
        if old is not None:
            old.retired = True
            await old.close_if_over()
        return self._client


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
        except _REQUEST_FAULTS as error:
            raise _unreachable(self._server, error) from None


class _Client:
    """One set of credentials with its pool of connections."""

    def __init__(self, configuration: Any) -> None:
        self.uses = 0
        self.retired = False
        self._server = configuration.host
        if configuration.proxy is None:
            configuration.proxy = _environment_proxy(configuration.host)
        try:
            self._api: Any = client.ApiClient(configuration)  # reads certificates and keys
        except (OSError, ValueError) as error:
            raise SourceError(f"{self._server}: the certificates cannot be used: {error}; correct them") from None
        self._api.user_agent = f"meshdns/{__version__}"
        self._connector = aiohttp.TCPConnector(
            limit=0, ssl=self._api.rest_client.ssl_context, socket_factory=_open_socket
        )
        configuration.client_session_kwargs = {
            "connector": self._connector,
            "read_bufsize": _READ_BUFFER,
            "trust_env": False,
        }

    @asynccontextmanager
    async def get(self, path: str, query: Mapping[str, str]) -> AsyncIterator[ApiReply]:
        response = await self._request(path, query)
        try:
            yield ApiReply(response, self._server)
        finally:
            _abandon(response)

    async def _request(self, path: str, query: Mapping[str, str]) -> aiohttp.ClientResponse:
        try:
            request = await self._api.param_serialize(
                "GET",
                path,
                query_params=list(query.items()),
                header_params={"Accept": "application/json"},
                auth_settings=["BearerToken"],
            )
            reply = await self._api.call_api(*request, _request_timeout=_TIMEOUT)
        except _REQUEST_FAULTS as error:
            raise _unreachable(self._server, error) from None
        response: aiohttp.ClientResponse = reply.response
        return response

    async def close_if_over(self) -> None:
        if self.retired and not self.uses:
            await self._api.close()
            await self._connector.close()


def _abandon(response: aiohttp.ClientResponse) -> None:
    """End a reply that may not be over; one that was read to its end has given its connection back already.

    The connection is cut without TLS's parting words: nobody would wait for them, and a watch is full of what is not
    read any more.
    """
    if response.connection is not None and response.connection.transport is not None:
        response.connection.transport.abort()
    response.close()


def _unreachable(server: str, error: Exception) -> SourceError:
    what = str(error) or type(error).__name__
    if isinstance(error, aiohttp.ClientSSLError):
        return SourceError(f"{server}: {what}; check certificate-authority and the clock")
    return SourceError(f"{server} cannot be read: {what}; check that the API server is up and reachable from here")


def _open_socket(address: aiohttp.AddrInfoType) -> socket.socket:
    """A socket that notices a dead peer: probes after 10 s, then every 5 s, given up after 25 s."""
    sock = socket.socket(family=address[0], type=address[1], proto=address[2])
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    idle = "TCP_KEEPIDLE" if hasattr(socket, "TCP_KEEPIDLE") else "TCP_KEEPALIVE"  # macOS has its own name
    options = {idle: 10, "TCP_KEEPINTVL": 5, "TCP_KEEPCNT": 3, "TCP_USER_TIMEOUT": 25_000}
    for option, value in options.items():
        if hasattr(socket, option):
            sock.setsockopt(socket.IPPROTO_TCP, getattr(socket, option), value)
    return sock
