"""The public DNS in small: a signed root and a signed top-level domain ``global`` that others run.

One Unbound gives its answers, with signatures for whoever asks for them, as a provider's resolver does.
"""

import re
import subprocess
from collections.abc import Mapping
from typing import ClassVar

from tests.rig.packages import program
from tests.rig.unbound import Unbound

_ALGORITHM = "ECDSAP256SHA256"
# No address for documentation where an answer is asked for: dnsmasq takes these for private ones (RFC 5737).
_GLOBAL = """\
global. 3600 IN SOA a.nic.global. hostmaster.nic.global. 1 1800 900 604800 300
global. 3600 IN NS a.nic.global.
a.nic.global. 3600 IN A 192.0.2.2
www.global. 3600 IN A 198.51.100.80
"""
_ROOT = """\
. 3600 IN SOA a.root-servers.example. nstld.example. 1 1800 900 604800 300
. 3600 IN NS a.root-servers.example.
a.root-servers.example. 3600 IN A 192.0.2.1
www.example. 3600 IN A 9.9.9.9
global. 3600 IN NS a.nic.global.
a.nic.global. 3600 IN A 192.0.2.2
"""


class SignedRoot(Unbound):
    """Answers for the root and ``global``; the anchors are those of the root, in presentation format."""

    title: ClassVar[str] = "the signed root"

    def __init__(self) -> None:
        super().__init__(
            config="".join(
                f'auth-zone:\n  name: "{zone}"\n  zonefile: "{file}"\n  for-downstream: no\n  for-upstream: yes\n'
                for zone, file in ((".", "root.signed"), ("global", "global.signed"))
            )
        )

    def files(self) -> Mapping[str, str]:
        """The configuration; the zones are signed on the way, `global` first, whose key the root vouches for."""
        delegated = self._sign("global", "global", _GLOBAL)
        self._sign(".", "root", _ROOT + delegated)
        return super().files()

    @property
    def dnskey(self) -> str:
        """RDATA of the root's DNSKEY: ``257 3 13 <base64>``."""
        (key,) = self.folder.glob("K.+*.key")
        found = re.search(r"^\. .*?DNSKEY (257 3 \d+) (.+)$", key.read_text(), re.MULTILINE)
        assert found is not None
        return f"{found.group(1)} {''.join(found.group(2).split())}"

    @property
    def ds(self) -> str:
        """RDATA of the root's DS: ``<key tag> 13 2 <digest>``."""
        found = re.search(r"DS\s+(\d+ \d+ 2) (.+)$", (self.folder / "dsset-.").read_text(), re.MULTILINE)
        assert found is not None
        return f"{found.group(1)} {''.join(found.group(2).split())}"

    def _sign(self, zone: str, stem: str, text: str) -> str:
        """Sign a zone with a key of its own; the DS records for its parent."""
        (self.folder / f"{stem}.zone").write_text(text)
        self._run("dnssec-keygen", "-q", "-a", _ALGORITHM, "-f", "KSK", zone)
        self._run("dnssec-signzone", "-S", "-z", "-o", zone, "-f", f"{stem}.signed", f"{stem}.zone")
        return (self.folder / f"dsset-{zone.removesuffix('.')}.").read_text()

    def _run(self, *command: str) -> None:
        subprocess.run([program(command[0]), *command[1:]], cwd=self.folder, check=True, capture_output=True)
