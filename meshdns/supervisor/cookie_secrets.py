"""The secret of DNS cookies: one for all workers of an instance, kept over restarts, replaced once a day.

Rules (RFC 9018 section 5):
- It is stored in the state directory, readable by its owner alone. A file that others could have read, or that cannot
  be read, is replaced: cookies are a convenience, and an invalid one costs a client one more round trip.
- The previous secret stays valid, so that no replacement makes a client's cookie invalid.
"""

import contextlib
import logging
import os
import secrets
import stat
from pathlib import Path
from typing import Final

import msgspec

from meshdns.config.regular_file import read_regular_file
from meshdns.dns.cookies import MAX_CLOCK_SKEW, SECRET_SIZE

LIFETIME: Final = 86_400.0  # seconds; a cookie is valid for one hour of them
_FILE_NAME: Final = "cookie-secrets.json"
_MAX_FILE_SIZE: Final = 4096

_log = logging.getLogger("meshdns.supervisor")


class CookieSecrets(msgspec.Struct, frozen=True):
    """The secret in force, the one before it (empty at first), and when it was made, in seconds since 1970."""

    current: bytes
    previous: bytes
    created_at: float = msgspec.field(name="made")

    def is_due(self, now: float) -> bool:
        """Return whether a new secret is due; also after the clock was set back."""
        return not -MAX_CLOCK_SKEW <= now - self.created_at < LIFETIME


def load_or_create(directory: Path, *, now: float) -> CookieSecrets:
    """Return the secrets in `directory`; if it has none or a new one is due, make and store them first."""
    stored = _read(directory / _FILE_NAME)
    if stored is not None and not stored.is_due(now):
        return stored
    fresh = CookieSecrets(secrets.token_bytes(SECRET_SIZE), stored.current if stored is not None else b"", now)
    try:
        _write(directory / _FILE_NAME, fresh)
    except OSError as error:
        _log.warning("%s/%s: %s; cookies will not outlast this process", directory, _FILE_NAME, error.strerror)
    return fresh


def _read(path: Path) -> CookieSecrets | None:
    try:
        content, _ = read_regular_file(path, max_size=_MAX_FILE_SIZE)
        if path.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO):
            _log.warning("%s: could be read by others; replaced", path)
            return None
        found = msgspec.json.decode(content, type=CookieSecrets)
    except (OSError, msgspec.DecodeError):
        return None
    whole = len(found.current) == SECRET_SIZE and len(found.previous) in (0, SECRET_SIZE)
    return found if whole else None


def _write(path: Path, fresh: CookieSecrets) -> None:
    """Write the file whole or not at all, and never readable by others."""
    part = path.with_suffix(".part")
    with contextlib.suppress(FileNotFoundError):
        part.unlink()
    with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), "wb") as file:
        file.write(msgspec.json.encode(fresh))
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)
