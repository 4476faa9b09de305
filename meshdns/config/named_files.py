"""The files that the settings name for what is in them, each with its form and the keys that name it.

Files of sources (kubeconfigs, folders of manifests) are not among them: sources watch those themselves.
"""

import enum
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from meshdns.config.document import KeyPath
from meshdns.config.model import Settings
from meshdns.config.values import is_path


class FileForm(enum.Enum):
    """What a file holds. The value is what people read."""

    RESOLV_CONF = "resolv.conf"
    """Upstream servers, in the form of resolv.conf(5)."""
    AUTHORITIES = "ca"
    """PEM certificates that may vouch for upstream servers."""


class FileUse(NamedTuple):
    """A file in one of its forms: what is read is one value, however many keys name it."""

    form: FileForm
    path: str


FileTexts = Mapping[FileForm, Mapping[str, str]]
"""The values of files by form and path: checked text without what its form does not need. One that was never read well
is missing."""


def named_files(settings: Settings) -> Iterator[tuple[FileUse, KeyPath]]:
    """All places in the settings that name a file, in their order."""
    for index, forward in enumerate(settings.forward):
        yield from _of_upstreams(("forward", index), "to", forward.to, forward.ca)
    for index, fallback in enumerate(settings.fallback):
        yield from _of_upstreams(("fallback", index), "upstream", fallback.upstream, fallback.ca)


def _of_upstreams(at: KeyPath, key: str, items: tuple[str, ...], ca: str | None) -> Iterator[tuple[FileUse, KeyPath]]:
    for place, item in enumerate(items):
        if is_path(item):
            yield FileUse(FileForm.RESOLV_CONF, item), (*at, key, place)
    if ca is not None:
        yield FileUse(FileForm.AUTHORITIES, ca), (*at, "ca")
