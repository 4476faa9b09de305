"""Hashes of the settings that the names of each zone are computed for.

The name database holds those that its names were computed for, the settings of a worker those in force. Where they
differ, a name that is not found may exist by the settings in force: it must not be denied.
"""

from typing import Final

import msgspec

UNKNOWN_HASH: Final = "?"
"""The hash of a zone whose names are being computed for other settings."""


class ZoneHashes(msgspec.Struct, frozen=True, array_like=True):
    """Hashes of one zone, empty for a zone that is none of the mesh.

    `names` covers what makes a name of the mesh exist, `records` the zone's static records. `upstream` is the forward
    zone that unknown names of this zone are sent to, ``.`` for the root's, empty if they are denied.
    """

    names: str = ""
    records: str = ""
    upstream: str = ""

    def without_others(self, wanted: "ZoneHashes") -> "ZoneHashes":
        """Return these hashes, unknown where they differ from `wanted`."""
        if not self.names:
            return self
        names = self.names if self.names == wanted.names else UNKNOWN_HASH
        records = self.records if self.records == wanted.records else UNKNOWN_HASH
        return ZoneHashes(names, records, self.upstream)


NO_HASHES: Final = ZoneHashes()


class SettingsHashes(msgspec.Struct, frozen=True):
    """Hashes by zone, forward zones with an `upstream` alone among them; `sources` is the hash of the sources."""

    zones: dict[str, ZoneHashes] = {}
    sources: str = ""
