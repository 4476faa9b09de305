"""``meshdns serve``: answer queries until told to end."""

import asyncio
import logging
import sys
from collections.abc import Callable
from typing import Any

import click

from meshdns.cli.options import place_from_flags, settings_flags, settings_from_flags, settings_or_exit
from meshdns.cli.printing import print_lines
from meshdns.config import Settings, SettingsReader
from meshdns.instance import logs


@click.command("serve")
@settings_flags
def command(**flags: Any) -> None:
    """Answer DNS queries for the mesh and forward all others.

    Examples:

      meshdns serve

      meshdns serve --config meshdns.yaml

      meshdns serve --kubeconfig ~/.kube/config --context east --context west --cluster east
    """
    settings = settings_or_exit(flags)
    logs.configure_logging(settings.log_level, settings.log_format, process="supervisor")
    listen = ", ".join(settings.listen)
    log = logging.getLogger("meshdns")
    sys.exit(
        run(
            settings,
            SettingsReader(lambda: settings_from_flags(flags), lambda path: place_from_flags(flags, path)),
            on_serving=lambda: log.info("serving on %s (udp and tcp)", listen),
        )
    )


def run(settings: Settings, reader: SettingsReader, *, on_serving: Callable[[], None]) -> int:
    """Run an instance; returns the exit status."""
    from meshdns.supervisor.handover import StateDirError  # noqa: PLC0415 — keeps --help and check light
    from meshdns.supervisor.sockets import BindError  # noqa: PLC0415 — as above
    from meshdns.supervisor.supervisor import Supervisor  # noqa: PLC0415 — as above

    try:
        asyncio.run(Supervisor(settings, reader=reader, on_serving=on_serving).run())
    except (StateDirError, BindError) as error:
        print_lines(str(error), err=True)
        return 1
    return 0
