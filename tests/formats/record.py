"""Record the formats of the installed version: ``python -m tests.formats.record FOLDER``.

It starts a server on a copy of Online Boutique with one broken endpoint, and keeps its state folder, the replies of the
admin socket, the output of commands, its metrics, and what passes between supervisor, successor and children.
"""

import json
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final

import aiohttp
import msgspec
import yaml
from prometheus_client.parser import text_string_to_metric_families

from meshdns.config import read_settings_file
from meshdns.controller.source_settings import ControllerSettings
from meshdns.mesh.objects.problems import ProblemKind
from meshdns.supervisor.cookie_secrets import CookieSecrets
from meshdns.supervisor.handover import VARIABLE
from meshdns.supervisor.sockets import Sockets
from meshdns.supervisor.worker_settings import worker_settings
from meshdns.worker.settings import encode
from tests.cli.admin_server import asked
from tests.e2e.instance import alive
from tests.e2e.load import message
from tests.rig.ports import LOOPBACK, free_port
from tests.rig.waiting import eventually

ZONES: Final = Path(__file__).parents[2] / "zones"

TARGETS: Final = (
    "/names",
    "/names?name=cart&limit=2",
    "/services",
    "/clusters",
    "/gateways",
    "/networks",
    "/problems",
    "/problems?limit=1",
    "/zone",
    "/explain?name=frontend.default.global&type=A",
    "/explain?name=cartservice.default.global&type=AAAA",
    "/explain?name=nosuch.default.global&type=A",
    "/explain?name=www.example.com&type=A",
    "/explain?name=a..b",
    "/overview",
    "/totals",
    "/queries",
)
"""The paths of the admin socket that are read."""

COMMANDS: Final = (
    *(f"get {word} -o json" for word in ("names", "services", "clusters", "gateways", "networks", "problems")),
    "explain frontend.default.global -o json",
    "zone --running",
)
"""The commands whose output other programs read; without a server they read the state folder."""

BROKEN: Final = {
    "apiVersion": "networking.istio.io/v1",
    "kind": "ServiceEntry",
    "metadata": {"name": "broken", "namespace": "default", "creationTimestamp": "2026-03-02T09:00:00Z"},
    "spec": {
        "hosts": ["broken.default.global"],
        "location": "MESH_INTERNAL",
        "resolution": "STATIC",
        "endpoints": [{"address": "203.0.113.7"}, {"address": "203.0.113.300"}],
    },
}
"""An object with a problem: one of its endpoints has no address."""


def write_settings(folder: Path, *, http: int, listen: int) -> Path:
    """Write the settings and the manifests that are recorded from; returns the settings file."""
    shutil.copytree(ZONES / "online-boutique" / "clusters", folder / "clusters")
    (folder / "clusters" / "cluster2" / "broken.yaml").write_text(yaml.safe_dump(BROKEN))
    settings = {
        "apiVersion": "meshdns/v1",
        "vantage": {"cluster": "cluster1"},
        "sources": [{"kind": "manifests", "path": "./clusters"}],
        "zones": [{"name": "global"}],
        "forward": [{"zone": ".", "to": [f"{LOOPBACK}:9"]}],
        "probe": {"type": "none"},
        "listen": [f"{LOOPBACK}:{listen}"],
        "http": {"listen": f"{LOOPBACK}:{http}"},
        "admin": {"socket": "./state/admin.sock"},
        "stateDir": "./state",
        "workers": 1,
        "lameduck": "0s",
        "queryLog": {"sample": 1},
    }
    file = folder / "meshdns.yaml"
    file.write_text(yaml.safe_dump(settings))
    return file


def families(text: str) -> dict[str, dict[str, Any]]:
    """Return the types of the metrics of a page and the names of their labels."""
    found = list(text_string_to_metric_families(text))
    return {
        family.name: {
            "type": family.type,
            "labels": sorted({label for sample in family.samples for label in sample.labels}),
        }
        for family in found
    }


def boot_free(name: str) -> str:
    """Return a path of the state folder without what tells one boot of the machine from another."""
    with suppress(OSError):
        boot = Path("/proc/sys/kernel/random/boot_id").read_text("ascii")[:8]
        return name.replace(boot, "BOOT")
    return name


@contextmanager
def _serving(file: Path) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-m", "meshdns", "serve", "--config", str(file)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as server:
        try:
            yield server
        finally:
            server.send_signal(signal.SIGTERM)
            server.communicate(timeout=60)


def _is_complete(path: Path) -> bool:
    with suppress(aiohttp.ClientError, OSError):
        zones, clusters = (asked(path, target)[1]["items"] for target in ("/zone", "/clusters"))
        read = all(cluster["status"] == "synced" and cluster["lastContact"] is not None for cluster in clusters)
        return bool(zones[0]["ready"] and zones[0]["complete"] and read)
    return False


def _ask(port: int, name: str) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.settimeout(10)
        client.connect((LOOPBACK, port))
        client.send(message(name, 1))
        client.recv(2048)


def _command(words: str, file: Path) -> Any:
    done = subprocess.run(
        [sys.executable, "-m", "meshdns", *words.split(), "--config", str(file)],
        capture_output=True,
        text=True,
        check=True,
    )
    return json.loads(done.stdout) if "json" in words else done.stdout


def _handed_over(server: subprocess.Popen[str]) -> str:
    """Return what a server leaves to the successor that SIGUSR2 puts in its place."""
    server.send_signal(signal.SIGUSR2)

    def look() -> str:
        variables = Path(f"/proc/{server.pid}/environ").read_text().split("\0")
        return next((text.partition("=")[2] for text in variables if text.startswith(f"{VARIABLE}=")), "")

    return eventually(look, what="a successor has begun", within=60)


def _messages(file: Path, handed: str) -> dict[str, Any]:
    """Return what the supervisor passes on: to its successor, to a worker, to the controller."""
    settings = read_settings_file(file, "/")
    sockets = Sockets.bind([(LOOPBACK, 0)], workers=1)
    cookies = CookieSecrets(current=bytes(range(16)), previous=bytes(16), created_at=0.0)
    worker = worker_settings(
        settings, {}, sockets, number=0, scoreboard=3, namedb="/state/view", generation=1, cookies=cookies
    )
    sockets.close()
    worker = msgspec.structs.replace(worker, nsid=b"node-1", identity=b"node-1")
    text = settings.model_dump_json(by_alias=True).replace(str(file.parent), "")
    controller = ControllerSettings(generation=1, settings=text, namedb="/state/view", state_dir="/state", scoreboard=3)
    return {
        "hand over": json.loads(handed),
        "worker": json.loads(encode(worker)),
        "controller": json.loads(msgspec.json.encode(controller)),
    }


def _keep(folder: Path, name: str, value: Mapping[str, Any]) -> None:
    (folder / name).write_text(json.dumps(value, indent=1, sort_keys=True) + "\n")


def record(into: Path) -> None:
    """Write the recordings to a folder, which is made."""
    into.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="meshdns-") as folder:
        http, listen = free_port(), free_port()
        file = write_settings(Path(folder), http=http, listen=listen)
        state = file.parent / "state"
        with _serving(file) as server:
            path = state / "admin.sock"
            eventually(lambda: _is_complete(path), what="all clusters are read", within=60)
            _keep(into, "kinds.json", {"problems": sorted(kind.value for kind in ProblemKind)})
            handed = _handed_over(server)
            former = json.loads(handed)["controller"]
            eventually(lambda: not alive(former), what="the former controller ends", within=60)
            eventually(lambda: _is_complete(path), what="the successor serves", within=60)
            for name in ("frontend.default.global", "frontend.default.global", "nosuch.default.global"):
                _ask(listen, name)
            eventually(lambda: asked(path, "/queries")[1]["items"], what="queries are sampled")
            eventually(lambda: asked(path, "/totals")[1]["responses"], what="replies are counted")
            _keep(into, "replies.json", {target: asked(path, target)[1] for target in TARGETS})
            _keep(into, "commands.json", {words: _command(words, file) for words in COMMANDS})
            with urllib.request.urlopen(f"http://{LOOPBACK}:{http}/metrics", timeout=10) as page:
                _keep(into, "metrics.json", families(page.read().decode()))
            _keep(into, "messages.json", _messages(file, handed))
        _keep_state(state, into)


def _keep_state(state: Path, into: Path) -> None:
    """Keep the files of the state folder, and their names."""
    names = sorted(boot_free(str(found.relative_to(state))) for found in state.rglob("*") if found.is_file())
    _keep(into, "state.json", {"files": names})
    for found in state.rglob("*"):
        if found.name in ("snapshot", "cookie-secrets.json", "data.mdb"):
            shutil.copyfile(found, into / found.name)
            (into / found.name).chmod(0o644)


if __name__ == "__main__":
    record(Path(sys.argv[1]))
