"""The reference of all settings, from the models and the example that shows each of them.

``python -m meshdns.config.reference > docs/settings.md`` writes it. Every key of the models has its description
there, every kind of scalar its words here, and every key its value in ``example.yaml``; what lacks one is a KeyError.
"""

import inspect
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Final, Literal, NamedTuple, Union, get_args, get_origin

import yaml
from annotated_types import Ge, Le
from pydantic import AfterValidator, BeforeValidator
from pydantic.fields import FieldInfo

from meshdns.config import values
from meshdns.config.model import Settings
from meshdns.config.sections import SettingsModel

EXAMPLE: Final = Path(__file__).with_name("example.yaml")

_HEAD: Final = """\
# Settings

All keys of `meshdns.yaml`. None is needed: without a file `meshdns serve` takes the defaults. Unknown and repeated keys
are errors with file, line and column; `meshdns check meshdns.yaml` finds them without a server. A key with nothing
behind it (`zones:` alone, or `null`) counts as not written; `[]` is an empty list. `meshdns reload` (`SIGHUP`) takes up
a changed file; `listen`, `workers`, `http`, `stateDir` and `logLevel` need a restart. The command says what came of it.

Files that `forward` and `fallback` name (a resolv.conf, `ca`) are looked at every 5 s, and what changes in them counts
without a reload. One that cannot be read leaves its last good value and is a problem (`meshdns get problems`); at start
it costs its own servers alone. It is to be a regular file of at most 1 MiB.

The flags `--kubeconfig --context --cluster --network --listen --workers --state-dir --log-level` and the variables
`MESHDNS_KUBECONFIG`, `MESHDNS_CONTEXT` … of the same names win over the file, flags over variables; lists are separated
by commas in a variable. `--config` (`MESHDNS_CONFIG`) names the file. `MESHDNS_HTTP_LISTEN` stands for `http.listen`:
an address that only the pod knows. Paths in a file are relative to it. Commands that ask a running server (`get`,
`explain`, `diff`, `tail`, `reload`, `cache`) take `--config` and `--state-dir`, and refuse the other flags.

A duration is a number and a unit: `500ms`, `10s`, `5m`, `1h`.
"""

_SCALARS: Final[Mapping[Callable[..., Any], str]] = {
    values.read_duration: "duration",
    values.read_domain: "domain name",
    values.read_zone_or_root: "domain name or `.`",
    values.read_owner: "domain name, `*.` before it or not",
    values.read_label: "DNS label",
    values.read_cidr: "CIDR",
    values.read_client: "CIDR, `private` or `any`",
    values.read_socket_address: "address:port",
    values.read_loopback_address: "loopback address:port",
    values.read_upstream: "server or file",
    values.read_path: "path",
    values.read_socket_path: "path",
    values.read_identifier: "name",
    values.read_uid: "UID",
    values.read_namespace: "namespace",
    values.read_namespace_or_all: "namespace or `*`",
    values.read_bool_or_auto: "`auto`, `true` or `false`",
    values.read_gateway: "address or host name, with a port or not",
}

_PLAIN: Final = {bool: "`true` or `false`", int: "whole number", float: "number", str: "text"}

_SPECIAL_TYPES: Final = {
    "clusters.<name>.maxStale": "duration or `never`",
    "fallback[].upstream": "list: server or file; or `none`",
}
"""Keys that take a word beside what their type says."""


class KeyRow(NamedTuple):
    """One row: a key by its path, what it takes, what holds where it is not set, what it means, and a value of it."""

    path: str
    kind: str
    default: str
    meaning: str
    example: str


class ReferenceSection(NamedTuple):
    """A section of the file with its keys; of several kinds of sources one each."""

    title: str
    section: type[SettingsModel]
    keys: list[KeyRow]


def reference() -> str:
    """The text of ``docs/settings.md``."""
    return (
        _HEAD
        + "".join(_section_text(each) for each in reference_sections())
        + f"\n## All of it\n\n```yaml\n{_example()}```\n"
    )


def reference_sections() -> Iterator[ReferenceSection]:
    """First the file itself, then its sections in the order of the file."""
    example = yaml.safe_load(_example())
    yield ReferenceSection("The file", Settings, list(_keys(Settings, "", example)))
    for name, field in Settings.model_fields.items():
        for title, path, section, value in _sections(_file_key(Settings, name), field, example):
            yield ReferenceSection(title, section, list(_keys(section, path, value)))


def _example() -> str:
    return EXAMPLE.read_text("utf-8")


def _sections(key: str, field: FieldInfo, example: Any) -> Iterator[tuple[str, str, type[SettingsModel], Any]]:
    """The models below a key, each with its title, the path of its keys, and its part of the example."""
    value = example[key]
    for section in _models(field.annotation):
        if isinstance(value, list):
            tag = section.model_fields.get("kind")
            mine = [each for each in value if tag is None or each["kind"] == tag.default]
            title = f"{key}: {tag.default}" if tag else key
            yield title, f"{key}[].", section, {name: given for each in mine for name, given in each.items()}
        elif get_origin(field.annotation) is dict:
            yield key, f"{key}.<name>.", section, next(iter(value.values()))
        else:
            yield key, f"{key}.", section, value


def _keys(section: type[SettingsModel], path: str, example: Mapping[str, Any]) -> Iterator[KeyRow]:
    for name, field in section.model_fields.items():
        key = _file_key(section, name)
        kind = _SPECIAL_TYPES.get(path + key) or _type_words(field.annotation, field.metadata)
        shown = "below" if list(_models(field.annotation)) else f"`{_one_line_yaml(example[key])}`"
        yield KeyRow(path + key, kind, *_described(field), shown)


def _described(field: FieldInfo) -> tuple[str, str]:
    """What holds where a key is not set, and what it means."""
    meaning, _, default = (field.description or "The kind of source.").partition("Default: ")
    if not default:
        default = "required" if field.is_required() else _fallback(field)
    return _markdown_escaped(default.strip().removesuffix(".")), _markdown_escaped(meaning.strip())


def _fallback(field: FieldInfo) -> str:
    """The default of a key whose description does not tell it."""
    if field.default_factory is None:
        return str(field.default or "")
    return "none" if field.default_factory is dict else "what its keys say"


def _markdown_escaped(text: str) -> str:
    """Text without what Markdown would take for a tag."""
    return text.replace("<", "\\<")


def _file_key(section: type[SettingsModel], name: str) -> str:
    """The key as the file has it."""
    return section.model_fields[name].alias or name


def _models(annotation: Any) -> Iterator[type[SettingsModel]]:
    if isinstance(annotation, type) and issubclass(annotation, SettingsModel):
        yield annotation
    for inner in get_args(annotation):
        yield from _models(inner)


def _type_words(annotation: Any, metadata: list[Any] | tuple[Any, ...]) -> str:
    """What a key takes, in words."""
    for each in metadata:
        if isinstance(each, AfterValidator | BeforeValidator) and each.func in _SCALARS:
            return _SCALARS[each.func]
    origin, inner = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _type_words(inner[0], inner[1:])
    if any(_models(annotation)):
        return {tuple: "list of sections", dict: "section by name"}.get(origin, "section")
    if origin in (Union, UnionType):
        return " or ".join(_type_words(each, metadata) for each in inner if each is not NoneType)
    if origin is tuple:
        return f"list: {_type_words(inner[0], [])}"
    if origin is Literal:
        return " or ".join(f"`{word}`" for word in inner)
    return _bounded(_PLAIN[annotation], metadata)


def _bounded(words: str, metadata: list[Any] | tuple[Any, ...]) -> str:
    bounds = [inner for each in metadata for inner in getattr(each, "metadata", [each])]
    low = [each.ge for each in bounds if isinstance(each, Ge)]
    high = [each.le for each in bounds if isinstance(each, Le)]
    return f"{words}, {low[0]} to {high[0]}" if low and high else words


def _one_line_yaml(value: Any) -> str:
    """A value as one line of YAML."""
    return yaml.safe_dump(value, default_flow_style=True, width=10_000).removesuffix("\n").removesuffix("\n...").strip()


def _section_text(chapter: ReferenceSection) -> str:
    rows = "".join(
        f"| `{key.path}` | {key.kind} | {key.default} | {key.meaning} | {key.example} |\n".replace(" |  |", " | |")
        for key in chapter.keys
    )
    opening = f"\n## {chapter.title}\n\n{_markdown_escaped(inspect.cleandoc(chapter.section.__doc__ or ''))}\n\n"
    return f"{opening}| key | takes | default | meaning | example |\n|---|---|---|---|---|\n{rows}"


if __name__ == "__main__":
    sys.stdout.write(reference())
