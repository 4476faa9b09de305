"""A reader of a name database in a process of its own, driven line by line: LMDB may be opened once per process.

Each line on standard input is a JSON command; its reply is one JSON line. ``["look", NAME …]`` takes a look and tells
what changed since the last one, the serial, the state, and the rows and refusals of the names (wire format in
hexadecimal).
"""

import json
import sys
from pathlib import Path

from meshdns.namedb.reader import ChangedNames, Reader


def listed(changed: ChangedNames | None) -> list[list[str] | None]:
    """The changed names in a list by themselves, None in it for all names; an empty list where there was no commit."""
    if changed is None:
        return []
    return [None if changed.names is None else [each.hex() for each in changed.names]]


def shown(values: list[bytes | None]) -> list[str | None]:
    """Values as they stand in the reply."""
    return [value.hex() if value is not None else None for value in values]


def main() -> None:
    """Serve commands until standard input ends."""
    reader = Reader(Path(sys.argv[1]))
    for line in sys.stdin:
        _, *names = json.loads(line)
        look, changed = reader.begin()
        rows = [look.row(bytes.fromhex(name)) for name in names]
        refusals = [look.unserved_reason(bytes.fromhex(name)) for name in names]
        state = [look.state.ready, look.state.complete, list(look.state.clusters)]
        zones = sorted(look.state.zones) if look.state.zones is not None else None
        serial = look.serial
        look.close()
        found = {
            "forget": listed(changed),
            "serial": serial,
            "state": state,
            "zones": zones,
            "rows": shown(rows),
            "refusals": shown(refusals),
        }
        sys.stdout.write(json.dumps(found) + "\n")
        sys.stdout.flush()
    reader.close()


if __name__ == "__main__":
    main()
