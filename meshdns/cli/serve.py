"""``meshdns serve``: answer queries until told to end."""

import asyncio
import logging
import sys
from collections.abc import Callable
from typing import Any

import click

from meshdns import logs
from meshdns.cli.options import read_settings, settings_flags, settings_of
from meshdns.config import Settings


@click.command("serve")
@settings_flags
def command(**flags: Any) -> None:
    """Answer DNS queries for the mesh and forward all others.

    Examples:

      meshdns serve

      meshdns serve --config meshdns.yaml

      meshdns serve --kubeconfig ~/.kube/config --context east --context west --cluster east
    """
    settings = settings_of(flags)
    logs.set_up(settings.log_level, settings.log_format, process="supervisor")
    listen = ", ".join(settings.listen)
    log = logging.getLogger("meshdns")
    sys.exit(
        run(
            settings,
            reread=lambda: read_settings(flags),
            serving=lambda: log.info("serving on %s (udp and tcp)", listen),
        )
    )


def run(settings: Settings, *, reread: Callable[[], Settings], serving: Callable[[], None]) -> int:
    """Run an instance; returns the exit status."""
    from meshdns.supervisor.instance import InstanceError  # noqa: PLC0415 — keeps --help and check light
    from meshdns.supervisor.serve import Supervisor  # noqa: PLC0415 — as above
    from meshdns.supervisor.sockets import BindError  # noqa: PLC0415 — as above

    try:
        asyncio.run(Supervisor(settings, reread=reread, serving=serving).run())
    except (InstanceError, BindError) as error:
        click.echo(str(error), err=True)
        return 1
    return 0
