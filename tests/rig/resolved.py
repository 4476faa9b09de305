"""systemd-resolved, which many machines have as their own resolver; here it is nobody's but the test's.

It is unpacked and not installed, for its installation puts it in charge of the machine's names. It has a /run of its
own, where it finds its configuration and leaves its state, and the links of the machine, which have no servers for it
because nothing in that /run says so.
"""

from collections.abc import Mapping, Sequence
from typing import ClassVar

from tests.rig.nameserver import NameServer
from tests.rig.packages import program, unpacked

_SETTINGS = """\
[Resolve]
DNSSEC=yes
LLMNR=no
MulticastDNS=no
FallbackDNS=
DNSStubListener=no
DNSStubListenerExtra={address}:{port}
"""

_START = """\
set -e
mount -t tmpfs tmpfs /run
mkdir -p /run/systemd/resolve /run/systemd/resolved.conf.d /run/dnssec-trust-anchors.d
cp {folder}/*.conf /run/systemd/resolved.conf.d
cp {folder}/*.positive {folder}/*.negative /run/dnssec-trust-anchors.d
find {package} -type f -perm -u+x -name systemd-resolved -exec cp {{}} /run/systemd ';'
chown nobody /run/systemd/resolve
exec setpriv --reuid=nobody --clear-groups --inh-caps=+setpcap,+net_raw --ambient-caps=+setpcap,+net_raw \\
    --pdeathsig=KILL -- /run/systemd/systemd-resolved
"""


class Resolved(NameServer):
    """A validating systemd-resolved; `anchor` is the root's DS, `settings` and `negative` are two more of its files."""

    title: ClassVar[str] = "systemd-resolved"

    def __init__(self, anchor: str, settings: str, negative: str) -> None:
        super().__init__()
        self._anchor = anchor
        self._settings = settings
        self._negative = negative

    def files(self) -> Mapping[str, str]:
        """Its configuration, and what puts it in place; the program itself is unpacked beside."""
        package = unpacked("systemd-resolved", self.folder / "package")
        return {
            "rig.conf": _SETTINGS.format(address=self.address, port=self.port),
            "told.conf": self._settings,
            "root.positive": f". IN DS {self._anchor}\n",
            "told.negative": self._negative,
            "start": _START.format(folder=self.folder, package=package),
        }

    def command(self) -> Sequence[str]:
        """The script in a mount namespace."""
        return [program("unshare"), "--mount", "/bin/sh", str(self.folder / "start")]
