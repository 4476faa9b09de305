"""Istio's remote secrets as a source: kubeconfigs in Secrets labelled ``istio/multiCluster=true``.

Rules (istiod's, istio/istio pkg/kube/multicluster/secretcontroller.go):
- Each key of a Secret is a cluster's name and its value a kubeconfig; several per Secret are several clusters. A name
  that another Secret has already stays with that one; at the start the oldest Secret has it.
- The own cluster needs no Secret: one that names it is passed over. One bad key harms only itself, and the cluster that
  was read by its last good value still is.
- What is in a Secret is not trusted: see `meshdns.sources.access`.

Secrets are few and change rarely, so that their watch is only a bell: whatever it says, and however it ends, they are
listed anew. None of the ways in which a watch can go wrong needs a rule then. A new list follows after five minutes at
the latest.
"""

import asyncio
import base64
import binascii
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Final, NamedTuple

import msgspec

from meshdns.mesh.problems import Problem, ProblemKind
from meshdns.sources.access import Access
from meshdns.sources.kubeapi import ApiConnection, ApiReply
from meshdns.sources.kubeconfig import Kubeconfig, read_text
from meshdns.sources.payload import LineBuffer, PayloadError, decode_event, decode_page, decode_status
from meshdns.sources.problems import fault
from meshdns.sources.roster import Roster
from meshdns.sources.settings import SourceError

LABEL: Final = "istio/multiCluster=true"

_LIST_SECONDS: Final = 40.0  # a credential plugin may take 30
_WATCH_SECONDS: Final = 240  # to 290
_SHORT: Final = 1.0  # a watch that ends sooner without a word is a failure
_GATHER: Final = 0.2  # seconds for which changes are gathered
_BACKOFF_FIRST: Final = 0.8
_BACKOFF_LAST: Final = 30.0
_FORBIDDEN: Final = 30.0  # to twice that
_LIMIT: Final = 64 * 2**20  # octets; a Secret holds 1 MiB

Load = Callable[[], Access]
"""The access to the API server that holds the Secrets. Blocks; raises `SourceError`."""


class _Metadata(msgspec.Struct):
    name: str = ""
    created: str = msgspec.field(default="", name="creationTimestamp")


class _Secret(msgspec.Struct):
    metadata: _Metadata
    data: dict[str, str] | None = None


class _Key(NamedTuple):
    """One key of a Secret; sorted, the oldest comes first."""

    created: str
    secret: str
    cluster: str
    value: str


class _RefusedError(Exception):
    """The API server refused; `wait` is the least time until the next try, in seconds."""

    def __init__(self, reason: str, *, wait: float = 0.0, renew: bool = False) -> None:
        super().__init__(reason)
        self.wait = wait
        self.renew = renew


async def follow_secrets(*, namespace: str, load: Load, own: str, roster: Roster, draw: Callable[[], float]) -> None:
    """Keep `roster` in step with the Secrets of `namespace` until cancelled."""
    secrets = _Secrets(namespace, own)
    failures = 0
    bell = _Bell(load, namespace, draw)
    try:
        while True:
            wait = 0.0
            try:
                secrets.take(await bell.list())
                roster.want(secrets.accesses, secrets.faults, kept=secrets.kept)
                failures = 0
                await bell.wait()
            except (SourceError, PayloadError, TimeoutError, _RefusedError) as error:
                reason = str(error) or "the API server did not answer in time; check that it is well"
                told = fault("secrets", LABEL, reason, namespace)
                roster.want(secrets.accesses, [told, *secrets.faults], kept=secrets.kept, whole=False)
                wait = error.wait if isinstance(error, _RefusedError) else 0.0
                wait += min(_BACKOFF_LAST, _BACKOFF_FIRST * 2 ** min(failures, 16)) * (0.2 + draw())
                failures += 1
            await asyncio.sleep(wait or _GATHER)
    finally:
        await bell.close()


class _Bell:
    """Lists the Secrets, and waits until something about them may have changed."""

    def __init__(self, load: Load, namespace: str, draw: Callable[[], float]) -> None:
        self._load = load
        self._path = f"/api/v1/namespaces/{namespace}/secrets"
        self._namespace = namespace
        self._draw = draw
        self._access: Access | None = None
        self._connection: ApiConnection | None = None
        self._version = ""

    async def list(self) -> list[msgspec.Raw]:
        """All Secrets. Raises `SourceError`, `PayloadError`, `TimeoutError` or `_RefusedError`."""
        connection = await self._connected()
        query = {"labelSelector": LABEL}
        async with asyncio.timeout(_LIST_SECONDS), connection.get(self._path, query) as reply:
            body = await _body(reply)
        if reply.status != 200:
            if reply.status == 401:
                await connection.refresh()
            raise self._refusal(reply.status, body)
        page = decode_page(body)
        self._version = page.resource_version
        return list(page.items)

    async def wait(self) -> None:
        """Return when there may be news. Raises as `list`."""
        connection = await self._connected()
        seconds = _WATCH_SECONDS + int(51 * self._draw())
        query = {
            "labelSelector": LABEL,
            "watch": "true",
            "allowWatchBookmarks": "true",
            "resourceVersion": self._version,
            "timeoutSeconds": str(seconds),
        }
        clock = asyncio.get_running_loop().time
        begun = clock()
        async with asyncio.timeout(seconds + 30), connection.get(self._path, query) as reply:
            if reply.status != 200:
                raise self._refusal(reply.status, await _body(reply))
            lines = LineBuffer()
            async for chunk in reply.chunks():
                if any(decode_event(line)[0] != "BOOKMARK" for line in lines.feed(chunk)):
                    return
        if clock() - begun < _SHORT:
            raise PayloadError("the server ends every watch at once; look for a proxy that cuts long requests")

    async def close(self) -> None:
        """Close the connection."""
        if self._connection is not None:
            await self._connection.close()

    async def _connected(self) -> ApiConnection:
        access = await asyncio.to_thread(self._load)
        if self._connection is None or access != self._access:
            await self.close()
            self._access, self._connection = access, ApiConnection(access)
        return self._connection

    def _refusal(self, status: int, body: bytes) -> _RefusedError:
        said = decode_status(status, body).message or f"HTTP status {status}"
        if status == 403:
            right = f"grant list and watch on secrets in the namespace {self._namespace} by a Role"
            return _RefusedError(
                f"{said}; {right}: meshdns remote print-rbac --own", wait=_FORBIDDEN * (1 + self._draw())
            )
        if status == 401:
            return _RefusedError(f"the credentials are not accepted ({said}); renew the token or certificate")
        return _RefusedError(f"the API server refuses the list of secrets ({said}); look at its log")


async def _body(reply: ApiReply) -> bytes:
    chunks: list[bytes] = []
    size = 0
    async for chunk in reply.chunks():
        chunks.append(chunk)
        size += len(chunk)
        if size > _LIMIT:
            raise PayloadError(f"the reply is longer than {_LIMIT} octets; look for large Secrets with that label")
    return b"".join(chunks)


class _Secrets:
    """What the Secrets say: the clusters' accesses, what is wrong, and which clusters go on as they were."""

    def __init__(self, namespace: str, own: str) -> None:
        self._namespace = namespace
        self._own = own
        self._holders: dict[str, str] = {}  # by cluster the Secret that it is read by
        self.accesses: dict[str, Access] = {}
        self.faults: list[Problem] = []
        self.kept: set[str] = set()

    def take(self, items: Iterable[msgspec.Raw]) -> None:
        """Take over a complete list."""
        self.faults = []
        keys = sorted(key for item in items for key in self._keys(item))
        present = {(key.cluster, key.secret) for key in keys}
        self._holders = {cluster: secret for cluster, secret in self._holders.items() if (cluster, secret) in present}
        for key in keys:
            self._holders.setdefault(key.cluster, key.secret)
        accesses: dict[str, Access] = {}
        self.kept = set()
        for key in keys:
            if self._holders[key.cluster] != key.secret:
                self._conflict(key)
                continue
            try:
                accesses[key.cluster] = self._access(key)
            except SourceError as error:
                self.faults.append(fault("Secret", key.secret, str(error), self._namespace))
                self.kept.add(key.cluster)
        self.accesses = accesses

    def _keys(self, item: msgspec.Raw) -> list[_Key]:
        """The keys of a Secret but that of the own cluster."""
        try:
            secret = msgspec.json.decode(item, type=_Secret)
        except (msgspec.MsgspecError, ValueError, RecursionError) as error:
            self.faults.append(fault("Secret", "", f"cannot be read: {error}; write it anew", self._namespace))
            return []
        metadata = secret.metadata
        return [
            _Key(metadata.created, metadata.name, cluster, value)
            for cluster, value in (secret.data or {}).items()
            if cluster != self._own
        ]

    def _conflict(self, key: _Key) -> None:
        holder = self._holders[key.cluster]
        reason = f"names the cluster {key.cluster}, which is read by the Secret {holder}"
        advice = f"delete this key, or that of {holder}"
        self.faults.append(
            Problem(ProblemKind.CONFLICT, "Secret", self._namespace, key.secret, f"data.{key.cluster}", reason, advice)
        )

    def _access(self, key: _Key) -> Access:
        """The access that a key holds. Raises `SourceError`."""
        where = f"Secret {self._namespace}/{key.secret}, key {key.cluster}"
        try:
            text = base64.b64decode(key.value, validate=True).decode("utf-8")
        except (binascii.Error, ValueError):
            raise SourceError(f"{where} is not UTF-8; put a kubeconfig there") from None
        config = read_text(text, where, kept_in="Secret")
        return Kubeconfig(where, [(Path("/nonexistent/kubeconfig"), config)]).only(trusted=False)[1]
