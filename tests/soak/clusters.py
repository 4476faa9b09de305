"""Two real clusters that change all the time, and what can happen to them."""

import http.client
import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from tests.rig.apiserver import ApiServer
from tests.rig.build import crd_folder
from tests.rig.kubernetes import Refused
from tests.rig.waiting import eventually
from tests.soak.oracle import Oracle

NAMES = 60
_RBAC = "rbac.authorization.k8s.io"
_CRD = "serviceentries.networking.istio.io"
_CRDS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
_ENTRIES = "/apis/networking.istio.io/v1/namespaces/default/serviceentries"
_FAULTS = (OSError, http.client.HTTPException, Refused)


def address(value: int) -> str:
    """A value as an address of the benchmarks' prefix (RFC 2544)."""
    return f"198.{18 + (value >> 16 & 1)}.{value >> 8 & 255}.{value & 255}"


def value_of(text: str | None) -> int | None:
    """The value that an address stands for."""
    if text is None:
        return None
    _, second, third, fourth = map(int, text.split("."))
    return (second - 18 << 16) + (third << 8) + fourth


class Cluster:
    """One API server, read by meshdns with the token of a service account that the kubeconfig names a file for."""

    def __init__(self, server: ApiServer, truth: Oracle, folder: Path) -> None:
        self.name = server.prefix
        self.server = server
        self.kubeconfig = folder / f"{server.prefix}.yaml"
        self._token = folder / f"{server.prefix}.token"
        self._truth = truth
        self._known: dict[int, int] = {}
        self._let_in()
        config = server.kubeconfig()
        config["users"][0]["user"] = {"tokenFile": str(self._token)}
        self.kubeconfig.write_text(yaml.safe_dump(config))

    def host(self, number: int) -> str:
        """The name of a number."""
        return f"s{number}.{self.name}.global"

    # ------------------------------------------------------------------------------------------ changes

    def change(self, number: int, value: int, *, delete: bool) -> None:
        """Give a name another value, or take it away. Raises what the server's client raises."""
        host, known = self.host(number), number in self._known
        after = None if delete and known else value
        self._truth.record(host, after, time.monotonic())
        if after is None:
            del self._known[number]
            self.server.delete(f"{_ENTRIES}/s{number}")
        else:
            self._known[number] = value
            self.server.apply(self._entry(number, value))

    def settle(self) -> None:
        """Make sure that the server holds what is known, after changes that may have been lost."""
        held = {item["metadata"]["name"]: item for item in self.server.get(_ENTRIES)["items"]}
        for number in range(NAMES):
            item, value = held.get(f"s{number}"), self._known.get(number)
            there = value_of(item["spec"]["endpoints"][0]["address"]) if item is not None else None
            if there != value:
                self._truth.record(self.host(number), there, time.monotonic())
                if there is None:
                    self._known.pop(number, None)
                else:
                    self._known[number] = there

    def _entry(self, number: int, value: int) -> dict[str, Any]:
        spec = {
            "hosts": [self.host(number)],
            "resolution": "STATIC",
            "ports": [{"number": 80, "name": "http", "protocol": "HTTP"}],
            "endpoints": [{"address": address(value)}],
        }
        metadata = {"name": f"s{number}"}
        return {"apiVersion": "networking.istio.io/v1", "kind": "ServiceEntry", "metadata": metadata, "spec": spec}

    # ------------------------------------------------------------------------------------------ faults

    @contextmanager
    def faulty(self) -> Iterator[None]:
        """Something is wrong inside the block."""
        self._truth.begin_fault(self.name, time.monotonic())
        try:
            yield
        finally:
            self.settle()
            self._truth.end_fault(self.name, time.monotonic())

    def restart(self) -> None:
        """Stop in good order, start again."""
        with self.faulty():
            self.server.stop()
            self.server.start()

    def kill(self) -> None:
        """Die and come back."""
        with self.faulty():
            os.kill(self.server.pid, signal.SIGKILL)
            self.server.stop()
            self.server.start()

    def stand_still(self) -> None:
        """Accept and say nothing for a while."""
        with self.faulty():
            self.server.pause()
            time.sleep(6)
            self.server.resume()

    def revoke(self) -> None:
        """The token is void; a new one comes a little later, under the same path."""
        with self.faulty():
            self.server.delete("/api/v1/namespaces/default/serviceaccounts/meshdns")
            self.server.stop()  # ends the watches that the old token opened
            self.server.start()
            self._let_in()

    def lock_out(self) -> None:
        """The rights are gone for a while."""
        with self.faulty():
            self.server.delete(f"/apis/{_RBAC}/v1/clusterrolebindings/meshdns")
            self.server.stop()
            self.server.start()
            self._let_in()

    def lose_crd(self) -> None:
        """The CRD is deleted with all entries, and made again."""
        with self.faulty():
            for number in list(self._known):
                self._truth.record(self.host(number), None, time.monotonic())
            self._known.clear()
            self.server.delete(f"{_CRDS}/{_CRD}")
            eventually(self._crd_gone, what="the CRD is gone", within=60)
            text = "\n---\n".join(path.read_text() for path in sorted(crd_folder("istio").glob("*.yaml")))
            crd = next(each for each in yaml.safe_load_all(text) if each and each["metadata"]["name"] == _CRD)
            self.server.post(_CRDS, crd)
            eventually(self._served, what="the CRD is served again", within=60)

    def _crd_gone(self) -> bool:
        try:
            self.server.get(f"{_CRDS}/{_CRD}")
        except Refused as refusal:
            return refusal.status == http.HTTPStatus.NOT_FOUND
        return False

    def _served(self) -> bool:
        try:
            self.server.get(_ENTRIES)
        except Refused:
            return False
        return True

    def _let_in(self) -> None:
        """The service account, its rights and a token."""
        resources = {"": ["namespaces", "services", "nodes"], "discovery.k8s.io": ["endpointslices"]}
        resources |= {"networking.istio.io": ["*"], "gateway.networking.k8s.io": ["gateways"]}
        rules = [
            {"apiGroups": [each], "resources": names, "verbs": ["list", "watch"]} for each, names in resources.items()
        ]
        meta = {"metadata": {"name": "meshdns"}}
        self.server.apply({"apiVersion": "v1", "kind": "ServiceAccount", **meta})
        self.server.apply({"apiVersion": f"{_RBAC}/v1", "kind": "ClusterRole", **meta, "rules": rules})
        role = {"apiGroup": _RBAC, "kind": "ClusterRole", "name": "meshdns"}
        who = [{"kind": "ServiceAccount", "name": "meshdns", "namespace": "default"}]
        binding = {"apiVersion": f"{_RBAC}/v1", "kind": "ClusterRoleBinding", **meta, "roleRef": role, "subjects": who}
        self.server.apply(binding)
        request = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}}
        reply = self.server.post("/api/v1/namespaces/default/serviceaccounts/meshdns/token", request)
        self._token.write_text(reply["status"]["token"])


FAULTS = _FAULTS
"""What a change may raise while its server is in trouble."""
