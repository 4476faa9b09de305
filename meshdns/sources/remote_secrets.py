"""Istio's remote secrets as a source: kubeconfigs in Secrets labelled ``istio/multiCluster=true``.

Rules (istiod's, istio/istio pkg/kube/multicluster/secretcontroller.go):
- Each key of a Secret is a cluster's name and its value a kubeconfig; several per Secret are several clusters. A name
  that another Secret has already stays with that one; at the start the oldest Secret has it.
- The own cluster needs no Secret: one that names it is passed over. One bad key harms only itself, and the cluster that
  was read by its last good value still is.
- What is in a Secret is not trusted: see `meshdns.sources.auth.kubeconfig`. Whatever a key makes this program do, it
  costs that key; whatever a list does, it is a failed list, and the next one follows after a wait.
- No more clusters are read than the settings allow: those that were read before, then those of the oldest Secrets. The
  values of others are not even parsed, and a value that stays as it is is not parsed again. Of keys without end only
  those are looked at that come first.

Secrets are few and change rarely, so that their watch is only a wake-up: whatever it says, and however it ends, they
are listed again. None of the ways in which a watch can go wrong needs a rule then. A new list follows after five
minutes at the latest.
"""

import asyncio
import base64
import binascii
import hashlib
import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Final, NamedTuple, TypeVar

import msgspec

from meshdns.mesh.objects.foreign import bounded_message, bounded_text, describe_error, listed
from meshdns.mesh.objects.problems import Problem, ProblemKind, ProblemList
from meshdns.sources.auth.kubeconfig import ClientConfig, Kubeconfig, parse_kubeconfig
from meshdns.sources.cluster_set import ClusterSet, choose_clusters
from meshdns.sources.documents import SECRET_BUDGET
from meshdns.sources.kube.client import ApiConnection, ApiReply
from meshdns.sources.kube.list_budget import Lease, ListBudget, read_body
from meshdns.sources.kube.payload import LineBuffer, PayloadError, decode_event, decode_page, decode_status
from meshdns.sources.settings import SourceError, problem_from_message, source_errors

LABEL_SELECTOR: Final = "istio/multiCluster=true"

_LIST_TIMEOUT: Final = 40.0  # a credential plugin may take 30
_WATCH_DURATION: Final = 240  # to 290
_MIN_WATCH_DURATION: Final = 1.0  # a watch that ends sooner without a word is a failure
_BATCH_DELAY: Final = 0.2  # seconds for which changes are gathered
_BACKOFF_FIRST: Final = 0.8
_BACKOFF_LAST: Final = 30.0
_FORBIDDEN_RETRY: Final = 30.0  # to twice that
_MAX_PROBLEMS_PER_SECRET: Final = 20
_MAX_KEYS_PER_SECRET: Final = 2_000  # a Secret has room for fewer kubeconfigs
_MAX_KEYS: Final = 10_000  # of all Secrets
_BODY_LIMIT: Final = 64 * 2**20  # bytes; a Secret holds 1 MiB
_VALUE_LIMIT: Final = 256 * 1024  # bytes of base64: a kubeconfig with the authorities of a whole system

_log = logging.getLogger(__name__)

LoadClientConfig = Callable[[], ClientConfig]
"""The access to the API server that holds the Secrets. Blocks; raises `SourceError`."""


class _SecretMetadata(msgspec.Struct):
    name: str = ""
    created: str = msgspec.field(default="", name="creationTimestamp")


class _SecretHead(msgspec.Struct):
    metadata: _SecretMetadata


class _Secret(_SecretHead):
    data: dict[str, str] | None = None


_Shape = TypeVar("_Shape", bound=_SecretHead)


class _SecretKey(NamedTuple):
    """One key of a Secret; sorted, the oldest comes first."""

    created: str
    secret: str
    cluster: str
    value: str

    def digest(self) -> bytes:
        """Return a digest of all of it."""
        return hashlib.sha256("\0".join(self).encode("utf-8", "replace")).digest()


class _RefusedError(Exception):
    """The API server refused; `retry_after` is the least time until the next try, in seconds."""

    def __init__(self, reason: str, *, retry_after: float = 0.0) -> None:
        super().__init__(reason)
        self.message = bounded_message(reason)
        self.retry_after = retry_after


async def watch_remote_secrets(
    *,
    namespace: str,
    load_client_config: LoadClientConfig,
    own: str,
    cluster_set: ClusterSet,
    draw: Callable[[], float],
    budget: ListBudget,
) -> None:
    """Keep `cluster_set` in step with the Secrets of `namespace` until cancelled."""
    secrets = SecretKubeconfigs(namespace, own, cluster_set.max_clusters)
    failures = 0
    watch = _SecretWatch(load_client_config, namespace, draw, partial(budget.lease, own))
    try:
        while True:
            wait = 0.0
            try:
                await asyncio.to_thread(secrets.apply_list, await watch.list_secrets())
                cluster_set.set_clusters(secrets.client_configs, secrets.problems, retained=secrets.unreadable)
                failures = 0
                await watch.wait_for_change()
            except Exception as error:  # noqa: BLE001 — whatever ends a list or a watch, the source goes on
                if not isinstance(error, _EXPECTED_FAILURES):
                    _log.exception("the remote secrets of namespace %s cannot be read", namespace)
                problem = problem_from_message("secrets", LABEL_SELECTOR, _failure_reason(error), namespace)
                cluster_set.set_clusters(
                    secrets.client_configs,
                    [problem, *secrets.problems],
                    retained=secrets.unreadable,
                    is_whole_source=False,
                )
                wait = error.retry_after if isinstance(error, _RefusedError) else 0.0
                wait += min(_BACKOFF_LAST, _BACKOFF_FIRST * 2 ** min(failures, 16)) * (0.2 + draw())
                failures += 1
            await asyncio.sleep(wait or _BATCH_DELAY)
    finally:
        await watch.close()


_EXPECTED_FAILURES: Final = (SourceError, PayloadError, TimeoutError, _RefusedError)


def _failure_reason(error: Exception) -> str:
    match error:
        case SourceError() | _RefusedError():
            return error.message
        case PayloadError():
            return f"{describe_error(error)}; check that the address is a Kubernetes API server"
        case TimeoutError():
            return "the API server did not answer in time; check that it is well"
        case _:
            return f"{describe_error(error)}; report this with the log"


class _SecretWatch:
    """Lists the Secrets, and waits until something about them may have changed."""

    def __init__(
        self,
        load_client_config: LoadClientConfig,
        namespace: str,
        draw: Callable[[], float],
        open_lease: Callable[[], Lease],
    ) -> None:
        self._open_lease = open_lease
        self._load_client_config = load_client_config
        self._path = f"/api/v1/namespaces/{namespace}/secrets"
        self._namespace = namespace
        self._draw = draw
        self._client_config: ClientConfig | None = None
        self._connection: ApiConnection | None = None
        self._version = ""

    async def list_secrets(self) -> list[msgspec.Raw]:
        """All Secrets. Raises `SourceError`, `PayloadError`, `TimeoutError` or `_RefusedError`."""
        connection = await self._current_connection()
        query = {"labelSelector": LABEL_SELECTOR}
        async with asyncio.timeout(_LIST_TIMEOUT), connection.get(self._path, query) as reply:
            body = await self._body(reply)
        if reply.status != 200:
            if reply.status == 401:
                await connection.refresh()
            raise self._refused_error(reply.status, body)
        page = decode_page(body)
        self._version = page.resource_version
        return list(page.items)

    async def wait_for_change(self) -> None:
        """Return when there may be news. Raises as `list_secrets`."""
        connection = await self._current_connection()
        seconds = _WATCH_DURATION + int(51 * self._draw())
        query = {
            "labelSelector": LABEL_SELECTOR,
            "watch": "true",
            "allowWatchBookmarks": "true",
            "resourceVersion": self._version,
            "timeoutSeconds": f"{seconds:d}",
        }
        clock = asyncio.get_running_loop().time
        begun = clock()
        async with asyncio.timeout(seconds + 30), connection.get(self._path, query) as reply:
            if reply.status != 200:
                raise self._refused_error(reply.status, await self._body(reply))
            if await self._has_change(reply):
                return
        if clock() - begun < _MIN_WATCH_DURATION:
            raise PayloadError("the server ends every watch at once; look for a proxy that cuts long requests")

    async def close(self) -> None:
        """Close the connection."""
        if self._connection is not None:
            await self._connection.close()

    async def _has_change(self, reply: ApiReply) -> bool:
        """Read the watch until something changes, or until its end."""
        lines, lease = LineBuffer(), self._open_lease()
        try:
            async for chunk in reply.chunks():
                if any(decode_event(line)[0] != "BOOKMARK" for line in lines.feed(chunk)):
                    return True
                await lease.resize(lines.size)
        finally:
            lease.release()
        return False

    async def _body(self, reply: ApiReply) -> bytearray:
        body = await read_body(reply.chunks(), self._open_lease(), _BODY_LIMIT)
        if body is None:
            advice = "look for large Secrets with that label"
            raise PayloadError(f"the reply is longer than {_BODY_LIMIT} octets; {advice}")
        return body

    async def _current_connection(self) -> ApiConnection:
        client_config = await asyncio.to_thread(self._load_client_config)
        if self._connection is None or client_config != self._client_config:
            await self.close()
            self._client_config, self._connection = client_config, ApiConnection(client_config)
        return self._connection

    def _refused_error(self, status: int, body: bytearray) -> _RefusedError:
        said = decode_status(status, body).message or f"HTTP status {status}"
        if status == 403:
            right = f"grant list and watch on secrets in the namespace {self._namespace} by a Role"
            return _RefusedError(
                f"{said}; {right}: meshdns remote print-rbac --own", retry_after=_FORBIDDEN_RETRY * (1 + self._draw())
            )
        if status == 401:
            return _RefusedError(f"the credentials are not accepted ({said}); renew the token or certificate")
        return _RefusedError(f"the API server refuses the list of secrets ({said}); look at its log")


class SecretKubeconfigs:
    """What the Secrets say: the clusters' accesses, what is wrong, and which clusters go on as they were."""

    def __init__(self, namespace: str, own: str, max_clusters: int) -> None:
        self._namespace = namespace
        self._max_clusters = max_clusters
        self._known: set[str] = set()  # the clusters that are read, or were until their key was broken
        self._own = own
        self._owners: dict[str, str] = {}  # by cluster the Secret that it is read by
        self._outcomes: dict[bytes, ClientConfig | str] = {}  # by the digest of a key its access, or why it has none
        self.client_configs: dict[str, ClientConfig] = {}
        self.problems: list[Problem] = []
        self.unreadable: set[str] = set()
        self._problems_by_secret: dict[str, ProblemList] = {}  # one Secret must not hide what others have

    def apply_list(self, items: Iterable[msgspec.Raw]) -> None:
        """Take over a complete list."""
        self._problems_by_secret = {}
        keys = self._keys(items)
        present = {(key.cluster, key.secret) for key in keys}
        self._owners = {cluster: secret for cluster, secret in self._owners.items() if (cluster, secret) in present}
        for key in keys:
            self._owners.setdefault(key.cluster, key.secret)
        client_configs: dict[str, ClientConfig] = {}
        self.unreadable = set()
        names = dict.fromkeys(key.cluster for key in keys)
        kept, excess = choose_clusters(self._known, names, self._max_clusters)
        outcomes, self._outcomes = self._outcomes, {}
        for key in keys:
            if self._owners[key.cluster] != key.secret:
                self._report_conflict(key)
                continue
            if key.cluster not in kept:
                continue
            digest = key.digest()
            outcome = self._outcomes[digest] = outcomes[digest] if digest in outcomes else self._read_key(key)
            if isinstance(outcome, ClientConfig):
                client_configs[key.cluster] = outcome
            else:
                self._add_problem(problem_from_message("Secret", key.secret, outcome, self._namespace))
                self.unreadable.add(key.cluster)
        self.client_configs = client_configs
        self._known = {name for name in kept if name in client_configs or name in self._known}
        self.problems = [problem for found in self._problems_by_secret.values() for problem in found.problems()]
        if excess:
            self.problems.append(self._excess_problem(excess))

    def _add_problem(self, problem: Problem) -> None:
        self._problems_by_secret.setdefault(problem.name, ProblemList(_MAX_PROBLEMS_PER_SECRET)).add(problem)

    def _excess_problem(self, excess: Sequence[str]) -> Problem:
        reason = f"name more clusters than the {self._max_clusters} that are read; not read: {listed(excess)}"
        advice = "delete what is not needed, or raise maxClusters of the source, and the memory by 1 MiB for each"
        return Problem(ProblemKind.UNREADABLE, "secrets", self._namespace, LABEL_SELECTOR, "", reason, advice)

    def _keys(self, items: Iterable[msgspec.Raw]) -> list[_SecretKey]:
        """The keys of all Secrets but those of the own cluster, sorted.

        Of too many those that are read are kept, then those of the oldest Secrets.
        """
        heads = [(head.metadata, item) for item in items if (head := self._decode(item, _SecretHead)) is not None]
        heads.sort(key=lambda each: (each[0].created, each[0].name))
        keys: list[_SecretKey] = []
        for metadata, item in heads:
            secret = self._decode(item, _Secret)
            if secret is not None and secret.data is not None:
                self._take_keys(metadata, secret.data, keys)
        return sorted(keys)

    def _take_keys(self, metadata: _SecretMetadata, data: Mapping[str, str], keys: list[_SecretKey]) -> None:
        """Add the keys of one Secret to `keys`, as far as there is room."""
        room = min(_MAX_KEYS - len(keys), _MAX_KEYS_PER_SECRET)
        left = 0
        for cluster, value in data.items():
            is_read = cluster in self._known and self._owners.get(cluster) == metadata.name
            if cluster == self._own or not (is_read or room > 0):
                left += cluster != self._own
                continue
            room -= not is_read
            keys.append(_SecretKey(metadata.created, metadata.name, cluster, value))
        if left:
            most = f"{_MAX_KEYS_PER_SECRET} of a Secret and {_MAX_KEYS} of all are looked at"
            reason = f"has too many keys; those that count as unreadable: {left}; {most}"
            advice = "delete the keys that are no kubeconfigs"
            self._add_problem(
                Problem(ProblemKind.OVER_BOUND, "Secret", self._namespace, metadata.name, "data", reason, advice)
            )

    def _decode(self, item: msgspec.Raw, kind: type[_Shape]) -> _Shape | None:
        """A Secret, or the head of one; None, and a problem, where it is none."""
        try:
            return msgspec.json.decode(item, type=kind)
        except (msgspec.MsgspecError, ValueError, RecursionError) as error:
            reason = f"cannot be read: {describe_error(error)}; write it anew"
            self._add_problem(problem_from_message("Secret", "", reason, self._namespace))
            return None

    def _report_conflict(self, key: _SecretKey) -> None:
        holder = self._owners[key.cluster]
        reason = f"names the cluster {key.cluster}, which is read by the Secret {holder}"
        advice = f"delete this key, or that of {holder}"
        self._add_problem(
            Problem(ProblemKind.CONFLICT, "Secret", self._namespace, key.secret, f"data.{key.cluster}", reason, advice)
        )

    def _read_key(self, key: _SecretKey) -> ClientConfig | str:
        """The access that a key holds, or why it holds none."""
        where = bounded_text(f"Secret {self._namespace}/{key.secret}, key {key.cluster}")
        try:
            with source_errors(where):
                return self._parse_client_config(key, where)
        except SourceError as error:
            return error.message

    @staticmethod
    def _parse_client_config(key: _SecretKey, where: str) -> ClientConfig:
        if len(key.value) > _VALUE_LIMIT:
            raise SourceError(f"{where} is longer than {_VALUE_LIMIT} octets in base64; put one kubeconfig there")
        try:
            text = base64.b64decode(key.value, validate=True).decode("utf-8")
        except (binascii.Error, ValueError):
            raise SourceError(f"{where} is not UTF-8; put a kubeconfig there") from None
        config = parse_kubeconfig(text, where, container="Secret", budget=SECRET_BUDGET)
        return Kubeconfig(where, [(Path("/nonexistent/kubeconfig"), config)]).single_cluster(trusted=False)[1]
