"""kube-apiserver: one cluster's API, with Istio's own CRDs and their validation.

Several share one etcd, each under its prefix. There are no controllers and no nodes: nothing fills EndpointSlices or
load balancer addresses but the test.
"""

import base64
import http.client
import re
import ssl
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import yaml

from tests.rig.build import built_program, crd_folder
from tests.rig.component import Component
from tests.rig.etcd import Etcd
from tests.rig.kubernetes import KubernetesClient, Refused
from tests.rig.packages import program
from tests.rig.waiting import eventually

TOKEN = "rig-admin"  # noqa: S105 - the server listens on loopback and lives for a test run

# What the server makes by itself shortly after /readyz; a test must not meet it half made.
_OWN_OBJECTS = (
    "/api/v1/namespaces/default",
    "/api/v1/namespaces/kube-system",
    "/api/v1/namespaces/kube-public",
    "/api/v1/namespaces/kube-node-lease",
    "/api/v1/namespaces/default/services/kubernetes",
    "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices/kubernetes",
)

# What tests make and `clear` removes, contents before namespaces.
_CLEARED = (
    "/apis/networking.istio.io/v1/serviceentries",
    "/apis/networking.istio.io/v1/workloadentries",
    "/apis/networking.istio.io/v1/gateways",
    "/apis/gateway.networking.k8s.io/v1/gateways",
    "/apis/multicluster.x-k8s.io/v1alpha1/serviceexports",
    "/apis/multicluster.x-k8s.io/v1alpha1/serviceimports",
    "/apis/discovery.k8s.io/v1/endpointslices",
    "/api/v1/services",
    "/api/v1/endpoints",
    "/api/v1/pods",
    "/api/v1/nodes",
    "/api/v1/configmaps",
    "/api/v1/secrets",
    "/api/v1/serviceaccounts",
    "/apis/rbac.authorization.k8s.io/v1/rolebindings",
    "/apis/rbac.authorization.k8s.io/v1/roles",
    "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings",
    "/apis/rbac.authorization.k8s.io/v1/clusterroles",
    "/api/v1/namespaces",
)


class ApiServer(Component, KubernetesClient):
    """The API server of cluster `prefix`; the admin's token is `TOKEN`."""

    title: ClassVar[str] = "kube-apiserver"
    start_deadline: ClassVar[float] = 90.0

    def __init__(self, etcd: Etcd, prefix: str, service_cidr: str = "10.96.0.0/16") -> None:
        Component.__init__(self)
        KubernetesClient.__init__(self)
        self.prefix = prefix
        self._etcd = etcd
        self._service_cidr = service_cidr
        self._own: frozenset[str] = frozenset()

    @property
    def url(self) -> str:
        """Where clients connect."""
        return f"https://{self.address}:{self.port}"

    @property
    def certificate(self) -> Path:
        """PEM file that a client trusts: the server's self-signed certificate."""
        return self.folder / "certificates" / "apiserver.crt"

    def files(self) -> Mapping[str, str]:
        """A key for service account tokens, and who the admin is."""
        key = subprocess.run(
            [program("openssl"), "genrsa", "2048"],
            check=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        return {"service-account.key": key.stdout, "tokens.csv": f"{TOKEN},admin,admin,system:masters\n"}

    def command(self) -> Sequence[str]:
        """The server with RBAC on and without the admission of service accounts, which needs a controller."""
        key = self.folder / "service-account.key"
        return [
            str(built_program("kube-apiserver")),
            f"--etcd-servers={self._etcd.url}",
            f"--etcd-prefix=/{self.prefix}",
            f"--secure-port={self.port}",
            f"--bind-address={self.address}",
            "--advertise-address=192.0.2.1",  # may not be loopback; needs no default route this way (RFC 5737)
            f"--cert-dir={self.certificate.parent}",
            "--service-account-issuer=https://kubernetes.default.svc",
            f"--service-account-key-file={key}",
            f"--service-account-signing-key-file={key}",
            f"--service-cluster-ip-range={self._service_cidr}",
            f"--token-auth-file={self.folder / 'tokens.csv'}",
            "--authorization-mode=RBAC",
            "--disable-admission-plugins=ServiceAccount",
        ]

    def ready(self) -> bool:
        """Whether it is ready by its own word and has made the objects that every cluster has."""
        try:
            self.get("/readyz")
            *_, endpoints = (self.get(path) for path in _OWN_OBJECTS)
        except (Refused, http.client.HTTPException):
            return False
        # In an etcd that other servers used before, theirs may stand there for a moment.
        return [port["port"] for port in endpoints["ports"] or ()] == [self.port]

    def stop(self) -> None:
        """End the server and forget the connections to it."""
        self.disconnect()
        super().stop()

    def connect(self) -> http.client.HTTPConnection:
        """A TLS connection that trusts this server only."""
        trust = ssl.create_default_context(cafile=self.certificate)
        return http.client.HTTPSConnection(self.address, self.port, timeout=30, context=trust)

    def credentials(self) -> Mapping[str, str]:
        """The admin's token."""
        return {"Authorization": f"Bearer {TOKEN}"}

    def kubeconfig(self, context: str | None = None) -> dict[str, Any]:
        """A kubeconfig whose one and current context is `context` (default: the prefix), with all data inline."""
        name = context or self.prefix
        authority = base64.b64encode(self.certificate.read_bytes()).decode()
        return {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": name, "cluster": {"server": self.url, "certificate-authority-data": authority}}],
            "users": [{"name": name, "user": {"token": TOKEN}}],
            "contexts": [{"name": name, "context": {"cluster": name, "user": name}}],
            "current-context": name,
        }

    def write_kubeconfig(self, path: Path, context: str | None = None) -> Path:
        """Write `kubeconfig` as YAML to `path`; `path`."""
        path.write_text(yaml.safe_dump(self.kubeconfig(context)))
        return path

    def install_crds(self, *families: str) -> None:
        """Install the CRDs of `families` (istio, gateway-api, mcs-api; default istio) and wait until all are served.

        Those that are there already are left as they are.
        """
        names = [
            self._have_crd(document)
            for family in families or ("istio",)
            for file in sorted(crd_folder(family).glob("*.yaml"))
            for document in file.read_text().split("\n---\n")
            if "\nkind: CustomResourceDefinition\n" in f"\n{document}\n"
        ]
        for name in names:
            eventually(lambda name=name: self._served(name), what=f"CRD {name} is served", within=60)  # type: ignore[misc]

    def keep(self) -> None:
        """Take what there is now for the cluster's own: `clear` leaves it."""
        self._own = frozenset(item["metadata"]["uid"] for path in _CLEARED for item in self._list(path))

    def clear(self) -> None:
        """Delete what was made since `keep`, of the kinds that tests make."""
        for path in _CLEARED:
            for item in self._list(path):
                if item["metadata"]["uid"] not in self._own:
                    self._delete(path, item["metadata"])

    def _have_crd(self, document: str) -> str:
        """Post one CRD as the YAML text it is, if it is not there; its name."""
        path = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
        (name,) = re.findall(r"^  name: (\S+)$", document, re.MULTILINE)
        try:
            self.get(f"{path}/{name}")
        except Refused as refusal:
            if refusal.status != http.HTTPStatus.NOT_FOUND:
                raise
            self.request("POST", path, document, content_type="application/yaml")
        return str(name)

    def _served(self, name: str) -> bool:
        spec = self.get(f"/apis/apiextensions.k8s.io/v1/customresourcedefinitions/{name}")["spec"]
        versions = [version["name"] for version in spec["versions"] if version["served"]]
        try:
            return all(
                self.get(f"/apis/{spec['group']}/{version}/{spec['names']['plural']}?limit=1") for version in versions
            )
        except Refused:
            return False

    def _list(self, path: str) -> list[dict[str, Any]]:
        try:
            return list(self.get(path)["items"])
        except Refused as refusal:
            if refusal.status == http.HTTPStatus.NOT_FOUND:  # its CRD is not installed
                return []
            raise

    def _delete(self, collection: str, metadata: Mapping[str, str]) -> None:
        root, plural = collection.rsplit("/", 1)
        folder = f"/namespaces/{metadata['namespace']}" if "namespace" in metadata else ""
        path = f"{root}{folder}/{plural}/{metadata['name']}"
        self.delete(path)
        if plural == "namespaces":
            self._finalize(path)

    def _finalize(self, namespace: str) -> None:
        """Let a deleted namespace go, which is the work of a controller that does not run here."""
        terminating = self.get(namespace)
        self.put(f"{namespace}/finalize", {**terminating, "spec": {"finalizers": []}})
