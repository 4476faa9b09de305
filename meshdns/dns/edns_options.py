"""EDNS options of a reply that must fit: what is said about an answer gives way to the answer (RFC 8914 section 3).

Rules:
- Over UDP the text of an extended error has at most `MAX_UDP_TEXT` bytes of UTF-8, hence characters. A longer one loses
  its advice, the part behind the last semicolon, before it is cut.
- If a reply is too long, the texts of the extended errors are dropped first, then the errors, then NSID, each only as
  far as needed. The cookie and the keepalive stay: they are about the transport, not about the answer.
"""

from collections.abc import Iterator
from typing import Final

from meshdns.dns.codes import OPTION_EDE, OPTION_NSID

MAX_UDP_TEXT: Final = 64  # bytes of the text of an extended error over UDP
MAX_TCP_TEXT: Final = 512  # bytes over TCP: a reply lists no more than some clusters

_CUT: Final = b"..."
_MIN_SENTENCE: Final = 16  # bytes before a semicolon that are worth keeping alone
_EMPTY_EDE: Final = 6  # bytes of an extended error without text, with code and length of the option


def encode_option(code: int, value: bytes) -> bytes:
    """Return one option."""
    return code.to_bytes(2, "big") + len(value).to_bytes(2, "big") + value


def shorten_texts(options: bytes, limit: int) -> bytes:
    """Return the options with each text of an extended error at most `limit` bytes long."""
    if len(options) <= limit + _EMPTY_EDE:
        return options
    return b"".join(
        encode_option(code, value[:2] + shorten_text(value[2:], limit) if code == OPTION_EDE else value)
        for code, value in split_options(options)
    )


def shorten_text(text: bytes, limit: int) -> bytes:
    """Return a text of at most `limit` bytes: whole, else without its advice, else cut at a character."""
    if len(text) <= limit:
        return text
    sentence = text.rfind(b";", _MIN_SENTENCE, limit + 1)
    if sentence > 0:
        return text[:sentence]
    return text[: limit - len(_CUT)].decode(errors="ignore").encode() + _CUT


def drop_options(options: bytes, excess: int) -> bytes:
    """Return the options without what must go first, `excess` bytes of them if that many can go."""
    for drop in (_drop_text, _drop_error, _drop_nsid):
        kept = b"".join(drop(code, value) for code, value in split_options(options))
        if len(options) - len(kept) >= excess:
            return kept
    return kept


def _drop_text(code: int, value: bytes) -> bytes:
    return encode_option(code, value[:2] if code == OPTION_EDE else value)


def _drop_error(code: int, value: bytes) -> bytes:
    return b"" if code == OPTION_EDE else encode_option(code, value)


def _drop_nsid(code: int, value: bytes) -> bytes:
    return b"" if code in (OPTION_EDE, OPTION_NSID) else encode_option(code, value)


def split_options(options: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield code and value of each option; they are well-formed because they are ours."""
    at = 0
    while at < len(options):
        end = at + 4 + (options[at + 2] << 8 | options[at + 3])
        yield options[at] << 8 | options[at + 1], options[at + 4 : end]
        at = end
