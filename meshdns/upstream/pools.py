"""The ways to all upstreams: sockets for UDP, connections for TLS."""

from asyncio import AbstractEventLoop, TimerHandle
from typing import Final

from meshdns.forwarding.addresses import Address
from meshdns.upstream.entropy import Entropy
from meshdns.upstream.readiness import readiness
from meshdns.upstream.secure import SecurePool, StreamListener
from meshdns.upstream.sockets import Pool

SWEEP_SECONDS: Final = 15.0  # what is idle is closed after one to two of these


class Pools:
    """The sockets and connections towards all upstreams, closed by themselves while idle."""

    def __init__(self, loop: AbstractEventLoop, entropy: Entropy, listener: StreamListener) -> None:
        self._loop = loop
        self._entropy = entropy
        self._listener = listener
        self._pools: dict[Address, Pool | SecurePool] = {}
        self._readiness = readiness(loop)
        self._sweeper: TimerHandle | None = None

    def at(self, address: Address) -> Pool | SecurePool:
        """Those towards one upstream."""
        pool = self._pools.get(address)
        if pool is None:
            pool = self._pools[address] = self._open(address)
        if self._sweeper is None:
            self._sweeper = self._loop.call_later(SWEEP_SECONDS, self._sweep)
        return pool

    async def close(self) -> None:
        """Close all of them at once."""
        if self._sweeper is not None:
            self._sweeper.cancel()
        for pool in self._pools.values():
            pool.close()
            if isinstance(pool, SecurePool):
                await pool.closed()
        self._readiness.close()

    def _open(self, address: Address) -> Pool | SecurePool:
        if address.tls is None:
            return Pool(self._readiness, address, self._entropy, self._listener)
        return SecurePool(self._loop, address, self._entropy, self._listener)

    def _sweep(self) -> None:
        """Close the sockets of idle upstreams."""
        for pool in self._pools.values():
            pool.rest()
        open_sockets = any(len(pool) for pool in self._pools.values())
        self._sweeper = self._loop.call_later(SWEEP_SECONDS, self._sweep) if open_sockets else None
