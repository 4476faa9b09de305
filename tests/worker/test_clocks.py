"""Which clocks a worker gives to its parts."""

import asyncio
import socket

from meshdns.instance.clocks import boot_time
from meshdns.instance.scoreboard import Scoreboard
from meshdns.worker.settings import WorkerSettings
from meshdns.worker.worker import Worker


def test_cached_answers_age_by_the_clock_that_goes_on_in_suspend() -> None:
    """Those of the mesh and those of upstreams."""

    async def main() -> None:
        private = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        private.bind(("127.0.0.1", 0))
        settings = WorkerSettings(
            generation=1,
            number=0,
            scoreboard=Scoreboard.create().descriptor,
            udp=(),
            tcp=(),
            private=private.detach(),
            zones=(),
            routes=(),
            cookie_secret=bytes(16),
        )
        worker = Worker(settings, asyncio.get_running_loop(), send=lambda _: None)
        assert worker._responder._clock is boot_time
        assert worker._forwarder._clock is boot_time
        await worker.close()
        for sock in worker._udp_sockets:
            sock.close()

    asyncio.run(main())
