"""The forwarders that are compared: each started by the rig with the same routes."""

import contextlib
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final, NamedTuple

from tests.e2e import boutique
from tests.e2e.instance import Instance, wait_until_ready
from tests.rig.build import built_program
from tests.rig.forwarders import forwarding_coredns, forwarding_dnsmasq, forwarding_named, forwarding_unbound
from tests.rig.nameserver import NameServer
from tests.rig.packages import program
from tests.rig.ports import LOOPBACK

Start = Callable[[Mapping[str, int]], contextlib.AbstractContextManager[NameServer]]


class Forwarder(NamedTuple):
    """A column: its title, how it is started with ports by zone, and the command that tells its version."""

    title: str
    start: Start
    version: Callable[[], Sequence[str]]


@contextlib.contextmanager
def _meshdns(routes: Mapping[str, int]) -> Iterator[NameServer]:
    forward = [{"zone": zone, "to": [f"{LOOPBACK}:{port}"]} for zone, port in routes.items()]
    settings = {
        "sources": [{"kind": "manifests", "path": str(boutique.ZONE)}],
        "vantage": {"cluster": "cluster1"},
        "forward": forward,
    }
    with Instance(settings) as instance:
        wait_until_ready(instance)
        yield instance


MESHDNS: Final = "meshdns"

FORWARDERS: Final[dict[str, Forwarder]] = {
    MESHDNS: Forwarder(MESHDNS, _meshdns, lambda: [str(Path(sys.executable).with_name("meshdns")), "version"]),
    "unbound": Forwarder("Unbound", forwarding_unbound, lambda: [program("unbound"), "-V"]),
    "dnsmasq": Forwarder("dnsmasq", forwarding_dnsmasq, lambda: [program("dnsmasq"), "--version"]),
    "bind": Forwarder("BIND", forwarding_named, lambda: [program("named"), "-v"]),
    "coredns": Forwarder("CoreDNS", forwarding_coredns, lambda: [str(built_program("coredns")), "-version"]),
}


def version(command: Sequence[str]) -> str:
    """The first line that a command says."""
    said = subprocess.run(command, check=False, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True).stdout
    return next((line.strip() for line in said.splitlines() if line.strip()), "unknown")
