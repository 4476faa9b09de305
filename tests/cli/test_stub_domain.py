"""``meshdns stub-domain``: texts for each kind of server, what is deployed kept beside them, verdicts on a chain."""

import json
import re
import textwrap
from pathlib import Path

import pytest
import yaml

from meshdns.config.load import read_settings_file
from meshdns.dns.codes import NOERROR, NXDOMAIN, TYPE_A, TYPE_SOA, TYPE_TXT
from meshdns.dns.names import to_wire
from meshdns.dns.presentation import PresentationRecord, build_query
from meshdns.dns.query import parse_query
from meshdns.dns.response import Section, build_reply, record
from meshdns.stubdomains.corefile import with_server_block
from meshdns.stubdomains.diagnosis import CheckKind, Observations, diagnose
from meshdns.stubdomains.observed import NO_REPLY, ObservedReply, Soa, observe
from meshdns.stubdomains.reference import reference
from meshdns.stubdomains.stub import StubDomain, StubDomainError, parse_stub_domain
from meshdns.stubdomains.targets import TARGETS
from tests.cli.command_runner import CommandResult, CommandRunner

ROOT = Path(__file__).parents[2]
STUB = StubDomain(("global",), "10.96.0.53")
COREFILE = """\
# kept
.:53 {
    kubernetes cluster.local in-addr.arpa ip6.arpa {
        fallthrough in-addr.arpa ip6.arpa
    }
    forward . /etc/resolv.conf
}
"""


def printed(meshdns: CommandRunner, target: str, *more: str) -> CommandResult:
    """The end of a print for a meshdns at 10.96.0.53."""
    return meshdns("stub-domain", "print", "--target", target, "--ip", "10.96.0.53", *more)


# ---------------------------------------------------------------------------------------------- print


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        ("kube-dns", ["  name: kube-dns", "  stubDomains: |", '        "10.96.0.53"']),
        ("coredns", ["global:53 {", "    forward . 10.96.0.53 {"]),
        ("coredns-custom", ["  name: coredns-custom", "  meshdns.server: |", "    global:53 {"]),
        ("nodelocal", ["  name: kube-dns", "  stubDomains: |"]),
        ("openshift", ['        "name": "meshdns",', '            "10.96.0.53"']),
        ("aks", ["  name: coredns-custom", "  meshdns.server: |"]),
        ("gke", ["  name: kube-dns", "  stubDomains: |"]),
        ("dnsmasq", ["server=/global/10.96.0.53", "rebind-domain-ok=/global/"]),
        ("unbound", ['  domain-insecure: "global"', '  private-domain: "global"', "  forward-addr: 10.96.0.53"]),
        ("systemd-resolved", ["DNS=10.96.0.53", "Domains=~global", "; /etc/dnssec-trust-anchors.d/meshdns.negative"]),
        ("bind", ['validate-except { "global"; };', "# /etc/bind/meshdns.zones"]),
    ],
)
def test_each_target_is_told(meshdns: CommandRunner, target: str, expected: list[str]) -> None:
    """The lines that matter are there, and standard error says what to do with them."""
    ended = printed(meshdns, target)
    assert ended.status == 0
    lines = ended.out.splitlines()
    assert [line for line in expected if line not in lines] == []
    assert ended.err.endswith("meshdns stub-domain check --via IP\n")


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        ("kube-dns", '"10.96.0.53:1053"'),
        ("coredns", "forward . 10.96.0.53:1053 {"),
        ("openshift", '"10.96.0.53:1053"'),
        ("dnsmasq", "server=/global/10.96.0.53#1053"),
        ("unbound", "forward-addr: 10.96.0.53@1053"),
        ("systemd-resolved", "DNS=10.96.0.53:1053"),
        ("bind", "forwarders { 10.96.0.53 port 1053; };"),
    ],
)
def test_another_port_is_written_as_the_format_wants(meshdns: CommandRunner, target: str, expected: str) -> None:
    """Each format has its own sign between address and port."""
    assert expected in printed(meshdns, target, "--port", "1053").out


@pytest.mark.parametrize("target", ["kube-dns", "coredns-custom", "openshift"])
def test_manifests_can_be_read(meshdns: CommandRunner, target: str) -> None:
    """What is applied is YAML with kind and name."""
    manifest = yaml.safe_load(printed(meshdns, target, "--zone", "global", "--zone", "mesh.internal").out)
    assert manifest["kind"] in {"ConfigMap", "DNS"}
    assert "mesh.internal" in json.dumps(manifest)


def test_an_ipv6_address_has_brackets_before_a_port() -> None:
    """``[2001:db8::53]:1053`` where a colon parts them, the address alone on port 53."""
    own = parse_stub_domain(["Global."], "2001:DB8::53", 1053)
    assert (own.zones, own.host_port, own.with_port("@")) == (("global",), "[2001:db8::53]:1053", "2001:db8::53@1053")
    assert parse_stub_domain(["global"], "2001:db8::53", 53).host_port == "2001:db8::53"


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("dnsmasq", "--zone", "bad zone"), "write it as in global"),
        (("kube-dns", "--fallback", "cluster.local"), "use names of your zones"),
        (("coredns", "--fallback", "cluster.local"), "name it with --file"),
        (("eks",), "name the present one with --file"),
        (("coredns", "--file", "/nonexistent"), "name what is deployed with --file"),
    ],
)
def test_what_cannot_be_printed_says_what_to_do(
    meshdns: CommandRunner, arguments: tuple[str, ...], expected: str
) -> None:
    """The status is 1, and the message ends with the next step."""
    ended = printed(meshdns, *arguments)
    assert (ended.status, ended.out) == (1, "")
    assert expected in ended.err


def test_a_fallback_zone_of_a_resolver_is_one_more_zone(meshdns: CommandRunner) -> None:
    """Meshdns asks the cluster's DNS first, so the resolver sends all of it here; the settings that needs are named."""
    ended = printed(meshdns, "unbound", "--fallback", "cluster.local")
    assert ended.out.count('domain-insecure: "') == 2
    assert "fallback: [{zone: cluster.local, upstream: [the cluster's DNS]}]" in ended.err


# ---------------------------------------------------------------------------------------------- beside what is deployed


def test_a_corefile_keeps_what_is_not_ours() -> None:
    """The block is added once, replaced when it is there, and all other lines stay as they are."""
    once = with_server_block(STUB, COREFILE)
    assert once.startswith(COREFILE)
    assert with_server_block(STUB, once) == once
    moved = with_server_block(StubDomain(("global",), "10.96.0.99"), once)
    assert moved == once.replace("10.96.0.53", "10.96.0.99")


def test_a_fallback_zone_falls_through_to_us_before_all_else() -> None:
    """The clause of kubernetes lets it through, and its forward stands before that of everything."""
    text = with_server_block(StubDomain(("global",), "10.96.0.53", fallback=("cluster.local",)), COREFILE)
    lines = [line.strip() for line in text.splitlines()]
    assert "fallthrough in-addr.arpa ip6.arpa cluster.local" in lines
    assert lines.index("forward cluster.local 10.96.0.53") < lines.index("forward . /etc/resolv.conf")
    assert with_server_block(StubDomain(("global",), "10.96.0.53", fallback=("cluster.local",)), text) == text


@pytest.mark.parametrize(
    ("corefile", "expected"),
    [
        ("global:53 example:53 {\n  forward . 192.0.2.1\n}\n", "line 1 of the Corefile serves example in the same"),
        (".:53 {\n  errors\n", "line 1 of the Corefile opens a brace"),
    ],
)
def test_a_corefile_that_cannot_be_changed_is_refused(corefile: str, expected: str) -> None:
    """The line is named, and nothing is guessed."""
    with pytest.raises(StubDomainError, match=expected):
        with_server_block(STUB, corefile)


def test_other_stub_domains_stay(meshdns: CommandRunner, tmp_path: Path) -> None:
    """The key of kube-dns and the list of OpenShift hold those of others."""
    kept = tmp_path / "kept.json"
    kept.write_text('{"corp.example": ["10.0.0.1"], "global": ["10.96.0.1"]}')
    manifest = yaml.safe_load(printed(meshdns, "kube-dns", "--file", str(kept)).out)
    assert json.loads(manifest["data"]["stubDomains"]) == {"corp.example": ["10.0.0.1"], "global": ["10.96.0.53"]}
    other = {"name": "corp", "zones": ["corp.example"], "forwardPlugin": {"upstreams": ["10.0.0.1"]}}
    kept.write_text(json.dumps({"kind": "DNS", "metadata": {}, "spec": {"servers": [other]}}))
    servers = json.loads(printed(meshdns, "openshift", "--file", str(kept)).out)["spec"]["servers"]
    assert [server["name"] for server in servers] == ["corp", "meshdns"]


@pytest.mark.parametrize("target", ["kube-dns", "openshift"])
def test_what_would_replace_others_says_so(meshdns: CommandRunner, target: str, tmp_path: Path) -> None:
    """Where it is not known what is deployed, standard error says how to keep it."""
    kept = tmp_path / "kept"
    kept.write_text("")
    warning = "to keep what others wrote there, name --context or --file"
    assert warning in printed(meshdns, target).err
    assert warning not in printed(meshdns, target, "--file", str(kept)).err


def test_a_whole_corefile_is_put_in_place_of_the_old_one(meshdns: CommandRunner, tmp_path: Path) -> None:
    """A block alone is for pasting; what holds all that is deployed can be applied."""
    corefile = tmp_path / "Corefile"
    corefile.write_text(COREFILE)
    assert "paste it at the end" in printed(meshdns, "coredns").err
    whole = printed(meshdns, "coredns", "--file", str(corefile)).err
    assert "--from-file=Corefile" in whole
    assert "paste" not in whole


@pytest.mark.parametrize("target", ["dnsmasq", "unbound", "coredns"])
def test_what_was_printed_is_no_difference(meshdns: CommandRunner, target: str, tmp_path: Path) -> None:
    """0 for the same and 1 for another address, shown as a unified diff."""
    deployed = tmp_path / "deployed"
    deployed.write_text(COREFILE if target == "coredns" else "")
    deployed.write_text(printed(meshdns, target, *(("--file", str(deployed)) if target == "coredns" else ())).out)
    same = meshdns("stub-domain", "diff", "--target", target, "--ip", "10.96.0.53", "--file", str(deployed))
    assert (same.status, same.out) == (0, "")
    other = meshdns("stub-domain", "diff", "--target", target, "--ip", "10.96.0.54", "--file", str(deployed))
    assert other.status == 1
    assert any(line.startswith("-") and "10.96.0.53" in line for line in other.out.splitlines())
    assert any(line.startswith("+") and "10.96.0.54" in line for line in other.out.splitlines())


def test_diff_without_what_is_deployed_is_2(meshdns: CommandRunner) -> None:
    """Neither a file nor a cluster: wrong usage, and the places are named."""
    ended = meshdns("stub-domain", "diff", "--target", "bind", "--ip", "10.96.0.53")
    assert ended.status == 2
    assert "/etc/bind/meshdns.options, /etc/bind/meshdns.zones" in ended.err


# ---------------------------------------------------------------------------------------------- check

MARKED = ObservedReply("NOERROR", records=(PresentationRecord("TXT", 0, '"10.8.0.3 port 4242 udp"'),))
OURS = ObservedReply("NXDOMAIN", soa=Soa("global", "ns.global", "hostmaster.global", 5))
TLD = ObservedReply("NXDOMAIN", soa=Soa("global", "a.nic.global", "hostmaster.nic.global", 300))
ROOTS = ObservedReply("NXDOMAIN", soa=Soa(".", "a.root-servers.net", "nstld.verisign-grs.com", 86400))
FAILED = ObservedReply("SERVFAIL")
REFUSED = ObservedReply("REFUSED")
ANSWERED = ObservedReply("NOERROR", records=(PresentationRecord("SOA", 60, "."),))


@pytest.mark.parametrize(
    ("marker", "fresh", "unchecked", "root", "direct", "kind"),
    [
        (MARKED, OURS, MARKED, ANSWERED, None, CheckKind.SOUND),
        (OURS, OURS, OURS, ANSWERED, None, CheckKind.SOUND),
        (MARKED, TLD, MARKED, ANSWERED, None, CheckKind.FALLTHROUGH),
        (MARKED, FAILED, MARKED, ANSWERED, None, CheckKind.NOT_READY),
        (MARKED, FAILED, MARKED, ANSWERED, NO_REPLY, CheckKind.SERVER_SILENT),
        (NO_REPLY, NO_REPLY, NO_REPLY, NO_REPLY, None, CheckKind.NO_ANSWER),
        (NO_REPLY, NO_REPLY, NO_REPLY, ANSWERED, None, CheckKind.BEHIND),
        (NO_REPLY, NO_REPLY, NO_REPLY, NO_REPLY, MARKED, CheckKind.NO_ANSWER),
        (REFUSED, REFUSED, REFUSED, REFUSED, None, CheckKind.REFUSED),
        (REFUSED, REFUSED, REFUSED, ANSWERED, None, CheckKind.ZONE_REFUSED),
        (REFUSED, REFUSED, REFUSED, ANSWERED, MARKED, CheckKind.ZONE_REFUSED),
        (REFUSED, REFUSED, REFUSED, REFUSED, NO_REPLY, CheckKind.SERVER_SILENT),
        (FAILED, FAILED, MARKED, ANSWERED, None, CheckKind.VALIDATION),
        (FAILED, FAILED, FAILED, ANSWERED, None, CheckKind.BEHIND),
        (FAILED, FAILED, FAILED, ANSWERED, MARKED, CheckKind.HOP),
        (FAILED, FAILED, FAILED, ANSWERED, NO_REPLY, CheckKind.SERVER_SILENT),
        (FAILED, FAILED, FAILED, ANSWERED, TLD, CheckKind.SERVER_OTHER),
        (TLD, OURS, TLD, ANSWERED, None, CheckKind.CACHED_DENIAL),
        (ObservedReply("NXDOMAIN"), OURS, TLD, ANSWERED, None, CheckKind.CACHED_DENIAL),
        (ROOTS, ROOTS, ROOTS, ANSWERED, None, CheckKind.ROOT),
        (TLD, TLD, TLD, ANSWERED, None, CheckKind.OTHERS),
        (ObservedReply("NXDOMAIN"), ObservedReply("NXDOMAIN"), NO_REPLY, ANSWERED, None, CheckKind.OTHERS),
        (ANSWERED, TLD, ANSWERED, ANSWERED, None, CheckKind.OTHERS),
    ],
)
def test_each_hop_is_told_by_what_comes_back(
    marker: ObservedReply,
    fresh: ObservedReply,
    unchecked: ObservedReply,
    root: ObservedReply,
    direct: ObservedReply | None,
    kind: CheckKind,
) -> None:
    """The kind of verdict, and a next step with each."""
    facts = Observations("global", "10.96.0.10:53", marker, fresh, unchecked, root)
    if direct is not None:
        facts = facts._replace(server="10.96.0.53:53", server_marker=direct)
    verdict = diagnose(facts)
    assert verdict.kind is kind
    assert verdict.is_sound is (kind in {CheckKind.SOUND, CheckKind.FALLTHROUGH})
    assert verdict.advice


def _message(rcode: int, *, answer: bytes = b"", rtype: int = TYPE_TXT, soa: str = "") -> tuple[bytes, bytes]:
    """A reply and the query it is for."""
    asked = build_query("Whoami.global", TYPE_TXT)
    query = parse_query(asked)
    assert query is not None
    denial = Section(0, b"")
    if soa:
        rdata = to_wire("ns.global") + to_wire("hostmaster.global") + bytes(16) + (5).to_bytes(4, "big")
        denial = Section(1, to_wire(soa) + record(TYPE_SOA, 5, rdata)[2:])
    records = Section(1, record(rtype, 0, answer)) if answer else Section(0, b"")
    return build_reply(query, rcode, answer=records, authority=denial), asked


def test_a_reply_is_read_for_who_gave_it() -> None:
    """Records of the answer, or the SOA of the denial; and of what is malformed nothing."""
    marked = observe(*_message(NOERROR, answer=b"\x05hello"))
    assert (marked.rcode, [each.data for each in marked.records]) == ("NOERROR", ['"hello"'])
    assert observe(*_message(NXDOMAIN, soa="global")).soa == Soa("global", "ns.global", "hostmaster.global", 5)
    assert observe(*_message(NXDOMAIN, soa="example")).soa is None
    assert observe(*_message(NOERROR, answer=b"\x01", rtype=TYPE_A)) == NO_REPLY


def test_an_address_that_is_none_is_2(meshdns: CommandRunner) -> None:
    """Wrong usage, with how an address is written."""
    ended = meshdns("stub-domain", "check", "--via", "dns.example")
    assert ended.status == 2
    assert "write an address and perhaps a port: 10.0.0.53" in ended.err


# ---------------------------------------------------------------------------------------------- the pages


def test_the_page_is_current() -> None:
    """``docs/stub-domains.md`` is what ``python -m meshdns.stubdomains.reference`` writes."""
    assert (ROOT / "docs/stub-domains.md").read_text() == reference()


def test_the_page_has_every_target_and_every_verdict() -> None:
    """A section for each kind of server, a row for each kind of verdict."""
    text = (ROOT / "docs/stub-domains.md").read_text()
    assert {f"## {target}" for target in TARGETS} <= set(text.splitlines())
    assert {kind.value for kind in CheckKind} <= set(re.findall(r"^\| ([a-z ]+) \|", text, re.MULTILINE))


@pytest.mark.parametrize("page", ["stub-domains.md", "moving-in.md"])
def test_every_command_of_the_pages_is_one(meshdns: CommandRunner, page: str) -> None:
    """Commands and options that the pages name exist."""
    text = (ROOT / "docs" / page).read_text()
    commands = re.findall(r"^ {4,}(meshdns [^|>#\n]+)", text, re.MULTILINE)
    assert commands
    for line in commands:
        words = line.split()[1:]
        assert meshdns(*words, "--help").status == 0, line


def test_the_settings_of_the_guide_are_read(tmp_path: Path) -> None:
    """What stands beside istiocoredns at first is a settings file."""
    (block,) = re.findall(
        r"^   ```yaml\n(.*?)^   ```", (ROOT / "docs/moving-in.md").read_text(), re.MULTILINE | re.DOTALL
    )
    file = tmp_path / "meshdns.yaml"
    file.write_text(textwrap.dedent(block))
    assert [(zone.name, zone.answer) for zone in read_settings_file(file, "/").zones] == [("global", "vip")]
