"""Keys with nothing behind them: they count as not written, wherever they are."""

from collections.abc import Iterator
from typing import Any, Final

import pytest

from meshdns.config import Settings, SettingsError, parse_settings
from tests.config.test_settings import full


def paths(schema: dict[str, Any], definitions: dict[str, Any], at: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """The paths of all keys of sections, lists and mappings left out."""
    for key, field in schema.get("properties", {}).items():
        yield (*at, key)
        reference = field.get("$ref") or next((each.get("$ref") for each in field.get("anyOf", ())), None)
        if reference:
            yield from paths(definitions[reference.rpartition("/")[2]], definitions, (*at, key))


SCHEMA: Final = Settings.model_json_schema(by_alias=True)
PATHS: Final = list(paths(SCHEMA, SCHEMA["$defs"]))


@pytest.mark.parametrize("path", PATHS, ids=".".join)
def test_a_key_with_nothing_behind_it_has_its_default(path: tuple[str, ...]) -> None:
    """As if the line were not there: ``zones:`` alone is the zone global."""
    lines = (f"{'  ' * depth}{key}:\n" for depth, key in enumerate(path))
    assert parse_settings("".join(lines).encode(), "m.yaml") == Settings()


def nulled(tree: Any) -> Iterator[Any]:
    """The tree with one value of a mapping made null, each once, and what it would be without that key."""
    if isinstance(tree, list):
        for at, item in enumerate(tree):
            yield from (
                ([*tree[:at], one, *tree[at + 1 :]], [*tree[:at], two, *tree[at + 1 :]]) for one, two in nulled(item)
            )
    elif isinstance(tree, dict):
        for key, value in tree.items():
            yield {**tree, key: None}, {each: tree[each] for each in tree if each != key}
            yield from (({**tree, key: one}, {**tree, key: two}) for one, two in nulled(value))


def outcome(tree: dict[str, Any]) -> str:
    """The settings of a tree, or the types and places of its faults."""
    try:
        return Settings.model_validate(tree, by_alias=True, by_name=False).model_dump_json()
    except ValueError as error:
        return str([(each["type"], each["loc"]) for each in error.errors()])  # type: ignore[attr-defined]


def test_null_is_absence_everywhere() -> None:
    """Also of a required key, of a key of a list's item, and of a source; a named cluster or network stays named."""
    compared = 0
    for with_null, without in nulled(full().model_dump(mode="json")):
        if without.get("clusters", {}) == {} or without.get("networks", {}) == {}:
            continue
        assert outcome(with_null) == outcome(without)
        compared += 1
    assert compared > 100


def test_a_cluster_with_nothing_behind_it_is_named_all_the_same() -> None:
    """It has default settings."""
    settings = parse_settings(b"clusters:\n  west:\nnetworks:\n  vm-net:\n", "m.yaml")
    assert (list(settings.clusters), list(settings.networks)) == (["west"], ["vm-net"])


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("listen:\n- \n", "2:2: listen[0]: is empty; write text, in quotes where YAML would read a number or nothing"),
        ("zones:\n- \n", "2:2: zones[0].name: is missing; add it"),
        ("sources:\n-\n", "2:2: sources[0]: is empty; write keys and values: {key: value}, or lines of key: value"),
        ("zones:\n- name:\n", "2:3: zones[0].name: is missing; add it"),
        ("forward: [{zone: ., to: [~]}]\n", "1:26: forward[0].to[0]: is empty; write text, in quotes"),
    ],
)
def test_an_empty_item_is_a_fault(text: str, fault: str) -> None:
    """A dash with nothing behind it is no item: there is no default for one."""
    with pytest.raises(SettingsError) as caught:
        parse_settings(text.encode(), "m.yaml")
    assert caught.value.lines[0].startswith(f"m.yaml:{fault}")


def test_the_version_may_be_left_out() -> None:
    """As the reference says, meshdns/v1 is its default; an empty file is refused, for it may have been cut off."""
    assert parse_settings(b"workers: 2\n", "m.yaml").workers == 2
    with pytest.raises(SettingsError, match="is empty; begin with apiVersion"):
        parse_settings(b"", "m.yaml")
