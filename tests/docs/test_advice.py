"""Texts that people read: each command, option and setting that one names is there."""

import ast
import itertools
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import click
import pytest

from meshdns.cli.main import root
from meshdns.config import Settings
from tests.docs.pages import CHECKOUT
from tests.docs.test_pages import PAGES, title

MODULES: Final = sorted((CHECKOUT / "meshdns").rglob("*.py"))
OPTION: Final = re.compile(r"(?<![\w-])--[a-z][\w-]*")
SETTING: Final = re.compile(
    r"(?<![\w./@-])([a-z]\w*(?:\[\d*\])?(?:\.(?:<\w+>|[A-Za-z]\w*(?:\[\d*\])?))+)(?![\w.]*[@/(])"
)
FOREIGN: Final = re.compile(
    r"\b(?:Admiral|kubectl|oc|aws|gcloud|az|helm|docker|dnsmasq|systemd-run|systemctl|istioctl|pip|python)\b"
)
"""Texts with commands of others: their options are theirs."""


NODES: Final = {
    module: [
        node
        for node in ast.walk(ast.parse(module.read_text("utf-8")))
        if isinstance(node, ast.JoinedStr) or (isinstance(node, ast.Constant) and isinstance(node.value, str))
    ]
    for module in MODULES
}
"""The texts of each module, as they were parsed: once, for it takes most of the time."""


def texts(module: Path) -> Iterator[tuple[str, str]]:
    """The texts of a module with their places, docstrings of commands among them; what is filled in later is ``{}``."""
    place = str(module.relative_to(CHECKOUT))
    parts = {id(part) for node in NODES[module] if isinstance(node, ast.JoinedStr) for part in node.values}
    for node in NODES[module]:
        if isinstance(node, ast.JoinedStr):
            yield (
                f"{place}:{node.lineno}",
                "".join(str(p.value) if isinstance(p, ast.Constant) else "{}" for p in node.values),
            )
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in parts:
            yield f"{place}:{node.lineno}", node.value


TEXTS: Final = [each for module in MODULES for each in texts(module)]


def commands(command: click.Command, name: str) -> Iterator[tuple[str, click.Command]]:
    """All commands with their whole names."""
    yield name, command
    if isinstance(command, click.Group):
        context = click.Context(command)
        for word in command.list_commands(context):
            found = command.get_command(context, word)
            assert found is not None
            yield from commands(found, f"{name} {word}")


COMMANDS: Final = dict(commands(root, "meshdns"))


def options(command: click.Command) -> set[str]:
    """The options that help shows, and help itself."""
    shown = (each for each in command.params if isinstance(each, click.Option) and not each.hidden)
    return {"--help"}.union(*(each.opts for each in shown))


ALL_OPTIONS: Final = {"--help"} | {
    each for command in COMMANDS.values() for known in command.params for each in known.opts
}


def unknown_options(text: str) -> set[str]:
    """Options in a text that no command has; behind a whole command, those that it does not have."""
    if "--" not in text or FOREIGN.search(text):
        return set()
    unknown = {option for option in OPTION.findall(text) if option not in ALL_OPTIONS}
    for line in filter(re.compile(r"meshdns .*--").search, text.splitlines()):
        for name, command in COMMANDS.items():
            for found in re.finditer(rf"\b{name}(?= )(?P<rest>[^;:|&`]*)", line):
                if not isinstance(command, click.Group):
                    rest = found["rest"].partition(" meshdns ")[0]
                    unknown |= {f"{name} {option}" for option in OPTION.findall(rest)} - {
                        f"{name} {option}" for option in options(command)
                    }
    return unknown


def test_texts_of_the_program_name_options_that_there_are() -> None:
    """A reason, an advice or an example that names an option or a command's option names one that can be given."""
    assert [(place, found) for place, text in TEXTS if (found := unknown_options(text))] == []


@pytest.mark.parametrize("page", PAGES, ids=title)
def test_pages_name_options_that_there_are(page: Path) -> None:
    """Behind ``meshdns something`` each option is one of that command."""
    lines = [line for line in page.read_text("utf-8").splitlines() if "meshdns " in line]
    assert [line for line in lines if any(" " in each for each in unknown_options(line))] == []


SCHEMA: Final = Settings.model_json_schema(by_alias=True)


def is_setting(path: list[str]) -> bool:
    """Whether a path leads to a setting; a name in angle brackets stands for any key of a mapping."""
    at: Any = SCHEMA
    for part in path:
        for reference in filter(None, [at.get("$ref"), *(each.get("$ref") for each in at.get("anyOf", ()))]):
            at = SCHEMA["$defs"][reference.rpartition("/")[2]]
        if "items" in at:
            at = at["items"]
            at = SCHEMA["$defs"][at["$ref"].rpartition("/")[2]] if "$ref" in at else at
        if part in at.get("properties", {}):
            at = at["properties"][part]
        elif isinstance(at.get("additionalProperties"), dict):
            at = at["additionalProperties"]
        else:
            return False
    return True


SECTIONS: Final = {key for key, field in SCHEMA["properties"].items() if field.get("type") != "string"} - {"sources"}
NO_SETTINGS: Final = re.compile(r".*\.(?:example|global|invalid|sock)")
"""Host names, and a file."""


def unknown_settings(text: str) -> set[str]:
    """Dotted paths in a text that begin with a section of the settings and lead nowhere."""
    found = (match[1] for match in SETTING.finditer(text))
    paths = {path: [re.sub(r"\[\d*\]", "", part) for part in path.split(".")] for path in found}
    return {
        path
        for path, parts in paths.items()
        if parts[0] in SECTIONS and not is_setting(parts) and not NO_SETTINGS.fullmatch(path)
    }


def test_texts_of_the_program_name_settings_that_there_are() -> None:
    """``clusters.<name>.gateways`` and the like are paths of the settings file."""
    assert [(place, found) for place, text in TEXTS if (found := unknown_settings(text))] == []


@pytest.mark.parametrize("page", PAGES, ids=title)
def test_pages_name_settings_that_there_are(page: Path) -> None:
    """In text that is set as code."""
    said = re.findall(r"`([^`\n]+)`", page.read_text("utf-8"))
    assert sorted({found for text in said for found in unknown_settings(text)}) == []


@pytest.mark.parametrize("kind", ["settings", "option"])
def test_what_is_not_there_is_found(kind: str) -> None:
    """The rules see what they are for."""
    if kind == "option":
        assert unknown_options("see meshdns check --config FILE; or --nosuch") == {"meshdns check --config", "--nosuch"}
        assert unknown_options("see: meshdns get problems --all, and meshdns check --nodes 3 x") == set()
    else:
        assert unknown_settings("set clusters.<name>.gateway, or vantage.network, or zones[0].nam") == {
            "clusters.<name>.gateway",
            "zones[0].nam",
        }


NOUNS: Final = re.compile(
    r"^(?: [a-z]+)? (?:addresses|bytes|clusters|endpoints|entries|files|hosts|items|keys|names|nodes|objects|ports"
    r"|problems|queries|records|servers|times|values|watches|zones)\b|^ (?:are|have|were)\b"
)
COUNTS: Final = re.compile(r"(?:^len\(|count|number|found|quiet|missed|more$|total|left|asked|suppressed|dropped)")


def test_what_is_counted_agrees_with_its_number() -> None:
    """A number that may be 1 stands before a noun in `counted` alone; bounds are more than one."""
    wrong = []
    for module, nodes in NODES.items():
        for node in nodes:
            values = node.values if isinstance(node, ast.JoinedStr) else []
            for value, after in itertools.pairwise(values):
                if isinstance(value, ast.FormattedValue) and isinstance(after, ast.Constant):
                    written = ast.unparse(value.value)
                    if COUNTS.search(written) and NOUNS.search(str(after.value)) and "counted(" not in written:
                        wrong.append(f"{module.relative_to(CHECKOUT)}:{value.lineno} {written}{after.value!s}")
    assert "\n".join(each for each in wrong if not any(known in each for known in NEVER_ONE)) == ""


NEVER_ONE: Final = ("raw.py", "mass_delete_guard.py", "lookup_plan.py", "len(entry.ports)", "len(line)")
"""Counts beyond a bound that is more than one."""
