"""Every behaviour of the lying upstream, put to one forwarder: over UDP and TCP, with a cold, a warm and a stale cache.

Each behaviour, transport and state of the cache has an upstream of its own, on a port of its own, for a zone of its
own: what a server thinks of one liar does not change how it treats another.
"""

import asyncio
from collections.abc import Iterator
from typing import Final, NamedTuple

from tests.conformance.observed import CACHED, ObservedAnswer, ask
from tests.rig.nameserver import NameServer
from tests.simulators.behaviour_docs import BEHAVIOUR_DOCS, FAILURE
from tests.simulators.behaviours import BEHAVIOURS
from tests.simulators.lying_servers import LyingServers
from tests.simulators.upstream import BRIEF

CACHES: Final = ("cold", "warm", "stale")
TRANSPORTS: Final = ("udp", "tcp")
_AT_ONCE: Final = 18  # questions; dnsmasq serves 20 TCP clients at a time


class Scene(NamedTuple):
    """A behaviour, the transport it shows itself over, and whether there is an honest answer from before."""

    behaviour: str
    transport: str
    kept: bool

    @property
    def zone(self) -> str:
        """The zone with an upstream for this scene alone."""
        return f"{self.behaviour}-{self.transport}-{'kept' if self.kept else 'cold'}.test"

    @property
    def name(self) -> str:
        """The name that is asked; its first label says what the upstream does."""
        marks = ["tcp"] * (self.transport == "tcp") + ["after", "brief"] * self.kept
        return ".".join(["-".join([self.behaviour, *marks]), self.zone])


class Shown(NamedTuple):
    """A cell: what was heard of a behaviour over a transport in a state of the cache."""

    behaviour: str
    transport: str
    cache: str
    heard: ObservedAnswer

    @property
    def right(self) -> bool:
        """Whether that is right to hear, the time aside."""
        if self.cache == "warm":
            return self.heard.kind == CACHED and not self.heard.sends
        fair = set(BEHAVIOUR_DOCS[self.behaviour].accepted)
        if self.cache == "stale":
            fair.add(CACHED)
        if self.transport == "tcp":
            fair.add(FAILURE)  # a connection carries no strangers' messages: there is nothing to wait for
        return self.heard.kind in fair


def scenes() -> Iterator[Scene]:
    """All of them."""
    for behaviour in BEHAVIOURS:
        for transport in TRANSPORTS:
            for kept in (False, True):
                yield Scene(behaviour, transport, kept)


async def play(server: NameServer, upstreams: LyingServers) -> list[Shown]:
    """Put all scenes to a server that asks the upstreams."""
    together = asyncio.Semaphore(_AT_ONCE)
    kept = [scene for scene in scenes() if scene.kept]
    cold = [scene for scene in scenes() if not scene.kept]
    shown = list(await asyncio.gather(*(_shown(scene, "cold", server, upstreams, together) for scene in cold)))
    await asyncio.gather(*(_warmed(scene, server, together) for scene in kept))
    shown += await asyncio.gather(*(_shown(scene, "warm", server, upstreams, together) for scene in kept))
    await asyncio.sleep(BRIEF + 1)  # until the honest answers have expired
    shown += await asyncio.gather(*(_shown(scene, "stale", server, upstreams, together) for scene in kept))
    return shown


async def _warmed(scene: Scene, server: NameServer, together: asyncio.Semaphore) -> None:
    async with together:
        await ask(scene.name, server.address, server.port)


async def _shown(
    scene: Scene, cache: str, server: NameServer, upstreams: LyingServers, together: asyncio.Semaphore
) -> Shown:
    async with together:
        before = upstreams.query_count(scene.zone)
        what, seconds, remarks = await ask(scene.name, server.address, server.port)
        sends = upstreams.query_count(scene.zone) - before
    return Shown(scene.behaviour, scene.transport, cache, ObservedAnswer(what, seconds, sends, remarks))
