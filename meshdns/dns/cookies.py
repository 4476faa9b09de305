"""DNS cookies (RFC 7873), which prove to a client that a reply comes from the server it queried before.

Rules:
- A server cookie is laid out as in RFC 9018 section 4: version, three octets of zero, seconds, hash of eight octets.
- The version is 240, for private use, not 1: the hash is keyed BLAKE2s over what RFC 9018 section 4.4 hashes. SipHash
  would let servers of other makes share a secret, but all that answer with this one are instances of meshdns, and in
  Python it costs ten times more than the rest of a reply.
- Cookies are never required: a client with none, or an invalid one, is answered all the same and gets a valid one.
- The secret and the time come in as arguments; times are seconds since 1970, compared as serial numbers (RFC 1982).
"""

import struct
from hashlib import blake2s
from hmac import compare_digest
from typing import Final

SECRET_SIZE: Final = 16  # bytes: the 128 bits of RFC 9018
CLIENT_COOKIE_SIZE: Final = 8
MAX_AGE: Final = 3600  # seconds that a server cookie is valid (RFC 9018 section 4.3)
MAX_CLOCK_SKEW: Final = 300  # seconds that another server's clock may be ahead, as there

_FULL_SIZE: Final = 24
_HASH_SIZE: Final = 8
_VERSION: Final = 240  # 240 to 254 are for private use (RFC 9018 section 7)
_prefix = struct.Struct(">B3xI").pack
_MODULUS: Final = 1 << 32


def issue(secret: bytes, client: bytes, source: bytes, *, now: int) -> bytes:
    """Return the full cookie, client's and server's part, for a client cookie of 8 bytes from a packed address."""
    head = client + _prefix(_VERSION, now % _MODULUS)
    return head + blake2s(head + source, key=secret, digest_size=_HASH_SIZE).digest()


def is_valid(secret: bytes, cookie: bytes, source: bytes, *, now: int) -> bool:
    """Return whether a full cookie was issued under this secret to this packed address, and not too long ago."""
    if len(cookie) != _FULL_SIZE:
        return False
    made = int.from_bytes(cookie[12:16], "big")
    age = (now - made + MAX_CLOCK_SKEW) % _MODULUS
    return age <= MAX_AGE + MAX_CLOCK_SKEW and compare_digest(
        cookie, issue(secret, cookie[:CLIENT_COOKIE_SIZE], source, now=made)
    )
