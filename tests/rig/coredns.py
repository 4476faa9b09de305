"""CoreDNS: the cluster DNS in front of meshdns."""

from collections.abc import Mapping, Sequence
from typing import ClassVar

from tests.rig.build import built_program
from tests.rig.nameserver import NameServer


class CoreDNS(NameServer):
    """CoreDNS with a Corefile whose server blocks name zones but no port (``. { bind 127.0.0.1 … }``)."""

    title: ClassVar[str] = "CoreDNS"

    def __init__(self, corefile: str) -> None:
        super().__init__()
        if "bind 127.0.0.1" not in corefile:
            raise ValueError("the Corefile would listen on all addresses: write `bind 127.0.0.1` in each server block")
        self._corefile = corefile

    def files(self) -> Mapping[str, str]:
        """The Corefile."""
        return {"Corefile": self._corefile}

    def command(self) -> Sequence[str]:
        """CoreDNS with our port where the Corefile names none."""
        return [str(built_program("coredns")), "-conf", str(self.folder / "Corefile"), f"-dns.port={self.port}"]
