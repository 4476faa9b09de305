"""Real servers told exactly what ``meshdns stub-domain print`` prints, while a signed root vouches for global."""

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
import yaml

from tests.cli.command_runner import CommandResult, CommandRunner
from tests.e2e.instance import Instance, on_boutique, wait_until_ready
from tests.rig.apiserver import ApiServer
from tests.rig.coredns import CoreDNS
from tests.rig.dig import dig
from tests.rig.dnsmasq import Dnsmasq
from tests.rig.named import Named
from tests.rig.nameserver import NameServer
from tests.rig.nsd import Nsd
from tests.rig.ports import free_port
from tests.rig.resolved import Resolved
from tests.rig.signedroot import SignedRoot
from tests.rig.unbound import Unbound
from tests.rig.waiting import eventually

pytestmark = [pytest.mark.rig, pytest.mark.long]

TARGETS = ("coredns", "dnsmasq", "unbound", "bind", "systemd-resolved")
GATEWAY = ("203.0.113.20",)


@pytest.fixture(scope="module")
def public() -> Iterator[SignedRoot]:
    """The public DNS, in which global is a signed domain of somebody else."""
    with SignedRoot() as root:
        yield root


@pytest.fixture
def instance(clusters: Path, public: SignedRoot) -> Iterator[Instance]:
    """Online Boutique seen from cluster1."""
    with on_boutique(clusters, public) as instance:
        wait_until_ready(instance)
        yield instance


@pytest.fixture
def meshdns(capsys: pytest.CaptureFixture[str]) -> CommandRunner:
    """The command."""
    return CommandRunner(capsys)


def printed(meshdns: CommandRunner, target: str, port: int) -> str:
    """What is to be pasted for a meshdns on a port of loopback."""
    ended = meshdns("stub-domain", "print", "--target", target, "--ip", "127.0.0.1", "--port", str(port))
    assert ended.status == 0, ended.err
    return ended.out


def checked(meshdns: CommandRunner, via: NameServer | int, *more: str) -> CommandResult:
    """The end of a check through a server, or through a port."""
    port = via if isinstance(via, int) else via.port
    return meshdns("stub-domain", "check", "--via", f"127.0.0.1:{port}", *more)


def kind(ended: CommandResult) -> str:
    """The kind of a verdict in JSON."""
    return str(json.loads(ended.out)["verdict"]["kind"])


# ---------------------------------------------------------------------------------------------- the servers in front


def _coredns(text: str, public: SignedRoot, folder: Path) -> NameServer:
    """CoreDNS does not validate; the printed block has port 53, which tests cannot have."""
    own = text.replace("global:53 {", "global {\n    bind 127.0.0.1")
    return CoreDNS(f". {{\n    bind 127.0.0.1\n    cache 30\n    forward . 127.0.0.1:{public.port}\n}}\n{own}")


def _dnsmasq(text: str, public: SignedRoot, folder: Path) -> NameServer:
    """A validating dnsmasq that stops rebinding, with the printed file in its folder of files."""
    (folder / "dnsmasq.d").mkdir()
    (folder / "dnsmasq.d" / "meshdns.conf").write_text(text)
    anchor = public.ds.replace(" ", ",")
    return Dnsmasq(
        "--dnssec",
        f"--trust-anchor=.,{anchor}",
        "--stop-dns-rebind",
        f"--server=127.0.0.1#{public.port}",
        f"--conf-dir={folder / 'dnsmasq.d'}",
    )


def _unbound(text: str, public: SignedRoot, folder: Path) -> NameServer:
    """A validating Unbound that takes private addresses from nobody."""
    return Unbound(
        config=f"""\
  module-config: "validator iterator"
  trust-anchor: ". DNSKEY {public.dnskey}"
  private-address: 10.0.0.0/8
{text}
forward-zone:
  name: "."
  forward-addr: 127.0.0.1@{public.port}
"""
    )


class _ValidatingNamed(Named):
    """BIND that validates with the root's key."""

    def files(self) -> Mapping[str, str]:
        """The rig's configuration with validation on."""
        return {
            name: text.replace("dnssec-validation no;", "dnssec-validation yes;")
            for name, text in super().files().items()
        }


def _bind(text: str, public: SignedRoot, folder: Path) -> NameServer:
    """A validating BIND with both printed files included where they say."""
    options, _, zones = text.partition("\n\n")
    for name, content in (("meshdns.options", options), ("meshdns.zones", zones)):
        (folder / name).write_text(content + "\n")
    flags, protocol, algorithm, key = public.dnskey.split()
    return _ValidatingNamed(
        f'  forward only;\n  forwarders {{ 127.0.0.1 port {public.port}; }};\n  include "{folder}/meshdns.options";',
        f'include "{folder}/meshdns.zones";\n'
        f'trust-anchors {{ . static-key {flags} {protocol} {algorithm} "{key}"; }};\n',
    )


def _resolved(text: str, public: SignedRoot, folder: Path) -> NameServer:
    """A validating systemd-resolved with both printed files; it knows no other servers, so meshdns has to forward."""
    settings, _, negative = text.partition("\n\n")
    return Resolved(public.ds, settings, negative)


_FRONTS = {
    "coredns": _coredns,
    "dnsmasq": _dnsmasq,
    "unbound": _unbound,
    "bind": _bind,
    "systemd-resolved": _resolved,
}


@pytest.mark.parametrize("target", TARGETS)
def test_what_is_printed_works(
    meshdns: CommandRunner, target: str, instance: Instance, public: SignedRoot, tmp_path: Path
) -> None:
    """Names of the mesh resolve beside those of the public, private addresses too, and the check says that all is well.

    When meshdns dies, the check says so.
    """
    text = printed(meshdns, target, instance.port)
    with _FRONTS[target](text, public, tmp_path) as front:
        assert dig("frontend.default.global", port=front.port).rdata == GATEWAY
        assert dig("adservice.default.global", port=front.port).rdata == ("10.20.0.31",)
        assert dig("www.example", port=front.port).rdata == ("9.9.9.9",)
        assert dig("nosuch.default.global", port=front.port).status == "NXDOMAIN"
        sound = checked(meshdns, front)
        assert sound.status == 0, sound.out
        assert "meshdns is reached through" in sound.out
        instance.stop()
        dead = checked(meshdns, front, "--server", f"127.0.0.1:{instance.port}", "--zone", "global", "-o", "json")
        assert dead.status == 1
        assert kind(dead) == "meshdns silent", dead.out


@pytest.mark.parametrize("target", ["unbound", "bind", "systemd-resolved"])
def test_without_the_exception_validation_is_blamed(
    meshdns: CommandRunner, target: str, instance: Instance, public: SignedRoot, tmp_path: Path
) -> None:
    """The public root proves that global is signed, our answers are not: SERVFAIL, and the check knows why."""
    lines = printed(meshdns, target, instance.port).splitlines()
    excepting = ("domain-insecure", "validate-except")
    text = "\n".join(line for line in lines if line != "global" and not line.strip().startswith(excepting))
    with _FRONTS[target](text, public, tmp_path) as front:
        assert dig("frontend.default.global", port=front.port).status == "SERVFAIL"
        ended = checked(meshdns, front)
        assert ended.status == 1
        assert "validates: global is signed in public and not here; except global from validation" in ended.out


def test_a_server_that_was_told_nothing_is_named(meshdns: CommandRunner, public: SignedRoot) -> None:
    """The public servers of global answer, or the root for a zone that is not there; and nobody at a wrong address."""
    told = checked(meshdns, public)
    assert told.status == 1
    assert "does not send global to meshdns: a.nic.global answered for global" in told.out
    assert kind(checked(meshdns, public, "--zone", "mesh", "-o", "json")) == "public root"
    assert kind(checked(meshdns, free_port(), "-o", "json")) == "no answer"


def test_a_stub_domain_that_leads_elsewhere_is_the_hop(
    meshdns: CommandRunner, instance: Instance, public: SignedRoot, tmp_path: Path
) -> None:
    """Meshdns answers when it is asked itself, and the server in front asks another port."""
    with _coredns(printed(meshdns, "coredns", free_port()), public, tmp_path) as front:
        blind = checked(meshdns, front, "-o", "json")
        seeing = checked(meshdns, front, "--server", f"127.0.0.1:{instance.port}", "-o", "json")
    assert (kind(blind), kind(seeing)) == ("behind", "hop to meshdns")


def test_a_denial_from_before_is_known_for_what_it_is(
    meshdns: CommandRunner, instance: Instance, public: SignedRoot, tmp_path: Path
) -> None:
    """The server in front heard of others that there is no such name, and keeps that; it is told how long."""
    instance.stop()
    others = Nsd({"global": "global. 300 IN SOA a.nic.global. hostmaster.nic.global. 1 1800 900 604800 300\n"})
    others.port = instance.port
    with _unbound(printed(meshdns, "unbound", instance.port), public, tmp_path) as front:
        with others:
            assert dig("whoami.global", "TXT", port=front.port).status == "NXDOMAIN"
        instance.start()
        wait_until_ready(instance)
        ended = checked(meshdns, front)
    assert ended.status == 1
    assert re.search(r"keeps a denial from before for \d+ s more; wait, or flush global from its cache", ended.out)


# ---------------------------------------------------------------------------------------------- clusters

_SERVICE = {
    "apiVersion": "v1",
    "kind": "Service",
    "metadata": {"name": "meshdns", "namespace": "meshdns"},
    "spec": {
        "clusterIP": "10.96.0.53",
        "ports": [
            {"name": "dns-tcp", "port": 53, "protocol": "TCP"},
            {"name": "dns", "port": 53, "protocol": "UDP"},
        ],
    },
}


def _config_map(name: str, **content: str) -> dict[str, object]:
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": name, "namespace": "kube-system"},
        "data": content,
    }


def test_a_cluster_is_read_for_address_and_deployed_text(
    meshdns: CommandRunner, east: ApiServer, tmp_path: Path
) -> None:
    """The ClusterIP is the Service's, others' stub domains stay, and once it is applied nothing differs."""
    cluster = ("--kubeconfig", str(east.write_kubeconfig(tmp_path / "config")))
    print_, diff = (("stub-domain", word, "--target", "kube-dns", *cluster) for word in ("print", "diff"))
    missing = meshdns(*print_)
    assert missing.status == 1
    assert "there is no Service meshdns/meshdns; install meshdns first" in missing.err
    east.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "meshdns"}})
    east.apply(_SERVICE)
    others = _config_map("kube-dns", stubDomains='{"corp.example": ["10.0.0.1"]}', upstreamNameservers='["9.9.9.9"]')
    east.post("/api/v1/namespaces/kube-system/configmaps", others)
    different = meshdns(*diff)
    assert different.status == 1
    assert '+    "10.96.0.53"' in different.out.splitlines()
    east.apply(yaml.safe_load(meshdns(*print_).out))
    deployed = east.get("/api/v1/namespaces/kube-system/configmaps/kube-dns")["data"]
    assert json.loads(deployed["stubDomains"]) == {"corp.example": ["10.0.0.1"], "global": ["10.96.0.53"]}
    assert deployed["upstreamNameservers"] == '["9.9.9.9"]'
    assert meshdns(*diff).status == 0


def test_what_the_cluster_denies_falls_through_to_us(
    meshdns: CommandRunner, east: ApiServer, clusters: Path, public: SignedRoot, tmp_path: Path
) -> None:
    """CoreDNS's plugin kubernetes with the printed Corefile: its own Services, then those of the other cluster."""
    east.apply({**_SERVICE, "metadata": {"name": "own", "namespace": "default"}})
    config = east.write_kubeconfig(tmp_path / "config")
    corefile = tmp_path / "Corefile"
    corefile.write_text(f"""\
. {{
    bind 127.0.0.1
    kubernetes cluster.local in-addr.arpa ip6.arpa {{
        kubeconfig {config}
        fallthrough in-addr.arpa ip6.arpa
    }}
    forward . 127.0.0.1:{public.port}
}}
""")
    fallback = [{"zone": "cluster.local", "upstream": "none"}]
    with on_boutique(clusters, public, fallback=fallback) as instance:
        wait_until_ready(instance)
        address = ("--ip", "127.0.0.1", "--port", str(instance.port), "--fallback", "cluster.local")
        text = meshdns("stub-domain", "print", "--target", "coredns", "--file", str(corefile), *address).out
        with CoreDNS(text.replace("global:53 {", "global {\n    bind 127.0.0.1")) as front:
            own = "own.default.svc.cluster.local"
            eventually(lambda: dig(own, port=front.port).rdata == ("10.96.0.53",), what="CoreDNS has its Services")
            assert dig("frontend.default.svc.cluster.local", port=front.port).rdata == GATEWAY
            assert dig("nosuch.default.svc.cluster.local", port=front.port).status == "NXDOMAIN"
            assert dig("www.example", port=front.port).rdata == ("9.9.9.9",)
