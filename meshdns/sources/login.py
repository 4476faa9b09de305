"""Who asks an API server, now: tokens and certificates that rotate.

Rules:
- A token file is read again after a minute (as client-go does; the kubelet renews at 80 % of a token's life) and
  whenever the server does not accept what was read. A file that cannot be read, or is empty in that moment, costs
  nothing as long as the last token may still be good.
- A credential plugin runs again when its credential expires, or was not accepted, never more often than once a second.
- What a kubeconfig says outright does not rotate here: another content is another access.
"""

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any, Final

from meshdns.sources import plugin
from meshdns.sources.access import Access
from meshdns.sources.plugin import Credential
from meshdns.sources.settings import SourceError

_TOKEN_FILE: Final = 60.0  # seconds
_EXPIRY: Final = 10.0  # seconds before its end at which a credential is renewed: a request takes its time
_AGAIN: Final = 1.0  # seconds: all kinds find an expired token at the same time; reading it once is enough
_TOKEN_LIMIT: Final = 2**16

Provide = Callable[[Access], Awaitable[str]]
"""The token of an ``auth-provider``. Raises `SourceError`."""


class Login:
    """The credential for `access`; `clock` is monotonic, `wall` the Unix time that expiries are written in.

    `obtained` is told of each new one.
    """

    def __init__(
        self,
        access: Access,
        *,
        environment: Mapping[str, str],
        clock: Callable[[], float],
        wall: Callable[[], float],
        provide: Provide,
        obtained: Callable[[Credential], None] = lambda _credential: None,
    ) -> None:
        self._access = access
        self._environment = environment
        self._clock = clock
        self._wall = wall
        self._provide = provide
        self._tell = obtained
        self._lock = asyncio.Lock()
        self._held: Credential | None = None
        self._obtained = 0.0
        self._refused = False

    async def credential(self) -> Credential:
        """What to show now. Raises `SourceError`."""
        async with self._lock:
            if self._held is None or self._is_due():
                self._held = await self._obtain()
                self._obtained = self._clock()
                self._refused = False
                self._tell(self._held)
            return self._held

    def refused(self) -> None:
        """The server did not accept it: get another, unless that was just done."""
        self._refused = True

    def _is_due(self) -> bool:
        held = self._held
        age = self._clock() - self._obtained
        if self._refused:
            return age >= _AGAIN
        if self._access.token_file:
            return age >= _TOKEN_FILE
        return held is not None and held.expires - self._wall() <= _EXPIRY and age >= _AGAIN

    async def _obtain(self) -> Credential:
        access = self._access
        if access.plugin is not None:
            return await plugin.credential(access.plugin, access, environment=self._environment, seconds=plugin.SECONDS)
        if access.token_file:
            return await asyncio.to_thread(self._read_token)
        if access.provider:
            return Credential(await self._provide(access), access.certificate, access.key, self._wall() + _TOKEN_FILE)
        return Credential(access.token, access.certificate, access.key)

    def _read_token(self) -> Credential:
        access = self._access
        try:
            with Path(access.token_file).open("rb") as file:
                token = file.read(_TOKEN_LIMIT).decode("ascii").strip()
            reason = "" if token and not any(char.isspace() for char in token) else "is empty or no token"
        except OSError as error:
            token, reason = "", f"cannot be read: {error.strerror}"
        except UnicodeDecodeError:
            token, reason = "", "is no token"
        if not reason:
            return Credential(token, access.certificate, access.key)
        if self._held is not None and not self._refused:
            return self._held
        raise SourceError(f"{access.title}: the token file {access.token_file} {reason}; correct it")


def provider_config(access: Access) -> dict[str, Any]:
    """A kubeconfig that holds the ``auth-provider`` of `access` and nothing else, for a library that understands it."""
    return {
        "current-context": "one",
        "contexts": [{"name": "one", "context": {"cluster": "one", "user": "one"}}],
        "clusters": [{"name": "one", "cluster": {"server": access.server}}],
        "users": [{"name": "one", "user": {"auth-provider": json.loads(access.provider)}}],
    }
