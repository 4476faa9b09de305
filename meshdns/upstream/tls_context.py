"""Verification of the certificates of upstreams over TLS (RFC 7858, RFC 8310 section 5: the strict profile alone).

Chain, dates and name are always checked, by OpenSSL. Files of authorities are read again when they change, so that a
Secret or ConfigMap may be renewed without a restart; a renewal that cannot be read leaves the old one in force.
"""

import ssl
from pathlib import Path
from typing import Final

_ALPN: Final = ["dot"]  # RFC 7858 section 3.1 names the port alone; the token is registered for it


class TlsContext:
    """The TLS context for one file of authorities, the system's if `ca` is empty. May be used from any thread."""

    def __init__(self, ca: str) -> None:
        self._ca = ca
        self._context: ssl.SSLContext | None = None
        self._read_at: tuple[int, int, int] | None = None

    def context(self) -> ssl.SSLContext:
        """Return the context for the present file; OSError if it could never be read (`ssl.SSLError` is one)."""
        version = self._file_version()
        if self._context is None or version not in (None, self._read_at):
            try:
                self._context = _context(self._ca)
            except OSError:
                if self._context is None:
                    raise
            self._read_at = version
        return self._context

    def _file_version(self) -> tuple[int, int, int] | None:
        """Return a value that changes with the file; None if there is none."""
        try:
            status = Path(self._ca).stat() if self._ca else None
        except OSError:
            return None
        return (status.st_mtime_ns, status.st_ino, status.st_size) if status is not None else None


def check_ca(ca: str) -> None:
    """Check that a file of authorities can be used; raises ValueError with a message for people."""
    try:
        _context(ca)
    except OSError as error:
        reason = error.strerror or str(error)
        if isinstance(error, ssl.SSLError):
            reason = "holds no certificate in PEM form"
        raise ValueError(f"{ca}: {reason}; name a readable file of PEM certificates with ca") from error


def _context(ca: str) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=ca or None)  # checks chain, dates and name
    context.minimum_version = ssl.TLSVersion.TLSv1_2  # RFC 7525; whatever the system's settings allow
    context.set_alpn_protocols(_ALPN)
    return context
