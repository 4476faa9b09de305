"""Until when a credential is good, as far as it says so itself: nobody is asked.

Of several ends the first one counts. A token is read if it is a JWT (RFC 7519 section 4.1.4), a certificate as far as
its validity (RFC 5280 section 4.1.2.5); what cannot be read says nothing.
"""

import base64
import binascii
import math
import ssl
from datetime import UTC, datetime
from typing import Final

import msgspec

from meshdns.sources.plugin import Credential

_JWT_PARTS: Final = 3
_SEQUENCE: Final = 0x30
_VERSION: Final = 0xA0
_UTC_TIME: Final = 0x17  # two digits of the year
_END: Final = "-----END CERTIFICATE-----"


def expiry(credential: Credential) -> float:
    """The Unix time at which a credential ends; infinite where nothing says so."""
    return min(credential.expires, _of_token(credential.token), _of_certificate(credential.certificate))


class _Claims(msgspec.Struct):
    exp: float = math.inf


def _of_token(token: str) -> float:
    parts = token.split(".")
    if len(parts) != _JWT_PARTS:
        return math.inf
    try:
        claims = base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4))
        return msgspec.json.decode(claims, type=_Claims).exp
    except (ValueError, binascii.Error, msgspec.MsgspecError):
        return math.inf


def _of_certificate(pem: bytes) -> float:
    """The end of the first certificate, which is the client's own."""
    text = pem.decode("ascii", "replace")
    begin = text.find("-----BEGIN CERTIFICATE-----")
    end = text.find(_END, begin)
    if begin < 0 or end < 0:
        return math.inf
    try:
        return _not_after(ssl.PEM_cert_to_DER_cert(text[begin : end + len(_END)]))
    except (ValueError, binascii.Error, IndexError):
        return math.inf


def _not_after(der: bytes) -> float:
    """The end of the validity: Certificate → TBSCertificate → its fourth field, behind an explicit version if any."""
    _, at, _ = _element(der, 0)
    _, at, _ = _element(der, at)
    tag, _, behind = _element(der, at)
    at = behind if tag == _VERSION else at
    for _ in range(3):  # serial number, signature algorithm, issuer
        _, _, at = _element(der, at)
    tag, at, _ = _element(der, at)
    if tag != _SEQUENCE:
        raise ValueError("no validity")
    _, _, at = _element(der, at)
    tag, at, behind = _element(der, at)
    text = der[at:behind].decode("ascii")
    if tag == _UTC_TIME:
        text = ("19" if text >= "50" else "20") + text
    return datetime.strptime(text, "%Y%m%d%H%M%SZ").replace(tzinfo=UTC).timestamp()


def _element(der: bytes, at: int) -> tuple[int, int, int]:
    """Tag, begin and end of the content of the element at `at`. Raises `IndexError` where there is none."""
    tag, size, begin = der[at], der[at + 1], at + 2
    if size & 0x80:
        octets = size & 0x7F
        size = int.from_bytes(der[begin : begin + octets], "big")
        begin += octets
    return tag, begin, begin + size
