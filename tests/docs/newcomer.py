"""A new user's two commands in a plain Debian root: nothing but Python and make, an empty home, a fresh clone.

``python -m tests.docs.newcomer FOLDER`` makes the root in FOLDER with debootstrap, where it is not there yet, runs
``make demo`` in it until dig gets the first answer, and prints how long that took; with ``--test`` it runs
``make test`` there as well. It needs root and ports 1053, 8053 and 9153 of 127.0.0.1; the network of this machine is
the root's, and so are the settings by which it is reached.
"""

import argparse
import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from tests.rig.dig import NoReply, dig
from tests.rig.waiting import eventually

CHECKOUT: Final = Path(__file__).resolve().parents[2]
_SUITE: Final = "bookworm"
_CLONE: Final = "root/meshdns"
_NETWORK: Final = ("etc/resolv.conf", "etc/hosts", "etc/pip.conf", "etc/ssl/certs/ca-certificates.crt")
"""Files by which this machine reaches package indexes; a root made elsewhere has its own."""

_INDEX: Final = ("PIP_CERT", "PIP_INDEX_URL", "GOPROXY", "http_proxy", "https_proxy", "no_proxy")
"""Variables by which they are reached."""

_ENTER: Final = (
    'root=$1; shift; mount --rbind "$root" "$root"; mount -t proc proc "$root/proc"; exec chroot "$root" "$@"'
)
"""A root is a mount, as in every container: what is run in it may make namespaces of its own."""

_ENVIRONMENT: Final = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/root", "LANG": "C.UTF-8"}
_PATIENCE: Final = 600.0  # seconds for the first answer: packages come over the network


def make_root(root: Path) -> None:
    """A minimal Debian with python3, make and certificates. Raises `CalledProcessError`, `SystemExit`."""
    if shutil.which("debootstrap") is None:
        raise SystemExit("debootstrap is not installed: run `apt-get install debootstrap`")
    command = ["debootstrap", "--variant=minbase", "--include=python3,make,ca-certificates", _SUITE, str(root)]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


def fresh_clone(root: Path) -> None:
    """What is committed of this checkout, in a home that holds nothing else."""
    home = root / "root"
    shutil.rmtree(home)
    home.mkdir()
    subprocess.run(["git", "clone", "--quiet", str(CHECKOUT), str(root / _CLONE)], check=True)
    for name in _NETWORK:
        if Path("/", name).is_file():
            shutil.copyfile(Path("/", name), root / name)


def inside(root: Path, *command: str) -> list[str]:
    """The command line that runs `command` in the clone, with processes, mounts and environment of its own."""
    index = {name: os.environ[name] for name in _INDEX if name in os.environ}
    variables = [f"{name}={value}" for name, value in {**_ENVIRONMENT, **index}.items()]
    entering = ["unshare", "--mount", "--pid", "--fork", "--kill-child", "sh", "-c", _ENTER, "enter", str(root)]
    return [*entering, "env", "-i", f"--chdir=/{_CLONE}", *variables, *command]


def first_answer(root: Path) -> float:
    """Seconds from ``make demo`` to the first answer of dig; the demo is ended then. Raises `TimeoutError`."""
    if _answers():
        raise SystemExit("another demo answers on port 1053: end it, then run this again")
    begun = time.monotonic()
    with _running(inside(root, "make", "demo")) as demo:
        eventually(lambda: _answered(demo), what="the demo answers", within=_PATIENCE)
        return time.monotonic() - begun


@contextlib.contextmanager
def _running(command: list[str]) -> Iterator["subprocess.Popen[bytes]"]:
    with subprocess.Popen(command, start_new_session=True) as process:
        try:
            yield process
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)


def _answered(demo: "subprocess.Popen[bytes]") -> bool:
    if demo.poll() is not None:
        raise RuntimeError(f"make demo ended with status {demo.returncode}: see what it said above")
    return _answers()


def _answers() -> bool:
    try:
        return dig("frontend.default.global", port=1053).rdata == ("203.0.113.20",)
    except NoReply:
        return False


def main() -> int:
    """Make the root, run the commands and tell."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--test", action="store_true", help="run the second command, too: half an hour")
    asked = parser.parse_args()
    root = asked.folder.resolve() / "root"
    if not (root / "usr/bin/make").exists():
        make_root(root)
    fresh_clone(root)
    sys.stdout.write(f"make demo: first answer after {first_answer(root):.0f} s\n")
    sys.stdout.flush()
    if not asked.test:
        return 0
    begun = time.monotonic()
    status = subprocess.run(inside(root, "make", "test"), check=False).returncode
    sys.stdout.write(f"make test: status {status} after {(time.monotonic() - begun) / 60:.0f} minutes\n")
    return status


if __name__ == "__main__":
    sys.exit(main())
