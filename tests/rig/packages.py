"""Programs that come as the system's packages: where they are, and how to get them.

Run as ``python -m tests.rig.packages`` it installs with apt-get what is missing (as root), or prints the one line that
does. Nothing but the standard library: the set-up runs it.
"""

import ctypes
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.rig.errors import ComponentUnavailable
from tests.rig.marks import require_rig

DEBIAN_PACKAGES: Mapping[str, str] = {
    "chromium": "chromium",
    "curl": "curl",
    "dig": "bind9-dnsutils",
    "dnssec-keygen": "bind9-utils",
    "dnssec-signzone": "bind9-utils",
    "dnsmasq": "dnsmasq-base",  # the program without the service of the package dnsmasq
    "dnsperf": "dnsperf",
    "ip": "iproute2",
    "kdig": "knot-dnsutils",
    "knotd": "knot",
    "ldns-testns": "ldnsutils",
    "named": "bind9",
    "named-checkzone": "bind9-utils",
    "nsd": "nsd",
    "openssl": "openssl",
    "prometheus": "prometheus",
    "promtool": "prometheus",
    "setpriv": "util-linux",
    "ss": "iproute2",
    "strace": "strace",
    "systemd-analyze": "systemd",
    "tshark": "tshark",
    "unbound": "unbound",
    "unshare": "util-linux",
}

LIBRARIES: Mapping[str, str] = {"libatomic.so.1": "libatomic1"}  # what the driver of the browser is linked with

# Servers live in the sbin folders, which are not on the path of every user.
_SEARCH_PATH = os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/local/sbin", "/usr/sbin", "/sbin"])

# RUNLEVEL and PREVLEVEL make Debian's invoke-rc.d believe in the single-user runlevel, in which it starts no service:
# the tests start the programs themselves, on ports of their own.
_APT_ENVIRONMENT: Mapping[str, str] = {"DEBIAN_FRONTEND": "noninteractive", "RUNLEVEL": "1", "PREVLEVEL": "N"}


def program(name: str) -> str:
    """Full path of a program of `DEBIAN_PACKAGES`; raises `ComponentUnavailable` if it is not installed."""
    require_rig(f"the program {name}")
    path = _find(name)
    if path is None:
        raise ComponentUnavailable(
            f"the program {name} is not installed: run `{_apt_line([DEBIAN_PACKAGES[name]])}` "
            f"(`make test` does so when it runs as root)"
        )
    return path


def unpacked(package: str, target: Path) -> Path:
    """`target` with the files of a Debian package that is not to be installed; raises `ComponentUnavailable`."""
    download = ["apt-get", "download", "-qq", "-o", "APT::Sandbox::User=root", package]
    with tempfile.TemporaryDirectory(prefix="package-") as folder:
        try:
            if subprocess.run(download, cwd=folder, capture_output=True, check=False).returncode:
                subprocess.run(["apt-get", "update", "-qq"], capture_output=True, check=True)
                subprocess.run(download, cwd=folder, capture_output=True, check=True)
            (file,) = Path(folder).glob("*.deb")
            subprocess.run(["dpkg-deb", "-x", str(file), str(target)], capture_output=True, check=True)
        except (OSError, subprocess.CalledProcessError, ValueError) as fault:
            raise ComponentUnavailable(f"the Debian package {package} cannot be had: {fault}") from fault
    return target


def missing_packages() -> list[str]:
    """Debian packages whose program or library is not installed here, in the order of their names."""
    programs = {package for name, package in DEBIAN_PACKAGES.items() if _find(name) is None}
    return sorted(programs | {package for name, package in LIBRARIES.items() if not _can_be_loaded(name)})


def main() -> int:
    """Install what is missing if this may be done; else say in one line what is to be run. The exit status."""
    missing = missing_packages()
    if not missing:
        return 0
    if shutil.which("apt-get") is None:
        sys.stderr.write(f"Some tests will fail: install the programs of Debian's packages {' '.join(missing)}.\n")
        return 0
    if os.geteuid() != 0:
        sys.stderr.write(f"Some tests will fail until you run: sudo {_apt_line(missing)}\n")
        return 0
    return _install(missing)


def _find(name: str) -> str | None:
    return shutil.which(name, path=_SEARCH_PATH)


def _can_be_loaded(library: str) -> bool:
    try:
        ctypes.CDLL(library)
    except OSError:
        return False
    return True


def _apt_line(packages: Sequence[str]) -> str:
    return f"apt-get install --no-install-recommends {' '.join(packages)}"


def _install(packages: Sequence[str]) -> int:
    sys.stderr.write(f"Installing Debian packages that the tests need: {' '.join(packages)}\n")
    environment = {**os.environ, **_APT_ENVIRONMENT}
    for command in (["update", "-qq"], ["install", "-qq", "-y", "--no-install-recommends", *packages]):
        status = subprocess.run(
            ["apt-get", *command], env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, check=False
        ).returncode
        if status != 0:
            sys.stderr.write(
                f"apt-get {command[0]} failed (status {status}): see its messages above, then run it again.\n"
            )
            return status
    return 0


if __name__ == "__main__":
    sys.exit(main())
