"""One cluster: an API server at an address of its own, with a store of its own, and the reader that meshdns is."""

import json
import os
import shutil
import signal
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import yaml

from meshdns.sources.kube import rbac
from tests.rig.apiserver import TOKEN, ApiServer
from tests.rig.build import crd_folder
from tests.rig.etcd import Etcd
from tests.rig.kubernetes import Refused
from tests.rig.packages import program
from tests.rig.waiting import eventually

NAMES = 20  # enough for the mass-delete guard
CANARY, FRESH = NAMES - 1, 1
"""The name that is asked for all the time, and the one that is changed to see whether changes arrive."""

_NAMESPACE = "meshdns"
_OLD = 3  # names in the snapshot that a store goes back to
_CRD = "serviceentries.networking.istio.io"
_CRDS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
_ENTRIES = "/apis/networking.istio.io/v1/namespaces/default/serviceentries"
_ROLES = "/apis/rbac.authorization.k8s.io/v1/clusterroles"
_AUDIT = {
    "apiVersion": "audit.k8s.io/v1",
    "kind": "Policy",
    "omitStages": ["RequestReceived"],
    "rules": [{"level": "Metadata"}],
}


class Server(ApiServer):
    """An API server that clients reach at `outside`, and the test at the loopback address; it writes an audit log."""

    def __init__(self, etcd: Etcd, prefix: str, outside: str) -> None:
        super().__init__(etcd, prefix)
        self.outside = outside

    @property
    def certificate(self) -> Path:
        """PEM file that a client trusts; good for both addresses."""
        return self.folder / "server.crt"

    def files(self) -> Mapping[str, str]:
        """A certificate of our own, and what is to be audited: everything, without bodies."""
        names = f"subjectAltName=IP:{self.address},IP:{self.outside}"
        request = [program("openssl"), "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"]
        request += ["-subj", f"/CN={self.prefix}", "-addext", names, "-keyout", "-", "-out", "-"]
        made = subprocess.run(request, check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True).stdout
        at = made.index("-----BEGIN CERTIFICATE")
        return {
            **super().files(),
            "server.key": made[:at],
            "server.crt": made[at:],
            "audit.yaml": yaml.safe_dump(_AUDIT),
        }

    def command(self) -> Sequence[str]:
        """As the rig starts it, on all addresses, with the certificate and the audit log."""
        words = [word for word in super().command() if not word.startswith("--bind-address")]
        return [
            *words,
            "--bind-address=0.0.0.0",
            f"--tls-cert-file={self.certificate}",
            f"--tls-private-key-file={self.folder / 'server.key'}",
            f"--audit-policy-file={self.folder / 'audit.yaml'}",
            f"--audit-log-path={self.folder / 'audit.log'}",
        ]


class Cluster:
    """A cluster with `NAMES` ServiceEntries; `number` makes its addresses differ from the others'."""

    def __init__(self, name: str, number: int, folder: Path) -> None:
        self.name = name
        self.outside = f"10.0.{number}.1"
        self.kubeconfig = folder / f"{name}.yaml"
        self._number = number
        self._token = folder / f"{name}.token"
        self._etcd = Etcd()
        self.server = Server(self._etcd, name, self.outside)
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            stack.enter_context(self._etcd)
            stack.enter_context(self.server)
            self.server.install_crds()
            self.admit()
            config = self.server.kubeconfig()
            config["clusters"][0]["cluster"]["server"] = f"https://{self.outside}:{self.server.port}"
            config["users"][0]["user"] = {"tokenFile": str(self._token)}
            self.kubeconfig.write_text(yaml.safe_dump(config))
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._stack.close()

    # ------------------------------------------------------------------------------------------ names

    def host(self, number: int) -> str:
        """A name of the cluster."""
        return f"n{number}.{self.name}.global"

    def address(self, number: int, edition: int = 0) -> str:
        """What a name is answered with, in each edition of the cluster's objects."""
        return f"198.18.{self._number * 16 + edition}.{number}"

    def fill(self, edition: int = 0, count: int = NAMES) -> None:
        """Make the objects what they are in an edition."""
        for number in range(count):
            self.change(number, edition)

    def change(self, number: int, edition: int) -> None:
        """Make one object what it is in an edition."""
        entry = {
            "hosts": [self.host(number)],
            "resolution": "STATIC",
            "ports": [{"number": 80, "name": "http", "protocol": "HTTP"}],
            "endpoints": [{"address": self.address(number, edition)}],
        }
        kind = {"apiVersion": "networking.istio.io/v1", "kind": "ServiceEntry"}
        self.server.apply({**kind, "metadata": {"name": f"n{number}"}, "spec": entry})

    # ------------------------------------------------------------------------------------------ the reader

    def admit(self) -> None:
        """Give the reader its account, its rights and a token."""
        for manifest in rbac.remote_manifests(_NAMESPACE):
            self.server.apply(manifest)
        self._token.write_text(self._new_token())

    def admit_for_ever(self) -> None:
        """Let the reader in by a token that another cluster behind the address accepts, too."""
        self._token.write_text(TOKEN)

    def admit_by_secret(self) -> None:
        """Give the reader a token that ends with a Secret."""
        self.server.apply({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "term"}}, _NAMESPACE)
        self._token.write_text(self._new_token(boundObjectRef={"kind": "Secret", "apiVersion": "v1", "name": "term"}))

    def rotate(self) -> None:
        """Put another token into the file, and end the old one."""
        self._token.write_text(self._new_token())
        self.server.delete(f"/api/v1/namespaces/{_NAMESPACE}/secrets/term")

    def expel(self) -> None:
        """Take the reader's account away, and its tokens with it."""
        self.server.delete(f"/api/v1/namespaces/{_NAMESPACE}/serviceaccounts/{rbac.REMOTE_ACCOUNT}")

    def withhold(self, group: str) -> None:
        """Take the rule for an API group out of the reader's rights."""
        rules = [rule for rule in rbac.cluster_role_rules() if rule["apiGroups"] != [group]]
        role = self.server.get(f"{_ROLES}/{rbac.REMOTE_ACCOUNT}")
        self.server.put(f"{_ROLES}/{rbac.REMOTE_ACCOUNT}", {**role, "rules": rules})

    def _new_token(self, **spec: Any) -> str:
        path = f"/api/v1/namespaces/{_NAMESPACE}/serviceaccounts/{rbac.REMOTE_ACCOUNT}/token"
        request = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": spec}
        return str(self.server.post(path, request)["status"]["token"])

    # ------------------------------------------------------------------------------------------ server and store

    def kill(self) -> None:
        """End the server with no chance to say goodbye."""
        os.kill(self.server.pid, signal.SIGKILL)
        self.server.stop()

    def start(self) -> None:
        """Start the server, and wait until it serves ServiceEntries: that comes later than it says to be ready."""
        self.server.start()
        eventually(lambda: self._there(_ENTRIES), what="ServiceEntries are served", within=60)

    def keep(self) -> None:
        """Remember the store as it is with few objects, older ones."""
        self.fill(edition=1, count=_OLD)
        self.server.stop()
        self._etcd.stop()
        shutil.copytree(self._data, self._data.with_name("kept"))
        self._etcd.start()
        self.start()

    def go_back(self) -> None:
        """Start again from the store that was kept."""
        self.server.stop()
        self._etcd.stop()
        shutil.rmtree(self._data)
        shutil.copytree(self._data.with_name("kept"), self._data)
        self._etcd.start()
        self.start()

    def prepare_another(self) -> None:
        """Make another cluster in the same store, to stand behind the same address later."""
        self._turn_to(self._other)
        self.server.start()
        self.server.install_crds()
        self.fill(edition=2)
        self._turn_to(self.name)
        self.start()

    def replace(self) -> None:
        """Have the other cluster answer from now on."""
        self._turn_to(self._other)
        self.start()

    def _turn_to(self, prefix: str) -> None:
        self.server.stop()
        self.server.prefix = prefix

    @property
    def _other(self) -> str:
        return f"{self.name}-2"

    @property
    def _data(self) -> Path:
        return self._etcd.folder / "data"

    def lose_crd(self) -> None:
        """Delete the CRD of ServiceEntries, and all of them with it."""
        self.server.delete(f"{_CRDS}/{_CRD}")
        eventually(lambda: not self._there(f"{_CRDS}/{_CRD}"), what="the CRD is gone", within=60)

    def regain_crd(self) -> None:
        """Create the CRD again, without objects."""
        text = "\n---\n".join(path.read_text() for path in sorted(crd_folder("istio").glob("*.yaml")))
        crd = next(each for each in yaml.safe_load_all(text) if each and each["metadata"]["name"] == _CRD)
        self.server.post(_CRDS, crd)
        eventually(lambda: self._there(_ENTRIES), what="the CRD is served", within=60)

    def _there(self, path: str) -> bool:
        try:
            self.server.get(path)
        except Refused:
            return False
        return True

    # ------------------------------------------------------------------------------------------ audit

    def requests(self, begin: datetime, end: datetime) -> list[str]:
        """Status and path of each request of meshdns that the server took in that stretch of time."""
        seen: dict[str, str] = {}
        for line in (self.server.folder / "audit.log").read_text().splitlines():
            event = json.loads(line)
            at = datetime.fromisoformat(event["requestReceivedTimestamp"])
            if event.get("userAgent", "").startswith("meshdns/") and begin <= at <= end:
                status = event.get("responseStatus", {}).get("code", 0)
                seen[event["auditID"]] = f"{status} {event['requestURI']}"
        return list(seen.values())
