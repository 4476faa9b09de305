"""The page that the admin port serves: files of this package, sent as they are.

The address of every file but ``/`` holds a digest of all of them, so browsers may keep them for ever and never mix two
versions. Modules refer to each other by relative addresses and so stay within theirs.
"""

import hashlib
from pathlib import Path
from typing import Final, NamedTuple

URL_PREFIX: Final = "/page/"
"""Where the files are on the admin port, behind it the digest."""

_TYPES: Final = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
_START: Final = "index.html"
_FOR_EVER: Final = "public, max-age=31536000, immutable"


class StaticFile(NamedTuple):
    """A file by its address: bytes, media type, and how long they may be kept (Cache-Control)."""

    body: bytes
    content_type: str
    cache_control: str


class AdminPage:
    """The files by their address."""

    def __init__(self) -> None:
        found = {path.name: path.read_bytes() for path in sorted((Path(__file__).parent / "static").iterdir())}
        digest = hashlib.sha256()
        for name, body in found.items():
            digest.update(b"%s %d %s" % (name.encode(), len(body), body))
        version = digest.hexdigest()[:16]
        start = found.pop(_START).replace(URL_PREFIX.encode(), f"{URL_PREFIX}{version}/".encode())
        self.files = {"/": StaticFile(start, _TYPES[".html"], "no-cache")} | {
            f"{URL_PREFIX}{version}/{name}": StaticFile(body, _TYPES[Path(name).suffix], _FOR_EVER)
            for name, body in found.items()
        }
