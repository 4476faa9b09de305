"""Identity of the cluster that answers: the UID of its namespace ``kube-system``, which is unique and never changes.

Rules:
- It is looked at before each list and each watch, since behind the same address another cluster may have come up
  (restored, moved, a load balancer turned round). Lists and watches that begin together share one look-up.
- It is looked at again after a list that took longer than a look holds, before that list counts.
- It has no deadline of its own: that of the request covers it, and leaves a credential plugin its time.
- A reader that may not list namespaces gets no identity, and `check_uid` an empty one: it decides what that means.
"""

import asyncio
import re
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Final

import msgspec

from meshdns.instance.clocks import SuspensionWatch
from meshdns.sources.kube.follower import Connection, WatchReply
from meshdns.sources.kube.list_budget import Lease, read_body
from meshdns.sources.kube.payload import PayloadError, decode_item, decode_page
from meshdns.sources.settings import SourceError

_PATH: Final = "/api/v1/namespaces"
_QUERY: Final = {"fieldSelector": "metadata.name=kube-system", "resourceVersion": "0"}  # from the watch cache
_CHECK_VALIDITY: Final = 1.0  # seconds for which one look holds: no cluster takes another's place faster
_BODY_LIMIT: Final = 2**20  # bytes: one namespace with its annotations
_UID: Final = re.compile(r"[0-9A-Za-z._:-]{1,64}")  # API servers give a UUID

CheckUid = Callable[[str], None]
"""Takes the UID of the cluster that answers, empty if it is not told. Raises `SourceError` where it must not be read.
"""


class VerifiedConnection:
    """A connection that says which cluster it leads to before anything is read over it.

    Implements `meshdns.sources.kube.follower.Connection`.
    """

    def __init__(self, connection: Connection, check_uid: CheckUid, open_lease: Callable[[], Lease]) -> None:
        self._connection = connection
        self._check_uid = check_uid
        self._open_lease = open_lease
        self._lock = asyncio.Lock()
        self._checked_at = float("-inf")
        self._suspension = SuspensionWatch()

    @asynccontextmanager
    async def get(self, path: str, query: Mapping[str, str]) -> AsyncIterator[WatchReply]:
        """Send a request; the reply's header is there on entry. Raises `SourceError`."""
        if "continue" not in query:
            async with self._verify_cluster() as refusal:
                if refusal is not None:
                    yield refusal
                    return
        try:
            async with self._connection.get(path, query) as reply:
                yield reply
        finally:
            if "watch" in query:
                self._checked_at = float("-inf")  # its end may be that of the server
        if "watch" not in query and reply.status == 200:
            async with self._verify_cluster() as refusal:
                if refusal is not None:
                    raise SourceError(
                        f"the API server refused to say who it is after a list (HTTP status {refusal.status}); "
                        "look at its load"
                    )

    async def refresh(self) -> None:
        """Renew the credentials. Raises `SourceError`."""
        await self._connection.refresh()

    @asynccontextmanager
    async def _verify_cluster(self) -> AsyncIterator[WatchReply | None]:
        """Look which cluster answers; gives the reply of a server that would refuse any request. Raises `SourceError`.

        Such a refusal stands for that of the request itself: a server that fails is not asked twice.
        """
        clock = asyncio.get_running_loop().time
        async with self._lock:
            if not self._suspension.was_suspended() and clock() - self._checked_at < _CHECK_VALIDITY:
                yield None
                return
            async with self._connection.get(_PATH, _QUERY) as reply:
                if reply.status in (401, 429) or reply.status >= 500:
                    yield reply
                    return
                uid = _kube_system_uid(await self._body(reply)) if reply.status == 200 else ""
            self._check_uid(uid)
            self._checked_at = clock()
            yield None

    async def _body(self, reply: WatchReply) -> bytearray:
        """The body; empty where it is too long. Raises `SourceError`."""
        return await read_body(reply.chunks(), self._open_lease(), _BODY_LIMIT) or bytearray()


def _kube_system_uid(body: bytearray) -> str:
    """The UID in a list of namespaces; empty where there is none."""
    try:
        namespaces = [decode_item(item) for item in decode_page(body).items]
        read = [msgspec.convert(namespace, _Namespace).metadata for namespace in namespaces]
    except (PayloadError, msgspec.ValidationError):
        return ""
    uid = next((metadata.uid for metadata in read if metadata.name == "kube-system"), "")
    return uid if _UID.fullmatch(uid) else ""


class _NamespaceMetadata(msgspec.Struct):
    name: str = ""
    uid: str = ""


class _Namespace(msgspec.Struct):
    metadata: _NamespaceMetadata
