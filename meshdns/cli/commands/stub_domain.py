"""``meshdns stub-domain``: what the servers in front are told, whether they were, and whether it works."""

import asyncio
import difflib
import os
import secrets
import sys
from pathlib import Path
from typing import Any, Final, NamedTuple, NoReturn

import click

from meshdns.cli.output import format_value
from meshdns.cli.printing import print_document, print_line, print_lines
from meshdns.config.regular_file import read_regular_file
from meshdns.dns.codes import TYPE_SOA, TYPE_TXT
from meshdns.forwarding.upstreams import Address, parse_address
from meshdns.mesh.objects.foreign import counted
from meshdns.sources.settings import SourceError
from meshdns.stubdomains.deployed import extract_text, file_text, service_address
from meshdns.stubdomains.diagnosis import MARKER_LABEL, Observations, diagnose
from meshdns.stubdomains.observed import NO_REPLY, ObservedReply
from meshdns.stubdomains.stub import StubDomain, StubDomainError, parse_stub_domain
from meshdns.stubdomains.targets import TARGETS, Snippet, Target
from meshdns.upstream.lookup import look_up

_MESHDNS: Final = "meshdns"  # namespace and Service as deploy/chart makes them


class _PrintOptions(NamedTuple):
    """The options that `print` and `diff` share."""

    target: str
    zones: tuple[str, ...]
    fallback: tuple[str, ...]
    ip: str | None
    port: int | None
    files: tuple[str, ...]
    kubeconfig: str | None
    context: str | None
    namespace: str
    service: str


_FLAGS: Final = (
    click.option("--target", type=click.Choice(list(TARGETS)), required=True, help="The kind of server to tell."),
    click.option(
        "--zone",
        "zones",
        multiple=True,
        default=("global",),
        show_default=True,
        metavar="ZONE",
        help="Zone to send here; repeatable.",
    ),
    click.option("--fallback", multiple=True, metavar="ZONE", help="Zone to ask here what others deny: cluster.local."),
    click.option("--ip", metavar="IP", help="The address of meshdns. Default: the ClusterIP of its Service."),
    click.option("--port", type=click.IntRange(1, 65535), metavar="N", help="Its port. Default: the Service's, or 53."),
    click.option(
        "--file", "files", multiple=True, metavar="FILE", help="What is deployed now, once for each printed part."
    ),
    click.option("--kubeconfig", metavar="FILE", help="The kubeconfig to read the cluster with. Default: as kubectl."),
    click.option("--context", metavar="NAME", help="Its context. Default: the current one."),
    click.option("-n", "--namespace", default=_MESHDNS, show_default=True, metavar="NAME", help="Of the Service."),
    click.option("--service", default=_MESHDNS, show_default=True, metavar="NAME", help="The Service of meshdns."),
)


def _target_flags(function: Any) -> Any:
    """Add the flags that say who is told what."""
    for flag in reversed(_FLAGS):
        function = flag(function)
    return function


@click.group("stub-domain")
def command() -> None:
    """Send a zone from the DNS in front to meshdns: what to write there, whether it is written, whether it works.

    Nothing is written to any cluster or file.

    Examples:

      meshdns stub-domain print --target kube-dns --ip 10.96.0.53

      meshdns stub-domain diff --target coredns --context east

      meshdns stub-domain check --via 10.96.0.10
    """


@command.command("print")
@_target_flags
def print_(**options: Any) -> None:
    """Print exactly what a kind of server is to be told; what to do with it is said on standard error.

    What is deployed (by --file, or read from the cluster) is kept beside it. The cluster is read unless --ip is given
    without --context and --kubeconfig.

    Exit codes: 0 printed, 1 it cannot be, 2 wrong usage.

    Examples:

      meshdns stub-domain print --target coredns --context east

      meshdns stub-domain print --target unbound --ip 10.96.0.53 > /etc/unbound/unbound.conf.d/meshdns.conf

      meshdns stub-domain print --target bind --ip 127.0.0.1 --port 1053 --zone global --zone mesh.internal
    """
    target, stub, deployed = _gather(_PrintOptions(**options))
    try:
        texts = [part.render(stub, deployed.get(part, "")) for part in target.snippets]
    except StubDomainError as error:
        _exit_with(error)
    print_document("\n".join(texts), nl=False)
    for part in target.snippets:
        if part.is_overwriting and part not in deployed:
            print_line(f"{part.place} is replaced; to keep what others wrote there, name --context or --file", err=True)
    for step in (target.whole_steps if any(deployed.values()) else ()) or target.steps:
        print_line(f"then: {step}", err=True)
    for zone in stub.fallback:
        print_line(f"meshdns needs, too: fallback: [{{zone: {zone}, upstream: {target.fallback_upstream}}}]", err=True)
    print_line(f"when it counts: {target.effect}; then see: meshdns stub-domain check --via IP", err=True)


@command.command("diff")
@_target_flags
def diff(**options: Any) -> None:
    """Compare what is deployed with what should be, as a unified diff.

    Exit codes: 0 the same, 1 different or not to be compared, 2 wrong usage.

    Examples:

      meshdns stub-domain diff --target kube-dns --context east

      meshdns stub-domain diff --target coredns --ip 10.96.0.53 --file Corefile

      meshdns stub-domain diff --target unbound --ip 10.96.0.53 --file /etc/unbound/unbound.conf.d/meshdns.conf
    """
    target, stub, deployed = _gather(_PrintOptions(**options))
    unknown = next((part for part in target.snippets if part not in deployed), None)
    if unknown is not None:
        raise click.UsageError(f"name what is deployed with --file: {', '.join(p.place for p in target.snippets)}")
    different = False
    for part in target.snippets:
        try:
            now, due = part.comparison_lines(stub, deployed[part])
        except StubDomainError as error:
            _exit_with(error)
        for line in difflib.unified_diff(now, due, f"deployed: {part.place}", f"wanted: {part.place}", lineterm=""):
            different = True
            print_line(line.expandtabs())
    if different:
        print_line(f"make it so: meshdns stub-domain print --target {target.name}, with the same options", err=True)
    sys.exit(1 if different else 0)


@command.command("check")
@click.option("--via", required=True, metavar="IP[:PORT]", help="The DNS that clients ask.")
@click.option("--zone", default="global", show_default=True, help="The zone that should end here.")
@click.option("--server", metavar="IP[:PORT]", help="The address of meshdns, as seen from here.")
@click.option("-o", "--output", "form", type=click.Choice(["text", "json"]), default="text", show_default=True)
def check(via: str, zone: str, server: str | None, form: str) -> None:
    """Ask through the whole chain with a name that meshdns alone answers, and say which hop is wrong.

    Exit codes: 0 names resolve through it, 1 they do not, 2 wrong usage.

    Examples:

      meshdns stub-domain check --via 10.96.0.10

      meshdns stub-domain check --via 169.254.20.10 --server 10.96.0.53

      meshdns stub-domain check --via 127.0.0.1:5353 --zone mesh.internal -o json
    """
    try:
        front, own = parse_address(via), parse_address(server) if server else None
        (checked,) = parse_stub_domain([zone], "127.0.0.1", 53).zones
    except (ValueError, StubDomainError) as error:
        raise click.UsageError(str(error)) from None
    observations = asyncio.run(_observe(checked, front, own))
    diagnosis = diagnose(observations)
    if form == "json":
        asked = {question: str(observed) for question, observed in _labelled_replies(observations)}
        verdict = {"kind": diagnosis.kind.value, "reason": diagnosis.reason, "advice": diagnosis.advice}
        print_document(
            format_value(
                {"apiVersion": "meshdns/v1", "kind": "StubDomainCheck", "verdict": verdict, "asked": asked}, form
            )
        )
    else:
        for question, observed in _labelled_replies(observations):
            print_line(f"{question}: {observed}")
        print_line(f"{diagnosis.reason}; {diagnosis.advice}")
    sys.exit(0 if diagnosis.is_sound else 1)


async def _observe(zone: str, via: Address, server: Address | None) -> Observations:
    """Ask all questions at once."""
    marker, fresh = f"{MARKER_LABEL}.{zone}", f"check-{secrets.token_hex(8)}.{zone}"
    questions = [
        look_up(via, marker, TYPE_TXT),
        look_up(via, fresh, TYPE_TXT),
        look_up(via, marker, TYPE_TXT, cd=True),
        look_up(via, "", TYPE_SOA),
    ]
    if server is not None:
        questions += [look_up(server, marker, TYPE_TXT), look_up(server, fresh, TYPE_TXT)]
    marked, random, unchecked, root, *direct = await asyncio.gather(*questions)
    own_marked, own_random = direct or (NO_REPLY, NO_REPLY)
    return Observations(zone, str(via), marked, random, unchecked, root, str(server or ""), own_marked, own_random)


def _labelled_replies(observations: Observations) -> list[tuple[str, ObservedReply]]:
    marker, fresh = f"{MARKER_LABEL}.{observations.zone} TXT", f"a random name of {observations.zone}"
    asked = [
        (f"{observations.via} {marker}", observations.marker),
        (f"{observations.via} {marker}, not validated", observations.marker_unvalidated),
        (f"{observations.via} {fresh}", observations.random_name),
        (f"{observations.via} . SOA", observations.root),
    ]
    if observations.server:
        asked += [
            (f"{observations.server} {marker}", observations.server_marker),
            (f"{observations.server} {fresh}", observations.server_random_name),
        ]
    return asked


def _gather(options: _PrintOptions) -> tuple[Target, StubDomain, dict[Snippet, str]]:
    """Who is told, of what, and what is deployed where that is known; ends the program where it cannot be had."""
    target = TARGETS[options.target]
    if options.files and len(options.files) != len(target.snippets):
        raise click.UsageError(
            f"{target.name} takes --file {counted(len(target.snippets), 'time')}: {_place_list(target)}"
        )
    try:
        ip, port = options.ip or "", options.port
        deployed: dict[Snippet, str] = {}
        if not ip or options.context or options.kubeconfig:
            address, deployed = _read_cluster(options, target)
            ip, port = ip or address.host, port or address.port
        for part, file in zip(target.snippets, options.files, strict=False):
            deployed[part] = _read_deployed(file, part)
        stub = parse_stub_domain(options.zones, ip, port or 53, options.fallback)
        target.check_supported(stub)
    except (StubDomainError, SourceError) as error:
        _exit_with(error)
    return target, stub, deployed


def _read_deployed(file: str, part: Snippet) -> str:
    """What is deployed of a part, by a file. Raises `StubDomainError`."""
    try:
        is_pipe = file.startswith("/dev/")  # that a shell makes: <(kubectl get …)
        content = Path(file).read_bytes() if is_pipe else read_regular_file(file)[0]
        return file_text(content.decode("utf-8"), part.location)
    except OSError as error:
        reason = f"cannot be read ({error.strerror})"
    except UnicodeDecodeError:
        reason = "is not UTF-8"
    except StubDomainError as error:
        raise StubDomainError(f"{file}: {error}") from None
    raise StubDomainError(f"{file}: {reason}; name what is deployed with --file, for {part.place}")


def _place_list(target: Target) -> str:
    return ", ".join(part.place for part in target.snippets)


def _read_cluster(options: _PrintOptions, target: Target) -> tuple[Address, dict[Snippet, str]]:
    """The Service's address and what is deployed, from the cluster. Raises `SourceError` and `StubDomainError`."""
    from meshdns.sources.auth.kubeconfig import default_paths, load_contexts  # noqa: PLC0415 — only this way reads a cluster
    from meshdns.sources.oneshot import read_objects  # noqa: PLC0415 — loads kubernetes
    from meshdns.sources.settings import KubeconfigSource  # noqa: PLC0415 — as above

    paths = (Path(options.kubeconfig),) if options.kubeconfig else default_paths(os.environ, Path.home())
    (client_config,) = load_contexts(KubeconfigSource(paths, (options.context,) if options.context else ())).values()
    service = f"/api/v1/namespaces/{options.namespace}/services/{options.service}"
    live = [part for part in target.snippets if part.location is not None]
    asked = [part.location.object_path for part in live if part.location is not None]
    if not options.ip:
        asked.append(service)
    objects = asyncio.run(read_objects(client_config, asked))
    address = Address("") if options.ip else service_address(objects[-1], options.namespace, options.service)
    return address, {part: extract_text(found, part.location) for part, found in zip(live, objects, strict=False)}


def _exit_with(error: Exception) -> NoReturn:
    print_lines(str(error), err=True)
    sys.exit(1)
