"""The upstream servers that the host itself uses."""

from collections.abc import Collection
from pathlib import Path

from meshdns.forwarding.addresses import Address, resolv_conf


def read(path: Path, *, own: Collection[Address] = ()) -> tuple[Address, ...]:
    """The name servers that a resolv.conf lists, without those that are `own`; perhaps none.

    Raises ValueError with a message for people where the file cannot be read.
    """
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        raise ValueError(
            f"{path}: {error.strerror}; name the upstream servers by address under forward, or make the file readable"
        ) from error
    return resolv_conf(text, own=own)
