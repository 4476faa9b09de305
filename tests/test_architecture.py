"""The rules that keep the parts apart: import contracts, charters, and modules that a person can hold in mind."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "meshdns"
MODULES = sorted(PACKAGE.rglob("*.py"))
CHARTERS = [path for path in MODULES if path.name == "__init__.py" and path.parent != PACKAGE]
MAX_LINES = 500
VAGUE = frozenset({"utils", "util", "helpers", "helper", "common", "manager", "handler", "misc"})


def test_import_contracts_hold() -> None:
    """Layers, a core without I/O, one door for each third-party package, no cycles."""
    command = Path(sys.executable).with_name("lint-imports")
    result = subprocess.run([command, "--no-cache"], cwd=ROOT, capture_output=True, text=True, timeout=100, check=False)
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
    for module in (*MODULES, *(ROOT / "tests").rglob("*.py")):
        if module.is_relative_to(PACKAGE / "namedb") or module.is_relative_to(ROOT / "tests" / "namedb"):
            continue
        tree = ast.parse(module.read_text("utf-8"))
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
