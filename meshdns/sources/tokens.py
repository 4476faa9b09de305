"""Tokens of a service account: a new one from the TokenRequest API, or that of a Secret which holds one."""

import base64
import binascii
from typing import Any

import msgspec

from meshdns.sources.access import Access
from meshdns.sources.objects import connected
from meshdns.sources.payload import decode_status
from meshdns.sources.settings import SourceError


async def new_token(access: Access, namespace: str, account: str, seconds: int) -> tuple[str, str]:
    """A token of a service account for `seconds`, as long as the server allows, and when it expires (RFC 3339).

    Nothing is stored by that. Raises `SourceError`.
    """
    body = {
        "apiVersion": "authentication.k8s.io/v1",
        "kind": "TokenRequest",
        "spec": {"expirationSeconds": seconds},
    }
    status, reply = await _exchange(access, f"/api/v1/namespaces/{namespace}/serviceaccounts/{account}/token", body)
    if status == 404:
        advice = f"create it: meshdns remote print-rbac -n {namespace} | kubectl apply -f -"
        raise SourceError(f"there is no service account {namespace}/{account}; {advice}")
    answer = _object(status, reply, f"no token of {namespace}/{account} was given").get("status", {})
    return str(answer.get("token", "")), str(answer.get("expirationTimestamp", ""))


async def kept_token(access: Access, namespace: str, secret: str) -> tuple[str, bytes]:
    """The token in a Secret of type ``kubernetes.io/service-account-token``, and the authority (PEM) beside it.

    Raises `SourceError`.
    """
    status, reply = await _exchange(access, f"/api/v1/namespaces/{namespace}/secrets/{secret}", None)
    data = _object(status, reply, f"the Secret {namespace}/{secret} cannot be read").get("data") or {}
    try:
        token = base64.b64decode(data["token"], validate=True).decode("ascii")
        return token, base64.b64decode(data.get("ca.crt", ""), validate=True)
    except (KeyError, TypeError, binascii.Error, ValueError):
        advice = "give it the type kubernetes.io/service-account-token, and wait for its token"
        raise SourceError(f"the Secret {namespace}/{secret} holds no token; {advice}") from None


async def _exchange(access: Access, path: str, body: object) -> tuple[int, bytes]:
    async with connected(access) as connection:
        return await connection.post(path, body) if body else await connection.read(path)


def _object(status: int, reply: bytes, refused: str) -> dict[str, Any]:
    """The object in a good reply. Raises `SourceError`."""
    if status >= 300:
        said = decode_status(status, reply).message or f"HTTP status {status}"
        raise SourceError(f"{refused}: {said}; use a context that may")
    try:
        return msgspec.json.decode(reply, type=dict[str, Any])
    except msgspec.MsgspecError:
        raise SourceError(f"{refused}: the reply is no object; check that the server is a Kubernetes API") from None
