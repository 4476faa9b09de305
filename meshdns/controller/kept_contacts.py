"""Last contacts with the clusters, kept in the name database: a restart makes no cluster stale.

Written every `KEEP_INTERVAL` seconds; what is kept is at most as much older than the truth.
"""

from collections.abc import Mapping
from typing import Final

import msgspec

from meshdns.instance.clocks import Moment

KEEP_INTERVAL: Final = 10.0  # seconds between two writes, each a commit that changes no name


class KeptContacts(msgspec.Struct, frozen=True):
    """The ages of the last contacts, in seconds by cluster, and the moment at which they were so old."""

    written_at: Moment
    ages: dict[str, float]


def encode_contacts(ages: Mapping[str, float], now: Moment) -> bytes:
    """Encode the ages of the last contacts."""
    return msgspec.json.encode(KeptContacts(now, dict(ages)))


def decode_contacts(encoded: bytes | None, now: Moment) -> dict[str, float]:
    """Return the ages of kept contacts by now; none of what cannot be decoded."""
    try:
        kept = msgspec.json.decode(encoded or b"", type=KeptContacts)
    except msgspec.DecodeError:
        return {}
    since = kept.written_at.age(now)
    return {cluster: age + since for cluster, age in kept.ages.items()}
