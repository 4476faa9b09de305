"""Runs a command as a node runs a container: its own root, read-only, its mounts, its user, no capabilities.

``unshare --mount python -m tests.deploy.enter SPEC`` with a JSON file: `root` (a folder that becomes ``/``), `binds`
(source, target, whether read-only), `tmpfs` (targets), `user`, `environment`, `command`. Linux, as root.
"""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any


def main() -> None:
    """Become the command."""
    spec: dict[str, Any] = json.loads(Path(sys.argv[1]).read_text())
    root = Path(spec["root"])
    _mount("--bind", str(root), str(root))
    for target in spec["tmpfs"]:  # before what may be mounted below
        _mount("-t", "tmpfs", "-o", "mode=1777", "tmpfs", str(_place(root, target, directory=True)))
    for source, target, read_only in spec["binds"]:
        place = _place(root, target, directory=Path(source).is_dir())
        _mount("--rbind", source, str(place))
        if read_only:
            _mount("-o", "remount,bind,ro", str(place))
    _mount("-o", "remount,bind,ro", str(root))
    os.chroot(root)
    os.chdir("/")
    user = str(spec["user"])
    confined = ["setpriv", f"--reuid={user}", f"--regid={user}", "--clear-groups", "--no-new-privs"]
    confined += ["--bounding-set=-all", "--inh-caps=-all", "--pdeathsig=KILL", "--"]
    os.execvpe("setpriv", [*confined, *spec["command"]], spec["environment"])  # noqa: S606 - it is what it is for


def _place(root: Path, target: str, *, directory: bool) -> Path:
    """Where to mount, made if it is not there."""
    place = root / target.lstrip("/")
    if directory:
        place.mkdir(parents=True, exist_ok=True)
    else:
        place.parent.mkdir(parents=True, exist_ok=True)
        place.touch()
    return place


def _mount(*arguments: str) -> None:
    subprocess.run(["mount", *arguments], check=True)


if __name__ == "__main__":
    main()
