"""One-shot requests to an API server, for tools: single objects without a watch, and tokens of service accounts."""

import asyncio
import base64
import binascii
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final

import msgspec

from meshdns.mesh.objects.raw import mapping_of, text_of
from meshdns.sources.auth.kubeconfig import ClientConfig
from meshdns.sources.kube.client import ApiConnection
from meshdns.sources.kube.payload import decode_status
from meshdns.sources.settings import SourceError

_TIMEOUT: Final = 30.0


@asynccontextmanager
async def open_connection(client_config: ClientConfig) -> AsyncIterator[ApiConnection]:
    """Open a connection for a few requests, which have 30 s in all. Raises `SourceError` if they take longer."""
    connection = ApiConnection(client_config)
    try:
        async with asyncio.timeout(_TIMEOUT):
            yield connection
    except TimeoutError:
        raise SourceError(
            f"{client_config.server} did not answer in time; check that it is reachable from here"
        ) from None
    finally:
        await connection.close()


async def read_objects(client_config: ClientConfig, paths: Sequence[str]) -> list[dict[str, Any] | None]:
    """Return the objects at these paths of the API, in order; None if one does not exist. Raises `SourceError`."""
    async with open_connection(client_config) as connection:
        return [_decode_optional(path, *(await connection.fetch(path))) for path in paths]


def _decode_optional(path: str, status: int, reply: bytes) -> dict[str, Any] | None:
    if status == 404:
        return None
    if status >= 300:
        said = decode_status(status, reply).message or f"HTTP status {status}"
        raise SourceError(f"{path} cannot be read: {said}; use a context that may read it")
    try:
        return msgspec.json.decode(reply, type=dict[str, Any])
    except (msgspec.MsgspecError, ValueError, RecursionError):
        raise SourceError(f"{path} is no object; check that the server is a Kubernetes API") from None


async def request_token(
    client_config: ClientConfig, namespace: str, service_account: str, lifetime: int
) -> tuple[str, str]:
    """Request a token of a service account for `lifetime`, and return it with its expiry (RFC 3339).

    The server may shorten the lifetime. Nothing is stored. Raises `SourceError`.
    """
    body = {
        "apiVersion": "authentication.k8s.io/v1",
        "kind": "TokenRequest",
        "spec": {"expirationSeconds": lifetime},
    }
    status, reply = await _send_request(
        client_config, f"/api/v1/namespaces/{namespace}/serviceaccounts/{service_account}/token", body
    )
    if status == 404:
        advice = f"create it: meshdns remote print-rbac -n {namespace} | kubectl apply -f -"
        raise SourceError(f"there is no service account {namespace}/{service_account}; {advice}")
    reply_object = _decode_object(status, reply, f"no token of {namespace}/{service_account} was given")
    answer = mapping_of(reply_object.get("status"))
    return text_of(answer.get("token")), text_of(answer.get("expirationTimestamp"))


async def read_secret_token(client_config: ClientConfig, namespace: str, secret: str) -> tuple[str, bytes]:
    """Read the token in a Secret of type ``kubernetes.io/service-account-token``, and the authority (PEM) beside it.

    Raises `SourceError`.
    """
    status, reply = await _send_request(client_config, f"/api/v1/namespaces/{namespace}/secrets/{secret}", None)
    data = mapping_of(_decode_object(status, reply, f"the Secret {namespace}/{secret} cannot be read").get("data"))
    try:
        token = base64.b64decode(data["token"], validate=True).decode("ascii")
        return token, base64.b64decode(data.get("ca.crt", ""), validate=True)
    except (KeyError, TypeError, binascii.Error, ValueError):
        advice = "give it the type kubernetes.io/service-account-token, and wait for its token"
        raise SourceError(f"the Secret {namespace}/{secret} holds no token; {advice}") from None


async def _send_request(client_config: ClientConfig, path: str, body: object) -> tuple[int, bytes]:
    async with open_connection(client_config) as connection:
        return await connection.post(path, body) if body else await connection.fetch(path)


def _decode_object(status: int, reply: bytes, failure: str) -> dict[str, Any]:
    """The object in a good reply. Raises `SourceError`."""
    if status >= 300:
        said = decode_status(status, reply).message or f"HTTP status {status}"
        raise SourceError(f"{failure}: {said}; use a context that may")
    try:
        return msgspec.json.decode(reply, type=dict[str, Any])
    except (msgspec.MsgspecError, ValueError, RecursionError):
        raise SourceError(f"{failure}: the reply is no object; check that the server is a Kubernetes API") from None
