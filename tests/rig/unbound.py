"""Unbound: an upstream resolver."""

from collections.abc import Mapping, Sequence
from typing import ClassVar

from tests.rig.nameserver import NameServer
from tests.rig.packages import program

# With local data the root is a zone of its own: what is not listed is NXDOMAIN with this SOA, and nothing is asked
# outside the machine.
_ROOT = """\
  local-zone: "." static
  local-data: ". 300 IN SOA ns.invalid. hostmaster.invalid. 1 3600 1200 604800 300"
"""


class Unbound(NameServer):
    """An Unbound that answers `local_data` (``www.example.com. 60 IN A 192.0.2.1``) or does as `config` says.

    `config` stands in the clause ``server:`` and may open others (``forward-zone:``).
    """

    title: ClassVar[str] = "Unbound"

    def __init__(self, local_data: Sequence[str] = (), config: str = "") -> None:
        super().__init__()
        self._local_data = local_data
        self._config = config

    def files(self) -> Mapping[str, str]:
        """The configuration: one thread in the foreground, as the user that runs the tests."""
        records = "".join(f"  local-data: '{record}'\n" for record in self._local_data)
        return {
            "unbound.conf": f"""\
server:
  interface: {self.address}@{self.port}
  access-control: 127.0.0.0/8 allow
  num-threads: 1
  do-daemonize: no
  do-not-query-localhost: no
  module-config: "iterator"
  username: ""
  chroot: ""
  directory: "{self.folder}"
  pidfile: ""
  use-syslog: no
  log-queries: yes
{_ROOT if records else ""}{records}{self._config}
"""
        }

    def command(self) -> Sequence[str]:
        """Unbound with our configuration alone."""
        return [program("unbound"), "-d", "-c", str(self.folder / "unbound.conf")]
