"""The table of servers: each started with the population of names it serves, or the upstream it asks.

What can be told to a server is told to be fair to it: one thread, no query log, caches large enough for the load.
"""

import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import meshdns
from tests.bench.population import TTL, ZONE, Population
from tests.bench.programs import Echo
from tests.bench.queries import NOERROR, NXDOMAIN, SERVFAIL, Packets
from tests.e2e.instance import Instance
from tests.rig.build import built_program
from tests.rig.component import Component
from tests.rig.coredns import CoreDNS
from tests.rig.dnsmasq import Dnsmasq
from tests.rig.knot import Knot
from tests.rig.nsd import Nsd
from tests.rig.packages import program
from tests.rig.ports import LOOPBACK
from tests.rig.unbound import Unbound

REFERENCE = "meshdns"
"""The peer that all others stand beside."""

_CACHED = 20_000  # entries: more than any load has names
_WAITING = 4_000  # forwarded queries at a time


@dataclass(frozen=True)
class Site:
    """What a peer is given: the names, a folder of clusters with them, the kubeconfig of a cluster, an upstream."""

    population: Population
    folder: Path
    upstream: int = 0
    kubeconfig: Path | None = None


@dataclass(frozen=True)
class Peer:
    """A row: what stands in the output, how it is started, and the command that tells its version.

    `denial` is the rcode with which it denies a name; `answers` is false for what sends the queries back. `spread` is
    true for what runs on both cores, the generator's included.
    """

    title: str
    start: Callable[[Site], Component]
    version: Callable[[], Sequence[str]] | None = None
    denial: int = NXDOMAIN
    answers: bool = True
    spread: bool = False

    def expected(self, packets: Packets) -> Packets:
        """The queries with what this peer replies when all is well."""
        if not self.answers:
            return replace(packets, rcode=NOERROR, answers=0)
        return replace(packets, rcode=self.denial) if packets.rcode == NXDOMAIN else packets


class _HostsCoreDNS(CoreDNS):
    def __init__(self, site: Site) -> None:
        super().__init__(f". {{\n  bind {LOOPBACK}\n  hosts hosts {ZONE} {{\n    ttl {TTL}\n    reload 0\n  }}\n}}\n")
        self._site = site

    def files(self) -> Mapping[str, str]:
        return {**super().files(), "hosts": self._site.population.hosts_file()}


class _HostsDnsmasq(Dnsmasq):
    def __init__(self, site: Site) -> None:
        super().__init__(f"--local=/{ZONE}/", f"--local-ttl={TTL}", f"--cache-size={_CACHED}")
        self._site = site

    def command(self) -> Sequence[str]:
        return [*super().command(), f"--addn-hosts={self.folder / 'hosts'}"]

    def files(self) -> Mapping[str, str]:
        return {**super().files(), "hosts": self._site.population.hosts_file()}


def _local_unbound(site: Site) -> Component:
    return Unbound(site.population.local_data(), config="  log-queries: no")


def _knot(site: Site) -> Component:
    return Knot({ZONE: site.population.master_file()})


class _UnlimitedNsd(Nsd):
    def __init__(self, site: Site) -> None:
        super().__init__({ZONE: site.population.master_file()})

    def files(self) -> Mapping[str, str]:
        files = super().files()  # Debian's NSD would answer 200 unknown names a second, and drop the others
        return {**files, "nsd.conf": files["nsd.conf"].replace("server:\n", "server:\n  rrl-ratelimit: 0\n", 1)}


def _echo(_site: Site) -> Component:
    return Echo()


def _folder(site: Site) -> dict[str, str]:
    return {"kind": "manifests", "path": str(site.folder)}


def _meshdns(site: Site) -> Component:
    forward = [{"zone": ".", "to": [f"{LOOPBACK}:{site.upstream}"]}] if site.upstream else []
    settings: dict[str, Any] = {
        "sources": [_folder(site)],
        "vantage": {"cluster": "east"},
        **({"forward": forward} if forward else {}),
    }
    return Instance(settings)


def _two_workers(site: Site) -> Component:
    return Instance({"sources": [_folder(site)], "vantage": {"cluster": "east"}, "workers": 2})


def _api_meshdns(site: Site) -> Component:
    source = {"kind": "kubeconfig", "path": str(site.kubeconfig), "contexts": ["east"]}
    return Instance({"sources": [source], "vantage": {"cluster": "east"}})


def _api_coredns(site: Site) -> Component:
    plugin = f"kubernetes cluster.local {{\n    kubeconfig {site.kubeconfig} east\n    ttl {TTL}\n  }}"
    return CoreDNS(f". {{\n  bind {LOOPBACK}\n  {plugin}\n}}\n")


def _forwarding_coredns(site: Site) -> Component:
    cache = f"cache {{\n    success {4 * _CACHED}\n  }}"
    return CoreDNS(f". {{\n  bind {LOOPBACK}\n  {cache}\n  forward . {LOOPBACK}:{site.upstream}\n}}\n")


def _forwarding_unbound(site: Site) -> Component:
    config = f"""\
  log-queries: no
  outgoing-range: {2 * _WAITING}
  num-queries-per-thread: {_WAITING}
forward-zone:
  name: "."
  forward-addr: {LOOPBACK}@{site.upstream}
"""
    return Unbound(config=config)


def _forwarding_dnsmasq(site: Site) -> Component:
    return Dnsmasq(f"--server={LOOPBACK}#{site.upstream}", f"--cache-size={_CACHED}", f"--dns-forward-max={_WAITING}")


def _installed(name: str, option: str) -> Callable[[], Sequence[str]]:
    return lambda: [program(name), option]


def _coredns_version() -> Sequence[str]:
    return [str(built_program("coredns")), "-version"]


_UNBOUND, _DNSMASQ = _installed("unbound", "-V"), _installed("dnsmasq", "--version")

PEERS: Mapping[str, Peer] = {
    "meshdns": Peer("meshdns", _meshdns),
    "meshdns-api": Peer("meshdns, from an API server", _api_meshdns),
    "meshdns-two": Peer("meshdns, two workers on two cores", _two_workers, spread=True),
    "echo": Peer("C echo", _echo, answers=False),
    # Without an SOA to deny a name with, this plugin says SERVFAIL.
    "coredns-hosts": Peer("CoreDNS hosts", _HostsCoreDNS, _coredns_version, SERVFAIL),
    "coredns-kubernetes": Peer("CoreDNS kubernetes", _api_coredns, _coredns_version),
    "coredns-services": Peer("CoreDNS kubernetes, of 10,000 Services", _api_coredns, _coredns_version),
    "coredns-forward": Peer("CoreDNS forward+cache", _forwarding_coredns, _coredns_version),
    "unbound": Peer("Unbound", _local_unbound, _UNBOUND),
    "unbound-forward": Peer("Unbound, forwarding", _forwarding_unbound, _UNBOUND),
    "knot": Peer("Knot DNS", _knot, _installed("knotd", "--version")),
    "nsd": Peer("NSD", _UnlimitedNsd, _installed("nsd", "-v")),
    "dnsmasq": Peer("dnsmasq", _HostsDnsmasq, _DNSMASQ),
    "dnsmasq-forward": Peer("dnsmasq, forwarding", _forwarding_dnsmasq, _DNSMASQ),
}


def version(peer: Peer) -> str:
    """What a peer says of its version, in one line; meshdns's own where it has no command for it."""
    if peer.version is None:
        return meshdns.__version__
    said = subprocess.run(
        peer.version(), check=False, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ).stdout
    return next((line.strip() for line in said.splitlines() if line.strip()), "unknown")
