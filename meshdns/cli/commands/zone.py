"""``meshdns zone``: what is or would be served, as a master file."""

import sys
from collections.abc import Iterator, Mapping, Sequence
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import click
import msgspec

from meshdns.cli import exit_codes
from meshdns.cli.client import AdminClientError, exit_with, find_namedb, settings_without_sources
from meshdns.cli.options import PLACE_FLAGS, SOURCE_FLAGS, refuse_flags, settings_flags, settings_or_exit
from meshdns.cli.printing import print_document, print_line
from meshdns.config import Settings
from meshdns.config.model import ZoneSection
from meshdns.config.sections import ManifestsSection
from meshdns.config.translate import mesh_settings, nameserver_addresses, nameserver_name
from meshdns.controller import offline
from meshdns.dns import names, records
from meshdns.mesh.answer import Answer, decode_answer
from meshdns.mesh.objects.foreign import shown


@click.command("zone")
@click.argument("name", required=False)
@click.option("--running", is_flag=True, help="Read the name database of the state directory instead of the manifests.")
@settings_flags
def command(name: str | None, running: bool, **flags: Any) -> None:  # noqa: FBT001 — a flag of the command line
    """Print zone NAME (default: every zone) in the format of a master file (RFC 1035 section 5).

    Examples:

      meshdns zone --config zones/online-boutique/meshdns.yaml

      meshdns zone global --running

      meshdns zone --config meshdns.yaml --cluster west | named-checkzone global /dev/stdin
    """
    if running:
        refuse_flags(flags, (*PLACE_FLAGS, *SOURCE_FLAGS))
    settings = settings_without_sources(flags) if running else settings_or_exit(flags)
    zones = [zone for zone in settings.zones if name is None or zone.name == name.lower().removesuffix(".")]
    if not zones:
        known = ", ".join(zone.name for zone in settings.zones)
        raise click.UsageError(f"{shown(name)} is none of the zones of the settings; they are: {known}")
    addresses = nameserver_addresses(settings)
    serial, answers = _read_namedb(settings) if running else (1, _compute_answers(settings))
    for zone in zones:
        for line in master_file(zone, settings, answers, serial=serial, addresses=addresses):
            print_document(line)
        for other in _without_delegation(zone, settings):
            what = f"{other} lies inside {zone.name} and is forwarded: its names are in no master file"
            print_line(what, err=True)


def master_file(
    zone: ZoneSection, settings: Settings, answers: Mapping[str, Answer], *, serial: int, addresses: Sequence[str]
) -> Iterator[str]:
    """The lines of a zone: SOA and NS, then the owner names in order; a zone inside it is a delegation with glue.

    `addresses` are those of its name server, unless an answer speaks for that name or it is in another zone.
    """
    server = nameserver_name(zone, settings)
    yield from records.apex_lines(zone.name, server=server, serial=serial, ttl=zone.ttl, negative_ttl=zone.negative_ttl)
    inner = _inner_zones(zone, settings)
    delegated = {each.name: nameserver_name(each, settings) for each in settings.zones if each.name in inner}
    for owner in sorted({*answers, server, *delegated}):
        if not names.is_subdomain(owner, zone.name):
            continue
        if owner in delegated:
            yield records.delegation_line(owner, zone.ttl, delegated[owner])
            if names.is_subdomain(delegated[owner], owner):
                yield from records.address_lines(delegated[owner], zone.ttl, *_by_version(addresses))
            continue
        if any(each in inner for each in (owner, *names.parents(owner))):
            continue
        answer = answers.get(owner)
        if owner == server and (answer is None or not answer.is_declared):
            yield from records.address_lines(owner, zone.ttl, *_by_version(addresses))
        if answer is None:
            continue
        yield from records.address_lines(owner, answer.ttl, answer.ipv4, answer.ipv6)
        for static in answer.records:
            yield records.static_line(owner, static.ttl, static.type, static.value)


def _inner_zones(zone: ZoneSection, settings: Settings) -> frozenset[str]:
    """The zones of all sections that lie inside a zone, and in no other one inside it."""
    every = {each.name for each in settings.zones}.union(
        (each.zone for each in settings.forward), (each.zone for each in settings.fallback)
    )
    inside = {each for each in every if each != zone.name and names.is_subdomain(each, zone.name)}
    return frozenset(each for each in inside if inside.isdisjoint(names.parents(each)))


def _without_delegation(zone: ZoneSection, settings: Settings) -> list[str]:
    """Those inside a zone that are forwarded."""
    return sorted(_inner_zones(zone, settings) - {each.name for each in settings.zones})


def _by_version(addresses: Sequence[str]) -> tuple[list[str], list[str]]:
    """Addresses as those of IPv4 and those of IPv6, in their order."""
    ipv4 = [text for text in addresses if ip_address(text).version == 4]
    return ipv4, [text for text in addresses if text not in ipv4]


def _compute_answers(settings: Settings) -> dict[str, Answer]:
    paths = [Path(source.path) for source in settings.sources if isinstance(source, ManifestsSection)]
    if not paths:
        message = (
            "no source of the settings is a folder of manifests; read a running server's name database with --running"
        )
        raise click.UsageError(message)
    folders = offline.read_folders(paths)
    answers = offline.answers(folders, mesh_settings(settings))
    unread = [problem for folder in folders if not folder.clusters for problem in folder.problems]
    for problem in unread:
        print_line(f"{problem.where}: {problem.reason}; {problem.next_step}", err=True)
    if unread and not answers:
        sys.exit(exit_codes.FAILED)
    return answers


def _read_namedb(settings: Settings) -> tuple[int, dict[str, Answer]]:
    """What the name database in the state directory holds, taken in one short look."""
    from meshdns.namedb.database import NameDatabase, NameDatabaseError  # noqa: PLC0415 — only this way needs the name database
    from meshdns.namedb.tables import read_tables  # noqa: PLC0415 — as above

    try:
        database = NameDatabase(find_namedb(settings), writable=False)
    except AdminClientError as refusal:
        exit_with(refusal)
    except NameDatabaseError as error:
        print_line(f"{error}; start meshdns serve, or name its directory with --state-dir", err=True)
        sys.exit(exit_codes.UNREACHABLE)
    with read_tables(database) as tables:
        serial, provenance = tables.serial, list(tables.provenance.items())
    database.close()
    return serial, {names.to_text(owner): without_provenance(decode_answer(value)) for owner, value in provenance}


def without_provenance(answer: Answer) -> Answer:
    """The part of an answer that a zone shows; of its candidates, which take most of the memory, one stands for all."""
    return msgspec.structs.replace(answer, candidates=answer.candidates[:1], parts=(), services=(), chosen=())
