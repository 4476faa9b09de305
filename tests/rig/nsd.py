"""NSD: an authoritative server."""

from collections.abc import Mapping, Sequence
from typing import ClassVar

from tests.rig.nameserver import NameServer
from tests.rig.packages import program


class Nsd(NameServer):
    """A primary for `zones`: master file texts by zone name (``corp.example``)."""

    title: ClassVar[str] = "NSD"

    def __init__(self, zones: Mapping[str, str]) -> None:
        super().__init__()
        self._zones = zones

    def files(self) -> Mapping[str, str]:
        """The configuration and the master files."""
        zones = "".join(f'zone:\n  name: "{zone}"\n  zonefile: "{zone}.zone"\n' for zone in self._zones)
        masters = {f"{zone}.zone": text for zone, text in self._zones.items()}
        return {
            **masters,
            "nsd.conf": f"""\
server:
  ip-address: {self.address}@{self.port}
  server-count: 1
  username: ""
  zonesdir: "{self.folder}"
  database: ""
  pidfile: "{self.folder}/nsd.pid"
  xfrdfile: "{self.folder}/xfrd.state"
  zonelistfile: "{self.folder}/zone.list"
  xfrdir: "{self.folder}"
remote-control:
  control-enable: no
{zones}""",
        }

    def command(self) -> Sequence[str]:
        """Run nsd in the foreground with our configuration alone."""
        return [program("nsd"), "-d", "-c", str(self.folder / "nsd.conf")]
