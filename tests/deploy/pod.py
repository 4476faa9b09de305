"""A pod as the manifests describe it: their arguments, environment, settings, user and mounts around the real program.

What a kubelet adds is added here: the service account's token and certificate, and where the API server is. The image's
files are those of this machine, mounted read-only; `tests.deploy.image` looks after the image itself.
"""

import http.client
import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from pathlib import Path
from typing import Any, ClassVar, Final

from tests.deploy.helm import NAMESPACE, Objects, one, workload
from tests.deploy.places import CHECKOUT
from tests.rig.apiserver import ApiServer
from tests.rig.component import Component
from tests.rig.packages import program

USER: Final = 65532
_ACCOUNT: Final = "/var/run/secrets/kubernetes.io/serviceaccount"
_PROGRAM: Final = str(Path(sys.executable).with_name("meshdns"))
_IMAGE: Final = ("/usr", "/bin", "/lib", "/lib64", "/sbin", sys.base_prefix, sys.prefix, str(CHECKOUT))


class Pod(Component):
    """The first container of the workload in `objects`, against `server`; `http` is where /ready is asked.

    `within` are the words before the command that put it into a network namespace. `secrets` is what the Secrets hold
    that the pod mounts, by volume and key.
    """

    title: ClassVar[str] = "meshdns in a pod"
    start_deadline: ClassVar[float] = 60.0

    def __init__(
        self,
        objects: Objects,
        server: ApiServer,
        *,
        http: tuple[str, int],
        within: Sequence[str] = (),
        secrets: Mapping[str, Mapping[str, str]] | None = None,
    ) -> None:
        super().__init__()
        self._objects = objects
        self._server = server
        self._http = http
        self._within = tuple(within)
        self._secrets = secrets or {}
        self._waits = True

    def unready(self) -> "Pod":
        """The same, taken for started as soon as it serves, ready or not."""
        self._waits = False
        return self

    def files(self) -> Mapping[str, str]:
        """What the volumes hold, and how to enter."""
        self._make_volumes()
        spec = {
            "root": str(self.folder / "root"),
            "binds": self._binds(),
            "tmpfs": ["/tmp"],  # noqa: S108 - the container's own
            "user": USER,
            "environment": self._environment(),
            "command": [_PROGRAM, *self._container["args"]],
        }
        return {
            "pod.json": json.dumps(spec),
            "resolv.conf": "nameserver 127.0.0.1\n",  # the node's, where nobody listens
            "asking.yaml": f"apiVersion: meshdns/v1\nadmin: {{socket: {self.folder}/run/admin.sock}}\n",
        }

    def command(self) -> Sequence[str]:
        """The program in its own mount namespace, and in another's network namespace if so asked."""
        enter = [sys.executable, "-m", "tests.deploy.enter", str(self.folder / "pod.json")]
        return ["env", f"PYTHONPATH={CHECKOUT}", *self._within, program("unshare"), "--mount", *enter]

    def ready(self) -> bool:
        """Whether the probe of the manifest succeeds; without waiting for clusters, whether it is healthy."""
        probe = "readinessProbe" if self._waits else "livenessProbe"
        return self.page(self._container[probe]["httpGet"]["path"])[0] == HTTPStatus.OK

    def page(self, path: str) -> tuple[int, str]:
        """A page of the HTTP port."""
        connection = http.client.HTTPConnection(*self._http, timeout=5)
        try:
            connection.request("GET", path)
            reply = connection.getresponse()
            return reply.status, reply.read().decode()
        finally:
            connection.close()

    def get(self, what: str) -> list[dict[str, Any]]:
        """What ``meshdns get`` lists, asked through the admin socket in its volume."""
        command = [_PROGRAM, "get", what, "--config", str(self.folder / "asking.yaml"), "-o", "json"]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=30)
        return list(json.loads(done.stdout)["items"]) if done.returncode == 0 else []

    @property
    def _container(self) -> dict[str, Any]:
        return dict(workload(self._objects)["spec"]["template"]["spec"]["containers"][0])

    def _make_volumes(self) -> None:
        for name, text in one(self._objects, "ConfigMap")["data"].items():
            self._write("settings", name, text)
        for volume, contents in self._secrets.items():
            for name, text in contents.items():
                self._write(volume, name, text)
        account = {
            "token": token(self._server),
            "ca.crt": self._server.certificate.read_text(),
            "namespace": NAMESPACE,
        }
        for name, text in account.items():
            self._write("account", name, text)
        for volume in ("state", "run"):
            (self.folder / volume).mkdir()
            os.chown(self.folder / volume, USER, USER)
        (self.folder / "root").mkdir()

    def _write(self, volume: str, name: str, text: str) -> None:
        (self.folder / volume).mkdir(exist_ok=True)
        (self.folder / volume / name).write_text(text)

    def _binds(self) -> list[tuple[str, str, bool]]:
        mounts = {each["name"]: each["mountPath"] for each in self._container["volumeMounts"]}
        image = [(path, path, True) for path in dict.fromkeys(_IMAGE) if Path(path).exists()]
        system = [("/dev", "/dev", False), ("/proc", "/proc", False)]
        names = ("settings", "state", "run", *self._secrets)
        volumes = [(str(self.folder / name), mounts[name], name not in ("state", "run")) for name in names]
        own = [("account", _ACCOUNT, True), ("resolv.conf", "/etc/resolv.conf", True)]
        return [*image, *system, *volumes, *((str(self.folder / name), target, ro) for name, target, ro in own)]

    def _environment(self) -> dict[str, str]:
        return {
            "PATH": "/usr/bin:/bin",
            "KUBERNETES_SERVICE_HOST": self._server.address,
            "KUBERNETES_SERVICE_PORT": str(self._server.port),
            **{each["name"]: each["value"] for each in self._container["env"]},
        }


def install(server: ApiServer, objects: Objects) -> None:
    """Apply all objects, for good."""
    for manifest in objects:
        server.apply(manifest)


def token(server: ApiServer) -> str:
    """A token of the chart's service account, as the kubelet asks for one."""
    path = f"/api/v1/namespaces/{NAMESPACE}/serviceaccounts/meshdns/token"
    request = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {"expirationSeconds": 3600}}
    return str(server.post(path, request)["status"]["token"])
