"""Knot DNS: an authoritative server."""

from collections.abc import Mapping, Sequence
from typing import ClassVar

from tests.rig.nameserver import NameServer
from tests.rig.packages import program


class Knot(NameServer):
    """A primary for `zones`: master file texts by zone name (``corp.example``)."""

    title: ClassVar[str] = "Knot DNS"

    def __init__(self, zones: Mapping[str, str]) -> None:
        super().__init__()
        self._zones = zones

    def files(self) -> Mapping[str, str]:
        """The configuration and the master files."""
        zones = "".join(f"  - domain: {zone}\n    file: {zone}.zone\n" for zone in self._zones)
        masters = {f"{zone}.zone": text for zone, text in self._zones.items()}
        return {
            **masters,
            "knot.conf": f"""\
server:
  listen: {self.address}@{self.port}
  rundir: {self.folder}
  udp-workers: 1
  tcp-workers: 1
  background-workers: 1
database:
  storage: {self.folder}
log:
  - target: stdout
    any: info
template:
  - id: default
    storage: {self.folder}
    journal-content: none
    zonefile-sync: -1
zone:
{zones}""",
        }

    def command(self) -> Sequence[str]:
        """Run knotd in the foreground with our configuration alone."""
        return [program("knotd"), "-c", str(self.folder / "knot.conf")]
