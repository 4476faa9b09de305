"""A plain, synchronous client of an API server, over http.client.

Rules:
- A path is what the API documents (``/api/v1/namespaces/default/services/frontend``); bodies and replies are JSON.
- `apply` takes a manifest of any kind that the server serves: the path comes from the server's own discovery.
- A refusal raises `Refused`; every other failure to get a reply is an `OSError`.
"""

import http.client
import json
import ssl
import time
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any

import yaml

# What a server adds to an object; a manifest read from one server is applied to another without it.
_SERVER_FIELDS = ("creationTimestamp", "generation", "managedFields", "resourceVersion", "uid")
_FIELD_OWNER = "fieldManager=rig&force=true"

_PATIENCE = 20  # tries of a request that is put off

Manifest = Mapping[str, Any]


class Refused(Exception):  # noqa: N818 - the server refuses; that is often what a test expects
    """The API server answered with an error: `status` is HTTP's, the message the server's own."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(f"{status}: {message}")
        self.status = status


class KubernetesClient(ABC):
    """Requests with a token to one API server; connections are kept and may be used by several threads."""

    def __init__(self) -> None:
        self._idle: list[http.client.HTTPConnection] = []
        self._kinds: dict[tuple[str, str], tuple[str, bool]] = {}

    @abstractmethod
    def connect(self) -> http.client.HTTPConnection:
        """A new connection to the server; each kind of server says how."""

    @abstractmethod
    def credentials(self) -> Mapping[str, str]:
        """Header fields that say who asks."""

    def get(self, path: str) -> Any:
        """The object or list at `path`."""
        return self.request("GET", path)

    def post(self, path: str, body: Manifest) -> Any:
        """Create in the collection at `path`; the created object."""
        return self.request("POST", path, body)

    def put(self, path: str, body: Manifest) -> Any:
        """Replace the object at `path`; the new object."""
        return self.request("PUT", path, body)

    def patch(self, path: str, body: Manifest) -> Any:
        """Change the object at `path` by a merge patch (RFC 7396); the new object."""
        return self.request("PATCH", path, body, content_type="application/merge-patch+json")

    def delete(self, path: str) -> Any:
        """Delete the object at `path`; the server's word on it."""
        return self.request("DELETE", path)

    def apply(self, manifest: Manifest, namespace: str = "default") -> Any:
        """Create the object, or make it what the manifest says (server-side apply); the resulting object.

        `namespace` is for manifests that name none, as with kubectl. A `kind: List` gives a list of results.
        """
        if manifest["kind"] == "List":
            return [self.apply(item, namespace) for item in manifest["items"]]
        metadata = {key: value for key, value in manifest["metadata"].items() if key not in _SERVER_FIELDS}
        body = {**manifest, "metadata": metadata}
        path = f"{self.path(manifest, namespace)}?{_FIELD_OWNER}"
        return self.request("PATCH", path, body, content_type="application/apply-patch+yaml")  # JSON is YAML

    def apply_yaml(self, text: str, namespace: str = "default") -> list[Any]:
        """Apply each document of a YAML text; the resulting objects."""
        return [self.apply(document, namespace) for document in yaml.safe_load_all(text) if document]

    def patch_status(self, manifest: Manifest, status: Manifest, namespace: str = "default") -> Any:
        """Merge `status` into an applied object's, as a controller would; the resulting object."""
        return self.patch(f"{self.path(manifest, namespace)}/status", {"status": status})

    def remove(self, manifest: Manifest, namespace: str = "default") -> Any:
        """Delete the object that the manifest names."""
        return self.delete(self.path(manifest, namespace))

    def path(self, manifest: Manifest, namespace: str = "default") -> str:
        """Where the object that the manifest names is, or would be."""
        plural, namespaced = self._resource(manifest["apiVersion"], manifest["kind"])
        metadata = manifest["metadata"]
        folder = f"/namespaces/{metadata.get('namespace', namespace)}" if namespaced else ""
        return f"{_root(manifest['apiVersion'])}{folder}/{plural}/{metadata['name']}"

    def request(
        self, method: str, path: str, body: Manifest | str | None = None, *, content_type: str = "application/json"
    ) -> Any:
        """One request; its reply, text if it is not JSON. A body that is text is sent as it is."""
        text = body if body is None or isinstance(body, str) else json.dumps(body)
        for _ in range(_PATIENCE):
            status, kind, reply = self._exchange(method, path, text, content_type)
            if status != http.HTTPStatus.TOO_MANY_REQUESTS:
                break
            time.sleep(1)  # as Retry-After says while a store is being opened
        if status >= http.HTTPStatus.BAD_REQUEST:
            raise Refused(status, _message(reply))
        return json.loads(reply) if kind == "application/json" else reply.decode()

    def disconnect(self) -> None:
        """Close all connections; the next request opens a new one."""
        while self._idle:
            self._idle.pop().close()

    def _resource(self, version: str, kind: str) -> tuple[str, bool]:
        """Plural name of a kind and whether it lives in namespaces, by the server's discovery."""
        known = self._kinds.get((version, kind))
        if known is not None:
            return known
        for resource in self.get(_root(version))["resources"]:
            if resource["kind"] == kind and "/" not in resource["name"]:
                return self._kinds.setdefault((version, kind), (resource["name"], resource["namespaced"]))
        raise Refused(http.HTTPStatus.NOT_FOUND, f"the server has no {kind} in {version}: install its CRD first")

    def _exchange(self, method: str, path: str, body: str | None, content_type: str) -> tuple[int, str, bytes]:
        headers = {**self.credentials(), "Content-Type": content_type, "Accept": "application/json"}
        while True:
            kept = bool(self._idle)
            connection = self._idle.pop() if kept else self.connect()
            try:
                connection.request(method, path, None if body is None else body.encode(), headers)
                reply = connection.getresponse()
                text = reply.read()
            except (OSError, http.client.HTTPException) as fault:
                connection.close()
                if kept and isinstance(fault, (ConnectionError, ssl.SSLEOFError)):
                    continue  # the server closed it while it was idle
                raise
            self._idle.append(connection)
            return reply.status, reply.headers.get_content_type(), text


def _root(version: str) -> str:
    return f"/apis/{version}" if "/" in version else f"/api/{version}"


def _message(reply: bytes) -> str:
    try:
        return str(json.loads(reply)["message"])
    except (ValueError, KeyError, TypeError):
        return reply.decode(errors="replace")
