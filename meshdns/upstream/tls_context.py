"""Verification of the certificates of upstreams over TLS (RFC 7858, RFC 8310 section 5: the strict profile alone).

Chain, dates and name are always checked, by OpenSSL. Authorities come as PEM text: the supervisor reads their file, and
hands on what changes there, so that a Secret or ConfigMap may be renewed without a restart.
"""

import re
import ssl
from typing import Final

_ALPN: Final = ["dot"]  # RFC 7858 section 3.1 names the port alone; the token is registered for it
_CERTIFICATE: Final = re.compile(rb"-----BEGIN ((?:X509 |TRUSTED )?CERTIFICATE)-----[^-]*-----END \1-----", re.ASCII)


class TlsContext:
    """The TLS context for authorities in PEM form, the system's if `ca` is empty. May be used from any thread."""

    def __init__(self, ca: str) -> None:
        self._ca = ca
        self._context: ssl.SSLContext | None = None

    def context(self) -> ssl.SSLContext:
        """Return the context; OSError if it cannot be made (`ssl.SSLError` is one)."""
        if self._context is None:
            self._context = _context(self._ca)
        return self._context


def read_authorities(data: bytes) -> str:
    """Return the certificates of a PEM file, and nothing else of it; raises ValueError if it cannot be used."""
    text = "\n".join(match.group().decode("ascii", "replace") for match in _CERTIFICATE.finditer(data))
    try:
        if text:
            _context(text)
            return f"{text}\n"
    except (OSError, ValueError):
        raise ValueError("holds a certificate that cannot be read") from None
    raise ValueError("holds no certificate in PEM form")


def _context(ca: str) -> ssl.SSLContext:
    context = ssl.create_default_context(cadata=ca or None)  # checks chain, dates and name
    context.minimum_version = ssl.TLSVersion.TLSv1_2  # RFC 7525; whatever the system's settings allow
    context.set_alpn_protocols(_ALPN)
    return context
