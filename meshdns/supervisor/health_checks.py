"""Health of workers, by DNS queries on their private sockets, and readiness of the instance.

The instance is ready when every worker serves and the mesh can be answered for: either the name database that an
earlier process left can answer, or the controller reports ready, because it knows which clusters are still awaited.
Readiness is latched: once ready, the instance stays so until it shuts down. Time alone never makes it ready.

Other settings interrupt it: until every worker serves them, with names that were computed for them, the instance is not
ready.
"""

import asyncio
import secrets
import time
from collections.abc import Collection, Sequence
from typing import Final

from meshdns.instance import metric_pages
from meshdns.instance.metric_pages import MetricPage
from meshdns.mesh.objects.foreign import listed

HEALTH_TIMEOUT: Final = 1.0  # seconds; kubelet's own default for a probe
_HEALTH_QUERY: Final = b"\0\0\0\x01\0\0\0\0\0\0" + b"\x06health\x07meshdns\x07invalid\0" + b"\0\x01\0\x01"
"""Any reply counts, whatever its content. RD=0: the worker must not query an upstream about its own health, or it would
count as unhealthy whenever the upstream fails."""


class _Exchange(asyncio.DatagramProtocol):
    def __init__(self, query_id: bytes) -> None:
        self.answered: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._id = query_id

    def datagram_received(self, data: bytes, addr: tuple[str | int, int]) -> None:  # noqa: ARG002 — a connected socket
        if data[:2] == self._id and not self.answered.done():
            self.answered.set_result(None)


class HealthChecker:
    """Checks workers by DNS queries; durations and failures are counted in `metrics`."""

    def __init__(self, metrics: MetricPage) -> None:
        self._metrics = metrics

    async def unresponsive_workers(self, ports: Sequence[int]) -> list[int]:
        """Return the indices of the `ports` on which no worker answers in time."""
        found = await asyncio.gather(*(self._check_worker(port) for port in ports))
        return [place for place, well in enumerate(found) if not well]

    async def _check_worker(self, port: int) -> bool:
        began = time.perf_counter()
        well = await answers_in_time(port)
        self._metrics.observe(metric_pages.HEALTH_DURATION, value=time.perf_counter() - began)
        self._metrics.add(metric_pages.HEALTH_FAILURES, amount=not well)
        return well


async def answers_in_time(port: int) -> bool:
    """Return whether the worker that reads the private socket on `port` answers in time."""
    loop = asyncio.get_running_loop()
    query_id = secrets.token_bytes(2)
    try:
        transport, exchange = await loop.create_datagram_endpoint(
            lambda: _Exchange(query_id), remote_addr=("127.0.0.1", port)
        )
    except OSError:  # no descriptors, no memory
        return False
    try:
        transport.sendto(query_id + _HEALTH_QUERY)
        await asyncio.wait_for(exchange.answered, HEALTH_TIMEOUT)
    except (TimeoutError, OSError):
        return False
    finally:
        transport.close()
    return True


class InstanceReadiness:
    """The readiness of the instance, from the messages of its children."""

    def __init__(self, workers: Collection[str]) -> None:
        self._waiting_workers = set(workers)
        self._database_ready = False
        self._controller_reason = "the controller has not begun yet; see its log"
        self._latched = False
        self._ending = False
        self._generation = 0  # of the settings in force
        self._served_generations: dict[str, int] = {}
        self._outdated_zones: dict[str, tuple[str, ...]] = {}

    def expect_settings(self, generation: int) -> None:
        """Expect every worker to serve the settings of a generation."""
        self._generation = generation

    def on_worker_serving(
        self, name: str, *, database_ready: bool, generation: int = 0, outdated_zones: Sequence[str] = ()
    ) -> None:
        """Take the report of a worker that serves; `database_ready` says whether its name database can answer.

        Only the first report of each worker counts for that: a name database that answers for one cluster by now need
        not do so for all that are required. `outdated_zones` are those whose names were computed for other settings
        than those of `generation`.
        """
        self._served_generations[name] = generation
        self._outdated_zones[name] = tuple(outdated_zones)
        self._database_ready = self._database_ready or (database_ready and name in self._waiting_workers)
        self._waiting_workers.discard(name)
        self._latch()

    def on_controller_report(self, *, ready: bool, not_ready_reason: str) -> None:
        """Take the report of the controller; `not_ready_reason` is empty if `ready`."""
        self._database_ready = self._database_ready or ready
        self._controller_reason = not_ready_reason
        self._latch()

    def mark_ending(self) -> None:
        """Report not ready from now on, because the instance is shutting down."""
        self._ending = True

    @property
    def is_serving(self) -> bool:
        """Whether every worker answers, whatever the name database says."""
        return not self._waiting_workers

    @property
    def is_ready(self) -> bool:
        """Whether the instance is ready for queries."""
        return self._latched and not self._ending and not self._settings_reasons()

    def not_ready_reasons(self) -> list[str]:
        """Return the reasons why the instance is not ready, for people; empty if it is."""
        if self._ending:
            return ["ending"]
        found = [f"{name} does not serve yet" for name in sorted(self._waiting_workers)]
        if not (self._latched or self._database_ready):
            found.append(self._controller_reason)
        return found + self._settings_reasons()

    def _settings_reasons(self) -> list[str]:
        """Return what the settings in force wait for."""
        late = [name for name, served in sorted(self._served_generations.items()) if served < self._generation]
        found = [f"{name} does not serve settings generation {self._generation} yet" for name in late]
        zones = sorted({zone for zones in self._outdated_zones.values() for zone in zones})
        if zones:
            found.append(f"names are not computed yet for the settings in force, of {listed(zones)}")
        return found

    def _latch(self) -> None:
        self._latched = self._latched or (self._database_ready and not self._waiting_workers)
