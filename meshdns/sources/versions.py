"""Resource versions of objects and lists."""

from typing import Any


def resource_version(obj: dict[str, Any]) -> str:
    """The opaque resource version of an object; empty where it has none."""
    metadata = obj.get("metadata")
    value = metadata.get("resourceVersion") if isinstance(metadata, dict) else None
    return value if isinstance(value, str) else ""


def behind(version: str, other: str) -> bool:
    """Whether a version is smaller than another (KEP-5504: both are decimal integers where they can be compared)."""
    return version.isdecimal() and other.isdecimal() and int(version) < int(other)
