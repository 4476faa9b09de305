"""Pools towards all upstreams: sockets for UDP, connections for TLS."""

from asyncio import AbstractEventLoop, TimerHandle
from typing import Final

from meshdns.forwarding.upstreams import Address
from meshdns.upstream.entropy import Entropy
from meshdns.upstream.poller import create_poller
from meshdns.upstream.tls import ConnectionListener, TlsPool
from meshdns.upstream.udp import UdpPool

SWEEP_SECONDS: Final = 15.0  # idle sockets are closed after one to two of these


class UpstreamPools:
    """The sockets and connections towards all upstreams, closed by themselves while idle."""

    def __init__(self, loop: AbstractEventLoop, entropy: Entropy, listener: ConnectionListener) -> None:
        self._loop = loop
        self._entropy = entropy
        self._listener = listener
        self._pools: dict[Address, UdpPool | TlsPool] = {}
        self._poller = create_poller(loop)
        self._sweeper: TimerHandle | None = None

    def pool_for(self, address: Address) -> UdpPool | TlsPool:
        """Return the pool towards one upstream."""
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
            if isinstance(pool, TlsPool):
                await pool.wait_closed()
        self._poller.close()

    def _open(self, address: Address) -> UdpPool | TlsPool:
        if address.tls is None:
            return UdpPool(self._poller, address, self._entropy, self._listener)
        return TlsPool(self._loop, address, self._entropy, self._listener)

    def _sweep(self) -> None:
        """Close the sockets of idle upstreams."""
        for pool in self._pools.values():
            pool.close_idle()
        open_sockets = any(len(pool) for pool in self._pools.values())
        self._sweeper = self._loop.call_later(SWEEP_SECONDS, self._sweep) if open_sockets else None
