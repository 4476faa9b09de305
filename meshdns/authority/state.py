"""State of the whole name database at one commit, beside its rows."""

import msgspec

from meshdns.mesh.zone_hashes import ZoneHashes


class NamedbState(msgspec.Struct, frozen=True):
    """The state that every answer depends on.

    `ready`: the own cluster has synced once (or its last name database was loaded); before, only static records are
    served. `complete`: every cluster that may block a denial has synced; before, an unknown name is SERVFAIL, not
    NXDOMAIN. `clusters`: names by id; `stale` holds the ids whose last contact is too old, with the text for EDE 3.
    `wildcards`: whether any wildcard owner name exists, so that misses without one stay cheap. `is_controller_silent`:
    the name database is not kept up to date; `is_unwritable`: the last commit failed, so that it lacks changes; both
    are set by the reader, never written. `zones` are the hashes of the settings that the names of each zone were
    computed for, None if unknown, `sources` that of the sources they were read from.
    """

    ready: bool = False
    complete: bool = False
    clusters: tuple[str, ...] = ()
    stale: tuple[int, ...] = ()
    wildcards: bool = False
    is_controller_silent: bool = msgspec.field(default=False, name="silent")
    is_unwritable: bool = msgspec.field(default=False, name="unwritable")
    zones: dict[str, ZoneHashes] | None = None
    sources: str = ""


def encode_state(state: NamedbState) -> bytes:
    """Encode the state for the name database."""
    return msgspec.json.encode(state)


def decode_state(data: bytes) -> NamedbState:
    """Decode the state from the name database."""
    return msgspec.json.decode(data, type=NamedbState)
