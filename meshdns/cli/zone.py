"""``meshdns zone``: what is or would be served, as a master file."""

import sys
from collections.abc import Iterator, Mapping, Sequence
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import click

from meshdns.cli import exits
from meshdns.cli.options import settings_flags, settings_of
from meshdns.config import Settings
from meshdns.config.model import Zone
from meshdns.config.sources import Manifests
from meshdns.controller import offline
from meshdns.controller.settings import mesh_settings
from meshdns.controller.zones import server_addresses
from meshdns.dns import names, records
from meshdns.mesh.answer import Answer, unpack


@click.command("zone")
@click.argument("name", required=False)
@click.option("--running", is_flag=True, help="Read the view of the state directory instead of the manifests.")
@settings_flags
def command(name: str | None, running: bool, **flags: Any) -> None:  # noqa: FBT001 — a flag of the command line
    """Print zone NAME (default: every zone) in the format of a master file (RFC 1035 section 5).

    Examples:

      meshdns zone --config zones/online-boutique/meshdns.yaml

      meshdns zone global --running

      meshdns zone --config meshdns.yaml --cluster west | named-checkzone global /dev/stdin
    """
    settings = settings_of(flags)
    zones = [zone for zone in settings.zones if name is None or zone.name == name.lower().removesuffix(".")]
    if not zones:
        known = ", ".join(zone.name for zone in settings.zones)
        raise click.UsageError(f"{name} is none of the zones of the settings; they are: {known}")
    servers = server_addresses(settings)
    serial, answers = _served(settings) if running else (1, _would_serve(settings))
    for zone in zones:
        for line in master_file(zone, answers, serial=serial, servers=servers):
            click.echo(line)


def master_file(zone: Zone, answers: Mapping[str, Answer], *, serial: int, servers: Sequence[str]) -> Iterator[str]:
    """The lines of a zone: SOA and NS, then the owner names in order.

    `servers` are the addresses of ``ns.<zone>``, unless an answer speaks for that name.
    """
    yield from records.apex(zone.name, serial=serial, ttl=zone.ttl, negative_ttl=zone.negative_ttl)
    server = f"ns.{zone.name}"
    for owner in sorted({name for name in answers if names.within(name, zone.name)} | {server}):
        answer = answers.get(owner)
        if owner == server and (answer is None or not (answer.considered or answer.records)):
            yield from records.address_lines(owner, zone.ttl, *_by_version(servers))
        if answer is None:
            continue
        yield from records.address_lines(owner, answer.ttl, answer.ipv4, answer.ipv6)
        for static in answer.records:
            yield records.static_line(owner, static.ttl, static.type, static.value)


def _by_version(addresses: Sequence[str]) -> tuple[list[str], list[str]]:
    """Addresses as those of IPv4 and those of IPv6, in their order."""
    ipv4 = [text for text in addresses if ip_address(text).version == 4]
    return ipv4, [text for text in addresses if text not in ipv4]


def _would_serve(settings: Settings) -> dict[str, Answer]:
    paths = [Path(source.path) for source in settings.sources if isinstance(source, Manifests)]
    if not paths:
        message = "no source of the settings is a folder of manifests; ask a running server's view with --running"
        raise click.UsageError(message)
    return offline.answers(offline.read_folders(paths), mesh_settings(settings))


def _served(settings: Settings) -> tuple[int, dict[str, Answer]]:
    """What the view in the state directory holds, taken in one short look."""
    from meshdns.view.environment import Environment, ViewError  # noqa: PLC0415 — only this way needs the view
    from meshdns.view.place import current_view  # noqa: PLC0415 — as above

    path = current_view(Path(settings.state_dir or "."))
    try:
        environment = Environment(path, writable=False)
    except ViewError as error:
        click.echo(f"{error}; start meshdns serve, or name its directory with --state-dir", err=True)
        sys.exit(exits.UNREACHABLE)
    with environment.read() as txn:
        serial, reasons = txn.number, list(txn.items(b"reasons"))
    environment.close()
    return serial, {names.text(owner): unpack(value) for owner, value in reasons}
