"""Files that are no settings but something else that people have at hand: manifests and kubeconfigs."""

import re
from typing import Any, Final

from meshdns.mesh.objects.foreign import MAX_SHOWN, bounded_text

_KIND: Final = re.compile(r"^kind:[ \t]*[\"']?([A-Za-z]\w{0,63})", re.ASCII | re.MULTILINE)
_VERSION: Final = re.compile(r"^apiVersion:[ \t]*[\"']?([a-z][\w./-]{0,253})", re.ASCII | re.MULTILINE)
_OURS: Final = "meshdns/"


def manifest_fault(tree: Any, text: str) -> str:
    """Return what a file is that has an ``apiVersion`` and a ``kind``, and what to do with it; empty for others.

    `tree` is what `text` holds, None if it cannot be parsed as one document: it may be several.
    """
    if isinstance(tree, dict):
        kind, version = tree.get("kind"), tree.get("apiVersion")
    else:
        found = _KIND.search(text), _VERSION.search(text)
        kind, version = (match[1] if match else None for match in found)
    if not isinstance(kind, str) or not isinstance(version, str) or version.startswith(_OURS):
        return ""
    if (kind, version) == ("Config", "v1"):
        return (
            "is a kubeconfig and no settings file; name it in the settings, sources: [{kind: kubeconfig, path: FILE}], "
            "or with meshdns serve --kubeconfig"
        )
    return (
        f"is a manifest of Kubernetes (kind {bounded_text(kind, MAX_SHOWN)}) and no settings file; "
        "put it into a folder for its cluster, <folder>/<cluster>/, and name the folder: meshdns check <folder>"
    )
