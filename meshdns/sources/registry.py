"""Registry of the clusters of all sources: which one is served under which name. Pure.

Rules:
- A name belongs to the source that registered it first, until it is given back (istiod's rule for remote secrets).
- One cluster is served under one name: of several with one UID and one server that of the own cluster, else of the
  source that stands first in the settings, else the one registered first, as soon as it has been read. So all instances
  with the same settings serve the same one, whichever answers first.
- A UID is no secret: any server may say it. The same UID from another server, by its address or by the authority of its
  certificate, is a conflict. Kept is the cluster whose UID the settings give (``clusters.<name>.uid``), else the own
  one, else the first that the settings name, else of those that only Secrets name the one that an earlier process
  served, else the one that was read first. Nothing of the others is served.
"""

import math
import re
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final, NamedTuple
from urllib.parse import urlsplit

from meshdns.mesh.objects.raw import is_text
from meshdns.sources.auth.kubeconfig import ClientConfig

NO_NAME: Final = ""
_NAME_LIMIT: Final = 253  # bytes: as long as names of objects; keys of the name database begin with it


def is_cluster_name(name: str) -> bool:
    """Whether a cluster can be served under this name: one line of text, of bounded length."""
    return is_text(name) and name.isprintable() and 0 < len(name.encode()) <= _NAME_LIMIT


_PEM_BLOCK: Final = re.compile(rb"-----BEGIN [^-]+-----(.*?)-----END", re.DOTALL)
_DEFAULT_PORTS: Final = {"https": 443, "http": 80}


class ServerIdentity(NamedTuple):
    """What tells one server from another: its address, and who vouches for it."""

    address: tuple[str, ...] = ()
    authority: frozenset[bytes] = frozenset()
    """The certificates of its authorities; empty: those of the system, or none."""


def server_identity(config: ClientConfig) -> ServerIdentity:
    """The server that an access leads to, however it is written."""
    parts = urlsplit(config.server)
    port = parts.port or _DEFAULT_PORTS.get(parts.scheme, 0)
    verified = parts.scheme == "https" and not config.insecure
    detour = "" if verified else config.proxy  # whoever is in between could be the server
    address = (
        parts.scheme,
        parts.hostname or "",
        f"{port:d}",
        parts.path.rstrip("/"),
        config.server_name,
        "insecure" if config.insecure else "",
    )
    certificates = (b"".join(block.split()) for block in _PEM_BLOCK.findall(config.ca_bundle))
    return ServerIdentity((*address, detour), frozenset(certificates))


UNKNOWN_SERVER: Final = ServerIdentity()


class _Claim(NamedTuple):
    """That a server says that it is the cluster with this UID; an empty UID is no claim."""

    uid: str = ""
    server: ServerIdentity = UNKNOWN_SERVER


_NO_CLAIM: Final = _Claim()


@dataclass(slots=True)
class _Registration:
    owner: str
    rank: int
    count: int
    is_named: bool
    claim: _Claim
    is_complete: bool = False
    synced: float = math.inf  # number in the order in which clusters were read under their UIDs
    pending: _Claim = _NO_CLAIM  # of the access that is to replace the current one


class ClusterRegistry:
    """The names that are taken, by whom, and the clusters' identities; `own` is the own cluster's name or empty.

    `believed` are the UIDs that the settings give, `remembered` those that an earlier process served, by cluster.
    """

    def __init__(
        self, own: str = "", *, believed: Mapping[str, str] | None = None, remembered: Mapping[str, str] | None = None
    ) -> None:
        self._own = own
        self._believed = believed or {}
        self._remembered = remembered or {}
        self._registrations: dict[str, _Registration] = {}
        self._names_by_uid: dict[str, list[str]] | None = None
        self._count = 0
        self._synced_count = 0
        self._subscribers: list[Callable[[], None]] = []

    @property
    def own(self) -> str:
        """The name of the own cluster; empty without one."""
        return self._own

    def claim(
        self, name: str, owner: str, rank: int, server: ServerIdentity = UNKNOWN_SERVER, *, is_named: bool = True
    ) -> str:
        """Register `name` for `owner` (for people) in the source of that `rank`; who has it already, or `NO_NAME`.

        `is_named` says that the settings name the cluster, or files of the operator that they name.
        """
        if name in self._registrations:
            return self._registrations[name].owner
        self._count += 1
        claim = _Claim(self._remembered.get(name, ""), server)
        self._registrations[name] = _Registration(owner, rank, self._count, is_named, claim)
        self._names_by_uid = None
        return NO_NAME

    def release(self, name: str) -> None:
        """The name is free again."""
        if self._registrations.pop(name, None) is not None:
            self._notify()

    def believed_uid(self, name: str) -> str:
        """The UID that the settings give for a cluster; empty where they do not."""
        return self._believed.get(name, "")

    def remembered_uid(self, name: str) -> str:
        """The UID of the cluster that an earlier process served under that name; empty where it is not known."""
        return self._remembered.get(name, "")

    def set_uid(self, name: str, uid: str, server: ServerIdentity | None = None) -> None:
        """The cluster of a registered name, at this server, has this UID; empty: that is not known any more."""
        registration = self._registrations[name]
        claim = _Claim(uid, registration.claim.server if server is None else server)
        if registration.claim != claim:
            if registration.claim.uid != uid:
                registration.synced = math.inf
            registration.claim = claim
            self._notify()

    def set_pending(self, name: str, uid: str, server: ServerIdentity) -> None:
        """The access that is to replace that of a name leads to this; an empty UID ends it."""
        registration = self._registrations.get(name)
        claim = _Claim(uid, server) if uid else _NO_CLAIM
        if registration is not None and registration.pending != claim:
            registration.pending = claim
            self._notify()

    def mark_complete(self, name: str) -> None:
        """All of the cluster was read under that name."""
        registration = self._registrations[name]
        if not registration.is_complete or math.isinf(registration.synced):
            self._synced_count += 1
            registration.is_complete = True
            registration.synced = min(registration.synced, self._synced_count)
            self._notify()

    # ------------------------------------------------------------------------------------------ judgement

    def duplicate_of(self, name: str) -> str:
        """The name under which the same server is served instead of `name`; `NO_NAME` where this one is."""
        mine = self._registrations[name]
        others = [
            (self._precedence(other), other)
            for other in self._namesakes(mine.claim.uid)
            if (found := self._registrations[other]).claim == mine.claim
            and found.is_complete
            and self._precedence(other) < self._precedence(name)
        ]
        return min(others, default=((0, 0), NO_NAME))[1]

    def rival_of(self, name: str, *, pending: bool = False) -> str:
        """The name of another server with the same UID that is kept instead of `name`; `NO_NAME` where there is none.

        `pending` asks for the access that is to replace the current one of `name`.
        """
        mine = self._registrations[name]
        claim = mine.pending if pending else mine.claim
        standing = self._standing(name, claim.uid)
        others = [
            (self._standing(other, claim.uid), other)
            for other in self._namesakes(claim.uid)
            if other != name
            and self._registrations[other].claim.uid == claim.uid
            and self._registrations[other].claim.server != claim.server
            and self._standing(other, claim.uid) < standing
        ]
        return min(others)[1] if others else NO_NAME

    def rivals(self, name: str) -> list[str]:
        """The names of other servers that say that they are the cluster of `name`, sorted."""
        mine = self._registrations[name]
        claims = [claim for claim in (mine.claim, mine.pending) if claim.uid]
        return sorted(
            {
                other
                for claim in claims
                for other in self._namesakes(claim.uid)
                if other != name and any(found.server != claim.server for found in self._claims(other, claim.uid))
            }
        )

    def is_same_authority(self, name: str, other: str) -> bool:
        """Whether one authority vouches for the servers of both names."""
        authority = self._registrations[name].claim.server.authority
        return bool(authority) and authority == self._registrations[other].claim.server.authority

    def _claims(self, name: str, uid: str) -> Iterator[_Claim]:
        registration = self._registrations[name]
        yield from (claim for claim in (registration.claim, registration.pending) if claim.uid == uid)

    def _namesakes(self, uid: str) -> list[str]:
        """The names whose servers say that they have this UID."""
        if self._names_by_uid is None:
            names = defaultdict(list)
            for name, registration in self._registrations.items():
                for known in {registration.claim.uid, registration.pending.uid} - {""}:
                    names[known].append(name)
            self._names_by_uid = dict(names)
        return self._names_by_uid.get(uid, [])

    def _precedence(self, name: str) -> tuple[int, int]:
        registration = self._registrations[name]
        return (-1 if name == self._own else registration.rank, registration.count)

    def _standing(self, name: str, uid: str) -> tuple[float, ...]:
        """How well founded a claim is; the smallest is believed."""
        registration = self._registrations[name]
        who = (self._believed.get(name) != uid, name != self._own, not registration.is_named)
        if registration.is_named:
            return (*who, registration.rank, registration.count, 0, 0)
        synced = registration.synced if registration.claim.uid == uid else math.inf
        return (*who, 0, self._remembered.get(name) != uid, synced, registration.count)

    def subscribe(self, on_change: Callable[[], None]) -> None:
        """Call `on_change` whenever a name or an identity is free, or another's."""
        self._subscribers.append(on_change)

    def unsubscribe(self, on_change: Callable[[], None]) -> None:
        """Call `on_change` no more."""
        self._subscribers = [each for each in self._subscribers if each != on_change]

    def _notify(self) -> None:
        self._names_by_uid = None
        for told in tuple(self._subscribers):
            told()
