"""BIND's named: a resolver and forwarder."""

from collections.abc import Mapping, Sequence
from typing import ClassVar

from tests.rig.nameserver import NameServer
from tests.rig.packages import program


class Named(NameServer):
    """A named with `options` in its clause of that name, and `clauses` after it (``zone "x" { … };``)."""

    title: ClassVar[str] = "BIND"

    def __init__(self, options: str = "", clauses: str = "") -> None:
        super().__init__()
        self._options = options
        self._clauses = clauses

    def files(self) -> Mapping[str, str]:
        """The configuration: loopback alone, no control channel, nothing kept outside the folder, no validation."""
        return {
            "named.conf": f"""\
options {{
  directory "{self.folder}";
  listen-on port {self.port} {{ {self.address}; }};
  listen-on-v6 {{ none; }};
  pid-file none;
  session-keyfile "{self.folder}/session.key";
  managed-keys-directory "{self.folder}";
  recursion yes;
  dnssec-validation no;
  empty-zones-enable no;
{self._options}
}};
controls {{ }};
{self._clauses}
"""
        }

    def command(self) -> Sequence[str]:
        """One worker thread in the foreground, as the user that runs the tests."""
        return [program("named"), "-g", "-n", "1", "-c", str(self.folder / "named.conf")]
