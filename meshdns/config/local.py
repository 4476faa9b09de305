"""Sections of the settings about what is answered here, whatever the mesh and the upstreams say."""

from typing import Annotated

from pydantic import Field

from meshdns.config.section import Section
from meshdns.config.values import Bool


class SpecialNames(Section):
    """Which special names are answered here instead of being forwarded. A name in a configured zone never is one."""

    localhost: Bool = Field(
        default=True,
        description="localhost and below: 127.0.0.1 and ::1 (RFC 6761 6.3). Default: true.",
    )
    invalid: Bool = Field(default=True, description="invalid: does not exist (RFC 6761 6.4). Default: true.")
    test: Bool = Field(
        default=True,
        description="test: does not exist (RFC 6761 6.2). Default: true; a forward zone test wins.",
    )
    alt: Bool = Field(default=True, description="alt: does not exist in DNS (RFC 9476). Default: true.")
    onion: Bool = Field(default=True, description="onion: does not exist in DNS (RFC 7686). Default: true.")
    local: Bool = Field(
        default=False,
        description="local, of multicast DNS: does not exist (RFC 6762). Default: false: Active Directory is often "
        "below it. cluster.local and others that are configured always win.",
    )
    home_arpa: Bool = Field(
        default=True, description="home.arpa: does not exist (RFC 8375). Default: true; a forward zone home.arpa wins."
    )
    resolver_arpa: Bool = Field(
        default=True,
        description="resolver.arpa: no data, as another resolver's encryption is not ours (RFC 9462 6.4). "
        "Default: true.",
    )
    reverse: Bool = Field(
        default=True,
        description="Reverse zones of private and reserved addresses: do not exist (RFC 6303, RFC 7793). Default: "
        "true, as unbound: they would leak; a forward zone such as 10.in-addr.arpa wins. False asks the upstream.",
    )


class RateLimit(Section):
    """How many replies strangers may draw over UDP, where their address may be a victim's (response rate limiting).

    It comes in once allowQuery admits more than private addresses. Counted are replies to a /24 or /56, answers,
    denials and errors apart, by each worker. A client that sends back our cookie, or asks over TCP, is not limited.
    """

    per_second: Annotated[int, Field(strict=True, ge=0, le=1_000_000)] = Field(
        default=200, description="Replies a second, at most 1000000; 0 is no limit. Default: 200, as NSD."
    )
    slip: Annotated[int, Field(strict=True, ge=0, le=10)] = Field(
        default=2,
        description="Every how many replies over the limit one is told to ask over TCP, 0 to 10; the others are "
        "dropped. 0 drops all. Default: 2, as BIND and NSD: an honest client in the block gets through.",
    )
    private: Bool = Field(
        default=False,
        description="Whether private addresses are limited too; loopback never is. Default: false: nobody outside can "
        "be hit by what is sent to them. It costs them the quickest way to an answer.",
    )


class Chaos(Section):
    """What is told of this server in class CHAOS."""

    identity: Bool = Field(
        default=True,
        description="id.server and hostname.bind: the host's name, as NSID (RFC 4892). Default: true: tells which of "
        "many instances answered; false refuses.",
    )
    version: Bool = Field(
        default=False,
        description="version.server and version.bind: name and version. Default: false, refused: an attacker's first "
        "question.",
    )
