"""dnsmasq: the forwarder of kube-dns and of many laptops and VMs."""

import getpass
from collections.abc import Sequence
from typing import ClassVar

from tests.rig.nameserver import NameServer
from tests.rig.packages import program


class Dnsmasq(NameServer):
    """A dnsmasq with nothing but `arguments` (``--server=/global/127.0.0.1#5300``, ``--cache-size=0``)."""

    title: ClassVar[str] = "dnsmasq"

    def __init__(self, *arguments: str) -> None:
        super().__init__()
        self._arguments = arguments

    def command(self) -> Sequence[str]:
        """Run dnsmasq in the foreground, without the machine's configuration, resolvers and hosts file."""
        return [
            program("dnsmasq"),
            "--keep-in-foreground",
            "--conf-file=/dev/null",
            "--no-resolv",
            "--no-hosts",
            "--bind-interfaces",
            f"--listen-address={self.address}",
            f"--port={self.port}",
            f"--user={getpass.getuser()}",  # a change of user would cancel the kernel's signal at our death
            "--pid-file=",
            "--log-facility=-",
            *self._arguments,
        ]
