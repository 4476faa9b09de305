"""What the look-ups of a host name brought: usable addresses, or why it has none.

A host name of an endpoint and one of a gateway are judged alike, and by nothing but this module.
"""

import enum
from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from itertools import islice
from typing import Final

import msgspec

from meshdns.mesh.addresses import Scope, parse_address, scope_of
from meshdns.mesh.objects.foreign import listed

MAX_RESOLVED: Final = 64
"""Addresses of one host name that count: whoever answers for it decides how many there are."""

_MAX_NAMED: Final = 2  # addresses in a reason, which must fit an extended error


class HostStatus(enum.Enum):
    """The states of a host name; the value is the text that lists show, empty where nothing is wrong."""

    USABLE = ""
    EMPTY = "resolves to nothing"
    NEVER_SERVED = "resolves to nothing that is served"
    FAILING = "look-ups fail"
    WAITING = "no reply yet"

    @property
    def is_pending(self) -> bool:
        """Whether an address may still come without anything being changed."""
        return self in (HostStatus.FAILING, HostStatus.WAITING)

    @property
    def is_dead(self) -> bool:
        """Whether look-ups have shown that it has no address, or that they bring none."""
        return self not in (HostStatus.USABLE, HostStatus.WAITING)


class HostState(msgspec.Struct, frozen=True):
    """The state of one host name: its usable `addresses`, or in `lack` why it has none."""

    status: HostStatus
    addresses: tuple[str, ...] = ()
    lack: str = ""


def host_state(host: str, resolved: Mapping[str, tuple[str, ...]], failing: AbstractSet[str]) -> HostState:
    """Return the state of a host name, or of an address, which is usable as it is.

    `resolved` holds what host names last resolved to, `failing` those whose look-ups failed before any reply came.
    """
    if parse_address(host) is not None:
        return HostState(HostStatus.USABLE, (host,))
    addresses = resolved.get(host)
    if addresses is None:
        if host in failing:
            return HostState(HostStatus.FAILING, lack=f"look-ups of {host} fail")
        return HostState(HostStatus.WAITING, lack=f"no reply yet for {host}")
    if not addresses:
        return HostState(HostStatus.EMPTY, lack=f"{host} resolves to nothing")
    served = (address for address in addresses if scope_of(address) not in (None, Scope.NEVER_SERVED))
    usable = tuple(islice(served, MAX_RESOLVED))
    if usable:
        return HostState(HostStatus.USABLE, usable)
    named = listed(addresses, _MAX_NAMED)
    return HostState(HostStatus.NEVER_SERVED, lack=f"{host} resolves to {named}, which is never served")
