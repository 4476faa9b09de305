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


def test_no_state_is_global() -> None:
    """No module rebinds a global: state has one owner, and that is an object."""
    for module in MODULES:
        tree = ast.parse(module.read_text("utf-8"))
        assert not [node for node in ast.walk(tree) if isinstance(node, ast.Global)], module
