"""Where another server's answer differs from ours, and whose answer it looks like.

What tells (istio/istio pkg/dns/client, pilot/pkg/controllers/ipallocate; Admiral's ``--se_ip_prefix``):
- addresses of 240.0.0.0/4 and 2001:2::/48 are VIPs that a sidecar or ztunnel takes out of the traffic; nobody routes
  them;
- a sidecar's DNS proxy says that a known name has no address of a family with AA and without the SOA that each
  authoritative server gives;
- istiocoredns denies the whole name then, as authoritatively.
"""

from collections.abc import Collection
from ipaddress import ip_address, ip_network
from typing import Final

import msgspec

from meshdns.dns.presentation import type_name
from meshdns.stubdomains.heard import Heard

_VIPS: Final = {
    ip_network("240.240.0.0/16"): "a VIP that Istio allocated: captured by a sidecar or ztunnel, routed by nobody else",
    ip_network("240.0.0.0/4"): "a VIP of class E, as Admiral and istiocoredns used: it means nothing without a sidecar",
    ip_network("2001:2::/48"): "a VIP that Istio allocated: captured by a sidecar or ztunnel, routed by nobody else",
}
PENDING: Final = "SERVFAIL"
"""What we say while an address is still to come."""


class Difference(msgspec.Struct, frozen=True, rename="camel"):
    """A name that is answered in two ways: addresses, or the word for what came instead of them.

    `note` says whose answer the server's looks like, empty where nothing tells.
    """

    name: str
    type: str
    server: tuple[str, ...]
    meshdns: tuple[str, ...]
    note: str = ""


class Differences(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """All differences, as machines read them; `asked` counts the names that were compared."""

    api_version: str = "meshdns/v1"
    kind: str = "DifferenceList"
    server: str
    asked: int
    items: tuple[Difference, ...]


def compare(name: str, qtype: int, ours: Collection[str], heard: Heard) -> Difference | None:
    """The difference between our addresses of a type (or `PENDING`) and what a server said; None where they agree."""
    word = type_name(qtype)
    theirs = tuple(sorted(record.data for record in heard.records if record.type == word))
    mine = tuple(sorted(ours)) or ("no data",)
    said = theirs or (_instead(heard),)
    if mine == said:
        return None
    return Difference(name, word, said, mine, note(heard, theirs))


def note(heard: Heard, addresses: Collection[str]) -> str:
    """Whose answer it looks like; empty where nothing tells."""
    for text in addresses:
        address = ip_address(text)
        for network, words in _VIPS.items():
            if address.version == network.version and address in network:
                return words
    if heard.denied and not heard.records and heard.authoritative and heard.soa is None:
        if heard.rcode == "NOERROR":
            return "captured by a sidecar's DNS proxy: authoritative without SOA"
        return "denied as istiocoredns does: the name is denied with the type"
    return ""


def _instead(heard: Heard) -> str:
    if heard.rcode == "NOERROR":
        return "no data"
    return heard.rcode or "no reply"
