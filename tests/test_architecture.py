"""The rules that keep the parts apart: import contracts, charters, and modules that a person can hold in mind."""

import ast
import re
import subprocess
import sys
import tomllib
from collections import defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "meshdns"
TESTS = sorted((ROOT / "tests").rglob("*.py"))
MODULES = sorted(PACKAGE.rglob("*.py"))
CHARTERS = [path for path in MODULES if path.name == "__init__.py" and path.parent != PACKAGE]
MAX_LINES = 500
COMPILED: list[str] = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["meshdns"]["compile"][
    "modules"
]
NOT_COMPILED = frozenset({"Struct", "Structure", "BigEndianStructure", "LittleEndianStructure", "Union"})
VAGUE = frozenset({"utils", "util", "helpers", "helper", "common", "manager", "handler", "misc"})


def test_import_contracts_hold() -> None:
    """Layers, a core without I/O, one door for each third-party package, no cycles."""
    command = Path(sys.executable).with_name("lint-imports")
    result = subprocess.run([command, "--no-cache"], cwd=ROOT, capture_output=True, text=True, timeout=280, check=False)
    assert result.returncode == 0, result.stdout + result.stderr


@pytest.mark.parametrize("module", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_modules_are_short_and_say_what_they_are(module: Path) -> None:
    """At most 500 lines, a docstring, and a name that says something."""
    text = module.read_text("utf-8")
    assert len(text.splitlines()) <= MAX_LINES
    assert ast.get_docstring(ast.parse(text))
    assert not {*module.relative_to(PACKAGE).with_suffix("").parts} & VAGUE


@pytest.mark.parametrize("charter", CHARTERS, ids=lambda path: path.parent.name)
def test_every_package_has_a_charter(charter: Path) -> None:
    """Core or edge, what belongs and what does not."""
    text = ast.get_docstring(ast.parse(charter.read_text("utf-8"))) or ""
    assert "not belong" in text


def test_every_folder_of_modules_is_a_package() -> None:
    """A folder without ``__init__`` has no charter and is seen by no contract."""
    assert {path.parent for path in MODULES} == {path.parent for path in MODULES if path.name == "__init__.py"}


def test_the_layout_of_the_name_database_is_known_to_its_package_alone() -> None:
    """Everywhere else tables are read and written through `meshdns.namedb.tables` and `meshdns.namedb.writer`.

    No table is named, no key taken apart or put together, and no raw transaction used.
    """
    tables = _table_names()
    assert {"rows", "problems", "refusals"} <= {name.decode() for name in tables}
    marks = ("Transaction", 'b"\\0', *(f'b"{name.decode()}"' for name in tables))  # the formatter quotes by "
    for module in (*MODULES, *(ROOT / "tests").rglob("*.py")):
        if module.is_relative_to(PACKAGE / "namedb") or module.is_relative_to(ROOT / "tests" / "namedb"):
            continue
        text = module.read_text("utf-8")
        if not any(mark in text for mark in marks):
            continue  # most modules: parsing them all takes seconds
        tree = ast.parse(text)
        literals = {node.value for node in ast.walk(tree) if isinstance(node, ast.Constant)}
        assert not {each for each in literals if isinstance(each, bytes)} & tables, module
        assert "Transaction" not in _imported_names(tree, "meshdns.namedb.database"), module
        if module.is_relative_to(PACKAGE / "controller") or module.is_relative_to(PACKAGE / "cli"):
            assert not literals & {b"\0", b"\0\0"}, module


def _table_names() -> set[bytes]:
    """All tables of the layout, as the module that opens them lists them."""
    tree = ast.parse((PACKAGE / "namedb" / "database.py").read_text("utf-8"))
    lists = [
        node.value
        for node in tree.body
        if isinstance(node, ast.AnnAssign) and ast.unparse(node.target) in ("_TABLES", "_OPTIONAL_TABLE")
    ]
    constants = [node.value for each in lists if each for node in ast.walk(each) if isinstance(node, ast.Constant)]
    return {name for name in constants if isinstance(name, bytes)}


def _imported_names(tree: ast.Module, module: str) -> set[str]:
    """The names that are imported from a module."""
    return {
        alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.module == module
        for alias in node.names
    }


def test_no_state_is_global() -> None:
    """No module rebinds a global: state has one owner, and that is an object."""
    for module in MODULES:
        tree = ast.parse(module.read_text("utf-8"))
        assert not [node for node in ast.walk(tree) if isinstance(node, ast.Global)], module


def _unnamed_tasks(source: str) -> list[int]:
    """Return the lines that start a task without a name, by `create_task` of anything or by `ensure_future`."""
    calls = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call)]
    found = []
    for call in calls:
        called = ast.unparse(call.func).rpartition(".")[2]
        named = any(keyword.arg == "name" for keyword in call.keywords)
        if called == "ensure_future" or (called == "create_task" and not named):
            found.append(call.lineno)
    return found


def test_every_task_has_a_name() -> None:
    """A task shows in logs and in a debugger by its name; `ensure_future` takes none and is not used."""
    texts = {path: path.read_text("utf-8") for path in (*MODULES, *TESTS)}
    found = {
        path: _unnamed_tasks(text) for path, text in texts.items() if "create_task" in text or "ensure_future" in text
    }
    assert {str(path.relative_to(ROOT)): lines for path, lines in found.items() if lines} == {}


def test_callbacks_of_controller_and_sources_have_an_owner() -> None:
    """Their owners end before the process does: `instance/timers.py` ends the timers with them.

    The queue of first reads lives as long as the process, and its turns end by themselves.
    """
    scheduled = re.compile(r"\.call_(soon|later|at)\(")
    found = {
        str(path.relative_to(PACKAGE))
        for package in ("controller", "sources")
        for path in (PACKAGE / package).rglob("*.py")
        if any(scheduled.search(line) and "timers.call_" not in line for line in path.read_text().splitlines())
    }
    assert found == {"sources/start_queue.py"}


@pytest.mark.parametrize(
    ("source", "lines"),
    [
        ("asyncio.create_task(work())", [1]),
        ("asyncio.create_task(work(), name='work')", []),
        ("group.create_task(work())", [1]),
        ("group.create_task(work(), name='work')", []),
        ("self._loop.create_task(work())", [1]),
        ("create_task(work())", [1]),
        ("asyncio.ensure_future(work())", [1]),
        ("ensure_future(work())", [1]),
    ],
)
def test_unnamed_tasks_are_found(source: str, lines: list[int]) -> None:
    """All ways to start a task are seen: of the module, a group, a loop, and by an imported name."""
    assert _unnamed_tasks(source) == lines


def _classes() -> Iterator[tuple[Path, str]]:
    """Yield each class of the package, nested ones too, with its module."""
    for module in MODULES:
        for node in ast.walk(ast.parse(module.read_text("utf-8"))):
            if isinstance(node, ast.ClassDef):
                yield module.relative_to(PACKAGE), node.name


def _defined_twice(places: Iterable[tuple[str, Path]]) -> dict[str, list[str]]:
    """Return the names that stand in more than one place, with all of theirs."""
    found: dict[str, list[str]] = defaultdict(list)
    for name, module in places:
        found[name].append(str(module))
    return {name: modules for name, modules in sorted(found.items()) if len(modules) > 1}


def test_a_public_class_name_has_one_meaning() -> None:
    """Whoever reads it in a log, a search or a conversation knows which class it is."""
    assert _defined_twice((name, module) for module, name in _classes() if not name.startswith("_")) == {}


def test_a_private_class_name_has_one_meaning_in_its_package() -> None:
    """Two packages may each have theirs: nobody outside sees it."""
    private = ((f"{module.parent}: {name}", module) for module, name in _classes() if name.startswith("_"))
    assert _defined_twice(private) == {}


def _not_compiled(source: str) -> list[str]:
    """Return the classes that cannot be compiled: encoded or mapped by another library, or with a metaclass."""
    classes = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.ClassDef)]
    return [
        node.name
        for node in classes
        if node.keywords or NOT_COMPILED & {ast.unparse(base).rpartition(".")[2] for base in node.bases}
    ]


@pytest.mark.parametrize("name", COMPILED)
def test_modules_to_be_compiled_define_nothing_that_cannot_be(name: str) -> None:
    """No msgspec Struct, no ctypes structure, no metaclass; a module that was renamed is renamed in the list."""
    module = ROOT.joinpath(*name.split(".")).with_suffix(".py")
    assert module in MODULES
    assert _not_compiled(module.read_text("utf-8")) == []


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("class A(msgspec.Struct, frozen=True): ...", ["A"]),
        ("class A(Struct): ...", ["A"]),
        ("class A(ctypes.Structure): ...", ["A"]),
        ("class A(metaclass=Meta): ...", ["A"]),
        ("def f():\n    class A(Struct): ...", ["A"]),
        ("class A(NamedTuple): ...", []),
        ("class A(enum.Enum): ...", []),
    ],
)
def test_what_cannot_be_compiled_is_found(source: str, found: list[str]) -> None:
    """By base, by keyword, and wherever in a module."""
    assert _not_compiled(source) == found
