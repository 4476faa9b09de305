"""Errors of the settings, in words that end with what to do next."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from pydantic import ValidationError

from meshdns.config.document import Fault, KeyPath, SettingsDocument, suggest_key
from meshdns.config.model import Settings
from meshdns.mesh.objects.foreign import shown


class SettingsError(Exception):
    """The settings can't be used. `lines` says why, one fault each, with its place, in the order of the file."""

    def __init__(self, lines: Sequence[str]) -> None:
        super().__init__("\n".join(lines))
        self.lines = tuple(lines)


def faults_from_validation(error: ValidationError, document: SettingsDocument) -> Iterator[Fault]:
    """The faults of a document that the model refused."""
    for item in validation_errors(error):
        kind, loc = item["type"], item["loc"]
        if kind == "extra_forbidden":
            advice = suggest_key(str(loc[-1]), _known_keys(loc[:-1]))
            yield document.fault(loc, f"is no known key; {advice}", key=True)
        elif kind == "missing":
            yield document.fault(loc[:-1], "is missing; add it", missing_key=str(loc[-1]))
        elif kind == "union_tag_not_found":
            yield document.fault(loc, f"is missing; add it: {_SOURCES}", missing_key="kind")
        elif kind == "union_tag_invalid":
            yield document.fault((*loc, "kind"), error_message(item))
        else:
            yield document.fault(loc, error_message(item), key=loc[-1:] == ("[key]",))


def validation_errors(error: ValidationError) -> Iterator[Mapping[str, Any]]:
    """What pydantic refused; it also calls a list of nothing but bad items too short, which says nothing."""
    for item in error.errors(include_url=False):
        if item["type"] != "too_short" or not item["input"]:
            yield item


def error_message(item: Mapping[str, Any]) -> str:
    """One of pydantic's errors in our words."""
    kind, context = item["type"], item.get("ctx", {})
    if kind == "value_error":
        return str(context["error"])
    if kind == "union_tag_invalid":
        return f"{shown(context['tag'])} is unknown; use one of {context['expected_tags'].replace(chr(39), '')}"
    if item["input"] is None:
        return f"is empty; {_ADVICE.get(kind, 'write a value')}"
    given = _value_text(item["input"])
    if kind == "literal_error":
        return f"{given} is unknown; use {context['expected'].replace(chr(39), '')}"
    if kind in _BOUNDS:
        return f"{given} is out of range; use {_BOUNDS[kind]} {next(iter(context.values())):g}"
    if kind == "too_short":
        return "is empty; list at least one"
    return f"{given} is wrong here; {_ADVICE.get(kind, item['msg'])}"


_SOURCES: Final = "manifests, inCluster, kubeconfig or remoteSecrets"  # pydantic names only the discriminator

_BOUNDS: Final = {
    "greater_than_equal": "at least",
    "less_than_equal": "at most",
}

_ADVICE: Final = {
    "string_type": "write text, in quotes where YAML would read a number or nothing",
    "int_type": "write a whole number",
    "bool_type": "write true or false",
    "tuple_type": "write a list: [a, b], or lines that begin with a dash",
    "dict_type": "write keys and values: {key: value}, or lines of key: value",
    "model_type": "write keys and values: {key: value}, or lines of key: value",
    "model_attributes_type": "write keys and values: {key: value}, or lines of key: value",
}


def _value_text(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return shown(value)
    if isinstance(value, list | tuple):
        return "a list"
    return "a mapping" if isinstance(value, dict) else shown(value)


def _known_keys(loc: KeyPath) -> Sequence[str]:
    """The keys that the model knows at `loc`, by a walk over its JSON schema."""
    schema = Settings.model_json_schema(by_alias=True)
    definitions = schema.get("$defs", {})
    at: Mapping[str, Any] = schema
    for part in loc:
        at = _dereferenced(_subschema(at, part), definitions)
    return tuple(at.get("properties", {}))


def _subschema(at: Mapping[str, Any], part: str | int) -> Mapping[str, Any]:
    if isinstance(part, int):
        found = at["items"]
    elif part in at.get("properties", {}):
        found = at["properties"][part]
    elif "discriminator" in at:
        found = {"$ref": at["discriminator"]["mapping"][part]}
    else:
        found = at.get("additionalProperties", {})
    return found if isinstance(found, Mapping) else {}


def _dereferenced(at: Mapping[str, Any], definitions: Mapping[str, Any]) -> Mapping[str, Any]:
    name = str(at.get("$ref", "")).rpartition("/")[2]
    found = definitions.get(name, at)
    return found if isinstance(found, Mapping) else {}
