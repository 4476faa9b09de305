"""The steps of `deploy/Containerfile`, run in plain directories, since no container engine is needed for that.

``python -m tests.deploy.image FOLDER`` builds into FOLDER and prints what it takes and how soon it starts.
The steps are those between the Containerfile's marks; ``/opt``, ``/build`` and the working directory become folders.
"""

import os
import shutil
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import yaml

from tests.deploy.places import CHECKOUT, DEPLOY
from tests.rig.ports import LOOPBACK, free_port

CONTAINERFILE: Final = DEPLOY / "Containerfile"
_COPIED: Final = "COPY "
_RUN: Final = "RUN "
_STARTS: Final = 5


@dataclass(frozen=True)
class Image:
    """A built tree: `program` is the installed command, `octets` all that would be copied into the image."""

    program: Path
    octets: int

    def starts(self) -> float:
        """Seconds from the start of ``meshdns serve`` on the example clusters until it serves: median of five."""
        with TemporaryDirectory() as folder:
            settings = {
                "apiVersion": "meshdns/v1",
                "listen": [f"{LOOPBACK}:{free_port()}"],
                "http": {"listen": f"{LOOPBACK}:{free_port()}"},
                "stateDir": f"{folder}/state",
                "sources": [{"kind": "manifests", "path": str(CHECKOUT / "zones" / "online-boutique" / "clusters")}],
                "workers": 1,
            }
            file = Path(folder, "meshdns.yaml")
            file.write_text(yaml.safe_dump(settings))
            return statistics.median(self._start(file) for _ in range(_STARTS))

    def _start(self, settings: Path) -> float:
        begun = time.perf_counter()
        command = [str(self.program), "serve", "--config", str(settings)]
        with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as serving:
            assert serving.stderr is not None
            said = next((line for line in serving.stderr if "serving on " in line), "")
            took = time.perf_counter() - begun
            serving.send_signal(signal.SIGINT)
            serving.stderr.read()
        if not said:
            raise RuntimeError(f"{self.program} did not serve; run it by hand")
        return took


def steps() -> list[str]:
    """The commands that the build stage runs, in order."""
    _, _, rest = CONTAINERFILE.read_text().partition("# steps begin\n")
    return [line.removeprefix(_RUN) for line in rest.partition("# steps end")[0].splitlines() if line]


def copied() -> Iterator[str]:
    """What of the checkout the build stage sees, by paths from its root."""
    for line in CONTAINERFILE.read_text().partition("# steps begin\n")[0].splitlines():
        if line.startswith(_COPIED):
            yield from line.removeprefix(_COPIED).split()[:-1]


def build(folder: Path) -> Image:
    """Run the steps with `folder` for the root; takes a minute and the package index. Raises `CalledProcessError`."""
    source = folder / "src"
    for name in copied():
        target = source / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if (CHECKOUT / name).is_dir():
            shutil.copytree(CHECKOUT / name, target, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copyfile(CHECKOUT / name, target)
    environment = {**os.environ, "SOURCE_DATE_EPOCH": "0", "PYTHONDONTWRITEBYTECODE": "1"}
    for step in steps():
        words = [_here(word, folder) for word in step.split()]
        subprocess.run(words, cwd=source, env=environment, check=True, capture_output=True, text=True)
    tree = folder / "opt" / "meshdns"
    octets = sum(path.stat().st_size for path in tree.rglob("*") if path.is_file() and not path.is_symlink())
    return Image(tree / "bin" / "meshdns", octets)


def _here(word: str, folder: Path) -> str:
    """A word of a step, with this machine's Python and the folder for the image's root."""
    if word == "python3":
        return sys.executable
    return f"{folder}{word}" if word.startswith(("/opt/", "/build")) else word


def main() -> int:
    """Build and tell."""
    image = build(Path(sys.argv[1]))
    sys.stdout.write(f"{image.octets / 2**20:.0f} MiB, ready to serve after {image.starts():.2f} s\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
